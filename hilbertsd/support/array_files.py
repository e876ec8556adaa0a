"""Files of arrays with a JSON text beside them: .npz, the text under the key ``metadata``, no pickle.

    write_arrays("path", "hilbertsd.DistillationPath/1", {"tolerance": 0.1}, {"multipliers": c})
    read_arrays("path.npz", "hilbertsd.DistillationPath/1", lambda arrays, metadata: ...)

A format is the name of the class that a file holds and a version.
"""

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidFile
from hilbertsd.support.files import atomic_write

T = TypeVar("T")

END_OF_ZIP = 22
"""Length of the record that ends a zip file; its bytes 10 and 11 are the number of members."""


def write_arrays(
    path: str | os.PathLike[str], file_format: str, metadata: Mapping[str, Any], arrays: Mapping[str, Any]
) -> Path:
    """Write arrays and metadata, and return the file's path, which ends in .npz.

    Raises InvalidFile if it cannot be written.
    """
    target = _npz_path(path)
    text = np.array(json.dumps({"format": file_format, **metadata}))
    with atomic_write(target) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, metadata=text, **arrays)
    return target


def read_arrays(
    path: str | os.PathLike[str],
    file_format: str,
    attributes: Callable[[dict[str, NDArray[Any]], dict[str, Any]], T],
) -> T:
    """Read what a function makes of a file's arrays and metadata.

    Raises InvalidFile for a file that is missing, damaged or of another format, and where the function raises.
    """
    source = Path(path) if os.path.isfile(path) else _npz_path(path)
    name = _class_of(file_format)
    try:
        arrays = _members(source)
        metadata = json.loads(str(arrays.pop("metadata")))
        found = metadata["format"]
        if found != file_format:
            if _class_of(found) != name:
                raise ValueError(f"it holds a {_class_of(found)}")
            raise ValueError(
                f"it has format {found!r} and this version reads {file_format!r}, so that only the version that wrote "
                "it can read it"
            )
        return attributes(arrays, metadata)
    except FileNotFoundError as error:
        raise InvalidFile(f"{source} does not exist; save a {name} there first") from error
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen classes on damaged files
        raise InvalidFile(f"{str(source)!r} holds no {name}: {error}; save it again") from error


def check_source(path: Path, found: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    """Raise InvalidFile, naming what differs, unless a study's part in a file was made from the same source.

    Parameters
    ----------
    path : file of the part, in the folder of all parts: `--parts` of a command, `folder` of a function.
    found : source that the file names.
    source : what the part depends on now, as JSON gives it back.
    """
    different = [name for name in source if found.get(name) != source[name]]
    if different:
        raise InvalidFile(
            f"{path} has results of other {', '.join(different)}; give another folder (--parts of a command), or "
            f"delete {path.parent}"
        )


def _class_of(file_format: str) -> str:
    return file_format.partition("/")[0].removeprefix("hilbertsd.")


def _members(source: Path) -> dict[str, NDArray[Any]]:
    """Arrays of an .npz file, each read to its end, where zipfile compares its checksum."""
    arrays = {}
    with source.open("rb") as file, zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        file.seek(-END_OF_ZIP, os.SEEK_END)
        # zipfile skips members whose entry a damaged one swallows; a Krylov path without its remainder looks exact.
        if int.from_bytes(file.read(END_OF_ZIP)[10:12], "little") != len(names):
            raise ValueError(f"its directory is damaged after {names}")
        for name in names:
            with archive.open(name) as member:
                arrays[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
                if member.read(1):
                    raise ValueError(f"{name} is longer than its array")
    return arrays


def _npz_path(path: str | os.PathLike[str]) -> Path:
    """Path whose name ends in .npz; InvalidFile for one without a name."""
    path = Path(path)
    if not path.name:
        raise InvalidFile(f"{str(path)!r} is no name of a file; give one")
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")

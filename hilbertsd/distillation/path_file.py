"""The .npz file of a path: arrays, and a JSON text under the key ``metadata``; no pickle."""

from __future__ import annotations

import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidFile
from hilbertsd.spectral.reflections import Reflectors
from hilbertsd.spectral.spectrum import KrylovSpectrum, Spectrum
from hilbertsd.support.checks import as_real_array, check_positive
from hilbertsd.support.files import atomic_write

FILE_FORMAT = "hilbertsd.DistillationPath/1"

END_OF_ZIP = 22
"""Length of the record that ends a zip file; its bytes 10 and 11 are the number of members."""

DIMENSIONS = {
    "multipliers": 1,
    "target_mean_squares": 1,
    "training_errors": 1,
    "eigenvalues": 1,
    "scales": 1,
    "rotated_targets": 2,
    "basis": 2,
    "vectors": 2,
    "packed": 2,
    "remainder": 2,
}
"""Arrays that a file may hold, and their dimensions; those of one dimension are never negative."""


def write_path_file(
    path: str | os.PathLike[str],
    *,
    spectrum: Spectrum,
    tolerance: float | None,
    multipliers: NDArray[np.float64],
    target_mean_squares: NDArray[np.float64],
    training_errors: NDArray[np.float64],
    collapse_round: int | None,
) -> Path:
    """Write the attributes of a DistillationPath, and return the file's path, which ends in .npz.

    Raises InvalidFile if it cannot be written.
    """
    target = _npz_path(path)
    metadata = {
        "format": FILE_FORMAT,
        "tolerance": tolerance,
        "collapse_round": collapse_round,
        "single_output": spectrum.single_output,
        "clipped": spectrum.clipped,
        "rounding": spectrum.rounding,
    }
    arrays = {
        "multipliers": multipliers,
        "target_mean_squares": target_mean_squares,
        "training_errors": training_errors,
        "eigenvalues": spectrum.eigenvalues,
        "rotated_targets": spectrum.rotated_targets,
    }
    reflectors = spectrum.reflectors
    if reflectors is None:
        arrays["basis"] = np.asarray(spectrum.vectors)
    else:  # under names of their own, so that nobody takes the vectors for the basis
        arrays |= {"vectors": spectrum.vectors, "packed": reflectors.packed, "scales": reflectors.scales}
    if isinstance(spectrum, KrylovSpectrum):
        arrays["remainder"] = spectrum.remainder
    with atomic_write(target) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, metadata=np.array(json.dumps(metadata)), **arrays)
    return target


def read_path_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the attributes of a DistillationPath, by name.

    Raises InvalidFile for a file that is missing, damaged, or holds values that no path has.
    """
    source = _npz_path(path)
    try:
        arrays = _members(source)
        metadata = json.loads(str(arrays.pop("metadata")))
        if metadata["format"] != FILE_FORMAT:
            raise ValueError(
                f"it has format {metadata['format']!r} and this version reads {FILE_FORMAT!r}, so that only the "
                "version that wrote it can read it"
            )
        return _attributes(arrays, metadata)
    except FileNotFoundError as error:
        raise InvalidFile(f"{source} does not exist; save a path there first") from error
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen classes on damaged files
        raise InvalidFile(f"{str(source)!r} holds no DistillationPath: {error}; save the path again") from error


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


def _attributes(arrays: dict[str, NDArray[Any]], metadata: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a path from the file's content, or ValueError naming a value that no path has."""
    for name, array in arrays.items():
        _check_array(array, name)
    multipliers, mean_squares = arrays["multipliers"], arrays["target_mean_squares"]
    n_rounds, tolerance, collapse_round = len(multipliers), metadata["tolerance"], metadata["collapse_round"]
    lengths = (len(mean_squares), len(arrays["training_errors"]))
    if lengths != (n_rounds + 1, n_rounds):
        raise ValueError(f"{n_rounds} multipliers beside series of {lengths}")
    if not np.all(multipliers > 0):
        raise ValueError("multipliers holds 0, which no path has")
    if tolerance is not None:
        check_positive(tolerance, "tolerance", "as every path has", InvalidFile)
    collapsed = tolerance is not None and bool(mean_squares[-1] <= tolerance)
    if collapse_round != (n_rounds if collapsed else None):
        raise ValueError(
            f"collapse_round is {collapse_round!r} after {n_rounds} rounds with tolerance {tolerance!r} and a last "
            f"mean square of {mean_squares[-1]:.6g}"
        )
    return {
        "spectrum": _spectrum(arrays, metadata),
        "tolerance": tolerance,
        "multipliers": multipliers,
        "target_mean_squares": mean_squares,
        "training_errors": arrays["training_errors"],
        "collapse_round": collapse_round,
    }


def _spectrum(arrays: dict[str, NDArray[Any]], metadata: dict[str, Any]) -> Spectrum:
    """Spectrum of the kind that the arrays tell, or ValueError where they do not fit together."""
    eigenvalues, z = arrays["eigenvalues"], arrays["rotated_targets"]
    m = len(eigenvalues)
    reflectors = Reflectors(arrays["packed"], arrays["scales"]) if "packed" in arrays else None
    vectors = arrays["basis" if reflectors is None else "vectors"]
    if z.shape[0] != m or vectors.shape[1] != m:
        raise ValueError(f"{m} eigenvalues beside a basis of shape {vectors.shape} and targets of {z.shape}")
    if reflectors is not None and (reflectors.packed.shape != vectors.shape or len(reflectors.scales) != m - 1):
        raise ValueError(f"{len(reflectors.scales)} reflections of shape {reflectors.packed.shape} for {m} vectors")
    single_output, clipped, rounding = (metadata[name] for name in ("single_output", "clipped", "rounding"))
    if not (single_output is False or (single_output is True and z.shape[1] == 1)):
        raise ValueError(f"single_output is {single_output!r} with {z.shape[1]} outputs")
    if not 0 <= clipped <= rounding < math.inf:
        raise ValueError(f"clipped is {clipped!r} and rounding {rounding!r}")
    if "remainder" not in arrays:
        return Spectrum(eigenvalues, z, vectors, single_output, clipped, rounding, reflectors=reflectors)
    if arrays["remainder"].shape[1] != m:
        raise ValueError(f"{m} eigenvalues beside a remainder of shape {arrays['remainder'].shape}")
    return KrylovSpectrum(eigenvalues, z, vectors, single_output, clipped, rounding, remainder=arrays["remainder"])


def _check_array(array: NDArray[Any], name: str) -> None:
    """Raise ValueError for an array that no path has: another name, kind or dimension, not finite, or negative."""
    if array.ndim != DIMENSIONS.get(name):
        raise ValueError(f"it holds an array {name} of shape {array.shape}")
    as_real_array(array, name, InvalidFile)
    allowed = np.isfinite(array) & ((array >= 0) | (array.ndim == 2))
    if not np.all(allowed):
        raise ValueError(f"{name} holds {array[~allowed][0]:.6g}, which no path has")


def _npz_path(path: str | os.PathLike[str]) -> Path:
    """Path whose name ends in .npz; InvalidFile for one without a name."""
    path = Path(path)
    if not path.name:
        raise InvalidFile(f"{str(path)!r} is no name of a file; give one")
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")

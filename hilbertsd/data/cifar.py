"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from the official files in their binary or their Python layout.

A folder whose files are not the official ones, recompressed ones for instance, says so in a file
`hilbertsd-name.txt` beside them: its one line, such as "CIFAR-10 (JPEG)", is the name of the data.
"""

import os
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.cifar_files import DATASETS, Dataset, Layout, text_lines
from hilbertsd.data.images import ImageData, Split
from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.support.checks import check_choice
from hilbertsd.support.progress import working

Name = Literal["cifar10", "cifar100"]
Kind = Literal["fine", "coarse"]

FOLDER_VARIABLE = "HILBERTSD_DATA"
NAME_FILE = "hilbertsd-name.txt"
SITE = "https://www.cs.toronto.edu/~kriz/"


def load_cifar(
    name: Name,
    split: Split,
    *,
    folder: str | Path | None = None,
    labels: Kind = "fine",
    download: bool = False,
) -> ImageData:
    """Load one split of CIFAR-10 or CIFAR-100.

    Files may hold any number of samples, so subsets in an official layout load, too.

    Parameters
    ----------
    name : "cifar10" or "cifar100".
    split : "train" or "test".
    folder : the folder with the files, or the one that folder is in; where None, what the environment variable
        HILBERTSD_DATA names. The binary layout is looked for first.
    labels : "coarse" for CIFAR-100's 20 superclasses.
    download : where the folder does not have the data, fetch the official archive into it, checksummed, and
        unpack it. Without a folder that is pooch's cache folder for hilbertsd.

    Returns
    -------
    Images (n, 32, 32, 3), rows from the top, channels red, green, blue. Where the folder lacks the file with the
    names of the classes, these are numbers.

    Raises
    ------
    InvalidInput
        The name, the split or the kind of labels is none of these.
    InvalidFile
        The data is missing, cannot be fetched, or a file is not what it should be.
    """
    check_choice(name, "name", tuple(DATASETS))
    dataset = DATASETS[name]
    check_choice(split, "split", ("train", "test"))
    if labels not in dataset.n_classes:
        raise InvalidInput(f"labels is {labels!r}; {dataset.name} has {' and '.join(sorted(dataset.n_classes))} labels")
    layout, found = _located(dataset, folder, download)
    missing = [file for file in layout.files[split] if not (found / file).is_file()]
    if missing:
        raise InvalidFile(
            f"{found} lacks {len(missing)} of the {len(layout.files[split])} files of {dataset.name}'s {split} split: "
            f"{', '.join(missing)}; unpack the archive again"
        )
    parts = [layout.read(found / file, dataset) for file in layout.files[split]]
    return ImageData(
        name=_given_name(found) or dataset.name,
        images=_images([part.pixels for part in parts]),
        labels=np.concatenate([part.labels[labels] for part in parts]).astype(np.int64),
        class_names=_class_names(layout, found, dataset, labels),
    )


def _images(parts: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Colour planes, (n_i, 3072) each, as one array (n, 32, 32, 3); the only copy that is made."""
    images = np.empty((sum(map(len, parts)), 32, 32, 3), dtype=np.uint8)
    start = 0
    for pixels in parts:
        images[start : start + len(pixels)] = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        start += len(pixels)
    return images


def _class_names(layout: Layout, folder: Path, dataset: Dataset, kind: str) -> tuple[str, ...]:
    n_classes = dataset.n_classes[kind]
    path = folder / layout.names[kind]
    if not path.is_file():
        return tuple(map(str, range(n_classes)))
    names = layout.read_names(path, dataset, kind)
    if len(names) != n_classes:
        raise InvalidFile(f"{path} has {len(names)} names, where {n_classes} are needed; take the official file")
    return tuple(names)


def _given_name(folder: Path) -> str | None:
    """Name the folder gives its data, None where it gives none."""
    path = folder / NAME_FILE
    if not path.is_file():
        return None
    lines = text_lines(path)
    if len(lines) != 1:
        raise InvalidFile(f"{path} has {len(lines)} lines of text; write the one line that is the data's name")
    return lines[0]


def _located(dataset: Dataset, folder: str | Path | None, download: bool) -> tuple[Layout, Path]:
    """Layout and folder of the files, fetched where asked for and needed."""
    given = folder or os.environ.get(FOLDER_VARIABLE)
    binary, python = dataset.layouts
    remedy = (
        f"give the folder that holds {binary.folder} or {python.folder}, name it in {FOLDER_VARIABLE}, "
        f"or download=True ({dataset.megabytes} MB)"
    )
    if not given and not download:
        raise InvalidFile(f"no folder with {dataset.name} is given; {remedy}")
    root = Path(given).expanduser() if given else _cache_folder()
    found = _found(dataset, root)
    if found is None and download:
        _fetch(dataset, root)
        found = _found(dataset, root)
    if found is None:
        packed = [file.name for file in root.glob("cifar-*.tar.gz")] if root.is_dir() else []
        state = f"has only {packed[0]}, not unpacked" if packed else "does not have it" if root.is_dir() else "is none"
        raise InvalidFile(f"{dataset.name} is looked for in the folder {root}, which {state}; {remedy}")
    return found


def _found(dataset: Dataset, root: Path) -> tuple[Layout, Path] | None:
    for layout in dataset.layouts:
        for folder in (root / layout.folder, root):
            if any((folder / file).is_file() for files in layout.files.values() for file in files):
                return layout, folder
    return None


def _cache_folder() -> Path:
    import pooch

    return Path(pooch.os_cache("hilbertsd"))


def _fetch(dataset: Dataset, root: Path) -> None:
    """Download the archive of the binary layout into a folder, check its sum and unpack it there."""
    import pooch

    url = SITE + dataset.archive
    try:
        with working(f"downloading {dataset.name}, {dataset.megabytes} MB"):
            archive = pooch.retrieve(url, known_hash=f"md5:{dataset.md5}", fname=dataset.archive, path=root)
    except (OSError, ValueError) as error:
        raise InvalidFile(
            f"{dataset.name} cannot be fetched from {url} to {root}: {error}; try again, or unpack it by hand and "
            f"give its folder"
        ) from error
    _unpack(Path(archive), dataset.layouts[0], root)


def _unpack(archive: Path, layout: Layout, root: Path) -> None:
    """Unpack the layout's files: all of them or, interrupted, none.

    Only contents come from the archive: no path or link in it is followed, nor its file modes.
    """
    names = {*(file for files in layout.files.values() for file in files), *layout.names.values()}
    try:
        with tempfile.TemporaryDirectory(dir=root) as beside, tarfile.open(archive) as members:
            whole = Path(beside) / layout.folder
            whole.mkdir()
            for name in sorted(names):
                content = members.extractfile(f"{layout.folder}/{name}")
                if content is None:
                    raise KeyError(f"{layout.folder}/{name} is no file")
                with content, (whole / name).open("wb") as target:
                    while block := content.read(1 << 20):
                        target.write(block)
            whole.rename(root / layout.folder)
    except (OSError, KeyError, tarfile.TarError, EOFError) as error:
        raise InvalidFile(f"{archive} cannot be unpacked in {root}: {error}; remove it and try again") from error

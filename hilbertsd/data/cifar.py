"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from the official files in their binary or their Python layout.

    train = load_cifar("cifar10", "train", folder="cifar")  # holds cifar-10-batches-bin or cifar-10-batches-py
    train.images                                            # (50000, 32, 32, 3) uint8
    train.class_names[train.labels[0]]                      # "frog"
    superclasses = load_cifar("cifar100", "test", labels="coarse", download=True)

A folder with other files than the official ones, for instance recompressed images, holds a text file
`hilbertsd-name.txt`. Its one line, such as "CIFAR-10 (JPEG)", names the data wherever numbers from it are shown.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.cifar_files import DATASETS, Dataset, Layout, text_lines
from hilbertsd.data.images import ImageData, Split
from hilbertsd.errors import InvalidFile
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

    Files may hold any number of samples, so a subset in an official layout loads, too.

    Parameters
    ----------
    name : "cifar10" or "cifar100".
    split : "train" or "test".
    folder : folder with the files, or its parent folder; None for the folder that the environment variable
        HILBERTSD_DATA names. The binary layout is looked for first.
    labels : "fine", or "coarse" for CIFAR-100's 20 superclasses.
    download : whether to download the official archive where the folder does not have the data. The archive's
        checksum is compared and its files are unpacked in the folder; without a folder, in pooch's cache folder for
        hilbertsd.

    Returns
    -------
    Images (n, 32, 32, 3), rows from the top, channels red, green, blue. Classes are named by their numbers where the
    folder lacks the file with their names.

    Raises
    ------
    InvalidInput
        The name, the split or the kind of labels is unknown.
    InvalidFile
        The data is missing or cannot be downloaded, or a file is damaged.
    """
    check_choice(name, "name", tuple(DATASETS))
    dataset = DATASETS[name]
    check_choice(split, "split", ("train", "test"))
    check_choice(labels, f"labels of {dataset.name}", sorted(dataset.n_classes))
    layout, location = _located(dataset, folder, download)
    missing = [file for file in layout.files[split] if not (location / file).is_file()]
    if missing:
        raise InvalidFile(
            f"{location} lacks {len(missing)} of the {len(layout.files[split])} files of {dataset.name}'s {split} "
            f"split: {', '.join(missing)}; unpack the archive again"
        )
    parts = [layout.read(location / file, dataset) for file in layout.files[split]]
    return ImageData(
        name=_name_in(location) or dataset.name,
        images=_images([part.pixels for part in parts]),
        labels=np.concatenate([part.labels[labels] for part in parts]).astype(np.int64),
        class_names=_class_names(layout, location, dataset, labels),
    )


def _images(parts: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pixels of several files, (n_i, 3072) by colour planes, copied to one array (n, 32, 32, 3)."""
    images = np.empty((sum(map(len, parts)), 32, 32, 3), dtype=np.uint8)
    start = 0
    for pixels in parts:
        images[start : start + len(pixels)] = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        start += len(pixels)
    return images


def _class_names(layout: Layout, folder: Path, dataset: Dataset, kind: str) -> tuple[str, ...]:
    """Names of the classes for one kind of labels: those in the folder's file, or numbers where there is no file."""
    n_classes = dataset.n_classes[kind]
    path = folder / layout.names[kind]
    if not path.is_file():
        return tuple(map(str, range(n_classes)))
    names = layout.read_names(path, dataset, kind)
    if len(names) != n_classes:
        raise InvalidFile(f"{path} has {len(names)} names, where {n_classes} are needed; take the official file")
    return tuple(names)


def _name_in(folder: Path) -> str | None:
    """Name of the data in the folder's file hilbertsd-name.txt; None where there is no such file."""
    path = folder / NAME_FILE
    if not path.is_file():
        return None
    lines = text_lines(path)
    if len(lines) != 1:
        raise InvalidFile(f"{path} has {len(lines)} lines of text; write the one line that is the data's name")
    return lines[0]


def _located(dataset: Dataset, folder: str | Path | None, download: bool) -> tuple[Layout, Path]:
    """Layout and folder of the files, which are downloaded if they are missing and `download` is set."""
    given = os.environ.get(FOLDER_VARIABLE) if folder is None else folder
    binary, python = dataset.layouts
    remedy = (
        f"give the folder that holds {binary.folder} or {python.folder}, name it in {FOLDER_VARIABLE}, or download "
        f"the {dataset.megabytes} MB with download=True (`hilbertsd ntk run --download`)"
    )
    if folder == "" or (not given and not download):
        raise InvalidFile(f"no folder with {dataset.name} is given; {remedy}")
    root = Path(given).expanduser() if given else _cache_folder()
    located = _layout_in(dataset, root)
    if located is None and download:
        _download(dataset, root)
        located = _layout_in(dataset, root)
    if located is None:
        packed = [file.name for file in root.glob("cifar-*.tar.gz")]
        without = "does not have it" if root.is_dir() else "is no folder"
        state = f"has only {packed[0]}, not unpacked" if packed else without
        raise InvalidFile(f"{dataset.name} is looked for in {root}, which {state}; {remedy}")
    return located


def _layout_in(dataset: Dataset, root: Path) -> tuple[Layout, Path] | None:
    """Layout of the first file of the data set in a folder or its subfolder, with the folder that holds the file."""
    for layout in dataset.layouts:
        for folder in (root / layout.folder, root):
            if any((folder / file).is_file() for files in layout.files.values() for file in files):
                return layout, folder
    return None


def _cache_folder() -> Path:
    import pooch

    return Path(pooch.os_cache("hilbertsd"))


def _download(dataset: Dataset, root: Path) -> None:
    """Download the archive of the binary layout into a folder, compare its checksum and unpack it there."""
    import pooch

    url = SITE + dataset.archive
    try:
        with working(f"downloading {dataset.name}, {dataset.megabytes} MB"):
            archive = pooch.retrieve(url, known_hash=f"md5:{dataset.md5}", fname=dataset.archive, path=root)
    except (OSError, ValueError) as error:
        raise InvalidFile(
            f"{dataset.name} cannot be downloaded from {url} to {root}: {error}; try again, or unpack it by hand and "
            f"give its folder"
        ) from error
    _unpack(Path(archive), dataset.layouts[0], root)


def _unpack(archive: Path, layout: Layout, root: Path) -> None:
    """Unpack the layout's files from an archive. If that is interrupted, the folder has none of them.

    Only the contents of the files are taken: paths, links and file modes in the archive are ignored.
    """
    names = {*(file for files in layout.files.values() for file in files), *layout.names.values()}
    try:
        with tempfile.TemporaryDirectory(dir=root) as temporary, tarfile.open(archive) as members:
            unpacked = Path(temporary) / layout.folder
            unpacked.mkdir()
            for name in sorted(names):
                content = members.extractfile(f"{layout.folder}/{name}")
                if content is None:
                    raise KeyError(f"{layout.folder}/{name} is no file")
                with content, (unpacked / name).open("wb") as target:
                    while block := content.read(1 << 20):
                        target.write(block)
            unpacked.rename(root / layout.folder)
    except (OSError, KeyError, tarfile.TarError, EOFError) as error:
        raise InvalidFile(f"{archive} cannot be unpacked in {root}: {error}; remove it and try again") from error

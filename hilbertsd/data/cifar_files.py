"""Readers for the published files of CIFAR-10 and CIFAR-100: binary records, or Python pickles.

A pickle can run code when it is loaded. The reader here refuses every pickle that asks for more than arrays of bytes.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidFile

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Part:
    """Samples of one file.

    Attributes
    ----------
    pixels : (n, 3072) uint8, the red, the green and the blue plane of every image, row by row.
    labels : for each kind of label, "fine" or "coarse", (n,) class numbers.
    """

    pixels: NDArray[np.uint8]
    labels: Mapping[str, NDArray[np.integer]]


@dataclass(frozen=True)
class Layout:
    """Names and readers of the files in one published layout, binary or Python.

    Attributes
    ----------
    folder : name of the folder that the archive unpacks to.
    files : for each split, names of its files.
    names : for each kind of label, name of the file with the names of its classes.
    read : function that reads one file.
    read_names : function that reads the names of the classes for one kind of label.
    """

    folder: str
    files: dict[str, tuple[str, ...]]
    names: dict[str, str]
    read: Callable[[Path, Dataset], Part]
    read_names: Callable[[Path, Dataset, str], list[str]]


@dataclass(frozen=True)
class Dataset:
    """Facts in which CIFAR-10 and CIFAR-100 differ.

    Attributes
    ----------
    name : name to show.
    n_classes : for each kind of label, its number of classes; in the order of the label bytes of a binary record.
    keys : for each kind of label, the key of the labels in a Python file.
    name_keys : for each kind of label, the key of the names of its classes.
    layouts : the binary layout, then the Python layout.
    archive : file name of the binary layout's archive on the authors' site.
    md5 : checksum of that archive.
    megabytes : size of that archive.
    """

    name: str
    n_classes: dict[str, int]
    keys: dict[str, str]
    name_keys: dict[str, str]
    layouts: tuple[Layout, ...]
    archive: str
    md5: str
    megabytes: int

    @property
    def record(self) -> int:
        """Number of bytes in a binary record: one for each kind of label, then the pixels."""
        return len(self.n_classes) + PIXELS


def text_lines(path: Path) -> list[str]:
    """Lines of a text file that are not blank, without blanks at their ends."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFile(f"{path} cannot be read as UTF-8 text: {error}; take the official file") from error
    return [line.strip() for line in lines if line.strip()]


def _checked_size(path: Path, wrong_starts: dict[bytes, str]) -> int:
    """Size of a file in bytes; InvalidFile if it is empty or its first bytes are those of another kind of file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise InvalidFile(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    if size == 0:
        raise InvalidFile(f"{path} is empty (0 bytes); unpack the archive again")
    for sign, meaning in wrong_starts.items():
        if start.startswith(sign):
            raise InvalidFile(f"{path} ({size} bytes) {meaning}")
    return size


# First bytes of files that are often found in place of the data, and what to say about them.
PACKED_OR_PAGE = {b"\x1f\x8b": "is packed with gzip; unpack it", b"<": "is a web page, no data; download it again"}
# A binary file begins with a label of at most 19, which is smaller than all of these first bytes.
NOT_BINARY = {**PACKED_OR_PAGE, b"\x80": "is a Python pickle; name its folder as the Python layout does"}


def _read_binary(path: Path, dataset: Dataset) -> Part:
    """Samples of a file of binary records."""
    size = _checked_size(path, NOT_BINARY)
    n_records, left_over = divmod(size, dataset.record)
    if left_over:
        others = [other for other in DATASETS.values() if size % other.record == 0]
        raise InvalidFile(
            f"{path} has {size} bytes, where a whole number of {dataset.name} records of {dataset.record} bytes is "
            f"needed: {n_records} records and {left_over} bytes. "
            + "".join(f"It fits {other.name}'s records of {other.record} bytes; load it as that" for other in others)
            + ("" if others else "It is cut short or no such file; unpack the archive again")
        )
    records = np.asarray(np.memmap(path, dtype=np.uint8, mode="r")).reshape(n_records, dataset.record)
    labels = {kind: records[:, column].copy() for column, kind in enumerate(dataset.n_classes)}
    _check_labels(path, dataset, labels)
    return Part(records[:, len(labels) :], labels)


def _check_labels(path: Path, dataset: Dataset, labels: Mapping[str, NDArray[np.integer]]) -> None:
    """Raise InvalidFile if a label is outside the classes of the data set."""
    for kind, values in labels.items():
        outside = (values < 0) | (values >= dataset.n_classes[kind])
        if outside.any():
            row = int(np.argmax(outside))
            raise InvalidFile(
                f"{path} has {kind} label {values[row]} in record {row + 1} of {len(values)}, where {dataset.name} "
                f"has 0 to {dataset.n_classes[kind] - 1}; the file is damaged or of something else"
            )


def _binary_names(path: Path, _dataset: Dataset, _kind: str) -> list[str]:
    """Names of classes from a text file, one a line."""
    return text_lines(path)


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that makes bytes, numbers, lists, dicts and arrays of bytes, and refuses to call anything else."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), "_reconstruct"):
                return np.empty(0).__reduce__()[0]
            case "numpy", "ndarray":
                return np.ndarray
            case "numpy", "dtype":
                # A new function every time, because a pickle can set attributes of the object it gets.
                return lambda *arguments: _uint8(*arguments)
            case _:
                raise pickle.UnpicklingError(f"it asks for {module}.{name}, which these files have no use for")


def _uint8(code: str | bytes, *_align_and_copy: int) -> np.dtype[Any]:
    """Dtype uint8, the only one in these files. The arguments after the code are flags of Python 2 and ignored."""
    if code not in ("u1", b"u1"):
        raise pickle.UnpicklingError(f"it holds an array of dtype {code!r}, where u1 is needed")
    return np.dtype(np.uint8)


def _unpickled(path: Path, dataset: Dataset) -> dict[str, Any]:
    """Dict in a pickle written by Python 2 or 3, with its keys as text."""
    size = _checked_size(path, PACKED_OR_PAGE)
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise any of them
        reason = str(error) or type(error).__name__
        raise InvalidFile(
            f"{path} ({size} bytes) cannot be read as a Python file of {dataset.name}: {reason}; "
            "unpack the archive again"
        ) from error
    if not isinstance(content, dict):
        raise InvalidFile(f"{path} ({size} bytes) holds a {type(content).__name__}, where a dict is needed")
    return {_text(key): value for key, value in content.items()}


def _text(value: Any) -> str:
    """Value as text; bytes are read as UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _entry(path: Path, content: dict[str, Any], key: str, dataset: Dataset) -> Any:
    """Value of a key in the dict of a Python file; InvalidFile where the key is missing."""
    if key not in content:
        raise InvalidFile(
            f"{path} has no {key!r}, only {', '.join(sorted(content)) or 'nothing'}; take {dataset.name}'s own file"
        )
    return content[key]


def _read_python(path: Path, dataset: Dataset) -> Part:
    """Samples of a Python file."""
    content = _unpickled(path, dataset)
    labels = {kind: _label_array(path, key, _entry(path, content, key, dataset)) for kind, key in dataset.keys.items()}
    pixels = _entry(path, content, "data", dataset)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        raise InvalidFile(f"{path} has 'data' that is no array of bytes; unpack the archive again")
    if pixels.ndim != 2 or pixels.shape[1] != PIXELS or len(pixels) == 0:
        raise InvalidFile(
            f"{path} has data of shape {pixels.shape}, where (n, {PIXELS}) is needed; unpack the archive again"
        )
    for kind, values in labels.items():
        if len(values) != len(pixels):
            raise InvalidFile(f"{path} has {len(values)} {kind} labels and {len(pixels)} images; unpack it again")
    _check_labels(path, dataset, labels)
    return Part(pixels, labels)


def _label_array(path: Path, key: str, values: Any) -> NDArray[np.integer]:
    """List of labels as an array; InvalidFile if it is no list of whole numbers."""
    if not isinstance(values, list) or not all(type(value) is int and abs(value) < 2**31 for value in values):
        raise InvalidFile(f"{path} has {key!r} that are no list of whole numbers; unpack the archive again")
    return np.array(values, dtype=np.int64)


def _python_names(path: Path, dataset: Dataset, kind: str) -> list[str]:
    """Names of classes from a Python file."""
    names = _entry(path, _unpickled(path, dataset), dataset.name_keys[kind], dataset)
    if not isinstance(names, list):
        raise InvalidFile(f"{path} has {dataset.name_keys[kind]!r} that are no list; unpack the archive again")
    return [_text(name) for name in names]


def _two_layouts(
    folders: tuple[str, str], train: tuple[str, ...], test: str, names: dict[str, str], meta: str
) -> tuple[Layout, Layout]:
    """Binary and Python layout of a data set; the names of binary files end in .bin.

    Parameters
    ----------
    folders : names of the folders of the two layouts.
    train, test : names of the data files, without suffix.
    names : for each kind of label, the binary layout's file with the names of its classes.
    meta : the Python layout's file with the names of all classes.
    """
    binary = {"train": tuple(f"{file}.bin" for file in train), "test": (f"{test}.bin",)}
    python = {"train": train, "test": (test,)}
    return (
        Layout(folders[0], binary, names, _read_binary, _binary_names),
        Layout(folders[1], python, dict.fromkeys(names, meta), _read_python, _python_names),
    )


DATASETS = {
    "cifar10": Dataset(
        name="CIFAR-10",
        n_classes={"fine": 10},
        keys={"fine": "labels"},
        name_keys={"fine": "label_names"},
        layouts=_two_layouts(
            ("cifar-10-batches-bin", "cifar-10-batches-py"),
            tuple(f"data_batch_{batch}" for batch in range(1, 6)),
            "test_batch",
            {"fine": "batches.meta.txt"},
            "batches.meta",
        ),
        archive="cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        megabytes=170,
    ),
    "cifar100": Dataset(
        name="CIFAR-100",
        n_classes={"coarse": 20, "fine": 100},
        keys={"coarse": "coarse_labels", "fine": "fine_labels"},
        name_keys={"coarse": "coarse_label_names", "fine": "fine_label_names"},
        layouts=_two_layouts(
            ("cifar-100-binary", "cifar-100-python"),
            ("train",),
            "test",
            {"fine": "fine_label_names.txt", "coarse": "coarse_label_names.txt"},
            "meta",
        ),
        archive="cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        megabytes=169,
    ),
}

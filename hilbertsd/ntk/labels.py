"""Labels in a file beside the stores of a network's kernel matrices, with what tells them from those of other images.

    stores = GramJob(kernel, images).run("kernels")  # writes kernels/labels.json
    train, test, labels = stored_split("kernels")
    path = hilbertsd.distill(train, labels.targets, tolerance=0.05)

The file names the hashes of the images that the stores are for. Reading stores and labels needs no JAX.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hilbertsd.data.splits import ImageLabels
from hilbertsd.errors import InvalidFile
from hilbertsd.gram.store import GramStore
from hilbertsd.support.files import write_json

FORMAT = "hilbertsd.ImageLabels/1"

STORES = ("train-train", "test-train")
"""Folders of the two stores; the rows of each are the images of one part of the labels."""

PARTS = ("train", "test")

AGAIN = "run `hilbertsd ntk run` again with the same options: it writes the file and computes no tile anew"


class StoredSplit(NamedTuple):
    """Complete stores of the (n, n) train-train and the (m, n) test-train matrix, and the labels of their images."""

    train: GramStore
    test: GramStore
    labels: ImageLabels


def write_labels(folder: Path, labels: ImageLabels, inputs: tuple[str, str]) -> Path:
    """Write the labels into the folder of the stores, whose hashes of training and test images are the inputs."""
    content: dict[str, Any] = {"format": FORMAT, "name": labels.name, "n_classes": labels.n_classes}
    for part, images in zip(PARTS, inputs, strict=True):
        content[f"{part}_inputs"] = images
        content[f"{part}_labels"] = getattr(labels, f"{part}_labels").tolist()
        content[f"{part}_rows"] = getattr(labels, f"{part}_rows").tolist()
    return write_json(_file(folder), {**content, "sha256": _hash(content)})


def stored_split(folder: str | os.PathLike[str]) -> StoredSplit:
    """Stores and labels in a folder that :meth:`hilbertsd.ntk.GramJob.run` filled.

    Raises
    ------
    InvalidFile
        There are no stores, or they are not complete; the labels are missing, damaged, or of other images than the
        stores.
    """
    folder = Path(folder)
    if not (folder / STORES[0]).is_dir():
        raise InvalidFile(
            f"{folder} has no kernels of a network; compute them with `hilbertsd ntk run ARCHITECTURE {folder}`"
        )
    train, test = (GramStore.open(folder / name) for name in STORES)
    for store in (train, test):
        if not store.complete:
            raise InvalidFile(
                f"{store.folder} misses {len(store.missing()):,} of {store.plan.n_tiles:,} tiles or its completion "
                "record; run `hilbertsd ntk run` again with the same options: it computes what is missing"
            )
    return StoredSplit(train, test, _read(_file(folder), (train.plan.inputs, test.plan.inputs)))


def _read(file: Path, inputs: tuple[str, str]) -> ImageLabels:
    """Labels in a file, which must be of images with these hashes."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.pop("sha256") != _hash(content) or content["format"] != FORMAT:
            raise ValueError("its content is not what was written")
    except FileNotFoundError as error:
        raise InvalidFile(f"{file} does not exist, so that the labels of the images are not known; {AGAIN}") from error
    except (OSError, ValueError, KeyError) as error:
        raise InvalidFile(f"{file} is damaged ({error}); {AGAIN}") from error
    for part, images in zip(PARTS, inputs, strict=True):
        if content[f"{part}_inputs"] != images:
            raise InvalidFile(f"{file} has labels of other {part} images than the stores beside it; {AGAIN}")
    arrays = {
        name: np.array(content[name], dtype=np.int64) for part in PARTS for name in (f"{part}_labels", f"{part}_rows")
    }
    return ImageLabels(content["name"], content["n_classes"], **arrays)


def _file(folder: Path) -> Path:
    return folder / "labels.json"


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

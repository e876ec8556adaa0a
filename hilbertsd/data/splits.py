"""Training and test images of a named data set, drawn, shrunk and standardised as a kernel takes them.

    images = image_split("cifar10", n_train=1000, n_test=200, size=16, folder="cifar")
    kernel = hilbertsd.ntk.gram("myrtle-5", images.train)                        # from (1000, 16, 16, 3) images
    path = hilbertsd.distill(kernel, images.targets, tolerance=0.05)             # targets (1000, 10)
    scores = path.predict(hilbertsd.ntk.gram("myrtle-5", images.test, images.train), 1)
    accuracy = np.mean(scores.argmax(axis=1) == images.test_labels)

Test images are standardised by the statistics of the training images.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.cifar import FOLDER_VARIABLE, load_cifar
from hilbertsd.data.images import (
    ImageData,
    Split,
    balanced,
    channel_statistics,
    load_digits_images,
    one_hot,
    shrunk,
    standardised,
)
from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_choice

DATASETS = ("digits", "cifar10", "cifar100")


@dataclass(frozen=True, eq=False)
class ImageLabels:
    """Labels of images to train and to test on, and where the images are in their data set.

    Attributes
    ----------
    name : name of the data, to be shown wherever numbers from it are.
    n_classes : number k of classes.
    train_labels, test_labels : (n,) and (m,) whole numbers from 0 to k − 1.
    train_rows, test_rows : (n,) and (m,) places of the images among the data set's training and test images.
    """

    name: str
    n_classes: int
    train_labels: NDArray[np.int64]
    test_labels: NDArray[np.int64]
    train_rows: NDArray[np.int64]
    test_rows: NDArray[np.int64]

    @property
    def targets(self) -> NDArray[np.float64]:
        """One-hot training labels (n, k) minus 1/k, so that the zero function means equally likely classes."""
        return one_hot(self.train_labels, self.n_classes, centred=True)


@dataclass(frozen=True, eq=False)
class ImageSplit(ImageLabels):
    """Images to train and to test on, standardised, with their labels.

    Attributes
    ----------
    train, test : (n, size, size, channels) and (m, size, size, channels) float64.
    name, n_classes, train_labels, test_labels, train_rows, test_rows : as in :class:`ImageLabels`.
    """

    train: NDArray[np.float64]
    test: NDArray[np.float64]


def default_dataset(folder: str | Path | None) -> str:
    """Data set to take where none is named: "cifar10" if a folder or HILBERTSD_DATA is given, "digits" otherwise."""
    return "cifar10" if folder is not None or os.environ.get(FOLDER_VARIABLE) else "digits"


def image_split(
    dataset: str,
    n_train: int,
    n_test: int,
    *,
    size: int | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    labels: Literal["fine", "coarse"] = "fine",
    download: bool = False,
) -> ImageSplit:
    """Draw balanced random images of a data set, and standardise them by the channels of all its training images.

    Parameters
    ----------
    dataset : "digits" (scikit-learn's), "cifar10" or "cifar100".
    n_train, n_test : numbers of images. The first images of a larger draw are those of a smaller one.
    size : height and width to shrink the images to, by :func:`hilbertsd.data.shrunk`; None leaves them as they are.
    seed : seed of the random draws.
    folder, labels, download : as in :func:`hilbertsd.data.load_cifar`.

    Raises
    ------
    InvalidInput
        The data set is unknown, there are fewer images than asked for, or the size does not divide theirs; or the
        digits are asked for with a folder, coarse labels or a download, which they do not have.
    InvalidFile
        Files of the data are missing or damaged.
    """
    check_choice(dataset, "dataset", DATASETS)
    if dataset == "digits" and (folder is not None or labels != "fine" or download):
        raise InvalidInput(
            f"the digits come with scikit-learn, and folder is {None if folder is None else str(folder)!r}, labels "
            f"{labels!r}, download {download}; leave these out, or give dataset cifar10 or cifar100"
        )

    def loaded(split: Split) -> ImageData:
        if dataset == "digits":
            return load_digits_images(split)
        return load_cifar(dataset, split, folder=folder, labels=labels, download=download)  # type: ignore[arg-type]

    train, test = loaded("train"), loaded("test")
    train_rows, test_rows = balanced(train.labels, n_train, seed), balanced(test.labels, n_test, seed)
    statistics = channel_statistics(train.images if size is None else shrunk(train.images, size))

    def prepared(data: ImageData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        images = data.images[rows]
        return standardised(images if size is None else shrunk(images, size), *statistics)

    return ImageSplit(
        train.name,
        len(train.class_names),
        train.labels[train_rows],
        test.labels[test_rows],
        train_rows,
        test_rows,
        prepared(train, train_rows),
        prepared(test, test_rows),
    )

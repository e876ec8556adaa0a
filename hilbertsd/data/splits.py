"""Training and test images of a named data set, as a kernel takes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.cifar import load_cifar
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
from hilbertsd.support.checks import check_choice

DATASETS = ("digits", "cifar10", "cifar100")


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """Images to train and to test on, standardised, with their labels.

    Attributes
    ----------
    name : what to call the data wherever numbers from it are shown.
    train, test : (n, size, size, channels) and (m, ...) float64.
    train_labels, test_labels : (n,), (m,), from 0 to n_classes − 1.
    n_classes : k.
    """

    name: str
    train: NDArray[np.float64]
    test: NDArray[np.float64]
    train_labels: NDArray[np.int64]
    test_labels: NDArray[np.int64]
    n_classes: int

    @property
    def targets(self) -> NDArray[np.float64]:
        """(n, k) one-hot training labels less 1/k, so that the zero function means equally likely classes."""
        return one_hot(self.train_labels, self.n_classes, centred=True)


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
    """Balanced random images of a data set, standardised by the channels of all its training images.

    Parameters
    ----------
    dataset : "digits" (scikit-learn's), "cifar10" or "cifar100".
    n_train, n_test : how many; the first images of a larger draw are those of a smaller one.
    size : height and width to shrink the images to by means over blocks; None leaves them.
    seed : of the draws.
    folder, labels, download : see :func:`hilbertsd.data.cifar.load_cifar`.

    Raises
    ------
    InvalidInput, InvalidFile
        Unknown data set, more images than there are, a size that does not divide theirs; missing or damaged files.
    """
    check_choice(dataset, "dataset", DATASETS)

    def loaded(split: Split) -> ImageData:
        if dataset == "digits":
            return load_digits_images(split)
        return load_cifar(dataset, split, folder=folder, labels=labels, download=download)  # type: ignore[arg-type]

    train, test = loaded("train"), loaded("test")
    places = {"train": balanced(train.labels, n_train, seed), "test": balanced(test.labels, n_test, seed)}
    statistics = channel_statistics(train.images if size is None else shrunk(train.images, size))

    def prepared(data: ImageData, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        images = data.images[chosen]
        return standardised(images if size is None else shrunk(images, size), *statistics)

    return ImageSplit(
        train.name,
        prepared(train, places["train"]),
        prepared(test, places["test"]),
        train.labels[places["train"]],
        test.labels[places["test"]],
        len(train.class_names),
    )

"""Labelled images, and how they are prepared for a kernel: subsets, block means, standardisation, one-hot labels.

    digits = load_digits_images("train")                   # images (1347, 8, 8, 1) uint8, labels (1347,)
    rows = balanced(digits.labels, 100, seed=0)            # ten of each class
    X = standardised(digits.images[rows])                  # mean 0 and standard deviation 1 in every channel
    Y = one_hot(digits.labels[rows], 10, centred=True)     # (100, 10), rows that sum to 0

Images are arrays (n, height, width, channels) throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_choice, check_whole

Split = Literal["train", "test"]

DIGITS_TRAIN = 1347
"""Number of training images among scikit-learn's 1,797 digits; the other 450 are test images."""

IMAGES_AT_ONCE = 1000
"""Number of images that are converted to float64 together; CIFAR's take 25 MB."""


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images with labels.

    Attributes
    ----------
    name : name of the data, to be shown wherever numbers from it are.
    images : (n, height, width, channels) uint8.
    labels : (n,) int64, positions in `class_names`.
    class_names : name of every class.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]


def load_digits_images(split: Split, seed: int = 0) -> ImageData:
    """Load scikit-learn's handwritten digits, shuffled and split into 1,347 training and 450 test images.

    Parameters
    ----------
    split : "train" or "test".
    seed : seed of the shuffle. Both splits of one seed together are all the digits.

    Returns
    -------
    Images (n, 8, 8, 1) with pixel values 0 to 16, class names "0" to "9".

    Raises
    ------
    InvalidInput
        The split is neither of the two.
    """
    check_choice(split, "split", ("train", "test"))
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.target))
    rows = order[:DIGITS_TRAIN] if split == "train" else order[DIGITS_TRAIN:]
    return ImageData(
        name="digits (scikit-learn)",
        images=digits.images[rows, :, :, None].astype(np.uint8),
        labels=digits.target[rows].astype(np.int64),
        class_names=tuple(str(name) for name in digits.target_names),
    )


def channel_statistics(images: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute mean and standard deviation of every channel over all pixels of all images.

    Parameters
    ----------
    images : (n, height, width, channels).

    Returns
    -------
    Mean (channels,) and standard deviation (channels,), float64.

    Raises
    ------
    InvalidInput
        The images have another number of dimensions, or there are none.
    """
    _check_images(images)
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64)
    squares = np.zeros_like(mean)
    # In parts, because 50,000 images of CIFAR in float64 take 1.2 GB.
    for start in range(0, len(images), IMAGES_AT_ONCE):
        squares += np.square(images[start : start + IMAGES_AT_ONCE] - mean).sum(axis=(0, 1, 2))
    return mean, np.sqrt(squares / (images.size // len(mean)))


def standardised(
    images: NDArray[Any],
    mean: NDArray[np.float64] | None = None,
    std: NDArray[np.float64] | None = None,
    dtype: DTypeLike = np.float64,
) -> NDArray[Any]:
    """Subtract from every channel its mean, and divide it by its standard deviation.

    Parameters
    ----------
    images : (n, height, width, channels).
    mean, std : (channels,) each, `channel_statistics` of the training images; both None for those of `images`.
    dtype : float64 or float32, dtype of the result. It is computed in float64 either way.

    Returns
    -------
    (n, height, width, channels).

    Raises
    ------
    InvalidInput
        The shapes do not fit, only one of mean and std is given, a channel is constant, or the dtype is no float.
    """
    _check_images(images)
    if not np.issubdtype(np.dtype(dtype), np.floating):
        raise InvalidInput(f"dtype is {np.dtype(dtype)}; give float64 or float32")
    if (mean is None) != (std is None):
        raise InvalidInput("only one of mean and std is given; give both of the training images, or neither")
    if mean is None or std is None:
        mean, std = channel_statistics(images)
    mean, std = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    channels = images.shape[-1]
    if mean.shape != (channels,) or std.shape != (channels,):
        raise InvalidInput(f"mean has shape {mean.shape} and std {std.shape}; the images need ({channels},)")
    if not np.all(std > 0):
        channel = int(np.argmin(std > 0))
        raise InvalidInput(f"channel {channel} has standard deviation {std[channel]:g}; leave that channel out")
    result = np.empty(images.shape, dtype=dtype)
    np.subtract(images, mean, out=result, casting="same_kind")
    return np.divide(result, std, out=result, casting="same_kind")


def shrunk(images: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Shrink images by taking means over equal blocks of pixels, for instance from 32 × 32 to 16 × 16 pixels.

    Parameters
    ----------
    images : (n, height, width, channels).
    size : height and width of the result, a divisor of the images' height and width.

    Returns
    -------
    (n, size, size, channels) float64.

    Raises
    ------
    InvalidInput
        The images have another number of dimensions, or the size does not divide their height and width.
    """
    _check_images(images)
    check_whole(size, "size", InvalidInput)
    n, height, width, channels = images.shape
    if height % size or width % size:
        raise InvalidInput(f"size {size} does not divide images of {height} × {width} pixels; give one that does")
    blocks = images.reshape(n, size, height // size, size, width // size, channels)
    return blocks.mean(axis=(2, 4), dtype=np.float64)


def one_hot(labels: NDArray[np.integer], n_classes: int, *, centred: bool = False) -> NDArray[np.float64]:
    """Encode labels as regression targets: 1 in the column of the class, 0 elsewhere.

    Parameters
    ----------
    labels : (n,) whole numbers from 0 to n_classes − 1.
    n_classes : number k of classes, and of columns.
    centred : whether to subtract 1/k, so that every row sums to zero. The zero function, where distillation ends,
        then means that all classes are equally likely. The targets' mean square, which a tolerance has to stay
        below, is 1 − 1/k instead of 1. The predicted class is the largest column either way.

    Returns
    -------
    (n, k) float64.

    Raises
    ------
    InvalidInput
        Labels are not whole numbers, or outside the classes.
    """
    check_whole(n_classes, "n_classes", InvalidInput)
    labels = _whole_labels(labels)
    outside = (labels < 0) | (labels >= n_classes)
    if outside.any():
        row = int(np.argmax(outside))
        raise InvalidInput(f"label {labels[row]} in row {row} is outside 0 to {n_classes - 1}; check n_classes")
    targets = np.zeros((len(labels), n_classes))
    targets[np.arange(len(labels)), labels] = 1.0
    return targets - 1 / n_classes if centred else targets


def balanced(labels: NDArray[np.integer], n: int, seed: int) -> NDArray[np.int64]:
    """Draw n samples without replacement, equally many of every class up to one.

    Parameters
    ----------
    labels : (n_samples,) whole numbers; the classes are those that occur.
    n : number of samples to draw.
    seed : seed of the random draw. A larger n draws the samples of a smaller one first.

    Returns
    -------
    (n,) positions. The first k of them are as balanced, for every k.

    Raises
    ------
    InvalidInput
        A class has fewer samples than its share.
    """
    check_whole(n, "n", InvalidInput)
    labels = _whole_labels(labels)
    classes, counts = np.unique(labels, return_counts=True)
    if n > len(labels):
        raise InvalidInput(f"n is {n} and there are {len(labels)} samples; give a smaller n")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(classes))
    shuffled = [rng.permutation(np.flatnonzero(labels == label)) for label in classes]
    least = int(counts.min())
    drawn = [shuffled[label][place] for place in range(least + 1) for label in order if place < counts[label]]
    if n > len(drawn):
        raise InvalidInput(
            f"{n} samples of {len(classes)} classes are {n / len(classes):g} of each, and class "
            f"{classes[np.argmin(counts)]} has {least}; give at most {len(drawn)}"
        )
    return np.array(drawn[:n], dtype=np.int64)


def _check_images(images: NDArray[Any]) -> None:
    """Raise InvalidInput unless the images are a (n, height, width, channels) array that is not empty."""
    if images.ndim != 4 or images.size == 0:
        raise InvalidInput(f"images have shape {images.shape}; give (n, height, width, channels) with none of them 0")


def _whole_labels(labels: Any) -> NDArray[np.integer]:
    """Labels as an array; InvalidInput unless they are one row of whole numbers."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InvalidInput(f"labels have shape {array.shape} and dtype {array.dtype}; give (n,) whole numbers")
    return array

"""Gaussian-like inputs with labels by a random network: data without views, the negative control of image studies.

    split = mixture_split(n_train=2000, n_test=500, seed=0)
    split.train, split.train_labels      # (2000, 40), (2000,)

Ensembles of networks are said to gain nothing on such data (Allen-Zhu & Li 2020, arXiv:2012.09816, Figure 4 of its
summary).
"""

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.splits import ImageSplit
from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_whole

COMPONENTS, DIMENSIONS, CLASSES, WIDTH = 20, 40, 10, 200
"""Gaussians of the mixture, dimensions of an input, classes, and width of the network that sets the labels."""

SPREAD = 0.5
"""Standard deviation of the coordinates of the Gaussians' centres; that of an input about its centre is 1."""

DRAWN_TO_BALANCE = 20_000
"""Inputs over which the network's outputs are standardised, so that classes are about equally frequent."""


def mixture_split(n_train: int, n_test: int, seed: int = 0) -> ImageSplit:
    """Draw a mixture of Gaussians, and label it by a random network of two hidden layers.

    Parameters
    ----------
    n_train, n_test : numbers of inputs.
    seed : seed of centres, network and inputs.

    Returns
    -------
    Inputs (n, 40) and (m, 40), standardised by the mixture's own mean and standard deviation, of 10 classes; rows count
    the inputs as they are drawn.

    Raises
    ------
    InvalidInput
        A number is no whole number from 1 on.
    """
    check_whole(n_train, "n_train", InvalidInput)
    check_whole(n_test, "n_test", InvalidInput)
    rng = np.random.default_rng(seed)
    centres = SPREAD * rng.standard_normal((COMPONENTS, DIMENSIONS))
    shapes = [(DIMENSIONS, WIDTH), (WIDTH, WIDTH), (WIDTH, CLASSES)]
    weights = [rng.standard_normal(shape) * np.sqrt(2 / shape[0]) for shape in shapes]

    def drawn(n: int) -> NDArray[np.float64]:
        return centres[rng.integers(COMPONENTS, size=n)] + rng.standard_normal((n, DIMENSIONS))

    def outputs(X: NDArray[np.float64]) -> NDArray[np.float64]:
        for matrix in weights[:-1]:
            X = np.maximum(X @ matrix, 0)
        return X @ weights[-1]

    many = drawn(DRAWN_TO_BALANCE)
    scores = outputs(many)
    centre, spread, mean, deviation = scores.mean(axis=0), scores.std(axis=0), many.mean(axis=0), many.std(axis=0)
    train, test = drawn(n_train), drawn(n_test)
    labels, test_labels = (((outputs(X) - centre) / spread).argmax(axis=1) for X in (train, test))
    return ImageSplit(
        "Gaussian mixture, labels by a random network",
        CLASSES,
        labels,
        test_labels,
        np.arange(n_train),
        np.arange(n_test),
        (train - mean) / deviation,
        (test - mean) / deviation,
    )

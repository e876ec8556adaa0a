"""Random networks that label random inputs: what the mixture and the Gaussian data have in common.

    network = random_network(1, rng)                     # (n, 40) inputs to (n, 10) scores
    split = labelled_split("name", network, many, train, test)
    split.train_labels                                   # of the largest standardised score

Whoever draws decides in which order, on which the data of a seed depend.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.splits import ImageSplit
from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_whole

DIMENSIONS, CLASSES, WIDTH = 40, 10, 200
"""Dimensions of an input, classes, and width of the hidden layers of a network that sets labels."""

DRAWN_TO_BALANCE = 20_000
"""Inputs over which a network's scores are standardised, so that classes are about equally frequent."""

Scores: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Function of (n, 40) inputs that gives (n, 10) scores."""


def check_draw(n_train: Any, n_test: Any, seed: Any) -> None:
    """Raise InvalidInput unless the numbers of inputs are whole from 1 on, and the seed from 0 on."""
    check_whole(n_train, "n_train", InvalidInput)
    check_whole(n_test, "n_test", InvalidInput)
    check_whole(seed, "seed", InvalidInput, 0)


def random_network(n_hidden: int, rng: np.random.Generator) -> Scores:
    """Network of so many hidden ReLU layers with random weights and no biases; of none it is a linear function."""
    widths = [DIMENSIONS, *[WIDTH] * n_hidden, CLASSES]
    weights = [rng.standard_normal(shape) * np.sqrt(2 / shape[0]) for shape in pairwise(widths)]

    def scores(X: NDArray[np.float64]) -> NDArray[np.float64]:
        for matrix in weights[:-1]:
            X = np.maximum(X @ matrix, 0)
        return X @ weights[-1]

    return scores


def labelled_split(
    name: str,
    network: Scores,
    many: NDArray[np.float64],
    train: NDArray[np.float64],
    test: NDArray[np.float64],
) -> ImageSplit:
    """Inputs with the class of the largest score, where each score is standardised.

    Parameters
    ----------
    name : of the data.
    network : function that gives the scores.
    many : (N, 40) inputs whose scores have mean 0 and deviation 1 once they are standardised.
    train, test : (n, 40) and (m, 40) inputs; the split has them as they are.
    """
    scores = network(many)
    centre, spread = scores.mean(axis=0), scores.std(axis=0)
    labels, test_labels = (((network(X) - centre) / spread).argmax(axis=1) for X in (train, test))
    rows, test_rows = np.arange(len(train)), np.arange(len(test))
    return ImageSplit(name, CLASSES, labels, test_labels, rows, test_rows, train, test)

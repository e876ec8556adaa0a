"""Gaussian-like inputs with labels by a random network: data without views, the negative control of image studies.

    split = mixture_split(n_train=2000, n_test=500, seed=0)
    split.train, split.train_labels      # (2000, 40), (2000,)

Ensembles of networks are said to gain nothing on such data (Allen-Zhu & Li 2020, arXiv:2012.09816, Figure 4 of its
summary). :func:`hilbertsd.data.gaussian_split` has one Gaussian instead.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.splits import ImageSplit
from hilbertsd.data.teachers import DIMENSIONS, DRAWN_TO_BALANCE, check_draw, labelled_split, random_network

COMPONENTS = 20
"""Gaussians of the mixture."""

SPREAD = 0.5
"""Standard deviation of the coordinates of the Gaussians' centres; that of an input about its centre is 1."""


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
        A number of inputs is no whole number from 1 on, or the seed none from 0 on.
    """
    check_draw(n_train, n_test, seed)
    rng = np.random.default_rng(seed)
    centres = SPREAD * rng.standard_normal((COMPONENTS, DIMENSIONS))
    network = random_network(2, rng)

    def drawn(n: int) -> NDArray[np.float64]:
        return centres[rng.integers(COMPONENTS, size=n)] + rng.standard_normal((n, DIMENSIONS))

    many, train, test = drawn(DRAWN_TO_BALANCE), drawn(n_train), drawn(n_test)
    split = labelled_split("Gaussian mixture, labels by a random network", network, many, train, test)
    mean, deviation = many.mean(axis=0), many.std(axis=0)
    return replace(split, train=(train - mean) / deviation, test=(test - mean) / deviation)

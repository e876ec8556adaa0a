"""Gaussian inputs with labels by a random teacher: data without any structure of its own, a negative control.

    split = gaussian_split("two-layer", n_train=2000, n_test=500, seed=0)
    split.train, split.train_labels      # (2000, 40), (2000,)

Ensembles of networks are said to gain nothing on such data (Allen-Zhu & Li 2020, arXiv:2012.09816).
:func:`hilbertsd.data.mixture_split` has many Gaussians and a deeper teacher.
"""

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.splits import ImageSplit
from hilbertsd.data.teachers import DIMENSIONS, DRAWN_TO_BALANCE, check_draw, labelled_split, random_network
from hilbertsd.support.checks import check_choice

HIDDEN = {"linear": 0, "two-layer": 1}
"""Hidden ReLU layers of a teacher, by its name."""

STREAM = 2012_09816
"""Second number of the seed. A trained network of a seed and a round draws its parameters from these two numbers, and
of round 0 from the seed alone: it would start at the first layer of a teacher of the same seed and width."""


def gaussian_split(teacher: str, n_train: int, n_test: int, seed: int = 0) -> ImageSplit:
    """Draw standard normal inputs, and label them by a random teacher.

    Parameters
    ----------
    teacher : "linear", or "two-layer": a network with one hidden ReLU layer of 200 units.
    n_train, n_test : numbers of inputs.
    seed : seed of teacher and inputs.

    Returns
    -------
    Inputs (n, 40) and (m, 40) of 10 classes, which are about equally frequent; rows count the inputs as they are drawn.

    Raises
    ------
    InvalidInput
        The teacher is unknown, a number of inputs is no whole number from 1 on, or the seed none from 0 on.
    """
    check_choice(teacher, "teacher", HIDDEN)
    check_draw(n_train, n_test, seed)
    rng = np.random.default_rng([seed, STREAM])
    network = random_network(HIDDEN[teacher], rng)

    def drawn(n: int) -> NDArray[np.float64]:
        return rng.standard_normal((n, DIMENSIONS))

    many, train, test = drawn(DRAWN_TO_BALANCE), drawn(n_train), drawn(n_test)
    return labelled_split(f"Gaussian inputs, labels by a {teacher} teacher", network, many, train, test)

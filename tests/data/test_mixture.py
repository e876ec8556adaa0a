"""Gaussian mixture with labels by a random network."""

import numpy as np
import pytest

from hilbertsd.data import mixture_split
from hilbertsd.errors import InvalidInput


def test_inputs_are_standardised_and_labels_a_function_of_them():
    split = mixture_split(4000, 1000, seed=3)
    assert split.train.shape == (4000, 40)
    assert split.test.shape == (1000, 40)
    np.testing.assert_allclose(split.train.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(split.train.std(axis=0), 1, atol=0.1)
    counts = np.bincount(split.train_labels, minlength=10)
    assert counts.min() > 100
    again, more = mixture_split(4000, 1000, seed=3), mixture_split(4000, 1000, seed=4)
    np.testing.assert_array_equal(split.train, again.train)
    np.testing.assert_array_equal(split.test_labels, again.test_labels)
    assert np.abs(split.train - more.train).max() > 1
    # A function of the input, not noise: near neighbours agree more often than strangers do.
    distances = ((split.test[:300, None] - split.train[None]) ** 2).sum(axis=2)
    nearest = split.train_labels[distances.argmin(axis=1)]
    assert np.mean(nearest == split.test_labels[:300]) > 0.2


def test_no_inputs_are_refused():
    with pytest.raises(InvalidInput, match="n_train is 0"):
        mixture_split(0, 5)

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


def test_a_seed_is_the_data_that_committed_results_are_of():
    split = mixture_split(12, 8, seed=3)
    assert split.train_labels.tolist() == [7, 2, 0, 4, 3, 6, 0, 3, 5, 6, 6, 0]
    assert split.test_labels.tolist() == [3, 3, 6, 2, 2, 3, 7, 0]
    np.testing.assert_allclose(split.train[0, :2], [-0.17608461074265, 0.84098889634402], rtol=1e-12)
    np.testing.assert_allclose(split.test[-1, -2:], [-0.75357446241615, -1.01140475486219], rtol=1e-12)


def test_no_inputs_and_no_seed_are_refused():
    with pytest.raises(InvalidInput, match="n_train is 0"):
        mixture_split(0, 5)
    with pytest.raises(InvalidInput, match="seed is -1"):
        mixture_split(5, 5, seed=-1)

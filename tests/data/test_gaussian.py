"""Gaussian inputs with labels by a random teacher."""

import numpy as np
import pytest

from hilbertsd.data import gaussian_split
from hilbertsd.data.teachers import random_network
from hilbertsd.errors import InvalidInput


@pytest.mark.parametrize("teacher", ["linear", "two-layer"])
def test_inputs_are_standard_normal_and_classes_about_equally_frequent(teacher):
    split = gaussian_split(teacher, 4000, 1000, seed=3)
    assert (split.train.shape, split.test.shape) == ((4000, 40), (1000, 40))
    np.testing.assert_allclose(split.train.mean(axis=0), 0, atol=5 / np.sqrt(4000))
    np.testing.assert_allclose(np.cov(split.train.T), np.eye(40), atol=0.15)
    for labels in (split.train_labels, split.test_labels):
        shares = np.bincount(labels, minlength=10) / len(labels)
        assert shares.shape == (10,)
        assert 0.05 < shares.min() < shares.max() < 0.15
    again, more = gaussian_split(teacher, 4000, 1000, seed=3), gaussian_split(teacher, 4000, 1000, seed=4)
    for name in ("train", "test", "train_labels", "test_labels"):
        np.testing.assert_array_equal(getattr(split, name), getattr(again, name))
    assert np.abs(split.train - more.train).max() > 1
    assert np.mean(split.train_labels == more.train_labels) < 0.2


def test_linear_scores_explain_the_linear_teacher_alone():
    explained = {}
    for teacher in ("linear", "two-layer"):
        split = gaussian_split(teacher, 20_000, 2000, seed=1)
        scores = split.test @ np.linalg.lstsq(split.train, split.targets, rcond=None)[0]
        explained[teacher] = np.mean(scores.argmax(axis=1) == split.test_labels)
    assert explained["linear"] > 0.9
    assert 0.3 < explained["two-layer"] < 0.8


def test_no_network_of_the_seed_starts_at_the_teacher():
    split = gaussian_split("two-layer", 2000, 1, seed=3)
    scores = random_network(1, np.random.default_rng(3))(split.train)
    standardised = (scores - scores.mean(axis=0)) / scores.std(axis=0)
    assert np.mean(standardised.argmax(axis=1) == split.train_labels) < 0.2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("deep", 5, 5), "teacher is 'deep'; give one of linear, two-layer"),
        (("linear", 0, 5), "n_train is 0"),
        (("linear", 5, 2.5), "n_test is 2.5"),
        (("linear", 5, 5, -1), "seed is -1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(given, message):
    with pytest.raises(InvalidInput, match=message):
        gaussian_split(*given)

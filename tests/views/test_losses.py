"""Losses with a teacher, by their formulas."""

import numpy as np
import pytest
from jax import grad
from scipy.special import log_softmax, softmax

from hilbertsd.errors import InvalidInput
from hilbertsd.views import LOSSES, ViewLoss

RNG = np.random.default_rng(0)
OUTPUTS, TEACHER = RNG.uniform(0, 3, size=(2, 6, 4)).astype(np.float32)
LABELS = np.eye(4, dtype=np.float32)[RNG.integers(4, size=6)]


def test_plain_cross_entropy_needs_no_teacher():
    expected = -(LABELS * log_softmax(OUTPUTS, axis=1)).sum()
    np.testing.assert_allclose(ViewLoss()(OUTPUTS, LABELS, None), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "soften", "slope"),
    [
        (ViewLoss("temperature", 2.0, weight=1.5), lambda F: F / 2, 1 / 2),
        (ViewLoss("truncated", 0.7, weight=0.5), lambda F: np.minimum(0.49 * F, 1) / 0.7, 0.7),
        (ViewLoss("capped", 0.3, cap=0.8, weight=3.0), lambda F: np.minimum(F, 0.8) / 0.3, 1 / 0.3),
    ],
)
def test_a_loss_is_what_it_says(loss, soften, slope):
    plain = -(LABELS * log_softmax(OUTPUTS, axis=1)).sum()
    soft = -(softmax(soften(TEACHER), axis=1) * log_softmax(soften(OUTPUTS), axis=1)).sum()
    np.testing.assert_allclose(loss(OUTPUTS, LABELS, TEACHER), plain + loss.weight / slope * soft, rtol=1e-5)
    np.testing.assert_allclose(loss.softened(OUTPUTS), soften(OUTPUTS), rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES[1:])
def test_the_teacher_pulls_with_its_weight_whatever_the_temperature(name):
    for temperature in (0.3, 1.0, 2.0):
        loss, small = ViewLoss(name, temperature, cap=5.0, weight=3.0), 0.01 * OUTPUTS
        pull = grad(loss)(small, LABELS, TEACHER) - grad(ViewLoss())(small, LABELS, None)
        difference = softmax(loss.softened(small), axis=1) - softmax(loss.softened(TEACHER), axis=1)
        np.testing.assert_allclose(pull, 3.0 * difference, rtol=1e-4, atol=1e-5)


def test_the_papers_truncation_is_a_cap():
    truncated, capped = ViewLoss("truncated", 0.8), ViewLoss("capped", 1 / 0.8, cap=1 / 0.64)
    np.testing.assert_allclose(truncated(OUTPUTS, LABELS, TEACHER), capped(OUTPUTS, LABELS, TEACHER), rtol=1e-5)


def test_unknown_losses_and_bad_numbers_are_refused():
    with pytest.raises(InvalidInput, match="name is 'hinton'"):
        ViewLoss("hinton")
    for name in ("temperature", "cap", "weight"):
        with pytest.raises(InvalidInput, match=f"{name} is 0"):
            ViewLoss("capped", **{name: 0.0})

"""Losses and targets of trained networks, against their definitions."""

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `networks`")
pytest.importorskip("flax", reason="needs the extra `networks`")

from hilbertsd.errors import InvalidInput
from hilbertsd.networks import Loss

RNG = np.random.default_rng(0)
OUTPUTS = RNG.normal(size=(6, 4)).astype(np.float32)
TARGETS = RNG.dirichlet(np.ones(4), size=6).astype(np.float32)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_every_loss_is_its_definition():
    expected = {
        "softmax-squared-error": ((softmax(OUTPUTS) - TARGETS) ** 2).sum(
            axis=1
        ),  # not a sum of norms, nor a mean over k
        "squared-error": ((OUTPUTS - TARGETS) ** 2).sum(axis=1),
        "cross-entropy": -(TARGETS * np.log(softmax(OUTPUTS))).sum(axis=1),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(Loss(name).of(OUTPUTS, TARGETS), values, rtol=1e-5)


def test_temperature_comes_with_its_square_and_from_round_1_on():
    loss = Loss("cross-entropy", temperature=4.0)
    by_hand = -16 * (TARGETS * np.log(softmax(OUTPUTS / 4))).sum(axis=1)
    np.testing.assert_allclose(loss.of(OUTPUTS, TARGETS, round=1), by_hand, rtol=1e-5)
    np.testing.assert_allclose(
        loss.of(OUTPUTS, TARGETS, round=0), Loss("cross-entropy").of(OUTPUTS, TARGETS), rtol=1e-6
    )
    np.testing.assert_allclose(loss.next_targets(OUTPUTS), softmax(OUTPUTS / 4), rtol=1e-5)
    # At a high temperature the gradient is that of the outputs' squared difference, whatever the temperature is.
    teacher, hot = RNG.normal(size=4), Loss("cross-entropy", temperature=1e3)
    gradient = jax.grad(lambda z: hot.of(z, hot.next_targets(teacher), 1))(OUTPUTS[0])
    difference = OUTPUTS[0] - teacher
    np.testing.assert_allclose(gradient, (difference - difference.mean()) / 4, rtol=0.02, atol=2e-3)


def test_targets_of_the_first_and_of_later_rounds():
    labels = np.array([2, 0])
    np.testing.assert_array_equal(Loss().labels_as_targets(labels, 3), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(Loss("squared-error").labels_as_targets(labels, 4).sum(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(Loss().next_targets(OUTPUTS), softmax(OUTPUTS), rtol=1e-5)
    np.testing.assert_array_equal(Loss("squared-error").next_targets(OUTPUTS), OUTPUTS)
    hard = np.asarray(Loss("cross-entropy", "hard").next_targets(OUTPUTS))
    np.testing.assert_array_equal(hard, np.eye(4)[OUTPUTS.argmax(axis=1)])
    np.testing.assert_allclose(Loss("squared-error", "hard").next_targets(OUTPUTS), hard - 0.25, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "hinge"}, "loss is 'hinge'; give one of softmax-squared-error"),
        ({"targets": "smooth"}, "targets is 'smooth'; give one of soft, hard"),
        ({"name": "cross-entropy", "temperature": 0}, "temperature is 0"),
        ({"temperature": 2}, "temperature is 2 with loss 'softmax-squared-error'"),
        (
            {"name": "cross-entropy", "targets": "hard", "temperature": 2},
            "2 with loss 'cross-entropy' and hard targets",
        ),
    ],
)
def test_what_is_no_loss_is_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        Loss(**options)

"""The five uses against plain solves, and what they must agree on."""

import numpy as np
import pytest

from hilbertsd import distill
from hilbertsd.errors import InvalidCrossKernel, InvalidInput, NotPositiveSemidefinite
from hilbertsd.ntk.ensembles import USES, Member, ensemble_accuracies, five_uses


@pytest.fixture
def problem(rng):
    """L = 3 kernels of random features: train (20, 20), cross (7, 20), targets (20, 4), test labels (7,)."""
    features = rng.normal(size=(3, 27, 40))
    train = [f[:20] @ f[:20].T for f in features]
    cross = [f[20:] @ f[:20].T for f in features]
    return train, cross, np.eye(4)[rng.integers(4, size=20)] - 0.25, rng.integers(4, size=7)


def uses_of(train, cross, targets, multiple):
    members = [Member.from_grams(*pair) for pair in zip(train, cross, strict=True)]
    return five_uses(members, Member.from_grams(sum(train) / len(train), sum(cross) / len(cross)), targets, multiple)


def solved(train, cross, targets, multiple):
    ridge = multiple * np.trace(train) / len(train)
    dual = np.linalg.solve(train + ridge * np.eye(len(train)), targets)
    return train @ dual, cross @ dual


@pytest.mark.parametrize("multiple", [1e-3, 0.1, 5.0])
def test_every_use_is_what_plain_solves_give(problem, multiple):
    train, cross, targets, _ = problem
    single = [solved(*pair, targets, multiple) for pair in zip(train, cross, strict=True)]
    ensemble = np.mean([fit[0] for fit in single], axis=0), np.mean([fit[1] for fit in single], axis=0)
    expected = {
        "single": single,
        "ensemble": [ensemble],
        "train the average": [solved(sum(train), sum(cross), targets, multiple)],
        "knowledge distillation": [solved(*pair, ensemble[0], multiple) for pair in zip(train, cross, strict=True)],
        "self-distillation": [solved(train[i], cross[i], single[(i + 1) % 3][0], multiple) for i in range(3)],
    }
    uses = uses_of(train, cross, targets, multiple)
    assert tuple(uses) == USES
    for use, fits in expected.items():
        np.testing.assert_allclose(uses[use].train, [fit[0] for fit in fits], atol=1e-10)
        np.testing.assert_allclose(uses[use].test, [fit[1] for fit in fits], atol=1e-10)


def test_accuracies_count_what_the_outputs_say(problem):
    train, cross, targets, labels = problem
    grid = [1e-3, 0.1, 5.0]
    result = ensemble_accuracies(train, cross, targets, labels, grid)
    for r, multiple in enumerate(grid):
        for use, outputs in uses_of(train, cross, targets, multiple).items():
            assert result.test[use].shape == (3, len(outputs.test))
            for i in range(len(outputs.test)):
                assert result.test[use][r, i] == np.mean(outputs.test[i].argmax(axis=1) == labels)
                agree = outputs.train[i].argmax(axis=1) == targets.argmax(axis=1)
                assert result.train[use][r, i] == np.mean(agree)
    assert result.test_correct["ensemble"].shape == (3, 1, 7)


def test_without_regularisation_distilling_changes_nothing(problem):
    train, cross, targets, _ = problem
    uses = uses_of(train, cross, targets, 1e-10)
    for use in USES:
        np.testing.assert_allclose(uses[use].train, np.broadcast_to(targets, uses[use].train.shape), atol=1e-7)
    for use in ("knowledge distillation", "self-distillation"):
        np.testing.assert_allclose(uses[use].test, uses["single"].test, atol=1e-7)


def test_with_one_model_all_but_distilling_are_the_same(problem):
    train, cross, targets, _ = problem
    uses = uses_of(train[:1], cross[:1], targets, 0.3)
    for use in ("ensemble", "train the average"):
        np.testing.assert_allclose(uses[use].test, uses["single"].test, atol=1e-12)
    np.testing.assert_array_equal(uses["knowledge distillation"].test, uses["self-distillation"].test)


def test_one_model_into_itself_is_a_round_of_distillation(problem):
    train, cross, targets, _ = problem
    uses = uses_of(train[:1], cross[:1], targets, 0.3)
    path = distill(train[0], targets, multiplier=0.3 * np.trace(train[0]) / 20**2, max_rounds=2)
    for use, t in (("single", 0), ("self-distillation", 1)):
        np.testing.assert_allclose(uses[use].train[0], path.train_predictions(t), atol=1e-12)
        np.testing.assert_allclose(uses[use].test[0], path.predict(cross[0], t), atol=1e-12)


def test_bad_input_is_refused(problem):
    train, cross, targets, labels = problem
    with pytest.raises(InvalidInput, match=r"multiple is 0\.0"):
        ensemble_accuracies(train, cross, targets, labels, [0.1, 0])
    with pytest.raises(InvalidInput, match=r"3 train grams .* and 2 cross grams"):
        ensemble_accuracies(train, cross[:2], targets, labels, [0.1])
    with pytest.raises(InvalidInput, match="6 test labels"):
        ensemble_accuracies(train, cross, targets, labels[:6], [0.1])
    with pytest.raises(InvalidInput, match="0 train grams"):
        ensemble_accuracies([], [], targets, labels, [0.1])
    with pytest.raises(NotPositiveSemidefinite):
        ensemble_accuracies([-each for each in train], cross, targets, labels, [0.1])
    with pytest.raises(InvalidCrossKernel, match="not finite"):
        ensemble_accuracies(train, [each * np.nan for each in cross], targets, labels, [0.1])

"""Which targets change which of 4,000 decisions of a kernel fit on random data; invariances also spoilt on purpose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import distill
from hilbertsd.errors import InvalidInput, InvalidTargets
from hilbertsd.targets import (
    PartialTargets,
    class_relations,
    class_similarities,
    kd,
    kd_pt,
    kd_rel,
    keeps_decisions,
    label_smoothing,
    vote_weights,
    winners_within,
)

N, M, K = 300, 4000, 10
RNG = np.random.default_rng(7)
INPUTS = RNG.normal(size=(N + M, 4))
KERNEL = rbf_kernel(INPUTS, INPUTS[:N], gamma=0.3)
WEIGHTS = np.linalg.solve(KERNEL[:N] + 0.1 * np.eye(N), KERNEL[N:].T).T  # (M, N) w(x) of 4,000 points
LABELS = np.argmax(INPUTS[:N] @ RNG.normal(size=(4, K)) + 0.8 * RNG.normal(size=(N, K)), axis=1)
ONE_HOT = np.eye(K)[LABELS]
P = softmax(1.5 * RNG.normal(size=(N, K)) + 2 * ONE_HOT, axis=1)
CONFIDENCE = P[np.arange(N), LABELS]
HIERARCHY = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
CENTRAL = np.argmax(np.abs(WEIGHTS).sum(axis=0))
EYE, ONES = np.eye(K), np.ones((K, K))
spoilt = pytest.mark.parametrize("spoilt", [False, True], ids=["as it is", "one entry spoilt"])


def decisions(targets):
    return np.argmax(WEIGHTS @ targets, axis=1)


def changed(first, second):
    """Decisions out of 4,000 that differ."""
    return int(np.sum(decisions(first) != decisions(second)))


def with_one_changed(array, spoilt):
    """The array, or a copy in which the sample of most influence has another value for one class."""
    array = np.array(array)
    if spoilt:
        array[CENTRAL, (LABELS[CENTRAL] + 1) % K] += 0.5
    return array


def constant_confidence(p):
    """KD-pt of a teacher that gives p to every label."""
    return kd_pt(p * ONE_HOT + (1 - p) / (K - 1) * (1 - ONE_HOT), LABELS)


def mixed(targets, alpha):
    return (1 - alpha) * ONE_HOT + alpha * targets


@spoilt
@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.99])
def test_label_smoothing_changes_no_decision(alpha, spoilt):
    n = changed(ONE_HOT, with_one_changed(label_smoothing(LABELS, K, alpha), spoilt))
    assert n > 0 if spoilt else n == 0


def test_a_relative_tolerance_sees_no_factor_of_centred_targets_and_a_tolerance_does():
    """So that every round of a path keeps its multiplier and decisions under label smoothing."""
    labels, smoothed = (T - T.mean(axis=0) for T in (ONE_HOT, label_smoothing(LABELS, K, 0.5)))
    first, second = (distill(KERNEL[:N], T, relative_tolerance=0.1, max_rounds=3) for T in (labels, smoothed))
    np.testing.assert_allclose(second.multipliers, first.multipliers, rtol=1e-9)
    for t in range(3):
        outputs = [path.predict(KERNEL[N:], t) for path in (first, second)]
        assert np.sum(np.argmax(outputs[0], axis=1) != np.argmax(outputs[1], axis=1)) == 0
    assert (
        distill(KERNEL[:N], smoothed, tolerance=first.tolerance, max_rounds=1).multipliers[0] > 2 * first.multipliers[0]
    )


@spoilt
@pytest.mark.parametrize(("p", "alpha"), [(0.9, 1.0), (0.11, 1.0), (0.1, 0.99), (0.02, 0.9), (0.0, 0.89)])
def test_a_constant_confidence_changes_no_decision_while_its_vote_is_positive(p, alpha, spoilt):
    assert vote_weights(p, K, alpha) > 0
    n = changed(ONE_HOT, with_one_changed(mixed(constant_confidence(p), alpha), spoilt))
    assert n > 0 if spoilt else n == 0


@pytest.mark.parametrize(("p", "alpha"), [(0.0, 0.91), (0.02, 0.95), (0.05, 1.0)])
def test_alpha_below_1_is_not_enough_for_a_teacher_that_gives_labels_less_than_chance(p, alpha):
    """The vote is negative: decisions are those for the smallest output of all."""
    assert vote_weights(p, K, alpha) < 0
    reversed_decisions = decisions(mixed(constant_confidence(p), alpha))
    np.testing.assert_array_equal(reversed_decisions, np.argmin(WEIGHTS @ ONE_HOT, axis=1))
    assert changed(ONE_HOT, mixed(constant_confidence(p), alpha)) == M


@spoilt
@pytest.mark.parametrize("alpha", [0.3, 0.9, 1.0])
def test_kd_pt_decides_as_a_weighted_vote(alpha, spoilt):
    vote = vote_weights(CONFIDENCE, K, alpha)
    if spoilt:
        vote[CENTRAL] *= -1
    targets = mixed(kd_pt(P, LABELS), alpha)
    n = changed(targets, vote[:, None] * ONE_HOT)
    assert n > 0 if spoilt else n == 0
    assert changed(targets, ONE_HOT) > 0  # unlike a constant confidence


def test_a_vote_is_negative_below_chance():
    np.testing.assert_array_equal(vote_weights(CONFIDENCE, K) < 0, CONFIDENCE < 1 / K)
    assert 0 < np.sum(CONFIDENCE < 1 / K) < N
    np.testing.assert_array_equal(vote_weights(CONFIDENCE, K, 0.0), 1)
    for alpha in (0.5, 0.95, 1.0):
        np.testing.assert_array_equal(vote_weights(CONFIDENCE, K, alpha) < 0, alpha * K * (1 - CONFIDENCE) > K - 1)
    assert vote_weights(1.0, K, 0.3) == 1
    with jax.enable_x64(True):
        vote = vote_weights(jnp.asarray(CONFIDENCE), K, 0.5)
        np.testing.assert_allclose(vote, vote_weights(CONFIDENCE, K, 0.5), rtol=1e-15)


@spoilt
def test_targets_of_the_class_keep_decisions_when_rows_are_shifted(spoilt):
    """M = aI + u1ᵀ. Spoilt by one entry of M, so that the targets of one class prefer one other."""
    matrix = 0.3 * EYE + RNG.normal(size=K)[:, None] * ONES
    if spoilt:
        matrix[2, 5] += 0.1
    n = changed(ONE_HOT, ONE_HOT @ matrix)
    assert n > 0 if spoilt else n == 0
    assert keeps_decisions(matrix) is not spoilt


def test_the_transpose_changes_decisions_unless_outputs_sum_to_zero():
    """M = aI + 1uᵀ adds u to outputs of sum 1, nothing to those of sum 0."""
    matrix = 0.3 * EYE + 0.05 * RNG.normal(size=K) * ONES
    assert changed(ONE_HOT, ONE_HOT @ matrix) > 0
    assert not keeps_decisions(matrix)
    assert keeps_decisions(matrix, zero_sum=True)
    centred = ONE_HOT - 1 / K
    assert changed(centred, centred @ matrix) == 0
    both = matrix + RNG.normal(size=K)[:, None] * ONES
    assert keeps_decisions(both, zero_sum=True)
    assert changed(centred, centred @ both) == 0
    both[1, 2] += 0.1
    assert not keeps_decisions(both, zero_sum=True)
    assert changed(centred, centred @ both) > 0


def test_a_not_positive_keeps_nothing():
    for a in (0.0, -0.5):
        matrix = a * EYE + RNG.normal(size=K)[:, None] * ONES
        assert not keeps_decisions(matrix)
    assert changed(ONE_HOT, ONE_HOT @ (-0.5 * EYE)) == M


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_every_matrix_that_is_said_to_change_decisions_has_a_point_where_it_does(n_classes):
    """Necessity, by search among 4,000 outputs."""
    for _ in range(20):
        matrix = RNG.normal(size=(n_classes, n_classes))
        assert not keeps_decisions(matrix)
        scores = RNG.normal(size=(4000, n_classes))
        assert np.any(np.argmax(scores, axis=1) != np.argmax(scores @ matrix, axis=1))
        kept = abs(matrix[0, 0]) * np.eye(n_classes) + matrix[:, :1]
        assert keeps_decisions(kept)
        np.testing.assert_array_equal(np.argmax(scores, axis=1), np.argmax(scores @ kept, axis=1))


def test_of_probabilities_only_label_smoothing_keeps_decisions():
    smoothed = label_smoothing(np.arange(K), K, 0.3)
    assert keeps_decisions(smoothed)
    assert keeps_decisions(smoothed.astype(np.float32))
    assert not keeps_decisions(smoothed.astype(np.float32).astype(np.float64) + 1e-9 * np.eye(K)[::-1])
    assert not keeps_decisions(label_smoothing(np.arange(K), K, 1.0))
    unequal = np.full((K, K), 0.05) + np.diag(np.r_[np.full(K - 1, 0.5), 0.4])
    assert not keeps_decisions(unequal / unequal.sum(axis=1, keepdims=True))
    similarities = class_similarities(RNG.normal(size=(K, 6)), temperature=0.5)
    assert not keeps_decisions(similarities)
    assert changed(ONE_HOT, similarities[LABELS]) > 0
    assert keeps_decisions(class_similarities(EYE, temperature=0.5))  # unrelated classes are smoothed labels
    assert not keeps_decisions(class_relations(HIERARCHY, (5, 2, 1)))
    assert keeps_decisions(class_relations(np.zeros(K, dtype=int), (5, 2, 1)))
    assert keeps_decisions(class_relations(np.arange(K), (5, 2, 1)))


@spoilt
@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("constants", [(5, 2, 1), (1.0, 0.9, 0.0), (2, 1, 3)])
def test_kd_rel_changes_superclasses_but_no_winner_within_one(constants, alpha, spoilt):
    targets = with_one_changed(
        PartialTargets("kd-rel", alpha, constants=constants)(LABELS, superclasses=HIERARCHY), spoilt
    )
    before, after = (winners_within(WEIGHTS @ T, HIERARCHY) for T in (ONE_HOT, targets))
    assert before.shape == (M, 4)
    n = int(np.sum(np.any(before != after, axis=1)))
    assert n > 0 if spoilt else n == 0
    superclass = [HIERARCHY[decisions(T)] for T in (ONE_HOT, targets)]
    assert np.sum(superclass[0] != superclass[1]) > 0


def test_kd_rel_reverses_winners_where_siblings_count_more_than_the_class():
    before, after = (winners_within(WEIGHTS @ T, HIERARCHY) for T in (ONE_HOT, kd_rel(LABELS, HIERARCHY, (1, 2, 0))))
    assert np.all(before[:, :3] != after[:, :3])


def test_winners_within_are_largest_outputs():
    outputs = np.array([[1.0, 3, 2, 9, 8], [5, 4, 0, 1, 2]])
    np.testing.assert_array_equal(winners_within(outputs, ["b", "a", "b", "a", "c"]), [[2, 3, 4], [0, 1, 4]])
    np.testing.assert_array_equal(
        winners_within(jnp.asarray(outputs), ["b", "a", "b", "a", "c"]), [[2, 3, 4], [0, 1, 4]]
    )


@spoilt
@pytest.mark.parametrize("temperature", [0.5, 1.0, 8.0])
def test_for_two_classes_kd_is_kd_pt(temperature, spoilt):
    logits, labels = 3 * RNG.normal(size=(N, 2)), LABELS % 2
    teacher = kd(logits, temperature)
    expected = np.array(teacher)
    if spoilt:
        expected[CENTRAL] = expected[CENTRAL, ::-1]
    assert np.array_equal(kd_pt(teacher, labels), expected) is not spoilt
    n = changed(kd_pt(teacher, labels), expected)
    assert n > 0 if spoilt else n == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: vote_weights([0.5, 1.2], K), InvalidTargets, r"confidences hold 1\.2"),
        (lambda: vote_weights(0.5, 1), InvalidInput, "n_classes is 1"),
        (lambda: vote_weights(0.5, K, 2), InvalidInput, "alpha is 2"),
        (lambda: keeps_decisions(np.ones((3, 4))), InvalidInput, r"class_targets has shape \(3, 4\)"),
        (lambda: keeps_decisions(np.full((3, 3), np.nan)), InvalidInput, "holds nan"),
        (lambda: winners_within(np.ones((2, 3)), [0, 1]), InvalidInput, "misses class 2"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()

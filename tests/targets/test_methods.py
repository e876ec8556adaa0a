"""Targets by their formulas, in NumPy and JAX, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from hilbertsd.errors import InvalidInput, InvalidTargets
from hilbertsd.targets import (
    class_relations,
    class_similarities,
    kd,
    kd_from_probabilities,
    kd_pt,
    kd_pt_sim,
    kd_rel,
    kd_sim,
    kd_topk,
    label_smoothing,
)

RNG = np.random.default_rng(0)
N, K = 40, 6
LOGITS, LABELS, WEIGHTS = 3 * RNG.normal(size=(N, K)), RNG.integers(K, size=N), RNG.normal(size=(K, 4))
P, ROWS = softmax(LOGITS, axis=1), np.arange(N)
HIERARCHY = [0, 0, 1, 1, 1, 2]

METHODS = {
    "label smoothing": lambda xp: label_smoothing(xp.asarray(LABELS), K, 0.3),
    "kd": lambda xp: kd(xp.asarray(LOGITS), 4.0),
    "kd from probabilities": lambda xp: kd_from_probabilities(xp.asarray(P), 4.0),
    "kd-pt": lambda xp: kd_pt(xp.asarray(P), LABELS),
    "kd-sim": lambda xp: kd_sim(xp.asarray(WEIGHTS), LABELS, 3.0, 0.2),
    "kd-pt+sim": lambda xp: kd_pt_sim(kd_pt(xp.asarray(P), LABELS), kd_sim(xp.asarray(WEIGHTS), LABELS), 0.3),
    "kd-topk": lambda xp: kd_topk(xp.asarray(P), 3),
    "kd-rel": lambda xp: kd_rel(xp.asarray(LABELS), HIERARCHY, (5, 2, 1)),
}


def by_loops(name):
    """The formulas, one sample and one class at a time."""
    cosines = WEIGHTS @ WEIGHTS.T / np.outer(*[np.linalg.norm(WEIGHTS, axis=1)] * 2)
    rows = []
    for p, z, t in zip(P, LOGITS, LABELS, strict=True):
        y = np.eye(K)[t]
        confidence = [p[t] if i == t else (1 - p[t]) / (K - 1) for i in range(K)]
        if name == "label smoothing":
            row = 0.7 * y + 0.3 / K
        elif name in ("kd", "kd from probabilities"):
            row = np.exp(z / 4) / np.exp(z / 4).sum()
        elif name == "kd-pt":
            row = confidence
        elif name == "kd-sim":
            row = softmax([np.sign(c) * abs(c) ** 3 / 0.2 for c in cosines[t]])
        elif name == "kd-pt+sim":
            row = 0.7 * np.array(confidence) + 0.3 * softmax(cosines[t])
        elif name == "kd-topk":
            largest = sorted(range(K), key=lambda i: -p[i])[:3]
            row = [p[i] if i in largest else np.delete(p, largest).mean() for i in range(K)]
        else:
            row = np.array([5 if i == t else 2 if HIERARCHY[i] == HIERARCHY[t] else 1 for i in range(K)])
            row = row / row.sum()
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_its_formula_in_numpy_and_jax(name):
    targets = METHODS[name](np)
    assert targets.dtype == np.float64
    np.testing.assert_allclose(targets, by_loops(name), rtol=1e-12)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-14)
    with jax.enable_x64(True):
        again = METHODS[name](jnp)
        assert isinstance(again, jax.Array)
        assert again.dtype == jnp.float64
        np.testing.assert_allclose(again, targets, rtol=1e-13)


def test_float32_stays_float32_and_whole_numbers_become_floating():
    for xp in (np, jnp):
        assert kd(xp.asarray(LOGITS, dtype=xp.float32)).dtype == xp.float32
        assert kd_pt(xp.asarray(P, dtype=xp.float32), LABELS).dtype == xp.float32
    assert kd_topk(np.eye(K, dtype=int), 2).dtype == np.float64
    assert label_smoothing(LABELS.tolist(), K, 0.1).dtype == np.float64


def test_targets_are_made_inside_jit_where_no_value_is_known():
    with jax.enable_x64(True):
        weights = jnp.asarray(WEIGHTS)

        @jax.jit
        def traced(logits, labels):
            p = kd(logits, 2.0)
            return kd_pt_sim(kd_pt(p, labels), kd_topk(p, 2)), kd_sim(weights, labels), label_smoothing(labels, K, 0.1)

        p = kd(LOGITS, 2.0)
        plain = (
            kd_pt_sim(kd_pt(p, LABELS), kd_topk(p, 2)),
            kd_sim(WEIGHTS, LABELS),
            label_smoothing(LABELS, K, 0.1),
        )
        for result, expected in zip(traced(LOGITS, LABELS), plain, strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_large_logits_do_not_overflow_and_small_probabilities_keep_their_digits():
    logits = np.array([[2000.0, 0.0, -2000.0], [40.0, 0.0, -1.0]])
    targets = kd_pt(kd(logits), [0, 0])
    assert np.isfinite(targets).all()
    # 1 − p_t is 5.8e-18, which is lost in p_t = 1.
    np.testing.assert_allclose(targets[1, 1:], (np.exp(-40) + np.exp(-41)) / 2, rtol=1e-13)
    np.testing.assert_allclose(kd_topk(kd(logits), 1)[1], targets[1], rtol=1e-13)
    np.testing.assert_array_equal(kd_from_probabilities(np.eye(3), 5.0), np.eye(3))
    for extreme in (kd([[1e308, -1e308, 1e308]]), kd([[1.0, 0.9, 1.0]], 1e-320)):
        np.testing.assert_array_equal(extreme, [[0.5, 0, 0.5]])


def test_the_limits_of_methods():
    np.testing.assert_array_equal(label_smoothing(LABELS, K, 0), np.eye(K)[LABELS])
    np.testing.assert_allclose(label_smoothing(LABELS, K, 1), 1 / K)
    np.testing.assert_allclose(kd(LOGITS, 1e9), 1 / K, rtol=1e-7)
    np.testing.assert_array_equal(kd_from_probabilities(P), P)
    np.testing.assert_array_equal(kd_topk(P, K), P)
    np.testing.assert_allclose(kd_topk(P, K - 1), P, rtol=1e-14)
    np.testing.assert_allclose(kd_topk(P, 1), kd_pt(P, P.argmax(axis=1)), rtol=1e-14)
    np.testing.assert_allclose(kd_sim(WEIGHTS, LABELS, temperature=1e-4), np.eye(K)[LABELS], atol=1e-12)
    np.testing.assert_allclose(kd_rel(LABELS, [0] * K, (0.9, 0.02, 0)), label_smoothing(LABELS, K, 0.12), rtol=1e-12)
    uniform = kd_topk(np.full((1, K), 1 / K), 2)
    np.testing.assert_allclose(uniform, 1 / K, rtol=1e-14)


def test_of_equal_probabilities_the_first_is_kept():
    np.testing.assert_allclose(kd_topk([[0.1, 0.3, 0.3, 0.2, 0.1]], 2), [[2 / 15, 0.3, 0.3, 2 / 15, 2 / 15]])
    np.testing.assert_allclose(kd_topk([[0.2, 0.3, 0.3, 0.1, 0.1]], 1), [[0.175, 0.3, 0.175, 0.175, 0.175]])


def test_similarities_ignore_the_length_of_weights_and_keep_the_sign_of_cosines():
    scales = np.array([1e-200, 1e200, 1, 3, 1e-5, 7])[:, None]
    np.testing.assert_allclose(class_similarities(WEIGHTS * scales, 2.0, 0.3), class_similarities(WEIGHTS, 2.0, 0.3))
    opposite = class_similarities([[1, 0], [-1, 0], [0, 1]], power=2.0)
    np.testing.assert_allclose(opposite[0], softmax([1, -1, 0]))


def test_a_hierarchy_may_be_names_or_lists_or_a_dictionary():
    expected = class_relations(HIERARCHY, (5, 2, 1))
    for same in (
        np.array(HIERARCHY),
        jnp.asarray(HIERARCHY),
        ["fish", "fish", "tree", "tree", "tree", "car"],
        np.array(["fish", "fish", "tree", "tree", "tree", "car"]),
        [[0, 1], [2, 3, 4], [5]],
        {"fish": [0, 1], "tree": (4, 2, 3), "car": np.array([5])},
    ):
        np.testing.assert_array_equal(class_relations(same, (5, 2, 1)), expected)
    # Rows of superclasses of different sizes have different sums before they are normalised.
    np.testing.assert_allclose(np.diag(expected), [5 / 11, 5 / 11, 5 / 12, 5 / 12, 5 / 12, 5 / 10])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kd_pt([[0.5, 0.7], [0.5, 0.5]], [0, 1]), r"row 0 of probabilities sums to 1\.2, 0\.2 above 1; divide"),
        (lambda: kd_topk([[0.5, 0.5], [0.4, 0.5]], 1), r"row 1 of probabilities sums to 0\.9, 0\.1 below 1; divide"),
        (lambda: kd_from_probabilities([[1.2, -0.2]]), r"probabilities hold|holds -0\.2 at row 0, column 1"),
        (lambda: kd_from_probabilities([[1, np.nan]]), "probabilities holds nan at row 0, column 1; give finite"),
        (lambda: kd([[np.inf, 0]]), "logits holds inf at row 0"),
        (lambda: kd(LOGITS[0]), r"logits has shape \(6,\); give \(samples, classes\)"),
        (lambda: kd(LOGITS[:, :1]), r"two classes at least"),
        (lambda: kd(1j * LOGITS), "complex"),
        (lambda: kd_pt(P, LABELS + 1), "is none of the 6 classes; give class numbers 0, …, 5"),
        (lambda: kd_sim(WEIGHTS, [0, -1]), "label -1 of sample 1 is none of the 6 classes"),
        (lambda: label_smoothing([3], 3, 0.1), "label 3 of sample 0 is none of the 3 classes"),
        (lambda: kd_pt(P, LABELS[:-1]), "39 labels for 40 samples"),
        (lambda: kd_pt(P, np.eye(K)[LABELS]), "give one class number a sample"),
        (lambda: kd_pt(P, LABELS / 2), "labels have dtype float64; give whole class numbers"),
        (lambda: kd_pt_sim(P, P[:2]), r"confidence has shape \(40, 6\) and similarity \(2, 6\)"),
    ],
)
def test_bad_data_are_invalid_targets(call, message):
    with pytest.raises(InvalidTargets, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kd_topk(P, 7), "k is 7, and there are 6 classes; give a k from 1 to 6"),
        (lambda: kd_topk(P, 0), "k is 0; give a whole number of at least 1"),
        (lambda: kd_topk(P, 2.0), r"k is 2\.0"),
        (lambda: kd(LOGITS, 0), "temperature is 0; give a positive"),
        (lambda: kd_sim(WEIGHTS, LABELS, temperature=-1), "temperature is -1"),
        (lambda: kd_sim(WEIGHTS, LABELS, power=0), "power is 0"),
        (lambda: kd_sim(WEIGHTS * np.arange(K)[:, None], LABELS), "class_weights of class 0 are all 0"),
        (
            lambda: kd_sim(WEIGHTS / np.arange(1, K + 1)[:, None] * np.inf, LABELS),
            "class_weights holds -?inf in the row of class 0",
        ),
        (lambda: kd_sim(WEIGHTS[0], LABELS), r"class_weights has shape \(4,\)"),
        (lambda: label_smoothing(LABELS, K, 1.5), r"alpha is 1\.5; give a number from 0 to 1"),
        (lambda: label_smoothing(LABELS, K, np.nan), "alpha is nan"),
        (lambda: label_smoothing(LABELS, 1, 0.5), "n_classes is 1; give a whole number of at least 2"),
        (lambda: kd_pt_sim(P, P, -0.1), r"share is -0\.1"),
        (lambda: kd_rel(LABELS, [[0, 1], [2, 4]], (3, 2, 1)), "misses class 3, in all 1 of 5 classes"),
        (lambda: kd_rel(LABELS, HIERARCHY[:4], (3, 2, 1), K), "misses class 4, in all 2 of 6 classes; put"),
        (lambda: kd_rel(LABELS, [0, 0, -1, 1, 1, None], (3, 2, 1)), "misses class 2, in all 2 of 6 classes"),
        (lambda: kd_rel(LABELS, [[0, 1], [1, 2]], (3, 2, 1)), "class 1 is twice in superclasses"),
        (lambda: kd_rel(LABELS, [[0, 1], [2, 7]], (3, 2, 1), 3), "names class 7, and there are 3 classes"),
        (lambda: kd_rel(LABELS, [0, 0, 1, 1], (3, 2, 1), 3), "names class 3, and there are 3 classes"),
        (lambda: kd_rel(LABELS, [["a", "b"]], (3, 2, 1)), "a class in superclasses is 'a'"),
        (lambda: kd_rel(LABELS, "ab", (3, 2, 1)), "superclasses is 'ab'"),
        (lambda: kd_rel(LABELS, [], (3, 2, 1)), "superclasses has 0 classes"),
        (lambda: kd_rel(LABELS, HIERARCHY, (3, 2)), "give three numbers"),
        (lambda: kd_rel(LABELS, HIERARCHY, (3, -2, 1)), "none negative"),
        (lambda: kd_rel(LABELS, HIERARCHY, (0, 2, 1)), "the first positive"),
    ],
)
def test_bad_parameters_are_invalid_input(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()


def test_probabilities_that_are_rounded_to_float32_pass():
    rounded = softmax(RNG.normal(size=(50, 1000)).astype(np.float32), axis=1)
    assert kd_topk(rounded.astype(np.float64), 5).shape == (50, 1000)
    assert kd_topk(rounded, 5).dtype == np.float32

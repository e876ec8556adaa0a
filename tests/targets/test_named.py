"""Methods by name."""

from dataclasses import FrozenInstanceError

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hilbertsd.errors import InvalidInput, InvalidTargets
from hilbertsd.targets import (
    METHODS,
    PartialTargets,
    kd,
    kd_from_probabilities,
    kd_pt,
    kd_pt_sim,
    kd_rel,
    kd_sim,
    kd_topk,
    label_smoothing,
)

RNG = np.random.default_rng(1)
N, K = 30, 5
LOGITS, LABELS, WEIGHTS, HIERARCHY = RNG.normal(size=(N, K)), RNG.integers(K, size=N), RNG.normal(size=(K, 3)), "aabbc"
TEACHER = {"logits": LOGITS, "class_weights": WEIGHTS, "superclasses": list(HIERARCHY)}
SETTINGS = {"alpha": 0.7, "temperature": 3.0, "k": 3, "power": 2.0, "similarity_temperature": 0.2, "share": 0.4}

P = kd(LOGITS, 3.0)
TAUGHT = {
    "label-smoothing": label_smoothing(LABELS, K, 1.0),
    "kd": P,
    "kd-pt": kd_pt(P, LABELS),
    "kd-sim": kd_sim(WEIGHTS, LABELS, 2.0, 0.2),
    "kd-pt+sim": kd_pt_sim(kd_pt(P, LABELS), kd_sim(WEIGHTS, LABELS, 2.0, 0.2), 0.4),
    "kd-topk": kd_topk(P, 3),
    "kd-rel": kd_rel(LABELS, list(HIERARCHY), (3, 2, 1)),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_name_is_its_function_mixed_with_the_labels(name):
    partial = PartialTargets(name, **SETTINGS, constants=(3, 2, 1))
    np.testing.assert_allclose(partial.of_teacher(LABELS, **TEACHER), TAUGHT[name], rtol=1e-14)
    mixed = partial(LABELS, **TEACHER)
    np.testing.assert_allclose(mixed, 0.3 * np.eye(K)[LABELS] + 0.7 * TAUGHT[name], rtol=1e-14)
    with jax.enable_x64(True):
        arrays = {"logits": jnp.asarray(LOGITS), "class_weights": jnp.asarray(WEIGHTS)}
        again = partial(jnp.asarray(LABELS), **{**TEACHER, **arrays})
        assert isinstance(again, jax.Array)
        assert again.dtype == jnp.float64
        np.testing.assert_allclose(again, mixed, rtol=1e-13)


@pytest.mark.parametrize("name", METHODS)
def test_all_methods_give_what_the_outputs_of_the_teacher_are(name):
    partial, expected = PartialTargets(name), PartialTargets(name)(LABELS, **TEACHER)
    teacher = {"logits": jnp.asarray(LOGITS, jnp.float32), "class_weights": WEIGHTS, "superclasses": tuple(HIERARCHY)}
    targets = partial(LABELS, **teacher)
    assert isinstance(targets, jax.Array)
    assert targets.dtype == jnp.float32
    np.testing.assert_allclose(targets, expected, atol=1e-6)
    if name in ("kd-pt+sim", "kd-topk", "kd-rel"):
        jitted = jax.jit(partial.__call__, static_argnames="superclasses")
        np.testing.assert_allclose(jitted(LABELS, **teacher), expected, atol=1e-6)


def test_probabilities_are_softened_as_logits_are():
    for name in ("kd", "kd-pt", "kd-topk"):
        partial = PartialTargets(name, 1.0, 3.0)
        np.testing.assert_allclose(partial(LABELS, probabilities=kd(LOGITS)), partial(LABELS, logits=LOGITS))
    np.testing.assert_allclose(kd_from_probabilities(kd(LOGITS), 3.0), P, rtol=1e-13)


def test_lists_are_taken_too():
    np.testing.assert_allclose(PartialTargets("kd")([0, 1], logits=[[0, 0], [0, 0]]), [[0.75, 0.25], [0.25, 0.75]])


def test_alpha_goes_from_the_labels_to_the_teacher():
    np.testing.assert_array_equal(PartialTargets("kd", 0.0)(LABELS, logits=LOGITS), np.eye(K)[LABELS])
    np.testing.assert_array_equal(PartialTargets("kd", 1.0)(LABELS, logits=LOGITS), kd(LOGITS))
    smoothed = PartialTargets("label-smoothing", 0.1)(LABELS, n_classes=K)
    np.testing.assert_allclose(smoothed, label_smoothing(LABELS, K, 0.1), rtol=1e-15)


def test_a_method_says_what_it_is_and_needs():
    assert str(PartialTargets("kd-topk", 0.9, 4.0, k=3)) == "kd-topk, α = 0.9, τ = 4, k = 3"
    assert str(PartialTargets("kd-rel")) == "kd-rel, α = 0.5, β = 1, 0.1, 0.01"
    assert "share of similarities 0.5" in str(PartialTargets("kd-pt+sim"))
    assert PartialTargets("label-smoothing").needs == ()
    assert PartialTargets("kd-pt+sim").needs == ("outputs", "class_weights")
    assert PartialTargets("kd-rel").needs == ("superclasses",)
    with pytest.raises(FrozenInstanceError):
        PartialTargets("kd").alpha = 1.0


@pytest.mark.parametrize("name", METHODS[1:])
def test_what_is_missing_is_named(name):
    for source in PartialTargets(name).needs:
        left_out = "logits" if source == "outputs" else source
        given = {key: value for key, value in TEACHER.items() if key != left_out}
        with pytest.raises(InvalidInput, match=f"is given no (logits or probabilities|{source})"):
            PartialTargets(name)(LABELS, **given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "kd-top"}, "name is 'kd-top'; give one of label-smoothing, kd,"),
        ({"alpha": 1.1}, r"alpha is 1\.1; give a number from 0 to 1"),
        ({"share": -1}, "share is -1"),
        ({"k": 0}, "k is 0"),
        ({"temperature": 0.0}, r"temperature is 0\.0"),
        ({"power": -2}, "power is -2"),
        ({"similarity_temperature": "hot"}, "similarity_temperature is 'hot'"),
        ({"constants": (1, 2, -3)}, "none negative"),
    ],
)
def test_bad_settings_are_refused_at_once(settings, message):
    with pytest.raises(InvalidInput, match=message):
        PartialTargets(**{"name": "kd", **settings})


@pytest.mark.parametrize(
    ("name", "given", "error", "message"),
    [
        ("label-smoothing", {}, InvalidInput, "give n_classes"),
        ("kd", {"logits": LOGITS, "probabilities": P}, InvalidInput, "both logits and probabilities"),
        ("kd-pt", {"logits": LOGITS, "n_classes": 4}, InvalidInput, r"differ \(n_classes 4, logits 5\)"),
        ("kd-sim", {**TEACHER, "class_weights": WEIGHTS[:4]}, InvalidInput, r"logits 5, class_weights 4"),
        ("kd-rel", {**TEACHER, "superclasses": [0, 0, 1]}, InvalidInput, "misses class 3, in all 2 of 5"),
        ("kd", {**TEACHER, "superclasses": [0, 0, 1]}, InvalidInput, "misses class 3, in all 2 of 5"),
        ("kd-topk", {"logits": LOGITS[:, :2], "n_classes": 2}, InvalidTargets, "is none of the 2 classes"),
        ("kd", {"logits": LOGITS[1:]}, InvalidTargets, "30 labels for 29 samples"),
        ("kd", {"probabilities": 2 * P}, InvalidTargets, "sums to 2, 1 above 1"),
    ],
)
def test_bad_calls_are_refused(name, given, error, message):
    with pytest.raises(error, match=message):
        PartialTargets(name)(LABELS, **given)


def test_k_above_the_number_of_classes_is_refused():
    with pytest.raises(InvalidInput, match="k is 6, and there are 5 classes"):
        PartialTargets("kd-topk", k=6)(LABELS, logits=LOGITS)

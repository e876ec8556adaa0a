"""Proposition 2 against automatic differentiation and 50 digits; the loss by its formula."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from hilbertsd.errors import InvalidInput, InvalidTargets
from hilbertsd.targets import (
    distillation_loss,
    expected_rescaling,
    gradient_rescaling,
    kd,
    kd_pt,
    kd_topk,
    label_smoothing,
    median_rescaling,
)

N, K = 50, 7
RNG = np.random.default_rng(3)
LABELS = RNG.integers(K, size=N)
TEACHER = 2 * RNG.normal(size=(N, K)) + 2 * np.eye(K)[LABELS]
STUDENT = 0.7 * TEACHER + RNG.normal(size=(N, K))
TRUE = np.eye(K, dtype=bool)[LABELS]

ALPHAS = pytest.mark.parametrize("alpha", [0.3, 1.0])
TEMPERATURES = pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
SQUARED = pytest.mark.parametrize("squared", [True, False], ids=["with τ²", "without τ²"])


def gradients(alpha, temperature, squared, targets, student=STUDENT):
    """(n, K) derivatives of distillation and of plain training, by JAX in float64."""
    with jax.enable_x64(True):

        def total(outputs, share):
            return distillation_loss(outputs, LABELS, targets, share, temperature, squared).sum()

        return tuple(np.asarray(jax.grad(total)(jnp.asarray(student), share)) for share in (alpha, 0.0))


@ALPHAS
@TEMPERATURES
@SQUARED
def test_the_proposition_agrees_with_automatic_differentiation(alpha, temperature, squared):
    settings = {"alpha": alpha, "temperature": temperature, "squared_temperature": squared}
    taught = kd(TEACHER, temperature)
    distilled, plain = gradients(alpha, temperature, squared, taught)
    omega = gradient_rescaling(STUDENT, LABELS, logits=TEACHER, **settings)
    assert np.max(np.abs(omega * plain - distilled)) < 1e-13
    np.testing.assert_allclose(omega, distilled / plain, rtol=1e-8)
    np.testing.assert_allclose(gradient_rescaling(STUDENT, LABELS, targets=taught, **settings), omega, rtol=1e-9)
    # Summed over the incorrect classes the ratio is that of the true class.
    sums = [np.where(TRUE, 0, gradient).sum(axis=1) for gradient in (distilled, plain)]
    np.testing.assert_allclose(sums[0] / sums[1], omega[TRUE], rtol=1e-8)


def test_the_wrong_coefficient_does_not_agree():
    """ατ with τ² in the loss, α/τ without: exchanged they miss by far."""
    distilled, plain = gradients(0.5, 4.0, True, kd(TEACHER, 4.0))
    for squared in (True, False):
        settings = {"alpha": 0.5, "temperature": 4.0, "squared_temperature": squared}
        off = gradient_rescaling(STUDENT, LABELS, logits=TEACHER, **settings) - distilled / plain
        assert bool(np.median(np.abs(off)) < 1e-12) is squared


@pytest.mark.parametrize("targets", [kd_pt(kd(TEACHER, 2.0), LABELS), kd_topk(kd(TEACHER, 2.0), 2), np.eye(K)[LABELS]])
def test_it_holds_for_partial_targets(targets):
    distilled, plain = gradients(0.8, 2.0, True, targets)
    omega = gradient_rescaling(STUDENT, LABELS, targets=targets, alpha=0.8, temperature=2.0)
    np.testing.assert_allclose(omega, distilled / plain, rtol=1e-8)


def test_a_smoothed_label_rescales_alike_whatever_the_teacher():
    uniform = label_smoothing(LABELS, K, 1.0)
    omega = gradient_rescaling(STUDENT, LABELS, targets=uniform, alpha=1.0)
    q = softmax(STUDENT, axis=1)
    np.testing.assert_allclose(omega, (q - 1 / K) / (q - TRUE), rtol=1e-9)


@TEMPERATURES
def test_students_close_to_their_labels_keep_their_digits(temperature):
    """q is 1 to all 16 digits, or 0 below the smallest number: computed from q every ratio is 0/0."""
    scales = np.array([30.0, 100.0, 900.0])[:, None]
    student = scales * np.array([[2.0, 0.3, -1.0, 0.1], [2.0, 0.4, 1.0, -0.2], [1.0, 0.0, -0.25, 0.125]])
    teacher = student + RNG.normal(size=(3, 4))
    labels, alpha = np.array([0, 0, 0]), 0.5
    q = softmax(student, axis=1)
    assert q[0, 0] == 1
    assert q[2, 1] == 0
    omega = gradient_rescaling(student, labels, logits=teacher, alpha=alpha, temperature=temperature)
    with mpmath.workdps(50 + 900):
        for row, (z, g) in enumerate(zip(student, teacher, strict=True)):
            exact = _exact(z, g, alpha, temperature)
            for value, expected in zip(omega[row], exact, strict=True):
                if abs(expected) > np.finfo(float).max:
                    assert np.isinf(value)
                else:
                    # Rounding of outputs of 1,800 moves their exponentials by 1e-12 of their size.
                    np.testing.assert_allclose(value, float(expected), rtol=1e-10)


def _exact(student, teacher, alpha, temperature):
    def probabilities(outputs, tau):
        powers = [mpmath.exp(mpmath.mpf(float(z)) / tau) for z in outputs]
        return [power / mpmath.fsum(powers) for power in powers]

    q, soft, p = probabilities(student, 1), probabilities(student, temperature), probabilities(teacher, temperature)
    return [1 - alpha + alpha * temperature * (soft[i] - p[i]) / (q[i] - (i == 0)) for i in range(len(q))]


def test_of_two_classes_both_have_the_same_factor():
    """All that distillation does for K = 2 is to weigh samples."""
    labels = LABELS % 2
    omega = gradient_rescaling(STUDENT[:, :2], labels, logits=TEACHER[:, :2], alpha=0.6, temperature=3.0)
    np.testing.assert_allclose(omega[:, 0], omega[:, 1], rtol=1e-9)


def test_equal_teacher_and_student_leave_the_labels():
    omega = gradient_rescaling(STUDENT, LABELS, logits=STUDENT, alpha=0.3, temperature=2.0)
    np.testing.assert_allclose(omega, 0.7)


def test_the_expectation_is_that_over_noise_of_mean_zero():
    """With p̃_t = q̃_t + c ± η the mean of both ω_t is the stated one."""
    tau, alpha, c, eta = 3.0, 0.6, 0.02, 0.01
    soft = softmax(STUDENT / tau, axis=1)
    c = np.where(soft[TRUE] + c + eta < 1, c, -c)
    both = []
    for noise in (eta, -eta):
        true = soft[TRUE] + c + noise
        rest = (1 - true) / (1 - soft[TRUE])
        targets = np.where(TRUE, true[:, None], soft * rest[:, None])
        both.append(gradient_rescaling(STUDENT, LABELS, targets=targets, alpha=alpha, temperature=tau)[TRUE])
    expected = expected_rescaling(STUDENT, LABELS, c, alpha=alpha, temperature=tau)
    np.testing.assert_allclose(np.mean(both, axis=0), expected, rtol=1e-9)
    q = softmax(STUDENT, axis=1)[TRUE]
    np.testing.assert_allclose(expected, 0.4 + alpha * tau * c / (1 - q), rtol=1e-9)
    without = expected_rescaling(STUDENT, LABELS, c, alpha=alpha, temperature=tau, squared_temperature=False)
    np.testing.assert_allclose(without, 0.4 + alpha / tau * c / (1 - q), rtol=1e-9)
    constant = expected_rescaling(STUDENT, LABELS, 0.1, alpha=1.0)
    np.testing.assert_allclose(constant, 0.1 / (1 - q), rtol=1e-9)


def test_gradients_grow_with_the_confidence_of_the_teacher():
    less, more = (expected_rescaling(STUDENT, LABELS, c, alpha=0.5) for c in (0.1, 0.2))
    assert np.all(more > less)


def test_medians_pass_by_values_without_bounds():
    omega = gradient_rescaling(STUDENT, LABELS, logits=TEACHER, alpha=0.5, temperature=2.0)
    medians = median_rescaling(omega, LABELS)
    assert medians.true == np.median(omega[TRUE])
    assert medians.incorrect == np.median(omega[~TRUE])
    wild = omega.copy()
    wild[TRUE] = np.where(omega[TRUE] > np.quantile(omega[TRUE], 0.9), np.inf, omega[TRUE])
    assert median_rescaling(wild, LABELS) == medians
    with jax.enable_x64(True):
        assert median_rescaling(jnp.asarray(omega), jnp.asarray(LABELS)) == pytest.approx(medians)


def test_jax_gives_the_same_in_float64_and_inside_jit():
    with jax.enable_x64(True):
        rescale = jax.jit(lambda z, g: gradient_rescaling(z, LABELS, logits=g, alpha=0.5, temperature=2.0))
        omega = rescale(jnp.asarray(STUDENT), jnp.asarray(TEACHER))
        assert omega.dtype == jnp.float64
        expected = gradient_rescaling(STUDENT, LABELS, logits=TEACHER, alpha=0.5, temperature=2.0)
        np.testing.assert_allclose(omega, expected, rtol=1e-9)


@SQUARED
def test_the_loss_is_its_formula(squared):
    taught, factor = kd(TEACHER, 3.0), 9 if squared else 1
    loss = distillation_loss(STUDENT, LABELS, taught, 0.7, 3.0, squared)
    soft = -np.sum(taught * log_softmax(STUDENT / 3, axis=1), axis=1)
    np.testing.assert_allclose(loss, -0.3 * log_softmax(STUDENT, axis=1)[TRUE] + 0.7 * factor * soft, rtol=1e-12)


def test_the_loss_of_a_confident_student_keeps_its_digits():
    loss = distillation_loss([[50.0, 0.0, 0.0]], [0], [[1, 0, 0]], 0.5)
    np.testing.assert_allclose(loss, 2 * np.exp(-50), rtol=1e-13)


def test_at_temperature_1_the_loss_is_that_of_mixed_targets():
    taught, mixed = kd(TEACHER), 0.3 * TRUE + 0.7 * kd(TEACHER)
    loss = distillation_loss(STUDENT, LABELS, taught, 0.7)
    np.testing.assert_allclose(loss, distillation_loss(STUDENT, LABELS, mixed, 1.0), rtol=1e-12)


def test_equal_outputs_share_no_derivative():
    """The softmax is computed around the largest output; which of two equal ones it is must not matter."""
    outputs = np.repeat([[1.0, 1.0, 0.0, 0.5, 0.5, 1.0, 0.0]], N, axis=0)
    _, plain = gradients(0.0, 1.0, True, kd(TEACHER), outputs)
    np.testing.assert_allclose(plain, softmax(outputs, axis=1) - TRUE, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gradient_rescaling(STUDENT, LABELS, alpha=0.5), InvalidInput, "give logits or targets .* not none"),
        (
            lambda: gradient_rescaling(STUDENT, LABELS, logits=TEACHER, targets=TEACHER, alpha=0.5),
            InvalidInput,
            "not both",
        ),
        (lambda: gradient_rescaling(STUDENT, LABELS, targets=TEACHER, alpha=0.5), InvalidTargets, "targets holds -"),
        (
            lambda: gradient_rescaling(STUDENT, LABELS, logits=TEACHER[:, 1:], alpha=0.5),
            InvalidTargets,
            r"outputs has shape \(50, 7\) and logits \(50, 6\)",
        ),
        (
            lambda: gradient_rescaling(STUDENT, LABELS, logits=jnp.asarray(TEACHER), alpha=0.5),
            InvalidTargets,
            "two array libraries",
        ),
        (lambda: gradient_rescaling(STUDENT, LABELS, logits=TEACHER, alpha=-1), InvalidInput, "alpha is -1"),
        (
            lambda: gradient_rescaling(STUDENT, LABELS, logits=TEACHER, alpha=1, temperature=0),
            InvalidInput,
            "temperature is 0",
        ),
        (lambda: gradient_rescaling(STUDENT, LABELS + 1, logits=TEACHER, alpha=1), InvalidTargets, "none of the 7"),
        (lambda: expected_rescaling(STUDENT, LABELS, [0.1, 0.2], alpha=1), InvalidInput, r"has shape \(2,\); give one"),
        (lambda: median_rescaling(STUDENT[0], LABELS), InvalidInput, r"rescaling has shape \(7,\)"),
        (lambda: distillation_loss(STUDENT, LABELS, TEACHER, 0.5), InvalidTargets, "targets holds -"),
        (lambda: distillation_loss(STUDENT, LABELS, kd(TEACHER), 1.5), InvalidInput, r"alpha is 1\.5"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()

"""Distillation as a rescaling of gradients (Tang et al. 2020, arXiv:2002.03532, Proposition 2).

The loss (1−α) H(y, q) + α f H(p̃, q̃), f = τ² or 1, has gradients (1−α)(q − y) + (α f/τ)(q̃ − p̃) in the outputs z of a
student, plain training has q − y. Class by class their ratio is

    ω_i = (1−α) + β (q̃_i − p̃_i)/(q_i − y_i),   β = ατ with τ² in the loss, α/τ without

and with p̃_t = q̃_t + c_t + noise of mean 0 the expectation of ω_t is (1−α) + β c_t/(1−q_t). The summed gradients of the
incorrect classes have the ratio ω_t, too, because both gradients sum to zero: Σ_{i≠t} (q̃_i − p̃_i) = p̃_t − q̃_t and
Σ_{i≠t} q_i = 1 − q_t. The proposition is printed for f = 1; what is trained has f = τ² (§7.2 there).

Of trained students q_i − y_i is often below the rounding of q_i, and ω_i 0/0 where it is computed from q. Here all of
it is computed from log q and log(1 − q), differences with expm1. Individual ω_i have very heavy tails, so that only
their medians mean anything.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import array_api_compat as array_api
import numpy as np

from hilbertsd.errors import InvalidInput, InvalidTargets
from hilbertsd.support.checks import check_positive
from hilbertsd.targets import arguments
from hilbertsd.targets.logarithms import log_complement, log_difference, log_of, log_softmax


class MedianRescaling(NamedTuple):
    """Medians of ω_t over samples, and of ω_i over samples and their incorrect classes."""

    true: float
    incorrect: float


def gradient_rescaling(
    outputs: Any,
    labels: Any,
    *,
    logits: Any = None,
    targets: Any = None,
    alpha: float,
    temperature: float = 1.0,
    squared_temperature: bool = True,
) -> Any:
    """(n, K) ω_i = (1−α) + β (q̃_i − p̃_i)/(q_i − y_i): the gradient of distillation over that of plain training.

    β = ατ with τ² in the loss, α/τ without it.

    Parameters
    ----------
    outputs : (n, K) outputs z of the student.
    labels : (n,) class numbers t.
    logits : (n, K) outputs of the teacher, whose p̃ is their softmax at temperature τ; or else
    targets : (n, K) p̃ itself, or any partial targets.
    alpha, temperature, squared_temperature : α, τ, and whether τ² is in the loss, as
        :func:`hilbertsd.targets.distillation_loss`.

    Returns
    -------
    (n, K), finite unless a ratio exceeds the largest number. Where a difference is smaller than what rounding changes
    in the outputs, its digits mean little.

    Raises InvalidInput for α outside [0, 1], τ that is not positive or not exactly one of `logits` and `targets`,
    InvalidTargets for outputs, labels and targets that do not fit each other or are none.
    Source: Tang et al. (2020), arXiv:2002.03532, (3); with τ² derived in :mod:`hilbertsd.targets.rescaling`.
    """
    coefficient = _coefficient(alpha, temperature, squared_temperature)
    outputs, is_true = _checked(outputs, labels)
    student, teacher = log_softmax(outputs, temperature), _log_teacher(outputs, logits, targets, temperature)
    sign, log_size = log_difference((student, log_complement(student)), (teacher, log_complement(teacher)))
    plain = log_softmax(outputs)
    xp = array_api.array_namespace(outputs)
    log_gradient = xp.where(is_true, log_complement(plain), plain)  # of |q_i − y_i|
    with np.errstate(over="ignore"):
        ratio = xp.where(is_true, -sign, sign) * xp.exp(log_size - log_gradient)
    return 1 - alpha + coefficient * ratio


def expected_rescaling(
    outputs: Any,
    labels: Any,
    relative_confidence: Any,
    *,
    alpha: float,
    temperature: float = 1.0,
    squared_temperature: bool = True,
) -> Any:
    """(n,) E ω_t = (1−α) + β c_t/(1−q_t) for a teacher with p̃_t = q̃_t + c_t + noise of mean 0.

    ω_t is linear in p̃_t, so that the noise drops out. Summed over the incorrect classes gradients have the same ratio.

    Parameters
    ----------
    outputs : (n, K) outputs z of the student.
    labels : (n,) class numbers t.
    relative_confidence : c_t, one number or (n,).
    alpha, temperature, squared_temperature : as :func:`gradient_rescaling`.

    Raises as :func:`gradient_rescaling`. Source: Tang et al. (2020), arXiv:2002.03532, Proposition 2.
    """
    coefficient = _coefficient(alpha, temperature, squared_temperature)
    outputs, is_true = _checked(outputs, labels)
    xp = array_api.array_namespace(outputs)
    log_rest = log_complement(log_softmax(outputs))
    log_rest = xp.sum(xp.where(is_true, log_rest, xp.zeros_like(log_rest)), axis=1)
    confidence = arguments.as_floating(relative_confidence, "relative_confidence", InvalidInput)
    if confidence.shape not in ((), log_rest.shape):
        raise InvalidInput(
            f"relative_confidence has shape {confidence.shape}; give one number, or one for each of the "
            f"{log_rest.shape[0]} samples"
        )
    with np.errstate(over="ignore"):
        return 1 - alpha + coefficient * xp.asarray(confidence, dtype=log_rest.dtype) * xp.exp(-log_rest)


def median_rescaling(rescaling: Any, labels: Any) -> MedianRescaling:
    """Medians of ω_t and of ω_i for i ≠ t; means would be those of a few samples with q close to y.

    Parameters
    ----------
    rescaling : (n, K) ω of :func:`gradient_rescaling`, infinite values allowed.
    labels : (n,) class numbers t.

    Raises InvalidTargets for labels outside the classes or of another number.
    """
    omega = np.asarray(arguments.as_floating(rescaling, "rescaling", InvalidInput))
    if omega.ndim != 2 or omega.shape[1] < 2:
        raise InvalidInput(f"rescaling has shape {omega.shape}; give (samples, classes), as gradient_rescaling does")
    labels = arguments.checked_labels(labels, omega.shape[1], omega, omega.shape[0])
    is_true = arguments.one_hot(labels, omega.shape[1], np.bool_)
    return MedianRescaling(float(np.median(omega[is_true])), float(np.median(omega[~is_true])))


def _coefficient(alpha: float, temperature: float, squared_temperature: bool) -> float:
    """β, after a check of α and τ."""
    alpha = arguments.checked_share(alpha, "alpha")
    temperature = check_positive(temperature, "temperature", "the τ of softmax(z/τ)", InvalidInput)
    return alpha * temperature if squared_temperature else alpha / temperature


def _checked(outputs: Any, labels: Any) -> tuple[Any, Any]:
    """Outputs, and (n, K) whether a class is the true one."""
    outputs = arguments.checked_logits(outputs, "outputs")
    n, n_classes = outputs.shape
    labels = arguments.checked_labels(labels, n_classes, outputs, n)
    return outputs, arguments.one_hot(labels, n_classes, array_api.array_namespace(outputs).bool)


def _log_teacher(outputs: Any, logits: Any, targets: Any, temperature: float) -> Any:
    """(n, K) log p̃ of the teacher, in the library of the outputs."""
    if (logits is None) == (targets is None):
        raise InvalidInput(f"give logits or targets of the teacher, not {'none' if logits is None else 'both'}")
    given = arguments.checked_logits(logits) if targets is None else arguments.checked_probabilities(targets, "targets")
    arguments.check_same_shape(outputs, "outputs", given, "logits" if targets is None else "targets")
    if array_api.array_namespace(given) is not array_api.array_namespace(outputs):
        raise InvalidTargets("outputs of student and teacher are of two array libraries; give both in the same")
    return log_softmax(given, temperature) if targets is None else log_of(given)

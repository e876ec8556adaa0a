"""The loss of a student that learns from labels and from a teacher."""

from typing import Any

import array_api_compat as array_api

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_positive
from hilbertsd.targets import arguments
from hilbertsd.targets.logarithms import log_softmax


def distillation_loss(
    outputs: Any,
    labels: Any,
    targets: Any,
    alpha: float,
    temperature: float = 1.0,
    squared_temperature: bool = True,
) -> Any:
    """(n,) (1−α) H(y, softmax z) + α τ² H(p̃, softmax(z/τ)), with τ² in it.

    H(p, q) = −Σ p_i log q_i. With τ² the pull of the teacher does not fade as τ grows; without it (Tang et al.'s
    Proposition 2) gradients are α (q̃ − p̃)/τ, with it α τ (q̃ − p̃). For τ = 1 the loss is H((1−α) y + α p̃, q).

    Parameters
    ----------
    outputs : (n, K) outputs z of the student before its softmax; may be traced by JAX.
    labels : (n,) class numbers.
    targets : (n, K) what the teacher's term is to teach, p̃ at temperature τ or any partial targets.
    alpha : α from 0, the labels alone, to 1, the targets alone.
    temperature : τ.
    squared_temperature : whether τ² is in the loss.

    Raises InvalidTargets for targets that are no probabilities of the same shape and labels outside the classes,
    InvalidInput for α outside [0, 1] and τ that is not positive.
    Source: Hinton, Vinyals & Dean (2015), arXiv:1503.02531, §2; Tang et al. (2020), arXiv:2002.03532, §3.1 and §7.2.
    """
    alpha = arguments.checked_share(alpha, "alpha")
    temperature = check_positive(temperature, "temperature", "the τ of softmax(z/τ)", InvalidInput)
    outputs, targets = (
        arguments.checked_logits(outputs, "outputs"),
        arguments.checked_probabilities(targets, "targets"),
    )
    arguments.check_same_shape(outputs, "outputs", targets, "targets")
    n, n_classes = outputs.shape
    xp = array_api.array_namespace(outputs)
    one_hot = arguments.one_hot(arguments.checked_labels(labels, n_classes, outputs, n), n_classes, outputs.dtype)
    factor = temperature**2 if squared_temperature else 1.0
    with_labels = -xp.sum(one_hot * log_softmax(outputs), axis=1)
    return (1 - alpha) * with_labels - alpha * factor * xp.sum(targets * log_softmax(outputs, temperature), axis=1)

"""Losses of one round, and what its networks hand on as the targets of the next.

    loss = Loss("softmax-squared-error")
    loss.of(outputs, targets)         # (n,) for (n, k) outputs of a network and targets
    loss.labels_as_targets(labels)    # (n, k) targets of round 0
    loss.next_targets(outputs)        # (n, k) targets that a teacher with these outputs sets

Every loss sums over the k outputs, and its error is the mean over images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.networks.jax_backend import jax, jnp
from hilbertsd.support.checks import check_choice, check_positive

TARGETS = ("soft", "hard")


def softmax_squared_error(outputs: Any, targets: Any, temperature: float) -> Any:
    """(n,) ‖softmax(outputs) − target‖²: the ℓ2 loss of MFB §5.2."""
    return jnp.sum((jax.nn.softmax(outputs / temperature) - targets) ** 2, axis=-1)


def squared_error(outputs: Any, targets: Any, temperature: float) -> Any:
    """(n,) ‖outputs − target‖²: that of kernel regression (MFB 1); temperature is not used."""
    del temperature
    return jnp.sum((outputs - targets) ** 2, axis=-1)


def cross_entropy(outputs: Any, targets: Any, temperature: float) -> Any:
    """(n,) −τ² Σ_i target_i log softmax(outputs/τ)_i.

    With τ² the size of gradients does not depend on the temperature (Hinton, Vinyals & Dean 2015, arXiv:1503.02531,
    §2). MFB's appendix D has τ = 1.
    """
    return -(temperature**2) * jnp.sum(targets * jax.nn.log_softmax(outputs / temperature), axis=-1)


LOSSES: dict[str, Callable[[Any, Any, float], Any]] = {
    "softmax-squared-error": softmax_squared_error,
    "squared-error": squared_error,
    "cross-entropy": cross_entropy,
}


@dataclass(frozen=True)
class Loss:
    """Loss, and the form of the targets that a teacher sets.

    Attributes
    ----------
    name : "softmax-squared-error", "squared-error" or "cross-entropy".
    targets : "soft" for the teacher's outputs (their softmax but for "squared-error"); "hard" for the class of its
        largest output, as if it were a label (MFB appendix D.3).
    temperature : τ of the softmax of teacher and student from round 1 on; round 0, which fits labels, has 1. For
        cross-entropy only.

    Raises InvalidInput for an unknown name or form, and for a temperature that is not positive or has no use.
    """

    name: str = "softmax-squared-error"
    targets: str = "soft"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_choice(self.name, "loss", LOSSES)
        check_choice(self.targets, "targets", TARGETS)
        check_positive(self.temperature, "temperature", "the τ of softmax(outputs/τ)", InvalidInput)
        if self.temperature != 1 and (self.name != "cross-entropy" or self.targets == "hard"):
            raise InvalidInput(
                f"temperature is {self.temperature:g} with loss {self.name!r} and {self.targets} targets; it is for "
                "cross-entropy with soft targets"
            )

    def of(self, outputs: Any, targets: Any, round: int = 0) -> Any:  # noqa: A002  # the field's word
        """(n,) losses of (n, k) outputs against the (n, k) targets of a round."""
        return LOSSES[self.name](outputs, targets, self.temperature if round else 1.0)

    def labels_as_targets(self, labels: NDArray[np.integer], n_classes: int) -> NDArray[np.float32]:
        """(n, k) one-hot labels; for "squared-error" minus 1/k, so that zero means equally likely classes."""
        one_hot = np.eye(n_classes, dtype=np.float32)[labels]
        return one_hot - np.float32(1 / n_classes) if self.name == "squared-error" else one_hot

    def next_targets(self, outputs: Any) -> Any:
        """(n, k) targets of the next round, from a teacher's (n, k) outputs."""
        if self.targets == "hard":
            one_hot = jax.nn.one_hot(jnp.argmax(outputs, axis=-1), outputs.shape[-1])
            return one_hot - 1 / outputs.shape[-1] if self.name == "squared-error" else one_hot
        return outputs if self.name == "squared-error" else jax.nn.softmax(outputs / self.temperature)

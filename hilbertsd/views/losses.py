"""Losses of a student: cross-entropy with the labels, and one with the softened outputs of a teacher.

    loss(F, y, G) = H(y, softmax F) + α/z'(0) · H(softmax z(G), softmax z(F))

z softens outputs; its slope at 0 is divided out, so that the second term pulls an output that is not cut off with the
force α (p − q), whatever the temperature. Hinton's factor τ² is α = τ:

    temperature   z(F) = F/τ                 Hinton, Vinyals & Dean (2015), arXiv:1503.02531
    truncated     z(F) = min(τ² F, 1)/τ      Allen-Zhu & Li (2020), arXiv:2012.09816, section 4 (as recalled here)
    capped        z(F) = min(F, cap)/τ       the same with a cap of its own

Where outputs are cut off, a view that a few teachers know counts as much as one that all know, as long as their share
of the output is above the cap.
"""

from dataclasses import dataclass
from typing import Any

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_choice, check_positive

LABELS = "labels"
LOSSES = (LABELS, "temperature", "truncated", "capped")
"""Plain cross-entropy with the labels, and those with a teacher."""


@dataclass(frozen=True)
class ViewLoss:
    """Loss by name.

    Attributes
    ----------
    name : one of `LOSSES`.
    temperature : τ.
    cap : largest output that the loss "capped" tells from larger ones; the others do not use it.
    weight : α, weight of the teacher's term.

    Raises InvalidInput for an unknown name, or a number that is not positive.
    """

    name: str = LABELS
    temperature: float = 1.0
    cap: float = 1.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_choice(self.name, "name", LOSSES)
        for name, meaning in (("temperature", "τ"), ("cap", "an output"), ("weight", "α")):
            check_positive(getattr(self, name), name, meaning, InvalidInput)

    def __str__(self) -> str:
        if not self.has_teacher:
            return self.name
        cap = f", cap {self.cap:g}" if self.name == "capped" else ""
        return f"{self.name}, τ = {self.temperature:g}{cap}, α = {self.weight:g}"

    @property
    def has_teacher(self) -> bool:
        """Whether the loss compares with a teacher's outputs."""
        return self.name != LABELS

    @property
    def slope(self) -> float:
        """z'(0), by which the teacher's term is divided."""
        return self.temperature if self.name == "truncated" else 1 / self.temperature

    def softened(self, outputs: Any) -> Any:
        """z(F): (n, k) logits of the teacher's term from outputs."""
        from hilbertsd.networks.jax_backend import jnp

        if self.name == "truncated":
            return jnp.minimum(self.temperature**2 * outputs, 1) / self.temperature
        if self.name == "capped":
            return jnp.minimum(outputs, self.cap) / self.temperature
        return outputs / self.temperature

    def __call__(self, outputs: Any, one_hot: Any, teacher: Any) -> Any:
        """Sum of the loss over samples.

        Parameters
        ----------
        outputs : (n, k) outputs F.
        one_hot : (n, k) labels y.
        teacher : (n, k) outputs G of the teacher; None for the loss "labels".
        """
        loss = _cross_entropy(one_hot, outputs)
        if self.has_teacher:
            from hilbertsd.networks.jax_backend import jax

            wanted = jax.nn.softmax(self.softened(teacher))
            loss += self.weight / self.slope * _cross_entropy(wanted, self.softened(outputs))
        return loss


def _cross_entropy(probabilities: Any, logits: Any) -> Any:
    from hilbertsd.networks.jax_backend import jax

    return -(probabilities * jax.nn.log_softmax(logits)).sum()

"""Two-layer network of the multi-view theorems: a sum over patches and neurons of a smoothed ReLU.

    F_i(X) = Σ_r Σ_p ReLU~(⟨w_ir, x_p⟩)/L

Every class i has neurons of its own. ReLU~ is a power near 0, so that a neuron which is a little ahead on a view wins
it, and linear beyond.

Source: Allen-Zhu & Li (2020), arXiv:2012.09816, section 3; L networks that are trained as one have the factor 1/L.
"""

from dataclasses import dataclass
from typing import Any

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_positive, check_whole


@dataclass(frozen=True)
class ViewNetwork:
    """Network of k classes.

    Attributes
    ----------
    n_classes : k, at least 2.
    neurons : m, neurons of a class.
    power : q of the smoothed ReLU, at least 2; the theorems want 3 or more.
    threshold : ϱ of the smoothed ReLU, where it becomes linear.
    initial_scale : σ_0, standard deviation of a weight at the start.
    members : L networks that are trained as one, their outputs averaged; each has m neurons a class.

    Raises InvalidInput for a number outside its range.
    """

    n_classes: int = 10
    neurons: int = 12
    power: int = 3
    threshold: float = 0.7
    initial_scale: float = 3e-4
    members: int = 1

    def __post_init__(self) -> None:
        check_whole(self.n_classes, "n_classes", InvalidInput, 2)
        check_whole(self.neurons, "neurons", InvalidInput)
        check_whole(self.power, "power", InvalidInput, 2)
        check_whole(self.members, "members", InvalidInput)
        check_positive(self.threshold, "threshold", "a response", InvalidInput)
        check_positive(self.initial_scale, "initial_scale", "a standard deviation", InvalidInput)

    @property
    def width(self) -> int:
        """Neurons of all classes and members."""
        return self.n_classes * self.members * self.neurons

    def activation(self, responses: Any) -> tuple[Any, Any]:
        """ReLU~(z) and its derivative: 0, z^q/(q ϱ^(q−1)) up to ϱ, then z − (1 − 1/q) ϱ."""
        from hilbertsd.networks.jax_backend import jnp

        inside = jnp.clip(responses, 0, self.threshold)
        slope = (inside / self.threshold) ** (self.power - 1)
        return inside * slope / self.power + jnp.maximum(responses - self.threshold, 0), slope

    def outputs(self, responses: Any) -> tuple[Any, Any]:
        """Outputs and slopes.

        Parameters
        ----------
        responses : (n, P, width) ⟨w, x_p⟩, the neurons of a class side by side.

        Returns
        -------
        (n, k) outputs, and (n, P, width) derivatives of the output of a neuron's class by its response.
        """
        values, slopes = self.activation(responses)
        by_class = values.sum(axis=1).reshape(len(responses), self.n_classes, -1).sum(axis=2)
        return by_class / self.members, slopes / self.members

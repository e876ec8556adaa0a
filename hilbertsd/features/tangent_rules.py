"""Two ways to fit a network that at infinite width are a spectral filter of its kernel.

    Penalised((0.03, 0.08))  # minimises (1/n)‖g_θ(X) − y‖² + c_t ‖θ − θ₀‖²: kernel ridge, d/(c_t+d)
    Descent(tolerance=0.1)   # gradient descent on (1/n)‖g_θ(X) − y‖² until it is ε: gradient flow, 1 − e^{−sd}

d are the eigenvalues of kernel/n. `rule.fit(network, targets, round)` trains, and `rule.filter(spectrum, round)` is
what that does to a network that is linear in its parameters.

Source: for the penalty Hu, Li & Yu (2020), arXiv:1905.11368; for gradient descent Lee et al. (2019), arXiv:1902.06720.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput, NotConverged
from hilbertsd.features.tangent import TangentNetwork, difference, moved, network_outputs, squared_norm
from hilbertsd.filters import Filter, gradient_flow, match_training_error, ridge
from hilbertsd.networks.architectures import Architecture
from hilbertsd.ntk.jax_backend import jax, jnp, lax, sixty_four_bits
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import check_positive

SETTLED = 3e-4
"""Share of the objective by which a Gauss-Newton step has to lower it to be followed by another.

With ReLUs minima lie at kinks, where steps overshoot and their useful part shrinks. Outputs where this ends are as far
from those of many more steps as from those of another way of damping, about 3 % of what 1/√width leaves (widths 32 to
2,048 on 30 digits): kinks leave no one minimum to be found.
"""

MOST_STEPS, MOST_HALVINGS = 100, 12
"""Gauss-Newton steps before a fit is given up, and halvings after which a step is none."""

MOST_DESCENT_STEPS = 100_000

BISECTIONS = 14
"""Halvings of the last step of descent, at whose end the error is ε to about 1e-5 of itself."""


class Fitted(NamedTuple):
    """Parameters that a rule found, and the number of steps it took, the last of which may count in part."""

    parameters: Any
    steps: float


class Rule(Protocol):
    """How every round of a chain is fitted."""

    def collapsed(self, targets: NDArray[np.float64], round: int) -> bool:
        """Whether the zero function is the round's fit to (n,) targets, and of every round after it."""
        ...

    def filter(self, spectrum: Spectrum, round: int) -> Filter:
        """Filter of the rule for a network that is linear in its parameters."""
        ...

    def fit(self, network: TangentNetwork, targets: NDArray[np.float64], round: int) -> Fitted:
        """Parameters fitted to (n,) targets, from the network's start."""
        ...


@dataclass(frozen=True)
class Penalised:
    """Minimise (1/n)‖g_θ(X) − y_t‖² + c_t ‖θ − θ₀‖² by Gauss-Newton steps in function space.

    Attributes
    ----------
    multipliers : (T,) c_t of every round, in units of the eigenvalues of kernel/n; those of a path make its rounds.

    Raises InvalidInput where one is not positive.
    """

    multipliers: tuple[float, ...]

    def __post_init__(self) -> None:
        for c in self.multipliers:
            check_positive(c, "multipliers", "in units of the eigenvalues", InvalidInput)

    def collapsed(self, targets: NDArray[np.float64], round: int) -> bool:
        """Whether the path has no multiplier for the round."""
        del targets
        return round >= len(self.multipliers)

    def filter(self, spectrum: Spectrum, round: int) -> Filter:
        """Ridge with the round's multiplier."""
        del spectrum
        return ridge(self.multipliers[round])

    def fit(self, network: TangentNetwork, targets: NDArray[np.float64], round: int) -> Fitted:
        """Parameters at a minimum: θ ← θ₀ + Jᵀ(JJᵀ + ncI)⁻¹(y − g_θ + J(θ − θ₀)), with J at the θ before.

        Of a step that does not lower the objective a half is taken, or a quarter, and so on. Where a step lowers it by
        less than 3e-4 of itself, or no part of a step does, the objective has settled.

        Raises NotConverged where it has not after 100 steps.
        """
        c, n = self.multipliers[round], len(targets)

        def objective(parameters: Any, outputs: NDArray[np.float64]) -> float:
            return float(np.mean((outputs - targets) ** 2)) + c * squared_norm(difference(parameters, network.start))

        parameters, outputs, kernel = network.start, np.zeros(n), network.initial_kernel
        value, share = objective(parameters, outputs), 0.5
        for step in range(1, MOST_STEPS + 1):
            so_far = difference(parameters, network.start)
            right = targets - outputs + network.derivative(parameters, so_far)
            coefficients = np.linalg.solve(kernel + n * c * np.eye(n), right)
            direction = difference(network.combination(parameters, coefficients), so_far)
            before, share = value, min(1.0, 2 * share)
            for _ in range(MOST_HALVINGS):
                candidate = moved(parameters, direction, share)
                new = network.outputs(candidate)
                if (value := objective(candidate, new)) < before:
                    parameters, outputs = candidate, new
                    break
                share /= 2
            if not value < before * (1 - SETTLED):
                return Fitted(parameters, step)
            kernel = network.kernel(parameters)
        raise NotConverged(
            f"the objective is {value:.6g} and still falls after {MOST_STEPS} Gauss-Newton steps with multiplier "
            f"{c:.3g}; give a larger multiplier or a wider network"
        )


@dataclass(frozen=True)
class Descent:
    """Full-batch gradient descent on (1/n)‖g_θ(X) − y_t‖² from the start until it is ε, its last step in part.

    Attributes
    ----------
    tolerance : ε.
    rate : learning rate as a share of 2/λ, at which descent on the network's own linearisation stops to converge; λ is
        the largest eigenvalue of its tangent kernel at the start, over n. A step of share r multiplies the error along
        that eigenvector by 1 − 2r.

    Raises InvalidInput where one is not positive.
    """

    tolerance: float
    rate: float = 0.1

    def __post_init__(self) -> None:
        check_positive(self.tolerance, "tolerance", "the mean squared error at which training stops", InvalidInput)
        check_positive(self.rate, "rate", "a share of the largest stable one", InvalidInput)

    def collapsed(self, targets: NDArray[np.float64], round: int) -> bool:
        """Whether the targets' mean square is at most ε."""
        del round
        return bool(np.mean(targets**2) <= self.tolerance)

    def filter(self, spectrum: Spectrum, round: int) -> Filter:
        """Gradient flow, stopped where its training error is ε."""
        del round
        return match_training_error(spectrum, gradient_flow, self.tolerance)

    def fit(self, network: TangentNetwork, targets: NDArray[np.float64], round: int) -> Fitted:
        """Parameters at which the error is ε to 1e-4 relative.

        Raises NotConverged where the error is not finite, or above ε after 100,000 steps.
        """
        del round
        rate = self.rate * 2 / float(np.linalg.eigvalsh(network.initial_kernel)[-1] / len(targets))
        with sixty_four_bits(True):
            arguments = (network.start, jnp.asarray(network.images), jnp.asarray(targets), rate, self.tolerance)
            parameters, steps, error = _descended(network.architecture, *arguments)
            steps, error = float(steps), float(error)
        if not error <= self.tolerance * (1 + 1e-3):
            raise NotConverged(
                f"the error is {error:.3g} after {steps:,.0f} steps of gradient descent at {self.rate:g} of the "
                f"largest stable rate, and was to fall to {self.tolerance:g}; give a smaller rate or a larger tolerance"
            )
        return Fitted(parameters, steps)


@partial(jax.jit, static_argnums=0)
def _descended(
    architecture: Architecture, start: Any, images: Any, targets: Any, rate: Any, tolerance: Any
) -> tuple[Any, Any, Any]:
    """Parameters, number of steps and error where descent first meets the tolerance."""
    goal = network_outputs(architecture, start, images) + targets

    def residuals(parameters: Any) -> Any:
        return network_outputs(architecture, parameters, images) - goal

    def error_and_slope(parameters: Any) -> tuple[Any, Any]:
        # The gradient of half the error, so that the residuals follow r ← (I − rate · K/n) r.
        missed, pull = jax.vjp(residuals, parameters)
        return jnp.mean(missed**2), pull(missed / len(targets))[0]

    def step(state: Any) -> Any:
        count, _, parameters, _, slope = state
        after = jax.tree.map(lambda value, change: value - rate * change, parameters, slope)
        return count + 1, parameters, after, *error_and_slope(after)

    def goes_on(state: Any) -> Any:
        count, _, _, error, _ = state
        return (error > tolerance) & (error < jnp.inf) & (count < MOST_DESCENT_STEPS)

    state = (0, start, start, *error_and_slope(start))
    count, before, after, error, _ = lax.while_loop(goes_on, step, state)

    def between(share: Any) -> Any:
        return jax.tree.map(lambda value, other: value + share * (other - value), before, after)

    def halve(_: Any, ends: Any) -> Any:
        above, under = ends
        middle = (above + under) / 2
        is_above = jnp.mean(residuals(between(middle)) ** 2) > tolerance
        return jnp.where(is_above, middle, above), jnp.where(is_above, under, middle)

    share = lax.fori_loop(0, BISECTIONS, halve, (jnp.zeros(()), jnp.ones(())))[1]
    share = jnp.where(error <= tolerance, share, 1.0)
    parameters = between(share)
    return parameters, count - 1 + share, jnp.mean(residuals(parameters) ** 2)

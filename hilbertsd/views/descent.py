"""Gradient descent of view networks in one compiled loop, from the views a patch shows or from patches in d dimensions.

Gaussian noise of a patch in many dimensions is orthogonal to the views and to the noise of every other patch. In that
limit weights live on an orthonormal basis, the views and one noise vector a patch, and a response is

    ⟨w, x_p⟩ = Σ_v f_pv ⟨w, v⟩ + c ⟨w, ξ_p/c⟩

so that gradient descent needs a matrix product with 2k columns only. In d dimensions a response is the product itself.

No step changes a correlation with a view by more than a tenth of itself (or a small absolute number), or the response
to a patch's own noise by more than 0.3: gradient flow, in steps as long as these limits and the largest rate allow.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from hilbertsd.errors import InvalidInput
from hilbertsd.networks.jax_backend import compiler_options, jax, jnp, lax
from hilbertsd.support.checks import check_positive, check_whole
from hilbertsd.views.losses import ViewLoss
from hilbertsd.views.network import ViewNetwork

RECORD_EVERY = 10
"""Steps from one record of loss, accuracy and strengths to the next."""


class State(NamedTuple):
    """Weights of a network.

    Attributes
    ----------
    weights : (2k, width) correlations of neurons with views; in d dimensions (d, width) weights.
    noise : (n, P, width) correlations with the direction of every patch's noise; None in d dimensions.
    """

    weights: Any
    noise: Any


@dataclass(frozen=True)
class ViewDescent:
    """How a network is trained.

    Attributes
    ----------
    rate : largest step; the gradient is summed over samples.
    relative_change, least_change : a step changes no correlation with a view by more than this share of it, or by more
        than the other number where that is larger.
    noise_change : a step changes no response to a patch's own noise by more than this.
    settled : training ends when all training samples are right and, since half as many steps ago, the loss has fallen
        by less than this share of its whole fall.
    most_steps : number of steps after which training is given up.
    """

    rate: float = 0.3
    relative_change: float = 0.1
    least_change: float = 0.02
    noise_change: float = 0.3
    settled: float = 0.01
    most_steps: int = 10_000

    def __post_init__(self) -> None:
        for name in ("rate", "relative_change", "least_change", "noise_change", "settled"):
            check_positive(getattr(self, name), name, "a number of the descent", InvalidInput)
        check_whole(self.most_steps, "most_steps", InvalidInput, RECORD_EVERY)


def initial_state(network: ViewNetwork, shape: tuple[int, ...], seed: int, in_limit: bool = True) -> State:
    """Weights of a seed at the start, independent N(0, σ_0²), for inputs of a shape (n, P, 2k) or (n, P, d)."""
    weights, noise = jax.random.split(jax.random.key(seed))
    return State(
        network.initial_scale * jax.random.normal(weights, (shape[2], network.width), jnp.float32),
        network.initial_scale * jax.random.normal(noise, (*shape[:2], network.width), jnp.float32)
        if in_limit
        else None,
    )


def _responses(state: State, inputs: Any, noise: Any) -> Any:
    n, n_patches, columns = inputs.shape
    found = (inputs.reshape(n * n_patches, columns) @ state.weights).reshape(n, n_patches, -1)
    return found if state.noise is None else found + noise * state.noise


@partial(jax.jit, static_argnames="network", **compiler_options())
def outputs_of(state: State, inputs: Any, noise: Any, network: ViewNetwork) -> Any:
    """(n, k) outputs."""
    return network.outputs(_responses(state, inputs, noise))[0]


class Records(NamedTuple):
    """Loss and accuracy before, and strengths after, the last of every ten steps."""

    losses: Any
    accuracies: Any
    strengths: Any


@partial(jax.jit, static_argnames=("network", "loss", "descent"), **compiler_options())
def descended(
    state: State,
    inputs: Any,
    one_hot: Any,
    teacher: Any,
    views: Any,
    noise: Any,
    least_steps: Any,
    network: ViewNetwork,
    loss: ViewLoss,
    descent: ViewDescent,
) -> tuple[State, Any, Records, Any]:
    """Weights at the end, number of records, records with zeros after them, and whether training settled."""
    n, n_patches, columns = inputs.shape
    k, most = network.n_classes, descent.most_steps // RECORD_EVERY

    def step(state: State) -> tuple[State, Any, Any]:
        outputs, slopes = network.outputs(_responses(state, inputs, noise))
        value, pull = jax.value_and_grad(loss)(outputs, one_hot, teacher)
        force = (slopes.reshape(n, n_patches, k, -1) * pull[:, None, :, None]).reshape(n * n_patches, -1)
        gradient = inputs.reshape(n * n_patches, columns).T @ force
        now, change = (each if views is None else views @ each for each in (state.weights, gradient))
        allowed = jnp.maximum(descent.relative_change * jnp.abs(now), descent.least_change)
        tiny = jnp.finfo(change.dtype).tiny
        # Of L networks that are trained as one each has 1/L of a single one's gradient.
        rate = jnp.minimum(descent.rate * network.members, (allowed / (jnp.abs(change) + tiny)).min())
        rate = jnp.minimum(rate, descent.noise_change / (noise**2 * jnp.abs(force).max() + tiny))
        moved = state.weights - rate * gradient
        kept = None if state.noise is None else state.noise - rate * noise * force.reshape(state.noise.shape)
        right = (outputs.argmax(axis=1) == one_hot.argmax(axis=1)).mean()
        return State(moved, kept), value / n, right

    def strengths(weights: Any) -> Any:
        correlations = (weights if views is None else views @ weights).reshape(2 * k, k, -1).max(axis=2)
        return correlations[jnp.arange(2 * k), jnp.arange(2 * k) // 2].reshape(k, 2)

    def ten_steps(carry: Any) -> Any:
        state, records, measures, _ = carry
        state = lax.fori_loop(0, RECORD_EVERY - 1, lambda _, each: step(each)[0], state)
        state, value, right = step(state)
        found = Records(value, right, strengths(state.weights))
        measures = jax.tree.map(lambda all_, one: all_.at[records].set(one), measures, found)
        records += 1
        before = measures.losses[jnp.maximum(records // 2 - 1, 0)]
        settled = (right == 1) & (before - value < descent.settled * (measures.losses[0] - value))
        return state, records, measures, settled & (RECORD_EVERY * records >= least_steps)

    def unfinished(carry: Any) -> Any:
        return (carry[1] < most) & ~carry[3]

    empty = Records(jnp.zeros(most), jnp.zeros(most), jnp.zeros((most, k, 2)))
    return lax.while_loop(unfinished, ten_steps, (state, jnp.zeros((), int), empty, jnp.zeros((), bool)))

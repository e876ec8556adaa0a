"""Full-batch gradient descent of view networks, from the views a patch shows, or from patches in d dimensions.

    trained = train_view_networks(network, features, labels, noise=1.2, seeds=range(10))
    trained[0].strengths[-1]                     # (10, 2) how strongly every class responds to its two views
    trained[0].outputs(test_features, seed=1)    # (m, 10)

Gaussian noise of a patch in many dimensions is orthogonal to the views and to the noise of every other patch. In that
limit weights live on an orthonormal basis, the views and one noise vector a patch, and a response is

    ⟨w, x_p⟩ = Σ_v f_pv ⟨w, v⟩ + c ⟨w, ξ_p/c⟩

so that gradient descent needs a matrix product with 2k columns only. A test sample's noise is orthogonal to all that
was learned: its responses to it stay as at the start. With `views`, everything is in d dimensions instead.

No step changes a correlation with a view by more than a tenth of itself (or a small absolute number), or the response
to a patch's own noise by more than 0.3: gradient flow, in steps as long as these limits and the largest rate allow.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.networks.jax_backend import compiler_options, jax, jnp, lax
from hilbertsd.support.checks import check_positive, check_whole
from hilbertsd.views.losses import ViewLoss
from hilbertsd.views.network import ViewNetwork

TEST_ROWS = 1000
"""Test samples whose responses are in memory at a time."""

LEARNED = 0.1
"""A view counts as learned if its strength is above this share of the strongest views' median over the classes."""


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
class Descent:
    """How a network is trained.

    Attributes
    ----------
    rate : largest step for each sample's gradient.
    relative_change, least_change : a step changes no correlation with a view by more than this share of it, or by more
        than the other number where that is larger.
    noise_change : a step changes no response to a patch's own noise by more than this.
    settled : training ends when all training samples are right and, since half as many steps ago, the loss has fallen
        by no more than this share of what it was at the start.
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


RECORD_EVERY = 10
"""Steps from one record of loss, accuracy and strengths to the next."""


@dataclass(frozen=True, eq=False)
class TrainedViews:
    """One trained network.

    Attributes
    ----------
    network : what was trained.
    noise : c, length of a patch's noise.
    seed : of the weights at the start.
    state : weights at the end.
    views : (2k, d) views of what was trained in d dimensions; None in the limit.
    train_outputs : (n, k) outputs at the end.
    losses, accuracies : (R,) mean loss and accuracy on the training samples, every ten steps.
    strengths : (R, k, 2) largest correlation of a class's neurons with each of its views, every ten steps.
    settled : whether training came to its end; False where `most_steps` ended it.
    """

    network: ViewNetwork
    noise: float
    seed: int
    state: State
    views: NDArray[np.float64] | None
    train_outputs: NDArray[np.float32]
    losses: NDArray[np.float32]
    accuracies: NDArray[np.float32]
    strengths: NDArray[np.float32]
    settled: bool

    @property
    def steps(self) -> int:
        """Number of steps."""
        return RECORD_EVERY * len(self.losses)

    @property
    def learned(self) -> NDArray[np.bool_]:
        """(k, 2) which views the network knows at the end."""
        return learned(self.strengths[-1])

    def outputs(self, inputs: Any, seed: int) -> NDArray[np.float32]:
        """(m, k) outputs for test samples.

        Parameters
        ----------
        inputs : (m, P, 2k) views that their patches show; in d dimensions (m, P, d) patches.
        seed : of the test samples' noise in the limit.
        """
        # The key of the noise holds the network's seed, too: two networks respond to it independently.
        key = jax.random.fold_in(jax.random.key(seed), self.seed)
        found = []
        for start in range(0, len(inputs), TEST_ROWS):
            rows = jnp.asarray(inputs[start : start + TEST_ROWS], jnp.float32)
            fresh = None
            if self.views is None:
                shape = (*rows.shape[:2], self.network.width)
                fresh = self.network.initial_scale * jax.random.normal(jax.random.fold_in(key, start), shape)
            found.append(np.asarray(_outputs(State(self.state.weights, fresh), rows, self.noise, self.network)))
        return np.concatenate(found)


def learned(strengths: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(…, k, 2) which views count as learned, from (…, k, 2) strengths."""
    strongest = np.median(strengths.max(axis=-1), axis=-1)
    return strengths > LEARNED * strongest[..., None, None]


def train_view_networks(
    network: ViewNetwork,
    inputs: Any,
    labels: Any,
    *,
    noise: float,
    seeds: Sequence[int],
    loss: ViewLoss = ViewLoss(),  # noqa: B008  # frozen
    teachers: Iterable[Any] | None = None,
    descent: Descent = Descent(),
    least_steps: Iterable[int] | None = None,
    views: NDArray[np.float64] | None = None,
    starts: Iterable[State] | None = None,
    threads: int = 1,
) -> list[TrainedViews]:
    """Train networks that differ by seed.

    Each network is trained by itself, in one compiled loop: that takes a third of the time of `vmap` over seeds on a
    processor, whose cache holds one network but not ten.

    Parameters
    ----------
    network : what is trained.
    inputs : (n, P, 2k) views that the patches show, in the limit of orthogonal noise; with `views` (n, P, d) patches.
    labels : (n,) classes.
    noise : c, length of a patch's noise.
    seeds : (S,) seeds of the weights at the start.
    loss : of the training; losses but "labels" need teachers.
    teachers : S teachers' (n, k) outputs for the training samples.
    descent : how steps are taken, and when training ends.
    least_steps : S numbers of steps before which training does not end, none by default. A student's loss may stand
        still for some time before a second view, which grows slowly from its small start, is learned.
    views : (2k, d) orthonormal views; None for the limit.
    starts : S weights at the start, instead of those of the seeds.
    threads : networks that are trained at a time.

    Raises
    ------
    InvalidInput
        Shapes do not go together, or teachers are missing or too many.
    """
    inputs, labels = jnp.asarray(inputs, jnp.float32), np.asarray(labels)
    n_views = 2 * network.n_classes
    columns = n_views if views is None else views.shape[1]
    if inputs.ndim != 3 or inputs.shape[2] != columns or labels.shape != inputs.shape[:1]:
        raise InvalidInput(
            f"inputs have shape {inputs.shape} and labels {labels.shape}; give (n, patches, {columns}) and (n,)"
        )
    if not ((labels >= 0) & (labels < network.n_classes)).all():
        raise InvalidInput(f"labels go from {labels.min()} to {labels.max()}; give 0 to {network.n_classes - 1}")
    check_positive(noise, "noise", "the length of a patch's noise", InvalidInput)
    if loss.has_teacher == (teachers is None):
        raise InvalidInput(f"the loss {loss.name!r} {'needs' if loss.has_teacher else 'has no'} teachers")
    one_hot = jax.nn.one_hot(labels, network.n_classes)
    basis = None if views is None else jnp.asarray(views, jnp.float32)

    def trained(seed: int, teacher: Any, least: int, start: State | None) -> TrainedViews:
        state = start or initial_state(network, inputs.shape, seed, views is None)
        teacher = None if teacher is None else jnp.asarray(teacher, jnp.float32)
        if teacher is not None and teacher.shape != one_hot.shape:
            raise InvalidInput(f"a teacher's outputs have shape {teacher.shape}; give {one_hot.shape}")
        found = _trained(state, inputs, one_hot, teacher, basis, noise, least, network, loss, descent)
        outputs = np.asarray(_outputs(found[0], inputs, noise, network))
        state, records, measures, settled = jax.tree.map(np.asarray, found)
        losses, accuracies, strengths = (values[:records] for values in measures)
        return TrainedViews(network, noise, seed, state, views, outputs, losses, accuracies, strengths, bool(settled))

    S = len(seeds)
    each = [[None] * S if given is None else list(given) for given in (teachers, least_steps, starts)]
    each[1] = [least or 0 for least in each[1]]
    if any(len(given) != S for given in each):
        raise InvalidInput(f"{S} seeds have {', '.join(str(len(given)) for given in each)} teachers, steps and starts")
    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(trained, seeds, *each))


def initial_state(network: ViewNetwork, shape: tuple[int, ...], seed: int, in_limit: bool = True) -> State:
    """Weights of a seed at the start, independent N(0, σ_0²), for inputs of a shape (n, P, 2k) or (n, P, d)."""
    weights, noise = jax.random.split(jax.random.key(seed))
    return State(
        network.initial_scale * jax.random.normal(weights, (shape[2], network.width)),
        network.initial_scale * jax.random.normal(noise, (*shape[:2], network.width)) if in_limit else None,
    )


def _responses(state: State, inputs: Any, noise: Any) -> Any:
    n, n_patches, columns = inputs.shape
    found = (inputs.reshape(n * n_patches, columns) @ state.weights).reshape(n, n_patches, -1)
    return found if state.noise is None else found + noise * state.noise


@partial(jax.jit, static_argnames="network", **compiler_options())
def _outputs(state: State, inputs: Any, noise: Any, network: ViewNetwork) -> Any:
    return network.outputs(_responses(state, inputs, noise))[0]


class _Measures(NamedTuple):
    losses: Any
    accuracies: Any
    strengths: Any


@partial(jax.jit, static_argnames=("network", "loss", "descent"), **compiler_options())
def _trained(
    state: State,
    inputs: Any,
    one_hot: Any,
    teacher: Any,
    views: Any,
    noise: Any,
    least_steps: Any,
    network: ViewNetwork,
    loss: ViewLoss,
    descent: Descent,
) -> tuple[State, Any, _Measures, Any]:
    """Weights at the end, number of records, records, and whether training settled."""
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
        found = _Measures(value, right, strengths(state.weights))
        measures = jax.tree.map(lambda all_, one: all_.at[records].set(one), measures, found)
        records += 1
        before = measures.losses[jnp.maximum(records // 2 - 1, 0)]
        settled = (right == 1) & (before - value <= descent.settled * measures.losses[0])
        return state, records, measures, settled & (RECORD_EVERY * records >= least_steps)

    def unfinished(carry: Any) -> Any:
        return (carry[1] < most) & ~carry[3]

    empty = _Measures(jnp.zeros(most), jnp.zeros(most), jnp.zeros((most, k, 2)))
    return lax.while_loop(unfinished, ten_steps, (state, jnp.zeros((), int), empty, jnp.zeros((), bool)))

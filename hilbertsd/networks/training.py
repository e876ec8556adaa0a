"""Training of networks: one jitted step on explicit state, for one seed or for several side by side.

    training = Training(steps=2000, batch_size=128, learning_rate=0.1)
    trainer = Trainer(network, loss, training, images)
    state = trainer.start(seeds=(0,), round=0)
    state = trainer.run(state, targets, round=0)
    trainer.outputs(state.parameters, state.statistics, test_images)   # (seeds, m, k)

The order of the images and the crops and flips of every epoch are drawn anew from the seed, the round and the epoch, so
that a run which goes on from a stored state sees the same images as one that was never interrupted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput, NotConverged
from hilbertsd.networks.finite import FiniteNetwork
from hilbertsd.networks.jax_backend import compiler_options, jax, jnp, lax, optax, over_seeds, stacked
from hilbertsd.networks.losses import Loss
from hilbertsd.support.checks import check_choice, check_positive, check_whole

OPTIMISERS = ("sgd", "adam")
SCHEDULES = ("constant", "cosine", "steps", "triangular")
AUGMENTATIONS = ("none", "crops and flips", "crops and alternating flips")
CONSTRAINTS = ("stop", "penalty")
DECAYS = ("decoupled", "in the loss")
PRECISIONS = ("float32", "bfloat16")

PADDING = 4
"""Pixels by which images are padded on every side before a crop of their size is taken."""

DROPS = (1 / 2, 3 / 4)
"""Shares of the steps after which the schedule "steps" divides the learning rate by ten."""

WARM_UP = 0.2
"""Share of the steps in which the schedule "triangular" rises."""

EVALUATED_AT_ONCE = 500
"""Images whose outputs one call computes."""

WITHIN = 0.05
"""Relative distance from the tolerance at which a penalised run has to end."""

PENALTY_RATE, PENALTY_START, APPROACHING = 0.3, 1e-4, 0.99
"""How fast the logarithm of the penalty follows the error at every check; the penalty at the start; and the share of
its last distance from the tolerance below which an error is on its way there."""


@dataclass(frozen=True)
class Training:
    """How one network is trained; its defaults are for residual networks with normalisation on CIFAR.

    Attributes
    ----------
    steps : number of steps; with a tolerance the largest number.
    batch_size : images of a step; None for all. Every epoch is a new order, and images of its last, smaller batch wait
        for the next.
    optimiser : "sgd" with Nesterov `momentum`, or "adam" with Optax's decay rates.
    learning_rate : at the start; of the schedule "triangular" the highest.
    schedule : "constant"; "cosine" to 0; "steps": a tenth after half of the steps, a hundredth after three quarters; or
        "triangular": from a fifth to the whole in a fifth of the steps, then down to 0, both in a straight line.
    momentum : of sgd.
    weight_decay : pull of the parameters towards 0.
    decay : "decoupled": every step takes this share of the parameters away, times the learning rate, beside the
        gradient and its momentum (Loshchilov & Hutter 2019, arXiv:1711.05101); or "in the loss": the loss of the steps
        has weight_decay/2 ‖θ‖² added, whose gradient the optimiser treats as any other.
    augmentation : "none"; "crops and flips": shifts by up to 4 pixels and reflections left to right at random; or
        "crops and alternating flips": whether an image is reflected in the first epoch is random, and changes in every
        epoch after it, so that both views are seen equally often (Jordan 2024, arXiv:2404.00498).
    tolerance : ε, the error against the round's own targets at which training ends; None for a number of steps alone.
    constraint : how the tolerance is met. "stop" ends the run at the first check at or under ε: for an infinitely wide
        network gradient flow stopped at ε. "penalty" adds c‖θ − θ₀‖² with a c that follows the error until it is ε, the
        constrained problem of MFB (1) in the parameters.
    check_every : steps between two looks at the error; None for an epoch.
    precision : "float32", or "bfloat16" for the products on an accelerator.

    Raises InvalidInput for values that are none of these.
    """

    steps: int = 2000
    batch_size: int | None = 128
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    schedule: str = "cosine"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay: str = "decoupled"
    augmentation: str = "none"
    tolerance: float | None = None
    constraint: str = "stop"
    check_every: int | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name, choices in (
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
            ("augmentation", AUGMENTATIONS),
            ("constraint", CONSTRAINTS),
            ("decay", DECAYS),
            ("precision", PRECISIONS),
        ):
            check_choice(getattr(self, name), name, choices)
        for name in ("steps", "batch_size", "check_every"):
            if name == "steps" or getattr(self, name) is not None:
                check_whole(getattr(self, name), name, InvalidInput)
        check_positive(self.learning_rate, "learning_rate", "the size of a step", InvalidInput)
        for name, most in (("momentum", 1.0), ("weight_decay", np.inf)):
            if not (isinstance(getattr(self, name), int | float) and 0 <= getattr(self, name) < most):
                raise InvalidInput(f"{name} is {getattr(self, name)!r}; give a number from 0 to below {most:g}")
        if self.tolerance is not None:
            check_positive(self.tolerance, "tolerance", "the error at which training ends", InvalidInput)
            if self.constraint == "penalty" and self.weight_decay:
                raise InvalidInput(
                    f"weight_decay is {self.weight_decay:g} and constraint is 'penalty'; it would pull towards 0 and "
                    "the penalty pulls towards the start, give weight_decay=0"
                )
        elif self.constraint == "penalty":
            raise InvalidInput("constraint is 'penalty' and tolerance is None; give the error that is to be met")

    def optimiser_of(self) -> Any:
        """Optax's transformation of gradients."""
        rate: Any = self.learning_rate
        if self.schedule == "cosine":
            rate = optax.cosine_decay_schedule(self.learning_rate, self.steps)
        elif self.schedule == "steps":
            at = {int(share * self.steps): 0.1 for share in DROPS}
            rate = optax.piecewise_constant_schedule(self.learning_rate, at)
        elif self.schedule == "triangular":
            peak = max(1, int(WARM_UP * self.steps))
            places, rates = [0, peak, self.steps], [WARM_UP * self.learning_rate, self.learning_rate, 0.0]
            rate = lambda step: jnp.interp(step, jnp.array(places), jnp.array(rates))  # noqa: E731
        direction = optax.scale_by_adam()
        if self.optimiser == "sgd":
            direction = optax.trace(self.momentum, nesterov=True) if self.momentum else optax.identity()
        pull = optax.add_decayed_weights(self.weight_decay)
        towards = (direction, pull) if self.decay == "decoupled" else (pull, direction)
        return optax.chain(*towards, optax.scale_by_learning_rate(rate))


@dataclass(frozen=True)
class State:
    """Networks in training; every array has an axis of seeds first.

    Attributes
    ----------
    seeds : seeds of the networks.
    step : number of steps taken.
    parameters, statistics, optimiser : states of NNX and Optax.
    log_penalty : (seeds,) logarithm of c where the error is constrained by a penalty.
    error : (seeds,) error against the round's own targets at the last check, of all images where there is a tolerance
        and of the last batch where there is none; infinite before the first.
    stopped_at : (seeds,) step at which each reached the tolerance, −1 before.
    """

    seeds: tuple[int, ...]
    step: int
    parameters: Any
    statistics: Any
    optimiser: Any
    log_penalty: Any
    error: NDArray[np.float64]
    stopped_at: NDArray[np.int64]


class Trainer:
    """Trains networks of one architecture on one set of images; compiled once for all rounds and seeds.

    Parameters
    ----------
    network : the function.
    loss : of every round.
    training : how.
    images : (n, …) training images.
    """

    def __init__(self, network: FiniteNetwork, loss: Loss, training: Training, images: NDArray[Any]) -> None:
        self.network, self.loss, self.training, self.n = network, loss, training, len(images)
        self.batch = min(training.batch_size or self.n, self.n)
        self.epoch = self.n // self.batch
        self.check_every = training.check_every or self.epoch
        self._images = jnp.asarray(images, network.parameter_dtype)
        self._optimiser = training.optimiser_of()
        self._steps: dict[tuple[bool, bool], Callable[..., Any]] = {}

    def start(self, seeds: Sequence[int], round: int) -> State:  # noqa: A002
        """Random networks of a round, one for every seed."""
        parameters, statistics = stacked([self.network.init((seed, round)) for seed in seeds])
        return State(
            tuple(seeds),
            0,
            parameters,
            statistics,
            jax.vmap(self._optimiser.init)(parameters),
            jnp.full(len(seeds), np.log(PENALTY_START), "float32"),
            np.full(len(seeds), np.inf),
            np.full(len(seeds), -1),
        )

    def run(
        self,
        state: State,
        targets: Any,
        round: int = 0,  # noqa: A002  # the field's word
        teacher: tuple[Any, Any] | None = None,
        at_check: Callable[[State], None] = lambda _: None,
    ) -> State:
        """Train until the steps are taken or every network has reached the tolerance.

        Parameters
        ----------
        state : where to go on.
        targets : (seeds, n, k) targets.
        round : number of the round.
        teacher : parameters and statistics, with an axis of seeds, of networks that are shown the augmented images and
            set the targets of each batch; None for the stored targets.
        at_check : called with the state after every `check_every` steps, to store or to show it.

        Raises
        ------
        NotConverged
            A loss is not finite, or the tolerance is not met.
        """
        t, targets = self.training, jnp.asarray(targets, self.network.parameter_dtype)
        if state.step == 0 and t.tolerance is not None:
            # Targets that the start already meets are the end of a chain: a kernel's path collapses there.
            error = self.errors(self.outputs(state.parameters, state.statistics, None), targets, round)
            met = (error <= t.tolerance) & (t.constraint == "stop")
            state = replace(state, error=error, stopped_at=np.where(met, 0, -1))
            if met.all():
                return state
        # The penalty is on the distance from here.
        origin = (
            stacked([self.network.init((seed, round))[0] for seed in state.seeds])
            if t.constraint == "penalty"
            else None
        )
        for rows, shifts in self._batches(state, round):
            active = jnp.asarray(state.stopped_at < 0)
            step = self._step(round, teacher is not None)
            moved = (state.parameters, state.statistics, state.optimiser)
            moved, loss = step(moved, origin, teacher, targets, self._images, rows, shifts, active, state.log_penalty)
            state = replace(state, step=state.step + 1, parameters=moved[0], statistics=moved[1], optimiser=moved[2])
            if state.step % self.check_every == 0 or state.step == t.steps:
                state = self._checked(state, loss, targets, round)
                at_check(state)
                if t.tolerance is not None and np.all(state.stopped_at >= 0):
                    break
        self._check_met(state, round)
        return state

    def outputs(self, parameters: Any, statistics: Any, images: Any) -> NDArray[Any]:
        """(seeds, m, k) outputs for (m, …) images, with the running statistics."""
        images = self._images if images is None else jnp.asarray(images, self.network.parameter_dtype)
        at_once = min(EVALUATED_AT_ONCE, len(images))
        parts = []
        for start in range(0, len(images), at_once):
            first = min(start, len(images) - at_once)  # all calls have one shape and compile once
            part = self._evaluate(parameters, statistics, images[first : first + at_once])
            parts.append(np.asarray(part)[:, start - first :])
        return np.concatenate(parts, axis=1)

    def errors(self, outputs: Any, targets: Any, round: int = 0) -> NDArray[np.float64]:  # noqa: A002
        """(seeds,) mean loss of (seeds, n, k) outputs against targets."""
        return np.asarray(self.loss.of(jnp.asarray(outputs), jnp.asarray(targets), round), dtype=float).mean(axis=-1)

    def _batches(self, state: State, round: int) -> Iterator[tuple[Any, Any]]:  # noqa: A002
        """Rows (seeds, batch) of every step that is left, and shifts (seeds, batch, 3) of augmented images or None."""
        for epoch in range(state.step // self.epoch, -(-self.training.steps // self.epoch)):
            drawn = [np.random.default_rng([seed, round, epoch + 1]) for seed in state.seeds]
            orders = np.stack([rng.permutation(self.n) for rng in drawn])
            moves = None
            if self.training.augmentation != "none":
                high = [2 * PADDING + 1, 2 * PADDING + 1, 2]
                moves = np.stack([rng.integers(0, high, (self.n, 3)) for rng in drawn])
                if self.training.augmentation == "crops and alternating flips":
                    moves[:, :, 2] = (np.take_along_axis(self._first_flips(state, round), orders, axis=1) + epoch) % 2
            for place in range(self.epoch):
                if state.step <= epoch * self.epoch + place < self.training.steps:
                    part = slice(place * self.batch, (place + 1) * self.batch)
                    yield orders[:, part], None if moves is None else moves[:, part]

    def _first_flips(self, state: State, round: int) -> NDArray[np.int64]:  # noqa: A002
        """(seeds, n) which images are reflected in the first epoch, where that alternates."""
        # A last 0 would be the stream of the parameters: NumPy's seeds end in as many zeros as one likes.
        return np.stack([np.random.default_rng([seed, round, 0, 1]).integers(0, 2, self.n) for seed in state.seeds])

    def _checked(self, state: State, loss: Any, targets: Any, round: int) -> State:  # noqa: A002
        """State with its error, the networks that met the tolerance marked, and the penalty moved."""
        t = self.training
        error = np.asarray(loss, dtype=float)
        if t.tolerance is not None:
            error = self.errors(self.outputs(state.parameters, state.statistics, None), targets, round)
        for seed, value in zip(state.seeds, error, strict=True):
            if not np.isfinite(value):
                raise NotConverged(
                    f"the loss of seed {seed} in round {round} is {value} at step {state.step:,}; give a learning rate "
                    f"below {t.learning_rate:g}"
                )
        if t.tolerance is None:
            return replace(state, error=error)
        if t.constraint == "penalty":
            gap = np.clip((t.tolerance - error) / t.tolerance, -1, 1)
            # An error that is on its way to the tolerance is left to go there, or the penalty would overshoot.
            moving = np.abs(error - t.tolerance) < APPROACHING * np.abs(state.error - t.tolerance)
            gap = np.where(moving, 0, gap)
            return replace(
                state, error=error, log_penalty=state.log_penalty + jnp.asarray(PENALTY_RATE * gap, "float32")
            )
        met = (error <= t.tolerance) & (state.stopped_at < 0)
        return replace(
            state,
            error=np.where(state.stopped_at < 0, error, state.error),
            stopped_at=np.where(met, state.step, state.stopped_at),
        )

    def _check_met(self, state: State, round: int) -> None:  # noqa: A002
        t = self.training
        if t.tolerance is None:
            return
        missed = state.stopped_at < 0
        if t.constraint == "penalty":
            missed = np.abs(state.error / t.tolerance - 1) > WITHIN
        for seed, error in zip(np.array(state.seeds)[missed], state.error[missed], strict=True):
            raise NotConverged(
                f"the error of seed {seed} in round {round} is {error:.4g} after {t.steps:,} steps, and the tolerance "
                f"is {t.tolerance:.4g}; give more steps, or another tolerance"
            )

    def _step(self, round: int, has_teacher: bool) -> Callable[..., Any]:  # noqa: A002
        """Compiled step; round 0 differs from the others in the temperature alone."""
        key = (bool(round) and self.loss.temperature != 1, has_teacher)
        if key not in self._steps:
            one = self._step_of_one(int(key[0]), has_teacher)
            axes = (0, 0, 0, 0, None, 0, 0, 0, 0)
            self._steps[key] = jax.jit(over_seeds(one, axes), donate_argnums=0, **compiler_options())
        return self._steps[key]

    def _step_of_one(self, round: int, has_teacher: bool) -> Callable[..., Any]:  # noqa: A002
        network = replace(self.network, dtype=self._dtype)
        penalised = self.training.constraint == "penalty"

        def step(moved, origin, teacher, targets, images, rows, shifts, active, log_penalty):
            parameters, statistics, optimiser = moved
            batch = images[rows]
            if shifts is not None:
                batch = _augmented(batch, shifts)
            wanted = targets[rows]
            if has_teacher:
                wanted = self.loss.next_targets(network.apply(teacher[0], teacher[1], batch)[0])

            def objective(parameters: Any) -> Any:
                outputs, after = network.apply(parameters, statistics, batch, training=True)
                value = jnp.mean(self.loss.of(outputs, wanted, round))
                if penalised:
                    far = jax.tree.map(lambda one, other: jnp.sum((one - other) ** 2), parameters, origin)
                    value += jnp.exp(log_penalty) * sum(jax.tree.leaves(far))
                return value, after

            (value, after), gradients = jax.value_and_grad(objective, has_aux=True)(parameters)
            updates, optimiser_after = self._optimiser.update(gradients, optimiser, parameters)
            new = (optax.apply_updates(parameters, updates), after, optimiser_after)
            if self.training.tolerance is None or penalised:
                return new, value
            # Networks that have met the tolerance stay as they are while others go on.
            return jax.tree.map(lambda one, other: jnp.where(active, one, other), new, moved), value

        return step

    @cached_property
    def _evaluate(self) -> Callable[..., Any]:
        network = replace(self.network, dtype=self._dtype)
        one = over_seeds(
            lambda parameters, statistics, images: network.apply(parameters, statistics, images)[0], (0, 0, None)
        )
        return jax.jit(one, **compiler_options())

    @property
    def _dtype(self) -> str:
        return self.network.dtype if self.training.precision == "float32" else self.training.precision


def _augmented(images: Any, shifts: Any) -> Any:
    """Images shifted by up to four pixels, with zeros beyond the border, and reflected or not."""
    padded = jnp.pad(images, [(0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)])

    def one(image: Any, shift: Any) -> Any:
        crop = lax.dynamic_slice(image, (shift[0], shift[1], 0), images.shape[1:])
        return jnp.where(shift[2], crop[:, ::-1], crop)

    return jax.vmap(one)(padded, shifts)

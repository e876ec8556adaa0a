"""Training of view networks that differ by seed, several at a time, kept in a folder.

    trained = train_view_networks(network, features, labels, noise=1.2, seeds=range(10), folder="singles")

Each network is trained by itself, in one compiled loop: that takes a third of the time of `vmap` over seeds on a
processor, whose cache holds one network but not ten.
"""

import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.multi_view import checked_views
from hilbertsd.errors import InvalidInput
from hilbertsd.networks.checkpoints import digest
from hilbertsd.networks.jax_backend import jax, jnp
from hilbertsd.support.checks import check_positive, check_whole
from hilbertsd.support.files import output_folder
from hilbertsd.views.descent import State, ViewDescent, descended, initial_state, outputs_of
from hilbertsd.views.losses import ViewLoss
from hilbertsd.views.network import ViewNetwork
from hilbertsd.views.trained import TrainedViews


def train_view_networks(
    network: ViewNetwork,
    inputs: Any,
    labels: Any,
    *,
    noise: float,
    seeds: Sequence[int],
    loss: ViewLoss = ViewLoss(),  # noqa: B008  # frozen
    teachers: Iterable[Any] | None = None,
    descent: ViewDescent = ViewDescent(),  # noqa: B008
    least_steps: Iterable[int] | None = None,
    views: NDArray[np.float64] | None = None,
    starts: Iterable[State] | None = None,
    folder: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> list[TrainedViews]:
    """Train networks, but for those that the folder holds.

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
    folder : where each network is kept in a file named for its seed, so that a killed run goes on.
    threads : networks that are trained at a time.

    Raises
    ------
    InvalidInput
        Shapes or numbers do not go together, values are not finite, views are not orthonormal, teachers are missing or
        too many, or a seed is given twice or is no whole number from 0 to 2³² − 1.
    InvalidFile
        The folder has networks that were trained otherwise or on other samples, or cannot be written.
    """
    noise = check_positive(noise, "noise", "the length of a patch's noise", InvalidInput)
    check_whole(threads, "threads", InvalidInput)
    if loss.has_teacher == (teachers is None):
        raise InvalidInput(f"the loss {loss.name!r} {'needs' if loss.has_teacher else 'has no'} teachers")
    views = None if views is None else checked_views(views, 2 * network.n_classes)
    inputs, labels = _checked_samples(network, inputs, labels, views)
    training = _Training(network, inputs, labels, noise, loss, descent, views)
    seeds = _checked_seeds(seeds)
    given = [[None] * len(seeds) if each is None else list(each) for each in (teachers, least_steps, starts)]
    if any(len(each) != len(seeds) for each in given):
        counts = ", ".join(str(len(each)) for each in given)
        raise InvalidInput(f"{len(seeds)} seeds have {counts} teachers, steps and starts")
    runs = [_Run(*each) for each in zip(seeds, *given, strict=True)]
    for run in runs:
        training.check(run)
    place = None if folder is None else output_folder(Path(folder))
    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(lambda run: training.stored(run, place), runs))


class _Run(NamedTuple):
    """What one network has of its own."""

    seed: int
    teacher: Any
    least_steps: int | None
    start: State | None


@dataclass(frozen=True, eq=False)
class _Training:
    """What all networks share."""

    network: ViewNetwork
    inputs: Any
    labels: NDArray[np.integer]
    noise: float
    loss: ViewLoss
    descent: ViewDescent
    views: NDArray[np.float64] | None

    def check(self, run: _Run) -> None:
        """Raise InvalidInput where a run does not fit."""
        shape = (len(self.labels), self.network.n_classes)
        if run.teacher is not None and np.shape(run.teacher) != shape:
            raise InvalidInput(f"a teacher's outputs have shape {np.shape(run.teacher)}; give {shape}")
        most = self.descent.most_steps
        if (run.least_steps or 0) > most:
            raise InvalidInput(f"least_steps has {run.least_steps}, and most_steps of the descent is {most}")
        n, n_patches, columns = self.inputs.shape
        width = self.network.width
        found = None if run.start is None else tuple(None if each is None else np.shape(each) for each in run.start)
        wanted = ((columns, width), (n, n_patches, width) if self.views is None else None)
        if found not in (None, wanted):
            raise InvalidInput(f"weights at the start have shapes {found}; give {wanted}")
        _check_finite("a teacher's outputs", run.teacher)
        _check_finite("weights at the start", *(run.start or ()))

    def stored(self, run: _Run, folder: Path | None) -> TrainedViews:
        """Network of a run, from its file in a folder, or trained and written there."""
        if folder is None:
            return self.trained(run)
        source, path = self.source(run), folder / f"seed-{run.seed}.npz"
        if path.exists():
            return TrainedViews.load(path, source)
        found = self.trained(run)
        found.save(path, source)
        return found

    def trained(self, run: _Run) -> TrainedViews:
        """Network of a run."""
        one_hot = jax.nn.one_hot(self.labels, self.network.n_classes, dtype=jnp.float32)
        teacher, views = (
            None if each is None else jnp.asarray(each, jnp.float32) for each in (run.teacher, self.views)
        )
        start = run.start or initial_state(self.network, self.inputs.shape, run.seed, self.views is None)
        how = (self.noise, run.least_steps or 0, self.network, self.loss, self.descent)
        state, records, measures, settled = descended(start, self.inputs, one_hot, teacher, views, *how)
        outputs = np.asarray(outputs_of(state, self.inputs, self.noise, self.network))
        kept = {name: np.asarray(values[: int(records)]) for name, values in measures._asdict().items()}
        return TrainedViews(
            self.network,
            self.noise,
            run.seed,
            self.views is None,
            bool(settled),
            weights=np.asarray(state.weights),
            train_outputs=outputs,
            **kept,
        )

    def source(self, run: _Run) -> dict[str, Any]:
        """What a network depends on, as JSON gives it back."""
        own = [None if each is None else np.asarray(each) for each in (run.teacher, *(run.start or ()))]
        source = {
            "network": asdict(self.network),
            "noise": self.noise,
            "loss": asdict(self.loss),
            "descent": asdict(self.descent),
            "samples": [digest(np.asarray(each)) for each in (self.inputs, self.labels)],
            "views": digest(self.views),
            "seed": run.seed,
            "least_steps": run.least_steps,
            "teacher and start": [digest(each) for each in own],
        }
        return json.loads(json.dumps(source))


def _checked_samples(
    network: ViewNetwork, inputs: Any, labels: Any, views: NDArray[np.float64] | None
) -> tuple[Any, NDArray[np.integer]]:
    """Inputs in float32 and labels; raises InvalidInput where they do not fit the network and each other."""
    inputs, labels = jnp.asarray(inputs, jnp.float32), np.asarray(labels)
    columns = 2 * network.n_classes if views is None else views.shape[1]
    if inputs.ndim != 3 or inputs.shape[2] != columns or labels.shape != inputs.shape[:1]:
        raise InvalidInput(
            f"inputs have shape {inputs.shape} and labels {labels.shape}; give (n, patches, {columns}) and (n,)"
        )
    if not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput(f"there are {len(labels)} labels of type {labels.dtype}; give whole numbers, at least one")
    if not ((labels >= 0) & (labels < network.n_classes)).all():
        raise InvalidInput(f"labels go from {labels.min()} to {labels.max()}; give 0 to {network.n_classes - 1}")
    _check_finite("inputs", inputs)
    return inputs, labels


def _checked_seeds(seeds: Sequence[int]) -> list[int]:
    found = [int(seed) for seed in seeds]
    if not all(0 <= seed < 2**32 for seed in found) or len(set(found)) < len(found):
        raise InvalidInput(f"seeds are {found}; give different whole numbers from 0 to 2³² − 1")
    return found


def _check_finite(name: str, *arrays: Any) -> None:
    for array in arrays:
        if array is not None and not np.isfinite(array).all():
            raise InvalidInput(f"{name} hold {np.asarray(array)[~np.isfinite(array)][0]}; give finite numbers")

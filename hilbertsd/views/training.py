"""Training of view networks that differ by seed, several at a time, kept in a folder.

    trained = train_view_networks(network, features, labels, noise=1.2, seeds=range(10), folder="singles")

Each network is trained by itself, in one compiled loop: that takes a third of the time of `vmap` over seeds on a
processor, whose cache holds one network but not ten.
"""

import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.multi_view import checked_views
from hilbertsd.errors import InvalidInput
from hilbertsd.networks.checkpoints import digest
from hilbertsd.networks.jax_backend import jax, jnp
from hilbertsd.support.checks import check_positive, check_whole
from hilbertsd.support.files import output_folder
from hilbertsd.views.descent import Descent, State, descended, initial_state, outputs_of
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
    descent: Descent = Descent(),  # noqa: B008
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
    inputs, labels, n_views = jnp.asarray(inputs, jnp.float32), np.asarray(labels), 2 * network.n_classes
    views = None if views is None else checked_views(views, n_views)
    columns = n_views if views is None else views.shape[1]
    if inputs.ndim != 3 or inputs.shape[2] != columns or labels.shape != inputs.shape[:1]:
        raise InvalidInput(
            f"inputs have shape {inputs.shape} and labels {labels.shape}; give (n, patches, {columns}) and (n,)"
        )
    if not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput(f"there are {len(labels)} labels of type {labels.dtype}; give whole numbers, at least one")
    if not ((labels >= 0) & (labels < network.n_classes)).all():
        raise InvalidInput(f"labels go from {labels.min()} to {labels.max()}; give 0 to {network.n_classes - 1}")
    noise = check_positive(noise, "noise", "the length of a patch's noise", InvalidInput)
    check_whole(threads, "threads", InvalidInput)
    seeds = [int(seed) for seed in seeds]
    if not all(0 <= seed < 2**32 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise InvalidInput(f"seeds are {seeds}; give different whole numbers from 0 to 2³² − 1")
    if loss.has_teacher == (teachers is None):
        raise InvalidInput(f"the loss {loss.name!r} {'needs' if loss.has_teacher else 'has no'} teachers")
    S, shape = len(seeds), (len(labels), network.n_classes)
    given = [[None] * S if each is None else list(each) for each in (teachers, least_steps, starts)]
    if any(len(each) != S for each in given):
        raise InvalidInput(f"{S} seeds have {', '.join(str(len(each)) for each in given)} teachers, steps and starts")
    for teacher, least, start in zip(*given, strict=True):
        if teacher is not None and np.shape(teacher) != shape:
            raise InvalidInput(f"a teacher's outputs have shape {np.shape(teacher)}; give {shape}")
        if (least or 0) > descent.most_steps:
            raise InvalidInput(f"least_steps has {least}, and most_steps of the descent is {descent.most_steps}")
        found = None if start is None else tuple(None if each is None else np.shape(each) for each in start)
        wanted = ((columns, network.width), (*inputs.shape[:2], network.width) if views is None else None)
        if found not in (None, wanted):
            raise InvalidInput(f"weights at the start have shapes {found}; give {wanted}")
        if not all(np.isfinite(each).all() for each in (inputs, teacher, *(start or ())) if each is not None):
            raise InvalidInput(
                "inputs, a teacher's outputs or weights at the start are not finite; leave such samples out"
            )
    one_hot = jax.nn.one_hot(labels, network.n_classes, dtype=jnp.float32)
    basis = None if views is None else jnp.asarray(views, jnp.float32)
    place = None if folder is None else output_folder(Path(folder))
    common = {
        "network": asdict(network),
        "noise": noise,
        "loss": asdict(loss),
        "descent": asdict(descent),
        "samples": [digest(np.asarray(each)) for each in (inputs, labels)],
        "views": digest(views),
    }

    def trained(seed: int, teacher: Any, least: int | None, start: State | None) -> TrainedViews:
        state = start or initial_state(network, inputs.shape, seed, views is None)
        teacher = None if teacher is None else jnp.asarray(teacher, jnp.float32)
        found = descended(state, inputs, one_hot, teacher, basis, noise, least or 0, network, loss, descent)
        outputs = np.asarray(outputs_of(found[0], inputs, noise, network))
        weights, records, measures, settled = jax.tree.map(np.asarray, (found[0].weights, *found[1:]))
        kept = {name: values[:records] for name, values in measures._asdict().items()}
        return TrainedViews(
            network, noise, seed, views is None, bool(settled), weights=weights, train_outputs=outputs, **kept
        )

    def stored(seed: int, teacher: Any, least: int | None, start: State | None) -> TrainedViews:
        if place is None:
            return trained(seed, teacher, least, start)
        arrays = [None if each is None else np.asarray(each) for each in (teacher, *(start or ()))]
        source = {**common, "seed": seed, "least_steps": least, "teacher and start": [digest(each) for each in arrays]}
        source, path = json.loads(json.dumps(source)), place / f"seed-{seed}.npz"
        if path.exists():
            return TrainedViews.load(path, source)
        network_of_seed = trained(seed, teacher, least, start)
        network_of_seed.save(path, source)
        return network_of_seed

    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(stored, seeds, *given))

"""Networks distilled into themselves: chains of rounds, for several seeds.

    path = distill_network(
        architecture("resnet-8", normalisation="batch"), images, labels, rounds=8, seeds=range(5),
        test_images=test_images, test_labels=test_labels, folder="chains",
    )
    path.test_accuracy.mean(axis=1)  # by round

The first network of a chain is trained on the labels, each further one from new random parameters on the outputs of the
one before. What a folder holds is not trained again. No choice is made anywhere: the last step counts.

Source: MFB (arXiv:2002.05715) §5 and appendix D.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.networks import workers
from hilbertsd.networks.architectures import Architecture, check_architecture, finite_images
from hilbertsd.networks.chain import Chain, path_of, train_seeds
from hilbertsd.networks.checkpoints import ChainFolder
from hilbertsd.networks.jax_backend import on_cpu
from hilbertsd.networks.losses import Loss
from hilbertsd.networks.network_path import NetworkPath
from hilbertsd.networks.training import Training
from hilbertsd.support.checks import check_choice, check_whole
from hilbertsd.support.machine import available_cores
from hilbertsd.support.progress import progress

TEACHERS = ("stored", "augmented")
SPREADS = ("one by one", "processes", "side by side")


def distill_network(
    architecture: Architecture,
    images: Any,
    labels: Any,
    *,
    rounds: int,
    seeds: Sequence[int] = (0,),
    test_images: Any = None,
    test_labels: Any = None,
    loss: Loss = Loss(),  # noqa: B008  # frozen
    training: Training = Training(),  # noqa: B008
    teacher: str = "stored",
    folder: str | os.PathLike[str] | None = None,
    spread: str | None = None,
    client: Any = None,
) -> NetworkPath:
    """Train a network, train another on its outputs, and so on, for several seeds.

    Parameters
    ----------
    architecture : from :func:`hilbertsd.networks.architecture`, with as many outputs as there are classes.
    images, labels : (n, rows, columns, channels) training images, standardised, and (n,) classes from 0 on.
    rounds : number T of networks in a chain.
    seeds : seeds of the chains; one decides random parameters and the order of images in all rounds.
    test_images, test_labels : (m, …) and (m,) images that no round sees.
    loss, training : loss and training of every round.
    teacher : "stored": a student's targets are its teacher's outputs for the images as they are; "augmented": the
        teacher is shown each image as the student sees it.
    folder : where finished networks and running states are kept, so that a killed run goes on; None for a temporary
        one. More rounds and seeds may be added later.
    spread : "one by one"; "processes", one for each core of this machine; "side by side", all seeds in one
        computation, which for small networks compiles less. None for processes on a CPU, where they were measured to be
        fastest, and one by one on an accelerator, where nothing was measured yet.
    client : `distributed.Client` whose workers train the seeds instead; they have to see the folder.

    Raises
    ------
    InvalidInput
        Images, labels, rounds, seeds or options are none, or do not fit each other.
    InvalidFile
        The folder holds networks of another configuration, or damaged files.
    NotConverged
        A loss is not finite, or a tolerance is not met; what is finished stays in the folder.
    MissingPackage
        JAX, Flax or Optax is not installed.

    Source: MFB (arXiv:2002.05715) §5.
    """
    chain = _checked_chain(architecture, images, labels, test_images, test_labels, rounds, loss, training, teacher)
    if isinstance(seeds, int):
        raise InvalidInput(f"seeds is {seeds}; give several, as range({seeds}), or ({seeds},)")
    seeds = [_checked_seed(seed) for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise InvalidInput(f"seeds are {seeds}; give at least one, each once")
    if spread is not None:
        check_choice(spread, "spread", SPREADS)
    if client is not None and folder is None:
        raise InvalidInput("folder is None with a cluster; give one that all workers see")
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return _distilled(chain, seeds, Path(temporary), spread, client)
    return _distilled(chain, seeds, Path(folder), spread, client)


def _distilled(chain: Chain, seeds: list[int], folder: Path, spread: str | None, client: Any) -> NetworkPath:
    stored = ChainFolder(folder, chain.config)
    missing = [seed for seed in seeds if not all(stored.is_finished(t, seed) for t in range(chain.rounds))]
    if spread is None:  # by all seeds: with another number of threads sums have other last digits
        spread = "processes" if on_cpu() and min(len(seeds), available_cores()) > 1 else "one by one"
    with progress("training", chain.rounds * chain.training.steps * len(seeds)) as bar:
        done = dict.fromkeys(seeds, 0)
        for seed in set(seeds) - set(missing):
            done[seed] = chain.rounds * chain.training.steps

        def report(which: Sequence[int], steps: int, note: str) -> None:
            done.update(dict.fromkeys(which, steps))
            bar.update(sum(done.values()), note)

        if client is not None or spread == "processes":
            workers.train(chain, missing, folder, report, client)
        elif missing:
            train_seeds(chain, seeds if spread == "side by side" else missing, folder, report, spread == "side by side")
    return path_of(chain, seeds, stored)


def _checked_chain(
    network: Architecture,
    images: Any,
    labels: Any,
    test_images: Any,
    test_labels: Any,
    rounds: int,
    loss: Loss,
    training: Training,
    teacher: str,
) -> Chain:
    check_architecture(network)
    check_whole(rounds, "rounds", InvalidInput)
    check_choice(teacher, "teacher", TEACHERS)
    for value, name, kind in ((loss, "loss", Loss), (training, "training", Training)):
        if not isinstance(value, kind):
            raise InvalidInput(f"{name} is {value!r}; give a hilbertsd.networks.{kind.__name__}")
    train = finite_images(images, "images").astype(np.float32)
    if train.ndim < 2 or not len(train):
        raise InvalidInput(f"images have shape {train.shape}; give (n, rows, columns, channels) with none of them 0")
    network.check(train.shape[1:])
    if training.augmentation != "none" and train.ndim != 4:
        raise InvalidInput(f"images have shape {train.shape}, and crops and flips are for (n, rows, columns, channels)")
    if (test_images is None) != (test_labels is None):
        raise InvalidInput("test images and test labels come together; give both or none")
    test = train[:0] if test_images is None else finite_images(test_images, "test_images").astype(np.float32)
    if test.shape[1:] != train.shape[1:]:
        raise InvalidInput(f"test_images have shape {test.shape} beside images of shape {train.shape}; give equal ones")
    k = network.options["n_classes"]
    return Chain(
        network,
        loss,
        training,
        train,
        _checked_labels(labels, len(train), k, "labels"),
        test,
        _checked_labels([] if test_labels is None else test_labels, len(test), k, "test_labels"),
        rounds,
        teacher,
    )


def _checked_labels(labels: Any, n: int, n_classes: int, name: str) -> NDArray[np.int64]:
    values = np.asarray(labels)
    if values.shape != (n,):
        raise InvalidInput(f"{name} have shape {values.shape} for {n:,} images; give one class for each")
    if n and (not np.issubdtype(values.dtype, np.integer) or values.min() < 0 or values.max() >= n_classes):
        wrong = values[(values < 0) | (values >= n_classes)] if np.issubdtype(values.dtype, np.integer) else values
        raise InvalidInput(f"{name} hold {wrong[0]!r}; give whole numbers from 0 to {n_classes - 1}")
    return values.astype(np.int64)


def _checked_seed(seed: Any) -> int:
    check_whole(seed, "seed", InvalidInput, 0)
    return int(seed)

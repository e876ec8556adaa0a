"""Networks distilled into themselves: chains of rounds, for several seeds.

    path = distill_network(
        architecture("resnet-8", normalisation="batch"), images, labels, rounds=8, seeds=range(5),
        test_images=test_images, test_labels=test_labels, folder="chains",
    )
    path.test_accuracy.mean(axis=1)  # by round

The first network of a chain is trained on the labels, each further one from new random parameters on the outputs of the
one before. What a folder holds is not trained again. No choice is made anywhere: the last step counts; whoever has to
choose how to train does so by :func:`choose_training`, on training images.

Source: MFB (arXiv:2002.05715) §5 and appendix D.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.networks import workers
from hilbertsd.networks.architectures import Architecture, check_architecture, finite_images
from hilbertsd.networks.chain import Chain, path_of, train_seeds
from hilbertsd.networks.checkpoints import ChainFolder
from hilbertsd.networks.jax_backend import n_devices, on_cpu
from hilbertsd.networks.losses import Loss
from hilbertsd.networks.network_path import NetworkPath
from hilbertsd.networks.training import Training
from hilbertsd.support.checks import check_choice, check_whole
from hilbertsd.support.machine import available_cores
from hilbertsd.support.progress import progress

TEACHERS = ("stored", "augmented")
SPREADS = ("one by one", "processes", "devices", "side by side")


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
    targets: Any = None,
    centred: bool = False,
    output_scale: float = 1.0,
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
    targets : (n, k) targets that a teacher of another kind sets, an ensemble for instance, as
        :meth:`hilbertsd.networks.Loss.next_targets` makes them of its outputs; None to begin with the labels. The first
        networks of the path are then what the second ones are otherwise: students with parameters of round 1.
    centred : whether outputs at the initial parameters are taken away, so that every network starts as the zero
        function, as kernel regression does; without normalisation only.
    output_scale : factor α of the outputs. A small one makes centred networks learn features, a large one keeps their
        tangent kernels as they are; divide the learning rate by α², with which outputs move as fast for every α.
    folder : where finished networks and running states are kept, so that a killed run goes on; None for a temporary
        one. More rounds and seeds may be added later.
    spread : "one by one"; "processes", one for each core of this machine; "devices", a thread for each accelerator of
        this machine, which trains one seed after another; "side by side", all seeds in one computation, which for small
        networks compiles less. None for processes on a CPU, where they were measured to be fastest, devices where
        there are several accelerators, and one by one where there is one; neither was measured yet.
    client : `distributed.Client` whose workers train the seeds instead; they have to see the folder. Start one worker
        with one thread for each accelerator.

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

    Source: MFB (arXiv:2002.05715) §5; for the scale Chizat, Oyallon & Bach (2019), arXiv:1812.07956.
    """
    chain = _checked_chain(architecture, images, labels, test_images, test_labels, rounds, loss, training, teacher)
    if not isinstance(centred, bool):
        raise InvalidInput(f"centred is {centred!r}; give True or False")
    first = None if targets is None else _checked_targets(targets, chain)
    chain = replace(chain, centred=centred, output_scale=output_scale, first_targets=first)
    chain.network()  # refuses what cannot be centred or scaled
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


@dataclass(frozen=True, eq=False)
class TrainingChoice:
    """Trainings that were tried, and how good each was on images that it did not see.

    Attributes
    ----------
    trainings : (C,) what was tried.
    accuracy : (C, S) accuracy on the validation images for every seed.
    validation_rows : (v,) places of the validation images among those that were given.
    """

    trainings: tuple[Training, ...]
    accuracy: NDArray[np.float64]
    validation_rows: NDArray[np.int64]

    @property
    def best(self) -> Training:
        """The training of the highest mean accuracy; the first of equal ones."""
        return self.trainings[int(self.accuracy.mean(axis=1).argmax())]

    def to_dict(self) -> dict[str, Any]:
        """What was tried, with every accuracy, ready for JSON."""
        tried = [
            {"training": asdict(training), "validation_accuracy": row.tolist()}
            for training, row in zip(self.trainings, self.accuracy, strict=True)
        ]
        return {"tried": tried, "chosen": asdict(self.best), "n_validation": len(self.validation_rows)}


def choose_training(
    architecture: Architecture,
    images: Any,
    labels: Any,
    trainings: Sequence[Training],
    *,
    seeds: Sequence[int] = (0,),
    loss: Loss = Loss(),  # noqa: B008  # frozen
    centred: bool = False,
    share: float = 0.2,
    folder: str | os.PathLike[str] | None = None,
    spread: str | None = None,
) -> TrainingChoice:
    """Choose how to train on a part of the training images that is held back, so that no test image has a say.

    Parameters
    ----------
    architecture, images, labels, seeds, loss, centred, spread : as in :func:`distill_network`.
    trainings : (C,) what is tried.
    share : share of the images that is held back, between 0 and 1; the same images for all, the same share of every
        class.
    folder : where the networks are kept, so that a killed run goes on; None for a temporary one.

    Raises
    ------
    InvalidInput
        No training is given, the share is not between 0 and 1 or leaves a class without an image on either side, or as
        :func:`distill_network`.
    InvalidFile, NotConverged, MissingPackage
        As :func:`distill_network`.
    """
    from sklearn.model_selection import train_test_split

    check_architecture(architecture)
    if isinstance(trainings, Training) or not trainings:
        raise InvalidInput(f"trainings is {trainings!r}; give a list of at least one hilbertsd.networks.Training")
    if not (isinstance(share, float) and 0 < share < 1):
        raise InvalidInput(f"share is {share!r}; give a number between 0 and 1")
    images = np.asarray(images)
    labels = _checked_labels(labels, len(images), architecture.options["n_classes"], "labels")
    try:
        kept, held = train_test_split(np.arange(len(labels)), test_size=share, random_state=0, stratify=labels)
    except ValueError as error:
        raise InvalidInput(f"share is {share!r} of {len(labels):,} images: {error}") from error
    accuracy = []
    for index, training in enumerate(trainings):
        path = distill_network(
            architecture,
            images[kept],
            labels[kept],
            rounds=1,
            seeds=seeds,
            test_images=images[held],
            test_labels=labels[held],
            loss=loss,
            training=training,
            centred=centred,
            folder=None if folder is None else Path(folder) / f"training-{index}",
            spread=spread,
        )
        accuracy.append(path.test_accuracy[0])
    return TrainingChoice(tuple(trainings), np.array(accuracy), np.sort(held))


def _distilled(chain: Chain, seeds: list[int], folder: Path, spread: str | None, client: Any) -> NetworkPath:
    stored = ChainFolder(folder, chain.config)
    missing = [seed for seed in seeds if not all(stored.is_finished(t, seed) for t in range(chain.rounds))]
    steps_of_a_seed = chain.rounds * chain.training.steps
    with progress("training", steps_of_a_seed * len(seeds)) as bar:
        done: dict[int, float] = {seed: 0 if seed in missing else steps_of_a_seed for seed in seeds}

        def report(which: Sequence[int], steps: float, note: str) -> None:
            done.update(dict.fromkeys(which, min(steps, steps_of_a_seed)))
            bar.update(int(sum(done.values())), note)

        if missing:
            chain.save(folder)
        if spread == "side by side" and client is None:
            if missing:
                train_seeds(folder, seeds, report, side_by_side=True)
        else:  # by all seeds: with another number of threads sums have other last digits
            workers.spread_over(spread or default_spread(len(seeds)), train_seeds, folder, missing, report, client)
    return path_of(chain, seeds, stored)


def default_spread(n_seeds: int) -> str:
    """How so many seeds are trained where the user does not say."""
    if not on_cpu():
        return "devices" if n_devices() > 1 else "one by one"
    return "processes" if min(n_seeds, available_cores()) > 1 else "one by one"


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


def _checked_targets(targets: Any, chain: Chain) -> NDArray[np.float32]:
    values, shape = finite_images(targets, "targets"), (len(chain.images), chain.architecture.options["n_classes"])
    if values.shape != shape:
        raise InvalidInput(f"targets have shape {values.shape}; give {shape}, a row for each image")
    if chain.teacher != "stored":
        raise InvalidInput(f"teacher is {chain.teacher!r} and targets are given; no network can set them anew")
    return values.astype(np.float32)


def _checked_seed(seed: Any) -> int:
    check_whole(seed, "seed", InvalidInput, 0)
    return int(seed)

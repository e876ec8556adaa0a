"""One chain: what its networks depend on, and the training of its rounds for some seeds.

    chain = Chain(network, Loss(), Training(), images, labels, test_images, test_labels, rounds=8, teacher="stored")
    chain.save(folder)
    train_seeds(folder, [0], report)
    path_of(chain, [0], ChainFolder(folder, chain.config))

:func:`hilbertsd.networks.distill_network` makes it from what a user gives.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.networks.architectures import Architecture, architecture
from hilbertsd.networks.checkpoints import ChainFolder, FinishedNetwork, digest, flattened, unflattened
from hilbertsd.networks.finite import FiniteNetwork
from hilbertsd.networks.jax_backend import made_with
from hilbertsd.networks.losses import Loss
from hilbertsd.networks.network_path import NetworkPath
from hilbertsd.networks.training import State, Trainer, Training
from hilbertsd.networks.workers import Report
from hilbertsd.support.array_files import read_arrays, write_arrays

PROBLEM_FORMAT, PROBLEM_FILE = "hilbertsd.NetworkChain/1", "chain.npz"

STORED_EVERY = 20.0
"""Seconds between two stored states of a training run."""


@dataclass(frozen=True, eq=False)
class Chain:
    """What chains of all seeds have in common.

    Attributes
    ----------
    architecture, loss, training : network, loss and training of every round.
    images, labels : (n, …) and (n,) training images with their original labels.
    test_images, test_labels : (m, …) and (m,); m may be 0.
    rounds : number of rounds.
    teacher : "stored" or "augmented"; see :func:`distill_network`.
    centred : whether outputs are those minus those at the initial parameters.
    output_scale : factor of the outputs.
    first_targets : (n, k) targets that a teacher of another kind sets for all seeds, or None. The chain then begins
        with round 1, which fits them.
    """

    architecture: Architecture
    loss: Loss
    training: Training
    images: NDArray[Any]
    labels: NDArray[np.int64]
    test_images: NDArray[Any]
    test_labels: NDArray[np.int64]
    rounds: int
    teacher: str
    centred: bool = False
    output_scale: float = 1.0
    first_targets: NDArray[np.float32] | None = None

    @property
    def first_round(self) -> int:
        """0 where the chain begins with the labels, 1 where it begins with a teacher's outputs."""
        return int(self.first_targets is not None)

    def network(self) -> FiniteNetwork:
        """Function of parameters and images that is trained."""
        return FiniteNetwork(
            self.architecture, self.images.shape[1:], centred=self.centred, output_scale=self.output_scale
        )

    @cached_property  # images are hashed, which takes seconds where there are many
    def config(self) -> dict[str, Any]:
        """Everything that a network depends on but its round and seed, ready for JSON; what is usual is left out."""
        unusual: dict[str, Any] = {"centred": True} if self.centred else {}
        if self.output_scale != 1:
            unusual["output_scale"] = self.output_scale
        if self.first_targets is not None:
            unusual["targets"] = digest(self.first_targets)
        return {
            "architecture": self.architecture.config,
            "loss": asdict(self.loss),
            "training": asdict(self.training),
            "teacher": self.teacher,
            "images": digest(self.images),
            "labels": digest(self.labels),
            "test_images": digest(self.test_images),
            **unusual,
        }

    def targets(self) -> NDArray[np.float32]:
        """(n, k) targets of the first network of every seed."""
        if self.first_targets is not None:
            return self.first_targets
        return self.loss.labels_as_targets(self.labels, self.architecture.options["n_classes"])

    def save(self, folder: Path) -> Path:
        """Write images and settings into a folder, for those who train in other processes."""
        metadata = {**self.config, "rounds": self.rounds}
        arrays = {name: getattr(self, name) for name in ("images", "labels", "test_images", "test_labels")}
        if self.first_targets is not None:
            arrays["first_targets"] = self.first_targets
        return write_arrays(folder / PROBLEM_FILE, PROBLEM_FORMAT, metadata, arrays)

    @classmethod
    def load(cls, folder: Path) -> "Chain":
        """Read what :meth:`save` wrote."""

        def chain(arrays: dict[str, NDArray[Any]], metadata: dict[str, Any]) -> Chain:
            return cls(
                architecture(**metadata["architecture"]),
                Loss(**metadata["loss"]),
                Training(**metadata["training"]),
                rounds=metadata["rounds"],
                teacher=metadata["teacher"],
                centred=metadata.get("centred", False),
                output_scale=metadata.get("output_scale", 1.0),
                **arrays,
            )

        return read_arrays(folder / PROBLEM_FILE, PROBLEM_FORMAT, chain)


def train_seeds(folder: Path, seeds: Sequence[int], report: Report, side_by_side: bool = False) -> None:
    """Train all rounds of some seeds that a folder with a chain does not hold yet.

    Parameters
    ----------
    report : called with the seeds, the number of steps that each has behind it, and a note.
    side_by_side : train all seeds of a round in one computation, not one seed after another. The seeds that are there
        already are then trained once more with the others, so that these come out the same.
    """
    chain = Chain.load(folder)
    stored = ChainFolder(folder, chain.config)
    trainer = Trainer(chain.network(), chain.loss, chain.training, chain.images)
    for group in [list(seeds)] if side_by_side else [[seed] for seed in seeds]:
        for t in range(chain.rounds):
            if not all(stored.is_finished(t, seed) for seed in group):
                _train_round(chain, trainer, stored, t, group, report)


def _train_round(
    chain: Chain, trainer: Trainer, stored: ChainFolder, t: int, group: Sequence[int], report: Report
) -> None:
    """Train one round of some seeds in one computation, and store those that are missing."""
    number = t + chain.first_round
    start = trainer.start(group, number)
    targets, teacher = _targets_of(chain, stored, t, start)
    state, spent = stored.state(t, start) or (start, 0.0)
    keep = _Keeper(stored, t, t * chain.training.steps, spent, report)
    state = trainer.run(state, targets, number, teacher, keep)
    train_outputs = trainer.outputs(state.parameters, state.statistics, None)
    test_outputs = np.zeros((len(group), 0, train_outputs.shape[-1]), train_outputs.dtype)
    if len(chain.test_images):
        test_outputs = trainer.outputs(state.parameters, state.statistics, chain.test_images)
    errors = trainer.errors(train_outputs, targets, number)
    steps = np.where(state.stopped_at < 0, state.step, state.stopped_at)
    parameters, statistics = flattened(state.parameters), flattened(state.statistics)
    for i, seed in enumerate(group):
        if stored.is_finished(t, seed):
            continue
        finished = FinishedNetwork(
            {name: array[i] for name, array in parameters.items()},
            {name: array[i] for name, array in statistics.items()},
            train_outputs[i],
            test_outputs[i],
            float(errors[i]),
            int(steps[i]),
            keep.seconds(),
            made_with(),
        )
        stored.write(t, seed, finished)
    stored.drop_state(state)
    report(group, (t + 1) * chain.training.steps, f"round {t}")


def _targets_of(chain: Chain, stored: ChainFolder, t: int, start: State) -> tuple[Any, tuple[Any, Any] | None]:
    """Targets of a round, and where they are set image by image the teachers' parameters and statistics."""
    if t == 0:
        one = chain.targets()
        return np.repeat(one[None], len(start.seeds), axis=0), None
    before = [_required(stored.finished(t - 1, seed)) for seed in start.seeds]
    targets = np.asarray(chain.loss.next_targets(np.stack([network.train_outputs for network in before])))
    if chain.teacher == "stored":
        return targets, None

    def together(part: str, like: Any) -> Any:
        arrays = [getattr(network, part) for network in before]
        return unflattened(like, {name: np.stack([each[name] for each in arrays]) for name in arrays[0]})

    return targets, (together("parameters", start.parameters), together("statistics", start.statistics))


class _Keeper:
    """Reports how far training is, and stores its state from time to time."""

    def __init__(self, stored: ChainFolder, round: int, steps_before: int, spent: float, report: Report) -> None:  # noqa: A002
        self._stored, self._round, self._before, self._spent, self._report = stored, round, steps_before, spent, report
        self._began = self._last = time.monotonic()

    def __call__(self, state: State) -> None:
        self._report(state.seeds, self._before + state.step, f"round {self._round}, error {state.error.mean():.3g}")
        if time.monotonic() - self._last > STORED_EVERY:
            self._stored.write_state(self._round, state, self.seconds())
            self._last = time.monotonic()

    def seconds(self) -> float:
        """Time spent on the round, also before an interruption."""
        return self._spent + time.monotonic() - self._began


def path_of(chain: Chain, seeds: Sequence[int], stored: ChainFolder) -> NetworkPath:
    """Path of finished chains."""
    networks = [[stored.outputs(t, seed) for seed in seeds] for t in range(chain.rounds)]
    train = np.array([[network.train_outputs for network in row] for row in networks])
    test = np.array([[network.test_outputs for network in row] for row in networks])
    k = chain.architecture.options["n_classes"]
    one_hot, test_one_hot = (chain.loss.labels_as_targets(of, k) for of in (chain.labels, chain.test_labels))
    first = np.broadcast_to(chain.targets(), train[:1].shape)
    targets = np.concatenate([first, np.asarray(chain.loss.next_targets(train[:-1]))])

    first_test = np.broadcast_to(chain.test_labels, test[:1].shape[:-1])

    def mean(values: Any) -> NDArray[np.float64]:
        values = np.asarray(values, dtype=np.float64)
        return values.mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)

    def loss(outputs: Any, labels: Any) -> NDArray[np.float64]:
        rounds = [np.asarray(chain.loss.of(outputs[t], labels, 0)) for t in range(chain.rounds)]
        return mean(np.array(rounds))

    return NetworkPath(
        config=chain.config,
        made_with=_each_once(network.made_with for row in networks for network in row),
        seeds=np.array(seeds),
        targets=targets.astype(np.float32),
        train_outputs=train,
        test_outputs=test,
        labels=chain.labels,
        test_labels=chain.test_labels,
        train_accuracy=mean(train.argmax(-1) == chain.labels),
        test_accuracy=mean(test.argmax(-1) == chain.test_labels),
        train_loss=loss(train, one_hot),
        test_loss=loss(test, test_one_hot),
        training_error=np.array([[network.error for network in row] for row in networks]),
        agreement=mean(train.argmax(-1) == targets.argmax(-1)),
        test_agreement=mean(test.argmax(-1) == np.concatenate([first_test, test[:-1].argmax(-1)])),
        steps=np.array([[network.steps for network in row] for row in networks]),
    )


def _each_once(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries without repetitions, in their order."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        if entry not in found:
            found.append(entry)
    return found


def _required(network: FinishedNetwork | None) -> FinishedNetwork:
    assert network is not None  # rounds are trained in their order, and none is deleted
    return network

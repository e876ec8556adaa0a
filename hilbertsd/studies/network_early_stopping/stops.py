"""Fresh networks trained on the labels, and what they are at the first look at which their loss is low enough.

    stops = early_stops(chain, levels, seeds=[1000, 1001], folder=folder, spread="processes")
    stops[0].test_outputs[t]   # of the network whose training loss first was at or under levels[0, t]

Networks of one seed that stop at different losses are one network at different times: it is trained once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.networks import workers
from hilbertsd.networks.chain import Chain
from hilbertsd.networks.chains import default_spread
from hilbertsd.networks.checkpoints import ChainFolder, digest
from hilbertsd.networks.finite import FiniteNetwork
from hilbertsd.networks.jax_backend import made_with
from hilbertsd.networks.training import State, Trainer
from hilbertsd.support.array_files import read_arrays, write_arrays
from hilbertsd.support.progress import progress

FILE_FORMAT, ARRAYS = "hilbertsd.EarlyStops/2", ("steps", "losses", "test_outputs")

LEVELS_FORMAT, LEVELS_FILE = "hilbertsd.LossLevels/1", "levels.npz"

STORED_EVERY = 20
"""Looks at the loss between two stored states."""


@dataclass(eq=False)
class Stops:
    """Networks of one seed, one for each of T losses.

    Attributes
    ----------
    steps : (T,) steps taken; −1 where the loss was not reached.
    losses : (T,) training loss at that step.
    test_outputs : (T, m, k) outputs for the test images.
    made_with : versions, machine, device and flags with which training ended.
    """

    steps: NDArray[np.int64]
    losses: NDArray[np.float64]
    test_outputs: NDArray[np.float32]
    made_with: dict[str, Any]

    @property
    def reached(self) -> NDArray[np.bool_]:
        """(T,) whether the loss was reached."""
        return self.steps >= 0


def early_stops(
    chain: Chain, levels: NDArray[np.float64], seeds: Sequence[int], folder: Path, spread: str | None, client: Any
) -> list[Stops]:
    """Train the chain's network of round 0 from other seeds, and keep its test outputs at every level of the loss.

    Parameters
    ----------
    chain : network, loss, training and images; the loss is looked at as often as its training says.
    levels : (S, T) training losses against the labels, one row for every seed.
    seeds : (S,) seeds of the networks.
    folder : where they are kept, so that a killed run goes on.
    spread, client : as in :func:`hilbertsd.networks.distill_network`, but side by side, which is one by one here.

    Raises
    ------
    InvalidFile, NotConverged
        As :func:`hilbertsd.networks.distill_network`.
    """
    ChainFolder(folder, _description(chain, levels, seeds))
    done: dict[int, float] = {seed: chain.training.steps if _is_complete(folder, seed) else 0 for seed in seeds}
    missing = [seed for seed in seeds if not done[seed]]
    if missing:
        chain.save(folder)
        write_arrays(folder / LEVELS_FILE, LEVELS_FORMAT, {}, {"levels": levels, "seeds": np.array(seeds)})
    with progress("early stops", chain.training.steps * len(seeds)) as bar:

        def report(which: Sequence[int], steps: float, note: str) -> None:
            done.update(dict.fromkeys(which, min(steps, chain.training.steps)))
            bar.update(int(sum(done.values())), note)

        workers.spread_over(spread or default_spread(len(seeds)), stop_seeds, folder, missing, report, client)
    return [read_arrays(_stops_file(folder, seed), FILE_FORMAT, _stops) for seed in seeds]


def stop_seeds(folder: Path, seeds: Sequence[int], report: workers.Report) -> None:
    """Train some seeds of what a folder describes; a task of :mod:`hilbertsd.networks.workers`."""
    chain = Chain.load(folder)
    levels = read_arrays(folder / LEVELS_FILE, LEVELS_FORMAT, lambda arrays, _: arrays)
    stored = ChainFolder(folder, _description(chain, levels["levels"], levels["seeds"].tolist()))
    network = FiniteNetwork(chain.architecture, chain.images.shape[1:])
    trainer = Trainer(network, chain.loss, chain.training, chain.images)
    for seed in seeds:
        _stop(chain, trainer, levels["levels"][levels["seeds"] == seed][0], seed, stored, report)


def _stop(
    chain: Chain, trainer: Trainer, levels: NDArray[np.float64], seed: int, stored: ChainFolder, report: workers.Report
) -> None:
    path, k = _stops_file(stored.folder, seed), chain.architecture.options["n_classes"]
    T, m = len(levels), len(chain.test_images)
    stops = Stops(np.full(T, -1), np.full(T, np.inf), np.zeros((T, m, k), np.float32), made_with())
    if path.exists():
        stops = read_arrays(path, FILE_FORMAT, _stops)
    start = trainer.start((seed,), 0)
    state = (stored.state(0, start) or (start, 0.0))[0]
    stops.steps[stops.steps > state.step] = -1  # were found after the stored state, and are found again
    targets = chain.loss.labels_as_targets(chain.labels, k)[None]

    def write() -> None:
        arrays = {name: getattr(stops, name) for name in ARRAYS}
        write_arrays(path, FILE_FORMAT, {"made_with": made_with()}, arrays)

    def look(state: State) -> None:
        error = float(trainer.errors(trainer.outputs(state.parameters, state.statistics, None), targets)[0])
        report([seed], state.step, f"loss {error:.3g}")
        new = ~stops.reached & (error <= levels)
        if new.any():
            outputs = trainer.outputs(state.parameters, state.statistics, chain.test_images)[0]
            stops.steps[new], stops.losses[new], stops.test_outputs[new] = state.step, error, outputs
            write()
        if new.any() or (state.step // trainer.check_every) % STORED_EVERY == 0:
            stored.write_state(0, state, 0.0)

    last = trainer.run(state, targets, at_check=look)
    write()  # also where no loss was reached
    (stored.folder / f"seed-{seed}-complete").touch()
    stored.drop_state(last)


def _description(chain: Chain, levels: NDArray[np.float64], seeds: Sequence[int]) -> dict[str, Any]:
    return {**chain.config, "levels": digest(levels), "seeds": list(seeds)}


def _is_complete(folder: Path, seed: int) -> bool:
    return (folder / f"seed-{seed}-complete").exists()


def _stops_file(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}-stops.npz"


def _stops(arrays: dict[str, NDArray[Any]], metadata: dict[str, Any]) -> Stops:
    return Stops(**arrays, made_with=metadata["made_with"])

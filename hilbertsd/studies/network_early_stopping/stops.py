"""Fresh networks trained on the labels, and what they are at the first look at which their loss is low enough.

    stops = stop_at(chain, levels, seed=1000, folder=folder, check_every=26)
    stops.test_outputs[t]      # of the network whose training loss first was at or under levels[t]

Networks of one seed that stop at different losses are one network at different times: it is trained once.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilbertsd.networks.chain import Chain
from hilbertsd.networks.checkpoints import ChainFolder, digest
from hilbertsd.networks.finite import FiniteNetwork
from hilbertsd.networks.training import State, Trainer
from hilbertsd.support.array_files import read_arrays, write_arrays
from hilbertsd.support.progress import progress

FILE_FORMAT = "hilbertsd.EarlyStops/1"

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
    """

    steps: NDArray[np.int64]
    losses: NDArray[np.float64]
    test_outputs: NDArray[np.float32]

    @property
    def reached(self) -> NDArray[np.bool_]:
        """(T,) whether the loss was reached."""
        return self.steps >= 0


def stop_at(chain: Chain, levels: NDArray[np.float64], seed: int, folder: Path, check_every: int) -> Stops:
    """Train the chain's network of round 0 from another seed, and keep its test outputs at every level of the loss.

    Parameters
    ----------
    chain : network, loss, training and images.
    levels : (T,) training losses against the labels.
    seed : seed of the network.
    folder : where it is kept, so that a killed run goes on.
    check_every : steps between two looks at the loss.

    Raises
    ------
    InvalidFile, NotConverged
        As :func:`hilbertsd.networks.distill_network`.
    """
    chain = replace(chain, training=replace(chain.training, check_every=check_every))
    stored = ChainFolder(folder, {**chain.config, "levels": digest(levels), "seed": seed})
    path, done = folder / "stops.npz", folder / "complete"
    k = chain.architecture.options["n_classes"]
    T, m = len(levels), len(chain.test_images)
    stops = Stops(np.full(T, -1), np.full(T, np.inf), np.zeros((T, m, k), np.float32))
    if path.exists():
        stops = read_arrays(path, FILE_FORMAT, lambda arrays, _: Stops(**arrays))
    if done.exists():
        return stops
    trainer = Trainer(
        FiniteNetwork(chain.architecture, chain.images.shape[1:]), chain.loss, chain.training, chain.images
    )
    start = trainer.start((seed,), 0)
    state = (stored.state(0, start) or (start, 0.0))[0]
    stops.steps[stops.steps > state.step] = -1  # were found after the stored state, and are found again

    targets = chain.loss.labels_as_targets(chain.labels, k)[None]

    def look(state: State) -> None:
        bar.update(state.step)
        error = float(trainer.errors(trainer.outputs(state.parameters, state.statistics, None), targets)[0])
        new = ~stops.reached & (error <= levels)
        if new.any():
            outputs = trainer.outputs(state.parameters, state.statistics, chain.test_images)[0]
            stops.steps[new], stops.losses[new], stops.test_outputs[new] = state.step, error, outputs
            write_arrays(path, FILE_FORMAT, {}, {each.name: getattr(stops, each.name) for each in fields(stops)})
        if new.any() or (state.step // check_every) % STORED_EVERY == 0:
            stored.write_state(0, state, 0.0)

    with progress(f"early stops, seed {seed}", chain.training.steps) as bar:
        last = trainer.run(state, targets, at_check=look)
    done.touch()
    stored.drop_state(last)
    return stops

"""One trained view network: what it responds to, which views it knows, its outputs, and its file.

trained.strengths[-1]                        # (10, 2) how strongly every class responds to its two views
trained.learned                              # (10, 2) which of them it knows
trained.outputs(test_features, seed=1)       # (m, 10)
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.networks.jax_backend import jax, jnp
from hilbertsd.support.array_files import check_source, read_arrays, write_arrays
from hilbertsd.views.descent import RECORD_EVERY, State, outputs_of
from hilbertsd.views.network import ViewNetwork

FILE_FORMAT = "hilbertsd.TrainedViews/1"

TEST_ROWS = 1000
"""Test samples whose responses are in memory at a time."""

LEARNED = 0.1
"""A view counts as learned if its strength is above this share of the strongest views' median over the classes."""

ARRAYS = ("weights", "train_outputs", "losses", "accuracies", "strengths")


@dataclass(frozen=True, eq=False)
class TrainedViews:
    """One trained network.

    Attributes
    ----------
    network : what was trained.
    noise : c, length of a patch's noise.
    seed : of the weights at the start.
    in_limit : whether it was trained in the limit of orthogonal noise.
    settled : whether training came to its end; False where its largest number of steps ended it.
    weights : (2k, width) correlations of neurons with views at the end; in d dimensions (d, width) weights.
    train_outputs : (n, k) outputs at the end.
    losses, accuracies : (R,) mean loss and accuracy on the training samples, every ten steps.
    strengths : (R, k, 2) largest correlation of a class's neurons with each of its views, every ten steps.
    """

    network: ViewNetwork
    noise: float
    seed: int
    in_limit: bool
    settled: bool
    weights: NDArray[np.float32]
    train_outputs: NDArray[np.float32]
    losses: NDArray[np.float32]
    accuracies: NDArray[np.float32]
    strengths: NDArray[np.float32]

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

        In the limit a test sample's noise is orthogonal to all that was learned, and responses to it are as at the
        start: independent N(0, c² σ_0²).

        Parameters
        ----------
        inputs : (m, P, 2k) views that their patches show; in d dimensions (m, P, d) patches.
        seed : of the test samples' noise in the limit; in d dimensions it is not used.

        Raises InvalidInput for inputs of another shape, or none.
        """
        if np.ndim(inputs) != 3 or np.shape(inputs)[2] != len(self.weights) or not len(inputs):
            raise InvalidInput(f"inputs have shape {np.shape(inputs)}; give (m, patches, {len(self.weights)})")
        # The key of the noise holds the network's seed, too: two networks respond to it independently.
        key = jax.random.fold_in(jax.random.key(seed), self.seed)
        found = []
        for start in range(0, len(inputs), TEST_ROWS):
            rows = jnp.asarray(inputs[start : start + TEST_ROWS], jnp.float32)
            fresh = None
            if self.in_limit:
                shape = (*rows.shape[:2], self.network.width)
                fresh = self.network.initial_scale * jax.random.normal(
                    jax.random.fold_in(key, start), shape, jnp.float32
                )
            found.append(
                np.asarray(outputs_of(State(jnp.asarray(self.weights), fresh), rows, self.noise, self.network))
            )
        return np.concatenate(found)

    def save(self, path: Path, source: Mapping[str, Any]) -> Path:
        """Write the network and what it was made from; raises InvalidFile if that is not possible."""
        about = {"network": asdict(self.network), "noise": self.noise, "seed": self.seed}
        about |= {"in_limit": self.in_limit, "settled": self.settled, "source": dict(source)}
        return write_arrays(path, FILE_FORMAT, about, {name: getattr(self, name) for name in ARRAYS})

    @classmethod
    def load(cls, path: Path, source: Mapping[str, Any]) -> Self:
        """Network of a file; raises InvalidFile for a damaged one, or one that was made from something else."""

        def made(arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> tuple[Self, dict[str, Any]]:
            kept: dict[str, Any] = {name: about[name] for name in ("noise", "seed", "in_limit", "settled")}
            kept |= {name: arrays[name] for name in ARRAYS}
            return cls(network=ViewNetwork(**about["network"]), **kept), about["source"]

        found, made_from = read_arrays(path, FILE_FORMAT, made)
        check_source(path, made_from, source)
        return found


def learned(strengths: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(…, k, 2) which views count as learned, from (…, k, 2) strengths."""
    strongest = np.median(strengths.max(axis=-1), axis=-1)
    return strengths > LEARNED * np.maximum(strongest, 0)[..., None, None]

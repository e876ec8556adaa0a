"""Kernel matrices of a network on a data set, in stores that can be killed, resumed and verified."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hilbertsd.data.splits import ImageSplit
from hilbertsd.gram.filling import bytes_missing, check_fits, fill, seconds_per_tile
from hilbertsd.gram.store import GramPlan, GramStore
from hilbertsd.gram.tiles import power_of_two
from hilbertsd.networks.layers import AveragePool, GlobalAveragePool
from hilbertsd.ntk.kernel import NeuralKernel, tiles_in_flight

LARGEST_STORED_TILE = {"pooled": 256, "unpooled": 1024}
"""Images a side of a tile in a store: with kernels of pooled networks the work of a minute, which a kill may cost."""

TILES_A_SIDE = 8
"""Into how many the kernel matrix of the training images is split at least, so that cores end together."""


@dataclass(frozen=True, eq=False)
class GramJob:
    """Train-train and test-train kernel matrices of one network on one data set.

    Attributes
    ----------
    kernel : of the network.
    images : of the data set.
    tile : images a side of a tile in the stores; None for what suits the network.
    """

    kernel: NeuralKernel
    images: ImageSplit
    tile: int | None = None

    @cached_property
    def plans(self) -> dict[str, GramPlan]:
        """What the stores will hold, by their folders' names; values are stored in the dtype they are computed in."""
        config = {**self.kernel.config, "dataset": self.images.name}
        how: Any = {"tile": self.tile or default_tile(self.kernel, len(self.images.train)), "dtype": self.kernel.dtype}
        return {
            "train-train": GramPlan.of(self.images.train, config, **how),
            "test-train": GramPlan.of(self.images.test, config, self.images.train, **how),
        }

    def estimated_seconds(self) -> float:
        """Time that both matrices take on this machine, from one tile of the first."""
        plans = self.plans
        plan = plans["train-train"]
        seconds = seconds_per_tile(plan, self.kernel, self.images.train)
        pairs = sum(each.n_pairs for each in plans.values())
        return seconds * pairs / (plan.chunks[0] * plan.chunks[1]) / tiles_in_flight()

    def check_fits(self, folder: str | Path) -> None:
        """Raise InvalidInput where disk or memory are too small for both stores."""
        reserved = 0
        for name, plan in self.plans.items():
            check_fits(plan, Path(folder) / name, reserved)
            reserved += bytes_missing(plan, Path(folder) / name)

    def run(self, folder: str | Path, client: Any = None) -> tuple[GramStore, GramStore]:
        """Compute what is missing of both matrices, in two stores within a folder.

        Parameters
        ----------
        folder : made where there is none.
        client : of a Dask cluster whose workers see the folder; None for this machine.

        Returns
        -------
        Train-train and test-train stores, complete.

        Raises
        ------
        InvalidFile
            A store in the folder is for another network or other images, or cannot be written.
        InvalidInput
            The disk or the memory is too small, or the images do not fit the network.
        """
        self.kernel.architecture.check(self.images.train.shape[1:])
        self.check_fits(folder)
        plans = self.plans
        Path(folder).mkdir(parents=True, exist_ok=True)
        stores = {name: GramStore.create(Path(folder) / name, plan) for name, plan in plans.items()}
        for name, store in stores.items():
            points = self.images.train if name == "train-train" else self.images.test
            others = None if name == "train-train" else self.images.train
            fill(store, self.kernel, points, others, client=client)
        return stores["train-train"], stores["test-train"]


def default_tile(kernel: NeuralKernel, n: int) -> int:
    """Images a side of a tile for n training images, a power of two: fewer where every pair of positions counts."""
    pooled = any(isinstance(layer, GlobalAveragePool | AveragePool) for layer in kernel.architecture.layers)
    largest = LARGEST_STORED_TILE["pooled" if pooled else "unpooled"]
    return min(largest, max(1, power_of_two(n // TILES_A_SIDE + 1) // 2))

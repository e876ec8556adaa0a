"""Kernel matrices of a network on a data set, in stores on disk; a run may be killed and resumed.

    images = image_split("cifar10", n_train=5000, n_test=1000, folder="cifar")
    job = GramJob(NeuralKernel(architecture("myrtle-5"), dtype="float32"), images)
    job.estimated_seconds()
    train, test = job.run("kernels")  # stores kernels/train-train and kernels/test-train, and labels.json
    path = distill(train, images.targets, tolerance=0.05)

What is in the folder already is not computed again.
"""

import math
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from hilbertsd.data.splits import ImageSplit
from hilbertsd.gram.filling import bytes_missing, check_fits, fill, tile_seconds
from hilbertsd.gram.kernel_tiles import KernelTiles
from hilbertsd.gram.store import GramPlan, GramStore
from hilbertsd.gram.tiles import power_of_two
from hilbertsd.networks.layers import AveragePool, GlobalAveragePool
from hilbertsd.ntk.jax_backend import tiles_in_flight
from hilbertsd.ntk.kernel import NeuralKernel
from hilbertsd.ntk.labels import STORES, write_labels

LARGEST_STORED_TILE = {"pooled": 256, "unpooled": 1024}
"""Most images a side of a stored tile. A run that is killed loses the tiles in work: about a minute with pooling."""

TILES_A_SIDE = 8
"""The kernel matrix of the training images has at least this many tiles a side, so that all cores end together."""


class JobSeconds(NamedTuple):
    """Seconds that a job takes to compile its functions, and to compute its tiles then."""

    compilation: float
    tiles: float


@dataclass(frozen=True, eq=False)
class GramJob:
    """Train-train and test-train kernel matrices of one network on one data set.

    Attributes
    ----------
    kernel : kernel of the network.
    images : training and test images of the data set.
    tile : number of images a side of a stored tile; None for what suits the network.
    """

    kernel: NeuralKernel
    images: ImageSplit
    tile: int | None = None

    @cached_property
    def plans(self) -> dict[str, GramPlan]:
        """Plans of both stores, by the names of their folders; values are stored in the dtype they are computed in."""
        config = {**self.kernel.config, "dataset": self.images.name}
        tile = self.tile or default_tile(self.kernel, len(self.images.train))
        layout: Any = {"tile": tile, "dtype": self.kernel.dtype}
        plans = (
            GramPlan.of(self.images.train, config, **layout),
            GramPlan.of(self.images.test, config, self.images.train, **layout),
        )
        return dict(zip(STORES, plans, strict=True))

    def estimated_seconds(self) -> "JobSeconds":
        """Estimate the time for both matrices on this machine, from their first tiles, which are computed for it."""
        train, test = self.images.train, self.images.test
        plans = self.plans
        side = slice(0, plans["train-train"].tile)
        began = time.perf_counter()
        KernelTiles(self.kernel, train).compute(side, side)  # functions of the diagonal compile, too
        seconds = {
            "train-train": tile_seconds(plans["train-train"], self.kernel, train).again,
            "test-train": tile_seconds(plans["test-train"], self.kernel, test, train).again,
        }
        spent = time.perf_counter() - began
        computed = 2.5 * seconds["train-train"] + 2 * seconds["test-train"]  # half of the diagonal tile, two of each
        whole = sum(seconds[name] * plan.n_pairs / math.prod(plan.chunks) for name, plan in plans.items())
        return JobSeconds(max(0.0, spent - computed), whole / tiles_in_flight())

    def check_fits(self, folder: str | Path) -> None:
        """Raise InvalidInput unless disk and memory have room for both stores."""
        bytes_before = 0
        for name, plan in self.plans.items():
            check_fits(plan, Path(folder) / name, bytes_before)
            bytes_before += bytes_missing(plan, Path(folder) / name)

    def run(self, folder: str | Path, client: Any = None) -> tuple[GramStore, GramStore]:
        """Compute what both stores in a folder still miss, and write the labels of their images beside them.

        Parameters
        ----------
        folder : folder of the stores; it is made if it does not exist.
        client : client of a Dask cluster whose workers see the folder; None for this machine.

        Returns
        -------
        The complete stores of the (n, n) train-train and the (m, n) test-train matrix.

        Raises
        ------
        InvalidFile
            A store in the folder is for another network or other images, or cannot be written.
        InvalidInput
            The disk or the memory is too small; the images do not fit the network, or their kernel is not finite.
        """
        self.kernel.architecture.check(self.images.train.shape[1:])
        self.check_fits(folder)
        plans = self.plans
        Path(folder).mkdir(parents=True, exist_ok=True)
        stores = {name: GramStore.create(Path(folder) / name, plan) for name, plan in plans.items()}
        inputs = (plans["train-train"].inputs, plans["test-train"].inputs)
        write_labels(Path(folder), self.images, inputs)
        for name, store in stores.items():
            points = self.images.train if name == "train-train" else self.images.test
            others = None if name == "train-train" else self.images.train
            fill(store, self.kernel, points, others, client=client)
        return stores["train-train"], stores["test-train"]


def default_tile(kernel: NeuralKernel, n: int) -> int:
    """Number of images a side of a stored tile for n training images: a power of two, smaller for pooled networks."""
    pooled = any(isinstance(layer, GlobalAveragePool | AveragePool) for layer in kernel.architecture.layers)
    largest = LARGEST_STORED_TILE["pooled" if pooled else "unpooled"]
    return min(largest, max(1, power_of_two(n // TILES_A_SIDE + 1) // 2))

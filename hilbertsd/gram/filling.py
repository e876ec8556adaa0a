"""Filling a store with a kernel matrix, and what that takes in time, memory and disk.

Ask before a long run, so that a store that cannot fit is refused before hours are spent on it:

    plan = GramPlan.of(points, {"kernel": "matern"})
    check_fits(plan, "gram")
    tile_seconds(plan, hilbertsd.greens.matern, points).again * plan.n_tiles / available_cores()
    fill(GramStore.create("gram", plan), hilbertsd.greens.matern, points)
"""

import math
import os
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hilbertsd.errors import InvalidInput
from hilbertsd.gram.kernel_tiles import Kernel, KernelTiles
from hilbertsd.gram.plan import GramPlan
from hilbertsd.gram.store import GramStore
from hilbertsd.gram.tiles import on_all_cores, single_threaded_blas
from hilbertsd.support.machine import available_cores, physical_memory

TILES_IN_MEMORY = 6
"""Float64 arrays of a tile's size that a core holds while it computes one: products, distances, values, their copy."""


def fill(store: GramStore, kernel: Kernel, points: Any, others: Any = None, *, client: Any = None) -> None:
    """Compute every tile that is missing or damaged, on all cores or on a cluster, and finish the store.

    Tiles come out the same on any number of cores or workers, in any order, and after any number of interruptions.

    Parameters
    ----------
    store : from :meth:`GramStore.create`.
    kernel : k(X, Y) from (n, ...) and (m, ...) points to (n, m) raw values, symmetric; called from several threads.
    points : (n, ...), the points of the store's plan; slices of them are read as they are needed.
    others : (m, ...), the columns of a cross kernel matrix; likewise.
    client : `distributed.Client` of a cluster whose workers see the store's folder; None for this machine. The kernel
        must then be picklable. Points are sent to every worker; a Zarr array is sent as its address.

    Raises
    ------
    InvalidInput
        The store is for other points or others, or they have masked values.
    InvalidKernel
        The kernel's values are not finite real numbers, or not symmetric: see :meth:`KernelTiles.compute`.
    MissingPackage
        A client is given, and dask.distributed is not installed.
    """
    store.check_points(points, others)
    matrix = KernelTiles(kernel, points, others)
    store.discard_replaced_tiles()
    if client is None:
        on_all_cores(partial(store.fill_tile, matrix), store.plan.tiles)
    else:
        from hilbertsd.gram.cluster import fill_tiles

        fill_tiles(store, matrix, client)
    store.finish()


class TileSeconds(NamedTuple):
    """Seconds that a first tile takes beyond another one, for compilation and the like, and that another one takes."""

    beyond: float
    again: float


def tile_seconds(plan: GramPlan, kernel: Kernel, points: Any, others: Any = None) -> TileSeconds:
    """Measure one whole tile on one core, twice, between the first points and the last ones, or others."""
    (n_rows, n_columns), n_across = plan.chunks, plan.shape[1]
    matrix = KernelTiles(kernel, points, points if others is None else others)  # no half of a tile on the diagonal
    tile = slice(0, n_rows), slice(n_across - n_columns, n_across)
    with single_threaded_blas:
        moments = [time.perf_counter()]
        for _ in range(2):
            matrix.compute(*tile)
            moments.append(time.perf_counter())
    first, again = np.diff(moments)
    return TileSeconds(max(0.0, first - again), again)


def bytes_missing(plan: GramPlan, folder: str | os.PathLike[str]) -> int:
    """Bytes of the tiles that are not in the folder yet."""
    tiles = (Path(folder) / "kernel" / "c").rglob("*")
    return plan.bytes_stored - sum(file.stat().st_size for file in tiles if file.is_file())


def check_fits(plan: GramPlan, folder: str | os.PathLike[str], reserved: int = 0) -> None:
    """Raise InvalidInput where the disk of a folder, or the memory of this machine, is too small for a store.

    Tiles that are already in the folder need no more room; `reserved` bytes of the disk are left to something else.
    """
    folder = Path(folder).absolute()
    parent = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(parent).free - reserved
    if bytes_missing(plan, folder) > free:
        n, m = plan.shape
        what = f"{n:,} samples" if plan.symmetric else f"{n:,} × {m:,} samples"
        raise InvalidInput(
            f"{what} take {plan.bytes_stored / 1e9:.3g} GB in {plan.dtype}, and the disk of "
            f"{folder} has {free / 1e9:.3g} GB free; give another folder or fewer samples"
        )
    needed, memory = available_cores() * TILES_IN_MEMORY * 8 * math.prod(plan.chunks), physical_memory()
    if memory is not None and needed > memory:
        raise InvalidInput(
            f"tiles of {plan.tile:,} rows take {needed / 1e9:.3g} GB of memory while they are computed on "
            f"{available_cores()} cores, and this machine has {memory / 1e9:.3g} GB; give smaller tiles"
        )

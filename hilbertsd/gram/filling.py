"""Filling a store with a kernel matrix: what it takes, and doing it on all cores."""

import math
import os
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

from hilbertsd.errors import InvalidInput
from hilbertsd.gram.kernel_tiles import Kernel, KernelTiles
from hilbertsd.gram.store import GramPlan, GramStore
from hilbertsd.gram.tiles import on_all_cores, single_threaded_blas
from hilbertsd.support.machine import available_cores, physical_memory

TILES_IN_MEMORY = 6
"""Tiles in float64 that a core holds while it computes one: products, distances, values, their copy in the store."""


def fill(store: GramStore, kernel: Kernel, points: Any, others: Any = None) -> None:
    """Compute every tile that is missing or damaged, one thread a core, and finish the store.

    Tiles come out the same on any number of cores, in any order, and after any number of interruptions.

    Parameters
    ----------
    store : from :meth:`GramStore.create`.
    kernel : k(X, Y) from (n, ...) and (m, ...) points to (n, m) raw values, symmetric; called from several threads.
    points : (n, ...), the ones that the store was planned for; slices of them are read as they are needed.
    others : (m, ...), the columns of a cross kernel matrix; likewise.

    Raises
    ------
    InvalidInput
        The store is for other points, or other others.
    InvalidKernel
        A value is not finite.
    """
    store.check_points(points, others)
    on_all_cores(partial(pairs_filled, store, KernelTiles(kernel, points, others)), store.plan.tiles)
    store.finish()


def pairs_filled(store: GramStore, matrix: KernelTiles, rows: slice, columns: slice) -> int:
    """Do as :meth:`GramStore.fill_tile`, and return how many pairs of points that computed."""
    return store.plan.pairs(rows, columns) if store.fill_tile(matrix, rows, columns) else 0


def seconds_per_tile(plan: GramPlan, kernel: Kernel, points: Any, others: Any = None) -> float:
    """Time that one whole tile takes on one core, measured between the first and the last points, or others."""
    (n_rows, n_columns), n_across = plan.chunks, plan.shape[1]
    matrix = KernelTiles(kernel, points, points if others is None else others)  # whole even where it is on the diagonal
    tile = slice(0, n_rows), slice(n_across - n_columns, n_across)
    with single_threaded_blas:
        matrix.compute(*tile)  # once for what is done once
        start = time.perf_counter()
        matrix.compute(*tile)
        return time.perf_counter() - start


def bytes_missing(plan: GramPlan, folder: str | os.PathLike[str]) -> int:
    """Size of the tiles that are not there yet."""
    tiles = (Path(folder) / "kernel" / "c").rglob("*")
    return plan.bytes_stored - sum(file.stat().st_size for file in tiles if file.is_file())


def check_fits(plan: GramPlan, folder: str | os.PathLike[str], besides: int = 0) -> None:
    """Raise InvalidInput where the disk of a folder, or the memory of this machine, is too small for a store.

    Tiles that are there already are counted as room; `besides` are bytes that something else will take of it.
    """
    folder = Path(folder).absolute()
    parent = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(parent).free - besides
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

"""Filling a store with a kernel matrix: what it takes, and doing it on all cores."""

import os
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

from hilbertsd.errors import InvalidInput
from hilbertsd.gram_store import GramPlan, GramStore
from hilbertsd.kernel_operators import Kernel
from hilbertsd.records import physical_memory
from hilbertsd.tiles import available_cores, on_all_cores, single_threaded_blas

TILES_IN_MEMORY = 6
"""Tiles in float64 that a core holds while it computes one: products, distances, values, their copy in the store."""


def fill(store: GramStore, kernel: Kernel, points: Any) -> None:
    """Compute every tile that is missing or damaged, one thread a core, and finish the store.

    Tiles come out the same on any number of cores, in any order, and after any number of interruptions.

    Parameters
    ----------
    store : from :meth:`GramStore.create`.
    kernel : k(X, Y) from (n, ...) and (m, ...) points to (n, m) raw values, symmetric; called from several threads.
    points : (n, ...), the ones that the store was planned for; slices of them are read as they are needed.

    Raises
    ------
    InvalidInput
        The store is for other points.
    InvalidKernel
        A value is not finite.
    """
    store.check_points(points)
    on_all_cores(partial(store.fill_tile, kernel, points), store.plan.tiles)
    store.finish()


def seconds_per_tile(plan: GramPlan, kernel: Kernel, points: Any) -> float:
    """Time that one whole tile takes on one core, measured between the first and the last points."""
    rows, columns = slice(0, plan.tile), slice(plan.n_samples - plan.tile, plan.n_samples)
    with single_threaded_blas:
        kernel(points[rows], points[columns])  # once for what is done once
        start = time.perf_counter()
        kernel(points[rows], points[columns])
        return time.perf_counter() - start


def check_fits(plan: GramPlan, folder: str | os.PathLike[str]) -> None:
    """Raise InvalidInput where the disk of a folder, or the memory of this machine, is too small for a store.

    Tiles that are there already are counted as room.
    """
    folder = Path(folder).absolute()
    there = sum(file.stat().st_size for file in (folder / "kernel" / "c").rglob("*") if file.is_file())
    parent = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(parent).free
    if plan.bytes_stored - there > free:
        raise InvalidInput(
            f"{plan.n_samples:,} samples take {plan.bytes_stored / 1e9:.3g} GB in {plan.dtype}, and the disk of "
            f"{folder} has {free / 1e9:.3g} GB free; give another folder or fewer samples"
        )
    needed, memory = available_cores() * TILES_IN_MEMORY * 8 * plan.tile**2, physical_memory()
    if memory is not None and needed > memory:
        raise InvalidInput(
            f"tiles of {plan.tile:,} rows take {needed / 1e9:.3g} GB of memory while they are computed on "
            f"{available_cores()} cores, and this machine has {memory / 1e9:.3g} GB; give smaller tiles"
        )

"""Matrices tile by tile, on all cores: who does what, and in which order sums are made."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from threading import Event, Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hilbertsd.support.machine import available_cores
from hilbertsd.support.progress import PairRate, progress

Tile = tuple[slice, slice]
"""Rows and columns."""


def slices(n: int, size: int) -> list[slice]:
    """Consecutive slices of at most `size` that cover range(n)."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def upper_tiles(n: int, size: int) -> list[Tile]:
    """Rows and columns of the tiles on and above the diagonal, row by row; the last ones may be smaller."""
    parts = slices(n, size)
    return [(rows, columns) for i, rows in enumerate(parts) for columns in parts[i:]]


def all_tiles(shape: tuple[int, int], size: int) -> list[Tile]:
    """Rows and columns of the tiles of a whole matrix, row by row; the last ones may be smaller."""
    return [(rows, columns) for rows in slices(shape[0], size) for columns in slices(shape[1], size)]


def count_pairs(rows: slice, columns: slice, *, symmetric: bool) -> int:
    """Pairs of points of a tile, each with one kernel value: on the diagonal of a symmetric matrix every pair once."""
    n, m = rows.stop - rows.start, columns.stop - columns.start
    return n * (n + 1) // 2 if symmetric and rows == columns else n * m


def power_of_two(n: int) -> int:
    """Smallest that is not below n, which is not below 1."""
    return 1 << (n - 1).bit_length()


def symmetric_product(
    tile: Callable[[slice, slice], NDArray[Any]], size: int, block: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Symmetric matrix, known by its tiles on and above the diagonal, times a block; one thread a core.

    Parameters
    ----------
    tile : values of the matrix in a slice of rows and one of columns, float32 or float64; called from several threads.
    size : rows and columns of a tile.
    block : (n, b).

    Returns
    -------
    (n, b), summed in float64 in an order that depends on n, size and the number of cores alone.
    """
    return _product(tile, upper_tiles(len(block), size), len(block), block, symmetric=True)


def rectangular_product(
    tile: Callable[[slice, slice], NDArray[Any]], n_rows: int, size: int, block: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n_rows, m) matrix times an (m, b) block, otherwise as :func:`symmetric_product`, to (n_rows, b)."""
    return _product(tile, all_tiles((n_rows, len(block)), size), n_rows, block, symmetric=False)


def _product(
    tile: Callable[[slice, slice], NDArray[Any]],
    tiles: list[Tile],
    n_rows: int,
    block: NDArray[np.float64],
    *,
    symmetric: bool,
) -> NDArray[np.float64]:
    """Sum of what the tiles add, those of a symmetric matrix on both sides of the diagonal."""
    n_threads = min(available_cores(), len(tiles))
    rows_of_block = np.ascontiguousarray(block.T)  # products with wide tiles from the left are the faster ones
    largest = [part.stop - part.start for part in tiles[0]]

    interrupted = Event()

    def part(first: int) -> NDArray[np.float64]:
        total = np.zeros((len(rows_of_block), n_rows))
        buffer = np.empty(largest)
        try:
            for rows, columns in tiles[first::n_threads]:
                if interrupted.is_set():
                    break
                values = tile(rows, columns)
                if values.dtype != np.float64:
                    converted = buffer[: values.shape[0], : values.shape[1]]
                    np.copyto(converted, values)
                    values = converted
                if symmetric:
                    total[:, columns] += rows_of_block[:, rows] @ values
                if not symmetric or rows != columns:
                    total[:, rows] += rows_of_block[:, columns] @ values.T
        except BaseException:
            interrupted.set()  # an error in one part ends them all
            raise
        return total

    if n_threads == 1:
        return part(0).T
    with single_threaded_blas, ThreadPoolExecutor(n_threads) as pool:
        try:
            return sum(pool.map(part, range(n_threads)), start=np.zeros((len(rows_of_block), n_rows))).T
        except BaseException:
            interrupted.set()  # and so does Ctrl-C
            raise


def on_all_cores(work: Callable[[slice, slice], int], tiles: list[Tile]) -> None:
    """Do some work for every tile, one thread a core, with a progress bar; the first error, or Ctrl-C, ends it.

    Matrix products within the work take one core each, so that their values do not depend on the number of cores.
    The work returns how many pairs of points it computed, of which the bar notes the number per second.
    """
    rate = PairRate()
    with progress("tiles", len(tiles)) as bar, single_threaded_blas, ThreadPoolExecutor(available_cores()) as pool:
        try:
            tasks = [pool.submit(work, *tile) for tile in tiles]
            for done, task in enumerate(as_completed(tasks), 1):
                bar.update(done, rate.note(task.result()))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what is in flight is finished, the rest is not begun
            raise


class _SingleThreadedBlas:
    """Matrix products on one core each while any thread is within.

    The limit is the whole process's, so that only the first thread to come sets it and the last one to go takes it
    away.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._within = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._within == 0:
                self._limits = threadpool_limits(1, "blas")
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if self._within == 0:
                self._limits.restore_original_limits()


single_threaded_blas = _SingleThreadedBlas()

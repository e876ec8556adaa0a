"""Matrices tile by tile on all cores: lists of tiles, and products whose sums have a fixed order."""

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
"""Rows and columns of a tile."""


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
    """Number of pairs of points in a tile; on the diagonal of a symmetric matrix every pair counts once."""
    n, m = rows.stop - rows.start, columns.stop - columns.start
    return n * (n + 1) // 2 if symmetric and rows == columns else n * m


def power_of_two(n: int) -> int:
    """Smallest power of two that is at least n, for n of at least 1."""
    return 1 << (n - 1).bit_length()


def symmetric_product(
    tile: Callable[[slice, slice], NDArray[Any]], size: int, block: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Product with a block of a symmetric matrix known by its tiles on and above the diagonal, one thread a core.

    Parameters
    ----------
    tile : function from a slice of rows and one of columns to the float32 or float64 values there; called from several
        threads.
    size : number of rows and columns of a tile.
    block : (n, b).

    Returns
    -------
    (n, b), summed in float64 in an order that depends only on n, size and the number of cores.
    """
    return _product(tile, upper_tiles(len(block), size), len(block), block, symmetric=True)


def rectangular_product(
    tile: Callable[[slice, slice], NDArray[Any]], n_rows: int, size: int, block: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n_rows, b) product of an (n_rows, m) matrix with an (m, b) block; otherwise as :func:`symmetric_product`."""
    return _product(tile, all_tiles((n_rows, len(block)), size), n_rows, block, symmetric=False)


def _product(
    tile: Callable[[slice, slice], NDArray[Any]],
    tiles: list[Tile],
    n_rows: int,
    block: NDArray[np.float64],
    *,
    symmetric: bool,
) -> NDArray[np.float64]:
    """Sum of the products of all tiles; those of a symmetric matrix count on both sides of the diagonal."""
    n_threads = min(available_cores(), len(tiles))
    rows_of_block = np.ascontiguousarray(block.T)  # multiplying wide tiles from the left is faster
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
            interrupted.set()  # an error in one part stops the others
            raise
        return total

    if n_threads == 1:
        return part(0).T
    with single_threaded_blas, ThreadPoolExecutor(n_threads) as pool:
        try:
            return sum(pool.map(part, range(n_threads)), start=np.zeros((len(rows_of_block), n_rows))).T
        except BaseException:
            interrupted.set()  # so does Ctrl-C
            raise


def on_all_cores(work: Callable[[slice, slice], int], tiles: list[Tile]) -> None:
    """Call work for every tile, one thread a core, with a progress bar; the first error, or Ctrl-C, ends it.

    Matrix products within work run on one core each, so that their values do not depend on the number of cores. Work
    returns how many pairs of points it computed; the bar shows their number per second.
    """
    rate = PairRate()
    with progress("tiles", len(tiles)) as bar, single_threaded_blas, ThreadPoolExecutor(available_cores()) as pool:
        try:
            tasks = [pool.submit(work, *tile) for tile in tiles]
            for done, task in enumerate(as_completed(tasks), 1):
                bar.update(done, rate.note(task.result()))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # tiles in flight are finished, the others are dropped
            raise


class _SingleThreadedBlas:
    """Context in which matrix products run on one core each; threads may share it.

    The limit holds for the whole process, so that the first thread to enter sets it and the last to leave lifts it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._threads_inside = 0
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._threads_inside == 0:
                self._limits = threadpool_limits(1, "blas")
            self._threads_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads_inside -= 1
            if self._threads_inside == 0:
                self._limits.restore_original_limits()


single_threaded_blas = _SingleThreadedBlas()

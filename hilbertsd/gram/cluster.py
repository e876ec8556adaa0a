"""Tiles and block products on the workers of a Dask cluster, whatever started it (extra `cluster`).

    client = distributed.Client("tcp://head:8786")
    store = GramStore.create("gram", GramPlan.of(points, {"kernel": "matern"}))
    fill(store, hilbertsd.greens.matern, points, client=client)
    path = hilbertsd.distill(ClusterKernel(store, client), targets, tolerance=0.1)

The store's folder must lie on a file system that every worker sees. Workers may come, go and die; the scheduler gives
their tasks to others. Tiles, the groups in which they are multiplied and the order of all sums are fixed, so that the
results are the same to the last bit on processors of one kind.
"""

from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidFile, InvalidKernel, MissingPackage
from hilbertsd.gram.kernel_tiles import KernelTiles
from hilbertsd.gram.operators import KernelOperator
from hilbertsd.gram.store import GramStore
from hilbertsd.gram.tiles import Tile, single_threaded_blas, slices
from hilbertsd.support.progress import PairRate, progress

try:
    from dask import config as dask_config
    from distributed import Client, as_completed
except ImportError as error:
    raise MissingPackage("a cluster needs dask.distributed; pip install 'hilbertsd[cluster]'") from error

LARGEST_MESSAGE = "1 TiB"
"""Size from which Dask warns of a message, instead of 10 MiB: blocks and points are sent through the scheduler on
purpose, so that it can send them again when a worker dies."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Stored tiles of one rectangle of the matrix, with their rows and columns counted within the rectangle."""

    n_rows: int
    n_columns: int
    tiles: list[tuple[Tile, NDArray[Any]]]


def fill_tiles(store: GramStore, matrix: KernelTiles, client: Client) -> None:
    """Fill every tile of a store on some worker: the part of :func:`hilbertsd.gram.fill` that a cluster does.

    The first tile waits for the first worker.
    """
    place = (str(store.folder.absolute()), store.plan.hash)
    with _large_messages():
        # Points are results of tasks, which can be done again where their worker dies.
        sent = [
            None if array is None else client.submit(_on_worker, array, pure=False)
            for array in (matrix.points, matrix.others)
        ]
    matrix_on_workers = client.submit(KernelTiles, matrix.kernel, *sent, pure=False)
    tasks = [client.submit(_fill_tile, place, matrix_on_workers, tile, pure=False) for tile in store.plan.tiles]
    rate = PairRate()
    with progress("tiles", len(tasks)) as bar:
        for done, task in enumerate(as_completed(tasks), 1):
            bar.update(done, f"{rate.note(task.result())} on the cluster".lstrip())


class ClusterKernel(KernelOperator):
    """Kernel matrix of a complete store, held in the memory of a cluster's workers.

    When a worker dies, others read its tiles from the store again.

    Parameters
    ----------
    store : complete store.
    client : client of the cluster. Workers keep what does not fit into their memory on their own disks.
    parts : number p of parts into which the samples are split; the matrix is held in p(p+1)/2 groups of tiles, and
        every worker should get some of them.

    Raises InvalidKernel for the store of a cross kernel matrix.
    """

    block_size = GramStore.block_size

    def __init__(self, store: GramStore, client: Client, *, parts: int = 16) -> None:
        if not store.symmetric:
            raise InvalidKernel(
                f"{store.folder} holds a cross kernel matrix of shape {store.shape}, which no cluster takes; multiply "
                "with the store itself"
            )
        self._shape = store.shape
        self.precision = store.precision
        self._client = client
        tile = store.plan.tile
        tiles_per_part = -(-len(slices(store.shape[0], tile)) // parts)
        self._parts = slices(store.shape[0], tiles_per_part * tile)
        place = (str(store.folder.absolute()), store.plan.hash)
        self._groups = {
            (i, j): client.submit(_read_group, place, rows, columns, pure=False)
            for i, rows in enumerate(self._parts)
            for j, columns in enumerate(self._parts[i:], i)
        }

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self._shape

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, b) raw kernel matrix times an (n, b) block; raises as :meth:`GramStore.multiply`."""
        client = self._client
        with _large_messages():
            pieces = [client.submit(_on_worker, block[part], pure=False) for part in self._parts]
        shares: list[list[Any]] = [[] for _ in self._parts]
        for (i, j), group in self._groups.items():
            product = client.submit(_product, group, pieces[i], pieces[j], i == j, pure=False)
            for part, index in [(i, 0)] if i == j else [(i, 0), (j, 1)]:
                shares[part].append(client.submit(itemgetter(index), product, pure=False))
        sums = [client.submit(_total, part_shares, pure=False) for part_shares in shares]
        return np.concatenate([total.result() for total in sums])


def _large_messages() -> Any:
    return dask_config.set({"distributed.admin.large-graph-warning-threshold": LARGEST_MESSAGE})


def _on_worker(values: Any) -> Any:
    """Return the values: a task whose result stays on a worker."""
    return values


@lru_cache(maxsize=8)
def _opened(folder: str, plan_hash: str) -> GramStore:
    """Store as this worker sees it, opened once; the hash tells it from another store in the same folder."""
    store = GramStore.open(Path(folder))
    if store.plan.hash != plan_hash:
        raise InvalidFile(f"{folder} is another store on this worker; give a folder that all workers see")
    return store


def _fill_tile(place: tuple[str, str], matrix: KernelTiles, tile: Tile) -> int:
    with single_threaded_blas:
        return _opened(*place).fill_tile(matrix, *tile)


def _read_group(place: tuple[str, str], rows: slice, columns: slice) -> _Group:
    store = _opened(*place)
    tiles = []
    for tile_rows, tile_columns in store.plan.tiles:
        if rows.start <= tile_rows.start < rows.stop and columns.start <= tile_columns.start < columns.stop:
            within = (_shifted(tile_rows, rows.start), _shifted(tile_columns, columns.start))
            tiles.append((within, store.read(tile_rows, tile_columns)))
    return _Group(rows.stop - rows.start, columns.stop - columns.start, tiles)


def _product(
    group: _Group, at_rows: NDArray[np.float64], at_columns: NDArray[np.float64], diagonal: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the product that a group gives in its rows and, below the diagonal, in its columns.

    `at_rows` and `at_columns` are the block's rows there. On the diagonal both shares are the same array.
    """
    in_rows = np.zeros((group.n_rows, at_rows.shape[1]))
    in_columns = in_rows if diagonal else np.zeros((group.n_columns, at_rows.shape[1]))
    with single_threaded_blas:
        for (rows, columns), stored in group.tiles:
            values = stored.astype(np.float64)
            in_rows[rows] += values @ at_columns[columns]
            if not (diagonal and rows == columns):
                in_columns[columns] += values.T @ at_rows[rows]
    return in_rows, in_columns


def _shifted(part: slice, by: int) -> slice:
    return slice(part.start - by, part.stop - by)


def _total(shares: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Sum of the shares from the first to the last, an order that does not depend on which worker came first."""
    return reduce(np.add, shares)

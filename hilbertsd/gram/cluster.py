"""Tiles and block products on the workers of a Dask cluster, whatever started it (extra `cluster`).

The store's folder must lie on a file system that every worker sees. Workers may come, go and die: the scheduler gives
their tasks to others, and since tiles, the groups they are multiplied in and the order of all sums are fixed, the
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
from hilbertsd.gram.filling import pairs_filled
from hilbertsd.gram.kernel_tiles import Kernel, KernelTiles
from hilbertsd.gram.store import GramStore
from hilbertsd.gram.tiles import Tile, single_threaded_blas, slices
from hilbertsd.support.progress import PairRate, progress

try:
    from dask import config as dask_config
    from distributed import Client, as_completed
except ImportError as error:
    raise MissingPackage("a cluster needs dask.distributed; pip install 'hilbertsd[cluster]'") from error

LARGEST_MESSAGE = "1 TiB"
"""Blocks and points go to the workers through the scheduler, which can give them to others; Dask warns from 10 MiB."""


@dataclass(frozen=True, eq=False)
class _Group:
    """Tiles of a rectangle of the matrix, on and above the diagonal, with their places in the rectangle."""

    n_rows: int
    n_columns: int
    tiles: list[tuple[Tile, NDArray[Any]]]


def fill_on_cluster(store: GramStore, kernel: Kernel, points: Any, client: Client, others: Any = None) -> None:
    """Do as :func:`hilbertsd.gram.filling.fill`, every tile on some worker.

    Parameters
    ----------
    store, kernel, points, others : as there; kernel must be picklable. Points go to every worker that computes; a Zarr
        array travels as its address, and workers read the slices they need.
    client : of the cluster. The first tile waits for the first worker.
    """
    store.check_points(points, others)
    place = (str(store.folder.absolute()), store.plan.hash)
    with _large_messages():
        # As tasks, which can be done again where their worker dies.
        sent = [None if each is None else client.submit(_itself, each, pure=False) for each in (points, others)]
    matrix = client.submit(KernelTiles, kernel, *sent, pure=False)
    tasks = [client.submit(_fill_tile, place, matrix, tile, pure=False) for tile in store.plan.tiles]
    rate = PairRate()
    with progress("tiles", len(tasks)) as bar:
        for done, task in enumerate(as_completed(tasks), 1):
            bar.update(done, f"{rate.note(task.result())} on the cluster".lstrip())
    store.finish()


class ClusterKernel:
    """Kernel matrix of a complete store, held in the memory of a cluster's workers; a kernel operator.

    A worker that dies takes its tiles along, and others read them from the store again.

    Parameters
    ----------
    store : complete.
    client : of the cluster. What does not fit into the workers' memory they keep on their own disks.
    parts : p, of the samples; the matrix is held in p(p+1)/2 groups of tiles, of which every worker should get some.

    Raises InvalidKernel for the store of a cross kernel matrix.
    """

    block_size = GramStore.block_size

    def __init__(self, store: GramStore, client: Client, *, parts: int = 16) -> None:
        if not store.symmetric:
            raise InvalidKernel(
                f"{store.folder} holds a cross kernel matrix of shape {store.shape}, which no cluster takes; multiply "
                "with the store itself"
            )
        self.shape = store.shape
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

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, b) raw kernel matrix times an (n, b) block; errors as :meth:`GramStore.multiply`."""
        client = self._client
        with _large_messages():
            pieces = [client.submit(_itself, block[part], pure=False) for part in self._parts]
        shares: list[list[Any]] = [[] for _ in self._parts]
        for (i, j), group in self._groups.items():
            product = client.submit(_product, group, pieces[i], pieces[j], i == j, pure=False)
            for part, index in [(i, 0)] if i == j else [(i, 0), (j, 1)]:
                shares[part].append(client.submit(itemgetter(index), product, pure=False))
        sums = [client.submit(_total, each, pure=False) for each in shares]
        return np.concatenate([each.result() for each in sums])


def _large_messages() -> Any:
    return dask_config.set({"distributed.admin.large-graph-warning-threshold": LARGEST_MESSAGE})


def _itself(values: Any) -> Any:
    return values


@lru_cache(maxsize=8)
def _opened(folder: str, plan_hash: str) -> GramStore:
    """Store as this worker sees it, opened once; another one in the same folder has another plan."""
    store = GramStore.open(Path(folder))
    if store.plan.hash != plan_hash:
        raise InvalidFile(f"{folder} is another store on this worker; give a folder that all workers see")
    return store


def _fill_tile(place: tuple[str, str], matrix: KernelTiles, tile: Tile) -> int:
    with single_threaded_blas:
        return pairs_filled(_opened(*place), matrix, *tile)


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
    """What a group adds to the product in its rows, and, mirrored, in its columns; one array for both on the diagonal.

    `at_rows` and `at_columns` are the block there.
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
    """Sum from the first to the last, so that it is the same wherever the shares came from."""
    return reduce(np.add, shares)

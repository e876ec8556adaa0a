"""Kernel matrices of infinitely wide networks, tile by tile, on all cores or accelerators."""

import math
import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from hilbertsd.checks import as_real_array, check_whole
from hilbertsd.errors import InvalidInput
from hilbertsd.kernel_operators import DTYPES
from hilbertsd.ntk.architectures import KERNELS, Architecture
from hilbertsd.ntk.architectures import architecture as architecture_by_name
from hilbertsd.ntk.compat import sixty_four_bits
from hilbertsd.ntk.layers import AveragePool, Layer, segments
from hilbertsd.ntk.recursion import (
    PairDeviations,
    covariances,
    deviations,
    offsets_needed,
)
from hilbertsd.tiles import Tile, all_tiles, available_cores, count_pairs, on_all_cores, slices, upper_tiles

IMAGES_AT_ONCE = 64
"""Whose values on the diagonal are computed together."""

NUMBERS_IN_CACHE, NUMBERS_ON_DEVICE = 2**18, 2**26
"""Of one array of a block, on a processor and on an accelerator."""

SMALLEST_TILE, LARGEST_TILE = 4, 1024

TILES_PER_DEVICE = 2
"""In flight on an accelerator: one computes while the other's values come back."""

TILES_PER_CORE = 16
"""Into how many jobs at least a kernel matrix is split for every core."""


@dataclass(frozen=True)
class NeuralKernel:
    """Kernel of an infinitely wide network as a function k(X, Y), which can be sent to other processes.

    A kernel like any other to :class:`hilbertsd.gram_store.GramStore`, :func:`hilbertsd.gram_jobs.fill` and
    :func:`hilbertsd.cluster.fill_on_cluster`. Images go to the devices of this machine in turn.

    Attributes
    ----------
    architecture : of the network.
    kernel : "ntk", or "nngp" for the covariance of the outputs at initialisation.
    dtype : "float64", or "float32", in which values between different images are within about 1e-6 of the largest, but
        those between an image and a copy of it only within 1e-3: an angle near 0 has half the digits of its cosine.
        :meth:`symmetric` computes its diagonal in float64.
    tile : images a side of what is compiled and computed at once; None for what suits the network and the device.

    Raises
    ------
    InvalidInput
        Unknown kernel or dtype, or a tile below 1.
    """

    architecture: Architecture
    kernel: str = "ntk"
    dtype: str = "float64"
    tile: int | None = None

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise InvalidInput(f"kernel is {self.kernel!r}; give one of {', '.join(KERNELS)}")
        if self.dtype not in DTYPES:
            raise InvalidInput(f"dtype is {self.dtype!r}; give one of {', '.join(DTYPES)}")
        if self.tile is not None:
            check_whole(self.tile, "tile", InvalidInput)

    @property
    def config(self) -> dict[str, Any]:
        """What decides the values, ready for JSON: for a :class:`hilbertsd.gram_store.GramPlan`."""
        return {"kernel": self.kernel, "architecture": self.architecture.config, "computed_in": self.dtype}

    def __call__(self, X: Any, Y: Any) -> NDArray[Any]:
        """(n, m) values between (n, rows, columns, channels) and (m, rows, columns, channels) images.

        Raises InvalidInput for inputs that are no such images, or do not fit the architecture.
        """
        X, Y = self._checked_pair(X, Y)
        side = self._side(X)
        first, second = self._prepared(X, side), self._prepared(Y, side)
        values = np.empty((len(X), len(Y)), self.dtype)
        for rows, columns in all_tiles(values.shape, side):
            values[rows, columns] = self._between(first, second, rows, columns)
        return values

    def symmetric(self, X: Any) -> NDArray[Any]:
        """(n, n) values between images and themselves: half of them computed, the diagonal in float64."""
        X = self._checked(X)
        side = self._side(X)
        prepared = self._prepared(X, side)
        values = np.empty((len(X), len(X)), self.dtype)
        for rows, columns in upper_tiles(len(X), side):
            _mirror(values, rows, columns, self._between(prepared, prepared, rows, columns))
        np.fill_diagonal(values, self.diagonal(X))
        return values

    def diagonal(self, X: Any) -> NDArray[np.float64]:
        """(n,) values between every image and itself, in float64."""
        run = partial(_own_covariance, *self._compiled_for)
        images = self._checked(X)
        found = np.concatenate(list(_by_parts(run, images, min(IMAGES_AT_ONCE, len(images)), "float64")))
        return found[: len(images)]

    def matrix(self, X: Any, X2: Any = None) -> NDArray[Any]:
        """Do as :meth:`symmetric`, or with X2 as a call, on all cores and devices and with a progress bar."""
        X, Y = self._checked_pair(X, X if X2 is None else X2)
        side = self._side(X)
        first = self._prepared(X, side)
        second = first if X2 is None else self._prepared(Y, side)
        values = np.empty((len(X), len(Y)), self.dtype)
        group = _group(values.shape, side)
        jobs = upper_tiles(len(values), group) if X2 is None else all_tiles(values.shape, group)

        def compute(rows: slice, columns: slice) -> int:
            for tile in _tiles_within(rows, columns, side, X2 is None):
                part = self._between(first, second, *tile)
                if X2 is None:
                    _mirror(values, *tile, part)
                else:
                    values[tile] = part
            return count_pairs(rows, columns, symmetric=X2 is None)

        on_all_cores(compute, jobs)
        if X2 is None:
            np.fill_diagonal(values, self.diagonal(X))
        return values

    @property
    def _compiled_for(self) -> tuple[Any, ...]:
        """Layers, whether the tangent kernel is wanted, whether in the standard parameterization, and the block."""
        network = self.architecture
        block = (1, 1) if jax.default_backend() == "cpu" else None
        return network.layers, self.kernel == "ntk", network.parameterization == "standard", block

    def _checked(self, X: Any) -> NDArray[Any]:
        images = np.asarray(as_real_array(X, "images", InvalidInput))
        if images.ndim not in (2, 4) or len(images) == 0:
            raise InvalidInput(f"images have shape {images.shape}; give (n, rows, columns, channels), at least one")
        self.architecture.check(images.shape[1:])
        if not np.all(np.isfinite(images)):
            raise InvalidInput("images have values that are not finite; check them for missing values")
        return images if images.ndim == 4 else images[:, None, None, :]

    def _checked_pair(self, X: Any, Y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        first = self._checked(X)
        second = first if Y is X else self._checked(Y)
        if first.shape[1:] != second.shape[1:]:
            raise InvalidInput(
                f"images of shape {first.shape[1:]} and others of {second.shape[1:]}; give both the same shape"
            )
        return first, second

    def _side(self, images: NDArray[Any]) -> int:
        """Images a side of a compiled tile."""
        on_processor = jax.default_backend() == "cpu"
        per_pair = _numbers_per_pair(self.architecture.layers, images.shape[1:3], whole=not on_processor)
        fitting = math.isqrt((NUMBERS_IN_CACHE if on_processor else NUMBERS_ON_DEVICE) // per_pair)
        return min(max(SMALLEST_TILE, min(LARGEST_TILE, fitting)) if self.tile is None else self.tile, len(images))

    def _prepared(self, images: NDArray[Any], side: int) -> "_Prepared":
        run = partial(_with_deviations, self.architecture.layers)
        return _Prepared(side, list(_by_parts(run, images, side, self.dtype)))

    def _between(self, first: "_Prepared", second: "_Prepared", rows: slice, columns: slice) -> NDArray[Any]:
        """Values of a tile."""
        with sixty_four_bits(True), _device() as device:
            arguments = (first.tile(rows), second.tile(columns), np.ones((), self.dtype))
            values = np.asarray(_pair_covariance(*self._compiled_for, *jax.device_put(arguments, device)))
        return values[: rows.stop - rows.start, : columns.stop - columns.start]


def gram(
    architecture: Architecture | str,
    X: Any,
    X2: Any = None,
    *,
    kernel: str = "ntk",
    dtype: str = "float64",
    tile: int | None = None,
) -> NDArray[Any]:
    """Raw kernel matrix of an infinitely wide network, in memory.

    Parameters
    ----------
    architecture : from :func:`hilbertsd.ntk.architecture`, or its name.
    X : (n, rows, columns, channels) images; (n, d) for a fully connected network. Used as they are.
    X2 : (m, ...) other images; None for X itself, of which half the values are computed.
    kernel, dtype, tile : see :class:`NeuralKernel`.

    Returns
    -------
    (n, n) or (n, m) NumPy array of the dtype.

    Raises
    ------
    InvalidInput
        Unknown name, kernel or dtype, or images that do not fit the architecture.
    MissingPackage
        neural-tangents is not installed.
    """
    network = architecture if isinstance(architecture, Architecture) else architecture_by_name(architecture)
    return NeuralKernel(network, kernel, dtype, tile).matrix(X, X2)


@dataclass(frozen=True)
class _Prepared:
    """Tiles of images, images last, with the standard deviations of what reaches every ReLU."""

    side: int
    tiles: list[tuple[Any, list[Any]]]

    def tile(self, images: slice) -> tuple[Any, list[Any]]:
        """The one that begins with these images; its last ones are repeated where there are fewer."""
        return self.tiles[images.start // self.side]


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _pair_covariance(
    layers: tuple[Layer, ...], ntk: bool, standard: bool, block: Any, first: Any, second: Any, one: Any
) -> Any:
    first = jax.tree.map(lambda a: a[..., :, None], first)
    second = jax.tree.map(lambda a: a[..., None, :], second)
    known = PairDeviations(first[1], second[1])
    both = covariances(layers, first[0], second[0], known, ntk=ntk, standard=standard, block=block, one=one)
    return both[1] if ntk else both[0]


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _own_covariance(layers: tuple[Layer, ...], ntk: bool, standard: bool, block: Any, images: Any, one: Any) -> Any:
    found = deviations(layers, images)
    known = PairDeviations(found, found, paired_with_themselves=True)
    both = covariances(layers, images, images, known, ntk=ntk, standard=standard, block=block, one=one)
    return both[1] if ntk else both[0]


@partial(jax.jit, static_argnums=0)
def _with_deviations(layers: tuple[Layer, ...], images: Any, _one: Any) -> tuple[Any, list[Any]]:
    return images, deviations(layers, images)


def _by_parts(run: Any, images: NDArray[Any], size: int, dtype: str) -> Iterator[Any]:
    """Results for parts of the images, computed in float64; the last part's last image is repeated up to the size."""
    for part in slices(len(images), size):
        index = np.minimum(np.arange(part.start, part.start + size), part.stop - 1)
        with sixty_four_bits(True):
            images_last = np.ascontiguousarray(np.moveaxis(images[index], 0, -1), dtype="float64")
            yield jax.tree.map(lambda a: np.asarray(a, dtype), run(images_last, np.ones(())))


def _numbers_per_pair(layers: Sequence[Layer], sides: Sequence[int], *, whole: bool) -> int:
    """Numbers that one array holds for one pair, of the largest block, or of all offsets."""
    segment, last, _ = segments(layers)
    if not segment:
        return 1
    unit = 2 if isinstance(last, AveragePool) else 1
    kept = [len(offsets_needed(layers, side)) if whole else unit for side in sides]
    return math.prod(kept) * math.prod(sides)


def _group(shape: tuple[int, ...], side: int) -> int:
    """Images a side of a job: whole tiles, small enough that every core gets several."""
    jobs = TILES_PER_CORE * available_cores()
    return max(1, math.isqrt(math.prod(shape) // jobs) // side) * side


def _tiles_within(rows: slice, columns: slice, side: int, symmetric: bool) -> list[Tile]:
    """Tiles of a job; of a job on the diagonal of a symmetric matrix those on and above it."""
    down, across = slices(rows.stop - rows.start, side), slices(columns.stop - columns.start, side)
    moved = [
        (slice(i.start + rows.start, i.stop + rows.start), slice(j.start + columns.start, j.stop + columns.start))
        for i in down
        for j in across
    ]
    return [tile for tile in moved if not symmetric or tile[0].start <= tile[1].start]


def _mirror(values: NDArray[Any], rows: slice, columns: slice, part: NDArray[Any]) -> None:
    """Put a tile in its place and on the other side of the diagonal; one on it is made symmetric."""
    if rows == columns:
        part = np.triu(part) + np.triu(part, 1).T
    values[rows, columns] = part
    values[columns, rows] = part.T


@contextmanager
def _device() -> Iterator[Any]:
    """Device that has room for another tile."""
    free = _free_devices()
    device = free.get()
    try:
        yield device
    finally:
        free.put(device)


@cache
def _free_devices() -> "queue.SimpleQueue[Any]":
    """Devices of this process, each as often as it takes tiles at a time."""
    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
    on_processor = jax.default_backend() == "cpu"
    for _ in range(available_cores() if on_processor else TILES_PER_DEVICE):
        for device in jax.local_devices():
            free.put(device)
    return free

"""Kernel matrices of infinitely wide networks, tile by tile, on all cores or accelerators."""

import math
import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
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

IMAGES_AT_ONCE = 32
"""Whose deviations, and values on the diagonal, are computed together."""

NUMBERS_IN_CACHE, NUMBERS_ON_DEVICE = 2**16, 2**26
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
        first, second = self._prepared(X), self._prepared(Y)
        values = np.empty((first.n_images, second.n_images), self.dtype)
        for rows, columns in all_tiles(values.shape, self._side(first)):
            values[rows, columns] = self._between(first, second, rows, columns)
        return values

    def symmetric(self, X: Any) -> NDArray[Any]:
        """(n, n) values between images and themselves: half of them computed, the diagonal in float64."""
        prepared = self._prepared(X)
        values = np.empty((prepared.n_images,) * 2, self.dtype)
        for rows, columns in upper_tiles(prepared.n_images, self._side(prepared)):
            _mirror(values, rows, columns, self._between(prepared, prepared, rows, columns))
        np.fill_diagonal(values, self.diagonal(X))
        return values

    def diagonal(self, X: Any) -> NDArray[np.float64]:
        """(n,) values between every image and itself, in float64."""
        run = partial(_own_covariance, *self._compiled_for)
        return np.concatenate(list(_by_parts(run, self._checked(X))))

    def matrix(self, X: Any, X2: Any = None) -> NDArray[Any]:
        """Do as :meth:`symmetric`, or with X2 as a call, on all cores and devices and with a progress bar."""
        first = self._prepared(X)
        second = first if X2 is None else self._prepared(X2)
        values = np.empty((first.n_images, second.n_images), self.dtype)
        side = self._side(first)
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

    def _prepared(self, X: Any) -> "_Prepared":
        images = self._checked(X)
        found = list(_by_parts(partial(_deviations, self.architecture.layers), images))
        joined = [np.concatenate(parts, axis=-1).astype(self.dtype) for parts in zip(*found, strict=True)]
        return _Prepared(_images_last(images, self.dtype), joined)

    def _side(self, prepared: "_Prepared") -> int:
        """Images a side of a compiled tile."""
        if self.tile is not None:
            return min(self.tile, prepared.n_images)
        on_processor = jax.default_backend() == "cpu"
        per_pair = _numbers_per_pair(self.architecture.layers, prepared.images.shape[:2], whole=not on_processor)
        fitting = math.isqrt((NUMBERS_IN_CACHE if on_processor else NUMBERS_ON_DEVICE) // per_pair)
        return min(max(SMALLEST_TILE, min(LARGEST_TILE, fitting)), prepared.n_images)

    def _between(self, first: "_Prepared", second: "_Prepared", rows: slice, columns: slice) -> NDArray[Any]:
        """Values of a tile, whose last images are repeated up to the compiled shape where there are fewer."""
        n_rows, n_columns = (min(self._side(first), each.n_images) for each in (first, second))
        at_rows, at_columns = first.part(rows, n_rows, -1), second.part(columns, n_columns, -2)
        with sixty_four_bits(True), _device() as device:
            arguments = jax.device_put((at_rows, at_columns, np.ones((), self.dtype)), device)
            values = np.asarray(_pair_covariance(*self._compiled_for, *arguments))
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
    """Images last, with the standard deviations of what reaches every ReLU."""

    images: NDArray[Any]
    deviations: list[NDArray[Any]]

    @property
    def n_images(self) -> int:
        return self.images.shape[-1]

    def part(self, images: slice, size: int, new_axis: int) -> tuple[Any, list[Any]]:
        """Some images, repeated up to a size, with an axis for those they are paired with."""
        index = np.minimum(np.arange(images.start, images.start + size), images.stop - 1)
        return (
            np.expand_dims(self.images[..., index], new_axis),
            [np.expand_dims(each[..., index], new_axis) for each in self.deviations],
        )


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _pair_covariance(
    layers: tuple[Layer, ...], ntk: bool, standard: bool, block: Any, first: Any, second: Any, one: Any
) -> Any:
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
def _deviations(layers: tuple[Layer, ...], images: Any, _one: Any) -> list[Any]:
    return deviations(layers, images)


def _by_parts(run: Any, images: NDArray[Any]) -> Iterator[Any]:
    """Results for a few images at a time, in float64, images last; the last part is filled up to the compiled shape."""
    size = min(IMAGES_AT_ONCE, len(images))
    for part in slices(len(images), size):
        index = np.minimum(np.arange(part.start, part.start + size), part.stop - 1)
        with sixty_four_bits(True):
            result = run(jnp.asarray(_images_last(images[index], "float64")), jnp.ones((), jnp.float64))
            yield jax.tree.map(lambda a, part=part: np.asarray(a)[..., : part.stop - part.start], result)


def _images_last(images: NDArray[Any], dtype: str) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(images, 0, -1), dtype=dtype)


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

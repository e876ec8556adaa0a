"""Kernel matrices of infinitely wide networks, tile by tile, on all cores or accelerators."""

import math
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from threading import Lock
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.gram.kernel_tiles import DTYPES, TiledKernel
from hilbertsd.gram.tiles import all_tiles, count_pairs, on_all_cores, power_of_two, slices, upper_tiles
from hilbertsd.networks import architectures
from hilbertsd.networks.architectures import Architecture
from hilbertsd.networks.layers import AveragePool, Layer, segments
from hilbertsd.ntk.compat import sixty_four_bits
from hilbertsd.ntk.covariance import PairDeviations
from hilbertsd.ntk.recursion import covariances, deviations, offsets_needed
from hilbertsd.support.checks import as_real_array, check_whole
from hilbertsd.support.machine import available_cores

KERNELS = ("ntk", "nngp")

IMAGES_AT_ONCE = 64
"""Whose values on the diagonal are computed together."""

NUMBERS_IN_CACHE, NUMBERS_ON_DEVICE = 2**18, 2**26
"""Of one array of a block, on a processor and on an accelerator."""

SMALLEST_TILE, LARGEST_TILE = 4, 1024

BYTES_KEPT = 2**30
"""Of what is prepared of images, for every matrix in every process: all of CIFAR's for fully connected networks, which
alone are so cheap that preparing images counts."""

TILES_PER_DEVICE = 2
"""In flight on an accelerator: one computes while the other's values come back."""

TILES_PER_CORE = 16
"""Into how many jobs at least a kernel matrix is split for every core."""


@dataclass(frozen=True)
class NeuralKernel(TiledKernel):
    """Kernel of an infinitely wide network as a function k(X, Y), which can be sent to other processes.

    A kernel like any other to :class:`hilbertsd.gram.GramStore` and :func:`hilbertsd.gram.fill`. Images go to the
    devices of this machine in turn.

    Attributes
    ----------
    architecture : of the network.
    kernel : "ntk", or "nngp" for the covariance of the outputs at initialisation.
    dtype : "float64", or "float32", in which values between different images are within about 1e-6 of the largest, but
        those between an image and a copy of it only within 1e-3: an angle near 0 has half the digits of its cosine.
        The diagonal of the kernel matrix of images and themselves is computed in float64.
    tile : images a side of what is compiled and computed at once; None for what suits the network and the device.

    Products on an accelerator are in full float32, never TF32: only fully connected networks have any.

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
        """What decides the values, ready for JSON: for a :class:`hilbertsd.gram.store.GramPlan`."""
        return {"kernel": self.kernel, "architecture": self.architecture.config, "computed_in": self.dtype}

    def __call__(self, X: Any, Y: Any) -> NDArray[Any]:
        """(n, m) values between (n, rows, columns, channels) and (m, rows, columns, channels) images.

        Raises InvalidInput for inputs that are no such images, or do not fit the architecture.
        """
        return _Tiles(self, X, as_real_array(Y, "images", InvalidInput)).whole()

    def tiles(self, points: Any, others: Any = None) -> Callable[[slice, slice], NDArray[Any]]:
        """Values of the kernel matrix of images, or of images and others, by slices of rows and columns.

        Images are read as they are needed, and up to 1 GiB of what is prepared of them is kept for the next tile.

        Raises InvalidInput, also when called, for inputs that are no such images, or do not fit the architecture.
        """
        return _Tiles(self, points, others)

    def matrix(self, X: Any, X2: Any = None) -> NDArray[Any]:
        """(n, n) values of images, or (n, m) of images and others, on all cores and devices, with a progress bar."""
        tiles = _Tiles(self, X, X2, sides_of_whole=True)
        values = np.empty(tiles.shape, self.dtype)

        def compute(rows: slice, columns: slice) -> int:
            values[rows, columns] = part = tiles(rows, columns)
            if X2 is None and rows != columns:
                values[columns, rows] = part.T
            return count_pairs(rows, columns, symmetric=X2 is None)

        group = _group(tiles.shape, max(tiles.sides(*tiles.shape)))
        on_all_cores(compute, upper_tiles(len(values), group) if X2 is None else all_tiles(tiles.shape, group))
        return values

    @property
    def _compiled_for(self) -> tuple[Any, ...]:
        """Layers, whether the tangent kernel is wanted, whether in the standard parameterization, and the block."""
        network = self.architecture
        block = (1, 1) if jax.default_backend() == "cpu" else None
        return network.layers, self.kernel == "ntk", network.parameterization == "standard", block

    def _checked(self, images: Any) -> NDArray[Any]:
        """Images with all four axes."""
        images = np.asarray(as_real_array(images, "images", InvalidInput))
        if not np.all(np.isfinite(images)):
            raise InvalidInput("images have values that are not finite; check them for missing values")
        return images if images.ndim == 4 else images[:, None, None, :]

    def _image_shape(self, images: Any) -> tuple[int, ...]:
        """Rows, columns and channels of an image."""
        shape = np.shape(images)
        if len(shape) not in (2, 4) or shape[0] == 0:
            raise InvalidInput(f"images have shape {shape}; give (n, rows, columns, channels), at least one")
        self.architecture.check(shape[1:])
        return shape[1:] if len(shape) == 4 else (1, 1, shape[1])

    def _sides(self, shape: tuple[int, ...], n: int, m: int) -> tuple[int, int]:
        """Images down and across a compiled tile, where n and m images of a shape meet.

        Powers of two or the tile asked for, so that few are compiled.
        """
        fitting = self.tile or min(LARGEST_TILE, max(SMALLEST_TILE, math.isqrt(self._pairs_at_once(shape))))
        down = min(fitting, power_of_two(n))
        return down, min(fitting**2 // down, power_of_two(m))

    def _pairs_at_once(self, shape: tuple[int, ...]) -> int:
        """Pairs of images whose arrays fit the cache, or the memory of an accelerator."""
        on_processor = jax.default_backend() == "cpu"
        per_pair = _numbers_per_pair(self.architecture.layers, shape[:2], whole=not on_processor)
        return max(1, (NUMBERS_IN_CACHE if on_processor else NUMBERS_ON_DEVICE) // per_pair)

    def _prepared(self, images: NDArray[Any], side: int) -> "_Prepared":
        run = partial(_with_deviations, self.architecture.layers, self.dtype)
        return _Prepared(side, list(_by_parts(run, images, side)))

    def _diagonal(self, images: NDArray[Any], side: int) -> NDArray[np.float64]:
        """(n,) values between every image and itself, in float64, not more than a side of them at once."""
        size = min(IMAGES_AT_ONCE, self._pairs_at_once(images.shape[1:]), side)
        return np.concatenate(list(_by_parts(partial(_own_covariance, *self._compiled_for), images, size)))[
            : len(images)
        ]

    def _between(self, first: "_Prepared", second: "_Prepared", rows: slice, columns: slice) -> NDArray[Any]:
        """Values between prepared images, of a compiled tile."""
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
    network = architecture if isinstance(architecture, Architecture) else architectures.architecture(architecture)
    return NeuralKernel(network, kernel, dtype, tile).matrix(X, X2)


class _Tiles:
    """Values between images, or images and others, by slices of rows and columns; called from several threads.

    What is prepared of a slice of images is kept for the next tile that needs it, as far as there is room; threads
    that need it at the same time each prepare it. The sides of what is compiled follow from the slices, or from the
    numbers of all images, so that a tile is the same to the last bit whichever came before.
    """

    def __init__(self, kernel: NeuralKernel, points: Any, others: Any = None, *, sides_of_whole: bool = False) -> None:
        given = (points,) if others is None else (points, others)
        images = [each if hasattr(each, "shape") else as_real_array(each, "images", InvalidInput) for each in given]
        shapes = [kernel._image_shape(each) for each in images]
        if shapes[0] != shapes[-1]:
            raise InvalidInput(f"images of shape {shapes[0]} and others of {shapes[1]}; give both the same shape")
        self.shape = len(images[0]), len(images[-1])
        self._kernel, self._images, self._image_shape = kernel, images, shapes[0]
        self._sides_of_whole = sides_of_whole
        self._kept: dict[tuple[int, int, int, int], _Prepared] = {}
        self._room, self._lock = BYTES_KEPT, Lock()

    def __call__(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Values of a tile."""
        kernel, (n, m) = self._kernel, (rows.stop - rows.start, columns.stop - columns.start)
        down, across = self.sides(n, m)
        symmetric = len(self._images) == 1 and rows == columns
        # First, so that its compilation and that of the pairs, which another thread waits for, go side by side.
        diagonal = kernel._diagonal(kernel._checked(self._images[0][rows]), down) if symmetric else None
        first = self._prepared(0, rows, down)
        second = first if symmetric else self._prepared(len(self._images) - 1, columns, across)
        values = np.empty((n, m), kernel.dtype)
        for i in slices(n, down):
            for j in slices(m, across):
                if not symmetric:
                    values[i, j] = kernel._between(first, second, i, j)
                elif i.start <= j.start:
                    _mirror(values, i, j, kernel._between(first, second, i, j))
        if diagonal is not None:
            np.fill_diagonal(values, diagonal)
        return values

    def whole(self) -> NDArray[Any]:
        """All values as one tile."""
        n, m = self.shape
        return self(slice(0, n), slice(0, m))

    def sides(self, n: int, m: int) -> tuple[int, int]:
        """Images down and across what is compiled for n by m of them."""
        return self._kernel._sides(self._image_shape, *(self.shape if self._sides_of_whole else (n, m)))

    def _prepared(self, which: int, part: slice, side: int) -> "_Prepared":
        """Part of the images, or with `which` 1 of the others."""
        key = which, part.start, part.stop, side
        if (kept := self._kept.get(key)) is not None:
            return kept
        prepared = self._kernel._prepared(self._kernel._checked(self._images[which][part]), side)
        with self._lock:
            if key not in self._kept and prepared.nbytes <= self._room:
                self._kept[key] = prepared
                self._room -= prepared.nbytes
        return prepared


@dataclass(frozen=True)
class _Prepared:
    """Tiles of images, images last, with the standard deviations of what reaches every ReLU."""

    side: int
    tiles: list[tuple[Any, list[Any]]]

    def tile(self, images: slice) -> tuple[Any, list[Any]]:
        """The one that begins with these images; its last ones are repeated where there are fewer."""
        return self.tiles[images.start // self.side]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return sum(array.nbytes for array in jax.tree.leaves(self.tiles))


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


@partial(jax.jit, static_argnums=(0, 1))
def _with_deviations(layers: tuple[Layer, ...], dtype: str, images: Any, _one: Any) -> tuple[Any, list[Any]]:
    return jax.tree.map(lambda a: a.astype(dtype), (images, deviations(layers, images)))


def _by_parts(run: Any, images: NDArray[Any], size: int) -> Iterator[Any]:
    """Results for parts of the images, computed in float64; the last part's last image is repeated up to the size."""
    for part in slices(len(images), size):
        index = np.minimum(np.arange(part.start, part.start + size), part.stop - 1)
        images_last = np.ascontiguousarray(np.moveaxis(images[index], 0, -1), dtype="float64")
        with sixty_four_bits(True), _device() as device:
            arguments = jax.device_put((images_last, np.ones(())), device)
            result = jax.tree.map(np.asarray, run(*arguments))  # where JAX takes them back, on a CPU, without a copy
        yield result


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


def _mirror(values: NDArray[Any], rows: slice, columns: slice, part: NDArray[Any]) -> None:
    """Put a tile in its place and on the other side of the diagonal; one on it is made symmetric."""
    if rows == columns:
        part = np.triu(part) + np.triu(part, 1).T
    values[rows, columns] = part
    values[columns, rows] = part.T


def tiles_in_flight() -> int:
    """Tiles that this process computes at a time."""
    cores = available_cores()
    return cores if jax.default_backend() == "cpu" else min(cores, TILES_PER_DEVICE * jax.local_device_count())


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

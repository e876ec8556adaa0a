"""Kernel matrices of infinitely wide networks, tile by tile, on all cores or accelerators.

    kernel = NeuralKernel(architecture("myrtle-5"), dtype="float32")
    kernel.matrix(images)  # (n, n) for (n, rows, columns, channels) images; gram("myrtle-5", images) is shorter
    kernel(others, images)  # (m, n)
    tile = kernel.tiles(images)  # values by slices, when they are asked for
    tile(slice(0, 256), slice(256, 512))

A kernel matrix is made of tiles, whose compiled function gets all pairs of some images with others. What depends on a
single image, its layout and the standard deviations of the inputs of every ReLU, is prepared once for all its pairs.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.gram.kernel_tiles import DTYPES, TiledKernel
from hilbertsd.gram.tiles import all_tiles, count_pairs, on_all_cores, power_of_two, slices, upper_tiles
from hilbertsd.networks import architectures
from hilbertsd.networks.architectures import Architecture, check_has_kernel, finite_images
from hilbertsd.networks.layers import AveragePool, Layer, segments
from hilbertsd.ntk.jax_backend import free_device, jax, numbers_at_once, on_cpu, sixty_four_bits
from hilbertsd.ntk.recursion import offsets_needed, own_covariance, pair_covariance, with_deviations
from hilbertsd.support.checks import as_real_array, check_choice, check_whole
from hilbertsd.support.machine import available_cores

KERNELS = ("ntk", "nngp")

IMAGES_AT_ONCE = 64
"""Number of images whose values on the diagonal are computed together."""

SMALLEST_TILE, LARGEST_TILE = 4, 1024
"""Limits for the number of images a side of a compiled tile."""

SMALLEST_DEVIATION = {"float32": 1e-16, "float64": 1e-150}
"""Smallest standard deviation of a ReLU's inputs, by dtype; squares of smaller ones lose digits, or all of them."""

BYTES_KEPT = 2**30
"""Memory for prepared images, for each kernel matrix in each process. All images of CIFAR fit for fully connected
networks; only these are so cheap that preparing images takes a noticeable share of the time."""

TILES_PER_CORE = 16
"""A kernel matrix is split into at least this many jobs for every core."""


@dataclass(frozen=True)
class NeuralKernel(TiledKernel):
    """Kernel of an infinitely wide network as a function k(X, Y), which can be sent to other processes.

    :class:`hilbertsd.gram.GramStore` and the functions that fill it take it like any other kernel. Tiles go to the
    devices of this machine in turn. Products on an accelerator are in full float32, never in TF32.

    Values are within about 1e-12 of the largest in float64, and 1e-6 in float32, with two exceptions. Between equal
    images (the diagonal, copies) they are computed in float64 and exact. Between images, or patches of them, that are
    nearly equal they lose digits, because a small angle θ is found from its cosine: the error is 1e-16/θ, at most 5e-9,
    in float64, and 1e-7/θ, at most 3e-4, in float32.

    Attributes
    ----------
    architecture : the network.
    kernel : "ntk" for the tangent kernel, or "nngp" for the covariance of the outputs at initialisation.
    dtype : "float64" or "float32".
    tile : number of images a side of a compiled tile; None for what suits the network and the device.

    Raises
    ------
    InvalidInput
        The architecture is none; the kernel or the dtype is unknown; the tile is below 1.
    """

    architecture: Architecture
    kernel: str = "ntk"
    dtype: str = "float64"
    tile: int | None = None

    def __post_init__(self) -> None:
        check_has_kernel(self.architecture)
        check_choice(self.kernel, "kernel", KERNELS)
        check_choice(self.dtype, "dtype", DTYPES)
        if self.tile is not None:
            check_whole(self.tile, "tile", InvalidInput)

    @property
    def config(self) -> dict[str, Any]:
        """What decides the values, ready for JSON, for :meth:`hilbertsd.gram.GramPlan.of`."""
        return {"kernel": self.kernel, "architecture": self.architecture.config, "computed_in": self.dtype}

    def __call__(self, X: Any, Y: Any) -> NDArray[Any]:
        """(n, m) values between (n, rows, columns, channels) and (m, rows, columns, channels) images.

        Raises InvalidInput as :func:`gram` does.
        """
        return _TileFunction(self, X, as_real_array(Y, "images", InvalidInput)).whole()

    def tiles(self, points: Any, others: Any = None) -> Callable[[slice, slice], NDArray[Any]]:
        """Return a function of slices of rows and columns that computes these values of the kernel matrix.

        The kernel matrix is that of images `points`, or of images and `others`. Images are read when they are needed;
        up to 1 GiB of prepared images is kept for the next tile.

        Raises InvalidInput as :func:`gram` does, here or when the function is called.
        """
        return _TileFunction(self, points, others)

    def matrix(self, X: Any, X2: Any = None) -> NDArray[Any]:
        """(n, n) values of images, or (n, m) of images and others, on all cores and devices, with a progress bar."""
        tiles = _TileFunction(self, X, X2, sides_of_whole=True)
        values = np.empty(tiles.shape, self.dtype)

        def compute(rows: slice, columns: slice) -> int:
            values[rows, columns] = tile = tiles(rows, columns)
            if X2 is None and rows != columns:
                values[columns, rows] = tile.T
            return count_pairs(rows, columns, symmetric=X2 is None)

        size = _images_a_job(tiles.shape, max(tiles.sides(*tiles.shape)))
        on_all_cores(compute, upper_tiles(len(values), size) if X2 is None else all_tiles(tiles.shape, size))
        return values

    @property
    def _static_arguments(self) -> tuple[Any, ...]:
        """Layers, whether the tangent kernel is wanted, whether the parameterization is standard, block of offsets."""
        network = self.architecture
        return (
            network.layers,
            self.kernel == "ntk",
            network.parameterization == "standard",
            (1, 1) if on_cpu() else None,
        )

    def _image_shape(self, images: Any) -> tuple[int, ...]:
        """Rows, columns and channels of an image; a vector is an image of one position."""
        shape = np.shape(images)
        if len(shape) not in (2, 4) or shape[0] == 0:
            raise InvalidInput(f"images have shape {shape}; give (n, rows, columns, channels), at least one")
        self.architecture.check(shape[1:])
        return shape[1:] if len(shape) == 4 else (1, 1, shape[1])

    def _sides(self, image_shape: tuple[int, ...], n: int, m: int) -> tuple[int, int]:
        """Number of images down and across a compiled tile, for n images and m others.

        They are powers of two, or follow from the tile asked for, so that few shapes are compiled.
        """
        fitting = self.tile or min(LARGEST_TILE, max(SMALLEST_TILE, math.isqrt(self._pairs_at_once(image_shape))))
        down = min(fitting, power_of_two(n))
        return down, min(fitting**2 // down, power_of_two(m))

    def _pairs_at_once(self, image_shape: tuple[int, ...]) -> int:
        """Number of pairs of images whose arrays fit the cache, or the memory of an accelerator."""
        per_pair = _numbers_per_pair(self.architecture.layers, image_shape[:2], all_offsets=not on_cpu())
        return max(1, numbers_at_once() // per_pair)

    def _prepare(self, images: NDArray[Any], side: int) -> "_PreparedImages":
        run = partial(with_deviations, self.architecture.layers, self.dtype)
        prepared = _PreparedImages(side, list(_by_parts(run, images, side)), _fingerprints(images))
        deviations = prepared.smallest_deviations()[: len(images)]
        too_small = deviations < SMALLEST_DEVIATION[self.dtype]
        if np.any(images[too_small]):  # black images are fine
            raise InvalidInput(
                f"an image with values up to {np.abs(images[too_small]).max():g} gives the inputs of a ReLU a standard "
                f"deviation of {deviations[too_small].max():g}, too small for {self.dtype}; scale the images so that "
                "their values are near 1"
            )
        return prepared

    def _diagonal(self, images: NDArray[Any], side: int) -> NDArray[np.float64]:
        """(n,) values of every image with itself, in float64, for at most `side` images at once."""
        size = min(IMAGES_AT_ONCE, self._pairs_at_once(images.shape[1:]), side)
        parts = list(_by_parts(partial(own_covariance, *self._static_arguments), images, size))
        return np.concatenate(parts)[: len(images)]

    def _pair_values(
        self, first: "_PreparedImages", second: "_PreparedImages", rows: slice, columns: slice
    ) -> NDArray[Any]:
        """Values between some of the prepared images, which start a compiled tile and fit it."""
        with sixty_four_bits(True), free_device() as device:
            arguments = (first.tile(rows), second.tile(columns), np.ones((), self.dtype))
            values = np.asarray(pair_covariance(*self._static_arguments, *jax.device_put(arguments, device)))
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
    """Kernel matrix of an infinitely wide network, not normalised, in memory.

    Parameters
    ----------
    architecture : from :func:`hilbertsd.ntk.architecture`, or its name.
    X : (n, rows, columns, channels) images, or (n, d) for a fully connected network. They are used as they are.
    X2 : (m, ...) other images; None for X itself, where half the values are computed.
    kernel, dtype, tile : see :class:`NeuralKernel`.

    Returns
    -------
    (n, n) or (n, m) NumPy array of the dtype.

    Raises
    ------
    InvalidInput
        The architecture, kernel or dtype is unknown; images are not finite numbers, do not fit the architecture, or are
        so large or small that the kernel is not finite in the dtype.
    MissingPackage
        JAX is not installed.
    """
    network = architecture if isinstance(architecture, Architecture) else architectures.architecture(architecture)
    return NeuralKernel(network, kernel, dtype, tile).matrix(X, X2)


class _TileFunction:
    """Kernel matrix of images, or of images and others, by slices of rows and columns; called from several threads.

    Prepared images are kept for the next tile that needs them, as far as there is room; threads that need the same ones
    at the same time each prepare them. The shape of the compiled tiles follows from the slices, or with
    `sides_of_whole` from the numbers of all images, so that the bits of a tile do not depend on the order of calls.
    """

    def __init__(self, kernel: NeuralKernel, points: Any, others: Any = None, *, sides_of_whole: bool = False) -> None:
        sets = (points,) if others is None else (points, others)
        images = [each if hasattr(each, "shape") else as_real_array(each, "images", InvalidInput) for each in sets]
        shapes = [kernel._image_shape(each) for each in images]
        if shapes[0] != shapes[-1]:
            raise InvalidInput(f"images of shape {shapes[0]} and others of {shapes[1]}; give both the same shape")
        self.shape = len(images[0]), len(images[-1])
        self._kernel, self._images, self._image_shape = kernel, images, shapes[0]
        self._sides_of_whole = sides_of_whole
        self._kept: dict[tuple[int, int, int, int], _PreparedImages] = {}
        self._room, self._lock = BYTES_KEPT, Lock()

    def __call__(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Compute a tile.

        Raises InvalidInput if values are not finite in the kernel's dtype.
        """
        kernel, (n, m) = self._kernel, (rows.stop - rows.start, columns.stop - columns.start)
        down, across = self.sides(n, m)
        symmetric = len(self._images) == 1 and rows == columns
        # First, so that it is compiled while another thread compiles the function of pairs.
        diagonal = kernel._diagonal(self._read(0, rows), down) if symmetric else None
        first = self._prepared(0, rows, down)
        second = first if symmetric else self._prepared(len(self._images) - 1, columns, across)
        values = np.empty((n, m), kernel.dtype)
        for i in slices(n, down):
            for j in slices(m, across):
                if not symmetric:
                    values[i, j] = kernel._pair_values(first, second, i, j)
                elif i.start <= j.start:
                    _mirror(values, i, j, kernel._pair_values(first, second, i, j))
        equal_rows, equal_columns = self._equal_images(rows, columns, first, second)
        if equal_rows:
            diagonal = kernel._diagonal(self._read(0, rows), down) if diagonal is None else diagonal
            with np.errstate(over="ignore"):  # refused below
                values[equal_rows, equal_columns] = diagonal[equal_rows]
        if not np.all(np.isfinite(values)):
            largest = max(np.abs(self._read(k, part)).max() for k, part in ((0, rows), (-1, columns)))
            raise InvalidInput(
                f"the {kernel.kernel} kernel of images with values up to {largest:g} is not finite in {kernel.dtype}; "
                "scale the images so that their values are near 1"
            )
        return values

    def whole(self) -> NDArray[Any]:
        """Compute the whole kernel matrix as one tile."""
        n, m = self.shape
        return self(slice(0, n), slice(0, m))

    def sides(self, n: int, m: int) -> tuple[int, int]:
        """Number of images down and across a compiled tile, where n by m values are wanted."""
        return self._kernel._sides(self._image_shape, *(self.shape if self._sides_of_whole else (n, m)))

    def _equal_images(
        self, rows: slice, columns: slice, first: "_PreparedImages", second: "_PreparedImages"
    ) -> tuple[list[int], list[int]]:
        """Rows and columns, within a tile, of the pairs of equal images."""
        places: dict[float, list[int]] = {}
        for column, fingerprint in enumerate(second.fingerprints):
            places.setdefault(fingerprint, []).append(column)
        candidates = [(row, column) for row, key in enumerate(first.fingerprints) for column in places.get(key, ())]
        if first is second and all(row == column for row, column in candidates):
            pairs = candidates  # every image with itself, which needs no reading
        elif candidates:
            down, across = self._read(0, rows), self._read(len(self._images) - 1, columns)
            pairs = [(row, column) for row, column in candidates if np.array_equal(down[row], across[column])]
        else:
            pairs = []
        return [row for row, _ in pairs], [column for _, column in pairs]

    def _read(self, which: int, part: slice) -> NDArray[Any]:
        """Some of the images, or with `which` −1 or 1 of the others, with all four axes."""
        images = finite_images(self._images[which][part], "images" if which == 0 else "others", part.start)
        return images if images.ndim == 4 else images[:, None, None, :]

    def _prepared(self, which: int, part: slice, side: int) -> "_PreparedImages":
        key = which, part.start, part.stop, side
        if (kept := self._kept.get(key)) is not None:
            return kept
        prepared = self._kernel._prepare(self._read(which, part), side)
        with self._lock:
            if key not in self._kept and prepared.nbytes <= self._room:
                self._kept[key] = prepared
                self._room -= prepared.nbytes
        return prepared


@dataclass(frozen=True)
class _PreparedImages:
    """Images with the standard deviations of the inputs of every ReLU, in parts of the size of a compiled tile.

    Attributes
    ----------
    side : number of images of a part.
    parts : images (rows, columns, channels, side) and their deviations; the last image is repeated where images end.
    fingerprints : one number for each image, equal for equal images and rarely for others.
    """

    side: int
    parts: list[tuple[Any, list[Any]]]
    fingerprints: list[float]

    def tile(self, images: slice) -> tuple[Any, list[Any]]:
        """Return the part that begins with these images."""
        return self.parts[images.start // self.side]

    def smallest_deviations(self) -> NDArray[Any]:
        """For every image, the smallest over all ReLUs of the largest standard deviation over all positions."""
        return np.concatenate(
            [
                np.min([np.asarray(std).reshape(-1, self.side).max(axis=0) for std in deviations], axis=0)
                for _, deviations in self.parts
            ]
        )

    @property
    def nbytes(self) -> int:
        """Memory of the parts, in bytes."""
        return sum(array.nbytes for array in jax.tree.leaves(self.parts))


def _by_parts(run: Any, images: NDArray[Any], size: int) -> Iterator[Any]:
    """Run a compiled function in float64 on parts of the images; the last image is repeated to fill the last part."""
    for part in slices(len(images), size):
        index = np.minimum(np.arange(part.start, part.start + size), part.stop - 1)
        images_last = np.ascontiguousarray(np.moveaxis(images[index], 0, -1), dtype="float64")
        with sixty_four_bits(True), free_device() as device:
            arguments = jax.device_put((images_last, np.ones(())), device)
            result = run(*arguments)
            if on_cpu():
                result = jax.tree.map(np.asarray, result)  # which JAX takes back without a copy
        yield result


def _fingerprints(images: NDArray[Any]) -> list[float]:
    """Sum of every image's values with random weights, in an order that is the same for every image."""
    flat = np.ascontiguousarray(images.reshape(len(images), -1), dtype="float64")
    weights = np.random.default_rng(0).standard_normal(flat.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):  # images as large as that are refused
        return np.einsum("ij,j->i", flat, weights).tolist()


def _numbers_per_pair(layers: Sequence[Layer], sides: Sequence[int], *, all_offsets: bool) -> int:
    """Numbers that one array holds for one pair of images: of all offsets, or of the largest block of them."""
    segment, pooling, _ = segments(layers)
    if not segment:
        return 1
    unit = 2 if isinstance(pooling, AveragePool) else 1
    offsets = [len(offsets_needed(layers, side)) if all_offsets else unit for side in sides]
    return math.prod(offsets) * math.prod(sides)


def _images_a_job(shape: tuple[int, ...], side: int) -> int:
    """Number of images a side of a job: whole compiled tiles, but so few that every core gets several jobs."""
    jobs = TILES_PER_CORE * available_cores()
    return max(1, math.isqrt(math.prod(shape) // jobs) // side) * side


def _mirror(values: NDArray[Any], rows: slice, columns: slice, tile: NDArray[Any]) -> None:
    """Write a tile in its place and across the diagonal; a tile on the diagonal is made symmetric."""
    if rows == columns:
        tile = np.triu(tile) + np.triu(tile, 1).T
    values[rows, columns] = tile
    values[columns, rows] = tile.T

"""Kernel matrices known by their products with blocks of vectors: in memory, on disk, or computed as they are needed.

A kernel operator has `shape` (n, n) and `multiply(block)`, from (n, b) float64 to the raw kernel matrix times the
block, float64; one whose entries are less accurate than float64 says so by `precision`, their machine epsilon, one
whose products cost hardly more for several columns than for one by `block_size`, the number of them, and one that is
no kernel matrix, even if it is square, by `symmetric`, which is False. Sums are accumulated in float64 whatever the
entries are stored in. Products go tile by tile over the upper triangle alone, each tile used on both sides of the
diagonal: half the reading, converting or computing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import array_api_compat as array_api
import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidKernel
from hilbertsd.gram.kernel_tiles import DTYPES, Kernel, KernelTiles
from hilbertsd.gram.tiles import count_pairs, on_all_cores, slices, symmetric_product, upper_tiles
from hilbertsd.support.checks import as_real_array, check_jax_has_64_bits, to_library

ASYMMETRY_IN_EPSILON = 1000
LARGEST_ASYMMETRY = 1e-3
"""Entries across the diagonal may differ by this many epsilons of the largest entry, or this share of it."""

CACHED_TILE = 1024
"""Rows and columns of a tile of a matrix in memory: converted to float64, it stays in a cache for both its uses."""

COMPUTED_TILE = 2048
"""Rows and columns of a tile that is computed as it is needed: large enough for a kernel's own matrix products."""

ROWS_PROBED = 256
"""Rows converted to float64 at a time where symmetry is probed."""

DEVICE_COLUMNS = 2048
"""Columns of a float32 matrix on an accelerator that are converted to float64 at a time."""


@runtime_checkable
class KernelOperator(Protocol):
    """What block Lanczos needs of a kernel matrix."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        ...

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, b) raw kernel matrix times an (n, b) block."""
        ...


@dataclass(frozen=True, eq=False)
class StoredKernel:
    """Kernel matrix in an array: NumPy in float32 or float64, memory-mapped or not, or of another array library.

    Attributes
    ----------
    matrix : (n, n) raw kernel values, symmetric: of a NumPy array the entries below the diagonal tiles are not read.
        Float32 entries are converted tile by tile, never as a whole. A JAX array may be sharded by rows over devices.

    Raises InvalidKernel for a JAX array while JAX has 64-bit numbers off.
    """

    matrix: Any
    block_size: ClassVar[int] = 4

    def __post_init__(self) -> None:
        check_jax_has_64_bits(self.matrix, "kernel_matrix", InvalidKernel)

    @classmethod
    def of(cls, kernel: Kernel, points: Any, dtype: str = "float64") -> Self:
        """Kernel matrix of (n, ...) points, computed tile by tile on all cores: no second matrix.

        Raises InvalidKernel where a value is no finite number, and for another dtype than float32 and float64.
        """
        if dtype not in DTYPES:
            raise InvalidKernel(f"dtype is {dtype!r}; give one of {', '.join(DTYPES)}")
        n, tiles = len(points), KernelTiles(kernel, points)
        matrix = np.empty((n, n), dtype)

        def compute(rows: slice, columns: slice) -> int:
            tile = tiles.compute(rows, columns, dtype)
            matrix[rows, columns] = tile
            if rows != columns:
                matrix[columns, rows] = tile.T
            return count_pairs(rows, columns, symmetric=True)

        on_all_cores(compute, upper_tiles(n, COMPUTED_TILE))
        return cls(matrix)

    @property
    def precision(self) -> float:
        """Machine epsilon of the entries."""
        xp = array_api.array_namespace(self.matrix)
        is_floating = xp.isdtype(self.matrix.dtype, "real floating")
        return float(xp.finfo(self.matrix.dtype if is_floating else xp.float64).eps)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (int(self.matrix.shape[0]), int(self.matrix.shape[1]))

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Product with a block, (n, b) to (n, b)."""
        matrix = self.matrix
        if not isinstance(matrix, np.ndarray):
            return self._multiply_on_device(block)
        return symmetric_product(lambda rows, columns: matrix[rows, columns], CACHED_TILE, block)

    def _multiply_on_device(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """In float64 by groups of columns, so that a float32 matrix never has a second, larger copy on its devices."""
        matrix = self.matrix
        xp = array_api.array_namespace(matrix)
        # JAX brings an array that is nowhere in particular to every device that holds a part of the matrix.
        on_device = xp.asarray(block) if array_api.is_jax_array(matrix) else to_library(block, matrix)
        if matrix.dtype == xp.float64:
            return np.asarray(matrix @ on_device)
        parts = slices(len(block), DEVICE_COLUMNS)
        return np.asarray(sum(xp.astype(matrix[:, part], xp.float64) @ on_device[part] for part in parts))


@dataclass(frozen=True, eq=False)
class ComputedKernel:
    """Kernel matrix computed tile by tile from points, in memory O(n) beside the tile; every product computes it anew.

    What the kernel prepares of the points it keeps for the next product.

    Attributes
    ----------
    kernel : k(X, Y) from (n, ...) and (m, ...) points to (n, m) raw values, symmetric; called from several threads.
    points : (n, ...).
    """

    kernel: Kernel
    points: Any
    block_size: ClassVar[int] = 32

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (len(self.points), len(self.points))

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Product with a block, (n, b) to (n, b)."""
        return symmetric_product(self._tiles.compute, COMPUTED_TILE, block)

    @cached_property
    def _tiles(self) -> KernelTiles:
        return KernelTiles(self.kernel, self.points)


@dataclass(frozen=True, eq=False)
class _Product:
    """A function that multiplies, as an operator."""

    function: Callable[..., Any]
    shape: tuple[int, int]

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.function(block)


def is_operator(kernel_matrix: Any) -> bool:
    """Whether what a user gives is known by its products alone: an operator, or a function that multiplies.

    Tables, arrays and sparse matrices may have a method `multiply`, too.
    """
    is_sparse = type(kernel_matrix).__module__.startswith("scipy.sparse")
    if array_api.is_array_api_obj(kernel_matrix) or hasattr(kernel_matrix, "__array__") or is_sparse:
        return False
    return isinstance(kernel_matrix, KernelOperator) or callable(kernel_matrix)


def as_operator(kernel_matrix: Any, targets: Any) -> KernelOperator:
    """Kernel operator of what a user gives with these targets, whose number of samples a function does not say.

    An operator stays as it is, a function from (n, b) to (n, b) is taken for the product, and an array becomes a
    :class:`StoredKernel`. Raises InvalidKernel unless it is square and not empty, and where it says that it is not
    symmetric.
    """
    if not is_operator(kernel_matrix):
        array = as_real_array(kernel_matrix, "kernel_matrix", InvalidKernel)
        operator = StoredKernel(array)
        if array.ndim != 2:
            raise InvalidKernel(f"kernel_matrix has shape {tuple(array.shape)}; give a square matrix of kernel values")
        if isinstance(array, np.ndarray) and array.shape[0] == array.shape[1]:
            _probe_symmetry(array)
    elif isinstance(kernel_matrix, KernelOperator):
        operator = kernel_matrix
    else:
        n_samples = (np.shape(targets) or (1,))[0]
        operator = _Product(kernel_matrix, (n_samples, n_samples))
    n_rows, n_columns = operator.shape
    if n_rows != n_columns or n_rows == 0:
        raise InvalidKernel(
            f"kernel_matrix has shape {operator.shape}; give a non-empty square matrix of kernel values"
        )
    if not getattr(operator, "symmetric", True):
        raise InvalidKernel(
            f"kernel_matrix is a cross kernel matrix of {n_rows:,} points and as many others; give the one of the "
            "points and themselves"
        )
    return operator


def entry_precision(operator: KernelOperator) -> float:
    """Machine epsilon of an operator's entries, of float64 where it does not say."""
    return getattr(operator, "precision", float(np.finfo(np.float64).eps))


def block_size(operator: KernelOperator) -> int:
    """Columns of a block whose product costs hardly more than one column's, 1 where an operator does not say."""
    return getattr(operator, "block_size", 1)


def _probe_symmetry(matrix: NDArray[Any]) -> None:
    """Raise InvalidKernel where K v and Kᵀv differ for a random v of signs.

    That shows any asymmetry of n entries or more of a size that matters; to compare every pair would take as long as
    dozens of products.
    """
    n = len(matrix)
    largest = float(np.abs(np.diagonal(matrix)).max()) or 1.0
    signs = np.where(np.random.default_rng(0).random(n) < 0.5, -1.0, 1.0)
    from_right, from_left = np.empty(n), np.zeros(n)
    with np.errstate(invalid="ignore", over="ignore"):
        for rows in slices(n, ROWS_PROBED):
            part = matrix[rows] / np.float64(largest)
            from_right[rows] = part @ signs
            from_left += signs[rows] @ part
        difference = float(np.linalg.norm(from_right - from_left)) / n
    precision = np.finfo(matrix.dtype).eps if matrix.dtype.kind == "f" else np.finfo(np.float64).eps
    if difference > min(ASYMMETRY_IN_EPSILON * precision, LARGEST_ASYMMETRY):
        raise InvalidKernel(
            f"kernel_matrix is not symmetric: entries across the diagonal differ by about {difference:.3g} of the "
            "largest one, in the root mean square; check the kernel, or pass (K + K.T)/2 if that is meant to be noise"
        )

"""Kernel matrices known by their products with blocks of vectors: in memory, on disk, or computed as they are needed.

    class LowRank(KernelOperator):
        def __init__(self, features):
            self.features = features
        shape = property(lambda self: (len(self.features),) * 2)
        def multiply(self, block):
            return self.features @ (self.features.T @ block)

    path = hilbertsd.distill(LowRank(features), targets, tolerance=0.1)

Sums are accumulated in float64 whatever the entries are stored in. Products go tile by tile over the upper triangle
alone, and each tile is used on both sides of the diagonal: that halves reading, converting and computing.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import array_api_compat as array_api
import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidKernel
from hilbertsd.gram.kernel_tiles import DTYPES, LARGEST_ASYMMETRY, Kernel, KernelTiles
from hilbertsd.gram.tiles import count_pairs, on_all_cores, slices, symmetric_product, upper_tiles
from hilbertsd.support.checks import as_real_array, check_choice, check_jax_has_64_bits, to_library

ASYMMETRY_IN_EPSILON = 1000
"""Entries of an array may differ across the diagonal by this many machine epsilons of the largest entry."""

CACHED_TILE = 1024
"""Rows and columns of a tile of a matrix in memory: converted to float64, it stays in the cache until it is used twice.
"""

COMPUTED_TILE = 2048
"""Rows and columns of a tile that is computed when needed: large enough for fast matrix products in the kernel."""

ROWS_PROBED = 256
"""Rows converted to float64 at a time while symmetry is probed."""

DEVICE_COLUMNS = 2048
"""Columns of a float32 matrix on an accelerator that are converted to float64 at a time."""


class KernelOperator(ABC):
    """Kernel matrix known by its products; derive from it to give :func:`hilbertsd.distill` a matrix of your own.

    Attributes
    ----------
    precision : machine epsilon of the entries; larger than float64's where they are stored or computed less exactly.
    block_size : number of columns whose product costs hardly more than that of one column.
    symmetric : False for a matrix between two sets of points, which is no kernel matrix even if it is square.
    """

    precision: float = float(np.finfo(np.float64).eps)
    block_size: int = 1
    symmetric: bool = True

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(n, n)."""

    @abstractmethod
    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, b) raw kernel matrix times an (n, b) float64 block, in float64."""


@dataclass(frozen=True, eq=False)
class StoredKernel(KernelOperator):
    """Kernel matrix in an array: NumPy in float32 or float64, memory-mapped or not, or of another array library.

    Attributes
    ----------
    matrix : (n, n) raw kernel values, symmetric; below the diagonal tiles the entries of a NumPy array are not read.
        Float32 entries are converted tile by tile, never as a whole. A JAX array may be sharded by rows over devices.

    Raises InvalidKernel for another number of axes, for values that are not real numbers or masked, and for a JAX array
    while JAX has 64-bit numbers off.
    """

    matrix: Any
    precision: float = field(init=False, repr=False)
    block_size = 4

    def __post_init__(self) -> None:
        matrix = as_real_array(self.matrix, "kernel_matrix", InvalidKernel)
        check_jax_has_64_bits(matrix, "kernel_matrix", InvalidKernel)
        if matrix.ndim != 2:
            raise InvalidKernel(f"kernel_matrix has shape {tuple(matrix.shape)}; give a square matrix of kernel values")
        xp = array_api.array_namespace(matrix)
        is_floating = xp.isdtype(matrix.dtype, "real floating")
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "precision", float(xp.finfo(matrix.dtype if is_floating else xp.float64).eps))

    @classmethod
    def of(cls, kernel: Kernel, points: Any, dtype: str = "float64") -> Self:
        """Kernel matrix of (n, ...) points, computed tile by tile on all cores, without a second matrix in memory.

        Raises InvalidKernel as :meth:`KernelTiles.compute`, and for another dtype than float32 and float64.
        """
        check_choice(dtype, "dtype", DTYPES, InvalidKernel)
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
        """Product in float64 by groups of columns, so that a float32 matrix has no larger copy on its devices."""
        matrix = self.matrix
        xp = array_api.array_namespace(matrix)
        # JAX brings an array that is nowhere in particular to every device that holds a part of the matrix.
        on_device = xp.asarray(block) if array_api.is_jax_array(matrix) else to_library(block, matrix)
        if matrix.dtype == xp.float64:
            return np.asarray(matrix @ on_device)
        parts = slices(len(block), DEVICE_COLUMNS)
        return np.asarray(sum(xp.astype(matrix[:, part], xp.float64) @ on_device[part] for part in parts))


@dataclass(frozen=True, eq=False)
class ComputedKernel(KernelOperator):
    """Kernel matrix computed from points tile by tile, again for every product; memory grows with n, not n².

    What a :class:`hilbertsd.gram.TiledKernel` prepares of the points is kept for the next product.

    Attributes
    ----------
    kernel : k(X, Y) from (n, ...) and (m, ...) points to (n, m) raw values, symmetric; called from several threads.
    points : (n, ...).

    Raises InvalidKernel and InvalidInput as :class:`KernelTiles`.
    """

    kernel: Kernel
    points: Any
    _tiles: KernelTiles = field(init=False, repr=False)
    block_size = 32

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tiles", KernelTiles(self.kernel, self.points))

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (len(self.points), len(self.points))

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Product with a block, (n, b) to (n, b); raises InvalidKernel as :meth:`KernelTiles.compute`."""
        return symmetric_product(self._tiles.compute, COMPUTED_TILE, block)


@dataclass(frozen=True, eq=False)
class _FunctionOperator(KernelOperator):
    """Operator of a function that multiplies the kernel matrix of n_samples points with a block."""

    function: Callable[..., Any]
    n_samples: int

    @property
    def shape(self) -> tuple[int, int]:
        return (self.n_samples, self.n_samples)

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.function(block)


def is_operator(kernel_matrix: Any) -> bool:
    """Whether what a user gives is known by its products alone: a kernel operator, or a function that multiplies.

    Arrays, tables and sparse matrices may have a method `multiply`, too. Raises InvalidKernel for any other object with
    `shape` and `multiply` that is no :class:`KernelOperator`.
    """
    is_sparse = type(kernel_matrix).__module__.startswith("scipy.sparse")
    if array_api.is_array_api_obj(kernel_matrix) or hasattr(kernel_matrix, "__array__") or is_sparse:
        return False
    if isinstance(kernel_matrix, KernelOperator) or callable(kernel_matrix):
        return True
    if hasattr(kernel_matrix, "shape") and hasattr(kernel_matrix, "multiply"):
        raise InvalidKernel(
            f"kernel_matrix is a {type(kernel_matrix).__name__} with shape and multiply; derive it from "
            "hilbertsd.gram.KernelOperator"
        )
    return False


def as_operator(kernel_matrix: Any, targets: Any) -> KernelOperator:
    """Kernel operator of what a user gives: an operator as it is, or one made of an array or a function.

    A function from (n, b) to (n, b) is taken for the product with a block, and its n is the number of targets. Raises
    InvalidKernel unless the matrix is square, not empty and symmetric.
    """
    if not is_operator(kernel_matrix):
        operator = StoredKernel(kernel_matrix)
        if isinstance(operator.matrix, np.ndarray) and 0 < operator.shape[0] == operator.shape[1]:
            _probe_symmetry(operator.matrix)
    elif isinstance(kernel_matrix, KernelOperator):
        operator = kernel_matrix
    else:
        operator = _FunctionOperator(kernel_matrix, (np.shape(targets) or (1,))[0])
    n_rows, n_columns = operator.shape
    if n_rows != n_columns or n_rows == 0:
        raise InvalidKernel(
            f"kernel_matrix has shape {operator.shape}; give a non-empty square matrix of kernel values"
        )
    if not operator.symmetric:
        raise InvalidKernel(
            f"kernel_matrix is a cross kernel matrix of {n_rows:,} points and as many others; give the one of the "
            "points and themselves"
        )
    return operator


def _probe_symmetry(matrix: NDArray[Any]) -> None:
    """Raise InvalidKernel where K v and Kᵀv differ for a random vector v of signs.

    This shows an asymmetry of n entries or more; comparing every pair of entries would take as long as dozens of
    products.
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

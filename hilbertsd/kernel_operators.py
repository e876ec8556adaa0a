"""Kernel matrices known by their products with blocks of vectors: in memory, on disk, or computed as they are needed.

A kernel operator has `shape` (n, n) and `multiply(block)`, from (n, b) float64 to the raw kernel matrix times the
block, float64. Sums are accumulated in float64 whatever the entries are stored in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import array_api_compat as array_api
import numpy as np
from numpy.typing import NDArray

from hilbertsd.checks import to_library
from hilbertsd.errors import InvalidKernel

ASYMMETRY_IN_EPSILON = 1000
LARGEST_ASYMMETRY = 1e-3
"""Entries across the diagonal may differ by this many epsilons of the largest entry, or this share of it."""

BYTES_AT_ONCE = 2**26
"""Size of the tiles that are computed as they are needed."""

BYTES_CONVERTED = 2**23
"""Size of the row tiles that float32 matrices are converted in, small enough to stay in a cache."""


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
    matrix : (n, n) raw kernel values. Float32 NumPy arrays are converted row tile by row tile, never as a whole.
    """

    matrix: Any

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (int(self.matrix.shape[0]), int(self.matrix.shape[1]))

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Product with a block, (n, b) to (n, b)."""
        if not isinstance(self.matrix, np.ndarray):
            return np.asarray(self.matrix @ to_library(block, self.matrix))
        if self.matrix.dtype == np.float64 and not isinstance(self.matrix, np.memmap):
            return (block.T @ self.matrix).T  # by symmetry, and a third faster than the other way round
        n = self.matrix.shape[0]
        result = np.empty_like(block)
        rows = max(1, BYTES_CONVERTED // (8 * n))
        buffer = np.empty((min(rows, n), n))
        for start in range(0, n, rows):
            tile = self.matrix[start : start + rows]
            converted = buffer[: len(tile)]
            np.copyto(converted, tile)
            np.matmul(converted, block, out=result[start : start + rows])
        return result


@dataclass(frozen=True, eq=False)
class ComputedKernel:
    """Kernel matrix computed tile by tile from points, in memory O(n) beside the tile; every product computes it anew.

    Attributes
    ----------
    kernel : k(X, Y) from (n, ...) and (m, ...) points to (n, m) raw values, symmetric.
    points : (n, ...).
    """

    kernel: Callable[[Any, Any], Any]
    points: Any

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (len(self.points), len(self.points))

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """Product with a block, (n, b) to (n, b); each pair of tiles is computed once and used on both sides."""
        n = len(self.points)
        size = max(1, int((BYTES_AT_ONCE / 8) ** 0.5))
        result = np.zeros_like(block)
        for i in range(0, n, size):
            rows = slice(i, i + size)
            for j in range(i, n, size):
                columns = slice(j, j + size)
                tile = np.asarray(self.kernel(self.points[rows], self.points[columns]), dtype=np.float64)
                if not np.all(np.isfinite(tile)):
                    raise InvalidKernel(
                        f"the kernel is not finite between points {i} to {i + size} and {j} to {j + size}"
                    )
                result[rows] += tile @ block[columns]
                if j > i:
                    result[columns] += tile.T @ block[rows]
        return result


def as_operator(kernel_matrix: Any) -> KernelOperator:
    """Kernel operator of what a user gives: an operator as it is, an array as :class:`StoredKernel`.

    Raises InvalidKernel unless it is square and not empty.
    """
    if isinstance(kernel_matrix, KernelOperator):
        operator = kernel_matrix
    else:
        given: Any = kernel_matrix
        array: Any = given if array_api.is_array_api_obj(given) else np.asarray(given, dtype=float)
        operator = StoredKernel(array)
        if array.ndim != 2:
            raise InvalidKernel(f"kernel_matrix has shape {tuple(array.shape)}; give a square matrix of kernel values")
        if isinstance(array, np.ndarray) and array.shape[0] == array.shape[1]:
            _probe_symmetry(array)
    n_rows, n_columns = operator.shape
    if n_rows != n_columns or n_rows == 0:
        raise InvalidKernel(
            f"kernel_matrix has shape {operator.shape}; give a non-empty square matrix of kernel values"
        )
    return operator


def entry_precision(operator: KernelOperator) -> float:
    """Machine epsilon of a stored kernel matrix's entries, of float64 for other operators."""
    if isinstance(operator, StoredKernel):
        xp = array_api.array_namespace(operator.matrix)
        if xp.isdtype(operator.matrix.dtype, "real floating"):
            return float(xp.finfo(operator.matrix.dtype).eps)
    return float(np.finfo(np.float64).eps)


def _probe_symmetry(matrix: NDArray[Any]) -> None:
    """Raise InvalidKernel where K v and Kᵀv differ for a random v of signs: what any real asymmetry shows in."""
    if not np.issubdtype(matrix.dtype, np.floating):
        return
    n = len(matrix)
    signs = np.where(np.random.default_rng(0).random(n) < 0.5, -1, 1).astype(matrix.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = float(np.linalg.norm(matrix @ signs - signs @ matrix)) / n
    largest = float(np.abs(np.diagonal(matrix)).max(initial=0.0))
    if difference > min(ASYMMETRY_IN_EPSILON * np.finfo(matrix.dtype).eps, LARGEST_ASYMMETRY) * largest:
        raise InvalidKernel(
            f"kernel_matrix is not symmetric: entries across the diagonal differ by about {difference:.3g}; check the "
            "kernel, or pass (K + K.T)/2 if the difference is meant to be noise"
        )

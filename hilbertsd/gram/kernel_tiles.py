"""Kernels of points, and their matrices, of which tiles are computed when asked for.

Rows and columns of a tile are slices of the points:

    tiles = KernelTiles(hilbertsd.greens.matern, points)
    corner = tiles.compute(slice(0, 100), slice(0, 100))  # symmetric
    aside = tiles.compute(slice(0, 100), slice(100, 300), "float32")
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput, InvalidKernel
from hilbertsd.support.checks import check_unmasked

Kernel = Callable[[Any, Any], Any]
"""Function k(X, Y) from (n, ...) and (m, ...) points to (n, m) raw values, with k(Y, X) the transpose of k(X, Y)."""

DTYPES = ("float32", "float64")
"""Types in which kernel matrices are stored."""

LARGEST_ASYMMETRY = 1e-3
"""Share of the largest entry by which entries across the diagonal may differ in any precision."""

POINTS_PROBED = 32
"""Points, spread evenly, on which a kernel function is checked for symmetry beyond its diagonal tiles."""


class TiledKernel(ABC):
    """Kernel that prepares its points once for all tiles; derive from it where preparing costs as much as a tile."""

    @abstractmethod
    def __call__(self, X: Any, Y: Any) -> Any:
        """(n, m) raw values between (n, ...) and (m, ...) points."""

    @abstractmethod
    def tiles(self, points: Any, others: Any = None) -> Callable[[slice, slice], Any]:
        """Function from a slice of rows and one of columns to their values; it is called from several threads.

        Rows are points and columns are others, or the same points where others is None.
        """


@dataclass(frozen=True, eq=False)
class KernelTiles:
    """Kernel matrix of points, or cross kernel matrix k(points, others), of which tiles are computed when asked for.

    What a :class:`TiledKernel` prepared of its points is not sent to other processes; they prepare it again.

    Attributes
    ----------
    kernel : symmetric function of two sets of points, or a :class:`TiledKernel`; called from several threads.
    points : (n, ...).
    others : (m, ...), the columns of a cross kernel matrix, or None.

    Raises
    ------
    InvalidKernel
        The kernel is no function.
    InvalidInput
        Points or others have masked values.
    """

    kernel: Kernel
    points: Any
    others: Any = None
    _values: Callable[[slice, slice], Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not callable(self.kernel):
            raise InvalidKernel(
                f"kernel is {self.kernel!r}; give a function k(X, Y), for instance hilbertsd.gram.NamedKernel('rbf')"
            )
        check_unmasked(self.points, "points", InvalidInput)
        check_unmasked(self.others, "others", InvalidInput)
        kernel = self.kernel
        values = kernel.tiles(self.points, self.others) if isinstance(kernel, TiledKernel) else self._call_kernel
        object.__setattr__(self, "_values", values)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kernel, self.points, self.others)

    def __sizeof__(self) -> int:
        """Bytes with the points in memory, for a scheduler that counts what it sends."""
        return sum(array.nbytes for array in (self.points, self.others) if isinstance(array, np.ndarray))

    def compute(self, rows: slice, columns: slice, dtype: str = "float64") -> NDArray[Any]:
        """Tile in a dtype, made exactly symmetric on the diagonal of a kernel matrix.

        Every diagonal tile is compared with its transpose before that. With the first of them a kernel function is
        also compared on 32 points spread evenly over all points, which shows an asymmetry between points of different
        tiles. Differences above 1e-3 of the largest entry are refused; smaller ones, and those between points that
        never meet in these comparisons, are not noticed.

        Raises InvalidKernel where values are no real numbers of the right shape, not finite in the dtype, or not
        symmetric.
        """
        given = self._checked(self._values(rows, columns), rows.stop - rows.start, columns.stop - columns.start)
        with np.errstate(over="ignore"):
            if self.others is None and rows == columns:  # of a cross kernel matrix no tile is on the diagonal
                given = given.astype(np.float64)
                _check_symmetric(given)
                if rows.start == 0 and not isinstance(self.kernel, TiledKernel):
                    self._probe_symmetry(rows.stop)
                given = (given + given.T) / 2
            tile = given.astype(dtype, copy=False)
        if not np.all(np.isfinite(tile)):
            raise InvalidKernel(
                f"the kernel is not finite between points {rows.start} to {rows.stop} and "
                f"{'' if self.others is None else 'others '}{columns.start} to {columns.stop}; check them for missing "
                "values"
            )
        return tile

    def _call_kernel(self, rows: slice, columns: slice) -> Any:
        return self.kernel(self.points[rows], (self.points if self.others is None else self.others)[columns])

    def _probe_symmetry(self, n_compared: int) -> None:
        """Compare the kernel with its transpose on points from everywhere, unless the first n_compared are all."""
        n = len(self.points)
        if n_compared < n:
            spread = slice(0, n, -(-n // POINTS_PROBED))
            n_spread = len(range(n)[spread])
            _check_symmetric(self._checked(self._call_kernel(spread, spread), n_spread, n_spread).astype(np.float64))

    @staticmethod
    def _checked(values: Any, n: int, m: int) -> NDArray[Any]:
        """Values as an array, which must be real numbers between n and m points."""
        check_unmasked(values, "the kernel's tile", InvalidKernel)
        given = np.asarray(values)
        if given.shape != (n, m) or given.dtype.kind not in "fiub":
            raise InvalidKernel(
                f"the kernel gives {'None' if values is None else f'{given.dtype} of shape {given.shape}'} between "
                f"{n} and {m} points; let it give real numbers of shape {(n, m)}"
            )
        return given


def _check_symmetric(tile: NDArray[np.float64]) -> None:
    """Raise InvalidKernel where a tile on the diagonal differs from its transpose by more than rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference, largest = float(np.abs(tile - tile.T).max()), float(np.abs(tile).max())
    if difference > LARGEST_ASYMMETRY * largest:  # false where a value is not finite, which is refused elsewhere
        raise InvalidKernel(
            f"the kernel is not symmetric: k(x, y) and k(y, x) differ by up to {difference:.3g}, and its values are at "
            f"most {largest:.3g}; check the kernel, or pass (k(X, Y) + k(Y, X).T)/2 if that is meant to be noise"
        )

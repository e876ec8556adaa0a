"""Kernels of points, and their matrices of which tiles are computed when asked for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidKernel

Kernel = Callable[[Any, Any], Any]
"""k(X, Y) from (n, ...) and (m, ...) points to (n, m) raw values, symmetric.

Where it has a method `tiles(points, others)`, with others None for the points themselves, that gives a function of a
slice of rows and one of columns to their values, called from several threads, which is used instead: what a kernel
prepares of points, when it is first asked, then serves all tiles, and it knows where a tile is symmetric, and which
values are of a point with itself.
"""

DTYPES = ("float32", "float64")
"""In which kernel matrices are stored."""


@dataclass(frozen=True, eq=False)
class KernelTiles:
    """Kernel matrix of points, or cross kernel matrix k(points, others), of which tiles are computed when asked for.

    In another process it begins anew: what the kernel prepared of the points stays behind.

    Attributes
    ----------
    kernel : k(X, Y) from (n, ...) and (m, ...) points to (n, m) raw values, symmetric; called from several threads.
    points : (n, ...).
    others : (m, ...), the columns of a cross kernel matrix, or None.
    """

    kernel: Kernel
    points: Any
    others: Any = None
    _values: Callable[[slice, slice], Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        prepare = getattr(self.kernel, "tiles", None)
        values = prepare(self.points, self.others) if callable(prepare) else self._called
        object.__setattr__(self, "_values", values)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kernel, self.points, self.others)

    def __sizeof__(self) -> int:
        """With the points in memory, for a scheduler that counts what it sends."""
        return sum(each.nbytes for each in (self.points, self.others) if isinstance(each, np.ndarray))

    def compute(self, rows: slice, columns: slice, dtype: str = "float64") -> NDArray[Any]:
        """Tile in a dtype, symmetric on the diagonal of a kernel matrix.

        Raises InvalidKernel where values are no real numbers of the right shape, or not finite in the dtype.
        """
        given = np.asarray(self._values(rows, columns))
        due = (rows.stop - rows.start, columns.stop - columns.start)
        if given.shape != due or given.dtype.kind not in "fiub":
            raise InvalidKernel(
                f"the kernel gives {given.dtype} of shape {given.shape} between {due[0]} and {due[1]} points; let it "
                f"give real numbers of shape {due}"
            )
        with np.errstate(over="ignore"):
            if self.others is None and rows == columns:  # of a cross kernel matrix no tile is on the diagonal
                wide = given.astype(np.float64)
                given = (wide + wide.T) / 2
            tile = given.astype(dtype, copy=False)
        if not np.all(np.isfinite(tile)):
            raise InvalidKernel(
                f"the kernel is not finite between points {rows.start} to {rows.stop} and "
                f"{'' if self.others is None else 'others '}{columns.start} to {columns.stop}; check them for missing "
                "values"
            )
        return tile

    def _called(self, rows: slice, columns: slice) -> Any:
        return self.kernel(self.points[rows], (self.points if self.others is None else self.others)[columns])

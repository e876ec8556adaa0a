"""Kernel matrices and targets at the door: float64, finite, symmetric, of matching lengths."""

from __future__ import annotations

from typing import Any

import array_api_compat as array_api
import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidKernel, InvalidTargets
from hilbertsd.gram.kernel_tiles import LARGEST_ASYMMETRY
from hilbertsd.gram.operators import ASYMMETRY_IN_EPSILON
from hilbertsd.support.checks import as_real_float64

ROWS_PER_BLOCK = 512
"""Rows compared at a time in the symmetry check, which so takes little memory."""


def checked_kernel(kernel_matrix: Any) -> tuple[Any, float]:
    """Float64 kernel matrix in its own array library, and the machine epsilon of its own precision."""
    matrix, precision = as_real_float64(kernel_matrix, "kernel_matrix", InvalidKernel)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise InvalidKernel(
            f"kernel_matrix has shape {tuple(matrix.shape)}; give a non-empty square matrix of kernel values between "
            "the training samples"
        )
    _check_symmetric(matrix, array_api.array_namespace(matrix), precision)
    return matrix, precision


def _check_symmetric(matrix: Any, xp: Any, precision: float) -> None:
    """Raise InvalidKernel where entries across the diagonal differ by more than rounding, or are not finite."""
    n = matrix.shape[0]
    asymmetry = scale = 0.0
    for start in range(0, n, ROWS_PER_BLOCK):
        # Upper triangle only: rows from `start` on, columns from `start` on.
        rows = matrix[start : start + ROWS_PER_BLOCK, start:]
        columns = matrix[start:, start : start + ROWS_PER_BLOCK]
        with np.errstate(invalid="ignore", over="ignore"):
            difference = float(xp.max(xp.abs(rows - columns.T)))
        # inf − inf is NaN, so an entry that is not finite always shows here.
        if not np.isfinite(difference):
            _check_finite(matrix, xp)
        asymmetry = max(asymmetry, difference)
        scale = max(scale, float(xp.max(xp.abs(rows))))
    if asymmetry > min(ASYMMETRY_IN_EPSILON * precision, LARGEST_ASYMMETRY) * scale:
        raise InvalidKernel(
            f"kernel_matrix is not symmetric: entries across the diagonal differ by up to {asymmetry:.6g}; check the "
            "kernel, or pass (K + K.T)/2 if the difference is meant to be noise"
        )


def _check_finite(matrix: Any, xp: Any) -> None:
    """Raise InvalidKernel naming the first entry that is not finite, if there is one."""
    position = int(xp.argmax(xp.astype(~xp.isfinite(xp.reshape(matrix, (-1,))), xp.int8)))
    row, column = divmod(position, matrix.shape[1])
    value = float(matrix[row, column])
    if not np.isfinite(value):
        raise InvalidKernel(
            f"kernel_matrix holds {value} at row {row}, column {column}; every entry must be finite: check the "
            "features for missing or overflowing values"
        )


def checked_targets(targets: Any, n_samples: int) -> tuple[NDArray[np.float64], bool]:
    """Targets as (n_samples, n_outputs) float64, and whether they came as (n_samples,)."""
    array = np.asarray(as_real_float64(targets, "targets", InvalidTargets)[0])
    if array.ndim not in (1, 2) or array.shape[0] != n_samples or array.size == 0:
        raise InvalidTargets(
            f"targets have shape {array.shape} for {n_samples} training samples; give ({n_samples},) or "
            f"({n_samples}, n_outputs)"
        )
    if not np.all(np.isfinite(array)):
        position = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InvalidTargets(f"targets hold {array[position]} at index {position}; every target must be finite")
    if not np.any(array):
        raise InvalidTargets(f"all {array.size} targets are 0, so there is nothing to fit; give targets that vary")
    with np.errstate(over="ignore", under="ignore"):
        sum_of_squares = float(np.sum(array**2))
    if not np.finfo(float).tiny < sum_of_squares < np.inf:
        raise InvalidTargets(
            f"the targets' sum of squares is {sum_of_squares:.3g} in double precision, because they are as large as "
            f"{np.abs(array).max():.3g}; rescale them"
        )
    return array.reshape(n_samples, -1), array.ndim == 1


def mean_square_of(columns: NDArray[np.float64]) -> float:
    """‖Y‖²/n of (n_samples, n_outputs) targets, which sums over outputs."""
    return float(np.sum(columns**2)) / len(columns)

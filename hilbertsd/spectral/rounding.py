"""Rounding of eigenvalues: which are set to zero, which negative ones are refused, which scales float64 can hold."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidKernel, NotPositiveSemidefinite

EPSILON = float(np.finfo(np.float64).eps)

SMALLEST_SCALE = 1e-305
"""Largest eigenvalue of kernel_matrix/n below which small eigenvalues lose digits and coefficients overflow."""

LARGEST_SCALE = 1e304
"""Largest eigenvalue of kernel_matrix/n above which those of kernel_matrix, and multipliers, overflow."""


def exact_eigenvalues(
    raw: NDArray[np.float64], precision: float, n_samples: int
) -> tuple[NDArray[np.float64], float, float]:
    """Eigenvalues of a decomposition with zeros where rounding hides them, the amount clipped, and their accuracy.

    `raw` is ascending; `precision` is the machine epsilon of the kernel matrix's entries.
    """
    zero = _zero(raw, precision, n_samples)
    if precision > EPSILON:
        zero += precision * float(np.linalg.norm(raw)) / math.sqrt(n_samples)
    return _clipped(raw, zero)


def ritz_eigenvalues(
    raw: NDArray[np.float64], precision: float, n_samples: int
) -> tuple[NDArray[np.float64], float, float]:
    """Do as :func:`exact_eigenvalues` for Ritz values, whose float64 products take inaccurate entries as they are."""
    return _clipped(raw, _zero(raw, precision, n_samples))


def _zero(raw: NDArray[np.float64], precision: float, n_samples: int) -> float:
    """Threshold for zero from float64 rounding alone; raises where the eigenvalues are none of a kernel matrix."""
    smallest, largest = float(raw[0]), float(raw[-1])
    scale = max(abs(largest), abs(smallest))
    if not (scale == 0 or SMALLEST_SCALE <= scale <= LARGEST_SCALE):
        raise InvalidKernel(
            f"the largest eigenvalue of kernel_matrix/n is {scale:.3g}, outside the range from {SMALLEST_SCALE:g} to "
            f"{LARGEST_SCALE:g} for which double precision suffices; multiply the kernel, and cross kernels with it, "
            "by a constant"
        )
    if smallest < -math.sqrt(precision) * scale:
        raise NotPositiveSemidefinite(
            f"kernel_matrix is indefinite: the most negative eigenvalue of kernel_matrix/n is {smallest:.6g} and the "
            f"largest {scale:.6g}, where rounding explains at most {math.sqrt(precision) * scale:.3g}; use a "
            "positive semidefinite kernel, pass a kernel computed in float32 as float32, or add at least "
            f"{-smallest * n_samples:.3g} to the diagonal of kernel_matrix"
        )
    return 4 * math.sqrt(n_samples) * EPSILON * scale


def _clipped(raw: NDArray[np.float64], zero: float) -> tuple[NDArray[np.float64], float, float]:
    clipped = max(0.0, -float(raw[0]))
    return np.where(raw <= zero, 0.0, raw), clipped, max(zero, clipped)

"""Basis weights at the largest eigenvalues, with enclosures that hold for Krylov paths, too.

    path = distill(kernel_matrix, targets, tolerance=0.1, method="krylov")
    leading = leading_basis_weights(path, 10)
    low, high = leading.weight_bounds[-1].T  # B_t of the last round at the ten largest eigenvalues

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_whole


@dataclass(frozen=True, eq=False)
class LeadingWeights:
    """Basis weights B_t at k eigenvalues, the largest first.

    Attributes
    ----------
    eigenvalues : (k,) largest eigenvalues of kernel_matrix/n known, descending.
    eigenvalue_bounds : (k, 2) intervals that hold an eigenvalue each.
    weights : (T, k) B_t at these eigenvalues.
    weight_bounds : (T, k, 2) least and largest B_t for eigenvalues and multipliers anywhere in their enclosures.
    """

    eigenvalues: NDArray[np.float64]
    eigenvalue_bounds: NDArray[np.float64]
    weights: NDArray[np.float64]
    weight_bounds: NDArray[np.float64]


def leading_basis_weights(path: DistillationPath, k: int) -> LeadingWeights:
    """Basis weights B_t = Π_s d/(c_s + d) at the k largest eigenvalues known.

    Parameters
    ----------
    path : exact, whose bounds are the values themselves up to rounding, or of a Krylov space.
    k : at most the number of eigenvalues known.

    Raises
    ------
    InvalidInput
        `k` is no whole number from 1 to the number of eigenvalues known; or the path has ground truth in its targets.

    Notes
    -----
    Within the norm of its remainder of every Ritz value lies an eigenvalue (Parlett, The Symmetric Eigenvalue Problem,
    1998, §4.5), and B_t rises with d and falls with every c. A Krylov space cannot say that no eigenvalue is left
    out between two of them: it misses those the targets are orthogonal to, and copies of one beyond the block's width.
    """
    if path.ground_truth_weights is not None:
        raise InvalidInput("the path has ground truth in its targets, which has no bounds here; take basis_weights")
    spectrum = path.spectrum
    m = len(spectrum.eigenvalues)
    check_whole(k, "k", InvalidInput)
    if k > m:
        raise InvalidInput(f"k is {k} and {m} eigenvalues are known; give a whole number from 1 to {m}")
    order = np.arange(m - 1, m - 1 - k, -1)
    d = spectrum.eigenvalues[order]
    reach = spectrum.eigenvalue_errors[order]
    ends = np.stack([np.maximum(d - reach, 0.0), d + reach], axis=1)
    c = path.multiplier_bounds[:, None]  # (T, 1, 2)
    low, high = (np.exp(_log_weights(ends[:, end], c[..., 1 - end])) for end in (0, 1))
    return LeadingWeights(d, ends, path.basis_weights[:, order], np.stack([low, high], axis=2))


def _log_weights(d: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, k) log B_t at (k,) eigenvalues for (T, 1) multipliers; −∞ where an eigenvalue is 0 or a multiplier ∞."""
    with np.errstate(divide="ignore"):
        return -np.cumsum(np.log1p(c / d), axis=0)

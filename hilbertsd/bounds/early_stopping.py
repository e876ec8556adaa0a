"""Distillation against one ridge fit of equal training error: Theorem B of hilbertsd/bounds/THEOREMS.md (MFB §3.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.bounds.arguments import finite_array, positive_eigenvalues
from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_positive

RELATIVE_ACCURACY: Any = 1e-14
"""Relative accuracy to which a crossing is searched."""


def single_multiplier_bounds(eigenvalues: ArrayLike, multipliers: ArrayLike) -> NDArray[np.float64]:
    """Enclosure of the multiplier c'_t of the single ridge fit that has the training error of round t.

    d_max (Π_{i≤t} (1 + c_i/d_max) − 1)  ≤  c'_t  ≤  d_min (Π_{i≤t} (1 + c_i/d_min) − 1),

    where the lower end is at least Σ_{i≤t} c_i, so that B_t ≤ d/(d + Σ c_i) and c'_t ≥ Σ c_i.

    Parameters
    ----------
    eigenvalues : (m,) the positive ones, in any order; only those on which the targets have energy matter.
    multipliers : (T,) c_t > 0 of the rounds, chosen in any way.

    Returns
    -------
    (T, 2) in units of the eigenvalues; infinity beyond double precision.

    Raises InvalidInput for eigenvalues or multipliers that are not positive. Source: hilbertsd/bounds/THEOREMS.md,
    Theorem B.
    """
    ends, c = positive_eigenvalues(eigenvalues)[[-1, 0]], _positive(multipliers)
    with np.errstate(over="ignore"):
        return ends * np.expm1(np.cumsum(np.log1p(c[:, None] / ends), axis=0))


def slope_crossing(multipliers: ArrayLike, single_multiplier: float) -> float:
    """Eigenvalue d* at which B_t and the weight d/(c'+d) of a single fit are equally steep in log d.

    The slopes are Σ c_i/(c_i + d) and c'/(c' + d). Below d* distillation separates the weights of any two eigenvalues
    more than the single fit does, above d* the single fit does. There is exactly one such d*, and

        U − max c_i  ≤  d*  ≤  U − min c_i,    U = Σ c_i (c' − c_i)/(c' − Σ c_i).

    It may lie above all eigenvalues: then distillation separates all of them more.

    Parameters
    ----------
    multipliers : (t+1,) c_0, …, c_t > 0 of the rounds up to t ≥ 1.
    single_multiplier : c' > Σ c_i, as every single fit of equal training error has: `stop_early(path).multipliers[t]`.

    Returns
    -------
    float, in units of the multipliers; close to c' = Σ c_i it is as uncertain as their difference.

    Raises
    ------
    InvalidInput
        Multipliers are not positive, or c' is at most their sum in double precision. So it is in round 0, in which
        both fits are the same and equally steep everywhere.

    Source: hilbertsd/bounds/THEOREMS.md, Theorem B.
    """
    from scipy.optimize import brentq

    c = _positive(multipliers)
    single = check_positive(single_multiplier, "single_multiplier", "c' of the single fit", InvalidInput)
    parts = c / single
    excess = 1 - parts.sum()
    if excess <= 0:
        raise InvalidInput(
            f"single_multiplier is {single:.6g} and the sum of the multipliers {c.sum():.6g}; it must be larger, as it "
            "is at equal training error from round 1 on: in round 0 both fits are the same"
        )
    weights = parts * (1 - parts)
    end = weights.sum() / excess
    low, high = max(end - parts.max(), 0.0), end - parts.min()

    def surplus(x: float) -> float:
        """Slope of distillation over that of the single fit, with its sign, at d = c' x."""
        return float(np.sum(weights / (parts + x)) / excess - 1)

    # Rounding of equal multipliers can leave no change of sign between the ends, which then are the root.
    crosses = surplus(low) > 0 > surplus(high)
    root: Any = brentq(surplus, low, high, xtol=1e-300, rtol=RELATIVE_ACCURACY) if crosses else high
    return single * float(root)


def slope_surplus(
    eigenvalues: NDArray[np.float64], multipliers: NDArray[np.float64], single_multipliers: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(T, m) slopes Σ_{i≤t} c_i/(c_i + d) of B_t less those of the single fits, c'_t/(c'_t + d).

    They are positive for d below d*_t and negative above; rounding decides where both are as steep.
    """
    slopes = np.cumsum(multipliers[:, None] / (multipliers[:, None] + eigenvalues), axis=0)
    with np.errstate(invalid="ignore"):  # a c' of 0 or ∞ has no crossing
        return slopes - single_multipliers[:, None] / (single_multipliers[:, None] + eigenvalues)


def _positive(multipliers: ArrayLike) -> NDArray[np.float64]:
    """Multipliers as an array, or InvalidInput unless there are some and all are positive."""
    c = finite_array(multipliers, "multipliers")
    if c.ndim != 1 or not c.size or c.min() <= 0:
        worst = f"{c.min():.6g}" if c.size else "none"
        raise InvalidInput(f"multipliers of shape {c.shape} have smallest {worst}; give one positive number per round")
    return c

"""Bounds on one round's multiplier, and on the ratio r_t after one round and after several (MFB §3.1-3.2)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.bounds.arguments import checked_condition_number, checked_ratio, finite_array, positive_eigenvalues


def multiplier_bracket(eigenvalues: ArrayLike, ratio: float) -> tuple[float, float]:
    """Multiplier of one round: d_min/(r−1) ≤ c ≤ d_max/(r−1).

    Parameters
    ----------
    eigenvalues : (m,) positive, in any order.
    ratio : r > 1 of that round's targets.

    Raises InvalidInput for eigenvalues that are not positive, InvalidTolerance for a ratio of at most 1.
    Source: MFB (23-24).
    """
    d, gap = positive_eigenvalues(eigenvalues), checked_ratio(ratio) - 1
    return float(d[0] / gap), float(d[-1] / gap)


def next_ratio(ratio: ArrayLike, condition_number: float) -> NDArray[np.float64]:
    """Least ratio after one round: r_{t+1} ≥ h(r_t) with h(r) = r (r−1)/(r−1+κ).

    Parameters
    ----------
    ratio : r_t ≥ 1, a number or an array.
    condition_number : κ ≥ 1.

    Returns
    -------
    h(r), in the shape of `ratio`.

    Raises InvalidInput for a ratio or κ below 1. h is convex for r > 1. Source: MFB (133), in the proof
    of Proposition 3.
    """
    r, kappa = finite_array(ratio, "ratio", least=1.0), checked_condition_number(condition_number)
    return r * (r - 1) / (r - 1 + kappa)


def largest_next_ratio(ratio: ArrayLike, condition_number: float) -> NDArray[np.float64]:
    """Largest ratio after one round: r_{t+1} ≤ H(r_t) with H(r) = √(r² − 1 + σ²) − σ and σ = 2√κ/(1+κ).

    Parameters
    ----------
    ratio : r_t ≥ 1, a number or an array.
    condition_number : κ ≥ 1.

    Returns
    -------
    H(r), in the shape of `ratio`. It is the exact worst case of one round: two eigenvalues d_min and d_max with
    suitable targets meet it. For κ = 1 it is r − 1, as κ → ∞ it tends to √(r² − 1), and H(r) ≤ r − σ.

    Raises InvalidInput for a ratio or κ below 1. Source: hilbertsd/bounds/THEOREMS.md, Theorem A.
    """
    r, s = finite_array(ratio, "ratio", least=1.0), cosine(condition_number)
    surplus = (r - 1) * (r + 1)
    return surplus / (np.sqrt(surplus + s * s) + s)


def cosine(condition_number: float) -> float:
    """σ = 2√κ/(1+κ), the least cosine of the angle between a vector and its image under a matrix of that κ."""
    kappa = checked_condition_number(condition_number)
    return 2 * math.sqrt(kappa) / (1 + kappa)


def ratio_after(rounds: ArrayLike, ratio: float, condition_number: float) -> NDArray[np.float64]:
    """Least ratio after t rounds: r_t ≥ aᵗ r_0 − b (aᵗ−1)/(a−1).

    a = ((r₀−1)² + κ(2r₀−1))/(r₀−1+κ)² and b = r₀²κ/(r₀−1+κ)² are slope and (negative) intercept of the tangent to h
    at r_0, which the convex h stays above. For κ = 1 it reads r_t ≥ r_0 − t.

    Parameters
    ----------
    rounds : t ≥ 0, a number or an array.
    ratio : r_0 > 1.
    condition_number : κ ≥ 1.

    Raises as :func:`next_ratio` and :func:`multiplier_bracket`, InvalidInput for negative t.
    Source: MFB Proposition 3, divided by √(nε).
    """
    r, kappa, t = (
        checked_ratio(ratio),
        checked_condition_number(condition_number),
        finite_array(rounds, "rounds", least=0.0),
    )
    log_a, shortfall, b = tangent(r, kappa)
    if shortfall == 0:
        return r - b * t
    return np.exp(t * log_a) * r + b * np.expm1(t * log_a) / shortfall


def tangent(ratio: float, condition_number: float) -> tuple[float, float, float]:
    """Constants log a, 1 − a and b of Proposition 3.

    1 − a is computed as κ(κ−1)/(r₀−1+κ)², which has no cancellation near κ = 1.
    """
    s = ratio - 1 + condition_number
    shortfall = (condition_number / s) * ((condition_number - 1) / s)
    a = ((ratio - 1) / s) ** 2 + (condition_number / s) * ((2 * ratio - 1) / s)
    log_a = math.log1p(-shortfall) if shortfall < 0.5 else math.log(a)
    return log_a, shortfall, (ratio / s) * (ratio * condition_number / s)

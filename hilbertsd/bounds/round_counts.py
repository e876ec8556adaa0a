"""Bounds on the collapse round T, from r_0, from κ and from the whole spectrum (MFB §3.3).

Two facts that MFB do not use give the sharpest simple counts. The residual ρ_t = z_t − z_{t+1} of a tight constraint
has norm √(nε) exactly, whatever the kernel, and its angle with z_{t+1} has a cosine of at least σ = 2√κ/(1+κ), which is
0 for a singular kernel. So, by the triangle inequality and by the law of cosines,

    r_t − 1  ≤  r_{t+1}  ≤  √(r_t² − 1 + σ²) − σ        and        r_0 − 1  ≤  T  ≤  min(⌈r_0²⌉ − 1, ⌈(r_0 − 1)/σ⌉),

where 1/σ ≤ κ. Proofs: hilbertsd/bounds/THEOREMS.md, Theorem A.

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.bounds.arguments import checked_condition_number, checked_ratio, finite_array
from hilbertsd.bounds.round_ratios import cosine, tangent
from hilbertsd.errors import InvalidInput, InvalidTolerance
from hilbertsd.support.checks import check_positive

ROUNDING = 1e-9
"""Relative amount by which a lower count is lowered and an upper one raised, so that rounding makes none wrong."""

LARGEST_SQUARED_RATIO = 1e24
"""r_0² beyond which counting rounds has no use, and rounding would spoil the count."""

LARGEST_GRID = 32
"""Splits, and rounds per split, that :func:`rounds_by_spectrum` tries; any subset gives a valid bound."""


def guaranteed_rounds(ratio: float, condition_number: float) -> float:
    """Rounds before collapse that are certain: t̲ = (r₀−1)/κ, and T ≥ t̲.

    Parameters and errors are those of :func:`ratio_after`. Source: MFB Proposition 4.

    Notes
    -----
    T is a whole number, so T ≥ ⌈t̲⌉; and T ≥ r_0 − 1 = κt̲ makes it T ≥ ⌊t̲⌋ + 1 as soon as κ > 1. With κ = 1 and a
    whole r_0 it is T = t̲ exactly.
    """
    return (checked_ratio(ratio) - 1) / checked_condition_number(condition_number)


def rounds_by_tangent(ratio: float, condition_number: float) -> int:
    """First t at which Proposition 3 no longer keeps r_t above 1; T is at least that.

    Parameters and errors are those of :func:`ratio_after`, whose linear recurrence r ← ar − b is solved for t.
    """
    r, kappa = checked_ratio(ratio), checked_condition_number(condition_number)
    log_a, shortfall, b = tangent(r, kappa)
    if shortfall == 0:
        return _whole_rounds((r - 1) / b)
    return _whole_rounds(math.log1p(-(r - 1) * shortfall / (shortfall * r + b)) / log_a)


def rounds_by_recurrence(ratio: float, condition_number: float) -> int:
    """Steps of r ← h(r) from r_0 until it is at most 1; T is at least that.

    Parameters and errors are those of :func:`ratio_after`. Never below :func:`rounds_by_tangent`; it takes at most
    r_0 steps, because h(r) ≤ r − 1, of about 0.1 µs each.
    """
    r, kappa = checked_ratio(ratio), checked_condition_number(condition_number)
    steps, end = 0, 1 + ROUNDING * r
    while r > end:
        r = r * (r - 1) / (r - 1 + kappa)
        steps += 1
    return max(steps, 1)


def rounds_by_triangle(ratio: float) -> int:
    """Whatever the kernel, T ≥ ⌈r_0 − 1⌉.

    Parameters
    ----------
    ratio : r_0 > 1, else InvalidTolerance.

    Notes
    -----
    ‖z_{t+1}‖ ≥ ‖z_t‖ − ‖ρ_t‖ and ‖ρ_t‖ = √(nε), so r_{t+1} ≥ r_t − 1. It is sharper than iterating h, because
    r − 1 − h(r) = (r−1)(κ−1)/(r−1+κ) ≥ 0, needs no κ, holds for singular kernel matrices, and is met with equality
    where all eigenvalues are equal: no bound on r_0 alone can be better.
    """
    return _whole_rounds(checked_ratio(ratio) - 1)


def most_rounds(ratio: float, condition_number: float | None = None) -> int:
    """Whatever the kernel, T ≤ ⌈r_0²⌉ − 1; with its κ, T ≤ the least whole j with (1 + σj)² + (1 − σ²)j ≥ r_0².

    Parameters
    ----------
    ratio : r_0 > 1, else InvalidTolerance. r_0² is the targets' mean square divided by the tolerance.
    condition_number : κ ≥ 1, which gives σ = 2√κ/(1+κ); None, or a singular kernel matrix, is σ = 0.

    Raises InvalidInput for κ below 1.

    Notes
    -----
    The count with κ is never above ⌈r_0²⌉ − 1, nor above ⌈(r_0 − 1)/σ⌉, which is about √κ (r_0 − 1)/2 and never above
    ⌈κ(r_0 − 1)⌉. For κ = 1 it is T itself. Without κ it is approached where eigenvalues lie decades apart and
    each holds the energy of one round. Both are one more where r_0 is so close to a whole step that rounding could hide
    it. Proof: hilbertsd/bounds/THEOREMS.md, Theorem A.
    """
    surplus = checked_ratio(ratio) ** 2 - 1
    s = 0.0 if condition_number is None else cosine(condition_number)
    b = 1 + 2 * s - s * s if s else 1.0
    return math.ceil(2 * surplus / (b + math.sqrt(b * b + 4 * s * s * surplus)) * (1 + ROUNDING))


def rounds_by_spectrum(eigenvalues: ArrayLike, energies: ArrayLike, tolerance: float) -> int:
    """Least T from the spectrum and the targets' energies.

    While rounds use up the targets' energy at small eigenvalues, that at large ones barely shrinks. Split the ascending
    eigenvalues into a lower part up to d_j and an upper part S. With l = ‖P z_0‖/√(nε) over the lower part and n_k =
    √(energy_k/ε), every split with l > 1 and every whole q < l gives

        T ≥ q + ⌈p_q − 1⌉,    p_q² = Σ_{k∈S} n_k² Π_{t<q} (1 + (d_j/d_k)/(l−t−1))⁻².

    The largest of these over at most 32 splits and 32 values of q is returned, or ⌈r_0 − 1⌉ where that is larger.

    Parameters
    ----------
    eigenvalues : (m,) non-negative, in any order; zeros are allowed from round 0 on.
    energies : (m,) mean-square target energy on each eigenvector, Σ_j z_kj²/n.
    tolerance : ε > 0.

    Returns
    -------
    int, at most T; 0 where the energies sum to at most ε.

    Raises
    ------
    InvalidInput
        Eigenvalues or energies are negative, not finite, or of different lengths.
    InvalidTolerance
        The tolerance is no positive number, or below 1e-24 of the energies' sum.

    Notes
    -----
    Proof. Let l_t be the norm of z_t on the lower part in units of √(nε). The residual's part there is at most the
    whole residual, whose norm is 1 in these units, so l_t ≥ l − t, and for t < q the path has not collapsed. The lower
    part leaves over at least its own share of the tolerance: (c_t/(c_t+d_j))² l_t² ≤ 1, that is c_t ≤ d_j/(l_t − 1)
    ≤ d_j/(l−t−1). So A_t[k] = 1/(1 + c_t/d_k) ≥ 1/(1 + (d_j/d_k)/(l−t−1)), and after q rounds r_q ≥ p_q. From there
    :func:`rounds_by_triangle` counts on.
    """
    from scipy.special import gammaln

    d, e = finite_array(eigenvalues, "eigenvalues", least=0.0), finite_array(energies, "energies", least=0.0)
    if d.shape != e.shape or d.ndim != 1 or not d.size:
        raise InvalidInput(f"eigenvalues have shape {d.shape} and energies {e.shape}; give one energy per eigenvalue")
    tolerance = check_positive(tolerance, "tolerance", "the mean squared training error to allow", InvalidTolerance)
    order = np.argsort(d)
    with np.errstate(over="ignore"):
        d, n_squared = d[order], e[order] / tolerance
        total = n_squared.sum()
    if total > LARGEST_SQUARED_RATIO:
        raise InvalidTolerance(
            f"tolerance {tolerance:.6g} is {total:.3g} times smaller than the energies' sum; no path is that long: use "
            "a larger tolerance"
        )
    lower_norms = np.sqrt(np.cumsum(n_squared))
    if lower_norms[-1] <= 1:
        return 0
    best = rounds_by_triangle(lower_norms[-1])
    usable = np.flatnonzero((lower_norms[:-1] > 1 + ROUNDING) & (d[:-1] > 0))
    for j in usable[_spread(len(usable))]:
        x = lower_norms[j] - 1
        upper = n_squared[j + 1 :]
        gamma = (d[j] / d[j + 1 :])[upper > 0]
        q = 1.0 + _spread(math.ceil(x * (1 - ROUNDING)))[:, None]
        # Π_{t<q} (x−t)/(x−t+γ) as a quotient of Gamma functions, lowered by what their rounding can be.
        log_product = gammaln(x + 1) - gammaln(x - q + 1) - gammaln(x + 1 + gamma) + gammaln(x - q + 1 + gamma)
        log_product -= 16 * np.finfo(float).eps * abs(gammaln(x + 2))
        p = np.sqrt(np.exp(2 * log_product) @ upper[upper > 0])
        best = max(best, int(np.max(q[:, 0] + np.maximum(np.ceil(p - 1 - ROUNDING * p), 0))))
    return best


def _whole_rounds(value: float) -> int:
    """Lower bound on T, rounded up to a whole number and to 1, which T is at least wherever r_0 > 1."""
    return max(1, math.ceil(value * (1 - ROUNDING)))


def _spread(count: int) -> NDArray[np.intp]:
    """At most LARGEST_GRID whole numbers from 0 to count−1, both ends included."""
    return np.unique(np.linspace(0, count - 1, min(count, LARGEST_GRID)).round().astype(int))

"""Bounds on multipliers, rounds and sparsity that hold before anything is solved (MFB §3).

Every statement is about one constrained path: r = ‖z‖/√(nε) > 1 is the targets' norm in units of what one round
may leave over (`ratio`), κ = d_max/d_min the condition number, T the collapse round. r counts from the round at which
the path is looked at, usually 0. Statements with κ need positive eigenvalues; for a singular kernel matrix they hold
on its range from round 1 on, with d_min the smallest positive eigenvalue, because round 0 removes the null component.

Two facts that MFB do not use give the sharpest simple counts. The residual ρ_t = z_t − z_{t+1} of a tight constraint
has norm √(nε) exactly, whatever the kernel, and makes an acute angle with z_{t+1}. So, by the triangle inequality and
by Pythagoras,

    r_t − 1  ≤  r_{t+1}  ≤  √(r_t² − 1)        and        r_0 − 1  ≤  T  <  r_0².

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.errors import InvalidInput, InvalidTolerance
from hilbertsd.support.checks import check_positive

ROUNDING = 1e-9
"""A count is ended this much early, so that rounding never lifts it above the true collapse round."""

LARGEST_SQUARED_RATIO = 1e24
"""r_0² beyond which counting rounds has no use, and rounding would spoil the count."""

LARGEST_GRID = 32
"""Splits, and rounds per split, that :func:`rounds_by_spectrum` tries; any subset gives a valid bound."""


def multiplier_bracket(eigenvalues: ArrayLike, ratio: float) -> tuple[float, float]:
    """Multiplier of one round: d_min/(r−1) ≤ c ≤ d_max/(r−1).

    Parameters
    ----------
    eigenvalues : (m,) positive, in any order.
    ratio : r > 1 of that round's targets.

    Raises InvalidInput for eigenvalues that are not positive, InvalidTolerance for a ratio of at most 1.
    Source: MFB (23-24).
    """
    d, gap = _positive(eigenvalues), _ratio(ratio) - 1
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

    Raises InvalidInput for a ratio or κ below 1. h is convex for r > 1. Source: MFB §3.2, the recurrence under
    Proposition 3.
    """
    r, kappa = _array(ratio, "ratio", least=1.0), _condition_number(condition_number)
    return r * (r - 1) / (r - 1 + kappa)


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
    r, kappa, t = _ratio(ratio), _condition_number(condition_number), _array(rounds, "rounds", least=0.0)
    log_a, shortfall, b = _tangent(r, kappa)
    if shortfall == 0:
        return r - b * t
    return np.exp(t * log_a) * r + b * np.expm1(t * log_a) / shortfall


def guaranteed_rounds(ratio: float, condition_number: float) -> float:
    """Rounds before collapse that are certain: t̲ = (r₀−1)/κ, and T ≥ t̲.

    Parameters and errors are those of :func:`ratio_after`. Source: MFB Proposition 4.

    Notes
    -----
    T is a whole number, so T ≥ ⌈t̲⌉; and T ≥ r_0 − 1 = κt̲ makes it T ≥ ⌊t̲⌋ + 1 as soon as κ > 1. With κ = 1 and a
    whole r_0 it is T = t̲ exactly.
    """
    return (_ratio(ratio) - 1) / _condition_number(condition_number)


def rounds_by_tangent(ratio: float, condition_number: float) -> int:
    """First t at which Proposition 3 no longer keeps r_t above 1; T is at least that.

    Parameters and errors are those of :func:`ratio_after`, whose linear recurrence r ← ar − b is solved for t.
    """
    r, kappa = _ratio(ratio), _condition_number(condition_number)
    log_a, shortfall, b = _tangent(r, kappa)
    if shortfall == 0:
        return _whole_rounds((r - 1) / b)
    return _whole_rounds(math.log1p(-(r - 1) * shortfall / (shortfall * r + b)) / log_a)


def rounds_by_recurrence(ratio: float, condition_number: float) -> int:
    """Steps of r ← h(r) from r_0 until it is at most 1; T is at least that.

    Parameters and errors are those of :func:`ratio_after`. Never below :func:`rounds_by_tangent`; it takes at most
    r_0 steps, because h(r) ≤ r − 1, at 0.1 µs each or so.
    """
    r, kappa = _ratio(ratio), _condition_number(condition_number)
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
    return _whole_rounds(_ratio(ratio) - 1)


def most_rounds(ratio: float) -> int:
    """Whatever the kernel, T ≤ ⌈r_0²⌉ − 1.

    Parameters
    ----------
    ratio : r_0 > 1, else InvalidTolerance. r_0² is the targets' mean square divided by the tolerance.

    Notes
    -----
    ⟨ρ_t, z_{t+1}⟩ = c_t Σ_k z_{t+1,k}²/d_k ≥ 0, so ‖z_{t+1}‖² ≤ ‖z_t‖² − ‖ρ_t‖²: r² falls by at least 1 a round, and
    the last nonzero fit has 1 < r²_{T−1} ≤ r_0² − (T−1). It is approached where eigenvalues lie decades apart and
    each holds the energy of one round.
    """
    return math.ceil(_ratio(ratio) ** 2) - 1


def rounds_by_spectrum(eigenvalues: ArrayLike, energies: ArrayLike, tolerance: float) -> int:
    """Least T from the spectrum and the targets' energies: while small eigenvalues are eaten, large ones barely shrink.

    Split the ascending eigenvalues into a lower part up to d_j and an upper part S. With l = ‖P z_0‖/√(nε) over the
    lower part and n_k = √(energy_k/ε), every split with l > 1 and every whole m < l gives

        T ≥ m + ⌈p_m − 1⌉,    p_m² = Σ_{k∈S} n_k² Π_{t<m} (1 + (d_j/d_k)/(l−t−1))⁻².

    The largest of these over at most 32 splits and 32 values of m is returned, or ⌈r_0 − 1⌉ where that is larger.

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
    whole residual, whose norm is 1 in these units, so l_t ≥ l − t, and for t < m the path has not collapsed. The lower
    part leaves over at least its own share of the tolerance: (c_t/(c_t+d_j))² l_t² ≤ 1, that is c_t ≤ d_j/(l_t − 1)
    ≤ d_j/(l−t−1). So A_t[k] = 1/(1 + c_t/d_k) ≥ 1/(1 + (d_j/d_k)/(l−t−1)), and after m rounds r_m ≥ p_m. From there
    :func:`rounds_by_triangle` counts on.
    """
    from scipy.special import gammaln

    d, e = _array(eigenvalues, "eigenvalues", least=0.0), _array(energies, "energies", least=0.0)
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
        m = 1.0 + _spread(math.ceil(x * (1 - ROUNDING)))[:, None]
        # Π_{t<m} (x−t)/(x−t+γ) as ratios of Gamma functions, less what their rounding can be.
        log_product = gammaln(x + 1) - gammaln(x - m + 1) - gammaln(x + 1 + gamma) + gammaln(x - m + 1 + gamma)
        log_product -= 16 * np.finfo(float).eps * abs(gammaln(x + 2))
        p = np.sqrt(np.exp(2 * log_product) @ upper[upper > 0])
        best = max(best, int(np.max(m[:, 0] + np.maximum(np.ceil(p - 1 - ROUNDING * p), 0))))
    return best


def weight_ratio(smaller: float, larger: float, smallest: float, ratio: float, rounds: float) -> float:
    """Least ratio of two basis weights: B_{t−1}[k]/B_{t−1}[j] ≥ ((r₀−1 + d_min/d_j)/(r₀−1 + d_min/d_k))ᵗ for d_k > d_j.

    Parameters
    ----------
    smaller, larger : d_j ≤ d_k, positive.
    smallest : d_min > 0.
    ratio : r_0 > 1.
    rounds : t, the number of rounds that B_{t−1} multiplies.

    Returns
    -------
    float of at least 1; infinity beyond double precision.

    Raises as :func:`multiplier_bracket`. Source: MFB Theorem 5, stated there for t ≤ t̲. It holds for every t ≤ T,
    because c_i ≥ d_min/(r_i−1) ≥ d_min/(r₀−1) as long as r_i > 1.
    """
    d = _positive([smallest, smaller, larger])
    if d.tolist() != [smallest, smaller, larger]:
        raise InvalidInput(f"smallest {smallest:.6g}, smaller {smaller:.6g}, larger {larger:.6g}; give them in order")
    t = float(_array(rounds, "rounds", least=0.0))
    return _exp(t * log_neighbour_bounds(d, _ratio(ratio))[1])


def sparsity_index(eigenvalues: ArrayLike, log_basis_weights: ArrayLike, resolution: float = 0.0) -> float:
    """Sparsity index S_B = min_k B[k+1]/B[k] over neighbouring distinct eigenvalues, ascending.

    Parameters
    ----------
    eigenvalues : (m,) positive, in any order.
    log_basis_weights : (m,) logarithms of B's diagonal, in the same order: `path.log_basis_weights[t]` where the
        eigenvalue is positive. The weights themselves underflow in late rounds.
    resolution : eigenvalues within this of the one below count as equal to it, and are left out;
        `spectrum.rounding` is the natural choice. 0 leaves out only exact repetitions.

    Returns
    -------
    float of at least 1; infinity where fewer than two eigenvalues are distinct.

    Raises InvalidInput for eigenvalues that are not positive or logarithms that are not finite. Source: MFB §3.5,
    before (50).
    """
    d, logs = _array(eigenvalues, "eigenvalues"), _array(log_basis_weights, "log_basis_weights")
    if d.shape != logs.shape:
        raise InvalidInput(f"eigenvalues have shape {d.shape} and weights {logs.shape}; give one weight for each")
    return _exp(np.min(np.diff(logs[distinct(d, resolution)]), initial=math.inf))


def least_sparsity_index(eigenvalues: ArrayLike, ratio: float, rounds: float | None = None) -> float:
    """Least sparsity index after t rounds: S_{B_{t−1}} ≥ min_k ((r₀−1 + d_min/d_k)/(r₀−1 + d_min/d_{k+1}))ᵗ.

    Parameters
    ----------
    eigenvalues : (m,) positive, in any order; exact repetitions are left out (see :func:`distinct`).
    ratio : r_0 > 1.
    rounds : t; None takes the guaranteed t̲ = (r₀−1)/κ of Proposition 4.

    Returns
    -------
    float of at least 1, infinity where fewer than two eigenvalues are distinct. At t̲ it decreases in the tolerance
    (it grows with r_0) and tends to :func:`sparsity_index_limit`.

    Raises as :func:`multiplier_bracket`. Source: MFB (50), for t̲ (51), Theorem 6.
    """
    d = _positive(eigenvalues)
    t = guaranteed_rounds(ratio, d[-1] / d[0]) if rounds is None else float(_array(rounds, "rounds", least=0.0))
    return _exp(t * np.min(log_neighbour_bounds(d[distinct(d)], _ratio(ratio)), initial=math.inf)) if t else 1.0


def sparsity_index_limit(eigenvalues: ArrayLike) -> float:
    """Limit of the guaranteed sparsity index as ε → 0: exp((d_min/κ) min_k (1/d_k − 1/d_{k+1})).

    Parameters and errors are those of :func:`least_sparsity_index`. Source: MFB Theorem 6, (155).
    """
    d = _positive(eigenvalues)
    kept = d[distinct(d)]
    gaps = np.diff(kept) / kept[1:] * (d[0] / kept[:-1])
    return _exp(d[0] / d[-1] * np.min(gaps, initial=math.inf))


def distinct(eigenvalues: ArrayLike, resolution: float = 0.0) -> NDArray[np.intp]:
    """Which eigenvalues count as different: from the smallest up, those above the last one kept by over the resolution.

    Parameters
    ----------
    eigenvalues : (m,) positive, in any order.
    resolution : absolute; 0 leaves out only exact repetitions.

    Returns
    -------
    Indices into `eigenvalues`, in ascending order of the eigenvalues.

    Raises InvalidInput for eigenvalues that are not positive.
    """
    d = _positive(eigenvalues)
    order = np.argsort(np.asarray(eigenvalues, float), kind="stable")
    if resolution == 0:
        return order[np.concatenate([[True], np.diff(d) > 0])]
    kept = [0]
    while (following := int(np.searchsorted(d, d[kept[-1]] + resolution, side="right"))) < len(d):
        kept.append(following)
    return order[kept]


def log_neighbour_bounds(eigenvalues: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """(m−1,) log((r₀−1 + d_min/d_k)/(r₀−1 + d_min/d_{k+1})), one round's part of Theorem 5, without cancellation."""
    d = eigenvalues
    return np.log1p(np.diff(d) / d[1:] * (d[0] / d[:-1]) / (ratio - 1 + d[0] / d[1:]))


def _tangent(ratio: float, condition_number: float) -> tuple[float, float, float]:
    """Log a, 1 − a and b of Proposition 3, where 1 − a = κ(κ−1)/(r₀−1+κ)² has no cancellation near κ = 1."""
    s = ratio - 1 + condition_number
    shortfall = (condition_number / s) * ((condition_number - 1) / s)
    a = ((ratio - 1) / s) ** 2 + (condition_number / s) * ((2 * ratio - 1) / s)
    log_a = math.log1p(-shortfall) if shortfall < 0.5 else math.log(a)
    return log_a, shortfall, (ratio / s) * (ratio * condition_number / s)


def _whole_rounds(value: float) -> int:
    """Round a lower bound on T up; T is at least 1 wherever r_0 > 1."""
    return max(1, math.ceil(value * (1 - ROUNDING)))


def _spread(count: int) -> NDArray[np.intp]:
    """At most LARGEST_GRID whole numbers from 0 to count−1, both ends included."""
    return np.unique(np.linspace(0, count - 1, min(count, LARGEST_GRID)).round().astype(int))


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(value))


def _array(values: ArrayLike, name: str, least: float = -math.inf) -> NDArray[np.float64]:
    """Values as float64, or InvalidInput where one is not finite or below the least allowed."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} is no number or array of numbers: {error}") from error
    bad = array[~(np.isfinite(array) & (array >= least))]
    if bad.size:
        allowed = "" if least == -math.inf else f" of at least {least:g}"
        raise InvalidInput(f"{name} holds {bad[0]:.6g}; give finite numbers{allowed}")
    return array


def _positive(eigenvalues: ArrayLike) -> NDArray[np.float64]:
    """Eigenvalues in ascending order, or InvalidInput."""
    d = _array(eigenvalues, "eigenvalues")
    if d.ndim != 1 or not d.size or d.min() <= 0:
        worst = f"{d.min():.6g}" if d.size else "none"
        raise InvalidInput(
            f"eigenvalues of shape {d.shape} have smallest {worst}; give positive ones: for a singular kernel matrix "
            "those of its range, from round 1 on"
        )
    return np.sort(d)


def _ratio(ratio: float) -> float:
    number = check_positive(ratio, "ratio", "‖z‖/√(nε)", InvalidTolerance)
    if number <= 1:
        raise InvalidTolerance(
            f"ratio is {number:.6g}; it must exceed 1: at or below it the zero function meets the tolerance"
        )
    return number


def _condition_number(condition_number: float) -> float:
    number = check_positive(condition_number, "condition_number", "d_max/d_min", InvalidInput)
    if number < 1:
        raise InvalidInput(f"condition_number is {number:.6g}; d_max/d_min is at least 1")
    return number

"""Bounds on ratios of basis weights and on the sparsity index: Theorems 5 and 6 (MFB §3.5)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.bounds.arguments import checked_ratio, finite_array, positive_eigenvalues
from hilbertsd.bounds.round_counts import guaranteed_rounds
from hilbertsd.errors import InvalidInput


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
    d = positive_eigenvalues([smallest, smaller, larger])
    if d.tolist() != [smallest, smaller, larger]:
        raise InvalidInput(f"smallest {smallest:.6g}, smaller {smaller:.6g}, larger {larger:.6g}; give them in order")
    t = float(finite_array(rounds, "rounds", least=0.0))
    return _exp(t * log_neighbour_bounds(d, checked_ratio(ratio))[1])


def sparsity_index(eigenvalues: ArrayLike, log_basis_weights: ArrayLike, resolution: float = 0.0) -> float:
    """Smallest ratio of weights min_k B[k+1]/B[k] over neighbouring distinct eigenvalues, ascending.

    MFB's S (49-51) is the lowest value of Theorem 5's lower bound on these ratios, :func:`least_sparsity_index`. A
    path's own smallest ratio is never less.

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

    Raises InvalidInput for eigenvalues that are not positive or logarithms that are not finite. Source: MFB §3.5
    for the ratio as a measure of sparsity.
    """
    d, logs = finite_array(eigenvalues, "eigenvalues"), finite_array(log_basis_weights, "log_basis_weights")
    if d.shape != logs.shape:
        raise InvalidInput(f"eigenvalues have shape {d.shape} and weights {logs.shape}; give one weight for each")
    return _exp(np.min(np.diff(logs[distinct(d, resolution)]), initial=math.inf))


def least_sparsity_index(eigenvalues: ArrayLike, ratio: float, rounds: float | None = None) -> float:
    """MFB's sparsity index after t rounds: S_{B_{t−1}} = min_k ((r₀−1 + d_min/d_k)/(r₀−1 + d_min/d_{k+1}))ᵗ.

    It is the lowest value of Theorem 5's bound on the ratio of two weights.

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
    d = _distinct_values(positive_eigenvalues(eigenvalues))
    t = guaranteed_rounds(ratio, d[-1] / d[0]) if rounds is None else float(finite_array(rounds, "rounds", least=0.0))
    return _exp(t * np.min(log_neighbour_bounds(d, checked_ratio(ratio)), initial=math.inf)) if t else 1.0


def sparsity_index_limit(eigenvalues: ArrayLike) -> float:
    """Limit of the guaranteed sparsity index as ε → 0: exp((d_min/κ) min_k (1/d_k − 1/d_{k+1})).

    Parameters and errors are those of :func:`least_sparsity_index`. Source: MFB Theorem 6, (155).
    """
    d = _distinct_values(positive_eigenvalues(eigenvalues))
    gaps = np.diff(d) / d[1:] * (d[0] / d[:-1])
    return _exp(d[0] / d[-1] * np.min(gaps, initial=math.inf))


def distinct(eigenvalues: ArrayLike, resolution: float = 0.0) -> NDArray[np.intp]:
    """Which eigenvalues count as different: the smallest, then each that exceeds the last one kept by more than that.

    Parameters
    ----------
    eigenvalues : (m,) positive, in any order.
    resolution : absolute distance up to which eigenvalues count as equal; 0 leaves out only exact repetitions.

    Returns
    -------
    Indices into `eigenvalues`, in ascending order of the eigenvalues.

    Raises InvalidInput for eigenvalues that are not positive.
    """
    d = positive_eigenvalues(eigenvalues)
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


def _distinct_values(ascending: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eigenvalues in ascending order without exact repetitions."""
    return ascending[np.concatenate([[True], np.diff(ascending) > 0])]


def _exp(value: float) -> float:
    """Exponential, infinity beyond double precision."""
    with np.errstate(over="ignore"):
        return float(np.exp(value))

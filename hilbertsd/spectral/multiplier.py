"""The multiplier c of one round: the root of E(c) = tolerance (MFB 20).

E(c) = Σ_k e_k (c/(c+d_k))² is the training error of the fit with multiplier c, where d are the eigenvalues
of G = kernel_matrix/n and e_k = Σ_j z_kj²/n the targets' energy on eigenvector k, summing to their mean
square. E increases strictly from the floor Σ_{d_k=0} e_k to Σ_k e_k.

    spectrum = Spectrum.from_kernel(kernel_matrix, targets)
    c = solve_multiplier(spectrum.eigenvalues, spectrum.energies, tolerance=0.1)
    training_error(spectrum.eigenvalues, spectrum.energies, c)  # 0.1
    weights = spectrum.eigenvalues / (c + spectrum.eigenvalues)  # what the fit keeps of each eigenvector

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.errors import InfeasibleTolerance, InvalidInput, InvalidTolerance, NotConverged
from hilbertsd.support.checks import as_real_array, check_positive, distinguishable

MAX_NEWTON_STEPS = 100
"""Newton steps after which the search for a multiplier is given up."""

LAST_STEP = 4 * float(np.finfo(float).eps)
"""Relative length of a Newton step that is rounding, and ends the search."""

NUMBERS_AT_ONCE = 2**20
"""Pairs of a tolerance and an eigenvalue that are worked on together where many roots are searched."""


def training_error(eigenvalues: ArrayLike, energies: ArrayLike, multiplier: float) -> float:
    """Training error E(c) of the fit with multiplier c.

    Parameters
    ----------
    eigenvalues : (m,) non-negative eigenvalues of kernel_matrix/n.
    energies : (m,) mean-square target energy on each eigenvector, in squared units of the targets.
    multiplier : c > 0, in units of the eigenvalues.

    Returns
    -------
    float, in squared units of the targets.

    Raises InvalidInput as :func:`solve_multiplier`. Source: MFB (20); one constraint for several outputs
    together is our reading of MFB §3.6.
    """
    d, e = _checked(eigenvalues, energies)
    return float(np.sum(e * (multiplier / (multiplier + d)) ** 2))


def solve_multiplier(eigenvalues: ArrayLike, energies: ArrayLike, tolerance: float) -> float:
    """Multiplier c > 0 at which the training error equals the tolerance.

    Parameters
    ----------
    eigenvalues : (m,) non-negative eigenvalues of kernel_matrix/n, in any order.
    energies : (m,) mean-square target energy on each eigenvector, Σ_j z_kj²/n; they sum to the targets'
        mean square.
    tolerance : ε, the mean squared training error to meet, in the same units as the energies.

    Returns
    -------
    float, the unique root c, in units of the eigenvalues.

    Raises
    ------
    InvalidInput
        Eigenvalues or energies are empty, of different lengths, negative or not finite.
    InvalidTolerance
        The tolerance is not a positive finite number.
    InfeasibleTolerance
        The tolerance is at or below the floor, or so large that the zero function already meets it.

    Source: MFB (20), (23-24). The root is found by :func:`newton_root`.
    """
    d, e = _checked(eigenvalues, energies)
    tolerance = check_positive(tolerance, "tolerance", "the mean squared training error to allow", InvalidTolerance)
    total = float(e.sum())
    if tolerance >= total:
        given, most = distinguishable(tolerance, total)
        raise InfeasibleTolerance(
            f"tolerance {given} is not below the targets' mean square {most}, so the zero function meets it and no "
            f"multiplier exists; use a tolerance below {most}"
        )
    positive = d > 0
    floor = float(e[~positive].sum())
    check_above_floor(tolerance, floor, total)
    return newton_root(d[positive], e[positive], tolerance - floor, total - tolerance)


def newton_root(
    eigenvalues: NDArray[np.float64],
    energies: NDArray[np.float64],
    tolerance: float,
    gap: float,
    start: float = math.inf,
) -> float:
    """Root of Σ e (c/(c+d))² = tolerance over positive eigenvalues, without input checks.

    In λ = 1/c the function (Σ e (1+λd)^−2)^−½ is, up to a factor, a power mean with exponent −2 of the affine
    1+λd, hence increasing and concave. Newton's tangent lies above it, so every step from any start lands at
    or left of the root and the iterates then rise to it: no bracket is needed. The step from λ = 0 is
    (r−1)/d̄ with d̄ the energy-weighted mean eigenvalue: no worse than the end (r−1)/d_max of MFB's bracket.

    Parameters
    ----------
    eigenvalues : (m,) positive.
    energies : (m,) non-negative, not all zero.
    tolerance : right-hand side, between 0 and Σ e (the floor already subtracted).
    gap : Σ e − tolerance, given because the caller knows it without cancellation.
    start : a guess of c, for instance the multiplier of the round before.

    Returns infinity where the root is beyond double precision. Raises NotConverged where Σ e and the tolerance are too
    many orders of magnitude apart.
    """
    scale = float(eigenvalues.max())
    d = eigenvalues / scale
    tolerance, gap = float(tolerance), float(gap)  # division of NumPy's by zero would only warn
    total = tolerance + gap
    w = energies / total
    wd = w * d
    share, gap_share = tolerance / total, gap / total
    root_share = math.sqrt(share)

    def newton(inverse: float) -> float:
        y = inverse * d
        a = 1 / (1 + y)
        squares = a * a
        error_share = float(w @ squares)
        # Near collapse E − ε is a small difference of large numbers; its complement is not.
        excess = error_share - share if share < 0.5 else gap_share - float(w @ (y * a * (1 + a)))
        slope = float(wd @ (squares * a))
        return inverse + excess * error_share / (root_share * (math.sqrt(error_share) + root_share) * slope)

    # Where c/(c+d) underflows, a slope of zero or a NaN that no comparison passes ends in the error below.
    with suppress(ZeroDivisionError), np.errstate(over="ignore", invalid="ignore"):
        inverse = newton(0.0)
        if math.isfinite(start):
            inverse = max(inverse, newton(scale / start))
        for _ in range(MAX_NEWTON_STEPS):
            previous, inverse = inverse, newton(inverse)
            # The iterates rise: the first step that does not is rounding, and ends the search.
            if inverse - previous <= LAST_STEP * inverse:
                return float(scale / inverse)
    raise NotConverged(
        f"no multiplier for tolerance {tolerance:.6g} against targets of mean square {total:.6g}: their ratio "
        f"{total / tolerance if tolerance else math.inf:.3g} is beyond double precision; use a larger tolerance"
    )


def newton_roots(
    eigenvalues: NDArray[np.float64],
    energies: NDArray[np.float64],
    tolerances: NDArray[np.float64],
    gaps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(T,) roots for many tolerances and the same energies, each as :func:`newton_root` finds it.

    All of them take their Newton steps together: many tolerances cost little more than one.

    Parameters
    ----------
    eigenvalues, energies : (m,) as there.
    tolerances, gaps : (T,) right-hand sides, and Σ e minus each of them; without eigenvalues there are none.

    Raises as :func:`newton_root`.
    """
    if not len(tolerances):
        return np.zeros(0)
    rows = max(NUMBERS_AT_ONCE // len(eigenvalues), 1)
    if len(tolerances) > rows:  # more than fit into memory together
        blocks = [slice(start, start + rows) for start in range(0, len(tolerances), rows)]
        return np.concatenate([newton_roots(eigenvalues, energies, tolerances[one], gaps[one]) for one in blocks])
    scale = eigenvalues.max()
    d = eigenvalues / scale
    totals = tolerances + gaps
    roots = np.full(len(tolerances), np.nan)
    searched, inverse = np.arange(len(tolerances)), np.zeros(len(tolerances))
    with np.errstate(all="ignore"):
        for _ in range(MAX_NEWTON_STEPS):
            total = totals[searched]
            share, gap_share = tolerances[searched] / total, gaps[searched] / total
            y = inverse[:, None] * d
            a = 1 / (1 + y)
            squares = a * a
            error_share = squares @ energies / total
            excess = np.where(share < 0.5, error_share - share, gap_share - (y * a * (1 + a)) @ energies / total)
            slope = (squares * a) @ (energies * d) / total
            root_share = np.sqrt(share)
            following = inverse + excess * error_share / (root_share * (np.sqrt(error_share) + root_share) * slope)
            last = np.isfinite(following) & (following - inverse <= LAST_STEP * following)
            roots[searched[last]] = scale / following[last]
            searched, inverse = searched[~last], following[~last]
            if not len(searched):
                return roots
    for place in searched:
        roots[place] = newton_root(eigenvalues, energies, tolerances[place], gaps[place])
    return roots


def check_above_floor(tolerance: float, floor: float, mean_square: float) -> None:
    """Raise InfeasibleTolerance unless the tolerance exceeds the floor; the message names both as fractions, too."""
    if tolerance <= floor:
        given, least = distinguishable(tolerance, floor)
        share, least_share = distinguishable(tolerance / mean_square, floor / mean_square)
        error = InfeasibleTolerance(
            f"tolerance {given} ({share} of the targets' mean square) is at or below the floor {least} ({least_share} "
            "of it): that much lies where the kernel matrix is singular and no fit can reach it; use a tolerance above "
            f"{least}, that is a relative_tolerance above {least_share}, or a kernel of higher rank"
        )
        error.floor = floor
        raise error


def _checked(eigenvalues: ArrayLike, energies: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as float64 vectors of one length, or InvalidInput."""
    d, e = _vector(eigenvalues, "eigenvalues"), _vector(energies, "energies")
    if d.shape != e.shape:
        raise InvalidInput(f"eigenvalues has {d.size} entries and energies {e.size}; give one energy per eigenvalue")
    return d, e


def _vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Values as a float64 vector, or InvalidInput unless all are finite and non-negative."""
    array = np.asarray(as_real_array(values, name, InvalidInput), dtype=float)
    if array.ndim != 1 or array.size == 0:
        raise InvalidInput(f"{name} has shape {array.shape}; give a non-empty one-dimensional array")
    if not np.all(np.isfinite(array)) or array.min() < 0:
        worst = array[~np.isfinite(array)][0] if not np.all(np.isfinite(array)) else array.min()
        raise InvalidInput(f"{name} contains {worst:.6g}; all entries must be finite and non-negative")
    return array

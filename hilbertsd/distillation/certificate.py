"""What a Krylov path is certain of: an enclosure of every multiplier, and whether the collapse round is right.

Errors would grow if they were carried through the roots one by one. Monotony does better: with larger multipliers in
the rounds before, the targets' energy on every eigenvector is smaller and the next multiplier larger. So a chain with
fixed c̄_i ≥ c_i has a root that is at least c_t, and a chain with fixed c̲_i ≤ c_i one that is at most c_t.

For fixed multipliers the squared norm of a residual is ⟨Y, M_1 ⋯ M_N Y⟩ with the operators F_0, …, F_{t−1}, R_t, R_t,
F_{t−1}, …, F_0, where R = c(cI+G)⁻¹ and F = I − R, all of norm at most 1. Let p_i be the norm of what Galerkin's method
leaves over in the i-th of these solves, P_i = v − (c_iI+G) Q (c_i+T)⁻¹ Qᵀv = Q₊ · remainder · (c_i+Θ)⁻¹ẑ. The error of
the computed value is Σ_i ±⟨c_i(c_iI+G)⁻¹ M_{i+1} ⋯ M_N Y, P_i⟩; P_i is orthogonal to everything computed, so only what
the left side misses counts, and since the sequence reads the same backwards that is at most p_1 + ⋯ + p_{N−i+1}:

    |‖ρ‖² − ‖ρ̂‖²| ≤ Σ_i p_i (p_1 + ⋯ + p_{N−i+1}),

the square of the solves' errors, not the errors themselves. The upper chain takes the smallest c̄ it finds whose
residual is certainly at least √(nε), the lower one the largest c̲ whose residual is certainly at most that. The true
norm of the targets lies between those of the two chains, which decides collapse. Targets themselves miss by the sum of
the p_i, to first order only, beside the distance of the two chains.

Proofs: hilbertsd/bounds/THEOREMS.md, Theorems D and E.

All this is rigorous up to rounding, for which 1e-14 of the largest eigenvalue is allowed in every solve, and it takes
the kernel matrix to be positive semidefinite. It speaks of the entries as they are: what rounding them to float32 did
to the multipliers is not in it, and can be more (8e-4 of one on an RBF kernel of 200 points at ε = 1 % of the mean
square, where c_0 is close to the accuracy of the entries).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilbertsd.spectral.lanczos import DEPENDENT
from hilbertsd.spectral.spectrum import KrylovSpectrum

PRODUCT_ROUNDING = 2 * DEPENDENT
"""Share of the largest eigenvalue that rounding in products and directions dropped from a block can hide."""

SETTLED = 1e-12
"""Relative step below which an end of a multiplier's enclosure is no longer moved."""

MOST_STEPS = 100
"""Newton steps after which an end of an enclosure is given up."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """Bounds on a path.

    Attributes
    ----------
    multiplier_bounds : (T, 2) enclosures of c_t, in units of the eigenvalues; 0 or ∞ where an end is not certain.
    target_norm_bounds : (T+1, 2) enclosures of ‖y_t‖.
    prediction_errors : (T,) bounds on the root mean square error of `train_predictions(t)`, in units of the targets;
        infinity where a multiplier is not certain.
    collapse : whether the path certainly collapses, and in that round.
    """

    multiplier_bounds: NDArray[np.float64]
    target_norm_bounds: NDArray[np.float64]
    prediction_errors: NDArray[np.float64]
    collapse: bool

    @property
    def relative_width(self) -> float:
        """Largest half width of an enclosure relative to its multiplier; infinity where one is unbounded."""
        low, high = self.multiplier_bounds.T / 2  # so that their sum does not overflow
        if not np.all((low > 0) & np.isfinite(high)):
            return math.inf
        return float(np.max((high - low) / (high + low), initial=0.0))


def certify(
    spectrum: KrylovSpectrum, tolerance: float, multipliers: NDArray[np.float64], collapse_round: int | None
) -> Certificate:
    """Certificate of the path with these rounds.

    Parameters
    ----------
    spectrum : the Krylov space's, from `distill(..., method="krylov")` or :meth:`Spectrum.from_operator`.
    tolerance : ε.
    multipliers : (T,) c_t computed in that space.
    collapse_round : T where the targets' norm in that space reached √(nε), None where `max_rounds` ended the path.
    """
    bar = math.sqrt(spectrum.n_samples * tolerance)
    # In units of the largest eigenvalue, so that kernels of any size stay within double precision.
    unit = float(spectrum.eigenvalues[-1]) or 1.0
    theta, remainder, z = spectrum.eigenvalues / unit, spectrum.remainder / unit, spectrum.rotated_targets
    # Ritz values that were set to zero moved by `rounding` at most.
    rounding = PRODUCT_ROUNDING + (spectrum.rounding / unit if theta[0] == 0 else 0.0)
    lower = _Chain(theta, remainder, rounding, bar, z, -1)
    upper = _Chain(theta, remainder, rounding, bar, z, 1)
    middle = _Chain(theta, remainder, rounding, bar, z, 0)
    norms, enclosures, errors = [(upper.least_norm, lower.largest_norm)], [], []
    for c in multipliers / unit:
        enclosures.append((lower.advance(float(c)), upper.advance(float(c))))
        norms.append((upper.least_norm, lower.largest_norm))
        # The true targets lie between those of the chains, entry by entry of G's eigenbasis, and so do the path's.
        apart = float(np.linalg.norm(lower.targets - upper.targets)) + lower.target_error + upper.target_error
        middle.take(float(c))
        errors.append((apart + middle.target_error) / math.sqrt(spectrum.n_samples))
    norm_bounds = np.array(norms)
    certain = collapse_round is not None and bool(np.all(norm_bounds[:-1, 0] > bar) and norm_bounds[-1, 1] <= bar)
    return Certificate(unit * np.array(enclosures).reshape(-1, 2), norm_bounds, np.array(errors), certain)


class _Chain:
    """Rounds with multipliers certainly below (side −1) or above (side 1) the true ones, or with given ones (0)."""

    def __init__(
        self,
        theta: NDArray[np.float64],
        remainder: NDArray[np.float64],
        rounding: float,
        bar: float,
        targets: NDArray[np.float64],
        side: int,
    ) -> None:
        self._theta, self._remainder, self._bar, self._side = theta, remainder, bar, side
        self._rounding_unit = rounding
        self.targets = targets
        self._multipliers: list[float] = []
        self._left_over: list[float] = []  # p_i of the rounds so far
        self._rounding = 0.0  # rounding error of the targets so far
        self._scale = 1.0  # the chain's multiplier divided by the path's, in the previous round
        self._certain = True

    @property
    def least_norm(self) -> float:
        """Lower bound on the norm of the chain's true targets."""
        return self._norm_bounds()[0] if self._certain else 0.0

    @property
    def largest_norm(self) -> float:
        """Upper bound on the norm of the chain's true targets."""
        return self._norm_bounds()[1] if self._certain else math.inf

    @property
    def target_error(self) -> float:
        """Bound on the distance of the computed targets from the chain's true ones."""
        return sum(self._left_over) + self._rounding if self._certain else math.inf

    def advance(self, guess: float) -> float:
        """Multiplier of this round, found from the path's, which the chain then takes; 0 or ∞ where none is certain."""
        c = self._multiplier(guess * self._scale) if self._certain else None
        if c is None:
            self._certain = False
            return 0.0 if self._side < 0 else math.inf
        self.take(c)
        self._scale = c / guess
        return c

    def take(self, c: float) -> None:
        """Go through a round with a given multiplier."""
        solved, left_over, rounding = self._solved(self.targets, c)
        self._left_over.append(left_over)
        self._rounding += rounding
        self.targets = self._theta[:, None] * solved
        self._multipliers.append(c)

    def _multiplier(self, start: float) -> float | None:
        """Newton steps on the certain end of ‖ρ‖ = √(nε) in log c, until it is met from the safe side."""
        c = start
        for _ in range(MOST_STEPS):
            norm, bounds, slope = self._residual(c)
            # The end of ‖ρ‖ that must pass the bar: the lower one for the upper chain.
            excess = self._bar - bounds[self._side < 0]
            if not (slope > 0 and math.isfinite(c) and c > 0 and norm > 0):
                return None
            step = excess / slope
            if self._side * excess <= 0 and abs(step) < SETTLED:
                return c
            # Step onto the safe side of the root, by a margin far below any rtol.
            c *= math.exp(max(-2.0, min(2.0, step + self._side * SETTLED / 5)))
        return c if self._side * (self._bar - self._residual(c)[1][self._side < 0]) <= 0 else None

    def _residual(self, c: float) -> tuple[float, tuple[float, float], float]:
        """‖ρ̂‖, bounds on ‖ρ‖, and d‖ρ̂‖/d log c."""
        solved, left_over, rounding = self._solved(self.targets, c)
        residual = c * solved
        again, left_over_again, _ = self._solved(residual, c)
        error = self._bilinear_error([*self._left_over, left_over, left_over_again], c * again)
        norm = float(np.linalg.norm(residual))
        slope = float(np.sum(residual**2 * (self._theta / (c + self._theta))[:, None])) / norm if norm else 0.0
        return norm, _bounds(norm, error, self._rounding + rounding), slope

    def _norm_bounds(self) -> tuple[float, float]:
        """Bounds on the norm of the chain's true targets."""
        norm = float(np.linalg.norm(self.targets))
        return _bounds(norm, self._bilinear_error(list(self._left_over), self.targets), self._rounding)

    def _bilinear_error(self, left_over: list[float], vector: NDArray[np.float64]) -> float:
        """Bound on the error of a squared norm.

        `left_over` holds p_i of the first half of the solves; the other half runs the rounds backwards from the vector.
        """
        for c in reversed(self._multipliers):
            solved, missed, _ = self._solved(vector, c)
            left_over.append(missed)
            vector = self._theta[:, None] * solved
        return float(np.array(left_over) @ np.cumsum(left_over)[::-1])

    def _solved(self, vector: NDArray[np.float64], c: float) -> tuple[NDArray[np.float64], float, float]:
        """(c+Θ)⁻¹ applied to a vector, the norm p of what this solve leaves over, and its rounding error."""
        solved = vector / (c + self._theta)[:, None]
        return (
            solved,
            float(np.linalg.norm(self._remainder @ solved)),
            self._rounding_unit * float(np.linalg.norm(solved)),
        )


def _bounds(norm: float, squared_error: float, rounding: float) -> tuple[float, float]:
    """Bounds on a true norm from the computed one, the error of its square, and its rounding error."""
    low = math.sqrt(max(norm**2 - squared_error, 0.0)) - rounding
    return max(low, 0.0), math.sqrt(norm**2 + squared_error) + rounding

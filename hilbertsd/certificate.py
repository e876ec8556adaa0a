"""What a Krylov path is certain of: an enclosure of every multiplier, and whether the collapse round is right.

Errors would grow if they were carried through the roots one by one. Monotony does better. With larger multipliers in
the rounds before, the targets' energy on every eigenvector is smaller and the next multiplier larger. So a chain with
fixed c̄_i ≥ c_i has a root that is at least c_t, and a chain with fixed c̲_i ≤ c_i one that is at most c_t. For fixed
multipliers the rounds are a fixed function of G, whose errors only add up: if ŷ = Q ẑ are a chain's computed targets
and δ bounds their distance from its true ones, then for any c the computed residual ρ̂ = Q c(c+T)⁻¹ẑ misses the true one
by at most ‖P‖ + δ, and the next targets' distance is at most δ + ‖P‖, with

    P = ŷ − (cI+G) Q (c+T)⁻¹ ẑ,        ‖P‖ = ‖remainder · Wᵀ(c+T)⁻¹ẑ‖,

because ‖c(cI+G)⁻¹‖ ≤ 1 and ‖G(cI+G)⁻¹‖ ≤ 1. The upper chain takes the smallest c̄ it finds with ‖ρ̂‖ − ‖P‖ − δ ≥ √(nε),
the lower one the largest c̲ with ‖ρ̂‖ + ‖P‖ + δ ≤ √(nε). The true norm of the targets lies between those of the two
chains, which decides collapse.

All this is rigorous up to rounding, for which 1e-14 of the largest eigenvalue is allowed in ‖P‖, and it takes the
kernel matrix to be positive semidefinite.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hilbertsd.krylov import DEPENDENT

if TYPE_CHECKING:
    from hilbertsd.path import DistillationPath

PRODUCT_ROUNDING = 2 * DEPENDENT
"""Of the largest eigenvalue: what products with the kernel matrix and directions dropped from a block may hide."""

MOST_STEPS = 100


@dataclass(frozen=True, eq=False)
class Certificate:
    """Bounds on a path.

    Attributes
    ----------
    multiplier_bounds : (T, 2) enclosures of c_t; 0 or ∞ where an end is not certain.
    target_norm_bounds : (T+1, 2) enclosures of ‖y_t‖.
    collapse : whether the collapse round is certain.
    """

    multiplier_bounds: NDArray[np.float64]
    target_norm_bounds: NDArray[np.float64]
    collapse: bool

    @property
    def relative_width(self) -> float:
        """Largest half width of an enclosure relative to its multiplier; infinity where one is unbounded."""
        low, high = self.multiplier_bounds.T
        if not np.all((low > 0) & np.isfinite(high)):
            return math.inf
        return float(np.max((high - low) / (high + low), initial=0.0))


def certify(path: "DistillationPath") -> Certificate:
    """Certificate of a path of a tolerance whose spectrum is a Krylov space's.

    Parameters
    ----------
    path : from `distill(..., method="krylov")`, or of a :meth:`Spectrum.from_operator`.
    """
    spectrum = path.spectrum
    assert spectrum.remainder is not None
    assert path.tolerance is not None
    bar = math.sqrt(spectrum.n_samples * path.tolerance)
    theta, z = spectrum.eigenvalues, spectrum.rotated_targets
    rounding = PRODUCT_ROUNDING * float(theta[-1])
    lower = _Chain(theta, spectrum.remainder, rounding, bar, z, -1)
    upper = _Chain(theta, spectrum.remainder, rounding, bar, z, 1)
    norms, multipliers = [(upper.least_norm, lower.largest_norm)], []
    for c in path.multipliers:
        multipliers.append((lower.advance(float(c)), upper.advance(float(c))))
        norms.append((upper.least_norm, lower.largest_norm))
    norm_bounds = np.array(norms)
    certain = path.collapse_round is not None and bool(np.all(norm_bounds[:-1, 0] > bar) and norm_bounds[-1, 1] <= bar)
    return Certificate(np.array(multipliers).reshape(-1, 2), norm_bounds, certain)


class _Chain:
    """Rounds with multipliers certainly below (side −1) or above (side 1) the true ones."""

    def __init__(
        self,
        theta: NDArray[np.float64],
        remainder: NDArray[np.float64],
        rounding: float,
        bar: float,
        targets: NDArray[np.float64],
        side: int,
    ) -> None:
        self._theta, self._remainder, self._rounding, self._bar = theta, remainder, rounding, bar
        self._targets, self._error, self._side = targets, 0.0, side
        self._scale = 1.0  # of the previous round's multiplier against the path's
        self._certain = True

    @property
    def least_norm(self) -> float:
        """Lower bound on the norm of the chain's true targets."""
        return float(np.linalg.norm(self._targets)) - self._error if self._certain else 0.0

    @property
    def largest_norm(self) -> float:
        """Upper bound on the norm of the chain's true targets."""
        return float(np.linalg.norm(self._targets)) + self._error if self._certain else math.inf

    def advance(self, guess: float) -> float:
        """Multiplier of this round, found from the path's, which the chain then takes; 0 or ∞ where none is certain."""
        uncertain = 0.0 if self._side < 0 else math.inf
        c = self._multiplier(guess * self._scale) if self._certain else None
        if c is None:
            self._certain = False
            return uncertain
        _, missed, _ = self._residual(c)
        self._error += missed
        self._targets = (self._theta / (c + self._theta))[:, None] * self._targets
        self._scale = c / guess
        return c

    def _multiplier(self, start: float) -> float | None:
        """Newton steps on ‖ρ̂‖ ± (‖P‖ + δ) = √(nε) in log c, then outwards until the inequality holds."""
        c = start
        for _ in range(MOST_STEPS):
            norm, missed, slope = self._residual(c)
            excess = self._bar + self._side * (missed + self._error) - norm
            if not (slope > 0 and math.isfinite(c) and c > 0):
                return None
            step = excess / slope
            if self._side * excess <= 0 and abs(step) < 1e-12:
                return c
            # Onto the safe side of the root, by a margin that is nothing beside what rtol asks for.
            c *= math.exp(max(-2.0, min(2.0, step + self._side * 2e-13)))
        norm, missed, _ = self._residual(c)
        safe = self._side * (self._bar + self._side * (missed + self._error) - norm) <= 0
        return c if safe else None

    def _residual(self, c: float) -> tuple[float, float, float]:
        """‖ρ̂‖, ‖P‖ and d‖ρ̂‖/d log c."""
        solved = self._targets / (c + self._theta)[:, None]
        energies = np.sum(solved**2, axis=1)
        size = math.sqrt(float(energies.sum()))
        missed = float(np.linalg.norm(self._remainder @ solved)) + self._rounding * size
        slope = c * float(energies @ (self._theta / (c + self._theta))) / size if size else 0.0
        return c * size, missed, slope

"""Rounds of a spectrum: multipliers, weights and errors of every fit, on the host in NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath, log_mixed
from hilbertsd.errors import NotConverged
from hilbertsd.spectral.multiplier import check_above_floor, newton_root
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.progress import progress

LARGEST_RATIO = 1e300
"""Largest c/d taken: beyond it c/d leaves double precision, and the weight d/(c+d) is zero either way."""


def run_rounds(
    spectrum: Spectrum,
    tolerance: float | None,
    multiplier: float | None,
    max_rounds: int | None,
    shares: Sequence[float] = (0.0,),
) -> DistillationPath:
    """Distil until collapse or `max_rounds`; exactly one of `tolerance` and `multiplier` is a positive number.

    `shares` are the weights of the original targets among those of rounds 1, 2, …, of which the last one stays.

    Raises InfeasibleTolerance for a tolerance at or below the floor; NotConverged as :func:`newton_root`, and where a
    multiplier is beyond double precision.
    """
    floor, mean_square = spectrum.floor, spectrum.target_mean_square
    if tolerance is not None and tolerance < mean_square:
        check_above_floor(tolerance, floor, mean_square)
    positive = spectrum.eigenvalues > 0
    d, energies = spectrum.eigenvalues[positive], spectrum.energies[positive]
    current = energies
    log_weights = _CompensatedSum(np.zeros_like(d))
    multipliers: list[float] = []
    errors: list[float] = []
    mean_squares = [mean_square]
    mixed = [1.0]  # α_t: the targets of round 0 are the original ones

    def collapsed() -> bool:
        return tolerance is not None and mean_squares[-1] <= tolerance

    with progress("rounds of distillation", max_rounds) as bar:
        while not collapsed() and (max_rounds is None or len(multipliers) < max_rounds):
            if multiplier is not None:
                c = multiplier
            else:
                assert tolerance is not None
                # No round can fit the null component, of which round 1 and later ones have the original targets' share.
                reachable = tolerance - mixed[-1] ** 2 * floor
                start = multipliers[-1] if multipliers else math.inf
                c = newton_root(d, current, reachable, mean_squares[-1] - tolerance, start)
                if math.isinf(c):
                    raise NotConverged(
                        f"the multiplier of round {len(multipliers)} is beyond double precision, because eigenvalues "
                        f"of kernel_matrix/n are as large as {d[-1]:.3g}; multiply the kernel by a small constant"
                    )
            multipliers.append(c)
            with np.errstate(over="ignore"):
                log_weights = log_weights.plus(-np.log1p(np.minimum(c / d, LARGEST_RATIO)))
            log_b = log_weights.total
            errors.append(float(energies @ np.expm1(log_b) ** 2) + floor)
            mixed.append(share := shares[min(len(mixed), len(shares)) - 1])
            if share:
                log_weights = _CompensatedSum(log_mixed(share, log_b))
            current = energies * np.exp(2 * log_weights.total)
            mean_squares.append(float(current.sum()) + share**2 * floor)
            bar.update(len(multipliers), f"{len(multipliers):,} made, ‖y_t‖²/n = {mean_squares[-1]:.3g}")
    return DistillationPath(
        spectrum=spectrum,
        tolerance=tolerance,
        multipliers=np.array(multipliers, dtype=float),
        target_mean_squares=np.array(mean_squares),
        training_errors=np.array(errors, dtype=float),
        collapse_round=len(multipliers) if collapsed() else None,
        ground_truth_weights=np.array(mixed) if any(shares) else None,
    )


@dataclass(frozen=True)
class _CompensatedSum:
    """Running sum of log A_t per eigenvector with its rounding error (Knuth's two-sum).

    An error made while r_t = ‖z_t‖/√(nε) is large grows by r_t/r_T until collapse; a plain sum loses up to
    r_0 √T units in the last place on a long path.
    """

    value: NDArray[np.float64]
    lost: NDArray[np.float64] | float = 0.0

    def plus(self, term: NDArray[np.float64]) -> _CompensatedSum:
        value = self.value + term
        back = value - self.value
        return _CompensatedSum(value, self.lost + ((self.value - (value - back)) + (term - back)))

    @property
    def total(self) -> NDArray[np.float64]:
        return self.value + self.lost

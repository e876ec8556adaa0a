"""Path from a Krylov space of the targets, grown until every multiplier is certain to the accuracy asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.distillation.rounds import run_rounds
from hilbertsd.errors import InfeasibleTolerance, NotConverged
from hilbertsd.gram.operators import KernelOperator
from hilbertsd.spectral.inputs import mean_square_of
from hilbertsd.spectral.lanczos import BlockLanczos
from hilbertsd.spectral.spectrum import KrylovSpectrum
from hilbertsd.support.progress import progress

MOST_VECTORS = 4000
"""Krylov vectors after which the path is given up."""

FIRST_CHECK = 4
"""Block steps before the certificate is first computed."""

CHECK_GROWTH = 1.25
"""Largest factor between the block steps at one certificate and at the next."""

MEAN_SQUARE_ROUNDING = 1e-14
"""Relative rounding error allowed in ‖y‖²/n computed from Krylov coordinates."""


def krylov_path(
    operator: KernelOperator,
    columns: NDArray[np.float64],
    single_output: bool,
    tolerance: float,
    max_rounds: int | None,
    rtol: float,
) -> DistillationPath:
    """Path on the smallest Krylov space tried whose certificate meets `rtol`, for (n, n_outputs) targets.

    Raises InfeasibleTolerance where the tolerance is at or below the floor, NotConverged where `MOST_VECTORS` do not
    suffice.
    """
    mean_square = mean_square_of(columns)
    if mean_square <= tolerance * (1 + MEAN_SQUARE_ROUNDING):
        tolerance = max(tolerance, mean_square * (1 + MEAN_SQUARE_ROUNDING))  # a tie is collapse, not a fit of 1e-15
    lanczos = BlockLanczos(operator, columns)
    schedule, precision = _Schedule(rtol), operator.precision
    with progress(f"block products with the kernel matrix of {operator.shape[0]:,} samples") as bar:
        while True:
            lanczos.step()
            bar.update(lanczos.steps, f"{lanczos.steps} made, {schedule}")
            full = lanczos.complete or lanczos.size >= MOST_VECTORS
            if not full and lanczos.steps < schedule.next_check:
                continue
            pairs = lanczos.pairs()
            spectrum = KrylovSpectrum.from_pairs(pairs, np.empty((operator.shape[0], 0)), single_output, precision)
            width, settled = math.inf, True
            try:
                path = run_rounds(spectrum, tolerance, None, max_rounds)
            except InfeasibleTolerance:
                if full:
                    raise
            else:
                assert path.certificate is not None
                width = path.certificate.relative_width
                settled = path.certificate.collapse or path.collapse_round is None
                if width <= rtol and settled:
                    fitted = KrylovSpectrum.from_pairs(pairs, lanczos.basis @ pairs.vectors, single_output, precision)
                    return replace(path, spectrum=fitted)
            schedule.record(lanczos.steps, width)
            if full:
                raise NotConverged(
                    f"{lanczos.size} Krylov vectors enclose the multipliers to {width:.2g}, not to rtol {rtol:g}"
                    f"{'' if settled else ', and leave the collapse round open'}; use a larger tolerance (or "
                    "relative_tolerance), a larger rtol, or method='exact', which needs the kernel matrix as an array"
                )


class _Schedule:
    """Steps at which the certificate is computed, which costs as much as a few block products.

    Widths fall about geometrically, so after two of them the step at which one meets rtol is foreseen.
    """

    def __init__(self, rtol: float) -> None:
        self._rtol = rtol
        self._steps, self._width = 0, math.inf
        self.next_check = FIRST_CHECK

    def record(self, steps: int, width: float) -> None:
        """Set the next check from the width reached after a number of steps."""
        furthest = math.ceil(CHECK_GROWTH * steps)
        self.next_check = max(steps + 1, furthest)
        fall = math.log(self._width) - math.log(width) if 0 < width < self._width < math.inf else 0.0
        if fall > 0 and width > self._rtol:
            left = math.log(width) - math.log(self._rtol)
            foreseen = steps + math.ceil(left * (steps - self._steps) / fall)
            self.next_check = max(steps + 1, min(furthest, foreseen))
        self._steps, self._width = steps, width

    def __str__(self) -> str:
        if math.isinf(self._width):
            return "no multiplier enclosed yet"
        return f"multipliers enclosed to {self._width:.1g} of {self._rtol:g}"

"""Rounds of self-distillation until collapse (MFB §3).

Round t fits the targets y_t, its predictions are the next targets. In the kernel's eigenbasis

    A_t = D (c_t I + D)⁻¹,   z_{t+1} = A_t z_t,   B_t = A_t ⋯ A_0                    (MFB 27-31, 44-45)

so that after one eigendecomposition a round costs O(m), whatever the number of outputs. The rounds
themselves run on the host in NumPy, on m eigenvalues and energies; only the decomposition and predictions
touch n-by-n arrays, in the array library of the kernel matrix. Where n is large a Krylov space of the targets
stands in for the decomposition, grown until every multiplier is certain to the accuracy asked for.
"""

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import (
    CollapseWarning,
    InfeasibleTolerance,
    InvalidInput,
    InvalidTolerance,
    NotConverged,
    RoundingWarning,
)
from hilbertsd.gram.operators import KernelOperator, as_operator, is_operator
from hilbertsd.spectral.inputs import checked_targets
from hilbertsd.spectral.lanczos import BlockLanczos
from hilbertsd.spectral.multiplier import check_above_floor, newton_root
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import check_positive, check_whole, distinguishable
from hilbertsd.support.machine import physical_memory
from hilbertsd.support.progress import progress

METHODS = ("auto", "exact", "krylov")

LARGEST_EXACT = 4000
"""Samples up to which "auto" decomposes the kernel matrix."""

MATRICES_IN_MEMORY = 4
"""Kernel matrix, eigenvectors and the decomposition's work space, in matrices of the size of the first."""

MOST_VECTORS = 4000
"""Krylov vectors after which the path is given up."""

FIRST_CHECK, CHECK_GROWTH = 4, 1.25
"""Block steps before the certificate is first asked, and the largest factor from one time to the next."""

MEAN_SQUARE_ROUNDING = 1e-14
"""Relative, of the targets' mean square as a Krylov space knows it."""

LARGEST_RATIO = 1e300
"""Above it c/d leaves double precision, and the weight d/(c+d) is nothing either way."""


def distill(
    kernel_matrix: Any,
    targets: Any,
    *,
    tolerance: float | None = None,
    multiplier: float | None = None,
    max_rounds: int | None = None,
    method: str = "auto",
    rtol: float = 1e-6,
) -> DistillationPath:
    """Distil a kernel regression into itself, round after round.

    Exactly one of `tolerance` and `multiplier` says how each round is regularised.

    Parameters
    ----------
    kernel_matrix : (n, n) raw kernel values, symmetric positive semidefinite, of any array library of the
        Python array API standard (NumPy, JAX, ...). n = 1 is a problem like any other here; the estimators,
        which centre, refuse it. Or a :class:`hilbertsd.gram.operators.KernelOperator`, for instance
        ``ComputedKernel(kernel, X)``, which never holds the matrix; or a function that multiplies it with an (n, b)
        block.
    targets : (n,) or (n, n_outputs); not centred here. Several outputs share one constraint.
    tolerance : ε, the mean squared training error of every round against its own targets, in squared units
        of the targets. Rounds go on until the zero function meets ε (collapse). Their number grows like
        √(mean square/ε).
    multiplier : the same c in every round, in units of the eigenvalues of kernel_matrix/n (scikit-learn's
        ``KernelRidge(alpha=a)`` is c = a/n); needs `max_rounds`, because it never collapses.
    max_rounds : largest number of fits.
    method : "exact" decomposes the kernel matrix; "krylov" takes as many block Lanczos steps as the tolerance needs
        until every multiplier is enclosed (`path.multiplier_bounds`); "auto" is exact for a fixed multiplier and up to
        n = 4,000 where memory holds four such matrices, Krylov otherwise and for kernel operators. `path.method` says
        which one ran.
    rtol : half width of the enclosures, relative, that "krylov" must reach. They are of the entries as given: what
        rounding a kernel matrix to float32 changes is not in them.

    Returns
    -------
    DistillationPath

    Raises
    ------
    InvalidKernel, NotPositiveSemidefinite, InvalidTargets
        See :meth:`Spectrum.from_kernel`.
    InvalidInput
        `method` is unknown; or Krylov is asked for with a fixed multiplier, exact for a kernel operator.
    NotConverged
        4,000 Krylov vectors do not reach `rtol`; the message says what they do reach.
    InvalidTolerance
        `tolerance`, `multiplier` or `max_rounds` is no positive number, or not exactly one of the first two
        is given, or `multiplier` comes without `max_rounds`.
    InfeasibleTolerance
        The tolerance is at or below the floor of a singular kernel matrix.

    Warns
    -----
    CollapseWarning
        ‖y‖²/n ≤ ε: the path has no round.
    RoundingWarning
        c_0 + d_min is smaller than the rounding of the eigenvalues.

    Source: MFB (1), (17), (27-31).
    """
    tolerance, multiplier = _checked_rule(tolerance, multiplier, max_rounds)  # before the expensive part
    rtol = check_positive(rtol, "rtol", "the relative half width of the enclosures", InvalidTolerance)
    if _uses_krylov(kernel_matrix, tolerance, method):
        assert tolerance is not None
        path = _krylov(as_operator(kernel_matrix, targets), targets, tolerance, max_rounds, rtol)
    else:
        path = _run(Spectrum.from_kernel(kernel_matrix, targets), tolerance, multiplier, max_rounds)
    _warn(path)
    return path


def distill_spectrum(
    spectrum: Spectrum,
    *,
    tolerance: float | None = None,
    multiplier: float | None = None,
    max_rounds: int | None = None,
) -> DistillationPath:
    """Do as :func:`distill`, from a spectrum already computed: the way to try many tolerances.

    Parameters, result, errors and warnings are those of :func:`distill` after the decomposition.
    """
    tolerance, multiplier = _checked_rule(tolerance, multiplier, max_rounds)
    path = _run(spectrum, tolerance, multiplier, max_rounds)
    _warn(path)
    return path


def largest_tolerance(spectrum: Spectrum, n_rounds: int) -> float:
    """Largest tolerance that still gives `n_rounds` nonzero fits, to 1e-6 relative and never above it.

    Parameters
    ----------
    spectrum : of the kernel matrix and targets.
    n_rounds : at least 1; for 1 the answer is (just below) the targets' mean square.

    Returns
    -------
    float, in squared units of the targets.

    Raises
    ------
    InfeasibleTolerance
        No tolerance above the floor gives that many rounds.
    InvalidTolerance
        `n_rounds` is no whole number of at least 1.
    InvalidInput
        The spectrum is a Krylov space's.

    Notes
    -----
    A smaller ε means a smaller c and larger z in every round and a lower bar for collapse, so the number of
    rounds never decreases as ε falls: bisection on log ε is exact.
    """
    if n_rounds is None:
        raise InvalidTolerance("n_rounds is None; give a whole number of at least 1")
    check_whole(n_rounds, "n_rounds", InvalidTolerance)
    spectrum.require_whole("largest_tolerance")
    high = spectrum.target_mean_square

    def reaches(tolerance: float) -> bool:
        return _run(spectrum, tolerance, None, n_rounds).n_rounds == n_rounds

    low = max(spectrum.floor * (1 + 1e-9), high * 1e-16)
    if not reaches(low):
        raise InfeasibleTolerance(
            f"no tolerance above the floor {spectrum.floor:.6g} gives {n_rounds} rounds before collapse; "
            "ask for fewer rounds"
        )
    while high > low * (1 + 1e-6):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if reaches(middle) else (low, middle)
    return low


def _uses_krylov(kernel_matrix: Any, tolerance: float | None, method: str) -> bool:
    if method not in METHODS:
        raise InvalidInput(f"method is {method!r}; give one of {', '.join(METHODS)}")
    by_products = is_operator(kernel_matrix)
    if method == "exact" and by_products:
        raise InvalidInput("a kernel operator has no exact decomposition; give method='krylov' or the kernel matrix")
    if tolerance is None and (method == "krylov" or by_products):
        raise InvalidInput("Krylov paths are certified for a tolerance, not for a fixed multiplier; give a tolerance")
    is_list = isinstance(kernel_matrix, list | tuple)
    rows = len(kernel_matrix) if is_list else (*getattr(kernel_matrix, "shape", ()), 0)[0]
    large = tolerance is not None and not _fits_exactly(rows)
    return method == "krylov" or (method == "auto" and (by_products or large))


def _fits_exactly(n_samples: int) -> bool:
    """Whether "auto" decomposes: soon enough, and in this machine's memory."""
    memory = physical_memory()
    return n_samples <= LARGEST_EXACT and (memory is None or MATRICES_IN_MEMORY * 8 * n_samples**2 <= memory)


def _krylov(
    operator: KernelOperator, targets: Any, tolerance: float, max_rounds: int | None, rtol: float
) -> DistillationPath:
    """Path on the smallest Krylov space tried whose certificate meets rtol."""
    columns, single_output = checked_targets(targets, operator.shape[0])
    mean_square = float(np.sum(columns**2)) / len(columns)
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
            spectrum = Spectrum.from_pairs(pairs, np.empty((operator.shape[0], 0)), single_output, precision)
            try:
                path = _run(spectrum, tolerance, None, max_rounds)
            except InfeasibleTolerance:
                if full:
                    raise
                schedule.checked(lanczos.steps, math.inf)
                continue
            certificate = path.certificate
            assert certificate is not None
            width = certificate.relative_width
            schedule.checked(lanczos.steps, width)
            settled = certificate.collapse or path.collapse_round is None
            if width <= rtol and settled:
                whole = Spectrum.from_pairs(pairs, lanczos.basis @ pairs.vectors, single_output, precision)
                return replace(path, spectrum=whole)
            if full:
                raise NotConverged(
                    f"{lanczos.size} Krylov vectors enclose the multipliers to {width:.2g}, not to rtol {rtol:g}"
                    f"{'' if settled else ', and leave the collapse round open'}; use a larger tolerance or rtol, or "
                    "method='exact'"
                )


class _Schedule:
    """When to ask the certificate, which costs as much as a few block products.

    Widths fall about geometrically, so after two of them the step at which one meets rtol is foreseen.
    """

    def __init__(self, rtol: float) -> None:
        self._rtol = rtol
        self._steps, self._width = 0, math.inf
        self.next_check = FIRST_CHECK

    def checked(self, steps: int, width: float) -> None:
        """Take in the width reached after a number of steps."""
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


def _checked_rule(
    tolerance: float | None, multiplier: float | None, max_rounds: int | None
) -> tuple[float | None, float | None]:
    """Tolerance and multiplier as floats, one of them None, or InvalidTolerance."""
    if (tolerance is None) == (multiplier is None):
        raise InvalidTolerance(f"tolerance is {tolerance!r} and multiplier {multiplier!r}; give exactly one of the two")
    if max_rounds is not None:
        check_whole(max_rounds, "max_rounds", InvalidTolerance)
    if tolerance is not None:
        meaning = "the mean squared training error to allow"
        return check_positive(tolerance, "tolerance", meaning, InvalidTolerance), None
    checked = check_positive(multiplier, "multiplier", "the c of (cI + G)⁻¹", InvalidTolerance)
    if max_rounds is None:
        raise InvalidTolerance(
            f"multiplier {multiplier!r} without max_rounds never ends, because a fixed multiplier never collapses; "
            "give max_rounds"
        )
    return None, checked


def _run(
    spectrum: Spectrum, tolerance: float | None, multiplier: float | None, max_rounds: int | None
) -> DistillationPath:
    """Rounds for checked arguments."""
    floor, mean_square = spectrum.floor, spectrum.target_mean_square
    if tolerance is not None and tolerance < mean_square:
        check_above_floor(tolerance, floor)
    positive = spectrum.eigenvalues > 0
    d, energies = spectrum.eigenvalues[positive], spectrum.energies[positive]
    current = energies
    log_weights = _CompensatedSum(np.zeros_like(d))
    multipliers: list[float] = []
    errors: list[float] = []
    mean_squares = [mean_square]

    def collapsed() -> bool:
        return tolerance is not None and mean_squares[-1] <= tolerance

    with progress("rounds of distillation", max_rounds) as bar:
        while not collapsed() and (max_rounds is None or len(multipliers) < max_rounds):
            if multiplier is not None:
                c = multiplier
            else:
                assert tolerance is not None
                # Round 0 cannot fit the null component, and it is gone from then on.
                reachable = tolerance - (0.0 if multipliers else floor)
                start = multipliers[-1] if multipliers else math.inf
                c = newton_root(d, current, reachable, mean_squares[-1] - tolerance, start)
            multipliers.append(c)
            with np.errstate(over="ignore"):
                log_weights = log_weights.plus(-np.log1p(np.minimum(c / d, LARGEST_RATIO)))
            log_b = log_weights.total
            current = energies * np.exp(2 * log_b)
            errors.append(float(energies @ np.expm1(log_b) ** 2) + floor)
            mean_squares.append(float(current.sum()))
            bar.update(len(multipliers), f"{len(multipliers):,} made, ‖y_t‖²/n = {mean_squares[-1]:.3g}")
    return DistillationPath(
        spectrum=spectrum,
        tolerance=tolerance,
        multipliers=np.array(multipliers, dtype=float),
        target_mean_squares=np.array(mean_squares),
        training_errors=np.array(errors, dtype=float),
        collapse_round=len(multipliers) if collapsed() else None,
    )


def _warn(path: DistillationPath) -> None:
    """Say what a user should know about a path, from the public function that was called."""
    spectrum = path.spectrum
    if path.n_rounds == 0:
        assert path.tolerance is not None
        given, most = distinguishable(path.tolerance, spectrum.target_mean_square)
        warnings.warn(
            f"the zero function already meets tolerance {given}, because the targets' mean square is {most}: the path "
            f"has no round and predicts 0; use a tolerance below {most}",
            CollapseWarning,
            stacklevel=3,
        )
    # Multipliers only grow, and cI + G perturbed by `rounding` moves relative to c + d_min.
    elif path.multipliers[0] + spectrum.eigenvalues[0] < spectrum.rounding:
        warnings.warn(
            f"multiplier {path.multipliers[0]:.3g} of round 0 is smaller than the rounding {spectrum.rounding:.3g} of "
            "the eigenvalues, so its digits mean little; use a larger tolerance or multiplier, or a kernel computed "
            "more accurately",
            RoundingWarning,
            stacklevel=3,
        )


@dataclass(frozen=True)
class _CompensatedSum:
    """Running sum of log A_t per eigenvector with its rounding error (Knuth's two-sum).

    An error made while r_t = ‖z_t‖/√(nε) is large grows by r_t/r_T until collapse; a plain sum loses up to
    r_0 √T units in the last place on a long path.
    """

    value: NDArray[np.float64]
    lost: NDArray[np.float64] | float = 0.0

    def plus(self, term: NDArray[np.float64]) -> "_CompensatedSum":
        value = self.value + term
        back = value - self.value
        return _CompensatedSum(value, self.lost + ((self.value - (value - back)) + (term - back)))

    @property
    def total(self) -> NDArray[np.float64]:
        return self.value + self.lost

"""Rounds of self-distillation until collapse (MFB §3).

Round t fits the targets y_t, its predictions are the next targets. In the kernel's eigenbasis

    A_t = D (c_t I + D)⁻¹,   z_{t+1} = A_t z_t,   B_t = A_t ⋯ A_0                    (MFB 27-31, 44-45)

so that after one eigendecomposition a round costs O(m), whatever the number of outputs. The rounds
themselves run on the host in NumPy, on m eigenvalues and energies; only the decomposition and predictions
touch n-by-n arrays, in the array library of the kernel matrix. Where n is large a Krylov space of the targets
stands in for the decomposition, grown until every multiplier is certain to the accuracy asked for.

    path = distill(kernel_matrix, targets, relative_tolerance=0.1)
    path.collapse_round, path.multipliers  # rounds before the fit is zero, and c_t of each
    path.predict(cross_kernel, round=1)  # round 0 is plain kernel regression, round 1 its first distillation

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hilbertsd.distillation.krylov_path import krylov_path
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.distillation.rounds import run_rounds
from hilbertsd.distillation.rule import Rule
from hilbertsd.errors import (
    CollapseWarning,
    InfeasibleTolerance,
    InvalidInput,
    InvalidTolerance,
    ManyRoundsWarning,
    MethodWarning,
    NotConverged,
    RoundingWarning,
)
from hilbertsd.gram.operators import as_operator, is_operator
from hilbertsd.spectral.inputs import checked_targets, mean_square_of
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import as_real_array, check_choice, check_positive, check_whole, distinguishable
from hilbertsd.support.machine import physical_memory

METHODS = ("auto", "exact", "krylov")

LARGEST_EXACT = 4000
"""Samples up to which "auto" decomposes the kernel matrix."""

MATRICES_IN_MEMORY = 4
"""Float64 matrices of n² entries that a decomposition holds: kernel matrix, eigenvectors and work space."""

MANY_ROUNDS = 100
"""Rounds that ε must make certain for a warning: as many mean an ε below 1e-4 of the targets' mean square, fits within
1 % of their targets. Neither the paper nor a study of the gallery needs more than 22; ε in the wrong unit soon does."""


def distill(
    kernel_matrix: Any,
    targets: Any,
    *,
    tolerance: float | None = None,
    relative_tolerance: float | None = None,
    multiplier: float | None = None,
    max_rounds: int | None = None,
    ground_truth_weight: float | Sequence[float] | None = None,
    method: str = "auto",
    rtol: float = 1e-6,
) -> DistillationPath:
    """Distil a kernel regression into itself, round after round.

    Exactly one of `tolerance`, `relative_tolerance` and `multiplier` says how each round is regularised.

    Parameters
    ----------
    kernel_matrix : (n, n) raw kernel values, symmetric positive semidefinite, of any array library of the
        Python array API standard (NumPy, JAX, ...). n = 1 is a problem like any other here; the estimators,
        which centre, refuse it. Or a :class:`hilbertsd.gram.KernelOperator`, for instance
        ``ComputedKernel(kernel, X)``, which never holds the matrix; or a function that multiplies it with an (n, b)
        block.
    targets : (n,) or (n, n_outputs); not centred here. Several outputs share one constraint, which is our
        reading of MFB §3.6.
    tolerance : ε, the mean squared training error ‖F_t − Y_t‖²/n of every round against its own targets, in squared
        units of the targets; with several outputs the squares are summed over outputs and divided by n alone. Rounds go
        on until the zero function meets ε (collapse). Their number is at least √(mean square/ε) − 1.
    relative_tolerance : ε as a fraction of the targets' mean square ‖Y‖²/n, which sums over outputs, too: the path is
        that of ``tolerance=relative_tolerance * numpy.sum(targets**2) / len(targets)``. Below 1, or there is no round.
    multiplier : the same c in every round, in units of the eigenvalues of kernel_matrix/n (scikit-learn's
        ``KernelRidge(alpha=a)`` is c = a/n); needs `max_rounds`, because it never collapses.
    max_rounds : largest number of fits.
    ground_truth_weight : α from 0 to 1, the share of the original targets in those of later rounds,
        y_t = α y + (1 − α) f_{t−1}; or α_1, α_2, …, one for every round after the first, of which the last one stays;
        with a tolerance they must not rise.
        Needs `max_rounds`, because the original targets may keep the path from collapse.
        :func:`hilbertsd.ground_truth_limit` is the fit that the rounds tend to.
    method : "exact" decomposes the kernel matrix; "krylov" takes as many block Lanczos steps as the tolerance needs
        until every multiplier is enclosed (`path.multiplier_bounds`); "auto" is exact for a fixed multiplier and up to
        n = 4,000 where memory holds four such matrices, Krylov otherwise and for kernel operators. Where Krylov does
        not reach `rtol`, "auto" decomposes a kernel matrix given as an array after all, if memory holds four such
        matrices, with a MethodWarning. `path.method` says which one ran.
    rtol : relative half width of the multipliers' enclosures that "krylov" must reach. They enclose the multipliers of
        the entries as given: what rounding a kernel matrix to float32 changes is not in them.

    Returns
    -------
    DistillationPath

    Raises
    ------
    InvalidKernel, NotPositiveSemidefinite, InvalidTargets
        See :meth:`Spectrum.from_kernel`.
    InvalidInput
        `method` is unknown; or Krylov is asked for with a fixed multiplier or ground truth, exact for a kernel
        operator; or `ground_truth_weight` is no number from 0 to 1, or comes without `max_rounds`.
    NotConverged
        4,000 Krylov vectors do not reach `rtol`, with method="krylov", for a kernel operator, or where memory holds
        no decomposition; the message says what they do reach. Or the tolerance is so small beside the targets' mean
        square that no multiplier in double precision meets it.
    InvalidTolerance
        `tolerance`, `relative_tolerance`, `multiplier` or `max_rounds` is no positive number, or not exactly one of
        the first three is given, or `multiplier` comes without `max_rounds`.
    InfeasibleTolerance
        The tolerance is at or below the floor of a singular kernel matrix.

    Warns
    -----
    CollapseWarning
        ‖y‖²/n ≤ ε: the path has no round.
    ManyRoundsWarning
        Without `max_rounds`, ε makes more than 100 rounds certain: T ≥ r_0 − 1 with r_0 = ‖y‖/√(nε).
    RoundingWarning
        c_0 + d_min is smaller than the rounding of the eigenvalues.
    MethodWarning
        "auto" decomposes the kernel matrix because Krylov did not reach `rtol`.

    Source: MFB (1), (17), (27-31); with ground truth Borup & Andersen (2021), arXiv:2102.13088, there with a fixed
    multiplier.
    """
    shares = _checked_shares(ground_truth_weight, max_rounds, fixed=multiplier is not None)
    rule = Rule.checked(tolerance, relative_tolerance, multiplier, max_rounds)  # before the expensive part
    rtol = check_positive(rtol, "rtol", "the relative half width of the enclosures", InvalidTolerance)
    path = epsilon = None
    if _uses_krylov(kernel_matrix, multiplier is not None or any(shares), method):
        operator = as_operator(kernel_matrix, targets)
        columns, single_output = checked_targets(targets, operator.shape[0])
        epsilon = _checked_length(rule, mean_square_of(columns))
        assert epsilon is not None
        try:
            path = krylov_path(operator, columns, single_output, epsilon, max_rounds, rtol)
        except NotConverged as error:
            if method != "auto" or is_operator(kernel_matrix) or not fits_memory(_rows(kernel_matrix)):
                raise
            warnings.warn(
                f"{str(error).partition(';')[0]}, so that method='auto' decomposes the kernel matrix; give "
                "method='exact' to do so at once, or a larger tolerance or rtol",
                MethodWarning,
                stacklevel=2,
            )
    if path is None:
        spectrum = Spectrum.from_kernel(kernel_matrix, targets)
        if epsilon is None:
            epsilon = _checked_length(rule, spectrum.target_mean_square, spectrum.floor)
        path = run_rounds(spectrum, epsilon, rule.multiplier, max_rounds, shares)
    _warn(path)
    return path


def distill_spectrum(
    spectrum: Spectrum,
    *,
    tolerance: float | None = None,
    relative_tolerance: float | None = None,
    multiplier: float | None = None,
    max_rounds: int | None = None,
    ground_truth_weight: float | Sequence[float] | None = None,
) -> DistillationPath:
    """Distil as :func:`distill`, from a spectrum already computed: the way to try many tolerances.

    Parameters, result, errors and warnings are those of :func:`distill` after the decomposition.
    """
    shares = _checked_shares(ground_truth_weight, max_rounds, fixed=multiplier is not None)
    if any(shares):
        spectrum.require_whole("ground truth in the targets")
    rule = Rule.checked(tolerance, relative_tolerance, multiplier, max_rounds)
    epsilon = _checked_length(rule, spectrum.target_mean_square, spectrum.floor)
    path = run_rounds(spectrum, epsilon, rule.multiplier, max_rounds, shares)
    _warn(path)
    return path


def largest_tolerance(spectrum: Spectrum, n_rounds: int) -> float:
    """Largest tolerance that still gives `n_rounds` nonzero fits, to 1e-6 relative and never above it.

    Parameters
    ----------
    spectrum : spectrum of the kernel matrix and targets.
    n_rounds : number of nonzero fits, at least 1; for 1 the answer is (just below) the targets' mean square.

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
        return run_rounds(spectrum, tolerance, None, n_rounds).n_rounds == n_rounds

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


def _checked_length(rule: Rule, mean_square: float, floor: float = 0.0) -> float | None:
    """ε beside targets of this mean square; warns the caller of the public function where it means very many rounds.

    At or below the floor there is no round to warn of.
    Source: r_0 − 1 ≤ T < r_0² (:mod:`hilbertsd.bounds.round_counts`).
    """
    epsilon = rule.tolerance_for(mean_square)
    squared_ratio = mean_square / epsilon if epsilon else 0.0
    if rule.max_rounds is None and squared_ratio > (MANY_ROUNDS + 1) ** 2 and mean_square > floor * squared_ratio:
        unit = f"relative_tolerance={rule.tolerance:g} if a fraction is meant, " if (rule.tolerance or 1) < 1 else ""
        warnings.warn(
            f"tolerance {epsilon:.6g} is {1 / squared_ratio:.3g} of the targets' mean square {mean_square:.6g}: expect "
            f"between {_count(math.sqrt(squared_ratio) - 1)} and {_count(squared_ratio - 1)} rounds until collapse; "
            f"give {unit}a larger tolerance (relative_tolerance=0.1 is a tenth of the mean square) or max_rounds",
            ManyRoundsWarning,
            stacklevel=3,
        )
    return epsilon


def _checked_shares(given: Any, max_rounds: int | None, fixed: bool) -> list[float]:
    """Shares of the original targets in those of rounds 1, 2, …; InvalidInput unless they are from 0 to 1.

    With a tolerance they must not rise: a round that collapses is the last one only where later targets are no larger.
    """
    if given is None:
        return [0.0]
    shares = np.atleast_1d(np.asarray(as_real_array(given, "ground_truth_weight", InvalidInput), np.float64))
    if shares.ndim != 1 or not shares.size or not np.all((shares >= 0) & (shares <= 1)):
        raise InvalidInput(f"ground_truth_weight is {given!r}; give a number from 0 to 1, or one for every later round")
    if np.any(shares) and max_rounds is None:
        raise InvalidInput(
            f"ground_truth_weight {given!r} without max_rounds may never end, because the original targets keep the "
            "path from collapse; give max_rounds"
        )
    if np.any(shares) and shares.size > 1 and shares.size > (max_rounds or 0) - 1:
        raise InvalidInput(
            f"ground_truth_weight has {shares.size} values for max_rounds={max_rounds}, whose rounds after the first "
            f"are {(max_rounds or 0) - 1}; give one for each of these, or fewer"
        )
    if not fixed and np.any(np.diff(shares) > 0):
        raise InvalidInput(
            f"ground_truth_weight {given!r} rises from a round to a later one, which a tolerance does not allow; give "
            "falling values, or a multiplier"
        )
    return shares.tolist()


def _count(number: float) -> str:
    """Text of a number rounded up, of a very large one its size."""
    return f"{math.ceil(number):,}" if number < 1e9 else f"{number:.2g}"


def _uses_krylov(kernel_matrix: Any, fixed: bool, method: str) -> bool:
    """Whether the method asked for is the Krylov method, or "auto" means it; InvalidInput where it cannot run."""
    check_choice(method, "method", METHODS)
    by_products = is_operator(kernel_matrix)
    if method == "exact" and by_products:
        raise InvalidInput("a kernel operator has no exact decomposition; give method='krylov' or the kernel matrix")
    if fixed and (method == "krylov" or by_products):
        raise InvalidInput(
            "Krylov paths are certified for a tolerance without ground truth, not for a fixed multiplier or mixed "
            "targets; give a tolerance alone"
        )
    rows = _rows(kernel_matrix)
    large = not fixed and not (rows <= LARGEST_EXACT and fits_memory(rows))
    return method == "krylov" or (method == "auto" and (by_products or large))


def _rows(kernel_matrix: Any) -> int:
    """Rows of an array or list before it is checked, 0 where there are none."""
    is_list = isinstance(kernel_matrix, list | tuple)
    return len(kernel_matrix) if is_list else (*getattr(kernel_matrix, "shape", ()), 0)[0]


def bytes_to_decompose(n_samples: int) -> int:
    """Memory that an exact decomposition of an (n_samples, n_samples) kernel matrix takes, with the matrix itself."""
    return MATRICES_IN_MEMORY * 8 * n_samples**2


def fits_memory(n_samples: int) -> bool:
    """Whether this machine's memory holds an exact decomposition, as far as the system says."""
    memory = physical_memory()
    return memory is None or bytes_to_decompose(n_samples) <= memory


def _warn(path: DistillationPath) -> None:
    """Warn the caller of the public function of a path without rounds, or of multipliers within rounding."""
    spectrum = path.spectrum
    if path.n_rounds == 0:
        assert path.tolerance is not None
        given, most = distinguishable(path.tolerance, spectrum.target_mean_square)
        warnings.warn(
            f"the zero function already meets tolerance {given}, because the targets' mean square is {most}: the path "
            "has no round and predicts 0, of centred targets the mean; use a tolerance below "
            f"{most}, that is a relative_tolerance below 1",
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

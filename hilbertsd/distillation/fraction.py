"""A tolerance as a fraction of the targets' mean square, and targets centred: what estimators and tables share."""

import warnings

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.chain import distill_spectrum
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import CollapseWarning, InfeasibleTolerance, InvalidTargets, InvalidTolerance
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import check_positive, distinguishable


def centred_targets(targets: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Targets minus their mean over the samples, and that mean.

    Raises InvalidTargets where every output is constant up to the rounding of its mean.
    """
    mean = targets.mean(axis=0)
    centred = targets - mean
    # The mean of n equal numbers is off by rounding, which is nothing to fit.
    constant = np.abs(centred).max(axis=0) <= 8 * np.finfo(float).eps * np.abs(targets).max(axis=0)
    if np.all(constant):
        values = ", ".join(f"{value:.6g}" for value in np.ravel(mean)[:3])
        raise InvalidTargets(
            f"all {len(targets)} targets equal {values}, so that nothing is left to fit after centring; give targets "
            "that vary"
        )
    return np.where(constant, 0.0, centred), mean


def distill_to_fraction(spectrum: Spectrum, fraction: float, max_rounds: int | None = None) -> DistillationPath:
    """Distil with ε = `fraction` of the targets' mean square; messages name the fraction, too.

    Raises InvalidTolerance and InfeasibleTolerance as `distill`. A path that collapses at round 0 comes without a
    warning, which is the caller's to word.
    """
    fraction = check_positive(
        fraction, "tolerance", "the fraction of the targets' mean square to allow", InvalidTolerance
    )
    mean_square = spectrum.target_mean_square
    floor = spectrum.floor / mean_square
    if fraction <= floor:
        given, least = distinguishable(fraction, floor)
        raise InfeasibleTolerance(
            f"tolerance {given} is at or below the floor {least}: that fraction of the targets' mean square lies where "
            f"the kernel matrix is singular and no fit can reach it; use a tolerance above {least} or a kernel of "
            "higher rank"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        return distill_spectrum(spectrum, tolerance=fraction * mean_square, max_rounds=max_rounds)

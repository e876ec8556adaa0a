"""Targets centred on their mean, with a complaint where nothing is left: what estimators and tables share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidTargets


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

"""Single ridge fits with the training errors of a path's rounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.spectral.multiplier import newton_roots


def single_multipliers(path: DistillationPath) -> NDArray[np.float64]:
    """(T,) c'_t of the ridge fits to the original targets with the training error that round t has against them.

    Infinity where the round explains nothing of the targets in double precision, 0 where it leaves nothing over.
    """
    spectrum = path.spectrum
    positive = spectrum.eigenvalues > 0
    d, energies = spectrum.eigenvalues[positive], spectrum.energies[positive]
    kept = path.basis_weights[:, positive]
    # Energy that round t explains, Σ e (1 − (1−B)²), and energy it leaves over, each without cancellation.
    explained = np.sum(energies * kept * (2 - kept), axis=1)
    left_over = np.sum(energies * np.expm1(path.log_basis_weights[:, positive]) ** 2, axis=1)
    multipliers = np.where(explained > 0, 0.0, np.inf)
    between = (left_over > 0) & (explained > 0)
    multipliers[between] = newton_roots(d, energies, left_over[between], explained[between])
    return multipliers

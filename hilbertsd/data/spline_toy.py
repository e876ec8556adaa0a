"""The eleven points of the paper's spline example (MFB §4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NOISE_STANDARD_DEVIATION = 0.5

INPUTS = np.arange(11) / 10
"""(11,) points x_k = 0, 0.1, …, 1."""

PUBLISHED_TARGETS = np.array(
    [
        0.38476636465198066,
        1.2333967683416893,
        1.33232242218057,
        0.6920159488889518,
        -0.29756145531871736,
        -0.24189291901377769,
        -0.7964485769175675,
        -0.9616480167034174,
        -0.49672509509916934,
        -0.3469066003991437,
        0.5589512650600734,
    ]
)
"""Noisy values drawn by the authors, as stated in the public repository github.com/Kennethborup/self_distillation."""


def true_function(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Value of sin(2πx), the function that the targets are noisy values of."""
    return np.sin(2 * np.pi * x)


def targets(seed: int | None) -> NDArray[np.float64]:
    """Published targets (11,) for None, or targets with a fresh draw of the noise for a seed."""
    if seed is None:
        return PUBLISHED_TARGETS.copy()
    noise = np.random.default_rng(seed).normal(scale=NOISE_STANDARD_DEVIATION, size=len(INPUTS))
    return true_function(INPUTS) + noise

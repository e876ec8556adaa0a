"""What chains of networks tend to at infinite width: outputs of the kernel's path, or of its chain of gradient flows.

problem = Problem.of(PRESETS["cpu"], seed=0)
limit = limit_of(Setting("fully-connected-2", "descent", rounds=3), 512, problem)
limit.test_outputs                           # (3, 200); with the standard parameterisation they depend on the width
limit.step_error                             # (3,) what the steps of descent add to gradient flow at infinite width
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd import ntk
from hilbertsd.data.splits import image_split
from hilbertsd.distillation.chain import distill_spectrum
from hilbertsd.filters import Filter, FilteredFit, filter_chain, gradient_flow
from hilbertsd.networks.architectures import Architecture
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies.wide_limit.presets import PENALISED, Preset, Setting

MOST_STEPS = 100_000
"""Steps of descent at infinite width after which its error counts as none."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Images with targets.

    Attributes
    ----------
    name : name of the data.
    train, test : (n, rows, columns, channels) and (m, …) standardised images.
    targets : (n,) 1 for even digits, −1 for odd ones.
    """

    name: str
    train: NDArray[np.float64]
    test: NDArray[np.float64]
    targets: NDArray[np.float64]

    @classmethod
    def of(cls, preset: Preset, seed: int) -> Self:
        """Balanced images of the digits."""
        images = image_split("digits", preset.train, preset.test, seed=seed)
        return cls(images.name, images.train, images.test, np.where(images.train_labels % 2 == 0, 1.0, -1.0))


@dataclass(frozen=True, eq=False)
class Limit:
    """Chain at infinite width.

    Attributes
    ----------
    kernel : (n, n) tangent kernel of the training images.
    strengths : (T,) multipliers of the path, or times at which gradient flow stops; all its rounds.
    test_outputs : (T, m) outputs of the first T rounds; 0 from the collapse round on.
    collapse_round : of the whole chain.
    step_error : (T,) root mean square distance between descent and gradient flow with this kernel; NaN for the penalty,
        and where descent does not converge.
    """

    kernel: NDArray[np.float64]
    strengths: NDArray[np.float64]
    test_outputs: NDArray[np.float64]
    collapse_round: int | None
    step_error: NDArray[np.float64]


def limit_of(setting: Setting, width: int, problem: Problem) -> Limit:
    """Chain at infinite width; the width counts in the standard parameterisation only.

    Raises InvalidInput and MissingPackage as :func:`hilbertsd.ntk.gram`.
    """
    network = setting.architecture(width if setting.parameterization == "standard" else 1)
    kernel, cross_kernel = _kernels(network, problem)
    spectrum = Spectrum.from_kernel(kernel, problem.targets)
    outputs = np.zeros((setting.rounds, len(problem.test)))
    if setting.rule == PENALISED:
        chain = distill_spectrum(spectrum, tolerance=setting.tolerance)
        strengths = chain.multipliers
    else:
        chain = filter_chain(spectrum, gradient_flow, tolerance=setting.tolerance)
        strengths = chain.strengths
    for t in range(min(setting.rounds, chain.n_rounds)):
        outputs[t] = chain.predict(cross_kernel, t)
    step_error = np.full(setting.rounds, np.nan)
    if setting.rule != PENALISED:
        steps = _descended(spectrum, cross_kernel, setting)
        step_error[: len(steps)] = [np.sqrt(np.mean((a - b) ** 2)) for a, b in zip(steps, outputs, strict=False)]
    return Limit(kernel, strengths, outputs, chain.collapse_round, step_error)


@lru_cache(maxsize=8)
def _kernels(network: Architecture, problem: Problem) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, n) and (m, n) tangent kernels at infinite width."""
    return ntk.gram(network, problem.train), ntk.gram(network, problem.test, problem.train)


def _descended(spectrum: Spectrum, cross_kernel: NDArray[np.float64], setting: Setting) -> list[NDArray[np.float64]]:
    """Outputs of the rounds of gradient descent with the infinite kernel, the last step of each taken in part.

    They end before the round in which the chain collapses, or descent does not converge.
    """
    rate, outputs = setting.rate * 2 / float(spectrum.eigenvalues[-1]), []
    for _ in range(setting.rounds):
        steps = _steps_to(spectrum, rate, setting.tolerance)
        if steps is None:
            break
        fit = FilteredFit(spectrum, descent(rate, steps))
        outputs.append(fit.predict(cross_kernel))
        spectrum = replace(spectrum, rotated_targets=fit.weights[:, None] * spectrum.rotated_targets)
    return outputs


def descent(rate: float, steps: float) -> Filter:
    """Gradient descent on the mean squared error, φ = 1 − (1 − ηd)^k (1 − qηd) after k steps and a part q of one."""
    whole = math.floor(steps)

    def weights(d: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 - (1 - rate * d) ** whole * (1 - (steps - whole) * rate * d)

    def over_eigenvalues(d: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(weights(d), d, out=np.full_like(d, rate * steps), where=d > 0)

    return Filter("gradient descent", steps, weights, over_eigenvalues)


def _steps_to(spectrum: Spectrum, rate: float, tolerance: float) -> float | None:
    """Number of steps after which descent first meets the tolerance; None for 0, and where it never does."""

    def error(steps: float) -> float:
        return FilteredFit(spectrum, descent(rate, steps)).training_error

    whole = 0
    while error(whole) > tolerance:
        whole += 1
        if whole > MOST_STEPS or error(whole) > 1e6 * spectrum.target_mean_square:
            return None
    if whole == 0:
        return None
    above, under = float(whole - 1), float(whole)
    for _ in range(50):
        middle = (above + under) / 2
        above, under = (middle, under) if error(middle) > tolerance else (above, middle)
    return under

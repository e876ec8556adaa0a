"""Ridge and the one-step mixture at a given multiplier, and what noise in the targets does to ξ.

    compared = at_multiplier(problem, 0.1, "gcv")
    compared.xi, compared.mixture.mean()      # ξ by generalised cross-validation, and the test error with it
    compared.oracle_xi                        # ξ with the lowest test error: a measurement, not a method

f = (1 − ξ) f̂ + ξ f̃, where f̃ is fitted to the predictions of f̂ with the same multiplier c. The λ of the papers on ridge,
‖y − Xβ‖²/n + λ‖β‖², is c with the linear kernel: the fit is x(XᵀX/n + λI)⁻¹Xᵀy/n = k(x, X)(cI + XXᵀ/n)⁻¹y/n.

Source: Dang, Patil & Rinaldo (2026), arXiv:2602.17565; Das & Sanghavi (2023), arXiv:2301.13304, for noise.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.analysis.criteria import Criterion, Holdout
from hilbertsd.studies.tables.data import Problem
from hilbertsd.studies.tables.methods import CRITERIA, mixed, path_of, ridge
from hilbertsd.studies.tables.presets import FACTORS, NOISE_LEVELS

NAMES = ("ridge", "mixture", "oracle", "xi", "oracle_xi")
"""What is recorded of a comparison: mean squared test errors of ridge, of the mixture with ξ by a criterion, and of it
with the ξ that is best on the test rows; and both ξ."""


class Compared(NamedTuple):
    """Ridge beside the one-step mixture, at one multiplier.

    Attributes
    ----------
    ridge, mixture, oracle : (n_test,) squared test errors of ridge, of the mixture with ξ by a criterion on the
        training rows, and with the ξ that is best on the test rows.
    xi, oracle_xi : those ξ.
    """

    ridge: NDArray[np.float64]
    mixture: NDArray[np.float64]
    oracle: NDArray[np.float64]
    xi: float
    oracle_xi: float

    def means(self) -> list[float]:
        """Values by `NAMES`, of errors the means."""
        return [float(np.mean(getattr(self, name))) for name in NAMES]


def at_multiplier(problem: Problem, multiplier: float, criterion: str | Criterion) -> Compared:
    """Fit ridge and distil it once, and mix the two by a criterion on the training rows."""
    path, cross = path_of(problem.spectrum, multiplier, 2), problem.cross_kernel
    mixture, oracle = mixed(path, criterion), mixed(path, Holdout(cross, problem.test_targets))
    predictions = path.predict(cross, 0), mixture.predict(cross), oracle.predict(cross)
    ridge_errors, mixture_errors, oracle_errors = map(problem.squared_errors, predictions)
    xi, oracle_xi = float(mixture.weights[1]), float(oracle.weights[1])
    return Compared(ridge_errors, mixture_errors, oracle_errors, xi, oracle_xi)


def around(problem: Problem, tuned: float) -> NDArray[np.float64]:
    """(5, len(FACTORS)) values of `NAMES` at multiples of the multiplier that is tuned for ridge."""
    return np.array([at_multiplier(problem, factor * tuned, CRITERIA[0]).means() for factor in FACTORS]).T


def with_noise(problem: Problem, tuned: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(2, 5, len(NOISE_LEVELS)) values of `NAMES` with noise in the training targets; test targets have none.

    Parameters
    ----------
    problem : without noise.
    tuned : multiplier that is tuned for ridge without noise; the first of the two is at it, the second at the
        multiplier that is tuned for ridge on the noisy targets.
    rng : generator of one draw of the noise, which all levels share.

    Notes
    -----
    One level's noise is Gaussian with the level times the targets' standard deviation; with several outputs that is the
    root of their mean variance. Noisy targets are centred anew. The decomposition serves all levels.
    """
    spectrum = problem.spectrum
    deviation = np.sqrt(spectrum.target_mean_square / spectrum.n_outputs)
    noise = rng.normal(scale=deviation, size=(spectrum.n_samples, spectrum.n_outputs))
    values = np.empty((2, len(NAMES), len(NOISE_LEVELS)))
    for column, level in enumerate(NOISE_LEVELS):
        mean = level * noise.mean(axis=0)
        added = np.asarray(spectrum.basis.T @ (level * noise - mean))
        noisy = replace(
            problem,
            spectrum=replace(spectrum, rotated_targets=spectrum.rotated_targets + added),
            test_targets=problem.test_targets - mean,
        )
        anew = ridge(noisy.spectrum, CRITERIA[0]).choice["multiplier"]
        for place, multiplier in enumerate((tuned, anew)):
            values[place, :, column] = at_multiplier(noisy, multiplier, CRITERIA[0]).means()
    return values

"""Which tables the study takes, how many splits of each, and what is tried on them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilbertsd.studies import form

TEST_SHARE = 0.25
"""Share of the rows that a random split holds out."""

MULTIPLIERS = np.geomspace(1e-9, 10, 51)
"""Multipliers c tried of every method, over the largest eigenvalue."""

GAMMAS = 2.0 ** np.arange(-4, 4)
"""Widths of the RBF kernel that are tried for ridge, times the number of features."""

RELATIVE_TOLERANCES = np.geomspace(3e-4, 0.9, 40)
"""Fractions ε of the targets' mean square that are tried."""

MOST_ROUNDS = 20
"""Rounds of a path that are tried with every ε; one that is not collapsed by then has an ε that is hardly felt."""

STEPS = 4
"""Steps of self-distillation that the four-step mixture weighs, beside the fit that they begin with."""

ITERATIONS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of iterations tried of iterated Tikhonov; 1 is ridge."""

FACTORS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Multipliers at which ridge and the one-step mixture are compared, over the one that is tuned for ridge."""

NOISE_LEVELS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Standard deviations of the noise added to the training targets, over the targets' own."""

USUAL_MULTIPLIERS = (0.1, 1.0, 10.0)
"""λ at which the one-step mixture is published for Air Quality."""


@dataclass(frozen=True)
class Preset:
    """How much is computed.

    Attributes
    ----------
    rows : largest number of rows of a table; of a larger one so many are drawn, once.
    splits : number of random splits by name of the table.
    noise_draws : number of splits, the first ones, on which noise is added.
    """

    rows: int
    splits: dict[str, int]
    noise_draws: int


PRESETS = {
    "smoke": Preset(160, {"diabetes": 3, "digits": 2, "Airfoil": 2, "Air Quality": 2}, 2),
    "cpu": Preset(1503, {"diabetes": 50, "digits": 8, "Airfoil": 20, "Air Quality": 20}, 8),
}


@dataclass(frozen=True)
class Config(form.Config):
    """How many splits, and where tables are that are not shipped with scikit-learn."""

    preset: str = form.option("cpu", "smoke (seconds) or cpu (minutes).", choices=tuple(PRESETS))
    data: Path | None = form.option(
        None,
        "Folder with AirQualityUCI.csv, airfoil_self_noise.dat or both. [default: diabetes and digits alone]",
        recorded=False,
    )
    seed: int = form.option(0, "Seed of rows, splits and noise.", least=0)

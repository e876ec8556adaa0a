"""Spectral filters side by side: φ(d) at equal training error, and the test error each can reach.

    result = run(Config(samples=30, draws=10))
    result.matched["ridge"].weights(result.spectrum.eigenvalues)    # φ(d) at distillation's training error
    result.best["gradient flow"] - result.best["ridge"]             # (10,) differences of the lowest errors

Every family is tuned with the truth at hand, so that what is compared is the best that each can do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import filters
from hilbertsd.data.spline_toy import NOISE_STANDARD_DEVIATION, true_function
from hilbertsd.distillation.chain import distill_spectrum
from hilbertsd.errors import InvalidInput
from hilbertsd.greens import simply_supported_spline
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies import form
from hilbertsd.support.plotting import LINE_STYLES, new_figure, round_colours
from hilbertsd.support.progress import tracked

GRID_POINTS = 201
STRENGTHS = 400
"""Strengths tried of every family, spread over what matters to the spectrum."""

TOLERANCES = 60
"""Tolerances tried of distillation, each with all rounds of its path."""

MATCHED_ROUND = 4
"""Round of distillation whose training error the other families are matched to."""

ITERATIONS = 3
"""Number m of iterations of iterated Tikhonov."""

LARGEST_SHOWN_RATIO = 1e6
"""Largest eigenvalue over the smallest that the figure shows."""

MEMBERS = {"distillation": ("o", "rounds of distillation"), "truncation": ("x", "members of truncation")}
"""Families with discrete members, and how the figure draws and calls these."""

FAMILIES: dict[str, Callable[[float], filters.Filter]] = {
    "ridge": filters.ridge,
    "iterated Tikhonov": lambda c: filters.iterated_tikhonov(c, ITERATIONS),
    "gradient flow": filters.gradient_flow,
    "truncation": filters.truncation,
}


@dataclass(frozen=True)
class Config(form.Config):
    """How many data sets of what size, and ε; data set i has the seed + i.

    Raises InvalidInput as the base does, and where the relative tolerance is not between 0 and 1.
    """

    samples: int = form.option(50, "Noisy points of sin(2πx) a draw, uniform on [0, 1].", least=5)
    draws: int = form.option(200, "Data sets on which every family is tuned.", least=2)
    relative_tolerance: float = form.option(0.05, "ε of the drawn path, as a fraction of the targets' mean square.")
    seed: int = form.option(0, "Seed of the first draw.", least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.relative_tolerance < 1:
            raise InvalidInput(f"relative_tolerance is {self.relative_tolerance!r}; give a number between 0 and 1")


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Filters matched on the first draw, and the best test error of every family on all draws.

    Attributes
    ----------
    spectrum : spectrum of the first draw.
    matched : by family, its filter of equal training error on the first draw; truncation stays under it.
    training_error : the training error that they are matched to.
    curves : by family, (n, 2) training and test error on the first draw, along its strengths (its rounds).
    best : by family, (draws,) lowest test error over its strengths; for distillation over ε and round.
    """

    COLUMNS = ("family", "best_test_error", "standard_error", "minus_tuned_ridge", "minus_tuned_ridge_standard_error")

    spectrum: Spectrum
    matched: dict[str, filters.Filter]
    training_error: float
    curves: dict[str, NDArray[np.float64]]
    best: dict[str, NDArray[np.float64]]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per family: matched fit on the first draw, best error over the draws."""
        ridge = self.best["ridge"]
        rows = []
        for name, best in self.best.items():
            fit = filters.FilteredFit(self.spectrum, self.matched[name])
            lowest, difference = form.mean_and_standard_error(best), form.mean_and_standard_error(best - ridge)
            rows.append(
                {
                    "family": name,
                    "matched_training_error": fit.training_error,
                    "matched_effective_dimension": fit.effective_dimension,
                    "best_test_error": lowest.mean,
                    "standard_error": lowest.standard_error,
                    "minus_tuned_ridge": difference.mean,
                    "minus_tuned_ridge_standard_error": difference.standard_error,
                    "share_of_draws_below_tuned_ridge": float(np.mean(best - ridge < 0)),
                }
            )
        return rows

    def numbers(self) -> dict[str, Any]:
        """Matched strengths, errors by family, and the eigenvalues of the first draw."""
        return {
            "training_error": self.training_error,
            "strengths": {name: member.strength for name, member in self.matched.items()},
            "families": self.rows(),
            "eigenvalues": self.spectrum.eigenvalues.tolist(),
        }


def run(config: Config) -> Result:
    """Match the families on the first draw, then tune each on every draw with the truth at hand."""
    first = _Draw.make(config, 0)
    path = distill_spectrum(first.spectrum, relative_tolerance=config.relative_tolerance)
    t = min(MATCHED_ROUND, path.n_rounds - 1)
    error = float(path.training_errors[t])
    matched = {"distillation": filters.distillation(path.multipliers[: t + 1])}
    matched |= {name: filters.match_training_error(first.spectrum, f, error) for name, f in FAMILIES.items()}
    draws = [first, *(_Draw.make(config, i) for i in tracked(range(1, config.draws), "draws"))]
    curves = {"distillation": first.errors(path.basis_weights)}
    curves |= {name: first.errors(_weights(first.spectrum, family)) for name, family in FAMILIES.items()}
    best = {"distillation": np.array([_best_distillation(draw) for draw in tracked(draws, "draws distilled")])}
    for name, family in FAMILIES.items():
        best[name] = np.array(
            [draw.errors(_weights(draw.spectrum, family))[:, 1].min() for draw in tracked(draws, f"draws, {name}")]
        )
    return Result(config, first.spectrum, matched, error, curves, best)


@dataclass(frozen=True, eq=False)
class _Draw:
    """One data set.

    Attributes
    ----------
    spectrum : spectrum of the kernel matrix and the noisy targets.
    grid_basis : (g, m) values on the grid of the part of the unregularised fit that lies on each eigenvector.
    truth : (g,) sin(2πx) on the grid.
    """

    spectrum: Spectrum
    grid_basis: NDArray[np.float64]
    truth: NDArray[np.float64]

    @classmethod
    def make(cls, config: Config, index: int) -> "_Draw":
        rng = np.random.default_rng(config.seed + index)
        x = np.sort(rng.uniform(size=config.samples))
        targets = true_function(x) + rng.normal(scale=NOISE_STANDARD_DEVIATION, size=config.samples)
        spectrum = Spectrum.from_kernel(simply_supported_spline(x), targets)
        grid = np.linspace(0, 1, GRID_POINTS)
        d = np.where(spectrum.eigenvalues > 0, spectrum.eigenvalues, np.inf)
        columns = simply_supported_spline(grid, x) @ spectrum.basis * spectrum.rotated_targets[:, 0]
        return cls(spectrum, columns / (d * config.samples), true_function(grid))

    def errors(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) training error and mean squared error against the truth, for (n, m) weights."""
        training = (1 - weights) ** 2 @ self.spectrum.energies
        test = np.mean((weights @ self.grid_basis.T - self.truth) ** 2, axis=1)
        return np.column_stack([training, test])


def _weights(spectrum: Spectrum, family: Callable[[float], filters.Filter]) -> NDArray[np.float64]:
    """(STRENGTHS, m) φ(d) of a family, from hardly to strongly regularised."""
    positive = spectrum.eigenvalues[spectrum.eigenvalues > 0]
    strengths = np.geomspace(positive[0], 30 * positive[-1], STRENGTHS)
    if family is filters.truncation:
        strengths = positive * (1 - 1e-9)
    if family is filters.gradient_flow:
        strengths = 1 / strengths  # its strength is a time, an inverse eigenvalue
    return np.array([family(s).weights(spectrum.eigenvalues) for s in strengths])


def _best_distillation(draw: _Draw) -> float:
    """Lowest test error over tolerances and rounds, round 0 (plain ridge) left out."""
    total, floor = draw.spectrum.target_mean_square, draw.spectrum.floor
    errors = []
    for share in np.geomspace(0.01, 0.9, TOLERANCES):
        path = distill_spectrum(draw.spectrum, tolerance=floor + share * (total - floor))
        if path.n_rounds > 1:
            errors.append(draw.errors(path.basis_weights[1:])[:, 1].min())
    return min(errors)


def figures(result: Result) -> dict[str, Any]:
    """φ(d), errors along each family, and the comparison over draws."""
    figure = new_figure(10.5, 3.4)
    phi, errors, best = figure.subplots(1, 3)
    positive = result.spectrum.eigenvalues[result.spectrum.eigenvalues > 0]
    axis = np.geomspace(positive[-1] / LARGEST_SHOWN_RATIO, positive[-1] * 2, 600)
    positive = positive[positive > axis[0]]
    names = list(result.best)
    looks = dict(
        zip(names, zip(round_colours(len(names)), ("-", *LINE_STYLES[1:], (0, (1, 1, 4, 1))), strict=True), strict=True)
    )
    for name, (colour, line) in looks.items():
        member = result.matched[name]
        step = [member.strength * (1 + side) for side in (-1e-9, 1e-9)] if name == "truncation" else []
        d = np.union1d(axis, step)
        phi.semilogx(d, member.weights(d), linestyle=line, color=colour, label=name)
    phi.plot(positive, np.full_like(positive, -0.03), "|", color="black", markersize=5)
    phi.set(xlabel="eigenvalue d", ylabel="φ(d)", title=f"(a) filters with training error {result.training_error:.3f}")
    phi.legend(loc="upper left", fontsize=7.5)
    for name, (colour, line) in looks.items():
        curve = result.curves[name][np.argsort(result.curves[name][:, 0])]
        if name in MEMBERS:  # nothing lies between these, so that no line joins them
            mark, label = MEMBERS[name]
            errors.plot(curve[:, 0], curve[:, 1], mark, color=colour, markersize=5, label=label, zorder=3)
        else:
            errors.plot(curve[:, 0], curve[:, 1], linestyle=line, color=colour)
    errors.set(xlabel="training error", ylabel="error against sin(2πx)", title="(b) first draw, along each family")
    least = min(curve[:, 1].min() for curve in result.curves.values())
    errors.set(yscale="log", ylim=(0.7 * least, 1.0))
    errors.legend(loc="lower right", fontsize=7.5)
    rows = [row for row in result.rows() if row["family"] != "ridge"][::-1]
    for y, row in enumerate(rows):
        best.errorbar(
            row["minus_tuned_ridge"], y, xerr=row["minus_tuned_ridge_standard_error"], fmt="o", color="black", capsize=3
        )
    best.axvline(0, color="0.6", linewidth=0.8)
    best.set_yticks(range(len(rows)), [row["family"] for row in rows])
    best.set(xlabel="lowest error − that of tuned ridge", title=f"(c) {result.config.draws} draws, mean and s.e.")
    best.set_ylim(-0.5, len(rows) - 0.5)
    return {"filters": figure}


STUDY = form.Study("filters", __doc__, Config, run, figures)

"""Self-distillation beside early stopping: weights and test error of both, at equal training error (MFB §3.4)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.analysis.early_stopping import EarlyStopping, stop_early
from hilbertsd.bounds.sparsity import sparsity_index
from hilbertsd.data import spline_toy as data
from hilbertsd.distillation.chain import distill_spectrum
from hilbertsd.errors import InvalidInput
from hilbertsd.greens import simply_supported_spline
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies.spline_toy import PUBLISHED_TOLERANCE, tolerance_like_published
from hilbertsd.support.progress import tracked

GRID_POINTS = 501
EIGENVECTORS_SHOWN = 5
LEAST_DRAWS = 20
"""Rounds that fewer draws reach are left out of the means."""


@dataclass(frozen=True)
class Config:
    """Configuration.

    Attributes
    ----------
    draws : number of fresh draws of the noise beside the paper's own.
    seed : of the first; draw i has seed + i.
    """

    draws: int = 500
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Comparison:
    """One draw: both methods and their mean squared errors against sin(2πx) on a grid, (T,) each."""

    single: EarlyStopping
    distilled_errors: NDArray[np.float64]
    single_errors: NDArray[np.float64]

    @property
    def sparsity(self) -> NDArray[np.float64]:
        """(T, 2) sparsity index of distillation and of the single fit, over the positive eigenvalues."""
        path = self.single.path
        positive = path.eigenvalues > 0
        d = path.eigenvalues[positive]
        pairs = zip(path.log_basis_weights[:, positive], np.log(self.single.weights[:, positive]), strict=True)
        return np.array([[sparsity_index(d, distilled), sparsity_index(d, single)] for distilled, single in pairs])


@dataclass(frozen=True, eq=False)
class Result:
    """The paper's draw and the fresh ones."""

    config: Config
    published: Comparison
    fresh: list[Comparison]

    def rows(self) -> list[dict[str, float]]:
        """One dictionary per round of the paper's draw."""
        one = self.published
        return [
            {
                "round": t,
                "training_error": float(one.single.tolerances[t]),
                "distillation_error": float(one.distilled_errors[t]),
                "early_stopping_error": float(one.single_errors[t]),
                "distillation_sparsity": float(one.sparsity[t, 0]),
                "early_stopping_sparsity": float(one.sparsity[t, 1]),
            }
            for t in range(one.single.path.n_rounds)
        ]

    def means(self) -> list[dict[str, float]]:
        """By round over the fresh draws that reach it: means, and the paired difference with its standard error."""
        rows = []
        for t in range(max(len(one.distilled_errors) for one in self.fresh)):
            reached = [one for one in self.fresh if len(one.distilled_errors) > t]
            if len(reached) < LEAST_DRAWS:
                break
            distilled = np.array([one.distilled_errors[t] for one in reached])
            single = np.array([one.single_errors[t] for one in reached])
            difference = distilled - single
            rows.append(
                {
                    "round": t,
                    "draws": len(reached),
                    "distillation_error": float(distilled.mean()),
                    "distillation_standard_error": float(distilled.std(ddof=1) / np.sqrt(len(reached))),
                    "early_stopping_error": float(single.mean()),
                    "early_stopping_standard_error": float(single.std(ddof=1) / np.sqrt(len(reached))),
                    "difference": float(difference.mean()),
                    "difference_standard_error": float(difference.std(ddof=1) / np.sqrt(len(reached))),
                    "share_where_distillation_is_better": float(np.mean(difference < 0)),
                }
            )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Numbers of the study, ready for JSON."""
        one = self.published
        return {
            "published_draw": {
                "tolerance": one.single.path.tolerance,
                "rounds": self.rows(),
                "distillation_multipliers": one.single.path.multipliers.tolist(),
                "early_stopping_multipliers": one.single.multipliers.tolist(),
                "distillation_weights": one.single.path.basis_weights.tolist(),
                "early_stopping_weights": one.single.weights.tolist(),
            },
            "fresh_draws": self.means(),
            "best_errors": best_errors(self),
            "claims": claims(self),
        }


def run(config: Config) -> Result:
    """Compare on the paper's draw at ε = 0.045, and on fresh draws at tolerances like it.

    Raises InvalidInput for fewer than 20 draws.
    """
    if config.draws < LEAST_DRAWS:
        raise InvalidInput(f"{config.draws} draws are too few for means; give at least {LEAST_DRAWS}")
    return Result(
        config,
        _compare(data.targets(None), PUBLISHED_TOLERANCE),
        [_compare(data.targets(config.seed + i), None) for i in tracked(range(config.draws), "draws")],
    )


def claims(result: Result) -> list[dict[str, Any]]:
    """Paper's claims on every draw, with a verdict and the numbers behind it."""
    later = [one.sparsity[1:] for one in [result.published, *result.fresh]]
    pairs = np.concatenate(later)
    sparser = int(np.count_nonzero(pairs[:, 0] > pairs[:, 1]))
    excess = np.array([_largest_ratio_excess(one) for one in [result.published, *result.fresh]])
    return [
        {
            "claim": "at equal training error distillation's weights are sparser than early stopping's (MFB §3.4)",
            "verdict": "reproduced" if sparser == len(pairs) else "not reproduced",
            "rounds_after_the_first": len(pairs),
            "rounds_where_sparser": sparser,
        },
        {
            "claim": "neighbouring weights differ by at most d_k/d_j in early stopping, and by more in distillation's "
            "last round (MFB §3.4)",
            "verdict": "reproduced" if excess[:, 1].max() <= 1 + 1e-12 < excess[:, 0].min() else "not reproduced",
            "largest_ratio_over_d_ratio_early_stopping": float(excess[:, 1].max()),
            "largest_ratio_over_d_ratio_distillation_smallest_of_draws": float(excess[:, 0].min()),
        },
    ]


def best_errors(result: Result) -> dict[str, float]:
    """Lowest test error over the rounds, of which the paper claims nothing: distillation against early stopping."""
    distilled = np.array([one.distilled_errors.min() for one in result.fresh])
    difference = distilled - np.array([one.single_errors.min() for one in result.fresh])
    return {
        "draws": len(difference),
        "distillation_mean": float(distilled.mean()),
        "mean_difference": float(difference.mean()),
        "standard_error": float(difference.std(ddof=1) / np.sqrt(len(difference))),
        "draws_where_distillation_is_lower": int(np.count_nonzero(difference < 0)),
        "draws_equal": int(np.count_nonzero(difference == 0)),
    }


def plot(result: Result, folder: Path) -> list[Path]:
    """Write weights and test errors of both by round as one figure, PNG and SVG."""
    from hilbertsd.support.plotting import save_figure, style

    with style():
        return save_figure(_figure(result), folder, "early-stopping")


def _compare(targets: NDArray[np.float64], tolerance: float | None) -> Comparison:
    spectrum = Spectrum.from_kernel(simply_supported_spline(data.INPUTS), targets)
    path = distill_spectrum(spectrum, tolerance=tolerance or tolerance_like_published(spectrum))
    single = stop_early(path)
    grid = np.linspace(0, 1, GRID_POINTS)
    cross_kernel = simply_supported_spline(grid, data.INPUTS)
    truth = data.true_function(grid)
    rounds = range(path.n_rounds)
    return Comparison(
        single,
        np.array([np.mean((path.predict(cross_kernel, t) - truth) ** 2) for t in rounds]),
        np.array([np.mean((single.predict(cross_kernel, t) - truth) ** 2) for t in rounds]),
    )


def _largest_ratio_excess(one: Comparison) -> list[float]:
    """Largest (w_k/w_j)/(d_k/d_j) over neighbours d_k > d_j in the last round: distillation's, the single fit's."""
    positive = one.single.path.eigenvalues > 0
    d = one.single.path.eigenvalues[positive]
    last = [weights[-1, positive] for weights in (one.single.path.basis_weights, one.single.weights)]
    return [float(np.max(w[1:] / w[:-1] / (d[1:] / d[:-1]))) for w in last]


def _figure(result: Result) -> Any:
    from hilbertsd.support.plotting import new_figure, round_colours

    figure = new_figure(10.5, 3.4)
    weights, errors, means = figure.subplots(1, 3)
    one = result.published
    rounds = np.arange(one.single.path.n_rounds)
    for k, colour in zip(range(1, EIGENVECTORS_SHOWN + 1), round_colours(EIGENVECTORS_SHOWN), strict=True):
        weights.semilogy(rounds, one.single.path.basis_weights[:, -k], "o-", color=colour, markersize=4)
        weights.semilogy(rounds, one.single.weights[:, -k], "s--", color=colour, markersize=4, markerfacecolor="white")
        height = one.single.path.basis_weights[-1, -k]
        weights.annotate(f"k = {k}", (rounds[-1], height), (5, -3), textcoords="offset points", color=colour)
    weights.plot([], [], "o-", color="black", markersize=4, label="distillation")
    weights.plot([], [], "s--", color="black", markersize=4, markerfacecolor="white", label="early stopping")
    weights.set(ylabel="weight of eigenvector k", title="(a) weights, largest eigenvalues")
    weights.set_xlim(-0.2, rounds[-1] + 0.8)
    weights.legend(loc="lower left")

    errors.plot(rounds, one.distilled_errors, "o-", color="black", markersize=4, label="distillation")
    errors.plot(
        rounds, one.single_errors, "s--", color="C1", markersize=4, markerfacecolor="white", label="early stopping"
    )
    errors.set(ylabel="mean squared error against sin(2πx)", title="(b) the paper's draw", ylim=(0, None))
    errors.legend(loc="upper left")

    rows = result.means()[1:]
    means.axhline(0, color="0.6", linewidth=0.8)
    means.errorbar(
        [row["round"] for row in rows],
        [row["difference"] for row in rows],
        yerr=[row["difference_standard_error"] for row in rows],
        fmt="o-",
        color="black",
        markersize=4,
        capsize=2,
    )
    means.margins(y=0.2)
    means.set_xlim(0.2, None)
    for row in rows[:: max(1, len(rows) // 6)]:
        along_bottom = means.get_xaxis_transform()  # x in rounds, y in fractions of the panel
        means.text(row["round"], 0.03, f"n={row['draws']}", transform=along_bottom, fontsize=7, ha="center")
    means.set(ylabel="error of distillation − early stopping")
    means.set_title(f"(c) {len(result.fresh)} fresh draws, mean and s.e.")
    for axes in (weights, errors, means):
        axes.set_xlabel("round t")
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure

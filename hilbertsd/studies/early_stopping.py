"""Self-distillation beside early stopping: weights and test error of both, at equal training error (MFB §3.4).

    result = run(Config(draws=20))
    result.rows()[1]["early_stopping_error"]     # error of the single fit with round 1's training error
    result.means()[1]["difference"]              # distillation − early stopping in round 1, mean over 20 fresh draws

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.analysis.early_stopping import EarlyStopping, stop_early
from hilbertsd.bounds.sparsity import sparsity_index
from hilbertsd.data import spline_toy as data
from hilbertsd.distillation.chain import distill_spectrum
from hilbertsd.greens import simply_supported_spline
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies import form
from hilbertsd.studies.spline_toy import PUBLISHED_TOLERANCE, tolerance_like_published
from hilbertsd.support.plotting import new_figure, round_colours, whole_rounds
from hilbertsd.support.progress import tracked

GRID_POINTS = 501
EIGENVECTORS_SHOWN = 5
WEIGHTS_NAMED = (0.999, 0.99, 0.9, 0.5, 0.1, 0.01, 0.001, 0.0001)
LEAST_DRAWS = 20
"""Fewest draws of which a mean is taken: a round that fewer draws reach is left out."""


@dataclass(frozen=True)
class Config(form.Config):
    """Which draws of the noise are compared beside the paper's own; draw i has the seed + i."""

    draws: int = form.option(500, "Fresh draws of the noise beside the paper's own.", least=LEAST_DRAWS)
    seed: int = form.option(0, "Seed of the first fresh draw.", least=0)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both methods on one draw.

    Attributes
    ----------
    single : single fits with the training errors of the path's rounds; it holds the path.
    distilled_errors, single_errors : (T,) mean squared errors of both against sin(2πx) on a grid.
    """

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
class Result(form.Result[Config]):
    """Comparisons on the paper's draw and on the fresh ones."""

    published: Comparison
    fresh: list[Comparison]

    def rows(self) -> list[dict[str, Any]]:
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
            differences = distilled - single
            row: dict[str, float] = {"round": t, "draws": len(reached)}
            for name, errors in (("distillation", distilled), ("early_stopping", single)):
                row[f"{name}_error"], row[f"{name}_standard_error"] = form.mean_and_standard_error(errors)
            row["difference"], row["difference_standard_error"] = form.mean_and_standard_error(differences)
            rows.append({**row, "share_where_distillation_is_better": float(np.mean(differences < 0))})
        return rows

    def best_errors(self) -> dict[str, float]:
        """Lowest test error over the rounds, of which the paper claims nothing: distillation against early stopping."""
        distilled = np.array([one.distilled_errors.min() for one in self.fresh])
        difference = distilled - np.array([one.single_errors.min() for one in self.fresh])
        mean, standard_error = form.mean_and_standard_error(difference)
        return {
            "draws": len(difference),
            "distillation_mean": float(distilled.mean()),
            "mean_difference": mean,
            "standard_error": standard_error,
            "draws_where_distillation_is_lower": int(np.count_nonzero(difference < 0)),
            "draws_equal": int(np.count_nonzero(difference == 0)),
        }

    def closing(self) -> list[str]:
        """Difference of the best errors."""
        best = self.best_errors()
        return [
            f"lowest error over the rounds, distillation − early stopping, {best['draws']} fresh draws: "
            f"{best['mean_difference']:.2g} ± {best['standard_error']:.2g}"
        ]

    def claims(self) -> list[form.Claim]:
        """What the paper claims, on every draw, and what it does not: the index S at equal training error."""
        comparisons = [self.published, *self.fresh]
        pairs = np.concatenate([one.sparsity[1:] for one in comparisons])
        larger = int(np.count_nonzero(pairs[:, 0] > pairs[:, 1]))
        excess = np.array([_largest_ratio_excess(one) for one in comparisons])
        return [
            form.Claim(
                "early stopping at best keeps the sparsity of D: two weights differ by at most d_k/d_j",
                form.Verdict.of(bool(excess[:, 1].max() <= 1 + 1e-12)),
                {"largest_ratio_over_d_ratio": float(excess[:, 1].max())},
                f"largest ratio over d_k/d_j in any round of {len(comparisons)} draws 1 {excess[:, 1].max() - 1:+.1g}",
                source="MFB §3.4",
            ),
            form.Claim(
                "distillation's regularisation is not early stopping's: in its last round two neighbouring weights "
                "differ by more than d_k/d_j",
                form.Verdict.of(bool(excess[:, 0].min() > 1 + 1e-12)),
                {"largest_ratio_over_d_ratio_smallest_of_draws": float(excess[:, 0].min())},
                f"largest ratio over d_k/d_j at least {excess[:, 0].min():.3g} on each of {len(comparisons)} draws",
                source="MFB §3.4",
            ),
            form.Claim(
                "at equal training error the smallest ratio of neighbouring weights is larger in distillation",
                form.Verdict.REPORTED,
                {"rounds_after_the_first": len(pairs), "rounds_where_larger": larger},
                f"in {larger:,} of {len(pairs):,} later rounds of all draws",
            ),
        ]

    def numbers(self) -> dict[str, Any]:
        """Both methods on the paper's draw, and means over the fresh ones."""
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
            "best_errors": self.best_errors(),
        }


def run(config: Config) -> Result:
    """Compare on the paper's draw at ε = 0.045, and on fresh draws at tolerances like it."""
    return Result(
        config,
        _compare(data.targets(None), PUBLISHED_TOLERANCE),
        [_compare(data.targets(config.seed + i), None) for i in tracked(range(config.draws), "draws")],
    )


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
    """Largest (w_k/w_j)/(d_k/d_j) over neighbours: distillation's in the last round, a single fit's in any."""
    positive = one.single.path.eigenvalues > 0
    d = one.single.path.eigenvalues[positive]
    kept = one.single.path.basis_weights[-1:, positive], one.single.weights[:, positive]
    return [float(np.max(w[:, 1:] / w[:, :-1] / (d[1:] / d[:-1]))) for w in kept]


def figures(result: Result) -> dict[str, Any]:
    """Weights and test errors of both by round."""
    figure = new_figure(10.5, 3.4)
    weights, errors, means = figure.subplots(1, 3)
    one = result.published
    rounds = np.arange(one.single.path.n_rounds)
    filled: Any = {"color": "black", "markersize": 4}
    hollow: Any = {"markersize": 7, "markerfacecolor": "none"}  # around what it would hide
    for k, colour in zip(range(1, EIGENVECTORS_SHOWN + 1), round_colours(EIGENVECTORS_SHOWN), strict=True):
        weights.plot(rounds, one.single.path.basis_weights[:, -k], "o-", color=colour, markersize=4)
        weights.plot(rounds, one.single.weights[:, -k], "s--", color=colour, **hollow)
        height = one.single.path.basis_weights[-1, -k]
        label = f"k = {one.single.path.spectrum.n_samples + 1 - k}"
        weights.annotate(label, (rounds[-1], height), (6, -3), textcoords="offset points", color=colour)
    weights.plot([], [], "o-", label="distillation", **filled)
    weights.plot([], [], "s--", color="black", label="early stopping", **hollow)
    weights.set(ylabel="weight of eigenvector k, by growing eigenvalue", title="(a) weights, largest eigenvalues")
    weights.set_yscale("logit")  # how far a weight is from 1 matters in round 0, how far from 0 later
    weights.set_yticks(WEIGHTS_NAMED, [f"{weight:g}" for weight in WEIGHTS_NAMED])
    weights.minorticks_off()
    weights.set_xlim(-0.2, rounds[-1] + 0.8)
    weights.legend(loc="lower left")

    errors.plot(rounds, one.distilled_errors, "o-", label="distillation", **filled)
    errors.plot(rounds, one.single_errors, "s--", color="C1", label="early stopping", **hollow)
    errors.set(ylabel="mean squared error against sin(2πx)", title="(b) the paper's draw", ylim=(0, None))
    errors.legend(loc="upper left")

    rows = result.means()[1:]
    means.axhline(0, color="0.6", linewidth=0.8)
    columns = [[row[name] for row in rows] for name in ("round", "difference", "difference_standard_error")]
    means.errorbar(*columns, fmt="o-", capsize=2, **filled)
    means.margins(y=0.2)
    means.set_xlim(0.2, None)
    for row in rows[:: max(1, len(rows) // 6)]:
        along_bottom = means.get_xaxis_transform()  # x in rounds, y in fractions of the panel
        means.text(row["round"], 0.03, f"n={row['draws']}", transform=along_bottom, fontsize=7, ha="center")
    means.set(ylabel="error of distillation − early stopping")
    means.set_title(f"(c) {len(result.fresh)} fresh draws, mean and s.e.")
    for axes in (weights, errors, means):
        axes.set_xlabel("round t")
        whole_rounds(axes)
    return {"early-stopping": figure}


STUDY = form.Study("early-stopping", __doc__, Config, run, figures)

"""The paper's spline example: eleven noisy points of sin(2πx), distilled until collapse (MFB §4).

    result = STUDY.execute(Config(), Path(".")).result    # writes figure2, figure3 and result.json
    result.path.collapse_round                            # 4
    result.grid_errors                                    # [0.154, 0.069, 0.121, 0.307]

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import plot
from hilbertsd.data import spline_toy as data
from hilbertsd.distillation.chain import distill_spectrum
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.distillation.path_page import FitCurves, path_sections
from hilbertsd.greens import simply_supported_spline
from hilbertsd.pages.page import Section
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies import form
from hilbertsd.support.plotting import new_figure, round_colours, shown_rounds

PUBLISHED_TOLERANCE = 0.045
GRID_POINTS = 2001


@dataclass(frozen=True)
class Config(form.Config):
    """Which draw of the noise, and ε.

    A tolerance of None takes 0.045 for the paper's draw, and for a fresh draw the ε that lies at the same fraction of
    the way from its floor to its mean square, because 0.045 is below the floor of three draws in eight.
    """

    tolerance: float | None = form.option(
        None, "ε, mean squared training error of every round. [default: 0.045, or its like for a seed]"
    )
    seed: int | None = form.option(None, "Seed of a fresh draw of the noise. [default: the paper's draw]", least=0)


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Path and fits.

    Attributes
    ----------
    config : configuration, with the tolerance that was used.
    targets : (11,) noisy values of the function.
    path : distillation path of the eleven points.
    grid : (2001,) equally spaced on [0, 1].
    fits : (T, 2001) f_t on the grid.
    grid_errors : (T,) mean squared error of f_t against sin(2πx) on the grid.
    """

    targets: NDArray[np.float64]
    path: DistillationPath
    grid: NDArray[np.float64]
    fits: NDArray[np.float64]
    grid_errors: NDArray[np.float64]

    @property
    def zero_fit_grid_error(self) -> float:
        """Mean squared error of the zero function on the grid."""
        return float(np.mean(data.true_function(self.grid) ** 2))

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per round."""
        return [{**row, "grid_error": float(e)} for row, e in zip(self.path.rows(), self.grid_errors, strict=True)]

    def headline(self) -> list[str]:
        """Size and scale of the problem."""
        spectrum = self.path.spectrum
        return [
            f"{spectrum.n_samples} points, ‖y‖²/n = {spectrum.target_mean_square:.5f}, floor {spectrum.floor:.7f}, "
            f"tolerance {self.path.tolerance:.6g}"
        ]

    def closing(self) -> list[str]:
        """Round of collapse."""
        return [f"{self.path.ending}: zero from there on (error vs sin(2πx) {self.zero_fit_grid_error:.3f})"]

    def claims(self) -> list[form.Claim]:
        """What the paper claims of its draw, tested on this one."""
        path, errors = self.path, self.grid_errors.tolist()
        n_rounds = path.n_rounds
        best = int(np.argmin(errors)) if errors else None
        improves_then_worsens = best is not None and 0 < best < n_rounds - 1 and errors[best:] == sorted(errors[best:])
        ratios = _neighbour_ratios(path)
        smallest = [float(r.min()) for r in ratios]
        sparser = bool(np.all(np.diff(ratios, axis=0) < 0)) if n_rounds > 1 else None
        return [
            form.Claim(
                "a few rounds reduce over-fitting, further rounds under-fit",
                form.Verdict.of(improves_then_worsens if n_rounds > 1 else None),
                {"grid_errors": errors, "best_round": best},
                f"mean squared error against sin(2πx) by round {_listed(errors)}",
                source="MFB §4, Figure 2c",
            ),
            form.Claim(
                "the smaller of two basis weights shrinks faster, in every round",
                form.Verdict.of(sparser),
                {"smallest_neighbour_ratio_by_round": smallest},
                f"smallest ratio of neighbours by round {_listed(smallest)}",
                source="MFB §4, Figure 3",
            ),
            form.Claim(
                "the solution collapses to zero after finitely many rounds",
                form.Verdict.of(path.collapse_round is not None),
                {"collapse_round": path.collapse_round},
                path.ending,
                source="MFB §3.2",
            ),
        ]

    def numbers(self) -> dict[str, Any]:
        """Points, path, and errors on the grid."""
        return {
            "inputs": data.INPUTS.tolist(),
            "targets": self.targets.tolist(),
            **self.path.to_dict(),
            "grid_errors": self.grid_errors.tolist(),
            "zero_fit_grid_error": self.zero_fit_grid_error,
        }


def run(config: Config) -> Result:
    """Distil until collapse.

    Raises InvalidTolerance and InfeasibleTolerance, warns CollapseWarning, as `distill`.
    """
    targets = data.targets(config.seed)
    spectrum = Spectrum.from_kernel(simply_supported_spline(data.INPUTS), targets)
    tolerance = config.tolerance
    if tolerance is None:
        tolerance = PUBLISHED_TOLERANCE if config.seed is None else tolerance_like_published(spectrum)
    path = distill_spectrum(spectrum, tolerance=tolerance)
    grid = np.linspace(0, 1, GRID_POINTS)
    cross_kernel = simply_supported_spline(grid, data.INPUTS)
    fits = np.array([path.predict(cross_kernel, t) for t in range(path.n_rounds)]).reshape(-1, GRID_POINTS)
    grid_errors = np.mean((fits - data.true_function(grid)) ** 2, axis=1)
    return Result(replace(config, tolerance=tolerance), targets, path, grid, fits, grid_errors)


def tolerance_like_published(spectrum: Spectrum) -> float:
    """ε at the same fraction of the way from floor to mean square as 0.045 has on the paper's draw."""
    published = Spectrum.from_kernel(simply_supported_spline(data.INPUTS), data.PUBLISHED_TARGETS)
    position = (PUBLISHED_TOLERANCE - published.floor) / (published.target_mean_square - published.floor)
    return spectrum.floor + position * (spectrum.target_mean_square - spectrum.floor)


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def figures(result: Result) -> dict[str, Any]:
    """figure2: Green's function, data and fits. figure3: bars of B_t."""
    return {"figure2": _figure_2(result), "figure3": _figure_3(result)}


def _neighbour_ratios(path: DistillationPath) -> NDArray[np.float64]:
    """(T, m'−1) B_t[k]/B_t[k+1] over the positive eigenvalues, which are all distinct here."""
    weights = path.basis_weights[:, path.eigenvalues > 0]
    return weights[:, :-1] / weights[:, 1:]


def _figure_2(result: Result) -> Any:
    figure = new_figure(10.5, 3.4)
    green, points, fits = figure.subplots(1, 3, width_ratios=(1.1, 1, 1))
    axis = np.linspace(0, 1, 201)
    values = 1000 * simply_supported_spline(axis)
    image = green.imshow(values, origin="lower", extent=(0, 1, 0, 1), cmap="viridis", aspect="equal")
    green.contour(axis, axis, values, levels=8, colors="white", linewidths=0.5)
    figure.colorbar(image, ax=green, label="g(x, t) × 1000", shrink=0.85)
    green.set(xlabel="t", ylabel="x", title="(a) Green's function of d⁴/dx⁴")

    truth = data.true_function(result.grid)
    for axes in (points, fits):
        axes.plot(result.grid, truth, color="0.6", linewidth=3, label="sin(2πx)", zorder=1)
        axes.plot(data.INPUTS, result.targets, "o", color="black", markersize=4, label="data", zorder=3)
        axes.set(xlabel="x", ylim=(-1.6, 2.1))
    points.set(ylabel="y", title=f"(b) {len(data.INPUTS)} points, noise σ = {data.NOISE_STANDARD_DEVIATION:g}")
    points.legend(loc="upper right", ncols=2)
    plot.fits(result.path, result.grid, simply_supported_spline(result.grid, data.INPUTS), fits)
    fits.set(title=f"(c) fits, ε = {result.config.tolerance:.3g}")
    fits.text(0.03, 0.04, result.path.ending, transform=fits.transAxes)
    handles, labels = fits.get_legend_handles_labels()
    fits.legend(handles[2:], labels[2:], loc="upper right", ncols=2)
    return figure


def _figure_3(result: Result) -> Any:
    weights = result.path.basis_weights
    shown = shown_rounds(len(weights), 6)
    figure = new_figure(max(2.0 * len(shown), 4.0) + 0.5, 2.6)
    panels = np.atleast_1d(figure.subplots(1, max(len(shown), 1), sharey=True))
    for panel, t, colour in zip(panels, shown, round_colours(len(shown)), strict=False):
        panel.bar(np.arange(1, weights.shape[1] + 1), weights[t], color=colour, edgecolor="black", linewidth=0.4)
        panel.set(title=f"round {t}", ylim=(0, 1.02), xticks=np.arange(1, weights.shape[1] + 1, 2))
    panels[0].set_ylabel("basis weight $B_t[k]$")
    figure.supxlabel("eigenvector k, by growing eigenvalue", fontsize="medium")
    return figure


def _page(result: Result) -> list[Section]:
    """Slider over the fits on the grid."""
    errors = {"grid_error": np.append(result.grid_errors, result.zero_fit_grid_error)}
    truth = data.true_function(result.grid)
    fits = FitCurves("x", data.INPUTS, result.grid, result.fits, truth, "sin(2πx)")
    return path_sections(result.path, errors, fits)


STUDY = form.Study("spline-toy", __doc__, Config, run, figures, page=_page)

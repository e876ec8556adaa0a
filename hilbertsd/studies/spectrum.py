"""TABLE: a kernel's eigenvalues, where the target lies, where ε cuts, what each round keeps."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import plot
from hilbertsd.analysis.equivalent_kernel import Complexity, complexity
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.distillation.path_page import path_sections
from hilbertsd.studies import form
from hilbertsd.studies.table_path import TableConfig, distilled, prepare
from hilbertsd.support.plotting import new_figure

LEGEND_SHARE = 0.3
"""Part of the height of panel (b) that is above all shares, for the legend."""


@dataclass(frozen=True, eq=False)
class Result(form.Result[TableConfig]):
    """Spectrum and path of all rows of a table.

    Attributes
    ----------
    feature_names : name of every feature.
    path : distillation path of the centred targets, in the target's units.
    complexity : complexity of every round's equivalent kernel, at radius 1.
    """

    feature_names: tuple[str, ...]
    path: DistillationPath
    complexity: Complexity

    @property
    def falling(self) -> NDArray[np.float64]:
        """(m,) eigenvalues of kernel_matrix/n, largest first."""
        return self.path.eigenvalues[::-1]

    @property
    def energy_shares(self) -> NDArray[np.float64]:
        """(m,) share of the targets' mean square on each eigenvector, largest eigenvalue first."""
        return self.path.spectrum.energies[::-1] / self.path.spectrum.target_mean_square

    @property
    def shares_left(self) -> NDArray[np.float64]:
        """(m+1,) share of the mean square outside the h leading eigenvectors, h = 0, …, m."""
        return np.append(np.cumsum(self.energy_shares[::-1])[::-1], 0.0)

    @property
    def cut(self) -> int:
        """Least number of leading eigenvectors outside which at most ε of the energy lies."""
        return int(np.argmax(self.shares_left <= self.config.relative_tolerance))

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per round."""
        return [
            {
                "round": t,
                "multiplier": float(c),
                "eigenvalues_above_c": int(np.count_nonzero(self.falling > c)),
                "effective_dimension": float(self.complexity.effective_dimension[t]),
                "rademacher": float(self.complexity.rademacher[t]),
                "local_rademacher": float(self.complexity.local_rademacher[t]),
            }
            for t, c in enumerate(self.path.multipliers)
        ]

    def headline(self) -> list[str]:
        """Size of the problem and where ε cuts."""
        config, zeros = self.config, int(np.count_nonzero(self.falling == 0))
        return [
            f"{self.path.spectrum.n_samples} rows, {zeros} zero eigenvalues; {self.cut} leading eigenvectors hold all "
            f"but {config.relative_tolerance:g} of the mean square of {config.target}"
        ]

    def closing(self) -> list[str]:
        """Round of collapse."""
        return [self.path.ending]

    def numbers(self) -> dict[str, Any]:
        """Spectrum, where the target lies on it, and what each round keeps."""
        spectrum = self.path.spectrum
        return {
            "target": self.config.target,
            "features": list(self.feature_names),
            "n_samples": spectrum.n_samples,
            "target_mean_square": spectrum.target_mean_square,
            "tolerance": self.path.tolerance,
            "collapse_round": self.path.collapse_round,
            "zero_eigenvalues": int(np.count_nonzero(self.falling == 0)),
            "eigenvectors_that_hold_all_but_tolerance": self.cut,
            "decay_exponent": decay_exponent(self.falling),
            "rounds": self.rows(),
            "eigenvalues": self.falling.tolist(),
            "energy_shares": self.energy_shares.tolist(),
        }


def run(config: TableConfig) -> Result:
    """Decompose the kernel of all rows and distil until collapse; raises and warns as `studies.distill.run`."""
    prepared = prepare(config)
    path = distilled(prepared, config)
    return Result(config, prepared.table.feature_names, path, complexity(path))


def decay_exponent(falling: NDArray[np.float64]) -> float | None:
    """Exponent p of the power law d_k ∝ k^(−p) fitted by least squares in logarithms to ranks 3 to m/2.

    None where fewer than five positive eigenvalues are left for the fit. For orientation only: RBF kernels decay
    faster than any power.
    """
    ranks = np.arange(1, len(falling) + 1)
    used = (ranks >= 3) & (ranks <= len(falling) / 2) & (falling > 0)
    if np.count_nonzero(used) < 5:
        return None
    return -float(np.polyfit(np.log(ranks[used]), np.log(falling[used]), 1)[0])


def figures(result: Result) -> dict[str, Any]:
    """Eigenvalues, target energy and weights by rank."""
    path = result.path
    ranks = np.arange(1, len(result.falling) + 1)
    figure = new_figure(10.5, 3.4)
    decay, energy, weights = figure.subplots(1, 3)
    plot.spectrum(path, decay).set_title("(a) eigenvalues and multipliers")

    energy.loglog(ranks, result.energy_shares, ".", color="0.6", markersize=3, label="on one eigenvector")
    left = result.shares_left[1:]
    shown = left > 0
    energy.loglog(ranks[shown], left[shown], color="black", label="outside the leading ones")
    label = f"ε, met at rank {result.cut}"
    energy.axhline(result.config.relative_tolerance, color="C1", linestyle="--", label=label)
    energy.set_title("(b) where the target lies")
    energy.set_ylabel(f"share of the mean square of {result.config.target}", parse_math=False)
    least = np.log10(max(float(np.quantile(result.energy_shares, 0.02)), 1e-10) / 3)
    energy.set_ylim(10**least, 10 ** (-least * LEGEND_SHARE / (1 - LEGEND_SHARE)))
    energy.set_yticks([10.0**p for p in range(math.ceil(least), 1)])
    energy.minorticks_off()
    energy.legend(loc="upper left")

    plot.weights(path, weights, against="rank").set(title="(c) what each round keeps")
    energy.set_xlabel(weights.get_xlabel())
    return {"spectrum": figure}


STUDY = form.Study("spectrum", __doc__, TableConfig, run, figures, page=lambda result: path_sections(result.path))

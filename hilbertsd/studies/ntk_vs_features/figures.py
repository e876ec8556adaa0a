"""Figures of kernels beside trained networks: what every use adds to single models, and kernels by round."""

from typing import Any

import numpy as np

from hilbertsd.ntk.ensembles import SIX_USES
from hilbertsd.studies.ntk_vs_features.presets import INFINITE, ROWS
from hilbertsd.studies.ntk_vs_features.results import Result
from hilbertsd.support.plotting import new_figure, round_colours, whole_rounds

MARKERS = "oDs^v"


def figures(result: Result) -> dict[str, Any]:
    """The table as a picture, and tangent kernels by round of self-distillation."""
    return {"uses": _uses(result), "kernels": _kernels(result)}


def _uses(result: Result) -> Any:
    figure = new_figure(9.0, 4.2)
    single, added = figure.subplots(1, 2, width_ratios=(1, 3.2))
    colours = round_colours(len(ROWS))
    for position, row in enumerate(ROWS):
        estimate = result.accuracy(row, "single")
        look: Any = {"color": colours[position], "marker": MARKERS[position], "markersize": 6, "capsize": 3}
        single.errorbar([position], [estimate.mean], [estimate.standard_error], linestyle="", **look)
        found = [result.advantage(row, use) for use in SIX_USES[1:]]
        x = np.arange(len(found)) + 0.15 * (position - 2)
        filled = {} if row != INFINITE else {"markerfacecolor": "white"}
        added.errorbar(
            x,
            [each.mean for each in found],
            [each.standard_error for each in found],
            linestyle="",
            label=row,
            **look,
            **filled,
        )
    single.set_xticks(range(len(ROWS)), [row.replace(" at ", "\nat ").replace(" after ", "\nafter ") for row in ROWS])
    single.tick_params(axis="x", rotation=60, labelsize=7)
    single.set(ylabel="test accuracy of single models, %", xlim=(-0.6, len(ROWS) - 0.4))
    added.axhline(0, color="0.5", linewidth=0.8)
    for boundary in range(len(SIX_USES) - 2):
        added.axvline(boundary + 0.5, color="0.9", linewidth=0.8)
    added.set_xticks(range(len(SIX_USES) - 1), [use.replace(" ", "\n", 1) for use in SIX_USES[1:]])
    added.set(ylabel="test accuracy minus that of single models,\npercentage points")
    handles, names = added.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle(f"{result.data}, {len(result.labels):,} test samples, ± standard errors", fontsize=10)
    return figure


def _kernels(result: Result) -> Any:
    rounds = sorted({each["round"] for each in result.kernels})
    figure = new_figure(9.0, 3.0)
    panels = figure.subplots(1, 3)
    dark, light = round_colours(2)

    def drawn(axes: Any, values: Any, colour: Any, look: str, label: str | None = None) -> None:
        mean, error = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
        axes.errorbar(rounds, mean, error, fmt=look, color=colour, capsize=3, markersize=4, linewidth=1.2, label=label)

    def of(name: str) -> Any:
        return np.array([[each[name] for each in result.kernels if each["round"] == t] for t in rounds])

    drawn(panels[0], of("distance"), dark, "o-", "after training")
    drawn(panels[0], of("distance_between_networks"), light, "s--", "of another network")
    panels[0].set(ylabel="distance from the tangent kernel at\ninitialisation, both centred", yscale="log")
    panels[0].legend(fontsize=7)
    for axes, name, scale, label in (
        (panels[1], "alignment", 1, "alignment of the tangent kernel\nwith the training labels"),
        (panels[2], "ridge_accuracy", 100, "test accuracy of ridge regression\nwith the tangent kernel, %"),
    ):
        values = scale * of(name)
        drawn(axes, values[..., 1], dark, "o-", "after training")
        drawn(axes, values[..., 0], light, "s--", "at initialisation")
        axes.set(ylabel=label)
    panels[1].legend(fontsize=7)
    for axes in panels:
        axes.set(xlabel="round t")
        whole_rounds(axes)
    figure.suptitle(f"{result.data}: tangent kernels of networks by round, mean ± s.e. over seeds", fontsize=10)
    return figure

"""Figures of the study of tables."""

from typing import TYPE_CHECKING, Any

import numpy as np

from hilbertsd.studies.tables.air_quality import LAMBDAS, TUNED_BY, Usual
from hilbertsd.studies.tables.methods import CRITERIA, METHODS, RIDGE
from hilbertsd.studies.tables.one_step import NAMES
from hilbertsd.studies.tables.presets import FACTORS, NOISE_LEVELS, USUAL_MULTIPLIERS
from hilbertsd.studies.tables.runs import TableRuns
from hilbertsd.support.plotting import LINE_STYLES, new_figure, round_colours

if TYPE_CHECKING:
    from hilbertsd.studies.tables.results import Result

MARKERS = ("o", "s", "^", "D")
"""Markers of the tables."""


def figures(result: "Result") -> dict[str, Any]:
    """Methods beside tuned ridge, around its λ, and with noise; and Air Quality in time, where there is the file."""
    drawn = {"tables": _tables(result.tables)}
    return drawn if result.usual is None else {**drawn, "air-quality": _air_quality(result.usual)}


def _tables(tables: list[TableRuns]) -> Any:
    figure = new_figure(11.5, 3.9)
    beside, around, noise = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    looks = list(zip(tables, round_colours(len(tables)), MARKERS, LINE_STYLES, strict=False))
    names = [name for name in METHODS if name != RIDGE]
    for place, (table, colour, marker, _) in enumerate(looks):
        tested = [table.difference(CRITERIA[0], name) for name in names]
        heights = np.arange(len(names))[::-1] + 0.3 - 0.6 * place / max(1, len(looks) - 1)
        mean, error = [each.mean for each in tested], [each.standard_error for each in tested]
        beside.errorbar(
            mean, heights, xerr=error, fmt=marker, color=colour, markersize=4, capsize=2, linewidth=1, label=table.name
        )
    beside.axvline(0, color="0.6", linewidth=0.8)
    for height in np.arange(len(names) - 1) + 0.5:
        beside.axhline(height, color="0.9", linewidth=0.6)
    beside.set_yticks(np.arange(len(names))[::-1], [name.replace(", ", ",\n") for name in names])
    beside.set(xlabel="test error − tuned ridge's, % of ridge's", title="(a) all tuned by leave-one-out")
    for table, colour, marker, line in looks:
        tuned = table.errors(CRITERIA[0], RIDGE).mean()
        means = {name: table.around(name).mean(axis=0) / tuned for name in ("ridge", "mixture")}
        around.plot(FACTORS, means["ridge"], linestyle=line, marker=marker, color=colour, mfc="none", markersize=5)
        around.plot(FACTORS, means["mixture"], linestyle=line, marker=marker, color=colour, markersize=4)
        tested = [table.tested(table.noise("oracle_xi", anew=False)[:, k]) for k in range(len(NOISE_LEVELS))]
        mean, error = [each.mean for each in tested], [each.standard_error for each in tested]
        noise.errorbar(
            NOISE_LEVELS, mean, yerr=error, linestyle=line, marker=marker, color=colour, markersize=4, capsize=2
        )
    around.axhline(1, color="0.6", linewidth=0.8)
    around.plot([], [], "o-", color="black", mfc="none", label="ridge")
    around.plot([], [], "o-", color="black", label="one-step mixture")
    around.set(xscale="log", yscale="log", xlabel="λ over that tuned for ridge", ylabel="test error over tuned ridge's")
    around.set_title("(b) at other λ")
    low, high = around.get_ylim()
    ticks = [value for value in (0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100) if low <= value <= high]
    around.set_yticks(ticks, [f"{value:g}" for value in ticks])
    around.minorticks_off()
    around.legend(loc="upper center", fontsize=8)
    noise.axhline(1, color="0.6", linewidth=0.8)
    noise.set(xlabel="noise in training targets, s.d. over theirs", ylabel="ξ that is best on the test rows")
    noise.set_title("(c) at the λ tuned without noise")
    figure.legend(*beside.get_legend_handles_labels(), loc="outside lower center", ncols=len(tables))
    return figure


def _air_quality(usual: Usual) -> Any:
    figure = new_figure(10.5, 3.7)
    along, shares = figure.subplots(1, 2)
    target = usual.targets[0]
    looks = (
        ("ridge", "-", "black", "ridge"),
        ("mixture", "--", "C0", "one-step mixture, ξ by generalised cross-validation"),
    )
    for name, line, colour, label in (*looks, ("oracle", ":", "0.5", "the same, ξ best on the test rows (oracle)")):
        along.plot(LAMBDAS, target.curve[NAMES.index(name)], linestyle=line, color=colour, label=label)
    for name, marker, colour in (("ridge", "o", "black"), ("mixture", "s", "C0")):
        errors = [usual.tested(getattr(target.usual[value], name)).mean for value in USUAL_MULTIPLIERS]
        along.plot(USUAL_MULTIPLIERS, errors, marker, color=colour, markersize=5)
    tuned = target.tuned
    along.plot(tuned.multiplier, tuned.errors.mean(), "D", color="black", mfc="none", label="ridge, λ tuned")
    along.set(xscale="log", xlabel="λ", ylabel="test error, (µg/m³)²", ylim=(0, None))
    along.set_title(f"(a) Air Quality in time, the last 30 %, {usual.n_weeks} weeks")
    along.legend(loc="lower left", fontsize=8)
    styles = {TUNED_BY[0]: ("--", "none"), TUNED_BY[1]: ("-", None)}
    methods = [name for name in usual.methods_mixed() if name != "four-step mixture"]
    for method, marker, colour in zip(methods, MARKERS, ("C0", "C1"), strict=False):
        for tuned_by, (line, fill) in styles.items():
            values = usual.by_share(tuned_by, method)
            shares.plot(
                [100 * share for share in values],
                list(values.values()),
                linestyle=line,
                marker=marker,
                mfc=fill if fill else colour,
                color=colour,
                label=f"{method}, {tuned_by}",
            )
    shares.axhline(0, color="0.6", linewidth=0.8)
    shares.set(xlabel="hours that train, % of the record", ylabel="test error − ridge's tuned alike, % of ridge's")
    shares.set_title("(b) all later hours test")
    shares.legend(loc="upper right", fontsize=8)
    return figure

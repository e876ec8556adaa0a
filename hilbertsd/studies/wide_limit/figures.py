"""Figure of the study of finite width: distances over width by rule, kernels, and where the limit fails."""

from typing import Any

import numpy as np

from hilbertsd.studies.wide_limit.measures import Measures
from hilbertsd.studies.wide_limit.presets import DESCENT, PENALISED, PRESETS, Setting
from hilbertsd.studies.wide_limit.results import ROOT, Result
from hilbertsd.support.plotting import LINE_STYLES, new_figure, round_colours

MARKERS = "os^Dv"
TITLES = {PENALISED: "with penalty, from the path", DESCENT: "descent to ε, from flows"}


def figures(result: Result) -> dict[str, Any]:
    """Eight panels: four of distances, one of kernels, one of parts, and two rows of what makes the limit fail."""
    figure = new_figure(13.0, 6.6)
    panels = figure.subplots(2, 4)
    main = PRESETS[result.config.preset].main()
    for panel in panels[0][len(main) :]:
        panel.set_axis_off()
    for letter, panel, setting in zip("abcd", panels[0], main, strict=False):
        _distances(panel, result, setting)
        panel.set_title(f"({letter}) {setting.network},\n{TITLES[setting.rule]}", fontsize=9)
    panels[0, 0].set_ylabel("distance from the limit on test\nimages, root mean square")
    kernels, rates, depths, tolerances = panels[1]
    _kernels(kernels, result)
    _rates(rates, result)
    _depths(depths, result)
    _tolerances(tolerances, result)
    return {"wide-limit": figure}


def _distances(axes: Any, result: Result, setting: Setting) -> None:
    widths = PRESETS[result.config.preset].main()[setting]
    by_width = [result.measures[setting, width] for width in widths]
    looks = zip(range(setting.rounds), round_colours(setting.rounds), LINE_STYLES, MARKERS, strict=False)
    for t, colour, line, marker in looks:
        _line(axes, widths, by_width, "distance", t, f"round {t}", color=colour, linestyle=line, marker=marker)
    _guide(axes, widths, float(np.nanmean(by_width[0].distance[:, 0])), ROOT, "1/√width")
    _width_axis(axes, widths)
    axes.set_yscale("log")
    axes.legend(fontsize=7, loc="lower left")


def _kernels(axes: Any, result: Result) -> None:
    main = PRESETS[result.config.preset].main()
    looks = zip((setting for setting in main if setting.rule == DESCENT), round_colours(2), strict=False)
    for place, (setting, colour) in enumerate(looks):
        widths = main[setting]
        by_width = [result.measures[setting, width] for width in widths]
        name = setting.network.rpartition("-")[0]
        for kind, label, line, marker in (
            ("kernel_distance", "at the start, from infinite", "-", "os"[place]),
            ("kernel_change", "change in training", "--", "^v"[place]),
        ):
            look: Any = {"color": colour, "linestyle": line, "marker": marker}
            _line(axes, widths, by_width, kind, 0, f"{name}: {label}", **look)
        if place == 0:
            for kind, slope, label in (("kernel_distance", ROOT, "1/√width"), ("kernel_change", 2 * ROOT, "1/width")):
                _guide(axes, widths, float(np.nanmean(getattr(by_width[0], kind)[:, 0])), slope, label)
    _width_axis(axes, sorted({width for setting in main for width in main[setting]}))
    axes.set(yscale="log", ylabel="relative distance of tangent\nkernels, Frobenius norm")
    axes.set_title("(e) tangent kernels, round 0, descent", fontsize=9)
    axes.set_ylim(bottom=axes.get_ylim()[0] / 4)  # room for the legend
    axes.legend(fontsize=6, loc="lower left")


def _rates(axes: Any, result: Result) -> None:
    settings = PRESETS[result.config.preset].sweeps()["rate"]
    rates = [setting.rate for setting in settings]
    for width, colour, line, marker in _by_width(result):
        by_rate = [result.measures[setting, width] for setting in settings]
        _line(axes, rates, by_rate, "distance", 0, f"width {width}", color=colour, linestyle=line, marker=marker)
    width = PRESETS[result.config.preset].sweep_widths[0]
    errors = [result.limits[setting, width].step_error[0] for setting in settings]
    axes.plot(rates, errors, color="0.5", linestyle=":", marker="x", markersize=4, label="infinite width, by steps")
    axes.axvline(1, color="0.6", linewidth=0.8)
    axes.annotate(
        "2/λ", (1, 1), xycoords=("data", "axes fraction"), xytext=(2, -8), textcoords="offset points", fontsize=7
    )
    axes.set(yscale="log", xlabel="learning rate, in units of 2/λ at the start")
    axes.set_ylabel("distance from the limit in round 0")
    axes.set_title("(f) learning rate", fontsize=9)
    axes.legend(fontsize=7)


def _depths(axes: Any, result: Result) -> None:
    preset = PRESETS[result.config.preset]
    sweeps = preset.sweeps()
    standard = [setting for setting in sweeps["parameterisation"] if setting.parameterization == "standard"]
    shown = [*sweeps["depth"], *standard]
    names = [*dict.fromkeys(setting.network.rpartition("-")[2] for setting in sweeps["depth"]), "2, standard"]
    widths = sorted({*preset.depth_widths, *preset.sweep_widths})
    for width, colour in zip(widths, round_colours(len(widths)), strict=True):
        for rule, marker, apart in ((PENALISED, "o", -0.08), (DESCENT, "s", 0.08)):
            of_rule = enumerate(setting for setting in shown if setting.rule == rule)
            found = [(place, result.measures.get((setting, width))) for place, setting in of_rule]
            places = [place + apart for place, measures in found if measures is not None]
            measures = [measures for _, measures in found if measures is not None]
            look: Any = {"color": colour, "linestyle": "", "marker": marker}
            _line(axes, places, measures, "distance", 0, f"{rule}, width {width}", **look)
    axes.set_xticks(range(len(names)), names)
    axes.set(yscale="log", xlabel="hidden layers (and parameterisation)")
    axes.set_ylim(bottom=axes.get_ylim()[0] / 2)  # room for the legend
    axes.set_title("(g) depth and parameterisation", fontsize=9)
    axes.legend(fontsize=6, ncols=2)


def _tolerances(axes: Any, result: Result) -> None:
    settings = PRESETS[result.config.preset].sweeps()["tolerance"]
    for width, colour, line, _ in _by_width(result):
        for rule, marker in ((PENALISED, "o"), (DESCENT, "s")):
            chosen = [setting for setting in settings if setting.rule == rule]
            measures = [result.measures[setting, width] for setting in chosen]
            look: Any = {"color": colour, "linestyle": line, "marker": marker}
            _line(
                axes,
                [setting.tolerance for setting in chosen],
                measures,
                "distance",
                0,
                f"{rule}, width {width}",
                **look,
            )
    axes.set(xscale="log", yscale="log", xlabel="ε, share of the targets' mean square")
    axes.set_title("(h) small ε, and with it small c", fontsize=9)
    axes.legend(fontsize=6.5)


def _by_width(result: Result) -> Any:
    widths = PRESETS[result.config.preset].sweep_widths
    return zip(widths, round_colours(len(widths)), LINE_STYLES, MARKERS, strict=False)


def _line(axes: Any, x: Any, measures: list[Measures], name: str, t: int, label: str, **look: Any) -> None:
    """Means over seeds with their standard errors; without a point where fewer than two chains came to their end."""
    found = [(place, each.estimate(name, t)) for place, each in zip(x, measures, strict=True)]
    points = [(place, *estimate) for place, estimate in found if estimate is not None]
    if points:
        places, means, errors = zip(*points, strict=True)
        axes.errorbar(places, means, errors, label=label, markersize=4, linewidth=1.2, capsize=2, **look)


def _guide(axes: Any, widths: Any, first: float, slope: float, label: str) -> None:
    ends = np.array([widths[0], widths[-1]], dtype=float)
    axes.plot(ends, first * (ends / ends[0]) ** slope, color="0.6", linewidth=0.8, zorder=0)
    at = ends[0] * (ends[1] / ends[0]) ** 0.75
    axes.annotate(
        label, (at, first * (at / ends[0]) ** slope), xytext=(2, 4), textcoords="offset points", fontsize=7, color="0.4"
    )


def _width_axis(axes: Any, widths: Any) -> None:
    axes.set_xscale("log")
    axes.set_xticks(widths, [f"{width:,}" for width in widths])
    axes.minorticks_off()
    axes.set_xlabel("width")

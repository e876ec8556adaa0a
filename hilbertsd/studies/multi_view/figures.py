"""Figures of the multi-view study: errors by use, the views that networks know, sweeps, and kernels with controls."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies.multi_view.evidence import Evidence
from hilbertsd.studies.multi_view.kernels import INFINITE, finite
from hilbertsd.studies.multi_view.parts import OVER_TIME
from hilbertsd.studies.multi_view.results import USES, Result
from hilbertsd.support.plotting import LINE_STYLES, new_figure, round_colours, whole_rounds

BOUNDS = (0.5, 0.26, 0.01)
"""Errors of the theorems: of a single network, of a student of one, of the ensemble and its students."""

SHORT = {
    "single": "single",
    "ensemble": "ensemble",
    "train the average": "trained\naverage",
    "knowledge distillation": "distilled\nfrom\nensemble",
    "self-distillation": "self-\ndistilled",
    "ensemble of the distilled": "ensemble\nof\ndistilled",
    "longer training": "longer\ntraining",
}

SWEPT = ("single", "ensemble", "self-distillation", "knowledge distillation")
"""Uses that every sweep has, by how large their errors are said to be."""

SHOWN = ("single", "ensemble", "knowledge distillation", "self-distillation", "longer training")
"""Uses whose networks' strengths are shown side by side; of the ensemble the mean."""

SYMBOLS = {
    "k": "classes k",
    "m": "neurons of a class m",
    "mu": "share of single-view samples μ",
    "q": "power of the ReLU q (4: from σ₀ = 0.01)",
    "sigma_0": "scale at the start σ₀",
    "N": "training samples N",
}

MARKERS = "os^Dv"


def figures(result: Result) -> dict[str, Any]:
    """Five figures by the names of their files."""
    evidence = result.evidence
    return {
        "multi-view": _uses(evidence),
        "multi-view-views": _views(evidence),
        "multi-view-learned": _learned(evidence),
        "multi-view-sweeps": _sweeps(evidence),
        "multi-view-kernels": _kernels_and_controls(evidence),
    }


def _uses(evidence: Evidence) -> Any:
    """Errors by use above, and below their parts: test samples whose view is known, and those whose view is not."""
    main = list(evidence.preset.main)
    figure = new_figure(2 + 4.6 * len(main), 6.2)
    panels = figure.subplots(2, len(main), squeeze=False, sharey="row")
    for place, setting in enumerate(main):
        uses = [use for use in USES if use in evidence.uses(setting)]
        top, bottom = panels[:, place]
        top.set_title(f"k = {setting.data.n_classes}, μ = {setting.data.single_view_share:g}", fontsize=9)
        for level in BOUNDS:
            top.axhline(level, color="0.75", linewidth=0.8, zorder=0)
            if place == len(main) - 1:
                top.annotate(f"{level}", (1.0, level), xycoords=("axes fraction", "data"), fontsize=7, va="center")
        _by_use(top, [evidence.errors(setting, use) for use in uses], "o", "0.1", 0.0)
        for name, marker, colour, apart in (("seen", "o", "0.1", -0.12), ("missing", "^", "0.55", 0.12)):
            _by_use(bottom, [evidence.means(setting, use, name) for use in uses], marker, colour, apart, _WORDS[name])
        for panel in (top, bottom):
            panel.set_xticks(range(len(uses)), [SHORT[use] for use in uses], fontsize=7)
    panels[0, 0].set_ylabel("test error, in units of μ")
    panels[1, 0].set_ylabel("error on single-view test samples")
    panels[1, 0].legend(fontsize=7, loc="center right")
    return figure


_WORDS = {"seen": "of which the network knows the view", "missing": "of which it does not"}


def _by_use(
    axes: Any, values: list[NDArray[np.float64]], marker: str, colour: str, apart: float, label: str = ""
) -> None:
    """A dot a draw, and the mean with its standard error beside the dots."""
    for place, some in enumerate(values):
        shown = some[~np.isnan(some)]
        spread = np.linspace(-0.06, 0.06, len(shown)) if len(shown) > 1 else np.zeros(len(shown))
        axes.plot(place + apart + spread, shown, marker, color=colour, markersize=3, alpha=0.7)
        if len(shown) > 1:
            error = shown.std(ddof=1) / np.sqrt(len(shown))
            axes.errorbar(
                place + apart + 0.16,
                shown.mean(),
                error,
                fmt=marker,
                color=colour,
                markersize=5,
                capsize=2,
                markerfacecolor="white",
            )
    if label:
        axes.plot([], [], marker, color=colour, markersize=4, label=label)


def _views(evidence: Evidence) -> Any:
    """Strength of every view in every network of the first draw, and over time in the first network of each use."""
    setting = next(iter(evidence.preset.main))
    draw = evidence.measured[setting][0]
    shown = [use for use in SHOWN if use in draw]
    counts = [len(draw[use].strengths) for use in shown]
    figure = new_figure(11.0, 7.0)
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.25, 1.0))
    upper, lower = halves
    panels = upper.subplots(1, len(shown), width_ratios=[max(count, 1.6) for count in counts], sharey=True)
    largest = max(float(draw[use].strengths.max()) for use in shown)
    image = None
    for panel, use in zip(panels, shown, strict=True):
        strengths = draw[use].strengths.reshape(len(draw[use].strengths), -1).T
        image = panel.imshow(strengths, aspect="auto", cmap="Greys", vmin=0, vmax=largest, interpolation="none")
        for border in np.arange(1.5, len(strengths) - 1, 2):
            panel.axhline(border, color="0.8", linewidth=0.5)
        panel.set_xticks(range(strengths.shape[1]), [str(i + 1) for i in range(strengths.shape[1])], fontsize=7)
        panel.set_xlabel("network")
        panel.set_title(SHORT[use], fontsize=8)
    k = setting.data.n_classes
    panels[0].set_yticks(np.arange(k) * 2 + 0.5, [str(j + 1) for j in range(k)])
    panels[0].set_ylabel("class, with its two views")
    upper.colorbar(image, ax=list(panels), label="strength: largest correlation\nof the class's neurons", pad=0.01)
    for panel, use in zip(lower.subplots(1, len(OVER_TIME), sharey=True), OVER_TIME, strict=True):
        _over_time(panel, draw[use].over_time, use)
        if use == OVER_TIME[0]:
            panel.set_ylabel("strength of a view")
            panel.legend(fontsize=7, loc="upper left")
    return figure


def _one_line(use: str) -> str:
    return SHORT[use].replace("-\n", "-").replace("\n", " ")


def _over_time(axes: Any, strengths: Any, use: str) -> None:
    """A line a view: the one of its class that is stronger at the end, and the other."""
    from hilbertsd.views.descent import RECORD_EVERY

    steps = RECORD_EVERY * np.arange(1, len(strengths) + 1)
    stronger = strengths[-1].argmax(axis=1)
    for j in range(strengths.shape[1]):
        for line, look, colour in ((stronger[j], "-", "0.1"), (1 - stronger[j], "--", "0.55")):
            axes.plot(steps, np.maximum(strengths[:, j, line], 1e-6), look, color=colour, linewidth=0.9)
    axes.plot([], [], "-", color="0.1", label="the stronger view of a class")
    axes.plot([], [], "--", color="0.55", label="the other one")
    axes.set(xscale="log", yscale="log", xlabel="step")
    axes.set_title(f"network 1, {_one_line(use)}", fontsize=9)


def _learned(evidence: Evidence) -> Any:
    """Whether students of the ensemble learn a class's weaker view, by teachers that know it, and by their start."""
    figure = new_figure(8.0, 3.2)
    left, right = figure.subplots(1, 2, sharey=True)
    looks = zip(evidence.preset.main, ("0.1", "0.55"), "os", ("-", "--"), strict=False)
    for setting, colour, marker, line in looks:
        teachers, starts, learned = evidence.weaker_views(setting)
        look: Any = {"color": colour, "marker": marker, "linestyle": line, "capsize": 2, "markersize": 4}
        label = f"k = {setting.data.n_classes}"
        for axes, values, edges in (
            (left, teachers, np.arange(evidence.preset.main[setting].networks + 2) - 0.5),
            (right, starts, np.array([-np.inf, 0.75, 1.25, 1.75, 2.25, np.inf])),
        ):
            places = np.digitize(values, edges) - 1
            counts = np.bincount(places, minlength=len(edges) - 1)
            shown = np.flatnonzero(counts)
            share = np.bincount(places, learned, len(edges) - 1)[shown] / counts[shown]
            error = np.sqrt(share * (1 - share) / counts[shown])
            centres = (shown if axes is left else np.array([0.5, 1.0, 1.5, 2.0, 2.5])[shown]).astype(float)
            axes.errorbar(centres, share, error, label=label, **look)
    left.set(xlabel="teachers that know the view", ylabel="share of the weaker views\nthat the student learns")
    right.set(xlabel="the student's strength after ten steps, in σ₀")
    right.set_xticks([0.5, 1.0, 1.5, 2.0, 2.5], ["below\n0.75", "1", "1.5", "2", "above\n2.25"])
    whole_rounds(left)
    left.legend(fontsize=7, loc="lower right")
    return figure


def _sweeps(evidence: Evidence) -> Any:
    """Errors over what is varied, a panel each."""
    sweeps = evidence.preset.sweeps
    columns = min(3, len(sweeps))
    rows = -(-len(sweeps) // columns)
    figure = new_figure(3.7 * columns, 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for panel in panels.flat[len(sweeps) :]:
        panel.set_axis_off()
    for place, (panel, (name, settings)) in enumerate(zip(panels.flat, sweeps.items(), strict=False)):
        for level in BOUNDS:
            panel.axhline(level, color="0.85", linewidth=0.8, zorder=0)
        looks = zip(SWEPT, round_colours(len(SWEPT)), LINE_STYLES, MARKERS, strict=False)
        for use, colour, line, marker in looks:
            found = [evidence.errors(setting, use) for setting in settings.values()]
            means = [values.mean() for values in found]
            errors = [values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0 for values in found]
            label = _one_line(use)
            look: Any = {"color": colour, "linestyle": line, "marker": marker}
            panel.errorbar(list(settings), means, errors, label=label, markersize=4, linewidth=1.2, capsize=2, **look)
        panel.set_xscale("log")
        panel.set_xticks(list(settings), [f"{value:g}" for value in settings])
        panel.minorticks_off()
        panel.set_xlabel(SYMBOLS[name])
        if place % columns == 0:
            panel.set_ylabel("test error, in units of μ")
    lines, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=len(SWEPT), fontsize=8)
    return figure


def _kernels_and_controls(evidence: Evidence) -> Any:
    """Kernels on the same data by the number of samples, and uses of networks on data without views."""
    sizes = evidence.preset.kernels
    figure = new_figure(11.0, 3.4)
    few, neurons, controls = figure.subplots(1, 3, width_ratios=(1, 1, 1.2))
    shown = ("single", "ensemble", "train the average", "knowledge distillation", "self-distillation")
    kernel = finite(min(sizes.neurons))
    for use, colour, line, marker in zip(shown, round_colours(5), (*LINE_STYLES, "-"), MARKERS, strict=True):
        label = _one_line(use)
        _over_samples(few, evidence, kernel, use, label, color=colour, linestyle=line, marker=marker)
    few.set_title(kernel, fontsize=9)
    names = [*(finite(each) for each in sizes.neurons), INFINITE]
    looks = zip(names, round_colours(len(names)), LINE_STYLES, MARKERS, strict=False)
    for name, colour, line, marker in looks:
        label = name.removeprefix("tangent kernel, ")
        _over_samples(neurons, evidence, name, "single", label, color=colour, linestyle=line, marker=marker)
    neurons.set_title("single kernels", fontsize=9)
    for panel in (few, neurons):
        panel.set_xscale("log")
        panel.set_xticks(sizes.n_train, [str(n) for n in sizes.n_train], fontsize=7)
        panel.minorticks_off()
        panel.set_xlabel("training samples")
        panel.legend(fontsize=7)
    few.set_ylabel("error on single-view test samples, %")
    looks = zip(evidence.controls.items(), round_colours(3), MARKERS, (-0.2, 0.0, 0.2), strict=False)
    for (name, draws), colour, marker, apart in looks:
        uses = [use for use in draws[0].errors if use != "single"]
        of_single = 100 * np.mean([draw.errors["single"] for draw in draws])
        values = 100 * np.array([[draw.errors[use] - draw.errors["single"] for use in uses] for draw in draws])
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        places = np.arange(len(uses)) + apart
        controls.errorbar(
            places,
            values.mean(axis=0),
            error,
            fmt=marker,
            color=colour,
            markersize=5,
            capsize=2,
            label=f"{name}: {of_single:.0f} %",
        )
        controls.set_xticks(range(len(uses)), [SHORT[use] for use in uses], fontsize=7)
    controls.axhline(0, color="0.75", linewidth=0.8, zorder=0)
    controls.set_ylabel("test error minus that of single\nnetworks, in points")
    controls.set_title("networks on data without views", fontsize=9)
    controls.legend(fontsize=7, title="error of single networks", title_fontsize=7)
    return figure


def _over_samples(axes: Any, evidence: Evidence, kernel: str, use: str, label: str, **look: Any) -> None:
    values = 100 * np.array([draw.uses[kernel][use][:, 0] for draw in evidence.kernels])
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    n_train = evidence.preset.kernels.n_train
    axes.errorbar(n_train, values.mean(axis=0), error, label=label, markersize=4, linewidth=1.2, capsize=2, **look)

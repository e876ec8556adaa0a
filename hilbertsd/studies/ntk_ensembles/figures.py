"""Figures of the study of ensembles: what every use adds to single models, and maps over both strengths."""

from typing import Any

from hilbertsd.ntk.ensembles import DISTILLED, USES
from hilbertsd.studies.ntk_ensembles.orderings import Ordering
from hilbertsd.studies.ntk_ensembles.presets import FULL, MULTIPLES
from hilbertsd.studies.ntk_ensembles.published import PUBLISHED_RATIOS
from hilbertsd.studies.ntk_ensembles.results import Result
from hilbertsd.support.plotting import LINE_STYLES, new_figure, round_colours

MARKERS = "so^v"

APART = 1.03
"""Factor between the ratios at which two uses are drawn, so that their error bars do not hide each other."""

WIDER, TICKS = 1.7, (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
"""Factor by which the axis of ratios goes beyond what is drawn, and its ticks."""

SHOWN = 12.0
"""Percentage points that the colours of a map span; what is lower has the darkest."""

MAPPED = ("ridge", True)
"""Family and normalisation of the full-output form whose maps are drawn."""


def figures(result: Result) -> dict[str, Any]:
    """Advantages over single models against parameters per target, and maps over both strengths at three ratios."""
    return {"advantages": _advantages(result), "maps": _maps(result)}


def _advantages(result: Result) -> Any:
    orderings = result.orderings
    forms = list(result.ratios)
    columns = len(orderings) // len(forms)
    figure = new_figure(3.1 * columns, 2.9 * len(forms) + 0.4)
    axes = figure.subplots(len(forms), columns, sharey="row", sharex="row", squeeze=False)
    for place, ordering in zip(axes.ravel(), orderings, strict=True):
        _panel(place, ordering)
    for row in axes:
        row[0].set_ylabel("test accuracy minus that of\nsingle models, percentage points")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def _panel(axes: Any, ordering: Ordering) -> None:
    """What every use adds to single models at one setting."""
    axes.axhline(0, color="0.5", linewidth=0.8)
    for name, ratio in PUBLISHED_RATIOS.items():
        side = 1 if ratio > 1 else -1  # away from what is drawn
        axes.axvline(ratio, color="0.6", linewidth=0.8, linestyle=":")
        axes.annotate(
            name.upper().replace("CIFAR", "CIFAR-"),
            (ratio, 1),
            xycoords=("data", "axes fraction"),
            xytext=(7 * side, -1),
            textcoords="offset points",
            rotation=90,
            ha="left" if side > 0 else "right",
            va="top",
            fontsize=6,
            color="0.4",
        )
    looks = zip(USES[1:], round_colours(len(USES) - 1), LINE_STYLES, MARKERS, strict=True)
    for position, (use, colour, line, marker) in enumerate(looks):
        points = ordering.difference(use, "single")
        x = ordering.ratios * APART ** (position - 1.5)
        look: Any = {"color": colour, "marker": marker, "markersize": 5}
        axes.errorbar(
            x, points.mean, points.standard_error, linestyle=line, linewidth=1.2, capsize=2, label=use, **look
        )
        unseen = ~(points.above | points.below)
        axes.plot(x[unseen], points.mean[unseen], linestyle="", markerfacecolor="white", zorder=3, **look)
    setting = ordering.setting
    per = "p/(nk)" if setting.form == FULL else "p/n"
    axes.set(xscale="log", xlabel=f"parameters per target, {per}")
    low, high = (
        min(ordering.ratios[0], *PUBLISHED_RATIOS.values()),
        max(ordering.ratios[-1], *PUBLISHED_RATIOS.values()),
    )
    axes.set_xlim(low / WIDER, high * WIDER)
    axes.set_xticks([tick for tick in TICKS if low / WIDER < tick < high * WIDER])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_title(f"{setting.form}, {setting.family}\nkernel {_kernel(setting.normalised)}", fontsize=9)


def _maps(result: Result) -> Any:
    ordering = next(each for each in result.orderings if each.setting == (FULL, MAPPED[1], MAPPED[0]))
    W = len(ordering.ratios)
    chosen = sorted({0, W // 2, W - 1})
    maps = {use: ordering.advantage_map(use)[chosen] for use in DISTILLED}
    highest = max(float(values.max()) for values in maps.values())
    figure = new_figure(3.3 * len(chosen) + 0.9, 6.8)
    axes = figure.subplots(len(maps), len(chosen), squeeze=False, sharex=True, sharey=True)
    image: Any = None
    for row, (use, values) in zip(axes, maps.items(), strict=True):
        for place, w, grid in zip(row, chosen, values, strict=True):
            image = place.imshow(
                grid, origin="lower", cmap="cividis", vmin=highest - SHOWN, vmax=highest, aspect="auto"
            )
            _cells(place, grid, highest)
            place.set_title(f"{use}\np/(nk) = {ordering.ratios[w]:.2g}", fontsize=9)
    for place in axes[-1]:
        place.set_xlabel("strength of the student,\nmean eigenvalues")
    for place in axes[:, 0]:
        place.set_ylabel("strength of the teacher,\nmean eigenvalues")
    label = "test accuracy minus that of single models\nat their chosen strength, percentage points"
    figure.colorbar(image, ax=axes, shrink=0.6, label=label, extend="min")
    return figure


def _cells(axes: Any, grid: Any, highest: float) -> None:
    """Numbers of a map in its cells, bold from 0 on, and strengths on its axes."""
    for i, row in enumerate(grid):
        for j, value in enumerate(row):
            dark = value < highest - 0.4 * SHOWN
            look = {"color": "white" if dark else "black", "weight": "bold" if value >= 0 else "normal"}
            axes.text(j, i, f"{value:+.1f}", ha="center", va="center", fontsize=5.5, **look)
    places = range(0, len(MULTIPLES), 2)
    names = [f"{float(f'{MULTIPLES[place]:.1e}'):g}" for place in places]
    axes.set_xticks(places, names, fontsize=7)
    axes.set_yticks(places, names, fontsize=7)
    axes.spines[:].set_visible(False)


def _kernel(normalised: bool) -> str:
    return "normalised, K(x, x) = 1" if normalised else "as it is"

"""The slider over rounds: figures that move together, and a read-out of the round's numbers.

A curve of a figure is the same in every round, or has one version per round. Matplotlib draws the figure of the first
round, as SVG; its axes hold all rounds, so that a curve is seen to move. Where the points of every round belong in it
is sent to the page once, as JSON, and a script moves them there.
"""

import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hilbertsd.pages.text import value_text
from hilbertsd.support.headings import heading_of_one_line
from hilbertsd.support.plotting import STYLE, new_figure, plain_legend

DECIMALS = 2
"""Decimals of a place in an SVG, whose unit is a 72nd of an inch."""

TICK_DIGITS = 12
"""Most digits of a number at an axis; there is no offset that is to be added to it."""

LONGEST_NAME, LONGEST_OF_TWO = 44, 20
"""Characters of a name in a legend of one column, beyond which its middle is left out, and in one of two columns."""

MARGIN = 0.06
"""Room on either side of an axis, as a part of what it shows."""

Role = Literal["round", "ring", "reference", "data", "guide", "measure-0", "measure-1", "measure-2", "measure-3"]
"""What a curve stands for; its colour is that of the role, and the round's own where it is "round" or "ring"."""

LOOKS: dict[str, dict[str, Any]] = {
    "round": {"linewidth": 2.2, "marker": "o", "markersize": 4.5},
    "ring": {"marker": "o", "markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.8},
    "reference": {"linewidth": 1.2, "linestyle": ":", "marker": "o", "markersize": 3.5, "markerfacecolor": "none"},
    "data": {"marker": "x", "markersize": 4.5, "markeredgewidth": 1.5},
    "guide": {"linewidth": 1.5, "linestyle": "--"},
    "measure-0": {"linewidth": 1.2, "marker": "o", "markersize": 4},
    "measure-1": {"linewidth": 1.2, "linestyle": "-.", "marker": "^", "markersize": 4.5},
    "measure-2": {"linewidth": 1.2, "linestyle": "--", "marker": "s", "markersize": 4},
    "measure-3": {"linewidth": 1.2, "linestyle": ":", "marker": "D", "markersize": 4.5, "markerfacecolor": "none"},
}
"""Widths, dashes and markers by role, which tell curves apart without colour."""

COLOURS = {
    "round": ("#010101", "now"),
    "ring": ("#010101", "now"),
    "reference": ("#010102", "reference"),
    "data": ("#010103", "ink"),
    "guide": ("#010104", "guide"),
    "measure-0": ("#010105", "measure-0"),
    "measure-1": ("#010106", "measure-1"),
    "measure-2": ("#010107", "measure-2"),
    "measure-3": ("#010108", "measure-3"),
    "text": ("#010109", "ink"),
    "axis": ("#01010a", "muted"),
}
"""What Matplotlib draws each role with, and the style sheet's colour that takes its place, in light and in dark."""

MOST_TICKS = 5
"""Intervals between numbers at an axis."""

LONG_NUMBER = 6
"""Characters of a number at the horizontal axis, beyond which there are fewer of them."""

LEGEND_LINE = 0.18
"""Inches of a line of the legend."""

WIDTH, HEIGHT = 4.2, 3.0
"""Inches of a figure; at 72 points an inch about the width of a telephone, and scaled to the room there is."""

MEASURES: tuple[Role, ...] = ("measure-0", "measure-1", "measure-2", "measure-3")
"""Roles of quantities by round, taken in turn."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Points or a line.

    Attributes
    ----------
    name : name in the legend; empty for a curve that is not named there.
    role : what it stands for.
    mode : "lines", "markers" or both joined by +.
    x, y : (m,), or (T, m) where there is one version per round.
    """

    name: str
    role: Role
    mode: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Panel:
    """One figure.

    Attributes
    ----------
    title : heading above it.
    x_title, y_title : what the axes show.
    curves : drawn in this order.
    log_x : whether the horizontal axis is logarithmic; all x are then positive.
    whole_x : whether the horizontal axis has whole numbers only.
    """

    title: str
    x_title: str
    y_title: str
    curves: tuple[Curve, ...]
    log_x: bool = False
    whole_x: bool = False


@dataclass(frozen=True, eq=False)
class Rounds:
    """Slider over rounds.

    Attributes
    ----------
    rounds : (T,) numbers of the rounds that the slider stops at, of which there is at least one.
    last : number of the last round there is.
    numbers : (T,) values of each round by name.
    panels : figures, whose moving curves have T versions.
    """

    rounds: Sequence[int]
    last: int
    numbers: Sequence[Mapping[str, Any]]
    panels: tuple[Panel, ...]

    def markup(self) -> str:
        """HTML, and what the script moves as JSON; Matplotlib is imported."""
        steps = len(self.rounds) - 1
        read_out = "".join(
            f"<div><dt>{html.escape(heading_of_one_line(name))}</dt><dd>{html.escape(value_text(value))}</dd></div>"
            for name, value in self.numbers[0].items()
        )
        drawings = [panel_drawing(panel, f"figure-{place}") for place, panel in enumerate(self.panels)]
        figures = "".join(
            f'<figure class="panel"><figcaption><h3>{html.escape(panel.title)}</h3></figcaption>'
            f'<div class="plot" role="img" aria-label="{html.escape(_described(panel))}">{svg}</div></figure>\n'
            for panel, (svg, _) in zip(self.panels, drawings, strict=True)
        )
        content = {
            "rounds": list(self.rounds),
            "numbers": [[value_text(value) for value in numbers.values()] for numbers in self.numbers],
            "moving": {identifier: curve for _, moving in drawings for identifier, curve in moving.items()},
        }
        return (
            '<div class="rounds">\n<div class="control">\n'
            f'<label>Round <output aria-live="polite">{self.rounds[0]}</output> <span>of 0 to {self.last}</span>'
            f'<input type="range" min="0" max="{steps}" value="0" autocomplete="off" '
            f'aria-valuetext="round {self.rounds[0]}"'
            f"{' disabled' if steps == 0 else ''}></label>\n"
            f'</div>\n<dl class="facts numbers">{read_out}</dl>\n<div class="panels">\n{figures}</div>\n'
            "<noscript><p>The slider and its figures need JavaScript, which this browser does not run.</p></noscript>\n"
            f'<script type="application/json">{embedded_json(content)}</script>\n</div>\n'
        )


def embedded_json(content: Any) -> str:
    """JSON that no text in it can end the script element of."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def panel_drawing(panel: Panel, name: str) -> tuple[str, dict[str, dict[str, list[Any]]]]:
    """A panel at the first round as SVG, and what moves it.

    Parameters
    ----------
    panel : figure.
    name : beginning of the identifiers in the SVG, which is the figure's own on the page.

    Returns
    -------
    SVG, and the curves that move by their identifiers: "x" and "y", places in the SVG's units by round, or one list
    where they do not move; None where there is no number.
    """
    import matplotlib as mpl

    # Texts stay texts, equal figures are equal files, and a curve has every point that it is given.
    settings = {**STYLE, "svg.fonttype": "none", "svg.hashsalt": name, "path.simplify": False, "font.size": 10}
    with mpl.rc_context(settings):
        figure = new_figure(WIDTH, HEIGHT)
        figure.set_dpi(72)
        axes = figure.subplots()
        _draw_axes(axes, panel)
        identifiers = [f"{name}-{place}" for place in range(len(panel.curves))]
        for identifier, curve in zip(identifiers, panel.curves, strict=True):
            _draw_curve(axes, curve, identifier)
        _draw_legend(axes, panel)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        file = io.StringIO()
        nothing: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
        moving = {
            identifier: _places(curve, axes)
            for identifier, curve in zip(identifiers, panel.curves, strict=True)
            if curve.x.ndim == 2 or curve.y.ndim == 2
        }
    return _coloured(file.getvalue(), panel, name), moving


def _draw_axes(axes: Any, panel: Panel) -> None:
    """Axes that hold the curves of all rounds, with their titles, which are no mathematics whatever they hold."""
    from matplotlib.ticker import MaxNLocator

    x = np.concatenate([curve.x.ravel() for curve in panel.curves])
    y = np.concatenate([curve.y.ravel() for curve in panel.curves])
    if panel.log_x:
        low, high = _range(np.log10(x))
        axes.set_xscale("log")
        axes.set_xlim(10**low, 10**high)
    else:
        axes.set_xlim(*_range(x))
    axes.set_ylim(*_range(y))
    text, axis = COLOURS["text"][0], COLOURS["axis"][0]
    for side, title in ((axes.xaxis, panel.x_title), (axes.yaxis, panel.y_title)):
        side.set_label_text(_shortened(title), parse_math=False, color=text)
        if side.get_scale() == "linear":
            whole = side is axes.xaxis and panel.whole_x
            locator = MaxNLocator(MOST_TICKS, integer=whole)
            longest = max(len(f"{value:.{TICK_DIGITS}g}") for value in locator.tick_values(*side.get_view_interval()))
            if side is axes.xaxis and longest > LONG_NUMBER:  # numbers stand side by side
                locator = MaxNLocator(2, integer=whole)
            side.set_major_locator(locator)
            side.set_major_formatter(lambda value, _: f"{value:.{TICK_DIGITS}g}")
    axes.tick_params(which="both", color=axis, labelcolor=text)
    for spine in axes.spines.values():
        spine.set_color(axis)


def _draw_curve(axes: Any, curve: Curve, identifier: str) -> None:
    """One curve at the first round."""
    look = dict(LOOKS[curve.role])
    if "lines" not in curve.mode:
        look["linestyle"] = "none"
    if "markers" not in curve.mode:
        look["marker"] = "none"
    x, y = (values if values.ndim == 1 else values[0] for values in (curve.x, curve.y))
    axes.plot(x, y, color=COLOURS[curve.role][0], gid=identifier, **look)


def _draw_legend(axes: Any, panel: Panel) -> None:
    """Names of the curves above the axes, for which the figure grows."""
    named = [(line, curve.name) for line, curve in zip(axes.get_lines(), panel.curves, strict=True) if curve.name]
    if not named:
        return
    columns = 2 if max(len(name) for _, name in named) <= LONGEST_OF_TWO else 1
    axes.figure.set_figheight(HEIGHT + LEGEND_LINE * (math.ceil(len(named) / columns) - 1))
    plain_legend(
        axes,
        [line for line, _ in named],
        [_shortened(name) for _, name in named],
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        borderaxespad=0,
        fontsize=9,
        ncols=columns,
        labelcolor=COLOURS["text"][0],
    )


def _shortened(name: str) -> str:
    """A name without its middle where it is long."""
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def _places(curve: Curve, axes: Any) -> dict[str, list[Any]]:
    """Places of a curve's points in the SVG, by axis; None where there is no number."""
    transform, height = axes.transData.transform, axes.figure.bbox.height

    def along(axis: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places along one axis; what is no number on it leaves the other alone."""
        points = np.ones((values.size, 2))
        points[:, axis] = values.ravel()
        return transform(points)[:, axis].reshape(values.shape)

    with np.errstate(invalid="ignore"):
        return {"x": _listed(along(0, curve.x)), "y": _listed(height - along(1, curve.y))}


def _coloured(svg: str, panel: Panel, name: str) -> str:
    """The SVG element alone, with the colours of the style sheet, and every curve's name for who points at it."""
    svg = svg[svg.index("<svg") :]
    for drawn, variable in dict(COLOURS.values()).items():
        svg = svg.replace(drawn, f"var(--{variable})")
    for place, curve in enumerate(panel.curves):
        group = f'<g id="{name}-{place}">'
        svg = svg.replace(group, f"{group}<title>{html.escape(curve.name)}</title>" if curve.name else group, 1)
    return svg


def _range(values: NDArray[np.float64]) -> list[float]:
    """Ends of an axis that holds all finite values."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    room = MARGIN * (high - low) or 0.5 * (abs(high) or 1.0)
    return [low - room, high + room]


def _listed(places: NDArray[np.float64]) -> list[Any]:
    """Places as lists; None for one that is no number, which leaves a gap."""
    if places.ndim == 2:
        return [_listed(row) for row in places]
    return [round(place, DECIMALS) if math.isfinite(place) else None for place in places.tolist()]


def _described(panel: Panel) -> str:
    """What a figure shows, for who does not see it."""
    names = ", ".join(curve.name for curve in panel.curves if curve.name)
    return f"{panel.title}: {panel.y_title} against {panel.x_title}; {names}"

"""The slider over rounds: figures that move together, drawn by plotly, and a read-out of the round's numbers.

A curve of a figure is the same in every round, or has one version per round. What moves is sent to the page once, as
JSON; the axes hold all rounds, so that a curve is seen to move.
"""

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hilbertsd.pages.text import value_text
from hilbertsd.support.headings import heading_of_one_line

DIGITS = 4
"""Significant digits of what is drawn."""

MARGIN = 0.06
"""Room on either side of an axis, as a part of what it shows."""

Role = Literal["round", "ring", "reference", "data", "guide", "measure-0", "measure-1", "measure-2", "measure-3"]
"""What a curve stands for; its colour is that of the role, and the round's own where it is "round" or "ring"."""

LOOKS: dict[str, dict[str, Any]] = {
    "round": {"line": {"width": 3}, "marker": {"size": 7}},
    "ring": {"marker": {"size": 15, "symbol": "circle-open", "line": {"width": 2.5}}},
    "reference": {"line": {"width": 1.5, "dash": "dot"}, "marker": {"size": 5, "symbol": "circle-open"}},
    "data": {"marker": {"size": 7, "symbol": "x-thin", "line": {"width": 2}}},
    "guide": {"line": {"width": 2, "dash": "dash"}, "marker": {"size": 4}},
    "measure-0": {"line": {"width": 1.5}, "marker": {"size": 6, "symbol": "circle"}},
    "measure-1": {"line": {"width": 1.5, "dash": "dashdot"}, "marker": {"size": 7, "symbol": "triangle-up"}},
    "measure-2": {"line": {"width": 1.5, "dash": "dash"}, "marker": {"size": 6, "symbol": "square"}},
    "measure-3": {"line": {"width": 1.5, "dash": "dot"}, "marker": {"size": 7, "symbol": "diamond-open"}},
}
"""Widths, dashes and symbols by role, which tell curves apart without colour."""

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
        """HTML, and what the script moves as JSON."""
        steps = len(self.rounds) - 1
        read_out = "".join(
            f"<div><dt>{html.escape(heading_of_one_line(name))}</dt><dd>{html.escape(value_text(value))}</dd></div>"
            for name, value in self.numbers[0].items()
        )
        figures = "".join(
            f'<figure class="panel"><figcaption><h3>{html.escape(panel.title)}</h3></figcaption>'
            f'<div class="plot" role="img" aria-label="{html.escape(_described(panel))}"></div></figure>\n'
            for panel in self.panels
        )
        content = {
            "rounds": list(self.rounds),
            "numbers": [[value_text(value) for value in numbers.values()] for numbers in self.numbers],
            "panels": [panel_figure(panel) for panel in self.panels],
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


def panel_figure(panel: Panel) -> dict[str, Any]:
    """A panel as a plotly figure at the first round, and under "moving" the versions of its curves by their places."""
    moving = {}
    for place, curve in enumerate(panel.curves):
        versions = {axis: _listed(values) for axis, values in (("x", curve.x), ("y", curve.y)) if values.ndim == 2}
        if versions:
            moving[place] = versions
    return {"data": [_trace(curve) for curve in panel.curves], "layout": _layout(panel), "moving": moving}


def _trace(curve: Curve) -> dict[str, Any]:
    """Trace of plotly; its colours are given by the page's script."""
    look = LOOKS[curve.role]
    name = html.escape(curve.name)
    return {
        "type": "scatter",
        "mode": curve.mode,
        "name": name,
        "showlegend": bool(curve.name),
        "meta": curve.role,
        "x": _listed(curve.x if curve.x.ndim == 1 else curve.x[0]),
        "y": _listed(curve.y if curve.y.ndim == 1 else curve.y[0]),
        "marker": look["marker"],
        "line": look.get("line", {}),
        "hovertemplate": f"%{{x:.4g}}, %{{y:.4g}}<extra>{name}</extra>",
    }


def _layout(panel: Panel) -> dict[str, Any]:
    """Layout of plotly, whose axes hold the curves of all rounds."""
    x = np.concatenate([curve.x.ravel() for curve in panel.curves])
    y = np.concatenate([curve.y.ravel() for curve in panel.curves])
    axis: dict[str, Any] = {
        "zeroline": False,
        "automargin": True,
        "tickangle": 0,
        "fixedrange": True,
        "exponentformat": "power",
    }
    x_axis = {**axis, "title": {"text": html.escape(panel.x_title)}, "range": _range(np.log10(x) if panel.log_x else x)}
    if panel.log_x:
        x_axis |= {"type": "log", "dtick": max(1, math.ceil((x_axis["range"][1] - x_axis["range"][0]) / 5))}
    if panel.whole_x:
        x_axis |= {"tickformat": "d", "dtick": max(1, math.ceil((x_axis["range"][1] - x_axis["range"][0]) / 8))}
    return {
        "xaxis": x_axis,
        "yaxis": {**axis, "title": {"text": html.escape(panel.y_title)}, "range": _range(y)},
        "margin": {"l": 48, "r": 12, "t": 8, "b": 40},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        "dragmode": False,  # a finger on a figure scrolls the page
        "hovermode": "closest",
        "autosize": True,
    }


def _range(values: NDArray[np.float64]) -> list[float]:
    """Ends of an axis that holds all finite values."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    room = MARGIN * (high - low) or 0.5 * (abs(high) or 1.0)
    return [low - room, high + room]


def _listed(values: NDArray[np.float64]) -> list[Any]:
    """Numbers with the digits that a figure shows, as lists; None for one that is not finite, which leaves a gap."""
    if values.ndim == 2:
        return [_listed(row) for row in values]
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()]


def _described(panel: Panel) -> str:
    """What a figure shows, for who does not see it."""
    names = ", ".join(curve.name for curve in panel.curves if curve.name)
    return f"{panel.title}: {panel.y_title} against {panel.x_title}; {names}"

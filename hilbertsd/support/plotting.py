"""What figures share: style, colours by round, and saving.

    with style():
        figure = new_figure(5, 3)
        figure.subplots().plot(path.multipliers, color=round_colours(1)[0])
        save_figure(figure, Path("."), "multipliers")

matplotlib is loaded when a figure is drawn.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: Any = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "legend.frameon": False,
    "svg.hashsalt": "hilbertsd",  # without it, the ids in an SVG are random and equal figures differ
}
"""Settings of matplotlib for every figure."""

LINE_STYLES = ("-", "--", "-.", ":")
"""Line styles, so that curves can be told apart without colour."""


@contextmanager
def style() -> Iterator[None]:
    """Draw and save inside this context; matplotlib's settings outside it stay as they are."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        yield


def new_figure(width: float, height: float) -> "Figure":
    """Empty figure, in inches, that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def round_colours(n_rounds: int) -> list[tuple[float, float, float, float]]:
    """One colour per round, dark to light, so that the order survives greyscale."""
    import matplotlib as mpl

    return [tuple(colour) for colour in mpl.colormaps["viridis"](np.linspace(0.0, 0.8, max(n_rounds, 1)))]


def shown_rounds(n_rounds: int, most: int) -> list[int]:
    """At most `most` rounds, evenly spread from the first to the last."""
    return sorted({int(t) for t in np.linspace(0, n_rounds - 1, min(n_rounds, most)).round()}) if n_rounds else []


def whole_rounds(axes: "Axes") -> None:
    """Let the axis of rounds show whole numbers only."""
    locator: Any = axes.xaxis.get_major_locator()
    locator.set_params(integer=True)


def plain_legend(axes: "Axes", lines: Sequence[Any], names: Sequence[str], **look: Any) -> None:
    """Legend of lines under names that are shown as they are, whatever they hold.

    Matplotlib takes $…$ for mathematics and leaves out labels that begin with _, so that the texts are set afterwards.
    """
    legend = axes.legend(lines, ["-"] * len(lines), **look)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def save_figure(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write name.png (200 dots per inch) and name.svg; the same figure gives the same bytes."""
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    figure.savefig(paths[0], dpi=200)
    figure.savefig(paths[1], metadata={"Date": None})
    return paths

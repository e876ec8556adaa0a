"""Words and numbers of a page: paragraphs, facts, code, links to files beside it."""

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any
from urllib.parse import quote

import numpy as np


def value_text(value: Any) -> str:
    """A value as a reader sees it: four digits of a fraction, nothing for None, yes or no for a truth value."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {value_text(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value))
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def sorting_value(value: Any) -> str:
    """All digits of a number or a truth value, for sorting; empty for what is sorted as text, or last."""
    if not isinstance(value, Real | np.bool_) or math.isnan(value):
        return ""
    number = float(value)
    return repr(number) if math.isfinite(number) else f"{'-' if number < 0 else ''}Infinity"  # as JavaScript has it


@dataclass(frozen=True)
class Text:
    """Paragraphs."""

    paragraphs: tuple[str, ...]

    def markup(self) -> str:
        """HTML."""
        return "".join(f"<p>{html.escape(each.strip())}</p>\n" for each in self.paragraphs)


@dataclass(frozen=True)
class Code:
    """Lines of a program or a command, as they are typed."""

    lines: str

    def markup(self) -> str:
        """HTML; long lines scroll within their box, which the keyboard reaches."""
        return f'<pre tabindex="0"><code>{html.escape(self.lines)}</code></pre>\n'


@dataclass(frozen=True)
class Facts:
    """Values by name; those that are None or empty are left out."""

    values: Mapping[str, Any]

    def markup(self) -> str:
        """HTML."""
        known = {name: value for name, value in self.values.items() if value is not None and value != ()}
        pairs = (
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value_text(value))}</dd></div>"
            for name, value in known.items()
        )
        return f'<dl class="facts">{"".join(pairs)}</dl>\n'


@dataclass(frozen=True)
class Links:
    """Names of files, relative to the page, that a click opens."""

    names: tuple[str, ...]

    def markup(self) -> str:
        """HTML."""
        # "./" so that a colon in a name does not make a scheme of what is before it.
        items = (f'<li><a href="./{quote(name)}">{html.escape(name)}</a></li>' for name in self.names)
        return f'<ul class="links">{"".join(items)}</ul>\n'

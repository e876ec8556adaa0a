"""Tables of a page, which sort by any of their columns."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from hilbertsd.pages.text import sorting_value, value_text
from hilbertsd.support.headings import heading_of_one_line
from hilbertsd.support.plotting import shown_rounds

MOST_ROWS = 300
"""Rows shown; of a longer table as many, evenly spread."""

LONG_WORDS = 40
"""Characters beyond which a text is wrapped in a column of some width."""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows with the same columns, which a click on a heading sorts.

    Attributes
    ----------
    caption : what the rows are.
    rows : values by name of the column; there is at least one row. A column of None alone is left out.
    """

    caption: str
    rows: Sequence[Mapping[str, Any]]

    def markup(self) -> str:
        """HTML."""
        shown = [self.rows[index] for index in shown_rounds(len(self.rows), MOST_ROWS)]
        names = list(dict.fromkeys(name for row in self.rows for name, value in row.items() if value is not None))
        caption = self.caption
        if len(shown) < len(self.rows):
            caption += f" ({len(shown):,} of {len(self.rows):,} rows, evenly spread)"
        kinds = {name: _kind([row.get(name) for row in self.rows]) for name in names}
        head = "".join(
            f'<th scope="col"{kinds[name]}><button type="button">{html.escape(heading_of_one_line(name))}</button></th>'
            for name in names
        )
        body = "".join(
            "<tr>" + "".join(_cell(row.get(name), kinds[name]) for name in names) + "</tr>\n" for row in shown
        )
        return (
            f'<div class="table" tabindex="0" role="region" aria-label="{html.escape(caption)}">'
            f"<table><caption>{html.escape(caption)}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
        )


def _kind(values: Sequence[Any]) -> str:
    """Attribute of a column's cells: numbers stand to the right, and long words get some room."""
    if all(value is None or (isinstance(value, Real) and not isinstance(value, bool | np.bool_)) for value in values):
        return ' class="number"'
    return ' class="words"' if max(len(value_text(value)) for value in values) > LONG_WORDS else ""


def _cell(value: Any, kind: str) -> str:
    """One cell: what is read, and where it is a number all its digits to sort by."""
    digits = sorting_value(value)
    sorting = f' data-value="{digits}"' if digits else ""
    return f"<td{kind}{sorting}>{html.escape(value_text(value))}</td>"

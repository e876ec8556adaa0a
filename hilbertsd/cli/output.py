"""What the commands print and write: tables, JSON, result files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hilbertsd.support.headings import heading

ROWS_SHOWN = 20
"""Number of rows printed at each end of a long table."""


class Facts(NamedTuple):
    """Records with the same facts, to be printed with a fact a line, which reads on a narrow terminal.

    Attributes
    ----------
    heading : heading of the facts' names.
    records : facts by name, by the heading of their column. A fact that is None everywhere is not printed.
    """

    heading: str
    records: Mapping[str, Mapping[str, Any]]


def show(
    as_json: bool, record: Mapping[str, Any], files: Iterable[Path], *parts: str | Sequence[Mapping[str, Any]] | Facts
) -> None:
    """Print the record as JSON, or else the parts, which are lines, rows of tables or facts, and the files' names."""
    if as_json:
        typer.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
        return
    for part in parts:
        if isinstance(part, str):
            typer.echo(part)
        elif isinstance(part, Facts):
            _print_facts(part)
        else:
            _print_rows(part)
    names = [str(file) for file in files]
    if names:
        typer.echo("wrote " + ", ".join(names))


def seconds(number: float) -> str:
    """Seconds for a sentence, with two digits or all whole ones."""
    return f"{number:,.0f} s" if number >= 10 else f"{number:.2g} s"


def _print_facts(facts: Facts) -> None:
    """Print a line for every fact and a column for every record."""
    columns = facts.records.values()
    table = Table(facts.heading, *facts.records, box=None, header_style="bold")
    for name in next(iter(columns)):
        if any(record[name] is not None for record in columns):
            table.add_row(name.replace("_", " "), *(Text(_as_text(record[name])) for record in columns))
    Console().print(table)


def _as_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_as_text(each)}" for name, each in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table with the keys of the first as headings; the middle of a long table is left out."""
    if not rows:
        typer.echo("no round: the zero function already meets the tolerance")
        return
    table = Table(*(heading(name) for name in rows[0]), box=None, header_style="bold")
    for column, value in zip(table.columns, rows[0].values(), strict=True):
        column.justify = "left" if isinstance(value, str) else "right"
        column.overflow = "fold"  # a narrow terminal may break a number, but not hide its exponent
    for index, row in enumerate(rows):
        if ROWS_SHOWN <= index < len(rows) - ROWS_SHOWN:
            if index == ROWS_SHOWN:
                table.add_row(f"… {len(rows) - 2 * ROWS_SHOWN} more")
            continue
        # Text, because Rich would read [k] in a string as markup.
        table.add_row(*(Text(f"{value:.4g}" if isinstance(value, float) else str(value)) for value in row.values()))
    Console().print(table)

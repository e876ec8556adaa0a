"""What the commands print and write: tables, JSON, result files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

ROWS_SHOWN = 20
"""Number of rows printed at each end of a long table."""

HEADINGS = {
    "multiplier": "multiplier c",
    "target_mean_square": "‖y_t‖²/n",
    "leave_one_out_error": "leave-one-\nout error",
    "grid_error": "error vs sin(2πx)",
    "distillation_error": "distillation",
    "early_stopping_error": "early stopping",
    "tightness_5%": "tightness 5 %",
    "tightness_median": "median",
    "tightness_95%": "95 %",
    "best_test_error": "lowest test error",
    "standard_error": "± s.e.",
    "minus_tuned_ridge": "− tuned ridge",
    "minus_tuned_ridge_standard_error": "± s.e. ",
    "eigenvalues_above_c": "d > c",
    "test_accuracy": "test",
    "standard_deviation_over_models": "± s.d. over models",
    "train_accuracy": "training",
    "multiple": "λ",
}
"""Headings of columns, where they are not the keys of the rows with blanks for underscores."""


def show(
    as_json: bool, record: Mapping[str, Any], files: Iterable[Path], *parts: str | Sequence[Mapping[str, Any]]
) -> None:
    """Print the record as JSON, or else the parts, which are lines or the rows of tables, and the files' names."""
    if as_json:
        typer.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
        return
    for part in parts:
        if isinstance(part, str):
            typer.echo(part)
        else:
            _print_rows(part)
    names = [str(file) for file in files]
    if names:
        typer.echo("wrote " + ", ".join(names))


def _print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table with the keys of the first as headings; the middle of a long table is left out."""
    if not rows:
        typer.echo("no round: the zero function already meets the tolerance")
        return
    table = Table(*(HEADINGS.get(name, name.replace("_", " ")) for name in rows[0]), box=None, header_style="bold")
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

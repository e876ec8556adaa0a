"""What the study shows: a row for every table, criterion and method, the usual split of Air Quality, and the claims."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hilbertsd.studies import form
from hilbertsd.studies.sizes.paired import LEVEL, holm
from hilbertsd.studies.tables.air_quality import ROUNDS, TUNED_BY, Usual
from hilbertsd.studies.tables.data import FILES
from hilbertsd.studies.tables.methods import (
    BEST_ROUND,
    CRITERIA,
    CRITERION_NAMES,
    METHODS,
    MULTI_STEP,
    ONE_STEP,
    ONE_STEP_AT_RIDGE,
    RIDGE,
)
from hilbertsd.studies.tables.presets import Config
from hilbertsd.studies.tables.runs import TableRuns
from hilbertsd.studies.tables.verdicts import claims_of, told

DISTILLED = (BEST_ROUND, ONE_STEP, ONE_STEP_AT_RIDGE, MULTI_STEP)
"""Methods that distil; the others regularise in another way."""


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Random splits of every table, and Air Quality split in time.

    Attributes
    ----------
    tables : one for each table.
    left_out : names of the tables for which there is no file.
    usual : Air Quality split in time; None without its file.
    """

    COLUMNS = (
        "table",
        "tuned_by",
        "method",
        "test_error",
        "standard_error",
        "minus_ridge_percent",
        "minus_ridge_percent_standard_error",
        "accuracy",
        "cost_in_eigh",
    )

    tables: list[TableRuns]
    left_out: list[str]
    usual: Usual | None

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per table, criterion and method."""
        return [table.row(criterion, method) for table in self.tables for criterion in CRITERIA for method in METHODS]

    def headline(self) -> list[str]:
        """Sizes of the tables, and which are left out."""
        lines = [
            f"{table.name}: {table.n_train:,} training and {table.n_test:,} test rows, {table.n_features} features, "
            f"{len(table.splits)} random splits, errors in {table.unit}"
            for table in self.tables
        ]
        if self.left_out:
            files = ", ".join(f"{name} ({FILES[name]})" for name in self.left_out)
            lines.append(f"left out, because --data names no folder with it: {files}")
        return lines

    def closing(self) -> list[str]:
        """Air Quality by λ, and on which tables distillation helps and on which it does not."""
        lines = [] if self.usual is None else [_by_multiplier(row, self.usual) for row in self.usual.rows()]
        lines += [] if self.usual is None else [*_on_random_splits(self.usual), *_tuned_in_time(self.usual)]
        lines += [_summary(table, criterion) for table in self.tables for criterion in CRITERIA]
        return [*lines, *self.where_it_helps()]

    def where_it_helps(self) -> list[str]:
        """On which tables a method that distils is surely better than tuned ridge, and on which none is seen to be."""
        found = {table.name: differing(table, CRITERIA[0])[0] for table in self.tables}
        helped = {name: [method for method in DISTILLED if method in better] for name, better in found.items()}
        yes = [f"{name} ({', '.join(methods)})" for name, methods in helped.items() if methods]
        no = [name for name, methods in helped.items() if not methods]
        tuned = f"all tuned by {CRITERION_NAMES[CRITERIA[0]]}"
        lines = [
            f"distillation is surely better than tuned ridge, {tuned}: {'; '.join(yes)}",
            f"distillation is not seen to help beside tuned ridge, {tuned}: {', '.join(no)}",
        ]
        return [line for line, tables in zip(lines, (yes, no), strict=True) if tables]

    def claims(self) -> list[form.Claim]:
        """What the papers say of mixtures, of several steps and of noise."""
        return claims_of(self.tables, self.usual)

    def numbers(self) -> dict[str, Any]:
        """Rows, comparisons around the tuned multiplier and with noise, and Air Quality in time."""
        return {
            "methods": self.rows(),
            "tables": {table.name: table.numbers() for table in self.tables},
            "left_out": self.left_out,
            "air_quality_in_time": None if self.usual is None else self.usual.numbers(),
            "summary": self.closing(),
        }


def differing(table: TableRuns, criterion: str) -> tuple[list[str], list[str]]:
    """Methods with a surely lower and a surely higher error than tuned ridge, corrected for all of one criterion."""
    names = [name for name in METHODS if name != RIDGE]
    tested = [table.difference(criterion, name) for name in names]
    below, above = (holm(np.array([getattr(each, side) for each in tested])) for side in ("p_below", "p_above"))
    return (
        [name for name, p in zip(names, below, strict=True) if p <= LEVEL],
        [name for name, p in zip(names, above, strict=True) if p <= LEVEL],
    )


def _summary(table: TableRuns, criterion: str) -> str:
    """Line on a table: what is better than tuned ridge, what is worse, and what cannot be told from it."""
    below, above = differing(table, criterion)
    rest = [name for name in METHODS if name not in (RIDGE, *below, *above)]
    parts = []
    for word, names in (("better", below), ("worse", above), ("not to be told apart", rest)):
        listed = []
        for name in names:
            difference = table.difference(criterion, name)
            listed.append(f"{name} {told(difference)}")
        if listed:
            parts.append(f"{word}: {', '.join(listed)}")
    return f"{table.name}, beside ridge tuned by {CRITERION_NAMES[criterion]}: " + "; ".join(parts)


def _on_random_splits(usual: Usual) -> list[str]:
    """A line for each λ, of random splits instead of the one in time."""
    return [
        f"Air Quality on random splits, λ = {row['lambda']:g}: ridge {row['ridge']:.0f}, mixture {row['mixture']:.0f} "
        f"(ξ = {row['xi']:.2f}); tuned ridge {row['tuned_ridge']:.0f}: tuning λ alone gives "
        f"{100 * row['share_of_gain_by_tuning']:.0f} % of that"
        for row in usual.random_rows()
    ]


def _tuned_in_time(usual: Usual) -> list[str]:
    """A line for each method that is tuned on Air Quality in time."""
    lines = []
    for tuned_by in TUNED_BY:
        for method in ROUNDS:
            error = usual.usual[tuned_by, method].errors.mean()
            line = f"Air Quality in time, {method} tuned by {tuned_by}: {error:.0f}"
            if method != RIDGE:
                here, at_random = usual.difference(tuned_by, method), usual.random_difference(tuned_by, method)
                line += f", {told(here)} beside ridge tuned alike; on random splits {told(at_random)}"
            lines.append(line)
    return lines


def _by_multiplier(row: dict[str, Any], usual: Usual) -> str:
    """Line on one λ of Air Quality in time."""
    target = "centred target" if row["centred"] else "target as it is"
    gained, error = row["mixture_minus_ridge"], row["mixture_minus_ridge_standard_error"]
    return (
        f"Air Quality in time, {target}, λ = {row['lambda']:g}: ridge {row['ridge']:.0f}, mixture {row['mixture']:.0f} "
        f"(ξ = {row['xi']:.2f}), {gained:+.0f} ± {error:.0f} over {usual.n_weeks} weeks; tuned ridge "
        f"{row['tuned_ridge']:.0f}: tuning λ alone gives {100 * row['share_of_gain_by_tuning']:.0f} % of that"
    )

"""What `check_bounds` found: a check of every statement, as rows, as text, as a table of a notebook.

report = check_bounds(path)
for row in report.summary():
    print(row["formula"], row["meaning"], row["slack"], row["violations"])
"""

from __future__ import annotations

import html
import math
import os
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.bounds.statements import Statement
from hilbertsd.errors import MissingPackage
from hilbertsd.pages.page import Page, Section, write_page
from hilbertsd.pages.table import Table
from hilbertsd.pages.text import Text

KINDS = {
    True: ("Equalities: both sides agree up to rounding.", "rounding"),
    False: ("Inequalities: left is at least right, and slack is the room between them.", "slack"),
}
"""By whether a statement is an equality, what its kind says and what its slack is."""

SYMBOLS = (
    "Each row is the round in which the two sides are closest, for an equality the one in which they differ most; "
    "rounding and slack are relative to the larger side. ε is the tolerance, n the number of points, r_t = ‖z_t‖/√(nε) "
    "the ratio of round t with targets z_t (e_k their mean square on eigenvector k), T the collapse round, c_t the "
    "multiplier, d the eigenvalues of kernel_matrix/n, κ = d_max/d_min, B_t the basis weights, c'_t the "
    "multiplier and W_t the weights of the ridge fit to the original targets with the training error of round t. MFB "
    "is Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715; other sources are functions whose help has the proof."
)
"""What the formulas and columns of a report's text mean."""

SINGULAR = (
    "The kernel matrix has zero eigenvalues: statements with κ or d_min are about its range, from round 1 on, with r_1 "
    "in place of r_0 and d_min the smallest positive eigenvalue."
)
"""How the statements with κ read where the path's start is 1."""


@dataclass(frozen=True, eq=False)
class StatementCheck:
    """One statement, left ≥ right or left = right, in every round it is about.

    Attributes
    ----------
    statement : its name, formula, meaning and source.
    rounds : (n,) round of each row; the collapse round where the statement is about the whole path.
    left, right : (n,) sides of the statement in each round.
    rounding : (n,) relative difference the wrong way that rounding explains.
    """

    statement: Statement
    rounds: NDArray[np.intp]
    left: NDArray[np.float64]
    right: NDArray[np.float64]
    rounding: NDArray[np.float64]

    @property
    def slack(self) -> NDArray[np.float64]:
        """(n,) left − right, for an equality −|left − right|, divided by the larger side: ≥ 0 where it holds."""
        larger = np.maximum(np.abs(self.left), np.abs(self.right))
        difference = np.divide(self.left - self.right, larger, out=np.zeros_like(larger), where=larger > 0)
        return -np.abs(difference) if self.statement.equality else difference

    @property
    def closest(self) -> int:
        """Index of the row with the least slack, or of the first whose sides are no numbers."""
        return int(np.argmin(np.where(np.isnan(self.slack), -np.inf, self.slack)))

    @property
    def holds(self) -> NDArray[np.bool_]:
        """(n,) whether slack ≥ −rounding; False where a side is not finite."""
        return self.slack >= -self.rounding

    @property
    def tightness(self) -> NDArray[np.float64]:
        """(n,) right/left, 1 where the statement is met with equality and 0 where the right side is vacuous."""
        return np.divide(np.maximum(self.right, 0), self.left, out=np.ones_like(self.left), where=self.left > 0)


@dataclass(frozen=True, eq=False, repr=False)
class BoundsReport:
    """Statements checked on one path.

    Attributes
    ----------
    statements : one :class:`StatementCheck` for each of :data:`hilbertsd.bounds.STATEMENTS`, in that order; those that
        say nothing about this path are left out.
    start : first round of the statements with κ: 0, or 1 on the range of a singular kernel matrix.
    condition_number : κ over the positive eigenvalues.
    ratio : r at round `start`, NaN where the path has no such round.
    collapse_round : T of the path, None where `max_rounds` ended it.
    """

    statements: tuple[StatementCheck, ...]
    start: int
    condition_number: float
    ratio: float
    collapse_round: int | None

    @property
    def holds(self) -> bool:
        """Whether every statement holds in every round."""
        return all(bool(np.all(s.holds)) for s in self.statements)

    @property
    def n_checks(self) -> int:
        """Number of rows, one for each statement and round."""
        return sum(len(s.rounds) for s in self.statements)

    @property
    def form(self) -> str:
        """Form of the statements with κ that was used."""
        return "on the range of the singular kernel matrix, from round 1" if self.start else "from round 0"

    def rows(self) -> Iterator[dict[str, Any]]:
        """One dictionary per statement and round: name, round, left, right, slack, holds."""
        for s in self.statements:
            columns = (s.rounds.tolist(), s.left.tolist(), s.right.tolist(), s.slack.tolist(), s.holds.tolist())
            for t, left, right, slack, holds in zip(*columns, strict=True):
                yield {
                    "name": s.statement.name,
                    "round": t,
                    "left": left,
                    "right": right,
                    "slack": slack,
                    "holds": holds,
                }

    def violations(self) -> list[dict[str, Any]]:
        """Rows in which a statement does not hold."""
        return [row for row in self.rows() if not row["holds"]]

    def summary(self) -> list[dict[str, Any]]:
        """One dictionary per statement: what it says, rows, violated rows, and the row of least slack."""
        return [
            {
                **asdict(s.statement),
                "checks": len(s.rounds),
                "violations": int(np.count_nonzero(~s.holds)),
                "round": int(s.rounds[s.closest]),
                "left": float(s.left[s.closest]),
                "right": float(s.right[s.closest]),
                "slack": float(s.slack[s.closest]),
            }
            for s in self.statements
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers ready for JSON: the form, the summary and every violated row; None for what is not finite."""
        return {
            "holds": self.holds,
            "n_checks": self.n_checks,
            "form": self.form,
            "condition_number": self.condition_number,
            "ratio": None if np.isnan(self.ratio) else self.ratio,
            "collapse_round": self.collapse_round,
            "statements": [_finite(row) for row in self.summary()],
            "violated_rows": [_finite(row) for row in self.violations()],
        }

    def table(self) -> list[dict[str, Any]]:
        """One dictionary per statement, as a page shows it, of the round where its two sides are closest."""
        return [
            {
                "statement": row["formula"],
                "source": row["source"],
                "meaning": row["meaning"],
                "round": row["round"],
                "left": row["left"],
                "right": row["right"],
                "tightness": float(s.tightness[s.closest]),
                "holds": row["violations"] == 0,
            }
            for s, row in zip(self.statements, self.summary(), strict=True)
        ]

    def to_html(self, file: str | os.PathLike[str]) -> Path:
        """Write a page with the statements as a table that sorts, which a browser opens from the file alone.

        An existing file is replaced whole or not at all. Raises InvalidFile where the page cannot be written there.
        """
        return write_page(Page("Bounds of a distillation path", repr(self), (self.section(),)), Path(file))

    def section(self) -> Section:
        """Section of a page: the statements as a table that sorts, and what they mean."""
        rows = self.table()
        if not rows:
            return Section("Bounds", (Text((repr(self),)),))
        table = Table("A row per statement, of the round where its two sides are closest; a heading sorts them", rows)
        numbers = f"r_{self.start} = {self.ratio:.4g}, κ = {self.condition_number:.4g}, T = {self.collapse_round}."
        return Section("Bounds", (table, Text((*self.explained(), numbers))))

    def explained(self) -> tuple[str, ...]:
        """What the formulas and columns mean, a paragraph each."""
        return (SYMBOLS, *([SINGULAR] if self.start else []))

    def to_dataframe(self) -> Any:
        """Rows as a pandas DataFrame; raises MissingPackage where pandas is not installed."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingPackage("to_dataframe needs pandas; install it, or use rows()") from error
        columns = ["name", "round", "left", "right", "slack", "holds"]
        return pd.DataFrame.from_records(list(self.rows()), columns=columns)

    def __repr__(self) -> str:
        if not self.statements:
            return "BoundsReport(nothing to check: the path has no round)"
        return f"BoundsReport({self.verdict}, {self.form})"

    @property
    def verdict(self) -> str:
        """Number of checks, and whether all hold."""
        verdict = "all hold" if self.holds else f"{len(self.violations())} violated"
        return f"{self.n_checks} checks of {len(self.statements)} statements, {verdict}"

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = 80) -> str:
        """Every statement with its formula, meaning, source and row of least slack, equalities first.

        Lines have `width` characters at most, but those with numbers 80.
        """
        if not self.statements:
            return repr(self)
        lines = []
        for equality, (kind, slack) in KINDS.items():
            rows = [row for row in self.summary() if row["equality"] == equality]
            if rows:
                lines += ["", kind, _columns("statement", "round", "left", "right", slack, "holds in")]
            for row in rows:
                left, right = f"{row['left']:.4g}", f"{row['right']:.4g}"
                size = f"{abs(row['slack']):.1g}" if equality else f"{row['slack']:.2g}"
                lines.append(_columns(row["name"], str(row["round"]), left, right, size, _holds_in(row)))
                for sentence in (f"{row['formula']}   [{row['source']}]", row["meaning"]):
                    lines += textwrap.wrap(sentence, width, initial_indent="    ", subsequent_indent="    ")
        numbers = f"r_{self.start} = {self.ratio:.4g}, κ = {self.condition_number:.4g}, T = {self.collapse_round}"
        for paragraph in [*self.explained(), f"{numbers}: {self.verdict}."]:
            lines += ["", *textwrap.wrap(paragraph, width)]
        return "\n".join(lines[1:])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("statement", "meaning", "source", "slack", "round", "holds in"))
        body = ""
        for row in self.summary():
            text = [html.escape(row[name]) for name in ("formula", "meaning", "source")]
            cells = [*text, f"{row['slack']:.3g}", row["round"], _holds_in(row)]
            body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        return (
            f"<table><caption>{html.escape(repr(self))}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )


def _columns(name: str, number: str, left: str, right: str, slack: str, holds: str) -> str:
    """One line of the table of the text, 80 characters wide."""
    return f"{name:<30}{number:>6}{left:>11}{right:>11}{slack:>10}{holds:>12}"


def _holds_in(row: dict[str, Any]) -> str:
    """Number of rounds in which the statement of a summary's row holds, of those that it is about."""
    return f"{row['checks'] - row['violations']} of {row['checks']}"


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Row with None in place of numbers that are not finite, which JSON does not have."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}

"""Every bound of hilbertsd.bounds checked on a path, round by round.

    path = distill(kernel_matrix, targets, tolerance=0.1)
    report = check_bounds(path)
    report.holds  # True
    for row in report.summary():
        print(row["statement"], row["slack"], row["violations"])

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.bounds import round_counts, round_ratios, sparsity
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput, MissingPackage

RELATIVE_ROUNDING = 1e-9
"""Relative difference the wrong way between the sides of a statement that does not yet count as a violation."""

ROUNDING_PER_ROUND = 1e-15
"""Relative rounding that each earlier round adds; it is magnified where a side is a difference such as r − 1."""


@dataclass(frozen=True, eq=False)
class StatementCheck:
    """One statement, left ≥ right or left = right, in every round it is about.

    Attributes
    ----------
    name : short name in rows and tables.
    text : the statement as a formula, with its source.
    equality : whether both sides must agree.
    rounds : (n,) round of each row; the collapse round where the statement is about the whole path.
    left, right : (n,) sides of the statement in each round.
    rounding : (n,) relative difference the wrong way that rounding explains.
    """

    name: str
    text: str
    equality: bool
    rounds: NDArray[np.intp]
    left: NDArray[np.float64]
    right: NDArray[np.float64]
    rounding: NDArray[np.float64]

    @property
    def slack(self) -> NDArray[np.float64]:
        """(n,) left − right, for an equality −|left − right|, divided by the larger side: ≥ 0 where it holds."""
        larger = np.maximum(np.abs(self.left), np.abs(self.right))
        difference = np.divide(self.left - self.right, larger, out=np.zeros_like(larger), where=larger > 0)
        return -np.abs(difference) if self.equality else difference

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
    statements : one :class:`StatementCheck` each; those that say nothing about this path are left out.
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
                yield {"name": s.name, "round": t, "left": left, "right": right, "slack": slack, "holds": holds}

    def violations(self) -> list[dict[str, Any]]:
        """Rows in which a statement does not hold."""
        return [row for row in self.rows() if not row["holds"]]

    def summary(self) -> list[dict[str, Any]]:
        """One dictionary per statement: its text, number of rows, number violated, and the row of least slack."""
        result = []
        for s in self.statements:
            worst = int(np.argmin(np.where(np.isnan(s.slack), -np.inf, s.slack)))
            result.append(
                {
                    "name": s.name,
                    "statement": s.text,
                    "checks": len(s.rounds),
                    "violations": int(np.count_nonzero(~s.holds)),
                    "round": int(s.rounds[worst]),
                    "left": float(s.left[worst]),
                    "right": float(s.right[worst]),
                    "slack": float(s.slack[worst]),
                }
            )
        return result

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
        verdict = "all hold" if self.holds else f"{len(self.violations())} violated"
        return f"BoundsReport({self.n_checks} checks of {len(self.statements)} statements, {verdict}, {self.form})"

    def _repr_html_(self) -> str:
        head = "<th>statement</th><th>checks</th><th>least slack</th><th>in round</th><th>holds</th>"
        body = "".join(
            f"<tr><td>{html.escape(row['statement'])}</td><td>{row['checks']}</td><td>{row['slack']:.3g}</td>"
            f"<td>{row['round']}</td><td>{'no' if row['violations'] else 'yes'}</td></tr>"
            for row in self.summary()
        )
        return (
            f"<table><caption>{html.escape(repr(self))}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )


def check_bounds(path: DistillationPath) -> BoundsReport:
    """Check every bound of MFB §3, and the sharper ones of :mod:`hilbertsd.bounds`, on a path.

    Everything is computed anew from the path's spectrum, tolerance, multipliers and collapse round, so that a wrong
    multiplier shows. Statements about T are left out where `max_rounds` ended the path.

    Parameters
    ----------
    path : of a tolerance, from `distill`, `distill_spectrum` or an estimator's `path_`.

    Returns
    -------
    BoundsReport

    Raises
    ------
    InvalidInput
        The path has a fixed multiplier: the bounds are about a tolerance.

    Source: MFB §3; for several outputs §3.6, which puts Σ_j z_kj² in place of z_k².
    """
    if path.tolerance is None:
        raise InvalidInput("the path has a fixed multiplier and the bounds are about a tolerance; distil with one")
    start = 1 if np.any(path.eigenvalues == 0) else 0
    d = path.eigenvalues[path.eigenvalues > 0]
    kappa = float(d[-1] / d[0]) if d.size else 1.0
    errors, explained, ratios = _replay(path, path.tolerance)
    statements = _for_every_kernel(path, path.tolerance, errors, explained, ratios)
    if path.n_rounds > start and ratios[start] > 1:
        restarted = _Restarted(start, path.multipliers[start:], ratios[start:], d, kappa)
        statements += _on_multipliers_and_norms(restarted) + _on_weights(restarted, path.spectrum.rounding)
        if path.collapse_round is not None:
            statements += _on_the_collapse_round(restarted, path.collapse_round)
    ratio = float(ratios[start]) if start < len(ratios) else math.nan
    return BoundsReport(tuple(s for s in statements if len(s.rounds)), start, kappa, ratio, path.collapse_round)


@dataclass(frozen=True)
class _Restarted:
    """Rounds from `start` on, where only positive eigenvalues matter: c_t, r_t (one more than c_t), d and κ.

    The statements with κ are checked on these.
    """

    start: int
    multipliers: NDArray[np.float64]
    ratios: NDArray[np.float64]
    eigenvalues: NDArray[np.float64]
    condition_number: float

    @property
    def n_rounds(self) -> int:
        return len(self.multipliers)

    @property
    def rounds(self) -> NDArray[np.intp]:
        return np.arange(self.start, self.start + self.n_rounds)


def _replay(path: DistillationPath, tolerance: float) -> tuple[NDArray[np.float64], ...]:
    """Rounds computed anew from the multipliers, with energies in units of ε.

    Returns the energy of its targets that each round leaves over (T,), the energy that it fits (T,), and r_t (T+1,).
    """
    d, c, energies = path.eigenvalues, path.multipliers[:, None], path.spectrum.energies / tolerance
    after = path.basis_weights
    before = np.vstack([np.ones_like(d), after[:-1]]) if len(after) else after
    left_over, kept = c / (c + d), path.shrinkage
    errors = np.sum(energies * (before * left_over) ** 2, axis=1)
    explained = np.sum(energies * before**2 * kept * (2 - kept), axis=1)
    squares = np.concatenate([[energies.sum()], np.sum(energies * after**2, axis=1)])
    return errors, explained, np.sqrt(squares)


def _for_every_kernel(
    path: DistillationPath,
    tolerance: float,
    errors: NDArray[np.float64],
    explained: NDArray[np.float64],
    ratios: NDArray[np.float64],
) -> list[StatementCheck]:
    """Statements without κ: the constraint, the two facts on residuals, the counts from them, and collapse itself."""
    rounds = np.arange(path.n_rounds)
    now, after = ratios[:-1], ratios[1:]
    rounding = _rounding(rounds, now)
    statements = [
        _check("constraint", "E(c_t) = ε (MFB 20)", rounds, errors * tolerance, tolerance, equality=True),
        # Sharper than the constraint where nearly all of the targets is left over, because E then hardly depends on c.
        _check("explained", "Σ e (1 − (c_t/(c_t+d))²)/ε = r_t² − 1", rounds, explained, now**2 - 1, rounding, True),
        _check("not collapsed", "r_t ≥ 1 for t < T", rounds, now, 1.0),
        _check("triangle", "r_{t+1} ≥ r_t − 1", rounds, after, now - 1, rounding),
        _check("acute angle", "r_t² − 1 ≥ r_{t+1}²", rounds, now**2 - 1, after**2, 2 * rounding),
    ]
    collapse = path.collapse_round
    # Within an ulp of the mean square a tolerance can be met in round 0 and still leave r_0 = 1 after rounding.
    if collapse and ratios[0] > 1:
        spectrum = path.spectrum
        by_spectrum = round_counts.rounds_by_spectrum(spectrum.eigenvalues, spectrum.energies, tolerance)
        statements += [
            _check("collapse", "1 ≥ r_T", [collapse], [1.0], ratios[-1:]),
            _check(
                "rounds, triangle", "T ≥ ⌈r_0 − 1⌉", [collapse], collapse, round_counts.rounds_by_triangle(ratios[0])
            ),
            _check("rounds, spectrum", "T ≥ m + ⌈p_m − 1⌉ (rounds_by_spectrum)", [collapse], collapse, by_spectrum),
            _check("rounds, at most", "⌈r_0²⌉ − 1 ≥ T", [collapse], round_counts.most_rounds(ratios[0]), collapse),
        ]
    return statements


def _on_multipliers_and_norms(path: _Restarted) -> list[StatementCheck]:
    """Bracket, recurrence and Proposition 3, in every round whose targets' mean square is above the tolerance."""
    alive = np.flatnonzero(path.ratios[:-1] > 1)
    rounds, c = path.rounds[alive], path.multipliers[alive]
    now, after = path.ratios[:-1][alive], path.ratios[1:][alive]
    d_min, d_max = path.eigenvalues[0], path.eigenvalues[-1]
    least = round_ratios.next_ratio(now, path.condition_number)
    r = path.ratios[0]
    linear = round_ratios.ratio_after(alive + 1, r, path.condition_number)
    rounding = _rounding(rounds, now)
    accumulated = RELATIVE_ROUNDING + ROUNDING_PER_ROUND * (rounds + 8) * r / after
    return [
        _check("multiplier, lower", "c_t ≥ d_min/(r_t − 1) (MFB 23)", rounds, c, d_min / (now - 1), rounding),
        _check("multiplier, upper", "d_max/(r_t − 1) ≥ c_t (MFB 24)", rounds, d_max / (now - 1), c, rounding),
        _check("recurrence", "r_{t+1} ≥ h(r_t) (MFB §3.2)", rounds, after, least, rounding),
        _check("Proposition 3", "r_{t+1} ≥ aᵗ⁺¹r_0 − b(aᵗ⁺¹−1)/(a−1)", rounds, after, linear, accumulated),
    ]


def _on_weights(path: _Restarted, resolution: float) -> list[StatementCheck]:
    """Theorem 5 and the sparsity index, in logarithms because the ratios leave double precision.

    Theorem 5 for neighbouring eigenvalues implies it for every pair, because both sides multiply from one pair to the
    next. The row of a round shows the neighbours with the least slack.
    """
    distinct = path.eigenvalues[sparsity.distinct(path.eigenvalues)]
    kept = path.eigenvalues[sparsity.distinct(path.eigenvalues, resolution)]
    counts = np.arange(1, path.n_rounds + 1)
    r = path.ratios[0]
    statements = []
    if len(distinct) > 1:
        left = _log_neighbour_ratios(distinct, path.multipliers)
        right = counts[:, None] * sparsity.log_neighbour_bounds(distinct, r)
        closest = np.argmax(right / left, axis=1)[:, None]
        left, right = (np.take_along_axis(side, closest, axis=1)[:, 0] for side in (left, right))
        text = "log B_t[k]/B_t[j] ≥ (t+1) log((r_0−1+d_min/d_j)/(r_0−1+d_min/d_k))"
        statements.append(_check("Theorem 5", text, path.rounds, left, right))
    if len(kept) > 1:
        log_index = _log_neighbour_ratios(kept, path.multipliers).min(axis=1)
        per_round = sparsity.log_neighbour_bounds(kept, r).min()
        guaranteed = round_counts.guaranteed_rounds(r, path.condition_number)
        text = "log S_B ≥ its bound over distinct eigenvalues"
        statements.append(_check("sparsity", f"{text} (MFB 50)", path.rounds, log_index, counts * per_round))
        at = max(math.ceil(guaranteed * (1 - round_counts.ROUNDING)), 1) - 1
        if at < path.n_rounds:
            side = guaranteed * per_round
            name = "sparsity, guaranteed"
            statements.append(_check(name, f"{text} at t̲ rounds (MFB 51)", [path.start + at], log_index[at], side))
    return statements


def _on_the_collapse_round(path: _Restarted, collapse_round: int) -> list[StatementCheck]:
    """Lower bounds on T from r and κ, in rounds from the start of the path, so that T is the same in every row."""
    r, kappa, start = path.ratios[0], path.condition_number, path.start
    counts = {
        "rounds, Proposition 4": ("T ≥ (r_0 − 1)/κ", round_counts.guaranteed_rounds(r, kappa)),
        "rounds, tangent": ("T ≥ t of Proposition 3", round_counts.rounds_by_tangent(r, kappa)),
        "rounds, recurrence": ("T ≥ steps of h", round_counts.rounds_by_recurrence(r, kappa)),
    }
    return [
        _check(name, text, [collapse_round], collapse_round, start + least) for name, (text, least) in counts.items()
    ]


def _log_neighbour_ratios(eigenvalues: NDArray[np.float64], multipliers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, m−1) log B_t[k+1]/B_t[k], summed over the rounds without cancellation within one."""
    low, high, c = eigenvalues[:-1], eigenvalues[1:], multipliers[:, None]
    return np.cumsum(np.log1p(c / (c + high) * ((high - low) / low)), axis=0)


def _rounding(rounds: NDArray[np.intp], ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative rounding of r_t − 1, which cancels near collapse."""
    gap = np.maximum(np.abs(ratios - 1), np.finfo(float).eps)
    return RELATIVE_ROUNDING + ROUNDING_PER_ROUND * (rounds + 8) * ratios / gap


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """Row with None in place of numbers that are not finite, which JSON does not have."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def _check(
    name: str, text: str, rounds: Any, left: Any, right: Any, rounding: Any = RELATIVE_ROUNDING, equality: bool = False
) -> StatementCheck:
    """Statement with its sides and rounding as arrays of one entry per round."""
    rounds = np.asarray(rounds, dtype=int)
    left, right, rounding = (np.broadcast_to(np.asarray(x, dtype=float), rounds.shape) for x in (left, right, rounding))
    return StatementCheck(name, text, equality, rounds, left, right, rounding)

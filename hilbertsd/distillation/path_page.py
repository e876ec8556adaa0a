"""What a page shows of a path: its rounds as a table, and a slider that moves weights, fits, residuals and errors.

    sections = path_sections(path, errors={"test error": errors}, fits=FitCurves("x", inputs, grid, fits))

A figure holds at most `MOST_POINTS` points and the slider stops at most at `MOST_ROUNDS` rounds; the page says where
it leaves some out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.pages.page import Page, Part, Section
from hilbertsd.pages.rounds import MEASURES, Curve, Panel, Rounds
from hilbertsd.pages.table import Table
from hilbertsd.pages.text import Facts, Text
from hilbertsd.support.checks import as_real_array
from hilbertsd.support.headings import heading_of_one_line
from hilbertsd.support.plotting import shown_rounds

MOST_ROUNDS = 60
"""Rounds at which the slider stops."""

MOST_POINTS = 300
"""Points of a curve or a cloud."""

MARKED_POINTS = 60
"""Most eigenvalues whose weights are marked one by one."""

NO_ROUND = "No round: the zero function already meets the tolerance."


@dataclass(frozen=True, eq=False)
class FitCurves:
    """Fits along one input, which a page draws in place of predictions against targets.

    Attributes
    ----------
    name : name of the input.
    inputs : (n,) of the training samples.
    grid : (m,) inputs at which the fits are given, ascending.
    fits : (T, m) f_t on the grid, of the first output.
    truth : (m,) what the fits should be, None where that is unknown.
    truth_name : what to call it.
    """

    name: str
    inputs: NDArray[np.float64]
    grid: NDArray[np.float64]
    fits: NDArray[np.float64]
    truth: NDArray[np.float64] | None = None
    truth_name: str = "truth"


def path_page(path: Any, errors: Mapping[str, Any] | None, fits: FitCurves | None) -> Page:
    """Page of a DistillationPath; arguments and errors are those of :meth:`DistillationPath.to_html`."""
    spectrum = path.spectrum
    facts = Facts(
        {
            "training samples n": f"{spectrum.n_samples:,}",
            "outputs": spectrum.n_outputs,
            "ε": path.tolerance,
            "ε over the targets' mean square": path.relative_tolerance,
            "‖y‖²/n": spectrum.target_mean_square,
            "floor of the training error": spectrum.floor if spectrum.is_whole else None,
            "eigenvalues": "all" if spectrum.is_whole else f"a Krylov space of {len(path.eigenvalues):,} dimensions",
        }
    )
    rows = rounds_with_errors(path, checked_errors(path, errors))
    table: Part = Table("One row per round", rows) if rows else Text((NO_ROUND,))
    summary = f"Self-distillation of a kernel regression: {path.ending}."
    sections = (Section("The problem", (facts,)), *path_sections(path, errors, fits), Section("All rounds", (table,)))
    return Page("Distillation path", summary, sections)


def path_sections(path: Any, errors: Mapping[str, Any] | None = None, fits: FitCurves | None = None) -> list[Section]:
    """The slider over a path's rounds under its heading; none for a path without rounds.

    Raises InvalidInput as :meth:`DistillationPath.to_html`.
    """
    series = checked_errors(path, errors)
    _check_fits(path, fits)
    if not path.n_rounds:
        return []
    steps = shown_rounds(path.n_rounds, MOST_ROUNDS)
    kept = shown_rounds(path.spectrum.n_samples, MOST_POINTS)
    targets, predictions = training_fits(path, steps, kept)
    rows = rounds_with_errors(path, series)
    panels = (
        _curves_panel(path, fits, steps) if fits is not None else _predictions_panel(targets, predictions),
        _weights_panel(path, steps),
        _residuals_panel(targets, predictions),
        _errors_panel(path, series, steps),
    )
    slider = Rounds(steps, path.n_rounds - 1, [rows[t] for t in steps], panels)
    return [Section("Round by round", (Text((_explained(path, steps, kept, fits),)), slider))]


def rounds_with_errors(path: Any, errors: Mapping[str, NDArray[np.float64]]) -> list[dict[str, Any]]:
    """The path's rows, each with the errors of its round."""
    return [{**row, **{name: float(series[t]) for name, series in errors.items()}} for t, row in enumerate(path.rows())]


def checked_errors(path: Any, errors: Mapping[str, Any] | None) -> dict[str, NDArray[np.float64]]:
    """Errors as arrays of one entry per round, and where the path collapsed maybe one more for the zero function."""
    if not isinstance(errors, Mapping | None):
        raise InvalidInput(f"errors is {errors!r}; give a dictionary of arrays by name")
    known = {name for row in path.rows() for name in row}
    for name in errors or {}:
        if not isinstance(name, str):
            raise InvalidInput(f"errors holds the name {name!r}; give texts")
        if name in known:
            raise InvalidInput(f"errors holds the name {name!r}, which the rounds have already; give another")
    lengths = (path.n_rounds, path.n_rounds + 1)
    series = {
        name: np.asarray(as_real_array(values, f"errors[{name!r}]", InvalidInput), dtype=np.float64)
        for name, values in (errors or {}).items()
    }
    for name, values in series.items():
        if values.ndim != 1 or len(values) not in lengths:
            raise InvalidInput(
                f"errors[{name!r}] has shape {values.shape} for {path.n_rounds} rounds; give one number per round, and "
                "at most one more for the zero function"
            )
        if not np.all(np.isfinite(values)):
            raise InvalidInput(f"errors[{name!r}] holds {values[~np.isfinite(values)][0]}; give finite numbers")
    if len(series) >= len(MEASURES):
        raise InvalidInput(f"errors names {len(series)} series; give at most {len(MEASURES) - 1}")
    return series


def training_fits(path: Any, steps: list[int], kept: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Targets (p,) and predictions (T, p) of the first output, at the rounds and training samples asked for."""
    spectrum = path.spectrum
    first = spectrum.rotated_targets[:, :1]
    # One product with the basis for all rounds: as many outputs as there are rounds, and the targets themselves.
    weights = np.vstack([np.ones_like(path.eigenvalues), path.basis_weights[steps]]).T
    several = replace(spectrum, rotated_targets=weights * first, single_output=False)
    values = np.asarray(several.from_eigenbasis(np.ones_like(path.eigenvalues)))[kept].T
    return values[0], values[1:]


def _check_fits(path: Any, fits: FitCurves | None) -> None:
    """Raise InvalidInput where the arrays of the fits do not belong to the path or to each other."""
    if fits is None:
        return
    if not isinstance(fits, FitCurves):
        raise InvalidInput(f"fits is {fits!r}; give a FitCurves")
    for name in ("inputs", "grid", "fits", "truth"):
        values = getattr(fits, name)
        if values is not None and not np.all(np.isfinite(as_real_array(values, f"fits.{name}", InvalidInput))):
            raise InvalidInput(f"fits.{name} holds what is not finite; give finite numbers")
    expected = {"inputs": (path.spectrum.n_samples,), "fits": (path.n_rounds, len(fits.grid))}
    expected |= {} if fits.truth is None else {"truth": (len(fits.grid),)}
    for name, shape in expected.items():
        if np.shape(getattr(fits, name)) != shape:
            raise InvalidInput(
                f"fits.{name} has shape {np.shape(getattr(fits, name))}; give {shape}: the path has {path.n_rounds} "
                f"rounds of {path.spectrum.n_samples} samples, and the grid {len(fits.grid)} points"
            )


def _explained(path: Any, steps: list[int], kept: list[int], fits: FitCurves | None) -> str:
    """What moves, and what is left out of it."""
    sentences = ["Move the slider: all figures show that round; round 0 stays in them, dotted or hollow."]
    if path.spectrum.n_outputs > 1:
        sentences.append(f"Fit and residuals are those of the first of {path.spectrum.n_outputs} outputs.")
    if len(steps) < path.n_rounds:
        sentences.append(f"The slider stops at {len(steps)} of {path.n_rounds:,} rounds, evenly spread.")
    if len(kept) < path.spectrum.n_samples:
        sentences.append(
            f"Points are {len(kept)} of {path.spectrum.n_samples:,} training samples, evenly spread in their order."
        )
    positive = int(np.count_nonzero(path.eigenvalues > 0))
    if positive > MOST_POINTS:
        sentences.append(f"Weights are shown at {MOST_POINTS} of {positive:,} eigenvalues, evenly spread in rank.")
    if fits is not None and len(fits.grid) > MOST_POINTS:
        sentences.append(f"Curves are drawn through {MOST_POINTS} of {len(fits.grid):,} points.")
    return " ".join(sentences)


def _curves_panel(path: Any, fits: FitCurves, steps: list[int]) -> Panel:
    """Fits along one input over the first output's targets."""
    drawn = shown_rounds(len(fits.grid), MOST_POINTS)
    samples = shown_rounds(len(fits.inputs), MOST_POINTS)
    grid, curves = np.asarray(fits.grid)[drawn], np.asarray(fits.fits)[steps][:, drawn]
    targets, _ = training_fits(path, steps[:1], samples)
    truth = (
        () if fits.truth is None else (Curve(fits.truth_name, "guide", "lines", grid, np.asarray(fits.truth)[drawn]),)
    )
    points = Curve("targets", "data", "markers", np.asarray(fits.inputs)[samples], targets)
    return Panel(f"Fit along {fits.name}", fits.name, "f_t", (*truth, points, *_moving(grid, curves, "lines")))


def _predictions_panel(targets: NDArray[np.float64], predictions: NDArray[np.float64]) -> Panel:
    """Predictions against targets, and the line on which they would agree."""
    ends = np.array([targets.min(), targets.max()])
    agreed = Curve("prediction = target", "guide", "lines", ends, ends)
    curves = (agreed, *_moving(targets, predictions, "markers"))
    return Panel("Fit on the training samples", "target", "prediction f_t", curves)


def _residuals_panel(targets: NDArray[np.float64], predictions: NDArray[np.float64]) -> Panel:
    """What a round leaves over of the targets, against them."""
    ends = np.array([targets.min(), targets.max()])
    nothing = Curve("nothing left over", "guide", "lines", ends, np.zeros(2))
    curves = (nothing, *_moving(targets, targets - predictions, "markers"))
    return Panel("Residuals on the training samples", "target", "target − prediction f_t", curves)


def _weights_panel(path: Any, steps: list[int]) -> Panel:
    """Basis weights at the positive eigenvalues."""
    positive = np.flatnonzero(path.eigenvalues > 0)
    shown = positive[shown_rounds(len(positive), MOST_POINTS)]
    mode = "lines+markers" if len(shown) <= MARKED_POINTS else "lines"
    curves = _moving(path.eigenvalues[shown], path.basis_weights[steps][:, shown], mode)
    kind = "eigenvalue of kernel_matrix/n" if path.spectrum.is_whole else "Ritz value of kernel_matrix/n"
    return Panel("Basis weights", kind, "basis weight B_t", curves, log_x=True)


def _errors_panel(path: Any, errors: Mapping[str, NDArray[np.float64]], steps: list[int]) -> Panel:
    """Errors by round, those of the zero function last where the path collapsed, and rings around the round's own."""
    series = {"training error, original targets": path.training_errors, **errors}
    if path.collapse_round is not None:
        series["training error, original targets"] = np.append(path.training_errors, path.target_mean_squares[0])
    shown = steps if path.collapse_round is None else [*steps, path.n_rounds]
    curves = [
        Curve(heading_of_one_line(name), role, "lines+markers", np.array(rounds, dtype=np.float64), values[rounds])
        for role, (name, values) in zip(MEASURES, series.items(), strict=False)
        if (rounds := [t for t in shown if t < len(values)])
    ]
    at = np.repeat(np.array(steps, dtype=np.float64)[:, None], len(series), axis=1)
    values = np.array([[every[t] for every in series.values()] for t in steps])
    ring = Curve("round shown", "ring", "markers", at, values)
    zero = "" if path.collapse_round is None else f"; {path.collapse_round} is the zero function"
    return Panel("Errors", f"round t{zero}", "mean squared error", (*curves, ring), whole_x=True)


def _moving(x: NDArray[np.float64], versions: NDArray[np.float64], mode: str) -> tuple[Curve, ...]:
    """The round's own curve over that of round 0, which is left out where there is no other."""
    own = Curve("round shown", "round", mode, x, versions)
    return (own,) if len(versions) == 1 else (Curve("round 0", "reference", mode, x, versions[0]), own)

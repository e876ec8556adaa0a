"""DistillationPath: the result of distilling, one array entry per round.

    path = distill(kernel_matrix, targets, tolerance=0.1)
    for row in path.rows():
        print(row["round"], row["multiplier"], row["training_error"])
    path.save("path")
    DistillationPath.load("path").predict(cross_kernel, round=0)

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

from __future__ import annotations

import html
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.certificate import Certificate, certify
from hilbertsd.distillation.path_file import FILE_FORMAT, path_attributes, path_content
from hilbertsd.errors import CollapseWarning, InvalidRound
from hilbertsd.spectral.spectrum import KrylovSpectrum, Spectrum
from hilbertsd.support.array_files import read_arrays, write_arrays

if TYPE_CHECKING:
    from hilbertsd.distillation.path_page import FitCurves

ROWS_SHOWN = 10
"""Rounds shown in a notebook at each end of a long path."""


@dataclass(frozen=True, eq=False, repr=False)
class DistillationPath:
    """A chain of T fits, each to the predictions of the one before.

    Attributes
    ----------
    spectrum : eigenvalues, rotated targets and basis, shared by all rounds.
    tolerance : ε of the constrained form, None for a fixed multiplier.
    multipliers : (T,) c_t, in units of the eigenvalues.
    target_mean_squares : (T+1,) ‖y_t‖²/n of each round's targets; the last is at or under ε where the path
        collapsed.
    training_errors : (T,) mean squared error of each fit against the original targets.
    collapse_round : T where the path collapsed (every later fit is zero), None where max_rounds ended it.
    ground_truth_weights : (T+1,) α_t, the share of the original targets in those of round t,
        y_t = α_t y + (1 − α_t) f_{t−1} with α_0 = 1; None where later rounds have none (MFB).
    """

    spectrum: Spectrum
    tolerance: float | None
    multipliers: NDArray[np.float64]
    target_mean_squares: NDArray[np.float64]
    training_errors: NDArray[np.float64]
    collapse_round: int | None
    ground_truth_weights: NDArray[np.float64] | None = None

    @property
    def n_rounds(self) -> int:
        """Number T of nonzero fits."""
        return len(self.multipliers)

    @property
    def relative_tolerance(self) -> float | None:
        """ε as a fraction of the targets' mean square ‖Y‖²/n, which sums over outputs; None for a fixed multiplier."""
        return None if self.tolerance is None else self.tolerance / float(self.target_mean_squares[0])

    @property
    def method(self) -> str:
        """How the eigenvalues were found: "exact" or "krylov"."""
        return self.spectrum.method

    @property
    def eigenvalues(self) -> NDArray[np.float64]:
        """(m,) eigenvalues of kernel_matrix/n, ascending."""
        return self.spectrum.eigenvalues

    @cached_property
    def shrinkage(self) -> NDArray[np.float64]:
        """(T, m) diagonals of A_t = D (c_t I + D)⁻¹ (MFB 30)."""
        return self.eigenvalues / (self.multipliers[:, None] + self.eigenvalues)

    @cached_property
    def basis_weights(self) -> NDArray[np.float64]:
        """(T, m) diagonals of B_t = A_t ⋯ A_0 (MFB 45); of A_t (α_t I + (1 − α_t) B_{t−1}) with ground truth."""
        return np.exp(self.log_basis_weights)

    @cached_property
    def log_basis_weights(self) -> NDArray[np.float64]:
        """(T, m) log B_t, which does not underflow; −∞ at zero eigenvalues."""
        with np.errstate(divide="ignore", over="ignore"):  # zero eigenvalues: log 0 = −∞ is meant
            logs = -np.log1p(self.multipliers[:, None] / self.eigenvalues)
        if self.ground_truth_weights is None:
            return np.cumsum(logs, axis=0)
        for t in range(1, self.n_rounds):
            logs[t] += log_mixed(self.ground_truth_weights[t], logs[t - 1])
        return logs

    def target_weights(self, round: int) -> NDArray[np.float64]:
        """(m,) share of each component of the original targets in those of a nonzero round: α_t + (1 − α_t) B_{t−1}."""
        if round == 0:
            return np.ones_like(self.eigenvalues)
        if self.ground_truth_weights is None:
            return self.basis_weights[round - 1]
        return np.exp(log_mixed(self.ground_truth_weights[round], self.log_basis_weights[round - 1]))

    def dual_coefficients(self, round: int = -1) -> Any:
        """(n_samples, n_outputs) α with f_t(x) = Σ_k k(x, x_k) α_k, in the array library of the kernel.

        Raises InvalidRound as :meth:`predict`, InvalidKernel where α is beyond double precision. Source: MFB (31) in
        the form that needs no D⁻¹.
        """
        index = self.round_index(round)
        if index is None:
            weights = np.zeros_like(self.eigenvalues)
        else:
            with np.errstate(over="ignore"):
                weights = self.target_weights(index) / (self.multipliers[index] + self.eigenvalues)
        return self.spectrum.dual_coefficients(weights)

    def predict(self, cross_kernel: Any, round: int = -1) -> Any:
        """Predictions f_t at new points.

        Parameters
        ----------
        cross_kernel : (n_query, n_samples) raw kernel values between new points and training samples.
        round : t, counting the fits from 0; negative counts from the last nonzero fit. From the collapse
            round on the fit is the zero function, with a CollapseWarning.

        Returns
        -------
        (n_query,), or (n_query, n_outputs) if the targets had two dimensions; in the array library of the
        kernel matrix.

        Raises
        ------
        InvalidCrossKernel
            Wrong width, not numeric, or not finite.
        InvalidRound
            `round` is no whole number, or lies beyond what was computed.
        InvalidKernel
            The coefficients of the fit are beyond double precision, as a kernel with values near 1e-300 can make them.

        Warns
        -----
        CollapseWarning
            The path collapsed at or before `round`.

        Notes
        -----
        As in every kernel ridge fit, a kernel matrix known to `spectrum.rounding` and a multiplier c give
        predictions to about rounding/(c + d_min) relative to the targets.
        """
        self.warned_index(round)
        return self.spectrum.predict(cross_kernel, self.dual_coefficients(round))

    def train_predictions(self, round: int = -1) -> Any:
        """Predictions f_t at the training samples, shaped like the targets.

        Without ground truth they are the targets y_{t+1} of the next round.

        Raises InvalidRound and warns CollapseWarning as :meth:`predict`. Source: MFB (29).
        """
        index = self.warned_index(round)
        weights = np.zeros_like(self.eigenvalues) if index is None else self.basis_weights[index]
        return self.spectrum.shaped(self.spectrum.from_eigenbasis(weights))

    @cached_property
    def certificate(self) -> Certificate | None:
        """Enclosures that a Krylov path is certain of; None for a whole spectrum, or for a fixed multiplier."""
        if not isinstance(self.spectrum, KrylovSpectrum) or self.tolerance is None:
            return None
        return certify(self.spectrum, self.tolerance, self.multipliers, self.collapse_round)

    @property
    def multiplier_bounds(self) -> NDArray[np.float64]:
        """(T, 2) enclosures of the multipliers; the multipliers themselves, up to rounding, for a whole spectrum."""
        if self.certificate is None:
            return np.column_stack([self.multipliers, self.multipliers])
        return self.certificate.multiplier_bounds

    @property
    def collapse_certified(self) -> bool:
        """Whether the path collapsed, and certainly in that round."""
        return self.collapse_round is not None if self.certificate is None else self.certificate.collapse

    def rows(self) -> Iterator[dict[str, float | int]]:
        """One dictionary per round: the table that reports, pages and the command line show.

        The effective dimension is left out for a Krylov path, which does not know it.
        """
        for t in range(self.n_rounds):
            row = {
                "round": t,
                "multiplier": float(self.multipliers[t]),
                "target_mean_square": float(self.target_mean_squares[t]),
                "training_error": float(self.training_errors[t]),
            }
            if self.spectrum.is_whole:
                row["effective_dimension"] = float(self.basis_weights[t].sum())
            yield row

    def to_dict(self) -> dict[str, Any]:
        """Everything but the basis, as plain Python numbers and lists ready for JSON; None for a bound that is none."""
        bounds, mixed = self.multiplier_bounds, self.ground_truth_weights
        return {
            "n_samples": self.spectrum.n_samples,
            "n_outputs": self.spectrum.n_outputs,
            "tolerance": self.tolerance,
            "floor": self.spectrum.floor,
            "clipped": self.spectrum.clipped,
            "collapse_round": self.collapse_round,
            "n_rounds": self.n_rounds,
            "method": self.method,
            "multipliers": self.multipliers.tolist(),
            "multiplier_bounds": [[end if np.isfinite(end) else None for end in pair] for pair in bounds.tolist()],
            "collapse_certified": self.collapse_certified,
            **({} if mixed is None else {"ground_truth_weights": mixed.tolist()}),
            "target_mean_squares": self.target_mean_squares.tolist(),
            "training_errors": self.training_errors.tolist(),
            "eigenvalues": self.eigenvalues.tolist(),
            "basis_weights": self.basis_weights.tolist(),
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the path to one .npz file (arrays, and a JSON text under the key ``metadata``); no pickle.

        Returns the file's path, which ends in .npz. An existing file is replaced whole or not at all.
        Raises InvalidFile if it cannot be written.
        """
        return write_arrays(path, FILE_FORMAT, *path_content(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a path that :meth:`save` wrote; its arrays are NumPy's.

        Raises
        ------
        InvalidFile
            The file is missing, is no .npz, is damaged, or holds values that no path has.
        """
        return cls(**read_arrays(path, FILE_FORMAT, path_attributes))

    def to_html(
        self,
        file: str | os.PathLike[str],
        *,
        errors: Mapping[str, Any] | None = None,
        fits: FitCurves | None = None,
    ) -> Path:
        """Write a page of the path, with a slider over its rounds, that a browser opens from the file alone.

        The page, of less than 6 MB, holds everything that it shows, and requests nothing. The slider moves fit, basis
        weights, residuals and errors; of several outputs fit and residuals are the first's. Of more than 60 rounds or
        300 points it shows as many, evenly spread, and says so.

        Parameters
        ----------
        file : name of the page; an existing file is replaced whole or not at all.
        errors : at most three series of T further errors by name, as leave-one-out's or a test's; one more number is
            that of the zero function.
        fits : fits along the one input; without them the page has predictions against targets.

        Raises
        ------
        InvalidFile
            The page cannot be written there.
        InvalidInput
            Errors or fits have other shapes than the path.
        """
        from hilbertsd.distillation.path_page import path_page
        from hilbertsd.pages.page import write_page

        return write_page(path_page(self, errors, fits), Path(file))

    @property
    def ending(self) -> str:
        """How the path ended, in words: at which round it collapsed, or what stopped it."""
        if self.collapse_round is not None:
            return f"collapse at round {self.collapse_round}"
        return f"not collapsed: stopped after max_rounds={self.n_rounds}"

    def __repr__(self) -> str:
        rule = "fixed multiplier"
        if self.tolerance is not None:
            rule = f"tolerance {self.tolerance:.6g} = {self.relative_tolerance:.4g} of the targets' mean square"
        if self.ground_truth_weights is not None:
            rule += ", with ground truth in the targets"
        space = "" if self.spectrum.is_whole else f", Krylov space of {len(self.eigenvalues)} dimensions"
        return f"DistillationPath({self.ending}, {rule}, n_samples={self.spectrum.n_samples}{space})"

    def _repr_html_(self) -> str:
        rows = list(self.rows())
        head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in (rows[0] if rows else ["round"]))
        cells = ["<tr>" + "".join(f"<td>{v:.6g}</td>" for v in row.values()) + "</tr>" for row in rows]
        if len(cells) > 2 * ROWS_SHOWN:
            cells[ROWS_SHOWN:-ROWS_SHOWN] = [f"<tr><td>… {len(cells) - 2 * ROWS_SHOWN} more</td></tr>"]
        body = "".join(cells)
        return (
            f"<table><caption>{html.escape(repr(self))}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def nonzero_round(self, round: int) -> int:
        """Number from 0 of a nonzero fit; negative counts from the last.

        Raises InvalidRound for anything else, also from the collapse round on.
        """
        index = self.round_index(round)
        if index is None:
            raise InvalidRound(
                f"round {round} is the zero function: the path collapsed at round {self.collapse_round}; give a round "
                f"before it"
            )
        return index

    def warned_index(self, round: int) -> int | None:
        """Index as :meth:`round_index`; where it is None, a CollapseWarning for who called the caller.

        The words are those of the path, whatever the round, so that Python shows them once.
        """
        index = self.round_index(round)
        if index is None:
            warnings.warn(
                f"{self.ending}: from there on every fit is the zero function, which is the mean where targets were "
                "centred; give an earlier round, or distil with a smaller tolerance",
                CollapseWarning,
                stacklevel=3,
            )
        return index

    def round_index(self, round: int) -> int | None:
        """Index from 0 of a nonzero fit, or None for the zero function after collapse.

        Raises InvalidRound as :meth:`predict`.
        """
        try:
            index = int(round)
        except (TypeError, ValueError, OverflowError):
            index = None
        if index is None or index != round or index < -max(self.n_rounds, 1):
            raise InvalidRound(f"round is {round!r}; give a whole number from {-max(self.n_rounds, 1)} on")
        if index < self.n_rounds:
            index = index if index >= 0 else index + self.n_rounds
            return None if self.n_rounds == 0 else index
        if self.collapse_round is None:
            raise InvalidRound(
                f"round {round} was not computed: the path has not collapsed, it stopped after "
                f"max_rounds={self.n_rounds}; give a round up to {self.n_rounds - 1}, or distil again with a larger "
                "max_rounds (n_rounds of an estimator)"
            )
        return None


def log_mixed(share: float, log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(α + (1 − α) B) from α and log B, for targets that hold a share α of the original ones."""
    with np.errstate(divide="ignore"):  # α = 0 or 1: log 0 = −∞ is meant
        small = np.logaddexp(np.log(share), np.log1p(-share) + log_weights)
    # Near 1 what counts is the distance from it, which log(α + …) would lose.
    near_one = log_weights > -np.log(2)
    return np.where(near_one, np.log1p((1 - share) * np.expm1(np.where(near_one, log_weights, 0.0))), small)

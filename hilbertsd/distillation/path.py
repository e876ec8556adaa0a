"""DistillationPath: the result of distilling, one array entry per round."""

import html
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.certificate import Certificate, certify
from hilbertsd.errors import InvalidFile, InvalidRound
from hilbertsd.spectral.reflections import Reflectors
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.files import atomic_write

ROWS_SHOWN = 10
"""Rounds shown in a notebook at each end of a long path."""

FILE_FORMAT = "hilbertsd.DistillationPath/1"


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
    """

    spectrum: Spectrum
    tolerance: float | None
    multipliers: NDArray[np.float64]
    target_mean_squares: NDArray[np.float64]
    training_errors: NDArray[np.float64]
    collapse_round: int | None

    @property
    def n_rounds(self) -> int:
        """Number T of nonzero fits."""
        return len(self.multipliers)

    @property
    def method(self) -> str:
        """How the spectrum was found: "exact" or "krylov"."""
        return "exact" if self.spectrum.remainder is None else "krylov"

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
        """(T, m) diagonals of B_t = A_t ⋯ A_0 (MFB 45)."""
        return np.exp(self.log_basis_weights)

    @cached_property
    def log_basis_weights(self) -> NDArray[np.float64]:
        """(T, m) log B_t, which does not underflow; −∞ at zero eigenvalues."""
        with np.errstate(divide="ignore"):  # zero eigenvalues: log 0 = −∞ is meant
            return -np.cumsum(np.log1p(self.multipliers[:, None] / self.eigenvalues), axis=0)

    def dual_coefficients(self, round: int = -1) -> Any:
        """(n_samples, n_outputs) α with f_t(x) = Σ_k k(x, x_k) α_k, in the array library of the kernel.

        Raises InvalidRound as :meth:`predict`. Source: MFB (31) in the form that needs no D⁻¹.
        """
        index = self.round_index(round)
        if index is None:
            weights = np.zeros_like(self.eigenvalues)
        else:
            before = self.basis_weights[index - 1] if index else np.ones_like(self.eigenvalues)
            weights = before / (self.multipliers[index] + self.eigenvalues)
        return self.spectrum.dual_coefficients(weights)

    def predict(self, cross_kernel: Any, round: int = -1) -> Any:
        """Predictions f_t at new points.

        Parameters
        ----------
        cross_kernel : (n_query, n_samples) raw kernel values between new points and training samples.
        round : t, counting the fits from 0; negative counts from the last nonzero fit. From the collapse
            round on the fit is the zero function.

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

        Notes
        -----
        As in every kernel ridge fit, a kernel matrix known to `spectrum.rounding` and a multiplier c give
        predictions to about rounding/(c + d_min) relative to the targets.
        """
        return self.spectrum.predict(cross_kernel, self.dual_coefficients(round))

    def train_predictions(self, round: int = -1) -> Any:
        """Predictions f_t at the training samples, shaped like the targets: the targets y_{t+1} of the next round.

        Raises InvalidRound as :meth:`predict`. Source: MFB (29).
        """
        index = self.round_index(round)
        weights = np.zeros_like(self.eigenvalues) if index is None else self.basis_weights[index]
        return self.spectrum.shaped(self.spectrum.from_eigenbasis(weights))

    @cached_property
    def certificate(self) -> Certificate | None:
        """What a Krylov path is certain of; None where the whole spectrum is known, or for a fixed multiplier."""
        return certify(self) if self.spectrum.remainder is not None and self.tolerance is not None else None

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
            if self.spectrum.remainder is None:
                row["effective_dimension"] = float(self.basis_weights[t].sum())
            yield row

    def to_dict(self) -> dict[str, Any]:
        """Everything but the basis, as plain Python numbers and lists ready for JSON; None for a bound that is none."""
        bounds = self.multiplier_bounds
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
        target = _npz_path(path)
        metadata = {
            "format": FILE_FORMAT,
            "tolerance": self.tolerance,
            "collapse_round": self.collapse_round,
            "single_output": self.spectrum.single_output,
            "clipped": self.spectrum.clipped,
            "rounding": self.spectrum.rounding,
        }
        arrays = {
            "multipliers": self.multipliers,
            "target_mean_squares": self.target_mean_squares,
            "training_errors": self.training_errors,
            "eigenvalues": self.eigenvalues,
            "rotated_targets": self.spectrum.rotated_targets,
        }
        reflectors = self.spectrum.reflectors
        if reflectors is None:
            arrays["basis"] = np.asarray(self.spectrum.vectors)
        else:  # under names of their own, so that nobody takes the vectors for the basis
            arrays |= {"vectors": self.spectrum.vectors, "packed": reflectors.packed, "scales": reflectors.scales}
        if self.spectrum.remainder is not None:
            arrays["remainder"] = self.spectrum.remainder
        with atomic_write(target) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, metadata=np.array(json.dumps(metadata)), **arrays)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a path that :meth:`save` wrote; its arrays are NumPy's.

        Raises
        ------
        InvalidFile
            The file is missing, is no .npz, or holds something else.
        """
        source = _npz_path(path)
        if source.is_file() and not zipfile.is_zipfile(source):
            raise InvalidFile(f"{source} ({source.stat().st_size} bytes) is no .npz file; save the path again")
        try:
            with source.open("rb") as file, np.load(file, allow_pickle=False) as members:
                arrays = {name: members[name] for name in members.files}
            metadata = json.loads(str(arrays["metadata"]))
            if metadata["format"] != FILE_FORMAT:
                raise InvalidFile(
                    f"{source} has format {metadata['format']!r} and this version reads {FILE_FORMAT!r}; "
                    "read it with the version that wrote it"
                )
            reflectors = Reflectors(arrays["packed"], arrays["scales"]) if "packed" in arrays else None
            spectrum = Spectrum(
                arrays["eigenvalues"],
                arrays["rotated_targets"],
                arrays["basis" if reflectors is None else "vectors"],
                metadata["single_output"],
                metadata["clipped"],
                metadata["rounding"],
                arrays.get("remainder"),
                reflectors,
            )
            loaded = cls(
                spectrum,
                metadata["tolerance"],
                arrays["multipliers"],
                arrays["target_mean_squares"],
                arrays["training_errors"],
                metadata["collapse_round"],
            )
            loaded._check_lengths()
            return loaded
        except FileNotFoundError as error:
            raise InvalidFile(f"{source} does not exist; save a path there first") from error
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            if isinstance(error, InvalidFile):
                raise
            raise InvalidFile(f"{source} is no saved DistillationPath: {error}; save it again") from error

    def __repr__(self) -> str:
        rule = "fixed multiplier" if self.tolerance is None else f"tolerance {self.tolerance:.6g}"
        space = "" if self.spectrum.remainder is None else f", Krylov space of {len(self.eigenvalues)} dimensions"
        return f"DistillationPath({self._ending}, {rule}, n_samples={self.spectrum.n_samples}{space})"

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

    def _check_lengths(self) -> None:
        n_rounds, m = self.n_rounds, len(self.eigenvalues)
        lengths = (len(self.target_mean_squares), len(self.training_errors), self.collapse_round or n_rounds)
        if lengths != (n_rounds + 1, n_rounds, n_rounds):
            raise ValueError(f"{n_rounds} multipliers beside series of {lengths}")
        vectors, reflectors = self.spectrum.vectors, self.spectrum.reflectors
        if self.spectrum.rotated_targets.shape[0] != m or vectors.shape[1] != m:
            raise ValueError(f"{m} eigenvalues beside a basis of shape {vectors.shape}")
        if reflectors is not None and (reflectors.packed.shape != vectors.shape or len(reflectors.scales) != m - 1):
            raise ValueError(f"{len(reflectors.scales)} reflections of shape {reflectors.packed.shape} for {m} vectors")

    @property
    def _ending(self) -> str:
        if self.collapse_round is None:
            return f"{self.n_rounds} rounds, not collapsed"
        return f"collapse at round {self.collapse_round}"

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
                f"round {round} was not computed: max_rounds ended the path after {self.n_rounds} rounds; "
                f"give a round up to {self.n_rounds - 1} or distil again with a larger max_rounds"
            )
        return None


def _npz_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")

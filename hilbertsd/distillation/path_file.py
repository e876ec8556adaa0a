"""What the .npz file of a path holds: its arrays and metadata, and the checks of those that are read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidFile
from hilbertsd.spectral.reflections import Reflectors
from hilbertsd.spectral.spectrum import KrylovSpectrum, Spectrum
from hilbertsd.support.checks import as_real_array, check_positive

FILE_FORMAT = "hilbertsd.DistillationPath/1"

DIMENSIONS = {
    "multipliers": 1,
    "target_mean_squares": 1,
    "training_errors": 1,
    "ground_truth_weights": 1,
    "eigenvalues": 1,
    "scales": 1,
    "rotated_targets": 2,
    "basis": 2,
    "vectors": 2,
    "packed": 2,
    "remainder": 2,
}
"""Arrays that a file may hold, and their dimensions; those of one dimension are never negative."""


def path_content(path: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metadata and arrays of a DistillationPath, for a file."""
    spectrum = path.spectrum
    metadata = {
        "tolerance": path.tolerance,
        "collapse_round": path.collapse_round,
        "single_output": spectrum.single_output,
        "clipped": spectrum.clipped,
        "rounding": spectrum.rounding,
    }
    arrays = {
        "multipliers": path.multipliers,
        "target_mean_squares": path.target_mean_squares,
        "training_errors": path.training_errors,
        "eigenvalues": spectrum.eigenvalues,
        "rotated_targets": spectrum.rotated_targets,
    }
    reflectors = spectrum.reflectors
    if reflectors is None:
        arrays["basis"] = np.asarray(spectrum.vectors)
    else:  # under names of their own, so that nobody takes the vectors for the basis
        arrays |= {"vectors": spectrum.vectors, "packed": reflectors.packed, "scales": reflectors.scales}
    if path.ground_truth_weights is not None:
        arrays["ground_truth_weights"] = path.ground_truth_weights
    if isinstance(spectrum, KrylovSpectrum):
        arrays["remainder"] = spectrum.remainder
    return metadata, arrays


def path_attributes(arrays: dict[str, NDArray[Any]], metadata: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a DistillationPath, by name, from a file's content; ValueError names a value that no path has."""
    for name, array in arrays.items():
        _check_array(array, name)
    multipliers, mean_squares = arrays["multipliers"], arrays["target_mean_squares"]
    n_rounds, tolerance, collapse_round = len(multipliers), metadata["tolerance"], metadata["collapse_round"]
    lengths = (len(mean_squares), len(arrays["training_errors"]))
    if lengths != (n_rounds + 1, n_rounds):
        raise ValueError(f"{n_rounds} multipliers beside series of {lengths}")
    if not np.all(multipliers > 0):
        raise ValueError("multipliers holds 0, which no path has")
    mixed = arrays.get("ground_truth_weights")
    if mixed is not None and not (len(mixed) == n_rounds + 1 and mixed[0] == 1 and np.all(mixed <= 1)):
        raise ValueError(f"ground_truth_weights are {mixed[:5].tolist()} of {n_rounds} rounds")
    if tolerance is not None:
        check_positive(tolerance, "tolerance", "as every path has", InvalidFile)
    collapsed = tolerance is not None and bool(mean_squares[-1] <= tolerance)
    if collapse_round != (n_rounds if collapsed else None):
        raise ValueError(
            f"collapse_round is {collapse_round!r} after {n_rounds} rounds with tolerance {tolerance!r} and a last "
            f"mean square of {mean_squares[-1]:.6g}"
        )
    return {
        "spectrum": _spectrum(arrays, metadata),
        "tolerance": tolerance,
        "multipliers": multipliers,
        "target_mean_squares": mean_squares,
        "training_errors": arrays["training_errors"],
        "collapse_round": collapse_round,
        "ground_truth_weights": mixed,
    }


def _spectrum(arrays: dict[str, NDArray[Any]], metadata: dict[str, Any]) -> Spectrum:
    """Spectrum of the kind that the arrays tell, or ValueError where they do not fit together."""
    eigenvalues, z = arrays["eigenvalues"], arrays["rotated_targets"]
    m = len(eigenvalues)
    reflectors = Reflectors(arrays["packed"], arrays["scales"]) if "packed" in arrays else None
    vectors = arrays["basis" if reflectors is None else "vectors"]
    if z.shape[0] != m or vectors.shape[1] != m:
        raise ValueError(f"{m} eigenvalues beside a basis of shape {vectors.shape} and targets of {z.shape}")
    if reflectors is not None and (reflectors.packed.shape != vectors.shape or len(reflectors.scales) != m - 1):
        raise ValueError(f"{len(reflectors.scales)} reflections of shape {reflectors.packed.shape} for {m} vectors")
    single_output, clipped, rounding = (metadata[name] for name in ("single_output", "clipped", "rounding"))
    if not (single_output is False or (single_output is True and z.shape[1] == 1)):
        raise ValueError(f"single_output is {single_output!r} with {z.shape[1]} outputs")
    if not 0 <= clipped <= rounding < math.inf:
        raise ValueError(f"clipped is {clipped!r} and rounding {rounding!r}")
    if "remainder" not in arrays:
        return Spectrum(eigenvalues, z, vectors, single_output, clipped, rounding, reflectors=reflectors)
    if arrays["remainder"].shape[1] != m:
        raise ValueError(f"{m} eigenvalues beside a remainder of shape {arrays['remainder'].shape}")
    return KrylovSpectrum(eigenvalues, z, vectors, single_output, clipped, rounding, remainder=arrays["remainder"])


def _check_array(array: NDArray[Any], name: str) -> None:
    """Raise ValueError for an array that no path has: another name, kind or dimension, not finite, or negative."""
    if array.ndim != DIMENSIONS.get(name):
        raise ValueError(f"it holds an array {name} of shape {array.shape}")
    as_real_array(array, name, InvalidFile)
    allowed = np.isfinite(array) & ((array >= 0) | (array.ndim == 2))
    if not np.all(allowed):
        raise ValueError(f"{name} holds {array[~allowed][0]:.6g}, which no path has")

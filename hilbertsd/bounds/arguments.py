"""Arguments of the bounds: arrays, eigenvalues, ratios and condition numbers, checked."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.errors import InvalidInput, InvalidTolerance
from hilbertsd.support.checks import as_real_array, check_positive


def finite_array(values: ArrayLike, name: str, least: float = -math.inf) -> NDArray[np.float64]:
    """Values as float64, or InvalidInput where they are no numbers, or one is not finite or below `least`."""
    array = np.asarray(as_real_array(values, name, InvalidInput), dtype=float)
    bad = array[~(np.isfinite(array) & (array >= least))]
    if bad.size:
        allowed = "" if least == -math.inf else f" of at least {least:g}"
        raise InvalidInput(f"{name} holds {bad[0]:.6g}; give finite numbers{allowed}")
    return array


def positive_eigenvalues(eigenvalues: ArrayLike) -> NDArray[np.float64]:
    """Eigenvalues in ascending order, or InvalidInput unless there are some and all are positive."""
    d = finite_array(eigenvalues, "eigenvalues")
    if d.ndim != 1 or not d.size or d.min() <= 0:
        worst = f"{d.min():.6g}" if d.size else "none"
        raise InvalidInput(
            f"eigenvalues of shape {d.shape} have smallest {worst}; give positive ones: for a singular kernel matrix "
            "those of its range, from round 1 on"
        )
    return np.sort(d)


def checked_ratio(ratio: float) -> float:
    """Ratio r as a float, or InvalidTolerance unless it exceeds 1."""
    number = check_positive(ratio, "ratio", "‖z‖/√(nε)", InvalidTolerance)
    if number <= 1:
        raise InvalidTolerance(
            f"ratio is {number:.6g}; it must exceed 1: at or below it the zero function meets the tolerance"
        )
    return number


def checked_condition_number(condition_number: float) -> float:
    """Condition number κ as a float, or InvalidInput unless it is at least 1."""
    number = check_positive(condition_number, "condition_number", "d_max/d_min", InvalidInput)
    if number < 1:
        raise InvalidInput(f"condition_number is {number:.6g}; d_max/d_min is at least 1")
    return number

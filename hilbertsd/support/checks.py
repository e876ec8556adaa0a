"""Checks of what users give: choices, whole and positive numbers, and real arrays of any array library."""

import math
import numbers
from collections.abc import Iterable
from typing import Any

import array_api_compat as array_api
import numpy as np

from hilbertsd.errors import InvalidInput


def as_real_float64(values: Any, name: str, error: type[InvalidInput], like: Any = None) -> tuple[Any, float]:
    """Values as a float64 array of their own library, and the machine epsilon of the type they had before.

    Parameters
    ----------
    values : an array of a library of the Python array API standard, or anything NumPy can convert.
    name : what to call it in an error message.
    error : class to raise.
    like : array whose library and device the result takes; None keeps those of the values.

    Raises
    ------
    error
        Complex, not numeric or masked; or a JAX array while JAX has 64-bit numbers off.
    """
    array = as_real_array(values, name, error)
    xp = array_api.array_namespace(array)
    is_floating = xp.isdtype(array.dtype, "real floating")
    epsilon = float(xp.finfo(array.dtype).eps if is_floating else np.finfo(np.float64).eps)
    target = array if like is None else like
    check_jax_has_64_bits(array, name, error)
    check_jax_has_64_bits(target, name, error)
    if like is None:
        return xp.astype(array, xp.float64, copy=False), epsilon
    return to_library(array, like), epsilon


def as_real_array(values: Any, name: str, error: type[InvalidInput]) -> Any:
    """Values as an array of their own library and dtype.

    Raises an error of the given class where they are not real numbers, or masked: a masked array has values that are
    none. Without masked values it becomes a plain array.
    """
    check_unmasked(values, name, error)
    is_array = array_api.is_array_api_obj(values) and not isinstance(values, np.ma.MaskedArray)
    try:
        array: Any = values if is_array else np.asarray(values)
    except ValueError as ragged:
        raise error(f"{name} is no array of numbers ({ragged}); give rows of equal length") from ragged
    xp = array_api.array_namespace(array)
    # Object and text arrays belong to NumPy alone, whose isdtype does not know them.
    if getattr(array.dtype, "kind", "f") in "OSUMmT" or not xp.isdtype(array.dtype, ("numeric", "bool")):
        raise error(f"{name} has dtype {array.dtype}; give real numbers")
    if xp.isdtype(array.dtype, "complex floating"):
        raise error(f"{name} is complex ({array.dtype}); give real numbers")
    return array


def check_unmasked(values: Any, name: str, error: type[InvalidInput]) -> None:
    """Raise an error of the given class for a NumPy masked array in which values are masked."""
    if isinstance(values, np.ma.MaskedArray) and (masked := int(np.ma.count_masked(values))):
        raise error(
            f"{masked:,} of {values.size:,} values in {name} are masked; drop their samples, or fill them in first"
        )


def check_whole(number: Any, name: str, error: type[InvalidInput], least: int = 1) -> None:
    """Raise an error of the given class unless the number is whole and at least the least."""
    if not (isinstance(number, numbers.Integral) and not isinstance(number, bool) and int(number) >= least):
        raise error(f"{name} is {number!r}; give a whole number of at least {least}")


def check_choice(value: Any, name: str, choices: Iterable[str], error: type[InvalidInput] = InvalidInput) -> None:
    """Raise an error of the given class unless the value is one of the choices."""
    known = tuple(choices)
    if not (isinstance(value, str) and value in known):
        raise error(f"{name} is {value!r}; give one of {', '.join(known)}")


def check_jax_has_64_bits(array: Any, name: str, error: type[InvalidInput]) -> None:
    """Raise an error of the given class if the array is JAX's while JAX has 64-bit numbers off."""
    if not array_api.is_jax_array(array):
        return
    import jax

    if not jax.config.read("jax_enable_x64"):
        raise error(
            f"{name} is to be used in float64 and JAX has 64-bit numbers off; call "
            "jax.config.update('jax_enable_x64', True) first"
        )


def check_positive(value: Any, name: str, meaning: str, error: type[InvalidInput]) -> float:
    """Value as a float, or an error of the given class unless it is a positive finite number."""
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise error(f"{name} is {value!r}; give a positive finite number, {meaning}")
    return number


def distinguishable(first: float, second: float) -> tuple[str, str]:
    """Texts of two numbers, with six digits or as many more as it takes to tell them apart."""
    for digits in range(6, 18):
        texts = f"{first:.{digits}g}", f"{second:.{digits}g}"
        if texts[0] != texts[1]:
            return texts
    return f"{first:.6g}", f"{second:.6g}"


def to_library(array: Any, like: Any) -> Any:
    """Real array as float64 in the library and on the device of another."""
    xp = array_api.array_namespace(like)
    return xp.asarray(array, dtype=xp.float64, device=array_api.device(like))

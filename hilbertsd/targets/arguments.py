"""What targets are made from, checked: outputs and probabilities, labels, hierarchies, shares.

Arrays keep their library and their floating type. Inside ``jax.jit`` and its like the values of an array are not known
yet, and only its shape is checked.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import array_api_compat as array_api
import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput, InvalidTargets
from hilbertsd.support.checks import as_real_array, check_whole

SUM_TOLERANCE = 1e-5
"""How far probabilities of one sample may be from a sum of 1: what a softmax in float32 rounds, far below an error."""


def is_traced(array: Any) -> bool:
    """Whether an array is JAX's and has no values yet."""
    if not array_api.is_jax_array(array):
        return False
    from jax.core import Tracer

    return isinstance(array, Tracer)


def as_floating(values: Any, name: str, error: type[InvalidInput]) -> Any:
    """Values as real floating numbers of their own library and type; whole numbers become its usual type."""
    array = as_real_array(values, name, error)
    xp = array_api.array_namespace(array)
    return array if xp.isdtype(array.dtype, "real floating") else xp.astype(array, xp.asarray(0.0).dtype)


def as_like(array: Any, like: Any) -> Any:
    """Array in the library, on the device and of the type of another; as it is where that is None."""
    if like is None:
        return array
    xp = array_api.array_namespace(like)
    return xp.asarray(array, dtype=like.dtype, device=array_api.device(like))


def checked_rows(values: Any, name: str, rows: str, columns: str, error: type[InvalidInput]) -> Any:
    """(n, k) finite floating numbers with n ≥ 1 and k ≥ 2, or an error of the given class."""
    array = as_floating(values, name, error)
    if array.ndim != 2 or not array.shape[0] or array.shape[1] < 2:
        raise error(f"{name} has shape {tuple(array.shape)}; give ({rows}, {columns}), with two {columns} at least")
    at = first_where(~array_api.array_namespace(array).isfinite(array))
    if at is not None:
        raise error(f"{name} holds {float(array[at]):g} at row {at[0]}, column {at[1]}; give finite numbers")
    return array


def checked_logits(logits: Any, name: str = "logits") -> Any:
    """(n, K) outputs before the softmax, or InvalidTargets."""
    return checked_rows(logits, name, "samples", "classes", InvalidTargets)


def checked_probabilities(probabilities: Any, name: str = "probabilities") -> Any:
    """(n, K) probabilities, none negative and with a sum of 1 in every row, or InvalidTargets."""
    array = checked_rows(probabilities, name, "samples", "classes", InvalidTargets)
    xp = array_api.array_namespace(array)
    at = first_where(array < 0)
    if at is not None:
        raise InvalidTargets(
            f"{name} holds {float(array[at]):.6g} at row {at[0]}, column {at[1]}; a probability is at least 0: "
            "give outputs that are no probabilities as logits"
        )
    excess = xp.sum(array, axis=1) - 1
    allowed = max(SUM_TOLERANCE, array.shape[1] * float(xp.finfo(array.dtype).eps))
    at = first_where(xp.abs(excess) > allowed)
    if at is not None:
        off = float(excess[at])
        raise InvalidTargets(
            f"row {at[0]} of {name} sums to {1 + off:.6g}, {abs(off):.3g} {'above' if off > 0 else 'below'} 1; "
            "divide every row by its sum, or give outputs that are no probabilities as logits"
        )
    return array


def checked_labels(labels: Any, n_classes: int, like: Any = None, n_samples: int | None = None) -> Any:
    """(n,) whole class numbers below n_classes in the library of another array, or InvalidTargets."""
    array = as_real_array(labels, "labels", InvalidTargets)
    if array.ndim != 1 or not array.shape[0]:
        raise InvalidTargets(
            f"labels have shape {tuple(array.shape)}; give one class number a sample (of one-hot rows their argmax)"
        )
    if not array_api.array_namespace(array).isdtype(array.dtype, "integral"):
        raise InvalidTargets(f"labels have dtype {array.dtype}; give whole class numbers 0, …, {n_classes - 1}")
    if n_samples is not None and array.shape[0] != n_samples:
        raise InvalidTargets(f"there are {array.shape[0]} labels for {n_samples} samples of the teacher; give one each")
    at = first_where((array < 0) | (array >= n_classes))
    if at is not None:
        raise InvalidTargets(
            f"label {int(array[at])} of sample {at[0]} is none of the {n_classes} classes; give class numbers "
            f"0, …, {n_classes - 1}"
        )
    if like is None or array_api.array_namespace(like) is array_api.array_namespace(array):
        return array
    return array_api.array_namespace(like).asarray(array, device=array_api.device(like))


def checked_classes(n_classes: Any) -> int:
    """Number of classes, or InvalidInput unless it is whole and at least 2."""
    check_whole(n_classes, "n_classes", InvalidInput, least=2)
    return int(n_classes)


def checked_share(value: Any, name: str) -> float:
    """Value as a float, or InvalidInput unless it is a number from 0 to 1."""
    number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    if not 0 <= number <= 1:
        raise InvalidInput(f"{name} is {value!r}; give a number from 0 to 1")
    return number


def checked_superclasses(superclasses: Any, n_classes: int | None = None) -> NDArray[np.int64]:
    """(K,) number of the superclass of every class.

    Parameters
    ----------
    superclasses : the superclass of every class, its name or a number from 0, ``["pet", "pet", "car"]``; or the classes
        of every superclass, ``[[0, 1], [2]]`` or ``{"pet": [0, 1], "car": [2]}``.
    n_classes : K; None takes it from the superclasses.

    Raises InvalidInput where a class has no superclass or two, or there are other classes than K.
    """
    if isinstance(superclasses, str) or not isinstance(superclasses, Iterable):
        raise InvalidInput(f"superclasses is {superclasses!r}; give the superclass of every class")
    groups = list(superclasses.values() if isinstance(superclasses, Mapping) else superclasses)
    listed = isinstance(superclasses, Mapping) or any(np.ndim(group) for group in groups)
    of_class = _from_groups(groups) if listed else _from_names(groups)
    n = max(max(of_class, default=-1) + 1, 0 if listed else len(groups)) if n_classes is None else n_classes
    if of_class and max(of_class) >= n:
        raise InvalidInput(f"superclasses names class {max(of_class)}, and there are {n} classes; leave it out")
    missing = [k for k in range(n) if k not in of_class]
    if missing or n < 2:
        what = f"misses class {missing[0]}, in all {len(missing)} of" if missing else "has"
        raise InvalidInput(
            f"superclasses {what} {n} classes; put every class of two at least into one superclass, a name or a whole "
            "number from 0, those without relatives into one of their own"
        )
    return np.array([of_class[k] for k in range(n)], dtype=np.int64)


def _from_groups(groups: list[Any]) -> dict[int, int]:
    """Number of its superclass by class, from the classes of every superclass."""
    of_class: dict[int, int] = {}
    for number, group in enumerate(groups):
        for k in np.ravel(np.asarray(group)).tolist():
            check_whole(k, "a class in superclasses", InvalidInput, least=0)
            if k in of_class:
                raise InvalidInput(f"class {k} is twice in superclasses; put every class into one superclass")
            of_class[k] = number
    return of_class


def _from_names(groups: list[Any]) -> dict[int, int]:
    """Number of its superclass by class, from the superclass of every class; who has none is left out."""
    names = [np.asarray(group).item() if array_api.is_array_api_obj(group) else group for group in groups]
    named = [isinstance(name, str) or (isinstance(name, int) and name >= 0) for name in names]
    order: dict[Any, int] = {}
    return {
        k: order.setdefault(name, len(order)) for k, (name, has) in enumerate(zip(names, named, strict=True)) if has
    }


def one_hot(labels: Any, n_classes: int, dtype: Any = None) -> Any:
    """(n, K) ones at the labels, in their library; by default in its usual floating type."""
    xp = array_api.array_namespace(labels)
    classes = xp.arange(n_classes, device=array_api.device(labels))
    return xp.astype(labels[:, None] == classes[None, :], xp.asarray(0.0).dtype if dtype is None else dtype)


def first_where(condition: Any) -> tuple[int, ...] | None:
    """Indices of the first true entry, None where there is none, or where JAX does not know yet."""
    if is_traced(condition):
        return None
    xp = array_api.array_namespace(condition)
    if not bool(xp.any(condition)):
        return None
    flat = xp.reshape(xp.astype(condition, xp.int8), (-1,))
    return tuple(int(index) for index in np.unravel_index(int(xp.argmax(flat)), condition.shape))


def checked_class_weights(class_weights: Any) -> Any:
    """(K, d) finite weights, K ≥ 2, none of the rows zero, or InvalidInput."""
    weights = as_floating(class_weights, "class_weights", InvalidInput)
    if weights.ndim != 2 or weights.shape[0] < 2 or not weights.shape[1]:
        raise InvalidInput(
            f"class_weights has shape {tuple(weights.shape)}; give (classes, d), with two classes or more"
        )
    xp = array_api.array_namespace(weights)
    at = first_where(~xp.isfinite(weights))
    if at is not None:
        raise InvalidInput(f"class_weights holds {float(weights[at]):g} in the row of class {at[0]}; give finite ones")
    at = first_where(~xp.any(weights != 0, axis=1))
    if at is not None:
        raise InvalidInput(
            f"class_weights of class {at[0]} are all 0, which is similar to nothing; give the (classes, d) weights "
            "of a trained last layer, a row a class"
        )
    return weights


def check_same_shape(first: Any, name: str, second: Any, other: str) -> None:
    """Raise InvalidTargets unless two arrays have the same shape."""
    if first.shape != second.shape:
        raise InvalidTargets(
            f"{name} has shape {tuple(first.shape)} and {other} {tuple(second.shape)}; give both for the same samples "
            "and classes"
        )

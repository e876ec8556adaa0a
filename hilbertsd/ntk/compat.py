"""neural-tangents 0.6.5 on today's JAX, without tensorflow: the only module that imports it.

neural-tangents imports names that JAX has moved or dropped, and a submodule that needs tensorflow. During the import
this module puts stand-ins, made of JAX's public names, where neural-tangents looks; afterwards it takes them away.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Any

from hilbertsd.errors import MissingPackage

VERSION = "0.6.5"
"""The version of neural-tangents that is tested here; it is the last release."""

INSTALL = f"pip install 'jax>=0.6.2,<0.13' frozendict && pip install --no-deps neural-tangents=={VERSION}"
"""Installs neural-tangents without its dependencies, because they include tensorflow."""

_import_lock = Lock()


def neural_tangents() -> ModuleType:
    """Import neural-tangents so that it works with the installed JAX.

    Use `stax`, and `empirical_ntk_fn` with implementation 1: tests compare this project's values with theirs. `batch`,
    `predict` and the empirical implementations 2 and 3 are not repaired here.

    Raises
    ------
    MissingPackage
        neural-tangents or JAX is not installed, or neural-tangents cannot be made to work with this version of JAX; the
        message names the versions.
    """
    with _import_lock:  # the stand-ins are visible to the whole process
        return _adapted()


@cache
def _adapted() -> ModuleType:
    from hilbertsd.ntk.jax_backend import jax

    try:
        with _names_of_older_jax():
            module = importlib.import_module("neural_tangents")
        if module.__version__ != VERSION:
            raise ImportError(f"neural-tangents is {module.__version__}")
        _replace_convolution(module)
    except Exception as error:  # a later JAX may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name == "neural_tangents":
            raise MissingPackage(f"finite networks need neural-tangents {VERSION}; {INSTALL}") from error
        for name in [name for name in sys.modules if name.split(".")[0] == "neural_tangents"]:
            del sys.modules[name]
        raise MissingPackage(
            f"neural-tangents does not work here ({error}), with JAX {jax.__version__}; neural-tangents {VERSION} was "
            f"tested with JAX 0.6.2 to 0.12: {INSTALL}"
        ) from error
    return module


@contextmanager
def _names_of_older_jax() -> Iterator[None]:
    """Inside the block, the names that neural-tangents imports exist where it looks for them."""
    import jax.core
    import jax.extend.core
    import jax.extend.linear_util  # `import jax` does not load it
    from jax.interpreters import ad

    util, experimental = ModuleType("jax.util"), ModuleType("neural_tangents.experimental")
    util.__dict__.update(safe_map=_safe_map, safe_zip=_safe_zip)
    stand_ins: list[tuple[Any, str, Any]] = [
        (jax.core.__dict__, name, getattr(jax.extend.core, name))
        for name in ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var")
    ]
    stand_ins.append((ad.__dict__, "zeros_like_p", jax.extend.core.Primitive("zeros_like")))
    stand_ins += [(sys.modules, module.__name__, module) for module in (util, experimental)]
    before = [(namespace, name, namespace.get(name)) for namespace, name, _ in stand_ins]
    for namespace, name, value in stand_ins:
        namespace[name] = value
    try:
        yield
    finally:
        for namespace, name, value in before:
            if value is None:
                del namespace[name]
            else:
                namespace[name] = value


def _safe_map(function: Callable[..., Any], *lists: Iterable[Any]) -> list[Any]:
    return [function(*arguments) for arguments in zip(*lists, strict=True)]


def _safe_zip(*lists: Iterable[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*lists, strict=True))


def _replace_convolution(module: ModuleType) -> None:
    """Make neural-tangents average covariances over a filter with :func:`_mean_of_slices`.

    It uses a convolution with one channel, which XLA computes slowly on CPUs; in float64, with JAX 0.8 to 0.10, that
    convolution reads beyond the end of its input.
    """
    linear = importlib.import_module(f"{module.__name__}._src.stax.linear")
    name = "_conv_kernel_full_spatial_shared"
    # An AttributeError here is better than a replacement that nothing calls.
    _mean_of_slices.__dict__["__wrapped__"] = getattr(linear, name)
    setattr(linear, name, _mean_of_slices)


def _mean_of_slices(
    lhs: Any, filter_shape: Sequence[int], strides: Sequence[int], padding: Any, batch_ndim: int
) -> Any:
    """Average covariances (batch..., height, height, width, width) over the positions of a filter.

    The filter moves both positions of a pair by the same step. The result has its spatial axes in reverse order, which
    neural-tangents expects.
    """
    import jax.numpy as jnp
    from jax import lax

    if lhs is None or lhs.ndim == 0:
        return lhs
    # Without the barrier XLA would compute the input again for every slice.
    lhs = lax.optimization_barrier(lhs)
    for index, (size, stride) in enumerate(zip(filter_shape, strides, strict=True)):
        first = batch_ndim + 2 * index
        length = lhs.shape[first]
        if padding.name == "VALID":
            before = after = 0
        else:
            total = max((-(-length // stride) - 1) * stride + size - length, 0)
            before, after = total // 2, total - total // 2
        widths = [(0, 0)] * lhs.ndim
        widths[first] = widths[first + 1] = (before, after)
        lhs = jnp.pad(lhs, widths, mode="wrap" if padding.name == "CIRCULAR" else "constant")
        last = lhs.shape[first] - size
        parts = [
            lax.slice_in_dim(lax.slice_in_dim(lhs, t, t + last + 1, stride, first), t, t + last + 1, stride, first + 1)
            for t in range(size)
        ]
        lhs = sum(parts[1:], parts[0]) / size
    pairs = range(lhs.ndim - 2, batch_ndim - 1, -2)
    return lhs.transpose((*range(batch_ndim), *(axis for first in pairs for axis in (first, first + 1))))

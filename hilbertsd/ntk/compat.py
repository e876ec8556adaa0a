"""neural-tangents 0.6.5 on the JAX of today, without tensorflow: the one place that knows how.

neural-tangents imports names that JAX has moved or dropped, and a submodule that needs tensorflow. While it is being
imported those names stand where it looks for them, made of JAX's public ones; afterwards they are gone again.
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
"""The version of neural-tangents that was tested, the last one there is."""

INSTALL = f"pip install 'jax>=0.6.2,<0.13' frozendict && pip install --no-deps neural-tangents=={VERSION}"
"""Without dependencies, of which tensorflow is one."""


_import_lock = Lock()


def neural_tangents() -> ModuleType:
    """neural-tangents as a module that works with the JAX installed.

    Its `batch`, `predict` and empirical implementations 2 and 3 are as fragile as upstream left them; `stax` and
    `empirical_ntk_fn` with implementation 1 are what the tests hold this project's own values against.

    Raises
    ------
    MissingPackage
        neural-tangents or JAX is not installed, or JAX is one that neural-tangents cannot be made to work with; the
        message names the versions.
    """
    with _import_lock:  # what stands in for older names of JAX is the whole process's
        return _adapted()


@cache
def _adapted() -> ModuleType:
    try:
        import jax
    except ImportError as error:
        raise MissingPackage(f"neural tangent kernels need JAX and neural-tangents; {INSTALL}") from error
    try:
        with _names_of_older_jax():
            module = importlib.import_module("neural_tangents")
        if module.__version__ != VERSION:
            raise ImportError(f"neural-tangents is {module.__version__}")
        _replace_convolution(module)
    except Exception as error:  # nobody knows what a later JAX will make of it
        if isinstance(error, ModuleNotFoundError) and error.name == "neural_tangents":
            raise MissingPackage(f"neural tangent kernels need neural-tangents {VERSION}; {INSTALL}") from error
        for name in [name for name in sys.modules if name.split(".")[0] == "neural_tangents"]:
            del sys.modules[name]
        raise MissingPackage(
            f"neural-tangents does not work here ({error}), with JAX {jax.__version__}; neural-tangents {VERSION} was "
            f"tested with JAX 0.6.2 to 0.12: {INSTALL}"
        ) from error
    return module


@contextmanager
def sixty_four_bits(enabled: bool) -> Iterator[None]:
    """JAX with 64-bit numbers on or off within, in this thread, whatever they are outside."""
    import jax
    import jax.experimental

    # JAX before 0.8 has it among the experimental ones.
    switch: Any = getattr(jax if hasattr(jax, "enable_x64") else jax.experimental, "enable_x64")  # noqa: B009
    with switch(enabled):
        yield


@contextmanager
def _names_of_older_jax() -> Iterator[None]:
    """What neural-tangents looks for in JAX and today's JAX has elsewhere, there while it is imported."""
    import jax.core
    import jax.extend.core
    import jax.extend.linear_util  # not loaded by jax itself
    from jax.interpreters import ad

    util, experimental = ModuleType("jax.util"), ModuleType("neural_tangents.experimental")
    util.__dict__.update(safe_map=_safe_map, safe_zip=_safe_zip)
    places: list[tuple[Any, str, Any]] = [
        (jax.core.__dict__, name, getattr(jax.extend.core, name))
        for name in ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var")
    ]
    places.append((ad.__dict__, "zeros_like_p", jax.extend.core.Primitive("zeros_like")))
    places += [(sys.modules, module.__name__, module) for module in (util, experimental)]
    before = [(place, name, place.get(name)) for place, name, _ in places]
    for place, name, value in places:
        place[name] = value
    try:
        yield
    finally:
        for place, name, value in before:
            if value is None:
                del place[name]
            else:
                place[name] = value


def _safe_map(function: Callable[..., Any], *lists: Iterable[Any]) -> list[Any]:
    return [function(*each) for each in zip(*lists, strict=True)]


def _safe_zip(*lists: Iterable[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*lists, strict=True))


def _replace_convolution(module: ModuleType) -> None:
    """Put a mean of shifted slices in the place of a convolution of covariances with one channel.

    XLA for CPUs computes that convolution slowly, and in float64 JAX 0.8 to 0.10 read beyond its end.
    """
    linear = importlib.import_module(f"{module.__name__}._src.stax.linear")
    convolution = "_conv_kernel_full_spatial_shared"
    # Where there is none to replace, an AttributeError here is better than a replacement that nothing calls.
    _mean_of_slices.__dict__["__wrapped__"] = getattr(linear, convolution)
    setattr(linear, convolution, _mean_of_slices)


def _mean_of_slices(
    lhs: Any, filter_shape: Sequence[int], strides: Sequence[int], padding: Any, batch_ndim: int
) -> Any:
    """Covariances (batch..., height, height, width, width) averaged over a filter's positions, both in step.

    The result has its spatial axes in reverse order, as neural-tangents expects and keeps track of.
    """
    import jax.numpy as jnp
    from jax import lax

    if lhs is None or lhs.ndim == 0:
        return lhs
    # Without the barrier XLA would compute what leads up to this once for every slice.
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

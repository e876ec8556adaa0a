"""JAX, Flax and Optax, for the modules of this room that train, and functions over an axis of seeds.

Where one is missing, the advice to install them.
"""

import os
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from hilbertsd.errors import MissingPackage
from hilbertsd.support.machine import machine_description
from hilbertsd.support.provenance import package_versions

INSTALL = "pip install 'hilbertsd[networks]'"

try:
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx
    from jax import lax
except ImportError as error:
    raise MissingPackage(f"training networks needs JAX, Flax and Optax ({error}); {INSTALL}") from error

__all__ = [
    "INSTALL",
    "compiler_options",
    "jax",
    "jnp",
    "lax",
    "made_with",
    "n_devices",
    "nnx",
    "on_cpu",
    "optax",
    "over_seeds",
    "stacked",
]

WITH_YNNPACK = ((0, 10), (0, 11))
"""First and last minor version of jaxlib whose CPU compiler fuses with YNNPACK and has a switch for it."""


def on_cpu() -> bool:
    """Whether JAX computes on a processor, not on an accelerator."""
    return jax.default_backend() == "cpu"


def n_devices() -> int:
    """Number of devices of this machine on which JAX computes."""
    return jax.local_device_count()


def compiler_options() -> dict[str, Any]:
    """XLA's options for functions that train networks or compute their outputs.

    They are set for each such function when it is compiled, never for the process, because kernels are faster with
    XLA's own choice. On CPUs with jaxlib 0.10 and 0.11 YNNPACK's fusion is off:

    - with it a step of ResNet-8 takes 2.1 times as long with images of 32 × 32, and 1.2 times with 16 × 16 (one core,
      jaxlib 0.10.2), because convolutions and their gradients are slower;
    - there are public reports of wrong results and of crashes (jaxlib 0.10.2 to 0.11).

    tests/networks/test_canary.py compares gradients compiled with these options with differences of the loss.
    """
    version: Any = tuple(map(int, metadata.version("jaxlib").split(".")[:2]))
    if not on_cpu() or not WITH_YNNPACK[0] <= version <= WITH_YNNPACK[1]:
        return {}
    return {"compiler_options": {"xla_cpu_experimental_ynn_fusion_type": ""}}


def made_with() -> dict[str, Any]:
    """Versions, machine, device and flags of what is computed now, ready for JSON."""
    device = next(iter(jnp.zeros(()).devices()))  # of this thread
    return {
        "versions": package_versions(),
        "machine": machine_description(),
        "device": device.device_kind,
        "flags": os.environ.get("XLA_FLAGS", ""),
        **compiler_options(),
    }


def over_seeds(function: Callable[..., Any], axes: tuple[int | None, ...]) -> Callable[..., Any]:
    """Function over the axis of seeds of its arguments; plain for a single seed.

    Under `vmap` the weights of a convolution have an axis more and it becomes a grouped one, which is slow on CPUs.
    """

    def run(*arguments: Any) -> Any:
        if len(jax.tree.leaves(arguments[0])[0]) > 1:
            in_axes = tuple(None if value is None else axis for value, axis in zip(arguments, axes, strict=True))
            return jax.vmap(function, in_axes)(*arguments)
        one = [
            value if axis is None else jax.tree.map(lambda array: array[0], value)
            for value, axis in zip(arguments, axes, strict=True)
        ]
        return jax.tree.map(lambda array: jnp.asarray(array)[None], function(*one))

    return run


def stacked(trees: Sequence[Any]) -> Any:
    """Trees of equal structure as one, with an axis of seeds first."""
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *trees)

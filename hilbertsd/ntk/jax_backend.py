"""JAX and its devices, for every module of this room; where JAX is missing, the advice on how to install it."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import MissingPackage
from hilbertsd.support.machine import available_cores

INSTALL_JAX = "pip install 'jax>=0.6.2,<0.13'"

try:
    import jax
    import jax.experimental
    import jax.numpy as jnp
    from jax import lax
except ImportError as error:
    raise MissingPackage(f"neural tangent kernels need JAX ({error}); {INSTALL_JAX}") from error

__all__ = [
    "INSTALL_JAX",
    "device_memory",
    "eigh",
    "free_device",
    "jax",
    "jnp",
    "lax",
    "numbers_at_once",
    "on_cpu",
    "sixty_four_bits",
    "tiles_in_flight",
]

TILES_PER_DEVICE = 2
"""Tiles in flight on one accelerator: one is computed while the values of the other come back."""

NUMBERS_IN_CACHE, NUMBERS_ON_DEVICE = 2**18, 2**28
"""Numbers that an array of a tile may hold, on a processor and on an accelerator with much memory."""

BYTES_PER_NUMBER = 128
"""Memory of an accelerator for each of these numbers: tiles in flight have about eight arrays each, in float64."""


@contextmanager
def sixty_four_bits(enabled: bool) -> Iterator[None]:
    """Switch JAX's 64-bit numbers on or off inside the block, for this thread only."""
    # JAX before 0.8 has the switch among its experimental functions.
    switch: Any = getattr(jax if hasattr(jax, "enable_x64") else jax.experimental, "enable_x64")  # noqa: B009
    with switch(enabled):
        yield


def on_cpu() -> bool:
    """Whether JAX computes on a processor, not on an accelerator."""
    return jax.default_backend() == "cpu"


def device_memory() -> int | None:
    """Bytes that arrays may take on each accelerator; None where JAX does not say."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def eigh(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues, ascending, and eigenvectors of a symmetric matrix: on the accelerator, or by NumPy without one."""
    if on_cpu():
        return np.linalg.eigh(matrix)
    with sixty_four_bits(True):
        values, vectors = jnp.linalg.eigh(jnp.asarray(matrix, jnp.float64))
        return np.asarray(values), np.asarray(vectors)


def numbers_at_once() -> int:
    """Numbers that an array of a tile may hold: what fits the cache of a processor, or the memory of an accelerator."""
    if on_cpu():
        return NUMBERS_IN_CACHE
    memory = device_memory()
    return NUMBERS_ON_DEVICE if memory is None else min(NUMBERS_ON_DEVICE, memory // BYTES_PER_NUMBER)


def tiles_in_flight() -> int:
    """Number of tiles that this process computes at the same time."""
    cores = available_cores()
    return cores if on_cpu() else min(cores, TILES_PER_DEVICE * jax.local_device_count())


@contextmanager
def free_device() -> Iterator[Any]:
    """Wait for a device that has room for another tile, and give the room back after the block."""
    free = _free_devices()
    device = free.get()
    try:
        yield device
    finally:
        free.put(device)


@cache
def _free_devices() -> "queue.SimpleQueue[Any]":
    """Devices of this process, each as many times as it takes tiles at the same time."""
    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(available_cores() if on_cpu() else TILES_PER_DEVICE):
        for device in jax.local_devices():
            free.put(device)
    return free

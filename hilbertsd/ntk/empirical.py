"""Empirical neural tangent kernels: K(x, x') = ⟨∇_W F(x), ∇_W F(x')⟩ of finite networks at random parameters.

With J the gradients of all examples, (n, P), the kernel matrix is J Jᵀ = Σ_b J_b J_bᵀ over blocks of parameters. One
J_b at a time is in memory: every entry of J is computed once, none is kept, and each block passes the network anew.
A block's product is in the precision of the network, the sum over blocks in float64, which costs nothing beside it.
"""

import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.gram.kernel_tiles import DTYPES
from hilbertsd.gram.tiles import slices
from hilbertsd.networks.architectures import Architecture
from hilbertsd.ntk.compat import sixty_four_bits
from hilbertsd.ntk.stax import StaxNetwork
from hilbertsd.support.checks import as_real_array, check_positive
from hilbertsd.support.machine import physical_memory
from hilbertsd.support.progress import Task, progress

FORMS = ("single-logit", "full-output")
MATMUL_PRECISIONS = ("highest", "high", "default")

SHARE_OF_MEMORY = {"cpu": 0.5, "accelerator": 0.2}
"""What a block of gradients may take where no budget is given; an accelerator's products take copies of its rows."""

DEFAULT_MEMORY = 2e9
"""Bytes for a block of gradients where the system does not say how much memory there is."""

ROWS_AT_ONCE = 2048
"""Of a block, multiplied with the others on an accelerator."""

EXAMPLES_AT_ONCE = {"cpu": 1, "accelerator": 128}
"""Examples in one call; on a CPU more gain nothing, and inside a loop of XLA's convolutions are ten times as slow."""


def empirical_grams(
    architecture: Architecture,
    images: Any,
    others: Any = None,
    *,
    seeds: Iterable[int] = (0,),
    form: str = "single-logit",
    dtype: str = "float32",
    matmul_precision: str = "highest",
    memory: float | None = None,
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Tangent kernel matrices of a finite network at its initial parameters, one pair for every seed.

    Parameters
    ----------
    architecture : from :func:`hilbertsd.networks.architectures.architecture`.
    images : (n, rows, columns, channels), or (n, d) for a fully connected network.
    others : (m, …) more of the kind, for instance test images.
    seeds : of the parameters, which are drawn in float32 whatever the dtype, so that both have the same network.
    form : "single-logit" for gradients of the first output alone, a kernel for all classes; "full-output" for those of
        all k, whose kernel matrix is (nk, nk) with the k rows of a sample one after another.
    dtype : "float32" or "float64" of network, gradients and result, whatever JAX's 64-bit setting. The entries in
        float32 are within some 1e-6 of the largest.
    matmul_precision : of an accelerator's products in float32: "highest", or "high" or "default", which may be TF32.
    memory : bytes that a block of gradients may take, (n + m) × P_block × 4 in float32; None for half of the
        machine's, or a fifth of the accelerator's. The last digits depend on it.

    Returns
    -------
    For every seed (n, n) between the images, exactly symmetric, and (m, n) between the others and the images; 0 rows
    without others.

    Raises
    ------
    InvalidInput
        A form, dtype or precision is none of these; a seed is no whole number from 0 to 2³² − 1; the images do not fit
        the architecture or the others; or the memory is too small for one parameter.
    MissingPackage
        JAX or neural-tangents is not installed.

    Source: Jacot, Gabriel & Hongler (2018), arXiv:1806.07572.
    """
    for name, value, known in (
        ("form", form, FORMS),
        ("dtype", dtype, DTYPES),
        ("matmul_precision", matmul_precision, MATMUL_PRECISIONS),
    ):
        if value not in known:
            raise InvalidInput(f"{name} is {value!r}; give one of {', '.join(known)}")
    seeds = [_checked_seed(seed) for seed in seeds]
    images, others = _checked_images(architecture, images, others, dtype)
    outputs = 1 if form == "single-logit" else architecture.options["outputs"]
    if memory is not None:
        check_positive(memory, "memory", "in bytes, or None", InvalidInput)
    budget = _memory_available() if memory is None else memory
    width = int(budget // (len(images) + len(others)) // outputs // np.dtype(dtype).itemsize)
    if width < 1:
        rows = (len(images) + len(others)) * outputs
        raise InvalidInput(
            f"memory is {budget:g} bytes and the gradients of one parameter are {rows * np.dtype(dtype).itemsize:,}; "
            "give more memory or fewer images"
        )
    gradients = _Gradients(architecture, np.concatenate([images, others]), form == "single-logit", width)
    return _grams(gradients, seeds, len(images) * outputs, matmul_precision)


def initial_parameters(architecture: Architecture, seed: int, image_shape: Sequence[int]) -> Any:
    """Parameters of a seed, float32, the same ones whatever JAX's 64-bit setting; see :func:`empirical_grams`."""
    import jax

    with sixty_four_bits(False):
        return StaxNetwork(architecture).init(jax.random.key(_checked_seed(seed), impl="threefry2x32"), image_shape)


def _grams(
    gradients: "_Gradients", seeds: Sequence[int], n: int, matmul_precision: str
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    import jax

    for position, seed in enumerate(seeds):
        # JAX's settings are back before anything is yielded, or the caller's code would run with these.
        with (
            sixty_four_bits(gradients.images.dtype == np.float64),
            jax.default_matmul_precision(matmul_precision),
            progress(f"tangent kernel, network {position + 1} of {len(seeds)}", gradients.examples_in_all) as bar,
        ):
            result = _sum_over_blocks(gradients, seed, n, bar)
        yield result


def _sum_over_blocks(gradients: "_Gradients", seed: int, n: int, bar: Task) -> tuple[NDArray[Any], NDArray[Any]]:
    rows = gradients.rows
    train, cross = np.zeros((n, n)), np.zeros((rows - n, n))
    for block in gradients.blocks(seed, bar):
        between, across = _products(block, n)
        train += between
        cross += across
    dtype = gradients.images.dtype
    return train.astype(dtype, copy=False), cross.astype(dtype, copy=False)


def _products(block: Any, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """First n rows times their transpose, exactly symmetric, and the other rows times the first."""
    import jax.numpy as jnp

    if _kind_of_device() == "cpu":
        values = np.asarray(block)  # a view; NumPy halves the work of A Aᵀ, which XLA does not
        first = values[:n]
        return first @ first.T, values[n:] @ first.T
    first = block[:n]  # a copy, and so are the rows below; nothing is transposed
    parts = [jnp.einsum("ip,jp->ij", block[rows], first) for rows in slices(len(block), ROWS_AT_ONCE)]
    products = np.concatenate([np.asarray(part) for part in parts])
    between = np.tril(products[:n])
    return between + np.tril(between, -1).T, products[n:]


@dataclass(frozen=True)
class _Slice:
    """Part of one leaf of the parameters, as positions in it once it is flat."""

    leaf: int
    start: int
    stop: int


class _Gradients:
    """Gradients of all images, block of parameters by block; compiled once for all seeds."""

    def __init__(self, architecture: Architecture, images: NDArray[Any], single: bool, width: int) -> None:
        self.images, self._architecture, self._single, self._width = images, architecture, single, width
        self._network = StaxNetwork(architecture)
        self._filled: dict[tuple[_Slice, ...], Callable[..., Any]] = {}
        self._at_once = min(EXAMPLES_AT_ONCE[_kind_of_device()], len(images))

    @property
    def rows(self) -> int:
        return len(self.images) * (1 if self._single else self._architecture.options["outputs"])

    @property
    def examples_in_all(self) -> int:
        """Examples times blocks."""
        import jax

        shape = self.images.shape[1:]
        parameters = jax.eval_shape(lambda key: self._network.init(key, shape), jax.random.key(0))
        leaves = jax.tree_util.tree_leaves(parameters)
        return len(self.images) * len(_split([leaf.size for leaf in leaves], self._width))

    def blocks(self, seed: int, bar: Task) -> Iterator[Any]:
        """(rows, P_block) gradients on JAX's device, one block after another; drop each before asking for the next."""
        import jax
        import jax.numpy as jnp

        leaves, structure = self._parameters(seed)
        leaves, images = [jnp.asarray(leaf, self.images.dtype) for leaf in leaves], jnp.asarray(self.images)
        n, done = len(images), 0
        for parts in _split([leaf.size for leaf in leaves], self._width):
            fill = self._filled.get(parts)
            if fill is None:
                fill = jax.jit(self._fill(parts, structure), donate_argnums=0)
                self._filled[parts] = fill
            block = jnp.zeros((self.rows, sum(each.stop - each.start for each in parts)), self.images.dtype)
            for start in range(0, n, self._at_once):
                # The last call goes back to where it is whole, so that all have one shape and compile once.
                block = fill(block, leaves, images, min(start, n - self._at_once))
                bar.update(done + start)
            done += n
            yield block
            del block

    def _parameters(self, seed: int) -> tuple[list[Any], Any]:
        import jax

        return jax.tree_util.tree_flatten(initial_parameters(self._architecture, seed, self.images.shape[1:]))

    def _fill(self, slices: tuple[_Slice, ...], structure: Any) -> Callable[..., Any]:
        """Function that writes the gradients of some images into their rows of a block."""
        import jax
        import jax.numpy as jnp
        from jax import lax

        together, single, apply = self._at_once, self._single, self._network.apply
        # Gradients of these leaves only: XLA leaves out what the others would need.
        chosen = [each.leaf for each in slices]

        def gradient(leaves: list[Any], image: Any) -> Any:
            def outputs(parts: list[Any]) -> Any:
                whole = list(leaves)
                for leaf, part in zip(chosen, parts, strict=True):
                    whole[leaf] = part
                result = apply(jax.tree_util.tree_unflatten(structure, whole), image[None])[0]
                return result[0] if single else result

            derivative: Callable[..., Any] = jax.grad if single else jax.jacrev
            parts = derivative(outputs)([leaves[leaf] for leaf in chosen])
            count = 1 if single else parts[0].shape[0]
            flat = [
                part.reshape(count, -1)[:, each.start : each.stop] for part, each in zip(parts, slices, strict=True)
            ]
            return jnp.concatenate(flat, axis=1)

        def fill(block: Any, leaves: list[Any], images: Any, start: Any) -> Any:
            some = lax.dynamic_slice_in_dim(images, start, together)
            rows = jax.vmap(lambda image: gradient(leaves, image))(some)
            outputs = rows.shape[1]
            rows = rows.reshape(together * outputs, -1)
            return lax.dynamic_update_slice_in_dim(block, rows, start * outputs, 0)

        return fill


def _split(sizes: Sequence[int], width: int) -> list[tuple[_Slice, ...]]:
    """Parameters in as few blocks of about equal length as the width allows; leaves are cut where a block ends."""
    total = sum(sizes)
    count = -(-total // width)
    ends = [total * (block + 1) // count for block in range(count)]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    blocks, start = [], 0
    for end in ends:
        blocks.append(
            tuple(
                _Slice(leaf, max(start - first, 0), min(end, last) - first)
                for leaf, (first, last) in enumerate(pairwise(offsets))
                if first < end and last > start
            )
        )
        start = end
    return blocks


def _checked_seed(seed: Any) -> int:
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or not 0 <= int(seed) < 2**32:
        raise InvalidInput(f"seed is {seed!r}; give a whole number from 0 to 2³² − 1")
    return int(seed)


def _checked_images(
    architecture: Architecture, images: Any, others: Any, dtype: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images and others, none where None, as NumPy arrays of a dtype."""
    first = np.asarray(as_real_array(images, "images", InvalidInput), dtype=dtype)
    if first.ndim < 2 or first.size == 0:
        raise InvalidInput(f"images have shape {first.shape}; give (n, rows, columns, channels) with none of them 0")
    architecture.check(first.shape[1:])
    second = first[:0] if others is None else np.asarray(as_real_array(others, "others", InvalidInput), dtype=dtype)
    if second.shape[1:] != first.shape[1:]:
        raise InvalidInput(
            f"others have shape {second.shape} beside images of shape {first.shape}; give (m, "
            f"{', '.join(map(str, first.shape[1:]))})"
        )
    for name, array in (("images", first), ("others", second)):
        if not np.all(np.isfinite(array)):
            row = int(np.argmin(np.isfinite(array).reshape(len(array), -1).all(axis=1)))
            raise InvalidInput(f"{name} hold values that are not finite in row {row}; leave it out")
    return first, second


def _kind_of_device() -> str:
    import jax

    return "cpu" if jax.default_backend() == "cpu" else "accelerator"


def _memory_available() -> float:
    """Bytes for a block of gradients."""
    import jax

    if _kind_of_device() == "cpu":
        total = physical_memory()
    else:
        total = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return DEFAULT_MEMORY if total is None else SHARE_OF_MEMORY[_kind_of_device()] * total

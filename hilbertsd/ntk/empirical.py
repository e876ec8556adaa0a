"""Empirical neural tangent kernels: K(x, x') = ⟨∇_W F(x), ∇_W F(x')⟩ of finite networks, random or trained.

    network = architecture("wrn-10-1", n_classes=10)
    for train, cross in empirical_grams(network, images, test_images, seeds=range(5)):
        ...  # (n, n) and (m, n), one pair for every draw of the parameters
    empirical_grams(network, images, test_images, parameters=[trained], form="mean-over-outputs")

Let J be the (n, P) gradients of n images by P parameters. The kernel matrix is J Jᵀ = Σ_b J_b J_bᵀ over blocks of
parameters. Only one J_b is in memory at a time; its gradients take a pass through the network for every image, and are
then dropped. Products of a block are in the precision of the network. Their sum is in float64, which costs little.
"""

import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.gram.kernel_tiles import DTYPES
from hilbertsd.gram.tiles import slices
from hilbertsd.networks.architectures import Architecture, check_has_kernel, finite_images
from hilbertsd.ntk.jax_backend import device_memory, jax, jnp, lax, on_cpu, sixty_four_bits
from hilbertsd.ntk.patches import apply_by_patches
from hilbertsd.ntk.stax import StaxNetwork
from hilbertsd.support.checks import check_choice, check_positive
from hilbertsd.support.machine import physical_memory
from hilbertsd.support.progress import Task, progress

FORMS = ("single-logit", "full-output", "mean-over-outputs")
MATMUL_PRECISIONS = ("highest", "high", "default")

SHARE_OF_MEMORY = {"cpu": 0.5, "accelerator": 0.2}
"""Default share of the memory for a block of gradients; products on an accelerator need copies of its rows."""

DEFAULT_MEMORY = 2e9
"""Bytes for a block of gradients where the system does not say how much memory it has."""

ROWS_AT_ONCE = 2048
"""Number of rows of a block that an accelerator multiplies with the others at a time."""

EXAMPLES_AT_ONCE = {"cpu": 1, "accelerator": 128}
"""Number of images whose gradients one call computes. On a CPU more save no time, and XLA's convolutions are ten times
slower in a loop."""

ACCELERATOR_OPTIONS = {"xla_gpu_enable_triton_gemm": False}
"""XLA's options for gradients: with Triton it tries many kernels for every product, for longer than all images take."""


def empirical_grams(
    architecture: Architecture,
    images: Any,
    others: Any = None,
    *,
    seeds: Iterable[int] = (0,),
    parameters: Iterable[Mapping[str, Any]] | None = None,
    form: str = "single-logit",
    dtype: str = "float32",
    matmul_precision: str = "highest",
    memory: float | None = None,
    diagonal: bool = False,
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Tangent kernel matrices of a finite network, one pair for every seed, or for every network that is given.

    Parameters
    ----------
    architecture : from :func:`hilbertsd.networks.architecture`.
    images : (n, rows, columns, channels), or (n, d) for a fully connected network.
    others : (m, …) more of the kind, for instance test images.
    seeds : seeds of random initial parameters. These are drawn in float32 for every dtype, so that a seed always means
        the same network.
    parameters : instead of seeds, arrays by name of networks of this architecture, trained ones for instance: those
        that :func:`hilbertsd.networks.stored_network` reads.
    form : "single-logit" for gradients of the first output, which gives one kernel for all classes; "full-output" for
        gradients of all k outputs, which gives an (nk, nk) matrix with the k rows of an image one after another;
        "mean-over-outputs" for the mean of the kernels of the k outputs, one kernel for all classes in which every
        output has a share. In training outputs come to have kernels of their own.
    dtype : "float32" or "float64", the precision of network, gradients and result whatever JAX's 64-bit setting.
        Entries in float32 are within about 1e-6 of the largest entry.
    matmul_precision : precision of an accelerator's float32 products: "highest", or "high" or "default", which may use
        TF32.
    memory : bytes that a block of gradients may take, (n + m) × (parameters of a block) × 4 in float32; None for half
        of the machine's memory, or a fifth of the accelerator's. The last digits of the result depend on it.
    diagonal : whether to give the K(x, x) of the others, too, which takes no further pass.

    Returns
    -------
    Iterator that gives, for every seed or network, (n, n) between the images, exactly symmetric, and (m, n) between the
    others and the images, without others m = 0; with `diagonal` the (m,) values K(x, x) of the others as a third array.

    Raises
    ------
    InvalidInput
        The architecture is none; the form, dtype or precision is unknown; a seed is no whole number from 0 to 2³² − 1;
        images are not finite numbers in the dtype, or fit neither the architecture nor each other; the memory is too
        small for the gradients of one parameter. While iterating: parameters are not those of the architecture; the
        kernel is not finite in the dtype.
    MissingPackage
        JAX or neural-tangents is not installed.

    Source: Jacot, Gabriel & Hongler (2018), arXiv:1806.07572.
    """
    check_has_kernel(architecture)
    check_choice(form, "form", FORMS)
    check_choice(dtype, "dtype", DTYPES)
    check_choice(matmul_precision, "matmul_precision", MATMUL_PRECISIONS)
    images, others = _checked_images(architecture, images, others, dtype)
    shape = images.shape[1:]
    if parameters is None:
        networks = [partial(initial_parameters, architecture, _checked_seed(seed), shape) for seed in seeds]
    else:
        networks = [partial(StaxNetwork(architecture).with_arrays, arrays, shape) for arrays in parameters]
    outputs = 1 if form == "single-logit" else architecture.options["n_classes"]
    if memory is not None:
        check_positive(memory, "memory", "in bytes, or None", InvalidInput)
    budget = _default_memory() if memory is None else memory
    bytes_per_parameter = (len(images) + len(others)) * outputs * np.dtype(dtype).itemsize
    block_length = int(budget // bytes_per_parameter)
    if block_length < 1:
        raise InvalidInput(
            f"memory is {budget:g} bytes and the gradients of one parameter are {bytes_per_parameter:,}; "
            "give more memory or fewer images"
        )
    gradients = _Gradients(architecture, np.concatenate([images, others]), form, block_length)
    kernels = _grams(gradients, networks, len(images) * gradients.rows_of_an_image, matmul_precision)
    return kernels if diagonal else (kernel[:2] for kernel in kernels)


def n_parameters(architecture: Architecture, image_shape: Sequence[int]) -> int:
    """Number of parameters of a finite network.

    Parameters
    ----------
    architecture : from :func:`hilbertsd.networks.architecture`.
    image_shape : (rows, columns, channels), or (d,) for a fully connected network.

    Raises
    ------
    InvalidInput
        Images of this shape do not pass through the network.
    MissingPackage
        JAX or neural-tangents is not installed.
    """
    return sum(_leaf_sizes(StaxNetwork(architecture), image_shape))


def initial_parameters(architecture: Architecture, seed: int, image_shape: Sequence[int]) -> Any:
    """Float32 parameters that a seed stands for, the same ones whatever JAX's 64-bit setting."""
    with sixty_four_bits(False):
        return StaxNetwork(architecture).init(jax.random.key(_checked_seed(seed), impl="threefry2x32"), image_shape)


def _grams(
    gradients: "_Gradients", networks: Sequence[Callable[[], Any]], n: int, matmul_precision: str
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    for position, network in enumerate(networks):
        # Leave JAX's settings before yielding: the caller's code runs until the next kernel is asked for.
        with (
            sixty_four_bits(gradients.images.dtype == np.float64),
            jax.default_matmul_precision(matmul_precision),
            progress(f"tangent kernel, network {position + 1} of {len(networks)}", gradients.steps) as bar,
        ):
            result = _sum_over_blocks(gradients, network(), n, bar)
        yield result


def _sum_over_blocks(
    gradients: "_Gradients", parameters: Any, n: int, bar: Task
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Kernel matrix of the first n rows of J, of the other rows with them, and the others' squared norms."""
    rows, dtype = gradients.rows, gradients.images.dtype
    sums = np.zeros((n, n)), np.zeros((rows - n, n)), np.zeros(rows - n)
    for block in gradients.blocks(parameters, bar):
        for total, part in zip(sums, _products(block, n), strict=True):
            total += part / gradients.outputs_of_a_row
    with np.errstate(over="ignore"):  # refused below
        train, cross, diagonal = (total.astype(dtype, copy=False) for total in sums)
    if not all(np.all(np.isfinite(values)) for values in (train, cross, diagonal)):
        raise InvalidInput(
            f"the tangent kernel of images with values up to {np.abs(gradients.images).max():g} is not finite in "
            f"{dtype}; scale the images so that their values are near 1"
        )
    return train, cross, diagonal


def _products(block: Any, n: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Products of the first n rows with themselves, exactly symmetric, of the others with them, and with themselves."""
    if on_cpu():
        values = np.asarray(block)  # a view; NumPy halves the work of A Aᵀ, and XLA does not
        first, others = values[:n], values[n:]
        with np.errstate(over="ignore", invalid="ignore"):  # refused in the sum
            return first @ first.T, others @ first.T, np.einsum("ip,ip->i", others, others)
    first = block[:n]  # a copy, and so are the rows below; nothing is transposed
    parts = [jnp.einsum("ip,jp->ij", block[rows], first) for rows in slices(len(block), ROWS_AT_ONCE)]
    products = np.concatenate([np.asarray(part) for part in parts])
    lower = np.tril(products[:n])
    return lower + np.tril(lower, -1).T, products[n:], np.asarray(jnp.sum(jnp.square(block[n:]), axis=1))


@dataclass(frozen=True)
class _LeafPart:
    """Part of one array (leaf) of the parameters: from `start` to `stop` in the flattened array."""

    leaf: int
    start: int
    stop: int


class _Gradients:
    """Gradients of all images, one block of parameters after another; compiled once for all seeds.

    Attributes
    ----------
    images : (n, ...) in the dtype of the gradients.
    rows_of_an_image : number of rows of J for an image: one, or in the full-output form one for each output.
    outputs_of_a_row : number of outputs whose gradients are in a row, one after another.
    """

    def __init__(self, architecture: Architecture, images: NDArray[Any], form: str, block_length: int) -> None:
        self.images, self._architecture, self._single_logit = images, architecture, form == "single-logit"
        self._outputs = 1 if self._single_logit else architecture.options["n_classes"]
        self.outputs_of_a_row = self._outputs if form == "mean-over-outputs" else 1
        self.rows_of_an_image = self._outputs // self.outputs_of_a_row
        self._block_length, self._network = block_length, StaxNetwork(architecture)
        self._compiled: dict[tuple[_LeafPart, ...], Callable[..., Any]] = {}
        self._at_once = min(EXAMPLES_AT_ONCE[_kind_of_device()], len(images))

    @property
    def rows(self) -> int:
        """Rows of J."""
        return len(self.images) * self.rows_of_an_image

    @property
    def steps(self) -> int:
        """Number of images times number of blocks, for a progress bar."""
        return len(self.images) * len(_split(_leaf_sizes(self._network, self.images.shape[1:]), self._block_length))

    def blocks(self, parameters: Any, bar: Task) -> Iterator[Any]:
        """Gradients on JAX's device, (rows, columns of a block of parameters); drop one before asking for the next."""
        leaves, structure = jax.tree_util.tree_flatten(parameters)
        leaves, images = [jnp.asarray(leaf, self.images.dtype) for leaf in leaves], jnp.asarray(self.images)
        n, done = len(images), 0
        for parts in _split([leaf.size for leaf in leaves], self._block_length):
            fill = self._compiled.get(parts)
            if fill is None:
                options: Any = {} if on_cpu() else {"compiler_options": ACCELERATOR_OPTIONS}
                fill = self._compiled[parts] = jax.jit(self._fill(parts, structure), donate_argnums=0, **options)
            columns = self.outputs_of_a_row * sum(part.stop - part.start for part in parts)
            block = jnp.zeros((self.rows, columns), self.images.dtype)
            for start in range(0, n, self._at_once):
                # The last call goes back to where it is whole, so that all have one shape and compile once.
                block = fill(block, leaves, images, min(start, n - self._at_once))
                bar.update(done + start)
            done += n
            yield block
            del block

    def _fill(self, parts: tuple[_LeafPart, ...], structure: Any) -> Callable[..., Any]:
        """Function that writes the gradients of some images into their rows of a block."""
        at_once, single_logit, network = self._at_once, self._single_logit, self._network
        rows_of_an_image = self.rows_of_an_image
        # With gradients by these leaves only, XLA leaves out what the others would need.
        chosen = [part.leaf for part in parts]

        def gradient(leaves: list[Any], image: Any) -> Any:
            def outputs(chosen_leaves: list[Any]) -> Any:
                all_leaves = list(leaves)
                for leaf, values in zip(chosen, chosen_leaves, strict=True):
                    all_leaves[leaf] = values
                parameters = jax.tree_util.tree_unflatten(structure, all_leaves)
                # A CPU computes convolutions of single images faster than products of their patches.
                if on_cpu():
                    result = network.apply(parameters, image[None])[0]
                else:
                    result = apply_by_patches(network.architecture, parameters, image)
                return result[0] if single_logit else result

            derivative: Callable[..., Any] = jax.grad if single_logit else jax.jacrev
            gradients = derivative(outputs)([leaves[leaf] for leaf in chosen])
            count = 1 if single_logit else gradients[0].shape[0]
            flat = [g.reshape(count, -1)[:, part.start : part.stop] for g, part in zip(gradients, parts, strict=True)]
            return jnp.concatenate(flat, axis=1)

        def fill(block: Any, leaves: list[Any], images: Any, start: Any) -> Any:
            some = lax.dynamic_slice_in_dim(images, start, at_once)
            rows = jax.vmap(lambda image: gradient(leaves, image))(some)
            rows = rows.reshape(at_once * rows_of_an_image, -1)
            return lax.dynamic_update_slice_in_dim(block, rows, start * rows_of_an_image, 0)

        return fill


def _leaf_sizes(network: StaxNetwork, image_shape: Sequence[int]) -> list[int]:
    """Number of parameters in every array of them."""
    parameters = jax.eval_shape(lambda key: network.init(key, image_shape), jax.random.key(0))
    return [leaf.size for leaf in jax.tree_util.tree_leaves(parameters)]


def _split(sizes: Sequence[int], block_length: int) -> list[tuple[_LeafPart, ...]]:
    """Split parameters into as few blocks as the length allows, of about equal length; a leaf may be cut.

    Parameters
    ----------
    sizes : number of parameters of every leaf.
    block_length : most parameters of a block.
    """
    total = sum(sizes)
    count = -(-total // block_length)
    ends = [total * (block + 1) // count for block in range(count)]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    blocks, start = [], 0
    for end in ends:
        blocks.append(
            tuple(
                _LeafPart(leaf, max(start - first, 0), min(end, last) - first)
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
    """Images and others as NumPy arrays of a dtype; others None gives an array of no images."""
    first = _in_dtype(images, "images", dtype)
    if first.ndim < 2 or first.size == 0:
        raise InvalidInput(f"images have shape {first.shape}; give (n, rows, columns, channels) with none of them 0")
    architecture.check(first.shape[1:])
    second = first[:0] if others is None else _in_dtype(others, "others", dtype)
    if second.shape[1:] != first.shape[1:]:
        raise InvalidInput(
            f"others have shape {second.shape} beside images of shape {first.shape}; give (m, "
            f"{', '.join(map(str, first.shape[1:]))})"
        )
    return first, second


def _in_dtype(images: Any, name: str, dtype: str) -> NDArray[Any]:
    values = finite_images(images, name)
    with np.errstate(over="ignore"):
        converted = values.astype(dtype)
    if not np.all(np.isfinite(converted)):
        raise InvalidInput(f"{name} have values up to {np.abs(values).max():g}, too large for {dtype}; scale them")
    return converted


def _kind_of_device() -> str:
    return "cpu" if on_cpu() else "accelerator"


def _default_memory() -> float:
    """Bytes for a block of gradients where none are given."""
    total = physical_memory() if on_cpu() else device_memory()
    return DEFAULT_MEMORY if total is None else SHARE_OF_MEMORY[_kind_of_device()] * total

"""Covariances of infinitely wide networks, computed offset by offset.

Between two images the covariance of a layer's outputs is an array K(p, q) over positions p of the first image and q of
the second. A convolution moves p and q by the same step, and ReLU changes every entry alone: entries of different
offset δ = p − q do not meet before a pooling layer. This is δ, modulo 4, for images of four positions:

            q = 0   1   2   3
    p = 0       0   3   2   1
    p = 1       1   0   3   2
    p = 2       2   1   0   3
    p = 3       3   2   1   0

Arrays are stored by offset, as K[δ, p] with q = p − δ modulo the side: K[1] holds K(0, 3), K(1, 0), K(2, 1), K(3, 2).

- A filter of three positions makes the new K(2, 1) from K(1, 0), K(2, 1) and K(3, 2), all in K[1]. So the layers
  between two poolings run for one block of offsets at a time, in a processor's cache, where whole arrays would go to
  memory and back at every layer. Of an average over all positions a block leaves one number for each pair of images.
- A stride s keeps positions that are multiples of s, so offsets that are multiples of s; flattening keeps δ = 0. The
  other offsets are never computed.
- Pooling pairs of positions makes the new K(1, 0) from K(2, 0), K(2, 1), K(3, 0) and K(3, 1), of offsets 2, 1, 3 and 2:
  here offsets meet.

Offsets and positions are the first axes and images the last, so that one instruction works on several pairs of images.

Source: the recursions of Arora et al. 2019 (arXiv 1904.11955) and Novak et al. 2019 (arXiv 1810.05148).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from hilbertsd.networks.layers import (
    AveragePool,
    Flatten,
    GlobalAveragePool,
    Layer,
    segments,
    stride_of,
    until_last_relu,
)
from hilbertsd.ntk.covariance import (
    Covariance,
    Deviations,
    LayerRecursion,
    PairDeviations,
    RecordedDeviations,
    RowsColumns,
    flat_image_covariance,
    image_covariance,
)
from hilbertsd.ntk.jax_backend import jax, jnp, lax


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def pair_covariance(
    layers: tuple[Layer, ...], ntk: bool, standard: bool, block: Any, first: Any, second: Any, runtime_one: Any
) -> Any:
    """Kernel values (n, m) between two sets of images, compiled once for each shape.

    Parameters
    ----------
    layers, ntk, standard, block, runtime_one : see :func:`covariances`; without `ntk` the values are the NNGP's.
    first, second : (rows, columns, channels, n or m) images and their :func:`relu_deviations`.
    """
    first = jax.tree.map(lambda a: a[..., :, None], first)
    second = jax.tree.map(lambda a: a[..., None, :], second)
    deviations = PairDeviations(first[1], second[1])
    nngp, tangent = covariances(
        layers, first[0], second[0], deviations, ntk=ntk, standard=standard, block=block, runtime_one=runtime_one
    )
    return tangent if ntk else nngp


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def own_covariance(
    layers: tuple[Layer, ...], ntk: bool, standard: bool, block: Any, images: Any, runtime_one: Any
) -> Any:
    """Kernel values (n,) of every image with itself; parameters as in :func:`pair_covariance`."""
    own = relu_deviations(layers, images)
    deviations = PairDeviations(own, own, paired_with_themselves=True)
    nngp, tangent = covariances(
        layers, images, images, deviations, ntk=ntk, standard=standard, block=block, runtime_one=runtime_one
    )
    return tangent if ntk else nngp


@partial(jax.jit, static_argnums=(0, 1))
def with_deviations(layers: tuple[Layer, ...], dtype: str, images: Any, _runtime_one: Any) -> tuple[Any, list[Any]]:
    """Images and their :func:`relu_deviations`, computed in the images' dtype and then converted to `dtype`."""
    return jax.tree.map(lambda a: a.astype(dtype), (images, relu_deviations(layers, images)))


def relu_deviations(layers: Sequence[Layer], images: Any) -> list[Any]:
    """Standard deviations of the inputs of every ReLU, in the dtype of the images.

    Parameters
    ----------
    layers : layers of the network.
    images : (rows, columns, channels, n).

    Returns
    -------
    One array per ReLU: (rows, columns, n), or (n,) after flattening.
    """
    recorded = RecordedDeviations()
    covariances(until_last_relu(layers), images, images, recorded, ntk=False)
    return [recorded.by_relu[relu] for relu in sorted(recorded.by_relu)]


def covariances(
    layers: Sequence[Layer],
    first: Any,
    second: Any,
    deviations: Deviations,
    *,
    ntk: bool,
    standard: bool = False,
    block: tuple[int, int] | None = None,
    runtime_one: Any = 1.0,
) -> tuple[Any, Any]:
    """NNGP and tangent kernel of a network's output.

    Parameters
    ----------
    layers : layers of the network.
    first, second : (rows, columns, channels, images...); their image axes broadcast to the pairs wanted.
    deviations : standard deviations of the inputs of every ReLU for these images.
    ntk : whether the tangent kernel is wanted; if not, None is returned in its place.
    standard : whether the network has the standard parameterization, in which a layer's share of the tangent kernel
        grows with its number of inputs.
    block : number of offsets, in rows and in columns, computed at a time (twice as many before pooling); None for all.
    runtime_one : the number 1 in the images' dtype, as an argument of the compiled function; see
        :meth:`hilbertsd.ntk.covariance.LayerRecursion._computed_once`.

    Returns
    -------
    Two arrays (images...).
    """
    recursion = LayerRecursion(deviations, standard, runtime_one)
    tangent_before = 0.0 if ntk else None
    sides, channels, relu = tuple(first.shape[:2]), first.shape[2], 0
    current: tuple[Any, Any] | None = None  # NNGP and tangent kernel after the latest pooling
    while True:
        segment, pooling, rest = segments(layers)
        if current is None and not segment and isinstance(pooling, Flatten):
            nngp = flat_image_covariance(first, second)
            flat = Covariance(nngp, tangent_before, None, (), math.prod(first.shape[:3]))
            end, _ = recursion.through(rest, flat, relu)
            return end.nngp, end.ntk
        offsets = tuple(offsets_needed(layers, side) for side in sides)
        blocks = _offset_blocks(offsets, 2 if isinstance(pooling, AveragePool) else 1, block)
        run = _Segment(recursion, segment, pooling, blocks, sides, channels, relu)

        def inputs_of_block(
            offsets: RowsColumns, index: tuple[Any, Any], run: "_Segment" = run, current: Any = current
        ) -> Covariance:
            if current is None:
                nngp = image_covariance(first, second, offsets)
                return Covariance(nngp, tangent_before, offsets, run.sides, run.channels)
            nngp, tangent = jax.tree.map(lambda a: run.select_block(a, index), current)
            return Covariance(nngp, tangent, offsets, run.sides, run.channels)

        result, after, relu = run.all_blocks(inputs_of_block)
        if pooling is None:
            return result
        if isinstance(pooling, AveragePool):
            sides, channels, layers = tuple(side // 2 for side in after.sides), after.channels, rest
            places = tuple(_share_places(rest, side) for side in sides)
            current = jax.tree.map(
                lambda a, places=places, run=run: _means_of_squares(run.join_blocks(a), places), result
            )
            continue
        n_inputs = after.channels * (math.prod(after.sides) if isinstance(pooling, Flatten) else 1)
        end, _ = recursion.through(rest, Covariance(result[0], result[1], None, (), n_inputs), relu)
        return end.nngp, end.ntk


def offsets_needed(layers: Sequence[Layer], side: int) -> tuple[int, ...]:
    """Offsets, modulo a side, of the input of some layers that their output depends on."""
    segment, pooling, rest = segments(layers)
    stride = stride_of(segment)
    reduced = side // stride
    if isinstance(pooling, GlobalAveragePool):
        needed = range(reduced)
    elif isinstance(pooling, AveragePool):
        needed = [2 * offset + odd for offset in _offsets_with_shares(rest, reduced // 2) for odd in (0, 1)]
    else:
        needed = [0]
    return tuple(stride * offset for offset in needed)


@dataclass(frozen=True)
class _Segment:
    """Layers up to the next pooling or flattening, computed for one block of offsets at a time.

    Attributes
    ----------
    recursion : what takes covariances through the layers.
    layers : layers before the pooling.
    pooling : AveragePool, GlobalAveragePool or Flatten; None where the layers are the last ones.
    blocks : offsets in rows and offsets in columns, each (number of blocks, offsets of a block).
    sides, channels : shape of the layers' input.
    first_relu : number of the first ReLU of these layers.
    """

    recursion: LayerRecursion
    layers: Sequence[Layer]
    pooling: Layer | None
    blocks: tuple[Any, Any]
    sides: tuple[int, ...]
    channels: int
    first_relu: int

    def all_blocks(self, inputs_of_block: Any) -> tuple[Any, Covariance, int]:
        """Compute all blocks.

        Parameters
        ----------
        inputs_of_block : function of a block's offsets and of its index to the covariance of the layers' input.

        Returns
        -------
        NNGP and tangent kernel: before an average pooling the shares of every block (:func:`_pool_shares`), before a
        global one or flattening their mean over all offsets. Then the shape of the layers' output, as a covariance
        without values, and the number of the next ReLU.
        """
        n_blocks = len(self.blocks[0]) * len(self.blocks[1])
        shapes_after: list[tuple[Covariance, int]] = []

        def step(i: Any) -> Any:
            index = (i // len(self.blocks[1]), i % len(self.blocks[1]))
            # Offsets of the only block stay NumPy arrays: RecordedDeviations looks for offset 0 in them.
            offsets = [
                b[k] if isinstance(i, int) else jnp.asarray(b)[k] for b, k in zip(self.blocks, index, strict=True)
            ]
            inputs = inputs_of_block((offsets[0], offsets[1]), index)
            c, relu = self.recursion.through(self.layers, inputs, self.first_relu)
            shapes_after.append((replace(c, nngp=None, ntk=None, offsets=None), relu))
            if isinstance(self.pooling, AveragePool):
                return jax.tree.map(_pool_shares, (c.nngp, c.ntk))
            if self.pooling is None:
                return c.nngp, c.ntk
            return jax.tree.map(lambda a: a if isinstance(a, float) else a.mean((0, 1, 2, 3)), (c.nngp, c.ntk))

        if n_blocks == 1:
            result = step(0)
            if isinstance(self.pooling, AveragePool):
                result = jax.tree.map(lambda a: a[None], result)
        elif isinstance(self.pooling, AveragePool):
            result = lax.map(step, jnp.arange(n_blocks))
        else:
            zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(step, 1))
            total = lax.fori_loop(0, n_blocks, lambda i, total: jax.tree.map(jnp.add, total, step(i)), zero)
            result = jax.tree.map(lambda a: a / n_blocks, total)
        return result, *shapes_after[-1]

    def select_block(self, values: Any, index: tuple[Any, Any]) -> Any:
        """Select the offsets of a block from an array that pooling made."""
        for axis, (blocks, place) in enumerate(zip(self.blocks, index, strict=True)):
            values = lax.dynamic_slice_in_dim(values, place * blocks.shape[1], blocks.shape[1], axis)
        return values

    def join_blocks(self, shares: Any) -> Any:
        """Make (4, offsets, offsets, ...) of (blocks, 4, offsets of a block, offsets of a block, ...)."""
        rows, columns = (len(blocks) for blocks in self.blocks)
        shares = shares.reshape(rows, columns, *shares.shape[1:])
        shares = shares.transpose(2, 0, 3, 1, 4, *range(5, shares.ndim))
        return shares.reshape(4, rows * shares.shape[2], columns * shares.shape[4], *shares.shape[5:])


def _offset_blocks(offsets: Sequence[tuple[int, ...]], unit: int, block: tuple[int, int] | None) -> tuple[Any, Any]:
    """Divide offsets into blocks of one size: the largest that divides them evenly and has at most `block` units."""
    sizes = []
    for along_axis, most in zip(offsets, block or [len(along_axis) for along_axis in offsets], strict=True):
        units = len(along_axis) // unit
        sizes.append(unit * max(size for size in range(1, min(units, most) + 1) if units % size == 0))
    rows, columns = (np.array(along_axis).reshape(-1, size) for along_axis, size in zip(offsets, sizes, strict=True))
    return rows, columns


def _offsets_with_shares(rest: Sequence[Layer], side: int) -> tuple[int, ...]:
    """Offsets Δ after pooling such that the layers that follow need Δ or Δ + 1: 2Δ and 2Δ + 1 have shares in both."""
    needed = offsets_needed(rest, side)
    return tuple(sorted({*needed, *((offset - 1) % side for offset in needed)}))


def _pool_shares(values: Any) -> Any:
    """Shares of offsets 2Δ and 2Δ + 1 in the sums over squares: in (Δ, Δ), (Δ, Δ + 1), (Δ + 1, Δ), (Δ + 1, Δ + 1).

    The pairs are offsets in rows and in columns after pooling.
    """
    same, following = _pool_shares_along(values, 0)
    return jnp.stack([*_pool_shares_along(same, 1), *_pool_shares_along(following, 1)])


def _pool_shares_along(values: Any, axis: int) -> tuple[Any, Any]:
    """Shares of offsets 2Δ and 2Δ + 1 in Δ, and in Δ + 1.

    With p = 2P + a and q = 2Q + b, p − q = 2(P − Q) + a − b: for the odd offset, a = 1 belongs to P − Q = Δ and a = 0
    to P − Q = Δ + 1.
    """
    even, odd = _every_other(values, axis, 0), _every_other(values, axis, 1)
    axis_of_p = 2 + axis
    same = _every_other(even, axis_of_p, 0) + _every_other(even, axis_of_p, 1) + _every_other(odd, axis_of_p, 1)
    return same, _every_other(odd, axis_of_p, 0)


def _every_other(values: Any, axis: int, first: int) -> Any:
    return lax.slice_in_dim(values, first, values.shape[axis], 2, axis)


def _share_places(rest: Sequence[Layer], side: int) -> tuple[Any, Any]:
    """For every offset Δ that is needed, the index of Δ and of Δ − 1 among the offsets with shares."""
    source, needed = _offsets_with_shares(rest, side), offsets_needed(rest, side)
    places = [source.index(offset) for offset in needed]
    return np.array(places), np.array([source.index((offset - 1) % side) for offset in needed])


def _means_of_squares(shares: Any, places: Sequence[tuple[Any, Any]]) -> Any:
    """Means over squares of two by two positions in both images, from the shares of all offsets."""
    (row, row_before), (column, column_before) = places
    terms = (
        shares[0][row][:, column],
        shares[1][row][:, column_before],
        shares[2][row_before][:, column],
        shares[3][row_before][:, column_before],
    )
    return sum(terms[1:], terms[0]) / 16

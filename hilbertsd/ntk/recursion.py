"""Covariances of infinitely wide networks, offset by offset.

Between two images the covariance of a layer's outputs is an array K(p, q) over positions p of one and q of the other.
A convolution moves p and q in step, and ReLU acts on every entry alone: entries of different offset δ = p − q never
meet before a pooling layer. So arrays are kept as K[δ, p], with q = p − δ modulo the side, which wastes nothing, and

- layers run from one pooling to the next for one block of offsets at a time, in a processor's cache, where whole arrays
  would go to memory and back at every layer; of an average over all positions a block leaves one number a pair;
- a stride s keeps only offsets that are multiples of s, and flattening only δ = 0: no other is ever computed.

Offsets and positions come first and images last, so that one instruction works on several pairs of images.

Source: the recursions of Arora et al. 2019 (arXiv 1904.11955) and Novak et al. 2019 (arXiv 1810.05148).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hilbertsd.networks.layers import (
    AveragePool,
    Flatten,
    GlobalAveragePool,
    Layer,
    segments,
    stride_of,
    until_last_relu,
)
from hilbertsd.ntk.covariance import Covariance, Deviations, Layers, OwnDeviations, Parts, flat_product, product


def deviations(layers: Sequence[Layer], images: Any) -> list[Any]:
    """Standard deviations of the inputs of every ReLU, in the dtype of the images.

    Parameters
    ----------
    layers : of the network.
    images : (rows, columns, channels, n).

    Returns
    -------
    list of (rows, columns, n) arrays, or (n,) after flattening, one per ReLU.
    """
    own = OwnDeviations()
    covariances(until_last_relu(layers), images, images, own, ntk=False)
    return [own.found[number] for number in sorted(own.found)]


def covariances(
    layers: Sequence[Layer],
    first: Any,
    second: Any,
    known: Deviations,
    *,
    ntk: bool,
    standard: bool = False,
    block: tuple[int, int] | None = None,
    one: Any = 1.0,
) -> tuple[Any, Any]:
    """NNGP and tangent kernel of a network's output.

    Parameters
    ----------
    layers : of the network.
    first, second : (rows, columns, channels, images...), whose last axes broadcast to the pairs wanted.
    known : standard deviations that go with them.
    ntk : whether the tangent kernel is wanted; else None stands in its place.
    standard : parameterisation: in the standard one a layer's inputs weigh with their number.
    block : offsets, in rows and in columns, that are worked on at a time (twice as many before pooling); None for all.
    one : the number 1 in the images' dtype, unknown to the compiler: see :meth:`Layers._settled`.

    Returns
    -------
    (images...) each.
    """
    run = Layers(known, standard, one)
    start = 0.0 if ntk else None
    sides, channels, number = tuple(first.shape[:2]), first.shape[2], 0
    current: tuple[Any, Any] | None = None
    while True:
        segment, last, rest = segments(layers)
        if current is None and not segment and isinstance(last, Flatten):
            flat = Covariance(flat_product(first, second), start, None, (), math.prod(first.shape[:3]))
            end, _ = run.through(rest, flat, number)
            return end.nngp, end.ntk
        offsets = tuple(offsets_needed(layers, side) for side in sides)
        groups = _groups(offsets, 2 if isinstance(last, AveragePool) else 1, block)
        work = _Block(run, segment, last, groups, sides, channels, number)

        def covariance(
            here: Parts, index: tuple[Any, Any], work: "_Block" = work, current: Any = current
        ) -> Covariance:
            if current is None:
                return Covariance(product(first, second, here), start, here, work.sides, work.channels)
            nngp, tangent = jax.tree.map(lambda a: work.cut(a, index), current)
            return Covariance(nngp, tangent, here, work.sides, work.channels)

        result, after, number = work.all(covariance)
        if last is None:
            return result
        if isinstance(last, AveragePool):
            sides, channels, layers = tuple(side // 2 for side in after.sides), after.channels, rest
            places = tuple(_places(rest, side) for side in sides)
            current = jax.tree.map(lambda a, places=places, work=work: _joined(work.laid_out(a), places), result)
            continue
        inputs = after.channels * (math.prod(after.sides) if isinstance(last, Flatten) else 1)
        end, _ = run.through(rest, Covariance(result[0], result[1], None, (), inputs), number)
        return end.nngp, end.ntk


def offsets_needed(layers: Sequence[Layer], side: int) -> tuple[int, ...]:
    """Offsets, modulo a side, of the input of some layers that their output depends on."""
    segment, last, rest = segments(layers)
    stride = stride_of(segment)
    reduced = side // stride
    if isinstance(last, GlobalAveragePool):
        needed = range(reduced)
    elif isinstance(last, AveragePool):
        needed = [2 * offset + odd for offset in _pooled_from(rest, reduced // 2) for odd in (0, 1)]
    else:
        needed = [0]
    return tuple(stride * offset for offset in needed)


@dataclass(frozen=True)
class _Block:
    """Layers up to the next pooling, one block of offsets at a time.

    Attributes
    ----------
    groups : of offsets, in rows and in columns: (blocks, offsets of one) each.
    """

    run: Layers
    segment: Sequence[Layer]
    last: Layer | None
    groups: tuple[Any, Any]
    sides: tuple[int, ...]
    channels: int
    number: int

    def all(self, covariance: Any) -> tuple[Any, Covariance, int]:
        """Results of all blocks, from ``covariance(offsets, index of the block)``; shape after them, and next ReLU.

        The parts of pooled arrays, each block's in its place; the mean over blocks before a global pooling.
        """
        n_blocks = len(self.groups[0]) * len(self.groups[1])
        seen: list[tuple[Covariance, int]] = []

        def step(i: Any) -> Any:
            index = (i // len(self.groups[1]), i % len(self.groups[1]))
            # Offsets of the only block are known, and OwnDeviations needs to know them.
            own = [g[k] if isinstance(i, int) else jnp.asarray(g)[k] for g, k in zip(self.groups, index, strict=True)]
            c, number = self.run.through(self.segment, covariance((own[0], own[1]), index), self.number)
            seen.append((replace(c, nngp=None, ntk=None, offsets=None), number))
            if isinstance(self.last, AveragePool):
                return jax.tree.map(_pooled, (c.nngp, c.ntk))
            if self.last is None:
                return c.nngp, c.ntk
            return jax.tree.map(lambda a: a if isinstance(a, float) else a.mean((0, 1, 2, 3)), (c.nngp, c.ntk))

        if n_blocks == 1:
            result = step(0)
            if isinstance(self.last, AveragePool):
                result = jax.tree.map(lambda a: a[None], result)
        elif isinstance(self.last, AveragePool):
            result = lax.map(step, jnp.arange(n_blocks))
        else:
            zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(step, 1))
            total = lax.fori_loop(0, n_blocks, lambda i, total: jax.tree.map(jnp.add, total, step(i)), zero)
            result = jax.tree.map(lambda a: a / n_blocks, total)
        return result, *seen[-1]

    def cut(self, values: Any, index: tuple[Any, Any]) -> Any:
        """A block's offsets of the array that pooling left."""
        for axis, (group, place) in enumerate(zip(self.groups, index, strict=True)):
            values = lax.dynamic_slice_in_dim(values, place * group.shape[1], group.shape[1], axis)
        return values

    def laid_out(self, parts: Any) -> Any:
        """(4, offsets, offsets, ...) from the blocks' (blocks, 4, offsets of a block, offsets of a block, ...)."""
        rows, columns = (len(group) for group in self.groups)
        parts = parts.reshape(rows, columns, *parts.shape[1:])
        parts = parts.transpose(2, 0, 3, 1, 4, *range(5, parts.ndim))
        return parts.reshape(4, rows * parts.shape[2], columns * parts.shape[4], *parts.shape[5:])


def _groups(offsets: Sequence[tuple[int, ...]], unit: int, block: tuple[int, int] | None) -> tuple[Any, Any]:
    """Offsets in groups of one size, the largest that divides them into at most `block` units."""
    sizes = []
    for each, most in zip(offsets, block or [len(each) for each in offsets], strict=True):
        units = len(each) // unit
        sizes.append(unit * max(size for size in range(1, min(units, most) + 1) if units % size == 0))
    return tuple(np.array(each).reshape(-1, size) for each, size in zip(offsets, sizes, strict=True))  # type: ignore[return-value]


def _pooled_from(rest: Sequence[Layer], side: int) -> tuple[int, ...]:
    """Offsets after pooling of which the own or the following share is needed."""
    needed = offsets_needed(rest, side)
    return tuple(sorted({*needed, *((offset - 1) % side for offset in needed)}))


def _pooled(values: Any) -> Any:
    """Shares of offsets 2δ and 2δ + 1 in the means over squares: those of δ and of δ + 1, in rows and in columns."""
    own, following = _pooled_axis(values, 0)
    return jnp.stack([*_pooled_axis(own, 1), *_pooled_axis(following, 1)])


def _pooled_axis(values: Any, axis: int) -> tuple[Any, Any]:
    """With p = 2P + a and q = 2Q + b, p − q = 2(P − Q) + a − b: an odd offset has a = 1 in δ and a = 0 in δ + 1."""
    even, odd = _every_other(values, axis, 0), _every_other(values, axis, 1)
    at_p = 2 + axis
    own = _every_other(even, at_p, 0) + _every_other(even, at_p, 1) + _every_other(odd, at_p, 1)
    return own, _every_other(odd, at_p, 0)


def _every_other(values: Any, axis: int, first: int) -> Any:
    return lax.slice_in_dim(values, first, values.shape[axis], 2, axis)


def _places(rest: Sequence[Layer], side: int) -> tuple[Any, Any]:
    """Where the own share of every offset needed lies, and the one that follows from the offset before."""
    source, needed = _pooled_from(rest, side), offsets_needed(rest, side)
    own = [source.index(offset) for offset in needed]
    return np.array(own), np.array([source.index((offset - 1) % side) for offset in needed])


def _joined(parts: Any, places: Sequence[tuple[Any, Any]]) -> Any:
    """Means over squares, from the shares of all offsets."""
    (own_row, row_before), (own_column, column_before) = places
    shares = (
        parts[0][own_row][:, own_column],
        parts[1][own_row][:, column_before],
        parts[2][row_before][:, own_column],
        parts[3][row_before][:, column_before],
    )
    return sum(shares[1:], shares[0]) / 16

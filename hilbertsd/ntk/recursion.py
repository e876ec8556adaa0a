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
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hilbertsd.ntk.layers import (
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    GlobalAveragePool,
    Layer,
    Relu,
    Residual,
    segments,
    stride_of,
    until_last_relu,
)

ARCCOS_DEGREE = {"float32": 9, "float64": 23}
"""Of the polynomial in ReLU's kernel; its error is below the rounding of the dtype."""

Parts = tuple[Any, Any]
"""One array each for rows and columns."""


@dataclass(frozen=True)
class Covariance:
    """Of a layer's outputs, between images.

    Attributes
    ----------
    nngp : (offsets in rows, offsets in columns, rows, columns, images...), or (images...) without positions.
    ntk : tangent kernel likewise; None where nobody asks for it, the number 0 before the first weights.
    offsets : in rows and in columns, modulo the sides; None without positions.
    sides : rows and columns.
    channels : outputs of a position.
    """

    nngp: Any
    ntk: Any
    offsets: Parts | None
    sides: tuple[int, ...]
    channels: int


class Deviations(Protocol):
    """Standard deviations of the inputs of every ReLU."""

    def of(self, covariance: Covariance, number: int) -> tuple[Any, Any, Any]:
        """For the ReLU of that number: of the first image at p, of the second at q, and where both are the same."""
        ...


@dataclass(frozen=True)
class PairDeviations:
    """Of two sets of images, known before.

    Attributes
    ----------
    first, second : one array per ReLU, (rows, columns, images...) or (images...), as they broadcast to pairs.
    paired_with_themselves : whether both sets are the same and one image meets only itself.
    """

    first: Sequence[Any]
    second: Sequence[Any]
    paired_with_themselves: bool = False

    def of(self, covariance: Covariance, number: int) -> tuple[Any, Any, Any]:
        """See :class:`Deviations`."""
        first, second = self.first[number], self.second[number]
        if covariance.offsets is None:
            return first, second, self.paired_with_themselves or None
        same = _at_zero(covariance) if self.paired_with_themselves else None
        return first, _at_other(second, covariance), same


@dataclass(frozen=True)
class OwnDeviations:
    """Of images paired with themselves: read off where p = q, and kept.

    Attributes
    ----------
    found : by number of the ReLU, (rows, columns, n) or (n,).
    """

    found: dict[int, Any] = field(default_factory=dict)

    def of(self, covariance: Covariance, number: int) -> tuple[Any, Any, Any]:
        """See :class:`Deviations`."""
        if covariance.offsets is None:
            deviation = self.found[number] = jnp.sqrt(covariance.nngp)
            return deviation, deviation, True
        zero = tuple(int(np.flatnonzero(np.asarray(offsets) == 0)[0]) for offsets in covariance.offsets)
        deviation = self.found[number] = jnp.sqrt(covariance.nngp[zero])
        return deviation, _at_other(deviation, covariance), _at_zero(covariance)


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
    one : the number 1 in the images' dtype, unknown to the compiler: see :func:`_settled`.

    Returns
    -------
    (images...) each.
    """
    run = _Run(known, standard, one)
    start = 0.0 if ntk else None
    sides, channels, number = tuple(first.shape[:2]), first.shape[2], 0
    current: tuple[Any, Any] | None = None
    while True:
        segment, last, rest = segments(layers)
        if current is None and not segment and isinstance(last, Flatten):
            flat = Covariance(_flat_product(first, second), start, None, (), math.prod(first.shape[:3]))
            end, _ = run.through(rest, flat, number)
            return end.nngp, end.ntk
        offsets = tuple(offsets_needed(layers, side) for side in sides)
        groups = _groups(offsets, 2 if isinstance(last, AveragePool) else 1, block)
        work = _Block(run, segment, last, groups, sides, channels, number)

        def covariance(
            here: Parts, index: tuple[Any, Any], work: "_Block" = work, current: Any = current
        ) -> Covariance:
            if current is None:
                return Covariance(_product(first, second, here), start, here, work.sides, work.channels)
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


# ------------------------------------------------------------------------------------------------------------ layers


@dataclass(frozen=True)
class _Run:
    """Layers between two poolings, on whatever offsets they are given."""

    known: Deviations
    standard: bool
    one: Any

    def through(self, layers: Sequence[Layer], c: Covariance, number: int) -> tuple[Covariance, int]:
        """Covariance after some layers, the first ReLU of which has that number; and the number of the next."""
        for layer in layers:
            if isinstance(layer, Relu):
                c, number = self._relu(c, number), number + 1
            elif isinstance(layer, Dense):
                c = self._affine(layer, c, replace(c, channels=layer.width), c.channels)
            elif isinstance(layer, Convolution):
                c = self._convolution(layer, c)
            elif isinstance(layer, Residual):
                shortcut, number = self.through(layer.shortcut, c, number)
                main, number = self.through(layer.main, c, number)
                tangent = None if c.ntk is None else main.ntk + shortcut.ntk
                c = replace(main, nngp=main.nngp + shortcut.nngp, ntk=tangent)
        return c, number

    def _relu(self, c: Covariance, number: int) -> Covariance:
        """E[relu(u) relu(v)] and E[relu'(u) relu'(v)], the arc-cosine kernels of degree 1 and 0 (Cho & Saul 2009)."""
        at_p, at_q, same = self.known.of(c, number)
        if same is True:
            return replace(c, nngp=c.nngp / 2, ntk=None if c.ntk is None else c.ntk / 2)
        dtype = c.nngp.dtype
        over_two_pi = np.asarray(1 / (2 * math.pi), dtype)
        inverse = [jnp.where(each > 0, 1 / jnp.where(each > 0, each, 1), 0) for each in (at_p, at_q)]
        cosine = jnp.clip(c.nngp * (inverse[0] * inverse[1]), -1, 1)
        if same is not None:
            cosine = jnp.where(same, np.asarray(1, dtype), cosine)
        magnitude = jnp.abs(cosine)
        root = jnp.sqrt(1 - magnitude)
        coefficients = _arccos_coefficients(ARCCOS_DEGREE[str(dtype)]).astype(dtype)
        polynomial = jnp.full_like(root, coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            polynomial = polynomial * (2 * magnitude - 1) + coefficient
        angle = root * polynomial * over_two_pi
        kept = jnp.where(cosine >= 0, np.asarray(0.5, dtype) - angle, angle)
        nngp = at_p * at_q * (root * jnp.sqrt(1 + magnitude)) * over_two_pi + kept * c.nngp
        tangent = c.ntk if c.ntk is None else c.ntk * kept
        return replace(c, nngp=self._settled(nngp), ntk=self._settled(tangent))

    def _settled(self, values: Any) -> Any:
        """Values, divided by a one that the compiler does not know.

        XLA for CPUs fuses whatever it thinks cheap into everything that reads it, and computes the polynomial of a ReLU
        once for each position of the filter that follows, optimisation barriers or not. Divisions it thinks dear.
        """
        return values if values is None or isinstance(values, float) else values / self.one

    def _convolution(self, layer: Convolution, c: Covariance) -> Covariance:
        assert c.offsets is not None
        sides = tuple(side // layer.stride for side in c.sides)
        offsets = (c.offsets[0] // layer.stride, c.offsets[1] // layer.stride)
        after = Covariance(None, None, offsets, sides, layer.channels)
        means = [
            each if each is None or isinstance(each, float) else _filtered(each, layer, c) for each in (c.nngp, c.ntk)
        ]
        return self._affine(layer, replace(c, nngp=means[0], ntk=means[1]), after, layer.size**2 * c.channels)

    def _affine(self, layer: Dense | Convolution, c: Covariance, after: Covariance, inputs: int) -> Covariance:
        """Weights and biases, after the filter's mean; `inputs` of one output."""
        variance, bias = layer.weight_std**2, layer.bias_std**2
        nngp = variance * c.nngp + bias
        if c.ntk is None:
            return replace(after, nngp=nngp, ntk=None)
        own = inputs * c.nngp + float(bias > 0) if self.standard else nngp
        return replace(after, nngp=nngp, ntk=own + variance * c.ntk)


def _others(c: Covariance, axis: int) -> Any:
    """Position q in rows (axis 0) or columns (1), for every offset and p."""
    assert c.offsets is not None
    return jnp.mod(jnp.arange(c.sides[axis])[None, :] - c.offsets[axis][:, None], c.sides[axis])


def _at_other(values: Any, c: Covariance) -> Any:
    """(rows, columns, images...) values at q, for every offset and p."""
    by_rows = values[_others(c, 0)]  # offsets in rows, rows, columns, images...
    return jnp.moveaxis(by_rows[:, :, _others(c, 1)], 2, 1)


def _at_zero(c: Covariance) -> Any:
    """Whether p = q, for every offset; broadcasts to the covariance."""
    assert c.offsets is not None
    same = (c.offsets[0] == 0)[:, None] & (c.offsets[1] == 0)[None, :]
    return same.reshape(same.shape + (1,) * (c.nngp.ndim - 2))


def _product(first: Any, second: Any, offsets: Parts) -> Any:
    """Mean over channels of first(p) second(q); channels of images are few, so they are added one by one."""
    channels = first.shape[2]
    places = Covariance(None, None, offsets, tuple(first.shape[:2]), channels)
    terms = [first[:, :, k] * _at_other(second[:, :, k], places) for k in range(channels)]
    return sum(terms[1:], terms[0]) / channels


def _flat_product(first: Any, second: Any) -> Any:
    """Mean over all numbers of two images, for (..., n, 1) and (..., 1, m) images, or both (..., n)."""
    n_numbers = math.prod(first.shape[:3])
    first, second = (each.reshape(n_numbers, *each.shape[3:]) for each in (first, second))
    if first.ndim == 2:
        return (first * second).mean(0)
    return jnp.matmul(first[..., 0].T, second[:, 0], precision="highest") / n_numbers


def _filtered(values: Any, layer: Convolution, c: Covariance) -> Any:
    """Mean over the filter's positions, p and q in step; zero where either is beyond the border."""
    for axis in (0, 1):
        values = _filtered_axis(values, layer, c, axis)
    return values / layer.size**2


def _filtered_axis(values: Any, layer: Convolution, c: Covariance, axis: int) -> Any:
    assert c.offsets is not None
    side, stride, size = c.sides[axis], layer.stride, layer.size
    reduced = side // stride
    before, after = same_padding(side, size, stride)
    at_p = 2 + axis
    padded = jnp.pad(values, [(before, after) if each == at_p else (0, 0) for each in range(values.ndim)])
    q = jnp.mod(jnp.arange(reduced)[None, :] - (c.offsets[axis] // stride)[:, None], reduced) * stride
    shape = [1] * values.ndim
    shape[axis], shape[at_p] = q.shape
    total = None
    for place in range(size):
        part = lax.slice_in_dim(padded, place, place + (reduced - 1) * stride + 1, stride, at_p)
        if place != before:  # q itself is never beyond the border; p is padded
            within = (q + (place - before) >= 0) & (q + (place - before) < side)
            part = jnp.where(within.reshape(shape), part, np.zeros((), values.dtype))
        total = part if total is None else total + part
    return total


def same_padding(side: int, size: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, as "SAME" means in XLA."""
    total = max((-(-side // stride) - 1) * stride + size - side, 0)
    return total // 2, total - total // 2


@cache
def _arccos_coefficients(degree: int) -> Any:
    """Of arccos(c)/√(1−c) for c in [0, 1], in powers of 2c − 1.

    Chebyshev's series, whose terms fall like 5.83^−k because the nearest singularity is c = −1.
    """
    nodes = np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    distance = (1 - nodes) / 2  # 1 − c
    values = 2 * np.arcsin(np.sqrt(distance / 2)) / np.sqrt(distance)
    series = np.polynomial.chebyshev.chebfit(nodes, values, degree)
    return np.polynomial.chebyshev.cheb2poly(series)


# ------------------------------------------------------------------------------------------------- blocks and pooling


@dataclass(frozen=True)
class _Block:
    """Layers up to the next pooling, one block of offsets at a time.

    Attributes
    ----------
    groups : of offsets, in rows and in columns: (blocks, offsets of one) each.
    """

    run: _Run
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

"""Layers of infinitely wide networks acting on covariances, one offset between positions as good as another.

Between two images the covariance of a layer's outputs is an array K(p, q) over positions p of one and q of the other,
kept as K[δ, p] with δ = p − q modulo the side; see :mod:`hilbertsd.ntk.recursion`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jax import lax

from hilbertsd.networks.layers import Convolution, Dense, Layer, Relu, Residual

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


@dataclass(frozen=True)
class Layers:
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


def product(first: Any, second: Any, offsets: Parts) -> Any:
    """Mean over channels of first(p) second(q); channels of images are few, so they are added one by one."""
    channels = first.shape[2]
    places = Covariance(None, None, offsets, tuple(first.shape[:2]), channels)
    terms = [first[:, :, k] * _at_other(second[:, :, k], places) for k in range(channels)]
    return sum(terms[1:], terms[0]) / channels


def flat_product(first: Any, second: Any) -> Any:
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
    before, after = _same_padding(side, size, stride)
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


def _same_padding(side: int, size: int, stride: int) -> tuple[int, int]:
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

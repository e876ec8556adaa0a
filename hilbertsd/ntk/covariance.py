"""How layers of infinitely wide networks change the covariance between two images.

The covariance of a layer's outputs is an array K(p, q) over positions p of the first image and q of the second. It is
stored by offsets, as K[δ, p] with δ = p − q modulo the side; the head of :mod:`hilbertsd.ntk.recursion` shows how.
Layers without pooling treat every offset alone, so that the functions here work on any selection of offsets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Protocol

import numpy as np

from hilbertsd.networks.layers import Convolution, Dense, Layer, Relu, Residual
from hilbertsd.ntk.jax_backend import jnp, lax, on_cpu

ARCCOS_DEGREE = {"float32": 9, "float64": 23}
"""Degree of the polynomial in ReLU's kernel, by dtype; its error is below the rounding of that dtype."""

RowsColumns = tuple[Any, Any]
"""An array of offsets in rows and an array of offsets in columns."""


@dataclass(frozen=True)
class Covariance:
    """Covariance of a layer's outputs between images, for some offsets.

    Attributes
    ----------
    nngp : covariance at initialisation, (offsets in rows, offsets in columns, rows, columns, images...), or (images...)
        where there are no positions.
    ntk : tangent kernel in the same shape; None if it is not wanted, the number 0.0 before the first weights.
    offsets : offsets in rows and in columns, modulo the sides; None where there are no positions.
    sides : number of rows and of columns.
    channels : number of outputs at each position.
    """

    nngp: Any
    ntk: Any
    offsets: RowsColumns | None
    sides: tuple[int, ...]
    channels: int


class Deviations(Protocol):
    """Standard deviations of the inputs of every ReLU, √K(p, p) within one image."""

    def at(self, covariance: Covariance, relu: int) -> tuple[Any, Any, Any]:
        """Standard deviations at the positions of a covariance.

        Parameters
        ----------
        covariance : covariance of the inputs of this ReLU.
        relu : number of the ReLU, counted from the input.

        Returns
        -------
        Standard deviations of the first image at p, and of the second at q; and where both are the same position of the
        same image: an array, True for everywhere, or None for nowhere.
        """
        ...


@dataclass(frozen=True)
class PairDeviations:
    """Deviations of two sets of images that were computed before.

    Attributes
    ----------
    first, second : one array per ReLU, (rows, columns, images...) or (images...); their image axes broadcast to pairs.
    paired_with_themselves : whether both sets are the same and every image is paired with itself alone.
    """

    first: Sequence[Any]
    second: Sequence[Any]
    paired_with_themselves: bool = False

    def at(self, covariance: Covariance, relu: int) -> tuple[Any, Any, Any]:
        """See :class:`Deviations`."""
        first, second = self.first[relu], self.second[relu]
        if covariance.offsets is None:
            return first, second, self.paired_with_themselves or None
        same = _is_same_position(covariance) if self.paired_with_themselves else None
        return first, _at_q(second, covariance), same


@dataclass(frozen=True)
class RecordedDeviations:
    """Deviations of images paired with themselves, read from the covariances where p = q, and recorded.

    Attributes
    ----------
    by_relu : deviations recorded so far by number of the ReLU, (rows, columns, n) or (n,).
    """

    by_relu: dict[int, Any] = field(default_factory=dict)

    def at(self, covariance: Covariance, relu: int) -> tuple[Any, Any, Any]:
        """See :class:`Deviations`."""
        if covariance.offsets is None:
            deviation = self.by_relu[relu] = jnp.sqrt(covariance.nngp)
            return deviation, deviation, True
        zero = tuple(int(np.flatnonzero(np.asarray(offsets) == 0)[0]) for offsets in covariance.offsets)
        deviation = self.by_relu[relu] = jnp.sqrt(covariance.nngp[zero])
        return deviation, _at_q(deviation, covariance), _is_same_position(covariance)


@dataclass(frozen=True)
class LayerRecursion:
    """Takes covariances through layers that do not pool.

    Attributes
    ----------
    deviations : standard deviations of the inputs of every ReLU.
    standard : whether the network has the standard parameterization, not the NTK one.
    runtime_one : the number 1 as an argument of the compiled function; see :meth:`_computed_once`.
    """

    deviations: Deviations
    standard: bool
    runtime_one: Any

    def through(self, layers: Sequence[Layer], c: Covariance, relu: int) -> tuple[Covariance, int]:
        """Take a covariance through some layers.

        Parameters
        ----------
        layers : layers without pooling and flattening.
        c : covariance of their inputs.
        relu : number of the first ReLU among them.

        Returns
        -------
        Covariance of their outputs, and the number of the next ReLU.
        """
        for layer in layers:
            if isinstance(layer, Relu):
                c, relu = self._relu(c, relu), relu + 1
            elif isinstance(layer, Dense):
                c = self._weights(layer, c, replace(c, channels=layer.width), c.channels)
            elif isinstance(layer, Convolution):
                c = self._convolution(layer, c)
            elif isinstance(layer, Residual):
                shortcut, relu = self.through(layer.shortcut, c, relu)
                main, relu = self.through(layer.main, c, relu)
                tangent = None if c.ntk is None else main.ntk + shortcut.ntk
                c = replace(main, nngp=main.nngp + shortcut.nngp, ntk=tangent)
        return c, relu

    def _relu(self, c: Covariance, relu: int) -> Covariance:
        """E[relu(u) relu(v)] and E[relu'(u) relu'(v)], the arc-cosine kernels of degree 1 and 0 (Cho & Saul 2009)."""
        at_p, at_q, same = self.deviations.at(c, relu)
        if same is True:
            return replace(c, nngp=c.nngp / 2, ntk=None if c.ntk is None else c.ntk / 2)
        dtype = c.nngp.dtype
        over_two_pi = np.asarray(1 / (2 * math.pi), dtype)
        at_p, at_q = stored_on_accelerators((at_p, at_q))
        inverse = [jnp.where(std > 0, 1 / jnp.where(std > 0, std, 1), 0) for std in (at_p, at_q)]
        inverse = stored_on_accelerators(inverse)
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
        both_active = jnp.where(cosine >= 0, np.asarray(0.5, dtype) - angle, angle)
        nngp = at_p * at_q * (root * jnp.sqrt(1 + magnitude)) * over_two_pi + both_active * c.nngp
        tangent = c.ntk if c.ntk is None else c.ntk * both_active
        return replace(c, nngp=self._computed_once(nngp), ntk=self._computed_once(tangent))

    def _computed_once(self, values: Any) -> Any:
        """Keep XLA from computing these values again for every filter position that reads them.

        XLA for CPUs merges operations that it takes for cheap into every operation that reads their result, in spite of
        optimisation barriers: the polynomial of a ReLU would be computed once for each position of the next filter. It
        takes divisions for expensive and keeps their result, so that there the values are divided by a runtime 1.0.
        """
        if values is None or isinstance(values, float):
            return values
        return values / self.runtime_one if on_cpu() else lax.optimization_barrier(values)

    def _convolution(self, layer: Convolution, c: Covariance) -> Covariance:
        assert c.offsets is not None
        sides = tuple(side // layer.stride for side in c.sides)
        offsets = (c.offsets[0] // layer.stride, c.offsets[1] // layer.stride)
        after = Covariance(None, None, offsets, sides, layer.channels)
        nngp, tangent = (
            values if values is None or isinstance(values, float) else _filter_mean(values, layer, c)
            for values in (c.nngp, c.ntk)
        )
        return self._weights(layer, replace(c, nngp=nngp, ntk=tangent), after, layer.size**2 * c.channels)

    def _weights(self, layer: Dense | Convolution, c: Covariance, after: Covariance, n_inputs: int) -> Covariance:
        """Apply the weights and biases of a layer to means over its filter.

        Parameters
        ----------
        layer : the layer.
        c : means over the filter of the covariance of the inputs.
        after : offsets, sides and channels of the outputs.
        n_inputs : number of inputs of one output.
        """
        variance, bias = layer.weight_std**2, layer.bias_std**2
        nngp = variance * c.nngp + bias
        if c.ntk is None:
            return replace(after, nngp=nngp, ntk=None)
        of_this_layer = n_inputs * c.nngp + float(bias > 0) if self.standard else nngp
        return replace(after, nngp=nngp, ntk=of_this_layer + variance * c.ntk)


def stored_on_accelerators(values: Any) -> Any:
    """Have XLA write these values to an accelerator's memory, where others would compute them again for every entry.

    Kernels on accelerators are bound by instructions, of which finding positions and reading what lies there take most.
    """
    return values if on_cpu() else lax.optimization_barrier(values)


def _positions_q(c: Covariance, axis: int) -> Any:
    """Row (axis 0) or column (axis 1) of q, for every offset and p."""
    assert c.offsets is not None
    return jnp.mod(jnp.arange(c.sides[axis])[None, :] - c.offsets[axis][:, None], c.sides[axis])


def _at_q(values: Any, c: Covariance) -> Any:
    """Values (rows, columns, images...) at q, for every offset and p."""
    by_rows = values[_positions_q(c, 0)]  # offsets in rows, rows, columns, images...
    return jnp.moveaxis(by_rows[:, :, _positions_q(c, 1)], 2, 1)


def _is_same_position(c: Covariance) -> Any:
    """Whether p = q, for every offset; broadcasts to the covariance."""
    assert c.offsets is not None
    same = (c.offsets[0] == 0)[:, None] & (c.offsets[1] == 0)[None, :]
    return same.reshape(same.shape + (1,) * (c.nngp.ndim - 2))


def image_covariance(first: Any, second: Any, offsets: RowsColumns) -> Any:
    """Mean over channels of first(p) second(q), for some offsets and every p.

    Images have few channels, so that their products are added one by one.
    """
    channels = first.shape[2]
    positions = Covariance(None, None, offsets, tuple(first.shape[:2]), channels)
    terms = [first[:, :, k] * stored_on_accelerators(_at_q(second[:, :, k], positions)) for k in range(channels)]
    return stored_on_accelerators(sum(terms[1:], terms[0]) / channels)


def flat_image_covariance(first: Any, second: Any) -> Any:
    """Mean of the products of all numbers of two images: (..., n, 1) and (..., 1, m) images, or twice (..., n)."""
    n_numbers = math.prod(first.shape[:3])
    first, second = (images.reshape(n_numbers, *images.shape[3:]) for images in (first, second))
    if first.ndim == 2:
        return (first * second).mean(0)
    return jnp.matmul(first[..., 0].T, second[:, 0], precision="highest") / n_numbers


def _filter_mean(values: Any, layer: Convolution, c: Covariance) -> Any:
    """Mean over a filter that moves p and q by the same step; zero counts where either is beyond the border."""
    along_rows = stored_on_accelerators(_filter_sum(values, layer, c, 0))
    return _filter_sum(along_rows, layer, c, 1) / layer.size**2


def _filter_sum(values: Any, layer: Convolution, c: Covariance, axis: int) -> Any:
    """Sum over the positions of the filter in rows (axis 0) or columns (axis 1)."""
    assert c.offsets is not None
    side, stride, size = c.sides[axis], layer.stride, layer.size
    reduced = side // stride
    before, after = _same_padding(side, size, stride)
    axis_of_p = 2 + axis
    padded = jnp.pad(values, [(before, after) if k == axis_of_p else (0, 0) for k in range(values.ndim)])
    q = jnp.mod(jnp.arange(reduced)[None, :] - (c.offsets[axis] // stride)[:, None], reduced) * stride
    shape = [1] * values.ndim
    shape[axis], shape[axis_of_p] = q.shape
    total = None
    for shift in range(size):
        part = lax.slice_in_dim(padded, shift, shift + (reduced - 1) * stride + 1, stride, axis_of_p)
        if shift != before:  # q itself is never beyond the border, and p is padded
            within = stored_on_accelerators((q + (shift - before) >= 0) & (q + (shift - before) < side))
            part = jnp.where(within.reshape(shape), part, np.zeros((), values.dtype))
        total = part if total is None else total + part
    return total


def _same_padding(side: int, size: int, stride: int) -> tuple[int, int]:
    """Number of zeros before and after the positions, as XLA defines "SAME" padding."""
    total = max((-(-side // stride) - 1) * stride + size - side, 0)
    return total // 2, total - total // 2


@cache
def _arccos_coefficients(degree: int) -> Any:
    """Coefficients of a polynomial in 2c − 1 that approximates arccos(c)/√(1−c) for c in [0, 1].

    It is a Chebyshev series; its terms fall like 5.83^−k, because the nearest singularity is c = −1.
    """
    nodes = np.cos(np.pi * (np.arange(64) + 0.5) / 64)
    distance = (1 - nodes) / 2  # 1 − c
    values = 2 * np.arcsin(np.sqrt(distance / 2)) / np.sqrt(distance)
    series = np.polynomial.chebyshev.chebfit(nodes, values, degree)
    return np.polynomial.chebyshev.cheb2poly(series)

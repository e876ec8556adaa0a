"""Layers of a network as plain data, from which finite networks and infinite-width kernels are both made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Dense:
    """Matrix product with Gaussian weights, plus Gaussian biases.

    Attributes
    ----------
    width : number of outputs.
    weight_std : σ_w; the variance of a weight is σ_w² divided by the number of inputs.
    bias_std : σ_b, the standard deviation of the biases; 0 for no biases.
    """

    width: int
    weight_std: float
    bias_std: float = 0.0


@dataclass(frozen=True)
class Convolution:
    """Two-dimensional convolution with Gaussian weights; positions beyond the border count as zero ("SAME" padding).

    Attributes
    ----------
    channels : number of outputs at each position.
    weight_std, bias_std : as in :class:`Dense`; the number of inputs is size² times the channels of the layer before.
    size : number of rows, and of columns, of the filter.
    stride : of every `stride` neighbouring positions the first is kept, in rows and in columns.
    """

    channels: int
    weight_std: float
    bias_std: float = 0.0
    size: int = 3
    stride: int = 1


@dataclass(frozen=True)
class Offset:
    """Adds a trainable number to every channel; it starts at 0."""


@dataclass(frozen=True)
class BatchNormalisation:
    """Every channel minus its mean, over its standard deviation, times a trainable scale, plus a trainable offset.

    In training mean and variance are those of the batch; running averages of them take their place afterwards.

    Source: Ioffe & Szegedy (2015), arXiv:1502.03167.
    """


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True)
class MaxPool:
    """Maximum over squares of two rows by two columns, which halves both sides."""


@dataclass(frozen=True)
class Subsample:
    """Shortcut without parameters: keeps every `stride`-th position, and gives new channels the value 0.

    Source: He et al. (2016), arXiv:1512.03385, option A.

    Attributes
    ----------
    channels : number of channels of the result, at least that of the input; the new ones are half before, half after.
    stride : of every `stride` neighbouring positions the first is kept, in rows and in columns.
    """

    channels: int
    stride: int


@dataclass(frozen=True)
class AveragePool:
    """Mean over squares of two rows by two columns, which halves both sides."""


@dataclass(frozen=True)
class GlobalAveragePool:
    """Mean over all positions."""


@dataclass(frozen=True)
class Flatten:
    """The values at all positions, joined into one vector."""


@dataclass(frozen=True)
class Residual:
    """Sum of two branches that start from the same input.

    In networks that have kernels a branch ends in a convolution; an empty one passes on its input, which then has to
    come from a convolution or from another residual block.

    Attributes
    ----------
    main : layers of the first branch.
    shortcut : layers of the second branch; empty for the identity.
    """

    main: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Members:
    """Sum of networks of one form with parameters of their own, over the root of their number.

    With this scale its tangent kernel is the mean of the members' kernels.

    Attributes
    ----------
    layers : layers of every member.
    count : number of members.
    """

    layers: tuple[Layer, ...]
    count: int


Layer: TypeAlias = (
    Dense
    | Convolution
    | Offset
    | BatchNormalisation
    | Relu
    | AveragePool
    | MaxPool
    | GlobalAveragePool
    | Flatten
    | Subsample
    | Residual
    | Members
)


def segments(layers: Sequence[Layer]) -> tuple[Sequence[Layer], Layer | None, Sequence[Layer]]:
    """Cut a network at its first pooling or flattening layer.

    Returns
    -------
    The layers before that layer, the layer itself (None if there is none), and the layers after it.
    """
    for index, layer in enumerate(layers):
        if isinstance(layer, AveragePool | MaxPool | GlobalAveragePool | Flatten):
            return layers[:index], layer, layers[index + 1 :]
    return layers, None, ()


def stride_of(layers: Sequence[Layer]) -> int:
    """Product of the strides along a path through layers that do not pool."""
    stride = 1
    for layer in layers:
        if isinstance(layer, Convolution):
            stride *= layer.stride
        elif isinstance(layer, Residual):
            stride *= stride_of(layer.main)
    return stride


def until_last_relu(layers: Sequence[Layer]) -> Sequence[Layer]:
    """Layers up to and including the last one that is a ReLU or contains one."""
    return layers[: max((index for index, layer in enumerate(layers, 1) if _has_relu(layer)), default=0)]


def _has_relu(layer: Layer) -> bool:
    if isinstance(layer, Residual):
        return any(_has_relu(inner) for inner in (*layer.main, *layer.shortcut))
    return isinstance(layer, Relu)


def shape_after(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a layer's output, (rows, columns, channels) or (d,), for an input of some shape."""
    if isinstance(layer, Dense):
        return (*shape[:-1], layer.width)
    if isinstance(layer, Convolution | Subsample):
        return (*(-(-side // layer.stride) for side in shape[:2]), layer.channels)
    if isinstance(layer, AveragePool | MaxPool):
        return (shape[0] // 2, shape[1] // 2, shape[2])
    if isinstance(layer, GlobalAveragePool):
        return shape[-1:]
    if isinstance(layer, Flatten):
        return (math.prod(shape),)
    if isinstance(layer, Residual | Members):
        for inner in layer.main if isinstance(layer, Residual) else layer.layers:
            shape = shape_after(inner, shape)
    return shape


def with_shapes(layers: Sequence[Layer], shape: tuple[int, ...]) -> Iterator[tuple[Layer, tuple[int, ...]]]:
    """Every layer with the shape of its input."""
    for layer in layers:
        yield layer, shape
        shape = shape_after(layer, shape)


def n_parameters(layers: Sequence[Layer], shape: tuple[int, ...]) -> int:
    """Number of trainable parameters of a finite network for images of a shape."""
    count = 0
    for layer, (*_, channels) in with_shapes(layers, shape):
        if isinstance(layer, Dense):
            count += (channels + bool(layer.bias_std)) * layer.width
        elif isinstance(layer, Convolution):
            count += (layer.size**2 * channels + bool(layer.bias_std)) * layer.channels
        elif isinstance(layer, Offset | BatchNormalisation):
            count += channels * (1 if isinstance(layer, Offset) else 2)
    for layer, inside in with_shapes(layers, shape):
        if isinstance(layer, Residual):
            count += n_parameters(layer.main, inside) + n_parameters(layer.shortcut, inside)
        elif isinstance(layer, Members):
            count += layer.count * n_parameters(layer.layers, inside)
    return count

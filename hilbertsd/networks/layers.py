"""Layers of a network as data, from which finite networks and infinite-width kernels are both made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Dense:
    """Matrix product with Gaussian weights.

    Attributes
    ----------
    width : outputs.
    weight_std : σ_w; weights have variance σ_w²/inputs.
    bias_std : σ_b, 0 for no bias.
    """

    width: int
    weight_std: float
    bias_std: float = 0.0


@dataclass(frozen=True)
class Convolution:
    """Two-dimensional convolution with Gaussian weights, zeros beyond the border and as many positions as before.

    Attributes
    ----------
    channels : outputs of a position.
    weight_std, bias_std : as of :class:`Dense`, with size² times the channels before as inputs.
    size : rows and columns of the filter.
    stride : keep every stride-th position, from the first.
    """

    channels: int
    weight_std: float
    bias_std: float = 0.0
    size: int = 3
    stride: int = 1


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True)
class AveragePool:
    """Mean over squares of two rows and two columns."""


@dataclass(frozen=True)
class GlobalAveragePool:
    """Mean over all positions."""


@dataclass(frozen=True)
class Flatten:
    """All positions as one vector."""


@dataclass(frozen=True)
class Residual:
    """Sum of two branches, each of which ends in a convolution, or is empty after one."""

    main: "tuple[Layer, ...]"
    shortcut: "tuple[Layer, ...]" = ()


Layer: TypeAlias = Dense | Convolution | Relu | AveragePool | GlobalAveragePool | Flatten | Residual


def segments(layers: Sequence[Layer]) -> tuple[Sequence[Layer], Layer | None, Sequence[Layer]]:
    """Layers before the first that makes positions meet, that one (None if there is none), and those after it."""
    for index, layer in enumerate(layers):
        if isinstance(layer, AveragePool | GlobalAveragePool | Flatten):
            return layers[:index], layer, layers[index + 1 :]
    return layers, None, ()


def stride_of(layers: Sequence[Layer]) -> int:
    """Product of the strides of layers without pooling."""
    stride = 1
    for layer in layers:
        if isinstance(layer, Convolution):
            stride *= layer.stride
        elif isinstance(layer, Residual):
            stride *= stride_of(layer.main)
    return stride


def until_last_relu(layers: Sequence[Layer]) -> Sequence[Layer]:
    """Layers up to the last that is, or has within it, a ReLU."""
    return layers[: max((index for index, layer in enumerate(layers, 1) if _has_relu(layer)), default=0)]


def _has_relu(layer: Layer) -> bool:
    if isinstance(layer, Residual):
        return any(_has_relu(each) for each in (*layer.main, *layer.shortcut))
    return isinstance(layer, Relu)

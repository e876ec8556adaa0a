"""Layers of every family of networks, from the numbers in its name and its options.

    family = FAMILIES["wrn"]
    family.hidden_layers(LayerMaker(1.414, 0.0), depth=10, widening=4, width=16)  # all layers but the last

Without normalisation ReLUs come before convolutions in residual blocks: the infinite-width limit needs every sum of two
branches to be a sum of Gaussians. With it, networks are as they were published.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hilbertsd.errors import InvalidInput
from hilbertsd.networks.layers import (
    AveragePool,
    BatchNormalisation,
    Convolution,
    Dense,
    Flatten,
    GlobalAveragePool,
    Layer,
    MaxPool,
    Offset,
    Relu,
    Residual,
    Subsample,
)

MYRTLE = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}
"""Number of convolutions before each pooling, by depth (Shankar et al. 2020, arXiv 2003.02237)."""

VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Number of convolutions before each pooling, by depth (Simonyan & Zisserman 2015, arXiv 1409.1556)."""

RESNET = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
"""Number of blocks of each of four stages, by depth (He et al. 2016, arXiv 1512.03385); other depths have three."""

BOTTLENECKS = (50,)
"""Depths whose blocks are 1×1, 3×3 and 1×1 convolutions, the last with four times as many channels."""


@dataclass(frozen=True)
class LayerMaker:
    """Makes hidden layers that share one weight scale and one bias scale, and are normalised or not."""

    weight_std: float
    bias_std: float
    normalised: bool = False

    @property
    def normalisation(self) -> tuple[Layer, ...]:
        """What comes after a layer with weights."""
        return (BatchNormalisation(),) if self.normalised else ()

    def dense(self, width: int) -> tuple[Layer, ...]:
        """Dense layer and ReLU."""
        return (Dense(width, self.weight_std, self.bias_std), *self.normalisation, Relu())

    def convolution(self, channels: int, size: int = 3, stride: int = 1) -> Convolution:
        """Convolution alone."""
        return Convolution(channels, self.weight_std, self.bias_std, size, stride)

    def convolutions(self, channels: int, count: int) -> tuple[Layer, ...]:
        """Convolutions, each with a ReLU."""
        return (self.convolution(channels), *self.normalisation, Relu()) * count


@dataclass(frozen=True)
class Family:
    """One family of networks.

    Attributes
    ----------
    hidden_layers : function of a layer maker and the family's options that gives all layers but the last.
    numbers : options that a name may give as numbers, in this order.
    defaults : all options of the family with their default values; None for a width that depends on the depth.
    """

    hidden_layers: Callable[..., tuple[Layer, ...]]
    numbers: tuple[str, ...]
    defaults: dict[str, Any]


def published_width(depth: int) -> int:
    """Channels of the first convolution of a ResNet."""
    return 64 if depth in RESNET else 16


def _fully_connected(make: LayerMaker, depth: int, width: int) -> tuple[Layer, ...]:
    return (Flatten(), *make.dense(width) * depth)


def _convolutional(make: LayerMaker, depth: int, width: int, pooling: bool) -> tuple[Layer, ...]:
    return (*make.convolutions(width, depth), GlobalAveragePool() if pooling else Flatten())


def _myrtle(make: LayerMaker, depth: int, width: int) -> tuple[Layer, ...]:
    """The published network ends in poolings down to one position, which together are one global average."""
    first, second, third = (make.convolutions(width, count) for count in _counts(MYRTLE, depth, "myrtle"))
    return (*first, AveragePool(), *second, AveragePool(), *third, GlobalAveragePool())


def _vgg(make: LayerMaker, depth: int, width: int, stages: int) -> tuple[Layer, ...]:
    """With normalisation: maxima, offsets in the convolutions and no hidden dense layer, as is usual on CIFAR."""
    counts = _counts(VGG, depth, "vgg")
    if stages > len(counts):
        raise InvalidInput(f"stages is {stages}; vgg has {len(counts)}, give at most that many")
    layers: list[Layer] = []
    for stage, count in enumerate(counts[:stages]):
        channels = width * min(2**stage, 8)
        if make.normalised:
            layers += [*(make.convolution(channels), Offset(), BatchNormalisation(), Relu()) * count, MaxPool()]
        else:
            layers += [*make.convolutions(channels, count), AveragePool()]
    return (*layers, Flatten(), *(() if make.normalised else make.dense(8 * width) * 2))


def _resnet(make: LayerMaker, depth: int, width: int) -> tuple[Layer, ...]:
    if depth in RESNET:
        stages = [(width * 2**i, blocks, 2 if i else 1) for i, blocks in enumerate(RESNET[depth])]
        bottlenecks, projections = depth in BOTTLENECKS, True
    else:
        stages = _three_stages(width, _blocks_a_stage(depth, 2, "resnet"))
        bottlenecks, projections = False, not make.normalised
    return _residual(make, width, stages, bottlenecks, projections, relu_last=make.normalised)


def _wrn(make: LayerMaker, depth: int, widening: int, width: int) -> tuple[Layer, ...]:
    return _residual(make, width, _three_stages(widening * width, _blocks_a_stage(depth, 4, "wrn")))


def _three_stages(width: int, blocks: int) -> list[tuple[int, int, int]]:
    """Channels, number of blocks and first stride of stages with width, 2 × width and 4 × width channels."""
    return [(width, blocks, 1), (2 * width, blocks, 2), (4 * width, blocks, 2)]


def _residual(
    make: LayerMaker,
    first_width: int,
    stages: Sequence[tuple[int, int, int]],
    bottlenecks: bool = False,
    projections: bool = True,
    relu_last: bool = False,
) -> tuple[Layer, ...]:
    """Stages of residual blocks, then a global average.

    Parameters
    ----------
    first_width : channels of the first convolution.
    stages : channels, number of blocks and first stride of every stage.
    bottlenecks : whether blocks have three convolutions, not two.
    projections : whether a shortcut that changes its shape is a convolution, not one without parameters.
    relu_last : whether normalisation and ReLU come after convolutions and after the sum, as in the first ResNets.
    """
    before = (*make.normalisation, Relu())
    layers: list[Layer] = [make.convolution(first_width), *(before if relu_last else ())]
    channels_before = first_width
    for channels, blocks, first_stride in stages:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            convolutions = [make.convolution(channels, stride=stride), make.convolution(channels)]
            if bottlenecks:
                convolutions = [make.convolution(channels, 1), convolutions[0], make.convolution(4 * channels, 1)]
            channels_after = convolutions[-1].channels
            shortcut: tuple[Layer, ...] = ()
            if stride != 1 or channels_before != channels_after:
                convolution = make.convolution(channels_after, 1, stride)
                shortcut = (convolution,) if projections else (Subsample(channels_after, stride),)
            if relu_last:
                main = [layer for convolution in convolutions for layer in (convolution, *before)][:-1]
                shortcut = (*shortcut, *(make.normalisation if shortcut and projections else ()))
                layers += [Residual(tuple(main), shortcut), Relu()]
            else:
                main = [layer for convolution in convolutions for layer in (*before, convolution)]
                if make.normalised and shortcut:  # both branches start from the normalised input
                    layers += before
                    main = main[len(before) :]
                layers.append(Residual(tuple(main), shortcut))
            channels_before = channels_after
    return (*layers, *(() if relu_last else before), GlobalAveragePool())


def _counts(by_depth: dict[int, tuple[int, ...]], depth: int, family: str) -> tuple[int, ...]:
    """Numbers of convolutions of the network of this depth."""
    if depth not in by_depth:
        raise InvalidInput(f"{family} has no depth {depth}; give one of {', '.join(map(str, by_depth))}")
    return by_depth[depth]


def _blocks_a_stage(depth: int, extra: int, family: str) -> int:
    """N in depth = 6N + extra: the number of residual blocks in each of the three stages."""
    if depth <= extra or (depth - extra) % 6:
        known = f" or one of {', '.join(map(str, RESNET))}" if family == "resnet" else ""
        raise InvalidInput(f"{family} has no depth {depth}; give 6N + {extra}, as {6 + extra} or {18 + extra}{known}")
    return (depth - extra) // 6


FAMILIES = {
    "fully-connected": Family(_fully_connected, ("depth", "width"), {"depth": 5, "width": 512}),
    "convolutional": Family(_convolutional, ("depth", "width"), {"depth": 5, "width": 64, "pooling": False}),
    "myrtle": Family(_myrtle, ("depth",), {"depth": 5, "width": 64}),
    "vgg": Family(_vgg, ("depth",), {"depth": 11, "width": 64, "stages": 5}),
    "resnet": Family(_resnet, ("depth",), {"depth": 20, "width": None}),
    "wrn": Family(_wrn, ("depth", "widening"), {"depth": 10, "widening": 4, "width": 16}),
}

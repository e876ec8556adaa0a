"""Architectures by name: layers as plain data, from which finite networks and infinitely wide ones are made.

Names end in the numbers that the literature uses: "fully-connected-5", "myrtle-10", "wrn-28-10".

    network = architecture("wrn-10-4", bias_std=0.1)  # depth 10, widening 4
    network.layers[0]  # Convolution(channels=16, weight_std=1.414..., bias_std=0.1, size=3, stride=1)
    network.check((32, 32, 3))  # raises InvalidInput for images that do not pass through
    architecture(**network.config) == network  # config is ready for JSON

Residual networks have no normalisation layers, and in their blocks ReLUs come before convolutions: the infinite-width
limit needs every sum of two branches to be a sum of Gaussians.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hilbertsd.errors import InvalidInput
from hilbertsd.networks.layers import (
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
)
from hilbertsd.support.checks import check_choice, check_whole

PARAMETERIZATIONS = ("ntk", "standard")

MYRTLE = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}
"""Number of convolutions before each pooling, by depth (Shankar et al. 2020, arXiv 2003.02237)."""

VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Number of convolutions before each pooling, by depth (Simonyan & Zisserman 2015, arXiv 1409.1556)."""

SCALES = (1e-100, 1e100)
"""Smallest and largest weight_std and bias_std: kernels are made of their squares, which float64 has to hold."""


@dataclass(frozen=True)
class Architecture:
    """Layers of a network for images (n, rows, columns, channels), whether it will be finite or infinitely wide.

    A fully connected network also takes vectors (n, d).

    Attributes
    ----------
    family : name of the family, as :func:`architecture` lists them.
    options : every option of the family with its value, numbers of the name included; ready for JSON.
    layers : layers from input to output.
    parameterization : "ntk": weights are standard normal, and the layer multiplies them by their scale; "standard":
        the scale is in the variance of the weights, so that a layer's share of the tangent kernel grows with its number
        of inputs (Sohl-Dickstein et al. 2020, arXiv 2001.07301).
    """

    family: str
    options: dict[str, Any] = field(hash=False)
    layers: tuple[Layer, ...]
    parameterization: str

    @property
    def config(self) -> dict[str, Any]:
        """Name and options, ready for JSON; ``architecture(**config)`` makes the same architecture again."""
        return {"name": self.family, **self.options}

    @property
    def name(self) -> str:
        """Short name for titles and messages, such as "wrn-10-4" or "convolutional-5-pooled"."""
        sizes = [str(self.options[key]) for key in ("depth", "widening") if key in self.options]
        return "-".join([self.family, *sizes, *(["pooled"] if self.options.get("pooling") else [])])

    def check(self, image_shape: Sequence[int]) -> None:
        """Raise InvalidInput unless images of this shape pass through the layers.

        Parameters
        ----------
        image_shape : (rows, columns, channels), or (d,) for a fully connected network. None of them may be 0, and every
            stride and pooling has to divide the rows and columns that reach it.
        """
        vectors = len(image_shape) == 1 and isinstance(self.layers[0], Flatten)
        if len(image_shape) != 3 and not vectors:
            raise InvalidInput(
                f"{self.name} gets inputs of shape {tuple(image_shape)}; give images (n, rows, columns, channels)"
            )
        if 0 in image_shape:
            raise InvalidInput(f"images have shape {tuple(image_shape)}; give at least one row, column and channel")
        for side in image_shape[:-1]:
            _check_side(self.layers, side, self.name)


def architecture(name: str, **options: Any) -> Architecture:
    """Architecture from its name.

    Parameters
    ----------
    name : name of a family, followed by numbers that are then not given as options: "wrn-10-4" is "wrn" with
        ``depth=10, widening=4``. Families, their numbers and their options are:

        - fully-connected-depth-width: depth counts the hidden layers;
        - convolutional-depth-width, with ``pooling=True`` for a global average instead of flattening;
        - myrtle-depth (5, 7 or 10) with `width`;
        - vgg-depth (11, 13, 16 or 19) with `width` of the first stage, and `stages`, each of which halves the sides;
        - resnet-depth (6N + 2) and wrn-depth-widening (6N + 4), both with `width` of the first convolution.
    options : options of the family, and those that all families have: `outputs` (10), `parameterization` ("ntk" or
        "standard"), `weight_std` (√2, which keeps the size of signals in ReLU networks; the last layer always has 1)
        and `bias_std` (0: no biases). Widths change finite networks, and kernels in the standard parameterization.

    Raises
    ------
    InvalidInput
        The name, an option or the parameterization is unknown; the family has no network of this depth; a scale is not
        a single positive number from 1e-100 to 1e100.
    """
    match = re.fullmatch(r"([a-z]+(?:-[a-z]+)*)((?:-\d+)*)", str(name).lower().replace("_", "-"))
    family_name, digits = match.groups() if match else (name, "")
    check_choice(family_name, "architecture", FAMILIES)
    family = FAMILIES[family_name]
    numbers = [int(word) for word in digits.split("-")[1:]]
    if len(numbers) > len(family.numbers):
        raise InvalidInput(f"{name!r} has {len(numbers)} numbers; {family_name} has {', '.join(family.numbers)}")
    from_name = dict(zip(family.numbers, numbers, strict=False))
    defaults = {**family.defaults, **COMMON}
    for option in options:
        check_choice(option, f"{family_name} option", defaults)
        if option in from_name:
            raise InvalidInput(f"{option} is in the name {name!r} and an option; give it once")
    given = {**defaults, **from_name, **options}
    # JSON cannot hold NumPy's numbers.
    resolved = {key: value.item() if isinstance(value, np.generic) else value for key, value in given.items()}
    _check_options(resolved)
    weight_std, bias_std = float(resolved["weight_std"]), float(resolved["bias_std"])
    family_options = {key: resolved[key] for key in family.defaults}
    hidden = family.hidden_layers(_LayerMaker(weight_std, bias_std), **family_options)
    layers = (*hidden, Dense(resolved["outputs"], 1.0, bias_std))
    return Architecture(family_name, resolved, layers, resolved["parameterization"])


def check_architecture(value: Any) -> None:
    """Raise InvalidInput unless the value is an architecture."""
    if not isinstance(value, Architecture):
        raise InvalidInput(f"architecture is {value!r}; give what hilbertsd.networks.architecture(name) returns")


@dataclass(frozen=True)
class _LayerMaker:
    """Makes hidden layers that share one weight scale and one bias scale."""

    weight_std: float
    bias_std: float

    def dense(self, width: int) -> Dense:
        return Dense(width, self.weight_std, self.bias_std)

    def convolution(self, channels: int, size: int = 3, stride: int = 1) -> Convolution:
        return Convolution(channels, self.weight_std, self.bias_std, size, stride)

    def convolutions(self, channels: int, count: int) -> tuple[Layer, ...]:
        return (self.convolution(channels), Relu()) * count


def _fully_connected(make: _LayerMaker, depth: int, width: int) -> tuple[Layer, ...]:
    return (Flatten(), *(make.dense(width), Relu()) * depth)


def _convolutional(make: _LayerMaker, depth: int, width: int, pooling: bool) -> tuple[Layer, ...]:
    return (*make.convolutions(width, depth), GlobalAveragePool() if pooling else Flatten())


def _myrtle(make: _LayerMaker, depth: int, width: int) -> tuple[Layer, ...]:
    """The published network ends in poolings down to one position, which together are one global average."""
    first, second, third = (make.convolutions(width, count) for count in _counts(MYRTLE, depth, "myrtle"))
    return (*first, AveragePool(), *second, AveragePool(), *third, GlobalAveragePool())


def _vgg(make: _LayerMaker, depth: int, width: int, stages: int) -> tuple[Layer, ...]:
    counts = _counts(VGG, depth, "vgg")
    if stages > len(counts):
        raise InvalidInput(f"stages is {stages}; vgg has {len(counts)}, give at most that many")
    layers: list[Layer] = []
    for stage, count in enumerate(counts[:stages]):
        layers += [*make.convolutions(width * min(2**stage, 8), count), AveragePool()]
    return (*layers, Flatten(), *(make.dense(8 * width), Relu()) * 2)


def _resnet(make: _LayerMaker, depth: int, width: int) -> tuple[Layer, ...]:
    return _residual(make, _blocks_a_stage(depth, 2, "resnet"), width, width)


def _wrn(make: _LayerMaker, depth: int, widening: int, width: int) -> tuple[Layer, ...]:
    return _residual(make, _blocks_a_stage(depth, 4, "wrn"), width, widening * width)


def _residual(make: _LayerMaker, blocks: int, first_width: int, width: int) -> tuple[Layer, ...]:
    """Three stages of residual blocks with width, 2 × width and 4 × width channels; the last two halve the sides."""
    layers: list[Layer] = [make.convolution(first_width)]
    channels_before = first_width
    for stage in range(3):
        channels = width * 2**stage
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            main = (Relu(), make.convolution(channels, stride=stride), Relu(), make.convolution(channels))
            same_shape = channels_before == channels and stride == 1
            layers.append(Residual(main, () if same_shape else (make.convolution(channels, 1, stride),)))
            channels_before = channels
    return (*layers, Relu(), GlobalAveragePool())


@dataclass(frozen=True)
class _Family:
    """One family of networks.

    Attributes
    ----------
    hidden_layers : function of a layer maker and the family's options that gives all layers but the last.
    numbers : options that a name may give as numbers, in this order.
    defaults : all options of the family with their default values.
    """

    hidden_layers: Callable[..., tuple[Layer, ...]]
    numbers: tuple[str, ...]
    defaults: dict[str, Any]


FAMILIES = {
    "fully-connected": _Family(_fully_connected, ("depth", "width"), {"depth": 5, "width": 512}),
    "convolutional": _Family(_convolutional, ("depth", "width"), {"depth": 5, "width": 64, "pooling": False}),
    "myrtle": _Family(_myrtle, ("depth",), {"depth": 5, "width": 64}),
    "vgg": _Family(_vgg, ("depth",), {"depth": 11, "width": 64, "stages": 5}),
    "resnet": _Family(_resnet, ("depth",), {"depth": 20, "width": 16}),
    "wrn": _Family(_wrn, ("depth", "widening"), {"depth": 10, "widening": 4, "width": 16}),
}
COMMON = {"outputs": 10, "parameterization": "ntk", "weight_std": math.sqrt(2), "bias_std": 0.0}


def _check_options(options: dict[str, Any]) -> None:
    for name in ("depth", "width", "widening", "stages", "outputs"):
        if name in options:
            check_whole(options[name], name, InvalidInput)
    _check_scale(options["weight_std"], "weight_std", "the scale of the weights")
    if type(options["bias_std"]) not in (int, float) or options["bias_std"] != 0:
        _check_scale(options["bias_std"], "bias_std", "or 0 for no biases")
    check_choice(options["parameterization"], "parameterization", PARAMETERIZATIONS)
    if not isinstance(options.get("pooling", False), bool):
        raise InvalidInput(f"pooling is {options['pooling']!r}; give True or False")


def _check_scale(value: Any, name: str, meaning: str) -> None:
    if type(value) not in (int, float) or not SCALES[0] <= value <= SCALES[1]:
        raise InvalidInput(f"{name} is {value!r}; give one number from {SCALES[0]:g} to {SCALES[1]:g}, {meaning}")


def _counts(by_depth: dict[int, tuple[int, ...]], depth: int, family: str) -> tuple[int, ...]:
    """Numbers of convolutions of the network of this depth."""
    if depth not in by_depth:
        raise InvalidInput(f"{family} has no depth {depth}; give one of {', '.join(map(str, by_depth))}")
    return by_depth[depth]


def _blocks_a_stage(depth: int, extra: int, family: str) -> int:
    """N in depth = 6N + extra: the number of residual blocks in each of the three stages."""
    if depth <= extra or (depth - extra) % 6:
        raise InvalidInput(f"{family} has no depth {depth}; give 6N + {extra}, as {6 + extra} or {18 + extra}")
    return (depth - extra) // 6


def _check_side(layers: Sequence[Layer], side: int, name: str) -> None:
    """Raise InvalidInput unless every stride and pooling divides the number of positions that reaches it."""
    segment, last, rest = segments(layers)
    divisor = stride_of(segment) * (2 if isinstance(last, AveragePool) else 1)
    if side % divisor:
        raise InvalidInput(
            f"{name} divides a side of {side} positions by {divisor}; give images whose sides its strides and poolings "
            "divide (for vgg, or fewer stages)"
        )
    if isinstance(last, AveragePool):
        _check_side(rest, side // divisor, name)

"""Architectures by name: layers as data, from which finite networks and infinitely wide ones are made.

Names end in the numbers that the field gives them: "fully-connected-5", "myrtle-10", "wrn-28-10". Residual networks
normalise nothing, and their ReLUs come before the convolutions, because an infinite-width limit needs sums of
Gaussians.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

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
from hilbertsd.support.checks import check_positive, check_whole

PARAMETERIZATIONS = ("ntk", "standard")

MYRTLE = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}
"""Convolutions before each pooling (Shankar et al. 2020, arXiv 2003.02237)."""

VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions before each pooling (Simonyan & Zisserman 2015, arXiv 1409.1556)."""


@dataclass(frozen=True)
class Architecture:
    """A network, finite or infinitely wide, for images (n, rows, columns, channels).

    A fully connected network takes vectors (n, d), too.

    Attributes
    ----------
    family : its name in the registry.
    options : all of them, numbers included, ready for JSON.
    layers : of the network.
    parameterization : "ntk": weights are standard normal and their scale is in the layer; "standard": their scale is in
        their variance, so that the tangent kernel of a wide layer weighs with its width (Sohl-Dickstein et al. 2020).
    """

    family: str
    options: dict[str, Any] = field(hash=False)
    layers: tuple[Layer, ...]
    parameterization: str

    @property
    def config(self) -> dict[str, Any]:
        """What makes the architecture, ready for JSON; ``architecture(**config)`` makes it again."""
        return {"name": self.family, **self.options}

    @property
    def name(self) -> str:
        """Family and numbers, as "wrn-10-4"; what a title says."""
        depth = [str(self.options[key]) for key in ("depth", "widening") if key in self.options]
        return "-".join([self.family, *depth, *(["pooled"] if self.options.get("pooling") else [])])

    def check(self, image_shape: Sequence[int]) -> None:
        """Raise InvalidInput where images of a shape do not fit: sides that a stride or pooling does not divide."""
        vectors = len(image_shape) == 1 and isinstance(self.layers[0], Flatten)
        if len(image_shape) != 3 and not vectors:
            raise InvalidInput(
                f"{self.name} gets inputs of shape {tuple(image_shape)}; give images (n, rows, columns, channels)"
            )
        for side in image_shape[:-1]:
            _check_side(self.layers, side, self.name)


def architecture(name: str, **options: Any) -> Architecture:
    """Architecture by name.

    Parameters
    ----------
    name : a family, and its numbers in their order where they are not given as options: "wrn-10-4" is "wrn" with
        ``depth=10, widening=4``. Families, their numbers and options:

        - fully-connected-depth-width: depth counts the hidden layers;
        - convolutional-depth-width, with ``pooling=True`` for a global average instead of flattening;
        - myrtle-depth (5, 7 or 10) with `width`;
        - vgg-depth (11, 13, 16 or 19) with `width` of the first stage, and `stages`, each of which halves the sides;
        - resnet-depth (6N + 2) and wrn-depth-widening (6N + 4), both with `width` of the first convolution.
    options : those of the family; and of all: `outputs` (10), `parameterization` ("ntk" or "standard"), `weight_std`
        (√2, which keeps the size of signals in ReLU networks; 1 in the last layer) and `bias_std` (0: no biases).
        Widths matter to finite networks and to the standard parameterization.

    Raises
    ------
    InvalidInput
        Unknown name, option or parameterization, or a number that the family does not have.
    """
    match = re.fullmatch(r"([a-z]+(?:-[a-z]+)*)((?:-\d+)*)", str(name).lower().replace("_", "-"))
    if match is None or match[1] not in FAMILIES:
        raise InvalidInput(f"architecture is {name!r}; give one of {', '.join(FAMILIES)}, or with numbers, as wrn-10-4")
    family = FAMILIES[match[1]]
    numbers = [int(word) for word in match[2].split("-")[1:]]
    if len(numbers) > len(family.numbers):
        raise InvalidInput(f"{name!r} has {len(numbers)} numbers; {match[1]} has {', '.join(family.numbers)}")
    by_name = dict(zip(family.numbers, numbers, strict=False))
    known = {**family.defaults, **COMMON}
    for option in options:
        if option not in known:
            raise InvalidInput(f"{match[1]} has no option {option!r}; it has {', '.join(known)}")
        if option in by_name:
            raise InvalidInput(f"{option} is in the name {name!r} and an option; give it once")
    resolved = {**known, **by_name, **options}
    _check_options(resolved)
    own = {key: resolved[key] for key in family.defaults}
    weight_std, bias_std = float(resolved["weight_std"]), float(resolved["bias_std"])
    layers = (*family.build(_Hidden(weight_std, bias_std), **own), Dense(resolved["outputs"], 1.0, bias_std))
    return Architecture(match[1], resolved, layers, resolved["parameterization"])


@dataclass(frozen=True)
class _Hidden:
    """Hidden layers of one weight and bias scale."""

    weight_std: float
    bias_std: float

    def dense(self, width: int) -> Dense:
        return Dense(width, self.weight_std, self.bias_std)

    def convolution(self, channels: int, size: int = 3, stride: int = 1) -> Convolution:
        return Convolution(channels, self.weight_std, self.bias_std, size, stride)

    def convolutions(self, channels: int, count: int) -> tuple[Layer, ...]:
        return (self.convolution(channels), Relu()) * count


def _fully_connected(hidden: _Hidden, depth: int, width: int) -> tuple[Layer, ...]:
    return (Flatten(), *(hidden.dense(width), Relu()) * depth)


def _convolutional(hidden: _Hidden, depth: int, width: int, pooling: bool) -> tuple[Layer, ...]:
    return (*hidden.convolutions(width, depth), GlobalAveragePool() if pooling else Flatten())


def _myrtle(hidden: _Hidden, depth: int, width: int) -> tuple[Layer, ...]:
    """Its last poolings, down to one position, are one global average."""
    first, second, third = (hidden.convolutions(width, count) for count in MYRTLE[_one_of(depth, MYRTLE, "myrtle")])
    return (*first, AveragePool(), *second, AveragePool(), *third, GlobalAveragePool())


def _vgg(hidden: _Hidden, depth: int, width: int, stages: int) -> tuple[Layer, ...]:
    counts = VGG[_one_of(depth, VGG, "vgg")]
    if stages > len(counts):
        raise InvalidInput(f"stages is {stages}; vgg has {len(counts)}, give at most that many")
    layers: list[Layer] = []
    for stage, count in enumerate(counts[:stages]):
        layers += [*hidden.convolutions(width * min(2**stage, 8), count), AveragePool()]
    return (*layers, Flatten(), *(hidden.dense(8 * width), Relu()) * 2)


def _resnet(hidden: _Hidden, depth: int, width: int) -> tuple[Layer, ...]:
    return _residual(hidden, _blocks(depth, 2, "resnet"), width, width)


def _wrn(hidden: _Hidden, depth: int, widening: int, width: int) -> tuple[Layer, ...]:
    return _residual(hidden, _blocks(depth, 4, "wrn"), width, widening * width)


def _residual(hidden: _Hidden, blocks: int, first: int, width: int) -> tuple[Layer, ...]:
    """Three stages of blocks of width, 2 × width and 4 × width channels, the last two at half the sides before."""
    layers: list[Layer] = [hidden.convolution(first)]
    before = first
    for stage in range(3):
        channels, stride = width * 2**stage, 1 if stage == 0 else 2
        for block in range(blocks):
            step = stride if block == 0 else 1
            main = (Relu(), hidden.convolution(channels, stride=step), Relu(), hidden.convolution(channels))
            shortcut = (hidden.convolution(channels, 1, step),) if before != channels or step > 1 else ()
            layers.append(Residual(main, shortcut))
            before = channels
    return (*layers, Relu(), GlobalAveragePool())


@dataclass(frozen=True)
class _Family:
    """How an architecture is built, the options that its name may give as numbers, and all of them."""

    build: Callable[..., tuple[Layer, ...]]
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
    check_positive(options["weight_std"], "weight_std", "the scale of the weights", InvalidInput)
    if options["bias_std"] != 0:
        check_positive(options["bias_std"], "bias_std", "or 0 for no biases", InvalidInput)
    if options["parameterization"] not in PARAMETERIZATIONS:
        raise InvalidInput(
            f"parameterization is {options['parameterization']!r}; give one of {', '.join(PARAMETERIZATIONS)}"
        )
    if not isinstance(options.get("pooling", False), bool):
        raise InvalidInput(f"pooling is {options['pooling']!r}; give True or False")


def _one_of(depth: int, known: dict[int, Any], family: str) -> int:
    if depth not in known:
        raise InvalidInput(f"{family} has no depth {depth}; give one of {', '.join(map(str, known))}")
    return depth


def _blocks(depth: int, extra: int, family: str) -> int:
    """N of a depth of 6N + extra."""
    if depth <= extra or (depth - extra) % 6:
        raise InvalidInput(f"{family} has no depth {depth}; give 6N + {extra}, as {6 + extra} or {18 + extra}")
    return (depth - extra) // 6


def _check_side(layers: Sequence[Layer], side: int, name: str) -> None:
    """Raise InvalidInput unless every stride and pooling divides the side it meets."""
    segment, last, rest = segments(layers)
    divisor = stride_of(segment) * (2 if isinstance(last, AveragePool) else 1)
    if side % divisor:
        raise InvalidInput(
            f"{name} divides a side of {side} positions by {divisor}; give images whose sides its strides and poolings "
            "divide (for vgg, or fewer stages)"
        )
    if isinstance(last, AveragePool):
        _check_side(rest, side // divisor, name)

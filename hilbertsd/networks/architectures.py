"""Architectures by name: layers as plain data, from which finite networks and infinitely wide ones are made.

Names end in the numbers that the literature uses: "fully-connected-5", "myrtle-10", "wrn-28-10".

    network = architecture("wrn-10-4", bias_std=0.1)  # depth 10, widening 4
    network.layers[0]  # Convolution(channels=16, weight_std=1.414..., bias_std=0.1, size=3, stride=1)
    network.check((32, 32, 3))  # raises InvalidInput for images that do not pass through
    architecture(**network.config) == network  # config is ready for JSON

    architecture("resnet-18", n_classes=10, normalisation="batch").n_parameters  # 11,173,962, as published

Networks without normalisation layers have kernels, those with have none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.networks.families import FAMILIES, LayerMaker, published_width
from hilbertsd.networks.layers import (
    AveragePool,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    Members,
    Offset,
    n_parameters,
    segments,
    stride_of,
)
from hilbertsd.support.checks import as_real_array, check_choice, check_whole

PARAMETERIZATIONS = ("ntk", "standard")
NORMALISATIONS = ("batch",)

CIFAR_SHAPE = (32, 32, 3)

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
    def is_normalised(self) -> bool:
        """Whether batches are normalised, which leaves the network without a kernel."""
        return self.options["normalisation"] is not None

    @property
    def n_parameters(self) -> int:
        """Number of trainable parameters for images of 32 × 32 × 3."""
        return self.count_parameters(CIFAR_SHAPE)

    def count_parameters(self, image_shape: Sequence[int]) -> int:
        """Number of trainable parameters for images of a shape; errors as :meth:`check`."""
        self.check(image_shape)
        return n_parameters(self.layers, tuple(image_shape))

    @property
    def members(self) -> int:
        """Number of networks whose sum this is."""
        return self.options.get("members", 1)

    @property
    def name(self) -> str:
        """Short name for titles and messages, such as "wrn-10-4", "convolutional-5-pooled" or "5 × resnet-8"."""
        sizes = [str(self.options[key]) for key in ("depth", "widening") if key in self.options]
        name = "-".join([self.family, *sizes, *(["pooled"] if self.options.get("pooling") else [])])
        return name if self.members == 1 else f"{self.members} × {name}"

    def check(self, image_shape: Sequence[int]) -> None:
        """Raise InvalidInput unless images of this shape pass through the layers.

        Parameters
        ----------
        image_shape : (rows, columns, channels), or (d,) for a fully connected network. None of them may be 0, and every
            stride and pooling has to divide the rows and columns that reach it.
        """
        first = self.layers[0]
        layers = first.layers if isinstance(first, Members) else self.layers
        vectors = len(image_shape) == 1 and isinstance(layers[0], Flatten)
        if len(image_shape) != 3 and not vectors:
            raise InvalidInput(
                f"{self.name} gets inputs of shape {tuple(image_shape)}; give images (n, rows, columns, channels)"
            )
        if 0 in image_shape:
            raise InvalidInput(f"images have shape {tuple(image_shape)}; give at least one row, column and channel")
        for side in image_shape[:-1]:
            _check_side(layers, side, self.name)


def architecture(name: str, *, members: int = 1, **options: Any) -> Architecture:
    """Architecture from its name.

    Parameters
    ----------
    name : name of a family, followed by numbers that are then not given as options: "wrn-10-4" is "wrn" with
        ``depth=10, widening=4``. Families, their numbers and their options are:

        - fully-connected-depth-width: depth counts the hidden layers;
        - convolutional-depth-width, with ``pooling=True`` for a global average instead of flattening;
        - myrtle-depth (5, 7 or 10) with `width`;
        - vgg-depth (11, 13, 16 or 19) with `width` of the first stage, and `stages`, each of which halves the sides;
        - resnet-depth and wrn-depth-widening (6N + 4), both with `width` of the first convolution. ResNets of depth 18,
          34 and 50 have four stages of blocks and a width of 64; others have a depth of 6N + 2, three stages and a
          width of 16.
    members : number L of networks of this form, each with parameters of its own, that are trained as one: outputs are
        their sum over √L, so that its tangent kernel is the mean of theirs. A config has it where it is more than 1.
    options : options of the family, and those that all families have: `n_classes` (10), the number of outputs;
        `normalisation` (None, or "batch"); `parameterization` ("ntk" or "standard"; None for "ntk" without and
        "standard" with normalisation), `weight_std` (√2, which keeps the size of signals in ReLU networks; the last
        layer always has 1) and `bias_std` (0: no biases). Widths change finite networks, and kernels in the standard
        parameterization.

        With normalisation a network is as it was published, with 3 × 3 convolutions on CIFAR's images from the first
        on: in ResNets ReLUs follow the sums; a shortcut of ResNet-18, 34, 50 and of wide ResNets that changes its shape
        is a convolution, one of the 6N + 2 ResNets has no parameters (option A of the paper). VGG has maxima instead of
        averages, offsets in its convolutions, and no hidden dense layer. The last layer has offsets, which start at 0.

    Raises
    ------
    InvalidInput
        The name, an option, the parameterization or the normalisation is unknown; the family has no network of this
        depth; a scale is not a single positive number from 1e-100 to 1e100; a normalised network is to have biases;
        members is no whole number from 1 on.
    """
    check_whole(members, "members", InvalidInput)
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
    normalised = resolved["normalisation"] is not None
    if resolved["parameterization"] is None:
        resolved["parameterization"] = "standard" if normalised else "ntk"
    if resolved.get("width", 0) is None:
        check_whole(resolved["depth"], "depth", InvalidInput)
        resolved["width"] = published_width(resolved["depth"])
    _check_options(resolved)
    weight_std, bias_std = float(resolved["weight_std"]), float(resolved["bias_std"])
    family_options = {key: resolved[key] for key in family.defaults}
    hidden = family.hidden_layers(LayerMaker(weight_std, bias_std, normalised), **family_options)
    last = Dense(resolved["n_classes"], 1.0, bias_std)
    layers = (*hidden, last, Offset()) if normalised else (*hidden, last)
    if members > 1:
        layers, resolved["members"] = (Members(layers, int(members)),), int(members)
    return Architecture(family_name, resolved, layers, resolved["parameterization"])


def check_architecture(value: Any) -> None:
    """Raise InvalidInput unless the value is an architecture."""
    if not isinstance(value, Architecture):
        raise InvalidInput(f"architecture is {value!r}; give what hilbertsd.networks.architecture(name) returns")


def check_has_kernel(value: Any) -> None:
    """Raise InvalidInput unless the value is an architecture with a tangent kernel: one network, not normalised."""
    check_architecture(value)
    if value.members > 1:
        raise InvalidInput(
            f"{value.name} has {value.members} members; its kernel is the mean of theirs, give one with members=1"
        )
    if value.is_normalised:
        raise InvalidInput(
            f"{value.name} has {value.options['normalisation']} normalisation, with which outputs depend on the other "
            "images of a batch; kernels are of networks with normalisation None"
        )


COMMON = {
    "n_classes": 10,
    "parameterization": None,
    "weight_std": math.sqrt(2),
    "bias_std": 0.0,
    "normalisation": None,
}


def finite_images(images: Any, name: str, first: int = 0) -> NDArray[Any]:
    """Images as a NumPy array.

    Parameters
    ----------
    images : (n, ...) array of any library, or nested lists.
    name : what an error message calls them.
    first : number of the first image, where these are a part of all images.

    Raises
    ------
    InvalidInput
        They are no real numbers, or not all finite; the message names the first image with such a value.
    """
    array = np.asarray(as_real_array(images, name, InvalidInput))
    finite = np.isfinite(array)
    if not np.all(finite):
        row = first + int(np.argmin(finite.reshape(len(array), -1).all(axis=1)))
        raise InvalidInput(f"{name} hold values that are not finite in row {row}; leave it out")
    return array


def _check_options(options: dict[str, Any]) -> None:
    for name in ("depth", "width", "widening", "stages", "n_classes"):
        if name in options:
            check_whole(options[name], name, InvalidInput)
    _check_scale(options["weight_std"], "weight_std", "the scale of the weights")
    if type(options["bias_std"]) not in (int, float) or options["bias_std"] != 0:
        _check_scale(options["bias_std"], "bias_std", "or 0 for no biases")
    check_choice(options["parameterization"], "parameterization", PARAMETERIZATIONS)
    if options["normalisation"] is not None:
        check_choice(options["normalisation"], "normalisation", NORMALISATIONS)
        if options["bias_std"] != 0:
            raise InvalidInput(
                f"bias_std is {options['bias_std']!r}; normalisation takes random biases away again, leave them out"
            )
    if not isinstance(options.get("pooling", False), bool):
        raise InvalidInput(f"pooling is {options['pooling']!r}; give True or False")


def _check_scale(value: Any, name: str, meaning: str) -> None:
    if type(value) not in (int, float) or not SCALES[0] <= value <= SCALES[1]:
        raise InvalidInput(f"{name} is {value!r}; give one number from {SCALES[0]:g} to {SCALES[1]:g}, {meaning}")


def _check_side(layers: Sequence[Layer], side: int, name: str) -> None:
    """Raise InvalidInput unless every stride and pooling divides the number of positions that reaches it."""
    segment, last, rest = segments(layers)
    divisor = stride_of(segment) * (2 if isinstance(last, AveragePool | MaxPool) else 1)
    if side % divisor:
        raise InvalidInput(
            f"{name} divides a side of {side} positions by {divisor}; give images whose sides its strides and poolings "
            "divide (for vgg, or fewer stages)"
        )
    if isinstance(last, AveragePool | MaxPool):
        _check_side(rest, side // divisor, name)

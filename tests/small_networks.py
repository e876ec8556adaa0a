"""Architectures small enough for every test."""

from dataclasses import replace

from hilbertsd.networks.architectures import architecture
from hilbertsd.networks.layers import AveragePool, Convolution, Dense, GlobalAveragePool, Relu, Residual

SMALL = {
    "fully-connected-2-7": {},
    "convolutional-2-5": {},
    "convolutional-1-5": {"pooling": True},
    "myrtle-5": {"width": 3},
    "myrtle-7": {"width": 2},
    "myrtle-10": {"width": 2},
    "vgg-11": {"width": 2, "stages": 3},
    "resnet-8": {"width": 3},
    "wrn-10-2": {"width": 2},
}

EVERY_LAYER = (
    Convolution(2, 1.5, 0.2),
    Residual((Relu(), Convolution(2, 1.5, 0.2)), ()),
    AveragePool(),
    Residual((Relu(), Convolution(4, 1.5, 0.2, stride=2)), (Convolution(4, 1.5, 0.2, size=1, stride=2),)),
    Relu(),
    GlobalAveragePool(),
    Dense(3, 1.0, 0.2),
)
"""What is computed apart in one of them or another, each once: deep networks take long to compile."""


def small(name, bias_std=0.0, parameterization="ntk"):
    """Architecture of a name in SMALL, or "every layer"."""
    options = {"parameterization": parameterization}
    if name == "every layer":
        return replace(architecture("convolutional-1", n_classes=3, **options), layers=EVERY_LAYER)
    return architecture(name, bias_std=bias_std, **options, **SMALL[name])

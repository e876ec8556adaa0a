"""Which networks the study of basis weights trains, how, and on which images."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from hilbertsd.networks.architectures import Architecture, architecture

RELATIVE_TOLERANCE = 0.1
"""ε as a fraction of the labels' mean square, of networks and kernels alike."""

ROUNDS = 3
"""Rounds of every chain; at this ε the kernels' chains have as many before collapse, or one or two more."""

BINS = 12
"""Bins of the eigenvalue."""

LEAST_ENERGY = 0.005
"""Share of the labels' energy below which a bin is neither drawn nor part of the sparsity index."""

SMALL_RATE = 0.5
"""Learning rate times the largest eigenvalue of K/n at which gradient descent takes for gradient flow; 1 is where an
infinitely wide network ceases to be stable."""


FEATURE_RATE = 0.1
"""The same of networks whose outputs are scaled down: learning makes the largest eigenvalue of their kernel up to nine
times as large (two hidden layers of 64, α = 0.03), so that at 0.5 they come to no end."""

SCALES = (0.1, 0.03)
"""Factors α of the outputs at which features are learned."""


def rounded(value: float) -> float:
    """Number with six digits: the last ones change with the number of threads, and networks are stored by it."""
    return float(f"{value:.6g}")


@dataclass(frozen=True)
class Setting:
    """One kind of network and training.

    Attributes
    ----------
    name : in tables and figures.
    network : name of the architecture, without a width.
    width : of the hidden layers.
    parameterization : "ntk" or "standard".
    optimiser : "sgd", that is gradient descent on all images without momentum, or "adam".
    rate : learning rate; of gradient descent over 1/(largest eigenvalue of α²K/n), K being the tangent kernel that
        infinitely wide networks of this parameterization have, in the standard one with layers' shares at this width.
    output_scale : factor α of the outputs, which are α(f_θ − f_θ₀); the smaller, the further parameters have to move.
    """

    name: str
    network: str
    width: int
    parameterization: str = "ntk"
    optimiser: str = "sgd"
    rate: float = SMALL_RATE
    output_scale: float = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether nothing but the width distinguishes the network from an infinitely wide one."""
        return self == Setting(self.name, self.network, self.width)

    def architecture(self, n_classes: int) -> Architecture:
        """Network with an output for every class."""
        options: dict[str, Any] = {"width": self.width, "parameterization": self.parameterization}
        return architecture(self.network, n_classes=n_classes, **options)

    def learning_rate(self, largest_eigenvalue: float) -> float:
        """Learning rate, from the largest eigenvalue of K/n."""
        if self.optimiser == "adam":
            return self.rate
        return rounded(self.rate / (largest_eigenvalue * self.output_scale**2))


class Images(NamedTuple):
    """Height and width to which images are shrunk (None for as they are), and number of training images."""

    size: int | None
    train: int


@dataclass(frozen=True)
class Preset:
    """Images, seeds and settings.

    Attributes
    ----------
    images : which images.
    seeds : number of chains of every setting.
    settings : kinds of networks and training.
    steps : largest number of steps of a round.
    check_every : steps between two looks at the error.
    spread : how seeds are trained, as in :func:`hilbertsd.networks.distill_network`.
    """

    images: Images
    seeds: int
    settings: tuple[Setting, ...]
    steps: int
    check_every: int
    spread: str | None = None


def _widths(network: str, widths: tuple[int, ...]) -> tuple[Setting, ...]:
    return tuple(Setting(f"width {width:,}", network, width) for width in widths)


def _otherwise(network: str, width: int) -> tuple[Setting, ...]:
    """Networks of one width that are not trained by small steps of gradient descent in the NTK parameterisation."""
    return (
        Setting("Adam", network, width, optimiser="adam", rate=0.005),
        Setting("larger rate", network, width, rate=3 * SMALL_RATE),
        Setting("standard parameterisation", network, width, parameterization="standard"),
    )


def _scaled(network: str, width: int) -> tuple[Setting, ...]:
    """Networks of one width whose outputs are scaled down."""
    names = {scale: f"α = {scale:g}, width {width:,}" for scale in SCALES}
    return tuple(Setting(name, network, width, rate=FEATURE_RATE, output_scale=scale) for scale, name in names.items())


FULLY_CONNECTED, CONVOLUTIONAL = "fully-connected-2", "convolutional-2"

PRESETS = {
    "smoke": Preset(
        Images(None, 150),
        2,
        (*_widths(FULLY_CONNECTED, (64, 256)), _otherwise(FULLY_CONNECTED, 64)[0], _scaled(FULLY_CONNECTED, 64)[1]),
        2_000,
        2,
        "side by side",
    ),
    "cpu": Preset(
        Images(16, 500),
        4,
        (
            *_widths(FULLY_CONNECTED, (64, 128, 256)),
            *_otherwise(FULLY_CONNECTED, 64),
            *_scaled(FULLY_CONNECTED, 64),
            Setting(f"α = {SCALES[0]:g}, larger rate", FULLY_CONNECTED, 64, output_scale=SCALES[0]),
            *_scaled(FULLY_CONNECTED, 256),
        ),
        6_000,
        2,
    ),
    "convolutional": Preset(
        Images(8, 200),
        3,
        (
            *_widths(CONVOLUTIONAL, (8, 16, 32)),
            *_otherwise(CONVOLUTIONAL, 8),
            *_scaled(CONVOLUTIONAL, 8),
            *_scaled(CONVOLUTIONAL, 32),
        ),
        6_000,
        2,
    ),
}

"""Which networks, images and strengths the study of ensembles takes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilbertsd.errors import InvalidInput
from hilbertsd.studies import form
from hilbertsd.studies.ntk_cifar.presets import ImageConfig

FULL, SINGLE = "full-output", "single-logit"
"""Forms of the kernel: p parameters for nk targets of k classes, or p parameters for the n targets of every class."""

MULTIPLES = tuple(np.logspace(-4, 2, 9).tolist())
"""Strengths tried, of teacher and of student, in units of a kernel's mean eigenvalue."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of images of one draw: to fit, to choose strengths, and to test."""

    train: int
    validation: int
    test: int

    @property
    def seen(self) -> int:
        """Images of the data set's training images."""
        return self.train + self.validation


@dataclass(frozen=True)
class Preset:
    """What a run computes.

    Attributes
    ----------
    network : name of the architecture.
    widths : its widths.
    networks : number of networks of one draw, which differ by seed.
    draws : number of draws of images and networks.
    side : height and width that images are shrunk to, None to leave them.
    sizes : by form of the kernel, numbers of images.
    """

    network: str
    widths: tuple[int, ...]
    networks: int
    draws: int
    side: int | None
    sizes: dict[str, Sizes]


PRESETS = {
    "smoke": Preset("fully-connected-2", (4, 16), 2, 3, None, {FULL: Sizes(60, 30, 60), SINGLE: Sizes(200, 50, 100)}),
    "cpu": Preset("wrn-10-1", (1, 2, 3, 6, 10), 5, 5, 16, {FULL: Sizes(150, 200, 300), SINGLE: Sizes(1500, 300, 600)}),
    "gpu": Preset(
        "wrn-10-1", (1, 2, 4, 8, 16), 10, 5, 16, {FULL: Sizes(300, 500, 500), SINGLE: Sizes(3000, 1000, 2000)}
    ),
}


@dataclass(frozen=True)
class Config(ImageConfig):
    """Preset and images, and the folder of what is computed already."""

    dataset: str = form.option(
        None, "digits or cifar10. [default: cifar10 with data, digits without]", choices=("digits", "cifar10")
    )
    parts: Path | None = form.option(
        None,
        "Folder of the parts computed, from which a killed run goes on. [default: parts in that of --out]",
        recorded=False,
        within_output="parts",
    )

    def parts_folder(self) -> Path:
        """Folder of the parts; raises InvalidInput where there is none."""
        if self.parts is None:
            raise InvalidInput("parts is None; give a folder for the parts, or execute the study with a folder")
        return self.parts

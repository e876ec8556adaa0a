"""Which networks and images the study of kernels beside trained networks takes, and how it trains."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilbertsd import networks
from hilbertsd.data.mixture import mixture_split
from hilbertsd.data.splits import image_split
from hilbertsd.errors import InvalidInput
from hilbertsd.networks.architectures import Architecture, architecture
from hilbertsd.studies import form
from hilbertsd.studies.ntk_cifar.presets import ImageConfig
from hilbertsd.studies.ntk_ensembles.parts import Draw, draw_of
from hilbertsd.studies.ntk_ensembles.presets import Sizes

PLAIN, PRACTICAL = "trained network", "practical network"
"""Networks of the kernels' own function, and networks as they are used; both are rows of the table."""

INFINITE, BEFORE, AFTER = "infinite kernel", "tangent kernel at initialisation", "tangent kernel after training"
"""Kernels of the plain networks, which are rows of the table, too."""

ROWS = (INFINITE, BEFORE, AFTER, PLAIN, PRACTICAL)

MIXTURE = "mixture"
"""Name of the negative control's data."""

TRIED_SEED = 1_000_000
"""Seed, after that of the study, of the networks by which a learning rate is chosen; no others have it."""


@dataclass(frozen=True)
class Kind:
    """Networks of one kind, and how they are trained.

    Attributes
    ----------
    images, vectors : name of an architecture with its options, for images and for vectors.
    loss : name of the loss.
    training : options of the training but for its length and learning rate.
    rates : learning rates that are tried; that of the highest accuracy on the validation images is taken.
    centred : whether outputs at initialisation are taken away.
    """

    images: dict[str, Any]
    vectors: dict[str, Any]
    loss: str
    training: dict[str, Any]
    rates: tuple[float, ...]
    centred: bool

    def architecture(self, dataset: str, n_classes: int) -> Architecture:
        """Network for a data set."""
        return architecture(**(self.vectors if dataset == MIXTURE else self.images), n_classes=n_classes)

    def trainings(self, n: int, epochs: int, batch_size: int) -> list[Any]:
        """Trainings that are tried on n images."""
        steps = epochs * (n // batch_size)
        given = {"steps": steps, "batch_size": batch_size, **self.training}
        return [networks.Training(learning_rate=rate, **given) for rate in self.rates]

    def options(self, temperature: float) -> dict[str, Any]:
        """Loss and start, as :func:`hilbertsd.networks.distill_network` takes them; τ is for the cross-entropy."""
        of_students: dict[str, Any] = {"temperature": temperature} if self.loss == "cross-entropy" else {}
        return {"loss": networks.Loss(self.loss, **of_students), "centred": self.centred}


@dataclass(frozen=True)
class Preset:
    """What a run computes.

    Attributes
    ----------
    kinds : by row of the table, the trained networks. Kernels are those of the `PLAIN` ones.
    networks : number L of networks that differ by seed.
    side : height and width that images are shrunk to, None to leave them.
    sizes : numbers of images to fit, to choose learning rates and strengths, and to test.
    epochs, batch_size : of every training.
    rounds : rounds of the chains of plain networks.
    looked_at : numbers of seeds, of training and of test images with which the kernels of every round are looked at.
    spread : how seeds are trained, as in :func:`hilbertsd.networks.distill_network`.
    """

    kinds: dict[str, Kind]
    networks: int
    side: int | None
    sizes: Sizes
    epochs: int
    batch_size: int
    rounds: int
    looked_at: tuple[int, int, int]
    spread: str | None = None


def _kinds(images: dict[str, Any], vectors: dict[str, Any]) -> dict[str, Kind]:
    batch = {"normalisation": "batch"}
    decay = {"optimiser": "sgd", "momentum": 0.9, "schedule": "cosine", "weight_decay": 5e-4}
    # Not momentum: without normalisation the kernel's first eigenvalue is 70 times the fifth, and training is slow.
    adam = {"optimiser": "adam", "schedule": "cosine", "weight_decay": 0.0}
    return {
        PLAIN: Kind(images, vectors, "squared-error", adam, (0.001, 0.003, 0.01), True),
        PRACTICAL: Kind(
            images | batch,
            vectors | batch,
            "cross-entropy",
            decay,
            (0.03, 0.1, 0.3),
            False,
        ),
    }


_CONVOLUTIONAL = _kinds({"name": "resnet-8"}, {"name": "fully-connected-2-128"})
_SMALL = _kinds({"name": "fully-connected-1-32"}, {"name": "fully-connected-1-32"})

PRESETS = {
    "smoke": Preset(_SMALL, 3, None, Sizes(200, 100, 300), 10, 50, 2, (2, 60, 100), "side by side"),
    "cpu": Preset(_CONVOLUTIONAL, 10, 16, Sizes(2000, 500, 2000), 30, 64, 3, (3, 500, 500)),
    "gpu": Preset(_CONVOLUTIONAL, 5, 16, Sizes(10_000, 1000, 2000), 20, 128, 3, (3, 500, 500)),
}


@dataclass(frozen=True)
class Config(ImageConfig):
    """Preset and images, and the folder of networks and of what is computed already."""

    dataset: str = form.option(
        None,
        "digits, cifar10, cifar100, or mixture: Gaussian inputs, the negative control. [default: cifar10 with data, "
        "digits without]",
        choices=("digits", "cifar10", "cifar100", MIXTURE),
    )
    temperature: float = form.option(4.0, "τ of the softmax with which practical networks teach and learn.")
    parts: Path | None = form.option(
        None,
        "Folder of networks and parts computed, from which a killed run goes on. [default: parts in that of --out]",
        recorded=False,
        within_output="parts",
    )
    scheduler: str | None = form.option(
        None, "Address of a Dask scheduler whose workers train; they have to see the folder.", recorded=False
    )

    def parts_folder(self) -> Path:
        """Folder of the parts; raises InvalidInput where there is none."""
        if self.parts is None:
            raise InvalidInput("parts is None; give a folder for the parts, or execute the study with a folder")
        return self.parts


def load(config: Config, preset: Preset) -> tuple[str, Draw]:
    """Name of the data, and its images; errors as :func:`hilbertsd.data.image_split`."""
    sizes = preset.sizes
    if config.dataset == MIXTURE:
        images = mixture_split(sizes.seen, sizes.test, config.seed)
    else:
        images = image_split(
            config.dataset, sizes.seen, sizes.test, size=preset.side, seed=config.seed, folder=config.data
        )
    return images.name, draw_of(images, sizes)

"""Which networks, images and training the studies of trained networks take; the losses are the same in all presets."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from hilbertsd import networks
from hilbertsd.data.splits import DATASETS
from hilbertsd.errors import InvalidInput
from hilbertsd.networks.architectures import Architecture, architecture
from hilbertsd.studies import form
from hilbertsd.studies.ntk_cifar.presets import chosen

VARIANTS: dict[str, dict[str, Any]] = {
    "l2": {"name": "softmax-squared-error"},
    "cross-entropy": {"name": "cross-entropy"},
    "hard-labels": {"name": "cross-entropy", "targets": "hard"},
    "l2-constrained": {"name": "softmax-squared-error"},
}
"""Options of the chains' losses. The last stops every network at the preset's tolerance, the others after its steps."""

TITLES = {
    "l2": "ℓ2 of softmax",
    "cross-entropy": "cross-entropy",
    "hard-labels": "cross-entropy, hard labels",
    "l2-constrained": "ℓ2 of softmax, error ≤ ε",
}

PUBLISHED: dict[str, Any] = {
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "weight_decay": 1e-4,
    "decay": "in the loss",
}
"""Optimiser of MFB on CIFAR-10 (appendix D)."""


class Images(NamedTuple):
    """Height and width to which images are shrunk (None for as they are), and numbers of training and test images."""

    size: int | None
    train: int
    test: int


@dataclass(frozen=True)
class Preset:
    """Networks, images and training.

    Attributes
    ----------
    networks : name of an architecture with its options, all with batch normalisation.
    images : which images.
    rounds, seeds : of every chain.
    training : options of every round's training; without a tolerance.
    on_cifar100 : those of them that are others on CIFAR-100.
    tolerance : ε of the constrained chain.
    check_every : steps between two looks at the error where it matters.
    spread : how seeds are trained, as in :func:`hilbertsd.networks.distill_network`.
    needs_accelerator : whether it would take weeks on a processor.
    """

    networks: tuple[dict[str, Any], ...]
    images: Images
    rounds: int
    seeds: int
    training: dict[str, Any]
    tolerance: float
    check_every: int
    spread: str | None = None
    needs_accelerator: bool = False
    on_cifar100: dict[str, Any] = field(default_factory=dict)

    def architectures(self, n_classes: int) -> list[Architecture]:
        """Networks with an output for every class."""
        return [architecture(**options, n_classes=n_classes, normalisation="batch") for options in self.networks]

    def loss_and_training(self, variant: str, dataset: str) -> dict[str, Any]:
        """Loss and training of one of the `VARIANTS`, as :func:`hilbertsd.networks.distill_network` takes them."""
        given = self.training | (self.on_cifar100 if dataset == "cifar100" else {})
        stop = {"tolerance": self.tolerance, "check_every": self.check_every} if variant == "l2-constrained" else {}
        return {"loss": networks.Loss(**VARIANTS[variant]), "training": networks.Training(**given, **stop)}


GPU = Preset(
    ({"name": "resnet-18"},),
    Images(None, 50_000, 10_000),
    8,
    5,
    {
        "steps": 30 * 97,
        "batch_size": 512,
        "learning_rate": 0.4,
        "augmentation": "crops and flips",
        "precision": "bfloat16",
    },
    0.05,
    97,
    needs_accelerator=True,
)
FAST = {"steps": 16 * 97, "schedule": "triangular", "augmentation": "crops and alternating flips"}
"""What the preset "fast" trains otherwise than "gpu"; see benchmarks/time_to_accuracy.py."""

PRESETS = {
    "smoke": Preset(
        ({"name": "resnet-8", "width": 4},),
        Images(None, 300, 360),
        3,
        2,
        {"steps": 60, "batch_size": 50, "schedule": "constant", "weight_decay": 1e-4},
        0.5,
        5,
        "side by side",
    ),
    "cpu": Preset(
        ({"name": "resnet-8"},),
        Images(16, 5_000, 5_000),
        8,
        5,
        {"steps": 15 * 78, "batch_size": 64, **PUBLISHED},
        0.3,
        26,
    ),
    "gpu": GPU,
    "fast": replace(GPU, training=GPU.training | FAST),
    "paper": Preset(
        ({"name": "resnet-50"}, {"name": "vgg-16"}),
        Images(None, 50_000, 10_000),
        12,
        10,
        {
            "steps": 64_000,
            "batch_size": 16,
            **PUBLISHED,
        },
        0.05,
        1_000,
        needs_accelerator=True,
        on_cifar100={"batch_size": 64, "learning_rate": 1e-4, "weight_decay": 5e-5},
    ),
}


@dataclass(frozen=True)
class NetworkConfig(form.Config):
    """Preset, images, and folders of data and networks; preset and data set of None are replaced by `chosen` ones."""

    preset: str = form.option(
        None,
        "smoke (a minute), cpu (hours on CIFAR), gpu, fast (half of its steps) or paper (that of MFB). "
        "[default: cpu with data, smoke without]",
        choices=tuple(PRESETS),
    )
    dataset: str = form.option(
        None, "digits, cifar10 or cifar100. [default: cifar10 with data, digits without]", choices=DATASETS
    )
    seed: int = form.option(0, "Seed of the images drawn, and the first of the networks'.", least=0)
    data: Path | None = form.option(
        None, "Folder of CIFAR's files. [default: what HILBERTSD_DATA names]", recorded=False
    )
    networks: Path | None = form.option(
        None,
        "Folder of the networks, from which a killed run goes on. [default: networks in that of --out]",
        recorded=False,
        within_output="networks",
    )
    scheduler: str | None = form.option(
        None, "Address of a Dask scheduler whose workers train; they have to see the folder.", recorded=False
    )

    def __post_init__(self) -> None:
        preset, dataset = chosen(self.preset, self.dataset, self.data)
        object.__setattr__(self, "preset", preset)
        object.__setattr__(self, "dataset", dataset)
        super().__post_init__()

    def network_folder(self) -> Path:
        """Folder of the networks; raises InvalidInput where there is none."""
        if self.networks is None:
            raise InvalidInput("networks is None; give a folder for the networks, or execute the study with a folder")
        return self.networks

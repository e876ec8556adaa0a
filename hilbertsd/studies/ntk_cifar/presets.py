"""Which preset and images a study of neural tangent kernels takes; shared with the study of ensembles."""

from dataclasses import dataclass
from pathlib import Path

from hilbertsd.data.splits import DATASETS, default_dataset
from hilbertsd.studies import form


def chosen(preset: str | None, dataset: str | None, data: Path | None) -> tuple[str, str]:
    """Preset and data set: what is given, and for the rest what the presence of data suggests."""
    preset = preset or ("smoke" if "digits" in (dataset, default_dataset(data)) else "cpu")
    return preset, dataset or ("digits" if preset == "smoke" else "cifar10")


@dataclass(frozen=True)
class ImageConfig(form.Config):
    """Preset, images, and the folder of the data; preset and data set of None are replaced by `chosen` ones."""

    preset: str = form.option(
        None,
        "smoke (seconds), cpu (an hour on CIFAR) or gpu. [default: cpu with data, smoke without]",
        choices=("smoke", "cpu", "gpu"),
    )
    dataset: str = form.option(
        None, "digits, cifar10 or cifar100. [default: cifar10 with data, digits without]", choices=DATASETS
    )
    seed: int = form.option(0, "Seed of the images drawn and, of finite networks, of the first network.", least=0)
    data: Path | None = form.option(
        None, "Folder of CIFAR's files. [default: what HILBERTSD_DATA names]", recorded=False
    )

    def __post_init__(self) -> None:
        preset, dataset = chosen(self.preset, self.dataset, self.data)
        object.__setattr__(self, "preset", preset)
        object.__setattr__(self, "dataset", dataset)
        super().__post_init__()

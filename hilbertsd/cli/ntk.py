"""Neural tangent kernels on the command line: `hilbertsd ntk plan|run`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hilbertsd.cli.gram import DtypeOption, SchedulerOption, connected
from hilbertsd.cli.output import JsonOption, show
from hilbertsd.errors import InvalidInput

ntk_app = typer.Typer(help="Kernel matrices of infinitely wide networks on images, in stores that can be resumed.")

ArchitectureArgument = Annotated[str, typer.Argument(help="Family and numbers: fully-connected-5, myrtle-5, wrn-10-4.")]
FolderArgument = Annotated[Path, typer.Argument(help="Folder for the stores train-train and test-train.")]
DataOption = Annotated[Path | None, typer.Option(help="Folder of CIFAR's files. [default: what HILBERTSD_DATA names]")]
DatasetOption = Annotated[
    str | None, typer.Option(help="digits, cifar10 or cifar100. [default: cifar10 with data, digits without]")
]
TrainOption = Annotated[int, typer.Option(min=1, help="Training images.")]
TestOption = Annotated[int, typer.Option(min=1, help="Test images.")]
SizeOption = Annotated[int | None, typer.Option(min=1, help="Shrink images to this height and width.")]
KernelOption = Annotated[str, typer.Option(help="ntk, or nngp: the covariance of the outputs at initialisation.")]
PoolingOption = Annotated[bool, typer.Option("--pooling", help="Of convolutional networks: end in a global average.")]
TileOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Images a side of a tile in the stores. "
        "[default: 256 pooled, 1,024 otherwise, or at least 8 tiles a side where images are few]",
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the images drawn.")]
DownloadOption = Annotated[bool, typer.Option("--download", help="Fetch CIFAR, checksummed, where it is not there.")]


@ntk_app.command("plan")
def plan(
    architecture: ArchitectureArgument,
    folder: FolderArgument,
    dataset: DatasetOption = None,
    n_train: TrainOption = 1000,
    n_test: TestOption = 200,
    size: SizeOption = None,
    kernel: KernelOption = "ntk",
    pooling: PoolingOption = False,
    dtype: DtypeOption = "float32",
    tile: TileOption = None,
    seed: SeedOption = 0,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the kernel matrices would take, in bytes, tiles and time, and refuse what cannot fit; writes nothing."""
    job = _job(architecture, dataset, n_train, n_test, size, kernel, pooling, dtype, tile, seed, data, False)
    job.check_fits(folder)
    rows = [{"store": name, **_described(planned)} for name, planned in job.plans.items()]
    seconds = job.estimated_seconds()
    show(as_json, {"stores": rows, "estimated_seconds": seconds}, [], rows, f"about {seconds:,.0f} s on this machine")


@ntk_app.command("run")
def run(
    architecture: ArchitectureArgument,
    folder: FolderArgument,
    dataset: DatasetOption = None,
    n_train: TrainOption = 1000,
    n_test: TestOption = 200,
    size: SizeOption = None,
    kernel: KernelOption = "ntk",
    pooling: PoolingOption = False,
    dtype: DtypeOption = "float32",
    tile: TileOption = None,
    seed: SeedOption = 0,
    data: DataOption = None,
    download: DownloadOption = False,
    scheduler: SchedulerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute what is missing of the kernel matrices of a network on a data set; may be killed and run again."""
    job = _job(architecture, dataset, n_train, n_test, size, kernel, pooling, dtype, tile, seed, data, download)
    if scheduler is None:
        stores = job.run(folder)
    else:
        with connected(scheduler) as client:
            stores = job.run(folder, client)
    rows = [{"store": store.folder.name, **_described(store.plan), "complete": store.complete} for store in stores]
    show(as_json, {"stores": rows}, [], rows)


def _job(
    name: str,
    dataset: str | None,
    n_train: int,
    n_test: int,
    size: int | None,
    kernel: str,
    pooling: bool,
    dtype: str,
    tile: int | None,
    seed: int,
    data: Path | None,
    download: bool,
) -> Any:
    from hilbertsd.data.splits import image_split
    from hilbertsd.ntk import NeuralKernel, architecture
    from hilbertsd.ntk.jobs import GramJob
    from hilbertsd.studies.ntk_cifar.presets import chosen

    network = NeuralKernel(architecture(name, **({"pooling": True} if pooling else {})), kernel, dtype)
    if dataset is None and download:
        raise InvalidInput("--download without --dataset; give --dataset cifar10 or cifar100")
    _, dataset = chosen(None, dataset, data)
    images = image_split(dataset, n_train, n_test, size=size, seed=seed, folder=data, download=download)
    return GramJob(network, images, tile)


def _described(planned: Any) -> dict[str, Any]:
    return {
        "shape": " × ".join(map(str, planned.shape)),
        "dtype": planned.dtype,
        "tiles": planned.n_tiles,
        "pairs": planned.n_pairs,
        "gigabytes": planned.bytes_stored / 1e9,
    }

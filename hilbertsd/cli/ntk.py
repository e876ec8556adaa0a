"""Neural tangent kernels on the command line: `hilbertsd ntk plan|run` and the studies that need them."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from hilbertsd.cli.gram import DtypeOption, SchedulerOption, connected
from hilbertsd.cli.output import JsonOption, as_flags, show, written
from hilbertsd.errors import InvalidInput
from hilbertsd.support.files import output_folder

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
KernelsOption = Annotated[
    Path | None,
    typer.Option(help="Folder of the kernels, from which a killed run goes on. [default: kernels in that of --out]"),
]
PresetOption = Annotated[
    str | None,
    typer.Option(help="smoke (seconds), cpu (an hour on CIFAR) or gpu. [default: cpu with data, smoke without]"),
]


def chosen(preset: str | None, dataset: str | None, data: Path | None) -> tuple[str, str]:
    """Preset and data set: what is given, and for the rest what the presence of data suggests."""
    with_data = data is not None or bool(os.environ.get("HILBERTSD_DATA"))
    preset = preset or ("cpu" if with_data and dataset != "digits" else "smoke")
    return preset, dataset or ("digits" if preset == "smoke" else "cifar10")


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


def add_studies(run_app: typer.Typer) -> None:
    """Add the studies on neural tangent kernels to `hilbertsd run`."""
    run_app.command("ntk-cifar")(run_ntk_cifar)
    run_app.command("ntk-ensembles")(run_ntk_ensembles)


def run_ntk_cifar(
    preset: PresetOption = None,
    dataset: DatasetOption = None,
    seed: SeedOption = 0,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help="Folder for figures, result.json and kernels.")] = Path("ntk-cifar"),
    kernels: KernelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Distil with neural tangent kernels of wide networks: accuracy by round, kernels × images × ε."""
    from hilbertsd.studies import ntk_cifar as study

    folder = output_folder(out)
    preset, dataset = chosen(preset, dataset, data)
    config = study.Config(preset, dataset, seed)
    begun = None if as_json else lambda line: typer.echo(line, err=True)
    result = study.run(config, kernels or folder / "kernels", data, begun)
    flags = as_flags(preset=preset, dataset=dataset, seed=seed)
    record, files = written(study, result, f"hilbertsd run ntk-cifar{flags}", folder)
    show(
        as_json,
        record,
        files,
        f"{result.data}, accuracies in % against the original labels",
        result.rows(),
        *(f"{claim['verdict']}: {claim['claim']} ({claim['numbers']})" for claim in record["claims"]),
    )


def run_ntk_ensembles(
    preset: PresetOption = None,
    dataset: DatasetOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first network and of the images drawn.")] = 0,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the figure, result.json and kernels.")] = Path("ntk-ensembles"),
    kernels: KernelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Use networks of several seeds in five ways, by their tangent kernels: ensembles, averages, distillation."""
    from hilbertsd.studies import ntk_ensembles as study

    folder = output_folder(out)
    preset, dataset = chosen(preset, dataset, data)
    result = study.run(study.Config(preset, dataset, seed), kernels or folder / "kernels", data)
    flags = as_flags(preset=preset, dataset=dataset, seed=seed)
    record, files = written(study, result, f"hilbertsd run ntk-ensembles{flags}", folder)
    names = ("use", "published", "test_accuracy", "standard_deviation_over_models", "train_accuracy", "multiple")
    show(
        as_json,
        record,
        files,
        f"{record['data']}, {record['n_train']:,} training and {record['n_test']:,} test images, "
        f"{record['networks']} networks {result.network.name}; accuracies in %",
        [{name: "" if row[name] is None else row[name] for name in names if name in row} for row in record["uses"]],
        *(
            f"{claim['verdict']}: {claim['claim']}, {claim['difference']:+.2f} ± {claim['standard_error']:.2f}"
            for claim in record["claims"]
        ),
    )


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

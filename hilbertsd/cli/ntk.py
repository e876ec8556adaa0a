"""Neural tangent kernels on the command line: `hilbertsd ntk plan|run` and the studies that need them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilbertsd.cli.gram import as_row, connected, described
from hilbertsd.cli.options import DtypeOption, JsonOption, SchedulerOption, grouped, nonempty_path
from hilbertsd.cli.output import as_flags, show, written
from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.support.files import output_folder

if TYPE_CHECKING:
    from hilbertsd.gram.plan import GramPlan
    from hilbertsd.ntk.jobs import GramJob

ntk_app = typer.Typer(help="Kernel matrices of infinitely wide networks on images, in stores that can be resumed.")

DataOption = Annotated[
    Path | None,
    typer.Option(help="Folder of CIFAR's files.", show_default="what HILBERTSD_DATA names", parser=nonempty_path),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(help="digits, cifar10 or cifar100.", show_default="cifar10 with data, digits without"),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of the random draw of images.")]
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


@dataclass(frozen=True)
class NetworkOptions:
    """Network, images, and the stores of their kernel matrices."""

    architecture: Annotated[str, typer.Argument(help="Family and numbers: fully-connected-5, myrtle-5, wrn-10-4.")]
    folder: Annotated[
        Path, typer.Argument(help="Folder for the stores train-train and test-train.", parser=nonempty_path)
    ]
    dataset: DatasetOption = None
    n_train: Annotated[int, typer.Option(min=1, help="Number of training images.")] = 1000
    n_test: Annotated[int, typer.Option(min=1, help="Number of test images.")] = 200
    size: Annotated[int | None, typer.Option(min=1, help="Shrink images to this height and width.")] = None
    kernel: Annotated[str, typer.Option(help="ntk, or nngp: the covariance of the outputs at initialisation.")] = "ntk"
    pooling: Annotated[
        bool, typer.Option("--pooling", help="End a convolutional network in a global average over positions.")
    ] = False
    dtype: DtypeOption = "float32"
    tile: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images a side of a tile in the stores.",
            show_default="256 with pooling, 1,024 without, fewer where that makes less than 8 tiles a side",
        ),
    ] = None
    seed: SeedOption = 0
    data: DataOption = None


@ntk_app.command("plan")
@grouped
def plan(options: NetworkOptions, as_json: JsonOption = False) -> None:
    """Say what the kernel matrices would take, in bytes, tiles and time, and refuse what cannot fit; writes nothing."""
    job = _job(options, download=False)
    job.check_fits(options.folder)
    rows = [_store_record(name, planned) for name, planned in job.plans.items()]
    seconds = job.estimated_seconds()
    summary = f"about {seconds:,.0f} s on this machine"
    show(as_json, {"stores": rows, "estimated_seconds": seconds}, [], [as_row(row) for row in rows], summary)


@ntk_app.command("run")
@grouped
def run(
    options: NetworkOptions,
    download: Annotated[
        bool, typer.Option("--download", help="Download CIFAR where it is missing, and compare its checksum.")
    ] = False,
    scheduler: SchedulerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute what is missing of the kernel matrices of a network on a data set; may be killed and run again."""
    job = _job(options, download)
    with connected(scheduler) as client:
        stores = job.run(options.folder, client)
    rows = [{**_store_record(store.folder.name, store.plan), "complete": store.complete} for store in stores]
    show(as_json, {"stores": rows}, [], [as_row(row) for row in rows])


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


def _job(options: NetworkOptions, download: bool) -> "GramJob":
    """Job that fills the stores."""
    from hilbertsd.data.splits import default_dataset, image_split
    from hilbertsd.ntk import NeuralKernel, architecture
    from hilbertsd.ntk.jobs import GramJob

    if options.folder.exists() and not options.folder.is_dir():
        raise InvalidFile(f"{options.folder} is a file; give a folder for the stores")
    network = architecture(options.architecture, **({"pooling": True} if options.pooling else {}))
    kernel = NeuralKernel(network, options.kernel, options.dtype)
    if options.dataset is None and download:
        raise InvalidInput("--download without --dataset; give --dataset cifar10 or cifar100")
    images = image_split(
        options.dataset or default_dataset(options.data),
        options.n_train,
        options.n_test,
        size=options.size,
        seed=options.seed,
        folder=options.data,
        download=download,
    )
    return GramJob(kernel, images, options.tile)


def _store_record(name: str, planned: "GramPlan") -> dict[str, Any]:
    """Facts on one of the stores."""
    return {"store": name, **described(planned), "pairs": planned.n_pairs}

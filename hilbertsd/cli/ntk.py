"""Neural tangent kernels on the command line: `hilbertsd ntk plan` and `hilbertsd ntk run`."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilbertsd.cli.gram import described, facts
from hilbertsd.cli.options import DtypeOption, JsonOption, SchedulerOption, grouped, nonempty_path
from hilbertsd.cli.output import Facts, seconds, show
from hilbertsd.cli.run import DistillGroup
from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.support.clusters import connected
from hilbertsd.support.progress import working

if TYPE_CHECKING:
    from hilbertsd.gram.plan import GramPlan
    from hilbertsd.ntk.jobs import GramJob


ntk_app = typer.Typer(
    cls=DistillGroup, help="Kernel matrices of infinitely wide networks on images, in stores that can be resumed."
)

DataOption = Annotated[
    Path | None,
    typer.Option(help="Folder of CIFAR's files.", show_default="what HILBERTSD_DATA names", parser=nonempty_path),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(help="digits, cifar10 or cifar100.", show_default="cifar10 with data, digits without"),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of the random draw of images.")]


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
    began = time.perf_counter()
    job = _job(options, download=False)
    job.check_fits(options.folder)
    rows = [_store_record(name, planned) for name, planned in job.plans.items()]
    start = time.perf_counter() - began
    with working("compiling, and timing tiles"):
        compilation, tiles = job.estimated_seconds()
    start += compilation
    estimate = {"estimated_seconds": start + tiles, "seconds_to_start": start, "seconds_of_tiles": tiles}
    summary = f"about {seconds(start + tiles)}: {seconds(start)} to start and compile, {seconds(tiles)} of tiles"
    show(as_json, {"stores": rows, **estimate}, [], _listed(rows), summary)


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
    show(as_json, {"stores": rows}, [], _listed(rows))


def _job(options: NetworkOptions, download: bool) -> "GramJob":
    """Job that fills the stores."""
    with working("starting JAX"):
        from hilbertsd.data.splits import default_dataset, image_split
        from hilbertsd.ntk import NeuralKernel, architecture
        from hilbertsd.ntk.jobs import GramJob

    if options.folder.exists() and not options.folder.is_dir():
        raise InvalidFile(f"{options.folder} is a file; give a folder for the stores")
    network = architecture(options.architecture, **({"pooling": True} if options.pooling else {}))
    kernel = NeuralKernel(network, options.kernel, options.dtype)
    if options.dataset is None and download:
        raise InvalidInput("--download without --dataset; give --dataset cifar10 or cifar100")
    dataset = options.dataset or default_dataset(options.data)
    with working(f"reading {dataset}"):
        images = image_split(
            dataset,
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


def _listed(rows: list[dict[str, Any]]) -> Facts:
    """Facts on both stores side by side."""
    return facts({row["store"]: {name: row[name] for name in row if name != "store"} for row in rows})

"""`hilbertsd gram`: kernel matrices beyond memory, tile by tile, on this machine or a cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from hilbertsd.cli.options import DtypeOption, JsonOption, SchedulerOption, StoreArgument, grouped, nonempty_path
from hilbertsd.cli.output import Facts, seconds, show
from hilbertsd.cli.run import DistillGroup
from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.support.clusters import connected
from hilbertsd.support.progress import working

if TYPE_CHECKING:
    from hilbertsd.gram.plan import GramPlan
    from hilbertsd.gram.store import GramStore


gram_app = typer.Typer(
    cls=DistillGroup, help="Kernel matrices beyond memory: a store of tiles that can be killed, resumed and verified."
)


@dataclass(frozen=True)
class KernelOptions:
    """Points, kernel and layout of a store."""

    points: Annotated[
        Path,
        typer.Argument(help="NumPy .npy file with one row per sample, used as they are.", parser=nonempty_path),
    ]
    store: StoreArgument
    kernel: Annotated[str, typer.Option(help="A scikit-learn pairwise kernel: rbf, laplacian, linear, ...")] = "rbf"
    gamma: Annotated[float | None, typer.Option(help="Kernel width.", show_default="1/number of features")] = None
    tile: Annotated[int, typer.Option(min=1, help="Rows and columns of a tile.")] = 2048
    dtype: DtypeOption = "float32"
    others: Annotated[
        Path | None,
        typer.Option(
            help="Another .npy file: the store is for the kernel between the points, its rows, and these, its columns.",
            parser=nonempty_path,
        ),
    ] = None


@gram_app.command("plan")
@grouped
def plan(options: KernelOptions, as_json: JsonOption = False) -> None:
    """Say what a store would take, in bytes, tiles and time, and refuse what cannot fit; nothing is written."""
    kernel, points, others, planned = _planned(options)
    from hilbertsd.gram.filling import tile_seconds
    from hilbertsd.support.machine import available_cores

    cores = available_cores()
    with working("timing a tile"):
        estimate = tile_seconds(planned, kernel, points, others).again * planned.n_tiles / cores
    record = {**described(planned), "cores": cores, "estimated_seconds": estimate}
    summary = f"about {seconds(estimate)} of tiles on {cores} cores"
    show(as_json, record, [], facts({options.store.name: described(planned)}), summary)


@gram_app.command("run")
@grouped
def run(options: KernelOptions, scheduler: SchedulerOption = None, as_json: JsonOption = False) -> None:
    """Compute what is missing or damaged in a store, and begin it if need be; may be killed and run again."""
    kernel, points, others, planned = _planned(options)
    from hilbertsd.gram.filling import fill
    from hilbertsd.gram.store import GramStore

    with connected(scheduler) as client:
        opened = GramStore.create(options.store, planned)
        fill(opened, kernel, points, others, client=client)
    record = _state(opened)
    show(as_json, record, [], facts({options.store.name: record}))


@gram_app.command("status")
def status(store: StoreArgument, as_json: JsonOption = False) -> None:
    """Say what a store holds and how far it is."""
    record = _state(_opened(store))
    show(as_json, record, [], facts({store.name: record}))


@gram_app.command("verify")
def verify(store: StoreArgument, as_json: JsonOption = False) -> None:
    """Read every tile and hold it against its checksum; exit code 1 where one is missing or damaged."""
    opened = _opened(store)
    damaged = list(opened.damaged())
    record = {**_state(opened), "damaged": damaged}
    n_tiles, shape = f"{opened.plan.n_tiles:,}", _times(opened.shape)
    summary = (
        f"{len(damaged):,} damaged, of {n_tiles} tiles of the {shape} matrix and their record"
        if damaged
        else f"all {n_tiles} tiles of the {shape} matrix are intact"
    )
    show(as_json, record, [], *damaged, summary)
    if damaged:
        raise typer.Exit(1)


def _opened(folder: Path) -> "GramStore":
    """Store in a folder."""
    with working("starting"):
        from hilbertsd.gram.store import GramStore

    return GramStore.open(folder)


def _planned(options: KernelOptions) -> "tuple[Any, Any, Any, GramPlan]":
    """Kernel, points, others or None, and the plan of their store, once it is known that the store fits."""
    with working("starting"):
        from hilbertsd.gram.filling import check_fits
        from hilbertsd.gram.named import NamedKernel
        from hilbertsd.gram.plan import GramPlan

    kernel, points = NamedKernel(options.kernel, options.gamma), _points(options.points)
    others = None if options.others is None else _points(options.others)
    config = {"kernel": options.kernel, "gamma": options.gamma}
    planned = GramPlan.of(points, config, others, tile=options.tile, dtype=options.dtype)
    check_fits(planned, options.store)
    return kernel, points, others, planned


def _points(path: Path) -> Any:
    """Points in a .npy file, mapped into memory and so read from disk as they are needed."""
    import numpy as np

    try:
        points = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise InvalidFile(f"{path} does not exist; give a .npy file of points") from error
    except Exception as error:  # a damaged header makes NumPy raise nearly any
        raise InvalidFile(f"{path} is no .npy file of numbers; write one with numpy.save") from error
    if not isinstance(points, np.ndarray) or points.ndim != 2:
        raise InvalidInput(f"{path} holds {getattr(points, 'shape', 'several arrays')}; give one (n, n_features) array")
    return points


def described(planned: "GramPlan") -> dict[str, Any]:
    """Facts on a store for JSON."""
    return {
        "samples": planned.n_samples,
        "shape": list(planned.shape),
        "dtype": planned.dtype,
        "tile": planned.tile,
        "tiles": planned.n_tiles,
        "gigabytes": planned.bytes_stored / 1e9,
    }


def facts(records: Mapping[str, Mapping[str, Any]]) -> Facts:
    """Records of stores, by their names, as a list. The shape already says how many samples there are."""

    def readable(record: Mapping[str, Any]) -> dict[str, Any]:
        size = decimal(round(record["gigabytes"] * 1e9))
        shown = {**record, "shape": _times(record["shape"]), "gigabytes": size}
        return {"size" if name == "gigabytes" else name: shown[name] for name in shown if name != "samples"}

    return Facts("store", {name: readable(record) for name, record in records.items()})


def _state(store: "GramStore") -> dict[str, Any]:
    """Facts on a store and how far it is filled."""
    return {**store.plan.config, **described(store.plan), "missing": len(store.missing()), "complete": store.complete}


def _times(shape: Sequence[int]) -> str:
    return " × ".join(f"{length:,}" for length in shape)

"""`hilbertsd gram`: kernel matrices beyond memory, tile by tile, on this machine or a cluster."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from hilbertsd.cli.output import JsonOption, show
from hilbertsd.errors import InvalidFile, InvalidInput

gram_app = typer.Typer(help="Kernel matrices beyond memory: a store of tiles that can be killed, resumed and verified.")

PointsArgument = Annotated[Path, typer.Argument(help="NumPy .npy file with one row per sample, used as they are.")]
OthersOption = Annotated[
    Path | None,
    typer.Option(
        help="Another .npy file: the store is for the kernel between POINTS, its rows, and these, its columns."
    ),
]
StoreArgument = Annotated[Path, typer.Argument(help="Folder of the store.")]
KernelOption = Annotated[str, typer.Option(help="A scikit-learn pairwise kernel: rbf, laplacian, linear, ...")]
GammaOption = Annotated[float | None, typer.Option(help="Kernel width. [default: 1/number of features]")]
TileOption = Annotated[int, typer.Option(min=1, help="Rows and columns of a tile.")]
DtypeOption = Annotated[str, typer.Option(help="In which values are stored: float32 or float64.")]
SchedulerOption = Annotated[
    str | None,
    typer.Option(help="Address of a Dask scheduler whose workers see the folder. [default: this machine]"),
]


@gram_app.command("plan")
def plan(
    points: PointsArgument,
    store: StoreArgument,
    kernel: KernelOption = "rbf",
    gamma: GammaOption = None,
    tile: TileOption = 2048,
    dtype: DtypeOption = "float32",
    others: OthersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a store would take, in bytes, tiles and time, and refuse what cannot fit; nothing is written."""
    from hilbertsd.gram.filling import check_fits, seconds_per_tile
    from hilbertsd.gram.named import NamedKernel
    from hilbertsd.gram.store import GramPlan
    from hilbertsd.support.machine import available_cores

    computed, values = NamedKernel(kernel, gamma), _points(points)
    columns = None if others is None else _points(others)
    planned = GramPlan.of(values, _config(kernel, gamma), columns, tile=tile, dtype=dtype)
    check_fits(planned, store)
    cores = available_cores()
    seconds = seconds_per_tile(planned, computed, values, columns) * planned.n_tiles / cores
    record = {**_described(planned), "cores": cores, "estimated_seconds": seconds}
    show(as_json, record, [], [_row(record)])


@gram_app.command("run")
def run(
    points: PointsArgument,
    store: StoreArgument,
    kernel: KernelOption = "rbf",
    gamma: GammaOption = None,
    tile: TileOption = 2048,
    dtype: DtypeOption = "float32",
    others: OthersOption = None,
    scheduler: SchedulerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute what is missing or damaged in a store, and begin it if need be; may be killed and run again."""
    from hilbertsd.gram.filling import check_fits, fill
    from hilbertsd.gram.named import NamedKernel
    from hilbertsd.gram.store import GramPlan, GramStore

    computed, values = NamedKernel(kernel, gamma), _points(points)
    columns = None if others is None else _points(others)
    planned = GramPlan.of(values, _config(kernel, gamma), columns, tile=tile, dtype=dtype)
    check_fits(planned, store)
    with nullcontext() if scheduler is None else connected(scheduler) as client:
        opened = GramStore.create(store, planned)
        fill(opened, computed, values, columns, client=client)
    record = _state(opened)
    show(as_json, record, [], [_row(record)])


@gram_app.command("status")
def status(store: StoreArgument, as_json: JsonOption = False) -> None:
    """Say what a store holds and how far it is."""
    from hilbertsd.gram.store import GramStore

    record = _state(GramStore.open(store))
    show(as_json, record, [], [_row(record)])


@gram_app.command("verify")
def verify(store: StoreArgument, as_json: JsonOption = False) -> None:
    """Read every tile and hold it against its checksum; exit code 1 where one is missing or damaged."""
    from hilbertsd.gram.store import GramStore

    opened = GramStore.open(store)
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


def _points(path: Path) -> Any:
    """Points on disk, read as they are needed."""
    import numpy as np

    try:
        points = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise InvalidFile(f"{path} does not exist; give a .npy file of points") from error
    except (OSError, ValueError, EOFError) as error:
        raise InvalidFile(f"{path} is no .npy file of numbers; write one with numpy.save") from error
    if not isinstance(points, np.ndarray) or points.ndim != 2:
        raise InvalidInput(f"{path} holds {getattr(points, 'shape', 'several arrays')}; give one (n, n_features) array")
    return points


def connected(scheduler: str) -> Any:
    """Client of a running scheduler; raises InvalidInput where none answers."""
    from hilbertsd.gram.cluster import Client

    try:
        return Client(scheduler)
    except (ValueError, OSError) as error:
        raise InvalidInput(f"no Dask scheduler answers at {scheduler!r} ({error}); start `dask scheduler`") from error


def _config(kernel: str, gamma: float | None) -> dict[str, Any]:
    return {"kernel": kernel, "gamma": gamma}


def _described(planned: Any) -> dict[str, Any]:
    return {
        "samples": planned.n_samples,
        "shape": list(planned.shape),
        "dtype": planned.dtype,
        "tile": planned.tile,
        "tiles": planned.n_tiles,
        "gigabytes": planned.bytes_stored / 1e9,
    }


def _state(store: Any) -> dict[str, Any]:
    return {**store.plan.config, **_described(store.plan), "missing": len(store.missing()), "complete": store.complete}


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """Record as a line of a table, in which the shape says how many samples there are."""
    return {**{name: record[name] for name in record if name != "samples"}, "shape": _times(record["shape"])}


def _times(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))

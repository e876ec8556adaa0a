"""Neural tangent kernel matrices: pairs per second against `neural_tangents.batch`, and what a store costs.

For every network, in one run on one device and in one precision:

- pairs_per_second of `hilbertsd.ntk.gram` over those of stock neural-tangents' `batch` at the fastest of some batch
  sizes, both for a symmetric matrix, whose pairs are counted once; the same with this project's replacement of
  neural-tangents' convolution of covariances (`neural_tangents_with_slices`);
- store_overhead: filling a store, going over the finished store again, and writing as many bytes to files and nothing
  else, each beside the time that the matrix takes in memory;
- memory of the compiled tiles per pair, as XLA reports it: what cannot stay in a cache is moved at every layer.

Both matrices are compared. `batch` wants the number of images to be a multiple of the batch size.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from hilbertsd.gram.filling import fill
from hilbertsd.gram.store import GramPlan, GramStore
from hilbertsd.ntk import NeuralKernel, StaxNetwork, architecture, compat, jax_backend, recursion
from hilbertsd.ntk.jobs import default_tile
from hilbertsd.support.files import write_json
from hilbertsd.support.provenance import provenance

NETWORKS = {
    "cpu": {
        "fully-connected-5": {"side": 32, "images": 16384, "stock_images": 4096, "batches": (256, 512, 1024)},
        "convolutional-5": {"side": 32, "images": 1024, "stock_images": 256, "batches": (16, 32, 64)},
        "wrn-10-4": {"side": 16, "images": 256, "stock_images": 32, "batches": (4, 8)},
        "myrtle-5": {"side": 16, "images": 256, "stock_images": 32, "batches": (4, 8)},
    },
    "gpu": {
        "fully-connected-5": {"side": 32, "images": 16384, "stock_images": 8192, "batches": (2048,)},
        "convolutional-5": {"side": 32, "images": 8192, "stock_images": 1024, "batches": (64, 128)},
        "wrn-10-4": {"side": 32, "images": 1024, "stock_images": 64, "batches": (16,)},
        "myrtle-5": {"side": 32, "images": 512, "stock_images": 64, "batches": (16,)},
    },
}
"""By kind of device: images, of which stock neural-tangents gets fewer where it is slow, and batch sizes for it."""

PUBLISHED_MILLISECONDS = {"pooled": 2.70, "unpooled": 0.0047}
"""Per entry on a V100, of a convolutional kernel with and without pooling."""


def timed(action: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Fastest wall time in seconds, and the last result."""
    best, result = np.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        result = action()
        best = min(best, time.perf_counter() - start)
    return best, result


def pairs(n: int) -> float:
    """Pairs of n images, each once."""
    return n * (n + 1) / 2


def stock(network: Any, images: np.ndarray, batches: tuple[int, ...], dtype: str, repeats: int) -> dict[str, Any]:
    """Pairs per second of `neural_tangents.batch`, as it is now, at its fastest batch size; and its matrix."""
    module, best = compat.neural_tangents(), {"pairs_per_second": 0.0}
    # Full precision as in ours: an accelerator's products would be in TF32.
    with jax_backend.sixty_four_bits(dtype == "float64"), jax.default_matmul_precision("highest"):
        X = jnp.asarray(images, dtype)
        for batch in batches:
            function = module.batch(partial(StaxNetwork(network).kernel_fn, get="ntk"), batch_size=batch)
            np.asarray(function(X[:batch], None))  # compile
            seconds, matrix = timed(lambda function=function: np.asarray(function(X, None)), repeats)
            rate = pairs(len(X)) / seconds
            if rate > best["pairs_per_second"]:
                compiled: Any = (
                    jax.jit(partial(StaxNetwork(network).kernel_fn, get="ntk")).lower(X[:batch], X[:batch]).compile()
                )
                memory = compiled.memory_analysis().temp_size_in_bytes / batch**2
                cost = (compiled.cost_analysis() or {}).get("bytes accessed", float("nan")) / batch**2
                best = {
                    "pairs_per_second": rate,
                    "batch": batch,
                    "temporary_bytes_per_pair": memory,
                    "bytes_accessed_per_pair": cost,
                    "matrix": matrix,
                }
    return best


def ours(kernel: NeuralKernel, images: np.ndarray, repeats: int) -> dict[str, Any]:
    """Pairs per second of the matrix in memory, and the memory of its tiles."""
    side, _ = kernel._sides(images.shape[1:], len(images), len(images))
    kernel.matrix(images[: 2 * side])  # compile
    seconds, matrix = timed(lambda: kernel.matrix(images), repeats)
    prepared = kernel._prepare(images[:side], side)
    with jax_backend.sixty_four_bits(True):
        arguments = (prepared.parts[0], prepared.parts[0], np.ones((), kernel.dtype))
        compiled: Any = recursion.pair_covariance.lower(*kernel._static_arguments, *arguments).compile()
    return {
        "pairs_per_second": pairs(len(images)) / seconds,
        "tile": side,
        "temporary_bytes_per_pair": compiled.memory_analysis().temp_size_in_bytes / side**2,
        "matrix": matrix,
    }


def store_overhead(kernel: NeuralKernel, images: np.ndarray, repeats: int) -> dict[str, float]:
    """Over the time in memory: what a store adds, going over a finished one, and writing as many bytes to files.

    Medians over rounds of all in turn, so that a machine that changes its pace does so for all of them.
    """
    tile = default_tile(kernel, len(images))

    def filled(folder: Path) -> GramStore:
        plan = GramPlan.of(images, kernel.config, tile=tile, dtype=kernel.dtype)
        store = GramStore.create(folder, plan)
        fill(store, kernel, images)
        return store

    def files_written(folder: Path, plan: GramPlan) -> None:
        folder.mkdir()
        values = np.ones(plan.chunks, plan.dtype)
        for number in range(plan.n_tiles):
            (folder / str(number)).write_bytes(values.data)

    shares: dict[str, list[float]] = {"store": [], "resume": [], "bare_files": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repeats):
            place = Path(folder) / str(number)
            seconds, _ = timed(lambda: kernel.matrix(images), 1)
            to_store, store = timed(lambda place=place: filled(place), 1)
            again, _ = timed(lambda store=store: fill(store, kernel, images), 1)
            plan, bare = store.plan, place.with_suffix(".bare")
            to_files, _ = timed(lambda plan=plan, bare=bare: files_written(bare, plan), 1)
            shares["store"].append(to_store / seconds - 1)
            shares["resume"].append(again / seconds)
            shares["bare_files"].append(to_files / seconds)
    return {"tile": tile, **{what: float(np.median(each)) for what, each in shares.items()}}


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of one network."""
    settings: Any = NETWORKS[jax.default_backend()][name]
    rng = np.random.default_rng(arguments.seed)
    images = rng.normal(size=(settings["images"], settings["side"], settings["side"], 3))
    few = images[: settings["stock_images"]]
    network = architecture(name)
    kernel = NeuralKernel(network, "ntk", arguments.dtype)
    compat.neural_tangents()  # loads the module below
    linear = sys.modules["neural_tangents._src.stax.linear"]
    slices = linear._conv_kernel_full_spatial_shared
    results = {"hilbertsd": ours(kernel, images, arguments.repeats)}
    with mock.patch.object(linear, "_conv_kernel_full_spatial_shared", slices.__wrapped__):
        results["neural_tangents"] = stock(network, few, settings["batches"], arguments.dtype, arguments.repeats)
    assert linear._conv_kernel_full_spatial_shared is slices
    fresh = architecture(name)  # compiled anew
    results["neural_tangents_with_slices"] = stock(fresh, few, settings["batches"], arguments.dtype, arguments.repeats)
    results["hilbertsd"] |= ours(kernel, images, arguments.repeats)  # once more, beside what came last
    matrices = {who: each.pop("matrix")[: len(few), : len(few)] for who, each in results.items()}
    apart = ~np.eye(len(few), dtype=bool)
    difference = np.abs(matrices["hilbertsd"] - matrices["neural_tangents"])[apart].max() / matrices["hilbertsd"].max()
    rates = {who: each["pairs_per_second"] for who, each in results.items()}
    overhead = store_overhead(kernel, images, arguments.repeats)
    milliseconds = {who: 1e3 / rate for who, rate in rates.items()}
    return {
        "network": name,
        "image": f"{settings['side']} × {settings['side']}",
        "images": len(images),
        "neural_tangents_images": len(few),
        "ratio": rates["hilbertsd"] / rates["neural_tangents"],
        "ratio_with_slices": rates["hilbertsd"] / rates["neural_tangents_with_slices"],
        "largest_difference_off_the_diagonal": float(difference),
        "milliseconds_per_entry": milliseconds,
        "store_overhead": overhead,
        **results,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS["cpu"]), default=list(NETWORKS["cpu"]))
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="file for the JSON object")
    arguments = parser.parse_args()
    config = {key: value for key, value in vars(arguments).items() if key not in ("json", "out")}
    flags = f"--networks {' '.join(arguments.networks)} --dtype {arguments.dtype} --repeats {arguments.repeats}"
    record = {
        **provenance(f"python benchmarks/ntk_gram.py {flags} --json", config),
        "device": jax.devices()[0].device_kind,
        "published_milliseconds_per_entry_v100": PUBLISHED_MILLISECONDS,
        "networks": [],
    }
    for name in arguments.networks:
        record["networks"].append(measure(name, arguments))
        if arguments.out:
            write_json(arguments.out, record)  # of what there is so far
        if not arguments.json:
            latest = record["networks"][-1]
            rate = latest["hilbertsd"]["pairs_per_second"]
            print(f"{name}: {rate:,.0f} pairs/s, {latest['ratio']:.1f} × batch, store {latest['store_overhead']}")
    if arguments.json:
        print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()

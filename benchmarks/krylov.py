"""Certified Krylov path against one exact eigendecomposition, and alone at sizes that have none.

Images are the first training images of CIFAR-10, from the folder --data or the one that HILBERTSD_DATA names. Without
data, or with --images synthetic, they are random ones whose covariance decays like photographs'. Kernels: RBF
exp(−‖x−x'‖²/(2·3072)) on standardised pixels, or the neural tangent kernel of a fully connected ReLU network of depth
3. Targets: ten one-hot columns minus 0.1.

- kernel_seconds: images and kernel matrix; krylov_seconds: `distill(..., method="krylov")` to collapse, of which
  product_seconds are products with the kernel matrix.
- eigh_over_krylov: one `scipy.linalg.eigh` (whole spectrum with vectors) over `distill(..., method="krylov")`.
- largest_difference: between the multipliers of both, relative, and whether all lie in their enclosures.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from dense_path import timed
from scipy.linalg import eigh

import hilbertsd
from hilbertsd.data import load_cifar
from hilbertsd.data.splits import default_dataset
from hilbertsd.gram.filling import fill
from hilbertsd.gram.operators import ComputedKernel, KernelOperator, StoredKernel
from hilbertsd.gram.store import GramPlan, GramStore
from hilbertsd.support.files import write_json
from hilbertsd.support.provenance import provenance

PIXELS = 3072
HEAD = ("command", "config", "versions", "machine")


def images(n: int, kind: str, data: Path | None, seed: int) -> tuple[str, np.ndarray, np.ndarray]:
    """Name of the data, (n, 3072) float32 standardised pixels and (n, 10) targets."""
    name = kind
    if kind == "cifar10":
        train = load_cifar("cifar10", "train", folder=data)
        if len(train.images) < n:
            sys.exit(f"{train.name} has {len(train.images)} training images and --n is {n}; give a smaller --n")
        name, labels = train.name, train.labels[:n]
        # Colour planes, as in the files: the order in which the recorded results sum the pixels.
        pixels = train.images[:n].transpose(0, 3, 1, 2).reshape(n, PIXELS).astype(np.float32)
    else:
        rng = np.random.default_rng(seed)
        scales = (np.arange(1, PIXELS + 1.0) ** -0.9).astype(np.float32)
        pixels = rng.normal(size=(n, PIXELS)).astype(np.float32) * scales
        teacher = rng.normal(size=(PIXELS, 64)).astype(np.float32) * 2
        labels = (np.maximum(pixels @ teacher, 0) @ rng.normal(size=(64, 10)) + rng.normal(size=(n, 10))).argmax(axis=1)
    pixels -= pixels.mean(axis=0)
    pixels /= pixels.std(axis=0) if kind == "cifar10" else pixels.std()
    return name, pixels, np.eye(10)[labels] - 0.1


def kernel_tile(name: str, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Kernel values between two sets of images, computed in float64 from float32 products."""
    products = (x @ t.T).astype(np.float64)
    squares = [np.einsum("ij,ij->i", a, a, dtype=np.float64) for a in (x, t)]
    if name == "rbf":
        distances = squares[0][:, None] + squares[1] - 2 * products
        return np.exp(-np.maximum(distances, 0) / (2 * PIXELS))
    norms = np.sqrt(squares[0][:, None] * squares[1]) / PIXELS
    covariance, tangent = products / PIXELS, products / PIXELS
    for _ in range(3):  # Cho & Saul's arc-cosine kernels; ReLU layers that keep the variance
        cosine = np.clip(covariance / norms, -1, 1)
        angle = np.arccos(cosine)
        covariance = norms * (np.sqrt(1 - cosine**2) + (np.pi - angle) * cosine) / np.pi
        tangent = covariance + tangent * (np.pi - angle) / np.pi
    return tangent


def operator(arguments: argparse.Namespace, name: str, pixels: np.ndarray) -> Any:
    """Kernel matrix in memory, in a store of tiles on disk, computed anew in every product, or on JAX's devices."""
    kernel = partial(kernel_tile, arguments.kernel)
    if arguments.storage == "computed":
        return ComputedKernel(kernel, pixels)
    if arguments.storage == "disk":
        config = {"kernel": arguments.kernel, "images": name}
        store = GramStore.create(arguments.store, GramPlan.of(pixels, config, dtype=arguments.dtype))
        fill(store, kernel, pixels)
        return store
    stored = StoredKernel.of(kernel, pixels, arguments.dtype)
    if arguments.storage == "jax":
        import jax

        jax.config.update("jax_enable_x64", True)
        return StoredKernel(jax.device_put(stored.matrix, jax.devices()[0]))
    return stored


def decomposed(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and vectors by SciPy, or by JAX where the matrix is."""
    if isinstance(matrix, np.ndarray):
        return eigh(matrix)
    import jax

    eigenvalues, basis = jax.block_until_ready(jax.numpy.linalg.eigh(matrix))
    return np.asarray(eigenvalues), np.asarray(basis)


class Counted(KernelOperator):
    """An operator that counts its products and the time they take."""

    def __init__(self, inner: Any, width: int | None) -> None:
        self.precision = inner.precision
        self.block_size = inner.block_size if width is None else width
        self.inner, self.products, self.seconds = inner, 0, 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the inner operator."""
        return self.inner.shape

    def multiply(self, block: np.ndarray) -> np.ndarray:
        """Product of the inner operator."""
        start = time.perf_counter()
        product = self.inner.multiply(block)
        self.seconds += time.perf_counter() - start
        self.products += 1
        return product


def measure(arguments: argparse.Namespace) -> tuple[str, dict]:
    """Name of the data, and all figures of one run."""
    start = time.perf_counter()
    name, pixels, targets = images(arguments.n, arguments.images, arguments.data, arguments.seed)
    targets = targets[:, : arguments.outputs]
    counted = Counted(operator(arguments, name, pixels), arguments.block_size)
    kernel_seconds = time.perf_counter() - start
    del pixels
    tolerance = arguments.tolerance * float(np.sum(targets**2) / arguments.n)
    start = time.perf_counter()
    path = hilbertsd.distill(counted, targets, tolerance=tolerance, method="krylov", rtol=arguments.rtol)
    krylov_seconds = time.perf_counter() - start
    certificate = path.certificate
    assert certificate is not None
    figures = {
        "kernel_seconds": kernel_seconds,
        "krylov_seconds": krylov_seconds,
        "products": counted.products,
        "product_seconds": counted.seconds,
        "krylov_vectors": len(path.eigenvalues),
        "block_size": counted.block_size,
        "multipliers": path.multipliers.tolist(),
        "relative_width": certificate.relative_width,
        "collapse_round": path.collapse_round,
        "collapse_certified": path.collapse_certified,
    }
    if arguments.eigh:
        eigh_seconds, (eigenvalues, basis) = timed(lambda: decomposed(counted.inner.matrix))
        spectrum = hilbertsd.Spectrum(
            np.maximum(eigenvalues / arguments.n, 0), basis.T @ targets, basis, False, 0.0, 1e-15 * eigenvalues[-1]
        )
        exact = hilbertsd.distill_spectrum(spectrum, tolerance=tolerance)
        low, high = path.multiplier_bounds.T
        figures |= {
            "eigh_seconds": eigh_seconds,
            "eigh_over_krylov": eigh_seconds / krylov_seconds,
            "largest_difference": float(np.max(np.abs(path.multipliers / exact.multipliers - 1))),
            "inside_enclosures": bool(np.all((low <= exact.multipliers) & (exact.multipliers <= high))),
            "condition_number": float(eigenvalues[-1] / max(eigenvalues[0], 1e-300)),
        }
    figures["peak_memory_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return name, figures


def measure_sizes(arguments: argparse.Namespace) -> tuple[str, dict]:
    """Name of the data, and figures of one process a size, with exponents of time and memory fitted to all of them."""
    rows, name = [], ""
    for n in arguments.sizes:
        words = [sys.executable, __file__, "--json", "--no-eigh", "--n", str(n)]
        given = vars(arguments) | ({"store": arguments.store / str(n)} if arguments.store else {})
        for option in ("kernel", "tolerance", "rtol", "dtype", "seed", "outputs", "storage", "store", "images", "data"):
            if given[option] is not None:
                words += [f"--{option}", str(given[option])]
        record = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
        name = record["config"]["images"]
        rows.append({"n": n} | {key: record[key] for key in record if key not in HEAD})
        print(f"n = {n}: {rows[-1]['krylov_seconds']:.1f} s", file=sys.stderr)
    logs = np.log(arguments.sizes)
    series = {
        "krylov_seconds": [row["krylov_seconds"] for row in rows],
        "whole_seconds": [row["kernel_seconds"] + row["krylov_seconds"] for row in rows],
        "peak_memory_gb": [row["peak_memory_gb"] for row in rows],
    }
    exponents = {key: float(np.polyfit(logs, np.log(values), 1)[0]) for key, values in series.items()}
    return name, {"sizes": rows, "exponents": exponents}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description="Certified Krylov path against one eigendecomposition.")
    parser.add_argument("--n", type=int, default=8000)
    parser.add_argument("--kernel", choices=("rbf", "ntk"), default="ntk")
    parser.add_argument("--images", choices=("cifar10", "synthetic"), help="default: cifar10 with data")
    parser.add_argument("--data", type=Path, help="folder of CIFAR's files; default: what HILBERTSD_DATA names")
    parser.add_argument("--tolerance", type=float, default=0.05, help="fraction of the targets' mean square")
    parser.add_argument("--rtol", type=float, default=1e-6, help="of every enclosure")
    parser.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="in which the kernel is stored"
    )
    parser.add_argument("--eigh", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="file to store the JSON object in")
    parser.add_argument("--outputs", type=int, default=10, help="of the ten classes")
    parser.add_argument("--block-size", type=int, help="columns up to which random directions join the targets")
    parser.add_argument("--storage", choices=("memory", "disk", "computed", "jax"), default="memory")
    parser.add_argument("--store", type=Path, help="folder of the store of tiles, for --storage disk")
    parser.add_argument("--sizes", type=int, nargs="+", help="several n, each in a process of its own, without eigh")
    arguments = parser.parse_args()
    if arguments.images is None:
        arguments.images = "cifar10" if default_dataset(arguments.data) == "cifar10" else "synthetic"
    has_matrix = arguments.storage in ("memory", "jax") and arguments.dtype == "float64"
    if arguments.eigh and not arguments.sizes and not has_matrix:
        parser.error("eigh needs --storage memory or jax, and --dtype float64; give --no-eigh")
    if arguments.storage == "disk" and arguments.store is None:
        parser.error("--storage disk needs --store FOLDER")
    not_config = {"json", "out", "data", "store", *(("n", "eigh") if arguments.sizes else ("sizes",))}
    config = {key: value for key, value in vars(arguments).items() if key not in not_config}
    words = ["FOLDER" if word in (str(arguments.data), str(arguments.store)) else word for word in sys.argv[1:]]
    command = "uv run python benchmarks/krylov.py " + " ".join(words)
    config["images"], figures = (measure_sizes if arguments.sizes else measure)(arguments)
    if arguments.storage == "jax":
        import jax

        figures["device"] = jax.devices()[0].device_kind
    record = {**provenance(command, config), **figures}
    if arguments.out:
        write_json(arguments.out, record)
    if arguments.json:
        print(json.dumps(record))
        return
    if arguments.sizes:
        print(json.dumps(record["exponents"]))
        return
    print(
        f"n = {arguments.n}: {record['krylov_seconds']:.1f} s, {record['krylov_vectors']} vectors, enclosed to", end=" "
    )
    print(f"{record['relative_width']:.1g}, collapse at round {record['collapse_round']}")
    if arguments.eigh:
        print(f"eigh over krylov: {record['eigh_over_krylov']:.1f}")


if __name__ == "__main__":
    main()

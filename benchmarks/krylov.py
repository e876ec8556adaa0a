"""Certified Krylov path against one exact eigendecomposition, and alone at sizes that have none.

Images are CIFAR-10's (--cifar, a folder with the official binary batches) or, without it, random ones whose covariance
decays like photographs'. Kernels: RBF exp(−‖x−x'‖²/(2·3072)) on standardised pixels, or the neural tangent kernel of a
fully connected ReLU network of depth 3. Targets: ten one-hot columns minus 0.1.

- eigh_over_krylov: one `scipy.linalg.eigh` (whole spectrum with vectors) over `distill(..., method="krylov")`.
- largest_difference: between the multipliers of both, relative, and whether all lie in their enclosures.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from dense_path import timed
from scipy.linalg import eigh

import hilbertsd
from hilbertsd.records import provenance, write_json

PIXELS = 3072
TILE = 4096


def images(n: int, cifar: Path | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3072) float32 standardised pixels and (n, 10) targets."""
    if cifar is not None:
        records = np.concatenate([np.fromfile(cifar / f"data_batch_{i}.bin", np.uint8) for i in range(1, 6)])
        records = records.reshape(-1, PIXELS + 1)[:n]
        pixels, labels = records[:, 1:].astype(np.float32), records[:, 0].astype(int)
    else:
        rng = np.random.default_rng(seed)
        scales = (np.arange(1, PIXELS + 1.0) ** -0.9).astype(np.float32)
        pixels = rng.normal(size=(n, PIXELS)).astype(np.float32) * scales
        teacher = rng.normal(size=(PIXELS, 64)).astype(np.float32) * 2
        labels = (np.maximum(pixels @ teacher, 0) @ rng.normal(size=(64, 10)) + rng.normal(size=(n, 10))).argmax(axis=1)
    pixels -= pixels.mean(axis=0)
    pixels /= pixels.std(axis=0) if cifar is not None else pixels.std()
    if len(pixels) < n:
        sys.exit(f"only {len(pixels)} images in {cifar}")
    return pixels, np.eye(10)[labels] - 0.1


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


def gram(name: str, pixels: np.ndarray, dtype: str) -> np.ndarray:
    """(n, n) kernel matrix, each pair of tiles computed once."""
    n = len(pixels)
    matrix = np.empty((n, n), dtype)
    for i in range(0, n, TILE):
        for j in range(i, n, TILE):
            tile = kernel_tile(name, pixels[i : i + TILE], pixels[j : j + TILE])
            if i == j:
                tile = (tile + tile.T) / 2
            matrix[i : i + TILE, j : j + TILE] = tile
            matrix[j : j + TILE, i : i + TILE] = tile.T
    return matrix


def measure(arguments: argparse.Namespace) -> dict:
    """All figures of one run."""
    start = time.perf_counter()
    pixels, targets = images(arguments.n, arguments.cifar, arguments.seed)
    kernel_matrix = gram(arguments.kernel, pixels, arguments.dtype)
    gram_seconds = time.perf_counter() - start
    del pixels
    tolerance = arguments.tolerance * float(np.sum(targets**2) / arguments.n)
    start = time.perf_counter()
    path = hilbertsd.distill(kernel_matrix, targets, tolerance=tolerance, method="krylov", rtol=arguments.rtol)
    krylov_seconds = time.perf_counter() - start
    certificate = path.certificate
    assert certificate is not None
    figures = {
        "gram_seconds": gram_seconds,
        "krylov_seconds": krylov_seconds,
        "krylov_vectors": len(path.eigenvalues),
        "multipliers": path.multipliers.tolist(),
        "relative_width": certificate.relative_width,
        "collapse_round": path.collapse_round,
        "collapse_certified": path.collapse_certified,
    }
    if arguments.eigh:
        eigh_seconds, (eigenvalues, basis) = timed(lambda: eigh(kernel_matrix))
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
    figures["peak_memory_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return figures


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description="Certified Krylov path against one eigendecomposition.")
    parser.add_argument("--n", type=int, default=8000)
    parser.add_argument("--kernel", choices=("rbf", "ntk"), default="ntk")
    parser.add_argument("--cifar", type=Path, help="folder with CIFAR-10's data_batch_1.bin to data_batch_5.bin")
    parser.add_argument("--tolerance", type=float, default=0.05, help="fraction of the targets' mean square")
    parser.add_argument("--rtol", type=float, default=1e-6, help="of every enclosure")
    parser.add_argument(
        "--dtype", choices=("float64", "float32"), default="float64", help="in which the kernel is stored"
    )
    parser.add_argument("--eigh", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="file to store the JSON object in")
    arguments = parser.parse_args()
    config = {key: value for key, value in vars(arguments).items() if key not in ("json", "out", "cifar")}
    config["images"] = "CIFAR-10 binary batches" if arguments.cifar else "synthetic"
    words = [word for word in sys.argv[1:] if word != str(arguments.cifar)]
    command = "uv run python benchmarks/krylov.py " + " ".join(words).replace("--cifar", "--cifar FOLDER")
    record = {**provenance(command, config), **measure(arguments)}
    if arguments.out:
        write_json(arguments.out, record)
    if arguments.json:
        print(json.dumps(record))
        return
    print(
        f"n = {arguments.n}: {record['krylov_seconds']:.1f} s, {record['krylov_vectors']} vectors, enclosed to", end=" "
    )
    print(f"{record['relative_width']:.1g}, collapse at round {record['collapse_round']}")
    if arguments.eigh:
        print(f"eigh over krylov: {record['eigh_over_krylov']:.1f}")


if __name__ == "__main__":
    main()

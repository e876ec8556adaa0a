"""How tight every count of rounds is on kernels and data that are not random: the collapse round T between its bounds.

RBF kernels and the neural tangent kernel of a fully connected network (where JAX is installed) on scikit-learn's
diabetes and digits, and the committed paths of CIFAR-10, of which r_0 and T are stored.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import bounds, distill
from hilbertsd.support.files import write_json
from hilbertsd.support.provenance import provenance

ROOT = Path(__file__).parents[1]
TOLERANCES = (0.005, 0.02, 0.1)


def kernels(n: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, kernel matrix and centred targets of every problem."""
    from hilbertsd import ntk

    loaders: dict[str, Any] = {"diabetes": load_diabetes, "digits": load_digits}
    for name, load in loaders.items():
        X, y = (np.asarray(part)[:n] for part in load(return_X_y=True))
        X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
        targets = np.eye(10)[y] if name == "digits" else y[:, None]
        targets = targets - targets.mean(axis=0)
        yield f"{name}, RBF", rbf_kernel(X), targets
        if find_spec("jax") is not None:
            kernel = ntk.gram(ntk.architecture("fully-connected-5"), X)
            yield f"{name}, fully connected NTK", np.asarray(kernel, dtype=float), targets


def row(name: str, relative_tolerance: float, T: int, kappa: float | None, spectral: int | None) -> dict[str, Any]:
    """Every count of rounds of one path."""
    r = relative_tolerance**-0.5
    return {
        "kernel": name,
        "relative_tolerance": relative_tolerance,
        "condition_number": kappa,
        "proposition_4": kappa and bounds.guaranteed_rounds(r, kappa),
        "triangle": bounds.rounds_by_triangle(r),
        "spectrum": spectral,
        "collapse_round": T,
        "most_with_kappa": kappa and bounds.most_rounds(r, kappa),
        "most": bounds.most_rounds(r),
    }


def rows(n: int) -> list[dict[str, Any]]:
    """Counts on every kernel and tolerance, and on the committed paths of CIFAR-10."""
    found = []
    for name, kernel, targets in kernels(n):
        for share in TOLERANCES:
            path = distill(kernel, targets, relative_tolerance=share)
            d, e = path.eigenvalues, path.spectrum.energies
            kappa = float(d[-1] / d[0]) if d[0] > 0 else None
            spectral = bounds.rounds_by_spectrum(d, e, path.tolerance or np.nan)
            found.append(row(name, share, path.n_rounds, kappa, spectral))
    record = json.loads((ROOT / "figures" / "ntk-cifar" / "result.json").read_text(encoding="utf-8"))
    for fit in record["fits"]:
        for chain in fit["chains"]:
            share = chain.get("relative_tolerance", chain.get("tolerance"))
            name = f"CIFAR-10, {fit['network']['name']}, {fit['n_train']:,} images"
            found.append(row(name, share, chain["collapse_round"], None, None))
    return found


def main() -> None:
    """Print the counts, and store them with --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1797, help="most samples of a data set")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--out", type=Path, help="file for that object")
    arguments = parser.parse_args()
    found = rows(arguments.n)
    share = [one["triangle"] / one["collapse_round"] for one in found]
    record = {
        **provenance("uv run python benchmarks/round_counts.py " + " ".join(sys.argv[1:]), {"n": arguments.n}),
        "paths": found,
        "triangle_over_rounds": dict(
            zip(("least", "median", "largest"), np.quantile(share, [0, 0.5, 1]).tolist(), strict=True)
        ),
    }
    if arguments.out:
        write_json(arguments.out, record)
    if arguments.json:
        print(json.dumps(record))
        return
    for one in found:
        print("  ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in one.values()))
    print("⌈r_0 − 1⌉/T:", record["triangle_over_rounds"])


if __name__ == "__main__":
    main()

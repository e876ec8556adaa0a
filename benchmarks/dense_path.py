"""Whole distillation path against one eigendecomposition, and against the loop a user would write.

Ratios inside one run, printed as one JSON object with --json and stored with --out:

- path_over_eigh: `distill` from kernel matrix to collapse over one `scipy.linalg.eigh(driver="evd")`.
- loop_over_path: the same path by scikit-learn's KernelRidge and scipy's brentq, round by round, over `distill`.

The loop searches α in the bracket of MFB (23-24), which it is given for free together with the eigenvalues that
takes, and stops at brentq's default relative tolerance of 4 machine epsilons or at --loop-rtol.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import brentq
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

import hilbertsd
from hilbertsd.support.files import write_json
from hilbertsd.support.provenance import provenance

Result = TypeVar("Result")


def problem(n: int, n_outputs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """RBF kernel matrix of n standard-normal points in ten dimensions, and noisy smooth targets of mean zero."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, 10))
    targets = np.sin(inputs @ rng.normal(size=(10, n_outputs))) + 0.3 * rng.normal(size=(n, n_outputs))
    return rbf_kernel(inputs, gamma=0.05), targets - targets.mean(axis=0)


def user_loop(
    kernel_matrix: np.ndarray, targets: np.ndarray, tolerance: float, extremes: tuple[float, float], rtol: float
) -> tuple[list[float], int]:
    """Multipliers of every round until collapse, and how many ridge fits they took."""
    n, fits = len(kernel_matrix), 0
    smallest, largest = max(extremes[0], 1e-14 * extremes[1]), extremes[1]
    multipliers = []
    while (mean_square := float(np.sum(targets**2) / n)) > tolerance:
        r = np.sqrt(mean_square / tolerance)
        current = targets

        def fitted(log_c: float, current: np.ndarray = current) -> np.ndarray:
            ridge: Any = KernelRidge(kernel="precomputed")
            return ridge.set_params(alpha=n * np.exp(log_c)).fit(kernel_matrix, current).predict(kernel_matrix)

        def excess(log_c: float, current: np.ndarray = current, fitted: Callable = fitted) -> float:
            return float(np.log(np.sum((fitted(log_c) - current) ** 2) / n / tolerance))

        bracket = (np.log(smallest / (r - 1)), np.log(largest / (r - 1)))
        root, search = brentq(excess, *bracket, xtol=rtol, rtol=np.float64(rtol), full_output=True)
        multipliers.append(float(np.exp(root)))
        targets = fitted(root)
        fits += search.function_calls + 1
    return multipliers, fits


def timed(action: Callable[[], Result]) -> tuple[float, Result]:
    """Wall time in seconds, and the result."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def measure(arguments: argparse.Namespace) -> dict:
    """All figures of one run."""
    kernel_matrix, targets = problem(arguments.n, arguments.outputs, arguments.seed)
    tolerance = arguments.tolerance * float(np.sum(targets**2) / arguments.n)
    eigh(kernel_matrix[:200, :200])  # load and warm BLAS

    runs = [  # alternating, so that a noisy neighbour hits both
        (
            timed(lambda: eigh(kernel_matrix, driver="evd")),
            timed(lambda: hilbertsd.distill(kernel_matrix, targets, tolerance=tolerance, method="exact")),
        )
        for _ in range(arguments.repeats)
    ]
    eigh_seconds, path_seconds = [run[0][0] for run in runs], [run[1][0] for run in runs]
    eigenvalues, path = runs[-1][0][1][0], runs[-1][1][1]
    figures = {
        "eigh_seconds": eigh_seconds,
        "path_seconds": path_seconds,
        "path_over_eigh": min(path_seconds) / min(eigh_seconds),
        "rounds": path.n_rounds,
        "collapse_round": path.collapse_round,
    }
    if arguments.loop:
        extremes = (float(eigenvalues[0]) / arguments.n, float(eigenvalues[-1]) / arguments.n)
        loop_seconds, (multipliers, fits) = timed(
            lambda: user_loop(kernel_matrix, targets, tolerance, extremes, arguments.loop_rtol)
        )
        figures |= {
            "loop_seconds": loop_seconds,
            "loop_ridge_fits": fits,
            "loop_over_path": loop_seconds / float(np.median(path_seconds)),
            "loop_rounds": len(multipliers),
            "largest_multiplier_difference": float(np.max(np.abs(np.array(multipliers) / path.multipliers - 1))),
        }
    return figures


def recorded(
    parser: argparse.ArgumentParser, script: str, measure: Callable[[argparse.Namespace], dict]
) -> tuple[argparse.Namespace, dict]:
    """Arguments, and the record of one run: stored with --out, printed with --json."""
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="file to store the JSON object in")
    arguments = parser.parse_args()
    config = {key: value for key, value in vars(arguments).items() if key not in ("json", "out")}
    command = f"uv run python benchmarks/{script} " + " ".join(sys.argv[1:])
    record = {**provenance(command, config), **measure(arguments)}
    if arguments.out:
        write_json(arguments.out, record)
    if arguments.json:
        print(json.dumps(record))
    return arguments, record


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description="Distillation path against one eigh and a KernelRidge loop.")
    parser.add_argument("--n", type=int, default=4000)
    parser.add_argument("--outputs", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=0.05, help="fraction of the targets' mean square")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--loop", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--loop-rtol", type=float, default=1e-10, help="of log c in the loop's root search")
    arguments, record = recorded(parser, "dense_path.py", measure)
    if arguments.json:
        return
    print(f"n = {arguments.n}, {record['rounds']} rounds")
    print(f"path over one eigh: {record['path_over_eigh']:.3f}")
    if arguments.loop:
        print(f"loop over path: {record['loop_over_path']:.1f} ({record['loop_ridge_fits']} ridge fits)")


if __name__ == "__main__":
    main()

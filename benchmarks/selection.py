"""Choosing ε and the round among hundreds of pairs, against one eigendecomposition and against a grid search.

Ratios inside one run, printed as one JSON object with --json and stored with --out:

- choice_over_eigh: `hilbertsd.choose_rounds`, from kernel matrix to the choice by leave-one-out among at least --pairs
  pairs of ε and round, over one `scipy.linalg.eigh(driver="evd")`.
- grid_over_choice: scikit-learn's `GridSearchCV(KernelRidge(kernel="precomputed"))` over as many alphas in five folds,
  over `choose_rounds`.
"""

import argparse

import numpy as np
from dense_path import problem, recorded, timed
from scipy.linalg import eigh
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV

import hilbertsd

LARGEST_FRACTION = 0.5
"""Largest ε that is tried, as a fraction of the targets' mean square; the smallest is --smallest."""


def fractions_with(pairs: int, smallest: float, kernel_matrix: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Fractions, evenly spaced in the logarithm, whose paths have at least so many rounds together."""
    spectrum = hilbertsd.Spectrum.from_kernel(kernel_matrix, targets)
    count = 2
    while True:
        fractions = np.geomspace(smallest, LARGEST_FRACTION, count)
        paths = [hilbertsd.distill_spectrum(spectrum, relative_tolerance=float(each)) for each in fractions]
        if sum(path.n_rounds for path in paths) >= pairs:
            return fractions
        count += 1


def measure(arguments: argparse.Namespace) -> dict:
    """All figures of one run."""
    kernel_matrix, targets = problem(arguments.n, 1, arguments.seed)
    targets = targets[:, 0]
    fractions = fractions_with(arguments.pairs, arguments.smallest, kernel_matrix, targets)
    runs = [  # alternating, so that a noisy neighbour hits both
        (
            timed(lambda: eigh(kernel_matrix, driver="evd")),
            timed(lambda: hilbertsd.choose_rounds(kernel_matrix, targets, fractions)),
        )
        for _ in range(arguments.repeats)
    ]
    eigh_seconds, choice_seconds = ([run[place][0] for run in runs] for place in (0, 1))
    choice = runs[-1][1][1]
    pairs = sum(map(len, choice.scores))
    figures = {
        "eigh_seconds": eigh_seconds,
        "choice_seconds": choice_seconds,
        "choice_over_eigh": min(choice_seconds) / min(eigh_seconds),
        "fractions": len(fractions),
        "pairs": pairs,
        "relative_tolerance": choice.path.relative_tolerance,
        "round": choice.round,
        "leave_one_out_error": choice.score,
    }
    if arguments.grid:
        alphas = arguments.n * np.geomspace(1e-6, 10, pairs)
        search = GridSearchCV(KernelRidge(kernel="precomputed"), {"alpha": alphas})
        grid_seconds, _ = timed(lambda: search.fit(kernel_matrix, targets))
        figures |= {"grid_seconds": grid_seconds, "grid_over_choice": grid_seconds / float(np.median(choice_seconds))}
    return figures


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description="Choice of ε and round against one eigh and a grid search.")
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=200, help="smallest number of pairs of ε and round")
    parser.add_argument("--smallest", type=float, default=0.02, help="smallest ε over the targets' mean square")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--grid", action=argparse.BooleanOptionalAction, default=True)
    arguments, record = recorded(parser, "selection.py", measure)
    if arguments.json:
        return
    print(f"n = {arguments.n}, {record['pairs']} pairs of ε and round")
    print(f"choice over one eigh: {record['choice_over_eigh']:.2f}")
    if arguments.grid:
        print(f"grid search over choice: {record['grid_over_choice']:.0f}")


if __name__ == "__main__":
    main()

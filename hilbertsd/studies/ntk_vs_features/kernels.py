"""Tangent kernels of trained networks, before and after training, and what a round of a chain does to them.

A kernel is kept in a file, so that a killed run goes on from it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import networks, ntk
from hilbertsd.features.alignment import kernel_distance, target_alignment
from hilbertsd.networks.architectures import Architecture
from hilbertsd.studies.ntk_cifar.experiment import fits_of_kernel
from hilbertsd.studies.ntk_cifar.fits import Fits, Network
from hilbertsd.support.array_files import read_arrays, write_arrays

FORMAT, ROUND_FORMAT = "hilbertsd.TangentKernel/1", "hilbertsd.RoundOfKernels/1"

FORM = "mean-over-outputs"
"""One kernel for all classes, in which the gradients of every output have a share."""

RELATIVE_TOLERANCE = 0.1
"""ε of the paths with kernels of trained networks, as a fraction of the targets' mean square."""

Gram = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Images:
    """Images of which kernels are made.

    Attributes
    ----------
    fitted, others : (n, …) and (m, …) images.
    targets : (n, k) centred one-hot labels of the fitted ones.
    labels : (m,) labels of the others.
    """

    fitted: NDArray[Any]
    others: NDArray[Any]
    targets: NDArray[np.float64]
    labels: NDArray[np.int64]


def infinite_gram(network: Architecture, images: Images) -> Gram:
    """(n, n) and (m, n) kernel matrices of the infinitely wide network."""
    kernel = ntk.NeuralKernel(network, dtype="float32")
    return kernel.matrix(images.fitted), kernel.matrix(images.others, images.fitted)


def tangent_grams(
    network: Architecture, chain: Path, t: int, seeds: Sequence[int], after: bool, images: Images, folder: Path
) -> Iterator[Gram]:
    """(n, n) and (m, n) tangent kernel matrices of the networks of a round, read or computed and written.

    Parameters
    ----------
    network : their architecture.
    chain : folder of the centred networks, whose initial parameters are their statistics.
    t : round.
    seeds : seeds of the networks.
    after : whether at the parameters after training, not at the initial ones.
    images : which images.
    folder : folder of the kernels.
    """
    when = "after" if after else "before"
    places = [folder / f"{when}-round-{t}-seed-{seed}-of-{len(images.fitted)}.npz" for seed in seeds]
    missing = [place for place in places if not place.exists()]
    arrays = (
        getattr(networks.stored_network(chain, round=t, seed=seed), "parameters" if after else "statistics")
        for seed, place in zip(seeds, places, strict=True)
        if place in missing
    )
    computed = ntk.empirical_grams(network, images.fitted, images.others, parameters=arrays, form=FORM)
    for place in places:
        if place in missing:
            train, cross = next(computed)
            write_arrays(place, FORMAT, {}, {"train": train, "cross": cross})
            yield train, cross
        else:
            yield read_arrays(place, FORMAT, lambda arrays, _: (arrays["train"], arrays["cross"]))


@dataclass(frozen=True, eq=False)
class KernelsOfARound:
    """What the training of one network of a chain did to its tangent kernel.

    Attributes
    ----------
    round, seed : which network.
    distance : of the kernel after training from the one before.
    alignment : of the kernel with the labels, before and after.
    fits : exact paths and ridge regression with the kernel before and after.
    """

    round: int
    seed: int
    distance: float
    alignment: tuple[float, float]
    fits: tuple[Fits, Fits]

    def to_dict(self) -> dict[str, Any]:
        """Numbers ready for JSON."""
        return {
            "round": self.round,
            "seed": self.seed,
            "distance": self.distance,
            "alignment": list(self.alignment),
            "ridge_accuracy": [fits.tuned_ridge for fits in self.fits],
            "paths": [_path(fits) for fits in self.fits],
        }


def kernels_of_rounds(
    network: Architecture, chain: Path, rounds: int, seeds: Sequence[int], images: Images, folder: Path
) -> Iterator[dict[str, Any]]:
    """Numbers of the kernels of every round and seed, read from their files or computed and written."""
    about = Network(network.name, (len(images.fitted),))
    for t in range(rounds):
        pairs = zip(
            *(tangent_grams(network, chain, t, seeds, after, images, folder) for after in (False, True)), strict=True
        )
        for seed in seeds:
            place = folder / f"round-{t}-seed-{seed}.npz"
            before, after = next(pairs)
            if not place.exists():
                fits = tuple(
                    fits_of_kernel(about, gram[0], gram[1], images.targets, images.labels, (RELATIVE_TOLERANCE,))
                    for gram in (before, after)
                )
                alignment = tuple(target_alignment(gram[0], images.targets) for gram in (before, after))
                found = KernelsOfARound(t, seed, kernel_distance(before[0], after[0]), alignment, fits)  # type: ignore[arg-type]
                write_arrays(place, ROUND_FORMAT, {"numbers": found.to_dict()}, {})
            yield read_arrays(place, ROUND_FORMAT, lambda _, metadata: metadata["numbers"])


def _path(fits: Fits) -> dict[str, Any]:
    """Path of one kernel to collapse, its accuracies by round, and whether the paper's bounds hold."""
    (chain,) = fits.chains
    return {
        "collapse_round": chain.path.collapse_round,
        "multipliers": chain.path.multipliers.tolist(),
        "test_accuracy": chain.test_accuracy.tolist(),
        "bounds": {"checks": chain.n_checks, "hold": chain.bounds_hold},
    }

"""Tangent kernels of trained networks, before and after training, and what a round of a chain does to them.

A kernel is kept in a file, so that a killed run goes on from it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd import networks, ntk
from hilbertsd.features.alignment import centred_kernel, kernel_distance, target_alignment
from hilbertsd.networks.architectures import Architecture
from hilbertsd.studies.ntk_cifar.experiment import fits_of_kernel
from hilbertsd.studies.ntk_cifar.fits import Fits, Network
from hilbertsd.support.array_files import read_arrays, write_arrays

FORMAT, ROUND_FORMAT = "hilbertsd.TangentKernel/1", "hilbertsd.RoundOfKernels/2"

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


class Which(NamedTuple):
    """Round and seed of a network, and whether its kernel is that after training, not that before."""

    round: int
    seed: int
    after: bool

    def parameters(self, chain: Path) -> dict[str, NDArray[Any]]:
        """Parameters in a folder of centred networks, whose statistics are the initial ones."""
        network = networks.stored_network(chain, round=self.round, seed=self.seed)
        return network.parameters if self.after else network.statistics


def tangent_grams(
    network: Architecture, chain: Path, wanted: Sequence[Which], images: Images, folder: Path
) -> Iterator[Gram]:
    """(n, n) and (m, n) tangent kernel matrices, read or computed and written.

    Parameters
    ----------
    network : architecture of the networks.
    chain : folder of the networks.
    wanted : which networks.
    images : which images.
    folder : folder of the kernels.
    """
    names = [f"{'after' if each.after else 'before'}-round-{each.round}-seed-{each.seed}" for each in wanted]
    places = [folder / f"{name}-of-{len(images.fitted)}.npz" for name in names]
    missing = [place for place in places if not place.exists()]
    arrays = (each.parameters(chain) for each, place in zip(wanted, places, strict=True) if place in missing)
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
    distance : of the centred kernel after training from the one before.
    distance_between_networks : of the centred kernels before training of this network and of the next seed's.
    distance_as_it_is : as `distance`, of kernels that are not centred.
    alignment : of the kernel with the labels, before and after.
    fits : exact paths and ridge regression with the kernel before and after.
    """

    round: int
    seed: int
    distance: float
    distance_between_networks: float
    distance_as_it_is: float
    alignment: tuple[float, float]
    fits: tuple[Fits, Fits]

    def to_dict(self) -> dict[str, Any]:
        """Numbers ready for JSON."""
        return {
            "round": self.round,
            "seed": self.seed,
            "distance": self.distance,
            "distance_between_networks": self.distance_between_networks,
            "distance_as_it_is": self.distance_as_it_is,
            "alignment": list(self.alignment),
            "ridge_accuracy": [fits.tuned_ridge for fits in self.fits],
            "paths": [_path(fits) for fits in self.fits],
        }


def kernels_of_rounds(
    network: Architecture, chain: Path, rounds: int, seeds: Sequence[int], images: Images, folder: Path
) -> Iterator[dict[str, Any]]:
    """Numbers of the kernels of every round and seed, read from their files or computed and written."""
    about = Network(network.name, (len(images.fitted),))
    places = {(t, seed): folder / f"round-{t}-seed-{seed}.npz" for t in range(rounds) for seed in seeds}
    missing = [which for which, place in places.items() if not place.exists()]
    following = dict(zip(seeds, [*seeds[1:], seeds[0]], strict=True))
    wanted = {(t, seed): _three(t, seed, following[seed]) for t, seed in missing}
    every = list(dict.fromkeys(which for three in wanted.values() for which in three))
    for _ in tangent_grams(network, chain, every, images, folder):  # in one call, in which JAX compiles once
        pass
    for (t, seed), place in places.items():
        if (t, seed) in missing:
            both = list(tangent_grams(network, chain, wanted[t, seed], images, folder))
            fits = [
                fits_of_kernel(about, train, cross, images.targets, images.labels, (RELATIVE_TOLERANCE,))
                for train, cross in both[:2]
            ]
            before, after, other = (train for train, _ in both)
            found = KernelsOfARound(
                t,
                seed,
                kernel_distance(centred_kernel(before), centred_kernel(after)),
                kernel_distance(centred_kernel(before), centred_kernel(other)),
                kernel_distance(before, after),
                (target_alignment(before, images.targets), target_alignment(after, images.targets)),
                (fits[0], fits[1]),
            )
            write_arrays(place, ROUND_FORMAT, {"numbers": found.to_dict()}, {})
        yield read_arrays(place, ROUND_FORMAT, lambda _, metadata: metadata["numbers"])


def _three(t: int, seed: int, following: int) -> list[Which]:
    """A network before and after its training, and the next seed's before."""
    return [Which(t, seed, False), Which(t, seed, True), Which(t, following, False)]


def _path(fits: Fits) -> dict[str, Any]:
    """Path of one kernel to collapse, its accuracies by round, and whether the paper's bounds hold."""
    (chain,) = fits.chains
    return {
        "collapse_round": chain.path.collapse_round,
        "multipliers": chain.path.multipliers.tolist(),
        "test_accuracy": chain.test_accuracy.tolist(),
        "bounds": {"checks": chain.n_checks, "hold": chain.bounds_hold},
    }

"""Single rounds of chains of networks: weights by the eigenvalues of a kernel, and how training moves their kernels.

    RoundWeights.of(path.targets, path.train_outputs, tolerance, [[(matrix, bins)]])  # a_t beside A_t
    Movement.of([[before]], [[after]], labels).turned                                  # (T, S)

b_t, of all rounds together, inherits what every earlier round did; a_t is of one round and its own targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.features.alignment import centred_kernel, kernel_distance, target_alignment
from hilbertsd.features.basis_weights import EigenBins, weights_distance
from hilbertsd.filters import Family, gradient_flow, match_training_error, ridge
from hilbertsd.spectral.spectrum import Spectrum

FAMILIES: dict[str, Family] = {"gradient flow": gradient_flow, "ridge": ridge}
"""Fits by a kernel: what networks that are stopped at ε tend to, and what the theory is about."""


@dataclass(frozen=True, eq=False)
class RoundWeights:
    """Weights a_t = ⟨v_k, F_t⟩·⟨v_k, Y_t⟩/‖⟨v_k, Y_t⟩‖² of single rounds, in bins of a kernel's eigenvalue.

    Attributes
    ----------
    networks : (T, S, b) of the networks, of their own targets Y_t.
    kernels : by family, (T, S, b) of the kernel's fit to the same targets at the same ε, A_t.
    energies : (T, S, b) shares of the targets' energy; NaN where a chain has collapsed, as are the others.
    """

    networks: NDArray[np.float64]
    kernels: dict[str, NDArray[np.float64]]
    energies: NDArray[np.float64]

    @classmethod
    def of(
        cls, targets: Any, outputs: Any, tolerance: float, kernels: Sequence[Sequence[tuple[Any, EigenBins]]]
    ) -> Self:
        """From (T, S, n, k) targets and outputs, and for every round and seed a kernel matrix and its bins."""
        targets, outputs = (np.asarray(each, np.float64) for each in (targets, outputs))
        found = [
            [_round(of_seed, tolerance) for of_seed in zip(*of_round, strict=True)]
            for of_round in zip(targets, outputs, kernels, strict=True)
        ]
        networks, energies, *fits = np.moveaxis(np.array(found), 2, 0)
        return cls(networks, dict(zip(FAMILIES, fits, strict=True)), energies)

    def distances(self, kind: str) -> NDArray[np.float64]:
        """(S,) root mean square distance from a family's fits to the same targets, over bins and rounds."""
        return self._distances(self.kernels[kind])

    def distances_by_round(self, kind: str) -> NDArray[np.float64]:
        """(T, S) the same over bins alone; NaN where a chain has collapsed."""
        rounds = [slice(t, t + 1) for t in range(len(self.energies))]
        return np.array([self._distances(self.kernels[kind], each) for each in rounds])

    def distances_from(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(S,) the same from (T, b) weights A_t of a path, whose targets are others from round 1 on."""
        return self._distances(np.broadcast_to(weights[:, None], self.networks.shape))

    def _distances(self, weights: NDArray[np.float64], rounds: slice = slice(None)) -> NDArray[np.float64]:
        energies = np.nan_to_num(self.energies[rounds])
        return np.array(
            [
                weights_distance(self.networks[rounds, s], weights[rounds, s], energies[:, s])
                if energies[:, s].any()
                else np.nan
                for s in range(energies.shape[1])
            ]
        )


class Movement(NamedTuple):
    """How training moves tangent kernels of the training images, all centred; 0 or as before where nothing is learned.

    Attributes
    ----------
    turned : (T, S) 1 − cosine between both kernels, :func:`hilbertsd.features.kernel_distance`.
    changed : (T, S) ‖K' − K‖/‖K‖, to which growth counts, too; Frobenius norms.
    apart : (T, S) `turned` between the kernels of this network and of the next seed's, both before training.
    aligned_before, aligned_after : (T, S) alignment of the kernel with the labels.
    """

    turned: NDArray[np.float64]
    changed: NDArray[np.float64]
    apart: NDArray[np.float64]
    aligned_before: NDArray[np.float64]
    aligned_after: NDArray[np.float64]

    @classmethod
    def of(cls, before: Sequence[Sequence[Any]], after: Sequence[Sequence[Any]], labels: Any) -> Self:
        """From (n, n) kernels of every round and seed, and (n, k) labels."""
        numbers = [
            [
                _movement(first, last, other, labels)
                for first, last, other in zip(firsts, lasts, [*firsts[1:], firsts[0]], strict=True)
            ]
            for firsts, lasts in zip(before, after, strict=True)
        ]
        return cls(*np.moveaxis(np.array(numbers), 2, 0))


def _round(network: tuple[Any, Any, tuple[Any, EigenBins]], tolerance: float) -> NDArray[np.float64]:
    """(4, b) weights of a network, energies, and weights of both families' fits; from targets, outputs and kernel."""
    targets, outputs, (matrix, bins) = network
    spectrum = Spectrum.from_kernel(matrix, targets)
    if spectrum.target_mean_square <= tolerance:  # collapsed
        return np.full((2 + len(FAMILIES), len(bins.centres)), np.nan)
    fits = [match_training_error(spectrum, family, tolerance) for family in FAMILIES.values()]
    exact = [np.asarray(spectrum.from_eigenbasis(fit.weights(spectrum.eigenvalues))) for fit in fits]
    return np.array([*bins.weights(outputs, targets), *(bins.weights(each, targets).weights for each in exact)])


def _movement(before: Any, after: Any, other: Any, labels: Any) -> list[float]:
    first, last, of_other = (centred_kernel(each) for each in (before, after, other))
    return [
        kernel_distance(first, last),
        float(np.linalg.norm(last - first) / np.linalg.norm(first)),
        kernel_distance(first, of_other),
        target_alignment(before, labels),
        target_alignment(after, labels),
    ]

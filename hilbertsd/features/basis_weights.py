"""Basis weights of anything that is trained: how much of its targets it keeps, by the eigenvalues of a kernel.

    bins = EigenBins.of(kernel_matrix, count=12)
    kept = bins.weights(network_outputs, targets)    # (12,) ⟨v_k, F⟩·⟨v_k, Y⟩/‖⟨v_k, Y⟩‖², a mean over every bin
    exact = bins.weights(path.train_predictions(0), targets)
    weights_distance(kept.weights, exact.weights, exact.energies)

Of a kernel's own path these are its d/(c + d), or their products B_t where the targets are those of round 0: each mean
over a bin, weighted by the energy of the targets.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput, InvalidKernel, InvalidTargets
from hilbertsd.support.checks import as_real_array, check_whole


class BinnedWeights(NamedTuple):
    """Weights in bins of the eigenvalue.

    Attributes
    ----------
    weights : (b,) Σ_k ⟨v_k, F⟩·⟨v_k, Y⟩ over Σ_k ‖⟨v_k, Y⟩‖², both over the eigenvectors of a bin; NaN where Y has
        nothing on them.
    energies : (b,) share of Y's squared norm that lies on the eigenvectors of a bin.
    """

    weights: NDArray[np.float64]
    energies: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EigenBins:
    """Eigenvectors of a kernel matrix in bins of their eigenvalues.

    Attributes
    ----------
    eigenvalues : (n,) of kernel_matrix/n, ascending.
    eigenvectors : (n, n), one in each column.
    edges : (b+1,) of the bins, equally spaced in the logarithm from the smallest to the largest positive eigenvalue.
    """

    eigenvalues: NDArray[np.float64]
    eigenvectors: NDArray[np.float64]
    edges: NDArray[np.float64]

    @classmethod
    def of(cls, kernel_matrix: Any, count: int) -> Self:
        """Bins of a kernel matrix.

        Parameters
        ----------
        kernel_matrix : (n, n) raw kernel values, symmetric.
        count : number b of bins.

        Raises InvalidKernel for a matrix that is not square or has no two positive eigenvalues beyond rounding,
        InvalidInput for a count below 1.
        """
        K = np.asarray(as_real_array(kernel_matrix, "kernel_matrix", InvalidKernel), np.float64)
        check_whole(count, "count", InvalidInput)
        if K.ndim != 2 or len(K) != K.shape[1]:
            raise InvalidKernel(f"kernel_matrix has shape {K.shape}; give (n, n)")
        d, vectors = np.linalg.eigh(K / len(K))
        positive = d[d > len(d) * np.finfo(float).eps * np.abs(d).max(initial=0)]
        if len(positive) < 2:
            raise InvalidKernel(f"kernel_matrix has {len(positive)} positive eigenvalues; give one with at least two")
        return cls(d, vectors, np.geomspace(positive[0], positive[-1], count + 1))

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """(n,) bin of every eigenvector, −1 for those whose eigenvalue is zero up to rounding."""
        count = len(self.edges) - 1
        inside = np.clip(np.searchsorted(self.edges, self.eigenvalues, side="right") - 1, 0, count - 1)
        return np.where(self.eigenvalues >= self.edges[0], inside, -1)

    @property
    def centres(self) -> NDArray[np.float64]:
        """(b,) geometric means of the edges."""
        return np.sqrt(self.edges[1:] * self.edges[:-1])

    def weights(self, outputs: Any, targets: Any) -> BinnedWeights:
        """How much of the targets is in the outputs, in every bin.

        Parameters
        ----------
        outputs, targets : (n,) or (n, k), of the same shape.

        Raises InvalidTargets where shapes do not fit, or targets are zero.
        """
        F, Y = (
            np.asarray(as_real_array(values, "targets", InvalidTargets), np.float64) for values in (outputs, targets)
        )
        if F.shape != Y.shape or len(Y) != len(self.eigenvalues):
            raise InvalidTargets(
                f"outputs have shape {F.shape} and targets {Y.shape} for {len(self.eigenvalues):,} samples; give one "
                "shape for both, a row for each sample"
            )
        F, Y = (self.eigenvectors.T @ values.reshape(len(values), -1) for values in (F, Y))
        if not Y.any():
            raise InvalidTargets("targets are zero, so that there is nothing of them to keep")
        energies = self._sums(np.sum(Y**2, axis=1))
        with np.errstate(invalid="ignore"):
            weights = self._sums(np.sum(F * Y, axis=1)) / energies
        return BinnedWeights(weights, energies / np.sum(Y**2))

    def _sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = self.places >= 0
        sums = np.zeros(len(self.edges) - 1)
        np.add.at(sums, self.places[inside], values[inside])
        return sums


def weights_distance(first: Any, second: Any, energies: Any) -> float:
    """Root mean square distance of weights, each counted with its share of the targets' energy.

    Parameters
    ----------
    first, second, energies : arrays of one shape, for instance (T, b) for T rounds and b bins. Where there is no energy
        weights may be NaN.

    Raises InvalidInput where shapes differ, or there is no energy.
    """
    a, b, e = (np.asarray(values, np.float64) for values in (first, second, energies))
    if not a.shape == b.shape == e.shape or not e.sum() > 0:
        raise InvalidInput(
            f"weights have shapes {a.shape} and {b.shape}, energies {e.shape} with sum {e.sum():g}; give equal shapes "
            "and some energy"
        )
    counted = e > 0
    return float(np.sqrt(np.sum(e[counted] * (a[counted] - b[counted]) ** 2) / e.sum()))

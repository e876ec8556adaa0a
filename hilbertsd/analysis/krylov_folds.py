"""Folds of points left out of a Krylov path, from products with its kernel matrix alone.

The chain without a fold is B_t of the other points' kernel matrix with the path's own multipliers, applied to their
targets. Their Krylov space, of as many block products as the path took, stands for that matrix; it comes from products
of the whole matrix with blocks that are zero at the fold, and so do the predictions there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput
from hilbertsd.filters import distillation
from hilbertsd.gram.operators import KernelOperator, as_operator
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.progress import tracked


@dataclass(frozen=True, eq=False)
class _Part(KernelOperator):
    """Kernel matrix of some of the points of an operator."""

    whole: KernelOperator
    points: NDArray[np.intp]

    @property
    def precision(self) -> float:  # type: ignore[override]
        return self.whole.precision

    @property
    def block_size(self) -> int:  # type: ignore[override]
        return self.whole.block_size

    @property
    def shape(self) -> tuple[int, int]:
        return (len(self.points), len(self.points))

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.spread(block)[self.points]

    def spread(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, b) kernel values between all points and these, times a (k, b) block."""
        padded = np.zeros((self.whole.shape[0], block.shape[1]))
        padded[self.points] = block
        return self.whole.multiply(padded)


def operator_of(path: DistillationPath, kernel_matrix: Any) -> KernelOperator:
    """Operator of the kernel matrix that a path was distilled from; InvalidInput for one of another size."""
    n = path.spectrum.n_samples
    operator = as_operator(kernel_matrix, np.empty(n))
    if operator.shape != (n, n):
        raise InvalidInput(
            f"the operator has {operator.shape[0]:,} points and the path {n:,}; give the one that the path was "
            "distilled from"
        )
    return operator


def block_products(path: DistillationPath, operator: KernelOperator) -> int:
    """Number of block products that a Krylov path of an operator took."""
    return -(-len(path.eigenvalues) // max(path.spectrum.n_outputs, operator.block_size))


def folds_by_products(
    path: DistillationPath, kernel_matrix: Any, folds: Sequence[NDArray[np.intp]]
) -> Iterator[tuple[NDArray[np.intp], Iterator[NDArray[np.float64]]]]:
    """Points of each fold, and (p, n_outputs) predictions there by round of the chain without them.

    Parameters
    ----------
    path : Krylov path without ground truth.
    kernel_matrix : that the path was distilled from, as :func:`hilbertsd.distill` takes it.
    folds : numbers of the points that are left out together.
    """
    spectrum, n = path.spectrum, path.spectrum.n_samples
    targets = np.asarray(spectrum.from_eigenbasis(np.ones_like(path.eigenvalues)))
    operator = operator_of(path, kernel_matrix)
    for fold in tracked(folds, "folds left out"):
        others = np.setdiff1d(np.arange(n), fold)
        part = _Part(operator, others)
        seen = Spectrum.from_operator(part, targets[others], steps=block_products(path, operator))
        multipliers = path.multipliers * n / len(others)  # n c_t stays what it was
        filters = (distillation(multipliers[: t + 1]) for t in range(path.n_rounds))
        coefficients = [seen.dual_coefficients(each.over_eigenvalues(seen.eigenvalues)) for each in filters]
        predictions = part.spread(np.hstack(coefficients))[fold]
        yield fold, iter(np.split(predictions, path.n_rounds, axis=1))

"""Generalised cross-validation where n is large: traces of smoothers from products with a few random vectors.

For a random vector v of signs the mean of vᵀ B_t(G) v is tr B_t(G). Block Lanczos steps from all vectors give a
quadrature Σ_k B_t(θ_k) z_kj² for each of them, the same Ritz values θ serving all rounds (Golub & Meurant 2010,
Matrices, Moments and Quadrature; Ubaru, Chen & Saad 2017 for the trace). The spread over vectors is the standard error.

    operator = ComputedKernel(kernel, X)
    path = distill(operator, targets, relative_tolerance=0.1)
    criterion = StochasticCrossValidation(operator, probes=16)
    score_rounds(path, criterion)
    criterion.standard_errors(path)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from hilbertsd.analysis.criteria import (
    Criterion,
    Folds,
    GeneralisedCrossValidation,
    LeaveOneOut,
    Residuals,
    UnbiasedRisk,
    left_over,
    training_rows,
)
from hilbertsd.analysis.krylov_folds import block_products, operator_of
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput
from hilbertsd.gram.operators import KernelOperator
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import check_whole


class FreeShares(NamedTuple):
    """Share of the points that each round's smoother leaves free.

    Attributes
    ----------
    shares : (T,) estimates of 1 − tr B_t/n.
    standard_errors : (T,) over the random vectors.
    """

    shares: NDArray[np.float64]
    standard_errors: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StochasticCrossValidation:
    """Generalised cross-validation of a path of any kind, from products with its kernel matrix.

    Attributes
    ----------
    operator : kernel operator or matrix that the path was distilled from, as :func:`hilbertsd.distill` takes it.
    probes : number of random vectors, at least 2.
    steps : block products to make. The error of the quadrature falls geometrically with them, the more slowly the
        smaller the multipliers are beside the largest eigenvalue; the standard error does not hold it.
    seed : of the random vectors.
    """

    operator: Any
    probes: int = 16
    steps: int = 30
    seed: int = 0

    _seen: dict[int, Spectrum] = field(default_factory=dict, init=False, repr=False)
    """Spectra of the random vectors by their length, which all paths of the operator share."""

    label: ClassVar[str] = "generalised cross-validation, estimated"

    def residuals(self, path: DistillationPath) -> Residuals:
        """Rows and penalties of every round.

        Of a Krylov path the rows are those of its Ritz vectors, which hold all of the targets. Raises as
        :meth:`free_shares`.
        """
        rows = training_rows(path, left_over(path))
        return Residuals(rows / self.free_shares(path).shares[:, None], np.zeros(path.n_rounds))

    def standard_errors(self, path: DistillationPath) -> NDArray[np.float64]:
        """(T,) standard errors of the scores, from those of the traces; rounds share vectors, so they err together."""
        shares, errors = self.free_shares(path)
        return 2 * self.residuals(path).scores * errors / shares

    def free_shares(self, path: DistillationPath) -> FreeShares:
        """Shares of the points that the rounds leave free.

        Raises
        ------
        InvalidInput
            Fewer than 2 probes; a path with ground truth; an operator of another size than the path's.
        """
        check_whole(self.probes, "probes", InvalidInput)
        if self.probes < 2:
            raise InvalidInput(f"probes is {self.probes}; give at least 2, whose spread is the standard error")
        if path.ground_truth_weights is not None:
            raise InvalidInput("the path has ground truth in its targets; score it with criterion 'gcv'")
        n = path.spectrum.n_samples
        if n not in self._seen:
            signs = np.random.default_rng(self.seed).choice([-1.0, 1.0], size=(n, self.probes))
            self._seen[n] = Spectrum.from_operator(operator_of(path, self.operator), signs, steps=self.steps)
        seen = self._seen[n]
        with np.errstate(divide="ignore"):  # zero eigenvalues: log 0 = −∞ is meant
            logs = -np.cumsum(np.log1p(path.multipliers[:, None] / seen.eigenvalues), axis=0)
        left = -np.expm1(logs) @ (seen.rotated_targets**2 / n)  # (T, probes)
        return FreeShares(left.mean(axis=1), left.std(axis=1, ddof=1) / np.sqrt(self.probes))


def needs_whole(criterion: Any) -> TypeGuard[LeaveOneOut | UnbiasedRisk]:
    """Whether a criterion has no form for a Krylov path."""
    return isinstance(criterion, LeaveOneOut | UnbiasedRisk)


def by_products(criterion: Criterion, path: DistillationPath, operator: KernelOperator) -> Criterion:
    """The criterion as a Krylov path of an operator can have it.

    Generalised cross-validation by random vectors, with at least as many block products as the path took, and folds by
    products; others as they are.
    """
    if isinstance(criterion, GeneralisedCrossValidation):
        steps = max(StochasticCrossValidation.steps, block_products(path, operator))
        return StochasticCrossValidation(operator, steps=steps)
    if isinstance(criterion, Folds) and criterion.operator is None:
        return replace(criterion, operator=operator)
    return criterion

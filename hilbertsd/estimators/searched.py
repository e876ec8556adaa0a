"""The same estimators with kernel, tolerance and rounds chosen from the training data: one decomposition per kernel.

    model = SelfDistilledKernelRegressorCV(kernel="rbf", gammas=[0.05, 0.2, 1.0]).fit(X, y)
    model.gamma_, model.relative_tolerance_, model.n_rounds_  # chosen by leave-one-out among all of them
    model.predict(X_new)

A grid search would decompose for every candidate and fold; here all tolerances and rounds of a kernel share one
decomposition, and leave-one-out is in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics.pairwise import KERNEL_PARAMS

from hilbertsd.analysis.choice import checked_fractions, choose_among, comparable
from hilbertsd.analysis.criteria import Criterion, Holdout
from hilbertsd.distillation.chain import LARGEST_EXACT, fits_memory
from hilbertsd.errors import InfeasibleTolerance, InvalidInput
from hilbertsd.estimators.base import Classification, KernelModel, Regression, named
from hilbertsd.gram.operators import KernelOperator, as_operator
from hilbertsd.support.checks import as_real_array


class _Searched(KernelModel):
    """Parameters of an estimator that chooses among kernels, tolerances and rounds."""

    def __init__(
        self,
        kernel: str | Callable[..., Any] = "rbf",
        *,
        gammas: ArrayLike | None = None,
        degree: float = 3,
        coef0: float = 1,
        kernel_params: dict[str, Any] | None = None,
        relative_tolerances: ArrayLike | None = None,
        max_rounds: int | None = None,
        criterion: str | Criterion = "auto",
        mixing: str | Criterion | None = None,
        method: str = "auto",
        fit_intercept: bool = True,
    ) -> None:
        self.kernel = kernel
        self.gammas = gammas
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.relative_tolerances = relative_tolerances
        self.max_rounds = max_rounds
        self.criterion = criterion
        self.mixing = mixing
        self.method = method
        self.fit_intercept = fit_intercept

    @property
    def _gamma(self) -> float | None:
        return self.gamma_

    def _fit_path(self, X: Any, targets: NDArray[np.float64]) -> None:
        fractions = checked_fractions(self.relative_tolerances)
        by_krylov = self._by_krylov(X)
        criterion = comparable(named(self.criterion, "criterion", by_krylov))
        if self.mixing is not None:
            named(self.mixing, "mixing")
            if self.max_rounds is None:
                raise InvalidInput(
                    "mixing mixes all rounds of a path, of which there may be many; give max_rounds=2 or 3"
                )
        gammas = self._gammas()
        if isinstance(criterion, Holdout) and len(gammas) > 1:
            raise InvalidInput(
                f"criterion has the cross kernel of one gamma, and gammas are {gammas}; give one of them"
            )
        centred, mean = self._centred(X, targets)
        best, operator, unusable = None, None, None
        self.scores_ = np.full(len(gammas), np.inf)
        for place, gamma in enumerate(gammas):
            matrix = self._kernel_matrix(X, gamma, "krylov" if by_krylov else "exact")
            matrix = as_operator(matrix, centred) if by_krylov else matrix
            try:
                choice = choose_among(matrix, centred, fractions, criterion, self.max_rounds)
            except InfeasibleTolerance as error:  # other gammas may have a kernel of higher rank
                unusable = error
                continue
            self.scores_[place] = choice.score
            if best is None or choice.score < best.score:
                best, self.gamma_ = choice, gamma
                operator = matrix if isinstance(matrix, KernelOperator) else None
        if best is None:
            assert unusable is not None
            raise unusable
        self.relative_tolerance_ = best.relative_tolerance
        self.lowest_score_, self.lowest_score_standard_error_ = best.score, best.standard_error
        n_rounds = best.path.n_rounds if self.mixing is not None else best.round + 1
        self._keep(best.path, n_rounds, mean, X, operator)

    def _by_krylov(self, X: Any) -> bool:
        """Whether kernel matrices are known by products.

        "auto" wants tolerances for that, as the smallest of those that are tried where none are given has no
        certain multiplier but on targets without noise.
        """
        method, given = self._method(self.criterion, self.mixing), self.relative_tolerances is not None
        if method == "auto" and not given and not fits_memory(X.shape[0]):
            raise InvalidInput(
                f"memory does not hold the decomposition of {X.shape[0]:,} samples; give relative_tolerances above the "
                "share of noise in the targets, for which products with the kernel matrix do"
            )
        return method == "krylov" or (method == "auto" and given and X.shape[0] > LARGEST_EXACT)

    def _gammas(self) -> list[float | None]:
        """Values of gamma to try; InvalidInput unless they are positive numbers."""
        if self.gammas is None:
            return [None]
        if not isinstance(self.kernel, str) or "gamma" not in KERNEL_PARAMS.get(self.kernel, ()):
            raise InvalidInput(f"kernel {self.kernel!r} has no gamma; leave gammas out")
        if "gamma" in (self.kernel_params or {}):
            raise InvalidInput("kernel_params holds 'gamma', which gammas would not change; give one of both")
        gammas = np.asarray(as_real_array(self.gammas, "gammas", InvalidInput), np.float64)
        if gammas.ndim != 1 or not gammas.size or not np.all((gammas > 0) & np.isfinite(gammas)):
            raise InvalidInput(f"gammas are {self.gammas!r}; give positive numbers")
        return [float(gamma) for gamma in gammas]


class SelfDistilledKernelRegressorCV(Regression, _Searched):
    """Kernel regression distilled into itself, with kernel, tolerance and round chosen from the training data.

    Parameters
    ----------
    kernel, degree, coef0, kernel_params, fit_intercept
        As in :class:`hilbertsd.SelfDistilledKernelRegressor`.
    gammas : values of the kernel's gamma to try; None for the kernel's default alone.
    relative_tolerances : fractions ε to try, as in :func:`hilbertsd.choose_rounds`; None for 0.02, 0.04, …, 0.98.
    max_rounds : largest number of fits of a path; None for all until collapse, 1 for plain kernel ridge regression.
    criterion : "auto" for leave-one-out, by products for generalised cross-validation; or as in
        :func:`hilbertsd.choose_rounds`. The intercept is of all samples.
    mixing : None to predict with the chosen round; or a criterion, to predict with the best mixture of the rounds of
        the chosen path; needs `max_rounds`.
    method : "exact", "krylov", or "auto", which works by products beyond n = 4,000 where `relative_tolerances` are
        given and no criterion needs all eigenvalues. Give tolerances above the share of noise in the targets: the
        smallest one says how many products are made, and NotConverged is raised where 4,000 vectors do not do.

    Attributes
    ----------
    gamma_, relative_tolerance_ : the chosen ones; gamma_ is None where `gammas` is.
    n_rounds_ : number of fits up to the chosen round; with mixing of the whole path.
    lowest_score_ : of all candidates; as the lowest of many too low for an estimate of what new points would show.
    lowest_score_standard_error_ : of a score that is estimated from random vectors; None for others.
    scores_ : (n_gammas,) lowest score of each gamma; infinity where all tolerances are at or below its kernel's floor.
    path_, mixture_, intercept_, X_fit_, n_features_in_, feature_names_in_
        As in :class:`hilbertsd.SelfDistilledKernelRegressor`.

    Source: MFB, arXiv:2002.05715, §2-3; for leave-one-out :mod:`hilbertsd.analysis.cross_validation`.
    """


class SelfDistilledKernelClassifierCV(Classification, _Searched):
    """Classification by self-distilled kernel regression on one-hot targets, chosen from the training data.

    The criterion is that of the regression: the squared error of the scores, not the share of wrong labels.

    Parameters and attributes
    -------------------------
    As in :class:`SelfDistilledKernelRegressorCV`; and classes_ : (n_classes,) labels in the order of the scores.
    """

"""Self-distilled kernel regression in scikit-learn's form, of one kernel and tolerance: thin wrappers over `distill`.

    model = SelfDistilledKernelRegressor(kernel="rbf", gamma=0.2, relative_tolerance=0.1, n_rounds=3)
    model.fit(X, y)
    model.predict(X_new)  # round 2, the last of three
    for predictions in model.staged_predict(X_new):  # rounds 0, 1 and 2
        print(mean_squared_error(y_new, predictions))
    SelfDistilledKernelRegressor(n_rounds="auto")  # as many rounds as leave-one-out prefers
    SelfDistilledKernelRegressor(n_rounds=2, mixing="auto")  # the best mixture of two rounds

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

import functools
import numbers
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.analysis.criteria import Criterion, best_round
from hilbertsd.distillation.chain import distill, largest_tolerance
from hilbertsd.errors import CollapseWarning, InfeasibleTolerance, InvalidInput, InvalidTolerance
from hilbertsd.estimators.base import Classification, KernelModel, Regression, named
from hilbertsd.gram.operators import as_operator
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import check_whole

P = ParamSpec("P")


def _refuse_tolerance(parameters: Mapping[str, Any]) -> None:
    """Raise InvalidTolerance for the parameter `tolerance`, whose name the fraction had until 0.1."""
    if "tolerance" in parameters:
        raise InvalidTolerance(
            f"tolerance={parameters['tolerance']!r} is named relative_tolerance={parameters['tolerance']!r} since "
            "version 0.2: ε as a fraction of the centred targets' mean square"
        )


def _without_tolerance(
    init: Callable[Concatenate["_Fixed", P], None],
) -> Callable[Concatenate["_Fixed", P], None]:
    """Constructor that refuses `tolerance` with its new name, and has the signature of the one given."""

    @functools.wraps(init)
    def refusing(self: "_Fixed", *arguments: P.args, **parameters: P.kwargs) -> None:
        _refuse_tolerance(parameters)
        init(self, *arguments, **parameters)

    return refusing


class _Fixed(KernelModel):
    """Parameters of an estimator whose kernel and tolerance are given."""

    @_without_tolerance
    def __init__(
        self,
        kernel: str | Callable[..., Any] = "rbf",
        *,
        gamma: float | None = None,
        degree: float = 3,
        coef0: float = 1,
        kernel_params: dict[str, Any] | None = None,
        relative_tolerance: float = 0.1,
        n_rounds: int | str | Criterion = 2,
        mixing: str | Criterion | None = None,
        method: str = "auto",
        fit_intercept: bool = True,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.relative_tolerance = relative_tolerance
        self.n_rounds = n_rounds
        self.mixing = mixing
        self.method = method
        self.fit_intercept = fit_intercept

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, as everywhere in scikit-learn.

        Raises InvalidTolerance for `tolerance`, which is named `relative_tolerance`.
        """
        _refuse_tolerance(params)
        return super().set_params(**params)

    @property
    def _gamma(self) -> float | None:
        return self.gamma

    def _fit_path(self, X: Any, targets: NDArray[np.float64]) -> None:
        _refuse_tolerance(vars(self))
        chosen = not isinstance(self.n_rounds, numbers.Real)
        most: Any = None if chosen else self.n_rounds
        if chosen:
            named(self.n_rounds, "n_rounds")
        else:
            check_whole(most, "n_rounds", InvalidTolerance)
        if self.mixing is not None:
            named(self.mixing, "mixing")
            if chosen:
                raise InvalidInput(
                    f"mixing={self.mixing!r} mixes all rounds and n_rounds={self.n_rounds!r} chooses one; give a "
                    "number of rounds"
                )
        centred, mean = self._centred(X, targets)
        method = self._method(self.n_rounds, self.mixing)
        matrix = self._kernel_matrix(X, self.gamma, method)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)  # worded below for any round
            path = distill(
                matrix,
                centred,
                relative_tolerance=self.relative_tolerance,
                max_rounds=most,
                method=method,
            )
        operator = None if path.spectrum.is_whole else as_operator(matrix, centred)
        n_rounds = int(most) if most else 1
        if chosen and path.n_rounds:
            n_rounds = best_round(path, self._judge("n_rounds", path, operator)) + 1
        if path.n_rounds < (n_rounds if self.mixing is None else 1):
            self._warn_of_collapse(path, n_rounds, _remedy(path.spectrum, n_rounds))
        self._keep(path, n_rounds, mean, X, operator)


class SelfDistilledKernelRegressor(Regression, _Fixed):
    """Kernel regression distilled into itself for a number of rounds.

    Each round minimises the norm of f in the kernel's Hilbert space subject to a bound on its mean squared
    training error, then hands its predictions to the next round as targets.

    Parameters
    ----------
    kernel : name of a scikit-learn pairwise kernel, "precomputed" (the way for sparse X, too), or a callable
        k(X, Y) that returns the (n, m) matrix of kernel values, as the functions of hilbertsd.greens do.
    gamma, degree, coef0 : parameters of the named kernels that have them.
    kernel_params : further keyword arguments of the kernel.
    relative_tolerance : ε as a fraction of the centred targets' mean square, which sums over outputs; below 1, or the
        fit is the intercept alone.
    n_rounds : number of fits: 1 is round 0 alone, plain kernel regression, and n_rounds=2 rounds 0 and 1, one round of
        self-distillation. Or the name of a criterion ("loo", "gcv", "folds", "sure"; "auto" is "loo"), which chooses it
        among all rounds until collapse.
    mixing : None to predict with the last round; or a criterion, "auto" or one of :func:`hilbertsd.score_rounds`, to
        predict with the weighted sum of all n_rounds that is best by it.
    method : as in :func:`hilbertsd.distill`: "exact" decomposes the kernel matrix, "krylov" works by products with it,
        and "auto" decomposes up to n = 4,000, for criteria that need all eigenvalues ("loo", "sure"), and with a
        MethodWarning where products do not converge, as for an ε below the noise of the targets. By products criteria
        "auto" and "gcv" are generalised cross-validation, estimated from random vectors
        (:class:`hilbertsd.StochasticCrossValidation`).
    fit_intercept : centre the targets first and add their mean to every prediction.

    Attributes
    ----------
    path_ : DistillationPath of the centred targets.
    intercept_ : float or (n_outputs,).
    n_rounds_ : number of fits, as given when fitted or chosen.
    mixture_ : :class:`hilbertsd.Mixture`, None without mixing.
    X_fit_ : training inputs ("precomputed": the training kernel matrix).
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Source: MFB, arXiv:2002.05715, §2-3.
    """


class SelfDistilledKernelClassifier(Classification, _Fixed):
    """Classification by self-distilled kernel regression on one-hot targets.

    The columns share one training-error constraint and are centred by the class frequencies. Scores are
    regression outputs, not probabilities, so there is no `predict_proba`.

    Parameters
    ----------
    kernel, gamma, degree, coef0, kernel_params, relative_tolerance, n_rounds, mixing, method, fit_intercept
        As in :class:`SelfDistilledKernelRegressor`.

    Attributes
    ----------
    classes_ : (n_classes,) labels in the order of the scores.
    path_, intercept_, n_rounds_, mixture_, X_fit_, n_features_in_, feature_names_in_
        As in :class:`SelfDistilledKernelRegressor`, with one output per class.

    Source: MFB, arXiv:2002.05715; one constraint for all classes together is our reading of §3.6.
    """


def _remedy(spectrum: Spectrum, n_rounds: int) -> str:
    """Say which relative_tolerance would not collapse."""
    if not spectrum.is_whole:
        return "use a smaller relative_tolerance, or fewer rounds"
    try:
        largest = largest_tolerance(spectrum, n_rounds) / spectrum.target_mean_square
    except InfeasibleTolerance:
        return f"no relative_tolerance above the floor gives {n_rounds} rounds: use fewer"
    return f"the largest relative_tolerance that would not is {largest:.4g}"

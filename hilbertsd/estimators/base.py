"""What the estimators share: kernels, centring, a fitted path and its predictions; regression and classification."""

import numbers
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics.pairwise import KERNEL_PARAMS
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from hilbertsd.analysis.criteria import NAMED, Criterion, criterion_of
from hilbertsd.analysis.mixing import Mixture, mix_rounds
from hilbertsd.analysis.stochastic import by_products, needs_whole
from hilbertsd.distillation.centring import centred_targets
from hilbertsd.distillation.chain import METHODS, fits_memory
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import CollapseWarning, InvalidInput, InvalidTargets
from hilbertsd.gram.named import kernel_values
from hilbertsd.gram.operators import ComputedKernel, KernelOperator
from hilbertsd.support.checks import as_real_array, check_choice


def named(criterion: Any, parameter: str, by_krylov: bool = False) -> Criterion:
    """Criterion of a parameter, where "auto" is leave-one-out, for a Krylov path generalised cross-validation.

    Raises InvalidInput for another name.
    """
    auto = isinstance(criterion, str) and criterion == "auto"
    return criterion_of(("gcv" if by_krylov else "loo") if auto else criterion, parameter, ("auto",))


def _given_and_needs_whole(criterion: Any) -> bool:
    """Whether a parameter is a criterion, but for "auto", that has no form for a Krylov path."""
    return needs_whole(NAMED.get(criterion, criterion) if isinstance(criterion, str) else criterion)


class KernelModel(BaseEstimator, ABC):
    """Kernel, centring, the fitted path and its predictions.

    Subclasses have the parameters `kernel`, `degree`, `coef0`, `kernel_params`, `mixing`, `method` and `fit_intercept`.
    """

    kernel: str | Callable[..., Any]
    degree: float
    coef0: float
    kernel_params: dict[str, Any] | None
    mixing: str | Criterion | None
    method: str
    fit_intercept: bool

    @abstractmethod
    def _fit_path(self, X: Any, targets: NDArray[np.float64]) -> None:
        """Distil targets into themselves and :meth:`_keep` what comes of it."""

    @property
    @abstractmethod
    def _gamma(self) -> float | None:
        """Gamma of the fitted kernel."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self._is_precomputed()
        return tags

    def _is_precomputed(self) -> bool:
        return isinstance(self.kernel, str) and self.kernel == "precomputed"

    def _validated(self, X: Any, y: Any = None, **options: Any) -> Any:
        """Return validate_data's result, its complaints as hilbertsd's error."""
        given = {} if y is None else {"y": y}
        # validate_data drops masks, and so would take the values under them for data.
        for name, values, error in (("X", X, InvalidInput), ("y", y, InvalidTargets)):
            if isinstance(values, np.ma.MaskedArray):
                as_real_array(values, name, error)
        # A kernel matrix keeps its precision, which says how exact its entries are.
        dtype = [np.float64, np.float32] if self._is_precomputed() else np.float64
        try:
            return validate_data(self, X, **given, dtype=dtype, **options)
        except ValueError as error:
            raise InvalidInput(str(error)) from error

    def _kernel_values(self, X: Any, Y: Any, gamma: float | None) -> NDArray[np.float64]:
        options = {"gamma": gamma, "degree": self.degree, "coef0": self.coef0}
        further = self.kernel_params or {}
        if callable(self.kernel):
            return kernel_values(self.kernel, X, Y, further)
        if further and isinstance(self.kernel, str) and (self.kernel in KERNEL_PARAMS or self._is_precomputed()):
            known = sorted(KERNEL_PARAMS.get(self.kernel, ()))
            unknown = ", ".join(repr(name) for name in further if name not in known)
            if unknown:
                raise InvalidInput(
                    f"kernel_params holds {unknown}; kernel {self.kernel!r} has the parameters: "
                    f"{', '.join(known) or 'none'}"
                )
        return kernel_values(self.kernel, X, Y, {**options, **further})

    def _method(self, *criteria: Any) -> str:
        """Method for :func:`hilbertsd.distill`: "auto" is "exact" where a criterion needs all eigenvalues.

        Raises InvalidInput for an unknown method, and for "krylov" with such a criterion.
        """
        check_choice(self.method, "method", METHODS)
        whole = [criterion for criterion in criteria if _given_and_needs_whole(criterion)]
        if whole and self.method == "krylov":
            raise InvalidInput(
                f"criterion {whole[0]!r} needs all eigenvalues, which method='krylov' does not find; give 'gcv', "
                "'folds' or a Holdout, or method='exact'"
            )
        return "exact" if whole else self.method

    def _kernel_matrix(self, X: Any, gamma: float | None, method: str) -> NDArray[np.floating] | KernelOperator:
        """Kernel matrix of the training points; computed in every product where memory has no room to decompose it."""
        if method == "exact" or self._is_precomputed() or fits_memory(X.shape[0]):
            return self._kernel_values(X, X, gamma)
        return ComputedKernel(lambda A, B: self._kernel_values(A, B, gamma), X)

    def _centred(self, X: Any, targets: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
        """Targets minus the intercept, and the intercept."""
        if X.shape[0] == 1:
            raise InvalidTargets("X has n_samples=1; a fit needs at least 2 samples")
        return centred_targets(targets) if self.fit_intercept else (targets, np.zeros(targets.shape[1:]))

    def _keep(
        self, path: DistillationPath, n_rounds: int, intercept: Any, X: Any, operator: KernelOperator | None
    ) -> None:
        """Fitted attributes; the operator is that of a Krylov path."""
        self.path_ = path
        self.n_rounds_ = n_rounds
        self.mixture_: Mixture | None = None
        if self.mixing is not None and path.n_rounds:
            self.mixture_ = mix_rounds(path, criterion=self._judge("mixing", path, operator))
        self.intercept_ = intercept
        self.X_fit_ = X

    def _judge(self, parameter: str, path: DistillationPath, operator: KernelOperator | None) -> Criterion:
        """Criterion of a parameter, as the path can have it."""
        criterion = named(getattr(self, parameter), parameter, by_krylov=operator is not None)
        return criterion if operator is None else by_products(criterion, path, operator)

    def _stages(self, X: Any) -> Iterator[NDArray[np.float64]]:
        cross_kernel = self._cross_kernel(X)
        for index in range(self.n_rounds_):
            yield self._outputs(cross_kernel, index)

    def _stage(self, X: Any, round: int | None) -> NDArray[np.float64]:  # noqa: A002
        """Outputs of one round; None is the mixture, or the last round, whose collapse `fit` has announced."""
        check_is_fitted(self)
        if round is not None:
            if isinstance(round, numbers.Integral) and -self.n_rounds_ <= round < 0:
                round = int(round) + self.n_rounds_  # noqa: A001
            self.path_.warned_index(round)
        cross_kernel = self._cross_kernel(X)
        if round is None and self.mixture_ is not None:
            return self.mixture_.predict(cross_kernel) + self.intercept_
        return self._outputs(cross_kernel, self.n_rounds_ - 1 if round is None else round)

    def _cross_kernel(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        return self._kernel_values(self._validated(X, reset=False), self.X_fit_, self._gamma)

    def _outputs(self, cross_kernel: NDArray[np.float64], round: int) -> NDArray[np.float64]:  # noqa: A002
        return self.path_.spectrum.predict(cross_kernel, self.path_.dual_coefficients(round)) + self.intercept_

    def _warn_of_collapse(self, path: DistillationPath, n_rounds: int, remedy: str) -> None:
        """Say that rounds asked for are the intercept alone; four frames below who called `fit`."""
        warnings.warn(
            f"relative_tolerance {path.relative_tolerance:.6g} collapses at round {path.n_rounds}, after "
            f"{path.n_rounds} of n_rounds={n_rounds} rounds, so that predictions are the intercept alone; {remedy}",
            CollapseWarning,
            stacklevel=4,
        )


class Regression(RegressorMixin, KernelModel):
    """Fit and predictions of a regressor."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on X (n, n_features), or (n, n) if precomputed, and y (n,) or (n, n_outputs).

        Raises InvalidInput and its kin for unusable data; warns CollapseWarning if the solution collapses before a
        number of rounds that was given, and then says the largest relative_tolerance that would not.
        """
        X, y = self._validated(X, _required(y), multi_output=True, y_numeric=True)
        self._fit_path(X, as_real_array(y, "y", InvalidTargets).astype(np.float64))
        return self

    def predict(self, X: Any, round: int | None = None) -> NDArray[np.float64]:  # noqa: A002
        """Predictions of a round, (n_query,) or (n_query, n_outputs); X may be a cross kernel.

        round : t from 0 to n_rounds_ − 1, as `path_` shows them, negative from the last of these; where None the last,
            or the mixture of all with `mixing`. From the collapse round on they are the intercept.
        """
        return self._stage(X, round)

    def staged_predict(self, X: Any) -> Iterator[NDArray[np.float64]]:
        """Yield the predictions of rounds 0 to n_rounds − 1; without mixing the last equals :meth:`predict`."""
        yield from self._stages(X)


class Classification(ClassifierMixin, KernelModel):
    """Fit and predictions of a classifier, by regression on one-hot targets."""

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on X (n, n_features), or (n, n) if precomputed, and labels y (n,) of at least two classes.

        Raises and warns as :meth:`SelfDistilledKernelRegressor.fit`.
        """
        X, y = self._validated(X, _required(y))
        try:
            check_classification_targets(y)
        except ValueError as error:
            raise InvalidTargets(str(error)) from error
        binarizer = LabelBinarizer().fit(y)
        self.classes_ = binarizer.classes_
        if len(self.classes_) < 2:
            raise InvalidTargets(f"y has 1 class ({self.classes_[0]!r}); a classifier needs at least two classes")
        one_hot = np.asarray(binarizer.transform(y), dtype=np.float64)
        self._fit_path(X, np.hstack([1 - one_hot, one_hot]) if one_hot.shape[1] == 1 else one_hot)
        return self

    def decision_function(self, X: Any, round: int | None = None) -> NDArray[np.float64]:  # noqa: A002
        """Scores of a round: (n_query, n_classes), for two classes (n_query,), positive for the second.

        round : as in :meth:`SelfDistilledKernelRegressor.predict`.
        """
        return _scores(self._stage(X, round))

    def predict(self, X: Any, round: int | None = None) -> NDArray[Any]:  # noqa: A002
        """Labels with the highest score, (n_query,); round as in :meth:`SelfDistilledKernelRegressor.predict`."""
        return self._labels(self._stage(X, round))

    def staged_decision_function(self, X: Any) -> Iterator[NDArray[np.float64]]:
        """Yield the scores of every round; the last equals :meth:`decision_function`."""
        yield from map(_scores, self._stages(X))

    def staged_predict(self, X: Any) -> Iterator[NDArray[Any]]:
        """Yield the labels of every round; the last equals :meth:`predict`."""
        yield from map(self._labels, self._stages(X))

    def _labels(self, outputs: NDArray[np.float64]) -> NDArray[Any]:
        return self.classes_[np.argmax(outputs, axis=1)]


def _scores(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs


def _required(y: Any) -> Any:
    if y is None:
        raise InvalidTargets("requires y to be passed, but the target y is None")
    return y

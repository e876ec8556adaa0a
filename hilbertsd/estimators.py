"""Self-distilled kernel regression in scikit-learn's form: thin wrappers over `distill`.

    model = SelfDistilledKernelRegressor(kernel="rbf", gamma=0.2, relative_tolerance=0.1, n_rounds=3)
    model.fit(X, y)
    model.predict(X_new)  # round 2, the last of three
    for predictions in model.staged_predict(X_new):  # rounds 0, 1 and 2
        print(mean_squared_error(y_new, predictions))

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Concatenate, ParamSpec, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics.pairwise import KERNEL_PARAMS
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from hilbertsd.distillation.centring import centred_targets
from hilbertsd.distillation.chain import distill_spectrum, largest_tolerance
from hilbertsd.errors import CollapseWarning, InfeasibleTolerance, InvalidInput, InvalidTargets, InvalidTolerance
from hilbertsd.gram.named import kernel_values
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import as_real_array, check_whole

P = ParamSpec("P")


def _refuse_tolerance(parameters: Mapping[str, Any]) -> None:
    """Raise InvalidTolerance for the parameter `tolerance`, whose name the fraction had until 0.1."""
    if "tolerance" in parameters:
        raise InvalidTolerance(
            f"tolerance={parameters['tolerance']!r} is named relative_tolerance={parameters['tolerance']!r} since "
            "version 0.2: ε as a fraction of the centred targets' mean square"
        )


def _without_tolerance(
    init: Callable[Concatenate["_SelfDistilledKernelModel", P], None],
) -> Callable[Concatenate["_SelfDistilledKernelModel", P], None]:
    """Constructor that refuses `tolerance` with its new name, and has the signature of the one given."""

    @functools.wraps(init)
    def refusing(self: "_SelfDistilledKernelModel", *arguments: P.args, **parameters: P.kwargs) -> None:
        _refuse_tolerance(parameters)
        init(self, *arguments, **parameters)

    return refusing


class _SelfDistilledKernelModel(BaseEstimator):
    """What regressor and classifier share: kernel, centring, the path and its predictions."""

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
        n_rounds: int = 2,
        fit_intercept: bool = True,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.kernel_params = kernel_params
        self.relative_tolerance = relative_tolerance
        self.n_rounds = n_rounds
        self.fit_intercept = fit_intercept

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, as everywhere in scikit-learn.

        Raises InvalidTolerance for `tolerance`, which is named `relative_tolerance`.
        """
        _refuse_tolerance(params)
        return super().set_params(**params)

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

    def _kernel_values(self, X: Any, Y: Any) -> NDArray[np.float64]:
        named = {"gamma": self.gamma, "degree": self.degree, "coef0": self.coef0}
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
        return kernel_values(self.kernel, X, Y, {**named, **further})

    def _fit_path(self, X: Any, targets: NDArray[np.float64]) -> None:
        _refuse_tolerance(vars(self))
        n_samples = X.shape[0]
        if n_samples == 1:
            raise InvalidTargets("X has n_samples=1; a fit needs at least 2 samples")
        check_whole(self.n_rounds, "n_rounds", InvalidTolerance)
        centred, mean = centred_targets(targets) if self.fit_intercept else (targets, np.zeros(targets.shape[1:]))
        spectrum = Spectrum.from_kernel(self._kernel_values(X, X), centred)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CollapseWarning)  # worded below for any round
            path = distill_spectrum(spectrum, relative_tolerance=self.relative_tolerance, max_rounds=int(self.n_rounds))
        if path.n_rounds < self.n_rounds:
            warnings.warn(
                f"relative_tolerance {self.relative_tolerance:.6g} collapses at round {path.n_rounds}, after "
                f"{path.n_rounds} of n_rounds={self.n_rounds} rounds, so that predictions are the intercept alone; "
                f"{_remedy(spectrum, int(self.n_rounds))}",
                CollapseWarning,
                stacklevel=3,
            )
        self.path_ = path
        self.n_rounds_ = int(self.n_rounds)
        self.intercept_ = mean
        self.X_fit_ = X

    def _stages(self, X: Any) -> Iterator[NDArray[np.float64]]:
        check_is_fitted(self)
        cross_kernel = self._kernel_values(self._validated(X, reset=False), self.X_fit_)
        for index in range(self.n_rounds_):
            yield self._outputs(cross_kernel, index)

    def _stage(self, X: Any, round: int | None) -> NDArray[np.float64]:  # noqa: A002
        """Outputs of one round; None is the last, whose collapse `fit` has announced."""
        check_is_fitted(self)
        if round is not None:
            self.path_.warned_index(round)
        cross_kernel = self._kernel_values(self._validated(X, reset=False), self.X_fit_)
        return self._outputs(cross_kernel, self.n_rounds_ - 1 if round is None else round)

    def _outputs(self, cross_kernel: NDArray[np.float64], round: int) -> NDArray[np.float64]:  # noqa: A002
        return self.path_.spectrum.predict(cross_kernel, self.path_.dual_coefficients(round)) + self.intercept_


class SelfDistilledKernelRegressor(RegressorMixin, _SelfDistilledKernelModel):
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
        self-distillation.
    fit_intercept : centre the targets first and add their mean to every prediction.

    Attributes
    ----------
    path_ : DistillationPath of the centred targets.
    intercept_ : float or (n_outputs,).
    n_rounds_ : n_rounds as it was when fitted.
    X_fit_ : training inputs ("precomputed": the training kernel matrix).
    n_features_in_, feature_names_in_ : as everywhere in scikit-learn.

    Source: MFB, arXiv:2002.05715, §2-3.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on X (n, n_features), or (n, n) if precomputed, and y (n,) or (n, n_outputs).

        Raises InvalidInput and its kin for unusable data; warns CollapseWarning if the solution collapses
        before n_rounds, and then says the largest relative_tolerance that would not.
        """
        X, y = self._validated(X, _required(y), multi_output=True, y_numeric=True)
        self._fit_path(X, as_real_array(y, "y", InvalidTargets).astype(np.float64))
        return self

    def predict(self, X: Any, round: int | None = None) -> NDArray[np.float64]:  # noqa: A002
        """Predictions of a round, (n_query,) or (n_query, n_outputs); X may be a cross kernel.

        round : t from 0 to n_rounds − 1, as `path_` shows them; the last where None. From the collapse round on they
            are the intercept.
        """
        return self._stage(X, round)

    def staged_predict(self, X: Any) -> Iterator[NDArray[np.float64]]:
        """Yield the predictions of rounds 0 to n_rounds − 1; the last equals :meth:`predict`."""
        yield from self._stages(X)


class SelfDistilledKernelClassifier(ClassifierMixin, _SelfDistilledKernelModel):
    """Classification by self-distilled kernel regression on one-hot targets.

    The columns share one training-error constraint and are centred by the class frequencies. Scores are
    regression outputs, not probabilities, so there is no `predict_proba`.

    Parameters
    ----------
    kernel, gamma, degree, coef0, kernel_params, relative_tolerance, n_rounds, fit_intercept
        As in :class:`SelfDistilledKernelRegressor`.

    Attributes
    ----------
    classes_ : (n_classes,) labels in the order of the scores.
    path_, intercept_, n_rounds_, X_fit_, n_features_in_, feature_names_in_
        As in :class:`SelfDistilledKernelRegressor`, with one output per class.

    Source: MFB, arXiv:2002.05715; one constraint for all classes together is our reading of §3.6.
    """

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


def _remedy(spectrum: Spectrum, n_rounds: int) -> str:
    """Say which relative_tolerance would not collapse."""
    try:
        largest = largest_tolerance(spectrum, n_rounds) / spectrum.target_mean_square
    except InfeasibleTolerance:
        return f"no relative_tolerance above the floor gives {n_rounds} rounds: use fewer"
    return f"the largest relative_tolerance that would not is {largest:.4g}"

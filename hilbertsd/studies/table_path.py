"""A user's table distilled: training and test error by round."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.tables import Table, standardised_columns
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import CollapseWarning, InvalidInput
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.machine import physical_memory


@dataclass(frozen=True)
class Config:
    """Configuration.

    Attributes
    ----------
    kernel : name of a scikit-learn pairwise kernel.
    gamma : its parameter of that name, None for its default 1/n_features.
    tolerance : ε as a fraction of the training targets' mean square after centring.
    test_fraction : share of the rows held out, drawn at random.
    seed : of that draw.
    """

    kernel: str = "rbf"
    gamma: float | None = None
    tolerance: float = 0.1
    test_fraction: float = 0.25
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Result:
    """Path on the training rows and errors on both parts.

    Attributes
    ----------
    path : of the centred training targets, in the target's units.
    test_errors : (T,) mean squared error of each fit on the test rows, None without test rows.
    mean_test_error : that of the training mean alone, what every fit from the collapse round on has.
    """

    config: Config
    target_name: str
    feature_names: tuple[str, ...]
    n_train: int
    n_test: int
    path: DistillationPath
    test_errors: NDArray[np.float64] | None
    mean_test_error: float | None

    def rows(self) -> list[dict[str, float]]:
        """One dictionary per round."""
        rows = [dict(row) for row in self.path.rows()]
        if self.test_errors is not None:
            for row, error in zip(rows, self.test_errors, strict=True):
                row["test_error"] = float(error)
        return rows

    @property
    def best_test_round(self) -> int | None:
        """Round with the lowest test error, None without test rows or rounds."""
        return None if self.test_errors is None or not self.test_errors.size else int(np.argmin(self.test_errors))

    def to_dict(self) -> dict[str, Any]:
        """Numbers ready for JSON; eigenvalues and weights, one per training row, are in the saved path."""
        path = self.path.to_dict()
        del path["eigenvalues"], path["basis_weights"]
        return {
            "target": self.target_name,
            "features": list(self.feature_names),
            "n_train": self.n_train,
            "n_test": self.n_test,
            **path,
            "test_errors": None if self.test_errors is None else self.test_errors.tolist(),
            "mean_test_error": self.mean_test_error,
            "best_test_round": self.best_test_round,
        }


@dataclass(frozen=True, eq=False)
class Prepared:
    """A table ready to be distilled: split, standardised, centred, decomposed.

    Attributes
    ----------
    spectrum : of the training rows' kernel matrix and centred targets, in the target's units.
    cross_kernel : (n_test, n_train) kernel values, None without test rows.
    test_targets : (n_test,) minus the training mean.
    """

    spectrum: Spectrum
    cross_kernel: NDArray[np.float64] | None
    test_targets: NDArray[np.float64]


def prepare(table: Table, config: Config) -> Prepared:
    """Split, standardise by the training rows, and decompose; errors as :func:`run`."""
    from hilbertsd.estimators import centred_targets
    from hilbertsd.gram.named import kernel_values

    train, test = _split(len(table.targets), config)
    _check_memory(len(train))
    features = standardised_columns(table.features, train)
    parameters = {"gamma": config.gamma}
    centred, intercept = centred_targets(table.targets[train])
    kernel_matrix = kernel_values(config.kernel, features[train], features[train], parameters)
    cross_kernel = kernel_values(config.kernel, features[test], features[train], parameters) if len(test) else None
    return Prepared(Spectrum.from_kernel(kernel_matrix, centred), cross_kernel, table.targets[test] - intercept)


def distilled(prepared: Prepared, config: Config) -> DistillationPath:
    """Path at the configured fraction of the targets' mean square; errors and warnings as :func:`run`."""
    from hilbertsd.estimators import fractional_path

    path = fractional_path(prepared.spectrum, config.tolerance)
    if path.n_rounds == 0:
        warnings.warn(
            f"the training mean already meets tolerance {config.tolerance:g} of the targets' mean square, so that the "
            "path has no round; use a tolerance below 1",
            CollapseWarning,
            stacklevel=3,
        )
    return path


def run(table: Table, config: Config) -> Result:
    """Split, standardise by the training rows, distil until collapse, predict the test rows in every round.

    Raises
    ------
    InvalidInput
        The test fraction is outside [0, 1) or leaves fewer than two training rows; the kernel is unknown; the
        kernel matrix and its eigenvectors would not fit in memory.
    InvalidTolerance, InfeasibleTolerance, InvalidTargets, NotPositiveSemidefinite
        As `distill`, the tolerance in fractions.

    Warns
    -----
    CollapseWarning
        The tolerance is 1 or more.
    """
    prepared = prepare(table, config)
    path = distilled(prepared, config)
    truth, test_errors, mean_test_error = prepared.test_targets, None, None
    if prepared.cross_kernel is not None:
        predictions = (path.predict(prepared.cross_kernel, t) for t in range(path.n_rounds))
        test_errors = np.array([_mean_square(prediction - truth) for prediction in predictions])
        mean_test_error = _mean_square(truth)
    n_train = prepared.spectrum.n_samples
    return Result(
        config, table.target_name, table.feature_names, n_train, len(truth), path, test_errors, mean_test_error
    )


def plot(result: Result, folder: Path) -> list[Path]:
    """Write errors-by-round and basis-weights-by-round as one figure, PNG and SVG."""
    from hilbertsd.support.plotting import save_figure, style

    with style():
        return save_figure(_figure(result), folder, "distill")


def _split(n_samples: int, config: Config) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    if not 0 <= config.test_fraction < 1:
        raise InvalidInput(f"test fraction is {config.test_fraction:g}; give a number of at least 0 and below 1")
    n_test = round(config.test_fraction * n_samples)
    if n_samples - n_test < 2:
        raise InvalidInput(
            f"test fraction {config.test_fraction:g} of {n_samples} rows leaves {n_samples - n_test} to train on; "
            "a fit needs at least 2: give a smaller fraction"
        )
    order = np.random.default_rng(config.seed).permutation(n_samples)
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def _check_memory(n_train: int) -> None:
    from hilbertsd.distillation.chain import MATRICES_IN_MEMORY

    needed = MATRICES_IN_MEMORY * 8 * n_train**2
    available = physical_memory()
    if available is not None and needed > available:
        raise InvalidInput(
            f"{n_train:,} training rows need about {needed / 1e9:.0f} GB for the kernel matrix and its eigenvectors "
            f"and this machine has {available / 1e9:.0f} GB; give fewer rows, for instance by a larger --test"
        )


def _mean_square(residuals: NDArray[np.float64]) -> float:
    return float(np.sum(residuals**2) / len(residuals))


def _figure(result: Result) -> Any:
    from hilbertsd.support.plotting import new_figure, round_colours, shown_rounds

    path = result.path
    rounds = np.arange(path.n_rounds)
    figure = new_figure(9, 3.4)
    errors, weights = figure.subplots(1, 2)
    errors.plot(rounds, path.training_errors, "o-", color="black", markersize=4, label="training, original targets")
    if result.test_errors is not None and result.mean_test_error is not None:
        errors.plot(rounds, result.test_errors, "s--", color="C1", markersize=4, label="test")
        errors.axhline(result.mean_test_error, color="0.5", linestyle=":", label="test, training mean alone")
    errors.set(xlabel="round t", ylabel=f"mean squared error of {result.target_name}", title="errors by round")
    errors.xaxis.get_major_locator().set_params(integer=True)
    errors.legend(loc="best" if path.n_rounds < 1000 else "upper left")
    positive = path.eigenvalues > 0
    shown = shown_rounds(path.n_rounds, 12)
    for t, colour in zip(shown, round_colours(len(shown)), strict=False):
        label = f"round {t}" if t in (0, path.n_rounds - 1) else None
        weights.semilogx(path.eigenvalues[positive], path.basis_weights[t, positive], color=colour, label=label)
    weights.set(xlabel="eigenvalue of kernel_matrix/n", ylabel="basis weight $B_t[k]$", title="what each round keeps")
    if path.n_rounds:
        weights.legend(loc="upper left")
    return figure

"""Distil a kernel regression on a table of yours: training and test error, round by round.

The command `hilbertsd distill` writes result.json, path.npz and the figure where it is given a folder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.studies import form
from hilbertsd.studies.table_path import TableConfig, distilled, prepare
from hilbertsd.support.plotting import new_figure, round_colours, shown_rounds


@dataclass(frozen=True)
class Config(TableConfig):
    """Which table, kernel and ε, and how its rows are split."""

    test: float = form.option(0.25, "Fraction of the rows to hold out.")
    seed: int = form.option(0, "Seed of the random split.", least=0)


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Path on the training rows and errors on both parts.

    Attributes
    ----------
    feature_names : name of every feature.
    path : distillation path of the centred training targets, in the target's units.
    n_test : number of test rows.
    test_errors : (T,) mean squared error of each fit on the test rows, None without test rows.
    mean_test_error : test error of the training mean alone, which every fit from the collapse round on has.
    """

    feature_names: tuple[str, ...]
    path: DistillationPath
    n_test: int
    test_errors: NDArray[np.float64] | None
    mean_test_error: float | None

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per round."""
        rows: list[dict[str, Any]] = [dict(row) for row in self.path.rows()]
        if self.test_errors is not None:
            for row, error in zip(rows, self.test_errors, strict=True):
                row["test_error"] = float(error)
        return rows

    @property
    def best_test_round(self) -> int | None:
        """Round with the lowest test error, None without test rows or rounds."""
        return None if self.test_errors is None or not self.test_errors.size else int(np.argmin(self.test_errors))

    def headline(self) -> list[str]:
        """Size of the problem, kernel and ε."""
        config, spectrum = self.config, self.path.spectrum
        return [
            f"{spectrum.n_samples} training and {self.n_test} test rows, {len(self.feature_names)} standardised "
            f"features, {config.kernel} kernel, ε = {self.path.tolerance:.6g}, that is {config.relative_tolerance:g} "
            f"of the mean square {spectrum.target_mean_square:.6g} of {config.target}"
        ]

    def closing(self) -> list[str]:
        """Rounds of collapse and of the lowest test error."""
        ending = f"collapse at round {self.path.collapse_round}: the training mean alone from there on"
        if self.mean_test_error is not None:
            ending += f" (test error {self.mean_test_error:.6g})"
        return [
            ending,
            *([] if self.best_test_round is None else [f"lowest test error in round {self.best_test_round}"]),
        ]

    def numbers(self) -> dict[str, Any]:
        """Numbers by round; eigenvalues and weights, one per training row, are in the saved path."""
        path = self.path.to_dict()
        del path["eigenvalues"], path["basis_weights"]
        return {
            "target": self.config.target,
            "features": list(self.feature_names),
            "n_train": self.path.spectrum.n_samples,
            "n_test": self.n_test,
            **path,
            "test_errors": None if self.test_errors is None else self.test_errors.tolist(),
            "mean_test_error": self.mean_test_error,
            "best_test_round": self.best_test_round,
        }


def run(config: Config) -> Result:
    """Distil the training rows until collapse and predict the test rows in every round.

    Raises and warns as :func:`hilbertsd.studies.table_path.prepare` and `distilled`.
    """
    prepared = prepare(config, config.test, config.seed)
    path = distilled(prepared, config)
    truth, test_errors, mean_test_error = prepared.test_targets, None, None
    if prepared.cross_kernel is not None:
        predictions = (path.predict(prepared.cross_kernel, t) for t in range(path.n_rounds))
        test_errors = np.array([_mean_square(prediction - truth) for prediction in predictions])
        mean_test_error = _mean_square(truth)
    return Result(config, prepared.feature_names, path, len(truth), test_errors, mean_test_error)


def _mean_square(residuals: NDArray[np.float64]) -> float:
    """Sum of squares over the number of rows."""
    return float(np.sum(residuals**2) / len(residuals))


def figures(result: Result) -> dict[str, Any]:
    """Errors by round, and basis weights by round."""
    path = result.path
    rounds = np.arange(path.n_rounds)
    figure = new_figure(9, 3.4)
    errors, weights = figure.subplots(1, 2)
    errors.plot(rounds, path.training_errors, "o-", color="black", markersize=4, label="training, original targets")
    if result.test_errors is not None and result.mean_test_error is not None:
        errors.plot(rounds, result.test_errors, "s--", color="C1", markersize=4, label="test")
        errors.axhline(result.mean_test_error, color="0.5", linestyle=":", label="test, training mean alone")
    errors.set(xlabel="round t", ylabel=f"mean squared error of {result.config.target}", title="errors by round")
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
    return {"distill": figure}


def _save(result: Result, folder: Path) -> list[Path]:
    """Write the path, whose eigenvalues and weights result.json leaves out."""
    return [result.path.save(folder / "path.npz")]


STUDY = form.Study("distill", __doc__, Config, run, figures, save=_save, is_own_command=True)

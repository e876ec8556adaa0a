"""Distil a kernel regression on a table of yours: training and test error, round by round.

The command `hilbertsd distill` writes result.json, the figure and model.npz, from which `hilbertsd predict` predicts,
where it is given a folder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import plot
from hilbertsd.analysis.cross_validation import leave_one_out_errors
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.distillation.path_page import FitCurves, path_sections
from hilbertsd.pages.page import Section
from hilbertsd.studies import form
from hilbertsd.studies.table_path import TableConfig, described, distilled, prepare
from hilbertsd.support.plotting import new_figure

if TYPE_CHECKING:
    from hilbertsd.table_model import TableModel

GRID_POINTS = 300
"""Points of the fits along one feature."""


@dataclass(frozen=True)
class Config(TableConfig):
    """Which table, kernel and ε, and how its rows are split."""

    test: float = form.option(0.25, "Fraction of the rows to hold out.")
    seed: int = form.option(0, "Seed of the random split.", least=0)


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Model of the training rows and errors on both parts.

    Attributes
    ----------
    model : the path of the centred training targets, in the target's units, and what predictions need beside it.
    test_errors : (T+1,) mean squared error on the test rows of each fit and, last, of the training mean alone, which
        every fit from the collapse round on is; None without test rows.
    """

    model: "TableModel"
    test_errors: NDArray[np.float64] | None

    @property
    def path(self) -> DistillationPath:
        """Distillation path of the training rows."""
        return self.model.path

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per round."""
        rows = [
            {**row, "leave_one_out_error": float(error)}
            for row, error in zip(self.path.rows(), self.model.leave_one_out_errors, strict=False)
        ]
        if self.test_errors is not None:
            rows = [{**row, "test_error": float(e)} for row, e in zip(rows, self.test_errors, strict=False)]
        return rows

    @property
    def best_test_round(self) -> int | None:
        """Round with the lowest test error, T for the training mean alone; None without test rows."""
        return None if self.test_errors is None else int(np.argmin(self.test_errors))

    def headline(self) -> list[str]:
        """Size of the problem, kernel and ε."""
        rows = f"{self.path.spectrum.n_samples} training and {len(self.model.test_rows)} test rows"
        return [described(self.config, rows, len(self.model.feature_names), self.path.spectrum.target_mean_square)]

    def closing(self) -> list[str]:
        """Rounds of collapse, of leave-one-out's choice and of the lowest test error."""
        chosen, best = self.model.chosen_round, self.best_test_round
        lines = [
            f"{self.path.ending}: the training mean alone from there on{self._errors(self.path.n_rounds)}",
            f"leave-one-out on the training rows chooses round {chosen}{self._errors(chosen)}",
        ]
        if best is not None:
            choice = "which is a choice made on the test rows"
            lines.append(f"lowest test error: round {best}{self._errors(best)}, {choice}")
        return lines

    def _errors(self, t: int) -> str:
        """Errors of a round, in brackets."""
        test = "" if self.test_errors is None else f", test error {self.test_errors[t]:.6g}"
        return f" (leave-one-out error {self.model.leave_one_out_errors[t]:.6g}{test})"

    def numbers(self) -> dict[str, Any]:
        """Numbers by round; eigenvalues and weights, one per training row, are in the saved path."""
        path = self.path.to_dict()
        del path["eigenvalues"], path["basis_weights"]
        test_errors = None if self.test_errors is None else self.test_errors.tolist()
        return {
            "target": self.config.target,
            "features": list(self.model.feature_names),
            "n_train": self.path.spectrum.n_samples,
            "n_test": len(self.model.test_rows),
            **path,
            "leave_one_out_errors": self.model.leave_one_out_errors[:-1].tolist(),
            "mean_leave_one_out_error": float(self.model.leave_one_out_errors[-1]),
            "leave_one_out_round": self.model.chosen_round,
            "test_errors": None if test_errors is None else test_errors[:-1],
            "mean_test_error": None if test_errors is None else test_errors[-1],
            "best_test_round": self.best_test_round,
        }


def run(config: Config) -> Result:
    """Distil the training rows until collapse and predict the test rows in every round.

    Raises and warns as :func:`hilbertsd.studies.table_path.prepare` and `distilled`.
    """
    from hilbertsd.table_model import TableModel

    prepared = prepare(config, config.test, config.seed)
    path = distilled(prepared, config)
    model = TableModel(
        path=path,
        kernel=prepared.kernel,
        feature_names=prepared.table.feature_names,
        target_name=prepared.table.target_name,
        means=prepared.means,
        scales=prepared.scales,
        features=prepared.features,
        intercept=prepared.intercept,
        leave_one_out_errors=leave_one_out_errors(path),
        train_rows=prepared.train,
        test_rows=prepared.test,
    )
    if prepared.cross_kernel is None:
        return Result(config, model, None)
    truth = prepared.test_targets
    fits = [*(path.predict(prepared.cross_kernel, t) for t in range(path.n_rounds)), np.zeros_like(truth)]
    return Result(config, model, np.array([np.sum((fit - truth) ** 2) / len(truth) for fit in fits]))


def figures(result: Result) -> dict[str, Any]:
    """Errors by round, and basis weights by round."""
    path = result.path
    figure = new_figure(9, 4)
    errors, weights = figure.subplots(1, 2)
    scores = {"leave-one-out": result.model.leave_one_out_errors}  # the training mean alone is last
    if result.test_errors is not None:
        scores["test"] = result.test_errors
    plot.errors(path, scores, errors)
    if result.test_errors is not None:
        errors.axhline(result.test_errors[-1], color="0.5", linestyle=":", label="test, training mean alone")
    errors.get_legend().remove()
    figure.legend(*errors.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    errors.set_title("errors by round")
    errors.set_ylabel(f"mean squared error of {result.config.target}", parse_math=False)
    plot.weights(path, weights).set_title("what each round keeps")
    return {"distill": figure}


def _save(result: Result, folder: Path) -> list[Path]:
    """Write the model, with the path's eigenvalues and weights, which result.json leaves out."""
    return [result.model.save(folder / "model.npz")]


def _page(result: Result) -> list[Section]:
    """Slider over the rounds; with one feature fits along it, between its ends on the training rows."""
    model, errors = result.model, {"leave_one_out_error": result.model.leave_one_out_errors}
    if result.test_errors is not None:
        errors["test_error"] = result.test_errors
    fits = None
    if len(model.feature_names) == 1:
        inputs = model.features[:, 0]
        grid = np.linspace(inputs.min(), inputs.max(), GRID_POINTS)
        cross_kernel = model.kernel(grid[:, None], model.features)
        shape = (result.path.n_rounds, GRID_POINTS, result.path.spectrum.n_outputs)
        curves = np.reshape([result.path.predict(cross_kernel, t) for t in range(result.path.n_rounds)], shape)
        x, shown = (values * model.scales[0] + model.means[0] for values in (inputs, grid))
        fits = FitCurves(model.feature_names[0], x, shown, curves[:, :, 0])
    return path_sections(result.path, errors, fits)


STUDY = form.Study("distill", __doc__, Config, run, figures, save=_save, page=_page, is_own_command=True)

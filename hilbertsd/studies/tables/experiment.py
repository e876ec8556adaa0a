"""Self-distillation on real tables beside tuned ridge: where it helps, where it does not, and what it costs.

    result = run(Config(preset="smoke"))
    result.rows()[4]                          # a table, a criterion and a method: test error, difference to tuned ridge
    result.closing()                          # where distillation does not help

Dang, Patil & Rinaldo (2026), arXiv:2602.17565; Pareek, Du & Oh (2024), arXiv:2407.04600; Das & Sanghavi (2023),
arXiv:2301.13304.
"""

import time
from typing import TYPE_CHECKING

import numpy as np

from hilbertsd.studies import form
from hilbertsd.studies.tables.air_quality import in_time
from hilbertsd.studies.tables.data import (
    AIR_QUALITY,
    Problem,
    RealTable,
    Rows,
    air_quality,
    load_tables,
    random_rows,
    split_rows,
)
from hilbertsd.studies.tables.figures import figures
from hilbertsd.studies.tables.methods import CRITERIA, METHODS, RIDGE
from hilbertsd.studies.tables.one_step import around, with_noise
from hilbertsd.studies.tables.presets import GAMMAS, PRESETS, Config, Preset
from hilbertsd.studies.tables.results import Result
from hilbertsd.studies.tables.runs import Fitted, Split, TableRuns
from hilbertsd.support.progress import tracked

if TYPE_CHECKING:
    from hilbertsd.gram.named import NamedKernel


def run(config: Config) -> Result:
    """Tune every method on every split of every table, add noise on some, and take Air Quality in time.

    Raises
    ------
    InvalidFile
        The folder has none of the tables, or one that cannot be read.
    """
    preset = PRESETS[config.preset]
    tables, left_out = load_tables(config.data, preset.rows, config.seed)
    usual = (
        None
        if config.data is None or AIR_QUALITY in left_out
        else in_time(air_quality(config.data), preset.splits[AIR_QUALITY], config.seed)
    )
    return Result(config, [_run_table(table, preset, config.seed) for table in tables], left_out, usual)


def _run_table(table: RealTable, preset: Preset, seed: int) -> TableRuns:
    n = len(table.targets)
    splits = []
    for index in tracked(range(preset.splits[table.name]), f"splits of {table.name}"):
        rows = split_rows(table, *random_rows(n, seed, index))
        noise = np.random.default_rng([seed, index, 1]) if index < preset.noise_draws else None
        splits.append(_run_split(rows, noise))
    n_test = len(random_rows(n, seed, 0)[1])
    has_classes = table.classes is not None
    return TableRuns(table.name, table.unit, table.features.shape[1], n - n_test, n_test, has_classes, splits)


def _run_split(rows: Rows, noise: np.random.Generator | None) -> Split:
    """Tune all methods by either criterion, with the kernel that is best for ridge by the same one."""
    chosen = _chosen_kernels(rows)
    fitted = {criterion: _fit_all(rows, *chosen[criterion], criterion) for criterion in CRITERIA}
    problem = chosen[CRITERIA[0]][1]
    tuned = fitted[CRITERIA[0]][RIDGE].choice["multiplier"]
    gammas = {criterion: gamma for criterion, (gamma, _) in chosen.items()}
    return Split(gammas, fitted, around(problem, tuned), None if noise is None else with_noise(problem, tuned, noise))


def _chosen_kernels(rows: Rows) -> dict[str, tuple[float, Problem]]:
    """By criterion, the width that is best for tuned ridge, over 1/n_features, and the problem with that kernel."""
    best: dict[str, tuple[float, float, Problem]] = {}
    for gamma in GAMMAS.tolist():
        problem = rows.problem(_kernel(rows, gamma))
        for criterion in CRITERIA:
            score = METHODS[RIDGE](problem.spectrum, criterion).score
            if criterion not in best or score < best[criterion][0]:
                best[criterion] = score, gamma, problem
    return {criterion: (gamma, problem) for criterion, (_, gamma, problem) in best.items()}


def _fit_all(rows: Rows, gamma: float, problem: Problem, criterion: str) -> dict[str, Fitted]:
    """Tune every method, and fit the test rows; times are over that of one decomposition here and now."""
    kernel_matrix = _kernel(rows, gamma)(rows.train, rows.train)
    started = time.perf_counter()
    np.linalg.eigh(kernel_matrix)
    eigh = time.perf_counter() - started
    fitted = {}
    for name, method in METHODS.items():
        started = time.perf_counter()
        tuned = method(problem.spectrum, criterion)
        cost = (time.perf_counter() - started) / eigh
        predictions = np.asarray(tuned.predict(problem.cross_kernel))
        accuracy = np.nan
        if rows.test_classes is not None:
            accuracy = float(form.correct(predictions + rows.mean, rows.test_classes).mean())
        error = float(problem.squared_errors(predictions).mean())
        fitted[name] = Fitted(error, accuracy, tuned.choice, tuned.at_edge, cost)
    return fitted


def _kernel(rows: Rows, gamma: float) -> "NamedKernel":
    """RBF kernel of a width over 1/n_features."""
    from hilbertsd.gram.named import NamedKernel

    return NamedKernel("rbf", gamma / rows.train.shape[1])


STUDY = form.Study("tables", __doc__, Config, run, figures)

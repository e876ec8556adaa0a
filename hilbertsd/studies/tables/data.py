"""The tables of the study, and one split of a table ready to be fitted.

    tables, left_out = load_tables(None, most_rows=1800, seed=0)    # diabetes and digits; no folder, so two left out
    rows = split_rows(tables[0], *random_rows(len(tables[0].targets), seed=0, split=3))
    problem = rows.problem(NamedKernel("rbf", 0.1))                 # decomposed, with what the test rows need

Features are standardised by the training rows, and targets are centred on their mean.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.images import one_hot
from hilbertsd.data.tables import column_statistics, read_columns, read_table, standardised_columns
from hilbertsd.distillation.centring import centred_targets
from hilbertsd.errors import InvalidFile
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies.tables.presets import TEST_SHARE

if TYPE_CHECKING:
    from hilbertsd.gram.named import NamedKernel

AIR_QUALITY, AIRFOIL = "Air Quality", "Airfoil"
FILES = {AIR_QUALITY: "AirQualityUCI.csv", AIRFOIL: "airfoil_self_noise.dat"}
"""Files of the tables that are not shipped with scikit-learn."""

SENSORS = (
    "PT08_S1_CO",
    "PT08_S2_NMHC",
    "PT08_S3_NOx",
    "PT08_S4_NO2",
    "PT08_S5_O3",
    "T",
    "RH",
    "AH",
)
"""Covariates of Air Quality, hourly answers of five sensors and the weather."""

NITROGEN_DIOXIDE, LEAST_READING = "NO2_GT", -100
"""Target of Air Quality, and the value below which a covariate is missing (as −200); so is a negative target."""

HOURS_OF_A_WEEK = 168


@dataclass(frozen=True, eq=False)
class RealTable:
    """A table of real data.

    Attributes
    ----------
    name : name in figures and results.
    unit : unit of the mean squared error.
    features : (n, p) as they are.
    targets : (n, n_outputs) as they are; of classes one-hot rows.
    classes : (n,) class of every row; None for regression.
    """

    name: str
    unit: str
    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    classes: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Problem:
    """Training rows decomposed, and what the test rows need.

    Attributes
    ----------
    spectrum : of the training rows' kernel matrix and (n_train, n_outputs) targets.
    cross_kernel : (n_test, n_train) kernel values.
    test_targets : (n_test, n_outputs), centred as those of the training rows are.
    """

    spectrum: Spectrum
    cross_kernel: NDArray[np.float64]
    test_targets: NDArray[np.float64]

    def squared_errors(self, predictions: Any) -> NDArray[np.float64]:
        """(n_test,) squared errors of (n_test, n_outputs) predictions, summed over outputs."""
        return np.sum((np.asarray(predictions) - self.test_targets) ** 2, axis=1)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one split, standardised and centred.

    Attributes
    ----------
    train, test : (n_train, p) and (n_test, p) standardised features.
    targets, test_targets : (n_train, n_outputs) and (n_test, n_outputs) targets minus the training rows' mean.
    mean : (n_outputs,) that mean.
    test_classes : (n_test,) classes; None for regression.
    """

    train: NDArray[np.float64]
    test: NDArray[np.float64]
    targets: NDArray[np.float64]
    test_targets: NDArray[np.float64]
    mean: NDArray[np.float64]
    test_classes: NDArray[np.int64] | None

    def uncentred(self) -> Rows:
        """The same rows with the targets as they are."""
        return replace(self, targets=self.targets + self.mean, test_targets=self.test_targets + self.mean)

    def problem(self, kernel: NamedKernel) -> Problem:
        """Decompose the kernel matrix of the training rows."""
        spectrum = Spectrum.from_kernel(kernel(self.train, self.train), self.targets)
        return Problem(spectrum, kernel(self.test, self.train), self.test_targets)


@dataclass(frozen=True, eq=False)
class Record:
    """All of Air Quality but the hours with a missing value, in time.

    Attributes
    ----------
    table : n rows.
    hours : (n,) hours since the record's first one.
    """

    table: RealTable
    hours: NDArray[np.int64]


def load_tables(folder: Path | None, most_rows: int, seed: int) -> tuple[list[RealTable], list[str]]:
    """Diabetes and digits from scikit-learn, and those of `FILES` that a folder has.

    Parameters
    ----------
    folder : folder with files of `FILES`, None for none.
    most_rows : rows above which so many are drawn at random.
    seed : seed of that draw.

    Returns
    -------
    Tables, and the names of those left out because there is no file.

    Raises
    ------
    InvalidFile
        The folder has none of the files; or a file cannot be read.
    """
    from sklearn.datasets import load_diabetes, load_digits

    diabetes: Any = load_diabetes(scaled=False)
    digits: Any = load_digits()
    classes = digits.target.astype(np.int64)
    tables = [
        RealTable("diabetes", "units of the score²", diabetes.data, diabetes.target[:, None]),
        RealTable("digits", "one-hot labels, summed", digits.data, one_hot(classes, 10), classes),
    ]
    found = [] if folder is None else [name for name, file in FILES.items() if (folder / file).is_file()]
    if folder is not None and not found:
        raise InvalidFile(f"{folder} has neither {' nor '.join(FILES.values())}; give a folder with at least one")
    if folder is not None and AIRFOIL in found:
        airfoil = read_table(folder / FILES[AIRFOIL], "TARGET")
        tables.append(RealTable(AIRFOIL, "dB²", airfoil.features, airfoil.targets[:, None]))
    if folder is not None and AIR_QUALITY in found:
        tables.append(air_quality(folder).table)
    return [_drawn(table, most_rows, seed) for table in tables], [name for name in FILES if name not in found]


def air_quality(folder: Path) -> Record:
    """Air Quality, without the hours in which the target or a covariate is missing.

    Raises InvalidFile where the file cannot be read, or has no two such hours.
    """
    path = folder / FILES[AIR_QUALITY]
    columns = read_columns(path, [*SENSORS, NITROGEN_DIOXIDE])
    features = np.column_stack([columns[name] for name in SENSORS])
    targets = columns[NITROGEN_DIOXIDE]
    kept = np.flatnonzero(np.all(features >= LEAST_READING, axis=1) & (targets >= 0))
    if len(kept) < 2:
        raise InvalidFile(f"{path} has {len(kept)} of {len(targets)} rows without a missing value; give the whole file")
    return Record(RealTable(AIR_QUALITY, "(µg/m³)²", features[kept], targets[kept, None]), kept)


def random_rows(n: int, seed: int, split: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Training and test rows of one random split; a quarter tests."""
    order = np.random.default_rng([seed, split]).permutation(n)
    n_test = round(TEST_SHARE * n)
    return order[n_test:], order[:n_test]


def split_rows(table: RealTable, train: NDArray[np.intp], test: NDArray[np.intp]) -> Rows:
    """Standardise by the training rows, and centre the targets on their mean.

    Raises InvalidTargets where all training targets are equal, InvalidInput where a test row is too far away.
    """
    statistics = column_statistics(table.features[train])
    targets, mean = centred_targets(table.targets[train])
    return Rows(
        standardised_columns(table.features[train], *statistics),
        standardised_columns(table.features[test], *statistics),
        targets,
        table.targets[test] - mean,
        mean,
        None if table.classes is None else table.classes[test],
    )


def _drawn(table: RealTable, most_rows: int, seed: int) -> RealTable:
    """Table of at most so many rows, drawn at random."""
    n = len(table.targets)
    if n <= most_rows:
        return table
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:most_rows])
    classes = None if table.classes is None else table.classes[rows]
    return RealTable(table.name, table.unit, table.features[rows], table.targets[rows], classes)

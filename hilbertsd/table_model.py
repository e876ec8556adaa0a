"""TableModel: a distilled table with all that predictions for new rows need, in one file.

    model = TableModel.load("results")         # what `hilbertsd distill table.csv --target price --out results` saved
    model.predict(pandas.read_csv("new.csv"))  # in the round that leave-one-out chose
    model.predict(read_columns("new.csv", model.feature_names), round=0)

Its attribute `path` is the DistillationPath.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.tables import column_names, standardised_columns
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.distillation.path_file import path_attributes, path_content
from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.gram.named import NamedKernel
from hilbertsd.support.array_files import read_arrays, write_arrays
from hilbertsd.support.checks import as_real_array

FILE_FORMAT = "hilbertsd.TableModel/1"

FILE_NAME = "model.npz"
"""Name of the file in a folder of results."""

PATH_PREFIX = "path."
"""What stands before the names of the path's arrays in the file."""

ARRAYS = ("means", "scales", "features", "intercept", "leave_one_out_errors", "train_rows", "test_rows")
"""Arrays beside the path's."""


@dataclass(frozen=True, eq=False, repr=False)
class TableModel:
    """Distillation path of a table's training rows, and what leads from the columns of a new table to its predictions.

    Attributes
    ----------
    path : path of the centred targets, with the kernel between standardised training rows.
    kernel : kernel function k(X, Y) between standardised rows, with its name and gamma.
    feature_names : names of the p columns that predictions need.
    target_name : name of the target.
    means, scales : (p,) what was subtracted from the columns, and by what they were divided then.
    features : (n_train, p) standardised training rows.
    intercept : (n_outputs,) mean of the training targets, which is added to every fit.
    leave_one_out_errors : (T+1,) as :func:`hilbertsd.leave_one_out_errors` has them, with the intercept of all rows.
    train_rows, test_rows : (n_train,) and (n_test,) positions from 0 in the table that was distilled.
    """

    path: DistillationPath
    kernel: NamedKernel
    feature_names: tuple[str, ...]
    target_name: str
    means: NDArray[np.float64]
    scales: NDArray[np.float64]
    features: NDArray[np.float64]
    intercept: NDArray[np.float64]
    leave_one_out_errors: NDArray[np.float64]
    train_rows: NDArray[np.intp]
    test_rows: NDArray[np.intp]

    @property
    def chosen_round(self) -> int:
        """Round with the lowest leave-one-out error; the collapse round where the training mean alone has it."""
        return int(np.argmin(self.leave_one_out_errors))

    @property
    def target_names(self) -> tuple[str, ...]:
        """Name of every output: that of the target, with [0], [1], ... where it has several columns."""
        return column_names(self.target_name, len(self.intercept))

    def standardised(self, table: Any) -> NDArray[np.float64]:
        """(n, p) standardised features of a table, as :meth:`predict` takes it.

        Raises InvalidInput where a feature is missing, is no finite number, or is too far from the training rows.
        """
        if hasattr(table, "keys"):
            missing = [name for name in self.feature_names if name not in table]
            if missing:
                raise InvalidInput(f"the table has no column {missing[0]!r}; give {', '.join(self.feature_names)}")
            columns = [as_real_array(table[name], f"column {name!r}", InvalidInput) for name in self.feature_names]
            if len({np.shape(column) for column in columns}) > 1 or np.ndim(columns[0]) != 1:
                raise InvalidInput("the table has columns of unequal shapes; give (n,) numbers for each")
            features = np.column_stack(columns)
        else:
            features = as_real_array(table, "table", InvalidInput)
        if features.ndim != 2 or features.shape[1] != len(self.feature_names):
            raise InvalidInput(
                f"the table has shape {features.shape}; give (n, {len(self.feature_names)}) numbers, with the columns "
                f"{', '.join(self.feature_names)}"
            )
        features = np.asarray(features, dtype=np.float64)
        finite = np.isfinite(features)
        if not finite.all():
            row, column = np.unravel_index(np.argmin(finite), finite.shape)
            raise InvalidInput(
                f"column {self.feature_names[column]!r} holds {features[row, column]} in row {row}; give finite numbers"
            )
        return standardised_columns(features, self.means, self.scales)

    def predict(self, table: Any, round: int | None = None) -> NDArray[np.float64]:
        """Predictions for new rows, in units of the target.

        Parameters
        ----------
        table : a DataFrame, or a dictionary of (n,) arrays, that has the columns `feature_names` in any order, and
            perhaps others; or an (n, p) array with these columns in that order.
        round : t, as in :meth:`DistillationPath.predict`; None for `chosen_round`. From the collapse round on the
            prediction is the training mean.

        Returns
        -------
        (n,), or (n, n_outputs) if the target had several columns.

        Raises
        ------
        InvalidInput
            As :meth:`standardised`.
        InvalidRound
            As :meth:`DistillationPath.predict`.

        Warns
        -----
        CollapseWarning
            The round is the collapse round or a later one.
        """
        used = self.chosen_round if round is None else round
        standardised = self.standardised(table)
        spectrum = self.path.spectrum
        if self.path.warned_index(used) is None:
            return spectrum.shaped(np.tile(self.intercept, (len(standardised), 1)))
        fit = self.path.predict(self.kernel(standardised, self.features), used)
        return fit + (self.intercept[0] if spectrum.single_output else self.intercept)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model to one .npz file (arrays, and a JSON text under the key ``metadata``); no pickle.

        Returns the file's path, which ends in .npz. An existing file is replaced whole or not at all.
        Raises InvalidFile if it cannot be written.
        """
        path_metadata, path_arrays = path_content(self.path)
        metadata = {
            "kernel": asdict(self.kernel),
            "feature_names": self.feature_names,
            "target_name": self.target_name,
            "path": path_metadata,
        }
        arrays = {name: getattr(self, name) for name in ARRAYS}
        arrays |= {PATH_PREFIX + name: array for name, array in path_arrays.items()}
        return write_arrays(path, FILE_FORMAT, metadata, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model that :meth:`save` wrote, or the model.npz of a folder.

        Raises
        ------
        InvalidFile
            The file is missing, is no .npz, is damaged, holds something else, or holds values that no model has.
        """
        places = Path(path), Path(path) / FILE_NAME, Path(f"{os.fspath(path)}.npz")
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            raise InvalidFile(
                f"{os.fspath(path)} is no model, and no folder with {FILE_NAME}; make one with `hilbertsd distill "
                f"TABLE --target COLUMN --out {os.fspath(path)}`, or with TableModel.save"
            )
        return cls(**read_arrays(file, FILE_FORMAT, _attributes))

    def __repr__(self) -> str:
        features = f"{len(self.feature_names)} feature" + "s" * (len(self.feature_names) != 1)
        return f"TableModel({self.target_name} from {features}, {self.kernel.name} kernel, {self.path!r})"


def _attributes(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a TableModel from a file's content; ValueError names a value that no model has."""
    of_path = {name.removeprefix(PATH_PREFIX): array for name, array in arrays.items() if name.startswith(PATH_PREFIX)}
    path = DistillationPath(**path_attributes(of_path, metadata["path"]))
    own = {name: array for name, array in arrays.items() if not name.startswith(PATH_PREFIX)}
    if set(own) != set(ARRAYS):
        raise ValueError(f"it holds the arrays {', '.join(sorted(own))}, where {', '.join(ARRAYS)} are needed")
    names, target_name, spectrum = metadata["feature_names"], metadata["target_name"], path.spectrum
    if not (isinstance(names, list) and all(isinstance(name, str) for name in [*names, target_name])):
        raise ValueError(f"its columns are {names!r} and its target is {target_name!r}, where texts are needed")
    n, p, n_test = spectrum.n_samples, len(set(names)), len(own["test_rows"])
    shapes = [(p,), (p,), (n, p), (spectrum.n_outputs,), (path.n_rounds + 1,), (n,), (n_test,)]
    for name, shape in zip(ARRAYS, shapes, strict=True):
        array, kind = own[name], "i" if name.endswith("rows") else "f"
        if array.shape != shape or array.dtype.kind != kind or not np.isfinite(array).all():
            raise ValueError(f"{name} has shape {array.shape} and dtype {array.dtype}, where finite {shape} are needed")
    if len(names) != p or not np.all(own["scales"] > 0) or np.any(own["leave_one_out_errors"] < 0):
        raise ValueError("a name stands twice, a scale is not positive, or an error is negative")
    if not np.array_equal(np.sort(np.concatenate([own["train_rows"], own["test_rows"]])), np.arange(n + n_test)):
        raise ValueError(f"training and test rows are not those from 0 to {n + n_test - 1}, each once")
    kernel = NamedKernel(**metadata["kernel"])
    return {"path": path, "kernel": kernel, "feature_names": tuple(names), "target_name": target_name, **own}

"""A user's table (delimited text, Parquet or NPZ) as features and targets."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidFile

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
DELIMITERS = ",;\t"


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers of one table.

    Attributes
    ----------
    features : (n, n_features).
    targets : (n,), or (n, n_outputs) where an NPZ target has two dimensions.
    feature_names : one per feature.
    target_name : the column or array that holds the targets.
    """

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    feature_names: tuple[str, ...]
    target_name: str


def read_table(path: str | Path, target: str, drop: Sequence[str] = ()) -> Table:
    """Read a table with a header: every column but the target and the dropped ones is a feature.

    Parameters
    ----------
    path : delimited text (.csv, .tsv, .txt, .dat; comma, semicolon or tab), .parquet or .npz. An NPZ holds
        arrays with one row per sample: (n,) is one column, (n, p) is p columns.
    target : name of the target column or array.
    drop : names to leave out.

    Raises
    ------
    InvalidFile
        The file is missing, empty, unreadable or of an unknown kind; a named column is missing; a number
        column holds text, a missing value or an infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidFile(f"{path} does not exist or is no file; check the path")
    size = path.stat().st_size
    if size == 0:
        raise InvalidFile(f"{path} is empty (0 bytes); give a table with a header and at least two rows")
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES or suffix == ".parquet":
        columns = _arrow_columns(path, suffix)
    elif suffix == ".npz":
        columns = _npz_columns(path)
    else:
        known = ", ".join((*TEXT_SUFFIXES, ".parquet", ".npz"))
        raise InvalidFile(f"{path} ends in {suffix or 'nothing'!r}; tables end in one of {known}")
    return _table(path, columns, target, drop)


def _table(path: Path, columns: dict[str, NDArray[np.float64] | str], target: str, drop: Sequence[str]) -> Table:
    """Sort the columns into roles; a column that is a message instead of numbers is refused unless dropped."""
    for name in (target, *drop):
        if name not in columns:
            raise InvalidFile(f"{path} has no column {name!r}; its columns are {', '.join(columns)}")
    if target in drop:
        raise InvalidFile(f"{target!r} is to be both target and dropped; name it once")
    kept = {name: column for name, column in columns.items() if name not in drop}
    if "" in kept:
        raise InvalidFile(
            f"{path} has a column without a name, as row labels that pandas writes; name it in the header or leave it "
            "out with --drop ''"
        )
    numbers: dict[str, NDArray[np.float64]] = {}
    for name, column in kept.items():
        if isinstance(column, str):
            raise InvalidFile(
                f"{path}: {column}; mend the file" + (f" or leave the column out with --drop {name}" * (name != target))
            )
        numbers[name] = column
    targets = numbers.pop(target)
    if not numbers:
        raise InvalidFile(f"{path} has no column beside the target {target!r}; a fit needs at least one feature")
    lengths = {name: len(column) for name, column in numbers.items() if len(column) != len(targets)}
    if lengths:
        name, length = next(iter(lengths.items()))
        raise InvalidFile(
            f"{path}: {name!r} has {length} rows and the target {target!r} {len(targets)}; give both the same"
        )
    if len(targets) < 2:
        raise InvalidFile(f"{path} has {len(targets)} row(s) of data; a fit needs at least 2")
    blocks = {name: column.reshape(len(targets), -1) for name, column in numbers.items()}
    names = [
        name if block.shape[1] == 1 else f"{name}[{j}]" for name, block in blocks.items() for j in range(block.shape[1])
    ]
    return Table(np.hstack(list(blocks.values())), targets, tuple(names), target)


def _arrow_columns(path: Path, suffix: str) -> dict[str, NDArray[np.float64] | str]:
    """Columns of a text or Parquet table; a column that is not all numbers is replaced by what is wrong with it."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    try:
        if suffix == ".parquet":
            table = parquet.read_table(path)
        else:
            with path.open(encoding="utf-8", errors="replace") as file:
                header = file.readline()
            delimiter = max(DELIMITERS, key=header.count)
            table = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter=delimiter))
        table = table.drop_columns(_pandas_index(table))
        names = table.column_names
    except UnicodeDecodeError as error:
        raise InvalidFile(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidFile(f"{path} ({path.stat().st_size} bytes) cannot be read as a table: {reason}") from error
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise InvalidFile(f"{path} has more than one column {min(repeated)!r}; give every column its own name")
    return {name: _numbers(name, table.column(name).to_pylist()) for name in names}


def _pandas_index(table: Any) -> list[str]:
    """Columns that a Parquet file's pandas metadata calls the index: row labels, no features."""
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in index if isinstance(name, str) and name in table.column_names]


def _numbers(name: str, values: list[Any]) -> NDArray[np.float64] | str:
    """Values as float64, or a sentence about the first that is no finite number."""
    # One word makes all of a text column text: name the word, not the numbers around it.
    suspects = [row for row, value in enumerate(values) if not isinstance(value, (int, float, Decimal))]
    if suspects:
        row = next((row for row in suspects if not _reads_as_number(values[row])), suspects[0])
        if values[row] is None or values[row] == "":
            return f"column {name!r} has no value in row {row + 1} of the data"
        return f"column {name!r} holds {str(values[row])!r} in row {row + 1} of the data, where a number is needed"
    numbers = np.array(values, dtype=np.float64)
    finite = np.isfinite(numbers)
    if not finite.all():
        row = int(np.argmin(finite))
        return f"column {name!r} holds {numbers[row]} in row {row + 1} of the data, where a finite number is needed"
    return numbers


def _reads_as_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _npz_columns(path: Path) -> dict[str, NDArray[np.float64] | str]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidFile(
            f"{path} ({path.stat().st_size} bytes) cannot be read as an .npz of numbers: {error}"
        ) from error
    columns: dict[str, NDArray[np.float64] | str] = {}
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            columns[name] = f"array {name!r} has dtype {array.dtype}, where real numbers are needed"
        elif array.ndim not in (1, 2):
            columns[name] = f"array {name!r} has shape {array.shape}, where (n,) or (n, p) is needed"
        elif not np.all(np.isfinite(array)):
            columns[name] = f"array {name!r} holds values that are not finite"
        else:
            columns[name] = array.astype(np.float64)
    return columns

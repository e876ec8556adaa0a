"""A user's table (delimited text, Parquet or NPZ) as features and targets.

    table = read_table("houses.csv", target="price", drop=["street"])
    table.features, table.feature_names  # (n, n_features) float64 and their names, in the order of the file
    table.targets                        # (n,) float64
    statistics = column_statistics(table.features[:100])
    standardised_columns(table.features, *statistics)  # mean 0 and standard deviation 1 over the first 100 rows
    read_columns("new.csv", table.feature_names)       # arrays by name, in whatever order the file has them

A file that cannot be used raises InvalidFile, which names the column, the row and the remedy.
"""

from __future__ import annotations

import codecs
import csv
import shlex
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidFile, InvalidInput

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
DELIMITERS = ",;\t"

Column = NDArray[np.float64] | str
"""Numbers of a column, or a sentence on why it has none."""

LARGE_EXPONENT = 400
"""Columns whose largest number lies between 2^−400 and 2^400 have variances without overflow or underflow."""


@dataclass(frozen=True, eq=False)
class Table:
    """Features and targets of one table, all of them finite.

    Attributes
    ----------
    features : (n, n_features) features.
    targets : (n,) targets, or (n, n_outputs) where an NPZ target has two dimensions.
    feature_names : n_features names.
    target_name : name of the column or array that holds the targets.
    """

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    feature_names: tuple[str, ...]
    target_name: str


def read_table(path: str | Path, target: str, drop: Sequence[str] = ()) -> Table:
    """Read a table with a header. Every column but the target and the dropped ones is a feature.

    Parameters
    ----------
    path : file of delimited text (.csv, .tsv, .txt, .dat), .parquet or .npz. The delimiter is the one of comma,
        semicolon and tab that splits the header into most names; those in quotes do not count. An NPZ file holds
        arrays with one row per sample: (n,) is one column, (n, p) is p columns.
    target : name of the target column or array.
    drop : names of columns to leave out.

    Raises
    ------
    InvalidFile
        The file is missing, empty, damaged or of an unknown kind; a named column is missing; a column holds
        text, a missing value, NaN or an infinity.
    """
    path = Path(path)
    return _table(path, _columns(path), target, drop)


def read_columns(
    path: str | Path, names: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, NDArray[np.float64]]:
    """Read some columns of a table by name; what the others hold does not matter.

    Parameters
    ----------
    path : as in :func:`read_table`.
    names : columns that have to be there, named as `Table.feature_names` are: column 0 of an NPZ array x is x[0].
    optional : columns to read, too, where they are there and hold finite numbers alone.

    Returns
    -------
    Dictionary of (n,) arrays by name, in the order of `names`, then of `optional`; n is at least 1.

    Raises
    ------
    InvalidFile
        As :func:`read_table`, of the columns in `names`.
    """
    path = Path(path)
    whole = _parts(path, _columns(path))
    missing = [name for name in names if name not in whole]
    if missing:
        of = f" ({len(missing)} of the {len(names)} needed are missing)" if len(missing) > 1 else ""
        raise InvalidFile(f"{path} has no column {missing[0]!r}{of}; its columns are {', '.join(map(_shown, whole))}")
    wrong = next((column for name in names if isinstance(column := whole[name], str)), None)
    if wrong is not None:
        raise InvalidFile(f"{path}: {wrong}; mend the file")
    found = {name: column for name in (*names, *optional) if not isinstance(column := whole.get(name, ""), str)}
    first = len(found[names[0]])
    unequal = next((name for name, column in found.items() if len(column) != first), None)
    if unequal is not None:
        raise InvalidFile(
            f"{path}: {unequal!r} has {len(found[unequal])} rows and {names[0]!r} {first}; give both the same"
        )
    if not first:
        raise InvalidFile(f"{path} has no row of data; give at least one")
    return found


def column_statistics(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every column of (n, n_features) finite numbers of any size.

    Returns
    -------
    (n_features,) each. The standard deviation of a constant column, by which nothing can be divided, is given as 1.
    """
    exponents = _large_exponents(np.abs(features).max(axis=0))
    scaled = np.ldexp(features, -exponents)
    means, deviations = np.ldexp(scaled.mean(axis=0), exponents), np.ldexp(scaled.std(axis=0), exponents)
    constant = (features == features[0]).all(axis=0)  # whose mean is off by rounding, and whose deviation is that
    return np.where(constant, features[0], means), np.where(constant | (deviations == 0), 1.0, deviations)


def standardised_columns(
    features: NDArray[np.float64], means: NDArray[np.float64], scales: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Subtract from every column its mean over the training rows, and divide by its standard deviation over them.

    Parameters
    ----------
    features : (n, n_features) finite numbers of any size.
    means, scales : (n_features,) what :func:`column_statistics` says of the training rows.

    Returns
    -------
    (n, n_features)

    Raises
    ------
    InvalidInput
        A number is so far from those of the training rows that the quotient is not finite.
    """
    exponents = _large_exponents(np.maximum(np.abs(means), scales))
    with np.errstate(over="ignore"):
        difference = np.ldexp(features, -exponents) - np.ldexp(means, -exponents)
        result = difference / np.ldexp(scales, -exponents)
    finite = np.isfinite(result)
    if not finite.all():
        row, column = np.unravel_index(np.argmin(finite), finite.shape)
        raise InvalidInput(
            f"feature {column} is {features[row, column]:g} in row {row}, too far from the training rows to be "
            "standardised; leave out that row or that column"
        )
    return result


def column_names(name: str, n_columns: int) -> tuple[str, ...]:
    """Names of the columns of one array: its own if it has one column, name[0], name[1], ... if it has more."""
    return (name,) if n_columns == 1 else tuple(f"{name}[{j}]" for j in range(n_columns))


def _large_exponents(sizes: NDArray[np.float64]) -> NDArray[np.int32]:
    """Binary exponents of numbers whose squares overflow or underflow, 0 for the others.

    Squares of numbers beyond 1e154 overflow: a power of two, which rounds nothing, takes such columns to about 1.
    """
    _, exponents = np.frexp(sizes)
    return np.where(np.abs(exponents) < LARGE_EXPONENT, 0, exponents)


def _parts(path: Path, columns: Mapping[str, Column]) -> dict[str, Column]:
    """Columns by name, with the columns of an array that has several under names of their own."""
    parts: list[tuple[str, Column]] = []
    for name, column in columns.items():
        if isinstance(column, str) or column.ndim == 1:
            parts.append((name, column))
        else:
            parts += zip(column_names(name, column.shape[1]), column.T, strict=True)
    _check_names(path, [name for name, _ in parts])
    return dict(parts)


def _check_names(path: Path, names: Sequence[str]) -> None:
    """Raise InvalidFile where two columns have the same name."""
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise InvalidFile(f"{path} has more than one column {min(repeated)!r}; give every column its own name")


def _columns(path: Path) -> dict[str, Column]:
    """Columns of a table; one that is not all numbers is replaced by what is wrong with it."""
    if str(path) != str(path).encode(errors="replace").decode():  # pyarrow and result.json take UTF-8 alone
        raise InvalidFile(f"{str(path)!r} is not UTF-8; rename the file")
    if not path.is_file():
        raise InvalidFile(f"{path} does not exist or is no file; check the path")
    if path.stat().st_size == 0:
        raise InvalidFile(f"{path} is empty (0 bytes); give a table with a header and at least two rows")
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES or suffix == ".parquet":
        return _arrow_columns(path, suffix)
    if suffix == ".npz":
        return _npz_columns(path)
    known = ", ".join((*TEXT_SUFFIXES, ".parquet", ".npz"))
    raise InvalidFile(f"{path} ends in {suffix or 'nothing'!r}; tables end in one of {known}")


def _table(path: Path, columns: dict[str, Column], target: str, drop: Sequence[str]) -> Table:
    """Sort columns into features and targets. A column may be a sentence on what is wrong with it, if it is dropped."""
    for name in (target, *drop):
        if name not in columns:
            raise InvalidFile(f"{path} has no column {name!r}; its columns are {', '.join(map(_shown, columns))}")
    if target in drop:
        raise InvalidFile(f"{target!r} is to be both target and dropped; name it once")
    kept = {name: column for name, column in columns.items() if name not in drop}
    if "" in kept:
        raise InvalidFile(
            f"{path} has a column without a name, such as the row labels that pandas writes; name it in the header or "
            "leave it out with drop=[''] (--drop '')"
        )
    numbers: dict[str, NDArray[np.float64]] = {}
    for name, column in kept.items():
        if isinstance(column, str):
            remedy = f" or leave the column out with drop=[{name!r}] (--drop {shlex.quote(name)})"
            raise InvalidFile(f"{path}: {column}; mend the file{remedy * (name != target)}")
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
    features = _parts(path, numbers)
    return Table(np.column_stack(list(features.values())), targets, tuple(features), target)


def _shown(name: str) -> str:
    """Name of a column for a list of names: quoted where blanks, commas or invisible characters would mislead."""
    plain = name.isprintable() and name == " ".join(name.split()) and not set(name) & set(",'\"") and name
    return name if plain else repr(name)


def _arrow_columns(path: Path, suffix: str) -> dict[str, Column]:
    """Columns of a text or Parquet table; a column that is not all numbers is replaced by what is wrong with it."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    try:
        if suffix == ".parquet":
            table = parquet.read_table(path)
        else:
            parsing = arrow_csv.ParseOptions(delimiter=delimiter_of(path))
            table = arrow_csv.read_csv(path, parse_options=parsing)
        table = table.drop_columns(_pandas_index(table))
        names = table.column_names
        values = [column.to_pylist() for column in table.columns]
    except UnicodeDecodeError as error:
        raise InvalidFile(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except (pa.ArrowException, csv.Error, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidFile(f"{path} ({path.stat().st_size} bytes) cannot be read as a table: {reason}") from error
    _check_names(path, names)
    return {name: _numbers(name, column) for name, column in zip(names, values, strict=True)}


def delimiter_of(path: Path) -> str:
    """Delimiter that splits the header into most names; InvalidFile for UTF-16 text."""
    with path.open("rb") as start:
        if start.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise InvalidFile(f"{path} is not UTF-8 text but UTF-16; save it as UTF-8")

    def n_names(delimiter: str) -> int:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return len(next(filter(None, csv.reader(file, delimiter=delimiter)), []))

    return max(DELIMITERS, key=n_names)


def _pandas_index(table: Any) -> list[str]:
    """Names of the columns that pandas wrote as row labels, by a Parquet file's metadata."""
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in index if isinstance(name, str) and name in table.column_names]


def _numbers(name: str, values: list[Any]) -> NDArray[np.float64] | str:
    """Values as float64, or a sentence about the first that is no finite number."""
    # One word in a column of a CSV file makes text of its numbers, too: look for the word.
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


def _npz_columns(path: Path) -> dict[str, Column]:
    """Arrays of an NPZ file; one that is not real numbers, a row per sample, is replaced by what is wrong with it."""
    size = path.stat().st_size
    if not zipfile.is_zipfile(path):
        raise InvalidFile(f"{path} ({size} bytes) is no .npz file, or is cut short; write one with numpy.savez")
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
    except Exception as error:  # damaged bytes make zipfile, its decompressors and NumPy raise nearly any
        reason = str(error) or type(error).__name__
        raise InvalidFile(f"{path} ({size} bytes) cannot be read as an .npz of numbers: {reason}") from error
    return {name: _array_column(name, array) for name, array in arrays.items()}


def _array_column(name: str, array: Any) -> NDArray[np.float64] | str:
    """Array as float64, or a sentence on why it is no column, or columns, of a table."""
    if not isinstance(array, np.ndarray):
        return f"{name!r} is no array"
    if array.dtype.kind not in "fiub":
        return f"array {name!r} has dtype {array.dtype}, where real numbers are needed"
    if array.ndim not in (1, 2) or array.shape[1:] == (0,):
        return f"array {name!r} has shape {array.shape}, where (n,) or (n, p) is needed"
    with np.errstate(over="ignore"):  # longer floats, whose infinities the next line finds
        numbers = array.astype(np.float64)
    finite = np.isfinite(numbers)
    if not finite.all():
        place = np.unravel_index(np.argmin(finite), finite.shape)
        return f"array {name!r} holds {numbers[place]} in row {place[0] + 1}, where a finite number is needed"
    return numbers

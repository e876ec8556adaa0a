"""Targets or labels alone in a file: .npy, .npz or delimited text, a row per sample.

read_targets("y.npy")       # (n,) or (n, n_outputs)
read_targets("labels.csv")  # numbers, or text where not every entry is a number
"""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.tables import TEXT_SUFFIXES, delimiter_of
from hilbertsd.errors import InvalidFile


def read_targets(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Numbers or texts in a file.

    Parameters
    ----------
    path : .npy file of an array, .npz file of one array, or delimited text (.csv, .tsv, .txt, .dat). The first line of
        a text is its header, unless all of it are numbers; a column is an output.

    Returns
    -------
    (n,) or (n, n_outputs) real numbers, or text; a single column is (n,).

    Raises
    ------
    InvalidFile
        The file is missing or damaged, of another kind, or holds something else.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in TEXT_SUFFIXES:
            values = _text_array(path)
        else:
            values: Any = np.load(path, allow_pickle=False)
            if isinstance(values, np.lib.npyio.NpzFile):
                with values:
                    if len(values.files) != 1:
                        raise InvalidFile(f"{path} holds arrays {', '.join(values.files)}; give a file of one array")
                    values = values[values.files[0]]
    except InvalidFile:
        raise
    except FileNotFoundError as error:
        raise InvalidFile(f"{path} does not exist; give a .npy, .npz or .csv file of targets") from error
    except Exception as error:  # a damaged header makes NumPy raise nearly any
        raise InvalidFile(f"{path} cannot be read as targets ({error}); give a .npy, .npz or .csv file") from error
    if values.ndim not in (1, 2) or values.size == 0 or values.dtype.kind not in "fiubU":
        raise InvalidFile(
            f"{path} holds {values.dtype} of shape {values.shape}; give (n,) or (n, n_outputs) numbers, or (n,) labels"
        )
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _text_array(path: Path) -> NDArray[Any]:
    """Rows of delimited text, as numbers if all are, without the header."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter=delimiter_of(path)) if row]
    if len({len(row) for row in rows}) > 1:
        raise InvalidFile(
            f"{path} has rows of {min(map(len, rows))} and of {max(map(len, rows))} entries; give all the same"
        )
    with_header = np.array(rows or [[]])
    for values in (with_header, with_header[1:]):
        try:
            return values.astype(np.float64)
        except ValueError:
            continue
    return with_header[1:]

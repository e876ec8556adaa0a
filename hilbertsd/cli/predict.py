"""`hilbertsd predict`: predictions for the rows of a table, from what `hilbertsd distill --out` saved."""

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilbertsd.cli.options import JsonOption, nonempty_path
from hilbertsd.cli.output import show
from hilbertsd.errors import InvalidFile
from hilbertsd.support.files import atomic_write
from hilbertsd.support.progress import working

if TYPE_CHECKING:
    from hilbertsd.table_model import TableModel


def predict(
    model: Annotated[
        Path, typer.Argument(help="model.npz of `hilbertsd distill --out`, or its folder.", parser=nonempty_path)
    ],
    table: Annotated[
        Path,
        typer.Argument(
            help="CSV or other delimited text, Parquet or NPZ with the model's columns, in any order.",
            parser=nonempty_path,
        ),
    ],
    round: Annotated[
        int | None,
        typer.Option(min=0, help="Round to predict with, counted from 0.", show_default="leave-one-out's choice"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File for the predictions, a line per row; it ends in .csv.",
            show_default="write nothing",
            parser=nonempty_path,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the rows of a table with a model that `hilbertsd distill --out` saved."""
    _check_output(out, table)
    with working("predicting"):
        from hilbertsd.data.tables import read_columns
        from hilbertsd.table_model import TableModel

        loaded = TableModel.load(model)
        columns = read_columns(table, loaded.feature_names, loaded.target_names)
        used = loaded.chosen_round if round is None else round
        predictions = loaded.predict(columns, used).reshape(-1, len(loaded.target_names))
    names = ["row", *(f"predicted {name}" for name in loaded.target_names)]
    rows = [dict(zip(names, (row, *values), strict=True)) for row, values in enumerate(predictions.tolist(), start=1)]
    truth = [columns[name] for name in loaded.target_names if name in columns]
    errors = _errors(loaded, columns, predictions, truth) if len(truth) == len(loaded.target_names) else {}
    record = {
        "target": loaded.target_name,
        "round": used,
        "round_chosen_by_leave_one_out": loaded.chosen_round,
        "predictions": predictions.tolist() if len(loaded.target_names) > 1 else predictions[:, 0].tolist(),
        **errors,
    }
    files = [] if out is None else [_written(out, rows)]
    n_train = f"{len(loaded.train_rows):,} training rows"
    reason = (
        f"leave-one-out's choice on the {n_train}"
        if round is None
        else f"as asked for; leave-one-out on the {n_train} chooses round {loaded.chosen_round}"
    )
    headline = (
        f"{loaded.target_name!r} in round {used}, {reason}; the training mean from round {loaded.path.n_rounds} on"
    )
    show(as_json, record, files, headline, rows, *_closing(errors))


def _check_output(out: Path | None, table: Path) -> None:
    """Raise InvalidFile for a name that does not end in .csv or is that of the table."""
    if out is None:
        return
    if out.suffix != ".csv":
        raise InvalidFile(f"{out} is to hold predictions as text; give a name that ends in .csv")
    if os.path.realpath(out) == os.path.realpath(table):
        raise InvalidFile(f"{out} is the table itself; give another name for the predictions")


def _errors(model: "TableModel", columns: Any, predictions: Any, truth: list[Any]) -> dict[str, Any]:
    """Mean squared errors on rows that the model was trained on and on others, and how many there are of each."""
    import numpy as np

    known = {row.tobytes() for row in model.features}
    trained_on = np.array([row.tobytes() in known for row in model.standardised(columns)])
    squares = np.sum((predictions - np.column_stack(truth)) ** 2, axis=1)

    def mean(of: Any) -> float | None:
        return float(squares[of].mean()) if of.any() else None

    return {
        "n_rows_trained_on": int(trained_on.sum()),
        "mean_squared_error_trained_on": mean(trained_on),
        "n_rows_not_trained_on": int((~trained_on).sum()),
        "mean_squared_error_not_trained_on": mean(~trained_on),
    }


def _closing(errors: dict[str, Any]) -> list[str]:
    """Lines under the table: the errors where the target is known."""
    return [
        f"mean squared error {errors[f'mean_squared_error_{kind}']:.6g} on {errors[f'n_rows_{kind}']:,} rows {words}"
        for kind, words in (("not_trained_on", "that are no training row"), ("trained_on", "that are training rows"))
        if errors.get(f"n_rows_{kind}")
    ]


def _written(out: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as CSV, with all digits."""
    with atomic_write(out) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out

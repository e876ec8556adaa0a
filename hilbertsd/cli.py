"""The command line: thin, one function per command. Errors are one line on stderr and exit code 2."""

import io
import json
import shlex
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hilbertsd import __version__
from hilbertsd.errors import HilbertsdError
from hilbertsd.records import output_folder, provenance, write_json
from hilbertsd.studies import STUDIES

ROWS_SHOWN = 20
"""Rounds printed at each end of a long path."""

HEADINGS = {
    "multiplier": "multiplier c",
    "target_mean_square": "‖y_t‖²/n",
    "training_error": "training error",
    "effective_dimension": "Σ B_t",
    "grid_error": "error vs sin(2πx)",
    "test_error": "test error",
}

app = typer.Typer(add_completion=False, help="Self-distillation as kernel regression.")
run_app = typer.Typer(help="Run a study: print its table, write its figures and result.json.")
app.add_typer(run_app, name="run")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]


def main() -> None:
    """Entry point of the `hilbertsd` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # ε and ‖y‖ on a terminal that knows no Greek
    # A frame's file and line mean nothing to someone at a terminal.
    warnings.showwarning = lambda message, *_args, **_kwargs: print(f"warning: {message}", file=sys.stderr)  # noqa: T201
    try:
        code = app(prog_name="hilbertsd", standalone_mode=False)
    except BrokenPipeError:
        sys.stderr.close()  # the reader left; so does the complaint about it
        code = 1
    except (HilbertsdError, typer.TyperException, OSError, MemoryError) as error:
        code = _complain(error)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"hilbertsd {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_studies() -> None:
    """List the studies that `hilbertsd run` knows."""
    table = Table("study", "what it shows", box=None, header_style="bold")
    for name, summary in STUDIES.items():
        table.add_row(name, summary)
    Console().print(table)


@run_app.command("spline-toy")
def run_spline_toy(
    out: Annotated[Path, typer.Option(help="Folder for figures and result.json.")] = Path("spline-toy"),
    tolerance: Annotated[
        float | None,
        typer.Option(help="ε, mean squared training error of every round. [default: 0.045, or its like for a seed]"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Draw the noise afresh. [default: the paper's draw]")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the paper's spline example: eleven points of sin(2πx), distilled until collapse."""
    from hilbertsd.studies import spline_toy as study

    result = study.run(study.Config(tolerance, seed))
    command = "hilbertsd run spline-toy" + _flags(tolerance=tolerance, seed=seed)
    record = {**provenance(command, study.config_dict(result)), **result.to_dict()}
    folder = output_folder(out)
    files = [*study.plot(result, folder), write_json(folder / "result.json", record)]
    if as_json:
        _print_json(record)
        return
    spectrum = result.path.spectrum
    typer.echo(
        f"{spectrum.n_samples} points, ‖y‖²/n = {spectrum.target_mean_square:.5f}, floor {spectrum.floor:.7f}, "
        f"tolerance {result.path.tolerance:.6g}"
    )
    _print_rounds(result.rows())
    zero_error = record["zero_fit_grid_error"]
    typer.echo(
        f"collapse at round {result.path.collapse_round}: zero from there on (error vs sin(2πx) {zero_error:.3f})"
    )
    for claim in record["claims"]:
        typer.echo(f"{claim['verdict']}: {claim['claim']}")
    _print_files(files)


@app.command("distill")
def distill_table(
    table: Annotated[Path, typer.Argument(help="CSV or other delimited text, Parquet or NPZ, with named columns.")],
    target: Annotated[str, typer.Option(help="Column (NPZ: array) to predict; all others are features.")],
    kernel: Annotated[str, typer.Option(help="A scikit-learn pairwise kernel: rbf, laplacian, linear, ...")] = "rbf",
    gamma: Annotated[
        float | None, typer.Option(help="Kernel width, on standardised features. [default: 1/number of features]")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="ε as a fraction of the centred targets' mean square.")] = 0.1,
    test: Annotated[float, typer.Option(help="Fraction of the rows to hold out.")] = 0.25,
    drop: Annotated[list[str] | None, typer.Option(help="Column to leave out; repeat for more.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random split.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for result.json, path.npz and figures. [default: write nothing]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Distil a kernel regression on a table of yours: training and test error, round by round."""
    from hilbertsd.data.tables import read_table
    from hilbertsd.studies import table_path as study

    folder = None if out is None else output_folder(out)
    config = study.Config(kernel, gamma, tolerance, test, seed)
    data = read_table(table, target, drop or ())
    console = Console(stderr=True, quiet=as_json)
    with console.status(f"decomposing the kernel matrix of up to {len(data.targets):,} rows"):
        result = study.run(data, config)
    flags = _flags(target=target, kernel=kernel, gamma=gamma, tolerance=tolerance, test=test, seed=seed, drop=drop)
    record = {
        **provenance(f"hilbertsd distill {shlex.quote(table.name)}{flags}", study.config_dict(result)),
        **result.to_dict(),
    }
    files = []
    if folder is not None:
        saved = result.path.save(folder / "path.npz")
        files = [*study.plot(result, folder), saved, write_json(folder / "result.json", record)]
    if as_json:
        _print_json(record)
        return
    mean_square = result.path.spectrum.target_mean_square
    typer.echo(
        f"{result.n_train} training and {result.n_test} test rows, {len(result.feature_names)} standardised features, "
        f"{kernel} kernel, tolerance {tolerance:g} × {mean_square:.6g} (mean square of {target})"
    )
    _print_rounds(result.rows())
    ending = f"collapse at round {result.path.collapse_round}: the training mean alone from there on"
    if result.mean_test_error is not None:
        ending += f" (test error {result.mean_test_error:.6g})"
    typer.echo(ending)
    if result.best_test_round is not None:
        typer.echo(f"lowest test error in round {result.best_test_round}")
    _print_files(files)


def _complain(error: Exception) -> int:
    message = str(error)
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "hilbertsd"
        message = f"{error.format_message().rstrip('.')}; see {command} --help"
    typer.echo("error: " + " ".join(message.split()), err=True)
    return 2


def _flags(**options: Any) -> str:
    """Options as they would be typed, those left out that are None."""
    words = []
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                words.append(f" --{name} {shlex.quote(str(each))}")
    return "".join(words)


def _print_json(record: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))


def _print_rounds(rows: Sequence[Mapping[str, float]]) -> None:
    if not rows:
        typer.echo("no round: the zero function already meets the tolerance")
        return
    table = Table(*(HEADINGS.get(name, name) for name in rows[0]), box=None, header_style="bold")
    for column in table.columns:
        column.justify = "right"
        column.overflow = "fold"  # a narrow terminal may break a number, but not hide its exponent
    for index, row in enumerate(rows):
        if ROWS_SHOWN <= index < len(rows) - ROWS_SHOWN:
            if index == ROWS_SHOWN:
                table.add_row(f"… {len(rows) - 2 * ROWS_SHOWN} more")
            continue
        table.add_row(*(str(value) if name == "round" else f"{value:.4g}" for name, value in row.items()))
    Console().print(table)


def _print_files(files: Iterable[Path]) -> None:
    names = [str(file) for file in files]
    if names:
        typer.echo("wrote " + ", ".join(names))

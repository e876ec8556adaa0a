"""The command line `hilbertsd`: its commands, and what they have in common.

    main()  # runs the command in sys.argv and exits

Exit codes: 0 for success, 1 where a command says so in its help (a bound that does not hold, a damaged tile), 2 for an
error, which is one line on stderr, and 130 for an interruption.
"""

import io
import logging
import os
import shlex
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hilbertsd import __version__
from hilbertsd.cli.gram import gram_app
from hilbertsd.cli.ntk import add_studies, ntk_app
from hilbertsd.cli.options import JsonOption
from hilbertsd.cli.output import as_flags, show, written
from hilbertsd.errors import CollapseWarning, HilbertsdError, RoundingWarning
from hilbertsd.studies import STUDIES
from hilbertsd.support.files import output_folder, write_json
from hilbertsd.support.progress import working
from hilbertsd.support.provenance import provenance

app = typer.Typer(add_completion=False, help="Self-distillation as kernel regression.")
run_app = typer.Typer(help="Run a study: print its table, write its figures and result.json.")
app.add_typer(run_app, name="run")
app.add_typer(gram_app, name="gram")
app.add_typer(ntk_app, name="ntk")
add_studies(run_app)

TableArgument = Annotated[Path, typer.Argument(help="CSV or other delimited text, Parquet or NPZ, with named columns.")]
TargetOption = Annotated[str, typer.Option(help="Column (NPZ: array) to predict; all others are features.")]
KernelOption = Annotated[str, typer.Option(help="A scikit-learn pairwise kernel: rbf, laplacian, linear, ...")]
GammaOption = Annotated[
    float | None, typer.Option(help="Kernel width, on standardised features. [default: 1/number of features]")
]
ToleranceOption = Annotated[float, typer.Option(help="ε as a fraction of the centred targets' mean square.")]
DropOption = Annotated[list[str] | None, typer.Option(help="Column to leave out; repeat for more.")]


LEAST_COLUMNS = 40
"""Width of a terminal below which tables are laid out for 80 columns, and the terminal breaks their lines."""


class StderrLines(logging.Handler):
    """Log handler that prints every message as one plain line on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, above a progress bar where one is shown."""
        typer.echo(self.format(record), err=True)


def main() -> None:
    """Run the command in sys.argv, and exit."""
    _set_up_output()
    try:
        code = app(prog_name="hilbertsd", standalone_mode=False)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output is gone: an error message would not be read either
        code = 1
    except (HilbertsdError, typer.TyperException, OSError, MemoryError) as error:
        code = _complain(error)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code)


def _set_up_output() -> None:
    """Make output readable on any terminal: letters it lacks, its width, warnings and log messages."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a question mark for ε where the encoding has no Greek
    # Rich makes tables of nothing in 0 columns, which COLUMNS says where the width is unknown.
    if Console().width < LEAST_COLUMNS:
        os.environ["COLUMNS"] = "80"
    # Without file and line, which mean nothing to someone at a terminal.
    warnings.showwarning = lambda message, *_args, **_kwargs: typer.echo(f"warning: {message}", err=True)
    # Our warnings are part of a command's result: PYTHONWARNINGS neither hides them nor ends the command with them. For
    # warnings of other packages it holds, because who makes errors of these wants to see where they come from.
    for category in (CollapseWarning, RoundingWarning):
        warnings.simplefilter("default", category)
    logger = logging.getLogger("hilbertsd")
    logger.setLevel(logging.INFO)
    logger.handlers = [StderrLines()]


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

    folder = output_folder(out)
    result = study.run(study.Config(tolerance, seed))
    flags = as_flags(tolerance=tolerance, seed=seed)
    record, files = written(study, result, f"hilbertsd run spline-toy{flags}", folder)
    spectrum = result.path.spectrum
    show(
        as_json,
        record,
        files,
        f"{spectrum.n_samples} points, ‖y‖²/n = {spectrum.target_mean_square:.5f}, floor {spectrum.floor:.7f}, "
        f"tolerance {result.path.tolerance:.6g}",
        result.rows(),
        f"collapse at round {result.path.collapse_round}: zero from there on (error vs sin(2πx) "
        f"{record['zero_fit_grid_error']:.3f})",
        *(f"{claim['verdict']}: {claim['claim']}" for claim in record["claims"]),
    )


@run_app.command("bounds")
def run_bounds(
    preset: Annotated[str, typer.Option(help="quick (500 problems, seconds) or full (20,000, minutes).")] = "quick",
    seed: Annotated[int, typer.Option(min=0, help="Of the random problems.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the figure and result.json.")] = Path("bounds"),
    as_json: JsonOption = False,
) -> None:
    """Check every bound on random problems: violations, and how tight each one is."""
    from hilbertsd.studies import bounds as study

    folder = output_folder(out)
    result = study.run(study.Config(preset, seed))
    record, files = written(study, result, f"hilbertsd run bounds{as_flags(preset=preset, seed=seed)}", folder)
    limit = record["theorem_6"]
    show(
        as_json,
        record,
        files,
        result.rows(),
        f"{record['n_problems']:,} problems, {record['n_checks']:,} checks, {record['n_violations']} violations; "
        "tightness is right side / left side, 1 where a bound is met",
        f"Theorem 6, {limit['spectra']:,} spectra with κ ≤ 100: at ε = {limit['tolerance_share']:g} ‖y‖²/n S is within "
        f"{limit['largest_relative_distance']:.1g} of its limit; not falling in ε on {limit['not_monotone']}",
    )


@run_app.command("early-stopping")
def run_early_stopping(
    draws: Annotated[int, typer.Option(help="Fresh draws of the noise beside the paper's own.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of the first fresh draw.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the figure and result.json.")] = Path("early-stopping"),
    as_json: JsonOption = False,
) -> None:
    """Compare distillation with early stopping at equal training error, on the paper's spline example."""
    from hilbertsd.studies import early_stopping as study

    folder = output_folder(out)
    result = study.run(study.Config(draws, seed))
    record, files = written(study, result, f"hilbertsd run early-stopping{as_flags(draws=draws, seed=seed)}", folder)
    best = record["best_errors"]
    show(
        as_json,
        record,
        files,
        result.rows(),
        *(f"{claim['verdict']}: {claim['claim']}" for claim in record["claims"]),
        f"lowest error over the rounds, distillation − early stopping, {best['draws']} fresh draws: "
        f"{best['mean_difference']:.2g} ± {best['standard_error']:.2g}",
    )


@run_app.command("filters")
def run_filters(
    samples: Annotated[int, typer.Option(help="Noisy points of sin(2πx) a draw.")] = 50,
    draws: Annotated[int, typer.Option(help="Data sets on which every family is tuned.")] = 200,
    tolerance: Annotated[
        float, typer.Option(help="ε of the drawn path, as a fraction of the targets' mean square.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Of the first draw.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the figure and result.json.")] = Path("filters"),
    as_json: JsonOption = False,
) -> None:
    """Hold distillation against ridge, iterated Tikhonov, gradient flow and truncation as spectral filters."""
    from hilbertsd.studies import filters as study

    folder = output_folder(out)
    result = study.run(study.Config(samples, draws, tolerance, seed))
    flags = as_flags(samples=samples, draws=draws, tolerance=tolerance, seed=seed)
    record, files = written(study, result, f"hilbertsd run filters{flags}", folder)
    names = ("family", "best_test_error", "standard_error", "minus_tuned_ridge", "minus_tuned_ridge_standard_error")
    show(as_json, record, files, [{name: row[name] for name in names} for row in result.rows()])


@run_app.command("green-functions")
def run_green_functions(
    points: Annotated[int, typer.Option(min=1, help="Random points at whose pairs kernels are compared.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the points.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the figure and result.json.")] = Path("green-functions"),
    as_json: JsonOption = False,
) -> None:
    """Find Green's functions of given operators and hold them against every closed form."""
    from hilbertsd.studies import green_functions as study

    folder = output_folder(out)
    result = study.run(study.Config(points, seed))
    record, files = written(study, result, f"hilbertsd run green-functions{as_flags(points=points, seed=seed)}", folder)
    show(as_json, record, files, result.rows())


@run_app.command("spectrum")
def run_spectrum(
    table: TableArgument,
    target: TargetOption,
    kernel: KernelOption = "rbf",
    gamma: GammaOption = None,
    tolerance: ToleranceOption = 0.1,
    drop: DropOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the figure and result.json.")] = Path("spectrum"),
    as_json: JsonOption = False,
) -> None:
    """Show a kernel's eigenvalues on a table of yours, where the target lies, where ε cuts, what each round keeps."""
    from hilbertsd.data.tables import read_table
    from hilbertsd.studies import spectrum as study

    folder = output_folder(out)
    data = read_table(table, target, drop or ())
    with working(f"decomposing the kernel matrix of {len(data.targets):,} rows"):
        result = study.run(data, study.Config(kernel, gamma, tolerance))
    flags = as_flags(target=target, kernel=kernel, gamma=gamma, tolerance=tolerance, drop=drop)
    command = f"hilbertsd run spectrum {shlex.quote(table.name)}{flags}"
    record, files = written(study, result, command, folder)
    show(
        as_json,
        record,
        files,
        f"{record['n_samples']} rows, {record['zero_eigenvalues']} zero eigenvalues; {result.cut} leading eigenvectors "
        f"hold all but {tolerance:g} of the mean square of {target}",
        result.rows(),
        f"collapse at round {record['collapse_round']}",
    )


@app.command("check-bounds")
def check_bounds_on_table(
    table: TableArgument,
    target: TargetOption,
    kernel: KernelOption = "rbf",
    gamma: GammaOption = None,
    tolerance: ToleranceOption = 0.1,
    drop: DropOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for result.json with every statement. [default: write nothing]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check every bound of the paper on the path of a table of yours; exit code 1 where one does not hold."""
    from hilbertsd.bounds.report import check_bounds
    from hilbertsd.data.tables import read_table
    from hilbertsd.studies import table_path

    folder = None if out is None else output_folder(out)
    config = table_path.Config(kernel, gamma, tolerance, test_fraction=0.0)
    data = read_table(table, target, drop or ())
    with working(f"decomposing the kernel matrix of {len(data.targets):,} rows"):
        report = check_bounds(table_path.distilled(table_path.prepare(data, config), config))
    flags = as_flags(target=target, kernel=kernel, gamma=gamma, tolerance=tolerance, drop=drop)
    command = f"hilbertsd check-bounds {shlex.quote(table.name)}{flags}"
    record = {**provenance(command, asdict(config)), **report.to_dict()}
    files = [] if folder is None else [write_json(folder / "result.json", record)]
    names = ("name", "checks", "violations", "round", "left", "right")
    rows = [{name: row[name] for name in names} for row in report.summary()]
    show(as_json, record, files, rows, f"left ≥ right, in the round where they are closest; {report!r}")
    if not report.holds:
        raise typer.Exit(1)


@app.command("distill")
def distill_table(
    table: TableArgument,
    target: TargetOption,
    kernel: KernelOption = "rbf",
    gamma: GammaOption = None,
    tolerance: ToleranceOption = 0.1,
    test: Annotated[float, typer.Option(help="Fraction of the rows to hold out.")] = 0.25,
    drop: DropOption = None,
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
    with working(f"decomposing the kernel matrix of up to {len(data.targets):,} rows"):
        result = study.run(data, config)
    flags = as_flags(target=target, kernel=kernel, gamma=gamma, tolerance=tolerance, test=test, seed=seed, drop=drop)
    record = {
        **provenance(f"hilbertsd distill {shlex.quote(table.name)}{flags}", asdict(result.config)),
        **result.to_dict(),
    }
    files = []
    if folder is not None:
        saved = result.path.save(folder / "path.npz")
        files = [*study.plot(result, folder), saved, write_json(folder / "result.json", record)]
    ending = f"collapse at round {result.path.collapse_round}: the training mean alone from there on"
    if result.mean_test_error is not None:
        ending += f" (test error {result.mean_test_error:.6g})"
    best = [] if result.best_test_round is None else [f"lowest test error in round {result.best_test_round}"]
    show(
        as_json,
        record,
        files,
        f"{result.n_train} training and {result.n_test} test rows, {len(result.feature_names)} standardised features, "
        f"{kernel} kernel, tolerance {tolerance:g} × {result.path.spectrum.target_mean_square:.6g} (mean square of "
        f"{target})",
        result.rows(),
        ending,
        *best,
    )


def _complain(error: Exception) -> int:
    """Print an error as one line on stderr; return the exit code."""
    message = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{error.filename}: {error.strerror}"
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "hilbertsd"
        message = f"{error.format_message().rstrip('.')}; see {command} --help"
    typer.echo("error: " + " ".join(line.strip() for line in message.splitlines()), err=True)
    return 2

"""The command line `hilbertsd`: its commands, and what they have in common.

    main()  # runs the command in sys.argv and exits

Exit codes: 0 for success, 1 where a command says so in its help (a bound that does not hold, a damaged tile), 2 for an
error, which is one line on stderr, and 130 for an interruption.
"""

import io
import logging
import os
import sys
import warnings
from typing import Annotated

import typer
from rich.console import Console

from hilbertsd import __version__
from hilbertsd.cli.claims import claims
from hilbertsd.cli.gram import gram_app
from hilbertsd.cli.ntk import ntk_app
from hilbertsd.cli.predict import predict
from hilbertsd.cli.run import StudyGroup, add_studies
from hilbertsd.errors import HilbertsdError, HilbertsdWarning

app = typer.Typer(cls=StudyGroup, add_completion=False, help="Self-distillation as kernel regression.")
app.add_typer(gram_app, name="gram")
app.add_typer(ntk_app, name="ntk")
app.command()(predict)
app.command()(claims)
add_studies(app)


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
    warnings.simplefilter("default", HilbertsdWarning)
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


def _complain(error: Exception) -> int:
    """Print an error as one line on stderr; return the exit code."""
    message = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{error.filename}: {error.strerror}"
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "hilbertsd"
        message = f"{_renamed(error, context) or error.format_message().rstrip('.')}; see {command} --help"
    typer.echo("error: " + " ".join(line.strip() for line in message.splitlines()), err=True)
    return 2


def _renamed(error: typer.TyperException, context: typer.Context | None) -> str | None:
    """Message for the option of 0.1 that has another name, None where the error is another one."""
    known = {parameter.name for parameter in context.command.params} if context else set()
    if getattr(error, "option_name", None) == "--tolerance" and "relative_tolerance" in known:
        return (
            "--tolerance is named --relative-tolerance since version 0.2: ε as a fraction of the targets' mean square"
        )
    return None

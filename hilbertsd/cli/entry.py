"""The command line: thin, one function per command. Errors are one line on stderr and exit code 2."""

import io
import sys
import warnings
from typing import Annotated

import typer

from hilbertsd import __version__
from hilbertsd.cli.gram import gram_app
from hilbertsd.cli.ntk import ntk_app
from hilbertsd.cli.run import StudyGroup, add_studies
from hilbertsd.errors import HilbertsdError

app = typer.Typer(cls=StudyGroup, add_completion=False, help="Self-distillation as kernel regression.")
app.add_typer(gram_app, name="gram")
app.add_typer(ntk_app, name="ntk")
add_studies(app)


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


def _complain(error: Exception) -> int:
    message = str(error)
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "hilbertsd"
        message = f"{error.format_message().rstrip('.')}; see {command} --help"
    typer.echo("error: " + " ".join(message.split()), err=True)
    return 2

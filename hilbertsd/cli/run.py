"""Commands made from studies: `hilbertsd run NAME`, `distill`, `check-bounds` and `list`.

    app = typer.Typer(cls=StudyGroup)
    add_studies(app)

A study's options are the fields of its configuration. Its module is imported when its command is looked up, so that one
command does not wait for the libraries of all.
"""

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from hilbertsd import studies
from hilbertsd.cli.options import JsonOption, nonempty_path
from hilbertsd.cli.output import show
from hilbertsd.errors import InvalidInput
from hilbertsd.support.files import output_folder
from hilbertsd.support.progress import working

if TYPE_CHECKING:
    from hilbertsd.studies.form import Study


class StudyCommands(Mapping[str, Any]):
    """Commands by name: those that are ready, and those of studies, each made when it is looked up."""

    def __init__(
        self, ready: Mapping[str, Any], names: Callable[[], Iterable[str]], found: Callable[[str], Any]
    ) -> None:
        self._ready, self._names, self._found = ready, names, found

    def __getitem__(self, name: str) -> Any:
        if name in self._ready:
            return self._ready[name]
        with working("starting"):
            study = self._found(name)
        if study is None:
            raise KeyError(name)
        return command_of(study)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted([*self._ready, *self._names()]))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class StudyGroup(TyperGroup):
    """`hilbertsd`, beside whose commands are the studies that are commands of their own."""

    own = True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = StudyCommands(self.commands, self.names, self.study)

    def names(self) -> Iterable[str]:
        """Names of the studies that are commands of this group."""
        with working("starting"):
            return [name for name, study in studies.studies().items() if study.is_own_command == self.own]

    def study(self, name: str) -> "Study | None":
        """Study of a name, None where it is no command of this group."""
        try:
            study = studies.study(name)
        except InvalidInput:
            return None
        return study if study.is_own_command == self.own else None


class RunGroup(StudyGroup):
    """`hilbertsd run`, whose commands are all the other studies."""

    own = False


class DistillGroup(StudyGroup):
    """`hilbertsd gram` or `hilbertsd ntk`, beside whose commands is `distill`."""

    def names(self) -> Iterable[str]:
        """The one name."""
        return ["distill"]

    def study(self, name: str) -> "Study | None":
        """Study of the name."""
        if name != "distill":
            return None
        from hilbertsd.studies.stored_kernel import STUDIES

        return STUDIES[f"{self.name} {name}"]


run_app = typer.Typer(cls=RunGroup, help="Run a study: print its table, write figures, result.json and report.html.")


def add_studies(app: typer.Typer) -> None:
    """Add `run` and `list` to an app made with `cls=StudyGroup`."""
    app.add_typer(run_app, name="run")
    app.command("list")(list_studies)


def list_studies() -> None:
    """List the studies that `hilbertsd run` knows."""
    table = Table("study", "what it shows", box=None, header_style="bold")
    for name, study in studies.studies().items():
        if not study.is_own_command:
            table.add_row(name, study.summary)
    Console().print(table)


def command_of(study: "Study") -> Any:
    """Command that runs a study: an option for every field of its configuration, `--out` and `--json`."""

    def run(out: Path | None, as_json: bool, **values: Any) -> None:
        if as_json:  # whoever reads JSON wants no word of progress
            logging.getLogger("hilbertsd").setLevel(logging.WARNING)
        folder = None if out is None else output_folder(out)
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        result, record, files = study.execute(study.config(**values), folder)
        show(as_json, record, files, *result.shown())
        if not result.holds:
            raise typer.Exit(1)

    run.__signature__ = inspect.Signature(list(_parameters(study)))  # type: ignore[attr-defined]
    run.__annotations__ = {}
    app = typer.Typer(add_completion=False)
    app.command(study.name.split()[-1], help=study.summary)(run)
    return typer.main.get_command(app)


def _parameters(study: "Study") -> Iterator[inspect.Parameter]:
    """A parameter for every argument and option of a study's configuration, and for `--out` and `--json`."""
    kinds = get_type_hints(study.config)
    for each in fields(study.config):
        if "typed" not in each.metadata:
            continue
        kind = list[str] if kinds[each.name] == tuple[str, ...] else kinds[each.name]
        help_text = escape(each.metadata["help"])  # Rich would take [default: ...] for markup and drop it
        parser: Any = nonempty_path if kind in (Path, Path | None) else None
        if each.metadata["typed"] == "argument":
            info: Any = typer.Argument(help=help_text, parser=parser)
        else:
            words = [f"--{each.name.replace('_', '-')}"] if kind is bool else []  # without a --no- of equal width
            info = typer.Option(*words, help=help_text, min=each.metadata["least"], parser=parser)
        default = list(each.default) if isinstance(each.default, tuple) else each.default
        yield _parameter(each.name, Annotated[kind, info], default)
    nothing = escape(" [default: write nothing]") if study.is_own_command else ""
    out = typer.Option(help="Folder for result.json, report.html and further files." + nothing, parser=nonempty_path)
    yield _parameter("out", Annotated[Path | None, out], None if study.is_own_command else Path(study.name))
    yield _parameter("as_json", JsonOption, False)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """Parameter of a name, which has to be given where the default is missing."""
    default = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

"""Options and arguments that several commands share, and groups of them.

    @app.command("plan")
    @grouped
    def plan(network: NetworkOptions, as_json: JsonOption = False) -> None: ...

A group is a dataclass of annotated fields. On the command line, each of its fields is a parameter of its own.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer


def nonempty_path(word: str | Path) -> Path:
    """Path of a word; an error for an empty word, which `Path` takes for the current folder."""
    if not str(word):
        raise typer.BadParameter("it is empty; give a path")
    return Path(word)


JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
DtypeOption = Annotated[str, typer.Option(help="Precision of the stored values: float32 or float64.")]
SchedulerOption = Annotated[
    str | None,
    typer.Option(help="Address of a Dask scheduler whose workers see the folder.", show_default="this machine"),
]
StoreArgument = Annotated[Path, typer.Argument(help="Folder of the store.", parser=nonempty_path)]


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's first parameter, a dataclass, by one parameter for each of its fields."""
    group, *others = inspect.signature(command).parameters.values()
    options = group.annotation

    @functools.wraps(command)
    def ungrouped(**values: Any) -> None:
        given = options(**{field.name: values.pop(field.name) for field in fields(options)})
        command(given, **values)

    parameters = [*inspect.signature(options).parameters.values(), *others]
    keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    ungrouped.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    ungrouped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return ungrouped

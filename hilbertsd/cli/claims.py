"""`hilbertsd claims`: one page of what stored results say of the papers' claims."""

from pathlib import Path
from typing import Annotated

import typer

from hilbertsd.cli.options import nonempty_path
from hilbertsd.support.files import atomic_write
from hilbertsd.support.progress import working


def claims(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder whose folders `hilbertsd run NAME --out` has written.", parser=nonempty_path),
    ] = Path(),
    out: Annotated[
        Path | None,
        typer.Option(
            help="Markdown file for the page, in the folder for links that work.",
            show_default="print it",
            parser=nonempty_path,
        ),
    ] = None,
) -> None:
    """Write one page of the papers' claims that results in a folder have tested: source, verdict, numbers, command."""
    with working("reading"):
        from hilbertsd.report import claims_page

        page = claims_page(folder)
    if out is None:
        typer.echo(page, nl=False)
        return
    with atomic_write(out) as partial:
        partial.write_text(page, encoding="utf-8")
    typer.echo(f"wrote {out}")

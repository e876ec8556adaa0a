"""A page: sections under headings, in one file that requests nothing."""

import html
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hilbertsd import __version__
from hilbertsd.pages.picture import Picture
from hilbertsd.pages.rounds import Rounds
from hilbertsd.pages.table import Table
from hilbertsd.pages.text import Code, Facts, Links, Text
from hilbertsd.support.files import atomic_write

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
"""Content security policy: what the page holds runs, and nothing is requested."""

Part = Text | Code | Facts | Links | Table | Picture | Rounds


@dataclass(frozen=True, eq=False)
class Section:
    """Parts under a heading."""

    heading: str
    parts: tuple[Part, ...]

    def markup(self) -> str:
        """HTML."""
        body = "".join(part.markup() for part in self.parts)
        return f"<section>\n<h2>{html.escape(self.heading)}</h2>\n{body}</section>\n"


@dataclass(frozen=True, eq=False)
class Page:
    """A title, a sentence under it, and sections."""

    title: str
    summary: str
    sections: tuple[Section, ...]

    @property
    def has_rounds(self) -> bool:
        """Whether a slider is on it."""
        return any(isinstance(part, Rounds) for section in self.sections for part in section.parts)

    def markup(self) -> str:
        """HTML of the whole page."""
        scripts = [_resource("tables.js"), *([_resource("rounds.js")] if self.has_rounds else [])]
        title = html.escape(self.title)
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
            f"<title>{title}</title>\n<style>\n{_resource('style.css')}</style>\n</head>\n<body>\n"
            f"<header>\n<h1>{title}</h1>\n<p>{html.escape(self.summary)}</p>\n</header>\n<main>\n"
            + "".join(section.markup() for section in self.sections)
            + f"</main>\n<footer>hilbertsd {__version__}</footer>\n"
            + "".join(f"<script>{script}</script>\n" for script in scripts)
            + "</body>\n</html>\n"
        )


def write_page(page: Page, file: Path) -> Path:
    """Write a page whole or not at all, and return the file; raises InvalidFile where it cannot be written."""
    with atomic_write(file) as partial:
        partial.write_text(page.markup(), encoding="utf-8")
    return file


def _resource(name: str) -> str:
    """Text of a file of this room."""
    return (resources.files("hilbertsd.pages") / name).read_text(encoding="utf-8")

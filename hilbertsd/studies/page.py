"""What report.html shows of every study: its words, tables, claims and figures, and how it was made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hilbertsd.pages.page import Part, Section
from hilbertsd.pages.picture import MEDIA_TYPES, Picture, lighter
from hilbertsd.pages.table import Table
from hilbertsd.pages.text import Code, Facts, Links, Text

MOST_PICTURE_BYTES = 4_000_000
"""Bytes of all pictures on a page, which is to stay below 6 MB; those beyond are named, not shown."""


def sections_of(
    description: str,
    result: Any,
    record: Mapping[str, Any],
    further: Sequence[Section],
    files: Sequence[Path],
    folder: Path,
) -> tuple[Section, ...]:
    """Sections of a study's page.

    Parameters
    ----------
    description : text whose first line is the page's summary already.
    result : a :class:`hilbertsd.studies.form.Result`.
    record : what result.json holds.
    further : the study's own sections, between its first lines and its table.
    files : what was written; figures among them are shown.
    folder : where the page lies.
    """
    claims = [
        {"claim": claim.claim, "setting": claim.setting or None, "verdict": str(claim.verdict)}
        | {"source": claim.source or None, "evidence": claim.note or None}
        for claim in result.claims()
    ]
    rows = result.rows()
    # Paths outside of the folder are left out: they would name places of this machine.
    beside = tuple(file.relative_to(folder).as_posix() for file in files if file.is_relative_to(folder))
    sections = (
        Section("Result", (Text((*result.headline(), *result.closing())), Code(record["command"]))),
        *further,
        Section("Table", (Table(f"{len(rows):,} rows; a heading sorts them", rows),) if rows else ()),
        Section("Claims", (Table("What was claimed, and what came out", claims),) if claims else ()),
        Section("Figures", pictures_of(files, MOST_PICTURE_BYTES)),
        Section("About", described(description)),
        Section("Configuration", (Facts(record["config"]),)),
        Section("Made with", (Facts(record["versions"]), Facts(record["machine"]))),
        Section("Files beside this page", (Links(beside),)),
    )
    return tuple(section for section in sections if section.parts)


def pictures_of(files: Sequence[Path], most_bytes: int) -> tuple[Part, ...]:
    """The lighter file of every figure, as long as all together stay within a number of bytes."""
    figures: dict[str, list[Picture]] = {}
    for file in files:
        if file.suffix in MEDIA_TYPES:
            figures.setdefault(file.stem, []).append(Picture(file.stem, file.suffix, file.read_bytes()))
    parts: list[Part] = []
    left = most_bytes
    for name, kinds in figures.items():
        picture = lighter(kinds)
        if picture.weight <= left:
            parts.append(picture)
            left -= picture.weight
        else:
            parts.append(Text((f"{name}{picture.suffix} is too heavy for this page; open it below.",)))
    return tuple(parts)


def described(description: str) -> tuple[Part, ...]:
    """Paragraphs of a description after its first line; indented ones are code."""
    parts: list[Part] = []
    for block in description.partition("\n")[2].strip("\n").split("\n\n"):
        if block.startswith("    "):
            parts.append(Code("\n".join(line.removeprefix("    ") for line in block.splitlines())))
        elif block.strip():
            parts.append(Text((" ".join(block.replace("`", "").split()),)))
    return tuple(parts)

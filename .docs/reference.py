"""Build the API reference, a page for the package and one for each room, with pdoc.

uv run --group docs python .docs/reference.py site
"""

import inspect
import re
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import pdoc
import pdoc.doc
import pdoc.docstrings
import pdoc.render
from numpy.typing import ArrayLike, DTypeLike

from hilbertsd.networks import Layer

SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", re.MULTILINE)
LISTS = {"Parameters", "Returns", "Yields", "Raises", "Attributes"}
WRITTEN_OUT = inspect.formatannotation
WITHOUT_ADDRESSES = pdoc.doc.__dict__["_remove_memory_addresses"]
ALIASES = {
    "ArrayLike | None": ArrayLike | None,
    "ArrayLike": ArrayLike,
    "DTypeLike": DTypeLike,
    "Layer": Layer,
}
"""What the source calls types that Python writes out as unions of a screen."""

ARRAY = re.compile(r"numpy\.ndarray\[tuple\[Any, \.\.\.\], numpy\.dtype\[[\w.]+(\[\w+\])?\]\]")
UNREADABLE = re.compile(r" = <(factory|dataclasses\._MISSING_TYPE object|function .*)>$")
"""Defaults that are made by a function, or are one."""


def markdown(docstring: str) -> str:
    """Docstring with its numpydoc sections as Markdown lists. Entries are `name : what it is, in a sentence`."""
    opening, *sections = SECTION.split(docstring)
    for heading, text in zip(sections[::2], sections[1::2], strict=True):
        # A section ends where a line that is not part of an entry follows a blank one, as `Source: …` does.
        entries, _, rest = text.partition("\n\n")
        described = "\n".join(map(entry, re.split(r"\n(?=\S)", entries.strip("\n")))) if heading in LISTS else entries
        opening += f"###### {heading}\n\n{described}\n\n{textwrap.dedent(rest)}\n\n"
    return opening


def entry(text: str) -> str:
    """One entry of a section as an item of a Markdown list."""
    first, _, more = text.partition("\n")
    names, colon, what = first.partition(" : ")
    what = " ".join([what, *textwrap.dedent(more).splitlines()]).strip()
    if not colon and not more:
        return first + "\n"
    return f"- **{names}**{': ' if what else ''}{what}"


def annotation(value: object, base_module: str | None = None, **options: Any) -> str:
    """Type annotation that names types as the source does instead of writing them out."""
    text = written(value, base_module, **options)
    for name, alias in ALIASES.items():
        text = text.replace(written(alias, base_module), name)
    return ARRAY.sub("NDArray", text)


def written(value: object, base_module: str | None = None, **options: Any) -> str:
    """Type annotation as Python writes it, without the module of the typing constructs."""
    return WRITTEN_OUT(value, base_module, **options).replace("typing.", "")


def parameter(text: str) -> str:
    """Parameter of a signature, with `...` for a default that is no readable value."""
    return UNREADABLE.sub(" = ...", WITHOUT_ADDRESSES(text))


def says_nothing(constructor: Any) -> bool:
    """Whether a constructor is a dataclass's own and all its parameters must be given, as the attributes say."""
    code = getattr(constructor, "__code__", None)  # built-in constructors have none
    if code is None or code.co_filename != "<string>":
        return False
    return all(each.default is each.empty for each in inspect.signature(constructor).parameters.values())


if __name__ == "__main__":
    warnings.simplefilter("error")
    inspect.formatannotation = pdoc.doc.__dict__["formatannotation"] = annotation
    pdoc.docstrings.numpy = markdown
    pdoc.doc.__dict__["_remove_memory_addresses"] = parameter
    pdoc.render.configure(docformat="numpy", template_directory=Path(__file__).parent / "template", show_source=False)
    pdoc.render.env.filters["says_nothing"] = says_nothing
    pdoc.pdoc("hilbertsd", output_directory=Path(sys.argv[1]))

"""Writing files whole or not at all, and folders for results."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hilbertsd.errors import InvalidFile


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield the path of a partial file, which replaces the target if the body succeeds and is deleted if it does not.

    Raises InvalidFile where the target cannot be written.
    """
    try:
        partial = target.with_name(target.name + ".partial")  # a path that ends in no name, such as "", has none
        partial.unlink(missing_ok=True)  # fails for a name that no file can have
    except (OSError, ValueError) as error:
        raise InvalidFile(f"{target} cannot be written: {error}; give another folder or name") from error
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        raise InvalidFile(f"{target} cannot be written: {error.strerror}; give another folder or name") from error
    finally:
        partial.unlink(missing_ok=True)


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder for results, or raise InvalidFile saying why it cannot be."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidFile(f"{folder} cannot be made a folder for results: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise InvalidFile(f"{folder} is not writable; give another folder")
    return folder


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write one JSON object; an existing file is replaced whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return path

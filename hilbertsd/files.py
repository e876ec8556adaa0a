"""Files that are replaced whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hilbertsd.errors import InvalidFile


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yield a partial file beside the target, which it replaces if the body succeeds and leaves no trace of if not.

    Raises InvalidFile where the target cannot be written.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        raise InvalidFile(f"{target} cannot be written: {error.strerror}; give another folder or name") from error
    finally:
        partial.unlink(missing_ok=True)

"""Connections to a running Dask scheduler."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hilbertsd.errors import InvalidInput, MissingPackage
from hilbertsd.support.progress import working


@contextmanager
def connected(scheduler: str | None) -> Iterator[Any]:
    """Give a client of a running Dask scheduler, or None for None; InvalidInput where none answers.

    Raises MissingPackage where Dask is not installed.
    """
    if scheduler is None:
        yield None
        return
    with working(f"looking for the scheduler at {scheduler}"):
        try:
            from distributed import Client

            client = Client(scheduler)
        except ImportError as error:
            raise MissingPackage("a cluster needs dask.distributed; pip install 'hilbertsd[cluster]'") from error
        except (ValueError, OSError) as error:
            raise InvalidInput(
                f"no Dask scheduler answers at {scheduler!r} ({error}); start `dask scheduler`"
            ) from error
    with client:
        yield client

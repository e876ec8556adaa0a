"""Progress bars on the terminal's error stream, for what turns out to take more than a few seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

SECONDS_BEFORE = 2.0
"""A task that ends sooner shows nothing."""


class Task:
    """A running task.

    Attributes
    ----------
    total : units that make it complete; None where nobody knows.
    """

    def __init__(self, description: str, total: int | None, console: Console) -> None:
        self._started = time.monotonic()
        self._shown = False
        self._visible = console.is_terminal or console.is_jupyter
        end = [TextColumn("{task.fields[note]}"), TimeElapsedColumn()]
        middle = [SpinnerColumn()] if total is None else [BarColumn(), MofNCompleteColumn()]
        self._bar = Progress(TextColumn("{task.description}"), *middle, *end, console=console, transient=True)
        self._task = self._bar.add_task(description, total=total, note="")

    def update(self, completed: int, note: str = "") -> None:
        """Say how far it is, in the units of the total, and what a reader wants to know beside that."""
        self._bar.update(self._task, completed=completed, note=note)
        if self._visible and not self._shown and time.monotonic() - self._started > SECONDS_BEFORE:
            self._bar.start()
            self._shown = True

    def stop(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._bar.stop()


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Task]:
    """Task whose bar appears on a terminal or in a notebook after two seconds and goes when it is over."""
    task = Task(description, total, Console(stderr=True))
    try:
        yield task
    finally:
        task.stop()

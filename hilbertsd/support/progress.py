"""Progress bars on the terminal's error stream, for what turns out to take more than a few seconds."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Item = TypeVar("Item")

SECONDS_BEFORE = 2.0
"""A task that ends sooner shows nothing."""


class Task:
    """A running task. Updating one that shows nothing costs a look at the clock."""

    _shown: ClassVar["Task | None"] = None  # of tasks within tasks the one that came first

    def __init__(self, description: str, total: int | None, seconds_before: float = SECONDS_BEFORE) -> None:
        self._description, self._total = description, total
        self._show_at = time.monotonic() + seconds_before
        self._bar: Progress | None = None

    def update(self, completed: int, note: str = "") -> None:
        """Say how far it is, in the units of the total, and what a reader wants to know beside that."""
        if self._bar is None and time.monotonic() >= self._show_at and Task._shown is None:
            self._show()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=completed, note=note)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            Task._shown = None

    def _show(self) -> None:
        console = Console(stderr=True)
        if not (console.is_terminal or console.is_jupyter):
            self._show_at = float("inf")
            return
        how_far = [SpinnerColumn()] if self._total is None else [BarColumn(), MofNCompleteColumn()]
        columns = [TextColumn("{task.description}"), *how_far, TextColumn("{task.fields[note]}"), TimeElapsedColumn()]
        self._bar = Progress(*columns, console=console, transient=True)
        self._bar.add_task(self._description, total=self._total, note="")
        self._bar.start()
        Task._shown = self


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Task]:
    """Task whose bar appears on a terminal or in a notebook after two seconds and goes when it is over.

    Parameters
    ----------
    description : what is counted.
    total : how many make it complete; None where nobody knows.
    """
    task = Task(description, total)
    try:
        yield task
    finally:
        task.stop()


class PairRate:
    """Pairs of points per second, of those that a run computed itself, from when it began to."""

    def __init__(self) -> None:
        self._since, self._pairs = time.monotonic(), 0

    def note(self, pairs: int) -> str:
        """Count the pairs of one more tile, 0 of one that was there already, and say how many they are per second.

        Nothing until something was computed: the time that tiles took to read before that does not count.
        """
        now = time.monotonic()
        if self._pairs == 0 and pairs == 0:
            self._since = now
        self._pairs += pairs
        return f"{self._pairs / (now - self._since):.2g} pairs/s" if self._pairs and now > self._since else ""


def tracked(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Go through items, with a bar that counts them."""
    with progress(description, len(items)) as bar:
        for done, item in enumerate(items):
            bar.update(done)
            yield item


@contextmanager
def working(description: str) -> Iterator[None]:
    """Say at once what is being done, where nobody can tell how far it is."""
    task = Task(description, None, seconds_before=0.0)
    task.update(0)
    try:
        yield
    finally:
        task.stop()

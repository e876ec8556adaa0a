"""Progress bars on the terminal's error stream, for what turns out to take more than a few seconds."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Item = TypeVar("Item")

SECONDS_BEFORE = 2.0
"""Seconds until a task shows its bar; one that ends sooner shows nothing."""


class Task:
    """A running task. Updating one that shows nothing costs a look at the clock."""

    _shown: ClassVar["Task | None"] = None  # only the outermost of nested tasks has a bar

    def __init__(self, description: str, total: int | None, seconds_before: float = SECONDS_BEFORE) -> None:
        self._description, self._total = description, total
        self._show_at = time.monotonic() + seconds_before
        self._bar: Progress | None = None

    def update(self, completed: int, note: str = "") -> None:
        """Show how much is completed, in units of the total, with a note beside the bar."""
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
    """Task whose bar appears on a terminal or in a notebook after two seconds and disappears at the end.

    Parameters
    ----------
    description : what is counted.
    total : number at which the task is complete; None where it is unknown.
    """
    task = Task(description, total)
    try:
        yield task
    finally:
        task.stop()


class PairRate:
    """Pairs of points computed per second, without the time that passed before the first of them."""

    def __init__(self) -> None:
        self._since, self._pairs = time.monotonic(), 0

    def note(self, pairs: int) -> str:
        """Add the pairs computed for one more tile, 0 for a tile that was already there, and return the rate as text.

        The text is empty until a first tile is computed; the time spent on reading tiles before that does not count.
        """
        now = time.monotonic()
        if self._pairs == 0 and pairs == 0:
            self._since = now
        self._pairs += pairs
        return f"{self._pairs / (now - self._since):.2g} pairs/s" if self._pairs and now > self._since else ""


def tracked(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Iterate over items, with a bar that counts them."""
    with progress(description, len(items)) as bar:
        for done, item in enumerate(items):
            bar.update(done)
            yield item


@contextmanager
def working(description: str) -> Iterator[None]:
    """Show at once what is being done, without a count."""
    task = Task(description, None, seconds_before=0.0)
    task.update(0)
    try:
        yield
    finally:
        task.stop()

"""Progress bars on the terminal's error stream, for what turns out to take more than a few seconds."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Thread
from typing import ClassVar, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")

SECONDS_BEFORE = 2.0
"""Seconds until a task shows its bar; one that ends sooner shows nothing."""

SECONDS_BEFORE_WORK = 0.4
"""Seconds until work without a count is named: there is nothing else to be seen of it."""

SHORTEST_TASK = 1.0
"""Seconds below which a task is taken for one that was found done, and says nothing of how long others take."""

SECONDS_BETWEEN_LOOKS = 0.2
"""Seconds between two looks at whether a bar is due."""


class Task:
    """A running task. Of nested tasks the outermost has a bar; one that gives way leaves it to those within."""

    _outermost: ClassVar["Task | None"] = None
    _lock: ClassVar[Lock] = Lock()
    _watch: ClassVar[Thread | None] = None

    def __init__(
        self, description: str, total: int | None, seconds_before: float = SECONDS_BEFORE, gives_way: bool = False
    ) -> None:
        self._description, self._total = description, total
        self._seconds_before, self._gives_way = seconds_before, gives_way
        self._around: Task | None = None
        self._completed, self._note = 0, ""
        self._show_at = time.monotonic() + seconds_before
        self._bar: Progress | None = None
        with Task._lock:
            if Task._outermost is not None:
                if not Task._outermost._gives_way:
                    return
                self._around = Task._outermost
            Task._outermost = self
            if Task._watch is None:
                Task._watch = Thread(target=_watch, daemon=True)
                Task._watch.start()

    def update(self, completed: int, note: str = "") -> None:
        """Show how much is completed, in units of the total, with a note beside the bar."""
        self._completed, self._note = completed, note
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=completed, note=note)

    def stop(self) -> None:
        """Take the bar away."""
        with Task._lock:
            if self._bar is not None:
                self._hide()
            if Task._outermost is self:
                Task._outermost = self._around
                if self._around is not None and self._around._bar is None:
                    self._around._show_at = time.monotonic() + self._around._seconds_before

    def _hide(self) -> None:
        if self._around is not None:
            self._around._hide()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self) -> None:
        self._show_at = math.inf
        console = Console(stderr=True)
        if not (console.is_terminal or console.is_jupyter):
            return
        how_far = [SpinnerColumn()] if self._total is None else [BarColumn(), MofNCompleteColumn()]
        times = [TimeElapsedColumn()]
        if self._total is not None:
            times += [TextColumn("left"), TimeRemainingColumn()]
        columns = [TextColumn("{task.description}"), *how_far, TextColumn("{task.fields[note]}"), *times]
        bar = Progress(*columns, console=console, transient=True)
        bar.add_task(self._description, total=self._total, completed=self._completed, note=self._note)
        bar.start()
        self._bar = bar

    @staticmethod
    def show_if_due() -> bool:
        """Show the bar of a task that has run for long enough; False where no task runs, so that nobody need watch."""
        with Task._lock:
            task = Task._outermost
            if task is None:
                Task._watch = None
                return False
            while task is not None and task._bar is None:
                if time.monotonic() >= task._show_at:
                    task._hide()  # those around it
                    task._show()
                    break
                task = task._around
            return True


def _watch() -> None:
    """Show bars when they are due: a task may compute for long before its first update, or between two."""
    time.sleep(SECONDS_BETWEEN_LOOKS)
    while Task.show_if_due():
        time.sleep(SECONDS_BETWEEN_LOOKS)


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Task]:
    """Task whose bar appears on a terminal or in a notebook after two seconds, and disappears at the end.

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


class TimeLeft:
    """Time that is left of a number of tasks, from the mean of those done since it was made and not found done."""

    def __init__(self, total: int) -> None:
        self._total, self._since, self._found = total, time.monotonic(), 0

    def note(self, done: int) -> str:
        """Time left as text after so many tasks; empty until one has taken more than a second."""
        now = time.monotonic()
        if done == self._found + 1 and now - self._since < SHORTEST_TASK:
            self._since, self._found = now, done  # read from a file
        computed = done - self._found
        if computed < 1:
            return ""
        minutes = (now - self._since) / computed * (self._total - done) / 60
        return f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"


def tracked(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Iterate over items, with a bar that counts them."""
    with progress(description, len(items)) as bar:
        for done, item in enumerate(items):
            bar.update(done)
            yield item


@contextmanager
def working(description: str) -> Iterator[None]:
    """Say what is being done, without a count, on a terminal and where it takes more than half a second.

    Tasks that run within it are shown instead of it.
    """
    task = Task(description, None, SECONDS_BEFORE_WORK, gives_way=True)
    try:
        yield
    finally:
        task.stop()

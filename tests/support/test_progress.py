"""Progress bars: only on terminals, only for what takes long, one at a time, and gone at the end."""

import io
import time

import pytest
from rich.console import Console

from hilbertsd.support import progress as module
from hilbertsd.support.progress import PairRate, TimeLeft, progress, tracked, working


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal would have received."""
    file = io.StringIO()
    monkeypatch.setattr(module, "Console", lambda **_: Console(file=file, force_terminal=True, width=120))
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(module, "SECONDS_BEFORE_WORK", 0.0)
    return file


def test_a_long_task_shows_its_count_and_its_note(terminal, monkeypatch):
    monkeypatch.setattr(module.Task.__init__, "__defaults__", (0.0, False))
    with progress("tiles", 7) as bar:
        bar.update(3, "of 2048²")
        time.sleep(0.4)
    shown = terminal.getvalue()
    assert "tiles" in shown
    assert "3/7" in shown
    assert "of 2048²" in shown


def test_the_rate_is_of_what_was_computed_from_when_it_began(monkeypatch):
    clock = iter([0.0, 100.0, 110.0, 111.0, 120.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    rate = PairRate()
    assert rate.note(0) == ""  # read and found intact, in 100 seconds
    assert rate.note(120_000) == "1.2e+04 pairs/s"
    assert rate.note(0) == "1.1e+04 pairs/s"
    assert rate.note(80) == "6e+03 pairs/s"


def test_no_rate_before_the_clock_moves(monkeypatch):
    monkeypatch.setattr(module.time, "monotonic", lambda: 5.0)
    assert PairRate().note(7) == ""


def test_time_left_counts_what_was_computed_and_not_what_was_found(monkeypatch):
    seconds = iter([0.0, 0.0, 0.1, 60.1, 180.1, 300.1])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(seconds))
    left = TimeLeft(6)
    assert [left.note(done) for done in range(5)] == [
        "",
        "",  # found in a tenth of a second
        "about 4 min left",
        "about 4 min left",
        "about 3 min left",
    ]


def test_a_short_task_shows_nothing(terminal):
    with progress("tiles", 7) as bar:
        bar.update(3)
    assert list(tracked([1, 2], "tiles")) == [1, 2]
    assert terminal.getvalue() == ""


def test_a_task_within_a_task_stays_quiet(terminal, monkeypatch):
    monkeypatch.setattr(module.Task.__init__, "__defaults__", (0.0, False))
    with progress("outer", 2) as outer:
        outer.update(1)
        with progress("inner", 2) as inner:
            inner.update(1)
        time.sleep(0.4)
    assert "outer" in terminal.getvalue()
    assert "inner" not in terminal.getvalue()
    with progress("next", 2) as bar:
        bar.update(1)
        time.sleep(0.4)
    assert "next" in terminal.getvalue()


def test_a_task_that_is_not_updated_shows_itself(terminal, monkeypatch):
    monkeypatch.setattr(module.Task.__init__, "__defaults__", (0.05, False))
    with progress("compiling", 2) as bar:
        bar.update(1)
        time.sleep(0.4)
        bar.update(2)
    assert "compiling" in terminal.getvalue()
    assert "1/2" in terminal.getvalue()


def test_nothing_is_written_where_nobody_watches(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(module, "Console", lambda **_: Console(file=file))
    monkeypatch.setattr(module, "SECONDS_BEFORE_WORK", 0.0)
    with working("decomposing"):
        time.sleep(0.4)
    assert file.getvalue() == ""


def test_the_bar_goes_when_an_error_ends_the_task(terminal):
    with pytest.raises(ValueError, match="broken"), working("decomposing"):
        raise ValueError("broken")
    with working("again"):
        time.sleep(0.4)
    assert "again" in terminal.getvalue()


def test_work_gives_way_to_the_tasks_within_it_and_comes_back(terminal, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(module, "SECONDS_BEFORE_WORK", 0.05)
    monkeypatch.setattr(module.Task.__init__, "__defaults__", (0.05, False))
    with working("computing"):
        time.sleep(0.3)
        with progress("tiles", 7) as bar:
            time.sleep(0.3)
            bar.update(3)
            with working("adding"):
                time.sleep(0.1)
            time.sleep(0.3)
        time.sleep(0.3)
    shown = terminal.getvalue()
    assert "adding" not in shown
    first, tiles, last = shown.find("computing"), shown.find("tiles"), shown.rfind("computing")
    assert 0 <= first < tiles < last
    assert "3/7" in shown

"""No command leaves a terminal without a word for more than three seconds."""

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pty = pytest.importorskip("pty")
if not Path("/proc/self/stat").exists():
    pytest.skip(reason="needs Linux's count of a process's seconds in /proc", allow_module_level=True)

LONGEST_SILENCE = 3.0
HIDDEN, SHOWN = b"\x1b[?25l", b"\x1b[?25h"  # Rich hides the cursor as long as it shows a bar


def seconds(process):
    """Time, and the process's own share of it, so that a busy machine does not make a command silent."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return np.array([time.monotonic(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")])


def silences(words):
    """Seconds, on a terminal, in which nothing was written and no bar stood there; what had been written before."""
    terminal, child_end = pty.openpty()
    command = subprocess.Popen(  # not pty.fork, of which JAX warns in a process that has used it
        [sys.executable, "-c", "from hilbertsd.cli import main; main()", *words],
        stdin=child_end,
        stdout=child_end,
        stderr=child_end,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(child_end)
    process = command.pid
    written, last = b"", seconds(process)
    while True:
        select.select([terminal], [], [])
        try:
            new = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end is closed
            new = b""
        if written.rfind(HIDDEN) <= written.rfind(SHOWN):
            yield min(seconds(process) - last), written[-100:]
        written, last = written + new, seconds(process)
        if not new:
            os.close(terminal)
            assert command.wait() == 0, written
            return


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "list",
        "distill table.csv --target y --out fit",
        "check-bounds table.csv --target y",
        "run spectrum table.csv --target y",
        "run spline-toy",
        "run green-functions",
        "run filters",
        "run early-stopping",
        "run bounds",
        "run ntk-cifar",
        "run ntk-ensembles",
    ],
)
def test_no_command_is_silent_for_long(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(2500, 4)), columns=["a", "b", "c", "y"])
    table.assign(y=table["a"] + 0.1 * table["y"]).to_csv("table.csv", index=False)
    longest, before = max(silences(command.split()))
    assert longest < LONGEST_SILENCE, before

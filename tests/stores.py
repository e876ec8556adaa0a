"""Filled stores of kernel matrices, and runs that are killed."""

import filecmp
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from hilbertsd.gram import GramPlan, GramStore, NamedKernel, fill

RUN = """
import signal, sys, time
import numpy as np
from hilbertsd.gram.filling import fill
from hilbertsd.gram.store import GramPlan, GramStore
from hilbertsd.gram.named import NamedKernel

def slow(X, Y):
    time.sleep(0.02)
    return NamedKernel("rbf", 0.1)(X, Y)

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs inherit as ignored
folder, tile, *sets = sys.argv[1:]
points, others = [*map(np.load, sets), None][:2]
plan = GramPlan.of(points, {"kernel": "rbf", "gamma": 0.1}, others, tile=int(tile))
fill(GramStore.create(folder, plan), slow, points, others)
"""

KERNEL = NamedKernel("rbf", 0.1)


def slow_kernel(X, Y):
    """Here, because the workers of a cluster import it: a test's own module they cannot."""
    time.sleep(0.02)
    return KERNEL(X, Y)


def filled(folder, points, **options):
    store = GramStore.create(folder, GramPlan.of(points, {"kernel": "rbf", "gamma": 0.1}, **options))
    fill(store, KERNEL, points)
    return store


def files_of(folder):
    return sorted(str(file.relative_to(folder)) for file in Path(folder).rglob("*") if file.is_file())


def with_one_bit_changed(content, start, stop):
    """Content with one bit of one byte changed, for every byte from start to stop that is no white space."""
    for place in range(start, stop):
        if not chr(content[place]).isspace():
            yield content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def same_folders(first, second):
    return files_of(first) == files_of(second) and all(
        filecmp.cmp(Path(first) / name, Path(second) / name, shallow=False) for name in files_of(first)
    )


def killed_runs(tmp_path, sets, tile, kills, how):
    """Kill a run as often, each time some tiles further on; then let it end. Returns how often it was mid-run."""
    script, folder = tmp_path / "run.py", tmp_path / "killed"
    script.write_text(RUN)
    command = [sys.executable, str(script), str(folder), str(tile)]
    for name, each in zip(("points.npy", "others.npy"), sets, strict=False):
        np.save(tmp_path / name, each)
        command.append(str(tmp_path / name))
    rng = np.random.default_rng(0)
    mid_run = 0
    for _ in range(kills):
        before = len(list(folder.rglob("c/*/*")))
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wanted = before + int(rng.integers(1, 6))
        while len(list(folder.rglob("c/*/*"))) < wanted and process.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        mid_run += process.poll() is None
        process.send_signal(how)
        process.wait()
    assert not (folder / "finished.json").exists()
    subprocess.run(command, check=True)
    return mid_run

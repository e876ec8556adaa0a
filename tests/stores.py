"""Filled stores of kernel matrices, and runs that are killed."""

import filecmp
import os
import time
from pathlib import Path

import numpy as np

from hilbertsd.gram import GramPlan, GramStore, NamedKernel, fill

RUN = """
import signal, time
import numpy as np
from hilbertsd.gram.filling import fill
from hilbertsd.gram.store import GramPlan, GramStore
from hilbertsd.gram.named import NamedKernel

def slow(X, Y):
    time.sleep(0.02)
    return NamedKernel("rbf", 0.1)(X, Y)

def run(folder, tile, *sets):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs inherit as ignored
    points, others = [*map(np.load, sets), None][:2]
    plan = GramPlan.of(points, {"kernel": "rbf", "gamma": 0.1}, others, tile=tile)
    fill(GramStore.create(folder, plan), slow, points, others)

NamedKernel("rbf", 0.1)(np.eye(2), np.eye(2))  # imports what it needs
"""
"""Defines `run`, which fills a store slowly."""

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


def killed_runs(begin, tmp_path, sets, tile, kills, how):
    """Kill a run as often, each time some tiles further on; then let it end. Returns how often it was mid-run."""
    folder = tmp_path / "killed"
    arguments = [str(folder), tile]
    for name, each in zip(("points.npy", "others.npy"), sets, strict=False):
        np.save(tmp_path / name, each)
        arguments.append(str(tmp_path / name))
    rng = np.random.default_rng(0)
    mid_run = 0
    for _ in range(kills):
        before = len(list(folder.rglob("c/*/*")))
        run, end = begin(*arguments)
        wanted = before + int(rng.integers(1, 6))
        while len(list(folder.rglob("c/*/*"))) < wanted:
            os.kill(run, 0)  # raises where the run is over
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.02))
        os.kill(run, how)
        mid_run += end() != 0
    assert not (folder / "finished.json").exists()
    assert begin(*arguments)[1]() == 0
    return mid_run

"""Seeds that are trained apart: in a process for each core of this machine, on all its devices, or on a cluster.

    python -m hilbertsd.networks.workers MODULE:FUNCTION FOLDER SEED CORE

calls a task with one seed and what the folder describes. Seeds have nothing in common but the folder.
"""

import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryFile
from threading import Event
from typing import IO, Any, TypeAlias

from hilbertsd import errors
from hilbertsd.errors import HilbertsdError, WorkerDied
from hilbertsd.support.machine import available_cores

Report: TypeAlias = Callable[[Sequence[int], float, str], None]
"""Function of seeds, the number of steps that each has behind it, and a note."""

Task: TypeAlias = Callable[[Path, Sequence[int], Report], None]
"""Function of a folder, seeds and a report, which trains these seeds of what the folder describes."""

FINISHED = math.inf
"""Number of steps that a report names for a seed that came to its end where nobody could count."""

KEPT_MEMORY = "glibc.malloc.arena_max=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1000000000000"
"""Setting of glibc with which a process keeps the memory that a step of training has worked in.

By default it goes back to the system after every step, and the next step waits while it is given page by page: a
fifth of a step of ResNet-8 with images of 32 × 32, whose memory is one block of 90 MB.
"""


def spread_over(
    spread: str, task: Task, folder: Path, seeds: Sequence[int], report: Report, client: Any = None
) -> None:
    """Train seeds one by one, in processes, or on all devices of this machine, or on the workers of a cluster.

    Parameters
    ----------
    spread : "one by one", "processes" or "devices"; with a client it does not count.
    task : function at the top of a module, which trains seeds of what the folder describes.
    folder : of the task; everything that it needs is there.
    seeds : what is to be trained.
    report : called with seeds, the number of steps that each has behind it, and a note.
    client : `distributed.Client`, or None.

    Raises the first error of a task: one by one at once, else after the other seeds have come to their end; WorkerDied
    where a process or a worker of the cluster came to no end of its own.
    """
    if not seeds:
        return
    if client is not None:
        _on_cluster(task, folder, seeds, report, client)
    elif spread == "processes":
        _in_processes(task, folder, seeds, report)
    elif spread == "devices":
        _on_devices(task, folder, seeds, report)
    else:
        task(folder, seeds, report)


def _in_processes(task: Task, folder: Path, seeds: Sequence[int], report: Report) -> None:
    running: set[subprocess.Popen[str]] = set()

    def one(seed: int, core: int) -> None:
        words = [sys.executable, "-m", __name__, f"{task.__module__}:{task.__name__}", str(folder), str(seed)]
        with TemporaryFile("w+", encoding="utf-8") as noise:
            process = subprocess.Popen(
                [*words, str(core)], stdout=subprocess.PIPE, stderr=noise, text=True, env=environment()
            )
            running.add(process)
            try:
                _follow(process, noise, seed, report)
            finally:
                running.discard(process)

    def stop() -> None:
        for process in list(running):
            process.terminate()

    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(available_cores())
    _each_in_a_free_place(one, seeds, cores, stop)


def _on_devices(task: Task, folder: Path, seeds: Sequence[int], report: Report) -> None:
    from hilbertsd.networks.jax_backend import jax

    stopped = Event()

    def heard(which: Sequence[int], steps: float, note: str) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        report(which, steps, note)

    def one(seed: int, device: Any) -> None:
        with jax.default_device(device):  # of this thread alone
            task(folder, [seed], heard)

    _each_in_a_free_place(one, seeds, jax.local_devices(), stopped.set)


def _each_in_a_free_place(
    one: Callable[[int, Any], None], seeds: Sequence[int], places: Sequence[Any], stop: Callable[[], None]
) -> None:
    """Call a function with every seed and a place that no other seed has, in threads; `stop` where the user does."""
    free: SimpleQueue[Any] = SimpleQueue()
    for place in places:
        free.put(place)

    def in_a_free_place(seed: int) -> None:
        place = free.get()
        try:
            one(seed, place)
        finally:
            free.put(place)

    with ThreadPoolExecutor(min(len(seeds), len(places))) as pool:
        futures = [pool.submit(in_a_free_place, seed) for seed in seeds]
        try:
            wait(futures)
        except BaseException:  # the user's interruption
            for future in futures:
                future.cancel()
            stop()
            raise
    for future in futures:
        future.result()


def _on_cluster(task: Task, folder: Path, seeds: Sequence[int], report: Report, client: Any) -> None:
    from distributed import KilledWorker, as_completed

    tasks = {client.submit(task, folder.absolute(), [seed], _silent, pure=False): seed for seed in seeds}
    for done in as_completed(tasks):
        if done.status == "finished":
            report([tasks[done]], FINISHED, "on the cluster")
    for done, seed in tasks.items():
        try:
            done.result()
        except KilledWorker as error:
            raise WorkerDied(
                f"workers of the cluster died with seed {seed}; start again, and it goes on from {folder}"
            ) from error


def _silent(_seeds: Sequence[int], _steps: int, _note: str) -> None:
    """Report of a task on a cluster, whose steps nobody hears of."""


def environment() -> dict[str, str]:
    """Environment of a process that trains on one core."""
    given = os.environ.get("GLIBC_TUNABLES")  # what comes later counts
    return {**os.environ, "GLIBC_TUNABLES": f"{KEPT_MEMORY}:{given}" if given else KEPT_MEMORY}


def _follow(process: "subprocess.Popen[str]", noise: IO[str], seed: int, report: Report) -> None:
    """Read a process's reports to its end; raise the error that ended it, with the end of what it said beside."""
    message: dict[str, Any] = {}
    with process:  # closes its pipe
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):  # libraries may print, too
                message = json.loads(line)
                if "steps" in message:
                    report([seed], message["steps"], message["note"])
    if process.returncode != 0:
        if "error" in message:
            raise getattr(errors, message["error"])(message["text"])
        noise.seek(0)
        raise WorkerDied(
            f"the process that trained seed {seed} ended with code {process.returncode}: {noise.read().strip()[-300:]};"
            " start again, and it goes on from its folder"
        )


def _main(task: str, folder: str, seed: str, core: str) -> None:
    # JAX takes as many threads as it may use cores: this has to come before its import.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})

    def say(content: dict[str, Any]) -> None:
        print(json.dumps(content), flush=True)  # noqa: T201  # to the process that started this one

    module, _, name = task.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
        function(Path(folder), [int(seed)], lambda _, steps, note: say({"steps": steps, "note": note}))
    except HilbertsdError as error:
        say({"error": type(error).__name__, "text": str(error)})
        sys.exit(1)


if __name__ == "__main__":
    _main(*sys.argv[1:])

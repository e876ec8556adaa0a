"""Chains of different seeds in processes of their own: one for each core of this machine, or on a cluster's workers.

    python -m hilbertsd.networks.workers FOLDER SEED CORE

trains one seed of the chain that the folder describes. Processes have nothing in common but the folder.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryFile
from typing import IO, Any

from hilbertsd import errors
from hilbertsd.errors import HilbertsdError, NotConverged
from hilbertsd.support.machine import available_cores

Report = Callable[[Sequence[int], int, str], None]

KEPT_MEMORY = "glibc.malloc.arena_max=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1000000000000"
"""Setting of glibc with which a process keeps the memory that a step of training has worked in.

By default it goes back to the system after every step, and the next step waits while it is given page by page: a
fifth of a step of ResNet-8 with images of 32 × 32, whose memory is one block of 90 MB.
"""


def train(chain: Any, seeds: Sequence[int], folder: Path, report: Report, client: Any = None) -> None:
    """Train seeds that a folder lacks, on this machine's cores, or on the workers of a client.

    Raises the first error of training after the other seeds have come to their end.
    """
    if not seeds:
        return
    chain.save(folder / "chain.npz")
    if client is not None:
        _on_cluster(chain, seeds, folder, report, client)
        return
    cores: SimpleQueue[int] = SimpleQueue()
    for core in sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(available_cores()):
        cores.put(core)
    running: set[subprocess.Popen[str]] = set()

    def one(seed: int) -> None:
        core = cores.get()
        words = [sys.executable, "-m", __name__, str(folder), str(seed), str(core)]
        try:
            with TemporaryFile("w+", encoding="utf-8") as noise:
                process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=noise, text=True, env=environment())
                running.add(process)
                try:
                    _follow(process, noise, seed, report)
                finally:
                    running.discard(process)
        finally:
            cores.put(core)

    with ThreadPoolExecutor(min(len(seeds), available_cores())) as pool:
        futures = [pool.submit(one, seed) for seed in seeds]
        try:
            wait(futures)
        except BaseException:  # the user's interruption
            for future in futures:
                future.cancel()
            for process in list(running):
                process.terminate()
            raise
    for future in futures:
        future.result()


def _on_cluster(chain: Any, seeds: Sequence[int], folder: Path, report: Report, client: Any) -> None:
    from distributed import KilledWorker, as_completed

    tasks = {client.submit(train_one, str(folder.absolute()), seed, pure=False): seed for seed in seeds}
    for task in as_completed(tasks):
        if task.status == "finished":
            report([tasks[task]], chain.rounds * chain.training.steps, "on the cluster")
    for task, seed in tasks.items():
        try:
            task.result()
        except KilledWorker as error:
            raise NotConverged(
                f"workers of the cluster died with seed {seed}; start again, and it goes on from {folder}"
            ) from error


def environment() -> dict[str, str]:
    """Environment of a process that trains on one core."""
    given = os.environ.get("GLIBC_TUNABLES")  # what comes later counts
    return {**os.environ, "GLIBC_TUNABLES": f"{KEPT_MEMORY}:{given}" if given else KEPT_MEMORY}


def train_one(folder: str, seed: int, report: Report = lambda *_: None) -> None:
    """Train one seed of the chain in a folder, in this process."""
    from hilbertsd.networks import chain  # which imports JAX

    chain.train_seeds(chain.Chain.load(Path(folder) / "chain.npz"), [seed], Path(folder), report)


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
        raise NotConverged(
            f"the process that trained seed {seed} ended with code {process.returncode}: {noise.read().strip()[-300:]};"
            " start again, and it goes on from its folder"
        )


def _main(folder: str, seed: str, core: str) -> None:
    # JAX takes as many threads as it may use cores: this has to come before its import.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})

    def say(content: dict[str, Any]) -> None:
        print(json.dumps(content), flush=True)  # noqa: T201  # to the process that started this one

    try:
        train_one(folder, int(seed), lambda _, steps, note: say({"steps": steps, "note": note}))
    except HilbertsdError as error:
        say({"error": type(error).__name__, "text": str(error)})
        sys.exit(1)


if __name__ == "__main__":
    _main(*sys.argv[1:])

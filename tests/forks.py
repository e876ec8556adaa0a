"""Processes that a test kills: forks of one that has done its imports, which take far longer than runs up to a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

SERVER = """
for line in sys.stdin:
    if not (child := os.fork()):
        run(*json.loads(line))
        sys.exit()
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""

RUN_COMMAND = """
import matplotlib.backends.backend_agg, matplotlib.backends.backend_svg, matplotlib.figure, scipy.stats
from sklearn.datasets import load_digits
from hilbertsd.cli.entry import main

def run(*words):
    sys.argv = ["hilbertsd", *words]
    sys.stdout = open(os.devnull, "w")
    main()
"""
"""Defines `run` as the command line of these words."""


@contextmanager
def forks(definition, folder=None, **environment):
    """Start a server in a folder, and yield a function that begins runs.

    Called with the arguments of `run`, which the text of the definition defines, it gives the number of a process that
    runs it, and a function that waits for its end and gives its status.
    """
    paths = [str(Path(__file__).parent), *(str(Path(path).absolute()) for path in sys.path)]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    words = [sys.executable, "-c", f"import json, os, sys\n{definition}{SERVER}"]
    with subprocess.Popen(words, cwd=folder, env=variables, **pipes) as server:
        asked, told = server.stdin, server.stdout
        assert asked is not None
        assert told is not None

        def begin(*arguments):
            asked.write(json.dumps(arguments) + "\n")
            asked.flush()
            return int(told.readline()), lambda: int(told.readline())

        yield begin
        asked.close()


@contextmanager
def commands(definition, folder):
    """Start a server of command lines, as :func:`forks`, and yield its function.

    JAX finds what the tests compiled, and keeps what is new in the folder: a kill could leave half a file, for good.
    """
    compiled = folder / "compiled"
    Path(os.environ["JAX_COMPILATION_CACHE_DIR"]).mkdir(parents=True, exist_ok=True)
    shutil.copytree(os.environ["JAX_COMPILATION_CACHE_DIR"], compiled, copy_function=os.symlink)
    with forks(definition + RUN_COMMAND, folder, JAX_COMPILATION_CACHE_DIR=str(compiled)) as begin:
        yield begin


def killed_until_it_ends(begin, words, out, files):
    """Run a command with its output in a folder, killed after as many new files of arrays, until there are all of them.

    Whatever it is doing then. Returns how often it was killed.
    """
    kills = 0
    while True:
        wanted = len(list(out.rglob("*.npz"))) + files
        run, end = begin(*words, "--out", str(out))
        with suppress(ProcessLookupError):  # it is over
            while len(list(out.rglob("*.npz"))) < wanted:
                os.kill(run, 0)
                time.sleep(0.005)
            os.kill(run, signal.SIGKILL)
        status = end()
        if status == 0:
            return kills
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert not (out / "result.json").exists()
        kills += 1

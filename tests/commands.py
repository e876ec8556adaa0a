"""Commands as a user gets them."""

import os
import subprocess
import sys


def in_a_process(*words, **environment):
    """Run a command line as its own process, which sees warnings as users do."""
    call = [sys.executable, "-c", "from hilbertsd.cli import main; main()", *map(str, words)]
    environment = {**os.environ, **environment}
    return subprocess.run(call, capture_output=True, text=True, encoding="utf-8", check=False, env=environment)


def one_line(code, out, err):
    """Bad usage and bad input: exit code 2, one line on stderr, nothing on stdout."""
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err

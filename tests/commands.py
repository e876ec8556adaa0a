"""Commands as a user gets them, and a table for them."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd


def in_a_process(*words, **environment):
    """Run a command line as its own process, which sees warnings as users do."""
    call = [sys.executable, "-c", "from hilbertsd.cli import main; main()", *map(str, words)]
    environment = {**os.environ, **environment}
    return subprocess.run(call, capture_output=True, text=True, encoding="utf-8", check=False, env=environment)


def write_table(path, rng):
    """120 rows of three features and a price."""
    X = rng.normal(size=(120, 3))
    y = 10 + np.sin(2 * X[:, 0]) + X[:, 1] + 0.2 * rng.normal(size=120)
    pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "price": y}).to_csv(path, index=False)
    return path


def one_line(code, out, err):
    """Bad usage and bad input: exit code 2, one line on stderr, nothing on stdout."""
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err

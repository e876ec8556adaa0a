"""Settings shared by the tests."""

import os
import sys
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".pytest_cache"
# Read when NumPy and JAX load, also by the processes that tests start. Workers that share two cores lose half of their
# time to each other's BLAS threads. JAX keeps what it compiles for the next worker and the next run; so does Python,
# also where it is told to write no bytecode: every process would compile its libraries anew, JAX for three seconds.
# Without caches of XLA's own what JAX compiles has the same name in every folder, and tests may copy the folder.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES", "none")
if sys.dont_write_bytecode:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.pycache_prefix = os.environ.setdefault("PYTHONPYCACHEPREFIX", str(CACHE / "bytecode"))
    sys.dont_write_bytecode = False

import numpy as np
import pytest
from commands import write_table
from hypothesis import settings
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd.cli import main

settings.register_profile("hilbertsd", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("hilbertsd")


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.fixture
def data(rng):
    """Kernel matrix (60, 60), targets (60, 2), cross kernel (7, 60)."""
    inputs = rng.normal(size=(67, 3))
    kernel = rbf_kernel(inputs)
    targets = np.stack([np.sin(inputs[:60, 0]), inputs[:60, 1]], axis=1) + 0.3 * rng.normal(size=(60, 2))
    return kernel[:60, :60], targets, kernel[60:, :60]


@pytest.fixture
def hilbertsd(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        # main() redirects warnings for the process that it usually is.
        monkeypatch.setattr("warnings.showwarning", lambda *_args, **_kwargs: None)
        monkeypatch.setattr(sys, "argv", ["hilbertsd", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def table(tmp_path, rng):
    return write_table(tmp_path / "table.csv", rng)

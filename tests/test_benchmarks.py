"""The benchmarks run: at sizes of seconds, whose timings mean nothing."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "figure"),
    [
        (["dense_path.py", "--n", "60", "--repeats", "1"], "loop_over_path"),
        (["round_counts.py", "--n", "60"], "triangle_over_rounds"),
        (["selection.py", "--n", "60", "--pairs", "9", "--smallest", "0.2", "--repeats", "1"], "grid_over_choice"),
        (["krylov.py", "--n", "150", "--images", "synthetic"], "eigh_over_krylov"),
        (["krylov.py", "--sizes", "60", "120", "--images", "synthetic"], "exponents"),
        pytest.param(
            ["report_page.py", "--n", "60", "--rounds", "3", "--repeats", "1"],
            "median_drawn",
            marks=pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium"),
        ),
        (["time_to_accuracy.py", "--preset", "smoke", "--dataset", "digits", "--networks", "1"], "seconds"),
        pytest.param(
            ["training.py", "--sides", "8", "--width", "4", "--batch", "8", "--turns", "1", "--steps", "1"],
            "results",
            marks=pytest.mark.skipif(not find_spec("torch"), reason="needs PyTorch"),
        ),
    ],
)
def test_benchmarks_run(words, figure):
    command = [sys.executable, str(BENCHMARKS / words[0]), *words[1:], "--json"]
    record = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert figure in record
    said = record["command"].split()  # with every option, given or not
    assert all(word in said for word in [f"benchmarks/{words[0]}", *words[1:], "--json"])

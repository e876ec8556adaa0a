"""The command line, as a user meets it."""

import os
import subprocess
import sys

import pytest
from commands import one_line

from hilbertsd import __version__


def test_version_and_help(hilbertsd):
    assert hilbertsd("--version") == (0, f"hilbertsd {__version__}\n", "")
    for words in (["--help"], ["run", "--help"], ["run", "spline-toy", "--help"], ["distill", "--help"]):
        code, out, _ = hilbertsd(*words)
        assert code == 0
        assert "Usage" in out
    assert "ε" in hilbertsd("distill", "--help")[1]


def test_a_narrow_terminal_hides_no_digits(hilbertsd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    out = hilbertsd("run", "spline-toy")[1]
    assert "…" not in out


def test_a_terminal_without_greek_gets_question_marks():
    finished = subprocess.run(
        [sys.executable, "-c", "from hilbertsd.cli import main; main()", "run", "spline-toy", "--tolerance", "0.01"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert finished.returncode == 2
    assert finished.stderr.startswith(b"error: tolerance 0.01 is at or below the floor")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "nothing"], "No such command 'nothing'"),
        (["run"], "Missing command; see hilbertsd run --help"),
        (["nothing"], "No such command 'nothing'"),
    ],
)
def test_bad_usage_is_one_line(hilbertsd, words, message):
    assert message in one_line(*hilbertsd(*words))

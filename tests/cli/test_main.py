"""The command line, as a user meets it."""

import json
import logging
import subprocess
import sys
import warnings

import pandas as pd
import pytest
from commands import in_a_process, one_line

from hilbertsd import __version__


def test_version_and_help(hilbertsd):
    assert hilbertsd("--version") == (0, f"hilbertsd {__version__}\n", "")
    for words in (["--help"], ["run", "--help"], ["run", "spline-toy", "--help"], ["distill", "--help"]):
        code, out, _ = hilbertsd(*words)
        assert code == 0
        assert "Usage" in out
    assert "ε" in hilbertsd("distill", "--help")[1]


@pytest.mark.parametrize("action", ["default", "error", "ignore", "once"])
def test_warnings_are_printed_whatever_the_filter(hilbertsd, table, action):
    warnings.simplefilter(action)
    code, out, err = hilbertsd("distill", table, "--target", "price", "--relative-tolerance", "1.5", "--json")
    assert code == 0
    assert json.loads(out)["multipliers"] == []
    assert err.startswith("warning: the zero function already meets tolerance")
    assert "that is a relative_tolerance below 1" in err
    assert err.count("\n") == 1


def test_a_narrow_terminal_hides_no_digits(hilbertsd, table, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    out = hilbertsd("distill", table, "--target", "price")[1]
    assert "test error" in out
    assert "…" not in out


@pytest.mark.parametrize("columns", [0, 1, 3, 39])
def test_tables_are_printed_on_terminals_of_any_width(hilbertsd, table, monkeypatch, columns):
    def words_of(*command):
        return hilbertsd(*command)[1].split()

    commands = (("list",), ("--help",), ("distill", table, "--target", "price"))
    expected = [words_of(*command) for command in commands]
    for command, words in zip(commands, expected, strict=True):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert words_of(*command) == words
    assert "collapse" in expected[-1]


def test_a_terminal_without_greek_gets_question_marks():
    finished = in_a_process("run", "spline-toy", "--tolerance", "0.01", PYTHONIOENCODING="ascii")
    assert finished.returncode == 2
    assert finished.stderr.startswith(
        "error: tolerance 0.01 (0.0174356 of the targets' mean square) is at or below the floor"
    )


def test_log_messages_are_plain_lines_on_stderr(hilbertsd, monkeypatch):
    import hilbertsd.cli.entry as entry

    def app(**_settings):
        logging.getLogger("hilbertsd").info("wrn-10-4, %s training images", "5,000")
        logging.getLogger("hilbertsd.studies").debug("not for users")

    monkeypatch.setattr(entry, "app", app)
    for _ in range(2):
        assert hilbertsd() == (0, "", "wrn-10-4, 5,000 training images\n")


@pytest.mark.parametrize(
    ("error", "message"),
    [(MemoryError(), "MemoryError"), (FileExistsError(17, "File exists", "folder"), "folder: File exists")],
)
def test_errors_without_a_message_of_ours_are_one_line(hilbertsd, monkeypatch, error, message):
    import hilbertsd.cli.entry as entry

    def app(**_settings):
        raise error

    monkeypatch.setattr(entry, "app", app)
    assert one_line(*hilbertsd()) == f"error: {message}\n"


LIST = """
import contextlib, hilbertsd.cli
with contextlib.suppress(SystemExit):
    hilbertsd.cli.main()
"""


def test_the_command_line_loads_no_numbers_before_a_command_runs():
    heavy = ("numpy", "scipy", "sklearn", "matplotlib", "jax", "zarr", "pandas")
    code = f"import sys, hilbertsd.cli.entry; print([name for name in {heavy} if name in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout == "[]\n"


def test_a_list_of_studies_loads_what_lists_them_alone():
    code = f"import sys; sys.argv = ['hilbertsd', 'list']\n{LIST}"
    heavy = ("scipy", "sklearn", "matplotlib", "jax", "zarr", "pandas", "dask")
    code += f"print([name for name in {heavy} if name in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "[]"


def test_names_in_messages_keep_their_blanks(hilbertsd, tmp_path):
    (tmp_path / "t.csv").write_text("a, price,two  words\n1,2,3\n4,5,6\n")
    message = one_line(*hilbertsd("distill", "t.csv", "--target", "price"))
    assert message.endswith("its columns are a, ' price', 'two  words'\n")


def test_features_of_any_size_are_standardised(hilbertsd, table, tmp_path):
    expected = json.loads(hilbertsd("distill", table, "--target", "price", "--json")[1])
    frame = pd.read_csv(table)
    for scale in (2.0**1000, 2.0**-1000):
        frame.assign(a=frame["a"] * scale).to_csv(tmp_path / "scaled.csv", index=False)
        found = json.loads(hilbertsd("distill", "scaled.csv", "--target", "price", "--json")[1])
        assert found["multipliers"] == expected["multipliers"]
        assert found["test_errors"] == expected["test_errors"]


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


@pytest.mark.parametrize(
    "words", [("distill", "--target", "y"), ("check-bounds",), ("run", "spectrum"), ("run", "filters")]
)
def test_the_old_name_of_the_fraction_is_refused_with_the_new_one(hilbertsd, words):
    message = one_line(*hilbertsd(*words, "--tolerance", "0.1"))
    assert "--tolerance is named --relative-tolerance since version 0.2" in message
    assert message.endswith(f"see hilbertsd {' '.join(words[: 1 + (words[0] == 'run')])} --help\n")


def test_a_command_without_either_name_promises_none(hilbertsd):
    assert "--relative-tolerance" not in hilbertsd("gram", "status", "folder", "--tolerance", "0.1")[2]

"""What the README says is run."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilbertsd.cli import main
from hilbertsd.studies import bounds, form
from hilbertsd.studies.tables import presets as tables

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


TUTORIAL = (ROOT / "figures/tutorial.md").read_text(encoding="utf-8")


def blocks(language, page=README):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def run_command(words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr("warnings.showwarning", lambda *_args, **_kwargs: None)
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code, capsys.readouterr().err
    return capsys.readouterr().out


def test_the_readme_has_python_blocks():
    assert len(blocks("python")) == 8
    assert "path.save(" in blocks("python")[0]


@pytest.mark.parametrize(
    ("block", "network"),
    [
        pytest.param(block, network, marks=pytest.mark.slow if "wrn" in network else (), id=f"{place}{network}")
        for place, block in enumerate(blocks("python"))
        for network in (("convolutional-1", "wrn-10-4") if "wrn-10-4" in block else ("",))
    ],
)
def test_python_blocks_run_and_print_what_they_say(block, network, monkeypatch, tmp_path, capsys):
    """The one with a deep network, which takes half a minute to compile, with a shallow one, too."""
    monkeypatch.chdir(tmp_path)
    if network:
        block = block.replace("wrn-10-4", network)
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    for promised in re.findall(r"print\((?:path|report)\) +# (.*)", block):
        assert promised in printed
    assert (tmp_path / "path.npz").exists() == ("path.save(" in block)


def test_commands_run(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(bounds.PRESETS, "quick", 25)  # the README's 500 are checked in tests/bounds
    monkeypatch.setitem(tables.PRESETS, "cpu", tables.PRESETS["smoke"])
    monkeypatch.setattr(form, "save_figure", lambda *_: [])  # figures are drawn in tests/studies
    rng = np.random.default_rng(0)
    pd.DataFrame(rng.normal(size=(50, 3)), columns=["size", "age", "price"]).to_csv("table.csv", index=False)
    np.save("points.npy", rng.normal(size=(100, 3)))
    np.save("y.npy", rng.normal(size=100))
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("hilbertsd ")]
    assert len(commands) >= 13
    for command in commands:
        run_command(shlex.split(command, comments=True), monkeypatch, capsys)


def test_the_first_command_prints_the_table_of_the_readme(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert "uv run hilbertsd run spline-toy" in blocks("bash")[0]
    printed = run_command(["hilbertsd", "run", "spline-toy"], monkeypatch, capsys)
    promised = [line.rstrip() for line in blocks("text")[0].splitlines()]
    assert [line.rstrip() for line in printed.splitlines()[: len(promised)]] == promised


def test_pictures_and_links_exist():
    for document in (
        "README.md",
        "figures/README.md",
        "figures/tutorial.md",
        "benchmarks/README.md",
        "benchmarks/SCALING.md",
    ):
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", text):
            assert (ROOT / document).parent.joinpath(target).exists(), f"{document} names {target}"


def test_the_tutorial_runs_and_prints_what_it_says(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("python", TUTORIAL):
        exec(compile(block, "tutorial.md", "exec"), names)
    assert capsys.readouterr().out == "".join(blocks("text", TUTORIAL))
    assert (tmp_path / "diabetes.png").stat().st_size > 10_000
    names["plt"].close("all")


def test_a_kernel_of_ones_own_on_ten_splits_takes_twelve_lines():
    first = blocks("python", TUTORIAL)[0].splitlines()
    assert sum(bool(line) and not re.match(r"(import|from) ", line) for line in first) <= 12

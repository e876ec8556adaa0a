"""The form of a study: configurations, records, verdicts, discovery, and a study of one's own."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from commands import one_line
from scipy.stats import sem

from hilbertsd import studies
from hilbertsd.errors import InvalidInput
from hilbertsd.studies import form

ROOT = Path(__file__).parents[2]
GALLERY = (ROOT / "figures/README.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Config(form.Config):
    table: Path = form.argument("A table.")
    name: str = form.option(help="A word.")
    size: str = form.option("small", "One of two.", choices=("small", "large"))
    n_draws: int = form.option(3, "A number.", least=2)
    share: float | None = form.option(None, "A share.")
    drop: tuple[str, ...] = form.option((), "Words.")
    fast: bool = form.option(False, "A flag.")
    data: Path | None = form.option(None, "A folder.", recorded=False)
    kept: Path | None = form.option(None, "Another.", recorded=False, within_output="kept")
    plain: int = 7


def test_a_configuration_is_recorded_as_it_is_typed():
    config = Config(Path("some/my table.csv"), "x y", drop=("a", "b"), fast=True, data=Path("/secret"))
    assert config.typed() == (
        ["my table.csv", "--name", "x y", "--size", "small", "--n-draws", "3", "--drop", "a", "--drop", "b", "--fast"]
    )
    assert config.recorded() == {
        "table": "my table.csv",
        "name": "x y",
        "size": "small",
        "n_draws": 3,
        "share": None,
        "drop": ("a", "b"),
        "fast": True,
        "plain": 7,
    }
    assert "--fast" not in Config(Path("t"), "x").typed()
    assert Config(Path("t"), "x", share=0.5).typed()[-2:] == ["--share", "0.5"]


def test_folders_within_the_output():
    config = Config(Path("t"), "x").within(Path("out"))
    assert (config.kept, config.data) == (Path("out/kept"), None)
    assert Config(Path("t"), "x", kept=Path("k")).within(Path("out")).kept == Path("k")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": "huge"}, "size is 'huge'; give one of small, large"),
        ({"size": None}, "size is None; give one of small, large"),
        ({"n_draws": 1}, "n_draws is 1; give a whole number of at least 2"),
        ({"n_draws": 2.5}, "n_draws is 2.5; give a whole number of at least 2"),
        ({"n_draws": True}, "n_draws is True"),
    ],
)
def test_a_configuration_is_checked(values, message):
    with pytest.raises(InvalidInput, match=message):
        Config(Path("t"), "x", **values)


def test_verdicts_and_claims_are_flat_json():
    of = form.Verdict.of
    assert [of(True), of(False), of(None)] == ["reproduced", "not reproduced", "not testable here"]
    claim = form.Claim("it holds", of(True), {"n": 3}, "on 3", source="MFB §1", setting="here")
    record = json.loads(json.dumps(claim.to_dict()))
    assert (record["claim"], record["verdict"], record["source"], record["n"]) == (
        "it holds",
        "reproduced",
        "MFB §1",
        3,
    )
    assert form.Claim.from_dict(record) == claim
    assert str(claim) == "reproduced: here: it holds (MFB §1; on 3)"
    assert str(form.Claim("it holds", of(None), {})) == "not testable here: it holds"


def test_every_claim_uses_the_one_vocabulary():
    for folder in (ROOT / "figures").iterdir():
        if (folder / "result.json").exists():
            record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            assert {claim["verdict"] for claim in record.get("claims", [])} <= set(form.Verdict)
    tables = re.findall(r"^\| claim[^|]*\| verdict \|.*\n\|[-|]+\n((?:\|.*\n)+)", GALLERY, re.MULTILINE)
    verdicts = [row.split("|")[2].strip() for table in tables for row in table.splitlines()]
    assert set(verdicts) <= set(form.Verdict)
    assert len(verdicts) > 10


def test_the_standard_error_is_that_of_scipy(rng):
    values = rng.normal(size=17)
    estimate = form.mean_and_standard_error(values)
    assert estimate.mean == values.mean()
    assert estimate.standard_error == pytest.approx(sem(values), rel=1e-14)


def test_studies_are_found_by_name():
    found = studies.studies()
    assert len(found) == 18
    assert {"distill", "check-bounds"} == {name for name, study in found.items() if study.is_own_command}
    for name, study in found.items():
        assert study.name == name
        assert studies.study(name) is study
        assert study.summary.endswith(".")
    for name in ("nothing", "form", "table-path", "spline_toy", "../spline-toy", ""):
        with pytest.raises(InvalidInput, match="give one of bounds, check-bounds, distill"):
            studies.study(name)


@pytest.mark.parametrize("words", [["distill"], ["check-bounds"], ["run", "ntk-cifar"], ["run", "spline-toy"]])
def test_help_shows_the_defaults_that_are_described(hilbertsd, monkeypatch, words):
    """Rich takes words in square brackets for markup unless they are escaped."""
    monkeypatch.setenv("COLUMNS", "200")
    described = {"ntk-cifar": "[default: kernels in that of --out]", "spline-toy": "[default: the paper's draw]"}
    assert described.get(words[-1], "[default: write nothing]") in hilbertsd(*words, "--help")[1]


def test_a_command_imports_no_other_study():
    code = (
        "import sys; sys.argv = ['hilbertsd', 'run', 'green-functions', '--help']\n"
        "from hilbertsd.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print(sorted(m for m in sys.modules if m.startswith('hilbertsd.studies.')), file=sys.stderr)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert finished.stderr.strip() == "['hilbertsd.studies.form', 'hilbertsd.studies.green_functions']"


def test_studies_are_listed_without_jax():
    code = (
        "import sys; sys.modules['jax'] = None; sys.modules['neural_tangents'] = None\n"
        "sys.argv = ['hilbertsd', *sys.argv[1:]]\n"
        "from hilbertsd.cli import main; main()"
    )
    for words in (["list"], ["run", "--help"], ["run", "ntk-ensembles", "--help"]):
        finished = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, encoding="utf-8", check=False
        )
        assert (finished.returncode, finished.stderr) == (0, "")
        assert "ntk-ensembles" in finished.stdout


def test_the_study_of_the_gallery_is_a_command(hilbertsd, tmp_path, monkeypatch):
    """`Writing a study`, as written, through the form and the command line."""
    (block,) = re.findall(r"```python\n(.*?)```", GALLERY, re.DOTALL)
    (tmp_path / "noise.py").write_text(block, encoding="utf-8")
    monkeypatch.setattr(studies, "__path__", [*studies.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "hilbertsd.studies.noise", raising=False)
    assert "Error of ridge on noisy points of sin(2πx)" in " ".join(hilbertsd("list")[1].split())
    code, out, err = hilbertsd("run", "noise", "--draws", 12)
    assert (code, err) == (0, "")
    assert "reproduced: ridge is better than zero" in out
    assert sorted(path.name for path in (tmp_path / "noise").iterdir()) == [
        "noise.png",
        "noise.svg",
        "report.html",
        "result.json",
    ]
    record = json.loads((tmp_path / "noise/result.json").read_text(encoding="utf-8"))
    assert record["command"] == "hilbertsd run noise --draws 12 --seed 0"
    assert record["config"] == {"draws": 12, "seed": 0}
    assert record["mean"]["mean"] == np.mean(record["errors"])
    assert record == json.loads(hilbertsd("run", "noise", "--draws", 12, "--json")[1])
    assert "--draws" in one_line(*hilbertsd("run", "noise", "--draws", 1))
    outcome = studies.study("noise").execute(studies.study("noise").config())
    assert outcome.files == []
    monkeypatch.delitem(sys.modules, "hilbertsd.studies.noise")

"""The commands that are made from studies, as a user meets them."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from commands import in_a_process, one_line
from published import check_published_numbers

from hilbertsd import TableModel, __version__
from hilbertsd.studies import bounds


def test_list_names_the_studies(hilbertsd):
    code, out, err = hilbertsd("list")
    assert (code, err) == (0, "")
    for name in ("spline-toy", "bounds", "early-stopping", "filters", "green-functions", "spectrum"):
        assert name in out


def test_run_spline_toy_prints_and_writes_the_paper(hilbertsd, tmp_path):
    code, out, err = hilbertsd("run", "spline-toy")
    assert (code, err) == (0, "")
    assert "collapse at round 4" in out
    assert out.count("reproduced: ") == 3
    names = sorted(p.name for p in (tmp_path / "spline-toy").iterdir())
    assert names == ["figure2.png", "figure2.svg", "figure3.png", "figure3.svg", "report.html", "result.json"]
    record = json.loads((tmp_path / "spline-toy/result.json").read_text(encoding="utf-8"))
    check_published_numbers(
        record["target_mean_squares"][0],
        record["floor"],
        record["collapse_round"],
        record["multipliers"],
        record["grid_errors"],
    )
    assert record["command"] == "hilbertsd run spline-toy"
    assert record["versions"]["hilbertsd"] == __version__
    assert record["config"] == {"tolerance": 0.045, "seed": None}


@pytest.fixture
def undrawn(monkeypatch):
    """For tests in which figures do not count: drawing them takes longer than most studies."""
    monkeypatch.setattr("hilbertsd.studies.form.save_figure", lambda *_: [])


@pytest.mark.usefixtures("undrawn")
def test_json_is_one_object_and_nothing_else(hilbertsd, table):
    code, out, err = hilbertsd("run", "spline-toy", "--json", "--seed", 3, "--out", "other")
    assert (code, err) == (0, "")
    assert json.loads(out)["config"]["seed"] == 3
    code, out, err = hilbertsd("distill", table, "--target", "price", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["n_test"] == 30


STUDIES = [
    (["run", "bounds"], "bounds", "25 problems", "n_violations"),
    (["run", "early-stopping", "--draws", 25], "early-stopping", "reproduced: early stopping at best", "best_errors"),
    (["run", "filters", "--draws", 3, "--samples", 20], "filters", "iterated Tikhonov", "families"),
    (["run", "green-functions", "--points", 20], "green-functions", "cubic smoothing spline", "largest_relative_error"),
    (["run", "spectrum", "table.csv", "--target", "price"], "spectrum", "leading eigenvectors hold", "energy_shares"),
]


@pytest.mark.parametrize(("words", "name", "printed", "key"), STUDIES)
def test_studies_print_and_write(hilbertsd, table, tmp_path, monkeypatch, words, name, printed, key):
    monkeypatch.setitem(bounds.PRESETS, "quick", 25)  # all 500 are checked in tests/bounds
    assert table.exists()
    code, out, err = hilbertsd(*words, "--out", "o")
    assert code == 0
    assert "Error" not in err
    assert printed in out
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == sorted(
        [f"{name}.png", f"{name}.svg", "report.html", "result.json"]
    )
    record = json.loads((tmp_path / "o/result.json").read_text(encoding="utf-8"))
    assert key in record
    assert record["command"].startswith("hilbertsd " + " ".join(map(str, words[:2])))
    assert record["versions"]["hilbertsd"] == __version__
    assert (tmp_path / f"o/{name}.png").stat().st_size > 5000


def test_check_bounds_on_a_table(hilbertsd, table, tmp_path):
    code, out, err = hilbertsd("check-bounds", table, "--target", "price", "--out", "o")
    assert code == 0
    assert "Error" not in err
    assert "Theorem 5" in out
    assert "all hold" in out
    record = json.loads((tmp_path / "o/result.json").read_text(encoding="utf-8"))
    assert record["holds"]
    assert record["command"] == "hilbertsd check-bounds table.csv --target price --kernel rbf --relative-tolerance 0.1"
    assert any("B_t[k]/B_t[j]" in row["formula"] for row in record["statements"])


@pytest.mark.parametrize("words", [["distill"], ["gram", "distill"], ["ntk", "distill"], ["run", "ntk-cifar"]])
def test_help_at_80_columns_cuts_no_name(hilbertsd, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = hilbertsd(*words, "--help")
    assert code == 0
    assert "--json" in out
    assert "…" not in out


def test_a_violated_bound_is_exit_code_1(hilbertsd, table, monkeypatch):
    from hilbertsd.distillation import rounds

    right = rounds.newton_root
    monkeypatch.setattr(rounds, "newton_root", lambda *arguments: 1.01 * right(*arguments))
    code, out, _ = hilbertsd("check-bounds", table, "--target", "price")
    assert code == 1
    assert "violated" in out


def test_the_spectrum_of_a_table_by_hand(hilbertsd, table):
    from sklearn.metrics.pairwise import rbf_kernel

    from hilbertsd import Spectrum

    words = ("run", "spectrum", table, "--target", "price", "--gamma", 0.2, "--relative-tolerance", 0.2, "--json")
    record = json.loads(hilbertsd(*words)[1])
    frame = pd.read_csv(table)
    X, y = frame[["a", "b", "c"]].to_numpy(), frame["price"].to_numpy()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    spectrum = Spectrum.from_kernel(rbf_kernel(X, gamma=0.2), y - y.mean())
    np.testing.assert_allclose(record["eigenvalues"], spectrum.eigenvalues[::-1], rtol=1e-6, atol=1e-15)
    shares = spectrum.energies[::-1] / spectrum.target_mean_square
    np.testing.assert_allclose(record["energy_shares"], shares, atol=1e-9)
    cut = record["eigenvectors_that_hold_all_but_tolerance"]
    assert shares[cut:].sum() <= 0.2 < shares[cut - 1 :].sum()
    first = record["rounds"][0]
    assert first["eigenvalues_above_c"] == np.count_nonzero(spectrum.eigenvalues > first["multiplier"])


def test_distill_gives_test_errors_by_round(hilbertsd, table, tmp_path):
    code, out, _ = hilbertsd(
        "distill", table, "--target", "price", "--gamma", 0.3, "--relative-tolerance", 0.1, "--out", "o"
    )
    assert code == 0
    assert "test error" in out
    record = json.loads((tmp_path / "o/result.json").read_text(encoding="utf-8"))
    path = TableModel.load(tmp_path / "o").path
    assert len(record["test_errors"]) == path.collapse_round == record["collapse_round"]
    assert record["test_errors"][0] < 0.5 * record["mean_test_error"]
    assert record["features"] == ["a", "b", "c"]
    expected = (
        "hilbertsd distill table.csv --target price --kernel rbf --gamma 0.3 --relative-tolerance 0.1 --test 0.25 "
        "--seed 0"
    )
    assert record["command"] == expected
    assert {"distill.png", "distill.svg"} < {p.name for p in (tmp_path / "o").iterdir()}


def test_distill_checks_against_the_library(hilbertsd, table):
    """The command's errors are those of standardising, splitting and predicting by hand."""
    from sklearn.metrics.pairwise import rbf_kernel

    from hilbertsd import distill

    record = json.loads(hilbertsd("distill", table, "--target", "price", "--seed", 4, "--json")[1])
    frame = pd.read_csv(table)
    order = np.random.default_rng(4).permutation(120)
    test, train = np.sort(order[:30]), np.sort(order[30:])
    X, y = frame[["a", "b", "c"]].to_numpy(), frame["price"].to_numpy()
    X = (X - X[train].mean(axis=0)) / X[train].std(axis=0)
    centred = y[train] - y[train].mean()
    path = distill(rbf_kernel(X[train]), centred, tolerance=0.1 * np.mean(centred**2))
    cross_kernel = rbf_kernel(X[test], X[train])
    errors = [np.mean((path.predict(cross_kernel, t) + y[train].mean() - y[test]) ** 2) for t in range(path.n_rounds)]
    np.testing.assert_allclose(record["test_errors"], errors, rtol=1e-9)
    np.testing.assert_allclose(record["multipliers"], path.multipliers, rtol=1e-9)


def test_distill_without_test_rows_and_without_files(hilbertsd, table, tmp_path):
    code, out, _ = hilbertsd("distill", table, "--target", "price", "--test", 0)
    assert code == 0
    assert "test error" not in out
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_a_long_path_is_cut_in_the_middle(hilbertsd, table):
    out = hilbertsd("distill", table, "--target", "price", "--relative-tolerance", 1e-4)[1]
    assert "… " in out
    assert len(out.splitlines()) < 50


def test_collapse_at_round_0_is_a_result_with_a_warning():
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            "from hilbertsd.cli import main; main()",
            "run",
            "spline-toy",
            "--tolerance",
            "0.6",
            "--json",
        ],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert finished.returncode == 0
    assert json.loads(finished.stdout)["collapse_round"] == 0
    assert finished.stderr.startswith("warning: the zero function already meets tolerance 0.6")
    assert finished.stderr.count("\n") == 1


def test_distill_warns_in_fractions_when_nothing_is_left_to_fit(table):
    finished = in_a_process("distill", table, "--target", "price", "--relative-tolerance", "1.5", "--json")
    assert finished.returncode == 0
    assert json.loads(finished.stdout)["multipliers"] == []
    assert finished.stderr.startswith("warning: the zero function already meets tolerance")
    assert "that is a relative_tolerance below 1" in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_places_that_cannot_be_written_are_one_line(hilbertsd, table, tmp_path):
    (tmp_path / "o/figure2.png").mkdir(parents=True)
    assert "figure2.png" in one_line(*hilbertsd("run", "spline-toy", "--out", "o"))
    (tmp_path / "p/model.npz").mkdir(parents=True)
    assert "model.npz cannot be written" in one_line(*hilbertsd("distill", table, "--target", "price", "--out", "p"))
    assert not list(tmp_path.rglob("*.partial"))


def test_a_table_that_cannot_fit_in_memory_is_refused_before_anything_is_built(hilbertsd, tmp_path, monkeypatch):
    from hilbertsd.studies import table_path

    monkeypatch.setattr(table_path, "physical_memory", lambda: 10**6)
    rng = np.random.default_rng(0)
    pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "y"]).to_csv(tmp_path / "t.csv", index=False)
    assert "300 training rows need about 0 GB" in one_line(*hilbertsd("distill", "t.csv", "--target", "y"))


def test_recorded_commands_can_be_pasted(hilbertsd, table, tmp_path):
    pd.read_csv(table).rename(columns={"price": "my price"}).to_csv(tmp_path / "my table.csv", index=False)
    record = json.loads(hilbertsd("distill", "my table.csv", "--target", "my price", "--json")[1])
    assert record["command"].startswith("hilbertsd distill 'my table.csv' --target 'my price' --kernel rbf")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "spline-toy", "--tolerance", "0.01"], "at or below the floor 0.0418611"),
        (["run", "spline-toy", "--tolerance", "-1"], "tolerance is -1.0"),
        (["run", "spline-toy", "--tolerance", "nan"], "tolerance is nan"),
        (["run", "spline-toy", "--tolerance", "x"], "Invalid value for '--tolerance'"),
        (["run", "spline-toy", "--seed", "-1"], "Invalid value for '--seed': Input should be greater"),
        (["run", "spline-toy", "--colour"], "No such option: --colour"),
        (["run", "bounds", "--preset", "huge"], "preset is 'huge'; give one of quick, full"),
        (
            ["run", "early-stopping", "--draws", "2"],
            "Invalid value for '--draws': Input should be greater than or equal to 20",
        ),
        (["run", "filters", "--draws", "1"], "Invalid value for '--draws'"),
        (["run", "filters", "--relative-tolerance", "nan"], "relative_tolerance is nan; give a number between 0 and 1"),
        (["check-bounds", "missing.csv", "--target", "y"], "missing.csv"),
        (["run", "spectrum", "missing.csv", "--target", "y"], "missing.csv"),
        (["distill"], "Missing"),
        (["distill", "none.csv", "--target", "y"], "none.csv does not exist"),
        (["distill", "table.csv"], "Missing option '--target'"),
        (["distill", "table.csv", "--target", "cost"], "no column 'cost'; its columns are a, b, c, price"),
        (["distill", "table.csv", "--target", "price", "--kernel", "x"], "kernel is 'x'; give one of"),
        (["distill", "table.csv", "--target", "price", "--test", "1"], "test fraction is 1"),
        (["distill", "table.csv", "--target", "price", "--test", "0.99"], "leaves 1 to train on"),
        (["distill", "table.csv", "--target", "price", "--relative-tolerance", "0"], "relative_tolerance is 0.0"),
        (
            ["distill", "table.csv", "--target", "price", "--kernel", "linear", "--relative-tolerance", "1e-6"],
            "the floor 0.",
        ),
        (["distill", "table.csv", "--target", "price", "--gamma", "-1"], "gamma is -1.0"),
        (["distill", "table.csv", "--target", "price", "--out", "table.csv"], "cannot be made a folder"),
        (["run", "spline-toy", "--out", "table.csv"], "cannot be made a folder"),
        (["run", "spline-toy", "--out", ""], "Invalid value for '--out': it is empty; give a path"),
        (["run", "ntk-ensembles", "--data", ""], "Invalid value for '--data': it is empty; give a path"),
        (["distill", "", "--target", "price"], "it is empty; give a path"),
    ],
)
@pytest.mark.usefixtures("table")
def test_bad_usage_and_bad_input_is_one_line(hilbertsd, words, message):
    assert message in one_line(*hilbertsd(*words))


@pytest.mark.usefixtures("undrawn")
def test_results_survive_a_later_failure(hilbertsd, tmp_path):
    hilbertsd("run", "spline-toy")
    before = (tmp_path / "spline-toy/result.json").read_bytes()
    one_line(*hilbertsd("run", "spline-toy", "--tolerance", "0.01"))
    assert (tmp_path / "spline-toy/result.json").read_bytes() == before

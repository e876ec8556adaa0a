"""`hilbertsd distill --out` and `hilbertsd predict`, as a user meets them."""

import json
import sys
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from commands import in_a_process, one_line, write_table

from hilbertsd import TableModel
from hilbertsd.cli import main
from hilbertsd.studies import distill as study


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder of a model of the table that every test has, and the record of the command that made it."""
    folder = tmp_path_factory.mktemp("saved")
    table = write_table(folder / "table.csv", np.random.default_rng(20))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        # main() redirects warnings for the process that it usually is.
        patch.setattr("warnings.showwarning", lambda *_args, **_kwargs: None)
        patch.setattr(
            sys, "argv", ["hilbertsd", "distill", str(table), "--target", "price", "--out", str(folder / "o")]
        )
        with pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code
    assert "leave-one-out on the training rows chooses round" in out.getvalue()
    assert "which is a choice made on the test rows" in out.getvalue()
    return folder / "o", json.loads((folder / "o/result.json").read_text(encoding="utf-8"))


def test_the_round_of_the_training_rows_stands_beside_that_of_the_test_rows(saved):
    folder, record = saved
    assert record["leave_one_out_round"] == np.argmin(record["leave_one_out_errors"])
    assert record["best_test_round"] == np.argmin(record["test_errors"])
    assert len(record["leave_one_out_errors"]) == len(record["test_errors"]) == record["n_rounds"]
    assert {p.name for p in folder.iterdir()} == {
        "distill.png",
        "distill.svg",
        "model.npz",
        "report.html",
        "result.json",
    }
    assert TableModel.load(folder).path.collapse_round == record["collapse_round"]


def test_new_rows_from_the_shell(hilbertsd, saved, tmp_path, rng):
    folder, record = saved
    new = pd.DataFrame(rng.normal(size=(50, 4)), columns=["c", "note", "a", "b"])
    new.to_csv(tmp_path / "new.csv", index=False)
    code, out, err = hilbertsd("predict", folder, "new.csv", "--out", "p.csv")
    assert (code, err) == (0, "")
    assert f"'price' in round {record['leave_one_out_round']}, leave-one-out's choice on the 90 training rows" in out
    assert "… 10 more" in out
    assert "mean squared error" not in out
    assert out.endswith("wrote p.csv\n")
    written = pd.read_csv(tmp_path / "p.csv")
    assert written["row"].tolist() == list(range(1, 51))
    expected = TableModel.load(folder).predict(new)
    np.testing.assert_allclose(written["predicted price"], expected, rtol=1e-15)
    printed = json.loads(hilbertsd("predict", folder / "model.npz", "new.csv", "--json")[1])
    np.testing.assert_allclose(printed["predictions"], expected, rtol=1e-15)
    asked = hilbertsd("predict", folder, "new.csv", "--round", 1)[1]
    assert asked.startswith("'price' in round 1, as asked for; leave-one-out on the 90 training rows chooses round ")


def test_errors_where_the_target_is_known(hilbertsd, saved, table):
    """On the table that was distilled they are those that distill printed: of the test rows apart."""
    folder, record = saved
    for t in range(record["n_rounds"]):
        found = json.loads(hilbertsd("predict", folder, table, "--round", t, "--json")[1])
        assert (found["n_rows_trained_on"], found["n_rows_not_trained_on"]) == (90, 30)
        assert found["mean_squared_error_not_trained_on"] == pytest.approx(record["test_errors"][t], rel=1e-9)
        assert found["mean_squared_error_trained_on"] == pytest.approx(record["training_errors"][t], rel=1e-9)
    out = hilbertsd("predict", folder, table)[1]
    assert "on 30 rows that are no training row" in out
    assert "on 90 rows that are training rows" in out


def test_a_target_without_values_gives_no_error(hilbertsd, saved, tmp_path):
    (tmp_path / "new.csv").write_text("a,b,c,price\n1,2,3,\n")
    code, out, _ = hilbertsd("predict", saved[0], "new.csv")
    assert code == 0
    assert "mean squared error" not in out


def test_beyond_collapse_is_the_mean_with_one_warning(saved, table):
    finished = in_a_process("predict", saved[0], table, "--round", "50", "--json")
    assert finished.returncode == 0
    assert finished.stderr.count("\n") == 1
    assert (
        "from there on every fit is the zero function, which is the mean where targets were centred" in finished.stderr
    )
    found = json.loads(finished.stdout)
    assert len(set(found["predictions"])) == 1
    assert found["mean_squared_error_not_trained_on"] == pytest.approx(saved[1]["mean_test_error"], rel=1e-9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["missing", "new.csv"],
            "missing is no model, and no folder with model.npz; make one with `hilbertsd distill TABLE",
        ),
        (["new.csv", "new.csv"], "holds no TableModel"),
        (["path.npz", "new.csv"], "it holds a DistillationPath"),
        (["o", "missing.csv"], "missing.csv does not exist"),
        (["o", "short.csv"], "short.csv has no column 'a'; its columns are b, c, price"),
        (["o", "text.csv"], "column 'a' holds 'x' in row 1 of the data"),
        (["o", "new.csv", "--round", "-1"], "Invalid value for '--round'"),
        (["o", "new.csv", "--round", "x"], "Invalid value for '--round'"),
        (["o", "new.csv", "--out", "p.txt"], "p.txt is to hold predictions as text; give a name that ends in .csv"),
        (["o", "new.csv", "--out", "new.csv"], "new.csv is the table itself"),
        (["o", "new.csv", "--out", "no/p.csv"], "p.csv cannot be written"),
        (["o", "new.csv", "--out", "x" * 300 + ".csv"], "cannot be written"),
        (["o", "new.csv", "--out", ""], "it is empty; give a path"),
        (["", "new.csv"], "it is empty; give a path"),
    ],
)
def test_bad_usage_and_bad_input_is_one_line(hilbertsd, table, tmp_path, words, message):
    model = study.run(study.Config(table, "price")).model
    (tmp_path / "o").mkdir()
    model.save(tmp_path / "o/model")
    model.path.save(tmp_path / "path")
    for name, text in {"new": "a,b,c\n1,2,3\n", "short": "b,c,price\n1,2,3\n", "text": "a,b,c\nx,2,3\n"}.items():
        (tmp_path / f"{name}.csv").write_text(text)
    before = sorted(p.name for p in tmp_path.iterdir())
    assert message in one_line(*hilbertsd("predict", *words))
    assert sorted(p.name for p in tmp_path.iterdir()) == before

"""The studies of early stopping and of filters, each on a small configuration."""

import json

import pytest

from hilbertsd.errors import InvalidInput
from hilbertsd.studies import early_stopping, filters


def test_early_stopping(tmp_path):
    result = early_stopping.run(early_stopping.Config(draws=40))
    record = result.to_dict()
    assert json.dumps(record, allow_nan=False)
    assert [f"{row['distillation_error']:.3f}" for row in result.rows()] == ["0.154", "0.069", "0.121", "0.307"]
    assert result.rows()[0]["early_stopping_error"] == pytest.approx(result.rows()[0]["distillation_error"])
    assert [claim["verdict"] for claim in record["claims"]] == ["reproduced", "reproduced", "reported"]
    assert record["fresh_draws"][0]["draws"] == 40
    assert all(row["draws"] >= early_stopping.LEAST_DRAWS for row in record["fresh_draws"])
    assert all(p.stat().st_size > 5000 for p in early_stopping.STUDY.draw(result, tmp_path))
    with pytest.raises(InvalidInput, match="draws is 3; give a whole number of at least 20"):
        early_stopping.Config(draws=3)


def test_filters(tmp_path):
    result = filters.run(filters.Config(samples=30, draws=4))
    record = result.to_dict()
    assert json.dumps(record, allow_nan=False)
    rows = {row["family"]: row for row in result.rows()}
    assert set(rows) == {"distillation", *filters.FAMILIES}
    for name, row in rows.items():
        if name != "truncation":
            assert row["matched_training_error"] == pytest.approx(result.training_error, rel=1e-9)
    assert rows["ridge"]["minus_tuned_ridge"] == 0
    assert all(p.stat().st_size > 5000 for p in filters.STUDY.draw(result, tmp_path))
    for values, message in (
        ({"draws": 1}, "draws is 1; give a whole number of at least 2"),
        ({"samples": 2}, "samples is 2; give a whole number of at least 5"),
        ({"relative_tolerance": 1.0}, "relative_tolerance is 1.0; give a number between 0 and 1"),
    ):
        with pytest.raises(InvalidInput, match=message):
            filters.Config(**values)

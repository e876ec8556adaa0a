"""The committed results of the quick studies are what the studies give today."""

import json
import math
from pathlib import Path

import pytest

from hilbertsd.studies import study

TIES = ("fresh_draws/0/share_where_distillation_is_better", "draws_where_distillation_is_lower", "draws_equal")
"""Counts of draws on which two errors differ in their last digit or not at all, which differs between processors."""

GALLERY = Path(__file__).parents[2] / "figures"


def differences(stored, fresh, place=""):
    """Places at which a record lacks a stored value, or has another one: numbers beyond 1e-9, anything else at all."""
    if isinstance(stored, dict):
        for name, value in stored.items():
            yield from differences(value, fresh[name], f"{place}/{name}") if name in fresh else [f"{place}/{name}"]
    elif isinstance(stored, list):
        if len(stored) != len(fresh):
            yield place
        for index, pair in enumerate(zip(stored, fresh, strict=False)):
            yield from differences(*pair, f"{place}/{index}")
    elif type(stored) is float and type(fresh) is float:
        if not math.isclose(stored, fresh, rel_tol=1e-9, abs_tol=1e-13):
            yield f"{place}: {stored} {fresh}"
    elif stored != fresh:
        yield f"{place}: {stored} {fresh}"


@pytest.mark.parametrize("name", ["spline-toy", "green-functions", "early-stopping"])
def test_the_committed_numbers_are_reproduced(name):
    stored = json.loads((GALLERY / name / "result.json").read_text(encoding="utf-8"))
    asked = {**stored["config"], "tolerance": None} if name == "spline-toy" else stored["config"]
    config = study(name).config(**asked)
    fresh = json.loads(json.dumps(study(name).execute(config).record))
    for place in ("versions", "machine"):
        stored.pop(place)
    different = [each for each in differences(stored, fresh) if not each.split(":")[0].endswith(TIES)]
    assert different == []


def test_a_changed_number_is_noticed():
    stored = {"a": [1.0, 2.0], "b": "x", "n": 3}
    assert list(differences(stored, {"a": [1.0, 2.0 + 1e-8], "b": "x", "n": 3})) == ["/a/1: 2.0 2.00000001"]
    assert list(differences(stored, {"a": [1.0], "b": "y", "n": 3})) == ["/a", "/b: x y"]
    assert list(differences(stored, {"a": [1.0, 2.0], "b": "x"})) == ["/n"]
    assert list(differences(stored, stored)) == []

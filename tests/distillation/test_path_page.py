"""Pages of paths, as they are written."""

import json
import re

import numpy as np
import pytest

from hilbertsd import Spectrum, distill, distill_spectrum, leave_one_out_errors
from hilbertsd.distillation import FitCurves
from hilbertsd.distillation.path_page import MOST_POINTS, MOST_ROUNDS, path_sections, training_fits
from hilbertsd.errors import CollapseWarning, InvalidFile, InvalidInput


def content(page):
    """What the script moves."""
    (text,) = re.findall(r'<script type="application/json">(.*)</script>', page)
    return json.loads(text)


def panels(path, **arguments):
    """Figures of the slider: curves by name of each, in order."""
    (section,) = path_sections(path, **arguments)
    return [{curve.name: curve for curve in panel.curves} for panel in section.parts[1].panels]


@pytest.fixture
def path(data):
    return distill(data[0], data[1], tolerance=0.2)


def written(path, tmp_path, **arguments):
    return path.to_html(tmp_path / "page.html", **arguments).read_text(encoding="utf-8")


def test_a_page_has_every_round_and_what_was_added(path, tmp_path):
    errors = leave_one_out_errors(path)
    page = written(path, tmp_path, errors={"leave_one_out_error": errors})
    moved = content(page)
    assert moved["rounds"] == list(range(path.n_rounds))
    for t, row in enumerate(path.rows()):
        assert moved["numbers"][t] == [str(t), *(f"{value:.4g}" for value in [*list(row.values())[1:], errors[t]])]
        assert f">{row['multiplier']:.4g}</td>" in page
    assert f"collapse at round {path.collapse_round}" in page
    assert "first of 2 outputs" in page
    assert "leave-one-out error" in page
    series = panels(path, errors={"leave_one_out_error": errors})[3]["leave-one-out error"]
    np.testing.assert_array_equal(series.y, errors)
    assert series.x[-1] == path.collapse_round


def test_fits_and_targets_are_those_of_the_first_output(path, data):
    targets, predictions = training_fits(path, [0, 2], [0, 3, 59])
    np.testing.assert_allclose(targets, data[1][[0, 3, 59], 0], atol=1e-12)
    for place, t in enumerate((0, 2)):
        np.testing.assert_allclose(predictions[place], path.train_predictions(t)[[0, 3, 59], 0], atol=1e-12)


def test_curves_along_an_input_stand_in_for_predictions(data, tmp_path):
    path = distill(data[0], data[1][:, 0], tolerance=0.05)
    grid = np.linspace(0, 1, 2000)
    fits = FitCurves("<x>", np.arange(60.0), grid, np.outer(np.arange(path.n_rounds) + 1, grid), grid**2, "square")
    page = written(path, tmp_path, fits=fits)
    curves = panels(path, fits=fits)[0]
    assert list(curves) == ["square", "targets", "round 0", "round shown"]
    np.testing.assert_allclose(curves["targets"].y, data[1][:, 0], atol=1e-12)
    np.testing.assert_allclose(curves["round shown"].y[2], 3 * curves["round shown"].x)
    assert len(content(page)["moving"]["figure-0-3"]["y"]) == path.n_rounds
    assert page.count("&lt;x&gt;") == 4  # the heading, its description, which names the axis, too, and the axis
    assert f"Curves are drawn through {MOST_POINTS} of 2,000 points" in page


def test_a_large_path_stays_light_and_says_what_it_leaves_out(rng, tmp_path):
    n = 5000
    basis = np.eye(n)[rng.permutation(n)]
    spectrum = Spectrum(np.geomspace(1e-9, 1, n), rng.normal(size=(n, 1)), basis, True, 0.0, 1e-16)
    path = distill_spectrum(spectrum, multiplier=1e-6, max_rounds=200)
    errors = {name: rng.uniform(size=200) for name in ("leave-one-out error", "test error", "third")}
    file = path.to_html(tmp_path / "page.html", errors=errors)
    page = file.read_text(encoding="utf-8")
    moved = content(page)
    assert len(moved["rounds"]) == MOST_ROUNDS
    assert (moved["rounds"][0], moved["rounds"][-1]) == (0, 199)
    assert file.stat().st_size < 2e6
    for curves in panels(path, errors=errors):
        assert max(curve.x.shape[-1] for curve in curves.values()) <= MOST_POINTS
    assert f"{MOST_ROUNDS} of 200 rounds" in page
    assert f"{MOST_POINTS} of 5,000 training samples" in page
    assert f"{MOST_POINTS} of 5,000 eigenvalues" in page
    assert page.count("<tr>") == 201


def test_a_krylov_path_has_a_page(data, tmp_path):
    path = distill(data[0], data[1], tolerance=0.2, method="krylov")
    page = written(path, tmp_path)
    assert f"a Krylov space of {len(path.eigenvalues)} dimensions" in page
    assert "effective dimension" not in page
    assert "Ritz value" in page
    exact = panels(distill(data[0], data[1], tolerance=0.2))
    found = panels(path)
    np.testing.assert_allclose(found[2]["round shown"].y, exact[2]["round shown"].y, atol=1e-3)


def test_paths_of_no_round_and_of_one_have_pages(data, tmp_path):
    with pytest.warns(CollapseWarning):
        nothing = distill(data[0], data[1], relative_tolerance=1.5)
    page = written(nothing, tmp_path, errors={"test error": [2.0]})
    assert "No round: the zero function already meets the tolerance." in page
    assert "<input" not in page
    stopped, errors = distill(data[0], data[1], tolerance=0.2, max_rounds=1), {"test error": np.array([1.0, 2.0])}
    one = written(stopped, tmp_path, errors=errors)
    assert 'max="0" value="0" autocomplete="off" aria-valuetext="round 0" disabled>' in one
    assert len(content(one)["rounds"]) == 1
    series = panels(stopped, errors=errors)[3]["test error"]
    assert (series.x.tolist(), series.y.tolist()) == (
        [0.0],
        [1.0],
    )  # where it stopped, not collapsed, is no zero function
    assert "not collapsed: stopped after max_rounds=1" in one


def test_fixed_multipliers_and_ground_truth_have_pages(data, tmp_path):
    fixed = distill(data[0], data[1], multiplier=0.1, max_rounds=3)
    assert "<dt>ε</dt>" not in written(fixed, tmp_path)
    mixed = distill(data[0], data[1], tolerance=0.2, ground_truth_weight=0.3, max_rounds=4)
    assert content(written(mixed, tmp_path))["rounds"] == [0, 1, 2, 3]
    moved = panels(mixed)[1]["round shown"].y
    np.testing.assert_allclose(moved[3], mixed.basis_weights[3][mixed.eigenvalues > 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"errors": {"test": np.ones(2)}},
            r"errors\['test'\] has shape \(2,\) for \d+ rounds; give one number per round",
        ),
        ({"errors": {"test": ["a", "b"]}}, r"errors\['test'\] has dtype <U1"),
        ({"errors": {"test": 1.0}}, r"errors\['test'\] has shape \(\)"),
        ({"errors": [1.0, 2.0]}, "errors is .*; give a dictionary of arrays by name"),
        ({"errors": {3: np.ones(3)}}, "errors holds the name 3; give texts"),
        ({"errors": {"multiplier": np.ones(3)}}, "errors holds the name 'multiplier', which the rounds have already"),
        ({"errors": {"test": np.array([1.0, np.nan, 1.0])}}, r"errors\['test'\] holds nan; give finite numbers"),
        ({"fits": 3}, "fits is 3; give a FitCurves"),
        ({"fits": FitCurves("x", np.full(60, np.inf), np.ones(3), np.ones((3, 3)))}, "fits.inputs holds what is not"),
        ({"errors": {str(k): np.ones(99) for k in range(4)}}, "has shape"),
        (
            {"fits": FitCurves("x", np.ones(59), np.ones(3), np.ones((4, 3)))},
            r"inputs has shape \(59,\); give \(60,\): the path has \d+ rounds of 60 samples, and the grid 3 points",
        ),
        ({"fits": FitCurves("x", np.ones(60), np.ones(3), np.ones((1, 3)))}, r"fits.fits has shape \(1, 3\)"),
    ],
)
def test_what_does_not_fit_the_path_is_refused(path, tmp_path, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        path.to_html(tmp_path / "page.html", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_more_errors_than_looks_are_refused(path, tmp_path):
    errors = {str(k): np.ones(path.n_rounds) for k in range(4)}
    with pytest.raises(InvalidInput, match="errors names 4 series; give at most 3"):
        path.to_html(tmp_path / "page.html", errors=errors)


def test_a_page_that_cannot_be_written_is_one_error(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for place in ("folder", "missing/page.html", "", "."):
        with pytest.raises(InvalidFile, match="cannot be written"):
            path.to_html(place)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]

"""check_bounds: holds on honest paths, and sees what is wrong in broken ones."""

import dataclasses
import html
import json
import sys

import numpy as np
import pytest

from hilbertsd import Spectrum, bounds, check_bounds, distill, distill_spectrum, greens
from hilbertsd.bounds import early_stopping
from hilbertsd.data import spline_toy
from hilbertsd.errors import CollapseWarning, InvalidFile, InvalidInput, MissingPackage
from hilbertsd.studies import bounds as study


@pytest.fixture(scope="module", params=[100, pytest.param(500, marks=pytest.mark.slow)])
def quick(request):
    """The study's quick preset in full, and with fewer problems."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(study.PRESETS, "quick", request.param)
        return study.run(study.Config("quick"))


def test_no_violation_on_random_problems(quick):
    assert quick.violations == []
    assert len(quick.ratios) in (100, 500)
    assert sum(quick.n_checks.values()) > 200 * len(quick.ratios)
    assert json.dumps(quick.to_dict(), allow_nan=False)
    assert tuple(quick.tightness) == bounds.STATEMENTS


def test_theorem_6(quick):
    found = quick.theorem_6
    assert found["spectra"] == len(quick.ratios)
    assert found["not_monotone"] == 0
    assert found["largest_relative_distance"] < 1e-3
    assert found["largest_relative_distance_of_logarithm"] < 1e-3


def test_the_counts_get_sharper_in_order(quick):
    medians = {row["statement"]: row["tightness_median"] for row in quick.rows()}
    order = [medians[statement.name] for statement in study.COUNTS]
    assert order == sorted(order)
    assert medians["rounds, triangle inequality"] > 0.7 > 0.1 > medians["rounds, Proposition 4"]


def broken(path, factor):
    return dataclasses.replace(path, multipliers=path.multipliers * factor)


def test_a_multiplier_scaled_by_a_hundredth_is_caught_on_every_problem():
    for index in range(100):
        path = study.random_problem(0, index)
        assert check_bounds(path).holds
        for factor in (1.01, 0.99):
            report = check_bounds(broken(path, factor))
            assert not report.holds
            assert {row["name"] for row in report.violations()} >= {"constraint"}


def test_a_solver_that_is_off_by_a_hundredth_is_caught(monkeypatch, data):
    """Consistently wrong from the first round on, not only in the numbers that are kept."""
    from hilbertsd.distillation import rounds

    right = rounds.newton_root
    monkeypatch.setattr(rounds, "newton_root", lambda *arguments: 1.01 * right(*arguments))
    kernel_matrix, targets, _ = data
    report = check_bounds(distill(kernel_matrix, targets, tolerance=0.3))
    assert not report.holds
    assert all(row["name"] == "constraint" for row in report.violations()[: report.summary()[0]["checks"]])


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("next_ratio", lambda value: value + 1000, {"ratio, recurrence h"}),
        ("ratio_after", lambda value: value + 1000, {"ratio, Proposition 3"}),
        ("rounds_by_tangent", lambda value: value + 1000, {"rounds, Proposition 3"}),
        ("rounds_by_recurrence", lambda value: value + 1000, {"rounds, recurrence h"}),
        (
            "rounds_by_triangle",
            lambda value: value + 1000,
            {"rounds, triangle inequality", "rounds, spectrum and targets"},
        ),
        ("rounds_by_spectrum", lambda value: value + 1000, {"rounds, spectrum and targets"}),
        ("most_rounds", lambda value: value - 1000, {"rounds, at most", "rounds, at most, with κ"}),
        ("largest_next_ratio", lambda value: value / 1000, {"ratio, at most, with κ"}),
        ("single_multiplier_bounds", lambda value: value[:, ::-1], {"single fit, at least", "single fit, at most"}),
        ("slope_surplus", lambda value: -abs(value), {"separation above d*"}),
        ("guaranteed_rounds", lambda value: value + 1000, {"rounds, Proposition 4"}),
        (
            "log_neighbour_bounds",
            lambda value: value * 1e12,
            {"basis weights, Theorem 5", "sparsity index", "sparsity index, guaranteed"},
        ),
    ],
)
def test_a_bound_made_too_strong_violates_its_own_statements(monkeypatch, data, name, change, expected):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix + 0.5 * np.eye(len(kernel_matrix)), targets, tolerance=0.3)
    assert check_bounds(path).holds
    original = getattr(early_stopping if name == "slope_surplus" else bounds, name)
    monkeypatch.setattr(sys.modules[original.__module__], name, lambda *arguments: change(original(*arguments)))
    assert {row["name"] for row in check_bounds(path).violations()} == expected


def test_a_crossing_that_is_too_high_is_caught(monkeypatch):
    spectrum = Spectrum(np.geomspace(1e-4, 1, 12), np.ones((12, 1)), np.eye(12), True, 0.0, 0.0)
    path = distill_spectrum(spectrum, tolerance=0.05)
    assert check_bounds(path).holds
    monkeypatch.setattr("hilbertsd.bounds.early_stopping.slope_surplus", lambda d, c, _: np.ones((len(c), len(d))))
    assert {row["name"] for row in check_bounds(path).violations()} == {"separation below d*"}


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (
            1e6,
            {
                "constraint",
                "fitted energy",
                "ratio before collapse",
                "ratio, triangle inequality",
                "multiplier, at most",
            },
        ),
        (1e-6, {"constraint", "fitted energy", "ratio, at most", "multiplier, at least", "ratio at collapse"}),
    ],
)
def test_wrong_multipliers_violate_what_speaks_of_them(data, factor, expected):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix + 0.5 * np.eye(len(kernel_matrix)), targets, tolerance=0.1)
    assert {row["name"] for row in check_bounds(broken(path, factor)).violations()} >= expected


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-8])
def test_a_hundredth_is_caught_where_nearly_everything_is_left_over(gap):
    """Near r = 1 the training error hardly depends on c; what is fitted does."""
    spectrum = Spectrum(np.array([0.01, 0.1, 1.0]), np.ones((3, 1)), np.eye(3), True, 0.0, 0.0)
    path = distill_spectrum(spectrum, tolerance=spectrum.target_mean_square / (1 + gap) ** 2)
    assert check_bounds(path).holds
    assert "fitted energy" in {row["name"] for row in check_bounds(broken(path, 1.01)).violations()}


def test_tolerances_within_an_ulp_of_the_mean_square():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        d = np.sort(rng.uniform(0.1, 1, 5))
        spectrum = Spectrum(d, rng.normal(size=(5, 1)), np.eye(5), True, 0.0, 0.0)
        report = check_bounds(distill_spectrum(spectrum, tolerance=np.nextafter(spectrum.target_mean_square, 0)))
        assert report.holds


def test_eigenvalues_many_decades_apart():
    for d in ([1e-20, 1e-3, 1.0], [1e-75, 1.0, 1e60]):
        spectrum = Spectrum(np.array(d), np.ones((3, 1)), np.eye(3), True, 0.0, 0.0)
        assert check_bounds(distill_spectrum(spectrum, tolerance=0.05)).holds


def test_a_report_of_numbers_that_are_not_finite_is_written_all_the_same(data):
    kernel_matrix, targets, _ = data
    path = distill(kernel_matrix, targets, tolerance=0.3)
    report = check_bounds(broken(path, np.nan))
    assert not report.holds
    assert json.dumps(report.to_dict(), allow_nan=False)


def test_singular_kernels_use_the_range_from_round_1():
    kernel_matrix = greens.simply_supported_spline(spline_toy.INPUTS)
    report = check_bounds(distill(kernel_matrix, spline_toy.PUBLISHED_TARGETS, tolerance=0.045))
    assert report.holds
    assert report.start == 1
    assert "range of the singular kernel matrix, from round 1" in repr(report)
    rounds = {s.statement.name: s.rounds.tolist() for s in report.statements}
    assert rounds["basis weights, Theorem 5"] == rounds["multiplier, at least"] == [1, 2, 3]
    assert rounds["constraint"] == [0, 1, 2, 3]
    positive = Spectrum.from_kernel(kernel_matrix, spline_toy.PUBLISHED_TARGETS).eigenvalues[2:]
    assert report.condition_number == pytest.approx(positive[-1] / positive[0])


def test_float32_and_near_ties_hold(rng):
    from sklearn.metrics.pairwise import rbf_kernel

    x = rng.normal(size=(150, 2))
    x[75:] = x[:75] + 1e-7 * rng.normal(size=(75, 2))
    y = np.sin(x[:, 0]) + 0.3 * rng.normal(size=150)
    kernel_matrix = rbf_kernel(x)
    for tolerance in (0.05, 0.2):
        assert check_bounds(distill(kernel_matrix, y, tolerance=tolerance)).holds
        assert check_bounds(distill(kernel_matrix.astype(np.float32), y, tolerance=tolerance)).holds


def test_a_long_path_holds():
    n = 20
    spectrum = Spectrum(np.geomspace(1e-6, 1, n), np.ones((n, 1)), np.eye(n), True, 0.0, 0.0)
    path = distill_spectrum(spectrum, tolerance=1e-7, max_rounds=10_000)
    assert path.n_rounds > 3000
    assert check_bounds(path).holds


def test_rows_tables_and_pages(data):
    kernel_matrix, targets, _ = data
    report = check_bounds(distill(kernel_matrix, targets, tolerance=0.3))
    frame = report.to_dataframe()
    assert list(frame.columns) == ["name", "round", "left", "right", "slack", "holds"]
    assert len(frame) == report.n_checks == len(list(report.rows()))
    assert frame.holds.all()
    assert frame.slack.min() > -1e-9
    page = report._repr_html_()
    assert page.count("<tr>") == len(report.statements) + 1
    assert "all hold" in page
    assert json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize("width", [80, 120])
def test_the_text_explains_every_statement_in_lines_of_its_width(data, width):
    kernel_matrix, targets, _ = data
    report = check_bounds(distill(kernel_matrix, targets, tolerance=0.3))
    lines = report.text(width).splitlines()
    assert max(map(len, lines)) <= width
    assert lines.index("Equalities: both sides agree up to rounding.") == 0
    words = " ".join(report.text(width).split())
    for check in report.statements:
        for part in (check.statement.formula, check.statement.meaning, check.statement.source):
            assert " ".join(part.split()) in words
    assert str(report) == report.text(80)
    assert words.endswith("statements, all hold.")
    wrong = check_bounds(broken(distill(kernel_matrix, targets, tolerance=0.3), 1.01)).text(width)
    assert "violated." in wrong
    assert any(line.startswith("constraint") and line.endswith(" 0 of 3") for line in wrong.splitlines())


def test_equalities_stand_apart_and_json_explains_each_statement(data):
    kernel_matrix, targets, _ = data
    rows = check_bounds(distill(kernel_matrix, targets, tolerance=0.3)).to_dict()["statements"]
    assert [row["name"] for row in rows if row["equality"]] == [row["name"] for row in rows[:2]]
    for row in rows:
        assert ("≥" not in row["formula"]) == row["equality"]
        assert row["meaning"].endswith(".")
        assert row["source"].startswith(("MFB ", "hilbertsd.bounds."))


def test_every_function_named_as_a_source_is_there():
    for statement in bounds.STATEMENTS:
        for word in statement.source.split():
            if word.startswith("hilbertsd.bounds."):
                assert getattr(bounds, word.removeprefix("hilbertsd.bounds.").rstrip(";")).__doc__
    assert len({statement.name for statement in bounds.STATEMENTS}) == len(bounds.STATEMENTS) == 25


def test_pandas_is_optional(data, monkeypatch):
    kernel_matrix, targets, _ = data
    report = check_bounds(distill(kernel_matrix, targets, tolerance=0.3))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackage, match="install it"):
        report.to_dataframe()


def test_paths_without_a_statement(data):
    kernel_matrix, targets, _ = data
    with pytest.warns(CollapseWarning):
        empty = distill(kernel_matrix, targets, tolerance=100.0)
    report = check_bounds(empty)
    assert report.holds
    assert report.n_checks == 0
    assert json.dumps(report.to_dict(), allow_nan=False)
    cut_short = check_bounds(distill(kernel_matrix, targets, tolerance=0.01, max_rounds=2))
    assert cut_short.holds
    assert not any(s.statement.name.startswith(("rounds", "ratio at")) for s in cut_short.statements)
    with pytest.raises(InvalidInput, match="fixed multiplier"):
        check_bounds(distill(kernel_matrix, targets, multiplier=0.1, max_rounds=3))
    with pytest.raises(InvalidInput, match="preset is 'huge'"):
        study.run(study.Config("huge"))


def test_one_eigenvalue():
    report = check_bounds(distill([[2.0]], [3.0], tolerance=1.0))
    assert report.holds
    assert report.condition_number == 1.0
    zero = np.zeros((2, 2))
    with pytest.warns(CollapseWarning):
        assert check_bounds(distill(zero, [1.0, 1.0], tolerance=5.0)).holds


def test_a_page_has_every_statement_once(data, tmp_path):
    report = check_bounds(distill(data[0], data[1], tolerance=0.3))
    page = report.to_html(tmp_path / "bounds.html").read_text(encoding="utf-8")
    assert page.count("<tr>") == 1 + len(report.statements)
    for row in report.summary():
        for name in ("formula", "meaning", "source"):
            assert html.escape(row[name]) in page
        assert f">{row['left']:.4g}</td>" in page
    assert len(page) < 100_000  # no figures
    with pytest.raises(InvalidFile, match="cannot be written"):
        report.to_html(tmp_path)
    with pytest.warns(CollapseWarning):
        nothing = check_bounds(distill(data[0], data[1], relative_tolerance=1.5))
    assert "nothing to check: the path has no round" in nothing.to_html(tmp_path / "none.html").read_text("utf-8")

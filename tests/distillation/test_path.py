"""What a path answers: predictions and pages."""

import json
import warnings

import numpy as np
import pytest

from hilbertsd import distill, leave_one_out
from hilbertsd.errors import CollapseWarning, InvalidCrossKernel, InvalidRound


@pytest.fixture
def path(data):
    return distill(data[0], data[1], tolerance=0.2)


def test_rounds_count_from_either_end_and_are_zero_after_collapse(path, data):
    cross_kernel = data[2]
    last = path.n_rounds - 1
    np.testing.assert_array_equal(path.predict(cross_kernel), path.predict(cross_kernel, last))
    np.testing.assert_array_equal(path.predict(cross_kernel, -path.n_rounds), path.predict(cross_kernel, 0))
    assert path.predict(cross_kernel, 0).shape == (7, 2)
    message = rf"collapse at round {path.n_rounds}: from there on every fit is the zero function"
    for beyond in (path.n_rounds, path.n_rounds + 100):
        for zeros in (
            lambda t: path.predict(cross_kernel, t),
            path.train_predictions,
            lambda t: leave_one_out(path, t),
        ):
            with pytest.warns(CollapseWarning, match=message) as record:
                assert not zeros(beyond).any()
            assert [each.filename for each in record] == [__file__]


def test_a_loop_beyond_collapse_warns_once(path, data):
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("default")
        for t in range(path.n_rounds + 5):
            path.predict(data[2], t)
    assert len(record) == 1


def test_dual_coefficients_are_what_predictions_are_made_of(path, data):
    kernel, _, cross_kernel = data
    for t in (0, 2):
        np.testing.assert_allclose(cross_kernel @ path.dual_coefficients(t), path.predict(cross_kernel, t))
        np.testing.assert_allclose(kernel @ path.dual_coefficients(t), path.train_predictions(t), atol=1e-10)


def test_single_output_targets_give_single_output_predictions(data):
    kernel, targets, cross_kernel = data
    single = distill(kernel, targets[:, 1], tolerance=0.2)
    column = distill(kernel, targets[:, 1:], tolerance=0.2)
    assert single.predict(cross_kernel).shape == (7,)
    assert single.train_predictions().shape == (60,)
    assert column.predict(cross_kernel).shape == (7, 1)
    np.testing.assert_array_equal(single.predict(cross_kernel), column.predict(cross_kernel)[:, 0])


@pytest.mark.parametrize("number", [-100, 1.5, "last", None, float("inf")])
def test_rounds_that_are_none_are_refused(path, number):
    with pytest.raises(InvalidRound, match=f"round is {number!r}"):
        path.train_predictions(number)


def test_rounds_not_computed_are_refused(data):
    path = distill(data[0], data[1], tolerance=0.2, max_rounds=2)
    with pytest.raises(InvalidRound, match=r"not collapsed, it stopped after max_rounds=2; give a round up to 1, or"):
        path.predict(data[2], 2)


@pytest.mark.parametrize(
    ("cross_kernel", "message"),
    [
        (np.ones((7, 59)), r"shape \(7, 59\) for 60 training samples"),
        (np.ones(60), r"shape \(60,\)"),
        (np.full((2, 60), np.nan), "not finite"),
        (np.ones((2, 60)) * 1j, "complex"),
        (np.full((2, 60), "x"), "dtype <U1"),
        ([[1.0] * 60, [1.0]], "rows of equal length"),
    ],
)
def test_bad_cross_kernels_are_refused(path, cross_kernel, message):
    with pytest.raises(InvalidCrossKernel, match=message):
        path.predict(cross_kernel)


def test_pages_show_every_round_of_a_short_path_and_the_ends_of_a_long_one(path, data):
    page = path._repr_html_()
    assert page.count("<tr>") == path.n_rounds + 1
    assert f"{path.multipliers[2]:.6g}" in page
    assert "collapse at round" in repr(path)
    long = distill(data[0], data[1], tolerance=1e-3)
    assert f"… {long.n_rounds - 20} more" in long._repr_html_()
    stopped = repr(distill(data[0], data[1], tolerance=0.2, max_rounds=2))
    assert stopped.startswith("DistillationPath(not collapsed: stopped after max_rounds=2, tolerance 0.2 = ")
    fixed = repr(distill(data[0], data[1], multiplier=0.1, max_rounds=1))
    assert "not collapsed: stopped after max_rounds=1, fixed multiplier" in fixed


def test_to_dict_is_json(path):
    record = json.loads(json.dumps(path.to_dict(), allow_nan=False))
    assert record["collapse_round"] == path.n_rounds
    assert np.shape(record["basis_weights"]) == (path.n_rounds, 60)

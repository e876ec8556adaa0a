"""Plots of a path: what is drawn is what the path holds."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from hilbertsd import StochasticCrossValidation, distill, leave_one_out_errors, plot, score_rounds
from hilbertsd.errors import CollapseWarning, InvalidCrossKernel, InvalidInput


@pytest.fixture
def curve(rng):
    """Path of one input, its inputs, targets, a grid and the cross kernel."""
    inputs, grid = np.sort(rng.uniform(size=40)), np.linspace(0, 1, 30)

    def kernel(x, z):
        return np.exp(-30 * (x[:, None] - z) ** 2)

    targets = np.sin(6 * inputs) + 0.1 * rng.normal(size=40)
    path = distill(kernel(inputs, inputs), targets, relative_tolerance=0.1)
    assert path.n_rounds > 2
    return path, inputs, targets, grid, kernel(grid, inputs)


@pytest.fixture
def axes():
    return Figure().subplots()


def drawn(axes):
    return {line.get_label(): np.column_stack(line.get_data()) for line in axes.get_lines()}


def test_weights_of_the_first_and_the_last_round(curve, axes):
    path, first = curve[0], 8
    assert plot.weights(path, axes) is axes
    shown = path.eigenvalues[path.basis_weights[0] >= 1e-4]
    assert first < len(shown) < 40
    for t in (0, path.n_rounds - 1):
        expected = np.column_stack([shown, path.basis_weights[t, -len(shown) :]])
        np.testing.assert_array_equal(drawn(axes)[f"round {t}"], expected)
    by_rank = plot.weights(path, Figure().subplots(), against="rank", rounds=2)
    assert len(by_rank.get_lines()) == 2
    expected = np.column_stack([np.arange(1, 41), path.basis_weights[0, ::-1]])
    np.testing.assert_array_equal(drawn(by_rank)["round 0"], expected)
    with pytest.raises(InvalidInput, match="against is 'size'; give one of eigenvalue, rank"):
        plot.weights(path, axes, against="size")


def test_multipliers_with_their_enclosures(curve, axes):
    path, inputs, targets, *_ = curve
    (line,) = plot.multipliers(path, axes).get_lines()
    np.testing.assert_array_equal(line.get_ydata(), path.multipliers)
    kernel = np.exp(-30 * (inputs[:, None] - inputs) ** 2)
    krylov = distill(kernel, targets, relative_tolerance=0.1, method="krylov")
    (bars,) = plot.multipliers(krylov, Figure().subplots()).collections
    segments = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(segments, krylov.multiplier_bounds, rtol=1e-12)


def test_eigenvalues_and_the_multipliers_among_them(curve, axes):
    path = curve[0]
    lines = drawn(plot.spectrum(path, axes))
    np.testing.assert_array_equal(lines["eigenvalue"][:, 1], path.eigenvalues[path.eigenvalues > 0][::-1])
    assert lines["$c_{0}$"][0, 1] == path.multipliers[0]
    assert lines[f"$c_{{{path.n_rounds - 1}}}$"][0, 1] == path.multipliers[-1]


def test_errors_by_a_criterion_and_by_scores_at_hand(curve, axes):
    path, inputs, *_ = curve
    lines = drawn(plot.errors(path, "loo", axes))
    np.testing.assert_array_equal(lines["training, original targets"][:, 1], path.training_errors)
    np.testing.assert_allclose(lines["leave-one-out"][:, 1], leave_one_out_errors(path)[:-1], rtol=1e-9)
    best = int(np.argmin(score_rounds(path)))
    assert lines[f"lowest leave-one-out: round {best}"][0, 0] == best
    given = {"test": np.arange(path.n_rounds)[::-1], "other": np.ones(path.n_rounds)}
    lines = drawn(plot.errors(path, given, Figure().subplots()))
    np.testing.assert_array_equal(lines["test"][:, 1], given["test"])
    assert f"lowest test: round {path.n_rounds - 1}" in lines
    assert "lowest other" not in " ".join(map(str, lines))
    kernel = np.exp(-30 * (inputs[:, None] - inputs) ** 2)
    criterion = StochasticCrossValidation(kernel)
    (bars,) = plot.errors(path, criterion, Figure().subplots()).collections
    reach = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
    np.testing.assert_allclose(reach, criterion.standard_errors(path), rtol=1e-6)
    assert len(plot.errors(path, axes=Figure().subplots()).get_lines()) == 1
    with_zero = [2.0] * path.n_rounds + [1.0]  # predicting nothing is best
    lines = drawn(plot.errors(path, {"test": with_zero}, Figure().subplots()))
    assert lines[f"lowest test: round {path.n_rounds}"][0, 0] == path.n_rounds
    np.testing.assert_array_equal(lines["test"], np.column_stack([np.arange(path.n_rounds + 1), with_zero]))
    for wrong, message in (("best", "criterion is 'best'"), ({"test": [1.0]}, r"criterion\['test'\] has shape")):
        with pytest.raises(InvalidInput, match=message):
            plot.errors(path, wrong)


def test_fits_of_one_input(curve, axes):
    path, inputs, targets, grid, cross_kernel = curve
    lines = drawn(plot.fits(path, grid, cross_kernel, axes, inputs=inputs, intercept=2.0))
    np.testing.assert_allclose(lines["targets"], np.column_stack([inputs, targets + 2]), atol=1e-12)
    for t in range(path.n_rounds):
        expected = np.column_stack([grid, path.predict(cross_kernel, t) + 2])
        np.testing.assert_array_equal(lines[f"round {t}"], expected)
    with pytest.raises(InvalidInput, match=r"inputs has shape \(3,\); give \(40,\)"):
        plot.fits(path, grid, cross_kernel, axes, inputs=inputs[:3])
    with pytest.raises(InvalidCrossKernel, match="cross_kernel has 30 rows for 29 points of the grid"):
        plot.fits(path, grid[1:], cross_kernel, axes)
    for wrong in (cross_kernel[:, 1:], 3.0, None):
        with pytest.raises(InvalidCrossKernel):
            plot.fits(path, grid, wrong, axes)
    with pytest.raises(InvalidInput, match="grid is not ascending"):
        plot.fits(path, grid[::-1], cross_kernel, axes)
    for wrong in (0, -1, 2.5, "a"):
        with pytest.raises(InvalidInput, match="rounds is"):
            plot.fits(path, grid, cross_kernel, axes, rounds=wrong)
        with pytest.raises(InvalidInput, match="rounds is"):
            plot.weights(path, axes, rounds=wrong)


def test_names_are_shown_as_they_are(curve, axes):
    path = curve[0]
    names = ["$\\foo_{$", "_x", "100 % <b>"]
    plot.errors(path, {name: np.ones(path.n_rounds) for name in names}, axes)
    axes.figure.savefig(io.BytesIO())
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert shown == ["training, original targets", *names, f"lowest {names[0]}: round 0"]
    with pytest.raises(InvalidInput, match=r"criterion\['a'\] holds nan; give finite numbers"):
        plot.errors(path, {"a": [np.nan] * path.n_rounds}, axes)


def test_several_outputs_have_no_curve(data, axes):
    kernel, targets, cross_kernel = data
    path = distill(kernel, targets, relative_tolerance=0.3)
    with pytest.raises(InvalidInput, match="targets have 2 outputs"):
        plot.fits(path, np.arange(7.0), cross_kernel, axes)


def test_a_path_without_rounds_is_drawn_empty(curve, axes):
    _, inputs, targets, grid, cross_kernel = curve
    kernel = np.exp(-30 * (inputs[:, None] - inputs) ** 2)
    with pytest.warns(CollapseWarning):
        empty = distill(kernel, targets, relative_tolerance=2.0)
    assert empty.n_rounds == 0
    for draw in (plot.weights, plot.multipliers, plot.spectrum):
        draw(empty, Figure().subplots()).figure.canvas.draw()
    plot.errors(empty, "loo", axes)
    plot.fits(empty, grid, cross_kernel, Figure().subplots(), inputs=inputs).figure.canvas.draw()
    axes.figure.canvas.draw()


def test_a_figure_of_its_own_leaves_settings_as_they_are(curve):
    with mpl.rc_context({"backend": "agg"}):
        before = dict(mpl.rcParams)
        axes = plot.weights(curve[0])
        assert axes.figure is plt.gcf()
        plt.close("all")
        assert dict(mpl.rcParams) == before
    assert not axes.spines["top"].get_visible()

"""Multi-view data: what samples show, and that impossible ones are refused."""

import numpy as np
import pytest
from scipy.stats import binom

from hilbertsd.data import MultiView, ViewSamples, orthonormal_views, patches
from hilbertsd.data.multi_view import _at_most
from hilbertsd.errors import InvalidInput

DATA = MultiView(n_classes=6, n_patches=9, single_view_share=0.25, n_others=1.5)


@pytest.fixture(scope="module")
def samples():
    return DATA.draw(20_000, seed=3)


def own(samples):
    """(n, 2) weights of both views of a sample's class."""
    total = samples.features.sum(axis=1).reshape(len(samples.labels), -1, 2)
    return total[np.arange(len(samples.labels)), samples.labels]


def others(samples, k):
    """(n, k − 1, 2) weights of the views of other classes."""
    total = samples.features.sum(axis=1).reshape(len(samples.labels), k, 2)
    return total[np.arange(k) != samples.labels[:, None]].reshape(len(samples.labels), k - 1, 2)


def test_a_patch_shows_one_view_and_a_view_has_one_patch(samples):
    shown = samples.features > 0
    assert shown.sum(axis=2).max() == 1
    assert shown.sum(axis=1).max() == 1


def test_samples_show_both_views_of_their_class_or_one(samples):
    weights = own(samples)
    multi = samples.shown == -1
    np.testing.assert_allclose(weights[multi], 1)
    rows = np.flatnonzero(~multi)
    np.testing.assert_allclose(weights[rows, samples.shown[rows]], 1)
    hidden = weights[rows, 1 - samples.shown[rows]]
    assert hidden.min() >= 0.05
    assert hidden.max() <= 0.1


def test_shares_are_those_asked_for(samples):
    n = len(samples.labels)
    assert abs((samples.shown >= 0).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / n)
    np.testing.assert_allclose(np.bincount(samples.labels) / n, 1 / 6, atol=0.012)
    np.testing.assert_allclose(np.bincount(samples.shown[samples.shown >= 0]) / (n / 4), 0.5, atol=0.03)
    appear = (others(samples, 6) > 0).mean(axis=(0, 1))
    np.testing.assert_allclose(appear, 0.25, atol=0.01)


def test_weights_of_other_views_depend_on_the_kind_of_sample(samples):
    found, multi = others(samples, 6), samples.shown == -1
    for rows, (low, high) in ((multi, DATA.other_weight), (~multi, DATA.single_other_weight)):
        weights = found[rows][found[rows] > 0]
        assert low <= weights.min() < low + 0.001
        assert high - 0.001 < weights.max() <= high


def test_all_samples_can_be_of_one_kind():
    assert (DATA.draw(50, 0, single=True).shown >= 0).all()
    assert (DATA.draw(50, 0, single=False).shown == -1).all()


def test_the_same_seed_gives_the_same_samples():
    first, second, other = (DATA.draw(30, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.features, second.features)
    assert not np.array_equal(first.features, other.features)


def test_feature_noise_is_in_every_patch():
    noisy = MultiView(feature_noise=0.01).draw(40, 0)
    assert (noisy.features > 0).all()
    assert np.sort(noisy.features, axis=2)[..., :-1].max() <= 0.01


def test_the_simple_form_is_the_papers():
    simple = MultiView.simple().draw(20_000, 0)
    np.testing.assert_allclose(np.bincount(simple.shown + 1) / 20_000, [0.8, 0.1, 0.1], atol=0.01)
    weights = own(simple)
    assert set(np.unique(weights)) == {0.0, 1.0}
    found = others(simple, 2)[:, 0]
    np.testing.assert_allclose(found.sum(axis=1), 0.1)  # exactly one of the other class's views
    np.testing.assert_allclose((found > 0).mean(axis=0), 0.5, atol=0.015)


@pytest.mark.parametrize(
    "data",
    [DATA, MultiView.simple(), MultiView(n_classes=5, n_patches=9, exactly_others=2)],
    ids=["s", "simple", "two"],
)
def test_the_error_of_one_view_a_class_is_counted(data):
    drawn = data.draw(40_000, 1, single=True)
    known = np.arange(data.n_views) % 2 == 0  # the network knows view 0 of every class
    hidden = drawn.shown == 1
    another = (others(drawn, data.n_classes)[:, :, 0] > 0).any(axis=1)
    assert known.sum() == data.n_classes
    assert abs((hidden & another).mean() - data.single_view_error) < 4 * np.sqrt(0.25 / 40_000)


def test_patches_are_views_and_noise():
    drawn = DATA.draw(200, 0)
    views = orthonormal_views(12, 400, seed=5)
    found = patches(drawn, 1.5, views, seed=7)
    assert found.shape == (200, 9, 400)
    noise = found - drawn.features @ views
    np.testing.assert_allclose(np.linalg.norm(noise, axis=2), 1.5, rtol=0.2)
    np.testing.assert_allclose(np.linalg.norm(noise, axis=2).mean(), 1.5, rtol=0.01)
    np.testing.assert_allclose(views @ views.T, np.eye(12), atol=1e-12)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_classes": 1}, "n_classes is 1"),
        ({"n_patches": 5}, "n_patches is 5, .* at least 10 patches"),
        ({"n_patches": 1, "n_others": 0.0}, "n_patches is 1"),
        ({"single_view_share": 1.5}, "single_view_share is 1.5"),
        ({"single_view_share": -0.1}, "single_view_share is -0.1"),
        ({"single_view_share": float("nan")}, "single_view_share is nan"),
        ({"n_others": 11.0}, "n_others is 11"),
        ({"exactly_others": 10}, "10 views of other classes .* 11 patches"),
        ({"n_classes": 2, "exactly_others": 3}, "3 views of other classes .* there are 2"),
        ({"own_weight": (1.0, 0.5)}, "own_weight is"),
        ({"other_weight": (-0.1, 0.5)}, "other_weight is"),
        ({"other_weight": 0.4}, "other_weight is 0.4; give a smallest"),
        ({"missing_weight": (0.0, 0.1, 0.2)}, "missing_weight is"),
        ({"feature_noise": -1.0}, "feature_noise is -1"),
        ({"noise": float("inf")}, "noise is inf"),
    ],
)
def test_impossible_data_are_refused(given, words):
    with pytest.raises(InvalidInput, match=words):
        MultiView(**given)


def test_bad_draws_and_views_are_refused():
    with pytest.raises(InvalidInput, match="n is 0"):
        DATA.draw(0, 0)
    with pytest.raises(InvalidInput, match="12 views cannot be orthonormal in 11"):
        orthonormal_views(12, 11)
    drawn = DATA.draw(3, 0)
    with pytest.raises(InvalidInput, match="not orthonormal: an inner product is 1 away"):
        patches(drawn, 1.0, np.sqrt(2) * np.eye(12, 30), 0)
    with pytest.raises(InvalidInput, match=r"views have shape \(4, 30\)"):
        patches(drawn, 1.0, np.eye(4, 30), 0)
    assert isinstance(drawn, ViewSamples)


@pytest.mark.parametrize(("n", "share"), [(18, 0.4), (200, 0.01), (2, 0.0), (4, 1.0)])
def test_numbers_of_views_are_binomial(n, share):
    np.testing.assert_allclose(_at_most(n, share), binom.cdf(np.arange(n + 1), n, share), rtol=1e-12)

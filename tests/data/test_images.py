"""Labelled images and what is done to them before any kernel."""

import numpy as np
import pytest

from hilbertsd.data.images import balanced, channel_statistics, load_digits_images, one_hot, shrunk, standardised
from hilbertsd.errors import InvalidInput


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, size=(1203, 4, 6, 3), dtype=np.uint8)


def test_digits_are_split_once_and_for_all():
    train, test = load_digits_images("train"), load_digits_images("test")
    assert (train.images.shape, test.images.shape) == ((1347, 8, 8, 1), (450, 8, 8, 1))
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int64
    assert train.class_names == tuple("0123456789")
    assert train.name == "digits (scikit-learn)"
    from sklearn.datasets import load_digits

    digits = load_digits()
    seen = np.concatenate([train.images, test.images]).reshape(1797, -1)
    np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(digits.data, axis=0))
    row = next(row for row in range(1797) if np.array_equal(digits.data[row], seen[0]))
    assert digits.target[row] == train.labels[0]
    np.testing.assert_array_equal(load_digits_images("train", seed=0).labels, train.labels)
    assert not np.array_equal(load_digits_images("train", seed=1).labels, train.labels)
    with pytest.raises(InvalidInput, match="split is 'valid'; give one of train, test"):
        load_digits_images("valid")


def test_statistics_are_per_channel_over_everything(images):
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, images.reshape(-1, 3).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(std, images.reshape(-1, 3).std(axis=0), rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standardised_by_own_or_training_statistics(images, dtype):
    train, test = images[:1000], images[1000:]
    mean, std = channel_statistics(train)
    result = standardised(test, mean, std, dtype)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, (test - mean) / std, rtol=1e-6 if dtype == np.float32 else 1e-15)
    np.testing.assert_array_equal(standardised(train), standardised(train, mean, std))
    np.testing.assert_allclose(standardised(train).mean(axis=(0, 1, 2)), 0, atol=1e-13)
    np.testing.assert_allclose(standardised(train).std(axis=(0, 1, 2)), 1, rtol=1e-13)


def test_standardising_refuses(images):
    mean, std = channel_statistics(images)
    with pytest.raises(InvalidInput, match=r"shape \(4, 6, 3\); give \(n, height, width, channels\)"):
        standardised(images[0])
    with pytest.raises(InvalidInput, match="with none of them 0"):
        channel_statistics(images[:0])
    with pytest.raises(InvalidInput, match="only one of mean and std"):
        standardised(images, mean)
    with pytest.raises(InvalidInput, match=r"mean has shape \(2,\) and std \(3,\); the images need \(3,\)"):
        standardised(images, mean[:2], std)
    with pytest.raises(InvalidInput, match="dtype is uint8"):
        standardised(images, mean, std, np.uint8)
    images[..., 1] = 7
    with pytest.raises(InvalidInput, match="channel 1 has standard deviation 0; leave that channel out"):
        standardised(images)


def test_shrunk_images_are_block_means(rng):
    images = rng.integers(0, 256, size=(3, 32, 32, 3), dtype=np.uint8)
    small = shrunk(images, 8)
    assert small.shape == (3, 8, 8, 3)
    assert small.dtype == np.float64
    assert small[1, 2, 5, 1] == images[1, 8:12, 20:24, 1].mean()
    np.testing.assert_array_equal(shrunk(shrunk(images, 16), 8), small)
    np.testing.assert_array_equal(shrunk(images, 32), images)
    with pytest.raises(InvalidInput, match="size 12 does not divide images of 32 × 32 pixels"):
        shrunk(images, 12)
    with pytest.raises(InvalidInput, match="size is 0"):
        shrunk(images, 0)


def test_one_hot_and_centred():
    labels = np.array([2, 0, 1, 2], dtype=np.uint8)
    expected = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], dtype=np.float64)
    np.testing.assert_array_equal(one_hot(labels, 4), expected)
    centred = one_hot(labels, 4, centred=True)
    np.testing.assert_array_equal(centred, expected - 0.25)
    assert np.sum(centred**2) / 4 == 1 - 1 / 4
    assert one_hot(labels, 4).dtype == np.float64
    with pytest.raises(InvalidInput, match="label 2 in row 0 is outside 0 to 1; check n_classes"):
        one_hot(labels, 2)
    with pytest.raises(InvalidInput, match="label -1 in row 1"):
        one_hot(np.array([0, -1]), 2)
    with pytest.raises(InvalidInput, match="dtype float64"):
        one_hot(np.array([0.0, 1.0]), 2)


@pytest.mark.parametrize("n", [1, 7, 40, 43, 60])
def test_balanced_draws_are_even_reproducible_and_nested(rng, n):
    labels = rng.permutation(np.repeat([0, 3, 5, 6], [15, 30, 40, 20]))
    rows = balanced(labels, n, seed=4)
    assert len(np.unique(rows)) == n
    counts = np.array([np.sum(labels[rows] == label) for label in (0, 3, 5, 6)])
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(rows, balanced(labels, n, seed=4))
    assert n == 1 or not np.array_equal(rows, balanced(labels, n, seed=5))
    np.testing.assert_array_equal(rows, balanced(labels, 60, seed=4)[:n])


def test_classes_with_more_samples_take_the_extra_ones():
    labels = np.repeat([0, 1, 2], [5, 6, 6])
    for seed in range(10):
        np.testing.assert_array_equal(np.bincount(labels[balanced(labels, 17, seed)]), [5, 6, 6])


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (12, r"12 samples of 3 classes are 4 of each, and class 7 has 3; give at most 10"),
        (11, r"11 samples of 3 classes are 3.66667 of each"),
        (25, "n is 25 and there are 24 samples"),
        (0, "n is 0"),
    ],
)
def test_unbalanced_draws_are_refused(n, message):
    labels = np.repeat([4, 7, 9], [18, 3, 3])
    with pytest.raises(InvalidInput, match=message):
        balanced(labels, n, seed=0)

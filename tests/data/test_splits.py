"""Training and test images of named data sets, as kernels take them."""

import numpy as np
import pytest

from hilbertsd.data.images import channel_statistics, load_digits_images
from hilbertsd.data.splits import image_split
from hilbertsd.errors import InvalidFile, InvalidInput


def test_digits_are_balanced_standardised_and_apart():
    images = image_split("digits", 100, 50)
    assert (images.train.shape, images.test.shape) == ((100, 8, 8, 1), (50, 8, 8, 1))
    assert images.name == "digits (scikit-learn)"
    assert set(np.bincount(images.train_labels)) == {10}
    assert set(np.bincount(images.test_labels)) == {5}
    mean, deviation = channel_statistics(load_digits_images("train").images)
    raw = images.train * deviation + mean
    np.testing.assert_allclose(raw, raw.round(), atol=1e-12)
    known = {image.tobytes() for image in load_digits_images("train").images}
    assert all(image.tobytes() in known for image in raw.round().astype(np.uint8))


def test_smaller_draws_are_beginnings_of_larger_ones():
    small, large = image_split("digits", 50, 20, seed=3), image_split("digits", 200, 40, seed=3)
    np.testing.assert_array_equal(small.train, large.train[:50])
    np.testing.assert_array_equal(small.test_labels, large.test_labels[:20])
    assert not np.array_equal(small.train, image_split("digits", 50, 20, seed=4).train)


def test_targets_are_centred_over_classes():
    images = image_split("digits", 30, 10)
    assert images.targets.shape == (30, 10)
    np.testing.assert_allclose(images.targets.sum(axis=1), 0, atol=1e-15)
    np.testing.assert_array_equal(images.targets.argmax(axis=1), images.train_labels)


def test_shrunk_images_are_standardised_by_shrunk_ones():
    images = image_split("digits", 1200, 50, size=4)
    assert images.train.shape[1:] == (4, 4, 1)
    assert abs(images.train.mean()) < 0.05
    assert abs(images.train.std() - 1) < 0.05


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("mnist", 10, 10), {}, "dataset is 'mnist'; give one of digits, cifar10, cifar100"),
        (("digits", 5000, 10), {}, "n is 5000 and there are 1347"),
        (("digits", 10, 10), {"size": 3}, "size 3 does not divide"),
        (("digits", 10, 10), {"folder": "cifar"}, "come with scikit-learn, and folder is 'cifar'"),
        (("digits", 10, 10), {"labels": "coarse"}, "labels 'coarse'"),
        (("digits", 10, 10), {"download": True}, "download True; leave these out"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, options, message):
    with pytest.raises(InvalidInput, match=message):
        image_split(*arguments, **options)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InvalidFile, match="CIFAR-10"):
        image_split("cifar10", 10, 10, folder=tmp_path)

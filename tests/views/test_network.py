"""The smoothed ReLU and sums over neurons and patches."""

import numpy as np
import pytest

from hilbertsd.errors import InvalidInput
from hilbertsd.views import ViewNetwork

NETWORK = ViewNetwork(n_classes=3, neurons=2, power=4, threshold=0.5)


def smoothed(z):
    if z <= 0:
        return 0.0
    return z**4 / (4 * 0.5**3) if z <= 0.5 else z - 0.75 * 0.5


def test_the_activation_is_the_papers():
    z = np.array([-1.0, 0.0, 0.1, 0.49999, 0.5, 0.50001, 2.0])
    values, slopes = map(np.asarray, NETWORK.activation(z))
    np.testing.assert_allclose(values, [smoothed(each) for each in z], rtol=1e-5, atol=1e-8)
    step = 1e-4
    by_difference = [(smoothed(each + step) - smoothed(each - step)) / (2 * step) for each in z]
    np.testing.assert_allclose(slopes, by_difference, rtol=1e-3, atol=1e-6)


def test_outputs_are_sums_over_patches_and_the_neurons_of_a_class():
    responses = np.random.default_rng(0).normal(size=(5, 4, NETWORK.width))
    outputs, slopes = map(np.asarray, NETWORK.outputs(responses))
    expected = [[sum(map(smoothed, one[:, 2 * i : 2 * i + 2].ravel())) for i in range(3)] for one in responses]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    assert slopes.shape == responses.shape


def test_members_are_averaged():
    pair = ViewNetwork(n_classes=3, neurons=2, members=2)
    first, second = np.random.default_rng(1).normal(size=(2, 5, 4, 3, 2))
    both = np.concatenate([first, second], axis=3).reshape(5, 4, pair.width)
    single = ViewNetwork(n_classes=3, neurons=2)
    by_itself = [np.asarray(single.outputs(each.reshape(5, 4, -1))[0]) for each in (first, second)]
    np.testing.assert_allclose(pair.outputs(both)[0], np.mean(by_itself, axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_classes": 1}, "n_classes is 1"),
        ({"neurons": 0}, "neurons is 0"),
        ({"power": 1}, "power is 1"),
        ({"power": 2.5}, "power is 2.5"),
        ({"members": 0}, "members is 0"),
        ({"threshold": 0.0}, "threshold is 0"),
        ({"initial_scale": -1e-3}, "initial_scale is -0.001"),
    ],
)
def test_impossible_networks_are_refused(given, words):
    with pytest.raises(InvalidInput, match=words):
        ViewNetwork(**given)

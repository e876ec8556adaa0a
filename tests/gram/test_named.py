"""Kernels by name: all that are advertised work, with and without their parameters."""

import re

import numpy as np
import pytest
from sklearn.metrics import pairwise

from hilbertsd.errors import InvalidInput
from hilbertsd.gram import NamedKernel
from hilbertsd.gram.named import NAMES, kernel_values


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).random((7, 3))


@pytest.mark.parametrize("name", NAMES)
def test_every_advertised_kernel_has_its_default(points, name):
    expected = pairwise.pairwise_kernels(points, points[:4], metric=name)
    np.testing.assert_array_equal(NamedKernel(name)(points, points[:4]), expected)
    parameters = {"gamma": None, "degree": None, "coef0": None}
    np.testing.assert_array_equal(kernel_values(name, points, points[:4], parameters), expected)


def test_what_is_advertised_is_what_there_is(points):
    with pytest.raises(InvalidInput, match="kernel is 'gauss'") as refused:
        NamedKernel("gauss")
    advertised = re.split(", | ", str(refused.value).split("give one of ")[1])
    assert set(advertised) == set(pairwise.PAIRWISE_KERNEL_FUNCTIONS) == set(NAMES)
    with pytest.raises(InvalidInput, match="give one of precomputed, additive_chi2"):
        kernel_values("gauss", points, points, {})
    with pytest.raises(InvalidInput, match="kernel is 'precomputed'; give one of additive_chi2"):
        NamedKernel("precomputed")


def test_gamma_counts_where_it_is_given(points):
    np.testing.assert_array_equal(NamedKernel("chi2", 2.0)(points, points), pairwise.chi2_kernel(points, gamma=2.0))
    for gamma in (0, -1.0, np.nan, "wide"):
        with pytest.raises(InvalidInput, match=r"gamma is .*; give a positive finite number"):
            NamedKernel("chi2", gamma)


@pytest.mark.parametrize("name", ["chi2", "additive_chi2"])
def test_points_outside_the_domain_are_refused(points, name):
    with pytest.raises(InvalidInput, match=r"[Nn]egative"):
        NamedKernel(name)(points - 1, points)

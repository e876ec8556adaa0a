"""Images and scales that no kernel has a finite value for: one typed error, with the number and what to do."""

import re

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `ntk`")

from hilbertsd.errors import InvalidInput
from hilbertsd.ntk import NeuralKernel, architecture, empirical_grams, gram

KERNEL = NeuralKernel(architecture("convolutional-1-2"))
DOORS = {
    "gram": lambda images: gram("convolutional-1-2", images),
    "gram of others": lambda images: gram("convolutional-1-2", np.ones((2, *np.shape(images)[1:])), images),
    "NeuralKernel": lambda images: KERNEL(np.ones((2, *np.shape(images)[1:])), images),
    "tiles": lambda images: KERNEL.tiles(images)(slice(0, 3), slice(0, 3)),
    "empirical_grams": lambda images: next(empirical_grams(architecture("convolutional-1-2"), images, dtype="float64")),
}


@pytest.fixture
def images(rng):
    return rng.normal(size=(3, 4, 4, 2))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("shape", [(0, 4, 4, 2), (3, 0, 0, 2), (3, 4, 0, 2), (3, 4, 4, 0)])
def test_empty_images(door, shape):
    with pytest.raises(InvalidInput, match=r"(images|others) have shape .*0.*; give"):
        DOORS[door](np.ones(shape))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_images_that_are_not_finite(images, door, value):
    images[1, 0, 0, 0] = value
    with pytest.raises(InvalidInput, match=r"(images|others) hold values that are not finite in row 1; leave it out"):
        DOORS[door](images)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("factor", [1e200, 1e160])
def test_images_whose_kernel_overflows(images, door, factor):
    images *= factor
    with pytest.raises(
        InvalidInput, match=re.escape(f"values up to {np.abs(images).max():g} is not finite in float64; scale")
    ):
        DOORS[door](images)


@pytest.mark.parametrize(
    ("dtype", "lost", "kept"),
    [("float64", [1e-153, 1e-160, 1e-200], 1e-149), ("float32", [1e-18, 1e-22, 1e-50], 1e-15)],
)
def test_images_whose_kernel_underflows(images, dtype, lost, kept):
    expected = gram("convolutional-1-2", images)
    for factor in lost:
        with pytest.raises(InvalidInput, match=f"a standard deviation of .*, too small for {dtype}; scale the images"):
            gram("convolutional-1-2", images * factor, dtype=dtype)
    found = gram("convolutional-1-2", images * kept, dtype=dtype) / kept / kept
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-14)
    images[1] = 0.0
    assert not gram("convolutional-1-2", images, dtype=dtype)[1].any()
    assert np.all(gram(architecture("convolutional-1-2", bias_std=0.1), images * lost[0], dtype=dtype) > 0.01)


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_float32_overflows_earlier(images, kernel):
    network = "convolutional-1-2"
    assert np.all(np.isfinite(gram(network, images * 1e17, dtype="float32", kernel=kernel)))
    with pytest.raises(InvalidInput, match=rf"the {kernel} kernel .* is not finite in float32; scale"):
        gram(network, images * 1e25, dtype="float32", kernel=kernel)
    with pytest.raises(InvalidInput, match=r"images have values up to .*, too large for float32; scale them"):
        empirical_grams(architecture(network), images * 1e200)
    with pytest.raises(InvalidInput, match="is not finite in float32; scale"):
        next(empirical_grams(architecture(network), images * 1e25))


@pytest.mark.parametrize("door", DOORS)
def test_masked_images(images, door):
    """Hidden values would be used as if they were not."""
    masked = np.ma.masked_greater(images, 1.0)
    assert masked.mask.any()
    with pytest.raises(InvalidInput, match="mask"):
        DOORS[door](masked)


@pytest.mark.parametrize("option", ["weight_std", "bias_std"])
@pytest.mark.parametrize(
    "value",
    [np.array([1.0, 2.0]), np.array([1.5]), np.array(1.5), [1.5], np.nan, np.inf, 1e200, 1e-200, "1.5", True, None, 1j],
)
def test_scales_that_are_no_single_number(option, value):
    with pytest.raises(InvalidInput, match=re.escape(f"{option} is {value!r}; give one number from 1e-100 to 1e+100")):
        architecture("myrtle-5", **{option: value})


def test_numbers_of_numpy_are_stored_as_python_s():
    import json

    network = architecture("vgg", depth=np.int64(11), bias_std=np.float32(0.5), width=np.int32(4))
    assert architecture(**json.loads(json.dumps(network.config))) == network
    assert network == architecture("vgg-11", bias_std=0.5, width=4)


@pytest.mark.parametrize("ask", [NeuralKernel, lambda name: empirical_grams(name, np.ones((2, 4, 4, 1)))])
def test_a_name_in_place_of_an_architecture(ask):
    with pytest.raises(InvalidInput, match=r"architecture is 'myrtle-5'; give what hilbertsd.networks.architecture"):
        ask("myrtle-5")

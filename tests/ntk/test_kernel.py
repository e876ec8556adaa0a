"""Kernel matrices of infinitely wide networks against neural-tangents, for every architecture.

neural-tangents takes long to compile. Its values for the architectures of small_networks.py are recorded in
neural_tangents.npz; a slow test computes them again.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_networks import SMALL, small

jax = pytest.importorskip("jax", reason="needs the extra `ntk`")

from hilbertsd import check_bounds, distill
from hilbertsd.errors import InvalidInput
from hilbertsd.networks.layers import AveragePool, Convolution, Dense, Flatten, GlobalAveragePool, Relu
from hilbertsd.ntk import NeuralKernel, StaxNetwork, architecture, gram, jax_backend, recursion
from hilbertsd.ntk import kernel as kernel_module
from hilbertsd.ntk.covariance import PairDeviations
from hilbertsd.ntk.jax_backend import sixty_four_bits

PRECISION = {"float32": 1e-6, "float64": 1e-12}
"""Largest difference, over the largest value."""

SHALLOW = ("fully-connected-2-7", "convolutional-2-5", "convolutional-1-5")
"""Compared by every run in both precisions, beside a network with every kind of layer in float64.

The others take long to compile: the slow tests compare them in float64, and one with average pooling and one with
residual branches in float32, too. Myrtle's middle depth has the layers of the other two and is left to `-m exhaustive`.
"""


def mark_of(name, dtype="float64"):
    if name in SHALLOW or name == "every layer":
        return ()
    quick = name != "myrtle-7" if dtype == "float64" else name in ("myrtle-5", "wrn-10-2")
    return pytest.mark.slow if quick else pytest.mark.exhaustive


@pytest.fixture(scope="module")
def images():
    """Eleven of 8 × 8: no multiple of any tile."""
    return np.random.default_rng(3).normal(size=(11, 8, 8, 3))


def direct(network, X, Y):
    """Values of neural-tangents, by kernel."""
    with sixty_four_bits(True):
        both = jax.jit(lambda X, Y: StaxNetwork(network).kernel_fn(X, Y, ("nngp", "ntk")))(X, Y)
        return {"nngp": np.asarray(both.nngp), "ntk": np.asarray(both.ntk)}


@pytest.fixture(scope="module")
def recorded():
    """Values of neural-tangents between all images and the last four, by architecture and kernel."""
    with np.load(Path(__file__).with_name("neural_tangents.npz")) as arrays:
        return dict(arrays)


def difference(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def agrees(images, recorded, name, kernel, dtype):
    """Ragged tiles, square and cross, with biases."""
    network = small(name, bias_std=0.3)
    first, second = images[:7], images[7:]
    expected = recorded[f"{name} {kernel}"]
    cross = gram(network, first, second, kernel=kernel, dtype=dtype, tile=4)
    assert cross.dtype == dtype
    assert cross.shape == (7, 4)
    assert difference(cross, expected[:7]) < PRECISION[dtype]
    square = gram(network, images, kernel=kernel, dtype=dtype, tile=4)
    assert np.array_equal(square, square.T)
    assert difference(square[:7, 7:], expected[:7]) < PRECISION[dtype]
    # neural-tangents finds the angle between an image and itself from its cosine, to half the digits.
    assert difference(square[7:, 7:], expected[7:]) < 1e-6


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=mark_of(name, dtype))
        for name in (*SMALL, "every layer")
        for dtype in (["float64"] if name in ("myrtle-7", "myrtle-10", "every layer") else PRECISION)
    ],
)
def test_equal_to_neural_tangents(images, recorded, name, dtype):
    agrees(images, recorded, name, "ntk", dtype)


@pytest.mark.parametrize(
    "name", ["fully-connected-2-7", "convolutional-2-5", pytest.param("wrn-10-2", marks=pytest.mark.slow)]
)
def test_covariances_at_initialisation_are_equal_too(images, recorded, name):
    agrees(images, recorded, name, "nngp", "float64")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "fully-connected-2-7" else mark_of(name) or pytest.mark.slow)
        for name in (*SMALL, "every layer")
    ],
)
def test_recorded_values_are_those_of_neural_tangents(images, recorded, name):
    found = direct(small(name, bias_std=0.3), images, images[7:])
    for kernel, values in found.items():
        assert difference(values, recorded[f"{name} {kernel}"]) < 1e-8  # of angles near 0, half the digits
        assert difference(values[:7], recorded[f"{name} {kernel}"][:7]) < 1e-13


@pytest.mark.parametrize(
    "name", ["fully-connected-2", "convolutional-2", pytest.param("wrn-10-2", marks=pytest.mark.slow)]
)
def test_widths_weigh_in_the_standard_parameterization(images, name):
    network = architecture(name, parameterization="standard", bias_std=0.3, width=6)
    found = gram(network, images[:5], images[5:], tile=3)
    assert difference(found, direct(network, images[:5], images[5:])["ntk"]) < 1e-12
    wider = gram(
        architecture(name, parameterization="standard", bias_std=0.3, width=20), images[:5], images[5:], tile=3
    )
    assert difference(wider, found) > 0.1


@pytest.mark.parametrize("tile", [None, *(pytest.param(tile, marks=pytest.mark.slow) for tile in (1, 5, 11, 64))])
@pytest.mark.parametrize("name", ["convolutional-1", pytest.param("convolutional-2", marks=pytest.mark.slow)])
def test_tiles_of_any_size_give_the_same_matrix(images, name, tile):
    network = architecture(name, pooling=True)
    expected = gram(network, images, tile=3)
    kernel = NeuralKernel(network, tile=tile)
    assert difference(kernel.matrix(images), expected) < 1e-14
    assert difference(kernel.tiles(images)(slice(0, 11), slice(0, 11)), expected) < 1e-14
    assert difference(kernel(images[:2], images)[:, 2:], expected[:2, 2:]) < 1e-14


@pytest.mark.parametrize("dtype", list(PRECISION))
def test_any_number_of_cores_gives_the_same_bits(rng, monkeypatch, dtype):
    X = rng.normal(size=(578, 64))  # 66 beyond the jobs of one core, 2 beyond those of several
    expected = gram("fully-connected-3", X, dtype=dtype, tile=64)
    for cores in (1, 3, 40):
        monkeypatch.setattr(kernel_module, "available_cores", lambda cores=cores: cores)
        found = gram("fully-connected-3", X, dtype=dtype, tile=64)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("block", "sides"),
    [
        ((1, 1), (4, 8)),
        (None, (4, 8)),
        *(pytest.param(block, (4, 12), marks=pytest.mark.slow) for block in ((2, 3), None)),
    ],
)
def test_blocks_of_offsets_do_not_matter(block, sides):
    """Pooling on the way to one position and to several, and images that are not square."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, *sides, 2, 3))
    scale = 2**0.5
    for end in ((GlobalAveragePool(),), (Flatten(), Dense(4, scale), Relu())):
        layers = (Convolution(3, scale), Relu(), AveragePool(), Convolution(3, scale, 0.1), Relu(), *end, Dense(1, 1.0))
        with sixty_four_bits(True):
            first, second = jax.numpy.asarray(first), jax.numpy.asarray(second)

            @jax.jit
            def both(first, second, one, layers=layers):
                known = PairDeviations(
                    [each[..., :, None] for each in recursion.relu_deviations(layers, first)],
                    [each[..., None, :] for each in recursion.relu_deviations(layers, second)],
                )
                pairs = (first[..., :, None], second[..., None, :])
                return recursion.covariances(layers, *pairs, known, ntk=True, block=block, runtime_one=one)

            found = both(first, second, np.float64(1))
        network = architecture("convolutional-1")
        object.__setattr__(network, "layers", layers)
        X, Y = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)
        expected = direct(network, X, Y)
        for kernel, values in zip(("nngp", "ntk"), found, strict=True):
            assert difference(np.asarray(values), expected[kernel]) < 1e-13


def test_only_offsets_that_count_are_computed():
    wrn, flat, pooled = architecture("wrn-10-1"), architecture("convolutional-2"), architecture("myrtle-5")
    assert recursion.offsets_needed(wrn.layers, 32) == tuple(range(0, 32, 4))
    assert recursion.offsets_needed(flat.layers, 32) == (0,)
    assert recursion.offsets_needed(pooled.layers, 32) == tuple(range(32))


def test_the_diagonal_is_in_float64_and_exact_for_images_with_black_parts(images):
    """Positions where nothing arrives have no angle; their covariance is zero."""
    dark = images.copy()
    dark[:, :5] = 0.0
    network = architecture("convolutional-2", pooling=True)
    exact = gram(network, dark, tile=4)
    assert np.all(np.isfinite(exact))
    assert difference(exact[:5, 5:], direct(network, dark[:5], dark[5:])["ntk"]) < 1e-12
    single = gram(network, dark, dtype="float32", tile=4)
    np.testing.assert_array_equal(np.diag(single), np.diag(exact).astype(np.float32))


@pytest.mark.parametrize("dtype", list(PRECISION))
@pytest.mark.parametrize("name", ["fully-connected-2", "convolutional-2"])
def test_copies_of_an_image_have_the_value_of_the_image_with_itself(images, name, dtype):
    """From its cosine the angle between two copies would have half its digits."""
    X = np.concatenate([images[:5], images[2:4], np.where(images[:1] == 0, -0.0, images[:1])]).astype(dtype)
    X[0, 0, 0], X[7, 0, 0] = 0.0, -0.0
    of_each = np.diag(gram(name, X[:5], tile=4))
    origin = np.array([0, 1, 2, 3, 4, 2, 3, 0])
    copies = origin[:, None] == origin[None, :]
    expected = np.broadcast_to(of_each[origin], copies.shape).astype(dtype)
    for found in (gram(name, X, dtype=dtype, tile=4), gram(name, X, X.astype("float64"), dtype=dtype, tile=4)):
        np.testing.assert_array_equal(found[copies], expected[copies])
        assert np.all(found[~copies] != expected[~copies])


def test_float64_does_not_depend_on_jax_settings(images):
    expected = gram("convolutional-1", images)
    before = jax.config.read("jax_enable_x64")
    try:
        jax.config.update("jax_enable_x64", not before)
        np.testing.assert_array_equal(gram("convolutional-1", images), expected)
        np.testing.assert_array_equal(
            gram("convolutional-1", jax.numpy.asarray(images), dtype="float32").dtype, "float32"
        )
        assert jax.config.read("jax_enable_x64") is not before
    finally:
        jax.config.update("jax_enable_x64", before)


def test_compiled_once_per_tile_shape(images):
    network = architecture("convolutional-1-3", bias_std=0.7)
    before = recursion.pair_covariance._cache_size()
    for n in (4, 7, 8, 11):
        gram(network, images[:n], tile=4)
    gram(network, images[:5], images[5:], tile=4)
    assert recursion.pair_covariance._cache_size() == before + 1


@pytest.mark.parametrize(
    ("name", "options"), [("convolutional-1", {"pooling": True}), pytest.param("myrtle-5", {}, marks=pytest.mark.slow)]
)
def test_on_an_accelerator_all_offsets_are_one_block(images, monkeypatch, name, options):
    """What is done there, done here: the same values."""
    network = architecture(name, **options)
    expected = gram(network, images, dtype="float32", tile=4)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax_backend, "NUMBERS_ON_DEVICE", 2**14)
    jax_backend._free_devices.cache_clear()
    try:
        kernel = NeuralKernel(network, dtype="float32")
        assert kernel._static_arguments[-1] is None
        assert kernel._sides(images.shape[1:], 11, 11) == (4, 4)
        monkeypatch.setattr(jax_backend, "device_memory", lambda: 2**12 * jax_backend.BYTES_PER_NUMBER)
        assert kernel._sides(images.shape[1:], 11, 11) == (4, 4)  # the smallest
        assert jax_backend.numbers_at_once() == 2**12
        assert jax_backend._free_devices().qsize() == 2 * len(jax.local_devices())
        assert difference(kernel.matrix(images), expected) < 1e-6
    finally:
        jax_backend._free_devices.cache_clear()


@pytest.mark.parametrize(
    ("n", "m"), [(1, 40), (70, 9), *(pytest.param(*sizes, marks=pytest.mark.slow) for sizes in ((40, 1), (3, 17)))]
)
def test_few_images_beside_many_take_oblong_tiles(rng, n, m):
    X, Y = rng.normal(size=(n, 4, 4, 1)), rng.normal(size=(m, 4, 4, 1))
    kernel = NeuralKernel(architecture("convolutional-1", pooling=True))
    found = kernel.matrix(X, Y)
    assert difference(found, kernel(Y, X).T) < 1e-14
    whole = kernel.matrix(np.concatenate([X, Y]))
    assert difference(found, whole[:n, n:]) < 1e-14
    down, across = kernel._sides(X.shape[1:], n, m)
    assert down * across <= kernel._pairs_at_once(X.shape[1:])
    assert down < 2 * n
    assert across < 2 * m


def test_images_are_prepared_once_while_there_is_room(images, monkeypatch):
    prepared = []
    once = NeuralKernel._prepare
    monkeypatch.setattr(NeuralKernel, "_prepare", lambda *given: prepared.append(given) or once(*given))
    kernel = NeuralKernel(architecture("convolutional-1", pooling=True))
    rows, columns, last = slice(0, 4), slice(4, 8), slice(8, 11)
    asked = [(rows, rows), (rows, columns), (columns, columns), (columns, last), (last, last)]

    def all_of_them():
        prepared.clear()
        tiles = kernel.tiles(images)
        return [tiles(*tile) for tile in asked]

    found = all_of_them()
    assert len(prepared) == 3
    size = once(kernel, images[rows], 4).nbytes
    for room, times in ((size, 6), (size - 1, 7)):  # the first slice is kept, or none
        monkeypatch.setattr(kernel_module, "BYTES_KEPT", room)
        for one, other in zip(found, all_of_them(), strict=True):
            np.testing.assert_array_equal(one, other)
        assert len(prepared) == times
    both = kernel.tiles(images, images)
    np.testing.assert_array_equal(both(rows, rows), kernel(images[rows], images[rows]))


def test_threads_that_need_the_same_images_agree(images):
    kernel = NeuralKernel(architecture("convolutional-1", pooling=True))
    tiles = kernel_module._TileFunction(kernel, images)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: tiles(slice(0, 8), slice(0, 8)), range(16)):
            np.testing.assert_array_equal(found, kernel.tiles(images[:8])(slice(0, 8), slice(0, 8)))
    assert tiles._room == kernel_module.BYTES_KEPT - tiles._prepared(0, slice(0, 8), 8).nbytes


def test_vectors_are_images_of_one_position(images):
    flat = images.reshape(len(images), -1)
    assert difference(gram("fully-connected-3", flat), gram("fully-connected-3", images)) < 1e-14


@pytest.mark.parametrize("name", [pytest.param(name, marks=mark_of(name)) for name in (*SMALL, "every layer")])
def test_a_path_on_every_matrix_ends_with_its_bounds_holding(images, rng, name):
    dtype = "float32" if name in SHALLOW else "float64"  # compiled for the comparison above
    path = distill(
        gram(small(name, bias_std=0.3), images, dtype=dtype, tile=4), rng.normal(size=(11, 3)), tolerance=0.3
    )
    report = check_bounds(path)
    assert path.collapse_round is not None
    assert report.holds, report


def test_several_devices_share_the_tiles_and_agree_with_one(rng):
    code = (
        "import numpy as np, jax\n"
        "from hilbertsd.ntk import gram\n"
        "used = set()\n"
        "put = jax.device_put\n"
        "jax.device_put = lambda values, device: (used.add(device), put(values, device))[1]\n"
        "X = np.random.default_rng(20).normal(size=(23, 4, 4, 2))\n"
        "K = gram('convolutional-1-2', X, tile=3)\n"
        "print(len(jax.local_devices()), len(used), repr(K.sum()))\n"
    )
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert len(jax.local_devices()) == 1
    here = gram("convolutional-1-2", rng.normal(size=(23, 4, 4, 2)), tile=3)
    assert done.stdout.strip() == f"4 4 {here.sum()!r}"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda X: gram("myrtle-5", X, kernel="rbf"), "kernel is 'rbf'; give one of ntk, nngp"),
        (lambda X: gram("myrtle-5", X, dtype="float16"), "dtype is 'float16'; give one of float32, float64"),
        (lambda X: gram("myrtle-5", X, tile=0), "tile is 0"),
        (lambda X: gram("myrtle-5", X[0]), r"images have shape \(8, 8, 3\); give \(n, rows, columns, channels\)"),
        (lambda X: gram("myrtle-5", X[:0]), r"images have shape \(0, 8, 8, 3\)"),
        (lambda X: gram("myrtle-5", X, X[:, :6, :6]), "myrtle-5 divides a side of 3 positions by 2"),
        (lambda X: gram("myrtle-5", X, X[:, :4, :4]), r"images of shape \(8, 8, 3\) and others of \(4, 4, 3\)"),
        (lambda X: gram("myrtle-5", np.where(X > 2, np.nan, X)), "images hold values that are not finite in row 0"),
        (lambda X: gram("myrtle-5", X.astype(str)), "images has dtype|images have dtype"),
        (lambda X: gram("myrtle-5", X * 1j), "images is complex"),
    ],
)
def test_what_cannot_be_computed_is_refused(images, ask, message):
    with pytest.raises(InvalidInput, match=message):
        ask(images)

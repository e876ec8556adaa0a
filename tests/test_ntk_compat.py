"""neural-tangents on this JAX: closed forms, finite networks, and what is said where it cannot be had."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `ntk`")


from hilbertsd.ntk import architecture, gram, neural_tangents  # noqa: E402
from hilbertsd.ntk.compat import _mean_of_slices, sixty_four_bits  # noqa: E402


def arc_cosine(X, Y, depth):
    """NNGP and NTK of a ReLU network with weight variance 2 and a last layer of variance 1 (Cho & Saul 2009)."""
    nngp, first, second = (X @ Y.T / X.shape[1], (X**2).mean(1), (Y**2).mean(1))
    nngp, first, second = 2 * nngp, 2 * first, 2 * second
    ntk = nngp
    for layer in range(depth):
        scale = np.sqrt(np.outer(first, second))
        angle = np.arccos(np.clip(nngp / scale, -1, 1))
        kept = (np.pi - angle) / (2 * np.pi)
        last = 1.0 if layer == depth - 1 else 2.0
        nngp, first, second = (
            last * (scale * np.sin(angle) / (2 * np.pi) + kept * nngp),
            last * first / 2,
            last * second / 2,
        )
        ntk = nngp + last * kept * ntk
    return nngp, ntk


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_fully_connected_kernels_are_the_arc_cosine_ones(rng, depth):
    X, Y = rng.normal(size=(6, 12)), rng.normal(size=(4, 12))
    network = architecture("fully-connected", depth=depth)
    with sixty_four_bits(True):
        direct = network.kernel_fn(X, Y)
    for kernel, expected in zip(("nngp", "ntk"), arc_cosine(X, Y, depth), strict=True):
        np.testing.assert_allclose(np.asarray(getattr(direct, kernel)), expected, rtol=1e-12)
        np.testing.assert_allclose(gram(network, X, Y, kernel=kernel), expected, rtol=1e-12)
        symmetric = arc_cosine(X, X, depth)[("nngp", "ntk").index(kernel)]
        # arccos near 1 has half the digits; gram's diagonal knows its angle to be zero.
        np.testing.assert_allclose(gram(network, X, kernel=kernel), symmetric, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fully-connected-2-512", {}),
        ("convolutional-2-256", {}),
        ("convolutional-1-256", {"pooling": True, "parameterization": "standard"}),
        ("resnet-8", {"width": 32}),
    ],
)
def test_kernels_are_what_wide_random_networks_have(rng, name, options):
    network = architecture(name, outputs=1, **options)
    images = rng.normal(size=(3, 4, 4, 2))
    draws = 40
    with sixty_four_bits(False):
        sample = neural_tangents().monte_carlo_kernel_fn(
            lambda key, shape: (shape, network.init(key, shape[1:])),
            lambda parameters, x, **_: network.apply(parameters, x),
            jax.random.key(1),
            draws,
            implementation=1,
        )
        found = sample(images.astype(np.float32), None, ("nngp", "ntk"))
    for kernel, tolerance in (("ntk", 0.15), ("nngp", 0.4)):
        expected = gram(network, images, kernel=kernel)
        assert np.abs(np.asarray(getattr(found, kernel)) - expected).max() < tolerance * expected.max(), kernel


@pytest.mark.parametrize(
    ("padding", "strides"), [("SAME", (1, 2)), ("VALID", (1, 1)), ("CIRCULAR", (1, 1)), ("SAME", (2, 3))]
)
def test_a_mean_of_slices_is_the_convolution_it_replaces(rng, padding, strides):
    filter_shape = (3, 2)
    values = rng.normal(size=(2, 5, 5, 6, 6))
    found = _mean_of_slices(values.astype(np.float32), filter_shape, strides, SimpleNamespace(name=padding), 1)
    before, after = [], []
    for side, size, stride in zip((5, 6), filter_shape, strides, strict=True):
        total = 0 if padding == "VALID" else max((-(-side // stride) - 1) * stride + size - side, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    widths = [(0, 0), *((b, a) for b, a in zip(before, after, strict=True) for _ in range(2))]
    padded = np.pad(values, widths, mode="wrap" if padding == "CIRCULAR" else "constant")
    counts = [(padded.shape[1 + 2 * i] - filter_shape[i]) // strides[i] + 1 for i in range(2)]
    expected = np.zeros((2, counts[0], counts[0], counts[1], counts[1]))
    for index in np.ndindex(*expected.shape[1:]):
        h, k, w, v = (place * strides[axis // 2] for axis, place in enumerate(index))
        window = [padded[:, h + i, k + i, w + j, v + j] for i in range(filter_shape[0]) for j in range(filter_shape[1])]
        expected[(slice(None), *index)] = np.mean(window, axis=0)
    np.testing.assert_allclose(np.asarray(found), expected.transpose(0, 3, 4, 1, 2), atol=1e-6)


def said_by(code):
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


COMPLAINT = """
import hilbertsd
from hilbertsd.errors import MissingPackage
for name in ("neural_tangents", "architecture", "gram"):
    try:
        ask = getattr(hilbertsd.ntk, name)
        ask()
    except MissingPackage as error:
        print(error)
"""


def test_the_import_leaves_no_trace():
    assert said_by(
        "from hilbertsd.ntk.compat import neural_tangents as nt; import sys, jax.core; nt().stax.Dense(1);"
        "from jax.interpreters import ad;"
        "print('tensorflow' in sys.modules, 'jax.util' in sys.modules, 'neural_tangents.experimental' in sys.modules,"
        "'Jaxpr' in vars(jax.core), 'zeros_like_p' in vars(ad), nt().__version__)"
    ).split() == ["False", "False", "False", "False", "False", "0.6.5"]


def test_without_neural_tangents_everything_else_works_and_ntk_says_how_to_get_it():
    said = said_by(
        "import sys; sys.modules['neural_tangents'] = None\n"
        "import numpy as np, hilbertsd\n"
        "assert hilbertsd.distill(np.eye(3), [1.0, 2, 3], tolerance=1.0).collapse_round\n" + COMPLAINT
    )
    assert said.count("pip install --no-deps neural-tangents==0.6.5") == 3
    assert said.count("neural tangent kernels need neural-tangents 0.6.5") == 3


def test_without_jax_ntk_says_how_to_get_it():
    said = said_by("import sys; sys.modules['jax'] = None\n" + COMPLAINT)
    assert said.count("need JAX and neural-tangents; pip install 'jax>=0.6.2,<0.13'") == 3


def test_a_jax_that_it_cannot_live_with_is_named():
    said = said_by("import jax.extend.core\ndel jax.extend.core.JaxprEqn\n" + COMPLAINT)
    assert f"with JAX {jax.__version__}" in said
    assert "JaxprEqn" in said
    assert "tested with JAX 0.6.2 to 0.12" in said


def test_another_version_is_refused():
    said = said_by("import hilbertsd.ntk.compat as compat\ncompat.VERSION = '0.6.6'\n" + COMPLAINT)
    assert "neural-tangents is 0.6.5" in said

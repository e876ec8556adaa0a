"""neural-tangents on this JAX: closed forms, finite networks, and what is said where it cannot be had."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `ntk`")


from hilbertsd.ntk import StaxNetwork, architecture, gram
from hilbertsd.ntk.compat import _mean_of_slices
from hilbertsd.ntk.jax_backend import sixty_four_bits


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
        direct = StaxNetwork(network).kernel_fn(X, Y)
    for kernel, expected in zip(("nngp", "ntk"), arc_cosine(X, Y, depth), strict=True):
        np.testing.assert_allclose(np.asarray(getattr(direct, kernel)), expected, rtol=1e-12)
        np.testing.assert_allclose(gram(network, X, Y, kernel=kernel), expected, rtol=1e-12)
        symmetric = arc_cosine(X, X, depth)[("nngp", "ntk").index(kernel)]
        # arccos near 1 has half the digits; gram's diagonal knows its angle to be zero.
        np.testing.assert_allclose(gram(network, X, kernel=kernel), symmetric, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fully-connected-2-1024", {}),
        ("convolutional-1-256", {"pooling": True, "parameterization": "standard"}),
        pytest.param("convolutional-2-256", {}, marks=pytest.mark.slow),
        pytest.param("resnet-8", {"width": 32}, marks=pytest.mark.slow),
    ],
)
def test_kernels_are_what_wide_random_networks_have(rng, name, options):
    """Entry by entry: outputs of many draws for the NNGP, whose average has a known error; gradients for the NTK."""
    images = rng.normal(size=(3, 4, 4, 2))
    outputs, draws = 64, 40
    many, one = (architecture(name, n_classes=count, **options) for count in (outputs, 1))

    def drawn(seed):
        # Outside of what is compiled: as one function with the rest, random numbers take XLA many times as long.
        return [StaxNetwork(each).init(jax.random.key(seed), images.shape[1:]) for each in (many, one)]

    @jax.jit
    def products(of_many, parameters):
        x = images.astype(np.float32)
        values = StaxNetwork(many).apply(of_many, x)
        gradients = jax.vmap(
            lambda image: jax.grad(lambda p: StaxNetwork(one).apply(p, image[None])[0, 0])(parameters)
        )(x)
        rows = jax.numpy.concatenate([leaf.reshape(len(x), -1) for leaf in jax.tree.leaves(gradients)], axis=1)
        return values @ values.T / outputs, rows @ rows.T

    with sixty_four_bits(False):
        found = [np.asarray(each) for each in zip(*(products(*drawn(seed)) for seed in range(draws)), strict=True)]
    for kernel, each in zip(("nngp", "ntk"), found, strict=True):
        error = each.std(axis=0, ddof=1) / np.sqrt(draws)
        expected = gram(many if kernel == "nngp" else one, images, kernel=kernel)
        # Five standard errors, and what finite width adds.
        assert np.all(np.abs(each.mean(axis=0) - expected) < 5 * error + 0.03 * expected.max()), kernel
        assert error.max() < 0.1 * expected.max()


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


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {package!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Absent())
"""

COMPLAINT = """
import numpy as np, hilbertsd
from hilbertsd.errors import MissingPackage
network = hilbertsd.ntk.architecture("fully-connected-1-2")
assert network == hilbertsd.networks.architecture("fully-connected-1-2")
for ask in (
    lambda: hilbertsd.ntk.neural_tangents(),
    lambda: hilbertsd.ntk.StaxNetwork(network).init(None, (3,)),
    lambda: next(hilbertsd.ntk.empirical_grams(network, np.ones((2, 3)))),
):
    try:
        ask()
    except MissingPackage as error:
        print(error)
"""


def test_the_import_leaves_no_trace_and_threads_that_ask_at_once_get_one_module():
    assert said_by(
        "import sys, threading, jax.core\n"
        "from hilbertsd.ntk.compat import neural_tangents as nt\n"
        "from jax.interpreters import ad\n"
        "found = []\n"
        "threads = [threading.Thread(target=lambda: found.append(nt())) for _ in range(4)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "found[0].stax.Dense(1)\n"
        "print(len(found), len(set(map(id, found))), nt() is found[0], nt().__version__)\n"
        "print('tensorflow' in sys.modules, 'jax.util' in sys.modules, 'neural_tangents.experimental' in sys.modules,"
        "'Jaxpr' in vars(jax.core), 'zeros_like_p' in vars(ad))"
    ).splitlines() == ["4 1 True 0.6.5", "False False False False False"]


def test_without_neural_tangents_only_finite_networks_are_missing():
    """Kernels of infinitely wide networks, in memory and in a store, need JAX alone."""
    said = said_by(
        ABSENT.format(package="neural_tangents") + COMPLAINT + "\n"
        "import tempfile\n"
        "from hilbertsd.gram import GramPlan, GramStore, fill\n"
        "X, kernel = np.eye(3), hilbertsd.ntk.NeuralKernel(network)\n"
        "K = hilbertsd.ntk.gram('fully-connected-1-2', X)\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    store = GramStore.create(folder + '/K', GramPlan.of(X, kernel.config))\n"
        "    fill(store, kernel, X)\n"
        "    assert np.allclose(store.to_array(), K)\n"
    )
    assert said.count("pip install --no-deps neural-tangents==0.6.5") == 3
    assert said.count("finite networks need neural-tangents 0.6.5") == 3


def test_without_jax_every_kernel_says_how_to_get_it():
    said = said_by(
        ABSENT.format(package="jax") + COMPLAINT + "\n"
        "assert hilbertsd.distill(np.eye(3), [1.0, 2, 3], tolerance=1.0).collapse_round\n"
        "for name in ('gram', 'NeuralKernel', 'GramJob', 'empirical_grams'):\n"
        "    try:\n"
        "        getattr(hilbertsd.ntk, name)\n"
        "    except MissingPackage as error:\n"
        "        print(error)\n"
    )
    lines = said.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("neural tangent kernels need JAX (") for line in lines)
    assert all(line.endswith("; pip install 'jax>=0.6.2,<0.13'") for line in lines)


def test_whatever_it_cannot_live_with_is_told_every_time_it_is_asked_for():
    """Another version of neural-tangents, a JAX that lacks what it needs, and one that raises something of its own."""
    version, lacking, raising = said_by(
        "import hilbertsd.ntk.compat as compat\n"
        "right, compat.VERSION = compat.VERSION, '0.6.6'\n" + COMPLAINT + "compat.VERSION = right\n"
        "print('---')\n"
        "import jax.extend.core as core\n"
        "kept = core.JaxprEqn\n"
        "del core.JaxprEqn\n" + COMPLAINT + "core.JaxprEqn = kept\n"
        "print('---')\n"
        "def refuse(name): raise TypeError('Primitive() takes no name')\n"
        "core.Primitive = refuse\n" + COMPLAINT
    ).split("---")
    assert version.count("neural-tangents is 0.6.5") == 3
    for said in (lacking, raising):
        assert said.count(f"with JAX {jax.__version__}") == 3
    assert "JaxprEqn" in lacking
    assert "tested with JAX 0.6.2 to 0.12" in lacking
    assert "Primitive() takes no name" in raising

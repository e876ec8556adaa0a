"""Networks whose outputs start at zero: their tangent kernels, the two rules that fit them, and their chains."""

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra `ntk`")

from hilbertsd import Spectrum, filters
from hilbertsd.errors import InvalidInput, NotConverged
from hilbertsd.features import Descent, Penalised, TangentNetwork, mean_tangent_kernel, train_tangent_chain
from hilbertsd.features import tangent_rules as rules
from hilbertsd.features.tangent import difference, moved, squared_norm
from hilbertsd.features.tangent_chains import ROUNDS_APART
from hilbertsd.networks import architecture
from hilbertsd.ntk import empirical_grams

rng = np.random.default_rng(3)
IMAGES, OTHERS = rng.normal(size=(6, 4, 4, 2)), rng.normal(size=(3, 4, 4, 2))
TARGETS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
DENSE = architecture("fully-connected-1-200", n_classes=1)


@pytest.fixture(scope="module")
def network():
    return TangentNetwork.at(DENSE, IMAGES, 5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fully-connected-2-7", {}),
        ("convolutional-1-5", {"pooling": True, "parameterization": "standard"}),
        pytest.param("resnet-8", {"width": 2}, marks=pytest.mark.slow),
    ],
)
def test_the_kernel_is_that_of_all_gradients(name, options):
    made = architecture(name, n_classes=1, **options)
    network = TangentNetwork.at(made, IMAGES, 4)
    expected, cross = next(empirical_grams(made, IMAGES, OTHERS, seeds=[4], dtype="float64"))
    np.testing.assert_allclose(network.initial_kernel, expected, rtol=1e-9, atol=1e-12)
    weights = rng.normal(size=len(IMAGES))
    direction = network.combination(network.start, weights)
    np.testing.assert_allclose(network.derivative(network.start, direction), expected @ weights, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(
        network.derivative(network.start, direction, OTHERS), cross @ weights, rtol=1e-8, atol=1e-11
    )


@pytest.mark.parametrize(("name", "options"), [("fully-connected-2-7", {}), ("convolutional-1-5", {"pooling": True})])
def test_the_mean_over_outputs_is_that_of_all_gradients(name, options):
    pytest.importorskip("flax", reason="needs the extra `networks`")
    from hilbertsd.networks import FiniteNetwork
    from hilbertsd.networks.checkpoints import flattened

    made = architecture(name, n_classes=3, parameterization="standard", **options)
    arrays = flattened(FiniteNetwork(made, IMAGES.shape[1:]).init(4)[0])
    ((expected, _),) = empirical_grams(made, IMAGES, parameters=[arrays], form="mean-over-outputs", dtype="float64")
    np.testing.assert_allclose(mean_tangent_kernel(made, arrays, IMAGES), expected, rtol=1e-9, atol=1e-12)
    with pytest.raises(InvalidInput, match="is not in both"):
        mean_tangent_kernel(made, {}, IMAGES)
    with pytest.raises(InvalidInput, match="give an architecture with bias_std=0"):
        mean_tangent_kernel(architecture(name, bias_std=0.1), arrays, IMAGES)


def test_outputs_start_at_zero_and_follow_the_gradients(network):
    np.testing.assert_array_equal(network.outputs(network.start), np.zeros(len(IMAGES)))
    direction = network.combination(network.start, TARGETS)
    small = moved(network.start, direction, 1e-6)
    slope = network.outputs(small, OTHERS) / 1e-6
    np.testing.assert_allclose(slope, network.derivative(network.start, direction, OTHERS), rtol=1e-3, atol=1e-5)
    assert squared_norm(difference(small, network.start)) == pytest.approx(1e-12 * squared_norm(direction), rel=1e-6)


def test_the_penalised_fit_is_at_a_minimum_of_its_objective(network):
    """A wide network has it near ridge with its own kernel; no small step along random directions leads lower."""
    rule, n = Penalised((0.3,)), len(TARGETS)
    fitted = rule.fit(network, TARGETS, 0)

    def objective(parameters):
        distance = squared_norm(difference(parameters, network.start))
        return np.mean((network.outputs(parameters) - TARGETS) ** 2) + 0.3 * distance

    least = objective(fitted.parameters)
    ridge = np.linalg.solve(network.initial_kernel + 0.3 * n * np.eye(n), TARGETS)
    start = moved(network.start, network.combination(network.start, ridge), 1.0)
    assert least < objective(start)
    np.testing.assert_allclose(network.outputs(fitted.parameters), network.initial_kernel @ ridge, atol=0.05)
    for weights in np.random.default_rng(1).normal(size=(10, n)):
        for share in (0.03, -0.03):
            step = network.combination(fitted.parameters, share * weights / n)
            assert objective(moved(fitted.parameters, step, 1.0)) > least * (1 - 1e-3)


def test_descent_ends_at_the_tolerance_after_the_time_of_its_gradient_flow(network):
    rule = Descent(0.2, rate=0.02)
    fitted = rule.fit(network, TARGETS, 0)
    outputs = network.outputs(fitted.parameters)
    assert np.mean((outputs - TARGETS) ** 2) == pytest.approx(0.2, rel=1e-3)
    spectrum = Spectrum.from_kernel(network.initial_kernel, TARGETS)
    flow = rule.filter(spectrum, 0)
    assert flow.name == "gradient flow"
    step = 0.02 * 2 / spectrum.eigenvalues[-1]
    assert fitted.steps * step == pytest.approx(flow.strength, rel=0.1)
    np.testing.assert_allclose(outputs, filters.FilteredFit(spectrum, flow).train_predictions(), atol=0.1)
    twice = Descent(0.2, rate=0.04).fit(network, TARGETS, 0)
    assert twice.steps == pytest.approx(fitted.steps / 2, rel=0.1)


def test_fits_that_do_not_come_to_an_end_say_so(network, monkeypatch):
    with pytest.raises(NotConverged, match=r"of the largest stable rate, and was to fall to 0\.2; give a smaller rate"):
        Descent(0.2, rate=1e3).fit(network, TARGETS, 0)
    monkeypatch.setattr(rules, "MOST_STEPS", 1)
    with pytest.raises(NotConverged, match=r"still falls after 1 Gauss-Newton steps with multiplier 0\.3"):
        Penalised((0.3,)).fit(network, TARGETS, 0)


def test_each_round_of_a_chain_is_fitted_to_the_one_before_by_a_fresh_network():
    rule = Penalised((0.2, 0.4))
    chain = train_tangent_chain(DENSE, IMAGES, TARGETS, OTHERS, rule, rounds=3, seed=2)
    targets = TARGETS
    for t in range(2):
        network = TangentNetwork.at(DENSE, IMAGES, 2 * ROUNDS_APART + t)
        fitted = rule.fit(network, targets, t)
        np.testing.assert_allclose(chain.test_outputs[t], network.outputs(fitted.parameters, OTHERS), rtol=1e-9)
        np.testing.assert_allclose(chain.initial_kernels[t], network.initial_kernel)
        np.testing.assert_allclose(chain.trained_kernels[t], network.kernel(fitted.parameters), rtol=1e-9)
        linear = np.linalg.solve(network.initial_kernel + len(targets) * rule.multipliers[t] * np.eye(6), targets)
        expected = network.derivative(network.start, network.combination(network.start, linear), OTHERS)
        np.testing.assert_allclose(chain.linearised_outputs[t], expected, rtol=1e-7, atol=1e-10)
        targets = chain.train_outputs[t]
        np.testing.assert_allclose(targets, network.outputs(fitted.parameters), rtol=1e-9)
    assert chain.collapse_round == 2  # the path has no third multiplier
    assert not chain.test_outputs[2].any()
    assert np.isnan(chain.trained_kernels[2]).all()


def test_a_chain_of_descents_collapses_where_its_targets_meet_the_tolerance():
    chain = train_tangent_chain(DENSE, IMAGES, TARGETS, OTHERS, Descent(0.4, rate=0.2), rounds=4, seed=1)
    squares = np.mean(np.vstack([TARGETS, chain.train_outputs]) ** 2, axis=1)
    assert chain.collapse_round == np.argmax(squares <= 0.4)
    assert chain.collapse_round in (1, 2, 3)
    assert not chain.train_outputs[chain.collapse_round :].any()
    assert chain.train_outputs[: chain.collapse_round].any()


def test_bad_input_is_refused():
    for made, images, message in (
        (replace_outputs(2), IMAGES, "has 2 outputs; give"),
        (architecture("fully-connected-1-3", n_classes=1, bias_std=0.1), IMAGES, "bias_std 0.1; give"),
        (architecture("resnet-8", normalisation="batch"), IMAGES, "has batch normalisation"),
        (DENSE, np.full((2, 3), np.nan), "not finite in row 0"),
    ):
        with pytest.raises(InvalidInput, match=message):
            TangentNetwork.at(made, images, 0)
    for made in (lambda: Penalised((0.1, 0)), lambda: Descent(0), lambda: Descent(0.1, -1)):
        with pytest.raises(InvalidInput, match="give a positive finite number"):
            made()
    for options in ({"rounds": 0, "seed": 0}, {"rounds": 65, "seed": 0}, {"rounds": 1, "seed": -1}):
        with pytest.raises(InvalidInput, match="give"):
            train_tangent_chain(DENSE, IMAGES, TARGETS, OTHERS, Penalised((0.1,)), **options)


def replace_outputs(count):
    return architecture(**{**DENSE.config, "n_classes": count})

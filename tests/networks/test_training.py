"""Training: one step by hand, orders of images, interruptions, tolerances and seeds side by side."""

from dataclasses import replace

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `networks`")
pytest.importorskip("flax", reason="needs the extra `networks`")

import jax.numpy as jnp

from hilbertsd.errors import InvalidInput, NotConverged
from hilbertsd.networks import FiniteNetwork, Loss, Training, architecture
from hilbertsd.networks.checkpoints import ChainFolder
from hilbertsd.networks.training import PADDING, Trainer, _augmented

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(20, 6)).astype(np.float32)
LABELS = (IMAGES[:, 0] > 0).astype(int) + (IMAGES[:, 1] > 0)
LINEAR = FiniteNetwork(architecture("fully-connected-1-9", n_classes=3), (6,))
LOSS = Loss("squared-error")
TARGETS = LOSS.labels_as_targets(LABELS, 3)[None]
SMALL = Training(steps=12, batch_size=8, learning_rate=0.05, weight_decay=0.0, schedule="constant")


def trainer(training, images=IMAGES, network=LINEAR, loss=LOSS):
    return Trainer(network, loss, training, images)


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("decay", ["decoupled", "in the loss"])
def test_a_step_is_nesterov_momentum_with_decay(decay):
    t = trainer(
        Training(steps=3, batch_size=None, learning_rate=0.05, weight_decay=0.3, decay=decay, schedule="constant")
    )
    start = t.start((0,), 0)
    end = t.run(start, TARGETS)

    in_loss, beside = (0.3, 0.0) if decay == "in the loss" else (0.0, 0.3)

    def error(parameters):
        norm = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(parameters))
        return jnp.mean(LOSS.of(LINEAR.apply(parameters, start.statistics, IMAGES)[0], TARGETS[0])) + in_loss / 2 * norm

    parameters, velocity = LINEAR.init((0, 0))[0], None
    for _ in range(3):
        gradient = jax.grad(error)(parameters)
        velocity = gradient if velocity is None else jax.tree.map(lambda g, v: g + 0.9 * v, gradient, velocity)
        parameters = jax.tree.map(lambda p, g, v: p - 0.05 * (g + 0.9 * v + beside * p), parameters, gradient, velocity)
    for ours, by_hand in zip(leaves(end.parameters), leaves(parameters), strict=True):
        np.testing.assert_allclose(ours[0], by_hand, rtol=2e-5, atol=1e-6)


def test_schedules_of_the_learning_rate():
    """Without gradients the decay alone moves parameters, by the rate of the step."""
    for schedule, rates in (
        ("constant", [0.1] * 8),
        ("cosine", 0.05 * (1 + np.cos(np.pi * np.arange(8) / 8))),
        ("steps", [0.1] * 4 + [0.01] * 2 + [0.001] * 2),
        ("triangular", [0.02, *(0.1 * (8 - np.arange(1, 8)) / 7)]),
    ):
        optimiser = Training(steps=8, learning_rate=0.1, weight_decay=1.0, schedule=schedule).optimiser_of()
        parameters = jnp.ones(1)
        state = optimiser.init(parameters)
        for rate in rates:
            updates, state = optimiser.update(jnp.zeros(1), state, parameters)
            assert updates[0] == pytest.approx(-rate, rel=1e-5, abs=1e-8)


def test_every_epoch_is_a_new_order_of_all_images():
    t = trainer(replace(SMALL, steps=10, batch_size=5))
    rows = np.array([rows for rows, _ in t._batches(t.start((0, 1), 0), 0)])
    assert rows.shape == (10, 2, 5)
    epochs = rows[:8].transpose(1, 0, 2).reshape(2, 2, 20)
    assert np.all(np.sort(epochs, axis=-1) == np.arange(20))
    assert np.any(epochs[0] != epochs[1])
    assert np.any(epochs[:, 0] != epochs[:, 1])
    again = np.array([rows for rows, _ in t._batches(t.start((0, 1), 0), 0)])
    assert np.all(rows == again)
    other_round = np.array([rows for rows, _ in t._batches(t.start((0, 1), 1), 1)])
    assert np.any(rows != other_round)
    assert np.any(rows[0] != rows[4])


def test_crops_and_flips_move_images():
    images = RNG.normal(size=(3, 6, 6, 2)).astype(np.float32)
    shifts = np.array([[PADDING, PADDING, 0], [PADDING, PADDING, 1], [0, PADDING + 2, 0]])
    moved = np.asarray(_augmented(images, shifts))
    np.testing.assert_array_equal(moved[0], images[0])
    np.testing.assert_array_equal(moved[1], images[1, :, ::-1])
    expected = np.zeros((6, 6, 2))
    expected[PADDING:, :4] = images[2, : 6 - PADDING, 2:]
    np.testing.assert_array_equal(moved[2], expected)


def test_alternating_flips_show_both_views_equally_often():
    """Beside crops of all kinds; also where a run goes on in a later epoch."""
    images = RNG.normal(size=(20, 6, 6, 2)).astype(np.float32)
    network = FiniteNetwork(architecture("fully-connected-1-4", n_classes=3), (6, 6, 2))
    training = replace(SMALL, steps=16, batch_size=5, augmentation="crops and alternating flips")
    t = trainer(training, images, network)
    start = t.start((0, 1), 0)
    batches = list(t._batches(start, 0))
    flips = np.zeros((2, 4, 20), int)
    for step, (rows, shifts) in enumerate(batches):
        for s in range(2):
            flips[s, step // 4, rows[s]] = shifts[s, :, 2]
    assert np.all(flips.sum(axis=1) == 2)
    assert np.all(flips[:, 1:] != flips[:, :-1])
    assert np.any(flips[0, 0] != flips[1, 0])
    assert len({tuple(shift) for _, shifts in batches for shift in shifts[0, :, :2]}) > 30
    later = list(t._batches(replace(start, step=9), 0))
    assert len(later) == 7
    np.testing.assert_array_equal(later[0][1], batches[9][1])


@pytest.mark.parametrize("stop", [1, 5, 11])
def test_an_interrupted_run_ends_as_an_undisturbed_one(tmp_path, stop):
    network = FiniteNetwork(architecture("fully-connected-1-5", n_classes=3, normalisation="batch"), (6,))
    t = trainer(replace(SMALL, check_every=1, optimiser="adam", schedule="cosine"), network=network)
    folder, states = ChainFolder(tmp_path, {}), []

    def keep(state):
        if state.step == stop:
            folder.write_state(0, state, 1.5)
        states.append(state.step)

    whole = t.run(t.start((4,), 0), TARGETS, at_check=keep)
    found = folder.state(0, t.start((4,), 0))
    assert found is not None
    state, seconds = found
    assert (state.step, seconds) == (stop, 1.5)
    resumed = t.run(state, TARGETS)
    for name in ("parameters", "statistics", "optimiser", "error"):
        for one, other in zip(leaves(getattr(whole, name)), leaves(getattr(resumed, name)), strict=True):
            np.testing.assert_array_equal(one, other)
    assert folder.state(1, t.start((4,), 1)) is None


def test_seeds_side_by_side_are_the_seeds_alone():
    t = trainer(replace(SMALL, augmentation="none"))
    both = t.run(t.start((0, 7), 0), np.repeat(TARGETS, 2, axis=0))
    for i, seed in enumerate((0, 7)):
        alone = t.run(t.start((seed,), 0), TARGETS)
        assert both.error[i] == pytest.approx(alone.error[0], rel=1e-4)
        for one, other in zip(leaves(both.parameters), leaves(alone.parameters), strict=True):
            np.testing.assert_allclose(one[i], other[0], rtol=1e-3, atol=1e-5)


def test_training_stops_at_the_tolerance_and_stays_there():
    training = replace(SMALL, steps=500, batch_size=None, check_every=2, tolerance=0.25)
    t = trainer(training)
    both = t.run(t.start((0, 7), 0), np.repeat(TARGETS, 2, axis=0))
    assert np.all(both.error <= 0.25)
    assert np.all(both.stopped_at % 2 == 0)
    assert both.stopped_at[0] != both.stopped_at[1]
    alone = t.run(t.start((0,), 0), TARGETS)
    assert alone.step == both.stopped_at[0]
    outputs = t.outputs(both.parameters, both.statistics, None)
    np.testing.assert_allclose(t.errors(outputs, np.repeat(TARGETS, 2, axis=0)), both.error, rtol=1e-5)
    with pytest.raises(
        NotConverged, match=r"error of seed 0 in round 0 is \d\.\d+ after 4 steps, and the tolerance is"
    ):
        trainer(replace(training, steps=4)).run(t.start((0,), 0), TARGETS)


def test_targets_that_the_start_meets_end_training_there():
    t = trainer(replace(SMALL, tolerance=50.0))
    end = t.run(t.start((0,), 0), TARGETS)
    assert (end.step, end.stopped_at[0]) == (0, 0)
    assert end.error[0] < 50


def test_the_penalty_meets_the_tolerance_near_the_start():
    """Its network minimises distance at this error: at its end both gradients point in opposite directions."""
    training = replace(
        SMALL, steps=900, batch_size=None, tolerance=0.3, check_every=2, learning_rate=0.03, constraint="penalty"
    )
    t = trainer(training)
    end = t.run(t.start((0, 1), 0), np.repeat(TARGETS, 2, axis=0))
    np.testing.assert_allclose(end.error, 0.3, rtol=2e-3)
    for i in range(2):
        parameters = jax.tree.map(lambda leaf, i=i: leaf[i], end.parameters)
        gradient = leaves(
            jax.grad(lambda p: jnp.mean(LOSS.of(LINEAR.apply(p, end.statistics, IMAGES)[0], TARGETS[0])))(parameters)
        )
        away = [a - b for a, b in zip(leaves(parameters), leaves(LINEAR.init((i, 0))[0]), strict=True)]
        gradient, away = (np.concatenate([leaf.ravel() for leaf in parts]) for parts in (gradient, away))
        c = np.exp(end.log_penalty[i])
        cosine = gradient @ away / np.linalg.norm(gradient) / np.linalg.norm(away)
        assert cosine < -0.9  # not −1: a ReLU may stand at its kink
        assert np.median(gradient / away) == pytest.approx(-2 * c, rel=0.01)
    with pytest.raises(NotConverged, match=r"after 10 steps, and the tolerance is 0\.3"):
        trainer(replace(training, steps=10)).run(t.start((0,), 0), TARGETS)


def test_half_precision_is_for_products_alone():
    plain, half = (trainer(replace(SMALL, precision=precision)) for precision in ("float32", "bfloat16"))
    ends = [t.run(t.start((0,), 0), TARGETS) for t in (plain, half)]
    assert all(leaf.dtype == np.float32 for leaf in leaves(ends[1].parameters))
    assert 1e-6 < abs(ends[1].error[0] / ends[0].error[0] - 1) < 0.03


def test_a_loss_that_is_not_finite_is_one_line():
    t = trainer(replace(SMALL, steps=200, learning_rate=1e4))
    with pytest.raises(
        NotConverged, match=r"loss of seed 3 in round 2 is (nan|inf) at step \d+; give a learning rate below"
    ):
        t.run(t.start((3,), 2), TARGETS, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimiser": "lbfgs"}, "optimiser is 'lbfgs'; give one of sgd, adam"),
        ({"schedule": "warm"}, "schedule is 'warm'"),
        ({"augmentation": "mixup"}, "augmentation is 'mixup'"),
        ({"steps": 0}, "steps is 0"),
        ({"batch_size": 2.5}, r"batch_size is 2\.5"),
        ({"learning_rate": -1}, "learning_rate is -1"),
        ({"momentum": 1.0}, "momentum is 1.0; give a number from 0 to below 1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"constraint": "penalty"}, "constraint is 'penalty' and tolerance is None"),
        ({"constraint": "penalty", "tolerance": 0.1}, r"weight_decay is 0\.0005 and constraint is 'penalty'"),
        ({"weight_decay": "x"}, "weight_decay is 'x'"),
        ({"precision": "float16"}, "precision is 'float16'"),
    ],
)
def test_what_is_no_training_is_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        Training(**options)

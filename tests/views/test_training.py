"""Training of view networks: the limit against d dimensions, the end of training, what networks learn, and files."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hilbertsd.data import MultiView, orthonormal_views, patches
from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.views import State, ViewDescent, ViewLoss, ViewNetwork, train_view_networks
from hilbertsd.views.descent import initial_state

DATA = MultiView(n_classes=3, n_patches=5, single_view_share=0.1, n_others=0.6, noise=1.2)
NETWORK = ViewNetwork(n_classes=3, neurons=2, initial_scale=0.02)
SAMPLES = DATA.draw(24, seed=0)


def trained(**given):
    arguments = {"noise": DATA.noise, "seeds": [0], "inputs": SAMPLES.features, "labels": SAMPLES.labels}
    return train_view_networks(given.pop("network", NETWORK), **{**arguments, **given})


def exactly_orthogonal(seed):
    """Patches whose noise is orthogonal to all views and all other noise, their views, and weights at the start."""
    n, n_patches, n_views = SAMPLES.features.shape
    basis = orthonormal_views(n_views + n * n_patches, n_views + n * n_patches + 7, seed)
    views, noises = basis[:n_views], basis[n_views:].reshape(n, n_patches, -1)
    weights = 0.02 * np.random.default_rng(seed).standard_normal((basis.shape[1], NETWORK.width))
    inputs = SAMPLES.features @ views + DATA.noise * noises
    start = State(jnp.asarray(weights, jnp.float32), None)
    in_limit = State(jnp.asarray(views @ weights, jnp.float32), jnp.asarray(noises @ weights, jnp.float32))
    return inputs, views, start, in_limit


@pytest.mark.parametrize("loss", [ViewLoss(), ViewLoss("temperature", 2.0, weight=3.0)], ids=["labels", "teacher"])
def test_the_limit_is_what_orthogonal_noise_gives(loss):
    inputs, views, start, in_limit = exactly_orthogonal(1)
    teachers = [np.random.default_rng(2).uniform(0, 2, (24, 3))] if loss.has_teacher else None
    descent = ViewDescent(most_steps=300)
    common = {"loss": loss, "teachers": teachers, "descent": descent}
    (whole,) = trained(inputs=inputs, views=views, starts=[start], **common)
    (limit,) = trained(starts=[in_limit], **common)
    assert whole.steps == limit.steps
    assert whole.losses[-1] < whole.losses[0] - 0.4
    np.testing.assert_allclose(whole.strengths, limit.strengths, rtol=2e-2, atol=2e-3)
    np.testing.assert_allclose(whole.train_outputs, limit.train_outputs, rtol=2e-2, atol=2e-2)


def test_networks_in_many_dimensions_tend_to_the_limit():
    descent = ViewDescent(most_steps=40, settled=1e-9)
    distances = []
    for dimension in (50, 400, 3200):
        apart = []
        for seed in range(5):
            views = orthonormal_views(DATA.n_views, dimension, seed)
            inputs = patches(SAMPLES, DATA.noise, views, seed)
            weights = 0.02 * np.random.default_rng(seed).standard_normal((dimension, NETWORK.width))
            noises = (inputs - SAMPLES.features @ views) / DATA.noise
            in_limit = State(jnp.asarray(views @ weights, jnp.float32), jnp.asarray(noises @ weights, jnp.float32))
            (whole,) = trained(
                inputs=inputs, views=views, starts=[State(jnp.asarray(weights, jnp.float32), None)], descent=descent
            )
            (limit,) = trained(starts=[in_limit], descent=descent)
            apart.append(np.abs(whole.strengths - limit.strengths).mean())
        distances.append(np.mean(apart))
    # Inner products of noise are 1/√d: eight times the dimensions, about a third of the distance.
    assert distances[0] > 1.8 * distances[1] > 1.8 * 1.8 * distances[2]


def test_a_step_goes_down_the_gradient():
    inputs, views, start, _ = exactly_orthogonal(3)
    rate, loss = 1e-3, ViewLoss()
    (found,) = trained(inputs=inputs, views=views, starts=[start], descent=ViewDescent(rate=rate, most_steps=10))
    one_hot = jax.nn.one_hot(SAMPLES.labels, 3)

    def total(weights):
        responses = jnp.asarray(inputs, jnp.float32) @ weights
        return loss(NETWORK.outputs(responses)[0], one_hot, None)

    weights = start.weights
    for _ in range(10):
        weights = weights - rate * jax.grad(total)(weights)
    moved = np.asarray(weights - start.weights)
    np.testing.assert_allclose(found.weights - np.asarray(start.weights), moved, atol=2e-3 * np.abs(moved).max())


def test_no_step_goes_too_far():
    descent = ViewDescent(rate=100.0, most_steps=2000)
    (found,) = trained(descent=descent)
    before, after = found.strengths[:-1], found.strengths[1:]
    assert (after - before).max() > 0.3  # the rate would go further than the limits let it in ten steps
    most = before
    for _ in range(10):
        most = most + np.maximum(0.02, 0.1 * np.abs(most))
    assert (after <= most + 1e-5).all()


def found_start():
    """Weights at the start that respond to one view of each class, a little."""
    weights, noise = initial_state(NETWORK, SAMPLES.features.shape, seed=0)
    classes = np.arange(NETWORK.width) // 2
    return State(weights + 0.1 * (np.arange(6)[:, None] // 2 == classes), noise)


def test_training_ends_when_every_sample_is_right_and_the_loss_has_settled():
    (found,) = trained()
    half = found.losses[found.steps // 10 // 2 - 1]
    assert found.settled
    assert found.accuracies[-1] == 1
    assert half - found.losses[-1] < 0.01 * (found.losses[0] - found.losses[-1])
    before = found.steps // 10 - 1
    earlier = found.losses[before // 2 - 1] - found.losses[before - 1]
    assert earlier >= 0.01 * (found.losses[0] - found.losses[before - 1]) or found.accuracies[before - 1] < 1
    (longer,) = trained(least_steps=[found.steps + 15])
    assert longer.steps == found.steps + 20
    np.testing.assert_array_equal(longer.losses[: len(found.losses)], found.losses)
    (aligned,) = trained(starts=[State(*(3 * each for each in found_start()))])
    assert aligned.steps > 30  # right from the start on, and not settled at the first records
    (cut,) = trained(descent=ViewDescent(most_steps=20))
    assert cut.steps == 20
    assert not cut.settled


def test_seeds_are_independent_of_each_other_and_of_threads():
    alone, together = trained(seeds=[4]), trained(seeds=[3, 4], threads=2)
    np.testing.assert_array_equal(alone[0].train_outputs, together[1].train_outputs)
    assert not np.array_equal(together[0].train_outputs, together[1].train_outputs)
    np.testing.assert_array_equal(
        alone[0].outputs(SAMPLES.features, seed=1), together[1].outputs(SAMPLES.features, seed=1)
    )


def test_test_samples_have_noise_of_their_own():
    (found,) = trained()
    first, second = found.outputs(SAMPLES.features, seed=1), found.outputs(SAMPLES.features, seed=2)
    assert 0 < np.abs(first - second).max() < 0.2
    another = replace(found, seed=9)  # networks respond to the same noise independently of each other
    assert 0 < np.abs(first - another.outputs(SAMPLES.features, seed=1)).max() < 0.2


def test_members_that_are_alike_are_trained_as_one_of_them():
    """Each has half of a single network's gradient, and twice its rate."""
    start = initial_state(NETWORK, SAMPLES.features.shape, seed=5)
    n, n_patches, _ = SAMPLES.features.shape
    twice = State(
        *(
            jnp.repeat(jnp.asarray(each).reshape(*each.shape[:-1], 3, 1, 2), 2, axis=-2).reshape(*each.shape[:-1], 12)
            for each in start
        )
    )
    assert twice.noise.shape == (n, n_patches, 12)
    descent = ViewDescent(most_steps=150)
    (single,) = trained(starts=[start], descent=descent)
    (pair,) = trained(network=replace(NETWORK, members=2), starts=[twice], descent=descent)
    np.testing.assert_allclose(pair.strengths, single.strengths, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(pair.train_outputs, single.train_outputs, rtol=1e-3, atol=1e-4)


def test_a_network_learns_one_view_of_most_classes_and_an_ensemble_all():
    data = MultiView(n_classes=5, n_patches=9, single_view_share=0.03, n_others=2.0)
    samples, one = data.draw(200, 0), data.draw(1500, 1, single=True)
    network = ViewNetwork(n_classes=5, neurons=4, initial_scale=1e-3)
    found = train_view_networks(network, samples.features, samples.labels, noise=data.noise, seeds=range(8), threads=2)
    assert all(each.settled for each in found)
    known = np.array([each.learned for each in found])
    assert known.any(axis=2).all()
    assert known.all(axis=2).mean() < 0.4
    outputs = np.array([each.outputs(one.features, seed=0) for each in found])
    wrong = outputs.argmax(axis=2) != one.labels
    seen = known[:, one.labels, one.shown]
    assert wrong[seen].mean() < 0.02
    assert wrong[~seen].mean() > 0.7
    assert (outputs.mean(axis=0).argmax(axis=1) != one.labels).mean() < 0.3 * wrong.mean()


def test_networks_of_other_views_are_not_taken(tmp_path):
    inputs, views, _, _ = exactly_orthogonal(1)
    given = {"inputs": inputs, "descent": ViewDescent(most_steps=10), "folder": tmp_path}
    trained(views=views, **given)
    with pytest.raises(InvalidFile, match="other views"):
        trained(views=-views, **given)


def test_networks_are_kept_in_a_folder(tmp_path, monkeypatch):
    (first,) = trained(folder=tmp_path / "networks")
    (before,) = (tmp_path / "networks").iterdir()
    assert before.name == "seed-0.npz"
    monkeypatch.setattr("hilbertsd.views.training.initial_state", None)  # nothing is trained again
    (again,) = trained(folder=tmp_path / "networks")
    for name in ("network", "noise", "seed", "in_limit", "settled", "steps"):
        assert getattr(again, name) == getattr(first, name)
    np.testing.assert_array_equal(again.learned, first.learned)
    np.testing.assert_array_equal(again.train_outputs, first.train_outputs)
    np.testing.assert_array_equal(again.outputs(SAMPLES.features, 3), first.outputs(SAMPLES.features, 3))


def test_a_file_that_lacks_something_is_told(tmp_path):
    trained(folder=tmp_path, descent=ViewDescent(most_steps=10))
    path = tmp_path / "seed-0.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "strengths"}
    np.savez(path, **arrays)
    with pytest.raises(InvalidFile, match="holds no TrainedViews: 'strengths'"):
        trained(folder=tmp_path, descent=ViewDescent(most_steps=10))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"inputs": 0.9 * SAMPLES.features}, "other samples"),
        ({"labels": (SAMPLES.labels + 1) % 3}, "other samples"),
        ({"noise": 1.0}, "other noise"),
        ({"network": ViewNetwork(n_classes=3, neurons=2)}, "other network"),
        ({"descent": ViewDescent(rate=0.2)}, "other descent"),
        ({"least_steps": [500]}, "other least_steps"),
        ({"loss": ViewLoss("capped"), "teachers": [np.zeros((24, 3))]}, "other loss, teacher and start"),
        ({"starts": [State(np.zeros((6, 6)), np.zeros((24, 5, 6)))]}, "other teacher and start"),
    ],
)
def test_networks_of_something_else_are_not_taken(given, words, tmp_path):
    trained(folder=tmp_path)
    with pytest.raises(InvalidFile, match=words):
        trained(folder=tmp_path, **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"inputs": SAMPLES.features[:, :, :4]}, r"inputs have shape \(24, 5, 4\)"),
        ({"labels": SAMPLES.labels[:5]}, r"labels \(5,\)"),
        ({"labels": SAMPLES.labels + 1}, "labels go from 1 to 3"),
        ({"noise": 0.0}, "noise is 0"),
        ({"loss": ViewLoss("capped")}, "'capped' needs teachers"),
        ({"teachers": [np.zeros((24, 3))]}, "'labels' has no teachers"),
        ({"loss": ViewLoss("capped"), "teachers": [np.zeros((24, 4))]}, r"teacher's outputs have shape \(24, 4\)"),
        ({"least_steps": [1, 2]}, "1 seeds have 1, 2, 1 teachers"),
        ({"least_steps": [20_000]}, "least_steps has 20000, and most_steps of the descent is 10000"),
        ({"views": 3 * np.eye(6, 9), "inputs": np.ones((24, 5, 9))}, "views are not orthonormal"),
        ({"views": np.eye(3, 9), "inputs": np.ones((24, 5, 9))}, r"views have shape \(3, 9\)"),
        ({"starts": [State(np.zeros((6, 6)), None)]}, "weights at the start have shapes"),
        ({"inputs": np.nan * SAMPLES.features}, "inputs hold nan"),
        ({"loss": ViewLoss("capped"), "teachers": [np.full((24, 3), np.inf)]}, "outputs hold inf"),
        ({"labels": SAMPLES.labels / 2}, "labels of type float64"),
        ({"threads": 0}, "threads is 0"),
        ({"seeds": [-1]}, r"seeds are \[-1\]"),
        ({"seeds": [1, 1]}, r"seeds are \[1, 1\]"),
    ],
)
def test_what_does_not_go_together_is_refused(given, words):
    with pytest.raises(InvalidInput, match=words):
        trained(**given)


def test_impossible_descents_are_refused():
    with pytest.raises(InvalidInput, match="rate is 0"):
        ViewDescent(rate=0.0)
    with pytest.raises(InvalidInput, match="most_steps is 5"):
        ViewDescent(most_steps=5)

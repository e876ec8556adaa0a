"""Six uses of trained networks, each against networks trained by hand."""

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra `networks`")
pytest.importorskip("flax", reason="needs the extra `networks`")

from hilbertsd.errors import InvalidInput
from hilbertsd.features import train_uses
from hilbertsd.networks import Loss, Training, architecture
from hilbertsd.ntk.ensembles import SIX_USES

RNG = np.random.default_rng(0)
IMAGES, TEST = RNG.normal(size=(30, 6)).astype(np.float32), RNG.normal(size=(12, 6)).astype(np.float32)
LABELS, TEST_LABELS = ((X[:, 0] > 0).astype(int) + (X[:, 1] > 0) for X in (IMAGES, TEST))
NETWORK = architecture("fully-connected-1-5", n_classes=3)
OPTIONS = {
    "loss": Loss("squared-error"),
    "training": Training(steps=12, batch_size=10, learning_rate=0.05, weight_decay=0.0),
    "centred": True,
    "spread": "side by side",
}


@pytest.fixture(scope="module")
def uses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uses")
    return train_uses(NETWORK, IMAGES, LABELS, TEST, TEST_LABELS, seeds=(3, 4), folder=folder, **OPTIONS), folder


def test_every_use_is_what_it_says(uses):
    uses, _ = uses
    outputs, chain = uses.test_outputs, uses.chain
    assert tuple(outputs) == SIX_USES
    np.testing.assert_array_equal(outputs["single"], chain.test_outputs[0])
    np.testing.assert_allclose(outputs["ensemble"][0], chain.test_outputs[0].mean(axis=0), rtol=1e-6)
    # The ensemble's outputs are the students' targets, a single's those of the one that is distilled from it.
    np.testing.assert_allclose(uses.students.targets[0, 1], chain.train_outputs[0].mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(chain.targets[1], chain.train_outputs[0])
    np.testing.assert_array_equal(outputs["self-distillation"], chain.test_outputs[1])
    np.testing.assert_array_equal(outputs["knowledge distillation"], uses.students.test_outputs[0])
    np.testing.assert_allclose(
        outputs["ensemble of the distilled"][0], uses.students.test_outputs[0].mean(axis=0), rtol=1e-6
    )
    np.testing.assert_array_equal(outputs["train the average"], uses.average.test_outputs[0])
    assert uses.average.config["architecture"]["members"] == 2
    spread = [np.ptp(values, axis=0).max() for use, values in outputs.items() if len(values) > 1]
    assert min(spread) > 0.01  # networks do differ by seed


def test_finished_networks_are_taken_up(uses, monkeypatch):
    uses, folder = uses
    monkeypatch.setattr("hilbertsd.networks.chains.train_seeds", lambda *_, **__: pytest.fail("it trains again"))
    again = train_uses(NETWORK, IMAGES, LABELS, TEST, TEST_LABELS, seeds=(3, 4), folder=folder, **OPTIONS)
    for use, outputs in uses.test_outputs.items():
        np.testing.assert_array_equal(again.test_outputs[use], outputs)


def test_one_network_is_no_ensemble(tmp_path):
    for options in ({"seeds": [1]}, {"seeds": [1, 2], "rounds": 1}):
        with pytest.raises(InvalidInput, match="give at least two of both"):
            train_uses(NETWORK, IMAGES, LABELS, TEST, TEST_LABELS, folder=tmp_path, **options)

"""The study that distils with neural tangent kernels."""

import json
from dataclasses import replace

import numpy as np
import pytest
from commands import one_line

pytest.importorskip("jax", reason="needs the extra `ntk`")

from hilbertsd.data.splits import image_split
from hilbertsd.errors import InvalidInput
from hilbertsd.ntk import gram
from hilbertsd.studies import form
from hilbertsd.studies.ntk_cifar import experiment, fits
from hilbertsd.studies.ntk_cifar.presets import chosen


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return experiment.run(fits.Config("smoke", kernels=tmp_path_factory.mktemp("kernels")))


def test_the_study_reports_every_path(result):
    networks, n_test = experiment.PRESETS["smoke"]
    assert len(result.fits) == sum(len(network.n_train) for network in networks)
    assert len(result.rows()) == len(result.fits) * len(result.config.relative_tolerances)
    for each in result.fits:
        assert each.n_test == n_test
        assert each.tuned_ridge == each.ridge_accuracy[np.argmin(each.ridge_errors)]
        for chain in each.chains:
            T = chain.path.collapse_round
            assert len(chain.train_accuracy) == T
            assert chain.correct.shape == chain.stopped_correct.shape == (T, n_test)
            assert chain.bounds_hold
            assert chain.n_checks > 0
            np.testing.assert_array_equal(chain.correct[0], chain.stopped_correct[0])  # round 0 is its own early stop


def test_its_numbers_are_those_of_plain_fits(result):
    """Accuracies and the leave-one-out error again, from the matrices alone."""
    images = image_split("digits", 100, 100)
    train = gram("fully-connected-3", images.train, dtype="float32").astype(float)
    cross = gram("fully-connected-3", images.test, images.train, dtype="float32").astype(float)
    first = result.fits[0]
    chain, Y = first.chains[1], images.targets
    for t in range(chain.path.n_rounds):
        c = chain.path.multipliers[t]
        dual = np.linalg.solve(train + 100 * c * np.eye(100), Y)
        assert chain.test_accuracy[t] == pytest.approx(np.mean((cross @ dual).argmax(1) == images.test_labels))
        Y = train @ dual
        assert chain.train_accuracy[t] == pytest.approx(np.mean(Y.argmax(1) == images.train_labels))
    c = first.ridge_multipliers[20]
    inverse = np.linalg.inv(train + 100 * c * np.eye(100))
    left_out = (inverse @ images.targets) / np.diag(inverse)[:, None]
    assert first.ridge_errors[20] == pytest.approx(np.sum(left_out**2) / 100, rel=1e-6)


def test_its_record_is_json_and_digits_settle_no_claim_about_cifar(result):
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["data"] == "digits (scikit-learn)"
    verdicts = [claim["verdict"] for claim in record["claims"]]
    assert verdicts == ["not testable here"] * 3 + ["reproduced"]
    on_cifar = replace(result, config=replace(result.config, dataset="cifar10")).to_dict()["claims"]
    chains = [chain for each in record["fits"] for chain in each["chains"]]
    falls = all(np.all(np.diff(chain["train_accuracy"]) <= 0) for chain in chains)
    assert (on_cifar[0]["verdict"] == "reproduced") == falls


def test_gains_are_chosen_on_one_half_of_the_images_and_counted_on_the_other():
    """The best of many rows of coin tosses is no better than another, and a better one is."""
    rng = np.random.default_rng(0)
    coins = rng.random((200, 4000)) < 0.5
    gain, error = fits._chosen_gain(coins, coins[:1])
    assert abs(gain) < 3 * error
    assert coins.mean(axis=1).max() > 0.52
    better = coins[:1] | (rng.random(4000) < 0.2)
    gain, error = fits._chosen_gain(np.vstack([coins[:1], better]), coins[:1])
    assert gain > 5 * error
    assert gain == pytest.approx(100 * (better[0, 1::2].mean() - coins[0, 1::2].mean()))


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([(3.0, 1.0), (2.5, 1.0)], "reproduced"),
        ([(3.0, 1.0), (1.0, 1.0)], "reproduced in part"),
        ([(-3.0, 1.0), (1.0, 1.0)], "not reproduced"),
        ([(1.9, 1.0), (-1.9, 1.0)], "not testable here"),
    ],
)
def test_verdicts_need_two_standard_errors(gains, verdict):
    gains = [form.Estimate(*gain) for gain in gains]
    assert fits._claim("", gains, True).verdict == verdict
    assert fits._claim("", gains, False).verdict == "not testable here"


def test_run_ntk_cifar(hilbertsd, tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)
    small = ((fits.Network("fully-connected-1", (30, 60)),), 40)
    monkeypatch.setitem(experiment.PRESETS, "smoke", small)
    code, out, err = hilbertsd("run", "ntk-cifar", "--out", "out", "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record == json.loads((tmp_path / "out/result.json").read_text(encoding="utf-8"))
    assert record["command"] == "hilbertsd run ntk-cifar --preset smoke --dataset digits --seed 0"
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["kernels", "result.json", "rounds.png", "rounds.svg", "summary.png", "summary.svg"]
    assert caplog.messages == []
    with caplog.at_level("INFO", "hilbertsd"):
        code, out, _ = hilbertsd("run", "ntk-cifar", "--out", "again", "--kernels", tmp_path / "out/kernels")
    assert code == 0
    assert caplog.messages == ["fully-connected-1, 60 training images"]
    assert not (tmp_path / "again/kernels").exists()
    assert "digits (scikit-learn), accuracies in % against the original labels" in out
    assert "reproduced: every bound of the paper holds (on 6 of 6 paths)" in out


def test_data_suggest_the_preset(monkeypatch, tmp_path):
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)
    assert chosen(None, None, None) == ("smoke", "digits")
    assert chosen(None, None, tmp_path) == ("cpu", "cifar10")
    assert chosen("gpu", None, None) == ("gpu", "cifar10")
    monkeypatch.setenv("HILBERTSD_DATA", str(tmp_path))
    assert chosen(None, None, None) == ("cpu", "cifar10")
    assert chosen(None, "digits", None) == ("smoke", "digits")
    assert chosen("smoke", None, None) == ("smoke", "digits")
    assert chosen(None, "cifar100", None) == ("cpu", "cifar100")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "huge"], "preset is 'huge'; give one of smoke, cpu, gpu"),
        (["--preset", "cpu"], "no folder with CIFAR-10 is given"),
        (["--dataset", "mnist"], "dataset is 'mnist'; give one of digits, cifar10, cifar100"),
    ],
)
def test_bad_usage_is_one_line(hilbertsd, monkeypatch, words, message):
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)
    assert message in one_line(*hilbertsd("run", "ntk-cifar", *words)).splitlines()[-1]


def test_without_a_folder_for_kernels_it_says_so():
    with pytest.raises(InvalidInput, match="kernels is None; give a folder"):
        experiment.run(fits.Config("smoke"))

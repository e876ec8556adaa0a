"""The study that distils with neural tangent kernels."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
from commands import one_line

pytest.importorskip("jax", reason="needs the extra `ntk`")

from hilbertsd.data.splits import image_split
from hilbertsd.errors import InvalidInput
from hilbertsd.ntk import gram
from hilbertsd.studies.ntk_cifar import evidence, experiment, fits
from hilbertsd.studies.ntk_cifar.evidence import Evidence
from hilbertsd.studies.ntk_cifar.presets import chosen

SMALL = ((fits.Network("fully-connected-3", (100, 150)), fits.Network("convolutional-1", (60,), pooling=True)), 100)
"""A preset of the same kind as "smoke", which takes longer to compile and to compute."""


@pytest.fixture(scope="module", params=["small", pytest.param("smoke", marks=pytest.mark.slow)])
def result(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "small":
            patch.setitem(experiment.PRESETS, "smoke", SMALL)
        yield experiment.run(fits.Config("smoke", kernels=tmp_path_factory.mktemp("kernels")))


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
    assert verdicts == ["not testable here"] * 3 + ["reported"] * 2 + ["reproduced"]
    on_cifar = replace(result, config=replace(result.config, dataset="cifar10")).to_dict()["claims"]
    steps = [np.diff(chain["train_accuracy"]) for each in record["fits"] for chain in each["chains"]]
    assert on_cifar[0]["rises"] == sum(int(np.sum(step > 0)) for step in steps) == 0
    assert on_cifar[0]["drops"] + on_cifar[0]["stays_at_100_per_cent"] <= on_cifar[0]["later_rounds"]
    assert on_cifar[0]["verdict"] == "reproduced in part"  # it cannot drop where it stays at 100 %


def test_evidence_is_kept_in_a_file(result, tmp_path):
    kept = Evidence.load(result.evidence.save(tmp_path / "correct.npz"))
    for each in dataclasses.fields(Evidence):
        np.testing.assert_array_equal(getattr(kept, each.name), getattr(result.evidence, each.name))
    assert kept.rounds.shape == kept.stopped.shape == (kept.n_rounds.sum(), len(kept.classes))


def evidence_of(rng, rises, falls, stops):
    """Two paths of four rounds on 400 images: what the second round gains, the last loses, early stops lose."""
    base = rng.random(400) < 0.4
    better, worse = base | (rng.random(400) < rises), base & (rng.random(400) >= falls)
    rounds = np.array([base, better, base, worse] * 2)
    stopped = rounds & (rng.random(400) >= stops)
    stopped[::4] = rounds[::4]
    return Evidence(np.arange(400) % 10, np.array([4, 4]), np.array([0, 0]), rounds, stopped, base[None])


@pytest.mark.parametrize(
    ("effects", "verdicts"),
    [
        ((0.1, 0.3, 0.2), ["reproduced", "reproduced"]),
        ((0.1, 0, 0.2), ["undecided", "reproduced"]),
        ((0, 0.3, 0), ["undecided", "undecided"]),
    ],
)
def test_verdicts_follow_from_what_is_put_in(rng, monkeypatch, effects, verdicts):
    monkeypatch.setattr(evidence, "DRAWS", 199)
    findings = evidence_of(rng, *effects).findings()
    assert [claim.verdict for claim in findings.claims(True)] == [*verdicts, "reported", "reported"]
    assert {claim.verdict for claim in findings.claims(False)} == {"not testable here", "reported"}
    if effects[0]:
        assert findings.rise.pooled.mean == pytest.approx(6, abs=2)  # 0.1 of the 60 % that are wrong
        assert findings.over_ridge.pooled.mean == pytest.approx(findings.rise.pooled.mean, abs=0.1)


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
    assert written == [
        "correct.npz",
        "kernels",
        "report.html",
        "result.json",
        "rounds.png",
        "rounds.svg",
        "summary.png",
        "summary.svg",
    ]
    assert caplog.messages == []
    with caplog.at_level("INFO", "hilbertsd"):
        code, out, _ = hilbertsd("run", "ntk-cifar", "--out", "again", "--kernels", tmp_path / "out/kernels")
    assert code == 0
    assert caplog.messages == ["fully-connected-1, 60 training images"]
    assert not (tmp_path / "again/kernels").exists()
    assert "digits (scikit-learn), accuracies in % against the original labels" in out
    assert "reproduced: every bound of the paper holds (MFB §3; on 6 of 6 paths, " in out


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

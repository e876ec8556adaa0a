"""The study of basis weights, on networks that are trained in seconds."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flax", reason="needs the extra `networks`")

from commands import one_line
from forks import commands, killed_until_it_ends

from hilbertsd.features import EigenBins
from hilbertsd.studies.network_weights import experiment, presets
from hilbertsd.studies.network_weights.presets import Images, Preset, Setting
from hilbertsd.studies.network_weights.results import Kernel, Measured, Result, Tangent

NETWORK = "fully-connected-1"
PLAIN = tuple(Setting(f"width {w}", NETWORK, w) for w in (64, 512))
NARROW = Setting("narrow", NETWORK, 1)
QUICK = Preset(Images(None, 30), 2, (*PLAIN, NARROW), 400, 2, "side by side")


@pytest.fixture
def record(monkeypatch, tmp_path, hilbertsd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(presets.PRESETS, "smoke", QUICK)
    code, out, err = hilbertsd("run", "network-weights", "--json", "--out", "out")
    assert (code, err) == (0, "")
    assert str(tmp_path) not in out
    return json.loads(out)


def test_the_study_from_the_command_line(record, hilbertsd, tmp_path, monkeypatch):
    assert record == json.loads((tmp_path / "out/result.json").read_text(encoding="utf-8"))
    assert record["command"] == "hilbertsd run network-weights --preset smoke --dataset digits --seed 0"
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "agreement.png",
        "agreement.svg",
        "networks",
        "report.html",
        "result.json",
        "weights.png",
        "weights.svg",
    ]
    # A setting that cannot meet ε leaves the others their result.
    assert list(record["unmet"]) == [f"{NETWORK}, narrow"]
    assert "give more steps" in record["unmet"][f"{NETWORK}, narrow"]
    assert sum(record["kernels"][NETWORK]["energies"]) == pytest.approx(1, abs=1e-6)
    narrow, wide = record["settings"]
    distances = {
        name: np.mean(each["distances"]["gradient flow"]) for name, each in (("narrow", narrow), ("wide", wide))
    }
    assert distances["wide"] < 0.8 * distances["narrow"]
    assert distances["wide"] < 0.1
    for name, each in (("narrow", narrow), ("wide", wide)):
        assert np.mean(each["tangent"]["distances"]) < distances[name]
    assert np.shape(wide["weights"]) == (presets.ROUNDS, 2, presets.BINS)
    verdicts = {claim["claim"]: (claim["verdict"], claim["source"]) for claim in record["claims"]}
    assert verdicts["basis weights get sparser in every round"] == ("reproduced", "MFB §3.5, Theorem 5")
    assert {verdict for verdict, source in verdicts.values() if not source} == {"reported"}

    # Networks and tangent kernels that are there are not computed again.
    monkeypatch.setitem(presets.PRESETS, "smoke", replace(QUICK, settings=PLAIN))
    monkeypatch.setattr("hilbertsd.networks.training.Trainer.run", None)
    monkeypatch.setattr("hilbertsd.ntk.empirical.empirical_grams", None)
    again = json.loads(hilbertsd("run", "network-weights", "--json", "--out", "out")[1])
    assert again["settings"] == [narrow, wide]


QUICK_COMMAND = """
from dataclasses import replace
import hilbertsd.ntk.empirical
from hilbertsd.networks import chain, chains
from studies.test_network_weights import PLAIN, QUICK, presets

chain.STORED_EVERY = 0.05
presets.PRESETS["smoke"] = replace(QUICK, settings=PLAIN)
"""


@pytest.mark.slow
def test_a_command_that_is_killed_ends_with_the_same_result(tmp_path):
    """After a chain's problem, states of its training, its networks, their tangent kernels."""
    words = ("run", "network-weights", "--dataset", "digits")
    with commands(QUICK_COMMAND, tmp_path) as begin:
        assert begin(*words, "--out", "whole")[1]() == 0
        assert killed_until_it_ends(begin, words, tmp_path / "killed", files=2) >= 4
    one, other = ((tmp_path / name / "result.json").read_bytes() for name in ("whole", "killed"))
    assert one == other


@pytest.mark.slow
def test_the_smoke_preset_from_the_command_line(hilbertsd):
    code, out, err = hilbertsd("run", "network-weights", "--json", "--out", "out")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["unmet"] == {}
    narrow, wide, _ = (np.mean(each["distances"]["gradient flow"]) for each in record["settings"])
    assert wide < 0.8 * narrow
    verdicts = {claim["claim"]: claim["verdict"] for claim in record["claims"]}
    assert verdicts["basis weights get sparser in every round"] == "reproduced"


def test_claims_follow_from_weights_that_are_put_in():
    """Distances that halve as the width goes fourfold, and a training that leaves the kernel, are told as such."""
    bins = EigenBins.of(np.diag([1.0, 1.1, 1.2, 8.0, 9.0]), 2)
    exact = np.array([[0.5, 1.0], [0.2, 0.9], [0.05, 0.7]])
    kernel = Kernel(bins, 0.1, {"gradient flow": exact, "ridge": exact}, np.array([0.5, 0.5]), {"ridge": 3})
    adam = replace(PLAIN[0], name="Adam", optimiser="adam")
    far = {16: 0.2, 64: 0.1, "adam": 0.3}
    measured = [
        Measured(
            setting,
            0.1,
            exact[:, None] + away * np.array([0.9, 1.0, 1.1])[:, None],
            np.ones((3, 3)),
            _tangent(away / 2),
        )
        for setting, away in zip((replace(PLAIN[0], width=16), PLAIN[0], adam), far.values(), strict=True)
    ]
    result = Result(None, "made up", 5, {NETWORK: kernel}, tuple(measured), {})
    width, own, variant, theory, *sparser = result.claims()
    assert own.claim.endswith("its own tangent kernel at initialisation")
    assert [each["mean"] for each in own.numbers["distances"]] == pytest.approx([0.1, 0.05])
    assert width.numbers["exponent"]["mean"] == pytest.approx(-0.5)
    assert [each["mean"] for each in width.numbers["distances"]] == pytest.approx([0.2, 0.1])
    assert variant.numbers["over_small_rate"]["mean"] == pytest.approx(0.2)
    assert (theory.verdict, variant.verdict) == ("reproduced", "reported")
    assert len(sparser) == 3
    assert all(each.numbers["last_round_minus_round_0"]["mean"] < 0 for each in sparser)
    rising = kernel._replace(weights={"ridge": exact[::-1], "gradient flow": exact})
    assert replace(result, kernels={NETWORK: rising}).claims()[3].verdict == "not reproduced"


def _tangent(away):
    """Three seeds whose networks keep more than their kernels; the second chain collapses before the last round."""
    energies = np.full((3, 3, 2), 0.5)
    energies[2, 1] = np.nan
    kernels = np.where(np.isnan(energies), np.nan, 0.3)
    return Tangent(kernels + away, kernels, energies)


def test_eigenvectors_in_use_of_equal_weights_are_their_number():
    bins = EigenBins.of(np.diag([1.0, 1.1, 1.2, 8.0, 9.0]), 3)
    kernel = Kernel(bins, 0.1, {}, np.array([0.5, 0.001, 0.499]), {})
    used = kernel.eigenvectors_in_use(np.array([[1.0, 0.0, 1.0], [0.2, 7.0, 0.2], [0.0, 0.0, 0.1]]))
    np.testing.assert_allclose(used, [5, 5, 2])


def test_rates_are_those_of_the_infinite_kernel():
    plain = Setting("plain", NETWORK, 64)
    assert plain.learning_rate(2.0) == 0.25
    assert plain.is_plain
    assert not replace(plain, parameterization="standard").is_plain
    assert plain.learning_rate(3.0 * (1 + 1e-14)) == plain.learning_rate(3.0) == 0.166667
    assert replace(plain, optimiser="adam", rate=0.01).learning_rate(2.0) == 0.01


def test_bad_usage_is_one_line(hilbertsd):
    assert "preset" in one_line(*hilbertsd("run", "network-weights", "--preset", "gpu"))


def test_in_the_standard_parameterisation_the_rate_is_that_of_its_own_kernel(monkeypatch, tmp_path):
    """Of the layers' shares at this width; the finite network's own kernel is about as large."""
    from hilbertsd.ntk.empirical import empirical_grams

    standard = Setting("standard", NETWORK, 256, parameterization="standard")
    monkeypatch.setitem(presets.PRESETS, "smoke", Preset(Images(None, 30), 2, (standard,), 2_000, 2, "side by side"))
    config = experiment.Config("smoke", "digits", networks=tmp_path)
    (measured,) = experiment.run(config).measured
    images = experiment.image_split("digits", 30, 1, seed=0)
    network = standard.architecture(images.n_classes)
    ((own, _),) = empirical_grams(network, images.train, seeds=[0], form="mean-over-outputs")
    assert measured.learning_rate * np.linalg.eigvalsh(own / 30)[-1] == pytest.approx(0.5, rel=0.15)

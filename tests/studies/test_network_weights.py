"""The study of basis weights, on networks that are trained in seconds."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flax", reason="needs the extra `networks`")

from commands import one_line
from forks import commands, killed_until_it_ends

from hilbertsd import Spectrum, filters
from hilbertsd.features import EigenBins
from hilbertsd.studies.network_weights import experiment, presets, results
from hilbertsd.studies.network_weights.presets import Images, Preset, Setting
from hilbertsd.studies.network_weights.results import Kernel, Measured, Result
from hilbertsd.studies.network_weights.rounds import Movement, RoundWeights

NETWORK = "fully-connected-1"
PLAIN = tuple(Setting(f"width {w}", NETWORK, w) for w in (64, 512))
SCALED = Setting("scale 0.1", NETWORK, 64, rate=0.1, output_scale=0.1)
NARROW = Setting("narrow", NETWORK, 1)
QUICK = Preset(Images(None, 30), 2, (*PLAIN, SCALED, NARROW), 400, 2, "side by side")


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
        "features.png",
        "features.svg",
        "networks",
        "report.html",
        "result.json",
        "rounds.png",
        "rounds.svg",
        "weights.png",
        "weights.svg",
    ]
    # A setting that cannot meet ε leaves the others their result.
    assert list(record["unmet"]) == [f"{NETWORK}, narrow"]
    assert "give more steps" in record["unmet"][f"{NETWORK}, narrow"]
    assert sum(record["kernels"][NETWORK]["energies"]) == pytest.approx(1, abs=1e-6)
    narrow, wide, scaled = record["settings"]
    distances = {
        name: np.mean(each["distances"]["gradient flow"]) for name, each in (("narrow", narrow), ("wide", wide))
    }
    assert distances["wide"] < 0.8 * distances["narrow"]
    assert distances["wide"] < 0.1
    for name, each in (("narrow", narrow), ("wide", wide)):
        assert np.mean(each["own_rounds"]["distances"]["gradient flow"]) < distances[name]
    assert np.shape(wide["weights"]) == (presets.ROUNDS, 2, presets.BINS)
    exact = record["kernels"][NETWORK]
    for kind in ("gradient flow", "ridge"):
        # Round 0 has the labels for targets, of networks and kernels alike.
        first, whole, beside = (
            np.array(each, float)
            for each in (
                exact["rounds_weights"][kind][0],
                exact["weights"][kind][0],
                wide["rounds"]["kernels"][kind][0][0],
            )
        )
        np.testing.assert_array_equal(first, whole)
        np.testing.assert_allclose(beside, whole, atol=1e-4)
    # Kernels of narrow networks move further, and with outputs scaled down in every round much further.
    turned = [np.mean(each["movement"]["turned"], axis=1) for each in (wide, narrow, scaled)]
    assert np.all(3 * turned[0] < turned[1])
    assert np.all(3 * turned[1] < turned[2])
    assert scaled["learning_rate"] == pytest.approx(20 * narrow["learning_rate"], rel=1e-5)
    assert np.all(np.array(scaled["movement"]["aligned_after"][0]) > scaled["movement"]["aligned_before"][0])
    verdicts = {claim["claim"]: (claim["verdict"], claim["source"]) for claim in record["claims"]}
    assert verdicts["basis weights get sparser in every round"] == ("reproduced", "MFB §3.5, Theorem 5")
    assert {verdict for verdict, source in verdicts.values() if not source} == {"reported"}

    # Networks that are there are not trained again.
    monkeypatch.setitem(presets.PRESETS, "smoke", replace(QUICK, settings=PLAIN))
    monkeypatch.setattr("hilbertsd.networks.training.Trainer.run", None)
    again = json.loads(hilbertsd("run", "network-weights", "--json", "--out", "out")[1])
    assert again["settings"] == [narrow, wide]


def test_rounds_of_a_kernel_are_at_no_distance_from_themselves():
    """Of gradient flow's fit; one that keeps all is further from ridge; a chain that has collapsed has no number."""
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(8, 20)), rng.normal(size=(8, 2))
    matrix = features @ features.T
    spectrum, bins = Spectrum.from_kernel(matrix, targets), EigenBins.of(matrix, 3)
    tolerance = 0.2 * spectrum.target_mean_square
    flow = filters.match_training_error(spectrum, filters.gradient_flow, tolerance)
    fitted = np.asarray(spectrum.from_eigenbasis(flow.weights(spectrum.eigenvalues)))
    every = np.array([[targets, targets], [targets, 1e-3 * targets]])
    outputs = np.array([[fitted, targets], [fitted, 0 * targets]])
    found = RoundWeights.of(every, outputs, tolerance, [[(matrix, bins)] * 2] * 2)
    np.testing.assert_allclose(found.distances_by_round("gradient flow")[:, 0], 0, atol=1e-9)
    assert found.distances("gradient flow")[0] == pytest.approx(0, abs=1e-9)
    assert 0.01 < found.distances("ridge")[0] < found.distances("ridge")[1]
    ones = np.sqrt(found.energies[0, 1] @ (1 - found.kernels["ridge"][0, 1]) ** 2)
    np.testing.assert_allclose(found.distances_by_round("ridge")[:, 1], [ones, np.nan])
    assert np.isnan(found.networks[1, 1]).all()
    from_path = found.distances_from(found.kernels["ridge"][:, 0])
    np.testing.assert_allclose(from_path, [found.distances("ridge")[0], ones])


def test_movement_of_kernels():
    """A kernel that grows without turning changes alone; one that becomes that of the labels gets aligned."""
    rng = np.random.default_rng(1)
    labels = rng.normal(size=(6, 2))
    first, other = (each @ each.T for each in rng.normal(size=(2, 6, 9)))
    moved = Movement.of([[first, other]], [[3 * first, 5 + labels @ labels.T]], labels)
    np.testing.assert_allclose([moved.turned[0, 0], moved.changed[0, 0]], [0, 2], atol=1e-12)
    assert moved.apart[0, 0] == pytest.approx(moved.apart[0, 1])
    assert moved.apart[0, 0] > 0.05
    assert moved.turned[0, 1] > 0.05
    assert moved.aligned_after[0, 0] == pytest.approx(moved.aligned_before[0, 0])
    assert moved.aligned_after[0, 1] == pytest.approx(1)
    assert moved.aligned_before[0, 1] < 0.9


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
    """After a chain's problem, states of its training, its networks."""
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
    narrow, wide, *_ = (np.mean(each["distances"]["gradient flow"]) for each in record["settings"])
    assert wide < 0.8 * narrow
    verdicts = {claim["claim"]: claim["verdict"] for claim in record["claims"]}
    assert verdicts["basis weights get sparser in every round"] == "reproduced"


def test_claims_follow_from_weights_that_are_put_in():
    """Distances that halve as the width goes fourfold, and a training that leaves the kernel, are told as such."""
    bins = EigenBins.of(np.diag([1.0, 1.1, 1.2, 8.0, 9.0]), 2)
    exact = np.array([[0.5, 1.0], [0.2, 0.9], [0.05, 0.7]])
    both = {"gradient flow": exact, "ridge": exact}
    kernel = Kernel(np.eye(5), bins, 0.1, both, both, np.array([0.5, 0.5]), {"ridge": 3})
    adam = replace(PLAIN[0], name="Adam", optimiser="adam")
    far = {16: 0.2, 64: 0.1, "adam": 0.3}
    measured = [
        Measured(
            setting,
            0.1,
            exact[:, None] + away * np.array([0.9, 1.0, 1.1])[:, None],
            np.ones((3, 3)),
            _rounds(away),
            _rounds(away / 2),
            Movement(*np.array([[[0.1] * 3, [0.2] * 3, away * np.array([1.9, 2, 2.1])]] * 5)),
        )
        for setting, away in zip((replace(PLAIN[0], width=16), PLAIN[0], adam), far.values(), strict=True)
    ]
    result = Result(None, "made up", 5, {NETWORK: kernel}, tuple(measured), {})
    width, rounds, own, variant, *moves = result.claims()[:7]
    theory, *sparser = result.claims()[7:]
    assert own.claim.endswith("its own tangent kernel at initialisation, round by round")
    assert [each["mean"] for each in rounds.numbers["distances"]] == pytest.approx([0.2, 0.1])
    turned = [[one["mean"] for one in each.numbers["turned"]] for each in moves]
    np.testing.assert_allclose(turned, [[0.1, 0.2, 2 * away] for away in far.values()])
    assert moves[0].numbers["last_round_minus_round_0"]["mean"] == pytest.approx(0.3)
    assert {(each.claim, each.verdict) for each in moves} == {(results.MOVES, "reported")}
    assert [each["mean"] for each in own.numbers["distances"]] == pytest.approx([0.1, 0.05])
    assert width.numbers["exponent"]["mean"] == pytest.approx(-0.5)
    assert [each["mean"] for each in width.numbers["distances"]] == pytest.approx([0.2, 0.1])
    assert variant.numbers["over_small_rate"]["mean"] == pytest.approx(0.2)
    assert (theory.verdict, variant.verdict) == ("reproduced", "reported")
    assert len(sparser) == 3
    assert all(each.numbers["last_round_minus_round_0"]["mean"] < 0 for each in sparser)
    rising = kernel._replace(weights={"ridge": exact[::-1], "gradient flow": exact})
    assert replace(result, kernels={NETWORK: rising}).claims()[7].verdict == "not reproduced"


def _rounds(away):
    """Three seeds whose networks keep more than their kernels; the second chain collapses before the last round."""
    energies = np.full((3, 3, 2), 0.5)
    energies[2, 1] = np.nan
    kernels = np.where(np.isnan(energies), np.nan, 0.3)
    return RoundWeights(kernels + away, {"gradient flow": kernels, "ridge": kernels}, energies)


def test_eigenvectors_in_use_of_equal_weights_are_their_number():
    bins = EigenBins.of(np.diag([1.0, 1.1, 1.2, 8.0, 9.0]), 3)
    kernel = Kernel(np.eye(5), bins, 0.1, {}, {}, np.array([0.5, 0.001, 0.499]), {})
    used = kernel.eigenvectors_in_use(np.array([[1.0, 0.0, 1.0], [0.2, 7.0, 0.2], [0.0, 0.0, 0.1]]))
    np.testing.assert_allclose(used, [5, 5, 2])


def test_rates_are_those_of_the_infinite_kernel():
    plain = Setting("plain", NETWORK, 64)
    assert plain.learning_rate(2.0) == 0.25
    assert plain.is_plain
    assert not replace(plain, parameterization="standard").is_plain
    assert plain.learning_rate(3.0 * (1 + 1e-14)) == plain.learning_rate(3.0) == 0.166667
    assert replace(plain, optimiser="adam", rate=0.01).learning_rate(2.0) == 0.01
    scaled = replace(plain, output_scale=0.1)
    assert scaled.learning_rate(2.0) == 25
    assert not scaled.is_plain


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

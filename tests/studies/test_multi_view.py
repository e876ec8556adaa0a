"""The multi-view study, as a user runs it, and the numbers behind its verdicts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

pytest.importorskip("jax", reason="needs the extra `networks`")
pytest.importorskip("flax", reason="needs the extra `networks`")

from forks import commands, killed_until_it_ends

from hilbertsd.data import MultiView
from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.ntk.ensembles import SIX_USES
from hilbertsd.studies.form import Verdict
from hilbertsd.studies.multi_view import experiment, parts, verdicts
from hilbertsd.studies.multi_view.controls import Control, ControlErrors
from hilbertsd.studies.multi_view.kernels import INFINITE, Held, finite
from hilbertsd.studies.multi_view.parts import Draw, Measured, network_seeds
from hilbertsd.studies.multi_view.presets import (
    AVERAGE,
    LONGER,
    LOSSES,
    PRESETS,
    SMALL,
    Config,
    Counts,
    KernelSizes,
    Preset,
    Setting,
    least_patches,
)
from hilbertsd.views import ViewNetwork

TWO = Setting(
    MultiView(2, 6, 0.1, n_others=1.0, other_weight=(0.5, 0.5), noise=1.0), 40, ViewNetwork(2, 4, initial_scale=1e-2)
)
"""Networks that are trained in no time."""

QUICK = Preset(
    main={TWO: Counts(draws=2, networks=2, students=2)},
    sweeps={"mu": {0.1: TWO, 0.3: replace(TWO, data=replace(TWO.data, single_view_share=0.3))}},
    swept=Counts(draws=2, networks=2, students=1, without=(AVERAGE, LONGER)),
    losses=(LOSSES[0], LOSSES[3]),
    tried=Counts(draws=1, networks=2, students=2),
    test=(50, 100),
    kernels=KernelSizes(n_train=(10, 30), tested=10, neurons=(1,), networks=2, draws=2, held=40),
    controls=(Control("mixture", 40, 60, 8, 20, 2),),
    control_draws=2,
)

FILES = (2 + 2 + 1 + 1) + 2 * (2 + 1 + 2 + 2 + 2 + 1) + 2 * (2 + 1 + 1 + 1) + 2
"""Singles and students of two losses on the draw for the choice; in two draws the networks of all uses and the
measures; the same without average and control; kernels."""


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setitem(PRESETS, "smoke", QUICK)
    found = ControlErrors({use: 0.5 + place / 100 for place, use in enumerate(SIX_USES)}, 1.0)
    monkeypatch.setattr(experiment, "control_errors", lambda *_: found)


@pytest.mark.usefixtures("quick")
def test_the_study_from_the_command_line_computes_what_its_folder_lacks(hilbertsd, tmp_path):
    code, out, err = hilbertsd("run", "multi-view", "--json", "--out", "out")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record == json.loads((tmp_path / "out/result.json").read_text(encoding="utf-8"))
    assert record["command"] == "hilbertsd run multi-view --preset smoke --seed 0"
    assert str(tmp_path) not in out
    names = ["multi-view", "multi-view-kernels", "multi-view-learned", "multi-view-sweeps", "multi-view-views"]
    written = sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix in (".png", ".svg"))
    assert written == sorted(f"{name}.{kind}" for name in names for kind in ("png", "svg"))
    means = {loss["loss"]: loss["mean"] for loss in record["losses"]}
    assert record["loss"] == min(means, key=lambda each: means[each])
    first, other = record["settings"]
    assert list(first["uses"]) == [*SIX_USES, "longer training"]
    assert list(other["uses"]) == [use for use in SIX_USES if use not in ("train the average", SIX_USES[-1])]
    assert [each["value"] for each in record["sweeps"]["mu"]] == [0.1, 0.3]
    assert np.shape(record["kernels"]["errors"][0][INFINITE]["single"]) == (2, 2)
    files = sorted((tmp_path / "out/parts").rglob("*.npz"))
    assert len(files) == FILES
    single = next(path for path in files if path.parent.name == "singles" and path.name == "seed-100.npz")
    for path in files:
        if path.parent.name == "parts":
            path.unlink()
    kept = single.stat().st_mtime_ns
    again = experiment.run(Config("smoke", parts=tmp_path / "out/parts"))
    assert json.loads(json.dumps(again.to_dict())) == {name: record[name] for name in again.to_dict()}
    assert single.stat().st_mtime_ns == kept
    counts = replace(QUICK.main[TWO], students=1)
    with pytest.raises(InvalidFile, match=r"has results of other counts; give another folder \(--parts"):
        parts.stored(tmp_path / "out/parts", TWO, counts, again.evidence.loss, 0, 0, QUICK.test)


# hilbertsd.views starts JAX's threads as it is imported, which a fork would not have.
QUICK_COMMAND = """
from dataclasses import replace
import flax.nnx, optax
from studies.test_multi_view import PRESETS, QUICK

PRESETS["smoke"] = replace(QUICK, controls=())
"""


@pytest.mark.slow
def test_a_command_that_is_killed_ends_with_the_same_result(tmp_path):
    words = ("run", "multi-view")
    with commands(QUICK_COMMAND, tmp_path) as begin:
        assert begin(*words, "--out", "whole")[1]() == 0
        assert killed_until_it_ends(begin, words, tmp_path / "killed", files=16) == 2
    one, other = ((tmp_path / name / "result.json").read_bytes() for name in ("whole", "killed"))
    assert one == other


@pytest.mark.slow
def test_the_smoke_preset_from_the_command_line(hilbertsd):
    code, out, _ = hilbertsd("run", "multi-view", "--json", "--out", "out")
    assert code == 0
    (setting,) = (each for each in json.loads(out)["settings"] if not each["counts"]["without"])
    error = {use: each["error"]["mean"] for use, each in setting["uses"].items()}
    assert error["ensemble"] < error["longer training"] < error["single"]


def test_measures_are_those_of_the_networks():
    samples = Draw.of(TWO, 1, 0, (30, 40))
    assert (len(samples.train.labels), len(samples.single.labels), len(samples.multi.labels)) == (40, 30, 40)
    assert (samples.single.shown >= 0).all()
    assert (samples.multi.shown < 0).all()
    labels, shown = samples.single.labels, samples.single.shown
    learned = np.array([[[True, False], [True, True]], [[False, False], [True, True]]])
    known = learned[:, labels, shown]

    class Network:
        """One that is right about the views it knows, and about all multi-view samples but the first five."""

        def __init__(self, place):
            self.learned, self.strengths = learned[place], np.stack([learned[place], 3.0 * learned[place]])
            self.steps, self.settled, self.accuracies = 10 * (place + 1), True, np.array([0.5, 1.0])

    class Uses:
        def __init__(self):
            self.networks = {"single": [Network(0), Network(1)], "knowledge distillation": [Network(1)]}

        def outputs(self, inputs, _):
            if inputs is samples.single.features:
                right = known
                truth = labels
            else:
                truth = samples.multi.labels
                right = np.broadcast_to(np.arange(40) >= 5, (2, 40))
            said = np.where(right, truth, 1 - truth)
            single = np.eye(2)[said]
            return {
                "single": single,
                "ensemble": single.sum(axis=0, keepdims=True),
                "knowledge distillation": single[1:],
            }

    found = parts._measured(Uses(), samples, 0)
    single, ensemble = found["single"], found["ensemble"]
    np.testing.assert_allclose(single.single, 1 - known.mean(axis=1))
    np.testing.assert_allclose(single.multi, 5 / 40)
    np.testing.assert_array_equal(single.seen, [0, 0])
    np.testing.assert_array_equal(single.missing, [1, 1])
    np.testing.assert_allclose(single.error(0.1), single.single + 9 * 5 / 40)
    np.testing.assert_array_equal(single.steps, [10, 20])
    np.testing.assert_array_equal(single.accuracies, [1, 1])
    np.testing.assert_array_equal(ensemble.learned[0], [[0.5, 0], [1, 1]])
    assert ensemble.steps is None
    np.testing.assert_array_equal(single.starts, learned)
    np.testing.assert_array_equal(single.strengths, 3.0 * learned)
    of_ensemble = (labels == 0) & (shown == 0)  # one network is right and one wrong: the first class is taken
    wrong = np.where(of_ensemble, 0, ~known.any(axis=0))
    np.testing.assert_allclose(ensemble.single, wrong.mean())
    np.testing.assert_allclose(ensemble.missing, 1)
    assert parts._unpacked(parts._packed(found)).keys() == found.keys()


def test_names_of_uses_are_those_of_the_room_that_trains_them():
    from hilbertsd.views import uses  # starts JAX's threads

    assert (AVERAGE, LONGER) == (uses.AVERAGE, uses.CONTROL)


def test_where_nothing_is_missing_there_is_no_error():
    values, where = np.array([[True, False], [True, True]]), np.array([[True, True], [False, False]])
    np.testing.assert_array_equal(parts._mean_where(values, where), [0.5, np.nan])


def test_draws_and_networks_differ():
    one, other = (Draw.of(TWO, draw, 0, (30, 40)) for draw in (0, 1))
    assert not np.array_equal(one.train.features, other.train.features)
    assert not np.array_equal(one.single.features[:10], one.multi.features[:10])
    assert not set(network_seeds(0, 0, 10)) & set(network_seeds(0, 1, 10))
    assert not set(network_seeds(0, 99, 10)) & set(network_seeds(1, 0, 10))


def test_settings_with_other_classes_keep_the_samples_of_a_class():
    small = SMALL.with_classes(8)
    assert (small.n_train, small.network.n_classes, small.data.n_classes) == (320, 8, 8)
    assert least_patches(replace(small.data, n_patches=30)) == small.data.n_patches
    with pytest.raises(InvalidInput, match="n_patches"):
        replace(small.data, n_patches=small.data.n_patches - 1)
    for preset in PRESETS.values():
        sweeps = [*preset.sweeps.values()]
        assert set.intersection(*(set(settings.values()) for settings in sweeps))
        assert all(list(settings) == sorted(settings) for settings in sweeps)
    with pytest.raises(InvalidInput, match="data have 2 classes and networks 4"):
        replace(TWO, network=SMALL.network)


def test_kernel_errors_are_those_on_test_samples_and_strengths_are_chosen_on_others():
    held = Held.of(TWO, 50, 7)
    assert held.features.shape == (200, 6, 4)
    labels = np.concatenate([each.labels for each in held.parts])
    outputs = np.eye(2)[labels] - 0.5
    np.testing.assert_array_equal(held.errors(outputs), [0, 0])
    assert held.squared_error(outputs) == 0
    spoilt = outputs.copy()
    spoilt[:5] = spoilt[:5, ::-1]  # single-view validation samples
    np.testing.assert_array_equal(held.errors(spoilt), [0, 0])
    np.testing.assert_allclose(held.squared_error(spoilt), 5 / 100)
    spoilt[150:160] = spoilt[150:160, ::-1]  # multi-view test samples
    np.testing.assert_allclose(held.errors(spoilt), [0, 10 / 50])
    np.testing.assert_allclose(held.squared_error(np.stack([outputs, spoilt])), [0, 5 / 100])
    assert finite(1) != finite(2)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        ([0.499, 0.5, 0.501], Verdict.REPRODUCED),
        ([0.5, 0.5, 0.5], Verdict.REPRODUCED),
        ([0.47, 0.5, 0.53], Verdict.UNDECIDED),
        ([0.48, 0.481, 0.479], Verdict.NOT_UNDER_PROTOCOL),
        ([0.53, 0.531, 0.529], Verdict.NOT_UNDER_PROTOCOL),
        ([0.3, 0.5, 0.6], Verdict.UNDECIDED),
    ],
)
def test_a_bound_holds_fails_or_is_left_open(error, verdict):
    assert verdicts._bound("", np.array(error), 0.49, 0.51, "", "Theorem 1").verdict == verdict


def test_an_error_of_nothing_keeps_a_bound():
    assert verdicts._bound("", np.zeros(3), 0.0, 0.01, "", "Theorem 2").verdict == Verdict.REPRODUCED
    assert verdicts._bound("", np.full(3, 0.02), 0.0, 0.01, "", "Theorem 2").verdict == Verdict.NOT_UNDER_PROTOCOL


@pytest.mark.parametrize(
    ("share", "verdict"),
    [([0.9, 0.9], "reproduced"), ([0.1, 0.1], "not under this protocol"), ([0.1, 0.9], "undecided")],
)
def test_one_view_of_most_classes_is_more_than_half_of_them(share, verdict):
    assert verdicts._one_view(np.array(share), "").verdict == verdict


def test_slopes_are_those_of_lines():
    slope = verdicts.slope_of(np.array([1.0, 1.0, 3.0, 3.0]), np.array([1.9, 2.1, 5.9, 6.1]))
    assert slope.mean == pytest.approx(2)
    assert slope.standard_error == pytest.approx(0.1 / np.sqrt(2))


def test_comparisons_say_which_error_is_lower():
    low, high, spread = np.array([0.1, 0.12, 0.11]), np.array([0.3, 0.35, 0.31]), np.array([0.0, 0.4, 0.3])
    said = [verdicts.lower("", *pair, "", "Theorem 3").verdict for pair in ((low, high), (high, low), (low, spread))]
    assert said == [Verdict.REPRODUCED, Verdict.NOT_UNDER_PROTOCOL, Verdict.UNDECIDED]
    said = [verdicts.no_gain("", *pair, "", "Figure 3").verdict for pair in ((low, high), (high, low), (low, spread))]
    assert said == [Verdict.NOT_UNDER_PROTOCOL, Verdict.REPRODUCED, Verdict.UNDECIDED]
    assert verdicts.lower("", low, high, "", "").verdict == Verdict.REPORTED


def said_of(values, low, high):
    """Verdict on a bound, from Student's tests or from values that are all the same."""
    if np.ptp(values) == 0:
        return "reproduced" if low <= values[0] < high else "not under this protocol"
    above, below = (
        {way: ttest_1samp(values, bound, alternative=way).pvalue <= 0.05 for way in ("less", "greater")}
        for bound in (high, low)
    )
    if above["greater"] or below["less"]:
        return "not under this protocol"
    return "reproduced" if above["less"] and (low == 0 or below["greater"]) else "undecided"


def test_committed_verdicts_follow_from_the_committed_errors():
    path = Path(__file__).parents[2] / "figures/multi-view/result.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    main = [each for each in record["settings"] if each["counts"]["draws"] >= 5]
    assert {each["loss"] for each in record["losses"]} >= {record["loss"]}
    assert {each["data"]["n_classes"] for each in main} >= {10, 20}
    bounds = {"Theorem 1": ("single", 0.49, 0.51), "Theorem 2": ("ensemble", 0, 0.01)}
    bounds |= {"Theorem 3": ("knowledge distillation", 0, 0.01), "Theorem 4": ("self-distillation", 0, 0.26)}
    tested = 0
    for setting in main:
        k = setting["data"]["n_classes"]
        by_draw = {use: np.mean(each["errors"], axis=1) for use, each in setting["uses"].items()}
        assert min(min(each) for each in setting["uses"]["single"]["accuracies"]) == 1
        assert len(setting["uses"]["single"]["errors"][0]) >= 10
        for claim in record["claims"]:
            place = claim["source"].rpartition(", ")[2]
            if claim["setting"] != f"k = {k}" or "by_draw" not in claim:
                continue
            use, low, high = bounds[place]
            values = by_draw[use]
            np.testing.assert_allclose(claim["by_draw"], values)
            assert claim["verdict"] == said_of(values, low, high)
            tested += 1
    assert tested == 8


def test_bad_usage_is_one_line(hilbertsd):
    code, out, err = hilbertsd("run", "multi-view", "--preset", "huge")
    assert (code, out) == (2, "")
    assert "preset is 'huge'" in err
    assert err.count("\n") == 1
    with pytest.raises(InvalidInput, match="parts is None; give a folder"):
        Config().parts_folder()


def test_measured_files_keep_every_measure():
    values = np.arange(4.0).reshape(1, 2, 2)
    one = Measured(*(np.array([0.5]) for _ in range(4)), values, values, over_time=values)
    (back,) = parts._unpacked(parts._packed({"single": one})).values()
    assert back.steps is None
    np.testing.assert_array_equal(back.over_time, values)

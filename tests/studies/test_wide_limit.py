"""The study of finite width, as a user runs it, and the numbers behind its verdicts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

pytest.importorskip("jax", reason="needs the extra `ntk`")

from forks import commands, killed_until_it_ends

from hilbertsd import distill, ntk
from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.features import TangentChain
from hilbertsd.studies.wide_limit import experiment, parts
from hilbertsd.studies.wide_limit.limits import Limit, Problem, descent, limit_of
from hilbertsd.studies.wide_limit.measures import Measures, slopes
from hilbertsd.studies.wide_limit.presets import DESCENT, PENALISED, PRESETS, Config, Preset, Setting

CONFIG = Config("smoke", seed=2)

QUICK = Preset(10, 12, 2, 2, {"fully-connected-1": (8, 16)}, (8,), (8,), (1,), (0.3,), (0.4,))
"""Networks that compile soon."""

FILES = 2 * (4 + 2 + 1 + 2)
"""Chains of its two seeds: of the main settings by width, of the depth, the rate and the standard parameterisation, and
of the tolerance."""


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setitem(PRESETS, "smoke", QUICK)


@pytest.fixture(scope="module")
def problem():
    return Problem.of(PRESETS["smoke"], 0)


@pytest.mark.usefixtures("quick")
def test_the_study_from_the_command_line_computes_what_its_folder_lacks(hilbertsd, tmp_path):
    code, out, err = hilbertsd("run", "wide-limit", "--json", "--out", "out")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record == json.loads((tmp_path / "out/result.json").read_text(encoding="utf-8"))
    assert record["command"] == "hilbertsd run wide-limit --preset smoke --seed 0"
    assert str(tmp_path) not in out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["parts", "report.html", "result.json", "wide-limit.png", "wide-limit.svg"]
    settings = {each["setting"] for each in record["settings"]}
    assert settings >= {"fully-connected-1, penalised", "fully-connected-1, descent, standard"}
    assert settings >= {"fully-connected-1, descent, rate 0.4", "fully-connected-1, penalised, ε = 0.3"}
    assert {claim["verdict"] for claim in record["claims"] if not claim["source"]} == {"reported"}
    files = sorted((tmp_path / "out/parts").iterdir())
    assert len(files) == FILES
    kept = files[0].stat().st_mtime_ns
    files[-1].unlink()
    again = experiment.run(Config("smoke", parts=tmp_path / "out/parts"))
    assert json.loads(json.dumps(again.to_dict())) == {name: record[name] for name in again.to_dict()}
    assert files[0].stat().st_mtime_ns == kept
    assert files[-1].exists()
    shown = str(again.shown())
    assert "slope of log distance over widths 8–16, by round" in shown
    setting, problem = Setting("fully-connected-1", DESCENT, rounds=2), Problem.of(PRESETS["smoke"], 0)
    limit = limit_of(setting, 8, problem)
    other = replace(problem, targets=-problem.targets)
    with pytest.raises(InvalidFile, match=r"has results of other images; give another folder \(--parts"):
        parts.stored(tmp_path / "out/parts", setting, 8, 0, other, limit)


QUICK_COMMAND = """
from dataclasses import replace
import hilbertsd.studies.wide_limit.parts
from hilbertsd.ntk.compat import neural_tangents
from studies.test_wide_limit import PRESETS, QUICK

neural_tangents()
PRESETS["smoke"] = replace(QUICK, depths=(), tolerances=(), rates=())
"""


@pytest.mark.slow
def test_a_command_that_is_killed_ends_with_the_same_result(tmp_path):
    words = ("run", "wide-limit")
    with commands(QUICK_COMMAND, tmp_path) as begin:
        assert begin(*words, "--out", "whole")[1]() == 0
        assert killed_until_it_ends(begin, words, tmp_path / "killed", files=5) == 2
    one, other = ((tmp_path / name / "result.json").read_bytes() for name in ("whole", "killed"))
    assert one == other


@pytest.mark.slow
def test_the_smoke_preset_from_the_command_line(hilbertsd):
    code, out, _ = hilbertsd("run", "wide-limit", "--json", "--out", "out")
    assert code == 0
    kernels = [claim for claim in json.loads(out)["claims"] if "tangent kernel at the start" in claim["claim"]]
    assert all(claim["slope"]["mean"] < 0 for claim in kernels)


def test_the_limit_of_the_penalty_is_the_path_and_steps_add_little_to_flows(problem):
    setting = Setting("fully-connected-1", PENALISED, rounds=2)
    limit = limit_of(setting, 16, problem)
    made = setting.architecture(16)
    path = distill(ntk.gram(made, problem.train), problem.targets, tolerance=0.1)
    cross = ntk.gram(made, problem.test, problem.train)
    for t in range(2):
        np.testing.assert_allclose(limit.test_outputs[t], path.predict(cross, t), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(limit.strengths, path.multipliers)
    flows = [limit_of(replace(setting, rule=DESCENT, rate=rate), 16, problem) for rate in (0.02, 0.2, 1.5)]
    np.testing.assert_array_equal(flows[0].test_outputs, flows[1].test_outputs)
    assert np.all(np.abs(flows[0].test_outputs - limit.test_outputs).max(axis=1) > 1e-3)
    assert np.all(flows[0].step_error < 0.2 * flows[1].step_error)
    assert np.all(flows[1].step_error < 0.01)
    assert np.isnan(flows[2].step_error).all()  # beyond 2/λ descent at infinite width does not converge


def test_descent_at_infinite_width_is_that_of_its_steps():
    d, rate = np.array([0.0, 0.1, 1.0]), 0.3
    left = np.ones(3)
    for part in (1, 1, 0.25):
        left = left * (1 - part * rate * d)
    member = descent(rate, 2.25)
    np.testing.assert_allclose(member.weights(d), 1 - left)
    np.testing.assert_allclose(member.over_eigenvalues(d)[1:] * d[1:], 1 - left[1:])
    assert member.over_eigenvalues(d)[0] == pytest.approx(2.25 * rate)


def made_up_chain(rng, limit, distance, change, collapse_round=None):
    """Chain of two rounds at known distances from a limit."""
    signs = rng.choice([-1.0, 1.0], limit.test_outputs.shape)
    kernels = np.stack([1.1 * limit.kernel, 0.8 * limit.kernel])
    test = limit.test_outputs + distance * signs
    chain = TangentChain(
        np.ones((2, 5)), test, test - 2 * distance * signs, kernels, (1 + change) * kernels, np.array([3.0, 2.5]), None
    )
    if collapse_round is None:
        return chain
    for values, zero in ((chain.test_outputs, 0), (chain.initial_kernels, np.nan), (chain.trained_kernels, np.nan)):
        values[collapse_round:] = zero
    return replace(chain, collapse_round=collapse_round)


def test_measures_are_the_distances_that_were_put_in(rng):
    limit = Limit(rng.normal(size=(5, 5)), np.ones(2), rng.normal(size=(2, 9)), 2, np.full(2, np.nan))
    chains = [made_up_chain(rng, limit, 0.3, 0.05), "it diverged", made_up_chain(rng, limit, 0.2, 0.01, 1)]
    measures = Measures.of(chains, limit)
    size = np.sqrt(np.mean(limit.test_outputs[1] ** 2))
    np.testing.assert_allclose(measures.distance, [[0.3, 0.3], [np.nan] * 2, [0.2, size]])
    np.testing.assert_allclose(measures.from_linearised, [[0.6, 0.6], [np.nan] * 2, [0.4, np.nan]])
    np.testing.assert_allclose(measures.of_linearised, [[0.3, 0.3], [np.nan] * 2, [0.2, np.nan]])
    np.testing.assert_allclose(measures.kernel_distance, [[0.1, 0.2], [np.nan] * 2, [0.1, np.nan]])
    np.testing.assert_allclose(measures.kernel_change, [[0.05, 0.05], [np.nan] * 2, [0.01, np.nan]])
    np.testing.assert_array_equal(measures.collapsed, [np.nan, np.nan, 1])
    assert measures.converged.tolist() == [True, False, True]
    assert measures.estimate("distance", 0) == pytest.approx((0.25, 0.05))
    assert measures.estimate("kernel_distance", 1) is None
    assert measures.to_dict()["kernel_distance"][2] == [0.1, None]


def test_slopes_are_those_of_power_laws_by_seed(rng):
    limit = Limit(rng.normal(size=(5, 5)), np.ones(2), rng.normal(size=(2, 9)), 2, np.full(2, np.nan))
    widths, powers = (8, 32, 128), (-0.5, -1.0)
    chains = {width: [made_up_chain(rng, limit, 3 * width**power, 2 / width) for power in powers] for width in widths}
    chains[32].append("it diverged")
    for width in (8, 128):
        chains[width].append(made_up_chain(rng, limit, 1.0, 0.1))
    by_width = [Measures.of(chains[width], limit) for width in widths]
    np.testing.assert_allclose(slopes(widths, by_width, "distance", 0), powers)
    np.testing.assert_allclose(slopes(widths, by_width, "kernel_change", None), [-1, -1])


def test_committed_verdicts_follow_from_the_committed_distances():
    path = Path(__file__).parents[2] / "figures/wide-limit/result.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["seeds"] >= 10
    measures = {(each["setting"], each["width"]): each for each in record["settings"]}
    names = (
        ("path as they get wider", "penalised", "distance"),
        ("chain of gradient flows as they get wider", "descent", "distance"),
        ("own linearisation", "descent", "from_linearised"),
        ("changes the tangent kernel", "descent", "kernel_change"),
    )
    tested = 0
    for claim in record["claims"]:
        found = [name[1:] for name in names if name[0] in claim["claim"]]
        if not found:
            continue
        (rule, name), t = found[0], int(claim["claim"][-1]) if "in round" in claim["claim"][-10:] else 0
        widths = [int(width) for width in claim["mean_by_width"]]
        network = claim["setting"].partition(",")[0]
        values = [np.array(measures[f"{network}, {rule}", w][name], float)[:, t] for w in widths]
        of_seeds = np.polyfit(np.log(widths), np.log(np.array(values)), 1)[0]
        assert claim["slope"]["mean"] == pytest.approx(of_seeds.mean(), abs=1e-4)
        error = of_seeds.std(ddof=1) / np.sqrt(len(of_seeds))
        assert claim["slope"]["standard_error"] == pytest.approx(error, rel=1e-3)
        falls = ttest_1samp(of_seeds, 0, alternative="less").pvalue <= 0.05
        slowest = -0.5 if "O(1/√width)" in claim["claim"] else 0
        slower = ttest_1samp(of_seeds, slowest, alternative="greater").pvalue <= 0.05
        verdict = ("reproduced in part" if slower else "reproduced") if falls else "undecided"
        assert claim["verdict"] == (verdict if claim["source"] else "reported")
        tested += 1
    assert tested >= 12


def test_bad_usage_is_one_line(hilbertsd):
    code, out, err = hilbertsd("run", "wide-limit", "--preset", "huge")
    assert (code, out) == (2, "")
    assert "preset is 'huge'" in err
    assert err.count("\n") == 1
    with pytest.raises(InvalidInput, match="parts is None; give a folder"):
        CONFIG.parts_folder()

"""The study of ensembles of tangent kernels, as a user runs it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

pytest.importorskip("jax", reason="needs the extra `ntk`")

from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.ntk.ensembles import DISTILLED, FILTERS, USES
from hilbertsd.studies import form
from hilbertsd.studies.ntk_ensembles import experiment, lines, orderings, parts, published, results
from hilbertsd.studies.ntk_ensembles.presets import FULL, MULTIPLES, PRESETS, SINGLE, Config, Preset, Sizes

CONFIG = Config("smoke", "digits", seed=2)
S = len(MULTIPLES)


@pytest.fixture
def quick(monkeypatch):
    """The smoke preset with networks that compile at once."""
    sizes = {FULL: Sizes(20, 10, 20), SINGLE: Sizes(30, 10, 20)}
    preset = Preset("fully-connected-1", (2, 4), 2, 2, None, sizes)
    monkeypatch.setitem(PRESETS, "smoke", preset)
    return preset


@pytest.fixture
def accuracies(rng):
    """Accuracies of 4 draws and 3 widths that no networks have."""
    shapes = {use: (S, S) if use in DISTILLED else (S,) for use in USES}
    return {use: rng.random((4, 3, 2, len(FILTERS), 2, *shape)) for use, shape in shapes.items()}


QUICK = {FULL: [64 * 2 + 20, 64 * 4 + 40], SINGLE: [64 * 2 + 2, 64 * 4 + 4]}
SMOKE = {FULL: [64 * 4 + 16 + 40, 64 * 16 + 256 + 160], SINGLE: [276, 1296]}
"""Numbers of parameters of the two widths."""


@pytest.mark.usefixtures("quick")
def test_the_study_from_the_command_line(hilbertsd, tmp_path):
    runs_from_the_command_line(hilbertsd, tmp_path, QUICK, {FULL: 200, SINGLE: 30})


@pytest.mark.slow
def test_the_smoke_preset_from_the_command_line(hilbertsd, tmp_path):
    record = runs_from_the_command_line(hilbertsd, tmp_path, SMOKE, {FULL: 600, SINGLE: 200})
    richest = [np.mean(each["test_accuracy"]["ensemble"], axis=0)[-1] for each in record["settings"]]
    assert min(richest) > 70


def runs_from_the_command_line(hilbertsd, tmp_path, parameters, targets):
    code, out, err = hilbertsd("run", "ntk-ensembles", "--json", "--out", "out")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record == json.loads((tmp_path / "out/result.json").read_text(encoding="utf-8"))
    assert record["command"] == "hilbertsd run ntk-ensembles --preset smoke --dataset digits --seed 0"
    assert record["data"] == "digits (scikit-learn)"
    assert {"neural-tangents", "jaxlib"} <= set(record["versions"])
    assert str(tmp_path) not in out
    assert record["parameters"] == parameters
    assert record["parameters_per_target"] == {f: [count / targets[f] for count in parameters[f]] for f in parameters}
    assert len(record["settings"]) == 8
    assert len(record["claims"]) == 32
    assert {claim["verdict"] for claim in record["claims"]} == {"not testable here"}
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["advantages.png", "advantages.svg", "maps.png", "maps.svg", "parts", "report.html", "result.json"]
    return record


@pytest.mark.usefixtures("quick")
def test_a_run_computes_what_its_folder_lacks_with_the_same_numbers(tmp_path):
    config = replace(CONFIG, parts=tmp_path)
    whole = experiment.run(config)
    shown = str(whole.shown())
    for words in ("2 draws of 2 networks fully-connected-1 of widths 2, 4", "full-output, normalised, gradient flow"):
        assert words in shown
    assert shown.count("not testable here") == 32
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2 * 2 * 2
    kept = files[0].stat().st_mtime_ns
    files[-1].unlink()
    again = experiment.run(config)
    assert again.to_dict() == whole.to_dict()
    assert files[0].stat().st_mtime_ns == kept


def test_parts_of_something_else_are_refused(quick, tmp_path):
    part, (draw, _) = parts.Part(FULL, 2, 0), parts.image_draws(CONFIG, quick, FULL)[1]
    parts.stored(tmp_path, quick, part, draw, 2)
    with pytest.raises(InvalidFile, match=r"full-output-width-2-draw-0\.npz has results of other images; give another"):
        parts.stored(tmp_path, quick, part, replace(draw, fitted=draw.fitted + 1), 2)
    with pytest.raises(InvalidFile, match="has results of other seeds;"):
        parts.stored(tmp_path, quick, part, draw, 3)
    next(tmp_path.iterdir()).write_bytes(b"PK")
    with pytest.raises(InvalidFile, match="holds no EnsemblePart"):
        parts.stored(tmp_path, quick, part, draw, 2)
    with pytest.raises(InvalidInput, match="parts is None; give a folder"):
        CONFIG.parts_folder()


def test_validation_images_are_counted_apart_from_test_images(quick):
    part, (draw, _) = parts.Part(SINGLE, 4, 0), parts.image_draws(CONFIG, quick, SINGLE)[1]
    v = draw.sizes.validation
    wrong = np.concatenate([draw.labels[:v], (draw.labels[v:] + 1) % 10])
    right, other = (parts.measured(quick, part, each, 2) for each in (draw, replace(draw, labels=wrong)))
    for use in USES:
        assert right[use].shape == (2, len(FILTERS), 2, S, S)[: 5 if use in DISTILLED else 4]
        np.testing.assert_array_equal(right[use][:, :, 0], other[use][:, :, 0])
        assert np.all(right[use][:, :, 1].max(axis=-1) > other[use][:, :, 1].min(axis=-1))


def test_draws_share_no_images_and_no_networks_and_have_every_class():
    for preset in PRESETS.values():
        for sizes in preset.sizes.values():
            assert sizes.train % 10 == sizes.validation % 10 == sizes.test % 10 == 0
    preset = PRESETS["smoke"]
    draws = parts.image_draws(CONFIG, preset, FULL)[1]
    fewer = parts.image_draws(CONFIG, replace(preset, draws=2), FULL)[1]
    for draw, same in zip(draws, fewer, strict=False):
        np.testing.assert_array_equal(draw.fitted, same.fitted)
    images = np.concatenate([values.reshape(len(values), -1) for d in draws for values in (d.fitted, d.others)])
    # The digits hold a few images twice.
    assert len(np.unique(images, axis=0)) >= len(images) - 3
    for draw in draws:
        v = draw.sizes.validation
        for labels in (draw.targets.argmax(axis=1), draw.labels[:v], draw.labels[v:]):
            assert set(np.bincount(labels)) == {len(labels) // 10}
    seeds = [seed for d in range(3) for seed in parts._seeds(preset, parts.Part(FULL, 4, d), 1)]
    assert sorted(set(seeds)) == seeds == list(range(1000, 1006))


def test_strengths_are_chosen_on_validation_images_alone(accuracies):
    setting = orderings.Setting(FULL, True, "gradient flow")
    ratios = np.array([0.5, 1, 2])
    ordering = orderings.Ordering.of(setting, accuracies, ratios)
    others = {use: values.copy() for use, values in accuracies.items()}
    for values in others.values():
        values[:, :, :, :, orderings.TEST] = 0.5
        values[:, :, 0] = values[:, :, :, 0] = 0
    unseen = orderings.Ordering.of(setting, others, ratios)
    for name in orderings.CONTENDERS:
        np.testing.assert_array_equal(ordering.chosen[name], unseen.chosen[name])
        np.testing.assert_array_equal(unseen.test[name], 50)


def test_contenders_have_the_strengths_that_a_loop_finds(accuracies):
    setting = orderings.Setting(SINGLE, False, "ridge")
    ordering = orderings.Ordering.of(setting, accuracies, np.array([0.5, 1, 2]))
    for d in range(4):
        for w in range(3):
            of = {use: values[d, w, 0, 0] for use, values in accuracies.items()}
            for use, teacher in zip(DISTILLED, ("ensemble", "single"), strict=True):
                validation, test = of[use]
                pairs = {
                    use: max(np.ndindex(S, S), key=lambda ij: validation[ij]),
                    use + orderings.SHARED_STRENGTH: max(((i, i) for i in range(S)), key=lambda ij: validation[ij]),
                    use + orderings.BEST_TEACHER: (i := of[teacher][0].argmax(), validation[i].argmax()),
                }
                for name, pair in pairs.items():
                    assert ordering.test[name][d, w] == pytest.approx(100 * test[pair])
    best = (
        ordering.accuracies["self-distillation"][:, :, 1].mean(axis=0)
        - ordering.test["single"].mean(axis=0)[:, None, None]
    )
    np.testing.assert_allclose(ordering.advantage_map("self-distillation"), best)
    places = ordering.chosen["single"]
    assert ordering.at_the_border("single")["smallest"] == [np.mean(places == 0)]


def test_verdicts_follow_from_where_a_test_sees_what():
    assert published.verdict(holds=True, against=False) == "reproduced"
    assert published.verdict(holds=True, against=True) == "reproduced in part"
    assert published.verdict(holds=False, against=True) == "not under this protocol"
    assert published.verdict(holds=False, against=False) == "undecided"


def test_claims_on_cifar_are_those_of_the_differences(rng):
    """Effects that are put in are found where they are, with the sign that the paper says or the other."""
    ratios = {FULL: np.array([0.2, 2.0, 20.0])}
    effects = {
        "single": [0, 0, 0],
        "ensemble": [0.1, 0.1, 0.1],
        "train the average": [0.2, 0.1, 0.05],
        "knowledge distillation": [-0.05, 0, 0],
        "self-distillation": [0.05, 0.05, 0.05],
    }
    accuracies = {
        use: 0.5
        + np.array(effects[use]).reshape(-1, *[1] * (4 if use in DISTILLED else 3), 1)
        + 0.002 * rng.normal(size=(6, 3, 2, 2, 2, *((S, S) if use in DISTILLED else (S,))))
        for use in USES
    }
    config = replace(CONFIG, dataset="cifar10")
    result = results.Result(config, "made up", {FULL: np.array([1, 10, 100])}, ratios, {FULL: accuracies})
    claims = result.claims()
    assert len(claims) == 16
    found = {claim.claim: (claim.verdict, claim.numbers["holds_at"]) for claim in claims}
    assert list(found.values()) == [
        (form.Verdict.REPRODUCED, [0.2, 2.0, 20.0]),
        (form.Verdict.IN_PART, [0.2]),
        (form.Verdict.REPRODUCED, [0.2]),
        (form.Verdict.NOT_UNDER_PROTOCOL, []),
    ]
    assert claims[-1].note.endswith("points (* seen) at 0.2, 2, 20 parameters per target")
    assert claims[-1].note.startswith("+5.")
    assert {"at 0.2, 2, 20", "at 0.2", "the opposite at 0.2, 2, 20"} <= {
        row["where"] for part in result.shown() if isinstance(part, list) for row in part if "where" in row
    }
    assert set(experiment.figures(result)) == {"advantages", "maps"}


def test_committed_verdicts_follow_from_the_committed_accuracies():
    path = Path(__file__).parents[2] / "figures/ntk-ensembles/result.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["draws"] >= 5
    accuracies = {
        tuple(each[key] for key in ("form", "normalised", "family")): each["test_accuracy"]
        for each in record["settings"]
    }
    pairs = [claim[1:] for claim in published.CLAIMS for _ in range(8)]
    for claim, (first, second, beats) in zip(record["claims"], pairs, strict=True):
        of = accuracies[tuple(claim[key] for key in ("form", "normalised", "family"))]
        ratios = record["parameters_per_target"][claim["form"]]
        difference = np.subtract(of[first], of[second])
        seen = {}
        for holds, sign in ((beats, "greater"), (not beats, "less")):
            p, seen[holds] = ttest_1samp(difference, 0, alternative=sign).pvalue, []
            for place, w in enumerate(np.argsort(p)):
                if p[w] > 0.05 / (len(ratios) - place):
                    break
                seen[holds].append(ratios[w])
        assert sorted(seen[True]) == claim["holds_at"]
        assert sorted(seen[False]) == claim["opposite_at"]
        expected = published.verdict(bool(seen[True]), bool(seen[False]))
        assert claim["verdict"] == expected


def test_lines_have_signs_errors_and_stars():
    added = {"ensemble": (3.86, 0.34), "self-distillation": (-4.76, None)}
    assert lines.line((66.68, 0.21), added, digits=1, seen=["ensemble"]) == {
        "single": "66.7 ± 0.2",
        "ensemble": "+3.9 ± 0.3*",
        "self-distillation": "-4.8",
    }


def test_published_rows_are_in_the_form_of_ours():
    rows = published.published_rows("cifar10")
    assert rows[0] == {
        "row": "published: WRN-10-4-NTK",
        "single": "66.68",
        "ensemble": "+3.86",
        "train the average": "+6.18",
        "knowledge distillation": "-0.67",
        "self-distillation": "-4.76",
        "ensemble of the distilled": "",
    }
    assert rows[1]["ensemble of the distilled"] == "+0.99"
    assert published.published_rows("mixture") == []


def test_bad_usage_is_one_line(hilbertsd, monkeypatch):
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)
    for words, message in (
        (["--preset", "huge"], "preset is 'huge'"),
        (["--dataset", "cifar100"], "dataset is 'cifar100'; give one of digits, cifar10"),
        (["--dataset", "cifar10"], "no folder with CIFAR-10 is given"),
        (["--data", "."], "does not have it"),
        (["--preset", "cpu", "--dataset", "digits"], "and there are 1347 samples"),
        (["--preset", "cpu"], "no folder with CIFAR-10 is given"),
        (["--preset", "gpu", "--data", "."], "does not have it"),
    ):
        code, out, err = hilbertsd("run", "ntk-ensembles", *words)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
    with pytest.raises(InvalidInput, match="preset is 'huge'"):
        Config("huge")

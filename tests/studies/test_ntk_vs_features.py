"""The study of kernels beside trained networks, as a user runs it, and its parts against plain loops."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra `ntk`")
pytest.importorskip("flax", reason="needs the extra `networks`")

from forks import commands, killed_until_it_ends

from hilbertsd.errors import InvalidFile, InvalidInput, NotConverged
from hilbertsd.ntk.ensembles import FILTERS, SIX_USES, Member, six_uses
from hilbertsd.studies import form
from hilbertsd.studies.ntk_ensembles.presets import MULTIPLES, Sizes
from hilbertsd.studies.ntk_vs_features import experiment, kernels, presets, results, rows
from hilbertsd.studies.ntk_vs_features.presets import AFTER, BEFORE, INFINITE, MIXTURE, PLAIN, PRACTICAL, PRESETS, ROWS

QUICK = replace(
    PRESETS["smoke"],
    kinds={row: replace(kind, rates=kind.rates[:1]) for row, kind in PRESETS["smoke"].kinds.items()},
    networks=2,
    sizes=Sizes(30, 20, 40),
    epochs=2,
    batch_size=10,
    looked_at=(2, 20, 20),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Result of a run with networks that compile at once, and its folder."""
    folder = tmp_path_factory.mktemp("vs-features")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "smoke", QUICK)
        config = presets.Config("smoke", "digits", 3, parts=folder)
        result = experiment.run(config)
    return result, config


def test_the_table_has_every_row_and_use(finished):
    result, _ = finished
    assert tuple(result.table) == ROWS
    for name, row in result.table.items():
        extra = [use + rows.AT_SINGLES_STRENGTH for use in SIX_USES[1:]] if name in (INFINITE, BEFORE, AFTER) else []
        assert list(row.correct) == [*SIX_USES, *extra]
        for use, correct in row.correct.items():
            several = use.split(",")[0] in ("single", "knowledge distillation", "self-distillation")
            assert correct.shape == (1 if name == INFINITE or not several else 2, 40)
            assert correct.dtype == bool
    infinite = result.table[INFINITE].correct
    np.testing.assert_array_equal(infinite["single"], infinite["ensemble"])
    lines = result.rows()
    single = result.table[PRACTICAL].correct["single"]
    assert [line["row"] for line in lines] == list(ROWS)
    assert lines[-1]["single"].startswith(f"{100 * single.mean():.2f} ± ")
    gain = 100 * (result.table[PLAIN].correct["ensemble"].mean() - result.table[PLAIN].correct["single"].mean())
    assert lines[3]["ensemble"].startswith(f"{gain:+.2f} ± ")
    record = json.loads(json.dumps(result.numbers()))
    assert [row["row"] for row in record["table"]] == list(ROWS)
    assert record["table"][3]["name"] == "fully-connected-1"
    assert len(result.closing()) == 2


def test_a_run_goes_on_from_its_folder(finished, monkeypatch):
    result, config = finished
    monkeypatch.setitem(PRESETS, "smoke", QUICK)
    for place in ("hilbertsd.networks.chains.train_seeds", "hilbertsd.ntk.kernel.NeuralKernel.matrix"):
        monkeypatch.setattr(place, lambda *_, **__: pytest.fail("it computes again"))
    monkeypatch.setattr(kernels, "fits_of_kernel", lambda *_: pytest.fail("it fits again"))
    again = experiment.run(config)
    assert json.dumps(again.numbers()) == json.dumps(result.numbers())
    (config.parts_folder() / "infinite-kernel.npz").unlink()
    with pytest.raises(pytest.fail.Exception, match="it computes again"):
        experiment.run(config)


def test_rows_of_another_configuration_are_refused(finished):
    _, config = finished
    path = config.parts_folder() / "tangent-kernel-after-training.npz"
    with pytest.raises(InvalidFile, match=r"has results of other network; give another folder \(--parts"):
        rows.stored_row(path, {"network": "another"}, lambda: pytest.fail("it computes"))
    with pytest.raises(InvalidInput, match="parts is None"):
        replace(config, parts=None).parts_folder()


def test_tangent_kernels_are_those_of_the_networks_before_and_after(finished):
    """The kernel's ridge regression on the trained network's own gradients, from its stored parameters."""
    from hilbertsd import networks, ntk

    result, config = finished
    chain = config.parts_folder() / "trained-network/chain"
    _, draw = presets.load(config, QUICK)
    network = QUICK.kinds[PLAIN].architecture("digits", 10)
    for row, which in ((BEFORE, "statistics"), (AFTER, "parameters")):
        arrays = [getattr(networks.stored_network(chain, round=0, seed=seed), which) for seed in (3, 4)]
        grams = list(
            ntk.empirical_grams(network, draw.fitted, draw.others, parameters=arrays, form="mean-over-outputs")
        )
        (place,) = result.table[row].chosen["single"]["strengths"]
        best, right, chosen = -1.0, None, None
        for strength in MULTIPLES:
            outputs = []
            for train, cross in grams:
                c = strength * np.trace(train.astype(float)) / 30
                outputs.append(cross @ np.linalg.solve(train + c * np.eye(30), draw.targets))
            correct = np.array(outputs).argmax(axis=-1) == draw.labels
            if correct[:, :20].mean() > best + 1e-12:
                best, right, chosen = correct[:, :20].mean(), correct[:, 20:], strength
        assert place == chosen
        np.testing.assert_array_equal(result.table[row].correct["single"], right)
    before, after = (networks.stored_network(chain, round=0, seed=3) for _ in range(2))
    assert any(np.abs(before.statistics[name] - after.parameters[name]).max() > 1e-3 for name in after.parameters)


def test_strengths_are_chosen_on_validation_images_alone(rng):
    features, labels = rng.normal(size=(3, 70, 90)), rng.integers(0, 3, 70)
    grams = [(F[:30] @ F[:30].T, F[30:] @ F[:30].T) for F in features]
    _, base = presets.load(presets.Config("smoke", "digits"), QUICK)
    draw = replace(base, targets=np.eye(3)[labels[:30]] - 1 / 3, labels=labels[30:], sizes=Sizes(30, 15, 25))
    row = rows.kernel_row(grams, draw)
    members = [Member.from_grams(*gram) for gram in grams]
    average = Member.from_grams(*(sum(part) / 3 for part in zip(*grams, strict=True)))
    outputs = six_uses(members, average, draw.targets, FILTERS["ridge"], MULTIPLES)
    for use, values in outputs.items():
        right = values.argmax(axis=-1) == draw.labels
        validation = right[..., :15].mean(axis=(-1, -2))
        assert row.chosen[use]["validation_accuracy"] == pytest.approx(validation.max())
        first = np.unravel_index(validation.argmax(), validation.shape)
        np.testing.assert_array_equal(row.correct[use], right[first][:, 15:])
        assert row.chosen[use]["strengths"] == [MULTIPLES[index] for index in first]
        one = MULTIPLES.index(row.chosen["single"]["strengths"][0])
        if use != "single":
            at_one = right[one, one] if right.ndim == 4 else right[one]
            np.testing.assert_array_equal(row.correct[use + rows.AT_SINGLES_STRENGTH], at_one[:, 15:])
    flipped = replace(draw, labels=np.concatenate([draw.labels[:15], (draw.labels[15:] + 1) % 3]))
    assert {use: each["strengths"] for use, each in rows.kernel_row(grams, flipped).chosen.items()} == {
        use: each["strengths"] for use, each in row.chosen.items()
    }
    assert row.correct["ensemble of the distilled"].shape == (1, 25)


def test_a_learning_rate_that_diverges_is_not_taken(monkeypatch, tmp_path):
    """Rates are tried by a network of another seed, on the validation images."""
    accuracies, seen = {0.03: 0.4, 0.1: 0.9}, []

    def tried(*given, seeds, test_images, training, **_):
        seen.append((list(seeds), len(given[1]), len(test_images)))
        if training.learning_rate not in accuracies:
            raise NotConverged("the loss is nan")
        return type("Path", (), {"test_accuracy": np.array([[accuracies[training.learning_rate]]])})

    monkeypatch.setitem(PRESETS, "smoke", QUICK)
    monkeypatch.setattr(rows.networks, "distill_network", tried)
    monkeypatch.setattr("hilbertsd.features.uses.train_uses", lambda *_, training, seeds, **__: (training, seeds))
    config = presets.Config("smoke", "digits", 5)
    _, draw = presets.load(config, QUICK)
    kind = replace(QUICK.kinds[PRACTICAL], rates=(0.03, 0.1, 0.3))
    taken, told = rows.trained(kind, kind.architecture("digits", 10), config, 2, draw, tmp_path, None)
    best, seeds = taken  # type: ignore[misc]  # what stands in for training
    assert best.learning_rate == 0.1
    assert list(seeds) == [5, 6]
    assert seen == [([5 + presets.TRIED_SEED], 30, 20)] * 3
    assert [each["validation_accuracy"] for each in told["tried"]] == [0.4, 0.9, 0.0]


@pytest.fixture
def made(rng):
    """Result with a table of coins in which the practical ensemble is surely better."""

    def of(dataset, gain):
        config = presets.Config("cpu", dataset, 0)
        labels = np.arange(600) % 10
        table = {}
        for name in ROWS:
            L = 1 if name == INFINITE else 6
            shared = rng.random(600) < 0.5
            single = np.array([np.where(rng.random(600) < 0.2, ~shared, shared) for _ in range(L)])
            correct = {
                use: single.copy() if use in ("single", *SIX_USES[3:5]) else single[:1].copy() for use in SIX_USES
            }
            if name == PRACTICAL:
                correct["ensemble"] = (single.mean(axis=0) > 0.5)[None] | (rng.random((1, 600)) < gain)
            table[name] = rows.Row(correct, {})
        for use in ("ensemble", "knowledge distillation", "self-distillation"):
            table[BEFORE].correct[use + rows.AT_SINGLES_STRENGTH] = table[BEFORE].correct[use]
        one = [{"round": t, "seed": s, "distance": 0.1 + 0.01 * s - 0.05 * t} for t in range(2) for s in range(3)]
        about = {name: {"name": "network", "parameters": 5} for name in (PLAIN, PRACTICAL)}
        return results.Result(config, "data", labels, table, one, about)

    return of


def test_verdicts_follow_from_corrected_tests(made):
    claims = {(claim.setting.split(",")[0], claim.claim): claim for claim in made("cifar10", 0.2).claims()}
    seen = claims[PRACTICAL, "the ensemble is better than single models"]
    assert seen.verdict == form.Verdict.REPRODUCED
    assert seen.source == "Allen-Zhu & Li"
    tested = [claim.numbers for claim in claims.values() if "p_corrected" in claim.numbers]
    assert len(tested) == 2 * 6 + 2 * 7 + 4
    # Holm's rule: the smallest of all p-values counts 30 times.
    smallest = min(tested, key=lambda numbers: numbers["p_above"])
    assert smallest["p_corrected"] == pytest.approx(30 * smallest["p_above"])
    assert max(numbers["p_corrected"] for numbers in tested) <= 1
    assert claims[BEFORE, "the ensemble is better than single models"].verdict == form.Verdict.UNDECIDED
    assert claims[PLAIN, "self-distillation is better than single models"].verdict == form.Verdict.REPORTED
    (features,) = (claim for (_, words), claim in claims.items() if words.startswith("the tangent kernel moves"))
    assert features.numbers["last_minus_first"]["mean"] == pytest.approx(-0.05)
    assert {claim.verdict for claim in made("digits", 0.2).claims()} == {
        form.Verdict.NOT_TESTABLE,
        form.Verdict.REPORTED,
    }


def test_the_control_is_against_the_claim_where_the_ensemble_gains(made):
    for gain, expected in ((0.3, form.Verdict.NOT_UNDER_PROTOCOL), (0.0, form.Verdict.UNDECIDED)):
        claims = [claim for claim in made(MIXTURE, gain).claims() if claim.claim == results.CONTROL]
        assert [claim.setting.split(",")[0] for claim in claims] == [PLAIN, PRACTICAL]
        assert claims[1].verdict == expected


QUICK_COMMAND = """
from studies.test_ntk_vs_features import PRESETS, QUICK
PRESETS["smoke"] = QUICK
"""


@pytest.mark.slow
def test_a_command_that_is_killed_ends_with_the_same_result(finished, tmp_path, monkeypatch):
    result, config = finished
    monkeypatch.setitem(PRESETS, "smoke", QUICK)
    words = ("run", "ntk-vs-features", "--dataset", "digits", "--seed", str(config.seed))
    with commands(QUICK_COMMAND, tmp_path) as begin:
        assert killed_until_it_ends(begin, words, tmp_path / "out", files=20) >= 2
    record = json.loads((tmp_path / "out/result.json").read_text(encoding="utf-8"))
    assert {name: record[name] for name in result.numbers()} == json.loads(json.dumps(result.numbers()))


@pytest.mark.slow
def test_the_smoke_preset_from_the_command_line(hilbertsd, tmp_path):
    code, out, err = hilbertsd("run", "ntk-vs-features", "--json", "--out", "out")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert (
        record["command"] == "hilbertsd run ntk-vs-features --preset smoke --dataset digits --seed 0 --temperature 4.0"
    )
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["kernels.png", "kernels.svg", "parts", "report.html", "result.json", "uses.png", "uses.svg"]
    single = {row["row"]: row["uses"]["single"]["test_accuracy"]["mean"] for row in record["table"]}
    assert min(single.values()) > 75


def test_bad_usage_is_one_line(hilbertsd):
    for words, message in (
        (("--dataset", "mnist"), "dataset"),
        (("--temperature", "0"), "temperature is 0"),
    ):
        code, _, err = hilbertsd("run", "ntk-vs-features", "--preset", "smoke", "--out", "out", *words)
        assert code == 2
        assert message in err

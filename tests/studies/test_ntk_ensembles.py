"""The study of ensembles of tangent kernels, as a user runs it."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs the extra `ntk`")

from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.ntk.ensembles import USES
from hilbertsd.studies import form
from hilbertsd.studies import ntk_ensembles as study
from hilbertsd.studies.ntk_cifar.presets import ImageConfig

CONFIG = ImageConfig("smoke", "digits", seed=2)


@pytest.fixture
def quick(monkeypatch):
    """The smoke preset with networks that compile at once."""
    preset = study.Preset("fully-connected-2", 16, 3, 100, 60)
    monkeypatch.setitem(study.PRESETS, "smoke", preset)
    return study.load(CONFIG)


def test_the_smoke_preset_from_the_command_line(hilbertsd, tmp_path):
    code, out, err = hilbertsd("run", "ntk-ensembles", "--json", "--out", "out")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record == json.loads((tmp_path / "out/result.json").read_text(encoding="utf-8"))
    assert record["command"] == "hilbertsd run ntk-ensembles --preset smoke --dataset digits --seed 0"
    assert record["data"] == "digits (scikit-learn)"
    assert {"neural-tangents", "jaxlib"} <= set(record["versions"])
    assert str(tmp_path) not in out
    assert [row["use"] for row in record["uses"]] == list(USES)
    by_use = {row["use"]: row for row in record["uses"]}
    assert by_use["ensemble"]["test_accuracy"] > 85
    assert by_use["ensemble"]["standard_deviation_over_models"] is None
    assert by_use["single"]["standard_deviation_over_models"] > 0
    assert {claim["verdict"] for claim in record["claims"]} == {"not testable here"}
    curve = record["curves"]["single"]["test"]
    assert np.shape(curve) == (len(record["multiples"]), 3)
    r = record["multiples"].index(by_use["single"]["multiple"])
    assert by_use["single"]["test_accuracy"] == pytest.approx(100 * np.mean(curve[r]))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "kernels",
        "ntk-ensembles.png",
        "ntk-ensembles.svg",
        "result.json",
    ]


@pytest.mark.usefixtures("quick")
def test_the_table_names_every_use_and_claim(hilbertsd):
    code, out, err = hilbertsd("run", "ntk-ensembles")
    assert (code, err) == (0, "")
    for words in (*USES, "100 training and 60 test images", "3 networks fully-connected-2"):
        assert words in out
    assert out.count("not testable here: ") == 4


def test_a_killed_run_goes_on_with_the_same_numbers(quick, tmp_path):
    whole = study.on_images(CONFIG, quick, tmp_path / "kernels").to_dict()
    assert whole == study.on_images(CONFIG, quick, tmp_path / "others").to_dict()
    kept = tmp_path / "kernels/seed-2-train.npy"
    before = kept.stat().st_mtime_ns
    (tmp_path / "kernels/seed-4.json").unlink()
    (tmp_path / "kernels/seed-4-cross.npy").unlink()
    assert study.on_images(CONFIG, quick, tmp_path / "kernels").to_dict() == whole
    assert kept.stat().st_mtime_ns == before


def test_kernels_of_something_else_are_refused(quick, tmp_path):
    folder = tmp_path / "kernels"
    study.on_images(CONFIG, quick, folder)
    with pytest.raises(InvalidFile, match=r"seed-2\.json describes kernels of other images;"):
        study.on_images(CONFIG, replace(quick, train=quick.train + 1), folder)
    np.save(folder / "seed-3-train.npy", np.zeros((2, 2)))
    with pytest.raises(InvalidFile, match=r"seed-3-train\.npy does not hold a float32 matrix of 100 × 100"):
        study.on_images(CONFIG, quick, folder)
    (folder / "seed-3-train.npy").write_bytes(b"")
    with pytest.raises(InvalidFile, match=r"seed-3-train\.npy cannot be read"):
        study.on_images(CONFIG, quick, folder)
    (folder / "seed-3.json").write_text("[", encoding="utf-8")
    with pytest.raises(InvalidFile, match=r"seed-3\.json does not say"):
        study.on_images(CONFIG, quick, folder)


def test_regularisers_are_chosen_without_the_test_images(quick, tmp_path):
    chosen = study.on_images(CONFIG, quick, tmp_path / "kernels").chosen
    shuffled = replace(quick, test=quick.test[::-1].copy(), test_labels=np.roll(quick.test_labels, 7))
    assert study.on_images(CONFIG, shuffled, tmp_path / "others").chosen == chosen


def test_verdicts_on_cifar_follow_from_the_differences(quick, tmp_path):
    result = study.on_images(replace(CONFIG, dataset="cifar10"), quick, tmp_path)
    for claim in result.claims():
        assert claim.verdict in ("reproduced", "not under this protocol", "undecided")
    assert [row["published"] for row in result.rows()] == [66.68, 70.54, 72.86, 66.01, 61.92]
    assert [study._verdict(form.Estimate(d, 1.0), True) for d in (1.65, 1.64, -1.64, -1.65)] == [
        "reproduced",
        "undecided",
        "undecided",
        "not under this protocol",
    ]
    assert [study._verdict(form.Estimate(d, 1.0), False) for d in (1.65, 1, -0.64, -0.65, -3)] == [
        "not under this protocol",
        "undecided",
        "undecided",
        "reproduced",
        "reproduced",
    ]
    assert study._verdict(form.Estimate(0.5, 0.1), False) == "not under this protocol"


def test_bad_usage_is_one_line(hilbertsd, monkeypatch):
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)
    for words, message in (
        (["--preset", "huge"], "preset is 'huge'"),
        (["--dataset", "mnist"], "dataset is 'mnist'; give one of digits, cifar10, cifar100"),
        (["--dataset", "cifar10"], "no folder with CIFAR-10 is given"),
        (["--data", "."], "does not have it"),
        (["--preset", "cpu", "--dataset", "digits"], "n is 2000 and there are 1347 samples"),
        (["--preset", "cpu"], "no folder with CIFAR-10 is given"),
        (["--preset", "gpu", "--data", "."], "does not have it"),
    ):
        code, out, err = hilbertsd("run", "ntk-ensembles", *words)
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
    with pytest.raises(InvalidInput, match="preset is 'huge'"):
        ImageConfig("huge")

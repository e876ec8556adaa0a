"""`hilbertsd gram distill` and `hilbertsd ntk distill`: from kernel matrices in stores to accuracies by round."""

import json

import numpy as np
import pytest
from commands import one_line
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import DistillationPath, distill, leave_one_out_errors
from hilbertsd.data.images import one_hot
from hilbertsd.data.splits import ImageSplit, image_split
from hilbertsd.gram import GramPlan, GramStore, fill
from hilbertsd.ntk.labels import write_labels

ARCHITECTURE = {"name": "fully-connected", "depth": 2}


def linear(X, Y):
    """Stands in for a network's kernel, which JAX would take seconds to compile."""
    return 1 + np.einsum("nijc,mijc->nm", X, Y) / X[0].size


def fill_stores(folder, split: ImageSplit):
    config = {"kernel": "ntk", "architecture": ARCHITECTURE}
    plans = {
        "train-train": GramPlan.of(split.train, config, tile=32, dtype="float64"),
        "test-train": GramPlan.of(split.test, config, split.train, tile=32, dtype="float64"),
    }
    folder.mkdir()
    for (name, plan), (points, others) in zip(
        plans.items(), ((split.train, None), (split.test, split.train)), strict=True
    ):
        fill(GramStore.create(folder / name, plan), linear, points, others)
    return plans["train-train"].inputs, plans["test-train"].inputs


@pytest.fixture(scope="module")
def split():
    return image_split("digits", 120, 50)


@pytest.fixture
def folder(tmp_path, split):
    write_labels(tmp_path / "kernels", split, fill_stores(tmp_path / "kernels", split))
    return tmp_path / "kernels"


@pytest.fixture
def stores(tmp_path, rng, hilbertsd):
    """A store of 90 points, a cross store of 30 others, targets and labels in files; the matrices and arrays."""
    X, others = rng.normal(size=(90, 3)), rng.normal(size=(30, 3))
    for name, points in (("points", X), ("others", others)):
        np.save(tmp_path / f"{name}.npy", points)
        Y = np.column_stack([np.sin(points[:, 0]) + 5, points[:, 1]])
        np.save(tmp_path / f"{name}-y.npy", Y)
        np.save(tmp_path / f"{name}-labels.npy", np.where(points[:, 0] > 0, "cat", "ant"))
    for words in (("points.npy", "store"), ("others.npy", "cross", "--others", "points.npy")):
        assert hilbertsd("gram", "run", *words, "--gamma", 0.3, "--dtype", "float64", "--tile", 32)[0] == 0
    return rbf_kernel(X, gamma=0.3), rbf_kernel(others, X, gamma=0.3), X, others


def test_accuracies_of_a_folder_are_those_of_the_path(hilbertsd, folder, split, tmp_path):
    code, out, err = hilbertsd("ntk", "distill", folder, "--relative-tolerance", 0.2, "--out", "out", "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    path = distill(linear(split.train, split.train), split.targets, relative_tolerance=0.2)
    cross = linear(split.test, split.train)
    assert path.n_rounds > 1
    assert record["collapse_round"] == path.collapse_round
    np.testing.assert_allclose(record["multipliers"], path.multipliers, rtol=1e-8)
    for t in range(path.n_rounds):
        share = np.mean(path.predict(cross, t).argmax(axis=1) == split.test_labels)
        assert record["test_accuracy"][t] == share
        assert record["test_accuracy_standard_error"][t] == pytest.approx(np.sqrt(share * (1 - share) / 50))
        fitted = path.train_predictions(t).argmax(axis=1) == split.train_labels
        assert record["train_accuracy"][t] == np.mean(fitted)
    assert record["leave_one_out_round"] == np.argmin(leave_one_out_errors(path)[:-1])
    assert record["command"] == "hilbertsd ntk distill kernels --relative-tolerance 0.2"
    assert record["store"]["config"]["architecture"] == ARCHITECTURE
    assert json.loads((tmp_path / "out/result.json").read_text()) == record
    loaded = DistillationPath.load(tmp_path / "out/path.npz")
    np.testing.assert_array_equal(loaded.multipliers, record["multipliers"])
    assert (tmp_path / "out/rounds.png").stat().st_size > 10_000


def test_what_is_shown_of_a_folder(hilbertsd, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = hilbertsd("ntk", "distill", folder, "--tolerance", 0.18, "--max-rounds", 2)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "digits (scikit-learn): 120 training and 50 test points, ntk of fully-connected-2, exact"
    assert lines[1] == "ε = 0.18, 0.2 of the targets' mean square 0.9"
    heading = " round  multiplier c  ‖y_t‖²/n  training error  test %  ± s.e.  training % "
    assert lines[2] == heading
    assert len(heading) <= 80
    assert [line.split()[0] for line in lines[3:5]] == ["0", "1"]
    assert lines[5] == "not collapsed: stopped after max_rounds=2"
    assert "leave-one-out on the training points chooses round" in lines[6]
    assert lines[7].endswith("which is a choice made on the test points")


def test_labels_of_other_images_are_refused(hilbertsd, folder, split):
    labels = folder / "labels.json"
    content = labels.read_text()
    words = ("ntk", "distill", folder, "--tolerance", 0.1)
    remedy = "run `hilbertsd ntk run` again with the same options: it writes the file and computes no tile anew"
    labels.unlink()
    message = one_line(*hilbertsd(*words))
    assert "labels.json does not exist" in message
    assert remedy in message
    for inputs, part in ((("other", "hashes"), "train"), ((json.loads(content)["train_inputs"], "other"), "test")):
        write_labels(folder, split, inputs)
        assert f"has labels of other {part} images than the stores beside it; {remedy}" in one_line(*hilbertsd(*words))
    for damaged in (content.replace("[\n  ", "[\n  1", 1), content[:-50], "[]", "{}"):
        labels.write_text(damaged)
        message = one_line(*hilbertsd(*words))
        assert "labels.json is damaged" in message
        assert remedy in message
    labels.write_text(content)
    next((folder / "test-train/kernel/c").rglob("1/0")).unlink()
    (folder / "test-train/finished.json").unlink()
    assert "test-train misses 1 of 8 tiles" in one_line(*hilbertsd(*words))


def test_errors_of_numbers_are_those_of_centred_targets(hilbertsd, stores):
    kernel, cross, X, others = stores
    words = ("--cross", "cross", "--cross-targets", "others-y.npy", "--json")
    record = json.loads(hilbertsd("gram", "distill", "store", "points-y.npy", "--relative-tolerance", 0.2, *words)[1])
    Y, truth = (np.column_stack([np.sin(each[:, 0]) + 5, each[:, 1]]) for each in (X, others))
    mean = Y.mean(axis=0)
    path = distill(kernel, Y - mean, relative_tolerance=0.2)
    np.testing.assert_allclose(record["multipliers"], path.multipliers, rtol=1e-8)
    expected = [np.sum((path.predict(cross, t) + mean - truth) ** 2) / 30 for t in range(path.n_rounds)]
    np.testing.assert_allclose(record["test_errors"], expected, rtol=1e-8)
    assert record["best_test_round"] == np.argmin(expected)
    assert "train_accuracy" not in record
    shown = hilbertsd("gram", "distill", "store", "points-y.npy", "--relative-tolerance", 0.2)[1]
    assert "test" not in shown
    assert "points-y.npy: 90 training points, rbf kernel, exact" in shown


def test_labels_of_any_store(hilbertsd, stores, tmp_path):
    kernel, cross, X, others = stores
    words = ("--labels", "--tolerance", 0.1, "--cross", "cross", "--cross-targets", "others-labels.npy", "--out", "out")
    assert hilbertsd("gram", "distill", "store", "points-labels.npy", *words)[0] == 0
    record = json.loads((tmp_path / "out/result.json").read_text())
    path = distill(kernel, one_hot(np.array(X[:, 0] > 0, dtype=int), 2, centred=True), tolerance=0.1)
    shares = [np.mean(path.predict(cross, t).argmax(axis=1) == (others[:, 0] > 0)) for t in range(path.n_rounds)]
    assert record["test_accuracy"] == shares
    assert record["command"].startswith("hilbertsd gram distill store points-labels.npy --tolerance 0.1 --labels")


@pytest.mark.usefixtures("stores")
def test_a_store_beyond_memory_stays_on_disk(hilbertsd, monkeypatch):
    words = ("gram", "distill", "store", "points-y.npy", "--relative-tolerance", 0.2, "--json")
    exact = json.loads(hilbertsd(*words)[1])
    monkeypatch.setattr("hilbertsd.distillation.chain.physical_memory", lambda: 1000)
    monkeypatch.setattr(GramStore, "to_array", None)
    krylov = json.loads(hilbertsd(*words)[1])
    assert (exact["method"], krylov["method"]) == ("exact", "krylov")
    assert krylov["leave_one_out_round"] is None
    np.testing.assert_allclose(krylov["multipliers"], exact["multipliers"], rtol=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("store", "y.npy"), "tolerance is None and relative_tolerance None; give exactly one"),
        (("store", "y.npy", "--tolerance", 1, "--relative-tolerance", 0.1), "give exactly one"),
        (("store", "y.npy", "--tolerance", -1), "tolerance is -1.0"),
        (("store", "y.npy", "--tolerance", 0.1, "--max-rounds", 0), "Invalid value for '--max-rounds'"),
        (("nothing", "y.npy", "--tolerance", 0.1), "nothing is no store"),
        (("cross", "y.npy", "--tolerance", 0.1), "cross is a cross kernel matrix; give the store of points"),
        (("begun", "y.npy", "--tolerance", 0.1), "begun is not complete; run `hilbertsd gram run` again"),
        (("store", "none.npy", "--tolerance", 0.1), "none.npy does not exist"),
        (("store", "short.npy", "--tolerance", 0.1), "short.npy has 30 targets and store 90 rows"),
        (("store", "words.npy", "--tolerance", 0.1), "holds text, such as 'cat'; give numbers, or --labels"),
        (("store", "y.npy", "--labels", "--tolerance", 0.1), "y.npy has no labels: give (n,) whole numbers"),
        (("store", "same.npy", "--labels", "--tolerance", 0.1), "all labels in same.npy are 1"),
        (("store", "same.npy", "--tolerance", 0.1), "nothing is left to fit after centring"),
        (("store", "holes.npy", "--tolerance", 0.1), "nan"),
        (("store", "y.npy", "--tolerance", 0.1, "--cross", "cross"), "only one of --cross and --cross-targets"),
        (("store", "y.npy", "--tolerance", 0.1, "--cross", "store", "--cross-targets", "y.npy"), "--others POINTS.npy"),
        (("store", "y.npy", "--tolerance", 0.1, "--cross", "cross", "--cross-targets", "one.npy"), "as many columns"),
        (
            ("store", "words.npy", "--labels", "--tolerance", 0.1, "--cross", "cross", "--cross-targets", "dogs.npy"),
            "dogs.npy has label dog in row 0, which no training point has",
        ),
    ],
)
def test_bad_input_of_gram_distill_is_one_line(hilbertsd, stores, tmp_path, words, message):
    _, _, X, others = stores
    GramStore.create(tmp_path / "begun", GramPlan.of(X, {}))
    for name, values in {
        "y": np.sin(X[:, :2]),
        "short": np.ones(30),
        "same": np.ones(90),
        "holes": np.append(np.nan, np.arange(89)),
        "one": others[:, 0],
        "words": np.repeat(["ant", "cat"], 45)[::-1],
        "dogs": np.repeat("dog", 30),
    }.items():
        np.save(tmp_path / f"{name}.npy", values)
    assert message in one_line(*hilbertsd("gram", "distill", *words))

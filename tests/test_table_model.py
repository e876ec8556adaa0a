"""TableModel: predictions from the columns of a new table, and its file."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import laplacian_kernel

from hilbertsd import DistillationPath, TableModel, leave_one_out, leave_one_out_errors
from hilbertsd.errors import CollapseWarning, InvalidFile, InvalidInput, InvalidRound
from hilbertsd.studies import distill as study

NAMES = ["a", "b", "c"]


def made(table, **options):
    return study.run(study.Config(table, "price", kernel="laplacian", gamma=0.3, **options)).model


@pytest.fixture
def model(table):
    return made(table)


@pytest.fixture
def new(rng):
    return rng.normal(size=(9, 3))


def by_hand(table, new, t):
    """Predictions of the fit to the training rows, from scikit-learn's kernel and linear solves."""
    frame = pd.read_csv(table)
    train = np.sort(np.random.default_rng(0).permutation(120)[30:])
    X, y = frame[NAMES].to_numpy()[train], frame["price"].to_numpy()[train]
    n, mean, deviation = len(y), X.mean(axis=0), X.std(axis=0)
    kernel = laplacian_kernel((X - mean) / deviation, gamma=0.3)
    cross_kernel = laplacian_kernel((new - mean) / deviation, (X - mean) / deviation, gamma=0.3)
    current, fit = y - y.mean(), np.empty(0)
    for c in made(table).path.multipliers[: t + 1]:
        alpha = np.linalg.solve(kernel + n * c * np.eye(n), current)
        current, fit = kernel @ alpha, cross_kernel @ alpha
    return y.mean() + fit


@pytest.mark.parametrize("t", [0, 2])
def test_predictions_are_those_of_solving_by_hand(t, table, model, new):
    np.testing.assert_allclose(model.predict(new, t), by_hand(table, new, t), rtol=1e-9)


def test_columns_may_stand_in_any_order(model, new):
    expected = model.predict(new)
    frame = pd.DataFrame(new, columns=NAMES)
    np.testing.assert_array_equal(model.predict(frame[["c", "a", "b"]].assign(note="x")), expected)
    np.testing.assert_array_equal(model.predict({name: new[:, k] for k, name in enumerate(NAMES)}), expected)


def test_the_default_round_is_the_one_with_the_lowest_leave_one_out_error(table, new, rng):
    frame = pd.read_csv(table)
    frame["price"] += rng.normal(size=120)
    frame.to_csv(table, index=False)
    model = made(table, relative_tolerance=0.02)
    y = frame["price"].to_numpy()[model.train_rows] - model.intercept
    errors = [np.mean((leave_one_out(model.path, t) - y) ** 2) for t in range(model.path.n_rounds)]
    errors.append(np.mean(y**2))
    np.testing.assert_allclose(model.leave_one_out_errors, errors, rtol=1e-9)
    assert model.chosen_round == np.argmin(errors)
    assert 0 < model.chosen_round < model.path.n_rounds
    np.testing.assert_array_equal(model.predict(new), model.predict(new, model.chosen_round))


def test_leave_one_out_chooses_the_mean_where_there_is_nothing_but_noise(tmp_path, rng):
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "price"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    model = made(tmp_path / "t.csv", relative_tolerance=0.5)
    assert model.chosen_round == model.path.collapse_round
    with pytest.warns(CollapseWarning, match="collapse at round"):
        np.testing.assert_array_equal(model.predict(frame.iloc[:4]), np.repeat(model.intercept, 4))


def test_rounds_beyond_collapse_are_the_training_mean_with_one_warning(table, model, new):
    mean = pd.read_csv(table)["price"].to_numpy()[model.train_rows].mean()
    for t in (model.path.n_rounds, model.path.n_rounds + 7):
        with pytest.warns(CollapseWarning, match=f"collapse at round {model.path.n_rounds}: from there on") as caught:
            np.testing.assert_allclose(model.predict(new, t), np.full(9, mean))
        assert len(caught) == 1
    with pytest.raises(InvalidRound, match="give a whole number"):
        model.predict(new, 0.5)


def test_targets_with_several_columns(tmp_path, rng):
    X = rng.normal(size=(40, 2))
    Y = np.stack([5 + np.sin(X[:, 0]), X[:, 1] ** 2 - 3], axis=1)
    np.savez(tmp_path / "t.npz", x=X, price=Y)
    model = TableModel.load(made(tmp_path / "t.npz").save(tmp_path / "m"))
    assert (model.feature_names, model.target_names) == (("x[0]", "x[1]"), ("price[0]", "price[1]"))
    found = model.predict(X, 0)
    assert found.shape == (40, 2)
    assert np.abs(found - Y).mean() < 0.5
    with pytest.warns(CollapseWarning):
        np.testing.assert_allclose(model.predict(X[:2], 99), np.tile(Y[model.train_rows].mean(axis=0), (2, 1)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0], "c": [1.0]}, "no column 'b'; give a, b, c"),
        ({"a": [1.0], "b": [1.0, 2.0], "c": [1.0]}, "unequal shapes"),
        ({"a": ["x"], "b": [1.0], "c": [1.0]}, "column 'a' has dtype"),
        ({"a": [1.0], "b": [np.nan], "c": [1.0]}, "column 'b' holds nan in row 0"),
        (np.ones((4, 2)), r"shape \(4, 2\); give \(n, 3\) numbers"),
        (np.ones(3), r"shape \(3,\)"),
        (np.full((1, 3), np.inf), "column 'a' holds inf"),
    ],
)
def test_columns_that_cannot_be_predicted_are_refused(columns, message, model):
    with pytest.raises(InvalidInput, match=message):
        model.predict(columns)


def content(value):
    if dataclasses.is_dataclass(value):
        return type(value).__name__, {f.name: content(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def test_saving_and_loading_keeps_everything(model, new, tmp_path):
    file = model.save(tmp_path / "model")
    for place in (file, tmp_path / "model", tmp_path):
        loaded = TableModel.load(place)
        assert content(loaded) == content(model)
    np.testing.assert_array_equal(TableModel.load(file).predict(new), model.predict(new))
    np.testing.assert_allclose(leave_one_out_errors(loaded.path), model.leave_one_out_errors)
    assert repr(model).startswith("TableModel(price from 3 features, laplacian kernel, DistillationPath(collapse at ")
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".csv"] == ["model.npz"]


def test_files_that_hold_something_else_are_refused(model, tmp_path):
    with pytest.raises(
        InvalidFile, match=r"is no model, and no folder with model\.npz; make one with `hilbertsd distill"
    ):
        TableModel.load(tmp_path)
    model.path.save(tmp_path / "path")
    with pytest.raises(InvalidFile, match="holds no TableModel: it holds a DistillationPath"):
        TableModel.load(tmp_path / "path")
    model.save(tmp_path / "model")
    with pytest.raises(InvalidFile, match="holds no DistillationPath: it holds a TableModel"):
        DistillationPath.load(tmp_path / "model")
    np.savez(tmp_path / "future.npz", metadata=np.array('{"format": "hilbertsd.TableModel/2"}'))
    with pytest.raises(InvalidFile, match="TableModel/2' and this version reads"):
        TableModel.load(tmp_path / "future")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means": np.ones(2)}, r"means has shape \(2,\)"),
        ({"means": np.array([0, np.nan, 0])}, "means has shape"),
        ({"scales": np.zeros(3)}, "a scale is not positive"),
        ({"features": np.ones((90, 2))}, r"features has shape \(90, 2\)"),
        ({"intercept": np.ones(2)}, "intercept has shape"),
        ({"intercept": np.array(["x"])}, "intercept has shape"),
        ({"leave_one_out_errors": np.ones(1)}, "leave_one_out_errors has shape"),
        ({"train_rows": np.arange(90)}, "not those from 0 to 119"),
        ({"test_rows": np.ones(30)}, "test_rows has shape"),
        ({"extra": np.ones(3)}, "it holds the arrays extra, features"),
        ({"path.multipliers": np.ones(1)}, "1 multipliers beside series"),
        ({"path.extra": np.ones(1)}, "an array extra of shape"),
        ({"feature_names": ["a", "b", 3]}, "where texts are needed"),
        ({"feature_names": ["a", "b"]}, "means has shape"),
        ({"feature_names": ["a", "b", "c", "a"]}, "a name stands twice"),
        ({"kernel": {"name": "nothing", "gamma": None}}, "kernel is 'nothing'"),
        ({"kernel": {"name": "rbf", "gamma": -1}}, "gamma is -1"),
        ({"target_name": None}, "target is None"),
    ],
)
def test_values_that_no_model_has_are_refused(change, message, model, tmp_path):
    file = model.save(tmp_path / "model")
    arrays = dict(np.load(file))
    metadata = json.loads(str(arrays.pop("metadata")))
    for name, value in change.items():
        (arrays if isinstance(value, np.ndarray) else metadata)[name] = value
    np.savez(file, allow_pickle=False, metadata=np.array(json.dumps(metadata)), **arrays)
    with pytest.raises(InvalidFile, match=message):
        TableModel.load(file)


def test_damaged_files_are_refused(tmp_path, rng):
    frame = pd.DataFrame(rng.normal(size=(8, 2)), columns=["a", "price"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    whole = made(tmp_path / "t.csv", relative_tolerance=0.3)
    file = whole.save(tmp_path / "model")
    saved, expected, refused = file.read_bytes(), content(whole), 0
    for position in range(0, len(saved), 7):
        altered = bytearray(saved)
        altered[position] ^= 0xFF
        file.write_bytes(altered)
        try:
            assert content(TableModel.load(file)) == expected, position
        except InvalidFile:
            refused += 1
    assert refused > len(saved) / 14

"""A user's table."""

import numpy as np
import pandas as pd
import pytest

from hilbertsd.data.tables import read_table
from hilbertsd.errors import InvalidFile

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4, 5, 6], "y": [0.5, -1.0, 2.0]})


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.dat", "t.parquet", "t.npz", "semicolon.csv"])
def test_every_format_gives_the_same_table(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        FRAME.to_parquet(path)
    elif name.endswith("npz"):
        np.savez(path, **{column: FRAME[column].to_numpy() for column in FRAME})
    else:
        FRAME.to_csv(path, index=False, sep={"t.csv": ",", "semicolon.csv": ";"}.get(name, "\t"))
    table = read_table(path, "y")
    np.testing.assert_array_equal(table.features, FRAME[["a", "b"]])
    np.testing.assert_array_equal(table.targets, FRAME["y"])
    assert table.feature_names == ("a", "b")


def test_npz_arrays_may_hold_several_columns(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.arange(6.0).reshape(3, 2), w=np.ones(3), Y=np.eye(3))
    table = read_table(tmp_path / "t.npz", "Y")
    assert table.feature_names == ("X[0]", "X[1]", "w")
    assert table.features.shape == (3, 3)
    assert table.targets.shape == (3, 3)


def test_dropped_columns_may_hold_anything(tmp_path):
    FRAME.assign(name=["p", "q", "r"]).to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv", "y", drop=["name", "b"]).feature_names == ("a",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.csv", None, "does not exist"),
        ("empty.csv", "", r"empty \(0 bytes\)"),
        ("t.xlsx", "x", "ends in '.xlsx'; tables end in one of .csv"),
        ("t.csv", "a,b\n1,2\n3,4\n", "no column 'y'; its columns are a, b"),
        ("t.csv", "a,y\n1,2\nred,4\n", "column 'a' holds 'red' in row 2 .*--drop a"),
        ("t.csv", "a,y\n1,2\n3,many\n", "column 'y' holds 'many' in row 2 of the data, where a number is needed; mend"),
        ("t.csv", "a,y\n1,2\n,4\n", "column 'a' has no value in row 2"),
        ("t.csv", "a,y\n1,2\ninf,4\n", "column 'a' holds inf in row 2"),
        ("t.csv", "a,y\n1,2\n3\n", "cannot be read as a table: CSV parse error"),
        ("t.csv", "a,y\n1,2\n", r"1 row\(s\) of data; a fit needs at least 2"),
        ("t.csv", "a,y\n", r"0 row\(s\) of data"),
        ("t.csv", "y\n1\n2\n", "no column beside the target"),
        ("t.csv", "a,a,y\n1,2,3\n4,5,6\n", "more than one column 'a'"),
        ("t.csv", "a,date,y\n1,2024-01-01,3\n4,2024-01-02,6\n", "column 'date' holds '2024-01-01'"),
        ("t.parquet", "no parquet", r"t.parquet \(10 bytes\) cannot be read"),
        ("t.npz", "no zip", r"t.npz \(6 bytes\) cannot be read as an .npz"),
    ],
)
def test_bad_tables_are_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InvalidFile, match=message):
        read_table(tmp_path / name, "y")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.ones(3), "y": np.ones(2)}, "'a' has 3 rows and the target 'y' 2"),
        ({"a": np.array(["p", "q"]), "y": np.ones(2)}, "'a' has dtype <U1"),
        ({"a": np.array([1, None]), "y": np.ones(2)}, "cannot be read as an .npz"),
        ({"a": np.ones((2, 2, 2)), "y": np.ones(2)}, r"'a' has shape \(2, 2, 2\)"),
        ({"a": np.array([1.0, np.nan]), "y": np.ones(2)}, "'a' holds values that are not finite"),
    ],
)
def test_bad_npz_tables_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(InvalidFile, match=message):
        read_table(tmp_path / "t.npz", "y")


def test_row_labels_of_pandas_are_no_features(tmp_path):
    FRAME.to_csv(tmp_path / "t.csv")
    with pytest.raises(InvalidFile, match=r"column without a name.*--drop ''"):
        read_table(tmp_path / "t.csv", "y")
    assert read_table(tmp_path / "t.csv", "y", drop=[""]).feature_names == ("a", "b")
    FRAME[FRAME.a > 1].to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", "y").feature_names == ("a", "b")


def test_a_target_is_not_dropped(tmp_path):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InvalidFile, match="both target and dropped"):
        read_table(tmp_path / "t.csv", "y", drop=["y"])


def test_other_encodings_are_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes("größe,y\n1,2\n3,4\n".encode("latin-1"))
    with pytest.raises(InvalidFile, match=r"not UTF-8 text.*save it as UTF-8"):
        read_table(tmp_path / "t.csv", "y")
    (tmp_path / "t.csv").write_text("größe,y\r\n1,2\r\n3,4\r\n", encoding="utf-8-sig")
    assert read_table(tmp_path / "t.csv", "y").feature_names == ("größe",)


def test_folders_and_missing_dropped_columns_are_refused(tmp_path):
    with pytest.raises(InvalidFile, match="is no file"):
        read_table(tmp_path, "y")
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InvalidFile, match="no column 'c'; its columns are a, b, y"):
        read_table(tmp_path / "t.csv", "y", drop=["c"])

"""A user's table."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from hilbertsd.data import column_statistics, read_columns, read_table, standardised_columns
from hilbertsd.errors import InvalidFile, InvalidInput

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
        ("t.csv", "a,y\n1,2\nred,4\n", r"column 'a' holds 'red' in row 2 .* drop=\['a'\] \(--drop a\)"),
        ("t.csv", "my a,y\n1,2\nred,4\n", r"drop=\['my a'\] \(--drop 'my a'\)"),
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
        ("t.npz", "no zip", r"t.npz \(6 bytes\) is no .npz file, or is cut short; write one with numpy.savez"),
        ("t.csv", "a, price,two  words,Y\n1,2,3,4\n", "a, ' price', 'two  words', Y"),
        ("t.csv", '"a,b",price\n1,2\n', "columns are 'a,b', price"),
        ("t.csv", '"y\n1,2\n' + 200_000 * "3,4\n", "cannot be read as a table: field larger than field limit"),
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
        ({"a": np.array([1.0, np.nan]), "y": np.ones(2)}, "'a' holds nan in row 2, where a finite number is needed"),
        ({"a": np.array([1, np.longdouble("1e309")]), "y": np.ones(2)}, "'a' holds inf in row 2"),
        ({"a": np.ones((2, 0)), "y": np.ones(2)}, r"'a' has shape \(2, 0\)"),
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


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ('"a;b;c;d","b","y"', ("a;b;c;d", "b")),
        ('"a,b,c,d";"b";"y"', ("a,b,c,d", "b")),
        ('\ufeff"a;b;c;d",b,y', ("a;b;c;d", "b")),
        ('"a ""quoted;;;"" one",b,y', ('a "quoted;;;" one', "b")),
        ('\n"a;\n;;;b",b,y', ("a;\n;;;b", "b")),
        ("a\tb,c;d\ty", ("a", "b,c;d")),
    ],
)
def test_delimiters_in_quotes_do_not_count(tmp_path, header, names):
    numbers = "\t".join("123") if "\t" in header else ";".join("123") if '";"' in header else "1,2,3"
    (tmp_path / "t.csv").write_text(f"{header}\n{numbers}\n{numbers}\n", encoding="utf-8")
    table = read_table(tmp_path / "t.csv", "y")
    assert table.feature_names == names
    np.testing.assert_array_equal(table.features, [[1, 2], [1, 2]])


def outcome(path):
    """What reading a file gives: a table's numbers and names, or None where it is refused."""
    try:
        table = read_table(path, "y")
    except InvalidFile:
        return None
    return table.features.tolist(), table.targets.tolist(), table.feature_names


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_flipped_byte_of_an_npz_is_harmless_or_refused(tmp_path, save):
    path = tmp_path / "t.npz"
    save(path, a=np.arange(4.0), y=np.arange(4.0) ** 2)
    content, whole = path.read_bytes(), outcome(path)
    assert whole is not None
    refused = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        found = outcome(path)
        refused += found is None
        assert found in (None, whole), place  # a checksum covers every number
    assert refused > len(content) / 2
    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        assert outcome(path) is None


def test_other_files_called_npz_are_refused(tmp_path):
    path = tmp_path / "t.npz"
    FRAME.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").rename(path)
    with pytest.raises(InvalidFile, match=r"t\.npz \(\d+ bytes\) is no \.npz file"):
        read_table(path, "y")
    np.save(tmp_path / "t.npy", np.ones(3))
    (tmp_path / "t.npy").rename(path)
    with pytest.raises(InvalidFile, match=r"is no \.npz file"):
        read_table(path, "y")
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.npy", "y.npy"):
            array = io.BytesIO()
            np.save(array, np.arange(2.0))
            archive.writestr(name, array.getvalue())
        archive.writestr("notes.txt", "no array")
    with pytest.raises(InvalidFile, match=r"'notes\.txt' is no array; mend the file or leave the column out"):
        read_table(path, "y")
    assert read_table(path, "y", drop=["notes.txt"]).feature_names == ("a",)


def test_members_compressed_by_an_unknown_method_are_refused(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, a=np.ones(2), y=np.ones(2))
    content = bytearray(path.read_bytes())
    for sign, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):  # the method, in a member's own head and in the directory
        content[content.index(sign) + place] = 97
    path.write_bytes(content)
    with pytest.raises(InvalidFile, match="That compression method is not supported"):
        read_table(path, "y")


def standardised(features, rows):
    return standardised_columns(features, *column_statistics(features[rows]))


def test_standardised_columns_are_those_of_the_training_rows(rng):
    features = rng.normal(size=(50, 4)) * [1, 1e6, 1e-6, 0] + [3, 0, 1, 0.1]
    rows = rng.permutation(50)[:30]
    mean, deviation = features[rows].mean(axis=0), features[rows].std(axis=0)
    expected = (features[:, :3] - mean[:3]) / deviation[:3]
    np.testing.assert_array_equal(standardised(features, rows)[:, :3], expected)
    # Whose squares overflow or underflow: the same to the last bit, as powers of two round nothing.
    for power in (1000, -900):
        np.testing.assert_array_equal(standardised(np.ldexp(features, power), rows)[:, :3], expected)
    assert abs(standardised(features * 1e300 / 1e6, rows)[rows, 1].std() - 1) < 1e-14


@pytest.mark.parametrize("value", [0.1, 0.0, -1e300, 1e-300])
def test_constant_columns_are_not_divided(value):
    """The standard deviation that NumPy finds for 30 times 0.1 is 1e-17."""
    means, scales = column_statistics(np.full((30, 1), value))
    assert (means[0], scales[0]) == (value, 1)
    assert standardised_columns(np.array([[value], [value + 0.5]]), means, scales)[0] == 0


def test_numbers_far_from_the_training_rows_are_refused():
    features = np.array([[1e-200], [2e-200], [3e200]])
    with pytest.raises(InvalidInput, match=r"feature 0 is 3e\+200 in row 2, too far from the training rows"):
        standardised(features, np.array([0, 1]))
    assert np.isfinite(standardised(features, np.arange(3))).all()


def test_texts_and_names_in_other_encodings_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a,y\n1,2\n3,4\n", encoding="utf-16")
    with pytest.raises(InvalidFile, match=r"t\.csv is not UTF-8 text but UTF-16; save it as UTF-8"):
        read_table(tmp_path / "t.csv", "y")
    with pytest.raises(InvalidFile, match=r"t\\udcff\.csv' is not UTF-8; rename the file"):
        read_table(tmp_path / "t\udcff.csv", "y")


def test_folders_and_missing_dropped_columns_are_refused(tmp_path):
    with pytest.raises(InvalidFile, match="is no file"):
        read_table(tmp_path, "y")
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InvalidFile, match="no column 'c'; its columns are a, b, y"):
        read_table(tmp_path / "t.csv", "y", drop=["c"])


def test_a_parquet_file_with_damaged_text_is_refused(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    offsets, letters = pa.py_buffer(np.array([0, 1, 2], dtype=np.int32)), pa.py_buffer(b"a\xff")
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, letters])
    parquet.write_table(pa.table({"a": text, "y": [1.0, 2.0]}), tmp_path / "t.parquet")
    with pytest.raises(InvalidFile, match="is not UTF-8 text"):
        read_table(tmp_path / "t.parquet", "y")


def test_named_columns_are_read_in_the_order_asked_for(tmp_path):
    (tmp_path / "t.csv").write_text("note,b,y,a\nx,1,5,2\ny,3,6,4\n")
    found = read_columns(tmp_path / "t.csv", ["a", "b"], ["y", "note", "z"])
    assert {name: values.tolist() for name, values in found.items()} == {"a": [2, 4], "b": [1, 3], "y": [5, 6]}
    assert list(found) == ["a", "b", "y"]
    x = np.arange(6.0).reshape(3, 2)
    np.savez(tmp_path / "t.npz", x=x, other=np.ones(7))
    np.testing.assert_array_equal(read_columns(tmp_path / "t.npz", ["x[1]"])["x[1]"], x[:, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n1,2\n", r"no column 'b'; its columns are a, y$"),
        ("y\n1\n", r"no column 'a' \(2 of the 2 needed are missing\); its columns are y$"),
        ("a,b\n1,x\n", "column 'b' holds 'x' in row 1 of the data, where a number is needed; mend the file$"),
        ("a,b\n1,\n", "column 'b' has no value in row 1 of the data; mend the file$"),
        ("a,b\n", "has no row of data"),
    ],
)
def test_columns_that_cannot_be_read_are_refused(text, message, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InvalidFile, match=message):
        read_columns(tmp_path / "t.csv", ["a", "b"])


def test_arrays_of_unequal_length_or_equal_names_are_refused(tmp_path):
    np.savez(tmp_path / "t.npz", a=np.ones(3), b=np.ones(4))
    with pytest.raises(InvalidFile, match="'b' has 4 rows and 'a' 3"):
        read_columns(tmp_path / "t.npz", ["a", "b"])
    np.savez(tmp_path / "u.npz", **{"x": np.ones((3, 2)), "x[1]": np.ones(3), "y": np.arange(3)})
    for read in (lambda: read_columns(tmp_path / "u.npz", ["x[0]"]), lambda: read_table(tmp_path / "u.npz", "y")):
        with pytest.raises(InvalidFile, match=r"more than one column 'x\[1\]'"):
            read()

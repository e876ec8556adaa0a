"""Targets and labels in files of their own."""

import numpy as np
import pytest

from hilbertsd.data.target_files import read_targets
from hilbertsd.errors import InvalidFile


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("y\n1\n2.5\n", [1.0, 2.5]),
        ("1\n2.5\n", [1.0, 2.5]),
        ("a;b\n1;2\n3;4\n", [[1.0, 2.0], [3.0, 4.0]]),
        ('"a;b;c","d"\n1,2\n3,4\n', [[1.0, 2.0], [3.0, 4.0]]),
        ("label\ncat\n3\n", ["cat", "3"]),
        ('\ufeff"the, label"\ncat\n', ["cat"]),
    ],
)
def test_text_with_and_without_a_header(tmp_path, content, expected):
    (tmp_path / "y.csv").write_text(content, encoding="utf-8")
    found = read_targets(tmp_path / "y.csv")
    assert found.dtype.kind == np.array(expected).dtype.kind
    assert found.tolist() == expected


def test_arrays(tmp_path):
    np.save(tmp_path / "y.npy", np.arange(3)[:, None])
    assert read_targets(tmp_path / "y.npy").tolist() == [0, 1, 2]
    np.savez(tmp_path / "y.npz", y=np.ones((3, 2)))
    assert read_targets(str(tmp_path / "y.npz")).shape == (3, 2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.npy", None, "none.npy does not exist"),
        ("y.npy", b"no numbers", "y.npy cannot be read as targets"),
        ("y.csv", b"", "holds float64 of shape"),
        ("y.csv", b"a\n", "holds float64 of shape"),
        ("y.csv", b"a,b\n1,2\n3\n", "has rows of 1 and of 2 entries"),
        ("y.csv", b"\xff\xfe", "is not UTF-8 text but UTF-16; save it as UTF-8"),
        ("y.parquet", b"PAR1", "cannot be read as targets"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidFile, match=message):
        read_targets(tmp_path / name)


def test_arrays_of_something_else_are_refused(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.ones(3), b=np.ones(3))
    with pytest.raises(InvalidFile, match=r"two\.npz holds arrays a, b; give a file of one array"):
        read_targets(tmp_path / "two.npz")
    for values in (np.ones((2, 2, 2)), np.ones(3) * 1j, np.float64(3)):
        np.save(tmp_path / "y.npy", values)
        with pytest.raises(InvalidFile, match=r"give \(n,\) or \(n, n_outputs\) numbers"):
            read_targets(tmp_path / "y.npy")

"""CIFAR from either layout, on files made here, and what is said about damaged ones."""

import gzip
import os
import pickle
import sys

import numpy as np
import pytest
from cifar_samples import (
    COARSE,
    FINE,
    TEN,
    Python2Pickler,
    hundred_samples,
    planes,
    python2,
    ten_samples,
    write_binary,
    write_python,
)

from hilbertsd.data.cifar import load_cifar
from hilbertsd.errors import InvalidFile, InvalidInput


@pytest.fixture
def ten(rng):
    return ten_samples(rng)


@pytest.fixture
def hundred(rng):
    return hundred_samples(rng)


@pytest.fixture
def binary(tmp_path, ten, hundred):
    write_binary(tmp_path, ten, hundred)
    return tmp_path


@pytest.fixture
def python(tmp_path, ten, hundred):
    write_python(tmp_path, ten, hundred)
    return tmp_path


@pytest.fixture(autouse=True)
def no_folder_is_set(monkeypatch, request):
    if "real_data" not in request.node.name:
        monkeypatch.delenv("HILBERTSD_DATA", raising=False)


@pytest.mark.parametrize("layout", [write_binary, write_python])
def test_every_split_in_either_layout(tmp_path, ten, hundred, layout):
    layout(tmp_path, ten, hundred)
    train = load_cifar("cifar10", "train", folder=tmp_path)
    batches = [ten[f"data_batch_{number}"] for number in range(1, 6)]
    np.testing.assert_array_equal(train.images, np.concatenate([images for images, _ in batches]))
    np.testing.assert_array_equal(train.labels, np.concatenate([labels for _, labels in batches]))
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int64)
    assert train.images.flags.c_contiguous
    assert train.class_names == tuple(TEN)
    assert train.name == "CIFAR-10"
    test = load_cifar("cifar10", "test", folder=str(tmp_path))
    np.testing.assert_array_equal(test.images, ten["test_batch"][0])
    for split, (images, fine, coarse) in hundred.items():
        by_fine = load_cifar("cifar100", split, folder=tmp_path)
        np.testing.assert_array_equal(by_fine.images, images)
        np.testing.assert_array_equal(by_fine.labels, fine)
        assert (by_fine.name, by_fine.class_names) == ("CIFAR-100", tuple(FINE))
        by_coarse = load_cifar("cifar100", split, folder=tmp_path, labels="coarse")
        np.testing.assert_array_equal(by_coarse.labels, coarse)
        assert by_coarse.class_names == tuple(COARSE)


def test_records_are_red_green_and_blue_planes_row_by_row(binary):
    record = np.zeros(3073, dtype=np.uint8)
    record[0] = 8
    record[1 + 1] = 10  # red, top row, second column
    record[1 + 1024 + 32] = 20  # green, second row, first column
    record[1 + 2048 + 1023] = 30  # blue, last of all
    (binary / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(record.tobytes())
    test = load_cifar("cifar10", "test", folder=binary)
    assert test.labels.tolist() == [8]
    assert (test.images[0, 0, 1, 0], test.images[0, 1, 0, 1], test.images[0, 31, 31, 2]) == (10, 20, 30)
    assert np.count_nonzero(test.images) == 3


@pytest.mark.parametrize("dump", ["flags are no numbers", "python 3"])
def test_pickles_of_any_age_load(python, ten, monkeypatch, dump):
    path = python / "cifar-10-batches-py" / "test_batch"
    images, labels = ten["test_batch"]
    if dump == "python 3":
        path.write_bytes(pickle.dumps({"labels": labels.tolist(), "data": planes(images)}, protocol=3))
    else:
        monkeypatch.setattr(Python2Pickler, "flags_as_numbers", False)
        python2(path, {"labels": labels.tolist(), "data": planes(images)})
    np.testing.assert_array_equal(load_cifar("cifar10", "test", folder=python).images, images)


def test_pickles_here_are_those_of_python_2(python):
    content = (python / "cifar-10-batches-py" / "test_batch").read_bytes()
    assert content.startswith(b"\x80\x02}")
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content
    assert b"_codecs" not in content


class Harm:
    def __reduce__(self):
        return os.system, ("touch harmed",)


class Subtle:
    def __reduce__(self):
        return np.load, ("harmed", None, True)


@pytest.mark.parametrize(
    ("protocol", "harm", "refused"),
    [
        (0, Harm(), f"{os.name}.system"),
        (2, Harm(), f"{os.name}.system"),
        (4, Harm(), f"{os.name}.system"),
        (2, Subtle(), r"numpy\.load"),
        (2, b"x", r"_codecs\.encode"),
        (2, getattr, r"__builtin__\.getattr"),
    ],
)
def test_malicious_pickles_are_refused_before_they_run(python, monkeypatch, protocol, harm, refused):
    monkeypatch.chdir(python)
    path = python / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(pickle.dumps({"data": harm, "labels": [1]}, protocol=protocol))
    with pytest.raises(InvalidFile, match=rf"test_batch \(\d+ bytes\) .* it asks for {refused}, which"):
        load_cifar("cifar10", "test", folder=python)
    assert not (python / "harmed").exists()


def test_malicious_names_of_classes_are_refused(python):
    (python / "cifar-10-batches-py" / "batches.meta").write_bytes(pickle.dumps(Harm(), protocol=2))
    with pytest.raises(InvalidFile, match=r"batches.meta .*\.system"):
        load_cifar("cifar10", "test", folder=python)


PLANES = np.zeros((2, 3072), dtype=np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"<!DOCTYPE html>", r"\(15 bytes\) is a web page"),
        (gzip.compress(b"x", mtime=0), "is packed with gzip; unpack it"),
        (b"\x80\x02}q\x00U\x04da", r"\(9 bytes\) cannot be read as a Python file of CIFAR-10: .*truncated"),
        (b"\x80\x02}U\x04data(U\x01au1.", r"\(16 bytes\) cannot be read as a Python file"),
        (b"\x80\x02", "CIFAR-10: Ran out of input; unpack"),
        ([1, 2], "holds a list, where a dict is needed"),
        ({}, "no 'labels', only nothing"),
        ({"fine_labels": [1], "data": PLANES}, "no 'labels', only data, fine_labels; take CIFAR-10's own file"),
        ({"labels": [1, 2]}, "no 'data', only labels"),
        ({"labels": [1, 2], "data": [1, 2]}, "'data' that is no array of bytes"),
        ({"labels": [1, 2], "data": PLANES[:, :3000]}, r"shape \(2, 3000\), where \(n, 3072\) is needed"),
        ({"labels": [], "data": PLANES[:0]}, r"shape \(0, 3072\)"),
        ({"labels": [1, 2], "data": PLANES.astype(np.float32)}, "an array of dtype b'f4', where u1 is needed"),
        ({"labels": [1, 2, 3], "data": PLANES}, "3 fine labels and 2 images"),
        ({"labels": [1, 10], "data": PLANES}, "fine label 10 in record 2 of 2, where CIFAR-10 has 0 to 9"),
        ({"labels": [-1, 1], "data": PLANES}, "fine label -1 in record 1 of 2"),
        ({"labels": [1, 2**70], "data": PLANES}, "'labels' that are no list of whole numbers"),
        ({"labels": ["a", "b"], "data": PLANES}, "'labels' that are no list of whole numbers"),
    ],
)
def test_damaged_python_files_are_refused(python, content, message):
    path = python / "cifar-10-batches-py" / "test_batch"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        python2(path, content)
    with pytest.raises(InvalidFile, match=rf"test_batch .*{message}"):
        load_cifar("cifar10", "test", folder=python)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (
            b"\0" * 6145,
            r"has 6145 bytes, where .* CIFAR-10 records of 3073 bytes .* 1 records and 3072 bytes\. It is cut",
        ),
        (b"\0" * 3074 * 4, r"has 12296 bytes, .* 4 records and 4 bytes\. It fits CIFAR-100's records of 3074 bytes"),
        (b"\0" * 3073 + b"\xcb" + b"\0" * 3072, "fine label 203 in record 2 of 2, where CIFAR-10 has 0 to 9"),
        (b"<html>404</html>", r"\(16 bytes\) is a web page, no data; download it again"),
        (gzip.compress(b"x", mtime=0), "is packed with gzip; unpack it"),
        (pickle.dumps({}, protocol=2), "is a Python pickle"),
    ],
)
def test_damaged_binary_files_are_refused(binary, content, message):
    (binary / "cifar-10-batches-bin" / "data_batch_3.bin").write_bytes(content)
    with pytest.raises(InvalidFile, match=rf"data_batch_3\.bin .*{message}"):
        load_cifar("cifar10", "train", folder=binary)


def test_damaged_cifar100_files_are_refused(binary):
    path = binary / "cifar-100-binary" / "test.bin"
    path.write_bytes(bytes([3, 100]) + b"\0" * 3072)
    with pytest.raises(InvalidFile, match="fine label 100 in record 1 of 1, where CIFAR-100 has 0 to 99"):
        load_cifar("cifar100", "test", folder=binary, labels="coarse")
    path.write_bytes(bytes([19, 99]) + b"\0" * 3072 + bytes([20, 5]) + b"\0" * 3072)
    with pytest.raises(InvalidFile, match="coarse label 20 in record 2 of 2, where CIFAR-100 has 0 to 19"):
        load_cifar("cifar100", "test", folder=binary)
    path.write_bytes(b"\0" * 3073)
    with pytest.raises(InvalidFile, match=r"3073 bytes, .* It fits CIFAR-10's records of 3073 bytes; load it as that"):
        load_cifar("cifar100", "test", folder=binary)


def test_missing_files_are_named(binary):
    (binary / "cifar-10-batches-bin" / "data_batch_2.bin").unlink()
    with pytest.raises(
        InvalidFile, match=r"lacks 1 of the 5 files of CIFAR-10's train split: data_batch_2\.bin; unpack"
    ):
        load_cifar("cifar10", "train", folder=binary)
    assert len(load_cifar("cifar10", "test", folder=binary).labels) == 7


def test_names_of_classes(binary, python):
    names = binary / "cifar-10-batches-bin" / "batches.meta.txt"
    names.write_text("cat\ndog\n")
    with pytest.raises(InvalidFile, match=r"batches.meta.txt has 2 names, where 10 are needed"):
        load_cifar("cifar10", "test", folder=binary)
    names.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidFile, match="cannot be read as UTF-8 text"):
        load_cifar("cifar10", "test", folder=binary)
    names.unlink()
    assert load_cifar("cifar10", "test", folder=binary).class_names == tuple("0123456789")
    python2(python / "cifar-100-python" / "meta", {"fine_label_names": 5})
    with pytest.raises(InvalidFile, match="'fine_label_names' that are no list"):
        load_cifar("cifar100", "test", folder=python / "cifar-100-python")


def test_a_folder_names_its_data(binary):
    path = binary / "cifar-10-batches-bin" / "hilbertsd-name.txt"
    path.write_text("CIFAR-10 (JPEG)\n")
    assert load_cifar("cifar10", "test", folder=binary).name == "CIFAR-10 (JPEG)"
    assert load_cifar("cifar100", "test", folder=binary).name == "CIFAR-100"
    path.write_text("\n")
    with pytest.raises(InvalidFile, match=r"hilbertsd-name.txt has 0 lines of text; write the one line"):
        load_cifar("cifar10", "test", folder=binary)


def test_where_folders_are_looked_for(binary, tmp_path_factory, monkeypatch):
    with pytest.raises(InvalidFile, match=r"no folder with CIFAR-10 .*HILBERTSD_DATA, or .* 170 MB .*True \(.* --down"):
        load_cifar("cifar10", "test")
    monkeypatch.setenv("HILBERTSD_DATA", str(binary))
    with pytest.raises(InvalidFile, match="no folder with CIFAR-10 is given"):
        load_cifar("cifar10", "test", folder="", download=True)
    monkeypatch.setenv("HILBERTSD_DATA", "")
    with pytest.raises(
        InvalidFile, match="no folder with CIFAR-100 is given; give the folder that holds cifar-100-bin"
    ):
        load_cifar("cifar100", "test")
    monkeypatch.setenv("HILBERTSD_DATA", str(binary))
    assert len(load_cifar("cifar10", "test").labels) == 7
    monkeypatch.setenv("HILBERTSD_DATA", str(binary / "cifar-10-batches-bin"))
    assert len(load_cifar("cifar10", "test").labels) == 7
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(InvalidFile, match=r"CIFAR-10 is looked for in .*empty0, which does not have it; give"):
        load_cifar("cifar10", "test", folder=empty)
    with pytest.raises(InvalidFile, match="nowhere, which is no folder; give the folder that holds cifar-10-batch"):
        load_cifar("cifar10", "test", folder=empty / "nowhere")
    (empty / "cifar-10-python.tar.gz").touch()
    with pytest.raises(InvalidFile, match=r"has only cifar-10-python\.tar\.gz, not unpacked"):
        load_cifar("cifar10", "test", folder=empty)


def test_other_arguments_are_refused(binary):
    with pytest.raises(InvalidInput, match="name is 'cifar'; give one of cifar10, cifar100"):
        load_cifar("cifar", "test", folder=binary)
    with pytest.raises(InvalidInput, match="split is 'all'; give one of train, test"):
        load_cifar("cifar10", "all", folder=binary)
    with pytest.raises(InvalidInput, match="labels of CIFAR-10 is 'coarse'; give one of fine"):
        load_cifar("cifar10", "test", folder=binary, labels="coarse")
    with pytest.raises(InvalidInput, match="labels of CIFAR-100 is 'both'; give one of coarse, fine"):
        load_cifar("cifar100", "test", folder=binary, labels="both")


def test_pooch_is_loaded_only_to_download(binary, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert len(load_cifar("cifar10", "test", folder=binary).labels) == 7


def test_real_data_has_its_known_counts():
    if not os.environ.get("HILBERTSD_DATA"):
        pytest.skip(reason="HILBERTSD_DATA names no folder with CIFAR-10")
    train, test = load_cifar("cifar10", "train"), load_cifar("cifar10", "test")
    if len(train.labels) != 50_000:
        pytest.skip(reason=f"HILBERTSD_DATA holds a subset of {len(train.labels)} training images")
    assert np.bincount(train.labels).tolist() == [5000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert train.images.shape == (50_000, 32, 32, 3)
    assert train.class_names == tuple(TEN)
    # Published means of the channels; recompression moves them by less than 0.1.
    np.testing.assert_allclose(train.images.mean(axis=(0, 1, 2)), [125.3, 123.0, 113.9], atol=0.2)

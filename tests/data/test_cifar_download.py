"""CIFAR fetched from a site that is a folder here."""

import hashlib
import io
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from cifar_samples import hundred_samples, ten_samples, write_binary

from hilbertsd.data import cifar
from hilbertsd.data.cifar import load_cifar
from hilbertsd.errors import InvalidFile


@pytest.fixture
def ten(rng):
    return ten_samples(rng)


@pytest.fixture(autouse=True)
def no_folder_is_set(monkeypatch):
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)


@pytest.fixture
def site(tmp_path_factory, ten, rng, monkeypatch):
    """Authors' site as a folder: a function that publishes an archive of CIFAR-10, and the archives fetched so far."""
    import pooch

    published = tmp_path_factory.mktemp("site")
    (published / "unpacked").mkdir()
    write_binary(published / "unpacked", ten, hundred_samples(rng))
    fetched = []

    def publish(change=lambda _archive: None, md5=None, without=()):
        path = published / "cifar-10-binary.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for file in (published / "unpacked" / "cifar-10-batches-bin").iterdir():
                if file.name not in without:
                    archive.add(file, f"cifar-10-batches-bin/{file.name}")
            change(archive)
        md5 = md5 or hashlib.md5(path.read_bytes()).hexdigest()
        monkeypatch.setitem(cifar.DATASETS, "cifar10", replace(cifar.DATASETS["cifar10"], md5=md5))
        return fetched

    def fetch(_self, url, output_file, _pooch):
        fetched.append(url)
        shutil.copyfile(published / url.rpartition("/")[2], output_file)

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", fetch)
    return publish


def test_download_into_a_folder_once(tmp_path, site, ten):
    fetched = site()
    folder = tmp_path / "new"
    train = load_cifar("cifar10", "train", folder=folder, download=True)
    assert fetched == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]
    assert len(train.labels) == 2 + 3 + 4 + 5 + 6
    test = load_cifar("cifar10", "test", folder=folder, download=True)
    np.testing.assert_array_equal(test.images, ten["test_batch"][0])
    assert len(fetched) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["cifar-10-batches-bin", "cifar-10-binary.tar.gz"]


def test_download_into_the_cache(tmp_path, site, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    site()
    assert len(load_cifar("cifar10", "test", download=True).labels) == 7
    assert (tmp_path / "hilbertsd" / "cifar-10-batches-bin" / "test_batch.bin").is_file()


def test_a_download_of_other_bytes_is_refused(tmp_path, site):
    site(md5="0" * 32)
    with pytest.raises(InvalidFile, match=r"cannot be downloaded from https://www.cs.toronto.edu/.*MD5 hash .*0{32}"):
        load_cifar("cifar10", "test", folder=tmp_path, download=True)
    assert list(tmp_path.iterdir()) == []


def test_without_a_connection_the_remedy_is_to_fetch_by_hand(tmp_path, monkeypatch):
    def fail(*_arguments):
        raise ConnectionError("no route to host")

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", fail)
    with pytest.raises(
        InvalidFile, match=r"cifar-100-binary.tar.gz to .*: no route to host; try again, or unpack it by"
    ):
        load_cifar("cifar100", "test", folder=tmp_path, download=True)


def test_archives_write_nowhere_else(tmp_path, site):
    def add_harm(archive):
        for name in ("../escaped", str(tmp_path / "absolute"), "cifar-10-batches-bin/extra"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"harm"))

    site(add_harm)
    folder = tmp_path / "folder"
    load_cifar("cifar10", "test", folder=folder, download=True)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert not (folder / "cifar-10-batches-bin" / "extra").exists()


def test_archives_that_lack_a_file_leave_nothing(tmp_path, tmp_path_factory, site):
    outside = tmp_path_factory.mktemp("outside") / "file"
    outside.write_bytes(b"not yours")

    def link(archive):
        member = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        member.type, member.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(member)

    for change in (lambda _archive: None, link):
        site(change, without=("test_batch.bin",))
        with pytest.raises(InvalidFile, match=r"tar.gz cannot be unpacked in .*; remove it and try again"):
            load_cifar("cifar10", "test", folder=tmp_path, download=True)
        assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-binary.tar.gz"]

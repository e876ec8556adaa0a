"""Kernel matrices of networks in stores, and the commands that compute them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `ntk`")

from hilbertsd import check_bounds, distill
from hilbertsd.data.splits import image_split
from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.gram.store import GramStore
from hilbertsd.ntk import NeuralKernel, architecture, gram, recursion
from hilbertsd.ntk.jobs import GramJob, default_tile


@pytest.fixture(scope="module")
def images():
    return image_split("digits", 37, 11)


def job_of(images, name="convolutional-1", **options):
    return GramJob(NeuralKernel(architecture(name), "ntk", "float64", tile=4), images, **{"tile": 16, **options})


def test_stores_hold_what_the_function_gives(images, tmp_path):
    train, test = job_of(images).run(tmp_path / "job")
    expected = gram("convolutional-1", images.train)
    np.testing.assert_allclose(train.to_array(), expected, rtol=1e-13)
    np.testing.assert_allclose(test.to_array(), gram("convolutional-1", images.test, images.train), rtol=1e-13)
    np.testing.assert_allclose(np.diag(train.to_array()), np.diag(expected), rtol=1e-14)
    path = distill(train, images.targets, tolerance=0.1, method="krylov")
    assert check_bounds(distill(train.to_array(), images.targets, tolerance=0.1)).holds
    assert path.collapse_certified
    assert train.plan.config["architecture"] == architecture("convolutional-1").config
    assert train.plan.config["dataset"] == "digits (scikit-learn)"


def test_a_killed_job_goes_on_where_it_was(images, tmp_path, monkeypatch):
    """The same bytes, and only tiles that were missing are computed."""
    whole = job_of(images).run(tmp_path / "whole")
    computed = []
    between = NeuralKernel._pair_values

    def until_killed(self, *arguments):
        if len(computed) == 30:
            raise KeyboardInterrupt
        computed.append(arguments)
        return between(self, *arguments)

    monkeypatch.setattr(NeuralKernel, "_pair_values", until_killed)
    with pytest.raises(KeyboardInterrupt):
        job_of(images).run(tmp_path / "killed")
    left = len(GramStore.open(tmp_path / "killed/train-train").missing())
    assert 0 < left < 6
    computed.clear()
    monkeypatch.setattr(NeuralKernel, "_pair_values", between)
    resumed = job_of(images).run(tmp_path / "killed")
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one.to_array(), other.to_array())
    monkeypatch.setattr(NeuralKernel, "_pair_values", until_killed)
    job_of(images).run(tmp_path / "killed")
    assert computed == []


def test_folders_of_other_jobs_are_refused(images, tmp_path):
    job_of(images).run(tmp_path / "job")
    with pytest.raises(InvalidFile, match="for another kernel matrix, with other config"):
        job_of(images, "convolutional-2").run(tmp_path / "job")
    with pytest.raises(InvalidFile, match="with other inputs"):
        job_of(replace(images, train=images.train + 1)).run(tmp_path / "job")
    with pytest.raises(InvalidInput, match="myrtle-5 divides"):
        job_of(replace(images, train=images.train[:, :6, :6], test=images.test[:, :6, :6]), "myrtle-5").run(tmp_path)


@pytest.mark.parametrize(("name", "largest"), [("convolutional-1", 1024), ("myrtle-5", 256)])
def test_small_stores_have_eight_tiles_a_side(name, largest):
    kernel = NeuralKernel(architecture(name))
    sizes = {n: default_tile(kernel, n) for n in (1, 7, 8, 100, 1023, 1024, 1025, 2047, 5000, 8192, 60000)}
    assert all(tile == largest or n < 8 or -(-n // tile) >= 8 for n, tile in sizes.items())
    assert all(tile in (1, largest) or n // tile < 16 for n, tile in sizes.items())
    assert (sizes[1], sizes[1024], sizes[60000]) == (1, 128, largest)


def test_tiles_of_a_store_compile_once(images, tmp_path):
    """The last ones are smaller, and compile nothing of their own."""
    network = architecture("convolutional-1", bias_std=0.11)
    before = recursion.pair_covariance._cache_size()
    GramJob(NeuralKernel(network, "ntk", "float32"), replace(images, test=images.test[:8]), tile=8).run(tmp_path)
    assert recursion.pair_covariance._cache_size() == before + 1


def test_both_stores_have_to_fit_together(images, tmp_path, monkeypatch):
    job = job_of(images)
    needed = sum(plan.bytes_stored for plan in job.plans.values())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed - 1))
    with pytest.raises(InvalidInput, match="11 × 37 samples take"):
        job.run(tmp_path / "job")
    assert not (tmp_path / "job").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed))
    job.run(tmp_path / "job")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    job.run(tmp_path / "job")  # tiles that are there need no room


def test_on_a_cluster(images, tmp_path):
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    from clusters import local_client

    with local_client(1) as client:
        there = job_of(images).run(tmp_path / "cluster", client)
    for one, other in zip(there, job_of(images).run(tmp_path / "here"), strict=True):
        np.testing.assert_array_equal(one.to_array(), other.to_array())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ntk", "run", "alexnet", "g"], "architecture is 'alexnet'"),
        (["ntk", "run", "vgg-11", "g"], "vgg-11 divides a side of 1 positions by 2"),
        (["ntk", "run", "myrtle-5", "g", "--pooling"], "myrtle option is 'pooling'"),
        (["ntk", "plan", "myrtle-5", "g", "--kernel", "rbf"], "kernel is 'rbf'"),
        (["ntk", "plan", "myrtle-5", "g", "--n-train", 5000], "n is 5000 and there are 1347"),
        (["ntk", "run", "myrtle-5", "g", "--download"], "--download without --dataset"),
    ],
)
def test_bad_usage_is_one_line(hilbertsd, monkeypatch, tmp_path, words, message):
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)
    code, out, err = hilbertsd(*words)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert not (tmp_path / "g").exists()


def test_ntk_plan_and_run(hilbertsd, tmp_path, monkeypatch):
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)
    words = ("convolutional-1", "g", "--n-train", 40, "--n-test", 20, "--size", 4, "--pooling", "--tile", 16)
    code, out, err = hilbertsd("ntk", "plan", *words, "--json")
    assert (code, err) == (0, "")
    planned = json.loads(out)
    assert [store["pairs"] for store in planned["stores"]] == [40 * 41 // 2, 40 * 20]
    assert planned["seconds_to_start"] > 0
    assert planned["estimated_seconds"] == planned["seconds_to_start"] + planned["seconds_of_tiles"]
    assert not (tmp_path / "g").exists()
    code, out, err = hilbertsd("ntk", "run", *words)
    assert (code, err) == (0, "")
    assert " complete  yes          yes " in out
    assert hilbertsd("gram", "verify", "g/train-train")[0] == 0
    images = image_split("digits", 40, 20, size=4)
    expected = gram(architecture("convolutional-1", pooling=True), images.test, images.train, dtype="float32")
    np.testing.assert_allclose(GramStore.open(tmp_path / "g/test-train").to_array(), expected, rtol=1e-5)
    shutil.rmtree(tmp_path / "g")

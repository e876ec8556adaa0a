"""Tiles and products on a local cluster of two processes, one of which is killed on the way: the same bits."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from stores import KERNEL, files_of, filled, same_folders, slow_kernel

from hilbertsd import distill
from hilbertsd.gram.filling import fill
from hilbertsd.gram.operators import KernelOperator
from hilbertsd.gram.store import GramPlan, GramStore
from hilbertsd.support.progress import PairRate, Task

pytest.importorskip("distributed", reason="needs the extra `cluster`")

from clusters import local_client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def client():
    with local_client(2) as client:
        yield client


@pytest.fixture
def mortal():
    """A cluster of two workers of which one will be killed, and may or may not come back."""
    with local_client(2) as client:
        yield client


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(3).normal(size=(230, 5))


def kill_a_worker(client):
    """End one worker process as a machine that fails does."""
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)


def test_a_killed_worker_leaves_the_same_store(mortal, points, tmp_path):
    here = filled(tmp_path / "here", points, tile=32)
    store = GramStore.create(tmp_path / "cluster", GramPlan.of(points, here.plan.config, tile=32))
    tiles_before = []

    def kill_mid_run():
        while not (there := len([name for name in files_of(tmp_path / "cluster") if "/c/" in name])):
            time.sleep(0.01)
        tiles_before.append(there)
        kill_a_worker(mortal)

    killer = threading.Thread(target=kill_mid_run)
    killer.start()
    fill(store, slow_kernel, points, client=mortal)
    killer.join()
    assert 0 < tiles_before[0] < len(store.plan.tiles)
    assert same_folders(tmp_path / "here", tmp_path / "cluster")


@pytest.mark.slow
def test_a_lone_worker_may_die(points, tmp_path):
    """It takes the points along, which are sent again to another one."""
    with local_client(1) as client:
        store = GramStore.create(tmp_path / "gram", GramPlan.of(points, {}, tile=32))

        def kill_mid_run():
            while not any("/c/" in name for name in files_of(tmp_path / "gram")):
                time.sleep(0.01)
            kill_a_worker(client)
            assert client.cluster is not None
            client.cluster.scale(2)

        killer = threading.Thread(target=kill_mid_run)
        killer.start()
        fill(store, slow_kernel, points, client=client)
        killer.join()
    assert store.complete
    assert list(store.damaged()) == []


def test_a_killed_worker_leaves_the_same_path(mortal, points, tmp_path):
    from hilbertsd.gram.cluster import ClusterKernel

    store = filled(tmp_path / "gram", points, tile=32, dtype="float64")
    kernel = ClusterKernel(store, mortal, parts=4)
    block = np.random.default_rng(0).normal(size=(230, 3))
    product = kernel.multiply(block)
    np.testing.assert_allclose(product, store.multiply(block), rtol=1e-12, atol=1e-12)
    targets = np.sin(points[:, :2])
    tolerance = 0.1 * np.sum(targets**2) / 230
    undisturbed = distill(kernel, targets, tolerance=tolerance)

    class Killing(KernelOperator):
        """The same operator, a worker of which dies before the third product."""

        precision, block_size, products = kernel.precision, kernel.block_size, 0

        @property
        def shape(self):
            return kernel.shape

        def multiply(self, block):
            self.products += 1
            if self.products == 3:
                kill_a_worker(mortal)
            return kernel.multiply(block)

    path = distill(Killing(), targets, tolerance=tolerance)
    np.testing.assert_array_equal(path.multiplier_bounds, undisturbed.multiplier_bounds)
    np.testing.assert_array_equal(path.train_predictions(), undisturbed.train_predictions())


def test_a_cross_kernel_matrix_is_the_same_and_no_operator(client, points, tmp_path, monkeypatch):
    from hilbertsd.errors import InvalidInput, InvalidKernel
    from hilbertsd.gram.cluster import ClusterKernel

    others = points[:70] + 1
    plan = GramPlan.of(points, {}, others, tile=32)
    here, store = (GramStore.create(tmp_path / name, plan) for name in ("here", "cluster"))
    fill(here, KERNEL, points, others)
    with pytest.raises(InvalidInput, match="70 others; give these"):
        fill(store, KERNEL, points, client=client)
    fill(store, KERNEL, points, others, client=client)
    store.tile_file(*plan.tiles[7]).unlink()
    notes = []
    monkeypatch.setattr(Task, "update", lambda _, __, note="": notes.append(note))
    monkeypatch.setattr(PairRate, "note", lambda _, pairs: f"{pairs} pairs/s" if pairs else "")
    fill(store, KERNEL, points, others, client=client)
    assert sorted({note for note in notes if note}) == ["1024 pairs/s on the cluster", "on the cluster"]
    assert same_folders(tmp_path / "here", tmp_path / "cluster")
    with pytest.raises(InvalidKernel, match=r"cross kernel matrix of shape \(230, 70\)"):
        ClusterKernel(store, client)


def test_fewer_parts_than_tiles_and_one_worker_do_not_matter(client, points, tmp_path):
    from hilbertsd.gram.cluster import ClusterKernel

    store = filled(tmp_path / "gram", points, tile=32)
    block = np.random.default_rng(0).normal(size=(230, 3))
    for parts in (1, 3, 100):
        kernel = ClusterKernel(store, client, parts=parts)
        np.testing.assert_allclose(kernel.multiply(block), store.multiply(block), rtol=1e-12, atol=1e-12)
    assert kernel.precision == np.finfo(np.float32).eps


def test_an_error_on_a_worker_arrives(client, points, tmp_path):
    from hilbertsd.errors import InvalidFile
    from hilbertsd.gram.cluster import ClusterKernel

    store = filled(tmp_path / "gram", points, tile=32)
    store.tile_file(*store.plan.tiles[3]).unlink()
    with pytest.raises(InvalidFile, match="is missing"):
        ClusterKernel(store, client).multiply(np.ones((230, 1)))

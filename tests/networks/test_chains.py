"""Chains of networks: rounds, targets, folders, interruptions, processes, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs the extra `networks`")
pytest.importorskip("flax", reason="needs the extra `networks`")

from hilbertsd.errors import InvalidFile, InvalidInput, NotConverged, WorkerDied
from hilbertsd.networks import (
    FiniteNetwork,
    Loss,
    NetworkPath,
    Training,
    architecture,
    choose_training,
    distill_network,
    stored_network,
    workers,
)
from hilbertsd.networks.checkpoints import ChainFolder, flattened, unflattened

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(30, 2, 2, 3)).astype(np.float32)
LABELS = (IMAGES[:, 0, 0, 0] > 0).astype(int) + (IMAGES[:, 1, 1, 0] > 0)
TEST = RNG.normal(size=(12, 2, 2, 3)).astype(np.float32)
TEST_LABELS = (TEST[:, 0, 0, 0] > 0).astype(int) + (TEST[:, 1, 1, 0] > 0)
NETWORK = architecture("fully-connected-1-6", n_classes=3, normalisation="batch")
TRAINING = Training(steps=9, batch_size=8, learning_rate=0.05)

CROPPED = replace(TRAINING, augmentation="crops and flips")


def chain(**options):
    given = {
        "architecture": NETWORK,
        "images": IMAGES,
        "labels": LABELS,
        "rounds": 3,
        "seeds": (0, 5),
        "test_images": TEST,
        "test_labels": TEST_LABELS,
        "training": TRAINING,
        "spread": "one by one",
    }
    given.update(options)
    return distill_network(given.pop("architecture"), given.pop("images"), given.pop("labels"), **given)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    return chain(folder=folder), folder


def test_every_measure_is_against_what_it_says(path):
    path, _ = path
    loss = Loss()
    assert path.targets.shape == path.train_outputs.shape == (3, 2, 30, 3)
    assert path.test_outputs.shape == (3, 2, 12, 3)
    np.testing.assert_array_equal(path.targets[0], np.broadcast_to(np.eye(3)[LABELS], (2, 30, 3)))
    np.testing.assert_allclose(path.targets[1:], loss.next_targets(path.train_outputs[:-1]), rtol=1e-6)
    classes = path.train_outputs.argmax(-1)
    np.testing.assert_allclose(path.train_accuracy, (classes == LABELS).mean(-1))
    np.testing.assert_allclose(path.test_accuracy, path.test_correct.mean(-1))
    for agreement, accuracy, outputs in (
        (path.agreement, path.train_accuracy, path.train_outputs),
        (path.test_agreement, path.test_accuracy, path.test_outputs),
    ):
        np.testing.assert_allclose(agreement[0], accuracy[0])
        np.testing.assert_allclose(agreement[1:], (outputs.argmax(-1)[1:] == outputs.argmax(-1)[:-1]).mean(-1))
    own = np.asarray(loss.of(path.train_outputs, path.targets)).mean(-1)
    np.testing.assert_allclose(path.training_error, own, rtol=1e-5)
    labels = np.asarray(loss.of(path.train_outputs, np.eye(3)[LABELS])).mean(-1)
    np.testing.assert_allclose(path.train_loss, labels, rtol=1e-5)
    assert np.all(path.steps == 9)
    assert np.any(path.train_outputs[:, 0] != path.train_outputs[:, 1])


def test_paths_are_shown_and_kept_whole(path, tmp_path):
    path, _ = path
    loaded = NetworkPath.load(path.save(tmp_path / "path"))
    assert loaded.to_dict() == path.to_dict()
    np.testing.assert_array_equal(loaded.targets, path.targets)
    json.dumps(path.to_dict(), allow_nan=False)
    rows = list(path.rows())
    assert rows[1]["test_accuracy"] == pytest.approx(path.test_accuracy[1].mean())
    assert rows[1]["test_accuracy_deviation"] == pytest.approx(path.test_accuracy[1].std(ddof=1))
    assert "3 rounds, 2 seeds, 30 training images of 3 classes" in repr(path)
    assert path._repr_html_().count("<tr>") == 4
    (tmp_path / "other.npz").write_bytes(b"no zip")
    with pytest.raises(InvalidFile, match="holds no NetworkPath"):
        NetworkPath.load(tmp_path / "other")


def test_every_network_says_what_made_it(path, tmp_path):
    """Also where some were made with something else."""
    path, folder = path
    (made,) = path.made_with
    assert {"jax", "flax", "optax", "numpy"} <= set(made["versions"])
    assert made["machine"]["cores"] == os.cpu_count()
    assert made["device"] == "cpu"
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/seed-5-round-2.npz").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hilbertsd.networks.chain.made_with", lambda: {**made, "device": "NVIDIA H200"})
        mixed = chain(folder=tmp_path / "copy")
    assert [each["device"] for each in mixed.made_with] == ["cpu", "NVIDIA H200"]
    assert mixed.to_dict()["made_with"] == mixed.made_with


def test_finished_networks_are_taken_up_and_more_are_added(path, tmp_path, monkeypatch):
    path, folder = path
    shutil.copytree(folder, tmp_path / "copy")
    before = {file.name: file.read_bytes() for file in (tmp_path / "copy").glob("seed-*")}
    more = chain(folder=tmp_path / "copy", rounds=4, seeds=(5, 0, 2))
    for name in ("train_outputs", "targets", "training_error"):
        np.testing.assert_array_equal(getattr(more, name)[:3, [1, 0]], getattr(path, name))
    assert all((tmp_path / "copy" / name).read_bytes() == content for name, content in before.items())
    monkeypatch.setattr("hilbertsd.networks.chain.Trainer", None)  # nothing is left to train
    again = chain(folder=tmp_path / "copy", rounds=4, seeds=(0, 2, 5))
    np.testing.assert_array_equal(again.test_outputs, more.test_outputs[:, [1, 2, 0]])


def test_another_configuration_is_refused_and_says_what_differs(path):
    _, folder = path
    for options, message in (
        ({"training": replace(TRAINING, learning_rate=0.2)}, r"training learning_rate is 0\.2 and was 0\.05"),
        ({"loss": Loss("cross-entropy")}, "loss name is 'cross-entropy' and was 'softmax-squared-error'"),
        ({"images": IMAGES + 1}, "configuration: images;"),
        ({"architecture": architecture("fully-connected-1-7", n_classes=3)}, "architecture width is 7 and was 6"),
        ({"teacher": "augmented"}, "configuration: teacher;"),
    ):
        with pytest.raises(InvalidFile, match=message):
            chain(folder=folder, **options)


def test_damaged_files_are_refused(path, tmp_path):
    _, folder = path
    shutil.copytree(folder, tmp_path / "copy")
    damaged = tmp_path / "copy/seed-5-round-1.npz"
    damaged.write_bytes(damaged.read_bytes()[:-200])
    with pytest.raises(InvalidFile, match=r"seed-5-round-1\.npz' holds no NetworkRound"):
        chain(folder=tmp_path / "copy")
    (tmp_path / "copy/chain.json").write_text("{", encoding="utf-8")
    with pytest.raises(InvalidFile, match=r"chain\.json does not say what its networks are"):
        chain(folder=tmp_path / "copy")


def test_an_interrupted_chain_ends_as_an_undisturbed_one(path, tmp_path, monkeypatch):
    path, _ = path
    monkeypatch.setattr("hilbertsd.networks.chain.STORED_EVERY", 0.0)
    from hilbertsd.networks.chain import _Keeper

    stop, calls = [2, 4, 5], []

    def interrupted(self, state, plain=_Keeper.__call__):
        plain(self, state)
        calls.append(state.step)
        if stop and len(calls) == stop[0]:
            stop.pop(0)
            calls.clear()
            raise KeyboardInterrupt

    monkeypatch.setattr(_Keeper, "__call__", interrupted)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            chain(folder=tmp_path)
    ended = chain(folder=tmp_path)
    np.testing.assert_array_equal(ended.test_outputs, path.test_outputs)
    assert ended.to_dict() == path.to_dict()
    assert not list(tmp_path.glob("training-*"))


def test_a_cluster_trains_the_same_networks(path, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")
    path, _ = path
    local = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None, "processes": False}
    with distributed.LocalCluster(**local) as cluster, distributed.Client(cluster) as client:
        sent = chain(folder=tmp_path, client=client)
    np.testing.assert_array_equal(sent.test_outputs, path.test_outputs)


def test_workers_of_a_cluster_that_die_are_one_error(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")

    class Dead:
        """A task whose workers were killed again and again; Dask says so when its result is asked for."""

        status = "error"

        def result(self):
            raise distributed.KilledWorker("train_seeds", None, 3)

    class Client:
        def submit(self, *_arguments, **_options):
            return Dead()

    monkeypatch.setattr(distributed, "as_completed", list)
    with pytest.raises(WorkerDied, match=r"workers of the cluster died with seed 0; start again, .* from .*folder"):
        chain(folder=tmp_path / "folder", client=Client())


@pytest.mark.slow
def test_devices_of_a_machine_share_the_seeds(tmp_path):
    """On as many devices as JAX is told to make of a processor, in a process of its own."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    finished = subprocess.run(
        [sys.executable, "-c", DEVICES, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == ["2", "[0,", "1]", "True"]


DEVICES = """
import sys
from threading import Barrier
from pathlib import Path
import numpy as np
from hilbertsd.networks import Loss, Training, architecture, distill_network, training
from hilbertsd.networks.jax_backend import jax, jnp

rng = np.random.default_rng(0)
images, labels, used = rng.normal(size=(30, 4)), rng.integers(0, 2, 30), []
given = {"rounds": 2, "seeds": (0, 1), "training": Training(steps=4, batch_size=10)}
network = architecture("fully-connected-1-6", n_classes=2)
alone = distill_network(network, images, labels, spread="one by one", **given)
together, start = Barrier(2, timeout=60), training.Trainer.start

def started(self, seeds, round):
    if round == 0:
        together.wait()  # both are in training at one time, or this breaks
        used.append(next(iter(jnp.zeros(1).devices())).id)
    return start(self, seeds, round)

training.Trainer.start = started
apart = distill_network(network, images, labels, spread="devices", **given)
print(len(jax.devices()), sorted(used), np.allclose(alone.train_outputs, apart.train_outputs, rtol=1e-4, atol=1e-5))
"""


def test_seeds_side_by_side_go_on_as_they_were(tmp_path):
    """Also where one seed's file was written and another's was not: all are trained once more, and one is kept."""
    whole = chain(folder=tmp_path / "whole", spread="side by side", seeds=(0, 5, 2))
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    for name in ("seed-5-round-1", "seed-5-round-2", "seed-2-round-2"):
        (tmp_path / f"part/{name}.npz").unlink()
    again = chain(folder=tmp_path / "part", spread="side by side", seeds=(0, 5, 2))
    np.testing.assert_array_equal(again.test_outputs, whole.test_outputs)


def test_processes_train_the_same_networks(path, tmp_path):
    path, _ = path
    apart = chain(folder=tmp_path, spread="processes", seeds=(0,))
    np.testing.assert_allclose(apart.test_outputs, path.test_outputs[:, :1], rtol=1e-3, atol=1e-4)


def test_a_process_that_fails_passes_on_its_error(tmp_path):
    """Also one that is killed."""
    with pytest.raises(NotConverged, match="loss of seed 0 in round 0 is"):
        chain(folder=tmp_path / "a", spread="processes", seeds=(0,), training=replace(TRAINING, learning_rate=1e9))
    noisy = (
        "import os, sys; print('noise'); sys.stderr.write('x' * 100_000 + 'the end'); sys.stderr.flush(); os.abort()"
    )
    with tempfile.TemporaryFile("w+") as noise:
        process = subprocess.Popen([sys.executable, "-c", noisy], stdout=subprocess.PIPE, stderr=noise, text=True)
        with pytest.raises(WorkerDied, match=r"trained seed 7 ended with code -6: x+the end; start again, and it goes"):
            workers._follow(process, noise, 7, lambda *_: None)


def test_a_teacher_may_be_shown_what_the_student_sees():
    """Without augmentation both see the same images; the stored outputs are then those of the running statistics."""
    stored, shown = (chain(seeds=(0,), rounds=2, teacher=teacher) for teacher in ("stored", "augmented"))
    np.testing.assert_allclose(shown.train_outputs, stored.train_outputs, rtol=1e-3, atol=1e-4)
    moved = replace(TRAINING, augmentation="crops and flips")
    stored, shown = (
        chain(seeds=(0,), rounds=2, teacher=teacher, training=moved) for teacher in ("stored", "augmented")
    )
    np.testing.assert_array_equal(shown.train_outputs[0], stored.train_outputs[0])
    assert np.any(shown.train_outputs[1] != stored.train_outputs[1])


def test_a_teacher_is_frozen(path):
    """Its stored parameters still give the outputs that its student was trained on."""
    path, folder = path
    network = ChainFolder(folder, json.loads((folder / "chain.json").read_text(encoding="utf-8"))).finished(0, 5)
    assert network is not None
    finite = FiniteNetwork(NETWORK, IMAGES.shape[1:])
    like = finite.init(0)
    parameters = unflattened(like[0], network.parameters)
    statistics = unflattened(like[1], network.statistics)
    outputs = finite.apply(parameters, statistics, IMAGES)[0]
    np.testing.assert_allclose(Loss().next_targets(outputs), path.targets[1, 1], atol=1e-6)


def test_hard_labels_are_the_teachers_classes():
    hard = chain(seeds=(0,), rounds=2, loss=Loss("cross-entropy", "hard"))
    np.testing.assert_array_equal(hard.targets[1, 0], np.eye(3)[hard.train_outputs[0, 0].argmax(-1)])


def test_a_chain_at_a_tolerance_takes_the_steps_it_needs():
    training = Training(steps=400, batch_size=None, learning_rate=0.05, weight_decay=0.0, tolerance=0.35, check_every=3)
    path = chain(training=training, rounds=2, loss=Loss("squared-error"))
    assert np.all(path.training_error <= 0.35)
    assert np.all(path.steps % 3 == 0)
    assert np.all(path.steps[1] < path.steps[0])  # the outputs of a network are easier to fit than labels


def test_a_training_is_chosen_on_images_that_it_does_not_see(tmp_path, monkeypatch):
    seen = []

    def spied(network, images, labels, *, test_images, test_labels, plain=distill_network, **options):
        seen.append((images, labels, test_images, test_labels))
        return plain(network, images, labels, test_images=test_images, test_labels=test_labels, **options)

    monkeypatch.setattr("hilbertsd.networks.chains.distill_network", spied)
    idle = replace(TRAINING, steps=1, learning_rate=1e-6)
    given = {"seeds": (0, 1), "spread": "one by one", "share": 0.3, "folder": tmp_path}
    choice = choose_training(NETWORK, IMAGES, LABELS, [idle, replace(TRAINING, steps=60)], **given)
    assert choice.accuracy.shape == (2, 2)
    assert choice.best == choice.trainings[1]
    assert choice.accuracy[1].mean() > choice.accuracy[0].mean()
    kept, kept_labels, held, held_labels = seen[0]
    np.testing.assert_array_equal(np.sort(np.vstack([kept, held]), axis=0), np.sort(IMAGES, axis=0))
    np.testing.assert_array_equal(np.sort(held, axis=0), np.sort(IMAGES[choice.validation_rows], axis=0))
    assert len(held) == 9
    for k in range(3):  # every class on both sides, in its share
        assert abs(np.count_nonzero(held_labels == k) - 0.3 * np.count_nonzero(np.equal(LABELS, k))) < 1
    assert np.all(np.isin(kept_labels, LABELS))
    assert json.loads(json.dumps(choice.to_dict()))["chosen"]["steps"] == 60
    for options, message in (
        ({"trainings": []}, r"trainings is \[\]; give a list"),
        ({"trainings": idle}, r"trainings is Training\(.*; give a list"),
        ({"trainings": [idle], "share": 5}, "share is 5; give a number between 0 and 1"),
        ({"trainings": [idle], "labels": LABELS[:-1]}, r"labels have shape \(29,\) for 30 images"),
        ({"trainings": [idle], "share": 0.99}, "share is 0.99 of 30 images"),
    ):
        with pytest.raises(InvalidInput, match=message):
            choose_training(NETWORK, IMAGES, options.pop("labels", LABELS), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "resnet-8"}, "architecture is 'resnet-8'; give what"),
        ({"images": IMAGES[:, :, :, 0]}, r"gets inputs of shape \(2, 2\)"),
        ({"labels": LABELS[:-1]}, r"labels have shape \(29,\) for 30 images"),
        ({"labels": LABELS + 1}, r"labels hold .*3.*; give whole numbers from 0 to 2"),
        ({"labels": LABELS + 0.5}, "give whole numbers from 0 to 2"),
        ({"test_labels": None}, "test images and test labels come together"),
        ({"test_images": TEST[:, :1]}, r"test_images have shape \(12, 1, 2, 3\) beside images"),
        ({"rounds": 0}, "rounds is 0"),
        ({"seeds": 5}, r"seeds is 5; give several, as range\(5\)"),
        ({"loss": "cross-entropy"}, "loss is 'cross-entropy'; give a hilbertsd.networks.Loss"),
        ({"training": {"steps": 3}}, "training is .*; give a hilbertsd.networks.Training"),
        ({"images": IMAGES.reshape(30, 12), "training": CROPPED}, "and crops and flips are for"),
        ({"seeds": ()}, r"seeds are \[\]; give at least one"),
        ({"seeds": (1, 1)}, r"seeds are \[1, 1\]"),
        ({"seeds": (-1,)}, "seed is -1"),
        ({"teacher": "live"}, "teacher is 'live'"),
        ({"spread": "threads"}, "spread is 'threads'"),
        ({"client": object()}, "folder is None with a cluster"),
        ({"centred": 1}, "centred is 1; give True or False"),
        ({"centred": True}, "centred is True and fully-connected-1 is normalised"),
        ({"output_scale": -1}, "output_scale is -1; give a positive finite number"),
        ({"targets": np.zeros((30, 2))}, r"targets have shape \(30, 2\); give \(30, 3\)"),
        ({"targets": np.zeros((30, 3)), "teacher": "augmented"}, "teacher is 'augmented' and targets are given"),
        ({"images": np.where(IMAGES > 3, np.nan, IMAGES) * np.nan}, "images hold values that are not finite in row 0"),
    ],
)
def test_what_makes_no_chain_is_refused(options, message):
    with pytest.raises(InvalidInput, match=message):
        chain(**options)


PLAIN = architecture("fully-connected-1-6", n_classes=3)


def test_outputs_scaled_by_a_half_learn_what_twice_the_targets_teach(tmp_path):
    """The same parameters at every step, with a rate over α² as its help says; all factors are powers of two."""
    targets = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    options = {"architecture": PLAIN, "rounds": 2, "loss": Loss("squared-error"), "centred": True, "seeds": (5,)}

    def trained(targets, rate, **scale):
        training = Training(steps=4, batch_size=None, learning_rate=rate, weight_decay=0.0)
        return chain(**options, training=training, targets=targets, **scale)

    whole = trained(2 * targets, 1 / 64)
    half = trained(targets, 1 / 16, output_scale=0.5, folder=tmp_path)
    np.testing.assert_allclose(2 * half.train_outputs, whole.train_outputs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(2 * half.test_outputs, whole.test_outputs, rtol=1e-5, atol=1e-6)
    assert (half.config["output_scale"], "output_scale" in whole.config) == (0.5, False)
    with pytest.raises(InvalidFile, match="another configuration: output_scale"):
        trained(targets, 1 / 16, folder=tmp_path)


def test_a_centred_chain_keeps_the_initial_parameters_and_starts_at_zero(tmp_path):
    training = Training(steps=4, batch_size=8, learning_rate=0.05, weight_decay=0.0)
    options = {"architecture": PLAIN, "rounds": 2, "training": training, "loss": Loss("squared-error")}
    path = chain(**options, seeds=(5,), centred=True, folder=tmp_path)
    assert path.config["centred"] is True
    plain = FiniteNetwork(PLAIN, IMAGES.shape[1:])
    for t in range(2):
        network = stored_network(tmp_path, round=t, seed=5)
        start, _ = plain.init((5, t))
        for name, array in flattened(start).items():
            np.testing.assert_array_equal(network.statistics[name], array)
        moved = unflattened(start, network.parameters)
        nothing = plain.init(0)[1]
        outputs, first = (np.asarray(plain.apply(each, nothing, TEST)[0]) for each in (moved, start))
        np.testing.assert_allclose(network.test_outputs, outputs - first, atol=1e-5)
    with pytest.raises(InvalidFile, match="centred"):
        chain(**options, seeds=(5,), folder=tmp_path)
    with pytest.raises(InvalidFile, match="seed-9-round-0"):
        stored_network(tmp_path, round=0, seed=9)


def test_targets_of_another_teacher_stand_for_those_of_round_0(path, tmp_path):
    _, folder = path
    singles = stored_network(folder, round=0, seed=0).train_outputs
    targets = np.asarray(Loss().next_targets(singles))
    students = chain(rounds=1, seeds=(0,), targets=targets, folder=tmp_path)
    # With the targets that its own first network sets the student is the second network of the chain.
    np.testing.assert_allclose(students.test_outputs[0, 0], path[0].test_outputs[1, 0], atol=1e-6)
    np.testing.assert_array_equal(students.targets[0, 0], targets)
    np.testing.assert_allclose(students.training_error[0, 0], path[0].training_error[1, 0], rtol=1e-5)
    with pytest.raises(InvalidFile, match="targets"):
        chain(rounds=1, seeds=(0,), targets=1 - targets, folder=tmp_path)

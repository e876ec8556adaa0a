"""Negative controls of the study of multi-view data."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.ntk.ensembles import SIX_USES
from hilbertsd.studies.multi_view.controls import CONTROLS, Control, control_errors

TINY = Control("gaussian, two-layer teacher", n_train=40, n_test=60, width=8, steps=60, n_networks=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Errors, the folder of their file, and the uses that were trained."""
    pytest.importorskip("jax", reason="needs the extra `networks`")
    pytest.importorskip("flax", reason="needs the extra `networks`")
    from hilbertsd.features import uses

    folder, kept, train_uses = tmp_path_factory.mktemp("controls"), [], uses.train_uses

    def keeping(*given, **options):
        kept.append(train_uses(*given, **options))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uses, "train_uses", keeping)
        found = control_errors(TINY, 1, folder)
    return found, folder, kept[0]


def test_errors_are_those_of_the_networks(made):
    found, _, uses = made
    labels, single = TINY.split(1).test_labels, uses.chain.test_outputs[0]
    assert tuple(found.errors) == SIX_USES
    assert found.errors["single"] == pytest.approx(1 - uses.chain.test_accuracy[0].mean())
    assert found.errors["ensemble"] == np.mean(single.mean(axis=0).argmax(axis=1) != labels)
    students = uses.students.test_outputs[0]
    assert found.errors["ensemble of the distilled"] == np.mean(students.mean(axis=0).argmax(axis=1) != labels)
    assert found.errors["knowledge distillation"] == pytest.approx(1 - uses.students.test_accuracy.mean())
    assert found.errors["self-distillation"] == pytest.approx(1 - uses.chain.test_accuracy[1].mean())
    assert found.errors["train the average"] == pytest.approx(1 - uses.average.test_accuracy.mean())
    assert found.lowest_train_accuracy == uses.chain.train_accuracy[0].min()
    assert uses.chain.config["loss"] == {"name": "cross-entropy", "targets": "soft", "temperature": 4.0}


def test_a_draw_is_the_same_again_and_read_where_it_is_there(made, tmp_path, monkeypatch):
    found, folder, _ = made
    assert control_errors(TINY, 1, tmp_path) == found
    monkeypatch.setattr("hilbertsd.features.uses.train_uses", lambda *_, **__: pytest.fail("it trains again"))
    again = control_errors(TINY, 1, folder)
    assert again == found
    assert tuple(again.errors) == SIX_USES


def test_files_of_others_and_damaged_ones_are_refused(made, tmp_path):
    _, folder, _ = made
    (path,) = folder.iterdir()
    assert path.name == "gaussian-two-layer-teacher-40-8-draw-1.npz"
    with pytest.raises(InvalidFile, match="has results of other control, training"):
        control_errors(replace(TINY, steps=61), 1, folder)
    content = path.read_bytes()
    (tmp_path / "gaussian-two-layer-teacher-40-8-draw-2.npz").write_bytes(content)
    with pytest.raises(InvalidFile, match="has results of other draw, data, seeds"):
        control_errors(TINY, 2, tmp_path)
    (tmp_path / path.name).write_bytes(content[:-40])
    with pytest.raises(InvalidFile, match="holds no ControlErrors"):
        control_errors(TINY, 1, tmp_path)


def test_every_control_has_data_of_its_own():
    draws = [replace(TINY, name=name).split(0) for name in CONTROLS]
    assert len({split.name for split in draws}) == len(CONTROLS) == 3
    assert {(split.train.shape, split.test.shape) for split in draws} == {((40, 40), (60, 40))}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "images"}, "control is 'images'; give one of gaussian, linear teacher"),
        ({"steps": 0}, "steps is 0"),
        ({"n_networks": 1}, "n_networks is 1; give a whole number of at least 2"),
    ],
)
def test_what_is_no_control_is_refused(given, message):
    with pytest.raises(InvalidInput, match=message):
        replace(TINY, **given)


def test_a_draw_is_a_seed(tmp_path):
    with pytest.raises(InvalidInput, match="draw is -1"):
        control_errors(TINY, -1, tmp_path)


def test_controls_are_known_without_jax():
    code = "import sys; sys.modules['jax'] = None; from hilbertsd.studies.multi_view import controls; controls.CONTROLS"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Six uses of view networks and their control."""

import numpy as np
import pytest

from hilbertsd.data import MultiView
from hilbertsd.errors import InvalidInput
from hilbertsd.ntk.ensembles import SIX_USES
from hilbertsd.views import ViewDescent, ViewLoss, ViewNetwork, train_view_networks, train_view_uses
from hilbertsd.views.uses import CONTROL, STUDENTS_APART, patient_steps

# With so few classes views of others have to be strong, or a student takes what is seen beside them for them.
DATA = MultiView(n_classes=4, n_patches=8, single_view_share=0.03, n_others=1.5, other_weight=(0.55, 0.6), noise=0.8)
SAMPLES, ONE = DATA.draw(160, seed=0), DATA.draw(800, seed=1, single=True)
NETWORK = ViewNetwork(n_classes=4, neurons=8, initial_scale=1e-3)
LOSS = ViewLoss("capped", 0.3, 0.5, 3.0)
GIVEN = {"inputs": SAMPLES.features, "labels": SAMPLES.labels, "noise": DATA.noise}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("uses")


@pytest.fixture(scope="module")
def uses(folder):
    return train_view_uses(NETWORK, **GIVEN, seeds=range(6), loss=LOSS, n_students=2, folder=folder, threads=2)


def test_every_use_is_what_it_says(uses):
    outputs = uses.outputs(ONE.features, seed=3)
    assert list(outputs) == [*SIX_USES, CONTROL]
    assert [len(each) for each in outputs.values()] == [6, 1, 1, 2, 2, 1, 2]
    singles = train_view_networks(NETWORK, **GIVEN, seeds=[0, 1])
    for place, single in enumerate(singles):
        np.testing.assert_array_equal(single.outputs(ONE.features, 3), outputs["single"][place])
    np.testing.assert_allclose(outputs["ensemble"][0], outputs["single"].mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        outputs["ensemble of the distilled"][0], outputs["knowledge distillation"].mean(axis=0), rtol=1e-5, atol=1e-6
    )


def test_students_have_their_teachers_and_their_control(uses):
    teacher = np.mean([each.train_outputs for each in uses.singles], axis=0)
    least = int(3.0 * np.mean([each.steps for each in uses.singles]))
    common = {**GIVEN, "seeds": [1 + STUDENTS_APART]}
    (student,) = train_view_networks(NETWORK, **common, loss=LOSS, teachers=[teacher], least_steps=[least])
    np.testing.assert_array_equal(student.train_outputs, uses.students[1].train_outputs)
    (own,) = train_view_networks(
        NETWORK, **common, loss=LOSS, teachers=[uses.singles[2].train_outputs], least_steps=[least]
    )
    np.testing.assert_array_equal(own.train_outputs, uses.self_students[1].train_outputs)
    (control,) = train_view_networks(NETWORK, **common, least_steps=[max(student.steps, own.steps)])
    np.testing.assert_array_equal(control.train_outputs, uses.controls[1].train_outputs)
    assert min(student.steps, control.steps) >= least
    assert [each.network.members for each in uses.average] == [6]


def test_an_ensemble_and_its_students_know_more_views_than_their_controls(uses):
    wrong = {use: (each.argmax(axis=2) != ONE.labels).mean() for use, each in uses.outputs(ONE.features, 3).items()}
    assert wrong["ensemble"] < 0.1 < 0.2 < wrong["single"] < 0.5
    assert wrong["knowledge distillation"] < 0.5 * wrong[CONTROL]


def test_the_folder_has_every_network(uses, folder):
    files = {path.parent.name for path in folder.rglob("*.npz")}
    assert files == {"singles", "average", "students", "self-students", "controls"}
    (folder / "students" / "seed-10001.npz").unlink()
    again = train_view_uses(NETWORK, **GIVEN, seeds=range(6), loss=LOSS, n_students=2, folder=folder)
    np.testing.assert_array_equal(again.students[1].train_outputs, uses.students[1].train_outputs)


def test_uses_that_are_left_out_leave_the_others_as_they_are(uses, folder):
    given = {**GIVEN, "seeds": range(6), "loss": LOSS, "n_students": 2}
    fewer = train_view_uses(NETWORK, **given, without=("train the average", CONTROL), folder=folder)
    assert (fewer.average, fewer.controls) == ([], [])
    outputs, of_all = fewer.outputs(ONE.features, 3), uses.outputs(ONE.features, 3)
    assert list(outputs) == [use for use in SIX_USES if use != "train the average"]
    for use, each in outputs.items():
        np.testing.assert_array_equal(each, of_all[use])


def test_patience_is_bounded_by_the_steps_that_a_descent_may_take(uses):
    mean = np.mean([each.steps for each in uses.singles])
    assert patient_steps(uses.singles, 3.0, ViewDescent()) == int(3 * mean)
    assert patient_steps(uses.singles, 3.0, ViewDescent(most_steps=100)) == 100


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seeds": [1]}, "1 seeds and 1 students"),
        ({"n_students": 0}, "6 seeds and 0 students"),
        ({"n_students": 7}, "6 seeds and 7 students"),
        ({"loss": ViewLoss()}, "'labels' has no teacher"),
        ({"seeds": [0, 10_000]}, "10000 apart"),
        ({"patience": 0.0}, "patience is 0"),
        ({"without": ["single"]}, r"without is \['single'\]; give 'train the average', 'longer training', both"),
    ],
)
def test_uses_that_cannot_be_are_refused(given, words):
    with pytest.raises(InvalidInput, match=words):
        train_view_uses(NETWORK, **{**GIVEN, "seeds": range(6), "loss": LOSS, **given})

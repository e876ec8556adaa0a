"""Six uses of view networks that differ by seed, with the control that tells distillation from longer training.

    uses = train_view_uses(network, features, labels, noise=1.2, seeds=range(10), loss=ViewLoss("capped", 0.3, 0.5, 3))
    uses.outputs(test_features, seed=1)["knowledge distillation"]      # (10, m, 10)

The uses are those of `hilbertsd.features.train_uses`: single, ensemble, train the average, knowledge distillation,
self-distillation, ensemble of the distilled. A control starts where a student starts, and is trained on the labels
alone for at least as many steps as both students. Steps are as long as the descent allows, so that as many steps are
not the same time of gradient flow.

Source: Allen-Zhu & Li (2020), arXiv:2012.09816, Theorems 1 to 4.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.ntk.ensembles import with_means
from hilbertsd.support.checks import check_positive
from hilbertsd.views.descent import ViewDescent
from hilbertsd.views.losses import ViewLoss
from hilbertsd.views.network import ViewNetwork
from hilbertsd.views.trained import TrainedViews
from hilbertsd.views.training import train_view_networks

AVERAGE, CONTROL = "train the average", "longer training"
"""Names of the average and of the controls among the uses."""

STUDENTS_APART = 10_000
"""What is added to the seed of a single network for the students of the same place, who start elsewhere."""


PATIENCE = 3.0
"""How many times the mean number of steps of the singles a student is trained at least, by default."""


@dataclass(frozen=True, eq=False)
class ViewUses:
    """Networks of all uses.

    Attributes
    ----------
    singles : L networks that are trained on the labels.
    average : one network of L members that are trained as one; none where it was left out.
    students, self_students : K students of the ensemble and, from the same starts, of a single network each.
    controls : K networks from these starts, trained on the labels for as long as the longer of both students; none
        where they were left out.
    """

    singles: list[TrainedViews]
    average: list[TrainedViews]
    students: list[TrainedViews]
    self_students: list[TrainedViews]
    controls: list[TrainedViews]

    @property
    def networks(self) -> dict[str, list[TrainedViews]]:
        """Networks by use, but for uses that are a mean of others and those that were left out."""
        by_use = {
            "single": self.singles,
            AVERAGE: self.average,
            "knowledge distillation": self.students,
            "self-distillation": self.self_students,
            CONTROL: self.controls,
        }
        return {use: networks for use, networks in by_use.items() if networks}

    def outputs(self, inputs: Any, seed: int) -> dict[str, NDArray[np.float32]]:
        """By use in the order of `hilbertsd.ntk.ensembles.SIX_USES`, and of the controls, (L, K or 1, m, k) outputs.

        Parameters
        ----------
        inputs, seed : as in :meth:`TrainedViews.outputs`.
        """
        found = {use: np.stack([each.outputs(inputs, seed) for each in some]) for use, some in self.networks.items()}
        return {**with_means(found), **({CONTROL: found[CONTROL]} if CONTROL in found else {})}


def train_view_uses(
    network: ViewNetwork,
    inputs: Any,
    labels: Any,
    *,
    noise: float,
    seeds: Sequence[int],
    loss: ViewLoss,
    n_students: int | None = None,
    patience: float = PATIENCE,
    without: Collection[str] = (),
    descent: ViewDescent = ViewDescent(),  # noqa: B008  # frozen
    folder: str | os.PathLike[str] | None = None,
    threads: int = 1,
) -> ViewUses:
    """Train the networks of all uses, but for those that the folder holds.

    Parameters
    ----------
    network : a single network.
    seeds : (L,) seeds of the singles, at least two.
    loss : of all students.
    n_students : K, students of either teacher, from 1 to L; L by default.
    patience : students are trained for at least as many times the mean number of steps of the singles, because their
        loss stands still before they learn what only their teacher knows. Never more than the descent's most_steps.
    without : which of "train the average" and the controls, `CONTROL`, are left out; each takes about a quarter of the
        time.
    folder : where networks are kept, in a folder for each use, so that a killed run goes on.
    inputs, labels, noise, descent, threads : as in :func:`train_view_networks`; all are trained in the same way.

    Raises
    ------
    InvalidInput, InvalidFile
        There are fewer than two seeds, more students than seeds, a loss without a teacher, or a use to be left out that
        is none of the two; and as :func:`train_view_networks`.
    """
    seeds = list(seeds)
    K = len(seeds) if n_students is None else n_students
    if len(seeds) < 2 or not 1 <= K <= len(seeds):
        raise InvalidInput(
            f"there are {len(seeds)} seeds and {K} students; give two seeds and as many students at most"
        )
    if not set(without) <= {AVERAGE, CONTROL}:
        raise InvalidInput(f"without is {sorted(without)}; give {AVERAGE!r}, {CONTROL!r}, both or nothing")
    if not loss.has_teacher:
        raise InvalidInput(f"the loss {loss.name!r} has no teacher; give one of those with a teacher")

    def trained(name: str, network: ViewNetwork, seeds: Sequence[int], **given: Any) -> list[TrainedViews]:
        place = None if folder is None else Path(folder) / name
        common: dict[str, Any] = {"noise": noise, "seeds": seeds, "descent": descent, "threads": threads}
        return train_view_networks(network, inputs, labels, **common, folder=place, **given)

    singles = trained("singles", network, seeds)
    left_out = set(without)
    average = [] if AVERAGE in left_out else trained("average", replace(network, members=len(seeds)), seeds[:1])
    starts = [seed + STUDENTS_APART for seed in seeds[:K]]
    if set(starts) & set(seeds):
        raise InvalidInput(f"seeds {seeds} are {STUDENTS_APART} apart, and students start at seeds + {STUDENTS_APART}")
    taught = np.stack([each.train_outputs for each in singles])
    least = [patient_steps(singles, patience, descent)] * K
    distilled: dict[str, Any] = {"loss": loss, "least_steps": least}
    students = trained("students", network, starts, teachers=[taught.mean(axis=0)] * K, **distilled)
    self_students = trained("self-students", network, starts, teachers=np.roll(taught, -1, axis=0)[:K], **distilled)
    longest = [max(one.steps, other.steps) for one, other in zip(students, self_students, strict=True)]
    controls = [] if CONTROL in left_out else trained("controls", network, starts, least_steps=longest)
    return ViewUses(singles, average, students, self_students, controls)


def patient_steps(singles: Sequence[TrainedViews], patience: float, descent: ViewDescent) -> int:
    """Number of steps that students are trained at least: so many times the mean of singles, or the descent's most.

    Raises InvalidInput for a patience that is not positive.
    """
    check_positive(patience, "patience", "a number of trainings", InvalidInput)
    return min(int(patience * np.mean([each.steps for each in singles])), descent.most_steps)

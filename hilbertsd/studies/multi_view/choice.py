"""Which loss the students have: chosen on draws of the data that the study does not report.

    errors = tried(folder, setting, counts, losses, draw=TRIED, seed=0, test=(2000, 20000))     # (losses, K)

The loss with the lowest mean error of the ensemble's students is taken, for students of single networks as well. Here
students are trained twice as long at least as they are then, so that none loses for want of steps.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies.multi_view.parts import Draw, error_over_share, network_seeds, short_name, wrong
from hilbertsd.studies.multi_view.presets import DESCENT, Counts, Setting
from hilbertsd.views.losses import ViewLoss

TRIED = 50
"""Number of the first draw on which the loss is chosen; reported draws have smaller numbers."""


def tried(
    folder: Path,
    setting: Setting,
    counts: Counts,
    losses: Sequence[ViewLoss],
    draw: int,
    seed: int,
    test: tuple[int, int],
) -> NDArray[np.float64]:
    """(losses, K) errors, in units of μ, of students of the ensemble on one draw.

    Raises InvalidFile where the folder has other networks, or cannot be written.
    """
    from hilbertsd.views.descent import ViewDescent
    from hilbertsd.views.training import train_view_networks
    from hilbertsd.views.uses import PATIENCE, STUDENTS_APART, patient_steps

    samples = Draw.of(setting, draw, seed, test)
    place = folder / f"{short_name(setting)}-tried-{draw}"
    inputs = (setting.network, samples.train.features, samples.train.labels)
    descent = ViewDescent(**DESCENT)
    common: dict[str, Any] = {"noise": setting.data.noise, "descent": descent}
    seeds = network_seeds(seed, draw, counts.networks)
    singles = train_view_networks(*inputs, seeds=seeds, folder=place / "singles", **common)
    teacher = np.mean([each.train_outputs for each in singles], axis=0)
    least = patient_steps(singles, 2 * PATIENCE, descent)
    starts = [each + STUDENTS_APART for each in seeds[: counts.students]]
    errors = []
    for loss in losses:
        students = train_view_networks(
            *inputs,
            seeds=starts,
            loss=loss,
            teachers=[teacher] * len(starts),
            least_steps=[least] * len(starts),
            folder=place / f"{loss.name}-{loss.temperature:g}-{loss.cap:g}-{loss.weight:g}",
            **common,
        )
        single, multi = (
            wrong(np.stack([each.outputs(part.features, seed + number) for each in students]), part).mean(axis=1)
            for number, part in enumerate(samples[1:])
        )
        errors.append(error_over_share(single, multi, setting.data.single_view_share))
    return np.stack(errors)

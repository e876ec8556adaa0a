"""Ensembles and distillation on multi-view data: which views networks learn, and what kernels do on the same data.

    result = run(Config("smoke", parts=Path("parts")))
    result.rows()[0]                             # a setting and a use: error, and views known
    result.claims()

Every class has two views, and a share μ of the samples shows one of them only. A network learns one view of most
classes and errs on half of the samples that show the other; an ensemble knows both, and its student learns them from
it. The study measures that against the theorems of Allen-Zhu & Li (2020), arXiv:2012.09816, looks for where they fail,
and repeats it with tangent kernels and on data without views. A killed run goes on from the networks in its folder.
Needs JAX, Flax and Optax.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies import form
from hilbertsd.studies.multi_view.choice import TRIED, tried
from hilbertsd.studies.multi_view.controls import control_errors
from hilbertsd.studies.multi_view.evidence import Evidence
from hilbertsd.studies.multi_view.figures import figures
from hilbertsd.studies.multi_view.kernels import stored as stored_kernels
from hilbertsd.studies.multi_view.parts import Measured, stored
from hilbertsd.studies.multi_view.presets import PRESETS, Config, Setting
from hilbertsd.studies.multi_view.results import Result
from hilbertsd.support.files import output_folder
from hilbertsd.support.machine import available_cores
from hilbertsd.support.progress import TimeLeft, progress

P = TypeVar("P")
T = TypeVar("T")


def run(config: Config) -> Result:
    """Train every network and fit every kernel that the folder does not hold.

    Raises
    ------
    InvalidInput
        No folder for the networks.
    InvalidFile
        The folder has networks of another configuration, or cannot be written.
    MissingPackage
        JAX, Flax or Optax is not installed.
    """
    preset, folder = PRESETS[config.preset], output_folder(config.parts_folder())
    seed, test = config.seed, preset.test

    def errors_by_loss(draw: int) -> NDArray[np.float64]:
        return tried(folder, preset.first, preset.tried, preset.losses, TRIED + draw, seed, test)

    draws = _several("draws for the loss", errors_by_loss, list(range(preset.tried.draws)))
    by_loss = dict(zip(preset.losses, np.stack(draws, axis=1), strict=True))
    loss = min(by_loss, key=lambda each: by_loss[each].mean())
    plan = [(setting, counts, draw) for setting, counts in preset.plan().items() for draw in range(counts.draws)]
    found = _several("draws", lambda part: stored(folder, part[0], part[1], loss, part[2], seed, test), plan)
    measured: dict[Setting, list[dict[str, Measured]]] = {setting: [] for setting in preset.plan()}
    for (setting, _, _), each in zip(plan, found, strict=True):
        measured[setting].append(each)
    kernels = [
        stored_kernels(folder, preset.first, preset.kernels, d, config.seed) for d in range(preset.kernels.draws)
    ]
    controls = {
        control.name: [control_errors(control, 1000 * seed + draw, folder) for draw in range(preset.control_draws)]
        for control in preset.controls
    }
    return Result(config, Evidence(preset, by_loss, loss, measured, kernels, controls))


def _several(name: str, function: Callable[[P], T], parts: Sequence[P]) -> list[T]:
    """What a function gives for every part, as many at a time as there are cores; networks take one core each."""
    found: list[T] = []
    with progress(name, len(parts)) as bar, ThreadPoolExecutor(available_cores()) as executor:
        left = TimeLeft(len(parts))
        for done, each in enumerate(executor.map(function, parts)):
            found.append(each)
            bar.update(done + 1, left.note(done + 1))
    return found


STUDY = form.Study("multi-view", __doc__, Config, run, figures)

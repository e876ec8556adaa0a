"""Negative controls: six uses of networks on data without views, where ensembles are said to gain nothing.

    control = Control("mixture", n_train=1000, n_test=5000, width=128, steps=1000, n_networks=10)
    found = control_errors(control, draw=0, folder=folder)
    found.errors["ensemble"]          # share of the test inputs, 0 to 1
    found.lowest_train_accuracy       # 1.0 where every single network fits its labels

Source: Allen-Zhu & Li (2020), arXiv:2012.09816, which claims it of Gaussian-like inputs.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hilbertsd import networks
from hilbertsd.data.gaussian import gaussian_split
from hilbertsd.data.mixture import mixture_split
from hilbertsd.data.splits import ImageSplit
from hilbertsd.data.teachers import CLASSES
from hilbertsd.errors import InvalidInput
from hilbertsd.networks.architectures import architecture
from hilbertsd.ntk.ensembles import SIX_USES
from hilbertsd.support.array_files import check_source, read_arrays, write_arrays
from hilbertsd.support.checks import check_choice, check_whole
from hilbertsd.support.files import output_folder

FORMAT = "hilbertsd.ControlErrors/1"

TEACHERS = {"gaussian, linear teacher": "linear", "gaussian, two-layer teacher": "two-layer"}
"""Teachers of :func:`hilbertsd.data.gaussian_split`, by the names of their controls."""

MIXTURE = "mixture"

CONTROLS = (*TEACHERS, MIXTURE)

BATCH_SIZE, LEARNING_RATE = 100, 0.01
"""Inputs of a step, and the rate of Adam at the start, which goes down to 0 along a cosine."""

TEMPERATURE = 4.0
"""τ of the softmax with which networks teach and learn."""

SEEDS_APART = 1000
"""Seeds of networks between those of one draw and those of the next."""


@dataclass(frozen=True)
class Control:
    """Data without views, and the networks that are trained on them.

    Attributes
    ----------
    name : one of `CONTROLS`.
    n_train, n_test : numbers of inputs.
    width : of both hidden layers.
    steps : of the training of every network.
    n_networks : number L of networks that differ by seed.

    Raises InvalidInput for another name, and for numbers that are not whole from 1 on; of networks it takes two.
    """

    name: str
    n_train: int
    n_test: int
    width: int
    steps: int
    n_networks: int

    def __post_init__(self) -> None:
        check_choice(self.name, "control", CONTROLS)
        for name in ("n_train", "n_test", "width", "steps", "n_networks"):
            check_whole(getattr(self, name), name, InvalidInput, 2 if name == "n_networks" else 1)

    def split(self, draw: int) -> ImageSplit:
        """Inputs (n, 40) and (m, 40) of a draw, with labels."""
        if self.name == MIXTURE:
            return mixture_split(self.n_train, self.n_test, draw)
        return gaussian_split(TEACHERS[self.name], self.n_train, self.n_test, draw)


@dataclass(frozen=True)
class ControlErrors:
    """What the networks of one draw get wrong.

    Attributes
    ----------
    errors : by use in the order of `hilbertsd.ntk.ensembles.SIX_USES`, share of the test inputs that are classified
        wrongly, the mean over the networks of a use.
    lowest_train_accuracy : share of the training inputs that the worst single network classifies as they are labelled.
    """

    errors: dict[str, float]
    lowest_train_accuracy: float


def control_errors(control: Control, draw: int, folder: Path) -> ControlErrors:
    """Errors of a draw, read from their file in a folder, or computed and written.

    All networks are fully connected ones of two hidden ReLU layers without biases, and take the same number of Adam's
    steps, without weight decay, which would keep some from fitting all labels. Singles minimise the cross-entropy with
    the labels. Students minimise that of Hinton, Vinyals & Dean, as ``Loss("cross-entropy", temperature=4)`` has it: τ²
    times the cross-entropy of softmax(outputs/τ) with the teacher's, and no labels beside it. At τ = 1 a teacher that
    fits its labels says hardly more than these; 4 is what `hilbertsd run ntk-vs-features` teaches with.

    Parameters
    ----------
    control : data and networks.
    draw : seed of the data; the networks of every draw have seeds of their own.
    folder : made if it does not exist. Networks are not kept.

    Raises
    ------
    InvalidInput
        The draw is no whole number from 0 on.
    InvalidFile
        The file is of another configuration, damaged, or cannot be written.
    NotConverged, MissingPackage
        As :func:`hilbertsd.features.train_uses`.
    """
    check_whole(draw, "draw", InvalidInput, 0)
    name = control.name.replace(", ", "-").replace(" ", "-")
    path = output_folder(folder) / f"{name}-{control.n_train}-{control.width}-draw-{draw}.npz"
    split, options = control.split(draw), _options(control, draw)
    source = _source(control, draw, split, options)
    if path.exists():
        found, made_from = read_arrays(path, FORMAT, lambda _, metadata: (_errors(metadata), metadata["source"]))
        check_source(path, made_from, source)
        return found
    from hilbertsd.features.uses import train_uses  # JAX is loaded where something runs

    with TemporaryDirectory() as networks_folder:
        uses = train_uses(
            images=split.train,
            labels=split.train_labels,
            test_images=split.test,
            test_labels=split.test_labels,
            folder=networks_folder,
            spread="side by side",  # a process for each network would take longer to start than to train
            **options,
        )
    wrong = {use: outputs.argmax(axis=-1) != split.test_labels for use, outputs in uses.test_outputs.items()}
    found = ControlErrors(
        {use: float(values.mean()) for use, values in wrong.items()}, float(uses.chain.train_accuracy[0].min())
    )
    write_arrays(path, FORMAT, {"source": source, **asdict(found)}, {})
    return found


def _options(control: Control, draw: int) -> dict[str, Any]:
    """Networks of a draw and their training, as :func:`hilbertsd.features.train_uses` takes them."""
    # A network of the draw's own seed would take its parameters from the numbers that the mixture is drawn from.
    first = SEEDS_APART * (draw + 1)
    return {
        "network": architecture(f"fully-connected-2-{control.width}", n_classes=CLASSES),
        "seeds": range(first, first + control.n_networks),
        "loss": networks.Loss("cross-entropy", temperature=TEMPERATURE),
        "training": networks.Training(
            steps=control.steps,
            batch_size=BATCH_SIZE,
            optimiser="adam",
            learning_rate=LEARNING_RATE,
            weight_decay=0.0,
        ),
    }


def _source(control: Control, draw: int, split: ImageSplit, options: dict[str, Any]) -> dict[str, Any]:
    """What the errors of a draw depend on, ready for JSON."""
    data = hashlib.sha256()
    for values in (split.train, split.test):
        data.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    for labels in (split.train_labels, split.test_labels):
        data.update(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    source = {
        "control": asdict(control),
        "draw": draw,
        "data": data.hexdigest(),
        "network": options["network"].config,
        "seeds": list(options["seeds"]),
        "loss": asdict(options["loss"]),
        "training": asdict(options["training"]),
    }
    return json.loads(json.dumps(source))


def _errors(metadata: dict[str, Any]) -> ControlErrors:
    """Errors in a file; KeyError where it lacks one."""
    return ControlErrors({use: metadata["errors"][use] for use in SIX_USES}, metadata["lowest_train_accuracy"])

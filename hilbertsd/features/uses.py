"""Six uses of networks that differ by seed, trained; `hilbertsd.ntk.ensembles` has those of their tangent kernels.

    single                     train F_l on the labels
    ensemble                   mean of the outputs of the L singles
    train the average          train (F_1 + … + F_L)/√L as one network
    knowledge distillation     train on the outputs of the ensemble
    self-distillation          train on the outputs of one single
    ensemble of the distilled  mean of the outputs of the L students of the ensemble

Every student starts from random parameters that are not those of any single. Students of one seed, of the ensemble and
of a single, start from the same ones and see the images in the same order.

    uses = train_uses(
        architecture("resnet-8", normalisation="batch"), images, labels, test_images, test_labels, seeds=range(10),
        folder="networks",
    )
    uses.test_outputs["knowledge distillation"]  # (10, m, k)

Source: Allen-Zhu & Li (2020), arXiv:2012.09816, Figure 1 and section 7.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import networks
from hilbertsd.errors import InvalidInput
from hilbertsd.networks.architectures import Architecture, architecture, check_architecture
from hilbertsd.networks.losses import Loss
from hilbertsd.networks.network_path import NetworkPath
from hilbertsd.networks.training import Training
from hilbertsd.ntk.ensembles import with_means
from hilbertsd.ntk.jax_backend import sixty_four_bits
from hilbertsd.support.files import output_folder

CHAIN, STUDENTS, AVERAGE = "chain", "students-of-the-ensemble", "average"
"""Folders of the networks: singles with those distilled from them, round after round; students; and their average."""


@dataclass(frozen=True, eq=False)
class TrainedUses:
    """Networks of all uses.

    Attributes
    ----------
    chain : singles as round 0, the self-distilled as round 1, and what is distilled from these.
    students : students of the ensemble, a path of one round.
    average : the average that was trained as one network, a path of one round and one seed.
    """

    chain: NetworkPath
    students: NetworkPath
    average: NetworkPath

    @property
    def paths(self) -> dict[str, NetworkPath]:
        """The three paths by the names of their folders."""
        return {CHAIN: self.chain, STUDENTS: self.students, AVERAGE: self.average}

    @property
    def test_outputs(self) -> dict[str, NDArray[np.float32]]:
        """By use in the order of `hilbertsd.ntk.ensembles.SIX_USES`, (L or 1, m, k) outputs for the test images."""
        return with_means(
            {
                "single": self.chain.test_outputs[0],
                "train the average": self.average.test_outputs[0],
                "knowledge distillation": self.students.test_outputs[0],
                "self-distillation": self.chain.test_outputs[1],
            }
        )


def train_uses(
    network: Architecture,
    images: Any,
    labels: Any,
    test_images: Any,
    test_labels: Any,
    *,
    seeds: Sequence[int],
    folder: str | os.PathLike[str],
    rounds: int = 2,
    loss: Loss = Loss(),  # noqa: B008  # frozen
    training: Training = Training(),  # noqa: B008
    centred: bool = False,
    spread: str | None = None,
    client: Any = None,
) -> TrainedUses:
    """Train the networks of all uses, but for those that the folder holds.

    Parameters
    ----------
    network : from :func:`hilbertsd.networks.architecture`.
    seeds : (L,) seeds of the singles, of which an ensemble takes at least two.
    folder : where finished networks and running states are kept, so that a killed run goes on.
    rounds : number of rounds of the chain, at least two: singles, those distilled from them, and so on.
    images, labels, test_images, test_labels, loss, training, centred, spread, client : as in
        :func:`hilbertsd.networks.distill_network`. All networks are trained in the same way.

    Raises
    ------
    InvalidInput, InvalidFile, NotConverged, MissingPackage
        There are fewer than two seeds or two rounds; and as :func:`hilbertsd.networks.distill_network`.
    """
    check_architecture(network)
    seeds = list(seeds)
    if len(seeds) < 2 or rounds < 2:
        raise InvalidInput(f"there are {len(seeds)} seeds and {rounds} rounds; give at least two of both")
    place = output_folder(Path(folder))
    common: dict[str, Any] = {
        "test_images": test_images,
        "test_labels": test_labels,
        "loss": loss,
        "training": training,
        "centred": centred,
        "spread": spread,
        "client": client,
    }
    distill = networks.distill_network
    chain = distill(network, images, labels, rounds=rounds, seeds=seeds, folder=place / CHAIN, **common)
    # In float64, so that they are the same float32 numbers on every device, whose students the folder then knows again.
    with sixty_four_bits(True):
        targets = np.asarray(loss.next_targets(chain.train_outputs[0].mean(axis=0, dtype=np.float64)), np.float32)
    students = distill(
        network, images, labels, rounds=1, seeds=seeds, targets=targets, folder=place / STUDENTS, **common
    )
    joint = architecture(**network.config, members=len(seeds))
    average = distill(joint, images, labels, rounds=1, seeds=seeds[:1], folder=place / AVERAGE, **common)
    return TrainedUses(chain, students, average)

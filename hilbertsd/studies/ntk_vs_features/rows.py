"""Rows of the table: six uses of kernels, or of trained networks, right or wrong on every test image.

    row = kernel_row(grams, draw)
    row.correct["knowledge distillation"]  # (L, m)

What can be chosen, strengths of kernels and learning rates of networks, is chosen on validation images.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import networks
from hilbertsd.errors import NotConverged, WorkerDied
from hilbertsd.networks.architectures import Architecture
from hilbertsd.ntk.ensembles import FILTERS, SIX_USES, members_and_average, six_uses
from hilbertsd.studies.ntk_ensembles.orderings import best_strengths
from hilbertsd.studies.ntk_ensembles.parts import Draw
from hilbertsd.studies.ntk_ensembles.presets import MULTIPLES
from hilbertsd.studies.ntk_vs_features.presets import PRESETS, TRIED_SEED, Config, Kind
from hilbertsd.support.array_files import check_source, read_arrays, write_arrays

if TYPE_CHECKING:
    from hilbertsd.features.uses import TrainedUses

FORMAT = "hilbertsd.UsesRow/2"

AT_SINGLES_STRENGTH = ", at the strength of single models"
"""What a use of kernels is called where every fit, a teacher's and a student's, has the strength of single models."""


@dataclass(frozen=True, eq=False)
class Row:
    """One row of the table.

    Attributes
    ----------
    correct : by use, (L or 1, m) whether each network or kernel classifies each test image as it is labelled; of
        kernels also by use at the strength of single models.
    chosen : by use what was chosen, and accuracies on the validation images, ready for JSON.
    """

    correct: dict[str, NDArray[np.bool_]]
    chosen: dict[str, Any]


def stored_row(path: Path, source: dict[str, Any], compute: Callable[[], Row]) -> Row:
    """Row from its file, or computed and written.

    Raises InvalidFile where the file is of another configuration, damaged, or cannot be written.
    """
    if path.exists():
        row, found = read_arrays(
            path, FORMAT, lambda arrays, metadata: (Row(arrays, metadata["chosen"]), metadata["source"])
        )
        uses = [use for use in SIX_USES if use in row.correct]
        check_source(path, {**found, "uses": uses}, {**source, "uses": list(SIX_USES)})
        return row
    row = compute()
    write_arrays(path, FORMAT, {"source": source, "chosen": row.chosen}, row.correct)
    return row


def kernel_row(grams: Iterable[tuple[NDArray[Any], NDArray[Any]]], draw: Draw) -> Row:
    """Six uses of kernels in ridge regression, each at the strengths that are best on the validation images.

    And once more all of them at the strength of single models, for teacher and student alike.

    Parameters
    ----------
    grams : (n, n) kernel matrix of the fitted images, and (v + m, n) of the others with them, of every network.
    draw : images.
    """
    from hilbertsd.ntk.jax_backend import eigh  # JAX is loaded where something runs

    members, average = members_and_average(grams, eigh)
    outputs = six_uses(members, average, draw.targets, FILTERS["ridge"], MULTIPLES)
    v, correct, chosen = draw.sizes.validation, {}, {}
    right = {use: values.argmax(axis=-1) == draw.labels for use, values in outputs.items()}
    for use in SIX_USES:
        validation = right[use][..., :v].mean(axis=(-2, -1))
        place = tuple(best_strengths(validation))
        correct[use] = right[use][place][:, v:]
        chosen[use] = {
            "strengths": [MULTIPLES[index] for index in place],
            "validation_accuracy": float(validation[place]),
        }
    one = MULTIPLES.index(chosen["single"]["strengths"][0])
    for use in SIX_USES[1:]:
        correct[use + AT_SINGLES_STRENGTH] = right[use][(one,) * (right[use].ndim - 2)][:, v:]
    return Row(correct, chosen)


def trained_row(uses: "TrainedUses", training: dict[str, Any], draw: Draw) -> Row:
    """Six uses of trained networks, whose test images are the draw's others."""
    v, correct, chosen = draw.sizes.validation, {}, {"training": training}
    for use, outputs in uses.test_outputs.items():
        right = outputs.argmax(axis=-1) == draw.labels
        correct[use] = right[:, v:]
        chosen[use] = {"validation_accuracy": float(right[:, :v].mean())}
    # Near 1 a teacher's softmax is hardly more than the labels.
    chosen["knowledge distillation"]["mean_largest_target"] = float(uses.students.targets[0, 0].max(axis=-1).mean())
    return Row(correct, chosen)


def trained(
    kind: Kind, network: Architecture, config: Config, rounds: int, draw: Draw, folder: Path, client: Any
) -> "tuple[TrainedUses, dict[str, Any]]":
    """Networks of all uses, trained at the learning rate that is best on the validation images; and what was tried.

    Errors as :func:`hilbertsd.networks.distill_network`.
    """
    from hilbertsd.features.uses import train_uses

    preset, options = PRESETS[config.preset], kind.options(config.temperature)
    labels, v = draw.targets.argmax(axis=1), draw.sizes.validation
    trainings = kind.trainings(len(labels), preset.epochs, preset.batch_size)
    accuracies = []
    for training in trainings:
        try:
            path = networks.distill_network(
                network,
                draw.fitted,
                labels,
                rounds=2,  # a student may diverge where its teacher does not
                seeds=[config.seed + TRIED_SEED],
                test_images=draw.others[:v],
                test_labels=draw.labels[:v],
                training=training,
                folder=folder / f"rate-{training.learning_rate:g}",
                client=client,
                **options,
            )
        except WorkerDied:  # tried again, it may come to its end
            raise
        except NotConverged:
            accuracies.append(0.0)
        else:
            accuracies.append(float(path.test_accuracy[0, 0]))
    best = trainings[int(np.argmax(accuracies))]
    uses = train_uses(
        network,
        draw.fitted,
        labels,
        draw.others,
        draw.labels,
        seeds=range(config.seed, config.seed + preset.networks),
        folder=folder,
        rounds=rounds,
        training=best,
        spread=preset.spread,
        client=client,
        **options,
    )
    tried = [
        {"learning_rate": training.learning_rate, "validation_accuracy": accuracy}
        for training, accuracy in zip(trainings, accuracies, strict=True)
    ]
    return uses, {"tried": tried, "chosen": asdict(best)}

"""One part of the study: the five uses of L networks of one width, with one form of kernel, on one draw of images.

    draws = image_draws(config, preset, FULL)
    accuracies = measured(preset, Part(FULL, width=2, draw=0), draws[0], seed=0)
    accuracies["knowledge distillation"]  # (2, 2, 2, S, S): plain or normalised, filter, validation or test, strengths

A draw has its own training, validation and test images and its own networks, none of which another draw has. A part's
accuracies are kept in a file, so that a killed run goes on from them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import ntk
from hilbertsd.data.splits import ImageSplit, image_split
from hilbertsd.networks.architectures import Architecture, architecture
from hilbertsd.ntk.ensembles import FILTERS, USES, members_and_average, normalised, scores, six_uses
from hilbertsd.studies.ntk_ensembles.presets import FULL, MULTIPLES, Config, Preset, Sizes
from hilbertsd.support.array_files import check_source, read_arrays, write_arrays

FORMAT = "hilbertsd.EnsemblePart/1"

SEEDS_APART = 1000
"""Seeds of networks between those of one seed of the study and those of the next."""

Accuracies = dict[str, NDArray[np.float64]]
"""By use, (2, F, 2, S) or with a teacher (2, F, 2, S, S) mean accuracy over the networks: of kernels as they are and
normalised, by filter, on validation and test images, by strength."""


@dataclass(frozen=True)
class Part:
    """Form of the kernel, width of the networks, and number of the draw."""

    form: str
    width: int
    draw: int


@dataclass(frozen=True, eq=False)
class Draw:
    """Images of one draw.

    Attributes
    ----------
    fitted : (n, …) images that are fitted.
    targets : (n, k) their centred one-hot labels.
    others : (v + m, …) validation images, then test images.
    labels : (v + m,) their labels.
    sizes : n, v and m.
    """

    fitted: NDArray[np.float64]
    targets: NDArray[np.float64]
    others: NDArray[np.float64]
    labels: NDArray[np.int64]
    sizes: Sizes


def image_draws(config: Config, preset: Preset, form: str) -> tuple[str, list[Draw]]:
    """Name of the data and the images of every draw; errors as :func:`hilbertsd.data.image_split`.

    Draws are consecutive parts of one balanced draw, so that each has equally many images of every class up to one, and
    the first draws of many are those of few.
    """
    sizes, count = preset.sizes[form], preset.draws
    images = image_split(
        config.dataset, count * sizes.seen, count * sizes.test, size=preset.side, seed=config.seed, folder=config.data
    )
    return images.name, [draw_of(images, sizes, d) for d in range(count)]


def draw_of(images: ImageSplit, sizes: Sizes, d: int = 0) -> Draw:
    """Images of a draw, which are those after the ones of the draws before."""
    fitted = slice(d * sizes.seen, d * sizes.seen + sizes.train)
    held_out = slice(fitted.stop, (d + 1) * sizes.seen)
    test = slice(d * sizes.test, (d + 1) * sizes.test)
    return Draw(
        images.train[fitted],
        images.targets[fitted],
        np.concatenate([images.train[held_out], images.test[test]]),
        np.concatenate([images.train_labels[held_out], images.test_labels[test]]),
        sizes,
    )


def network_of(preset: Preset, form: str, width: int, n_classes: int) -> Architecture:
    """Architecture of a width, with one output where the kernel sees no other."""
    return architecture(preset.network, width=width, n_classes=n_classes if form == FULL else 1)


def stored(folder: Path, preset: Preset, part: Part, draw: Draw, seed: int) -> Accuracies:
    """Accuracies of a part, read from its file in a folder, or measured and written.

    Raises
    ------
    InvalidFile
        The file is of another configuration, damaged, or cannot be written.
    InvalidInput, MissingPackage
        As :func:`hilbertsd.ntk.empirical_grams`.
    """
    path = folder / f"{part.form}-width-{part.width}-draw-{part.draw}.npz"
    source = _source(preset, part, draw, seed)
    if path.exists():
        accuracies, found = read_arrays(path, FORMAT, lambda arrays, metadata: (arrays, metadata["source"]))
        check_source(path, {**found, "uses": sorted(accuracies)}, {**source, "uses": sorted(USES)})
        return accuracies
    accuracies = measured(preset, part, draw, seed)
    write_arrays(path, FORMAT, {"source": source}, accuracies)
    return accuracies


def measured(preset: Preset, part: Part, draw: Draw, seed: int) -> Accuracies:
    """Accuracies of the five uses; errors as :func:`hilbertsd.ntk.empirical_grams`."""
    k = draw.targets.shape[1]
    network = network_of(preset, part.form, part.width, k)
    options: dict[str, Any] = {"form": part.form, "dtype": "float64", "diagonal": True}
    seeds = _seeds(preset, part, seed)
    kernels = list(ntk.empirical_grams(network, draw.fitted, draw.others, seeds=seeds, **options))
    targets = draw.targets.reshape(-1, 1) if part.form == FULL else draw.targets
    plain = [(train, cross) for train, cross, _ in kernels]
    settings = [_uses(pairs, targets, draw) for pairs in (plain, [normalised(*kernel) for kernel in kernels])]
    return {use: np.array([each[use] for each in settings]) for use in USES}


def _uses(
    pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], targets: NDArray[np.float64], draw: Draw
) -> dict[str, list[NDArray[np.float64]]]:
    """By use, for every filter (2, S) or (2, S, S) accuracies on validation and test images."""
    members, average = members_and_average(pairs)
    accuracies: dict[str, list[NDArray[np.float64]]] = {use: [] for use in USES}
    for family in FILTERS.values():
        outputs = six_uses(members, average, targets, family, MULTIPLES)
        for use in USES:
            right = (scores(outputs[use], draw.targets.shape[1]).argmax(axis=-1) == draw.labels).mean(axis=-2)
            v = draw.sizes.validation
            accuracies[use].append(np.array([right[..., :v].mean(axis=-1), right[..., v:].mean(axis=-1)]))
    return accuracies


def _seeds(preset: Preset, part: Part, seed: int) -> range:
    first = SEEDS_APART * seed + part.draw * preset.networks
    return range(first, first + preset.networks)


def _source(preset: Preset, part: Part, draw: Draw, seed: int) -> dict[str, Any]:
    """What a part's accuracies depend on, ready for JSON."""
    images = hashlib.sha256()
    for values in (draw.fitted, draw.targets, draw.others, draw.labels.astype(np.float64)):
        images.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    source = {
        "networks": network_of(preset, part.form, part.width, draw.targets.shape[1]).config,
        "seeds": list(_seeds(preset, part, seed)),
        "strengths": MULTIPLES,
        "filters": list(FILTERS),
        "sizes": asdict(draw.sizes),
        "images": images.hexdigest(),
    }
    return json.loads(json.dumps(source))

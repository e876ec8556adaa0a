"""Kernels beside feature learning: infinite, linearised and trained form of the same networks, on the same images.

    result = run(Config("smoke", "digits", parts=Path("parts")))
    result.rows()[0]                             # a row of the table: six uses, and what each adds to single models
    result.claims()

Six uses of networks that differ by seed (Allen-Zhu & Li 2020): of the infinitely wide network's kernel, of the tangent
kernels at the networks' initial and trained parameters, of these networks, trained, and of practical ones, with
normalisation. Then what training does to the tangent kernel, round after round of self-distillation. A killed run goes
on from what is in its folder. Needs JAX, neural-tangents, Flax and Optax.
"""

from typing import Any

import numpy as np

from hilbertsd.studies import form
from hilbertsd.studies.ntk_vs_features.figures import figures
from hilbertsd.studies.ntk_vs_features.kernels import Images, Which, infinite_gram, kernels_of_rounds, tangent_grams
from hilbertsd.studies.ntk_vs_features.presets import (
    AFTER,
    BEFORE,
    INFINITE,
    PLAIN,
    PRESETS,
    ROWS,
    Config,
    load,
)
from hilbertsd.studies.ntk_vs_features.results import Result
from hilbertsd.studies.ntk_vs_features.rows import kernel_row, stored_row, trained, trained_row
from hilbertsd.support.clusters import connected
from hilbertsd.support.files import output_folder


def run(config: Config) -> Result:
    """Train every network and compute every kernel that the folder does not hold, and put the table together.

    Raises
    ------
    InvalidInput, InvalidFile
        No folder for the parts; data that are missing; parts of another configuration in the folder.
    NotConverged, MissingPackage
        A loss is not finite; JAX, neural-tangents, Flax or Optax is not installed.
    """
    from hilbertsd.features.uses import CHAIN  # JAX is loaded where something runs

    preset, folder = PRESETS[config.preset], output_folder(config.parts_folder())
    data, draw = load(config, preset)
    n_classes, shape = draw.targets.shape[1], draw.fitted.shape[1:]
    table: dict[str, Any] = {}
    about: dict[str, Any] = {}
    with connected(config.scheduler) as client:
        for row, kind in preset.kinds.items():
            network = kind.architecture(config.dataset, n_classes)
            rounds = preset.rounds if row == PLAIN else 2
            place = folder / row.replace(" ", "-")
            uses, training = trained(kind, network, config, rounds, draw, place, client)
            table[row] = trained_row(uses, training, draw)
            about[row] = {
                "name": network.name,
                "network": network.config,
                "parameters": network.count_parameters(shape),
                "loss": uses.chain.config["loss"],
                "networks": {
                    name: {"train_accuracy": path.train_accuracy.tolist(), "made_with": path.made_with}
                    for name, path in uses.paths.items()
                },
            }
    network = preset.kinds[PLAIN].architecture(config.dataset, n_classes)
    chain = folder / PLAIN.replace(" ", "-") / CHAIN
    kernels = output_folder(folder / "kernels")
    seeds = range(config.seed, config.seed + preset.networks)
    images = Images(draw.fitted, draw.others, draw.targets, draw.labels)
    of_images = {name: getattr(config, name) for name in ("preset", "dataset", "seed")}
    source = {"config": of_images, "network": network.config, "sizes": vars(preset.sizes)}
    grams = {
        INFINITE: lambda: [infinite_gram(network, images)],
        BEFORE: lambda: tangent_grams(network, chain, [Which(0, seed, False) for seed in seeds], images, kernels),
        AFTER: lambda: tangent_grams(network, chain, [Which(0, seed, True) for seed in seeds], images, kernels),
    }
    for row, gram in grams.items():
        path = folder / f"{row.replace(' ', '-')}.npz"
        of_row = {**source, "training": table[PLAIN].chosen["training"]} if row == AFTER else source
        table[row] = stored_row(path, of_row, lambda gram=gram: kernel_row(gram(), draw))
    n_seeds, n, m = preset.looked_at
    v = draw.sizes.validation
    some = Images(draw.fitted[:n], draw.others[v : v + m], draw.targets[:n], draw.labels[v : v + m])
    by_round = list(kernels_of_rounds(network, chain, preset.rounds, seeds[:n_seeds], some, kernels))
    labels = draw.labels[v:]
    return Result(config, data, np.asarray(labels), {row: table[row] for row in ROWS}, by_round, about)


STUDY = form.Study("ntk-vs-features", __doc__, Config, run, figures)

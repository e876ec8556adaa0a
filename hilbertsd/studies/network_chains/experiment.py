"""Trained networks distilled into themselves, round after round (Mobahi et al. §5, appendix D).

    result = run(NetworkConfig("smoke", "digits", networks=Path("networks")))
    result.rows()[0]                             # a network, a loss and a round: means and deviations over seeds
    result.claims()

The last step of every training counts; nothing is chosen, so that nothing is chosen on test images. A killed run goes
on from the networks in their folder. Needs JAX, Flax and Optax.
"""

from collections.abc import Sequence

from hilbertsd import networks
from hilbertsd.data.splits import ImageSplit, image_split
from hilbertsd.errors import InvalidInput, NotConverged, WorkerDied
from hilbertsd.networks.architectures import Architecture
from hilbertsd.networks.network_path import NetworkPath
from hilbertsd.studies import form
from hilbertsd.studies.network_chains.figures import figures
from hilbertsd.studies.network_chains.presets import PRESETS, VARIANTS, NetworkConfig
from hilbertsd.studies.network_chains.results import Result
from hilbertsd.support.clusters import connected


def load(config: NetworkConfig) -> ImageSplit:
    """Images of a preset.

    Raises InvalidInput for a preset that takes weeks on this machine's processor, and as
    :func:`hilbertsd.data.image_split`.
    """
    from hilbertsd.networks.jax_backend import on_cpu  # JAX is imported where something runs

    if PRESETS[config.preset].needs_accelerator and on_cpu() and config.scheduler is None:
        raise InvalidInput(
            f"preset {config.preset!r} takes weeks on a processor and JAX sees no accelerator; install 'jax[cuda12]' "
            "where there is a GPU, or take preset 'cpu'"
        )
    size, train, test = PRESETS[config.preset].images
    return image_split(config.dataset, train, test, size=size, seed=config.seed, folder=config.data)


def chains(
    config: NetworkConfig, images: ImageSplit, architectures: Sequence[Architecture], variants: tuple[str, ...]
) -> dict[tuple[str, str], NetworkPath]:
    """Chains of some networks and variants, trained where the folder does not hold them.

    Raises
    ------
    InvalidInput, InvalidFile, NotConverged, MissingPackage
        As :func:`hilbertsd.networks.distill_network`.
    """
    preset, paths = PRESETS[config.preset], {}
    with connected(config.scheduler) as client:
        for network in architectures:
            for variant in variants:
                paths[network.name, variant] = networks.distill_network(
                    network,
                    images.train,
                    images.train_labels,
                    rounds=preset.rounds,
                    seeds=range(config.seed, config.seed + preset.seeds),
                    test_images=images.test,
                    test_labels=images.test_labels,
                    **preset.loss_and_training(variant, config.dataset),
                    folder=config.network_folder() / f"{network.name}-{variant}",
                    spread=preset.spread,
                    client=client,
                )
    return paths


def run(config: NetworkConfig) -> Result:
    """Train every chain that the folder of networks does not hold.

    Raises
    ------
    InvalidInput, InvalidFile, NotConverged, MissingPackage
        No folder for the networks; data that are missing; else as :func:`hilbertsd.networks.distill_network`.
    """
    images, paths, unmet = load(config), {}, {}
    for network in PRESETS[config.preset].architectures(images.n_classes):
        for variant in VARIANTS:
            try:
                paths |= chains(config, images, [network], (variant,))
            except WorkerDied:  # trained again, it may come to its end
                raise
            except NotConverged as error:  # the others are worth their result
                unmet[f"{network.name}, {variant}"] = str(error)
    if not paths:
        raise NotConverged("; ".join(unmet.values()))
    return Result(config, images, paths, unmet)


STUDY = form.Study("network-chains", __doc__, NetworkConfig, run, figures)

"""Basis weights of trained networks beside those of their kernels: where the theory describes a chain of networks.

    result = run(Config("smoke", "digits", networks=Path("networks")))
    result.rows()[0]                             # a setting: its distance from the kernel, sparsity by round
    result.claims()

Networks without normalisation are trained by squared error to ε and distilled into themselves, outputs minus those at
initialisation. What they predict on the training images is projected on the eigenvectors of a kernel, and laid beside
what the kernel keeps at the same ε: with gradient flow stopped at ε, as the networks are, and with ridge, as the theory
has it. The same of every single round and its own targets, with the infinite kernel and with each network's own before
training; and how far training moves that one, up to networks whose outputs are scaled down so that features are
learned. Needs JAX, Flax and Optax.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hilbertsd import networks
from hilbertsd.data.splits import ImageSplit, image_split
from hilbertsd.errors import InvalidInput, NotConverged, WorkerDied
from hilbertsd.features.basis_weights import EigenBins
from hilbertsd.filters import FilterChain, filter_chain
from hilbertsd.networks.network_path import NetworkPath
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies import form
from hilbertsd.studies.network_weights.figures import figures
from hilbertsd.studies.network_weights.presets import (
    BINS,
    PRESETS,
    RELATIVE_TOLERANCE,
    ROUNDS,
    Setting,
    rounded,
)
from hilbertsd.studies.network_weights.results import Kernel, Measured, Result
from hilbertsd.studies.network_weights.rounds import FAMILIES, Movement, RoundWeights
from hilbertsd.studies.ntk_cifar.presets import ImageConfig
from hilbertsd.support.progress import tracked


@dataclass(frozen=True)
class Config(ImageConfig):
    """Preset, images, and the folder of the networks."""

    preset: str = form.option(
        None,
        "smoke (a minute), cpu (half an hour on CIFAR) or convolutional. [default: cpu with data, smoke without]",
        choices=tuple(PRESETS),
    )
    networks: Path | None = form.option(
        None,
        "Folder of the networks, from which a killed run goes on. [default: networks in that of --out]",
        recorded=False,
        within_output="networks",
    )


def run(config: Config) -> Result:
    """Train every chain that the folder of networks does not hold, and project it on the kernels' eigenvectors.

    Raises
    ------
    InvalidInput, InvalidFile, NotConverged, MissingPackage
        No folder for the networks; data that are missing; else as :func:`hilbertsd.networks.distill_network`.
    """
    preset = PRESETS[config.preset]
    images = image_split(
        config.dataset, preset.images.train, 1, size=preset.images.size, seed=config.seed, folder=config.data
    )
    labels = networks.Loss("squared-error").labels_as_targets(images.train_labels, images.n_classes).astype(np.float64)
    kernels = {name: _kernel(name, images, labels) for name in dict.fromkeys(s.network for s in preset.settings)}
    paths, measured, unmet = [], [], {}
    for setting in tracked(preset.settings, "settings"):
        try:
            paths.append((setting, _path(setting, config, images, kernels[setting.network])))
        except WorkerDied:  # trained again, it may come to its end
            raise
        except NotConverged as error:  # the others are worth their result
            unmet[f"{setting.network}, {setting.name}"] = str(error)
    if not paths:
        raise NotConverged("; ".join(unmet.values()))
    for setting, path in paths:
        measured.append(_measured(setting, path, kernels[setting.network], images, labels, _folder(setting, config)))
    return Result(config, images.name, len(labels), kernels, tuple(measured), unmet)


def _kernel(network: str, images: ImageSplit, labels: NDArray[np.float64]) -> Kernel:
    """Infinitely wide network, and both of its chains."""
    from hilbertsd.ntk.kernel import gram  # JAX is imported where something runs

    matrix = gram(network, images.train)
    spectrum, bins = Spectrum.from_kernel(matrix, labels), EigenBins.of(matrix, BINS)
    tolerance = rounded(RELATIVE_TOLERANCE * spectrum.target_mean_square)
    fits = {
        name: _predictions(filter_chain(spectrum, family, tolerance=tolerance, max_rounds=ROUNDS))
        for name, family in FAMILIES.items()
    }
    return Kernel(
        matrix,
        bins,
        tolerance,
        {name: np.array([bins.weights(each, labels).weights for each in rounds]) for name, rounds in fits.items()},
        {name: _of_single_rounds(bins, [labels, *rounds]) for name, rounds in fits.items()},
        bins.weights(labels, labels).energies,
        {name: filter_chain(spectrum, family, tolerance=tolerance).n_rounds for name, family in FAMILIES.items()},
    )


def _predictions(chain: FilterChain) -> list[NDArray[np.float64]]:
    """(n, k) predictions of every round of the study, zero from collapse on."""
    fits = [np.asarray(chain.train_predictions(t)) for t in range(chain.n_rounds)]
    return fits + [np.zeros_like(fits[0])] * (ROUNDS - len(fits))


def _of_single_rounds(bins: EigenBins, functions: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(T, b) what every function keeps of the one before; NaN where that is zero."""
    nothing = np.full(len(bins.centres), np.nan)
    return np.array([bins.weights(after, f).weights if f.any() else nothing for f, after in pairwise(functions)])


def _folder(setting: Setting, config: Config) -> Path:
    """Folder of a setting's networks; raises InvalidInput where there is none."""
    if config.networks is None:
        raise InvalidInput("networks is None; give a folder for the networks, or execute the study with a folder")
    name = setting.name.replace("α = ", "scale-").replace(", ", "-").replace(" ", "-")  # file systems differ in letters
    return config.networks / f"{setting.network}-{name}"


def _path(setting: Setting, config: Config, images: ImageSplit, kernel: Kernel) -> NetworkPath:
    """Chains of one setting."""
    from hilbertsd.ntk.kernel import gram  # JAX is imported where something runs

    preset, network = PRESETS[config.preset], setting.architecture(images.n_classes)
    largest = float(kernel.bins.eigenvalues[-1])
    if setting.parameterization == "standard":
        largest = float(np.linalg.eigvalsh(gram(network, images.train))[-1]) / len(images.train)
    return networks.distill_network(
        network,
        images.train,
        images.train_labels,
        rounds=ROUNDS,
        seeds=range(config.seed, config.seed + preset.seeds),
        loss=networks.Loss("squared-error"),
        training=networks.Training(
            steps=preset.steps,
            batch_size=None,
            optimiser=setting.optimiser,
            learning_rate=setting.learning_rate(largest),
            schedule="constant",
            momentum=0.0,
            weight_decay=0.0,
            tolerance=kernel.tolerance,
            check_every=preset.check_every,
        ),
        centred=True,
        output_scale=setting.output_scale,
        folder=_folder(setting, config),
        spread=preset.spread,
    )


def _measured(
    setting: Setting, path: NetworkPath, kernel: Kernel, images: ImageSplit, labels: NDArray[np.float64], folder: Path
) -> Measured:
    """Weights of a setting's networks beside those of kernels, and what training did to their tangent kernels.

    A network's kernel is the mean over its outputs. The factor of the outputs is left out of it: it changes neither
    eigenvectors nor fits at a given training error.
    """
    from hilbertsd.features.tangent import mean_tangent_kernel  # JAX is imported where something runs

    network, bins = setting.architecture(images.n_classes), kernel.bins
    outputs = np.asarray(path.train_outputs, np.float64)
    kept = np.array([[bins.weights(one, labels).weights for one in of_round] for of_round in outputs])
    before, after = [], []
    for t in range(path.n_rounds):
        stored = [networks.stored_network(folder, round=t, seed=int(seed)) for seed in path.seeds]
        before.append([mean_tangent_kernel(network, each.statistics, images.train) for each in stored])
        after.append([mean_tangent_kernel(network, each.parameters, images.train) for each in stored])

    own = [[(matrix, EigenBins.of(matrix, BINS)) for matrix in of_round] for of_round in before]
    infinite = [[(kernel.matrix, bins)] * len(path.seeds)] * path.n_rounds
    return Measured(
        setting,
        path.config["training"]["learning_rate"],
        kept,
        path.steps,
        RoundWeights.of(path.targets, outputs, kernel.tolerance, infinite),
        RoundWeights.of(path.targets, outputs, kernel.tolerance, own),
        Movement.of(before, after, labels),
    )


STUDY = form.Study("network-weights", __doc__, Config, run, figures)

"""Basis weights of trained networks beside those of their kernels: where the theory describes a chain of networks.

    result = run(Config("smoke", "digits", networks=Path("networks")))
    result.rows()[0]                             # a setting: its distance from the kernel, sparsity by round
    result.claims()

Networks without normalisation are trained by squared error to ε and distilled into themselves, outputs minus those at
initialisation. What they predict on the training images is projected on the eigenvectors of a kernel, and laid beside
what the kernel keeps at the same ε: with gradient flow stopped at ε, as the networks are, and with ridge, as the theory
has it. Needs JAX, Flax and Optax.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import networks
from hilbertsd.data.splits import ImageSplit, image_split
from hilbertsd.errors import InvalidInput, NotConverged, WorkerDied
from hilbertsd.features.basis_weights import EigenBins
from hilbertsd.filters import FilterChain, filter_chain, gradient_flow, match_training_error, ridge
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
from hilbertsd.studies.network_weights.results import Kernel, Measured, Result, Tangent
from hilbertsd.studies.ntk_cifar.presets import ImageConfig
from hilbertsd.support.array_files import read_arrays, write_arrays
from hilbertsd.support.progress import tracked

FILE_FORMAT = "hilbertsd.TangentWeights/1"


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
        bins, tolerance = kernels[setting.network].bins, kernels[setting.network].tolerance
        outputs = np.asarray(path.train_outputs, np.float64)
        kept = np.array([[bins.weights(one, labels).weights for one in of_round] for of_round in outputs])
        file = _folder(setting, config) / "tangent.npz"
        tangent = _stored_tangent(path, file) if file.exists() else _tangent(path, setting, images, tolerance, file)
        measured.append(Measured(setting, path.config["training"]["learning_rate"], kept, path.steps, tangent))
    return Result(config, images.name, len(labels), kernels, tuple(measured), unmet)


def _kernel(network: str, images: ImageSplit, labels: NDArray[np.float64]) -> Kernel:
    """Infinitely wide network, and both of its chains."""
    from hilbertsd.ntk.kernel import gram  # JAX is imported where something runs

    matrix = gram(network, images.train)
    spectrum, bins = Spectrum.from_kernel(matrix, labels), EigenBins.of(matrix, BINS)
    tolerance = rounded(RELATIVE_TOLERANCE * spectrum.target_mean_square)
    families = {"gradient flow": gradient_flow, "ridge": ridge}
    chains = {
        name: filter_chain(spectrum, family, tolerance=tolerance, max_rounds=ROUNDS)
        for name, family in families.items()
    }
    kept = {name: [bins.weights(outputs, labels) for outputs in _predictions(chain)] for name, chain in chains.items()}
    rounds = {name: filter_chain(spectrum, family, tolerance=tolerance).n_rounds for name, family in families.items()}
    return Kernel(
        bins,
        tolerance,
        {name: np.array([each.weights for each in of_rounds]) for name, of_rounds in kept.items()},
        kept["ridge"][0].energies,
        rounds,
    )


def _predictions(chain: FilterChain) -> list[NDArray[np.float64]]:
    """(n, k) predictions of every round of the study, zero from collapse on."""
    fits = [np.asarray(chain.train_predictions(t)) for t in range(chain.n_rounds)]
    return fits + [np.zeros_like(fits[0])] * (ROUNDS - len(fits))


def _folder(setting: Setting, config: Config) -> Path:
    """Folder of a setting's networks; raises InvalidInput where there is none."""
    if config.networks is None:
        raise InvalidInput("networks is None; give a folder for the networks, or execute the study with a folder")
    return config.networks / f"{setting.network}-{setting.name.replace(' ', '-')}"


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
        folder=_folder(setting, config),
        spread=preset.spread,
    )


def _tangent(path: NetworkPath, setting: Setting, images: ImageSplit, tolerance: float, file: Path) -> Tangent:
    """Weights of every round in the eigenvectors of its network's tangent kernel at initialisation; kept in a file.

    The kernel is the mean over the outputs'.
    """
    from hilbertsd.networks.checkpoints import flattened
    from hilbertsd.networks.finite import FiniteNetwork
    from hilbertsd.ntk.empirical import empirical_grams

    network = setting.architecture(images.n_classes)
    finite = FiniteNetwork(network, images.train.shape[1:])
    pairs = [(t, s) for t in range(path.n_rounds) for s in range(len(path.seeds))]
    starts = [flattened(finite.init((int(path.seeds[s]), t))[0]) for t, s in pairs]
    kernels = empirical_grams(network, images.train, parameters=starts, form="mean-over-outputs")
    shape = (path.n_rounds, len(path.seeds), BINS)
    found = Tangent(*(np.full(shape, np.nan) for _ in range(3)))
    for (t, s), (matrix, _) in zip(pairs, kernels, strict=True):
        targets, outputs = (np.asarray(each[t, s], np.float64) for each in (path.targets, path.train_outputs))
        spectrum, bins = Spectrum.from_kernel(matrix, targets), EigenBins.of(matrix, BINS)
        if spectrum.target_mean_square <= tolerance:  # collapsed
            continue
        flow = match_training_error(spectrum, gradient_flow, tolerance)
        exact = np.asarray(spectrum.from_eigenbasis(flow.weights(spectrum.eigenvalues)))
        found.networks[t, s], found.energies[t, s] = bins.weights(outputs, targets)
        found.kernels[t, s] = bins.weights(exact, targets).weights
    write_arrays(file, FILE_FORMAT, {"seeds": path.seeds.tolist()}, found._asdict())
    return found


def _stored_tangent(path: NetworkPath, file: Path) -> Tangent:
    """What :func:`_tangent` kept; raises InvalidFile for other seeds, or a damaged file."""

    def made(arrays: dict[str, NDArray[np.float64]], metadata: dict[str, Any]) -> Tangent:
        if metadata["seeds"] != path.seeds.tolist():
            raise ValueError(f"it is of seeds {metadata['seeds']}")
        return Tangent(**arrays)

    return read_arrays(file, FILE_FORMAT, made)


STUDY = form.Study("network-weights", __doc__, Config, run, figures)

"""Self-distillation with neural tangent kernels: accuracies round by round, kernels × training images × ε.

    result = run(Config("smoke", "digits", kernels=Path("kernels")))
    result.rows()[0]                             # one kernel, number of training images and tolerance
    result.claims()

A killed run goes on from the kernels in their folder. Needs JAX.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import ntk
from hilbertsd.analysis.cross_validation import leave_one_out
from hilbertsd.analysis.early_stopping import stop_early
from hilbertsd.bounds.checks import check_bounds
from hilbertsd.data.splits import ImageSplit, image_split
from hilbertsd.distillation.chain import distill_spectrum
from hilbertsd.networks.architectures import architecture
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies import form
from hilbertsd.studies.ntk_cifar.figures import figures
from hilbertsd.studies.ntk_cifar.fits import Chain, Config, Fits, Network, Result
from hilbertsd.support.progress import progress

RIDGE_GRID = np.geomspace(1e-6, 1e2, 33)
"""Multipliers of plain ridge that leave-one-out chooses from, over the mean eigenvalue."""

PRESETS: dict[str, tuple[tuple[Network, ...], int]] = {
    "smoke": ((Network("fully-connected-3", (100, 200)), Network("convolutional-2", (200,), pooling=True)), 100),
    "cpu": (
        (
            Network("fully-connected-5", (500, 1000, 2000, 5000)),
            Network("convolutional-5", (500, 1000, 2000, 5000)),
            Network("wrn-10-4", (500, 1000, 2000, 5000), size=16),
            Network("myrtle-5", (500, 1000), size=16),
        ),
        1000,
    ),
    "gpu": ((Network("wrn-10-4", (1000, 2000, 5000)), Network("myrtle-5", (500, 1000))), 1000),
}
"""Networks and number of test images."""


def run(config: Config) -> Result:
    """Compute the kernels, or take up those in the folder `config.kernels`, and distil to collapse.

    Logs a line for every kernel before it is computed.

    Raises
    ------
    InvalidInput, InvalidFile
        No folder for the kernels; data that are missing, or do not fit; a store of something else in the folder.
    MissingPackage
        JAX is not installed.
    """
    networks, n_test = PRESETS[config.preset]
    fits: list[Fits] = []
    name, test_labels = "", np.zeros(0, dtype=np.int64)
    for network in networks:
        n_train = network.n_train[-1]
        images = image_split(config.dataset, n_train, n_test, size=network.size, seed=config.seed, folder=config.data)
        logging.getLogger("hilbertsd").info("%s, %s training images", network.name, f"{n_train:,}")
        train, test = _kernels(network, images, config)
        fits += [
            fits_of_kernel(
                network,
                train[:n, :n],
                test[:, :n],
                images.targets[:n],
                images.test_labels,
                config.relative_tolerances,
            )
            for n in network.n_train
        ]
        name, test_labels = images.name, images.test_labels  # of the same images for every network
    return Result(config, name, test_labels, tuple(fits))


def _kernels(network: Network, images: ImageSplit, config: Config) -> tuple[NDArray[Any], NDArray[Any]]:
    """Train-train and test-train kernel matrices, from the stores in the kernels' folder."""
    options = {"pooling": True} if network.pooling else {}
    kernel = ntk.NeuralKernel(architecture(network.name, **options), "ntk", config.dtype)
    side = images.train.shape[1]
    train, test = ntk.GramJob(kernel, images).run(config.kernel_folder() / f"{kernel.architecture.name}-ntk-{side}px")
    return train.to_array(), test.to_array()


def fits_of_kernel(
    network: Network,
    train: NDArray[Any],
    test: NDArray[Any],
    targets: NDArray[np.float64],
    test_labels: NDArray[np.int64],
    relative_tolerances: Sequence[float],
) -> Fits:
    """Paths, early stops and ridge fits with one kernel.

    Parameters
    ----------
    network : network of the kernel.
    train, test : (n, n) kernel matrix of the training images, and (m, n) of test and training images.
    targets : (n, k) centred one-hot labels.
    test_labels : (m,) classes of the test images.
    relative_tolerances : ε of the paths as fractions of the targets' mean square.
    """
    spectrum = Spectrum.from_kernel(train, targets)
    cross, n = np.asarray(test, dtype=np.float64), len(targets)
    labels = targets.argmax(axis=1)
    chains = []
    for fraction in relative_tolerances:
        path = distill_spectrum(spectrum, relative_tolerance=fraction)
        report = check_bounds(path)
        stopped = stop_early(path)
        rounds = range(path.n_rounds)
        chains.append(
            Chain(
                fraction,
                path,
                np.array([form.correct(path.train_predictions(t), labels).mean() for t in rounds]),
                np.array([form.correct(path.predict(cross, t), test_labels) for t in rounds]),
                np.array([form.correct(stopped.predict(cross, t), test_labels) for t in rounds]),
                report.holds,
                report.n_checks,
            )
        )
    multipliers = RIDGE_GRID * spectrum.eigenvalues.mean()
    errors, correct = [], []
    with progress("ridge fits left out", len(multipliers)) as bar:
        for done, c in enumerate(multipliers):
            fit = distill_spectrum(spectrum, multiplier=float(c), max_rounds=1)
            errors.append(float(np.sum((leave_one_out(fit, 0) - targets) ** 2) / n))
            correct.append(form.correct(fit.predict(cross, 0), test_labels))
            bar.update(done + 1)
    accuracies, tuned = np.mean(correct, axis=1), correct[int(np.argmin(errors))]
    return Fits(network, n, len(test_labels), tuple(chains), multipliers, np.array(errors), accuracies, tuned)


def _save(result: Result, folder: Path) -> list[Path]:
    """Write which test images every fit classifies as they are labelled."""
    return [result.evidence.save(folder / "correct.npz")]


STUDY = form.Study("ntk-cifar", __doc__, Config, run, figures, _save)

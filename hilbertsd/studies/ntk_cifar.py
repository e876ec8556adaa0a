"""Self-distillation with neural tangent kernels: accuracies round by round, kernels × training images × ε."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.analysis.cross_validation import leave_one_out
from hilbertsd.analysis.early_stopping import stop_early
from hilbertsd.bounds.report import check_bounds
from hilbertsd.data.splits import ImageSplit, image_split
from hilbertsd.distillation.chain import distill_spectrum
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput
from hilbertsd.networks.architectures import architecture
from hilbertsd.ntk.jobs import GramJob
from hilbertsd.ntk.kernel import NeuralKernel
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.progress import progress

TOLERANCES = (0.005, 0.02, 0.1)
"""ε as fractions of the targets' mean square."""

RIDGE_GRID = np.geomspace(1e-6, 1e2, 33)
"""Multipliers of plain ridge that leave-one-out chooses from, over the mean eigenvalue."""

STANDARD_ERRORS = 2
"""A difference of accuracies counts from so many standard errors on."""

WEIGHT_RANKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Eigenvectors, largest eigenvalue first, whose basis weights a result keeps."""


@dataclass(frozen=True)
class Network:
    """One network of a study.

    Attributes
    ----------
    name : of an architecture, with its numbers.
    n_train : how many training images, ascending; kernels are computed for the last.
    size : height and width of the images, None as they are.
    pooling : option of convolutional networks.
    """

    name: str
    n_train: tuple[int, ...]
    size: int | None = None
    pooling: bool = False


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
    "gpu": (
        (
            Network("fully-connected-5", (1000, 2000, 5000, 10000, 20000)),
            Network("convolutional-5", (1000, 2000, 5000, 10000, 20000)),
            Network("wrn-10-4", (1000, 2000, 5000, 10000)),
            Network("myrtle-5", (1000, 2000, 5000, 10000)),
            Network("myrtle-10", (1000, 2000, 5000)),
        ),
        10000,
    ),
}
"""Networks and number of test images."""


@dataclass(frozen=True)
class Config:
    """Configuration.

    Attributes
    ----------
    preset : smoke, cpu or gpu: which networks, how many images.
    dataset : digits, cifar10 or cifar100.
    seed : of the images drawn.
    tolerances : ε as fractions of the targets' mean square.
    dtype : of the kernels.
    """

    preset: str = "smoke"
    dataset: str = "digits"
    seed: int = 0
    tolerances: tuple[float, ...] = TOLERANCES
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class Chain:
    """One path to collapse, seen through accuracies against the original labels.

    Attributes
    ----------
    tolerance : ε as a fraction of the targets' mean square.
    path : from round 0 to collapse.
    train_accuracy : (T,).
    correct, stopped_correct : (T, m) which test images each round classifies as they are labelled, and one ridge fit
        with the training error of each round.
    bounds_hold, n_checks : what `check_bounds` found.
    """

    tolerance: float
    path: DistillationPath
    train_accuracy: NDArray[np.float64]
    correct: NDArray[np.bool_]
    stopped_correct: NDArray[np.bool_]
    bounds_hold: bool
    n_checks: int

    @property
    def test_accuracy(self) -> NDArray[np.float64]:
        """(T,)."""
        return self.correct.mean(axis=1)

    @property
    def stopped_accuracy(self) -> NDArray[np.float64]:
        """(T,)."""
        return self.stopped_correct.mean(axis=1)

    def gain(self) -> tuple[float, float]:
        """Accuracy of the best round over round 0's, and its standard error: see :func:`_chosen_gain`."""
        return _chosen_gain(self.correct, self.correct[:1])

    def gain_over_stopping(self) -> tuple[float, float]:
        """Accuracy of the best round over that of the best early stop, likewise."""
        return _chosen_gain(self.correct, self.stopped_correct)

    def to_dict(self) -> dict[str, Any]:
        """Numbers ready for JSON; basis weights at a few ranks."""
        ranks = [rank for rank in WEIGHT_RANKS if rank <= len(self.path.eigenvalues)]
        return {
            "tolerance": self.tolerance,
            "collapse_round": self.path.collapse_round,
            "multipliers": self.path.multipliers.tolist(),
            "effective_dimensions": self.path.basis_weights.sum(axis=1).tolist(),
            "train_accuracy": self.train_accuracy.tolist(),
            "test_accuracy": self.test_accuracy.tolist(),
            "early_stopping_accuracy": self.stopped_accuracy.tolist(),
            "gain_of_the_best_round": dict(zip(("points", "standard_error"), self.gain(), strict=True)),
            "gain_over_early_stopping": dict(zip(("points", "standard_error"), self.gain_over_stopping(), strict=True)),
            "weight_ranks": ranks,
            "basis_weights": self.path.basis_weights[:, [-rank for rank in ranks]].tolist(),
            "bounds": {"checks": self.n_checks, "hold": self.bounds_hold},
        }


@dataclass(frozen=True, eq=False)
class Fits:
    """All fits of one kernel on some training images.

    Attributes
    ----------
    network, n_train : which kernel, on how many images.
    chains : one per tolerance.
    ridge_multipliers : (g,) c tried of plain ridge.
    ridge_errors : (g,) leave-one-out mean squared errors.
    ridge_accuracy : (g,) test accuracies.
    """

    network: Network
    n_train: int
    n_test: int
    chains: tuple[Chain, ...]
    ridge_multipliers: NDArray[np.float64]
    ridge_errors: NDArray[np.float64]
    ridge_accuracy: NDArray[np.float64]

    @property
    def tuned_ridge(self) -> float:
        """Test accuracy of plain ridge at the multiplier that leave-one-out prefers."""
        return float(self.ridge_accuracy[np.argmin(self.ridge_errors)])

    def to_dict(self) -> dict[str, Any]:
        """Numbers ready for JSON."""
        return {
            "network": asdict(self.network),
            "n_train": self.n_train,
            "n_test": self.n_test,
            "ridge": {
                "multipliers": self.ridge_multipliers.tolist(),
                "leave_one_out_errors": self.ridge_errors.tolist(),
                "test_accuracy": self.ridge_accuracy.tolist(),
                "tuned_test_accuracy": self.tuned_ridge,
            },
            "chains": [chain.to_dict() for chain in self.chains],
        }


@dataclass(frozen=True, eq=False)
class Result:
    """Fits of every kernel on every number of training images, and what to call the data."""

    config: Config
    data: str
    fits: tuple[Fits, ...] = field(repr=False)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per kernel, number of training images and tolerance."""
        return [
            {
                "network": shown_name(fits.network),
                "n_train": fits.n_train,
                "ε": chain.tolerance,
                "T": chain.path.collapse_round,
                "first": _percent(chain.test_accuracy[0]),
                "best": _percent(chain.test_accuracy.max()),
                "t": int(np.argmax(chain.test_accuracy)),
                "stopped": _percent(chain.stopped_accuracy.max()),
                "ridge": _percent(fits.tuned_ridge),
            }
            for fits in self.fits
            for chain in fits.chains
        ]

    def claims(self) -> list[dict[str, Any]]:
        """What the paper says of networks (MFB §5), and of distillation beside early stopping, with verdicts.

        The best round is chosen on one half of the test images and counted on the other, image by image; a difference
        of less than two standard errors counts for nothing. On other data than CIFAR claims about it are not testable.
        """
        chains = [chain for fits in self.fits for chain in fits.chains]
        n, is_cifar = len(chains), self.config.dataset != "digits"
        falls = sum(bool(np.all(np.diff(chain.train_accuracy) <= 0)) for chain in chains)
        holds = sum(chain.bounds_hold for chain in chains)
        fell = "reproduced" if falls == n else "reproduced in part" if falls else "not reproduced"
        return [
            {
                "claim": "train accuracy never rises from round to round",
                "verdict": fell if is_cifar else "not testable here",
                "numbers": f"on {falls} of {n} paths",
            },
            _claim("test accuracy rises above that of round 0", [chain.gain() for chain in chains], is_cifar),
            _claim(
                "distillation's best round beats the best early stop",
                [chain.gain_over_stopping() for chain in chains],
                is_cifar,
            ),
            {
                "claim": "every bound of the paper holds",
                "verdict": "reproduced" if holds == n else "not reproduced",
                "numbers": f"on {holds} of {n} paths",
            },
        ]

    def to_dict(self) -> dict[str, Any]:
        """Numbers of the study, ready for JSON."""
        return {"data": self.data, "fits": [fits.to_dict() for fits in self.fits], "claims": self.claims()}


def run(
    config: Config, folder: Path, data: str | Path | None = None, report: Callable[[str], None] | None = None
) -> Result:
    """Compute the kernels, or take up those in a folder, and distil to collapse.

    Parameters
    ----------
    config : of the study.
    folder : for the kernels' stores; a killed run goes on from them.
    data : folder of CIFAR's files; None for what HILBERTSD_DATA names.
    report : called with a line for every kernel that is begun.

    Raises
    ------
    InvalidInput, InvalidFile
        Unknown preset; data that are missing, or do not fit; a store of something else in the folder.
    MissingPackage
        neural-tangents is not installed.
    """
    if config.preset not in PRESETS:
        raise InvalidInput(f"preset is {config.preset!r}; give one of {', '.join(PRESETS)}")
    networks, n_test = PRESETS[config.preset]
    fits: list[Fits] = []
    name = ""
    for network in networks:
        if report is not None:
            report(f"{network.name}, {network.n_train[-1]:,} training images")
        images = image_split(
            config.dataset, network.n_train[-1], n_test, size=network.size, seed=config.seed, folder=data
        )
        name = images.name
        train, test = _kernels(network, images, config, folder)
        fits += [_fits(network, n, images, train, test, config) for n in network.n_train]
    return Result(config, name, tuple(fits))


def _kernels(network: Network, images: ImageSplit, config: Config, folder: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    options = {"pooling": True} if network.pooling else {}
    kernel = NeuralKernel(architecture(network.name, **options), "ntk", config.dtype)
    side = images.train.shape[1]
    train, test = GramJob(kernel, images).run(folder / f"{kernel.architecture.name}-ntk-{side}px")
    return train.to_array(), test.to_array()


def _fits(
    network: Network, n: int, images: ImageSplit, train: NDArray[Any], test: NDArray[Any], config: Config
) -> Fits:
    """Everything on the first n training images."""
    spectrum = Spectrum.from_kernel(train[:n, :n], images.targets[:n])
    cross = np.asarray(test[:, :n], dtype=np.float64)
    labels, test_labels = images.train_labels[:n], images.test_labels
    chains = []
    for fraction in config.tolerances:
        path = distill_spectrum(spectrum, tolerance=fraction * spectrum.target_mean_square)
        report = check_bounds(path)
        stopped = stop_early(path)
        rounds = range(path.n_rounds)
        chains.append(
            Chain(
                fraction,
                path,
                np.array([_correct(path.train_predictions(t), labels).mean() for t in rounds]),
                np.array([_correct(path.predict(cross, t), test_labels) for t in rounds]),
                np.array([_correct(stopped.predict(cross, t), test_labels) for t in rounds]),
                report.holds,
                report.n_checks,
            )
        )
    multipliers = RIDGE_GRID * spectrum.eigenvalues.mean()
    errors, accuracies = [], []
    with progress("ridge fits left out", len(multipliers)) as bar:
        for done, c in enumerate(multipliers):
            fit = distill_spectrum(spectrum, multiplier=float(c), max_rounds=1)
            errors.append(float(np.sum((leave_one_out(fit, 0) - images.targets[:n]) ** 2) / n))
            accuracies.append(float(_correct(fit.predict(cross, 0), test_labels).mean()))
            bar.update(done + 1)
    return Fits(
        network,
        n,
        len(test_labels),
        tuple(chains),
        multipliers,
        np.array(errors),
        np.array(accuracies),
    )


def _correct(predictions: Any, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.argmax(predictions, axis=1) == labels


def _chosen_gain(correct: NDArray[np.bool_], others: NDArray[np.bool_]) -> tuple[float, float]:
    """How much more the best row is right than the best other one, in percentage points, and its standard error.

    Rows are chosen on every second image and counted on the rest, so that a choice among many is no gain by itself.
    """
    best, other = (rows[np.argmax(rows[:, ::2].mean(axis=1)), 1::2].astype(float) for rows in (correct, others))
    difference = 100 * (best - other)
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))


def standard_error(accuracy: float, n_test: int) -> float:
    """Of an accuracy, over the test images."""
    return float(np.sqrt(accuracy * (1 - accuracy) / n_test))


def _percent(share: Any) -> float:
    return round(100 * float(share), 2)


def _claim(claim: str, gains: list[tuple[float, float]], is_cifar: bool) -> dict[str, Any]:
    """Verdict over all paths, from gains and their standard errors."""
    above = sum(gain > STANDARD_ERRORS * error for gain, error in gains)
    below = sum(gain < -STANDARD_ERRORS * error for gain, error in gains)
    verdict = "not testable here"
    if is_cifar and above + below:
        verdict = "reproduced" if above == len(gains) else "reproduced in part" if above else "not reproduced"
    mean = np.mean([gain for gain, _ in gains])
    numbers = f"better on {above} of {len(gains)} paths, worse on {below}, the others within 2 s.e.; {mean:+.2f} points"
    return {"claim": claim, "verdict": verdict, "numbers": f"{numbers} in the mean"}


def shown_name(network: Network) -> str:
    """What to call a network in tables and titles."""
    pooled = ", pooled" if network.pooling else ""
    return f"{network.name}{pooled}" + (f", {network.size} px" if network.size else "")


def plot(result: Result, folder: Path) -> list[Path]:
    """Write accuracies by round, and accuracies by training images with the weights, as two figures, PNG and SVG."""
    from hilbertsd.studies.ntk_cifar_figures import rounds_figure, summary_figure
    from hilbertsd.support.plotting import save_figure, style

    with style():
        rounds = save_figure(rounds_figure(result), folder, "rounds")
        return [*rounds, *save_figure(summary_figure(result), folder, "summary")]

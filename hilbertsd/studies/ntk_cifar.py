"""Self-distillation with neural tangent kernels: accuracies round by round, kernels × training images × ε."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.bounds_report import check_bounds
from hilbertsd.cross_validation import leave_one_out
from hilbertsd.data.splits import ImageSplit, image_split
from hilbertsd.distillation import distill_spectrum
from hilbertsd.early_stopping import EarlyStopping, stop_early
from hilbertsd.errors import InvalidInput
from hilbertsd.ntk.architectures import architecture
from hilbertsd.ntk.jobs import GramJob
from hilbertsd.ntk.kernel import NeuralKernel
from hilbertsd.path import DistillationPath
from hilbertsd.progress import progress
from hilbertsd.spectrum import Spectrum

TOLERANCES = (0.005, 0.02, 0.1)
"""ε as fractions of the targets' mean square."""

RIDGE_GRID = np.geomspace(1e-6, 1e2, 33)
"""Multipliers of plain ridge that leave-one-out chooses from, over the mean eigenvalue."""

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
    train_accuracy, test_accuracy : (T,).
    stopped_accuracy : (T,) test accuracy of one ridge fit with the training error of each round.
    bounds_hold, n_checks : what `check_bounds` found.
    """

    tolerance: float
    path: DistillationPath
    train_accuracy: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    stopped_accuracy: NDArray[np.float64]
    bounds_hold: bool
    n_checks: int

    @property
    def best_round(self) -> int:
        """Round of the highest test accuracy, the first of several."""
        return int(np.argmax(self.test_accuracy))

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
    zero_eigenvalues : within rounding of zero, of kernel_matrix/n.
    condition : largest eigenvalue over the smallest positive one.
    """

    network: Network
    n_train: int
    n_test: int
    chains: tuple[Chain, ...]
    ridge_multipliers: NDArray[np.float64]
    ridge_errors: NDArray[np.float64]
    ridge_accuracy: NDArray[np.float64]
    zero_eigenvalues: int
    condition: float

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
            "zero_eigenvalues": self.zero_eigenvalues,
            "condition": self.condition,
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
                "network": _label(fits.network),
                "n_train": fits.n_train,
                "ε": chain.tolerance,
                "T": chain.path.collapse_round,
                "first": _percent(chain.test_accuracy[0]),
                "best": _percent(chain.test_accuracy.max()),
                "t": chain.best_round,
                "stopped": _percent(chain.stopped_accuracy.max()),
                "ridge": _percent(fits.tuned_ridge),
            }
            for fits in self.fits
            for chain in fits.chains
        ]

    def claims(self) -> list[dict[str, Any]]:
        """What the paper says of networks (MFB §5), and of distillation beside early stopping, with verdicts."""
        chains = [(fits, chain) for fits in self.fits for chain in fits.chains]
        falls = sum(bool(np.all(np.diff(chain.train_accuracy) <= 0)) for _, chain in chains)
        gains = [chain.test_accuracy.max() - chain.test_accuracy[0] for _, chain in chains]
        errors = [_paired_bound(fits, chain.test_accuracy[0]) for fits, chain in chains]
        rises = sum(gain > 2 * error for gain, error in zip(gains, errors, strict=True))
        below = sum(chain.test_accuracy[-1] < chain.test_accuracy.max() for _, chain in chains)
        over = [chain.test_accuracy.max() - chain.stopped_accuracy.max() for _, chain in chains]
        holds = sum(chain.bounds_hold for _, chain in chains)
        n = len(chains)
        return [
            _claim("train accuracy never rises from round to round", falls, n, f"on {falls} of {n} paths"),
            _claim(
                "test accuracy rises before it falls",
                rises,
                n,
                f"best round beats round 0 by more than 2 s.e. on {rises} of {n} paths, by {_percent(np.mean(gains))} "
                f"points in the mean (chosen on the test images) and {_percent(max(gains))} at most; the last round is "
                f"below the best on {below}",
            ),
            _claim(
                "distillation's best round beats early stopping's",
                sum(each > 0 for each in over),
                n,
                f"on {sum(each > 0 for each in over)} of {n} paths, equal on {sum(each == 0 for each in over)}; by "
                f"{_percent(np.mean(over))} points in the mean",
            ),
            _claim("every bound of the paper holds on every path", holds, n, f"on {holds} of {n} paths"),
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
                np.array([_accuracy(path.train_predictions(t), labels) for t in rounds]),
                np.array([_accuracy(path.predict(cross, t), test_labels) for t in rounds]),
                np.array([_stopped_accuracy(stopped, cross, t, test_labels) for t in rounds]),
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
            accuracies.append(_accuracy(fit.predict(cross, 0), test_labels))
            bar.update(done + 1)
    positive = spectrum.eigenvalues[spectrum.eigenvalues > 0]
    return Fits(
        network,
        n,
        len(test_labels),
        tuple(chains),
        multipliers,
        np.array(errors),
        np.array(accuracies),
        n - len(positive),
        float(positive[-1] / positive[0]),
    )


def _accuracy(predictions: Any, labels: NDArray[np.int64]) -> float:
    return float(np.mean(np.argmax(predictions, axis=1) == labels))


def _stopped_accuracy(stopped: EarlyStopping, cross: NDArray[np.float64], t: int, labels: NDArray[np.int64]) -> float:
    return _accuracy(stopped.predict(cross, t), labels)


def _paired_bound(fits: Fits, accuracy: float) -> float:
    """Standard error of an accuracy; that of a difference of two on the same images is hardly ever larger."""
    return float(np.sqrt(accuracy * (1 - accuracy) / fits.n_test))


def _percent(share: Any) -> float:
    return round(100 * float(share), 2)


def _claim(claim: str, count: int, total: int, numbers: str) -> dict[str, Any]:
    verdict = "reproduced" if count == total else "not reproduced" if count == 0 else "reproduced in part"
    return {"claim": claim, "verdict": verdict, "numbers": numbers}


def plot(result: Result, folder: Path) -> list[Path]:
    """Write accuracies by round, and accuracies by training images with the weights, as two figures, PNG and SVG."""
    from hilbertsd.plotting import save_figure, style

    with style():
        rounds = save_figure(_rounds_figure(result), folder, "rounds")
        return [*rounds, *save_figure(_summary_figure(result), folder, "summary")]


def _largest(result: Result) -> list[Fits]:
    """Of every network the fits on most images."""
    return [fits for fits in result.fits if fits.n_train == fits.network.n_train[-1]]


def _label(network: Network) -> str:
    pooled = ", pooled" if network.pooling else ""
    return f"{network.name}{pooled}" + (f", {network.size} px" if network.size else "")


def _rounds_figure(result: Result) -> Any:
    from hilbertsd.plotting import LINE_STYLES, new_figure, round_colours

    shown = _largest(result)
    figure = new_figure(2.9 * len(shown) + 0.6, 5.0)
    panels = figure.subplots(2, len(shown), squeeze=False)
    colours = round_colours(len(result.config.tolerances))
    for column, fits in enumerate(shown):
        accuracy, multipliers = panels[:, column]
        for chain, colour, line in zip(fits.chains, colours, LINE_STYLES, strict=False):
            rounds = np.arange(len(chain.test_accuracy))
            error = [_paired_bound(fits, each) * 100 for each in chain.test_accuracy]
            accuracy.errorbar(
                rounds,
                100 * chain.test_accuracy,
                yerr=error,
                color=colour,
                linestyle=line,
                marker="o",
                markersize=2.5,
                elinewidth=0.6,
                label=f"ε = {chain.tolerance:g}",
            )
            accuracy.plot(rounds, 100 * chain.train_accuracy, color=colour, linestyle=line, linewidth=0.8)
            multipliers.semilogy(
                rounds,
                chain.path.multipliers / fits.chains[0].path.eigenvalues.mean(),
                color=colour,
                linestyle=line,
                marker="o",
                markersize=2.5,
            )
        accuracy.axhline(100 * fits.tuned_ridge, color="0.6", linewidth=0.8)
        accuracy.set(title=f"{_label(fits.network)}\n{fits.n_train:,} training images")
        multipliers.set(xlabel="round t")
    panels[0, 0].set(ylabel="accuracy, % (thin: train; grey: tuned ridge)")
    panels[1, 0].set(ylabel="multiplier $c_t$ over mean eigenvalue")
    panels[0, 0].legend(fontsize=7)
    figure.suptitle(f"{result.data}: accuracy against the original labels, by round until collapse", fontsize=10)
    return figure


def _summary_figure(result: Result) -> Any:
    from hilbertsd.plotting import new_figure, round_colours, shown_rounds

    shown = _largest(result)
    figure = new_figure(2.9 * len(shown) + 0.6, 5.0)
    panels = figure.subplots(2, len(shown), squeeze=False)
    for column, last in enumerate(shown):
        by_images, weights = panels[:, column]
        same = [fits for fits in result.fits if fits.network == last.network]
        images = [fits.n_train for fits in same]
        middle = len(result.config.tolerances) // 2
        curves = (
            ("round 0", "o-", [fits.chains[middle].test_accuracy[0] for fits in same]),
            ("best round", "s--", [fits.chains[middle].test_accuracy.max() for fits in same]),
            ("best early stop", "^:", [fits.chains[middle].stopped_accuracy.max() for fits in same]),
            ("tuned ridge", "x-.", [fits.tuned_ridge for fits in same]),
        )
        for (label, look, values), colour in zip(curves, round_colours(len(curves)), strict=True):
            by_images.semilogx(images, 100 * np.array(values), look, color=colour, markersize=4, label=label)
        by_images.set(title=_label(last.network), xlabel="training images")
        by_images.set_xticks(images, [f"{n:,}" for n in images])
        by_images.minorticks_off()
        chain = last.chains[middle]
        ranks = np.arange(1, len(chain.path.eigenvalues) + 1)
        rounds = shown_rounds(chain.path.n_rounds, 6)
        for t, colour in zip(rounds, round_colours(len(rounds)), strict=True):
            label = f"round {t}" if t in (rounds[0], rounds[-1]) else None
            weights.semilogx(ranks, chain.path.basis_weights[t, ::-1], color=colour, label=label)
        weights.set(xlabel="eigenvector k, largest first", ylim=(0, 1.05))
        weights.legend(fontsize=7)
    fraction = result.config.tolerances[len(result.config.tolerances) // 2]
    panels[0, 0].set(ylabel=f"test accuracy, % (ε = {fraction:g})")
    panels[1, 0].set(ylabel=f"basis weight $B_t[k]$ (ε = {fraction:g})")
    panels[0, 0].legend(fontsize=7)
    figure.suptitle(result.data, fontsize=10)
    return figure

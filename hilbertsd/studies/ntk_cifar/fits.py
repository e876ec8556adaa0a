"""Results of the study on neural tangent kernels: accuracies of paths, of early stops and of ridge, and claims.

Accuracies are shares, against the original labels.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput
from hilbertsd.studies import form
from hilbertsd.studies.ntk_cifar.evidence import Evidence, Findings
from hilbertsd.studies.ntk_cifar.presets import ImageConfig

RELATIVE_TOLERANCES = (0.005, 0.02, 0.1)
"""ε as fractions of the targets' mean square."""

WEIGHT_RANKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Ranks, largest eigenvalue first, of the eigenvectors whose basis weights a result keeps."""


@dataclass(frozen=True)
class Config(ImageConfig):
    """Preset and images, the folder of the kernels, and what only Python can set.

    Attributes
    ----------
    relative_tolerances : ε as fractions of the targets' mean square.
    dtype : precision of the kernels, float32 or float64.
    """

    kernels: Path | None = form.option(
        None,
        "Folder of the kernels, from which a killed run goes on. [default: kernels in that of --out]",
        recorded=False,
        within_output="kernels",
    )
    relative_tolerances: tuple[float, ...] = RELATIVE_TOLERANCES
    dtype: str = "float32"

    def kernel_folder(self) -> Path:
        """Folder of the kernels; raises InvalidInput where there is none."""
        if self.kernels is None:
            raise InvalidInput("kernels is None; give a folder for the kernels, or execute the study with a folder")
        return self.kernels


@dataclass(frozen=True)
class Network:
    """One network of the study, and the images it is used on.

    Attributes
    ----------
    name : name of an architecture, with its numbers.
    n_train : ascending numbers of training images; kernels are computed for the last.
    size : height and width to shrink the images to, None to leave them.
    pooling : whether a convolutional network ends in a global average.
    """

    name: str
    n_train: tuple[int, ...]
    size: int | None = None
    pooling: bool = False

    @property
    def label(self) -> str:
        """What tables and titles call the network."""
        pooled = ", pooled" if self.pooling else ""
        return f"{self.name}{pooled}" + (f", {self.size} px" if self.size else "")


@dataclass(frozen=True, eq=False)
class Chain:
    """One path to collapse, and its accuracies against the original labels.

    Attributes
    ----------
    relative_tolerance : ε as a fraction of the targets' mean square.
    path : distillation path from round 0 to collapse.
    train_accuracy : (T,) share of the training images that each round classifies as they are labelled.
    correct : (T, m) which test images each round classifies as they are labelled.
    stopped_correct : (T, m) the same of one ridge fit with each round's training error.
    bounds_hold, n_checks : whether every statement of `check_bounds` holds, and how many checks that were.
    """

    relative_tolerance: float
    path: DistillationPath
    train_accuracy: NDArray[np.float64]
    correct: NDArray[np.bool_]
    stopped_correct: NDArray[np.bool_]
    bounds_hold: bool
    n_checks: int

    @property
    def test_accuracy(self) -> NDArray[np.float64]:
        """(T,) test accuracy of every round."""
        return self.correct.mean(axis=1)

    @property
    def stopped_accuracy(self) -> NDArray[np.float64]:
        """(T,) test accuracy of the ridge fit with every round's training error."""
        return self.stopped_correct.mean(axis=1)

    def to_dict(self, gain: form.Estimate, over_stopping: form.Estimate) -> dict[str, Any]:
        """Numbers ready for JSON, with the path's gains in points; basis weights at a few ranks."""
        ranks = [rank for rank in WEIGHT_RANKS if rank <= len(self.path.eigenvalues)]
        return {
            "relative_tolerance": self.relative_tolerance,
            "collapse_round": self.path.collapse_round,
            "multipliers": self.path.multipliers.tolist(),
            "effective_dimensions": self.path.basis_weights.sum(axis=1).tolist(),
            "train_accuracy": self.train_accuracy.tolist(),
            "test_accuracy": self.test_accuracy.tolist(),
            "early_stopping_accuracy": self.stopped_accuracy.tolist(),
            "gain_of_the_best_round": _points(gain),
            "gain_over_early_stopping": _points(over_stopping),
            "weight_ranks": ranks,
            "basis_weights": self.path.basis_weights[:, [-rank for rank in ranks]].tolist(),
            "bounds": {"checks": self.n_checks, "hold": self.bounds_hold},
        }


@dataclass(frozen=True, eq=False)
class Fits:
    """All fits of one kernel on some training images.

    Attributes
    ----------
    network : network of the kernel.
    n_train, n_test : numbers of training and test images.
    chains : one path per tolerance.
    ridge_multipliers : (g,) multipliers c that plain ridge was tried with.
    ridge_errors : (g,) leave-one-out mean squared errors of these ridge fits.
    ridge_accuracy : (g,) test accuracies of these ridge fits.
    tuned_correct : (m,) which test images the ridge fit with the least of these errors classifies as they are labelled.
    """

    network: Network
    n_train: int
    n_test: int
    chains: tuple[Chain, ...]
    ridge_multipliers: NDArray[np.float64]
    ridge_errors: NDArray[np.float64]
    ridge_accuracy: NDArray[np.float64]
    tuned_correct: NDArray[np.bool_]

    @property
    def tuned_ridge(self) -> float:
        """Test accuracy of plain ridge at the multiplier that leave-one-out prefers."""
        return float(self.tuned_correct.mean())

    def to_dict(
        self, gains: Iterator[tuple[form.Estimate, form.Estimate]], over_ridge: form.Estimate
    ) -> dict[str, Any]:
        """Numbers ready for JSON; the iterator gives each path's gains over round 0 and over early stopping."""
        return {
            "network": asdict(self.network),
            "n_train": self.n_train,
            "n_test": self.n_test,
            "ridge": {
                "multipliers": self.ridge_multipliers.tolist(),
                "leave_one_out_errors": self.ridge_errors.tolist(),
                "test_accuracy": self.ridge_accuracy.tolist(),
                "tuned_test_accuracy": self.tuned_ridge,
                "gain_of_the_best_round": _points(over_ridge),
            },
            "chains": [chain.to_dict(*next(gains)) for chain in self.chains],
        }


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Fits of every kernel on every number of training images, and what they were tested on.

    Attributes
    ----------
    data : what to call the data.
    test_labels : (m,) labels of the test images, the same for all fits.
    fits : one per kernel and number of training images.
    """

    data: str
    test_labels: NDArray[np.int64]
    fits: tuple[Fits, ...] = field(repr=False)

    @cached_property
    def evidence(self) -> Evidence:
        """Which test images every fit classifies as they are labelled."""
        chains = [chain for fits in self.fits for chain in fits.chains]
        return Evidence(
            self.test_labels,
            np.array([len(chain.correct) for chain in chains]),
            np.repeat(np.arange(len(self.fits)), [len(fits.chains) for fits in self.fits]),
            np.vstack([chain.correct for chain in chains]),
            np.vstack([chain.stopped_correct for chain in chains]),
            np.array([fits.tuned_correct for fits in self.fits]),
        )

    @cached_property
    def findings(self) -> Findings:
        """Every estimate and test of the evidence."""
        return self.evidence.findings()

    def headline(self) -> list[str]:
        """Name of the data and what the table's accuracies are."""
        return [f"{self.data}, accuracies in % against the original labels"]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per kernel, number of training images and tolerance."""
        return [
            {
                "network": fits.network.label,
                "n_train": fits.n_train,
                "ε": chain.relative_tolerance,
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

    def claims(self) -> list[form.Claim]:
        """What the paper says of networks (MFB §5), with verdicts; on other data than CIFAR these are not testable."""
        chains = [chain for fits in self.fits for chain in fits.chains]
        steps = np.concatenate([np.diff(chain.train_accuracy) for chain in chains])
        falls, rises = int(np.sum(steps < 0)), int(np.sum(steps > 0))
        at_all = sum(int(np.sum((a[1:] == 1) & (a[:-1] == 1))) for a in (chain.train_accuracy for chain in chains))
        verdict = form.Verdict.REPRODUCED if falls == len(steps) else form.Verdict.IN_PART
        holds = sum(chain.bounds_hold for chain in chains)
        n_checks = sum(chain.n_checks for chain in chains)
        is_cifar = self.config.dataset != "digits"
        return [
            form.Claim(
                "training accuracy drops in each round",
                (form.Verdict.NOT_REPRODUCED if rises else verdict) if is_cifar else form.Verdict.NOT_TESTABLE,
                {"later_rounds": len(steps), "drops": falls, "rises": rises, "stays_at_100_per_cent": at_all},
                f"drops in {falls} of {len(steps)} later rounds, rises in {rises}, stays at 100 % in {at_all}",
                source="MFB §5.2",
            ),
            *self.findings.claims(is_cifar),
            form.Claim(
                "every bound of the paper holds",
                form.Verdict.of(holds == len(chains)),
                {"paths": len(chains), "paths_where_all_hold": holds, "checks": n_checks},
                f"on {holds} of {len(chains)} paths, {n_checks:,} checks",
                source="MFB §3",
            ),
        ]

    def numbers(self) -> dict[str, Any]:
        """Name of the data and all fits."""
        of_paths = zip(self.findings.rise.each, self.findings.over_stopping.each, strict=True)
        pairs = zip(self.fits, self.findings.over_ridge.each, strict=True)
        return {"data": self.data, "fits": [fits.to_dict(of_paths, over_ridge) for fits, over_ridge in pairs]}


def _points(gain: form.Estimate) -> dict[str, float]:
    """Gain as a result keeps it."""
    return {"points": gain.mean, "standard_error": gain.standard_error}


def _percent(share: Any) -> float:
    """Share as a percentage, to two decimals."""
    return round(100 * float(share), 2)

"""Ensembles and distillation of tangent kernels: five uses of networks that differ by seed (Allen-Zhu & Li 2020).

    result = run(ImageConfig("smoke", "digits", kernels=Path("kernels")))
    result.rows()[1]["test_accuracy"]            # of the ensemble, in %, at the λ chosen without the test images
    result.claims()[0].verdict

A killed run goes on from the kernels in their folder. Needs JAX and neural-tangents.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilbertsd import ntk
from hilbertsd.data.images import balanced
from hilbertsd.data.splits import ImageSplit, image_split
from hilbertsd.networks.architectures import Architecture, architecture
from hilbertsd.ntk.ensembles import USES, Accuracies, ensemble_accuracies
from hilbertsd.studies import form
from hilbertsd.studies.ntk_cifar.presets import ImageConfig
from hilbertsd.studies.sizes.paired import surely_above, surely_below
from hilbertsd.support.plotting import LINE_STYLES, new_figure, round_colours

MULTIPLES = np.geomspace(1e-4, 10, 11)
"""λ tried, in units of a kernel's mean eigenvalue."""

FITTED_SHARE = 0.8
"""Share of the training images that are fitted while the others choose λ; the last fit takes all."""

MARGIN = 1.0
"""Percentage points below which an advantage has to lie, surely, for the claim that one use does not beat another."""

PUBLISHED: dict[str, dict[str, float]] = {
    "cifar10": dict(zip(USES, (66.68, 70.54, 72.86, 66.01, 61.92), strict=True)),
    "cifar100": dict(zip(USES, (31.90, 38.32, 41.47, 31.38, 27.64), strict=True)),
}
"""Test accuracy in per cent of ten WRN-10-4-NTK models (Allen-Zhu & Li, arXiv:2012.09816)."""

PROTOCOL = (
    "published: 50,000 training images, kernel models trained by SGD",
    "here: a balanced subset of them, ridge regression in closed form on centred one-hot labels, λ chosen on a fifth "
    "of the training images and shared by teacher and student",
    "here: the kernel of one logit for all classes, in the NTK parameterisation, without normalisation layers or "
    "augmentation",
)

CLAIMS = (
    ("the ensemble beats single models", "ensemble", "single", True),
    ("training the average beats the ensemble", "train the average", "ensemble", True),
    ("knowledge distillation of the ensemble does not beat single models", "knowledge distillation", "single", False),
    ("self-distillation does not beat single models", "self-distillation", "single", False),
)
"""Claim, the two uses that it compares, and whether the first is said to beat the second."""


@dataclass(frozen=True)
class Preset:
    """Network, and numbers of networks and of images."""

    network: str
    width: int
    networks: int
    train: int
    test: int


PRESETS = {
    "smoke": Preset("wrn-10-1", 4, 3, 200, 300),
    "cpu": Preset("wrn-10-4", 16, 10, 2_000, 1_000),
    "gpu": Preset("wrn-10-4", 16, 10, 10_000, 10_000),
}


@dataclass(frozen=True, eq=False)
class Result(form.Result[ImageConfig]):
    """Accuracies over the grid, and where on it every use stands.

    Attributes
    ----------
    images : training and test images.
    network : architecture of the networks.
    validation : accuracies of the fits to four fifths of the training images, on the others.
    test : accuracies of the fits to all of them, on the test images.
    chosen : by use, position of the λ with the highest mean validation accuracy, the smallest of equals.
    """

    COLUMNS = ("use", "published", "test_accuracy", "standard_deviation_over_models", "train_accuracy", "multiple")

    images: ImageSplit
    network: Architecture
    validation: Accuracies
    test: Accuracies
    chosen: dict[str, int]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per use: accuracies in per cent at its λ, with the standard deviation over models."""
        published = PUBLISHED.get(self.config.dataset)
        rows = []
        for use, r in self.chosen.items():
            test = 100 * self.test.test[use][r]
            row: dict[str, Any] = {
                "use": use,
                "test_accuracy": float(test.mean()),
                "standard_deviation_over_models": float(test.std(ddof=1)) if len(test) > 1 else None,
                "train_accuracy": float(100 * self.test.train[use][r].mean()),
                "validation_accuracy": float(100 * self.validation.test[use][r].mean()),
                "multiple": float(self.test.multiples[r]),
            }
            rows.append(row if published is None else {**row, "published": published[use]})
        return rows

    def headline(self) -> list[str]:
        """Data, network and their numbers."""
        return [
            f"{self.images.name}, {len(self.images.train):,} training and {len(self.images.test):,} test images, "
            f"{self.n_networks} networks {self.network.name}; accuracies in %"
        ]

    @property
    def n_networks(self) -> int:
        """Number of networks."""
        return self.test.test["single"].shape[1]

    def claims(self) -> list[form.Claim]:
        """What the paper claims on CIFAR.

        The difference of two uses is taken image by image, over the models' mean, and its standard error is over test
        images: of these networks and these training images. Each verdict is a one-sided test of 5 %: that the first use
        is better, that it is worse, or, where it is not to be better, that its advantage is below a percentage point. A
        result against a claim is one under this protocol, which is not the paper's.
        """
        is_cifar = self.config.dataset in PUBLISHED
        claims = []
        for claim, first, second, beats in CLAIMS:
            right = [self.test.test_correct[use][self.chosen[use]].mean(axis=0) for use in (first, second)]
            difference = form.mean_and_standard_error(100 * (right[0] - right[1]))
            claims.append(
                form.Claim(
                    f"{claim} (Allen-Zhu & Li)",
                    _verdict(difference, beats) if is_cifar else form.Verdict.NOT_TESTABLE,
                    {"difference": difference.mean, "standard_error": difference.standard_error},
                    f"{difference.mean:+.2f} ± {difference.standard_error:.2f}",
                )
            )
        return claims

    def numbers(self) -> dict[str, Any]:
        """Data, protocol and accuracies; those of the curves are shares, λ by model."""
        return {
            "data": self.images.name,
            "n_train": len(self.images.train),
            "n_test": len(self.images.test),
            "network": self.network.config,
            "networks": self.n_networks,
            "uses": self.rows(),
            "protocol": list(PROTOCOL),
            "multiples": self.test.multiples.tolist(),
            "curves": {
                use: {
                    "test": self.test.test[use].tolist(),
                    "train": self.test.train[use].tolist(),
                    "validation": self.validation.test[use].tolist(),
                }
                for use in USES
            },
        }


def run(config: ImageConfig) -> Result:
    """Compute every network's kernel, choose λ for every use on held-out training images, and test.

    Raises
    ------
    InvalidInput
        No folder for the kernels; see also :func:`hilbertsd.data.image_split`.
    InvalidFile
        The data is missing or damaged; see also :func:`hilbertsd.ntk.stored_grams`.
    MissingPackage
        JAX or neural-tangents is not installed.
    """
    return on_images(config, load(config), config.kernel_folder())


def load(config: ImageConfig) -> ImageSplit:
    """Images of a preset; errors as :func:`hilbertsd.data.image_split`."""
    preset = PRESETS[config.preset]
    return image_split(config.dataset, preset.train, preset.test, seed=config.seed, folder=config.data)


def on_images(config: ImageConfig, images: ImageSplit, kernels: Path) -> Result:
    """Do as :func:`run` does, with images that are loaded already."""
    preset = PRESETS[config.preset]
    # One output, because the kernel of one logit sees no other.
    network = architecture(preset.network, width=preset.width, n_classes=1)
    seeds = range(config.seed, config.seed + preset.networks)
    grams = ntk.stored_grams(kernels, network, images.train, images.test, seeds)
    train, cross = [pair[0] for pair in grams], [pair[1] for pair in grams]
    fitted = balanced(images.train_labels, int(FITTED_SHARE * len(images.train)), config.seed)
    held_out = np.setdiff1d(np.arange(len(images.train)), fitted)
    validation = ensemble_accuracies(
        [K[np.ix_(fitted, fitted)] for K in train],
        [K[np.ix_(held_out, fitted)] for K in train],
        images.targets[fitted],
        images.train_labels[held_out],
        MULTIPLES,
    )
    test = ensemble_accuracies(train, cross, images.targets, images.test_labels, MULTIPLES)
    chosen = {use: int(np.argmax(validation.test[use].mean(axis=1))) for use in USES}
    return Result(config, images, network, validation, test, chosen)


def _verdict(difference: form.Estimate, beats: bool) -> form.Verdict:
    """Verdict on the claim that one use beats another, or that it does not, from their difference in points."""
    better = surely_above(difference)
    against = surely_below(difference) if beats else better
    for_it = better if beats else surely_below(difference, MARGIN) and not better
    if for_it:
        return form.Verdict.REPRODUCED
    return form.Verdict.NOT_UNDER_PROTOCOL if against else form.Verdict.UNDECIDED


def figures(result: Result) -> dict[str, Any]:
    """Test and training accuracy against λ."""
    figure = new_figure(9.5, 3.8)
    test, train = figure.subplots(1, 2)
    looks = zip(USES, round_colours(len(USES)), (*LINE_STYLES, (0, (1, 1, 4, 1))), "os^Dv", strict=True)
    multiples = result.test.multiples
    for use, colour, line, marker in looks:
        for axes, accuracies in ((test, result.test.test[use]), (train, result.test.train[use])):
            mean = 100 * accuracies.mean(axis=1)
            look: Any = {"linestyle": line, "color": colour, "marker": marker}
            axes.semilogx(multiples, mean, markersize=4, linewidth=1.2, label=use, **look)
            if accuracies.shape[1] > 1:
                spread = 100 * accuracies.std(axis=1, ddof=1)
                axes.fill_between(multiples, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        r = result.chosen[use]
        at = (multiples[r], 100 * result.test.test[use][r].mean())
        test.plot(*at, marker=marker, markersize=10, markerfacecolor="none", markeredgecolor=colour)
    n, m = len(result.images.train), len(result.images.test)
    test.set(ylabel="test accuracy, %", title=f"(a) {result.images.name}, {m:,} test images")
    train.set(ylabel="training accuracy, %", title=f"(b) {n:,} training images, {result.network.name}")
    for axes in (test, train):
        axes.set_xlabel("λ, in mean eigenvalues of the kernel")
    train.legend(loc="lower left")
    return {"ntk-ensembles": figure}


STUDY = form.Study("ntk-ensembles", __doc__, ImageConfig, run, figures)

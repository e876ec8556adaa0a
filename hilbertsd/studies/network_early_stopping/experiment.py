"""Early stopping beside self-distillation of trained networks, at equal training loss (Mobahi et al. §5, Figure 6).

    result = run(NetworkConfig("smoke", "digits", networks=Path("networks")))
    result.rows()[0]                             # a loss and a round: both test accuracies and their difference
    result.claims()

The training loss of every round's network against the original labels is recorded; fresh networks are trained on these
labels until their loss is as low, and stopped there. Takes up the chains of `network-chains` where the folder has them.
Needs JAX, Flax and Optax.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.splits import ImageSplit
from hilbertsd.networks.network_path import NetworkPath
from hilbertsd.studies import form
from hilbertsd.studies.network_chains.experiment import chains, load
from hilbertsd.studies.network_chains.presets import PRESETS, TITLES, NetworkConfig
from hilbertsd.studies.sizes.paired import LEVEL
from hilbertsd.studies.sizes.seeds import SeedEstimate, paired_t
from hilbertsd.support.clusters import connected
from hilbertsd.support.plotting import new_figure, round_colours, whole_rounds

if TYPE_CHECKING:
    from hilbertsd.studies.network_early_stopping.stops import Stops

COMPARED = ("l2", "cross-entropy")
"""Chains that are compared."""

PROTOCOL = (
    "published: a batch of fresh networks, trained until each loss with Adam at a constant learning rate",
    "here: fresh networks are trained as those of the chain, one of another seed beside each chain; the loss of all "
    "training images is looked at every few steps, and a network is counted where it is first seen to be low enough",
)
ANNEALED = (
    "the chain's networks end at a lower learning rate than that at which fresh ones are stopped, so that a difference "
    "may be the learning rate's"
)
"""What is added to the protocol where the learning rate is not constant."""

FRESH = 1000
"""What is added to a chain's seed for the fresh network that is laid beside it."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Chain and early stops of one network and loss.

    Attributes
    ----------
    path : the chain.
    stops : of the fresh network beside every seed's chain.
    """

    path: NetworkPath
    stops: "list[Stops]"

    @property
    def stopped_accuracy(self) -> NDArray[np.float64]:
        """(T, S) test accuracy of the fresh networks; NaN where the loss was not reached."""
        right = np.array([stops.test_outputs.argmax(axis=-1) == self.path.test_labels for stops in self.stops])
        reached = np.array([stops.reached for stops in self.stops])
        return np.where(reached, right.mean(axis=-1), np.nan).T

    @property
    def differences(self) -> NDArray[np.float64]:
        """(T, S) test accuracy of distillation minus that of early stopping, in percentage points."""
        return 100 * (self.path.test_accuracy - self.stopped_accuracy)

    @property
    def reached(self) -> Any:
        """(T,) whether every fresh network reached the round's loss."""
        return np.all(np.isfinite(self.differences), axis=1)

    def over_later_rounds(self) -> SeedEstimate | None:
        """Mean difference over the later rounds that were reached, two-sided over seeds; None where there is none."""
        later = self.reached & (np.arange(len(self.reached)) > 0)
        return paired_t(self.differences[later].mean(axis=0), "two-sided") if later.any() else None


@dataclass(frozen=True, eq=False)
class Result(form.Result[NetworkConfig]):
    """Comparisons by network and loss, on training and test images."""

    images: ImageSplit
    comparisons: dict[tuple[str, str], Comparison]

    @property
    def constant_rate(self) -> bool:
        """Whether networks of the chain end at the learning rate at which fresh ones are stopped."""
        return all(each.path.config["training"]["schedule"] == "constant" for each in self.comparisons.values())

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per network, loss and round, accuracies in per cent; None where a loss was not reached."""
        rows = []
        for (network, variant), each in self.comparisons.items():
            for t in range(each.path.n_rounds):
                row: dict[str, Any] = {
                    "network": network,
                    "loss": variant,
                    "round": t,
                    "train_loss": float(each.path.train_loss[t].mean()),
                    "distilled": 100 * float(each.path.test_accuracy[t].mean()),
                    "stopped_loss": None,
                    "stopped": None,
                    "gain": None,
                    "standard_error": None,
                }
                if each.reached[t]:
                    estimate = form.mean_and_standard_error(each.differences[t])
                    row["stopped_loss"] = float(np.mean([stops.losses[t] for stops in each.stops]))
                    row["stopped"] = 100 * float(each.stopped_accuracy[t].mean())
                    row |= {"gain": estimate.mean, "standard_error": estimate.standard_error}
                rows.append(row)
        return rows

    def headline(self) -> list[str]:
        """Data, and numbers of images."""
        return [
            f"{self.images.name}, {len(self.images.train):,} training and {len(self.images.test):,} test images; test "
            "accuracies in %, differences in points ± s.e. over seeds"
        ]

    def claims(self) -> list[form.Claim]:
        """The paper's claim, for every network and loss; one number, the mean over later rounds, tested over seeds."""
        claims = []
        for (network, variant), each in self.comparisons.items():
            estimate = each.over_later_rounds()
            verdict, numbers, note = form.Verdict.NOT_TESTABLE, {}, "no fresh network reached the loss of a later round"
            if estimate is not None:
                if self.config.dataset != "digits":
                    seen = estimate.p_value <= LEVEL
                    verdict = form.Verdict.REPRODUCED if seen else form.Verdict.UNDECIDED
                numbers = {**estimate._asdict(), "later_rounds_reached": int(each.reached[1:].sum())}
                note = (
                    f"{estimate.mean:+.2f} ± {estimate.standard_error:.2f} points, p = {estimate.p_value:.2g}, in the "
                    f"mean over {each.reached[1:].sum()} of {len(each.reached) - 1} later rounds"
                )
            claims.append(
                form.Claim(
                    "test accuracy differs from that of early stopping at equal training loss",
                    verdict,
                    numbers,
                    note,
                    source="MFB §5.2, Figure 6",
                    setting=f"{network}, {variant}",
                )
            )
        return claims

    def numbers(self) -> dict[str, Any]:
        """Every accuracy by round and seed; None where the loss was not reached."""
        return {
            "data": self.images.name,
            "n_train": len(self.images.train),
            "n_test": len(self.images.test),
            "protocol": [*PROTOCOL, *([] if self.constant_rate else [ANNEALED])],
            "comparisons": [
                {
                    "network": network,
                    "variant": variant,
                    **each.path.to_dict(),
                    "stopped_made_with": [stops.made_with for stops in each.stops],
                    "stopped_test_accuracy": [
                        [v if np.isfinite(v) else None for v in row] for row in each.stopped_accuracy.tolist()
                    ],
                    "stopped_losses": [
                        [v if np.isfinite(v) else None for v in row]
                        for row in np.array([stops.losses for stops in each.stops]).T.tolist()
                    ],
                    "stopped_steps": np.array([stops.steps for stops in each.stops]).T.tolist(),
                    "rows": [row for row in self.rows() if (row["network"], row["loss"]) == (network, variant)],
                }
                for (network, variant), each in self.comparisons.items()
            ],
        }


def run(config: NetworkConfig) -> Result:
    """Train the chains and the fresh networks that the folder does not hold.

    Raises
    ------
    InvalidInput, InvalidFile, NotConverged, MissingPackage
        As :func:`hilbertsd.studies.network_chains.experiment.run`.
    """
    # JAX is imported where something runs, not where studies are listed.
    from hilbertsd.networks.chain import Chain
    from hilbertsd.studies.network_early_stopping.stops import early_stops

    images, preset = load(config), PRESETS[config.preset]
    architectures = {network.name: network for network in preset.architectures(images.n_classes)}
    comparisons = {}
    for (network, variant), path in chains(config, images, list(architectures.values()), COMPARED).items():
        given = preset.loss_and_training(variant, config.dataset)
        chain = Chain(
            architecture=architectures[network],
            images=images.train.astype(np.float32),
            labels=images.train_labels,
            test_images=images.test.astype(np.float32),
            test_labels=images.test_labels,
            rounds=1,
            teacher="stored",
            loss=given["loss"],
            training=replace(given["training"], check_every=preset.check_every),
        )
        seeds = [FRESH + seed for seed in path.seeds.tolist()]
        folder = config.network_folder() / f"{network}-{variant}-stopped"
        with connected(config.scheduler) as client:
            stops = early_stops(chain, path.train_loss.T, seeds, folder, preset.spread, client)
        comparisons[network, variant] = Comparison(path, stops)
    return Result(config, images, comparisons)


def figures(result: Result) -> dict[str, Any]:
    """Test accuracy by round of both, and their difference, a column for every network and loss."""
    shown = result.comparisons
    figure = new_figure(3.2 * len(shown) + 0.6, 4.8)
    panels = figure.subplots(2, len(shown), squeeze=False, sharex="col")
    dark, light = round_colours(2)
    for column, ((network, variant), each) in enumerate(shown.items()):
        both, difference = panels[:, column]
        rounds = np.arange(each.path.n_rounds)
        curves = (
            ("distilled", each.path.test_accuracy, dark, "o-"),
            ("stopped early", each.stopped_accuracy, light, "s--"),
        )
        for label, accuracy, colour, look in curves:
            mean, spread = 100 * accuracy.mean(axis=1), 100 * accuracy.std(axis=1, ddof=1)
            both.plot(rounds, mean, look, color=colour, markersize=3, label=label)
            both.fill_between(rounds, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)
        error = each.differences.std(axis=1, ddof=1) / np.sqrt(len(each.stops))
        difference.errorbar(rounds, each.differences.mean(axis=1), error, fmt="o-", color=dark, markersize=3)
        difference.axhline(0, color="0.6", linewidth=0.8)
        both.set(title=f"{network}, {TITLES[variant]}")
        difference.set(xlabel="round t")
        whole_rounds(difference)
    panels[0, 0].set(ylabel="test accuracy, %\n(± deviation over seeds)")
    panels[1, 0].set(ylabel="distilled − stopped, points\n(± s.e. over seeds)")
    panels[0, 0].legend(fontsize=7)
    n = len(result.images.train)
    figure.suptitle(f"{result.images.name}, {n:,} training images, at just under equal training loss", fontsize=10)
    return {"network-early-stopping": figure}


STUDY = form.Study("network-early-stopping", __doc__, NetworkConfig, run, figures)

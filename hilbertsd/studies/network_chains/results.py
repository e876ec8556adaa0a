"""Chains by network and loss, and what they say of the paper's claims."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.splits import ImageSplit
from hilbertsd.networks.network_path import NetworkPath
from hilbertsd.studies import form
from hilbertsd.studies.network_chains.presets import NetworkConfig
from hilbertsd.studies.sizes.paired import LEVEL
from hilbertsd.studies.sizes.seeds import SeedEstimate, best_over_last, paired_t, rounds_above_first

ACCURACIES = {"l2": "MFB §5.2, Figure 4", "cross-entropy": "MFB §5.2, Figure 5"}
"""Where the paper says of which chain that training accuracy drops in each round and test accuracy rises and falls."""

GAIN = {"hard-labels": "MFB D.3"}
"""Where it says that test accuracy is better than that of round 0, and no more."""

TRAINING_LOSS = {"l2": "MFB D.2, Figure 7"}
"""Where it says that the training loss first drops and then rises. Of other chains these things are reported."""

PROTOCOL = (
    "published: ResNet-50 on all of CIFAR-10 and -100, VGG-16 on CIFAR-100, Adam, up to 64,000 steps, 10 seeds",
    "published: weight decay in the loss, with a coefficient on a norm that is not printed",
    "here: optimiser, rate and decay as under 'training'; a decay in the loss is half of it times the squared norm",
    "here: the preset's network, images, steps and seeds",
    "tests are over seeds, on these training and test images",
)


@dataclass(frozen=True, eq=False)
class Result(form.Result[NetworkConfig]):
    """Chains by network and loss.

    Attributes
    ----------
    images : training and test images.
    paths : chains by name of the network and of the loss.
    unmet : by network and loss, why there is no chain: training did not converge, or did not meet the tolerance.
    """

    COLUMNS = ("network", "loss", "round", "train_accuracy", "test_accuracy", "train_loss", "test_loss", "steps")

    images: ImageSplit
    paths: dict[tuple[str, str], NetworkPath]
    unmet: dict[str, str]

    def closing(self) -> list[str]:
        """Chains without a result."""
        return [f"no chain {variant}: {reason}" for variant, reason in self.unmet.items()]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per network, loss and round, accuracies in per cent."""
        rows = []
        for (network, variant), path in self.paths.items():
            for t, row in enumerate(path.rows()):
                shares = {name: 100 * value for name, value in row.items() if "accuracy" in name or "agreement" in name}
                steps = float(path.steps[t].mean())
                rows.append({"network": network, "loss": variant, **row, **shares, "steps": steps})
        return rows

    def headline(self) -> list[str]:
        """Data, and numbers of images and seeds."""
        n_seeds = len(next(iter(self.paths.values())).seeds)
        return [
            f"{self.images.name}, {len(self.images.train):,} training and {len(self.images.test):,} test images of "
            f"{' × '.join(map(str, self.images.train.shape[1:]))}, {n_seeds} seeds; accuracies in %, against the "
            "original labels"
        ]

    def claims(self) -> list[form.Claim]:
        """What the paper claims, for every network and loss; one-sided tests of 5 % over seeds."""
        testable = self.config.dataset != "digits"
        claims = []
        for (network, variant), path in self.paths.items():
            if path.n_rounds > 1 and len(path.seeds) > 1:
                claims += [
                    _falls(path, network, variant, testable),
                    _rises(path, network, variant, testable),
                    _loss_drops(path, network, variant, testable),
                ]
        return claims

    def numbers(self) -> dict[str, Any]:
        """Protocol, and every measure by network, loss, round and seed; accuracies are shares."""
        return {
            "data": self.images.name,
            "n_train": len(self.images.train),
            "n_test": len(self.images.test),
            "protocol": list(PROTOCOL),
            "unmet": self.unmet,
            "chains": [
                {"network": network, "variant": variant, **path.to_dict()}
                for (network, variant), path in self.paths.items()
            ],
        }


def _claim(setting: str, claim: str, source: str, verdict: form.Verdict, testable: bool, *rest: Any) -> form.Claim:
    """Claim of a network and a loss; what nobody claimed is reported, and on digits no claim is tested."""
    if not source:
        verdict = form.Verdict.REPORTED
    elif not testable:
        verdict = form.Verdict.NOT_TESTABLE
    return form.Claim(claim, verdict, *rest, source=source, setting=setting)


def _falls(path: NetworkPath, network: str, variant: str, testable: bool) -> form.Claim:
    """Training accuracy falls."""
    accuracy = 100 * path.train_accuracy
    steps_down = accuracy[1:] < accuracy[:-1]
    last = paired_t(accuracy[-1] - accuracy[0], "less")
    mean = accuracy.mean(axis=1)
    every = bool((mean[1:] < mean[:-1]).all())
    seen = last.p_value <= LEVEL
    verdict = form.Verdict.REPRODUCED if seen and every else form.Verdict.IN_PART if seen else form.Verdict.UNDECIDED
    if paired_t(accuracy[-1] - accuracy[0], "greater").p_value <= LEVEL:
        verdict = form.Verdict.NOT_UNDER_PROTOCOL
    return _claim(
        f"{network}, {variant}",
        "training accuracy against the original labels drops in each round",
        ACCURACIES.get(variant, ""),
        verdict,
        testable,
        {
            "rounds_in_which_the_mean_drops": int((mean[1:] < mean[:-1]).sum()),
            "later_rounds": len(mean) - 1,
            "chains_and_rounds_that_drop": int(steps_down.sum()),
            "chains_and_later_rounds": int(steps_down.size),
            "last_round_minus_round_0": last._asdict(),
        },
        f"the mean drops in {int((mean[1:] < mean[:-1]).sum())} of {len(mean) - 1} later rounds; last round "
        f"{_shown(last)}",
    )


def _rises(path: NetworkPath, network: str, variant: str, testable: bool) -> form.Claim:
    """Test accuracy rises, and where the paper says so falls after that."""
    then_down = variant not in GAIN
    verdict, numbers, note = _up_then_down(100 * path.test_accuracy, then_down)
    ending = " and then falls" if then_down else ""
    claim, source = f"test accuracy rises above that of round 0{ending}", (ACCURACIES | GAIN).get(variant, "")
    return _claim(f"{network}, {variant}", claim, source, verdict, testable, numbers, note)


def _loss_drops(path: NetworkPath, network: str, variant: str, testable: bool) -> form.Claim:
    """Training loss against the original labels drops, then rises; as the other, upside down."""
    verdict, numbers, note = _up_then_down(-path.train_loss, then_down=True)
    claim = "training loss against the original labels drops below that of round 0, then rises"
    source, note = TRAINING_LOSS.get(variant, ""), f"minus the loss: {note}"
    return _claim(f"{network}, {variant}", claim, source, verdict, testable, numbers, note)


def _up_then_down(values: NDArray[np.float64], then_down: bool) -> tuple[form.Verdict, dict[str, Any], str]:
    """Whether (T, S) values rise above those of round 0 and, where asked, end below their best; with the numbers."""
    later, (best, over_last) = rounds_above_first(values), best_over_last(values)
    rises = min(each.p_value for each in later) <= LEVEL
    falls = over_last is not None and over_last.p_value <= LEVEL
    last = paired_t(values[-1] - values[0], "two-sided")
    verdict = form.Verdict.UNDECIDED
    if rises:
        verdict = form.Verdict.REPRODUCED if falls or not then_down else form.Verdict.IN_PART
    elif max(paired_t(row - values[0], "less").p_value for row in values[1:]) <= LEVEL:  # all are worse
        verdict = form.Verdict.NOT_UNDER_PROTOCOL
    numbers = {
        "rounds_over_round_0": [each._asdict() for each in later],
        "best_later_round": best,
        "best_over_last_round": None if over_last is None else over_last._asdict(),
        "last_round_over_round_0": last._asdict(),
    }
    n, of_last = len(later), "it is the last"
    if over_last is not None:
        of_last = f"over the last {_shown(over_last)}, p = {over_last.p_value:.2g} corrected for {n}"
    note = (
        f"best later round {best}: over round 0 {_shown(later[best - 1])}, p = {later[best - 1].p_value:.2g} corrected "
        f"for {n}, {of_last}; last round over round 0 {_shown(last)}"
    )
    return verdict, numbers, note


def _shown(estimate: SeedEstimate) -> str:
    return f"{estimate.mean:+.3g} ± {estimate.standard_error:.2g}"

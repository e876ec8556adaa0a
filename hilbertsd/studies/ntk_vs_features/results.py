"""The table of kernels beside trained networks, and what it says of the paper's claims."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.ntk.ensembles import SIX_USES
from hilbertsd.studies import form
from hilbertsd.studies.ntk_ensembles.lines import line, points
from hilbertsd.studies.ntk_ensembles.published import (
    CLAIMS,
    PUBLISHED,
    PUBLISHED_NETWORKS,
    SOURCE,
    claim_of_the_paper,
    published_rows,
    verdict,
)
from hilbertsd.studies.ntk_vs_features.presets import (
    AFTER,
    BEFORE,
    INFINITE,
    MIXTURE,
    PLAIN,
    PRACTICAL,
    PRESETS,
    ROWS,
    Config,
)
from hilbertsd.studies.ntk_vs_features.rows import AT_SINGLES_STRENGTH, Row
from hilbertsd.studies.sizes.networks import Contrast, contrast
from hilbertsd.studies.sizes.paired import LEVEL, holm
from hilbertsd.studies.sizes.seeds import SeedEstimate, paired_t

Weights = Mapping[str, float]

KERNEL_CLAIMS: tuple[tuple[str, Weights], ...] = (
    *((claim, {first: 1, second: -1} if beats else {first: -1, second: 1}) for claim, first, second, beats in CLAIMS),
    ("training the average is better than single models", {"train the average": 1, "single": -1}),
    (
        "the ensemble cannot be distilled: its student is worse than it",
        {"ensemble": 1, "knowledge distillation": -1},
    ),
)
"""Claim on tangent kernels, and the weighted sum of accuracies that it says is positive."""

NETWORK_CLAIMS: tuple[tuple[str, Weights], ...] = (
    ("the ensemble is better than single models", {"ensemble": 1, "single": -1}),
    ("training the average is no better than single models", {"single": 1, "train the average": -1}),
    ("training the average is worse than the ensemble", {"ensemble": 1, "train the average": -1}),
    (
        "knowledge distillation of the ensemble is better than single models",
        {"knowledge distillation": 1, "single": -1},
    ),
    ("a student of the ensemble is no worse than it", {"knowledge distillation": 1, "ensemble": -1}),
    ("self-distillation is better than single models", {"self-distillation": 1, "single": -1}),
    (
        "the ensemble of the distilled is no better than the distilled",
        {"knowledge distillation": 1, "ensemble of the distilled": -1},
    ),
)
"""The same of trained networks. "No better" and "no worse" are seen where the sum is surely positive, and are otherwise
undecided: no test sees that two accuracies are equal."""

ONE_FOR_ALL = ("single", "ensemble", "knowledge distillation", "self-distillation")
"""Uses of the claims on kernels that are tested at one strength for all, too."""

CLAIMS_OF = {BEFORE: KERNEL_CLAIMS, AFTER: KERNEL_CLAIMS, PLAIN: NETWORK_CLAIMS, PRACTICAL: NETWORK_CLAIMS}
"""By row. The paper speaks of kernels at initialisation and of networks with normalisation; of the rows between them
the same is tested and reported."""

OF_THE_PAPER = (BEFORE, PRACTICAL)

DIGITS = 2
"""Decimals of accuracies and of points."""

CONTROL = "on Gaussian-like inputs the ensemble is not better than single models"

PROTOCOL = (
    "published: ten WRN-10-4 tangent kernels, or ten ResNets, all 50,000 images, crops and flips",
    "here: the preset's images, without augmentation, shrunk; networks and training as under 'table'; the average is "
    "(F_1 + … + F_L)/√L and is trained as long as a single model is",
    "kernels: ridge regression; every use has strengths of its own, chosen on validation images. A teacher of small "
    "strength hands on the labels, so that a student with both strengths free can hardly be worse than single models; "
    "at one strength for all, that of single models, it can",
    "trained networks: the learning rate is chosen on the validation images by a network of another seed; the last "
    "step counts",
    "practical networks teach and learn with a softmax of temperature τ, as under 'config'",
    "errors are over test images and networks. An ensemble, a teacher and an average trained as one network are there "
    "once: verdicts are on these, and training images are the same for all. To the average's variance that of one "
    "single model is added",
    "tests are one-sided, both ways, each corrected by Holm's rule for all tests of the table",
)


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Table, and kernels by round.

    Attributes
    ----------
    data : name of the data.
    labels : (m,) classes of the test images.
    table : by row in the order of `ROWS`.
    kernels : numbers of the tangent kernels of every round and seed of the plain networks' chains.
    about : names and numbers of parameters of the networks by kind, and what made them, ready for JSON.
    """

    COLUMNS = ("row", *SIX_USES)

    data: str
    labels: NDArray[np.int64]
    table: dict[str, Row]
    kernels: list[dict[str, Any]] = field(repr=False)
    about: dict[str, Any] = field(repr=False)

    def accuracy(self, row: str, use: str) -> Contrast:
        """Test accuracy in per cent, with its error over test images and networks."""
        return contrast(self.table[row].correct, {use: 1}, self.labels)

    def advantage(self, row: str, use: str) -> Contrast:
        """Percentage points by which a use is better than single models of the same row."""
        return self._contrast(row, {use: 1, "single": -1})

    def over_infinite(self, row: str) -> Contrast:
        """Percentage points by which single models of a row are better than the infinite kernel."""
        pair = {"row": self.table[row].correct["single"], "infinite": self.table[INFINITE].correct["single"]}
        return contrast(pair, {"row": 1, "infinite": -1}, self.labels)

    def _contrast(self, row: str, weights: Weights) -> Contrast:
        """Weighted sum of accuracies; an average that was trained spreads as single models do."""
        trained = row in (PLAIN, PRACTICAL) and "train the average" in weights
        return contrast(
            self.table[row].correct, weights, self.labels, {"train the average": "single"} if trained else None
        )

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per row of the table: accuracy of single models in %, and what other uses add to it ± s.e."""
        lines = []
        for row in ROWS:
            added = {use: self.advantage(row, use)[:2] for use in SIX_USES[1:]}
            shown = line(self.accuracy(row, "single")[:2], added, DIGITS)
            if row == INFINITE:  # one kernel: there is nothing to average
                shown |= dict.fromkeys(("ensemble", "train the average", "ensemble of the distilled"), "")
            lines.append({"row": row, **shown})
        return lines + published_rows(self.config.dataset)

    def headline(self) -> list[str]:
        """Data and networks."""
        preset, about = PRESETS[self.config.preset], self.about
        sizes = preset.sizes
        kinds = "; ".join(f"{row}: {about[row]['name']}, {about[row]['parameters']:,} parameters" for row in about)
        return [
            f"{self.data}; {sizes.train:,} training, {sizes.validation:,} validation and {sizes.test:,} test images; "
            f"{preset.networks} networks that differ by seed",
            kinds,
            "accuracy of single models in %, and what other uses add to it, in points ± s.e. over test images and "
            "networks",
        ]

    def closing(self) -> list[str]:
        """What training does to the tangent kernel, round by round."""
        lines = []
        for t in sorted({each["round"] for each in self.kernels}):
            found = [each for each in self.kernels if each["round"] == t]
            distance, between = (
                form.mean_and_standard_error(np.array([each[name] for each in found]))
                for name in ("distance", "distance_between_networks")
            )
            before, after = np.mean([each["alignment"] for each in found], axis=0)
            ridge = 100 * np.mean([each["ridge_accuracy"] for each in found], axis=0)
            lines.append(
                f"round {t}: the centred tangent kernel moves by {distance.mean:.2g} ± {distance.standard_error:.1g} "
                f"(two networks at the start are {between.mean:.2g} apart), its alignment with the labels {before:.3f} "
                f"→ {after:.3f}; ridge regression with it {ridge[0]:.1f} → {ridge[1]:.1f} %"
            )
        return lines

    @cached_property
    def tests(self) -> list[tuple[str, str, Contrast, float, float]]:
        """Row, claim, estimate, and p-values of the claim and of its opposite, corrected for all tests of the table."""
        found = [
            (row, claim, self._contrast(row, weights))
            for row, claims in CLAIMS_OF.items()
            for claim, weights in (*claims, *self._at_one_strength(row))
        ]
        above, below = (holm(np.array([getattr(each, p) for _, _, each in found])) for p in ("p_above", "p_below"))
        return [
            (row, claim, each, float(p), float(q)) for (row, claim, each), p, q in zip(found, above, below, strict=True)
        ]

    def _at_one_strength(self, row: str) -> list[tuple[str, Weights]]:
        """Claims on kernels once more, with the strength of single models for teacher and student."""
        if "ensemble" + AT_SINGLES_STRENGTH not in self.table[row].correct:
            return []
        return [
            (
                claim + ", at one strength for all",
                {use if use == "single" else use + AT_SINGLES_STRENGTH: weight for use, weight in weights.items()},
            )
            for claim, weights in KERNEL_CLAIMS
            if set(weights) <= set(ONE_FOR_ALL)
        ]

    def claims(self) -> list[form.Claim]:
        """What the paper claims of kernels and of networks; on digits nothing is testable."""
        claims, dataset = [], self.config.dataset
        for row, claim, estimate, p_holds, p_opposite in self.tests:
            numbers = {**estimate._asdict(), "p_corrected": p_holds, "p_of_the_opposite_corrected": p_opposite}
            note, setting = _with_p(estimate, p_holds), self._setting(row)
            if row in OF_THE_PAPER and dataset != MIXTURE:
                seen = p_holds <= LEVEL, p_opposite <= LEVEL
                claims.append(claim_of_the_paper(claim, *seen, numbers, note, setting=setting, dataset=dataset))
            else:
                claims.append(form.Claim(claim, form.Verdict.REPORTED, numbers, note, setting=setting))
        return [*claims, *self._control(), *self._features()]

    def _setting(self, row: str) -> str:
        """Row of the table, with its network."""
        kind = PRACTICAL if row == PRACTICAL else PLAIN
        return f"{row}, {self.about[kind]['name']}"

    def _control(self) -> list[form.Claim]:
        """Of the mixture: whether the ensemble gains nothing, of two rows at 5 % for both."""
        if self.config.dataset != MIXTURE:
            return []
        claims = []
        for row in (PLAIN, PRACTICAL):
            gain = self.advantage(row, "ensemble")
            p = min(1.0, 2 * gain.p_above)
            seen, note = verdict(holds=False, against=p <= LEVEL), _with_p(gain, p)
            claims.append(form.Claim(CONTROL, seen, gain._asdict(), note, source=SOURCE, setting=self._setting(row)))
        return claims

    def _features(self) -> list[form.Claim]:
        """Whether later rounds of a chain move their kernels as the first does; claimed by nobody."""
        rounds = sorted({each["round"] for each in self.kernels})
        by_round = np.array([[each["distance"] for each in self.kernels if each["round"] == t] for t in rounds])
        change = paired_t(by_round[-1] - by_round[0], "two-sided")
        return [
            form.Claim(
                "the tangent kernel moves in the last round as far as in round 0 (targets shrink from round to round)",
                form.Verdict.REPORTED,
                {
                    "distance_by_round": by_round.tolist(),
                    "mean_distance_by_round": by_round.mean(axis=1).tolist(),
                    "last_minus_first": change._asdict(),
                },
                f"centred distances by round {', '.join(f'{row.mean():.2g}' for row in by_round)}; last minus first "
                f"{_shown(change)}, p = {change.p_value:.2g}",
                setting=self._setting(PLAIN),
            )
        ]

    def numbers(self) -> dict[str, Any]:
        """Data, protocol, table with errors, published rows, kernels by round."""
        table = [
            {
                "row": row,
                **self.about.get(row, {}),
                "uses": {
                    use: {
                        "test_accuracy": _estimate(self.accuracy(row, use)),
                        "of_each": (100 * self.table[row].correct[use].mean(axis=1)).round(4).tolist(),
                        "over_single": None if use == "single" else _estimate(self.advantage(row, use)),
                    }
                    for use in SIX_USES
                },
                "at_one_strength_over_single": {
                    use.removesuffix(AT_SINGLES_STRENGTH): _estimate(self.advantage(row, use))
                    for use in self.table[row].correct
                    if use.endswith(AT_SINGLES_STRENGTH)
                },
                "single_over_infinite_kernel": None if row == INFINITE else _estimate(self.over_infinite(row)),
                "chosen": self.table[row].chosen,
            }
            for row in ROWS
        ]
        sizes = PRESETS[self.config.preset].sizes
        published = (
            {
                "kernels": PUBLISHED[self.config.dataset],
                "networks": PUBLISHED_NETWORKS[self.config.dataset],
            }
            if self.config.dataset in PUBLISHED
            else {}
        )
        return {
            "data": self.data,
            "images": vars(sizes),
            "protocol": list(PROTOCOL),
            "table": table,
            "published": published,
            "kernels_by_round": self.kernels,
        }


def _estimate(found: Contrast) -> dict[str, float]:
    return {"mean": found.mean, "standard_error": found.standard_error}


def _with_p(found: Contrast, p: float) -> str:
    return f"{points(*found[:2], DIGITS)} points, corrected p = {p:.2g}"


def _shown(estimate: SeedEstimate) -> str:
    return f"{estimate.mean:+.2g} ± {estimate.standard_error:.1g}"

"""Result of the study of ensembles: accuracies of every use on every draw, tables, and claims with verdicts."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.ntk.ensembles import DISTILLED, USES
from hilbertsd.studies import form
from hilbertsd.studies.ntk_ensembles.lines import line, points
from hilbertsd.studies.ntk_ensembles.orderings import ADVANTAGES, CONTENDERS, Ordering, settings
from hilbertsd.studies.ntk_ensembles.parts import Accuracies
from hilbertsd.studies.ntk_ensembles.presets import MULTIPLES, PRESETS, Config
from hilbertsd.studies.ntk_ensembles.published import (
    CLAIMS,
    PROTOCOL,
    PUBLISHED,
    PUBLISHED_RATIOS,
    SOURCE,
    claim_of_the_paper,
)
from hilbertsd.studies.sizes.paired import AtPoints

DIGITS = 1
"""Decimals of accuracies and of points."""


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Accuracies of every use on every draw.

    Attributes
    ----------
    data : name of the data.
    parameters : by form, (W,) parameters of the networks.
    ratios : by form, (W,) parameters per target: p/(nk) where one vector of weights serves all k classes, else p/n.
    accuracies : by form and use, (D, W, 2, F, 2, S) or with a teacher (D, W, 2, F, 2, S, S) shares of D draws and W
        widths, as a part has them.
    """

    data: str
    parameters: dict[str, NDArray[np.int64]]
    ratios: dict[str, NDArray[np.float64]]
    accuracies: dict[str, Accuracies]

    @cached_property
    def orderings(self) -> list[Ordering]:
        """One for every setting."""
        return [Ordering.of(each, self.accuracies[each.form], self.ratios[each.form]) for each in settings(self.ratios)]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per setting and ratio: accuracy of single in per cent, and what other uses add, ± s.e."""
        return [{"setting": str(ordering.setting), **row} for ordering in self.orderings for row in _lines(ordering)]

    def shown(self) -> list[str | list[dict[str, Any]]]:
        """The headline, a table for every setting, and one of verdicts for every claim."""
        parts: list[str | list[dict[str, Any]]] = [*self.headline()]
        for ordering in self.orderings:
            parts += [f"\n{ordering.setting}", _lines(ordering)]
        claims = iter(self.claims())
        for claim, *_ in CLAIMS:
            ours = [next(claims) for _ in self.orderings]
            lines = [{"setting": each.setting, "verdict": str(each.verdict), "where": _where(each)} for each in ours]
            parts += [f"\n{claim} ({SOURCE})", lines]
        return parts

    def headline(self) -> list[str]:
        """Data, network and their numbers."""
        preset = PRESETS[self.config.preset]
        sizes = "; ".join(f"{name} {s.train:,} + {s.validation:,} + {s.test:,}" for name, s in preset.sizes.items())
        return [
            f"{self.data}, {preset.draws} draws of {preset.networks} networks {preset.network} of widths "
            f"{', '.join(map(str, preset.widths))}; training + validation + test images: {sizes}",
            "accuracy of single models in %, and what other uses add to it, in points ± s.e. over draws; * where a "
            "t-test of 5 %, corrected for all ratios of a setting, sees a difference",
        ]

    def claims(self) -> list[form.Claim]:
        """What the paper claims on CIFAR, one for every claim and setting.

        A claim is reproduced where the test sees it at some ratio and the opposite at none, and reproduced in part
        where it sees both. The opposite alone is a result under this protocol, which is not the paper's.
        """
        claims = []
        for claim, first, second, beats in CLAIMS:
            for ordering in self.orderings:
                seen = ordering.difference(first, second)
                holds, against = (seen.above, seen.below) if beats else (seen.below, seen.above)
                claims.append(
                    claim_of_the_paper(
                        claim,
                        bool(holds.any()),
                        bool(against.any()),
                        {
                            **ordering.setting._asdict(),
                            "parameters_per_target": ordering.ratios.tolist(),
                            **_recorded(seen),
                            "holds_at": ordering.ratios[holds].tolist(),
                            "opposite_at": ordering.ratios[against].tolist(),
                        },
                        _by_ratio(seen, ordering.ratios),
                        setting=str(ordering.setting),
                        dataset=self.config.dataset,
                    )
                )
        return claims

    def numbers(self) -> dict[str, Any]:
        """Data, protocol, and for every setting accuracies in per cent by draw and ratio, advantages and maps."""
        preset = PRESETS[self.config.preset]
        return {
            "data": self.data,
            "network": preset.network,
            "widths": list(preset.widths),
            "networks": preset.networks,
            "draws": preset.draws,
            "images": {name: vars(sizes) for name, sizes in preset.sizes.items()},
            "parameters": {name: values.tolist() for name, values in self.parameters.items()},
            "parameters_per_target": {name: values.tolist() for name, values in self.ratios.items()},
            "published": {
                name: {"parameters_per_target": r, **PUBLISHED[name]} for name, r in PUBLISHED_RATIOS.items()
            },
            "protocol": list(PROTOCOL),
            "strengths": list(MULTIPLES),
            "settings": [
                {
                    **ordering.setting._asdict(),
                    "test_accuracy": {name: np.round(ordering.test[name], 4).tolist() for name in CONTENDERS},
                    "chosen": {name: ordering.chosen[name].tolist() for name in CONTENDERS},
                    "at_the_border": {name: ordering.at_the_border(name) for name in CONTENDERS},
                    "advantages": [
                        {"of": one, "over": other, **_recorded(ordering.difference(one, other))}
                        for one, other in ADVANTAGES
                    ],
                    "maps": {use: np.round(ordering.advantage_map(use), 2).tolist() for use in DISTILLED},
                }
                for ordering in self.orderings
            ],
        }


def _lines(ordering: Ordering) -> list[dict[str, Any]]:
    """One dictionary per ratio, as the terminal shows them."""
    single = [form.mean_and_standard_error(values) for values in ordering.test["single"].T]
    added = {use: ordering.difference(use, "single") for use in USES[1:]}
    return [
        {
            "parameters_per_target": float(f"{ratio:.3g}"),
            **line(
                single[w],
                {use: (each.mean[w], each.standard_error[w]) for use, each in added.items()},
                DIGITS,
                [use for use, each in added.items() if each.above[w] or each.below[w]],
            ),
        }
        for w, ratio in enumerate(ordering.ratios)
    ]


def _by_ratio(found: AtPoints, ratios: NDArray[np.float64]) -> str:
    """Differences with their standard errors at every ratio."""
    each = zip(found.mean, found.standard_error, found.above | found.below, strict=True)
    differences = ", ".join(points(mean, error, DIGITS, seen) for mean, error, seen in each)
    return f"{differences} points (* seen) at {', '.join(f'{r:.2g}' for r in ratios)} parameters per target"


def _where(claim: form.Claim) -> str:
    """Ratios at which a claim is seen, and at which its opposite is."""
    places = [("at", claim.numbers["holds_at"]), ("the opposite at", claim.numbers["opposite_at"])]
    return "; ".join(f"{words} {', '.join(f'{r:.2g}' for r in ratios)}" for words, ratios in places if len(ratios))


def _recorded(found: AtPoints) -> dict[str, Any]:
    return {name: values.tolist() for name, values in found._asdict().items()}

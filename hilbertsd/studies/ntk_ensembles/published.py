"""What Allen-Zhu & Li (2020), arXiv:2012.09816, say of ten WRN-10-4-NTK models, and how what is done here differs."""

from collections.abc import Mapping
from typing import Any

from hilbertsd.ntk.ensembles import SIX_USES, USES
from hilbertsd.studies import form
from hilbertsd.studies.ntk_ensembles.lines import line

SOURCE = "Allen-Zhu & Li"
"""What a claim's source names."""

PUBLISHED: dict[str, dict[str, float]] = {
    "cifar10": dict(zip(USES, (66.68, 70.54, 72.86, 66.01, 61.92), strict=True)),
    "cifar100": dict(zip(USES, (31.90, 38.32, 41.47, 31.38, 27.64), strict=True)),
}
"""Test accuracy in per cent."""

PUBLISHED_RATIOS = {"cifar10": 2.4, "cifar100": 0.24}
"""Parameters of a published model for every training image and class."""

PROTOCOL = (
    "published: 50,000 training images, WRN-10-4, ten models trained by SGD, with what regularises that",
    "here: a few hundred or thousand images of CIFAR-10, ridge regression and gradient flow in closed form on centred "
    "one-hot labels, strengths chosen on images that no fit sees, for teacher and student apart",
    "here: narrower networks, so that parameters per target are as few; NTK parameterisation, without normalisation "
    "layers or augmentation",
)

CLAIMS = (
    ("the ensemble is better than single models", "ensemble", "single", True),
    ("training the average is better than the ensemble", "train the average", "ensemble", True),
    ("knowledge distillation of the ensemble is worse than single models", "knowledge distillation", "single", False),
    ("self-distillation is worse than single models", "self-distillation", "single", False),
)
"""Claim, the two uses that it compares, and whether the first is said to be the better one."""

PUBLISHED_NETWORKS: dict[str, dict[str, tuple[float, ...]]] = {
    "cifar10": {
        "ResNet-28-2": (95.22, 96.33, 95.02, 96.16, 95.78, 96.21),
        "ResNet-34": (93.65, 94.97, 93.12, 94.59, 94.21, 94.88),
        "ResNet-34-2": (95.45, 96.55, 95.00, 96.08, 95.86, 96.42),
        "ResNet-16-10": (96.08, 96.80, 95.88, 96.81, 96.62, 96.76),
        "ResNet-22-10": (96.44, 97.12, 96.41, 97.09, 97.05, 97.09),
        "ResNet-28-10": (96.70, 97.20, 96.46, 97.22, 97.13, 97.24),
    },
    "cifar100": {
        "ResNet-28-2": (76.38, 81.13, 73.18, 79.03, 78.12, 80.35),
        "ResNet-34": (71.66, 76.85, 68.88, 73.74, 73.14, 75.60),
        "ResNet-34-2": (77.01, 81.48, 72.99, 79.23, 79.07, 81.56),
        "ResNet-16-10": (80.03, 83.18, 80.53, 82.67, 82.25, 83.36),
        "ResNet-22-10": (81.17, 84.33, 81.59, 83.71, 83.26, 84.27),
        "ResNet-28-10": (81.51, 84.69, 81.83, 83.81, 83.56, 84.87),
    },
}
"""Test accuracy in per cent of ten trained networks: single (a mean), ensemble, train the average, knowledge
distillation, self-distillation, ensemble of the distilled."""


def published_rows(dataset: str) -> list[dict[str, str]]:
    """Lines of what the paper has on a data set, kernels first, without errors; empty cells for what it lacks."""
    found = {"WRN-10-4-NTK": PUBLISHED[dataset]} if dataset in PUBLISHED else {}
    networks = PUBLISHED_NETWORKS.get(dataset, {})
    found |= {name: dict(zip(SIX_USES, values, strict=True)) for name, values in networks.items()}
    rows = []
    for name, values in found.items():
        single = values["single"]
        added = {use: (value - single, None) for use, value in values.items() if use != "single"}
        rows.append(
            {"row": f"published: {name}", **dict.fromkeys(SIX_USES, ""), **line((single, None), added, digits=2)}
        )
    return rows


def verdict(holds: bool, against: bool) -> form.Verdict:
    """Verdict on a claim, from whether a test sees it anywhere, and whether one sees the opposite."""
    if holds:
        return form.Verdict.IN_PART if against else form.Verdict.REPRODUCED
    return form.Verdict.NOT_UNDER_PROTOCOL if against else form.Verdict.UNDECIDED


def claim_of_the_paper(
    claim: str,
    holds: bool,
    against: bool,
    numbers: Mapping[str, Any],
    note: str,
    *,
    setting: str,
    dataset: str,
) -> form.Claim:
    """Claim of the paper with its verdict, which only the data sets of the paper can test.

    Parameters
    ----------
    holds, against : whether a test sees it, and whether one sees the opposite.
    claim, numbers, note, setting : as in :class:`hilbertsd.studies.form.Claim`.
    dataset : name of the data set.
    """
    found = verdict(holds, against) if dataset in PUBLISHED else form.Verdict.NOT_TESTABLE
    return form.Claim(claim, found, numbers, note, source=SOURCE, setting=setting)

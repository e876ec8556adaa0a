"""What Allen-Zhu & Li (2020), arXiv:2012.09816, say of ten WRN-10-4-NTK models, and how what is done here differs."""

from hilbertsd.ntk.ensembles import USES

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

"""Uses of networks compared on test images: what is drawn are networks and images.

estimate = contrast(correct, {"ensemble": 1, "single": -1}, test_labels)
estimate.mean, estimate.standard_error, estimate.p_above
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies.sizes.paired import mean_difference


class Contrast(NamedTuple):
    """Difference in percentage points, its standard error, and p-values of its being no more, and no less, than 0."""

    mean: float
    standard_error: float
    p_above: float
    p_below: float


def contrast(
    correct: Mapping[str, NDArray[np.bool_]],
    weights: Mapping[str, float],
    classes: NDArray[np.integer],
    like: Mapping[str, str] | None = None,
) -> Contrast:
    """Weighted sum of the test accuracies of several uses.

    Parameters
    ----------
    correct : by use, (R, m) whether each of R networks, or of one ensemble, is right on each of m test images. Uses of
        several networks have equally many, paired by their order.
    weights : by use, its weight, such as 1 and −1 for a difference.
    classes : (m,) classes of the images.
    like : by use that is there once, a use of several networks among which it would spread as much; the variance of one
        of these is added.

    Notes
    -----
    The variance is that over images of the weighted sum, each use averaged over its networks, plus that over networks,
    each averaged over the images. Both hold the share of the networks that changes from image to image, so that the sum
    errs on the large side. An ensemble is there once: how it changes with its members is not in the error, and neither
    are other training images. Degrees of freedom are Welch's.
    """
    from scipy.special import stdtr

    over_images = mean_difference(
        np.asarray(sum(weight * correct[use].mean(axis=0) for use, weight in weights.items())), classes
    )
    several = [weight * 100 * correct[use].mean(axis=1) for use, weight in weights.items() if len(correct[use]) > 1]
    variances = [over_images.standard_error**2]
    freedom = [len(classes) - 1]
    if several:
        by_network: NDArray[Any] = np.sum(several, axis=0)
        variances.append(float(by_network.var(ddof=1)) / len(by_network))
        freedom.append(len(by_network) - 1)
    for use, others in (like or {}).items():
        by_network = weights.get(use, 0) * 100 * correct[others].mean(axis=1)
        variances.append(float(by_network.var(ddof=1)))
        freedom.append(len(by_network) - 1)
    variance = sum(variances)
    if variance == 0:
        return Contrast(over_images.mean, 0.0, 1.0, 1.0)  # the same on every image
    degrees = variance**2 / sum(v**2 / f for v, f in zip(variances, freedom, strict=True))
    t = over_images.mean / np.sqrt(variance)
    return Contrast(over_images.mean, float(np.sqrt(variance)), float(stdtr(degrees, -t)), float(stdtr(degrees, t)))

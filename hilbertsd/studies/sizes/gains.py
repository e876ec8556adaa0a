"""Best rounds, chosen on one half of the images and counted on the other: gains, standard errors, and one test.

    cut = halves(test_labels, 100, rng)                       # (100, m), every class in both halves
    each, pooled = cross_fitted([(rounds, rounds[:1])], test_labels, cut)
    RiseTest.of([rounds], test_labels, cut).p_value(999, rng) # is some round better than the first, over all paths?

A round that was chosen for its accuracy on some images looks better on these than it is. It is therefore counted on the
other half, the two halves change places, and the gain is the mean over many ways to halve the images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.studies.form import Estimate

FEWEST = 4
"""Images that every class has at least, so that both halves keep one of each when a group is left out."""

Pair = tuple[NDArray[Any], NDArray[Any]]
"""(T, m) and (T', m) which images each row of two methods classifies as they are labelled."""

Columns = NDArray[np.intp]
"""(2, k, T) places of the rows of k pairs of methods among all rows, −1 where a method has fewer than T."""


def halves(classes: NDArray[np.integer], n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which of m images are in the first half, drawn n times, every class by itself.

    Parameters
    ----------
    classes : (m,) labels.
    n : number of halvings.
    rng : generator of the draws.

    Returns
    -------
    (n, m). Each half has half of every class; of a class with an odd number the odd one falls to either by a coin.

    Raises
    ------
    InvalidInput
        A class has fewer than four images.
    """
    first = np.zeros((n, len(classes)), dtype=bool)
    for label, count in zip(*np.unique(classes, return_counts=True), strict=True):
        if count < FEWEST:
            raise InvalidInput(
                f"class {label} has {count} test images; take at least {FEWEST} of every class, "
                "so that both halves have it"
            )
        members = np.tile(np.flatnonzero(classes == label), (n, 1))
        inside = np.arange(count) < (count + rng.integers(0, 2, (n, 1))) // 2
        np.put_along_axis(first, rng.permuted(members, axis=1), inside, axis=1)
    return first


def cross_fitted(
    pairs: Sequence[Pair], classes: NDArray[np.integer], first: NDArray[np.bool_]
) -> tuple[list[Estimate], Estimate]:
    """Percentage points by which the best row of one method is right more often than the best row of another.

    Both best rows are chosen on one half (the earliest of equals) and compared on the other, and the halves change
    places.

    Parameters
    ----------
    pairs : k pairs of methods, all on the same m images.
    classes : (m,) labels.
    first : (n, m) halves, from :func:`halves`.

    Returns
    -------
    Gains of the k pairs, each a mean over the 2n choices, and the mean of them.

    Notes
    -----
    The 2n values of a gain share all m images, and the k pairs share them, too, so that no spread among these is a
    standard error. What is independent are groups of one image of each class. The error is the jackknife over them: the
    estimate is made again without each of the J groups, choices included, and its variance is (J − 1)/J times the sum
    of squares about the mean. By Efron & Stein (1981, Annals of Statistics 9, 586) the jackknife's variance is in the
    mean not below the true one at J − 1 groups, for any symmetric function of independent groups, which the mean over
    all halves is; `hilbertsd run sizes` holds it against the spread under no effect. A test needs :class:`RiseTest`:
    near no gain the estimate is not normal.
    """
    values, columns = _joined(pairs)
    cut = first.astype(np.float32)
    inside, total, n = cut @ values, values.sum(axis=0), cut.sum(axis=1, keepdims=True)
    whole = _gains(inside / n, (total - inside) / (len(classes) - n), columns)
    left_out = []
    for group in _groups(classes):
        part, here = cut[:, group] @ values[group], cut[:, group].sum(axis=1, keepdims=True)
        others = total - values[group].sum(axis=0) - inside + part
        left_out.append(_gains((inside - part) / (n - here), others / (len(classes) - len(group) - n + here), columns))
    jack = np.array(left_out)
    pooled = Estimate(float(whole.mean()), float(_jackknife(jack.mean(axis=1))))
    return [Estimate(float(g), float(e)) for g, e in zip(whole, _jackknife(jack), strict=True)], pooled


@dataclass(frozen=True, eq=False)
class RiseTest:
    """Test of whether, in the mean over paths, a round is better than round 0 on images yet to be drawn.

    The null hypothesis is that no round of any path is. The statistic is the mean of the cross-fitted gains over
    round 0, so that many paths on the same images are one number. Its distribution under the null is drawn: the
    differences from round 0, without their means over each class, are multiplied by a random sign for every image, the
    same for all rounds and paths, and everything from the choice of the rounds on is done again. Rounds that are surely
    worse than round 0, by √(2 log log m) standard errors, keep their mean, as such rounds are never the best (Hansen
    2005, Journal of Business & Economic Statistics 23, 365); all others are lifted to round 0.

    Attributes
    ----------
    first : (n, m) halves as numbers 0 and 1.
    differences : (m, R) right in a round minus right in round 0, of all rounds of all paths.
    noise : (m, R) differences without the means of their class.
    lowered : (R,) mean that a round keeps under the null hypothesis.
    columns : (2, k, T) places of every path's rounds, and of its round 0, among the R; −1 where there is none.
    """

    first: NDArray[np.float32]
    differences: NDArray[np.float32]
    noise: NDArray[np.float32]
    lowered: NDArray[np.float32]
    columns: Columns

    @classmethod
    def of(cls, paths: Sequence[NDArray[Any]], classes: NDArray[np.integer], first: NDArray[np.bool_]) -> Self:
        """Test of k paths, each (T, m) which images its rounds classify as they are labelled."""
        values, columns = _joined(
            [(path.astype(np.float32) - path[:1], np.zeros((1, path.shape[1]))) for path in paths]
        )
        noise, variance = np.empty_like(values), np.zeros(values.shape[1])
        for label in np.unique(classes):
            rows = np.flatnonzero(classes == label)
            noise[rows] = (values[rows] - values[rows].mean(axis=0)) * np.sqrt(len(rows) / (len(rows) - 1))
            variance += np.sum(noise[rows] ** 2, axis=0)
        mean, m = values.mean(axis=0), len(classes)
        worse = mean < -np.sqrt(2 * np.log(np.log(m)) * variance) / m
        return cls(first.astype(np.float32), values, noise, np.where(worse, mean, 0).astype(np.float32), columns)

    def statistic(self) -> float:
        """Mean gain over round 0, in percentage points."""
        return self._gain(self.differences)

    def null_statistic(self, rng: np.random.Generator) -> float:
        """The same of one draw in which no round is better than round 0."""
        signs = rng.choice(np.array([-1, 1], dtype=np.float32), (len(self.noise), 1))
        return self._gain(signs * self.noise + self.lowered)

    def p_value(self, draws: int, rng: np.random.Generator) -> float:
        """Share of the draws, and of the data, that gain at least as much as the data."""
        least = self.statistic()
        return (1 + sum(self.null_statistic(rng) >= least for _ in range(draws))) / (1 + draws)

    def _gain(self, values: NDArray[np.float32]) -> float:
        inside, n = self.first @ values, self.first.sum(axis=1, keepdims=True)
        others = (values.sum(axis=0) - inside) / (len(values) - n)
        return float(_gains(inside / n, others, self.columns).mean())


def _joined(pairs: Sequence[Pair]) -> tuple[NDArray[np.float32], Columns]:
    """(m, R) all rows of all pairs side by side, and where each pair's two methods are."""
    longest = max(len(rows) for pair in pairs for rows in pair)
    columns = np.full((2, len(pairs), longest), -1)
    start = 0
    for k, pair in enumerate(pairs):
        for side, rows in enumerate(pair):
            columns[side, k, : len(rows)] = np.arange(start, start + len(rows))
            start += len(rows)
    return np.vstack([rows for pair in pairs for rows in pair]).T.astype(np.float32), columns


def _gains(one: NDArray[Any], other: NDArray[Any], columns: Columns) -> NDArray[np.float64]:
    """(k,) gains in percentage points from (n, R) means on both halves, each choosing for the other."""
    chosen, counted = np.vstack([one, other]), np.vstack([other, one])
    chosen = np.hstack([chosen, np.full((len(chosen), 1), -np.inf, chosen.dtype)])  # column −1 is never the best

    def best(where: NDArray[np.intp]) -> NDArray[Any]:
        place = np.argmax(chosen[:, where], axis=2)
        return np.take_along_axis(counted, where[np.arange(len(where)), place], axis=1)

    return 100 * np.asarray(np.mean(best(columns[0]) - best(columns[1]), axis=0, dtype=np.float64))


def _groups(classes: NDArray[np.integer]) -> list[NDArray[np.intp]]:
    """Groups of one image of each class: the first of every class, the second, and so on."""
    place = np.empty(len(classes), dtype=int)
    for label in np.unique(classes):
        rows = np.flatnonzero(classes == label)
        place[rows] = np.arange(len(rows))
    return [np.flatnonzero(place == j) for j in range(place.max() + 1)]


def _jackknife(left_out: NDArray[np.float64]) -> Any:
    """Standard errors from (J, ...) estimates without each of J groups."""
    J = len(left_out)
    return np.sqrt((J - 1) / J * np.sum((left_out - left_out.mean(axis=0)) ** 2, axis=0))

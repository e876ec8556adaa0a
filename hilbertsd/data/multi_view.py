"""Multi-view data: every class has two views, and a few samples show only one of them.

    data = MultiView(n_classes=10, single_view_share=0.03)
    samples = data.draw(800, seed=0)
    samples.features.shape                   # (800, 11, 20): how much of every view a patch shows
    patches(samples, data.noise, orthonormal_views(20, 500), seed=0)  # (800, 11, 500)

A sample has P patches, each with at most one view. A multi-view sample shows both views of its class with weight 1; a
single-view sample shows one of them, and the other hardly. Views of other classes appear with smaller weights.

Source: Allen-Zhu & Li (2020), arXiv:2012.09816. The simple form is in section 2; the general form is section 3's
distribution as recalled here, so that every number of it is a parameter.
"""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_whole

VIEWS = 2
"""Views of a class."""

MOST_REDRAWN = 0.1
"""Largest share of samples that may have more views than patches; such samples are drawn again."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class MultiView:
    """Distribution of multi-view data with k classes.

    Attributes
    ----------
    n_classes : k, at least 2.
    n_patches : P, patches of a sample.
    single_view_share : μ, probability that a sample is a single-view one.
    n_others : s; each view of another class appears with probability s/k, by itself, given that all views have a patch.
        The number of other views is given by `exactly_others` instead, where that is a number.
    exactly_others : number of views of other classes, drawn without repetition; None for a random number.
    own_weight : smallest and largest weight of a view that the sample shows; weights are uniform in between.
    missing_weight : weight of the own view that a single-view sample hardly shows (ρ in the paper).
    other_weight, single_other_weight : weight of another class's view in a multi- and in a single-view sample (at most
        0.4, and Γ, in the paper).
    feature_noise : γ; every patch has every view with a weight uniform in [0, γ] besides.
    noise : c = σ_p √d, length of the Gaussian noise of a patch.

    Raises
    ------
    InvalidInput
        A number is outside its range, or more than a tenth of the samples has more views than patches.
    """

    n_classes: int = 10
    n_patches: int = 11
    single_view_share: float = 0.03
    n_others: float = 3.0
    exactly_others: int | None = None
    own_weight: Interval = (1.0, 1.0)
    missing_weight: Interval = (0.05, 0.1)
    other_weight: Interval = (0.35, 0.4)
    single_other_weight: Interval = (0.2, 0.25)
    feature_noise: float = 0.0
    noise: float = 1.2

    def __post_init__(self) -> None:
        check_whole(self.n_classes, "n_classes", InvalidInput, 2)
        check_whole(self.n_patches, "n_patches", InvalidInput)
        if not 0 <= self.single_view_share <= 1:
            raise InvalidInput(f"single_view_share is {self.single_view_share}; give a share from 0 to 1")
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name.endswith("_weight") and not _is_interval(value):
                raise InvalidInput(f"{each.name} is {value}; give a smallest and a largest weight from 0 on")
        for name in ("feature_noise", "noise"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InvalidInput(f"{name} is {getattr(self, name)}; give a finite number from 0 on")
        self._check_patches()

    @classmethod
    def simple(cls, noise: float = 1.0) -> Self:
        """The paper's section 2: two classes, weights 1, one view of the other class with 0.1; 20 % single-view."""
        return cls(
            n_classes=2,
            n_patches=3,
            single_view_share=0.2,
            exactly_others=1,
            missing_weight=(0.0, 0.0),
            other_weight=(0.1, 0.1),
            single_other_weight=(0.1, 0.1),
            noise=noise,
        )

    @property
    def n_views(self) -> int:
        """2k: view l of class j is number 2j + l."""
        return VIEWS * self.n_classes

    @property
    def single_view_error(self) -> float:
        """Error over μ of a network that has learned one view of every class: ½ [1 − (1 − s/k)^(k−1)].

        Such a network errs where a sample shows the other view only, unless no learned view of another class appears.
        The power is corrected for samples that are drawn again because their views do not fit.
        """
        k = self.n_classes
        if self.exactly_others is None:
            share, room = self.n_others / k, self.n_patches - VIEWS
            fitting = (
                _at_most(k - 1, share)[min(room, k - 1)] / _at_most(VIEWS * (k - 1), share)[min(room, VIEWS * (k - 1))]
            )
            none = float((1 - share) ** (k - 1) * fitting)
        else:
            learned = np.arange(self.exactly_others)
            none = float(np.prod((k - 1 - learned) / (VIEWS * (k - 1) - learned)))
        return float((1 - none) / 2)

    def draw(self, n: int, seed: int, single: bool | None = None) -> "ViewSamples":
        """Draw samples with labels that are uniform over the classes.

        Parameters
        ----------
        n : number of samples.
        seed : of all draws.
        single : whether all samples are single-view ones, or none is; by default each is one with probability μ.

        Raises InvalidInput for a number of samples that is no whole number from 1 on.
        """
        check_whole(n, "n", InvalidInput)
        rng = np.random.default_rng(seed)
        labels = rng.integers(self.n_classes, size=n)
        one = rng.random(n) < self.single_view_share if single is None else np.full(n, bool(single))
        shown = np.where(one, rng.integers(VIEWS, size=n), -1)
        weights = np.zeros((n, self.n_views))
        for lowest_highest, rows in ((self.other_weight, ~one), (self.single_other_weight, one)):
            weights[rows] = rng.uniform(*lowest_highest, size=(rows.sum(), self.n_views))
        weights *= self._others(labels, rng)
        for view in range(VIEWS):
            seen = ~one | (shown == view)
            own = np.where(seen, rng.uniform(*self.own_weight, size=n), rng.uniform(*self.missing_weight, size=n))
            weights[np.arange(n), VIEWS * labels + view] = own
        # A view that appears goes to a patch of its own: places are the first of a random order.
        present = (weights > 0) | (np.arange(self.n_views) // VIEWS == labels[:, None])
        places = np.argsort(rng.random((n, self.n_patches)), axis=1)
        rows, views = np.nonzero(present)
        features = np.zeros((n, self.n_patches, self.n_views))
        features[rows, places[rows, (np.cumsum(present, axis=1) - 1)[rows, views]], views] = weights[rows, views]
        if self.feature_noise:
            features += rng.uniform(0, self.feature_noise, size=features.shape)
        return ViewSamples(features, labels, shown)

    def _others(self, labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
        """(n, 2k) which views of other classes appear; as many as there are patches for."""
        other = np.arange(self.n_views) // VIEWS != labels[:, None]
        if self.exactly_others is not None:
            order = np.where(other, rng.random(other.shape), np.inf).argsort(axis=1).argsort(axis=1)
            return order < self.exactly_others
        appear = np.zeros_like(other)
        again = np.arange(len(labels))
        while len(again):
            appear[again] = (rng.random((len(again), self.n_views)) < self.n_others / self.n_classes) & other[again]
            again = np.flatnonzero(appear.sum(axis=1) + VIEWS > self.n_patches)
        return appear

    def _check_patches(self) -> None:
        k, others = self.n_classes, VIEWS * (self.n_classes - 1)
        if self.exactly_others is not None:
            check_whole(self.exactly_others, "exactly_others", InvalidInput, 0)
            if self.exactly_others > min(others, self.n_patches - VIEWS):
                raise InvalidInput(
                    f"{self.exactly_others} views of other classes are asked for beside {VIEWS} own ones in "
                    f"{self.n_patches} patches, and there are {others}; give more patches or fewer views"
                )
            return
        if not 0 <= self.n_others <= k:
            raise InvalidInput(f"n_others is {self.n_others}; give a number from 0 to the number of classes, {k}")
        share = self.n_others / k
        fitting = _at_most(others, share)
        room = self.n_patches - VIEWS
        if room < 0 or (room < others and 1 - fitting[room] > MOST_REDRAWN):
            least = VIEWS + int(np.argmax(1 - fitting <= MOST_REDRAWN))
            raise InvalidInput(
                f"n_patches is {self.n_patches}, and more than {MOST_REDRAWN:.0%} of the samples would show more views "
                f"than that; give at least {least} patches or fewer n_others than {self.n_others:g}"
            )


def _at_most(n: int, share: float) -> NDArray[np.float64]:
    """(n + 1,) probabilities that at most 0, 1, …, n of n views appear, each with the same probability by itself.

    Not SciPy's, because a study's presets are made when studies are listed, which loads NumPy alone.
    """
    probabilities = np.ones(1)
    for _ in range(n):
        probabilities = np.convolve(probabilities, [1 - share, share])
    return np.cumsum(probabilities)


def _is_interval(value: Any) -> bool:
    """Whether a value is a pair of finite numbers from 0 on, the smaller one first."""
    return np.shape(value) == (2,) and bool(0 <= value[0] <= value[1] < np.inf)


@dataclass(frozen=True, eq=False)
class ViewSamples:
    """Samples by how much of every view a patch shows.

    Attributes
    ----------
    features : (n, P, 2k) weight of view 2j + l (view l of class j) in a patch.
    labels : (n,) classes.
    shown : (n,) view of its class that a single-view sample shows, 0 or 1; −1 for a multi-view sample.
    """

    features: NDArray[np.float64]
    labels: NDArray[np.int64]
    shown: NDArray[np.int64]


def orthonormal_views(n_views: int, dimension: int, seed: int = 0) -> NDArray[np.float64]:
    """Random (2k, d) orthonormal views; raises InvalidInput where there are more views than dimensions."""
    check_whole(n_views, "n_views", InvalidInput)
    check_whole(dimension, "dimension", InvalidInput)
    if dimension < n_views:
        raise InvalidInput(f"{n_views} views cannot be orthonormal in {dimension} dimensions; give as many as views")
    rng = np.random.default_rng([seed, 1])  # not the numbers that somebody draws from the same seed
    basis = np.linalg.qr(rng.standard_normal((dimension, n_views)))[0]
    return np.ascontiguousarray(basis.T)


def patches(samples: ViewSamples, noise: float, views: Any, seed: int) -> NDArray[np.float64]:
    """Samples in d dimensions: every patch is the sum of its views and Gaussian noise N(0, c²/d) in each coordinate.

    Parameters
    ----------
    samples : from :meth:`MultiView.draw`.
    noise : c, length of a patch's noise.
    views : (2k, d) orthonormal views.
    seed : of the noise.

    Returns
    -------
    (n, P, d).

    Raises
    ------
    InvalidInput
        Views have another shape, or are not orthonormal to 1e-8; or the noise is negative or not finite.
    """
    views = checked_views(views, samples.features.shape[2])
    if not 0 <= noise < np.inf:
        raise InvalidInput(f"noise is {noise}; give a finite number from 0 on")
    n, n_patches, _ = samples.features.shape
    dimension = views.shape[1]
    noises = np.random.default_rng([seed, 2]).standard_normal((n, n_patches, dimension))
    return samples.features @ views + noise / np.sqrt(dimension) * noises


def checked_views(views: Any, n_views: int) -> NDArray[np.float64]:
    """(2k, d) views; raises InvalidInput unless they are 2k vectors that are orthonormal to 1e-8."""
    views = np.asarray(views, np.float64)
    if views.ndim != 2 or len(views) != n_views:
        raise InvalidInput(f"views have shape {views.shape}; give ({n_views}, d)")
    away = np.abs(views @ views.T - np.eye(n_views)).max()
    if not away <= 1e-8:
        raise InvalidInput(
            f"views are not orthonormal: an inner product is {away:.2g} away from 0 or 1; take orthonormal_views, or "
            "orthonormalise them by QR"
        )
    return views

"""Sizes of the tests behind verdicts: how often each sees an effect where none was put in, beside the 5 % that it says.

    result = run(Config(simulations=200))
    result.rows()[0]                             # one test: share of simulations in which it rejects

Simulated are test images of ten classes and what 42 paths of 14 kernels make of them: an image is classified as it is
labelled where a normal score, shared in part by all rounds, paths and kernels, is above a threshold. For the study of
ensembles two uses of the same networks are simulated, at six ratios of parameters to targets on several draws.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies import form
from hilbertsd.studies.sizes.gains import RiseTest, cross_fitted, halves
from hilbertsd.studies.sizes.networks import contrast
from hilbertsd.studies.sizes.paired import (
    LEVEL,
    differing,
    mean_difference,
    over_draws,
    surely_above,
    surely_below,
)
from hilbertsd.studies.sizes.seeds import best_over_last, paired_t, rounds_above_first
from hilbertsd.support.progress import tracked

KERNELS, CLASSES = 14, 10
ROUNDS = (18, 9, 4)
"""Rounds of the three paths of a kernel, as on CIFAR-10 at ε = 0.005, 0.02, 0.1."""

SHARED, OF_KERNEL, OF_PATH, OF_ROUND = 0.55, 0.25, 0.1, 0.1
"""Parts of a score's variance that are the image's, the kernel's, the path's and the round's."""

KEPT = 0.97
"""Correlation of a round's own part with that of the round before."""

IN_ALL_PATHS = 0.5
"""Part of the variance of the rounds' own scores that all paths share: more rounds regularise all of them more."""

IN_COMMON = 0.9
"""Correlation of the round's own part of two methods that are compared."""

CLASS_SPREAD = 0.4
"""Standard deviation over classes of the mean score."""

THRESHOLD, FALL = 0.2, 1.0
"""Threshold of round 0, and what it has risen by in the last round where later rounds fall."""

SPLITS, FLIPS = 50, 199

DRAWS, RATIOS, NETWORKS = 5, 6, 5
"""Draws of images and networks, ratios of parameters to targets, and networks of a draw."""

OF_NETWORK, OF_USE, OF_DRAW = 0.25, 0.2, 0.15
"""Parts of a score's variance that are the network's in both uses and in one, and the standard deviation of what a draw
of training images adds to all scores of one use at one ratio."""

JACKKNIFED = 4
"""Every so many simulations the gain's standard error is estimated, too, which takes most of the time."""

CHAINS, HANDED_ON = (8, 5), 0.3
"""Rounds and seeds of chains of trained networks, and the correlation of neighbouring rounds beyond a seed's effect."""

SPREADS = (0.5, 2.0)
"""Standard deviation of that noise in round 0 and in the last: a steeper rise than on CIFAR-10 (0.9 to 2.1)."""

TOLERATED = 0.01
"""Distance from 5 % up to which a size is as stated."""

OF_IMAGES, OF_NETWORKS = 0.15, 0.05
"""Part of a score's variance that an image has in one use of all trained networks, and the standard deviation of what a
trained network adds to all scores of one use."""

FROM_BEST = "the last round of trained networks is worse than the best later one"
OVER_IMAGES = "one use of trained networks is better than another"
AT_MOST = (FROM_BEST, OVER_IMAGES)
"""Tests that say at most 5 %: which round is best is seen in the same numbers, and seldom is it the surest one; and the
errors over images and over networks have a part in common."""


@dataclass(frozen=True)
class Config(form.Config):
    """How many simulations, of how many images."""

    simulations: int = form.option(2000, "Simulations of every test.", least=20)
    images: int = form.option(500, "Test images of a simulation, of ten classes.", least=40)
    seed: int = form.option(0, "Seed of the simulations.", least=0)


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """(simulations,) by test, whether it saw an effect; and of the gain, estimates with their standard errors.

    Attributes
    ----------
    rejected : by right test.
    wrong : by test with a standard error, or a count, that is not right for it.
    estimates : (simulations / 4, 2) mean gain over the paths, under no effect, and its standard error.
    """

    rejected: dict[str, NDArray[np.bool_]]
    wrong: dict[str, NDArray[np.bool_]]
    estimates: NDArray[np.float64]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per test, in per cent."""
        return [
            {"test": name, "right": right, **{key: round(value, 2) for key, value in _size(rejected).items()}}
            for right, tests in ((True, self.rejected), (False, self.wrong))
            for name, rejected in tests.items()
        ]

    @property
    def as_stated(self) -> dict[str, bool]:
        """By test, whether its size is within one percentage point of 5 %; those of `AT_MOST` may be smaller."""
        over = {name: float(r.mean()) - LEVEL for name, r in (self.rejected | self.wrong).items()}
        return {name: (size if name in AT_MOST else abs(size)) <= TOLERATED for name, size in over.items()}

    def closing(self) -> list[str]:
        """What the sizes say."""
        n = sum(self.as_stated[name] for name in self.rejected)
        caught = sum(not self.as_stated[name] for name in self.wrong)
        return [
            f"{n} of {len(self.rejected)} tests have a size of 5 % ± 1, or at most that where they say so; "
            f"of {len(self.wrong)} wrong ones {caught} are caught"
        ]

    def numbers(self) -> dict[str, Any]:
        """Sizes, and the spread of the gain beside its standard error."""
        spread, errors = self.estimates[:, 0].std(ddof=1), self.estimates[:, 1]
        return {
            "tests": self.rows(),
            "as_stated": self.as_stated,
            "gain_under_no_effect": {
                "mean": float(self.estimates[:, 0].mean()),
                "standard_deviation": float(spread),
                "root_mean_square_of_its_standard_error": float(np.sqrt(np.mean(errors**2))),
            },
        }


def _size(rejected: NDArray[np.bool_]) -> dict[str, float]:
    """Share of rejections and its binomial standard error, in per cent."""
    share = float(rejected.mean())
    return {"size": 100 * share, "standard_error": 100 * form.share_standard_error(share, len(rejected))}


def run(config: Config) -> Result:
    """Simulate every test where there is no effect.

    The distribution that `RiseTest` draws is drawn once a simulation, and its 95 % quantile over all simulations is the
    test's bound (Giacomini, Politis & White 2013, Econometric Theory 29, 567); other tests are done in full.
    """
    from scipy.special import stdtrit

    rng = np.random.default_rng(config.seed)
    seed_rng, use_rng = (np.random.default_rng([config.seed, stream]) for stream in (1, 2))
    classes = np.arange(config.images) % CLASSES
    gains: dict[str, list[tuple[float, float]]] = {"flat": [], "falling": []}
    seen: dict[str, list[bool]] = {}
    estimates = []

    def note(name: str, rejected: bool) -> None:
        seen.setdefault(name, []).append(rejected)

    for index in tracked(range(config.simulations), "simulations"):
        first = halves(classes, SPLITS, rng)
        for name, fall in (("flat", 0.0), ("falling", FALL)):
            rounds, others = simulated(classes, fall, rng)
            test = RiseTest.of(rounds, classes, first)
            gains[name].append((test.statistic(), test.null_statistic(rng)))
            if name == "flat":
                last = np.mean([path[-1].astype(float) - path[0] for path in rounds], axis=0)
                note("fall", surely_below(mean_difference(last, classes)))
                if index % JACKKNIFED:
                    continue
                each, pooled = cross_fitted([(path, path[:1]) for path in rounds], classes, first)
                estimates.append(pooled)
                values = np.array([gain.mean for gain in each])
                note("rise, paths as if independent", surely_above(form.mean_and_standard_error(values)))
                one, _ = cross_fitted([(path, path[:1]) for path in rounds], classes, first[:1])
                note("rise, any path above 2 s.e.", any(gain.mean > 2 * gain.standard_error for gain in one))
            else:
                pairs = zip(rounds, others, strict=True)
                later = np.vstack([a[1:].astype(float) - b[1:] for a, b in pairs]).T
                tested = differing(later, FLIPS, rng)
                note("difference", bool(tested.p_values.min() <= LEVEL))
                note("difference, no correction", bool(np.any(np.abs(tested.z) > 1.96)))
        uses = two_uses(classes, rng)
        points = over_draws(uses.mean(axis=2))
        note("use", bool(points.above.any()))
        note("use, no correction", bool(np.any(points.mean > stdtrit(DRAWS - 1, 1 - LEVEL) * points.standard_error)))
        note("use, images as if independent", surely_above(form.mean_and_standard_error(uses[:, 0].ravel())))
    for _ in range(config.simulations):
        accuracy = chains_of_seeds(seed_rng)
        later = accuracy[1:] - accuracy[0]
        note("rise, seeds", min(each.p_value for each in rounds_above_first(accuracy)) <= LEVEL)
        note("fall from the best, seeds", fallen(accuracy))
        note("rise, seeds, no correction", min(paired_t(row, "greater").p_value for row in later) <= LEVEL)
        note("fall, seeds", paired_t(later[-1], "less").p_value <= LEVEL)
        uses = uses_of_networks(classes, use_rng)
        found = contrast(uses, {"one": 1, "other": -1}, classes)
        note("use, networks and images", found.p_above <= LEVEL)
        differences = uses["one"].astype(float) - uses["other"]
        note("use, images alone", surely_above(mean_difference(differences.mean(axis=0), classes)))
        note("use, networks alone", paired_t(differences.mean(axis=1), "greater").p_value <= LEVEL)
        note("difference, seeds", paired_t(later.mean(axis=0), "two-sided").p_value <= LEVEL)
    bounds = {name: np.quantile([null for _, null in values], 1 - LEVEL) for name, values in gains.items()}
    rise = {name: np.array([value > bounds[name] for value, _ in values]) for name, values in gains.items()}
    done = {name: np.array(values) for name, values in seen.items()}
    right = {
        "a round is better than round 0, all rounds as good": rise["flat"],
        "a round is better than round 0, later rounds worse": rise["falling"],
        "the last round is worse than round 0": done["fall"],
        "two methods differ in some round": done["difference"],
        "one use of networks is better than another at some ratio": done["use"],
        "a round of trained networks is better than round 0": done["rise, seeds"],
        "the last round of trained networks is worse than round 0": done["fall, seeds"],
        FROM_BEST: done["fall from the best, seeds"],
        "two ways of training differ in the mean over rounds": done["difference, seeds"],
        OVER_IMAGES: done["use, networks and images"],
    }
    wrong = {
        "a round is better than round 0, paths as if independent": done["rise, paths as if independent"],
        "a round is better than round 0, any path above 2 s.e.": done["rise, any path above 2 s.e."],
        "two methods differ in some round, no correction": done["difference, no correction"],
        "one use is better than another at some ratio, no correction": done["use, no correction"],
        "a round of trained networks is better than round 0, no correction": done["rise, seeds, no correction"],
        "one use is better than another at one ratio, images as if independent": done["use, images as if independent"],
        "one use of trained networks is better than another, over images alone": done["use, images alone"],
        "one use of trained networks is better than another, over networks alone": done["use, networks alone"],
    }
    return Result(config, right, wrong, np.array(estimates))


def simulated(
    classes: NDArray[np.integer], fall: float, rng: np.random.Generator
) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]]:
    """Which images the rounds of every path classify as labelled, (T, m), by two methods that are equally good.

    The threshold is the same for the first half of a path's rounds and rises by `fall` until the last.
    """
    m = len(classes)
    image = np.sqrt(SHARED) * rng.normal(size=m) + CLASS_SPREAD * rng.normal(size=CLASSES)[classes]
    common = np.sqrt(IN_ALL_PATHS) * _walk(max(ROUNDS), m, rng)
    rounds, others = [], []
    for _ in range(KERNELS):
        of_kernel = image + np.sqrt(OF_KERNEL) * rng.normal(size=m)
        for T in ROUNDS:
            base = of_kernel + np.sqrt(OF_PATH) * rng.normal(size=m)
            shared = common[np.linspace(0, len(common) - 1, T).round().astype(int)]
            own, apart = shared + np.sqrt(1 - IN_ALL_PATHS) * _walk(T, m, rng), _walk(T, m, rng)
            second = IN_COMMON * own + np.sqrt(1 - IN_COMMON**2) * apart
            risen = np.clip(2 * np.arange(T) / (T - 1) - 1, 0, 1)[:, None]
            for scores, into in ((own, rounds), (second, others)):
                into.append(base + np.sqrt(OF_ROUND) * scores > THRESHOLD + fall * risen)
    return rounds, others


def _walk(T: int, m: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(T, m) standard normal values, each row correlated with the one before."""
    rows = rng.standard_normal((T, m), dtype=np.float32)
    for t in range(1, T):
        rows[t] = KEPT * rows[t - 1] + math.sqrt(1 - KEPT**2) * rows[t]
    return rows


def two_uses(classes: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.float64]:
    """(draws, ratios, m) share of the networks right in one use, minus that of another use that is as good.

    Every draw has test images, training images and networks of its own; its ratios share the images.
    """
    m = len(classes)

    def normal(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal((DRAWS, *shape), dtype=np.float32)

    image = math.sqrt(SHARED) * normal(1, 1, m)
    image += CLASS_SPREAD * rng.standard_normal(CLASSES, dtype=np.float32)[classes]
    networks = image + math.sqrt(OF_NETWORK) * normal(RATIOS, NETWORKS, m)

    def use() -> NDArray[np.float64]:
        scores = networks + math.sqrt(OF_USE) * normal(RATIOS, NETWORKS, m) + OF_DRAW * normal(RATIOS, 1, 1)
        return (scores > THRESHOLD).mean(axis=2)

    return use() - use()


def chains_of_seeds(rng: np.random.Generator) -> NDArray[np.float64]:
    """(8, 5) accuracies of chains that are as good in every round: a seed's effect, and noise that a round hands on."""
    noise = rng.normal(size=CHAINS)
    for t in range(1, len(noise)):
        noise[t] = HANDED_ON * noise[t - 1] + math.sqrt(1 - HANDED_ON**2) * noise[t]
    return np.linspace(*SPREADS, len(noise))[:, None] * noise + 2 * rng.normal(size=CHAINS[1])


def uses_of_networks(classes: NDArray[np.integer], rng: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
    """(networks, m) images that the networks of two uses, which are equally good, classify as labelled.

    Networks of one place start from the same parameters in both uses. A use makes some images easier for all of its
    networks, and some networks better on all images.
    """
    m = len(classes)
    image = math.sqrt(SHARED) * rng.normal(size=m) + CLASS_SPREAD * rng.normal(size=CLASSES)[classes]
    networks = image + math.sqrt(OF_NETWORK) * rng.normal(size=(NETWORKS, m))

    def use() -> NDArray[np.bool_]:
        of_images, of_networks = rng.normal(size=m), rng.normal(size=(NETWORKS, 1))
        own = math.sqrt(OF_USE - OF_IMAGES) * rng.normal(size=(NETWORKS, m))
        return networks + math.sqrt(OF_IMAGES) * of_images + OF_NETWORKS * of_networks + own > THRESHOLD

    return {"one": use(), "other": use()}


def fallen(values: NDArray[np.float64]) -> bool:
    """Whether the last of (T, S) rounds is seen to be below the best later one, as `network-chains` asks."""
    _, over_last = best_over_last(values)
    return over_last is not None and over_last.p_value <= LEVEL


STUDY = form.Study("sizes", __doc__, Config, run)

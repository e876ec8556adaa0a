"""Air Quality, split in time as it usually is: ridge and mixtures of its rounds on linear features.

    usual = in_time(air_quality(folder), splits=20, seed=0)
    usual.rows()[1]        # λ = 1: errors of ridge and the mixture, and what tuning λ alone gains
    usual.methods()        # every method tuned by generalised cross-validation, and on the last hours that train

The kernel is linear on standardised covariates, so that the multiplier c is the λ of ‖y − Xβ‖²/n + λ‖β‖².

Whether the target is centred: the training covariates have mean zero, so that Xᵀ(y + a) = Xᵀy, and the mean of the
target reaches no coefficient of ridge or of a round. An uncentred target without intercept leaves the mean out of every
prediction, at every λ. It changes ξ, because the residuals that cross-validation compares hold that mean, too. Both are
computed.

The test rows are later months than the training rows: this measures extrapolation, of which no criterion that treats
the training months alike knows. So methods are tuned twice: by generalised cross-validation, and by fitting the first
70 % of the training hours and taking the λ and weights that are best on the last 30 %; the fit to all training hours
then has these. Beside the usual split are others in time, whose test hours overlap, and random ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.analysis.criteria import Holdout
from hilbertsd.analysis.mixing import mix_rounds
from hilbertsd.studies.tables.data import HOURS_OF_A_WEEK, RealTable, Record, Rows, split_rows
from hilbertsd.studies.tables.linear import compressed
from hilbertsd.studies.tables.methods import CRITERION_NAMES, RIDGE, mixed, path_of
from hilbertsd.studies.tables.one_step import NAMES, Compared, at_multiplier
from hilbertsd.studies.tables.presets import USUAL_MULTIPLIERS
from hilbertsd.studies.tables.resampling import Tested, over_splits, over_weeks
from hilbertsd.support.progress import tracked

USUAL_SHARE = 0.7
"""Share of the rows, the first in time, that train under the usual protocol; and of these, that validation fits."""

SHARES = (0.4, 0.5, 0.6, 0.7, 0.8)
"""Shares of the rows that train, in other splits in time."""

LAMBDAS = np.geomspace(1e-4, 10, 51)
"""λ that are tried, and those of the curves."""

ROUNDS = {RIDGE: 1, "one-step mixture": 2, "two-step mixture": 3, "four-step mixture": 5}
"""Rounds that a method mixes."""

TUNED_BY = (CRITERION_NAMES["gcv"], "validation in time")

Key = tuple[str, str]
"""What a method is tuned by, and the method."""


@dataclass(frozen=True)
class Fitted:
    """A method on the test rows.

    Attributes
    ----------
    errors : (n_test,) squared errors.
    multiplier : λ that was chosen.
    weights : weights of the rounds.
    """

    errors: NDArray[np.float64]
    multiplier: float
    weights: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Target:
    """Ridge and the one-step mixture along λ, of the target centred or as it is.

    Attributes
    ----------
    centred : whether the training rows' mean is subtracted.
    tuned : ridge, tuned by generalised cross-validation.
    best : ridge at the λ that is best on the test rows: a measurement, not a method.
    usual : by λ of `USUAL_MULTIPLIERS`, ridge and the mixture.
    curve : (5, 51) values of `NAMES` at the λ of `LAMBDAS`.
    """

    centred: bool
    tuned: Fitted
    best: Fitted
    usual: dict[float, Compared]
    curve: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Usual:
    """Air Quality in time.

    Attributes
    ----------
    n_train : number of training rows of the usual split.
    weeks : (n_test,) week of every one of its test rows.
    targets : the centred target, then the target as it is, on the usual split.
    in_time : by share of the rows that train, every method.
    random : every method's (J,) mean errors on random splits with the sizes of the usual one.
    random_usual : by λ of `USUAL_MULTIPLIERS`, (J, 5) values of `NAMES` on these, of the centred target.
    """

    n_train: int
    weeks: NDArray[np.int64]
    targets: tuple[Target, Target]
    in_time: dict[float, dict[Key, Fitted]]
    random: dict[Key, NDArray[np.float64]]
    random_usual: dict[float, NDArray[np.float64]]

    @property
    def n_weeks(self) -> int:
        """Number of weeks in which there are test rows."""
        return len(np.unique(self.weeks))

    @property
    def usual(self) -> dict[Key, Fitted]:
        """Every method on the usual split."""
        return self.in_time[USUAL_SHARE]

    def tested(self, errors: NDArray[np.float64]) -> Tested:
        """Mean of (n_test,) errors or differences on the usual split, with the standard error over weeks."""
        return over_weeks(errors, self.weeks)

    def difference(self, tuned_by: str, method: str) -> Tested:
        """Errors on the usual split minus those of ridge, tuned alike, in per cent of its mean error."""
        ridge = self.usual[tuned_by, RIDGE].errors
        return self.tested(100 * (self.usual[tuned_by, method].errors - ridge) / ridge.mean())

    def methods_mixed(self) -> list[str]:
        """Methods that mix rounds."""
        return [name for name, rounds in ROUNDS.items() if rounds > 1]

    def by_share(self, tuned_by: str, method: str) -> dict[float, float]:
        """By share of the rows that train, the difference to ridge tuned alike in per cent."""
        ratios = {share: fitted[tuned_by, method].errors.mean() / fitted[tuned_by, RIDGE].errors.mean()
                  for share, fitted in self.in_time.items()}  # fmt: skip
        return {share: float(100 * (ratio - 1)) for share, ratio in ratios.items()}

    def random_difference(self, tuned_by: str, method: str) -> Tested:
        """Errors on random splits minus those of ridge, tuned alike, in per cent of its mean error."""
        ridge = self.random[tuned_by, RIDGE]
        values = 100 * (self.random[tuned_by, method] - ridge) / ridge.mean()
        return over_splits(values, len(self.weeks), self.n_train)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per λ, of the centred target and then of the target as it is."""
        return [self._row(target, value) for target in self.targets for value in target.usual]

    def _row(self, target: Target, value: float) -> dict[str, Any]:
        compared, tuned, best = target.usual[value], target.tuned.errors, target.best.errors
        gained = self.tested(compared.mixture - compared.ridge)
        over_tuned, over_best = self.tested(compared.mixture - tuned), self.tested(compared.mixture - best)
        row = {
            "centred": target.centred,
            "lambda": value,
            **dict(zip(NAMES, compared.means(), strict=True)),
            "tuned_ridge": float(tuned.mean()),
            "mixture_minus_ridge": gained.mean,
            "mixture_minus_ridge_standard_error": gained.standard_error,
            "p_below": gained.p_below,
            "p_above": gained.p_above,
            "mixture_minus_tuned_ridge": over_tuned.mean,
            "mixture_minus_tuned_ridge_standard_error": over_tuned.standard_error,
            "share_of_gain_by_tuning": float(np.mean(tuned - compared.ridge)) / gained.mean,
            "oracle_lambda": target.best.multiplier,
            "oracle_ridge": float(best.mean()),
            "mixture_minus_oracle_ridge": over_best.mean,
            "mixture_minus_oracle_ridge_standard_error": over_best.standard_error,
        }
        if target.centred:  # validation in time is of the centred target alone
            in_time = self.usual[TUNED_BY[1], RIDGE].errors
            row["share_of_gain_by_tuning_in_time"] = float(np.mean(in_time - compared.ridge)) / gained.mean
        return row

    def random_rows(self) -> list[dict[str, Any]]:
        """One dictionary per λ, on random splits with the centred target."""
        return [self._random_row(value) for value in self.random_usual]

    def _random_row(self, value: float) -> dict[str, Any]:
        means = dict(zip(NAMES, self.random_usual[value].mean(axis=0).tolist(), strict=True))
        tuned = float(self.random[TUNED_BY[0], RIDGE].mean())
        gained = means["mixture"] - means["ridge"]
        return {
            "lambda": value,
            **means,
            "tuned_ridge": tuned,
            "share_of_gain_by_tuning": (tuned - means["ridge"]) / gained,
        }

    def methods(self) -> list[dict[str, Any]]:
        """One dictionary per method and what it is tuned by: usual split, other splits in time, and random ones."""
        rows = []
        for (tuned_by, method), fitted in self.usual.items():
            error, difference = self.tested(fitted.errors), self.difference(tuned_by, method)
            at_random = self.random_difference(tuned_by, method)
            rows.append(
                {
                    "tuned_by": tuned_by,
                    "method": method,
                    "lambda": fitted.multiplier,
                    "weights": fitted.weights.tolist(),
                    "test_error": error.mean,
                    "standard_error_over_weeks": error.standard_error,
                    "minus_ridge_percent": difference.mean,
                    "minus_ridge_percent_standard_error_over_weeks": difference.standard_error,
                    "minus_ridge_percent_by_share": list(self.by_share(tuned_by, method).values()),
                    "random_splits_error": float(self.random[tuned_by, method].mean()),
                    "random_splits_minus_ridge_percent": at_random.mean,
                    "random_splits_minus_ridge_percent_standard_error": at_random.standard_error,
                }
            )
        return rows

    def numbers(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        curves = {
            "centred" if target.centred else "as_it_is": dict(zip(NAMES, target.curve.tolist(), strict=True))
            for target in self.targets
        }
        return {
            "n_train": self.n_train,
            "n_test": len(self.weeks),
            "weeks": self.n_weeks,
            "by_lambda": self.rows(),
            "by_lambda_on_random_splits": self.random_rows(),
            "shares": list(SHARES),
            "methods": self.methods(),
            "curves": {"lambda": LAMBDAS.tolist(), **curves},
        }


def in_time(record: Record, splits: int, seed: int) -> Usual:
    """Fit ridge and the mixture along λ, and tune every method, on splits in time and on random ones.

    Parameters
    ----------
    record : all rows of Air Quality, in time.
    splits : number of random splits.
    seed : seed of these.
    """
    table, n = record.table, len(record.hours)

    def cut(order: NDArray[np.intp], share: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        n_train = round(share * n)
        return order[:n_train], order[n_train:]

    hours, J = np.arange(n), range(splits)
    train, test = cut(hours, USUAL_SHARE)
    rows = split_rows(table, train, test)
    shuffled = [cut(np.random.default_rng([seed, split]).permutation(n), USUAL_SHARE) for split in J]
    tuned = [tune(table, *each) for each in tracked(shuffled, "random splits of Air Quality")]
    along = [_along(split_rows(table, *each), centred=True).usual for each in shuffled]
    return Usual(
        len(train),
        record.hours[test] // HOURS_OF_A_WEEK,
        (_along(rows, centred=True), _along(rows, centred=False)),
        {share: tune(table, *cut(hours, share)) for share in SHARES},
        {key: np.array([fitted[key].errors.mean() for fitted in tuned]) for key in tuned[0]},
        {value: np.array([usual[value].means() for usual in along]) for value in USUAL_MULTIPLIERS},
    )


def tune(table: RealTable, train: NDArray[np.intp], test: NDArray[np.intp]) -> dict[Key, Fitted]:
    """Every method tuned on training rows, by generalised cross-validation and on the last 30 % of them."""
    rows = split_rows(table, train, test)
    n_fitted = round(USUAL_SHARE * len(train))
    part, _ = compressed(split_rows(table, train[:n_fitted], train[n_fitted:]))
    whole, given_rows = compressed(rows)
    validated = Holdout(part.cross_kernel, part.test_targets)
    fitted = {}
    for method, rounds in ROUNDS.items():
        by_gcv = [mixed(path_of(whole.spectrum, value, rounds), given_rows) for value in LAMBDAS]
        by_validation = [mixed(path_of(part.spectrum, value, rounds), validated) for value in LAMBDAS]
        for tuned_by, mixtures in zip(TUNED_BY, (by_gcv, by_validation), strict=True):
            best = int(np.argmin([mixture.score for mixture in mixtures]))
            value, weights = float(LAMBDAS[best]), mixtures[best].weights
            chosen = mix_rounds(path_of(whole.spectrum, value, rounds), weights=weights)
            errors = whole.squared_errors(chosen.predict(whole.cross_kernel))
            fitted[tuned_by, method] = Fitted(errors, value, weights)
    return fitted


def _along(rows: Rows, *, centred: bool) -> Target:
    """Ridge and the one-step mixture along λ."""
    problem, given_rows = compressed(rows if centred else rows.uncentred())
    paths = [path_of(problem.spectrum, value, 1) for value in LAMBDAS]
    errors = [problem.squared_errors(path.predict(problem.cross_kernel, 0)) for path in paths]
    tuned = int(np.argmin([given_rows.residuals(path).scores[0] for path in paths]))
    best = int(np.argmin([each.mean() for each in errors]))

    def compared(values: Sequence[float]) -> list[Compared]:
        return [at_multiplier(problem, float(value), given_rows) for value in values]

    return Target(
        centred,
        Fitted(errors[tuned], float(LAMBDAS[tuned]), np.ones(1)),
        Fitted(errors[best], float(LAMBDAS[best]), np.ones(1)),
        dict(zip(USUAL_MULTIPLIERS, compared(USUAL_MULTIPLIERS), strict=True)),
        np.array([each.means() for each in compared(LAMBDAS.tolist())]).T,
    )

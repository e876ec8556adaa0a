"""What is kept of the random splits of a table, and what is said of them.

runs.errors("loo", "ridge")              # (J,) mean squared test errors
runs.difference("loo", "gradient flow")  # its errors minus tuned ridge's, in per cent of ridge's, tested
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies.tables.methods import CRITERIA, RIDGE
from hilbertsd.studies.tables.one_step import NAMES
from hilbertsd.studies.tables.presets import FACTORS, NOISE_LEVELS
from hilbertsd.studies.tables.resampling import Tested, over_splits


@dataclass(frozen=True)
class Fitted:
    """A method on one split.

    Attributes
    ----------
    error : mean squared test error.
    accuracy : share of the test rows in the right class; NaN for regression.
    choice : what was chosen, by name.
    at_edge : whether the multiplier, ε or time chosen was the first or last one tried.
    cost : seconds that tuning took, over those of one `numpy.linalg.eigh` of the same kernel matrix.
    """

    error: float
    accuracy: float
    choice: dict[str, float]
    at_edge: bool
    cost: float


@dataclass(frozen=True, eq=False)
class Split:
    """All methods on one split.

    Attributes
    ----------
    gammas : by criterion, the kernel's width that is best for ridge, over the one divided by the number of features.
    fitted : by criterion and method.
    around : (5, len(FACTORS)) values of `NAMES` around the multiplier tuned for ridge by leave-one-out.
    noise : (2, 5, len(NOISE_LEVELS)) those with noise, at that multiplier and at one tuned anew; None where no noise is
        added.
    """

    gammas: dict[str, float]
    fitted: dict[str, dict[str, Fitted]]
    around: NDArray[np.float64]
    noise: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class TableRuns:
    """All random splits of one table.

    Attributes
    ----------
    name, unit : name of the table, and the unit of its errors.
    n_features, n_train, n_test : sizes.
    has_classes : whether accuracies are counted.
    splits : J splits.
    """

    name: str
    unit: str
    n_features: int
    n_train: int
    n_test: int
    has_classes: bool
    splits: list[Split]

    def tested(self, values: NDArray[np.float64]) -> Tested:
        """Mean of (J,) values, one for a split, with the corrected standard error and tests."""
        return over_splits(values, self.n_test, self.n_train)

    def fitted(self, criterion: str, method: str) -> list[Fitted]:
        """A method on every split."""
        return [split.fitted[criterion][method] for split in self.splits]

    def errors(self, criterion: str, method: str) -> NDArray[np.float64]:
        """(J,) mean squared test errors."""
        return np.array([each.error for each in self.fitted(criterion, method)])

    def accuracies(self, criterion: str, method: str) -> NDArray[np.float64]:
        """(J,) test accuracies in per cent."""
        return 100 * np.array([each.accuracy for each in self.fitted(criterion, method)])

    def difference(self, criterion: str, method: str) -> Tested:
        """Errors minus tuned ridge's, split by split, in per cent of ridge's mean error."""
        ridge = self.errors(criterion, RIDGE)
        return self.tested(100 * (self.errors(criterion, method) - ridge) / ridge.mean())

    def around(self, name: str) -> NDArray[np.float64]:
        """(J, len(FACTORS)) one of `NAMES` around the multiplier tuned for ridge."""
        return np.array([split.around[NAMES.index(name)] for split in self.splits])

    def gain_at(self, factor: float) -> Tested:
        """What the mixture adds to ridge's error at a factor times ridge's multiplier, in per cent of tuned ridge's."""
        place = FACTORS.index(factor)
        gained = self.around("mixture")[:, place] - self.around("ridge")[:, place]
        return self.tested(100 * gained / self.errors(CRITERIA[0], RIDGE).mean())

    def taken_back_at(self, factor: float) -> float:
        """Part of what ridge loses at a factor times its multiplier that the mixture takes back, of mean errors."""
        ridge, mixture = (self.around(name)[:, FACTORS.index(factor)].mean() for name in ("ridge", "mixture"))
        return float((ridge - mixture) / (ridge - self.errors(CRITERIA[0], RIDGE).mean()))

    def noise(self, name: str, anew: bool) -> NDArray[np.float64]:
        """(draws, len(NOISE_LEVELS)) one of `NAMES` with noise, at the multiplier without or the one tuned anew."""
        added = [split.noise for split in self.splits if split.noise is not None]
        return np.array([noise[int(anew), NAMES.index(name)] for noise in added])

    def row(self, criterion: str, method: str) -> dict[str, Any]:
        """Numbers of one method."""
        error, difference = self.tested(self.errors(criterion, method)), self.difference(criterion, method)
        fitted = self.fitted(criterion, method)
        row = {
            "table": self.name,
            "tuned_by": criterion,
            "method": method,
            "test_error": error.mean,
            "standard_error": error.standard_error,
            "minus_ridge_percent": difference.mean,
            "minus_ridge_percent_standard_error": difference.standard_error,
            "p_below_ridge": difference.p_below,
            "p_above_ridge": difference.p_above,
            "splits_below_ridge": int(np.sum(self.errors(criterion, method) < self.errors(criterion, RIDGE))),
            "cost_in_eigh": float(np.median([each.cost for each in fitted])),
            "median_choice": {
                name: float(np.median([each.choice[name] for each in fitted])) for name in fitted[0].choice
            },
            "splits_at_edge": sum(each.at_edge for each in fitted),
        }
        unchanged = {"round": 0, "iterations": 1}  # where the method is ridge
        for name, value in unchanged.items():
            if name in fitted[0].choice:
                row["splits_that_choose_ridge"] = sum(each.choice[name] == value for each in fitted)
        if self.has_classes:
            accuracy = self.accuracies(criterion, method)
            gained = self.tested(accuracy - self.accuracies(criterion, RIDGE))
            row |= {
                "accuracy": float(accuracy.mean()),
                "accuracy_minus_ridge": gained.mean,
                "accuracy_minus_ridge_standard_error": gained.standard_error,
            }
        return row

    def numbers(self) -> dict[str, Any]:
        """Sizes, kernels, and the comparisons around the tuned multiplier and with noise, ready for JSON."""
        return {
            "unit": self.unit,
            "n_features": self.n_features,
            "n_train": self.n_train,
            "n_test": self.n_test,
            "splits": len(self.splits),
            "gamma_times_features": {
                criterion: [split.gammas[criterion] for split in self.splits] for criterion in CRITERIA
            },
            "around": [
                {
                    "factor": factor,
                    **self._means(lambda name, k=k: self.around(name)[:, k]),
                    **self._gained(factor),
                }
                for k, factor in enumerate(FACTORS)
            ],
            "noise": [
                {"level": level, "tuned_anew": anew, **self._means(lambda name, k=k, a=anew: self.noise(name, a)[:, k])}
                for anew in (False, True)
                for k, level in enumerate(NOISE_LEVELS)
            ],
        }

    def _gained(self, factor: float) -> dict[str, float]:
        """What the mixture adds to ridge's error at a factor; the part taken back where ridge loses anything."""
        gained = self.gain_at(factor)
        row = {
            "mixture_minus_ridge_percent": gained.mean,
            "mixture_minus_ridge_percent_standard_error": gained.standard_error,
            "p_below": gained.p_below,
            "p_above": gained.p_above,
        }
        return row if factor == 1 else {**row, "part_taken_back": self.taken_back_at(factor)}

    def _means(self, values: Any) -> dict[str, float]:
        """Mean and standard error of every one of `NAMES`."""
        tested = {name: self.tested(values(name)) for name in NAMES}
        return {
            key: value
            for name, each in tested.items()
            for key, value in ((name, each.mean), (f"{name}_standard_error", each.standard_error))
        }

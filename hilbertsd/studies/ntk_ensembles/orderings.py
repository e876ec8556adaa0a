"""Which use of networks is better than which: strengths chosen on validation images, differences tested over draws.

    setting = Setting("full-output", normalised=True, family="ridge")
    ordering = Ordering.of(setting, accuracies, ratios)       # accuracies of W widths on D draws
    ordering.difference("ensemble", "single").above           # (W,) at which parameters per target, 5 % for all W

Every use has the strengths that are best on the validation images of its own draw, and is counted on its test images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.ntk.ensembles import DISTILLED, FILTERS, USES
from hilbertsd.studies.sizes.paired import AtPoints, over_draws

TEACHERS = dict(zip(DISTILLED, ("ensemble", "single"), strict=True))
"""Whose outputs a student is fitted to."""

BEST_TEACHER, SHARED_STRENGTH = ", teacher at its best", ", one strength"
"""What a distilled use is called where its teacher has the strength that is best for the teacher itself, and where
teacher and student share one strength, the best for the student; without either, both are chosen for the student."""

CONTENDERS = (*USES, *(use + how for how in (BEST_TEACHER, SHARED_STRENGTH) for use in DISTILLED))

ADVANTAGES = (
    ("ensemble", "single"),
    ("train the average", "single"),
    ("train the average", "ensemble"),
    *((contender, "single") for contender in CONTENDERS[3:]),
    ("knowledge distillation", "ensemble"),
)
"""Pairs of uses whose difference is recorded."""

VALIDATION, TEST = 0, 1
"""Places of the two kinds of images among accuracies."""


class Setting(NamedTuple):
    """Form of the kernel, whether it is normalised to K(x, x) = 1, and the family of filters."""

    form: str
    normalised: bool
    family: str

    def __str__(self) -> str:
        return f"{self.form}, {'normalised' if self.normalised else 'as it is'}, {self.family}"

    def of(self, accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…, 2, S) or (…, 2, S, S) accuracies of this setting, from (…, 2, F, 2, S) or (…, 2, F, 2, S, S)."""
        family = list(FILTERS).index(self.family)
        return accuracies[:, :, int(self.normalised), family]


def settings(forms: Mapping[str, object]) -> list[Setting]:
    """Every setting of some forms of kernels."""
    return [Setting(form, normal, family) for form in forms for normal in (False, True) for family in FILTERS]


@dataclass(frozen=True, eq=False)
class Ordering:
    """Test accuracies of one setting at W ratios of parameters to targets, on D draws.

    Attributes
    ----------
    setting : form, normalisation and family.
    ratios : (W,) parameters per target, ascending.
    accuracies : by use, (D, W, 2, S) or with a teacher (D, W, 2, S, S), in per cent, on validation and test images.
    chosen : by contender, (D, W, 1 or 2) places of its strengths, the teacher's first.
    """

    setting: Setting
    ratios: NDArray[np.float64]
    accuracies: dict[str, NDArray[np.float64]]
    chosen: dict[str, NDArray[np.intp]]

    @classmethod
    def of(cls, setting: Setting, accuracies: Mapping[str, NDArray[np.float64]], ratios: NDArray[np.float64]) -> Self:
        """Choose strengths on the validation images.

        Parameters
        ----------
        setting : form, normalisation and family.
        accuracies : by use, (D, W, 2, F, 2, S) or with a teacher (D, W, 2, F, 2, S, S) shares, as
            :func:`hilbertsd.studies.ntk_ensembles.parts.measured` gives them for every draw and width.
        ratios : (W,) parameters per target.
        """
        ours = {use: 100 * setting.of(values) for use, values in accuracies.items()}
        validation = {use: values[:, :, VALIDATION] for use, values in ours.items()}
        chosen = {use: best_strengths(values, 2) for use, values in validation.items()}
        for use in DISTILLED:
            teacher = chosen[TEACHERS[use]]
            rows = np.take_along_axis(validation[use], teacher[..., None], axis=2)[:, :, 0]
            chosen[use + BEST_TEACHER] = np.concatenate([teacher, best_strengths(rows, 2)], axis=2)
            diagonal = np.diagonal(validation[use], axis1=2, axis2=3)
            chosen[use + SHARED_STRENGTH] = np.repeat(best_strengths(diagonal, 2), 2, axis=2)
        return cls(setting, ratios, ours, {name: chosen[name] for name in CONTENDERS})

    @cached_property
    def test(self) -> dict[str, NDArray[np.float64]]:
        """By contender, (D, W) accuracy on the test images at the chosen strengths, in per cent."""
        return {
            name: _at(self.accuracies[name.partition(",")[0]][:, :, TEST], places)
            for name, places in self.chosen.items()
        }

    def difference(self, first: str, second: str) -> AtPoints:
        """Percentage points by which one contender is better than another, tested at every ratio."""
        return over_draws(self.test[first] - self.test[second])

    def advantage_map(self, use: str) -> NDArray[np.float64]:
        """(W, S, S) percentage points by which a distilled use is better than single at its chosen strength.

        Rows are the teacher's strength, columns the student's; a mean over draws.
        """
        return (self.accuracies[use][:, :, TEST] - self.test["single"][..., None, None]).mean(axis=0)

    def at_the_border(self, name: str) -> dict[str, list[float]]:
        """Shares of draws and ratios in which a chosen strength is the smallest or the largest tried.

        One number for a use without a teacher, two (the teacher's first) for one with.
        """
        places = self.chosen[name]
        last = self.accuracies[name.partition(",")[0]].shape[-1] - 1
        return {
            "smallest": (places == 0).mean(axis=(0, 1)).tolist(),
            "largest": (places == last).mean(axis=(0, 1)).tolist(),
        }


def best_strengths(accuracies: NDArray[np.float64], n_axes: int = 0) -> NDArray[np.intp]:
    """(…, 1 or 2) places of the strengths, a teacher's before its student's, at which a use is best.

    Parameters
    ----------
    accuracies : (…, S) or (…, S, S) on validation images. The first of equals is taken, which has the least strength.
    n_axes : number of the axes before those of the strengths.
    """
    flat = accuracies.reshape(*accuracies.shape[:n_axes], -1).argmax(axis=-1)
    return np.stack(np.unravel_index(flat, accuracies.shape[n_axes:]), axis=-1)


def _at(values: NDArray[np.float64], places: NDArray[np.intp]) -> NDArray[np.float64]:
    """(D, W) values at (D, W, 1 or 2) places."""
    draws, widths = np.indices(values.shape[:2])
    return values[(draws, widths, *np.moveaxis(places, 2, 0))]

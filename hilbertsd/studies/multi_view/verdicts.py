"""What the paper claims of multi-view data, of kernels and of data without views, and what was measured of it.

Tests are Student's, one-sided, of 5 %, over draws of the data, each by itself; where an error is the same in all draws
it is compared as it is. A bound holds where the error is surely within it, and fails where it is surely beyond. That
one error is lower than another is tested in pairs. No test sees that two errors are equal: a claim of no gain is seen
where the error is surely higher, and fails where it is surely lower.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies import form
from hilbertsd.studies.form import Claim, Verdict
from hilbertsd.studies.multi_view.evidence import Evidence, estimate, in_words
from hilbertsd.studies.multi_view.kernels import INFINITE, finite
from hilbertsd.studies.multi_view.presets import LONGER, Setting
from hilbertsd.studies.sizes.paired import LEVEL
from hilbertsd.studies.sizes.seeds import paired_t

PAPER = "Allen-Zhu & Li"
"""Theorems are numbered as recalled; figures are those of the paper's summary."""

SINGLE, ENSEMBLE, STUDENT, SELF = "single", "ensemble", "knowledge distillation", "self-distillation"

BOUNDS = (
    ("a single network has all training samples right and errs by 0.49 to 0.51μ", SINGLE, 0.49, 0.51, "Theorem 1"),
    ("the ensemble errs by 0.01μ at most", ENSEMBLE, 0.0, 0.01, "Theorem 2"),
    ("a student of the ensemble errs by 0.01μ at most", STUDENT, 0.0, 0.01, "Theorem 3"),
    ("a student of a single network errs by 0.26μ at most", SELF, 0.0, 0.26, "Theorem 4"),
)
"""Claim, use, and the smallest and the largest error that it allows."""

LOWER = (
    ("the ensemble errs less than a single network", ENSEMBLE, SINGLE, "Theorem 2"),
    ("a student of the ensemble errs less than a single network", STUDENT, SINGLE, "Theorem 3"),
    ("a student of a single network errs less than a single network", SELF, SINGLE, "Theorem 4"),
    ("a student of the ensemble errs less than after longer training on the labels", STUDENT, LONGER, ""),
    ("a student of a single network errs less than after longer training on the labels", SELF, LONGER, ""),
    ("a student of the ensemble errs less than a student of a single network", STUDENT, SELF, ""),
)
"""Claim, and the use whose error is said to be lower than that of the next one."""

NO_GAIN = (
    ("training the average errs no less than a single network", "train the average", SINGLE, "summary, Figure 3"),
    (
        "the ensemble of the distilled errs no less than the ensemble",
        "ensemble of the distilled",
        ENSEMBLE,
        "summary, Figure 6",
    ),
    ("longer training on the labels errs no less than a single network", LONGER, SINGLE, ""),
)
"""Claim, and the use that is said to gain nothing over the next one."""

Errors = NDArray[np.float64]
Direction = Literal["less", "greater"]


def claims(evidence: Evidence) -> list[Claim]:
    """All of them."""
    preset = evidence.preset
    found = [claim for setting in preset.main for claim in _of_setting(evidence, setting)]
    over_classes = [_over_classes(evidence)] if "k" in preset.sweeps else []
    return [*found, *over_classes, *_of_kernels(evidence), *_of_controls(evidence)]


def surely(difference: Errors, direction: Direction) -> bool:
    """Whether (D,) values over draws are above ("greater") or below ("less") zero."""
    if np.ptp(difference) == 0:
        return bool(difference[0] > 0 if direction == "greater" else difference[0] < 0)
    return paired_t(difference, direction).p_value <= LEVEL


def _of_setting(evidence: Evidence, setting: Setting) -> list[Claim]:
    name, uses = f"k = {setting.data.n_classes}", evidence.uses(setting)
    error = {use: evidence.errors(setting, use) for use in uses}
    found = [_bound(claim, error[use], low, high, name, source) for claim, use, low, high, source in BOUNDS]
    found[0] = _trained(found[0], evidence, setting)
    return [
        *found,
        _law(evidence, setting),
        *(lower(text, error[one], error[other], name, to) for text, one, other, to in LOWER if other in uses),
        *(
            no_gain(text, error[one], error[other], name, to)
            for text, one, other, to in NO_GAIN
            if {one, other} <= {*uses}
        ),
        _one_view(evidence.known(setting, SINGLE)[:, 1], name),
    ]


def _bound(claim: str, error: Errors, low: float, high: float, setting: str, source: str) -> Claim:
    within = surely(error - high, "less") and (low == 0 or surely(error - low, "greater"))
    beyond = surely(error - high, "greater") or surely(error - low, "less")
    verdict = _verdict(within, beyond)
    numbers = {"error": estimate(error), "by_draw": error.tolist()}
    return Claim(claim, verdict, numbers, f"{in_words(error)}μ", source=_source(source), setting=setting)


def _trained(claim: Claim, evidence: Evidence, setting: Setting) -> Claim:
    """The claim on single networks, which holds only if all of them fit their samples and came to their end."""
    lowest, settled = (evidence.lowest(setting, SINGLE, name) for name in ("accuracies", "settled"))
    numbers = {**claim.numbers, "lowest_training_accuracy": lowest, "all_settled": settled == 1}
    fitted = lowest == 1 and settled == 1
    verdict = claim.verdict if fitted else Verdict.UNDECIDED
    note = f"{claim.note}; lowest training accuracy {100 * lowest:g} %"
    return Claim(claim.claim, verdict, numbers, note, source=claim.source, setting=claim.setting)


def _law(evidence: Evidence, setting: Setting) -> Claim:
    """What networks with one view of every class would err by at so few classes, and why they do not."""
    expected, both = setting.data.single_view_error, evidence.known(setting, SINGLE)[:, 2]
    missing = evidence.means(setting, SINGLE, "missing")
    numbers = {
        "expected": expected,
        "share_of_classes_with_both_views": estimate(both),
        "error_where_the_view_is_missing": estimate(missing),
    }
    note = (
        f"{expected:.3f}μ where every class has one view; of {in_words(both)} of the classes both are learned, and "
        f"where the view is missing {in_words(missing)} of the samples are wrong"
    )
    claim = "½ [1 − (1 − s/k)^(k−1)] μ, what a network with one view of every class errs by"
    return Claim(claim, Verdict.REPORTED, numbers, note, setting=f"k = {setting.data.n_classes}")


def _one_view(share: Errors, setting: str) -> Claim:
    verdict = _verdict(surely(share - 0.5, "greater"), surely(share - 0.5, "less"))
    claim, numbers = "a single network learns one view of most classes", estimate(share)
    note = f"one view of {in_words(share)} of them"
    return Claim(claim, verdict, {"share": numbers}, note, source=_source("summary"), setting=setting)


def lower(claim: str, error: Errors, other: Errors, setting: str, source: str, unit: str = "μ") -> Claim:
    """Claim that one error is lower than another one, by draw."""
    return _compared(claim, "less", "greater", error, other, setting, source, unit)


def no_gain(claim: str, error: Errors, other: Errors, setting: str, source: str, unit: str = "μ") -> Claim:
    """Claim that one error is no lower than another one, by draw."""
    return _compared(claim, "greater", "less", error, other, setting, source, unit)


def _compared(
    claim: str,
    holds: Direction,
    fails: Direction,
    error: Errors,
    other: Errors,
    setting: str,
    source: str,
    unit: str,
) -> Claim:
    numbers = {
        "error": estimate(error),
        "of_the_other": estimate(other),
        "difference": estimate(error - other),
    }
    note = f"{in_words(error)}{unit} against {in_words(other)}{unit}, difference {in_words(error - other)}{unit}"
    verdict = _verdict(surely(error - other, holds), surely(error - other, fails))
    # What nobody claims has a number, not a verdict.
    verdict = verdict if source else Verdict.REPORTED
    return Claim(claim, verdict, numbers, note, source=_source(source), setting=setting)


def _verdict(holds: bool, fails: bool) -> Verdict:
    """Verdict where tests see that a claim holds, that it fails, or neither."""
    return Verdict.REPRODUCED if holds else Verdict.NOT_UNDER_PROTOCOL if fails else Verdict.UNDECIDED


def _over_classes(evidence: Evidence) -> Claim:
    """How the students' errors change with the number of classes."""
    by_k = evidence.preset.sweeps["k"]
    numbers: dict[str, Any] = {}
    notes = []
    for use in (STUDENT, SELF):
        errors = {k: evidence.errors(setting, use) for k, setting in by_k.items()}
        places = np.concatenate([np.full(len(values), np.log2(k)) for k, values in errors.items()])
        slope = slope_of(places, np.concatenate(list(errors.values())))
        by_number = {f"{k:g}": float(values.mean()) for k, values in errors.items()}
        numbers[use] = {"slope_by_doubling_of_k": slope._asdict(), "mean_by_k": by_number}
        means = ", ".join(f"{values.mean():.3f}" for values in errors.values())
        notes.append(f"{use} {means}μ, {slope.mean:+.3f} ± {slope.standard_error:.3f}μ for twice as many classes")
    note = f"k = {', '.join(f'{k:g}' for k in by_k)}: {'; '.join(notes)}"
    return Claim("the error of students over the number of classes", Verdict.REPORTED, numbers, note)


def slope_of(x: Errors, y: Errors) -> form.Estimate:
    """Slope of the least-squares line through points, and its standard error."""
    from scipy.stats import linregress

    line: Any = linregress(x, y)
    return form.Estimate(float(line.slope), float(line.stderr))


def _of_kernels(evidence: Evidence) -> list[Claim]:
    """What single kernels err by, and what the uses of the one with the fewest neurons do."""
    sizes, draws = evidence.preset.kernels, evidence.kernels
    place, few = sizes.n_train.index(sizes.tested), finite(min(sizes.neurons))
    error = {use: 100 * np.array([draw.uses[few][use][place, 0] for draw in draws]) for use in draws[0].uses[few]}
    compared = (
        (lower, "the kernels' ensemble errs less than single kernels", ENSEMBLE, SINGLE),
        (no_gain, "the kernels' student of the ensemble errs no less than single kernels", STUDENT, SINGLE),
        (lower, "training the kernels' average errs less than single kernels", "train the average", SINGLE),
        (lower, "training the kernels' average errs less than their ensemble", "train the average", ENSEMBLE),
    )
    about = f"{few}, {sizes.tested} samples"
    return [
        *_of_single_kernels(evidence),
        *(
            test(text, error[one], error[other], about, "summary, Figure 3", " %")
            for test, text, one, other in compared
        ),
    ]


def _of_single_kernels(evidence: Evidence) -> list[Claim]:
    """Errors of single kernels on the networks' own training samples, and of their paths in any round."""
    draws = evidence.kernels
    numbers, notes = {}, []
    for kernel in (INFINITE, *(finite(each) for each in evidence.preset.kernels.neurons)):
        last = 100 * np.array([draw.uses[kernel][SINGLE][-1] for draw in draws])
        path = 100 * np.array([draw.paths[kernel].max(axis=0) for draw in draws])
        numbers[kernel] = {
            "single_view_error": {"by_draw": last[:, 0].tolist(), "mean": estimate(last[:, 0])},
            "multi_view_error": {"by_draw": last[:, 1].tolist(), "mean": estimate(last[:, 1])},
            "largest_single_view_error_of_the_path": {"by_draw": path[:, 0].tolist(), "mean": estimate(path[:, 0])},
            "largest_multi_view_error_of_the_path": {"by_draw": path[:, 1].tolist(), "mean": estimate(path[:, 1])},
        }
        notes.append(
            f"{kernel} {in_words(last[:, 0])} % and {in_words(last[:, 1])} %, path {in_words(path[:, 0])} % at most"
        )
    claim = "errors of single kernels on single- and on multi-view samples, from the networks' training samples"
    return [Claim(claim, Verdict.REPORTED, numbers, "; ".join(notes))]


def _of_controls(evidence: Evidence) -> list[Claim]:
    found = []
    for name, draws in evidence.controls.items():
        error = {use: 100 * np.array([draw.errors[use] for draw in draws]) for use in draws[0].errors}
        claim = "on Gaussian-like inputs the ensemble errs no less than a single network"
        made = no_gain(claim, error[ENSEMBLE], error[SINGLE], name, "summary, Figure 4", " %")
        lowest = min(draw.lowest_train_accuracy for draw in draws)
        numbers, note = {**made.numbers, "lowest_training_accuracy": lowest}, f"{made.note}; {_fitted(lowest)}"
        found.append(Claim(claim, made.verdict, numbers, note, source=made.source, setting=name))
    return found


def _fitted(lowest: float) -> str:
    return "single networks fit all labels" if lowest == 1 else f"lowest training accuracy {100 * lowest:.1f} %"


def _source(place: str) -> str:
    return f"{PAPER}, {place}" if place else ""

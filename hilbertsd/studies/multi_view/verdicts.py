"""What the paper claims of multi-view data, of kernels and of data without views, and what was measured of it.

A bound holds where the mean over draws keeps it, and fails where the mean is surely beyond it. That one error is lower
than another is seen by Student's paired test over draws. No test sees that two errors are equal: a claim of no gain is
seen where the error is surely higher, and fails where it is surely lower.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies import form
from hilbertsd.studies.form import Claim, Verdict
from hilbertsd.studies.multi_view.evidence import Evidence
from hilbertsd.studies.multi_view.kernels import INFINITE, finite
from hilbertsd.studies.multi_view.presets import Setting
from hilbertsd.studies.sizes.paired import LEVEL
from hilbertsd.studies.sizes.seeds import paired_t

PAPER = "Allen-Zhu & Li 2020"

BOUNDS = (
    ("a single network has all training samples right and errs by 0.49 to 0.51μ", "single", 0.49, 0.51, "Theorem 1"),
    ("the ensemble errs by 0.01μ at most", "ensemble", 0.0, 0.01, "Theorem 2"),
    ("a student of the ensemble errs by 0.01μ at most", "knowledge distillation", 0.0, 0.01, "Theorem 3"),
    ("a student of a single network errs by 0.26μ at most", "self-distillation", 0.0, 0.26, "Theorem 4"),
)
"""Claim, use, and the smallest and the largest error that it allows."""

LOWER = (
    ("a student of the ensemble errs less than a single network", "knowledge distillation", "single", "Theorem 3"),
    ("a student of a single network errs less than one", "self-distillation", "single", "Theorem 4"),
    ("a student of the ensemble errs less than after longer training", "knowledge distillation", "longer training", ""),
    ("a student of a single network errs less than after longer training", "self-distillation", "longer training", ""),
)
"""Claim, and the use whose error is said to be lower than that of the next one."""

NO_GAIN = (
    ("training the average errs no less than a single network", "train the average", "single", "Figure 3"),
    (
        "the ensemble of the distilled errs no less than one of them",
        "ensemble of the distilled",
        "knowledge distillation",
        "Figure 6",
    ),
    ("longer training errs no less than a single network", "longer training", "single", ""),
)
"""Claim, and the use that is said to gain nothing over the next one."""


def claims(evidence: Evidence) -> list[Claim]:
    """All of them."""
    preset = evidence.preset
    found = []
    for setting in preset.main:
        found += _of_setting(evidence, setting)
    over_classes = [_over_classes(evidence)] if "k" in preset.sweeps else []
    return [*found, *over_classes, *_of_kernels(evidence), *_of_controls(evidence)]


def _of_setting(evidence: Evidence, setting: Setting) -> list[Claim]:
    name, uses = f"k = {setting.data.n_classes}", evidence.uses(setting)
    error = {use: evidence.errors(setting, use) for use in uses}
    found = [_bound(claim, error[use], low, high, name, source) for claim, use, low, high, source in BOUNDS]
    found.append(_law(error["single"], evidence, setting))
    found += [
        _lower(claim, error[one], error[other], name, source) for claim, one, other, source in LOWER if other in uses
    ]
    found += [
        _no_gain(claim, error[one], error[other], name, source)
        for claim, one, other, source in NO_GAIN
        if one in uses and other in uses
    ]
    one = evidence.known(setting, "single")[:, 1]
    many = paired_t(one - 0.5, "greater").p_value <= LEVEL
    numbers = {"share_of_classes": form.mean_and_standard_error(one)._asdict()}
    claim = "a single network learns one view of most classes"
    verdict = Verdict.REPRODUCED if many or one.min() == 1 else Verdict.UNDECIDED
    found.append(
        Claim(claim, verdict, numbers, f"one view of {_words(one)} of them", source=_source("section 4"), setting=name)
    )
    return found


def _bound(claim: str, error: NDArray[np.float64], low: float, high: float, setting: str, source: str) -> Claim:
    beyond = paired_t(error - high, "greater").p_value <= LEVEL or paired_t(error - low, "less").p_value <= LEVEL
    verdict = Verdict.REPRODUCED if low <= error.mean() <= high else Verdict.UNDECIDED
    verdict = Verdict.NOT_UNDER_PROTOCOL if beyond else verdict
    numbers = {"error": form.mean_and_standard_error(error)._asdict(), "by_draw": error.tolist()}
    return Claim(claim, verdict, numbers, f"{_words(error)}μ", source=_source(source), setting=setting)


def _law(error: NDArray[np.float64], evidence: Evidence, setting: Setting) -> Claim:
    """What networks that learn one view of every class would err by at so few classes."""
    expected = setting.data.single_view_error
    both = evidence.known(setting, "single")[:, 2]
    with_both = expected * (1 - both)
    numbers = {
        "expected": expected,
        "expected_from_classes_with_one_view": form.mean_and_standard_error(with_both)._asdict(),
    }
    note = (
        f"{_words(error)}μ; expected {expected:.3f}μ, and {_words(with_both)}μ from the classes of which it knows one"
    )
    claim = "½ [1 − (1 − s/k)^(k−1)] μ, what a network errs by that has learned one view of every class"
    return Claim(claim, Verdict.REPORTED, numbers, note, setting=f"k = {setting.data.n_classes}")


def _lower(
    claim: str, error: NDArray[np.float64], other: NDArray[np.float64], setting: str, source: str, unit: str = "μ"
) -> Claim:
    """Claim that one error is lower than another one."""
    verdict = Verdict.UNDECIDED
    if paired_t(error - other, "less").p_value <= LEVEL:
        verdict = Verdict.REPRODUCED
    elif paired_t(error - other, "greater").p_value <= LEVEL:
        verdict = Verdict.NOT_UNDER_PROTOCOL
    return _compared(claim, verdict, error, other, setting, source, unit)


def _no_gain(
    claim: str, error: NDArray[np.float64], other: NDArray[np.float64], setting: str, source: str, unit: str = "μ"
) -> Claim:
    """Claim that one error is no lower than another one."""
    verdict = Verdict.UNDECIDED
    if paired_t(error - other, "less").p_value <= LEVEL:
        verdict = Verdict.NOT_UNDER_PROTOCOL
    elif paired_t(error - other, "greater").p_value <= LEVEL:
        verdict = Verdict.REPRODUCED
    return _compared(claim, verdict, error, other, setting, source, unit)


def _compared(
    claim: str,
    verdict: Verdict,
    error: NDArray[np.float64],
    other: NDArray[np.float64],
    setting: str,
    source: str,
    unit: str,
) -> Claim:
    numbers = {
        "error": form.mean_and_standard_error(error)._asdict(),
        "of_the_other": form.mean_and_standard_error(other)._asdict(),
        "difference": form.mean_and_standard_error(error - other)._asdict(),
    }
    note = f"{_words(error)}{unit} against {_words(other)}{unit}, difference {_words(error - other)}{unit}"
    # What nobody claims has a number, not a verdict.
    verdict = verdict if source else Verdict.REPORTED
    return Claim(claim, verdict, numbers, note, source=_source(source), setting=setting)


def _over_classes(evidence: Evidence) -> Claim:
    """How the students' errors change with the number of classes."""
    by_k = evidence.preset.sweeps["k"]
    numbers: dict[str, Any] = {}
    notes = []
    for use in ("knowledge distillation", "self-distillation"):
        errors = {k: evidence.errors(setting, use) for k, setting in by_k.items()}
        places = np.concatenate([np.full(len(values), np.log2(k)) for k, values in errors.items()])
        slope = slope_of(places, np.concatenate(list(errors.values())))
        numbers[use] = {
            "slope_by_doubling_of_k": slope._asdict(),
            "mean_by_k": {f"{k:g}": float(v.mean()) for k, v in errors.items()},
        }
        means = ", ".join(f"{values.mean():.3f}" for values in errors.values())
        notes.append(f"{use} {means}, {slope.mean:+.3f} ± {slope.standard_error:.3f} for twice as many classes")
    note = f"k = {', '.join(f'{k:g}' for k in by_k)}: {'; '.join(notes)}"
    return Claim("the error of students over the number of classes", Verdict.REPORTED, numbers, note)


def slope_of(x: NDArray[np.float64], y: NDArray[np.float64]) -> form.Estimate:
    """Slope of the least-squares line through points, and its standard error."""
    from scipy.stats import linregress

    line: Any = linregress(x, y)
    return form.Estimate(float(line.slope), float(line.stderr))


def _of_kernels(evidence: Evidence) -> list[Claim]:
    """What kernels' uses do where kernels err: the fewest neurons, over all numbers of samples."""
    sizes = evidence.preset.kernels
    few = finite(min(sizes.neurons))
    draws, of_first = evidence.kernels, evidence.kernels[0].uses
    error = {use: np.array([draw.uses[few][use].mean() for draw in draws]) for use in of_first[few]}
    at_most = {kernel: np.array([draw.uses[kernel]["single"][-1] for draw in draws]) for kernel in of_first}
    largest = max(sizes.n_train)
    note = f"{largest} samples: " + "; ".join(f"{kernel} {_words(values)}μ" for kernel, values in at_most.items())
    path = max(float(draw.path.max()) for draw in draws)
    numbers = {kernel: values.tolist() for kernel, values in at_most.items()}
    numbers["largest_error_of_the_infinite_path_in_any_round"] = path
    note += f"; {INFINITE}'s path, every round until it collapses, {path:.3f}μ at most"
    return [
        Claim("single kernels on the networks' data", Verdict.REPORTED, numbers, note),
        _lower("kernels' ensemble errs less than single kernels", error["ensemble"], error["single"], few, "Figure 3"),
        _no_gain(
            "the kernels' student of the ensemble errs no less than single kernels",
            error["knowledge distillation"],
            error["single"],
            few,
            "Figure 3",
        ),
        _lower(
            "training kernels' average errs less than single kernels",
            error["train the average"],
            error["single"],
            few,
            "Figure 3",
        ),
    ]


def _of_controls(evidence: Evidence) -> list[Claim]:
    found = []
    for name, draws in evidence.controls.items():
        error = {use: 100 * np.array([draw.errors[use] for draw in draws]) for use in draws[0].errors}
        found.append(
            _no_gain(
                "on Gaussian-like inputs the ensemble errs no less than a single network",
                error["ensemble"],
                error["single"],
                name,
                "Figure 4",
                " %",
            )
        )
    return found


def _source(place: str) -> str:
    return f"{PAPER}, {place}" if place else ""


def _words(values: NDArray[np.float64]) -> str:
    mean, error = form.mean_and_standard_error(values)
    return f"{mean:.3f} ± {error:.3f}"

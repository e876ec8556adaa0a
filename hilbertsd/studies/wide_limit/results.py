"""Distances by setting, width and round, how they change with the width, and what that says of the theory."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies import form
from hilbertsd.studies.sizes.paired import LEVEL
from hilbertsd.studies.sizes.seeds import paired_t
from hilbertsd.studies.wide_limit.limits import Limit
from hilbertsd.studies.wide_limit.measures import Measures, slopes
from hilbertsd.studies.wide_limit.presets import DESCENT, PENALISED, PRESETS, Config, Setting

ROOT = -0.5
"""Slope of 1/√width."""

TENDS = {
    PENALISED: "networks with a penalty tend to the infinite kernel's path as they get wider, in round",
    DESCENT: "networks trained to ε tend to the infinite kernel's chain of gradient flows as they get wider, in round",
}
START = "the tangent kernel at the start tends to the infinite one as networks get wider"
LINEAR = "in round 0 a network trained to ε is within O(1/√width) of its own linearisation"
LAZY = "training to ε changes the tangent kernel by O(1/√width)"

JACOT, LEE, HU = "Jacot, Gabriel & Hongler 2018", "Lee et al. 2019", "Hu, Li & Yu 2020"
YANG, YANG_LITTWIN = "Yang 2020", "Yang & Littwin 2021"

SOURCES = {
    (START, "fully-connected"): f"{JACOT}, Theorem 1",
    (START, "convolutional"): YANG,
    (f"{TENDS[PENALISED]} 0", "fully-connected"): HU,
    (f"{TENDS[DESCENT]} 0", "fully-connected"): f"{JACOT}, Theorem 2",
    (f"{TENDS[DESCENT]} 0", "convolutional"): YANG_LITTWIN,
    (LINEAR, "fully-connected"): f"{LEE}, Theorem 2.1",
    (LAZY, "fully-connected"): f"{LEE}, Theorem 2.1",
}
"""Where what is claimed of which family; the same of other families, and of later rounds, is claimed by nobody."""

PROTOCOL = (
    "networks without normalisation and biases, outputs minus those at the start, float64, one output",
    "targets: 1 for even digits, -1 for odd ones",
    "penalised: Gauss-Newton in function space, with the multipliers of the infinite kernel's path at ε",
    "descent: full batch, rate as a share of 2/λ of the network's own kernel at the start, over n; stopped at ε",
    "every round has a fresh network, and the training outputs of the round before as targets",
    "distance: root mean square over the test images, of one network; mean and standard error over seeds",
    "slope: of log distance against log width, by least squares for each seed; mean and standard error over seeds",
    "verdicts: Student's one-sided tests of 5 % over seeds, on these images",
    "nonlinearity: ReLU; the theorems of training (Jacot et al., Theorem 2; Lee et al., Theorem 2.1) are proved for "
    "smoother ones, so that they are tested beyond what is proved",
)


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Measures of every setting and width.

    Attributes
    ----------
    data : name of the data.
    limits : by setting and width, the chain at infinite width.
    measures : by setting and width, distances from it by seed and round.
    """

    COLUMNS = ("setting", "width", "round", "distance", "from_linearised", "kernel_distance", "kernel_change", "unmet")

    data: str
    limits: dict[tuple[Setting, int], Limit]
    measures: dict[tuple[Setting, int], Measures]

    def headline(self) -> list[str]:
        """Data, and numbers of images and seeds."""
        preset = PRESETS[self.config.preset]
        return [
            f"{self.data}, {preset.train} training and {preset.test} test images, {preset.seeds} seeds",
            "distance: root mean square on test images from the limit, then from the network's own linearisation; "
            "tangent kernel: relative distance at the start from the infinite one, then its change in training",
        ]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per setting, width and round; a mean and its standard error over seeds in words."""
        rows = []
        for (setting, width), measures in self.measures.items():
            for t in range(measures.distance.shape[1]):
                names = ("distance", "from_linearised", "of_linearised", "kernel_distance", "kernel_change", "steps")
                shown = {name: _in_words(measures.estimate(name, t)) for name in names}
                unmet = int(np.sum(~measures.converged)) or None
                rows.append({"setting": str(setting), "width": width, "round": t, **shown, "unmet": unmet})
        return rows

    def closing(self) -> list[str]:
        """Slopes of the main settings, in a line each."""
        lines = []
        for setting, widths in PRESETS[self.config.preset].main().items():
            by_round = [self.slopes(setting, "distance", t) for t in range(setting.rounds)]
            shown = ", ".join(_in_words(form.mean_and_standard_error(values)) for values in by_round)
            lines.append(f"{setting}: slope of log distance over widths {widths[0]}–{widths[-1]}, by round: {shown}")
        return lines

    def slopes(self, setting: Setting, name: str, round: int | None, last: int | None = None) -> NDArray[np.float64]:  # noqa: A002
        """(S,) slopes of a measure of a main setting, over all its widths or the last few."""
        widths = PRESETS[self.config.preset].main()[setting][-(last or 0) :]
        return slopes(widths, [self.measures[setting, width] for width in widths], name, round)

    def claims(self) -> list[form.Claim]:
        """What is claimed of wide networks, what is found of later rounds, and what becomes of it outside of the limit.

        A measure tends to zero where its slope is surely below 0. It does so as O(1/√width) where its slope is not
        surely above −1/2, either.
        """
        claims = []
        for setting in PRESETS[self.config.preset].main():
            claims += [self._claim(f"{TENDS[setting.rule]} {t}", setting, "distance", t) for t in range(setting.rounds)]
            if setting.rule == DESCENT:
                claims += [
                    self._claim(START, setting, "kernel_distance", None),
                    self._claim(LINEAR, setting, "from_linearised", 0, ROOT),
                    self._claim(LAZY, setting, "kernel_change", 0, ROOT),
                ]
        return [*claims, *self._where_it_fails()]

    def numbers(self) -> dict[str, Any]:
        """Protocol, and for every setting and width the limit and every measure by seed and round."""
        return {
            "data": self.data,
            "protocol": list(PROTOCOL),
            **{name: value for name, value in asdict(PRESETS[self.config.preset]).items() if name != "widths"},
            "slopes": [
                {
                    "setting": str(setting),
                    "widths": list(widths),
                    "measure": name,
                    "round": t,
                    **form.mean_and_standard_error(self.slopes(setting, name, t))._asdict(),
                    "over_the_last_two_widths": form.mean_and_standard_error(
                        self.slopes(setting, name, t, 2)
                    )._asdict(),
                }
                for setting, widths in PRESETS[self.config.preset].main().items()
                for name in ("distance", "from_linearised", "of_linearised", "kernel_distance", "kernel_change")
                for t in range(setting.rounds)
            ],
            "settings": [
                {
                    "setting": str(setting),
                    **asdict(setting),
                    "width": width,
                    "limit": _recorded(self.limits[setting, width]),
                    **measures.to_dict(),
                }
                for (setting, width), measures in self.measures.items()
            ],
        }

    def _claim(self, claim: str, setting: Setting, name: str, t: int | None, slowest: float = 0.0) -> form.Claim:
        """Claim that a measure of a round, or of the mean over rounds, falls with the width at least with a slope."""
        values = self.slopes(setting, name, t)
        slope, last = (form.mean_and_standard_error(each) for each in (values, self.slopes(setting, name, t, 2)))
        widths = PRESETS[self.config.preset].main()[setting]
        found = [getattr(self.measures[setting, width], name) for width in widths]
        means = [float(np.nanmean(each if t is None else each[:, t])) for each in found]
        numbers = {
            "slope": slope._asdict(),
            "slope_over_the_last_two_widths": last._asdict(),
            "mean_by_width": {str(width): mean for width, mean in zip(widths, means, strict=True)},
        }
        note = f"{_shown(means)} at widths {', '.join(map(str, widths))}; slope {_in_words(slope)}"
        verdict = form.Verdict.UNDECIDED
        if paired_t(values, "less").p_value <= LEVEL:
            slower = paired_t(values - slowest, "greater").p_value <= LEVEL
            verdict = form.Verdict.IN_PART if slower else form.Verdict.REPRODUCED
        elif paired_t(values, "greater").p_value <= LEVEL:
            verdict = form.Verdict.NOT_UNDER_PROTOCOL
        source = SOURCES.get((claim, setting.network.rpartition("-")[0]), "")
        verdict = verdict if source else form.Verdict.REPORTED
        return form.Claim(claim, verdict, numbers, note, source=source, setting=f"{setting.network}, ReLU")

    def _where_it_fails(self) -> list[form.Claim]:
        """What becomes of round 0 beyond the main settings, a claim for each thing that is varied."""
        preset = PRESETS[self.config.preset]
        claims = []
        for what, settings in preset.sweeps().items():
            numbers, notes = {}, []
            for setting in settings:
                by_width = {width: self.measures[setting, width] for width in preset.swept_widths(what)}
                estimates = {width: measures.estimate("distance", 0) for width, measures in by_width.items()}
                numbers[str(setting)] = {
                    "tolerance": setting.tolerance,
                    "rate": setting.rate,
                    **{
                        str(width): {
                            "distance": None if (found := estimates[width]) is None else found._asdict(),
                            "not_converged": int(np.sum(~measures.converged)),
                            "limit_root_mean_square": _size(self.limits[setting, width]),
                            **self._from_ntk(setting, width),
                        }
                        for width, measures in by_width.items()
                    },
                }
                notes.append(
                    f"{setting} {' → '.join(_in_words(each) or 'none converged' for each in estimates.values())}"
                )
            widths = ", ".join(map(str, preset.swept_widths(what)))
            claim = f"distance from the limit in round 0 by {what}, at widths {widths}"
            claims.append(form.Claim(claim, form.Verdict.REPORTED, {"settings": numbers}, "; ".join(notes)))
        return claims

    def _from_ntk(self, setting: Setting, width: int) -> Mapping[str, Any]:
        """How far the limit in the standard parameterisation is from the one in the other, in round 0."""
        if setting.parameterization == "ntk":
            return {}
        ntk = next(s for s, _ in self.limits if (s.network, s.rule) == (setting.network, setting.rule))
        apart = self.limits[setting, width].test_outputs[0] - self.limits[ntk, width].test_outputs[0]
        return {"limits_of_the_parameterisations_are_apart": float(np.sqrt(np.mean(apart**2)))}


def _shown(values: list[float]) -> str:
    """Values with three digits, none in the form with an exponent."""
    return ", ".join(f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" for value in values)


def _size(limit: Limit) -> float:
    """Root mean square of the limit's outputs in round 0."""
    return float(np.sqrt(np.mean(limit.test_outputs[0] ** 2)))


def _recorded(limit: Limit) -> dict[str, Any]:
    return {
        "strengths": limit.strengths.tolist(),
        "collapse_round": limit.collapse_round,
        "root_mean_square": np.sqrt(np.mean(limit.test_outputs**2, axis=1)).tolist(),
        "step_error": [float(value) if np.isfinite(value) else None for value in limit.step_error],
    }


def _in_words(estimate: form.Estimate | None) -> str:
    """Mean ± standard error with two digits of the error; empty for none."""
    if estimate is None:
        return ""
    digits = 4 if estimate.standard_error == 0 else max(0, min(5, 1 - math.floor(math.log10(estimate.standard_error))))
    return f"{estimate.mean:.{digits}f} ± {estimate.standard_error:.{digits}f}"

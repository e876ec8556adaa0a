"""The study's table and numbers, from everything that it measures."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.ntk.ensembles import SIX_USES
from hilbertsd.studies import form
from hilbertsd.studies.multi_view.evidence import Evidence, estimate, in_words
from hilbertsd.studies.multi_view.parts import Measured, first_seed
from hilbertsd.studies.multi_view.presets import DESCENT, LONGER, Config, Setting
from hilbertsd.studies.multi_view.verdicts import claims

USES = (*SIX_USES, LONGER)

PROTOCOL = (
    "data: the limit of orthogonal noise; training samples of a draw, then single- and multi-view test samples",
    "networks: full-batch gradient descent on the cross-entropy until all training samples are right and, since half "
    "as many steps ago, the loss has fallen by less than 1 % of its whole fall; unsettled networks are counted",
    "students start elsewhere than singles, and are trained at least three times as many steps as singles on average; "
    "longer training starts where students start, and takes at least as many steps as both with the labels alone",
    "loss of the students: of those under 'losses', the one with the lowest error of the ensemble's students on draws "
    "that are not reported, where all are trained at least six times as many steps as singles; the same for both "
    "teachers. Settings were explored with other seeds of data and networks",
    "error: in units of the share μ of single-view samples, from single-view test samples and (1 − μ)/μ times that of "
    "multi-view ones",
    "a view is learned where the strength of the class's neurons is above a tenth of the median over classes of the "
    "larger strength; what L networks know none of, an ensemble does not know: 2^(1 − L) of the classes",
    "mean and standard error over draws, the networks of a draw averaged first; tests are Student's, one-sided, of 5 "
    "%, each by itself; that there is no gain is seen only where the error is surely higher",
    "kernels: ridge on centred one-hot labels, one kernel for all outputs; strengths by squared error on validation "
    "samples, of a student among all pairs of its teacher's and its own, the teacher's smallest of which is the labels",
)


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Numbers of the study.

    Attributes
    ----------
    evidence : everything measured.
    """

    COLUMNS = ("k", "use", "error", "seen", "missing", "both", "none", "steps", "accuracy")

    evidence: Evidence

    def headline(self) -> list[str]:
        """Numbers of draws and networks, and the loss of the students."""
        preset = self.evidence.preset
        lines = [
            f"k = {setting.data.n_classes}: {counts.draws} draws of {setting.n_train} samples, μ = "
            f"{setting.data.single_view_share:g}, {counts.networks} networks and {counts.students} students of each"
            for setting, counts in preset.main.items()
        ]
        return [
            *lines,
            f"loss of the students: {self.evidence.loss}",
            "errors in units of μ; seen and missing: of single-view samples whose view the network knows, or does not",
        ]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per setting and use."""
        return [
            {"k": setting.data.n_classes, "use": use, **self._row(setting, use)}
            for setting in self.evidence.preset.main
            for use in self.evidence.uses(setting)
        ]

    def closing(self) -> list[str]:
        """How many networks did not come to their end, by setting."""
        found = {str(setting): self.evidence.unsettled(setting) for setting in self.evidence.measured}
        return [f"{n} networks took the largest number of steps: {name}" for name, n in found.items() if n]

    def _row(self, setting: Setting, use: str) -> dict[str, Any]:
        none, _, both = self.evidence.known(setting, use).T
        return {
            "error": in_words(self.evidence.errors(setting, use)),
            "seen": in_words(self.evidence.means(setting, use, "seen")),
            "missing": in_words(self.evidence.means(setting, use, "missing")),
            "both": in_words(both),
            "none": in_words(none),
            "steps": _whole(self.evidence.means(setting, use, "steps")),
            "accuracy": _lowest(self.evidence.measured[setting], use),
        }

    def numbers(self) -> dict[str, Any]:
        """Protocol, choice of the loss, every setting by use and draw, kernels and controls."""
        evidence, preset = self.evidence, self.evidence.preset
        return {
            "protocol": list(PROTOCOL),
            "descent": DESCENT,
            "test": list(preset.test),
            "losses": [
                {"loss": str(loss), **asdict(loss), "errors": errors.tolist(), "mean": float(errors.mean())}
                for loss, errors in evidence.tried.items()
            ],
            "loss": str(evidence.loss),
            "settings": [self._setting(setting) for setting in evidence.measured],
            "sweeps": {
                name: [
                    {
                        "value": value,
                        **{use: estimate(evidence.errors(setting, use)) for use in evidence.uses(setting)},
                    }
                    for value, setting in settings.items()
                ]
                for name, settings in preset.sweeps.items()
            },
            "kernels": {
                **asdict(preset.kernels),
                "errors": [
                    {
                        kernel: {use: values.tolist() for use, values in uses.items()}
                        for kernel, uses in each.uses.items()
                    }
                    for each in evidence.kernels
                ],
                "paths": [{name: path.tolist() for name, path in each.paths.items()} for each in evidence.kernels],
            },
            "controls": {name: [asdict(draw) for draw in draws] for name, draws in evidence.controls.items()},
        }

    def _setting(self, setting: Setting) -> dict[str, Any]:
        evidence, share = self.evidence, setting.data.single_view_share
        by_use = {}
        for use in evidence.uses(setting):
            draws = [draw[use] for draw in evidence.measured[setting]]
            by_use[use] = {
                "error": estimate(evidence.errors(setting, use)),
                "errors": [each.error(share).tolist() for each in draws],
                "seen": [plain(each.seen) for each in draws],
                "missing": [plain(each.missing) for each in draws],
                "classes_with_no_one_both_views": evidence.known(setting, use).tolist(),
                **{
                    name: [plain(value) for each in draws if (value := getattr(each, name)) is not None]
                    for name in ("steps", "settled", "accuracies")
                },
            }
        counts = evidence.preset.plan()[setting]
        train = [setting.data.draw(setting.n_train, first_seed(self.config.seed, draw)) for draw in range(counts.draws)]
        return {
            **asdict(setting),
            "counts": asdict(counts),
            "single_view_training_samples": [int((each.shown >= 0).sum()) for each in train],
            "single_view_error": setting.data.single_view_error,
            "unsettled": evidence.unsettled(setting),
            "uses": by_use,
            "weaker_views_teachers_start_learned": [each.tolist() for each in evidence.weaker_views(setting)],
        }

    def claims(self) -> list[form.Claim]:
        """Verdicts on the theorems at every main setting, on kernels, and on data without views."""
        return claims(self.evidence)


def plain(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers ready for JSON, which has no NaN."""
    return [None if np.isnan(value) else float(value) for value in values]


def _whole(values: NDArray[np.float64]) -> str:
    return "" if np.isnan(values).all() else f"{np.nanmean(values):,.0f}"


def _lowest(draws: list[dict[str, Measured]], use: str) -> str:
    """Lowest accuracy of a use's networks on their training samples."""
    values = [draw[use].accuracies for draw in draws]
    return "" if values[0] is None else f"{min(each.min() for each in values if each is not None):.3f}"

"""Everything that the study measures, and its errors by setting, use and draw.

Errors of view networks are in units of μ, the share of single-view samples; those of kernels and on data without views
are shares of the samples. The unit of every mean, standard error and test is a draw
of the data: the networks of a draw are averaged first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies import form
from hilbertsd.studies.multi_view.controls import ControlErrors
from hilbertsd.studies.multi_view.kernels import KernelErrors
from hilbertsd.studies.multi_view.parts import Measured
from hilbertsd.studies.multi_view.presets import Preset, Setting
from hilbertsd.views.losses import ViewLoss


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything measured.

    Attributes
    ----------
    preset : what was computed.
    tried : by loss, (draws, K) errors of the ensemble's students on the draws by which the loss is chosen.
    loss : the loss of all students.
    measured : by setting, draws of measures by use.
    kernels : draws of the kernels' errors.
    controls : by name, draws of errors on data without views.
    """

    preset: Preset
    tried: dict[ViewLoss, NDArray[np.float64]]
    loss: ViewLoss
    measured: dict[Setting, list[dict[str, Measured]]]
    kernels: list[KernelErrors]
    controls: dict[str, list[ControlErrors]]

    def uses(self, setting: Setting) -> list[str]:
        """Uses that are measured of a setting; one student is no ensemble of them."""
        alone = self.preset.plan()[setting].students == 1
        return [use for use in self.measured[setting][0] if not (alone and use == "ensemble of the distilled")]

    def errors(self, setting: Setting, use: str) -> NDArray[np.float64]:
        """(D,) error of a use by draw, the mean over its networks."""
        share = setting.data.single_view_share
        return np.array([draw[use].error(share).mean() for draw in self.measured[setting]])

    def means(self, setting: Setting, use: str, name: str) -> NDArray[np.float64]:
        """(D,) mean of a measure of `Measured` by draw; NaN where a draw has none."""
        values = [getattr(draw[use], name) for draw in self.measured[setting]]
        return np.array([np.nan if each is None or np.isnan(each).all() else np.nanmean(each) for each in values])

    def known(self, setting: Setting, use: str) -> NDArray[np.float64]:
        """(D, 3) shares of the classes of which a use's networks know no, one and both views, by draw."""
        counts = [(draw[use].learned > 0).sum(axis=2) for draw in self.measured[setting]]
        return np.array([[(each == n).mean() for n in range(3)] for each in counts])

    def unsettled(self, setting: Setting) -> int:
        """Number of networks of all uses and draws whose largest number of steps ended their training."""
        by_use = [each.settled for draw in self.measured[setting] for each in draw.values()]
        return int(sum((values == 0).sum() for values in by_use if values is not None))

    def lowest(self, setting: Setting, use: str, name: str) -> float:
        """Lowest value of a measure of `Measured` over all draws and networks."""
        return float(min(np.min(getattr(draw[use], name)) for draw in self.measured[setting]))

    def weaker_views(self, setting: Setting) -> tuple[NDArray[np.float64], ...]:
        """Of every class the view that a student of the ensemble starts with less of, over all students of all draws.

        Returns (V,) numbers of teachers that know it, strengths after ten steps in σ_0, and 1 where it is learned.
        """
        found = []
        for draw in self.measured[setting]:
            student = draw["knowledge distillation"]
            assert student.starts is not None  # kept of every network that is no mean
            teachers = np.broadcast_to((draw["single"].learned > 0).sum(axis=0), student.learned.shape)
            weaker = student.starts.argmin(axis=2)[..., None]
            columns = (teachers, student.starts / setting.network.initial_scale, student.learned > 0)
            found.append(np.stack([np.take_along_axis(each, weaker, axis=2).ravel() for each in columns]))
        return tuple(np.concatenate(found, axis=1))


def estimate(values: NDArray[np.float64]) -> dict[str, float] | None:
    """Mean and standard error over the draws that have a value, ready for JSON; None where fewer than two have."""
    values = values[~np.isnan(values)]
    return form.mean_and_standard_error(values)._asdict() if len(values) > 1 else None


def in_words(values: NDArray[np.float64]) -> str:
    """Mean ± standard error over the draws that have a value; the value of the only one; empty where none has."""
    found = estimate(values)
    if found is None:
        return " ".join(f"{value:.3f}" for value in values[~np.isnan(values)])
    return f"{found['mean']:.3f} ± {found['standard_error']:.3f}"

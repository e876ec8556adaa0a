"""Early stopping: one fit with the training error that distillation reaches in round t (MFB §3.4).

Round t of distillation has some mean squared error ε'_t against the original targets. A single ridge fit to them with
tolerance ε'_t has that error, too, but its weights d/(c'+d) differ by a factor of d_k/d_j at most, while
distillation multiplies ratios round after round.

    path = distill(kernel_matrix, targets, tolerance=0.1)
    stopping = stop_early(path)
    stopping.tolerances[1], stopping.multipliers[1]  # ε'_1 of round 1, and c'_1 of the ridge fit with that error
    stopping.predict(cross_kernel, round=1) - path.predict(cross_kernel, round=1)  # at equal training error

Without ground truth in the targets c'_t > Σ_{i≤t} c_i from round 1 on, and distillation separates two weights more than
the single fit below one eigenvalue d*, less above it:
`bounds.slope_crossing(path.multipliers[: t + 1], stopping.multipliers[t])`. Proof:
hilbertsd/bounds/THEOREMS.md, Theorem B.

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.matching import single_multipliers
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidRound
from hilbertsd.filters import FilteredFit, ridge


@dataclass(frozen=True, eq=False)
class EarlyStopping:
    """Single fits with the training errors of a path's rounds.

    Attributes
    ----------
    path : the distillation path whose rounds are matched.
    multipliers : (T,) c'_t of the single fits; infinity where the round explains nothing of the targets in double
        precision, 0 where it leaves nothing over.
    """

    path: DistillationPath
    multipliers: NDArray[np.float64]

    @property
    def tolerances(self) -> NDArray[np.float64]:
        """(T,) ε'_t, the training error of both in round t."""
        return self.path.training_errors

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """(T, m) weights d/(c'_t + d) of the single fits, to compare with `path.basis_weights`."""
        return self.path.eigenvalues / (self.multipliers[:, None] + self.path.eigenvalues)

    def fit(self, round: int) -> FilteredFit:
        """Single fit matched to a round.

        Raises InvalidRound as :meth:`DistillationPath.nonzero_round`, and where c'_t is infinity or 0.
        """
        multiplier = float(self.multipliers[self.path.nonzero_round(round)])
        if not 0 < multiplier < np.inf:
            share = "all" if multiplier else "nothing"
            raise InvalidRound(
                f"round {round} leaves {share} of the targets over in double precision, so that no ridge fit matches "
                "it; give another round"
            )
        return FilteredFit(self.path.spectrum, ridge(multiplier))

    def predict(self, cross_kernel: Any, round: int = -1) -> Any:
        """Predictions of the single fit matched to a round; see :meth:`DistillationPath.predict`."""
        return self.fit(round).predict(cross_kernel)


def stop_early(path: DistillationPath) -> EarlyStopping:
    """Match every round of a path with a single fit of equal training error on the original targets.

    Parameters
    ----------
    path : from `distill`, of a tolerance or a fixed multiplier.

    Returns
    -------
    EarlyStopping; its fit for round 0 is the path's own.

    Source: MFB §3.4. The error is between the floor and the targets' mean square in every round, so the single fit
    exists wherever double precision can tell it from both.
    """
    return EarlyStopping(path, single_multipliers(path))

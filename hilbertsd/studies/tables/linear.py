"""Linear ridge on few features and many rows, by the tools for kernels: as many rows as matter, and their number kept.

    problem, criterion = compressed(rows)
    mixture = mix_rounds(path_of(problem.spectrum, 0.1, 2), criterion=criterion)    # as with the (n, n) kernel matrix
    mixture.predict(problem.cross_kernel)

With p features all that ridge and its rounds know of n rows are XᵀX and Xᵀy. A QR decomposition of (X, y) gives p + 1
rows that have the same ones, and the same ‖y‖². Their kernel matrix, times (p + 1)/n, has the p eigenvalues of XXᵀ/n
that are not zero and one zero, so that multipliers stay what they are. What the other n − p − 1 rows change is the mean
of 1 − H_ii alone: generalised cross-validation has to be told n.

The multiplier c is the λ of ‖y − Xβ‖²/n + λ‖β‖², as :mod:`hilbertsd.studies.tables.one_step` shows. By the other
convention, ‖y − Xβ‖² + λ‖β‖², n times as much λ regularises as much.
"""

from dataclasses import dataclass

import numpy as np

from hilbertsd.analysis.criteria import Residuals, left_over, training_rows
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies.tables.data import Problem, Rows


@dataclass(frozen=True)
class GivenRows:
    """Generalised cross-validation of rows that stand for more of them.

    Attributes
    ----------
    n : number of rows that they stand for.
    """

    n: int

    def residuals(self, path: DistillationPath) -> Residuals:
        """Rows and penalties of every round, as those of "gcv" with all n rows."""
        path.spectrum.require_whole("generalised cross-validation")
        left = left_over(path)
        free = 1 - np.sum(1 - left, axis=1, keepdims=True) / self.n
        share = path.spectrum.n_samples / self.n  # mean squares are over all n rows
        return Residuals(training_rows(path, left) * np.sqrt(share) / free, np.zeros(len(left)))


def compressed(rows: Rows) -> tuple[Problem, GivenRows]:
    """Linear kernel on p features from p + 1 rows, and generalised cross-validation as of all n rows."""
    n, p = rows.train.shape
    R = np.asarray(np.linalg.qr(np.hstack([rows.train, rows.targets]), mode="r"))
    features, targets = R[:, :p], R[:, p:]
    scale = len(R) / n
    kernel_matrix = features @ features.T
    spectrum = Spectrum.from_kernel(scale * (kernel_matrix + kernel_matrix.T) / 2, targets)
    return Problem(spectrum, scale * (rows.test @ features.T), rows.test_targets), GivenRows(n)

"""Leave-one-out: what a whole chain of fits predicts at each training point when all of them are made without it.

A ridge fit without point i is the fit to all points in which target i is the prediction of the fit without it. That
holds in every round of a chain, so leaving i out changes target i alone, round by round. With δ_s[i] the change in
round s, H_s = G(c_s I + G)⁻¹, f_t the path's own fits and v_t the predictions left out, all at point i,

    v_t = f_t + Σ_{s≤t} (H_t⋯H_s)_ii δ_s,    δ_t = v_t − v_{t−1}    (v_{−1} = y, f_{−1} = y),

    so δ_t = −[ ((I − H_t) f_{t−1})_i + Σ_{s<t} ((I − H_t) H_{t−1}⋯H_s)_ii δ_s ] / (I − H_t)_ii,

in which no two close numbers are subtracted where H_t is close to the identity. For t = 0 these are the well-known
residuals over 1 − H_ii. All matrices are V diag(w) Vᵀ, with the diagonals (V∘V) w.

    path = distill(kernel_matrix, targets, tolerance=0.1)
    errors = [np.mean((leave_one_out(path, t) - targets) ** 2) for t in range(path.n_rounds)]
    best = int(np.argmin(errors))  # the round to predict with
    path.predict(cross_kernel, best)

Source: for one fit the leaving-out-one lemma of Craven & Wahba (1979); by induction over the rounds as above.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.gram.tiles import slices
from hilbertsd.support.checks import to_library
from hilbertsd.support.progress import tracked

ROWS_PER_TILE = 256
"""Training points treated at a time, so that V∘V takes no memory of the size of V."""


def leave_one_out(path: DistillationPath, round: int = -1) -> Any:
    """Predictions at each training point of the chain fitted without that point, in closed form.

    Every round is refitted without the point: to the n − 1 other targets first, then to their predictions. The
    regularisation n c_t of (n c_t I + kernel_matrix) stays what it was on the path. So for n − 1 points, whose
    eigenvalues are those of kernel_matrix/(n − 1), the multiplier is c_t n/(n − 1). The tolerance is not met anew: a
    chain distilled without the point to the same ε would have slightly different multipliers.

    Parameters
    ----------
    path : of a tolerance or a fixed multiplier.
    round : t, as in :meth:`DistillationPath.predict`; from the collapse round on all predictions are zero.

    Returns
    -------
    (n,), or (n, n_outputs) if the targets had two dimensions, in units of the targets and in the array library of the
    kernel matrix. With n = 1 nothing is left to fit and the prediction is zero.

    Raises
    ------
    InvalidRound
        As :meth:`DistillationPath.predict`.
    InvalidInput
        The path is a Krylov space's.

    Notes
    -----
    Diagonals of (t+1)(t+4)/2 matrices cost n² each, as one product of V∘V with t+1 columns per round: (t+1)(t+4) n²
    floating-point operations, against n times (t+1) solutions for the refits. Memory beside the basis is O(n t).

    Source: see :mod:`hilbertsd.analysis.cross_validation`.
    """
    spectrum = path.spectrum
    spectrum.require_whole("leave-one-out")
    last = path.round_index(round)
    predictions = np.zeros((spectrum.n_samples, spectrum.n_outputs))
    if last is not None:
        for tile in tracked(slices(spectrum.n_samples, ROWS_PER_TILE), "tiles left out"):
            predictions[tile] = _left_out(np.asarray(spectrum.basis[tile]), path, last)
    return spectrum.shaped(to_library(predictions, spectrum.vectors))


def _left_out(rows: NDArray[np.float64], path: DistillationPath, last: int) -> NDArray[np.float64]:
    """(n_rows, n_outputs) predictions v of round `last` at the points of these (n_rows, m) rows of V."""
    d, z = path.eigenvalues, path.spectrum.rotated_targets
    squares = rows**2
    chains = np.ones((last + 1, len(d)))  # row s: A_{t−1}⋯A_s, a product that may underflow; ones from s = t on
    changes = np.zeros((last + 1, len(rows), z.shape[1]))
    for t in range(last + 1):
        c = path.multipliers[t]
        # 1 − A_t scaled so that its largest entry is 1, whatever the units of c and d; the factor cancels below.
        residual = (c + d.min()) / (c + d)
        diagonals = squares @ (residual * chains[: t + 1]).T
        numerator = rows @ ((residual * chains[0])[:, None] * z)
        numerator += np.einsum("is,sij->ij", diagonals[:, :t], changes[:t])
        changes[t] = -numerator / diagonals[:, t, None]
        chains[: t + 1] *= path.shrinkage[t]
    fit = rows @ (chains[0][:, None] * z)
    return fit + np.einsum("is,sij->ij", squares @ chains.T, changes)

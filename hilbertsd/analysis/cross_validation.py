"""Leave-one-out: what a whole chain of fits predicts at each training point when all of them are made without it.

A ridge fit without point i is the fit to all points in which target i is the prediction of the fit without it. That
holds in every round of a chain, so leaving i out changes target i alone, round by round. With f_t the chain's fits at
the training points, H_t = G(c_t I + G)⁻¹, and δ_t the change of target i in round t,

    f_t = H_t (f_{t−1} + δ_t e_i)    (f_{−1} = y),      (f_t)_i = (f_{t−1})_i + δ_t,

    so δ_t = −((I − H_t) f_{t−1})_i / (I − H_t)_ii,

in which no two close numbers are subtracted where H_t is close to the identity. Several points are left out together in
the same way, with a block of I − H_t in place of its diagonal; where the targets of a round are mixed with the original
ones, f_{t−1} is that mixture. For t = 0 these are the well-known
residuals over 1 − H_ii. All matrices are V diag(w) Vᵀ, so that in the eigenbasis a round costs O(n) per point.

    path = distill(kernel_matrix, targets, tolerance=0.1)
    best = int(np.argmin(leave_one_out_errors(path)))  # the round to predict with
    path.predict(cross_kernel, best)

Source: for one fit the leaving-out-one lemma of Craven & Wahba (1979); by induction over the rounds as above. Proof:
hilbertsd/bounds/THEOREMS.md, Theorem C.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import NotConverged
from hilbertsd.gram.tiles import slices
from hilbertsd.support.checks import to_library
from hilbertsd.support.progress import tracked

NUMBERS_PER_TILE = 2**19
"""Entries of the basis treated at a time: four megabytes, with enough rows for matrix products to be fast."""


ROUNDS_TOGETHER = 8
"""Rounds whose changes of a target one matrix product finds; its columns are as many as pairs of these rounds."""


LARGEST_CONDITION = 1e9
"""Condition number of the block of I − H_t of points left out together beyond which too few digits would be left."""


def leave_one_out(path: DistillationPath, round: int = -1) -> Any:
    """Predictions at each training point of the chain fitted without that point, in closed form.

    Every round is refitted without the point: to the n − 1 other targets first, then to their predictions. The
    regularisation n c_t of (n c_t I + kernel_matrix) stays what it was on the path. So for n − 1 points, whose
    eigenvalues are those of kernel_matrix/(n − 1), the multiplier is c_t n/(n − 1). The tolerance is not met anew: a
    chain distilled without the point to the same ε has other multipliers. On 24 paths of the spline kernel (30 noisy
    points of sin 2πx, σ = 0.5, ε from 0.05 to 0.4 of the mean square) predictions at the point differ by 1 to 10 % of
    the targets' root mean square, by 2.6 % in the median, the leave-one-out error by at most 13 %; T differs in none
    to ten of 30 refits, the round with the lowest error on no path. For the other one `distill` without each point in
    turn, which costs n decompositions.

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

    Warns
    -----
    CollapseWarning
        The path collapsed at or before `round`.

    Notes
    -----
    A round costs O(n² n_outputs), against n solutions of n equations for the refits; memory beside the basis is O(n).

    Source: see :mod:`hilbertsd.analysis.cross_validation`.
    """
    spectrum = path.spectrum
    spectrum.require_whole("leave-one-out")
    last = path.warned_index(round)
    predictions = np.zeros((spectrum.n_samples, spectrum.n_outputs))
    if last is not None:
        for tile, rounds in left_out(path):
            predictions[tile] = next(islice(rounds, last, None))
    return spectrum.shaped(to_library(predictions, spectrum.vectors))


def leave_one_out_errors(path: DistillationPath) -> NDArray[np.float64]:
    """Mean squared error at points left out, of every round and of the zero function after them.

    All rounds together cost what :func:`leave_one_out` costs for the last one.

    Parameters
    ----------
    path : of a tolerance or a fixed multiplier.

    Returns
    -------
    (T+1,) mean over the points of the squared distance between what :func:`leave_one_out` predicts and the target, in
    squared units of the targets, summed over outputs. The last is ‖y‖²/n, the error of predicting zero: where it is the
    lowest, no round predicts better than nothing.

    Raises
    ------
    InvalidInput
        The path is a Krylov space's.

    Source: see :mod:`hilbertsd.analysis.cross_validation`.
    """
    path.spectrum.require_whole("leave-one-out")
    sums = np.zeros(path.n_rounds)
    for tile, rounds in left_out(path):
        targets = targets_at(path, tile)
        for t, predictions in enumerate(rounds):
            sums[t] += np.sum((predictions - targets) ** 2)
    return np.append(sums / path.spectrum.n_samples, path.spectrum.target_mean_square)


def left_out(
    path: DistillationPath, folds: Sequence[NDArray[np.intp]] | None = None
) -> Iterator[tuple[slice | NDArray[np.intp], Iterator[NDArray[np.float64]]]]:
    """Some training points, and (p, n_outputs) what every round predicts there without them, until all had their turn.

    Parameters
    ----------
    path : of a whole spectrum.
    folds : numbers of the points that are left out together; None to leave out every point by itself.
    """
    if folds is not None:
        for points in tracked(folds, "folds left out"):
            yield points, _together(points, path)
        return
    n = path.spectrum.n_samples
    size = max(1, NUMBERS_PER_TILE // path.spectrum.rotated_targets.size)
    for tile in tracked(slices(n, size), f"tiles of {n:,} points left out"):
        yield tile, _one_by_one(tile, path)


def targets_at(path: DistillationPath, points: slice | NDArray[np.intp]) -> NDArray[np.float64]:
    """(p, n_outputs) targets of round 0 at some training points."""
    return np.asarray(path.spectrum.basis[points]) @ path.spectrum.rotated_targets


def _one_by_one(tile: slice, path: DistillationPath) -> Iterator[NDArray[np.float64]]:
    """(p, n_outputs) predictions at the points of a tile, each from the chain without it, round by round.

    In the eigenbasis the chain without point i is u_t f + v_t z + Σ_s w_ts δ_s V_i: f is the chain some rounds ago, at
    first none, δ_s are the changes of target i since then, and the weights (m,) are the same for all points. What is
    needed at point i are sums over V_i f, V_i z and V_i² with such weights: one product for `ROUNDS_TOGETHER` rounds.
    """
    rows, z = np.asarray(path.spectrum.basis[tile]), path.spectrum.rotated_targets
    squares, one = rows**2, np.ones((len(z), 1))
    u, v, w = 0 * one, one, one[:, :0]
    chains = None  # (n_outputs, p, m) V_i f
    changes = np.empty((z.shape[1], len(rows), 0))  # (n_outputs, p, rounds) δ
    rounds = list(_rounds(path))
    for first in range(0, len(rounds), ROUNDS_TOGETHER):
        if first:
            earlier, chains = chains, squares * (changes @ w.T)
            if earlier is not None:
                chains += u[:, 0] * earlier
            if np.any(v):
                chains += rows * (v * z).T[:, None]
            u, v, w, changes = one, 0 * one, w[:, :0], changes[..., :0]
        block: list[tuple[NDArray[np.float64], ...]] = []  # weights of I − H_t, then of H_t, of every round
        for residual, shrinkage, share in rounds[first : first + ROUNDS_TOGETHER]:
            before = (1 - share) * u, (1 - share) * v + share, np.hstack([(1 - share) * w, one])
            block += [tuple(part[:, None] * each for each in before) for part in (residual, shrinkage)]
            u, v, w = block[-1]
        sums = np.zeros((z.shape[1], len(rows), len(block)))
        if chains is not None:
            sums += chains @ np.hstack([each for each, _, _ in block])
        if np.any(v):
            targets = np.hstack([each for _, each, _ in block])[:, :, None] * z[:, None]
            sums += np.moveaxis((rows @ targets.reshape(len(z), -1)).reshape(len(rows), len(block), -1), -1, 0)
        ends = np.cumsum([each.shape[1] for _, _, each in block])[:-1]
        factors = np.split(squares @ np.hstack([each for _, _, each in block]), ends, axis=1)
        for t in range(0, len(block), 2):
            left = sums[..., t] + np.sum(factors[t][:, :-1] * changes, axis=-1)
            changes = np.concatenate([changes, (-left / factors[t][:, -1])[..., None]], axis=-1)
            yield (sums[..., t + 1] + np.sum(factors[t + 1] * changes, axis=-1)).T


def _together(points: NDArray[np.intp], path: DistillationPath) -> Iterator[NDArray[np.float64]]:
    """(p, n_outputs) predictions at some points from the chain without any of them, round by round.

    With E the columns of the identity at these points, f_t = H_t (f_{t−1} + E δ_t) and Eᵀ f_t = Eᵀ f_{t−1} + δ_t, so
    δ_t = −(Eᵀ (I − H_t) E)⁻¹ Eᵀ (I − H_t) f_{t−1}.
    """
    rows = np.asarray(path.spectrum.basis[points])
    chain = path.spectrum.rotated_targets.copy()  # (m, n_outputs)
    for residual, shrinkage, share in _rounds(path):
        if share:
            chain += share * (path.spectrum.rotated_targets - chain)
        scaled = rows * residual
        block = scaled @ rows.T
        if np.linalg.cond(block) > LARGEST_CONDITION:
            share = path.multipliers.min() / path.eigenvalues[-1]
            raise NotConverged(
                "points that are left out together cannot be told apart in double precision, because a multiplier is "
                f"{share:.2g} of the largest eigenvalue; leave them out one by one ('loo'), or distil with a larger one"
            )
        chain -= rows.T @ np.linalg.solve(block, scaled @ chain)
        chain *= shrinkage[:, None]
        yield rows @ chain


def _rounds(path: DistillationPath) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64], float]]:
    """(m,) I − A_t and (m,) A_t of every round, and the share of the original targets in its own.

    I − A_t is scaled so that its largest entry is 1, whatever the units of c and d; the factor cancels in the change of
    a target.
    """
    d, T = path.eigenvalues, path.n_rounds
    shares = np.zeros(T) if path.ground_truth_weights is None else path.ground_truth_weights[:T]
    for c, shrinkage, share in zip(path.multipliers, path.shrinkage, shares.tolist(), strict=True):
        yield (c + d.min()) / (c + d), shrinkage, share

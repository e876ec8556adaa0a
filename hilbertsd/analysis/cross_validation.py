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
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import NotConverged
from hilbertsd.gram.tiles import slices
from hilbertsd.support.checks import to_library
from hilbertsd.support.progress import tracked

NUMBERS_PER_TILE = 2**20
"""Entries of the basis treated at a time: eight megabytes, with enough rows for matrix products to be fast."""

ROUNDS_TOGETHER = 16
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
        for tile, (rounds,) in left_out([path]):
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
    scores = leave_one_out_scores([path])[0] if path.n_rounds else []
    return np.append(scores, path.spectrum.target_mean_square)


def leave_one_out_scores(paths: Sequence[DistillationPath]) -> tuple[NDArray[np.float64], ...]:
    """(T,) mean squared error of every round at points left out, for each of several paths of one whole spectrum."""
    paths[0].spectrum.require_whole("leave-one-out")
    scores = []
    for some in _with_room(paths):
        sums = [np.zeros(path.n_rounds) for path in some]
        for tile, chains in left_out(some):
            targets = targets_at(some[0], tile)
            for sums_of_path, rounds in zip(sums, chains, strict=True):
                for t, predictions in enumerate(rounds):
                    sums_of_path[t] += np.sum((predictions - targets) ** 2)
        scores += [each / some[0].spectrum.n_samples for each in sums]
    return tuple(scores)


def left_out(paths: Sequence[DistillationPath]) -> Iterator[tuple[slice, list[Iterator[NDArray[np.float64]]]]]:
    """The training points in tiles, each with the predictions there of several paths, every point left out by itself.

    A path's predictions are an iterator over its rounds of (p, n_outputs) arrays. Paths have a round at least and share
    a whole spectrum; what their first rounds need is found in one matrix product for all of them.
    """
    spectrum = paths[0].spectrum
    n = spectrum.n_samples
    firsts = [next(_stretches(path)) for path in paths]
    kinds = [each.targets for each in firsts], [each.changes for each in firsts]
    weights = [np.vstack(parts) for parts in kinds]
    ends = [np.cumsum([len(part) for part in parts])[:-1] for parts in kinds]
    size = max(1, NUMBERS_PER_TILE // spectrum.rotated_targets.size)
    for tile in tracked(slices(n, size), f"tiles of {n:,} points left out"):
        rows = np.asarray(spectrum.basis[tile])
        both = rows, rows**2
        sums = (np.split(each @ part.T, end) for each, part, end in zip(weights, both, ends, strict=True))
        yield tile, [_one_by_one(*both, *parts) for parts in zip(paths, firsts, *sums, strict=True)]


def targets_at(path: DistillationPath, points: slice | NDArray[np.intp]) -> NDArray[np.float64]:
    """(p, n_outputs) targets of round 0 at some training points."""
    return np.asarray(path.spectrum.basis[points]) @ path.spectrum.rotated_targets


def _with_room(paths: Sequence[DistillationPath]) -> Iterator[list[DistillationPath]]:
    """Paths in parts whose weights together take no more room than the basis."""
    part: list[DistillationPath] = []
    columns = 0
    for path in paths:
        rounds = min(path.n_rounds, ROUNDS_TOGETHER)
        columns += rounds * (rounds + 1)
        if part and columns > path.spectrum.n_samples:
            yield part
            part, columns = [], rounds * (rounds + 1)
        part.append(path)
    yield part


class _Stretch(NamedTuple):
    """Weights of up to `ROUNDS_TOGETHER` rounds, which are the same for all points.

    In the eigenbasis the chain without point i is u_t f + v_t z + Σ_s w_ts δ_s V_i: f is the chain before the stretch,
    at first none, and δ_s are the changes of target i since then. Weights come in pairs for every round t, those of
    I − H_t and of H_t, applied to the chain before it.

    Attributes
    ----------
    chain : (2 rounds, m) weights of f.
    targets : (2 rounds n_outputs, m) weights of z, times z.
    changes : (rounds (rounds + 1), m) weights of δ_s V_i: for every round its pair of blocks with a row per s.
    after : u (1, m), v (1, m) and w (rounds, m) after the last round.
    """

    chain: NDArray[np.float64]
    targets: NDArray[np.float64]
    changes: NDArray[np.float64]
    after: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _stretches(path: DistillationPath) -> Iterator[_Stretch]:
    """Weights of all rounds, stretch by stretch."""
    z, one = path.spectrum.rotated_targets, np.ones((1, len(path.eigenvalues)))
    u, v = 0 * one, one
    rounds = list(_rounds(path))
    for first in range(0, len(rounds), ROUNDS_TOGETHER):
        w, pairs = one[:0], []
        for residual, shrinkage, share in rounds[first : first + ROUNDS_TOGETHER]:
            before = (1 - share) * u, (1 - share) * v + share, np.vstack([(1 - share) * w, one])
            pairs += [tuple(part * each for each in before) for part in (residual, shrinkage)]
            u, v, w = pairs[-1]
        chain, targets, changes = (np.vstack(parts) for parts in zip(*pairs, strict=True))
        yield _Stretch(chain, (targets[:, None] * z.T).reshape(-1, len(z)), changes, (u, v, w))
        u, v = one, 0 * one


def _one_by_one(
    rows: NDArray[np.float64],
    squares: NDArray[np.float64],
    path: DistillationPath,
    stretch: _Stretch,
    targets: NDArray[np.float64],
    factors: NDArray[np.float64],
) -> Iterator[NDArray[np.float64]]:
    """(p, n_outputs) predictions at some points, each from the chain without it, round by round.

    What a stretch needs at point i are sums over V_i f, V_i z and V_i² with its weights.

    Parameters
    ----------
    rows, squares : (p, m) rows of the basis, and their squares.
    path : with a round at least.
    stretch : its first stretch.
    targets, factors : (…, p) sums over V_i z and V_i² with the weights of that stretch.
    """
    z = path.spectrum.rotated_targets
    chains = np.zeros((z.shape[1], 1, 1))  # (n_outputs, p, m) V_i f
    later = islice(_stretches(path), 1, None) if path.n_rounds > ROUNDS_TOGETHER else iter(())
    while True:
        pairs = len(stretch.chain)
        sums = targets.reshape(pairs, -1, len(rows))
        if np.any(chains):
            sums = sums + np.moveaxis(chains @ stretch.chain.T, -1, 0)
        by_round = np.split(factors, np.cumsum(np.repeat(np.arange(1, pairs // 2 + 1), 2))[:-1])
        changes = np.empty((pairs // 2, z.shape[1], len(rows)))  # δ
        for t in range(pairs // 2):
            of_change, of_fit = by_round[2 * t], by_round[2 * t + 1]
            left = sums[2 * t] + np.einsum("sp,sop->op", of_change[:t], changes[:t])
            changes[t] = -left / of_change[t]
            yield (sums[2 * t + 1] + np.einsum("sp,sop->op", of_fit, changes[: t + 1])).T
        u, v, w = stretch.after
        following = next(later, None)
        if following is None:
            return
        stretch = following
        chains = squares * (np.moveaxis(changes, 0, -1) @ w) + u * chains
        if np.any(v):
            chains += rows * (v * z.T)[:, None]
        targets, factors = stretch.targets @ rows.T, stretch.changes @ squares.T


def left_out_together(points: NDArray[np.intp], path: DistillationPath) -> Iterator[NDArray[np.float64]]:
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

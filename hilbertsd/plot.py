"""Plots of a path of yours: Matplotlib axes in, axes out.

    figure, (left, right) = plt.subplots(1, 2)
    plot.errors(path, "loo", left)
    plot.weights(path, right)

Without axes each makes a figure of its own. Rounds go from dark to light, which survives greyscale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.analysis.criteria import Criterion, criterion_of
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidCrossKernel, InvalidInput
from hilbertsd.support.checks import as_real_array, check_choice, check_whole
from hilbertsd.support.plotting import LINE_STYLES, plain_legend, round_colours, shown_rounds, style, whole_rounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_WEIGHT = 1e-4
"""Weight in round 0 below which an eigenvalue is not drawn: kernels' eigenvalues fall by many decades below that."""

SCORE_LOOKS = ("C0^-.", "C1s--", "C2D:", "C3v-")
"""Colour, marker and line of each curve of scores."""


def weights(path: DistillationPath, axes: Axes | None = None, *, against: str = "eigenvalue", rounds: int = 8) -> Axes:
    """Basis weights B_t[k], what each round keeps of the targets' component on eigenvector k; a line per round.

    Parameters
    ----------
    path : with any number of rounds.
    axes : to draw on; None for a figure of its own.
    against : "eigenvalue" of kernel_matrix/n, without those of which round 0 keeps less than 1e-4, or its "rank",
        largest first.
    rounds : most rounds to show, spread evenly from the first to the last.

    Returns
    -------
    The axes.

    Raises
    ------
    InvalidInput
        `against` is neither, or `rounds` no whole number of at least 1.

    Source: MFB (arXiv:2002.05715) 45 and Figure 3.
    """
    check_choice(against, "against", ("eigenvalue", "rank"))
    check_whole(rounds, "rounds", InvalidInput)
    axes = _own(axes)
    if against == "rank":
        places, order = np.arange(1, len(path.eigenvalues) + 1), slice(None, None, -1)
    else:
        order = np.flatnonzero(path.basis_weights[:1].max(axis=0, initial=0.0) >= LEAST_WEIGHT)
        places = path.eigenvalues[order]
    shown = shown_rounds(path.n_rounds, rounds)
    for t, colour in zip(shown, round_colours(len(shown)), strict=False):
        label = f"round {t}" if t in (shown[0], shown[-1]) else None
        axes.semilogx(places, path.basis_weights[t, order], color=colour, label=label)
    name = "rank of the eigenvalue, largest first" if against == "rank" else "eigenvalue of kernel_matrix/n"
    axes.set(xlabel=name, ylabel="basis weight $B_t[k]$", ylim=(0, 1.2))  # with room for the legend
    axes.set_yticks(np.linspace(0, 1, 6))
    if shown:
        axes.legend(loc="upper center", ncols=2)
    return axes


def multipliers(path: DistillationPath, axes: Axes | None = None) -> Axes:
    """Multiplier c_t of every round, in units of the eigenvalues of kernel_matrix/n.

    For a Krylov path of a tolerance, bars show the interval in which each multiplier certainly lies.

    Parameters
    ----------
    path : with any number of rounds.
    axes : to draw on; None for a figure of its own.

    Returns
    -------
    The axes.

    Source: MFB (arXiv:2002.05715) 21.
    """
    axes = _own(axes)
    rounds, values = np.arange(path.n_rounds), path.multipliers
    look: Any = {"color": "black", "markersize": 4}
    if path.certificate is None:
        axes.plot(rounds, values, "o-", **look)
    else:
        reach = np.abs(path.multiplier_bounds - values[:, None]).T
        axes.errorbar(rounds, values, reach, fmt="o-", capsize=3, label="enclosure", **look)
        axes.legend()
    axes.set(yscale="log", xlabel="round t", ylabel="multiplier $c_t$")
    whole_rounds(axes)
    return axes


def spectrum(path: DistillationPath, axes: Axes | None = None) -> Axes:
    """Positive eigenvalues of kernel_matrix/n by rank, largest first, and the first and the last multiplier.

    Of an eigenvalue well above a round's multiplier the round keeps its component, of one well below nothing. Of a
    Krylov path these are its Ritz values.

    Parameters
    ----------
    path : with any number of rounds.
    axes : to draw on; None for a figure of its own.

    Returns
    -------
    The axes.
    """
    axes = _own(axes)
    falling = path.eigenvalues[::-1]
    falling = falling[falling > 0]
    name = "eigenvalue" if path.spectrum.is_whole else "Ritz value"
    axes.loglog(np.arange(1, len(falling) + 1), falling, color="black", label=name)
    for t, line in zip(shown_rounds(path.n_rounds, 2), ("--", ":"), strict=False):
        axes.axhline(path.multipliers[t], color="0.4", linestyle=line, label=f"$c_{{{t}}}$")
    axes.set(xlabel="rank of the eigenvalue, largest first", ylabel="eigenvalue of kernel_matrix/n")
    axes.legend(loc="lower left")
    return axes


def errors(
    path: DistillationPath,
    criterion: str | Criterion | Mapping[str, ArrayLike] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Error of every round: on the original training targets, and by a criterion whose lowest round is marked.

    Parameters
    ----------
    path : with any number of rounds.
    criterion : as in :func:`hilbertsd.score_rounds`; or scores that are at hand by the name that the legend is to show,
        of which the first are marked: (T,), or (T+1,) with that of the zero function last. None for the training errors
        alone.
    axes : to draw on; None for a figure of its own.

    Returns
    -------
    The axes. Standard errors that a criterion has are shown as bars.

    Raises
    ------
    InvalidInput
        As :func:`hilbertsd.score_rounds`; or scores that are not finite, or of another number than these.
    """
    curves, bars = _curves(path, criterion)
    axes = _own(axes)
    lines = axes.plot(path.training_errors, "ko-", markersize=4, label="training, original targets")
    for (name, scores), look in zip(curves.items(), SCORE_LOOKS * len(curves), strict=False):
        lines += axes.plot(scores, look, markersize=4, label=name)
        if bars is not None:
            axes.errorbar(np.arange(len(scores)), scores, bars, fmt="none", ecolor=look[:2], capsize=3)
    for name, scores in [each for each in curves.items() if len(each[1])][:1]:
        best = int(np.argmin(scores))
        lines.append(axes.axvline(best, color="C0", linewidth=0.8, alpha=0.6, label=f"lowest {name}: round {best}"))
    axes.set(xlabel="round t", ylabel="mean squared error")
    whole_rounds(axes)
    plain_legend(axes, lines, [str(line.get_label()) for line in lines])
    return axes


def fits(
    path: DistillationPath,
    grid: ArrayLike,
    cross_kernel: Any,
    axes: Axes | None = None,
    *,
    inputs: ArrayLike | None = None,
    intercept: float = 0.0,
    rounds: int = 6,
) -> Axes:
    """Fits f_t as curves, where inputs are numbers and targets have one output.

    Parameters
    ----------
    path : with any number of rounds.
    grid : (m,) inputs at which to draw, ascending.
    cross_kernel : (m, n_samples) raw kernel values between them and the training samples.
    axes : to draw on; None for a figure of its own.
    inputs : (n_samples,) of the training samples, which are shown as points where given.
    intercept : what the targets were centred by, added to all.
    rounds : most rounds to show, spread evenly from the first to the last.

    Returns
    -------
    The axes.

    Raises
    ------
    InvalidInput
        Targets of several outputs; a grid that is not ascending; inputs of another shape than these.
    InvalidCrossKernel
        As :meth:`DistillationPath.predict`, or one of other points than the grid's.
    """
    if path.spectrum.n_outputs > 1:
        raise InvalidInput(f"targets have {path.spectrum.n_outputs} outputs, of which a plot of fits shows one")
    check_whole(rounds, "rounds", InvalidInput)
    places = _numbers(grid, "grid", np.size(grid))
    if np.any(np.diff(places) < 0):
        raise InvalidInput("grid is not ascending; sort it, and the rows of cross_kernel with it")
    if (rows := np.shape(path.spectrum.checked_cross_kernel(cross_kernel))[0]) != len(places):
        raise InvalidCrossKernel(
            f"cross_kernel has {rows} rows for {len(places)} points of the grid; give one for each"
        )
    points = None if inputs is None else _numbers(inputs, "inputs", path.spectrum.n_samples)
    shown = shown_rounds(path.n_rounds, rounds)
    curves = [np.ravel(path.predict(cross_kernel, t)) + intercept for t in shown]
    axes = _own(axes)
    if points is not None:
        targets = np.ravel(path.spectrum.from_eigenbasis(np.ones_like(path.eigenvalues))) + intercept
        axes.plot(points, targets, "o", color="black", markersize=4, label="targets", zorder=3)
    looks = zip(shown, curves, round_colours(len(shown)), LINE_STYLES * rounds, strict=False)
    for t, curve, colour, line in looks:
        axes.plot(places, curve, line, color=colour, linewidth=1.8, label=f"round {t}", zorder=2)
    axes.set(xlabel="x", ylabel="$f_t(x)$")
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return axes


def _own(axes: Axes | None) -> Axes:
    """The axes given, or those of a new figure."""
    if axes is not None:
        return axes
    import matplotlib.pyplot as plt

    with style():
        return plt.subplots(layout="constrained")[1]


def _curves(
    path: DistillationPath, criterion: str | Criterion | Mapping[str, ArrayLike] | None
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64] | None]:
    """Scores by name, and the standard errors that a criterion has."""
    if criterion is None:
        return {}, None
    if isinstance(criterion, Mapping):
        T = path.n_rounds
        return {name: _numbers(scores, f"criterion[{name!r}]", T, T + 1) for name, scores in criterion.items()}, None
    judge = criterion_of(criterion)
    name = getattr(judge, "label", type(judge).__name__)
    bars = getattr(judge, "standard_errors", None)
    if not path.n_rounds:
        return {name: np.empty(0)}, None
    return {name: judge.residuals(path).scores}, None if bars is None else bars(path)


def _numbers(values: ArrayLike, name: str, *counts: int) -> NDArray[np.float64]:
    """Finite numbers, as many as one of the counts; InvalidInput for others and another shape."""
    array = np.asarray(as_real_array(values, name, InvalidInput), dtype=np.float64)
    if array.shape not in [(count,) for count in counts]:
        raise InvalidInput(f"{name} has shape {array.shape}; give {' or '.join(f'({count},)' for count in counts)}")
    if not np.all(np.isfinite(array)):
        raise InvalidInput(f"{name} holds {array[~np.isfinite(array)][0]}; give finite numbers")
    return array

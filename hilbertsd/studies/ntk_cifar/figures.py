"""Figures of the study on neural tangent kernels: accuracies, multipliers and weights."""

from itertools import cycle
from typing import Any

import numpy as np

from hilbertsd.studies.form import share_standard_error
from hilbertsd.studies.ntk_cifar.fits import WEIGHT_RANKS, Fits, Result
from hilbertsd.support.plotting import LINE_STYLES, new_figure, round_colours, shown_rounds, whole_rounds

DODGE = 0.12
"""Rounds by which the accuracies of two tolerances are drawn apart."""


def figures(result: Result) -> dict[str, Any]:
    """rounds: accuracies and multipliers by round. summary: accuracies by training images, and basis weights."""
    return {"rounds": _rounds_figure(result), "summary": _summary_figure(result)}


def _largest(result: Result) -> list[Fits]:
    """Fits of every network on its most training images."""
    return [fits for fits in result.fits if fits.n_train == fits.network.n_train[-1]]


def _rounds_figure(result: Result) -> Any:
    """Test accuracy, training accuracy and multipliers by round; a column for every network at its most images."""
    shown = _largest(result)
    figure = new_figure(2.9 * len(shown) + 0.6, 6.6)
    panels = figure.subplots(3, len(shown), squeeze=False, sharex="col")
    tolerances = result.config.relative_tolerances
    looks = list(zip(round_colours(len(tolerances)), cycle(LINE_STYLES), cycle("os^D"), strict=False))
    for column, fits in enumerate(shown):
        test, train, multipliers = panels[:, column]
        for index, (chain, (colour, line, marker)) in enumerate(zip(fits.chains, looks, strict=False)):
            rounds = np.arange(len(chain.test_accuracy))
            apart = rounds + DODGE * (index - (len(tolerances) - 1) / 2)  # or the first rounds hide one another
            error = [100 * share_standard_error(share, fits.n_test) for share in chain.test_accuracy]
            look: Any = {"color": colour, "linestyle": line, "marker": marker, "markersize": 3}
            label = f"ε = {chain.relative_tolerance:g}"
            test.errorbar(apart, 100 * chain.test_accuracy, error, elinewidth=0.6, label=label, **look)
            train.plot(apart, 100 * chain.train_accuracy, **look)
            multipliers.semilogy(rounds, chain.path.multipliers / fits.chains[0].path.eigenvalues.mean(), **look)
        test.axhline(100 * fits.tuned_ridge, color="0.6", linewidth=0.8, label="tuned ridge")
        test.set(title=f"{fits.network.label}\n{fits.n_train:,} training images")
        multipliers.set(xlabel="round t")
        whole_rounds(multipliers)
    panels[0, 0].set(ylabel="test accuracy, % (± s.e.)")
    panels[1, 0].set(ylabel="training accuracy, %")
    panels[2, 0].set(ylabel="$c_t$, in mean eigenvalues")
    panels[0, 0].legend(fontsize=7, loc="lower left")
    figure.suptitle(result.data, fontsize=10)
    return figure


def _summary_figure(result: Result) -> Any:
    """Accuracies by number of training images, and basis weights, at the middle tolerance."""
    shown = _largest(result)
    figure = new_figure(2.9 * len(shown) + 0.6, 5.0)
    panels = figure.subplots(2, len(shown), squeeze=False)
    for column, last in enumerate(shown):
        by_images, weights = panels[:, column]
        same = [fits for fits in result.fits if fits.network == last.network]
        images = [fits.n_train for fits in same]
        middle = len(result.config.relative_tolerances) // 2
        curves = (
            ("round 0, ± s.e.", "o-", [fits.chains[middle].test_accuracy[0] for fits in same]),
            ("best round", "s--", [fits.chains[middle].test_accuracy.max() for fits in same]),
            ("best early stop", "^:", [fits.chains[middle].stopped_accuracy.max() for fits in same]),
            ("tuned ridge", "x-.", [fits.tuned_ridge for fits in same]),
        )
        for (label, look, values), colour in zip(curves, round_colours(len(curves)), strict=True):
            by_images.semilogx(images, 100 * np.array(values), look, color=colour, markersize=4, label=label)
        first = [100 * share_standard_error(share, last.n_test) for share in curves[0][2]]
        by_images.errorbar(images, 100 * np.array(curves[0][2]), yerr=first, fmt="none", ecolor="0.6", elinewidth=0.8)
        by_images.set(title=last.network.label, xlabel="training images")
        by_images.set_xticks(images, [f"{n:,}" for n in images])
        by_images.minorticks_off()
        chain = last.chains[middle]
        ranks = [rank for rank in WEIGHT_RANKS if rank <= len(chain.path.eigenvalues)]
        rounds = shown_rounds(chain.path.n_rounds, 6)
        for t, colour in zip(rounds, round_colours(len(rounds)), strict=True):
            label = f"round {t}" if t in (rounds[0], rounds[-1]) else None
            kept = chain.path.basis_weights[t, [-rank for rank in ranks]]
            weights.semilogx(ranks, kept, "o-", markersize=2.5, color=colour, label=label)
        weights.set(xlabel="rank of the eigenvalue, largest first", ylim=(0, 1.25))
        weights.legend(fontsize=7, loc="upper center", ncols=2)
    fraction = result.config.relative_tolerances[len(result.config.relative_tolerances) // 2]
    panels[0, 0].set(ylabel=f"test accuracy, % (ε = {fraction:g})")
    panels[1, 0].set(ylabel=f"basis weight (ε = {fraction:g})")
    panels[0, 0].legend(fontsize=7)
    figure.suptitle(result.data, fontsize=10)
    return figure

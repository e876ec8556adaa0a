"""Figures of basis weights: networks beside their kernels by eigenvalue and round, agreement, and learned features."""

from typing import TYPE_CHECKING, Any

import numpy as np

from hilbertsd.studies import form
from hilbertsd.support.plotting import new_figure, round_colours, whole_rounds

if TYPE_CHECKING:
    from hilbertsd.studies.network_weights.results import Measured, Result

MARKERS = "os^Dv<>PX"
SPREAD = 1.12
"""Factor by which points of one bin are drawn apart."""


def figures(result: "Result") -> dict[str, Any]:
    """weights, rounds: b_t and a_t by eigenvalue. agreement: distances by width, sparsity. features: by round."""
    return {
        "weights": _weights(result, single_rounds=False),
        "rounds": _weights(result, single_rounds=True),
        "agreement": _agreement(result),
        "features": _features(result),
    }


def _groups(result: "Result") -> "list[tuple[str, list[Measured]]]":
    """Rows of the figure: networks by width, those that are trained otherwise, and those whose outputs are scaled."""
    groups = []
    for network in result.kernels:
        others = [each for each in result.measured if each.setting.network == network and not each.setting.is_plain]
        scaled = [each for each in others if each.setting.output_scale != 1]
        otherwise = [each for each in others if each not in scaled]
        titles = (network, f"{network}, trained otherwise", f"{network}, outputs scaled")
        groups += zip(titles, (result.plain(network), otherwise, scaled), strict=True)
    return [(title, group) for title, group in groups if group]


def _weights(result: "Result", single_rounds: bool) -> Any:
    """b_t, or a_t of single rounds, of every setting in bins of the infinite kernel's eigenvalue."""
    groups = _groups(result)
    rounds = result.measured[0].weights.shape[0]
    figure = new_figure(3.1 * rounds + 0.4, 2.5 * len(groups) + 0.4)
    panels = figure.subplots(len(groups), rounds, squeeze=False, sharey=True, sharex="row")
    for row, (title, group) in zip(panels, groups, strict=True):
        kernel = result.kernels[group[0].setting.network]
        centres, shown = kernel.bins.centres, kernel.shown
        exact = kernel.rounds_weights if single_rounds else kernel.weights
        for t, panel in enumerate(row):
            lines = zip(("gradient flow", "ridge"), ("-", ":"), ("infinite, flow", "infinite, ridge"), strict=True)
            for kind, line, label in lines:
                panel.plot(centres[shown], exact[kind][t, shown], line, color="0.5", label=label, zorder=1)
            for place, (each, colour) in enumerate(zip(group, round_colours(len(group)), strict=True)):
                values = (each.rounds.networks if single_rounds else each.weights)[t][:, shown]
                apart = SPREAD ** (place - (len(group) - 1) / 2)
                error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
                look = {"fmt": MARKERS[place], "markersize": 3.5, "linewidth": 0.9, "color": colour}
                panel.errorbar(centres[shown] * apart, values.mean(axis=0), error, label=each.setting.name, **look)
            panel.set(xscale="log", title=f"{title}, round 0" if t == 0 else f"round {t}")
            panel.title.set_fontsize(8)
            panel.axhline(0, color="0.85", linewidth=0.6, zorder=0)
        row[0].set(ylabel="share kept of its targets, $a_t$" if single_rounds else "share kept of the labels, $b_t$")
        row[0].legend(fontsize=6.5, loc="lower right")  # where round 0 has no weights
    for panel in panels[-1]:
        panel.set(xlabel="eigenvalue of K/n, infinite kernel")
    figure.suptitle(f"{result.data}, {result.n_train:,} images: bins of the eigenvalue, ± s.e. over seeds", fontsize=10)
    return figure


def _agreement(result: "Result") -> Any:
    figure = new_figure(9.8, 5.0)
    distance, sparsity = figure.subplots(1, 2, width_ratios=(1, 1.15))
    colours = round_colours(len(result.kernels) + 1)
    for (network, kernel), colour, line in zip(result.kernels.items(), colours, ("-", "--"), strict=False):
        plain = result.plain(network)
        widths = np.array([each.setting.width for each in plain])
        for label, values, look in (
            ("infinite kernel, ridge", [kernel.distances(each.weights, "ridge") for each in plain], "x"),
            ("infinite kernel, flow", [kernel.distances(each.weights, "gradient flow") for each in plain], "o"),
            ("infinite kernel, flow, single rounds", [each.rounds.distances("gradient flow") for each in plain], "s"),
            ("own kernel, flow, single rounds", [each.own_rounds.distances("gradient flow") for each in plain], "^"),
        ):
            means, errors = np.array([form.mean_and_standard_error(each) for each in values]).T
            distance.errorbar(
                widths, means, errors, fmt=look + line, color=colour, markersize=4, linewidth=1, label=label
            )
            if look != "x":
                distance.plot(widths, means[0] * np.sqrt(widths[0] / widths), ":", color="0.6", linewidth=1)
        others = [each for each in result.measured if each.setting.network == network and not each.setting.is_plain]
        for place, each in enumerate(others):
            one = form.mean_and_standard_error(kernel.distances(each.weights, "gradient flow"))
            before = [one for one in others[:place] if one.setting.width == each.setting.width]
            x = each.setting.width * 1.08 ** (len(before) + 1)
            look = {
                "fmt": "Dv<>PX*h"[place % 8],
                "color": "0.35",
                "markersize": 4,
                "label": f"{each.setting.name}, flow",
            }
            distance.errorbar([x], [one.mean], [one.standard_error], **look)
    distance.set(xscale="log", yscale="log", xlabel="width (dotted: 1/√width)")
    all_widths = sorted({each.setting.width for each in result.measured})
    distance.set_xticks(all_widths, [f"{width:,}" for width in all_widths])
    distance.minorticks_off()
    distance.set_yticks([0.025, 0.05, 0.1, 0.2, 0.4], ["0.025", "0.05", "0.1", "0.2", "0.4"])
    distance.set(ylabel="distance from a kernel's basis weights\n(r.m.s., ± s.e.)")
    distance.set_title(f"(a) agreement, {', '.join(result.kernels)}", fontsize=9)
    below = {"fontsize": 6.5, "loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 2}
    distance.legend(**below)
    first = next(iter(result.kernels))
    kernel, group = result.kernels[first], [each for each in result.measured if each.setting.network == first]
    rounds = np.arange(len(kernel.weights["ridge"]))
    for kind, line in (("gradient flow", "-"), ("ridge", ":")):
        sparsity.plot(
            rounds, kernel.eigenvectors_in_use(kernel.weights[kind]), line, color="0.5", label=f"infinite, {kind}"
        )
    for place, (each, colour) in enumerate(zip(group, round_colours(len(group)), strict=True)):
        index = kernel.eigenvectors_in_use(each.weights)
        error = index.std(axis=1, ddof=1) / np.sqrt(index.shape[1])
        x = rounds + 0.04 * (place - (len(group) - 1) / 2)
        marker = MARKERS[place % len(MARKERS)]
        sparsity.errorbar(
            x, index.mean(axis=1), error, fmt=marker, color=colour, markersize=3.5, label=each.setting.name
        )
    sparsity.set(xlabel="round t", ylabel="eigenvectors in use, $(\\Sigma b)^2/\\Sigma b^2$")
    sparsity.set_title(f"(b) sparsity, {first}", fontsize=9)
    whole_rounds(sparsity)
    sparsity.legend(**below)
    return figure


def _features(result: "Result") -> Any:
    """Of the first network, by round: how far its kernel moves, how aligned it gets, and how far it leaves kernels."""
    figure = new_figure(12.6, 3.6)
    panels = figure.subplots(1, 3)
    first = next(iter(result.kernels))
    group = [each for each in result.measured if each.setting.network == first]
    for place, (each, colour) in enumerate(zip(group, round_colours(len(group)), strict=True)):
        movement, own = each.movement, each.own_rounds.distances_by_round("gradient flow")
        line = "-" if each.setting.is_plain else "--" if each.setting.output_scale != 1 else ":"
        look = {"color": colour, "marker": MARKERS[place % len(MARKERS)], "markersize": 4, "linewidth": 1, "ls": line}
        shift = 0.03 * (place - (len(group) - 1) / 2)
        for panel, values in zip(panels, (movement.turned, movement.aligned_after, own), strict=True):
            error = values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
            x = np.arange(len(values)) + shift
            panel.errorbar(x, values.mean(axis=1), error, label=each.setting.name, **look)
        if each.setting.is_plain or each.setting.parameterization != "ntk":  # the others begin as these do
            for panel, values in zip(panels, (movement.apart, movement.aligned_before), strict=False):
                panel.plot(np.arange(len(values)) + shift, values.mean(axis=1), "_", color=colour, markersize=9)
    panels[0].set(yscale="log", ylabel="1 − cosine between centred kernels,\nbefore and after training")
    panels[0].set_title(f"(a) movement of the kernel, {first}\n(bars: two networks before training)", fontsize=9)
    panels[1].set(ylabel="alignment of the kernel with the labels")
    panels[1].set_title("(b) alignment after training\n(bars: before)", fontsize=9)
    panels[2].set(ylim=(0, None), ylabel="distance of $a_t$ from gradient flow,\nr.m.s. over bins")
    panels[2].set_title("(c) distance from its own kernel\nbefore training", fontsize=9)
    for panel in panels:
        panel.set(xlabel="round t")
        whole_rounds(panel)
    panels[2].legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure

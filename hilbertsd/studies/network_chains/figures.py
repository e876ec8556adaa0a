"""Figures of the chains of trained networks: accuracies and losses by round, with envelopes over seeds."""

from typing import Any

import numpy as np

from hilbertsd.studies.network_chains.presets import TITLES
from hilbertsd.studies.network_chains.results import Result
from hilbertsd.support.plotting import new_figure, round_colours, whole_rounds


def figures(result: Result) -> dict[str, Any]:
    """A figure for every network: columns are losses, rows test accuracy, training accuracy and loss."""
    networks = list(dict.fromkeys(network for network, _ in result.paths))
    names = {network: "network-chains" + (f"-{network}" if len(networks) > 1 else "") for network in networks}
    return {name: _figure(result, network) for network, name in names.items()}


def _figure(result: Result, network: str) -> Any:
    shown = {variant: path for (name, variant), path in result.paths.items() if name == network}
    figure = new_figure(2.6 * len(shown) + 0.6, 6.4)
    panels = figure.subplots(3, len(shown), squeeze=False, sharex=True)
    dark, light = round_colours(2)
    for column, (variant, path) in enumerate(shown.items()):
        test, train, losses = panels[:, column]
        _envelope(test, 100 * path.test_accuracy, dark, "o-", None)
        _envelope(train, 100 * path.train_accuracy, dark, "o-", None)
        _envelope(losses, path.train_loss, dark, "o-", "training")
        _envelope(losses, path.test_loss, light, "s--", "test")
        test.axhline(100 * path.test_accuracy[0].mean(), color="0.6", linewidth=0.8)
        test.set(title=TITLES[variant])
        losses.set(xlabel="round t")
        whole_rounds(losses)
    panels[0, 0].set(ylabel="test accuracy, %")
    panels[1, 0].set(ylabel="training accuracy, %\n(original labels)")
    panels[2, 0].set(ylabel="loss\n(original labels)")
    panels[2, 0].legend(fontsize=7)
    seeds = len(next(iter(shown.values())).seeds)
    n = len(result.images.train)
    about = f"{network}, {result.images.name}, {n:,} training images: mean and standard deviation over {seeds} seeds"
    figure.suptitle(about, fontsize=10)
    return figure


def _envelope(axes: Any, values: Any, colour: Any, look: str, label: str | None) -> None:
    """Mean over seeds by round, with an envelope of one standard deviation."""
    rounds, mean = np.arange(len(values)), values.mean(axis=1)
    axes.plot(rounds, mean, look, color=colour, markersize=3, linewidth=1.2, label=label)
    if values.shape[1] > 1:
        spread = values.std(axis=1, ddof=1)
        axes.fill_between(rounds, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)

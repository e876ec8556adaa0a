"""Chains of networks that are trained as the theory of infinite width has them, beside their own linearisation.

    path = hilbertsd.distill(hilbertsd.ntk.gram(network, images), targets, tolerance=0.1)
    chain = train_tangent_chain(network, images, targets, others, Penalised(tuple(path.multipliers)), rounds=3, seed=0)
    chain.test_outputs[0] - path.predict(cross_kernel, 0)  # falls as 1/√width

Round t + 1 has the training outputs of round t as targets, and a fresh network.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InfeasibleTolerance, InvalidInput
from hilbertsd.features.tangent import TangentNetwork
from hilbertsd.features.tangent_rules import Rule
from hilbertsd.networks.architectures import Architecture, finite_images
from hilbertsd.spectral.inputs import checked_targets
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import check_whole

ROUNDS_APART = 64
"""Seeds of networks between those of one chain and of the next; chains have at most as many rounds."""


@dataclass(frozen=True, eq=False)
class TangentChain:
    """Networks of T rounds.

    Attributes
    ----------
    train_outputs, test_outputs : (T, n) and (T, m) outputs minus those at the start; 0 from the collapse round on.
    linearised_outputs : (T, m) the same of the network's linearisation at its start, fitted to the same targets; NaN
        where it cannot meet the rule's tolerance.
    initial_kernels, trained_kernels : (T, n, n) tangent kernels of the training images; NaN from the collapse round on.
    steps : (T,) number of steps of every fit.
    collapse_round : first round whose targets the zero function meets, None where there is none among the T.
    """

    train_outputs: NDArray[np.float64]
    test_outputs: NDArray[np.float64]
    linearised_outputs: NDArray[np.float64]
    initial_kernels: NDArray[np.float64]
    trained_kernels: NDArray[np.float64]
    steps: NDArray[np.float64]
    collapse_round: int | None


def train_tangent_chain(
    architecture: Architecture, images: Any, targets: Any, others: Any, rule: Rule, *, rounds: int, seed: int
) -> TangentChain:
    """Train a chain of networks, each on the training outputs of the one before.

    Parameters
    ----------
    architecture : with one output, and neither normalisation nor biases.
    images : (n, rows, columns, channels), or (n, d) for a fully connected network.
    targets : (n,) targets of round 0.
    others : (m, …) images to predict.
    rule : :class:`Penalised` or :class:`Descent`.
    rounds : number T of rounds, at most 64.
    seed : number of the chain; network t has the parameters of seed 64 · `seed` + t.

    Raises
    ------
    InvalidInput, MissingPackage
        `rounds` or `seed` is no whole number in its range; as :meth:`TangentNetwork.at`.
    InvalidTargets
        Targets do not fit the images.
    NotConverged
        A fit did not come to its end.
    """
    check_whole(rounds, "rounds", InvalidInput)
    check_whole(seed, "seed", InvalidInput, 0)
    if rounds > ROUNDS_APART:
        raise InvalidInput(f"rounds is {rounds}; give at most {ROUNDS_APART}")
    others = np.asarray(finite_images(others, "others"), np.float64)
    current = np.asarray(checked_targets(targets, len(images))[0], np.float64)[:, 0]
    n, m = len(current), len(others)
    train, test, linearised = (np.zeros((rounds, count)) for count in (n, m, m))
    initial, trained = (np.full((rounds, n, n), np.nan) for _ in range(2))
    steps, collapse_round = np.zeros(rounds), None
    for t in range(rounds):
        if rule.collapsed(current, t):
            collapse_round = t
            break
        network = TangentNetwork.at(architecture, images, ROUNDS_APART * seed + t)
        initial[t], linearised[t] = network.initial_kernel, linearised_fit(network, rule, current, others, t)
        fitted = rule.fit(network, current, t)
        trained[t], steps[t] = network.kernel(fitted.parameters), fitted.steps
        train[t], test[t] = network.outputs(fitted.parameters), network.outputs(fitted.parameters, others)
        current = train[t]
    return TangentChain(train, test, linearised, initial, trained, steps, collapse_round)


def linearised_fit(
    network: TangentNetwork,
    rule: Rule,
    targets: NDArray[np.float64],
    others: Any,
    round: int,
) -> NDArray[np.float64]:
    """(m,) outputs for other images of the network's linearisation, fitted by the rule's filter of its own kernel.

    They are NaN where its kernel is singular and its training error cannot be the rule's tolerance.
    """
    spectrum = Spectrum.from_kernel(network.initial_kernel, targets)
    try:
        fitted = rule.filter(spectrum, round)
    except InfeasibleTolerance:
        return np.full(len(others), np.nan)
    with np.errstate(over="ignore"):
        over = fitted.over_eigenvalues(spectrum.eigenvalues)
    dual = spectrum.dual_coefficients(over)[:, 0]
    return network.derivative(network.start, network.combination(network.start, dual), others)

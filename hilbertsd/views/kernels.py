"""Tangent kernels of view networks at the start, of finitely and of infinitely many neurons.

    train, cross = infinite_grams(network, features, test_features, noise=1.2)          # (n, n), (m, n)
    train, cross = tangent_grams(network, features, test_features, noise=1.2, seed=0)

The gradient of F_i by the weights of a neuron is Σ_p ReLU~'(⟨w, x_p⟩) x_p, and at the start responses are so small that
ReLU~'(z) = (z₊/ϱ)^(q−1). Each class has neurons of its own, and so a kernel of its own; what is given here is the mean
of these, over the neurons of all classes, in units of (σ_0/ϱ)^(2(q−1)):

    K(X, X') = Σ_p Σ_p' ⟨x_p, x'_p'⟩ E[u₊^(q−1) u'₊^(q−1)],   u = ⟨w, x_p⟩/σ_0,   u' = ⟨w, x'_p'⟩/σ_0

with the mean over the neurons, or over Gaussian weights, where it is an arc-cosine kernel of order q − 1. Everything is
in the limit of orthogonal noise.

Source: Jacot, Gabriel & Hongler (2018), arXiv:1806.07572; Cho & Saul (2009), Kernel methods for deep learning, (1)–(4).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_positive
from hilbertsd.views.network import ViewNetwork

Array = NDArray[np.float64]

PAIRS = 4_000_000
"""Pairs of patches whose angles are in memory at a time."""


def tangent_grams(network: ViewNetwork, train: Any, test: Any, noise: float, seed: int) -> tuple[Array, Array]:
    """Kernel of the gradients of one network at the start.

    Parameters
    ----------
    network : whose neurons, of all classes, are drawn.
    train, test : (n, P, 2k) and (m, P, 2k) views that the patches show.
    noise : c, length of a patch's noise.
    seed : of the weights.

    Returns
    -------
    (n, n) kernel matrix of the training samples, and (m, n) of test and training samples.

    Raises InvalidInput for shapes that do not go together, or a noise that is not positive.
    """
    train, test = _checked(network, train, test, noise)
    rng = np.random.default_rng([seed, 3])  # not the numbers of samples of the same seed
    weights = rng.standard_normal((train.shape[2], network.width))

    def gradients(features: Array) -> tuple[Array, Array]:
        """(n, width · 2k) gradients along the views, and (n, P, width) slopes."""
        responses = features @ weights + noise * rng.standard_normal((*features.shape[:2], network.width))
        slopes = np.maximum(responses, 0) ** (network.power - 1)
        return np.einsum("npw,npv->nwv", slopes, features, optimize=True).reshape(len(features), -1), slopes

    (own, slopes), (others, _) = gradients(train), gradients(test)
    gram = own @ own.T
    gram[np.diag_indices(len(gram))] += noise**2 * (slopes**2).sum(axis=(1, 2))
    return gram / network.width, others @ own.T / network.width


def infinite_grams(network: ViewNetwork, train: Any, test: Any, noise: float) -> tuple[Array, Array]:
    """What :func:`tangent_grams` tends to with the number of neurons.

    Raises InvalidInput as there, and for a power other than 2, 3 or 4.
    """
    train, test = _checked(network, train, test, noise)
    order = network.power - 1
    if order not in _ANGULAR:
        raise InvalidInput(f"power is {network.power}; the infinite kernel is known here for {min(_ANGULAR) + 1} to 4")

    def pairs(first: Array, second: Array, inner: Array) -> Array:
        """(a, b) kernel from (a, P, 2k), (b, P, 2k) and inner products (a, P, b, P) of patches."""
        lengths = [np.sqrt((each**2).sum(axis=2) + noise**2) for each in (first, second)]
        # Orthogonal patches, most of them where there is no feature noise, add nothing.
        a, p, b, q = np.nonzero(inner)
        products, both = inner[a, p, b, q], lengths[0][a, p] * lengths[1][b, q]
        angles = np.arccos(np.clip(products / both, -1, 1))
        terms = products * both**order * _ANGULAR[order](angles) / (2 * np.pi)
        sums = np.bincount(a * len(second) + b, terms, len(first) * len(second))
        return sums.astype(np.float64).reshape(len(first), -1)

    def gram(first: Array, same: bool) -> Array:
        rows = max(1, PAIRS // (first.shape[1] * train.shape[0] * train.shape[1]))
        found = []
        for start in range(0, len(first), rows):
            part = first[start : start + rows]
            inner = np.einsum("apv,bqv->apbq", part, train, optimize=True)
            if same:
                own, patch = np.arange(len(part))[:, None], np.arange(train.shape[1])
                inner[own, patch, own + start, patch] += noise**2
            found.append(pairs(part, train, inner))
        return np.concatenate(found)

    return gram(train, True), gram(test, False)


_ANGULAR = {
    1: lambda t: np.sin(t) + (np.pi - t) * np.cos(t),
    2: lambda t: 3 * np.sin(t) * np.cos(t) + (np.pi - t) * (1 + 2 * np.cos(t) ** 2),
    3: lambda t: 15 * np.sin(t) - 11 * np.sin(t) ** 3 + (np.pi - t) * (9 * np.cos(t) + 6 * np.cos(t) ** 3),
}
"""J_n of Cho & Saul by n: E[u₊^n v₊^n] = J_n(θ)/(2π) for standard normal u and v with correlation cos θ."""


def _checked(network: ViewNetwork, train: Any, test: Any, noise: float) -> tuple[Array, Array]:
    check_positive(noise, "noise", "the length of a patch's noise", InvalidInput)
    train, test = (np.asarray(each, np.float64) for each in (train, test))
    wanted = (*train.shape[1:2], 2 * network.n_classes)
    if train.ndim != 3 or train.shape[1:] != wanted or test.ndim != 3 or test.shape[1:] != wanted:
        raise InvalidInput(
            f"training and test samples have shapes {train.shape} and {test.shape}; give (n, P, "
            f"{2 * network.n_classes}) with the same number of patches"
        )
    return train, test

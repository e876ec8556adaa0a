"""The kernel g† whose plain ridge fit is round t of distillation, and how complex its ball is (MFB §3.7, App. B).

g† has g's eigenfunctions and the eigenvalues

    d†_k = c_0 / (Π_{i≤t} (d_k + c_i)/d_k − 1) = c_0 B_t[k]/(1 − B_t[k]),                            (MFB 54)

so that the ridge fit to the original targets with g† and multiplier c_0 has the weights d†/(c_0 + d†) = B_t.

    path = distill(kernel_matrix, targets, tolerance=0.1)
    kernel = kernel_of_round(path, round=1)
    ridge = KernelRidge(alpha=len(targets) * kernel.multiplier, kernel="precomputed")
    ridge.fit(kernel.kernel_matrix, targets).predict(kernel.cross_kernel(cross_kernel))  # path.predict(cross_kernel, 1)

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import check_positive, to_library


@dataclass(frozen=True, eq=False)
class EquivalentKernel:
    """Kernel g† of one round.

    Attributes
    ----------
    spectrum : spectrum of g's kernel matrix and the original targets.
    round : t, the round whose fit this kernel reproduces.
    multiplier : c_0, the multiplier to fit with; a scikit-learn ``KernelRidge`` takes alpha = n c_0.
    eigenvalues : (m,) d†, the eigenvalues of g†'s kernel matrix divided by n.
    scaling : (m,) d†/d, finite where d is zero.
    """

    spectrum: Spectrum
    round: int
    multiplier: float
    eigenvalues: NDArray[np.float64]
    scaling: NDArray[np.float64]

    @cached_property
    def kernel_matrix(self) -> Any:
        """(n, n) raw values n G† = n V diag(d†) Vᵀ at the training samples, in the array library of the kernel."""
        basis = self.spectrum.basis
        scaled = basis * to_library(self.eigenvalues[None, :] * self.spectrum.n_samples, basis)
        matrix = scaled @ basis.T
        return (matrix + matrix.T) / 2

    def cross_kernel(self, cross_kernel: Any) -> Any:
        """Raw values of g† between new points and training samples, g†_x = g_x V diag(d†/d) Vᵀ.

        Parameters
        ----------
        cross_kernel : (n_query, n_samples) raw values of g.

        Raises InvalidCrossKernel as :meth:`DistillationPath.predict`.
        """
        basis = self.spectrum.basis
        rotated = self.spectrum.checked_cross_kernel(cross_kernel) @ basis
        return (rotated * to_library(self.scaling[None, :], basis)) @ basis.T


def kernel_of_round(path: DistillationPath, round: int = -1) -> EquivalentKernel:
    """Kernel whose plain ridge fit with multiplier c_0 is a path's round t, at the samples and at new points.

    Parameters
    ----------
    path : of a tolerance or a fixed multiplier.
    round : t, from 0 to the last nonzero fit; negative counts from that one.

    Returns
    -------
    EquivalentKernel; for t = 0 it is the path's own kernel.

    Raises
    ------
    InvalidRound
        No nonzero fit has this number; from the collapse round on g† is zero.
    InvalidInput
        The path is a Krylov space's.

    Source: MFB (54).
    """
    path.spectrum.require_whole("the equivalent kernel")
    t = path.nonzero_round(round)
    d, c_0 = path.eigenvalues, float(path.multipliers[0])
    complement = -np.expm1(path.log_basis_weights[t])
    scaling = c_0 * path.target_weights(t) / (path.multipliers[t] + d) / complement
    return EquivalentKernel(path.spectrum, t, c_0, scaling * d, scaling)


@dataclass(frozen=True)
class Complexity:
    """Complexity of the ball of radius R in the space of g†, one number per round.

    Without ground truth in the targets all of them fall from round to round.

    Attributes
    ----------
    radius : R, in the norm of that space.
    rademacher : (T,) (2R/√n) √tr(G†), an upper bound on the Rademacher complexity.
    local_rademacher : (T,) min_h h/n + √(Σ_{j>h} d†_j / n), d† in falling order: the fixed point of the local
        Rademacher complexity up to a constant, for a kernel of supremum 1.
    effective_dimension : (T,) Σ_k B_t[k], the trace of the smoother.
    """

    radius: float
    rademacher: NDArray[np.float64]
    local_rademacher: NDArray[np.float64]
    effective_dimension: NDArray[np.float64]


def complexity(path: DistillationPath, radius: float = 1.0) -> Complexity:
    """Complexity measures of every round's equivalent kernel, from the spectrum alone.

    Parameters
    ----------
    path : of a tolerance or a fixed multiplier.
    radius : R > 0.

    Raises InvalidInput for a radius that is not positive.

    Notes
    -----
    The bounds of the sources are about a class of functions that is fixed before the targets are seen. g† depends on
    them through c_0, …, c_t wherever ε is what is fixed, so they do not apply as they stand; they do for fixed
    multipliers. Read the numbers as sizes to compare rounds by, not as bounds on a test error.

    Source: Bartlett & Mendelson (2002), Lemma 22; Bartlett, Bousquet & Mendelson (2005), Corollary 6.7; MFB §3.7.
    """
    radius = check_positive(radius, "radius", "of the ball in the kernel's space", InvalidInput)
    n = path.spectrum.n_samples
    rademacher, local = np.empty(path.n_rounds), np.empty(path.n_rounds)
    for t in range(path.n_rounds):
        falling = np.sort(kernel_of_round(path, t).eigenvalues)[::-1]
        tails = np.concatenate([np.cumsum(falling[::-1])[::-1], [0.0]])
        rademacher[t] = 2 * radius * np.sqrt(tails[0] / n)
        local[t] = np.min(np.arange(len(tails)) / n + np.sqrt(tails / n))
    return Complexity(radius, rademacher, local, path.basis_weights.sum(axis=1))

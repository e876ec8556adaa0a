"""Ensembles and distillation of tangent kernels: six uses of L networks that differ by seed.

    single                     fit K_l to the targets
    ensemble                   mean of the outputs of the L singles
    train the average          one fit with Σ_l K_l/L, the kernel of (F_1+…+F_L)/√L
    knowledge distillation     fit K_l to the training outputs of the ensemble
    self-distillation          fit K_l to the training outputs of single l+1, and K_L to those of single 1
    ensemble of the distilled  mean of the outputs of the L students of the ensemble

A fit is f(x) = k_xᵀ V (φ(D)/D) Vᵀ y/n, with K/n = V D Vᵀ and a filter φ of a strength c: ridge, or gradient flow
stopped at time 1/c. Strengths are in units of the mean eigenvalue of each kernel. Teacher and student have a strength
each. Every kernel is decomposed once, for all strengths, filters and targets:

    members, average = members_and_average(kernels)  # (n, n) and (m, n) of L networks
    outputs = six_uses(members, average, targets, FILTERS["ridge"], [0.1, 1])
    outputs["knowledge distillation"]  # (2, 2, L, m, k): strength of the teacher, of the student, network, sample

In the full-output form an image has a row of the kernel for each of k outputs, and its targets are one column of nk
numbers; :func:`scores` gives outputs of either form by image and class.

The ensemble of random-feature models and the one model of their concatenated features, which is `train the average`,
are known to differ. Averaging takes away the variance that the draw of the features adds; of infinitely many models it
is the kernel's own fit with a larger ridge. Concatenating adds features to the one fit. Source: d'Ascoli, Refinetti,
Biroli & Krzakala (2020), Double trouble in double descent, arXiv:2003.01054; Jacot, Simsek, Spadaro, Hongler & Gabriel
(2020), Implicit regularization of random feature models, arXiv:2002.08404.

Source of the six uses: Allen-Zhu & Li (2020), arXiv:2012.09816, in their tangent kernel regime.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.filters import Family, Filter, gradient_flow, ridge
from hilbertsd.spectral.inputs import checked_kernel
from hilbertsd.spectral.rounding import exact_eigenvalues
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import check_positive

USES = ("single", "ensemble", "train the average", "knowledge distillation", "self-distillation")
"""Uses that the paper has of tangent kernels."""

SIX_USES = (*USES, "ensemble of the distilled")
"""Uses that it has of trained networks."""

MEANS = {"ensemble": "single", "ensemble of the distilled": "knowledge distillation"}
"""Uses that are a mean of the outputs of L networks, and of which networks."""

DISTILLED = USES[3:]
"""Uses with a teacher, whose strength is one more."""

Eigh = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]

FILTERS: dict[str, Family] = {"ridge": ridge, "gradient flow": lambda strength: gradient_flow(1 / strength)}
"""Filter of a strength, in units of the eigenvalues: of one as large φ is 1/2 in ridge and 1 − 1/e in gradient flow."""


@dataclass(frozen=True, eq=False)
class Member:
    """Decomposed kernel of one network: K/n = V D Vᵀ.

    Attributes
    ----------
    eigenvalues : (n,) diagonal of D, ascending.
    basis : (n, n) eigenvectors V.
    cross : (m, n) test-train kernel matrix over n.
    """

    eigenvalues: NDArray[np.float64]
    basis: NDArray[np.float64]
    cross: NDArray[np.float64]

    @classmethod
    def from_grams(cls, train: Any, cross: Any, eigh: Eigh = np.linalg.eigh) -> Self:
        """Decompose a kernel.

        Parameters
        ----------
        train : (n, n) kernel matrix of the training samples.
        cross : (m, n) kernel matrix of test and training samples.
        eigh : eigenvalues, ascending, and eigenvectors of a symmetric matrix; that of `hilbertsd.ntk.jax_backend` uses
            an accelerator.

        Raises
        ------
        InvalidInput
            The kernel is zero everywhere.
        InvalidKernel, NotPositiveSemidefinite, InvalidCrossKernel
            See :meth:`hilbertsd.Spectrum.from_kernel` and :meth:`hilbertsd.Spectrum.predict`.
        """
        kernel, precision = checked_kernel(train)
        n = len(kernel)
        # The basis is needed whole, which takes LAPACK half the time of a Spectrum that forms it afterwards.
        raw, basis = eigh(kernel)
        eigenvalues, clipped, rounding = exact_eigenvalues(raw / n, precision, n)
        if eigenvalues[-1] == 0:
            raise InvalidInput("a kernel is zero everywhere: no gradient reaches the network; take another seed")
        spectrum = Spectrum(eigenvalues, np.zeros((n, 1)), basis, True, clipped, rounding)
        return cls(eigenvalues, basis, spectrum.checked_cross_kernel(cross) / n)

    def filters(self, family: Family, multiples: Sequence[float]) -> list[Filter]:
        """Filters of a family, whose strengths are multiples of the mean eigenvalue."""
        return [family(multiple * float(self.eigenvalues.mean())) for multiple in multiples]

    def train_outputs(self, targets: NDArray[np.float64], filters: Sequence[Filter]) -> NDArray[np.float64]:
        """(S, n, q) outputs for the training samples of S fits to (n, q) targets."""
        outputs = self._filtered(targets, [each.weights(self.eigenvalues) for each in filters])
        return _by_filter(outputs, len(filters))

    def test_outputs(self, targets: NDArray[np.float64], filters: Sequence[Filter]) -> NDArray[np.float64]:
        """(S, m, q) outputs for the test samples of S fits to (n, q) targets."""
        dual = self._filtered(targets, [each.over_eigenvalues(self.eigenvalues) for each in filters])
        return _by_filter(self.cross @ dual, len(filters))

    def _filtered(self, targets: NDArray[np.float64], weights: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """(n, S q) V diag(w) Vᵀ y for S weights, one after another."""
        rotated = self.basis.T @ targets
        return self.basis @ np.concatenate([each[:, None] * rotated for each in weights], axis=1)


def members_and_average(
    grams: Iterable[tuple[NDArray[Any], NDArray[Any]]], eigh: Eigh = np.linalg.eigh
) -> tuple[list[Member], Member]:
    """Decompose the kernels of L networks, and their mean.

    Parameters
    ----------
    grams : for every network its (n, n) kernel matrix of the training samples and its (m, n) one of test and training
        samples. No more than one is held at a time.
    eigh : as in :meth:`Member.from_grams`, whose errors this raises.
    """
    members, train_sum, cross_sum, dtype = [], np.float64(0), np.float64(0), "float64"
    for train, cross in grams:
        members.append(Member.from_grams(train, cross, eigh))
        train_sum, cross_sum, dtype = train_sum + train, cross_sum + cross, train.dtype
    if len(members) == 1:
        return members, members[0]
    # In the precision of the kernels, by which eigenvalues below zero are judged.
    train, cross = ((total / len(members)).astype(dtype) for total in (train_sum, cross_sum))
    return members, Member.from_grams(train, cross, eigh)


def with_means(outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Six uses in the order of `SIX_USES`, kernels' or trained networks', from the four that are no mean of others.

    Parameters
    ----------
    outputs : by use, (…, L or 1, m, k) outputs of its networks for m samples; uses that it lacks stay away.
    """
    means = {use: outputs[of].mean(axis=-3, keepdims=True) for use, of in MEANS.items()}
    found = {**outputs, **means}
    return {use: found[use] for use in SIX_USES if use in found}


def six_uses(
    members: Sequence[Member],
    average: Member,
    targets: NDArray[np.float64],
    family: Family,
    multiples: Sequence[float],
) -> dict[str, NDArray[np.float64]]:
    """Outputs of every use for the test samples, in the order of `SIX_USES`.

    Parameters
    ----------
    members : the L kernels, of n training and m test samples.
    average : the mean of the L kernels.
    targets : (n, q) targets of the training samples.
    family : filter of a strength, as in `FILTERS`; all fits are of this family.
    multiples : S strengths, in units of the mean eigenvalue of each kernel.

    Returns
    -------
    (S, L or 1, m, q) of uses without a teacher, (S, S, L or 1, m, q) of those with one: first the teacher's strength,
    which the ensemble's members share, then the student's.

    Raises
    ------
    InvalidInput
        A strength is not positive.
    """
    for multiple in multiples:
        check_positive(multiple, "multiple", "a strength in mean eigenvalues", InvalidInput)
    filters = [member.filters(family, multiples) for member in members]
    pairs = list(zip(members, filters, strict=True))
    single = np.stack([member.test_outputs(targets, each) for member, each in pairs], axis=1)
    taught = np.stack([member.train_outputs(targets, each) for member, each in pairs])
    by_ensemble = np.broadcast_to(taught.mean(axis=0), taught.shape)
    return with_means(
        {
            "single": single,
            "train the average": average.test_outputs(targets, average.filters(family, multiples))[:, None],
            "knowledge distillation": _students(pairs, by_ensemble),
            "self-distillation": _students(pairs, np.roll(taught, -1, axis=0)),
        }
    )


def scores(outputs: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """Outputs (…, m, k), or (…, mk, 1) in the full-output form, by image and class: (…, m, k)."""
    return outputs.reshape(*outputs.shape[:-2], -1, n_classes)


def normalised(
    train: NDArray[np.float64], cross: NDArray[np.float64], diagonal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel of the features over their norms, K(x, x')/√(K(x, x) K(x', x')): 1 where x = x'.

    Parameters
    ----------
    train : (n, n) kernel matrix of the training samples.
    cross : (m, n) kernel matrix of test and training samples.
    diagonal : (m,) K(x, x) of the test samples.

    Returns
    -------
    (n, n) and (m, n). A sample whose features are zero stays one: its rows and columns are zero.
    """
    first, others = (
        np.divide(1, np.sqrt(values), out=np.zeros(len(values)), where=values > 0)
        for values in (np.diag(train).copy(), diagonal)
    )
    return first[:, None] * train * first, others[:, None] * cross * first


def _by_filter(columns: NDArray[np.float64], S: int) -> NDArray[np.float64]:
    """(S, n, q) outputs from (n, S q) columns."""
    return columns.reshape(len(columns), S, -1).swapaxes(0, 1)


def _students(pairs: list[tuple[Member, list[Filter]]], teachers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, S, L, m, q) outputs of students of (L, S, n, q) teachers."""
    _, S, n, q = teachers.shape
    students = []
    for (member, filters), outputs in zip(pairs, teachers, strict=True):
        columns = outputs.swapaxes(0, 1).reshape(n, S * q)
        fits = member.test_outputs(columns, filters)
        students.append(fits.reshape(S, -1, S, q).transpose(2, 0, 1, 3))
    return np.stack(students, axis=2)

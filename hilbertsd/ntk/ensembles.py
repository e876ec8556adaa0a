"""Five ways to use L networks that differ only by seed, each a ridge regression with its tangent kernel K_l.

    single                   fit K_l to the targets
    ensemble                 mean of the outputs of the L singles
    train the average        one fit with Σ_l K_l/L, the kernel of (F_1+…+F_L)/√L; regularisers are in units of each
                             kernel, so that its scale does not matter
    knowledge distillation   fit K_l to the training outputs of the ensemble
    self-distillation        fit K_l to the training outputs of single l+1, and K_L to those of single 1

A fit is f(x) = k_xᵀ(K + nc I)⁻¹y with c = λ tr K/n², with the same λ in all fits of one use. Every kernel is decomposed
once, for all λ and all targets:

    members = [Member.from_grams(train, cross) for train, cross in grams]  # (n, n) and (m, n) of L networks
    average = Member.from_grams(sum(trains) / L, sum(crosses) / L)
    five_uses(members, average, targets, multiple=0.1)["ensemble"].test  # (1, m, k)

Source: Allen-Zhu & Li (2020), arXiv:2012.09816, in their tangent kernel regime, trained to the ridge solution.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.support.checks import check_positive
from hilbertsd.support.progress import tracked

USES = ("single", "ensemble", "train the average", "knowledge distillation", "self-distillation")


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of one use: of its L models, or of the single model that it makes.

    Attributes
    ----------
    train : (L or 1, n, k) outputs for the training samples.
    test : (L or 1, m, k) outputs for the test samples.
    """

    train: NDArray[np.float64]
    test: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Member:
    """Decomposed kernel of one network: K/n = V D Vᵀ.

    Attributes
    ----------
    eigenvalues : (n,) diagonal of D, ascending.
    basis : (n, n) eigenvectors V.
    cross_basis : (m, n) test-train kernel matrix times V/n.
    """

    eigenvalues: NDArray[np.float64]
    basis: NDArray[np.float64]
    cross_basis: NDArray[np.float64]

    @classmethod
    def from_grams(cls, train: Any, cross: Any) -> Self:
        """Decompose a kernel.

        Parameters
        ----------
        train : (n, n) kernel matrix of the training samples.
        cross : (m, n) kernel matrix of test and training samples.

        Raises
        ------
        InvalidKernel, NotPositiveSemidefinite, InvalidCrossKernel
            See :meth:`hilbertsd.Spectrum.from_kernel` and :meth:`hilbertsd.Spectrum.predict`.
        """
        spectrum = Spectrum.from_kernel(train, np.ones(len(train)))
        basis = np.asarray(spectrum.basis)
        values = np.asarray(spectrum.checked_cross_kernel(cross))
        return cls(spectrum.eigenvalues, basis, values @ basis / spectrum.n_samples)

    def fit(self, targets: NDArray[np.float64], multiple: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fit (n, k) targets by ridge regression; λ = `multiple` is in units of the mean eigenvalue.

        Returns the (n, k) outputs for the training samples and the (m, k) outputs for the test samples.
        """
        dual = (self.basis.T @ targets) / (self.eigenvalues + multiple * self.eigenvalues.mean())[:, None]
        return self.basis @ (self.eigenvalues[:, None] * dual), self.cross_basis @ dual


def five_uses(
    members: Sequence[Member], average: Member, targets: NDArray[np.float64], multiple: float
) -> dict[str, Outputs]:
    """Outputs of every use, in the order of `USES`.

    Parameters
    ----------
    members : the L kernels.
    average : the mean of the L kernels.
    targets : (n, k) targets of the training samples.
    multiple : λ, in units of the mean eigenvalue of each kernel.
    """
    single = _stacked(member.fit(targets, multiple) for member in members)
    ensemble = Outputs(single.train.mean(axis=0, keepdims=True), single.test.mean(axis=0, keepdims=True))
    teachers = np.roll(single.train, -1, axis=0)
    return {
        "single": single,
        "ensemble": ensemble,
        "train the average": _stacked([average.fit(targets, multiple)]),
        "knowledge distillation": _stacked(member.fit(ensemble.train[0], multiple) for member in members),
        "self-distillation": _stacked(
            member.fit(teacher, multiple) for member, teacher in zip(members, teachers, strict=True)
        ),
    }


@dataclass(frozen=True, eq=False)
class Accuracies:
    """Accuracy of every use, for every regulariser.

    Attributes
    ----------
    multiples : (R,) values of λ.
    train : by use, (R, L or 1) accuracy on the training samples, measured with their labels, not a teacher's outputs.
    test_correct : by use, (R, L or 1, m) whether each test sample is classified as labelled.
    """

    multiples: NDArray[np.float64]
    train: dict[str, NDArray[np.float64]]
    test_correct: dict[str, NDArray[np.bool_]]

    @property
    def test(self) -> dict[str, NDArray[np.float64]]:
        """Accuracy on the test samples, (R, L or 1) by use."""
        return {use: correct.mean(axis=2) for use, correct in self.test_correct.items()}


def ensemble_accuracies(
    train_grams: Sequence[Any], cross_grams: Sequence[Any], targets: Any, test_labels: Any, multiples: Any
) -> Accuracies:
    """Accuracy of the five uses of L networks over a grid of regularisers.

    Parameters
    ----------
    train_grams : L kernel matrices (n, n) of the training samples.
    cross_grams : L kernel matrices (m, n) of test and training samples.
    targets : (n, k) targets; the class of a sample is the position of the largest value of its row.
    test_labels : (m,) classes from 0 to k − 1.
    multiples : (R,) positive values of λ.

    Raises
    ------
    InvalidInput
        The numbers or shapes of the matrices do not agree, or a λ is not positive.
    InvalidKernel, NotPositiveSemidefinite, InvalidCrossKernel
        See :meth:`Member.from_grams`.

    Notes
    -----
    All decompositions are in memory at the same time: (L+1)(n² + nm) numbers in float64.
    """
    targets, labels = np.asarray(targets, dtype=float), np.asarray(test_labels)
    grid = [check_positive(multiple, "multiple", "a λ", InvalidInput) for multiple in np.ravel(multiples).tolist()]
    shapes = {np.shape(train) for train in train_grams}, {np.shape(cross) for cross in cross_grams}
    expected = {(len(targets), len(targets))}, {(len(labels), len(targets))}
    if targets.ndim != 2 or len(train_grams) != len(cross_grams) or shapes != expected:
        raise InvalidInput(
            f"{len(train_grams)} train grams of shapes {sorted(shapes[0])} and {len(cross_grams)} cross grams of "
            f"shapes {sorted(shapes[1])} for {targets.shape} targets and {len(labels)} test labels; give as many of "
            "(n, n) as of (m, n)"
        )
    count = len(train_grams)
    average = Member.from_grams(
        sum(train_grams[1:], train_grams[0]) / count, sum(cross_grams[1:], cross_grams[0]) / count
    )
    pairs = list(zip(train_grams, cross_grams, strict=True))
    members = [Member.from_grams(*pair) for pair in tracked(pairs, "kernels decomposed")]
    classes = targets.argmax(axis=1)
    train: dict[str, list[NDArray[np.float64]]] = {use: [] for use in USES}
    correct: dict[str, list[NDArray[np.bool_]]] = {use: [] for use in USES}
    for multiple in tracked(grid, "regularisers"):
        for use, outputs in five_uses(members, average, targets, multiple).items():
            train[use].append((outputs.train.argmax(axis=2) == classes).mean(axis=1))
            correct[use].append(outputs.test.argmax(axis=2) == labels)
    return Accuracies(
        np.array(grid),
        {use: np.array(values) for use, values in train.items()},
        {use: np.array(values) for use, values in correct.items()},
    )


def _stacked(fits: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Outputs:
    train, test = zip(*fits, strict=True)
    return Outputs(np.stack(train), np.stack(test))

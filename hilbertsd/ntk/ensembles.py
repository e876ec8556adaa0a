"""Five uses of networks that differ by seed alone, each a ridge regression with its tangent kernel K_l.

    single                   K_l fit to the targets
    ensemble                 mean of the L singles' outputs
    train the average        one fit with Σ_l K_l/L, the kernel of (F_1+…+F_L)/√L; a factor would change nothing,
                             because regularisers are in units of each kernel
    knowledge distillation   K_l fit to the ensemble's training outputs
    self-distillation        K_l fit to the training outputs of single l+1, the last one's to those of the first

A fit is f(x) = k_xᵀ(K + nc I)⁻¹y with c = λ tr K/n², the same λ in all fits of a use. One decomposition of every kernel
serves all λ and all targets.

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
    """Outputs of one use: of all L models, or of the one that it makes.

    Attributes
    ----------
    train : (L or 1, n, k) at the training samples.
    test : (L or 1, m, k).
    """

    train: NDArray[np.float64]
    test: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Member:
    """Kernel of one network, decomposed: K/n = V D Vᵀ.

    Attributes
    ----------
    eigenvalues : (n,) ascending D.
    basis : (n, n) V.
    cross_basis : (m, n) the test-train kernel times V/n.
    """

    eigenvalues: NDArray[np.float64]
    basis: NDArray[np.float64]
    cross_basis: NDArray[np.float64]

    @classmethod
    def from_grams(cls, train: Any, cross: Any) -> Self:
        """Decompose (n, n) values between the training samples, beside (m, n) of test and training samples.

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
        """(n, k) and (m, k) outputs of the ridge fit to (n, k) targets, with λ = `multiple` of the mean of D."""
        dual = (self.basis.T @ targets) / (self.eigenvalues + multiple * self.eigenvalues.mean())[:, None]
        return self.basis @ (self.eigenvalues[:, None] * dual), self.cross_basis @ dual


def five_uses(
    members: Sequence[Member], average: Member, targets: NDArray[np.float64], multiple: float
) -> dict[str, Outputs]:
    """Outputs of every use, in the order of `USES`.

    Parameters
    ----------
    members : L kernels.
    average : of their mean.
    targets : (n, k).
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
    """Which samples every use classifies as labelled, for every regulariser.

    Attributes
    ----------
    multiples : (R,) λ.
    train : by use, (R, L or 1) shares of the training samples; against their labels, not the teacher's outputs.
    test_correct : by use, (R, L or 1, m) for every test sample.
    """

    multiples: NDArray[np.float64]
    train: dict[str, NDArray[np.float64]]
    test_correct: dict[str, NDArray[np.bool_]]

    @property
    def test(self) -> dict[str, NDArray[np.float64]]:
        """By use, (R, L or 1) shares of the test samples."""
        return {use: correct.mean(axis=2) for use, correct in self.test_correct.items()}


def ensemble_accuracies(
    train_grams: Sequence[Any], cross_grams: Sequence[Any], targets: Any, test_labels: Any, multiples: Any
) -> Accuracies:
    """Accuracy of the five uses of L networks over a grid of regularisers.

    Parameters
    ----------
    train_grams : L kernel matrices (n, n).
    cross_grams : L of (m, n), test and training samples.
    targets : (n, k), a class is the position of a row's largest.
    test_labels : (m,) classes.
    multiples : (R,) λ, positive.

    Raises
    ------
    InvalidInput
        Numbers or shapes do not agree, or a λ is not positive.
    InvalidKernel, NotPositiveSemidefinite, InvalidCrossKernel
        As :meth:`Member.from_grams`.

    Notes
    -----
    The decompositions are held together: (L+1)(n² + nm) numbers in float64.
    """
    targets, labels = np.asarray(targets, dtype=float), np.asarray(test_labels)
    grid = [check_positive(each, "multiple", "a λ", InvalidInput) for each in np.ravel(multiples).tolist()]
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

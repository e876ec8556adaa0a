"""Spectrum: what a chain of fits needs to know of a kernel matrix and targets.

With G = kernel_matrix/n = basis · diag(eigenvalues) · basisᵀ and z = basisᵀ · targets, every multiplier, round,
bound and filter is a function of (eigenvalues, z); the basis only maps predictions back (MFB 18-20).

    spectrum = Spectrum.from_kernel(kernel_matrix, targets)  # decompose once
    for tolerance in (0.05, 0.1, 0.2):  # then try as many tolerances as wanted
        path = distill_spectrum(spectrum, tolerance=tolerance)
        predictions = path.predict(cross_kernel)

A :class:`Spectrum` holds all eigenvalues, a :class:`KrylovSpectrum` the part of them that the targets see.

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import array_api_compat as array_api
import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidCrossKernel, InvalidInput, InvalidKernel
from hilbertsd.gram.operators import as_operator
from hilbertsd.spectral.inputs import checked_kernel, checked_targets
from hilbertsd.spectral.lanczos import BlockLanczos, RitzPairs
from hilbertsd.spectral.reflections import LARGEST_REDUCED, Reflectors, reflected_eigh
from hilbertsd.spectral.rounding import exact_eigenvalues, ritz_eigenvalues
from hilbertsd.support.checks import as_real_float64, check_whole, to_library


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues, rotated targets and basis of one kernel matrix.

    Attributes
    ----------
    eigenvalues : (m,) eigenvalues of kernel_matrix/n, ascending and non-negative; NumPy. Values within rounding of
        zero are exactly zero.
    rotated_targets : (m, n_outputs) z = basisᵀ · targets; NumPy.
    vectors : (n_samples, m) orthonormal columns, in the array library of the kernel matrix. They are the basis where
        `reflectors` is None, otherwise basis = Q · vectors.
    single_output : whether the targets came as (n_samples,); predictions then do, too.
    clipped : magnitude of the most negative eigenvalue that was set to zero, 0.0 where none was negative.
    rounding : absolute accuracy to which the eigenvalues are known, at least `clipped`.
    reflectors : the orthogonal matrix Q, None where the basis was formed.
    """

    eigenvalues: NDArray[np.float64]
    rotated_targets: NDArray[np.float64]
    vectors: Any
    single_output: bool
    clipped: float
    rounding: float
    reflectors: Reflectors | None = field(default=None, kw_only=True)

    method: ClassVar[str] = "exact"
    """How the eigenvalues were found: "exact" or "krylov"."""

    is_whole: ClassVar[bool] = True
    """Whether these are all eigenvalues of the kernel matrix, so that sums over them are the matrix's."""

    @staticmethod
    def from_operator(operator: Any, targets: Any, *, steps: int) -> KrylovSpectrum:
        """Part of the spectrum that the targets see, from a fixed number of block products with the kernel matrix.

        Parameters
        ----------
        operator : a :class:`hilbertsd.gram.KernelOperator`, a function that multiplies the raw kernel matrix with an
            (n, b) block, or an (n, n) array of raw kernel values.
        targets : (n,) or (n, n_outputs). Random directions join them up to the operator's `block_size`.
        steps : block products to make; fewer are made where the Krylov space is complete.

        Raises
        ------
        InvalidInput
            `steps` is no whole number of at least 1.
        InvalidKernel
            Not square, products that are not finite, or too small or large to compute with.
        InvalidTargets, NotPositiveSemidefinite
            As :meth:`from_kernel`.

        Notes
        -----
        The number of steps that a tolerance needs is found by ``distill(..., method="krylov")``.
        """
        check_whole(steps, "steps", InvalidInput)
        operator = as_operator(operator, targets)
        columns, single_output = checked_targets(targets, operator.shape[0])
        lanczos = BlockLanczos(operator, columns)
        for _ in range(steps):
            lanczos.step()
            if lanczos.complete:
                break
        pairs = lanczos.pairs()
        basis = lanczos.basis @ pairs.vectors
        return KrylovSpectrum.from_pairs(pairs, basis, single_output, operator.precision)

    @staticmethod
    def from_kernel(kernel_matrix: Any, targets: Any) -> Spectrum:
        """Decompose a kernel matrix exactly.

        Parameters
        ----------
        kernel_matrix : (n, n) raw kernel values, symmetric positive semidefinite; any array library of the
            Python array API standard (NumPy, JAX, ...), or anything NumPy can convert.
        targets : (n,) or (n, n_outputs).

        Raises
        ------
        InvalidKernel
            Not square, empty, complex, not numeric, not finite or not symmetric; the largest eigenvalue of
            kernel_matrix/n is below 1e-305 without being zero, or above 1e304; or JAX without 64 bits.
        NotPositiveSemidefinite
            An eigenvalue is negative beyond rounding.
        InvalidTargets
            Wrong length, not numeric, not finite, or all zero.

        Notes
        -----
        Rounding leaves the zero eigenvalues of a singular kernel matrix slightly off zero, on both sides. With
        u the epsilon of float64 and ε_m that of the kernel matrix as given, every eigenvalue of kernel_matrix
        below 4 √n u λ_max is set to zero before anything is divided by it (over singular matrices of n = 2 to
        1,000 the zeros came out within 1.5 √n u λ_max); for a kernel in lower precision the threshold grows by
        ε_m ‖K‖_F/√n, twice what independent rounding of the entries amounts to. Kernels with less accurate
        entries show larger negative eigenvalues, which are clipped, too; one beyond √ε_m λ_max is no rounding
        and refused. The decomposition itself is always in float64; of a NumPy array it stops short of the basis, which
        is formed when :attr:`basis` is first asked for.
        """
        kernel_matrix, precision = checked_kernel(kernel_matrix)
        xp = array_api.array_namespace(kernel_matrix)
        n_samples = kernel_matrix.shape[0]
        columns, single_output = checked_targets(targets, n_samples)
        try:
            if array_api.is_numpy_array(kernel_matrix) and n_samples <= LARGEST_REDUCED:
                raw_eigenvalues, vectors, reflectors = reflected_eigh(kernel_matrix)
                reflected = reflectors.apply_transposed(columns)
            else:
                raw_eigenvalues, vectors = xp.linalg.eigh(kernel_matrix)
                reflectors, reflected = None, columns
        except np.linalg.LinAlgError as error:
            raise InvalidKernel(
                f"the eigendecomposition did not converge ({error}); check the kernel matrix"
            ) from error
        raw = np.asarray(raw_eigenvalues)
        eigenvalues, clipped, rounding = exact_eigenvalues(raw / n_samples, precision, n_samples)
        rotated = np.asarray(vectors.T @ to_library(reflected, vectors))
        return Spectrum(eigenvalues, rotated, vectors, single_output, clipped, rounding, reflectors=reflectors)

    def require_whole(self, what: str, instead: str = "") -> None:
        """Raise InvalidInput naming what needs all eigenvalues, where only a part of them is known.

        `instead` is what serves in its place, as the beginning of what the message advises.
        """

    @property
    def eigenvalue_errors(self) -> NDArray[np.float64]:
        """(m,) distance from each value within which an eigenvalue lies; 0 where it is known up to `rounding`."""
        return np.zeros_like(self.eigenvalues)

    @property
    def n_samples(self) -> int:
        """Number of training samples n."""
        return self.vectors.shape[0]

    @property
    def n_outputs(self) -> int:
        """Number of target columns."""
        return self.rotated_targets.shape[1]

    @cached_property
    def basis(self) -> Any:
        """(n_samples, m) orthonormal columns V, in the array library of the kernel matrix.

        Where the decomposition stopped short of it, forming it takes about as long as the decomposition did.
        """
        return self._reflected(self.vectors)

    @cached_property
    def energies(self) -> NDArray[np.float64]:
        """(m,) mean-square target energy on each eigenvector, Σ_j z_kj²/n."""
        return np.sum(self.rotated_targets**2, axis=1) / self.n_samples

    @property
    def target_mean_square(self) -> float:
        """‖y‖²/n: at or above this tolerance the solution is zero from round 0 on."""
        return float(self.energies.sum())

    @property
    def floor(self) -> float:
        """Training error E(0) that no fit can go below: the energy where the kernel matrix is singular."""
        return float(self.energies[self.eigenvalues == 0].sum())

    def dual_coefficients(self, weights: NDArray[np.float64]) -> Any:
        """(n_samples, n_outputs) α of the fit f(x) = Σ_k k(x, x_k) α_k with a spectral filter φ.

        Parameters
        ----------
        weights : (m,) φ(d)/d, the filter divided by the eigenvalues; what stands at zero eigenvalues is immaterial.

        Returns
        -------
        α = V diag(φ(d)/d) z / n, in the array library of the kernel.

        Raises InvalidKernel where α is beyond double precision, as a kernel with values near 1e-300 can make it.
        """
        # Where c + d is so small that 1/(c + d) overflows, the check below says so.
        with np.errstate(over="ignore", invalid="ignore"):
            coefficients = self.from_eigenbasis(weights) / self.n_samples
        if not bool(array_api.array_namespace(coefficients).isfinite(coefficients).all()):
            raise InvalidKernel(
                f"the coefficients of the fit are beyond double precision, because the kernel is as small as "
                f"{self.eigenvalues[-1]:.3g}, the largest eigenvalue of kernel_matrix/n; multiply the kernel, and "
                "cross kernels with it, by a constant"
            )
        return coefficients

    def from_eigenbasis(self, weights: NDArray[np.float64]) -> Any:
        """(n_samples, n_outputs) V diag(weights) z: rotated targets, each scaled by its weight, at the samples."""
        return self._reflected(self.vectors @ to_library(weights[:, None] * self.rotated_targets, self.vectors))

    def predict(self, cross_kernel: Any, dual_coefficients: Any) -> Any:
        """Fit with the given (n_samples, n_outputs) dual coefficients at new points.

        Parameters
        ----------
        cross_kernel : (n_query, n_samples) raw kernel values between new points and training samples.

        Returns
        -------
        (n_query,), or (n_query, n_outputs) if the targets had two dimensions.

        Raises
        ------
        InvalidCrossKernel
            Wrong width, not numeric, or not finite.
        """
        return self.shaped(self.checked_cross_kernel(cross_kernel) @ dual_coefficients)

    def shaped(self, columns: Any) -> Any:
        """Columns as the targets came: without the second dimension if they had none."""
        return columns[:, 0] if self.single_output else columns

    def checked_cross_kernel(self, cross_kernel: Any) -> Any:
        """Cross kernel as float64 in the array library of the kernel, or InvalidCrossKernel."""
        array, _ = as_real_float64(cross_kernel, "cross_kernel", InvalidCrossKernel, like=self.vectors)
        n = self.n_samples
        if array.ndim != 2 or array.shape[1] != n:
            raise InvalidCrossKernel(
                f"cross_kernel has shape {tuple(array.shape)} for {n} training samples; give (n_query, {n}) kernel "
                "values, one column per training sample in the order of the kernel matrix"
            )
        xp = array_api.array_namespace(array)
        if not bool(xp.all(xp.isfinite(array))):
            raise InvalidCrossKernel(
                "cross_kernel holds values that are not finite; check the new points for missing values"
            )
        return array

    def _reflected(self, columns: Any) -> Any:
        return columns if self.reflectors is None else self.reflectors.apply(columns)


@dataclass(frozen=True, eq=False)
class KrylovSpectrum(Spectrum):
    """Part of a spectrum that the targets see: the m Ritz pairs of a Krylov space in place of eigenpairs.

    Eigenvalues and rotated targets are those of the space, so sums over them are not the kernel matrix's. Attributes
    are those of :class:`Spectrum`, with `vectors` (n_samples, 0) where no fit is wanted, and one more.

    Attributes
    ----------
    remainder : (b, m) what the kernel matrix does to the basis outside of the space: kernel_matrix/n · basis =
        basis · diag(eigenvalues) + Q₊ · remainder with orthonormal Q₊.
    """

    remainder: NDArray[np.float64] = field(kw_only=True)

    method: ClassVar[str] = "krylov"
    is_whole: ClassVar[bool] = False

    @classmethod
    def from_pairs(cls, pairs: RitzPairs, basis: NDArray[np.float64], single_output: bool, precision: float) -> Self:
        """Spectrum of the Ritz pairs of a Krylov space and their vectors (n, m), or (n, 0) where no fit is wanted.

        `precision` is the machine epsilon of the kernel matrix's entries. Zeros and negative values are treated as in
        :meth:`from_kernel`, except that entries of lower precision are taken as they are: the products with them are
        in float64.
        """
        eigenvalues, clipped, rounding = ritz_eigenvalues(pairs.values, precision, basis.shape[0])
        return cls(
            eigenvalues, pairs.rotated_targets, basis, single_output, clipped, rounding, remainder=pairs.remainder
        )

    def require_whole(self, what: str, instead: str = "") -> None:
        """Raise InvalidInput naming what needs all eigenvalues."""
        advice = f"{instead}, or distil" if instead else "distil"
        raise InvalidInput(f"{what} needs the whole spectrum; {advice} with method='exact'")

    @property
    def eigenvalue_errors(self) -> NDArray[np.float64]:
        """(m,) distance from each Ritz value within which an eigenvalue lies: its remainder's norm and `rounding`.

        Source: Parlett, The Symmetric Eigenvalue Problem (1998), §4.5.
        """
        return np.linalg.norm(self.remainder, axis=0) + self.rounding

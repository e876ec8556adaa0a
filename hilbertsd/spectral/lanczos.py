"""Block Lanczos: the part of a kernel matrix that the targets see, found by a few products with it.

From the targets' columns, k block steps with full reorthogonalisation give an orthonormal Q (n, m) whose range holds
the targets, and

    G Q = Q T + Q₊ R,      T block tridiagonal,      Q₊ the next block, R zero but in its last columns,

with G = kernel_matrix/n. The pairs (θ, z) of T = W Θ Wᵀ, z = Wᵀ Qᵀ Y stand in for the eigenvalues of G and the rotated
targets: every multiplier and round is computed from them as from the whole spectrum. R W, the *remainder*, bounds their
errors (:mod:`hilbertsd.distillation.certificate`).

Where a product costs about the same for one column as for several, random directions join the targets in the first
block. Their Krylov space finds the largest eigenvalues in a few steps and so deflates them for the targets: fewer
products, for more vectors. Whatever directions join, the space holds the targets, and the certificate holds.

Source: Golub & Meurant, Matrices, Moments and Quadrature with Applications (2010); Golub & Underwood (1977); for random
directions Musco & Musco, Randomized block Krylov methods (2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidKernel
from hilbertsd.gram.operators import KernelOperator
from hilbertsd.support.checks import as_real_array

Matrix = NDArray[np.float64]

DEPENDENT = 5e-15
"""Share of the largest eigenvalue below which a direction of a new block is rounding, and dropped."""


@dataclass(frozen=True, eq=False)
class RitzPairs:
    """Ritz pairs of a Krylov space.

    Attributes
    ----------
    values : (m,) Ritz values θ, ascending.
    rotated_targets : (m, n_outputs) the targets' coordinates z on the Ritz vectors.
    vectors : (m, m) W, the Ritz vectors' coordinates in the basis Q.
    remainder : (b, m) R W, what the kernel matrix sends out of the space; no rows where the space is invariant.
    """

    values: Matrix
    rotated_targets: Matrix
    vectors: Matrix
    remainder: Matrix


class BlockLanczos:
    """Growing Krylov space of a kernel operator and targets.

    Attributes
    ----------
    steps : block products made so far.
    complete : whether the space is invariant, so that further steps add nothing.
    """

    def __init__(self, operator: KernelOperator, targets: Matrix) -> None:
        self._operator = operator
        self._n = operator.shape[0]
        u, singular, vt = np.linalg.svd(targets, full_matrices=False)
        kept = singular > np.finfo(float).eps * max(targets.shape) * singular[0]
        self._coordinates = singular[kept, None] * vt[kept]  # the targets' coordinates in the first block
        self._basis = np.empty((self._n, 0), order="F")
        self._columns = 0
        self._append(_widened(u[:, kept], min(operator.block_size, self._n)))
        self._last = slice(0, self._columns)
        self._projected = np.zeros((0, 0))
        self._coupling = np.zeros((0, 0))  # R's nonzero block, left by the step before
        self._largest = 0.0
        self.steps = 0
        self.complete = False

    @property
    def size(self) -> int:
        """Dimension m of the space that has been multiplied."""
        return len(self._projected)

    @property
    def basis(self) -> Matrix:
        """(n, m) Q."""
        return self._basis[:, : self.size]

    def step(self) -> None:
        """Multiply the last block, and extend the space by the new directions of the product."""
        block = self._basis[:, self._last]
        product = self._operator.multiply(np.ascontiguousarray(block))
        product = np.asarray(as_real_array(product, "the kernel matrix times a block", InvalidKernel)) / self._n
        if product.shape != block.shape:
            raise InvalidKernel(
                f"the kernel operator gave {product.shape} for a {block.shape} block; let it return the kernel matrix "
                "times the block"
            )
        if not np.all(np.isfinite(product)):
            raise InvalidKernel(
                "the kernel matrix times a block is not finite; check the kernel for missing values and for values "
                "near the largest of double precision"
            )
        known = self._basis[:, : self._columns]
        overlap = known.T @ product
        product -= known @ overlap
        diagonal = overlap[self._last]
        correction = block.T @ product  # part of the diagonal block that rounding left in the product
        product -= block @ correction
        diagonal += correction
        self._extend_projection((diagonal + diagonal.T) / 2)
        self._largest = max(self._largest, float(np.linalg.norm(diagonal, 2)))
        u, singular, vt = np.linalg.svd(product, full_matrices=False)
        kept = singular > DEPENDENT * self._largest
        self._coupling = singular[kept, None] * vt[kept]
        self.steps += 1
        self.complete = not kept.any()
        if not self.complete:
            new = u[:, kept]
            new -= known @ (known.T @ new)  # twice is enough (Kahan, Parlett)
            new, triangular = np.linalg.qr(new)
            self._coupling = triangular @ self._coupling
            self._append(new)
            self._last = slice(self._columns - new.shape[1], self._columns)

    def pairs(self) -> RitzPairs:
        """Ritz pairs of the space so far."""
        values, vectors = np.linalg.eigh(self._projected)
        rank = len(self._coordinates)
        last = self.size - self._coupling.shape[1]
        return RitzPairs(values, vectors[:rank].T @ self._coordinates, vectors, self._coupling @ vectors[last:])

    def _extend_projection(self, diagonal: Matrix) -> None:
        """Append to T its next diagonal block, and beside it the coupling to the block before."""
        old, width = self.size, len(diagonal)
        grown = np.zeros((old + width, old + width))
        grown[:old, :old] = self._projected
        grown[old:, old:] = diagonal
        if old:
            before = old - self._coupling.shape[1]
            grown[old:, before:old] = self._coupling
            grown[before:old, old:] = self._coupling.T
        self._projected = grown

    def _append(self, block: Matrix) -> None:
        """Append columns to Q, in memory that doubles when it is full."""
        needed = self._columns + block.shape[1]
        if needed > self._basis.shape[1]:
            grown = np.empty((self._n, max(needed, 2 * self._basis.shape[1])), order="F")
            grown[:, : self._columns] = self._basis[:, : self._columns]
            self._basis = grown
        self._basis[:, self._columns : needed] = block
        self._columns = needed


def _widened(block: Matrix, width: int) -> Matrix:
    """Orthonormal columns, filled up to a width with random directions orthogonal to them."""
    missing = width - block.shape[1]
    if missing <= 0:
        return block
    directions = np.random.default_rng(0).standard_normal((len(block), missing))
    for _ in range(2):
        directions -= block @ (block.T @ directions)
        directions = np.linalg.qr(directions)[0]
    return np.hstack([block, directions])

"""Block Lanczos: the part of a kernel matrix that the targets see, in a few products with it.

From the targets' columns, k block steps with full reorthogonalisation give an orthonormal Q (n, m) whose range holds
the targets, and

    G Q = Q T + Q₊ R,      T block tridiagonal,      Q₊ the next block, R zero but in its last columns,

with G = kernel_matrix/n. The pairs (θ, z) of T = W Θ Wᵀ, z = Wᵀ Qᵀ Y stand in for the eigenvalues of G and the rotated
targets: every multiplier and round is computed from them as from the whole spectrum. R W, the *remainder*, says how far
they are right (:mod:`.certificate`).

Where a product costs about the same for one column as for several, random directions join the targets in the first
block. Their Krylov space finds the largest eigenvalues in a few steps and so deflates them for the targets: fewer
products, for more vectors. Whatever directions join, the space holds the targets, and the certificate holds.

Source: Golub & Meurant, Matrices, Moments and Quadrature with Applications (2010); Golub & Underwood (1977); for random
directions Musco & Musco, Randomized block Krylov methods (2015).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidKernel
from hilbertsd.gram.operators import KernelOperator
from hilbertsd.support.checks import as_real_array

Matrix = NDArray[np.float64]

DEPENDENT = 5e-15
"""Directions of a new block below this share of the largest eigenvalue are rounding: the space is complete there."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Ritz pairs of a Krylov space.

    Attributes
    ----------
    values : (m,) θ ascending.
    rotated_targets : (m, n_outputs) z.
    vectors : (m, m) W.
    remainder : (b, m) R W; zero rows where the space is invariant.
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
    complete : whether the space is invariant, so that nothing is left to gain.
    """

    def __init__(self, operator: KernelOperator, targets: Matrix) -> None:
        self._operator = operator
        self._n = operator.shape[0]
        u, singular, vt = np.linalg.svd(targets, full_matrices=False)
        kept = singular > np.finfo(float).eps * max(targets.shape) * singular[0]
        self._coordinates = singular[kept, None] * vt[kept]  # of the targets in the first block
        self._basis = np.empty((self._n, 0), order="F")
        self._columns = 0
        self._append(_widened(u[:, kept], min(operator.block_size, self._n)))
        self._last = slice(0, self._columns)
        self._projected = np.zeros((0, 0))
        self._coupling = np.zeros((0, 0))  # R's block of the step before
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
        """Multiply the last block, and extend the space by what is new."""
        block = self._basis[:, self._last]
        product = self._operator.multiply(np.ascontiguousarray(block))
        product = np.asarray(as_real_array(product, "the kernel matrix times a block", InvalidKernel)) / self._n
        if product.shape != block.shape:
            raise InvalidKernel(
                f"the kernel operator gave {product.shape} for a {block.shape} block; let it return the kernel matrix "
                "times the block"
            )
        if not np.all(np.isfinite(product)):
            raise InvalidKernel("the kernel matrix times a block is not finite; check the kernel for missing values")
        known = self._basis[:, : self._columns]
        overlap = known.T @ product
        product -= known @ overlap
        diagonal = overlap[self._last]
        again = block.T @ product  # what the diagonal block lost to rounding
        product -= block @ again
        diagonal += again
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

    def pairs(self) -> Pairs:
        """Ritz pairs of the space so far."""
        values, vectors = np.linalg.eigh(self._projected)
        rank = len(self._coordinates)
        last = self.size - self._coupling.shape[1]
        return Pairs(values, vectors[:rank].T @ self._coordinates, vectors, self._coupling @ vectors[last:])

    def _extend_projection(self, diagonal: Matrix) -> None:
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
        needed = self._columns + block.shape[1]
        if needed > self._basis.shape[1]:
            grown = np.empty((self._n, max(needed, 2 * self._basis.shape[1])), order="F")
            grown[:, : self._columns] = self._basis[:, : self._columns]
            self._basis = grown
        self._basis[:, self._columns : needed] = block
        self._columns = needed


def _widened(block: Matrix, width: int) -> Matrix:
    """Orthonormal columns and as many random directions orthogonal to them as make up the width."""
    missing = width - block.shape[1]
    if missing <= 0:
        return block
    directions = np.random.default_rng(0).standard_normal((len(block), missing))
    for _ in range(2):
        directions -= block @ (block.T @ directions)
        directions = np.linalg.qr(directions)[0]
    return np.hstack([block, directions])

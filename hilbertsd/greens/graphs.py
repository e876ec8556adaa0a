"""Green's function of a power of a graph Laplacian.

For a ring of four towns, three of which are labelled:

    roads = scipy.sparse.csr_array([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
    kernel = from_graph(roads, shift=0.1)  # R(f) = Σ over roads of (f_i − f_j)² + 0.1 Σ f_i²
    labelled, prices = [0, 1, 2], np.array([3.0, -1.0, -2.5])
    path = hilbertsd.distill(kernel(labelled), prices, tolerance=0.5)
    path.predict(kernel([3], labelled), 0)  # (1,) the first fit at the fourth town
"""

from __future__ import annotations

import numbers
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilbertsd.errors import IllPosedOperator, InvalidInput, NotConverged
from hilbertsd.support.checks import check_whole

COLUMNS_AT_ONCE = 256
"""Number of columns of the Green's function that one call of the solver computes."""

ASYMMETRY = 1e-12
"""Entries across the diagonal may differ by this share of the larger one."""

SMALLEST_SHIFT = 1e-12
"""Smallest shift accepted, as a share of the largest degree; rounding of the degrees hides smaller ones."""

LARGEST_LOGARITHM = 700.0
"""Largest |log(shift^power)| accepted; exp(709) is the largest double."""

SMALLEST_PIVOT = 1e-13
"""A factorisation whose smallest pivot is below this share of the largest is singular in double precision."""


def from_graph(
    adjacency: Any, power: int = 1, *, shift: float = 0.0, orthogonal_to_null_space: bool = False
) -> GraphKernel:
    """Green's function of (shift·I + Laplacian)^power on a graph's nodes as a kernel.

    It is the reproducing kernel of R(f) = fᵀ (shift·I + Δ)^power f, Δ = diag(degrees) − adjacency: for power 1 the
    sum of weight·(f_i − f_j)² over edges, plus shift·Σ f_i².

    Parameters
    ----------
    adjacency : (n_nodes, n_nodes) symmetric, non-negative edge weights; a SciPy sparse matrix or array, or dense.
        Self-loops have no influence.
    power : power of the shifted Laplacian, a whole number of at least 1.
    shift : number added to the Laplacian's diagonal, not negative. A positive shift makes a Matérn-like kernel of range
        √(1/shift). A positive shift below 1e-12 of the largest degree is lost in rounding and refused.
    orthogonal_to_null_space : whether to take the pseudo-inverse where the shift is 0: the kernel of functions whose
        mean is zero on every connected component.

    Returns
    -------
    GraphKernel k(nodes, nodes). The first call factors one sparse matrix; every call solves for its columns.

    Raises
    ------
    IllPosedOperator
        shift is 0 and `orthogonal_to_null_space` is off: functions constant on a component are not penalised. The
        message names the null space's dimension, the number of components.
    InvalidInput
        The adjacency matrix is not square, symmetric, non-negative or finite; power or shift are out of range.
    NotConverged
        The weights span so many decades that the Laplacian is singular in double precision. The first call of the
        kernel raises it.

    Source: Smola & Kondor (2003), Kernels and regularization on graphs; Borovitskiy et al. (2021), arXiv:2010.15538.
    """
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    check_whole(power, "power", InvalidInput)
    if not (isinstance(shift, numbers.Real) and 0 <= shift < np.inf):
        raise InvalidInput(f"shift is {shift!r}; give a non-negative finite number")
    weights = _checked(adjacency)
    n_nodes = weights.shape[0]
    degrees = np.asarray(weights.sum(axis=1)).ravel()
    if not np.all(np.isfinite(degrees)):
        raise InvalidInput("the weights' sums leave double precision; rescale the adjacency matrix")
    laplacian = sparse.diags_array(degrees) - weights
    n_components, component = connected_components(weights, directed=False)
    if 0 < shift < SMALLEST_SHIFT * degrees.max():
        raise InvalidInput(
            f"shift {shift:g} is lost in the rounding of degrees up to {degrees.max():g}; use a larger one, or "
            "orthogonal_to_null_space=True without shift"
        )
    if shift > 0 and power * abs(np.log(shift)) > LARGEST_LOGARITHM:
        raise InvalidInput(f"shift {shift:g} to the power {power} leaves double precision; use a smaller power")
    if shift > 0:
        matrix = sparse.csc_array(laplacian + shift * sparse.eye_array(n_nodes))
        return GraphKernel(n_nodes, int(power), float(shift), component, np.arange(n_nodes), matrix)
    if not orthogonal_to_null_space:
        raise IllPosedOperator(
            f"the graph Laplacian has a null space of dimension {n_components}, functions constant on each of its "
            f"{n_components} connected components, which the regulariser does not see; a positive shift removes it, "
            "orthogonal_to_null_space=True leaves it out"
        )
    # One node of every component is held at zero. Which one is immaterial: columns are projected before and after.
    grounded = np.unique(component, return_index=True)[1]
    free = np.setdiff1d(np.arange(n_nodes), grounded)
    matrix = sparse.csc_array(sparse.csr_array(laplacian)[free][:, free])
    return GraphKernel(n_nodes, int(power), 0.0, component, free, matrix)


@dataclass(frozen=True, eq=False)
class GraphKernel:
    """Kernel k(nodes, nodes) on a graph; made by :func:`from_graph`.

    Attributes
    ----------
    n_nodes : number of nodes of the graph.
    power : power of the shifted Laplacian.
    shift : number added to the Laplacian's diagonal; 0 where the null space is left out.
    component : (n_nodes,) number of the connected component of every node.
    free : (n_free,) nodes that are rows of `matrix`; with shift 0 one node of every component is held at zero instead.
    matrix : (n_free, n_free) sparse matrix to solve with. The first call factors it; the factors are not pickled.
    """

    n_nodes: int
    power: int
    shift: float
    component: NDArray[np.intp]
    free: NDArray[np.intp]
    matrix: Any

    @cached_property
    def _factors(self) -> Any:
        """Sparse LU factors of the matrix; NotConverged where it is singular in double precision."""
        from scipy.sparse.linalg import splu

        # Symmetric positive definite: the diagonal is a safe pivot and keeps the factors sparse.
        factors, pivots = None, np.zeros(1)
        with suppress(RuntimeError):  # a pivot of exactly zero
            factors = splu(
                self.matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
            )
            pivots = np.abs(factors.U.diagonal())
        if not pivots.min() > SMALLEST_PIVOT * pivots.max():
            raise NotConverged(
                "the graph Laplacian is singular in double precision beyond its null space, because the weights span "
                f"{1 / SMALLEST_PIVOT:.0g} or more; drop the smallest weights, or use a larger shift"
            )
        return factors

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_factors"}

    def __call__(self, X: ArrayLike, Y: ArrayLike | None = None) -> NDArray[np.float64]:
        """(n, m) raw kernel values between nodes given by number, (n,) or (n, 1); X again where Y is None.

        Raises InvalidInput for nodes that are not whole numbers from 0 to n_nodes − 1.
        """
        rows = self._nodes(X, "X")
        columns = rows if Y is None else self._nodes(Y, "Y")
        unique, inverse = np.unique(columns, return_inverse=True)
        values = np.empty((len(rows), len(unique)))
        for start in range(0, len(unique), COLUMNS_AT_ONCE):
            nodes = unique[start : start + COLUMNS_AT_ONCE]
            values[:, start : start + len(nodes)] = self._columns(nodes)[rows]
        values = values[:, inverse]
        if not np.all(np.isfinite(values)):
            raise NotConverged(
                f"power {self.power} of the Laplacian leaves double precision; rescale the weights, or use a smaller "
                "power"
            )
        return (values + values.T) / 2 if Y is None else values

    def _columns(self, nodes: NDArray[np.intp]) -> NDArray[np.float64]:
        """(n_nodes, m) columns of the Green's function that belong to these m nodes."""
        values = np.zeros((self.n_nodes, len(nodes)))
        values[nodes, np.arange(len(nodes))] = 1.0
        # A component's constants are eigenvectors with eigenvalue `shift`. Their part of the kernel, 1/shift^power, can
        # be so large that the rest would be lost in its rounding; it is added last.
        means = self._means(values)
        values -= means
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(self.power):
                solved = np.zeros_like(values)
                if self.free.size:
                    solved[self.free] = self._factors.solve(values[self.free])
                values = solved - self._means(solved)
            return values + means / self.shift**self.power if self.shift else values

    def _means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n_nodes, m) mean of every column over the component of each node."""
        sums = np.zeros((self.component.max() + 1, values.shape[1]))
        np.add.at(sums, self.component, values)
        return (sums / np.bincount(self.component)[:, None])[self.component]

    def _nodes(self, values: ArrayLike, name: str) -> NDArray[np.intp]:
        """Node numbers (n,), or InvalidInput."""
        try:
            array = np.asarray(values)
        except ValueError:
            array = np.array([])
        array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
        whole = array.ndim == 1 and array.size > 0 and array.dtype.kind in "iuf" and np.all(array == np.floor(array))
        if not whole or array.min() < 0 or array.max() >= self.n_nodes:
            raise InvalidInput(
                f"{name} holds something else than nodes; give whole numbers from 0 to {self.n_nodes - 1}"
            )
        return array.astype(np.intp)


def _checked(adjacency: Any) -> Any:
    """Adjacency as a float64 CSR array without diagonal, or InvalidInput."""
    from scipy import sparse

    try:
        weights: Any = sparse.csr_array(adjacency, copy=True)
        if weights.dtype.kind not in "biuf":
            raise TypeError(f"its entries have dtype {weights.dtype}")
        weights = weights.astype(float)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"adjacency is no matrix of numbers ({error}); give a SciPy sparse or dense one") from error
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or weights.shape[0] == 0:
        raise InvalidInput(f"adjacency has shape {weights.shape}; give a non-empty square matrix")
    weights.sum_duplicates()
    if weights.nnz and not (np.all(np.isfinite(weights.data)) and weights.data.min() >= 0):
        raise InvalidInput("adjacency holds weights that are negative or not finite; give non-negative ones")
    mirrored = sparse.csr_array(weights.T)
    asymmetry = abs(weights - mirrored) - ASYMMETRY * weights.maximum(mirrored)
    if asymmetry.nnz and asymmetry.max() > 0:
        raise InvalidInput(
            "adjacency is not symmetric: entries across the diagonal differ; give an undirected graph, for instance "
            "(W + W.T)/2"
        )
    weights = (weights + mirrored) / 2
    weights.setdiag(0.0)
    weights.eliminate_zeros()
    return weights

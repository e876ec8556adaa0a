"""Green's functions of graph Laplacian powers against dense inverses."""

import pickle

import numpy as np
import pytest
from scipy import sparse

from hilbertsd import distill, greens
from hilbertsd.errors import IllPosedOperator, InvalidInput, NotConverged

NODES = np.arange(40)


@pytest.fixture
def graph(rng):
    """Random weights with two components and self-loops."""
    weights = np.triu(rng.uniform(size=(40, 40)) * (rng.uniform(size=(40, 40)) < 0.2), 1)
    weights[:15, 15:] = 0
    weights += weights.T
    weights[np.arange(39), np.arange(1, 40)] += 0.1
    weights[np.arange(1, 40), np.arange(39)] += 0.1
    weights[14, 15] = weights[15, 14] = 0
    return weights + np.diag(rng.uniform(size=40))


def laplacian(weights):
    off = weights - np.diag(np.diag(weights))
    return np.diag(off.sum(axis=1)) - off


@pytest.mark.parametrize("power", [1, 2, 3])
def test_shifted_powers(graph, power):
    expected = np.linalg.inv(np.linalg.matrix_power(laplacian(graph) + 0.3 * np.eye(40), power))
    kernel = greens.from_graph(sparse.csr_array(graph), power, shift=0.3)
    np.testing.assert_allclose(kernel(NODES), expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("power", [1, 2])
def test_without_shift_the_pseudo_inverse(graph, power):
    dense = laplacian(graph)
    expected = np.linalg.pinv(np.linalg.matrix_power(dense, power), rcond=1e-10, hermitian=True)
    kernel = greens.from_graph(graph, power, orthogonal_to_null_space=True)
    np.testing.assert_allclose(kernel(NODES), expected, rtol=1e-7, atol=1e-10 * np.abs(expected).max())
    for component in (NODES[:15], NODES[15:]):
        assert np.abs(kernel(component, NODES).sum(axis=0)).max() < 1e-10


def test_the_null_space_is_named(graph):
    with pytest.raises(IllPosedOperator, match="dimension 2, functions constant on each of its 2 connected"):
        greens.from_graph(graph)
    with pytest.raises(IllPosedOperator, match="dimension 5"):
        greens.from_graph(np.zeros((5, 5)))
    np.testing.assert_array_equal(
        greens.from_graph(np.zeros((5, 5)), orthogonal_to_null_space=True)([0, 3]), np.zeros((2, 2))
    )


def test_repeated_nodes_columns_and_symmetry(graph, rng):
    kernel = greens.from_graph(graph, shift=0.1)
    nodes = rng.integers(0, 40, size=300)
    matrix = kernel(nodes)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(matrix, kernel(NODES)[np.ix_(nodes, nodes)], rtol=1e-12)
    np.testing.assert_allclose(kernel(nodes[:, None], [3.0]), kernel(NODES)[nodes][:, [3]])


def test_a_chain_is_brownian_motion():
    """R = Σ (f_{i+1} − f_i)² tied to zero at one end: covariance min(i, j), the discrete kernel of −d²/dx²."""
    chain = sparse.diags_array([np.ones(30), np.ones(30)], offsets=[-1, 1])
    kernel = greens.from_graph(chain, orthogonal_to_null_space=True)(np.arange(31))
    tied = kernel[1:, 1:] - kernel[1:, :1] - kernel[:1, 1:] + kernel[0, 0]
    i = np.arange(1, 31)
    np.testing.assert_allclose(tied, np.minimum(i[:, None], i[None, :]), rtol=1e-9)


def test_a_large_sparse_graph_and_distillation(rng):
    side = 70
    line = sparse.diags_array([np.ones(side - 1), np.ones(side - 1)], offsets=[-1, 1])
    eye = sparse.eye_array(side)
    grid = sparse.kron(line, eye) + sparse.kron(eye, line)
    kernel = greens.from_graph(grid, 2, shift=0.05)
    operator = sparse.diags_array(np.asarray(grid.sum(axis=1)).ravel() + 0.05) - grid
    columns = kernel(np.arange(side**2), [0, 1234])
    unit = np.zeros_like(columns)
    unit[0, 0] = unit[1234, 1] = 1
    np.testing.assert_allclose(operator @ (operator @ columns), unit, atol=1e-11)
    labelled = rng.choice(side**2, size=60, replace=False)
    targets = np.sin(labelled // side / 10) + 0.1 * rng.normal(size=60)
    path = distill(kernel(labelled), targets, tolerance=0.02)
    truth = np.sin(np.arange(side**2) // side / 10)
    predictions = path.predict(kernel(np.arange(side**2), labelled), 0)
    assert np.mean((predictions - truth) ** 2) < 0.5 * np.mean(truth**2)


@pytest.mark.parametrize("shift", [1e-9, 1e-6, 1.0])
def test_small_shifts_keep_the_constants(graph, shift):
    """Columns sum to 1/shift on their component, and what is left of them is the pseudo-inverse's."""
    matrix = greens.from_graph(graph, shift=shift)(NODES)
    np.testing.assert_allclose(matrix.sum(axis=0), 1 / shift, rtol=1e-12)
    expected = np.linalg.inv(laplacian(graph) + shift * np.eye(40))
    np.testing.assert_allclose(matrix, expected, rtol=1e-12 + 1e-14 / shift)


def test_sparse_formats_duplicates_and_copies(graph):
    expected = greens.from_graph(graph, shift=0.2)(NODES)
    rows, columns = np.nonzero(graph)
    halves = np.concatenate([2 * graph[rows, columns], -graph[rows, columns]])
    twice = (halves, (np.tile(rows, 2), np.tile(columns, 2)))
    for weights in (sparse.coo_array(twice, shape=(40, 40)), sparse.csc_matrix(graph), sparse.lil_array(graph)):
        np.testing.assert_allclose(greens.from_graph(weights, shift=0.2)(NODES), expected, rtol=1e-12)
    kernel = greens.from_graph(graph, shift=0.2)
    kernel([0])
    np.testing.assert_allclose(pickle.loads(pickle.dumps(kernel))(NODES), expected, rtol=1e-12)
    path = np.diag([1, 1, 1], 1) + np.diag([1, 1, 1], -1)
    np.testing.assert_allclose(greens.from_graph(path, shift=1)([0, 3]), greens.from_graph(1.0 * path, shift=1)([0, 3]))
    assert greens.from_graph([[0.0]], shift=2.0)([0])[0, 0] == pytest.approx(0.5)


def test_weights_over_too_many_decades():
    weights = np.diag([1e10, 1e-16, 1.0], 1)
    with pytest.raises(NotConverged, match="singular in double precision"):
        greens.from_graph(weights + weights.T, orthogonal_to_null_space=True)([0, 3])
    with pytest.raises(
        NotConverged, match=r"power 40 .* double precision; rescale the weights, or use a smaller power"
    ):
        greens.from_graph(1e-10 * np.ones((3, 3)), 40, orthogonal_to_null_space=True)([0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: greens.from_graph(np.ones((2, 3)), shift=1), r"shape \(2, 3\)"),
        (lambda: greens.from_graph([["a"]], shift=1), "no matrix of numbers"),
        (lambda: greens.from_graph([[0, 1], [2, 0]], shift=1), "not symmetric"),
        (lambda: greens.from_graph([[0, 1e13, 0], [1e13, 0, 5], [0, 1, 0]], shift=1), "not symmetric"),
        (lambda: greens.from_graph(1j * np.ones((2, 2)), shift=1), "dtype complex128"),
        (lambda: greens.from_graph(np.ones((2, 2)), shift=1e-14), "lost in the rounding of degrees"),
        (lambda: greens.from_graph(np.full((3, 3), 1e308), shift=1), "leave double precision"),
        (lambda: greens.from_graph(np.ones((2, 2)), shift=1)([[1], [1, 2]]), "X holds something else than nodes"),
        (lambda: greens.from_graph([[0, -1], [-1, 0]], shift=1), "negative or not finite"),
        (lambda: greens.from_graph([[0, np.nan], [np.nan, 0]], shift=1), "negative or not finite"),
        (lambda: greens.from_graph(np.ones((2, 2)), 0.5, shift=1), r"power is 0\.5"),
        (lambda: greens.from_graph(np.ones((2, 2)), shift=-1), "shift is -1"),
        (lambda: greens.from_graph(np.ones((2, 2)), 10**6, shift=1e-3), "to the power 1000000 leaves double precision"),
        (lambda: greens.from_graph(np.ones((2, 2)), shift=1)([2]), "whole numbers from 0 to 1"),
        (lambda: greens.from_graph(np.ones((2, 2)), shift=1)([0.5]), "whole numbers from 0 to 1"),
        (lambda: greens.from_graph(np.ones((2, 2)), shift=1)([0], ["a"]), "Y holds something else than nodes"),
    ],
)
def test_bad_graphs_are_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()

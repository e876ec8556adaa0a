"""Kernel operators and kernel functions: what is one, and which values are refused."""

import numpy as np
import pytest
from plain_operator import Plain

from hilbertsd import distill
from hilbertsd.errors import InvalidInput, InvalidKernel
from hilbertsd.gram import ComputedKernel, GramPlan, GramStore, KernelOperator, NamedKernel, StoredKernel, fill
from hilbertsd.gram import operators as operators_module
from hilbertsd.gram.kernel_tiles import KernelTiles, TiledKernel

KERNEL = NamedKernel("rbf", 0.3)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).normal(size=(60, 3))


@pytest.fixture(scope="module")
def targets(points):
    return np.sin(points[:, :1])


def in_memory(kernel, points, _):
    return StoredKernel.of(kernel, points)


def computed(kernel, points, _):
    return ComputedKernel(kernel, points).multiply(np.eye(60))


def on_disk(kernel, points, folder):
    fill(GramStore.create(folder / "gram", GramPlan.of(points, {}, tile=16)), kernel, points)


EVERY_WAY = pytest.mark.parametrize("use", [in_memory, computed, on_disk])


def test_an_operator_has_defaults_and_needs_shape_and_multiply(points, targets):
    operator = Plain(KERNEL(points, points))
    assert (operator.precision, operator.block_size, operator.symmetric) == (np.finfo(float).eps, 1, True)
    path = distill(operator, targets, tolerance=0.1, rtol=1e-8)
    expected = distill(operator.matrix, targets, tolerance=0.1)
    np.testing.assert_allclose(path.multipliers, expected.multipliers, rtol=1e-7)

    class WithoutShape(KernelOperator):
        def multiply(self, block):
            return block

    with pytest.raises(TypeError, match="abstract"):
        WithoutShape()  # pyright: ignore[reportAbstractUsage]


def test_what_only_looks_like_an_operator_is_told_what_to_derive_from(targets):
    class Duck:
        shape = (60, 60)

        def multiply(self, block):
            return block

    for method in ("auto", "krylov"):
        with pytest.raises(
            InvalidKernel, match=r"is a Duck with shape and multiply; derive it from hilbertsd\.gram\.K"
        ):
            distill(Duck(), targets, tolerance=0.1, method=method)


def lopsided(X, Y):
    """Differs from its transpose by 5 %."""
    return KERNEL(X, Y) * (1 + 0.025 * np.sign(X[:, :1] - Y[:, 0]))


@EVERY_WAY
def test_an_asymmetric_kernel_function_is_refused(points, tmp_path, use):
    with pytest.raises(InvalidKernel, match=r"not symmetric: k\(x, y\) and k\(y, x\) differ by up to 0\.04\d*"):
        use(lopsided, points, tmp_path)


@pytest.mark.parametrize("tile", [1, 20])
def test_an_asymmetry_between_points_of_different_tiles_is_found(points, tmp_path, monkeypatch, tile):
    """Two groups of samples, one after the other, between which alone the kernel is not symmetric."""
    first = {row.tobytes() for row in points[:40]}

    def between_groups(X, Y):
        group_x, group_y = ([row.tobytes() in first for row in np.asarray(Z)] for Z in (X, Y))
        return KERNEL(X, Y) * np.where(np.subtract.outer(np.array(group_x, int), np.array(group_y, int)) > 0, 1.05, 1)

    store = GramStore.create(tmp_path / "gram", GramPlan.of(points, {}, tile=tile))
    with pytest.raises(InvalidKernel, match="not symmetric"):
        fill(store, between_groups, points)
    monkeypatch.setattr(operators_module, "COMPUTED_TILE", tile)
    with pytest.raises(InvalidKernel, match="not symmetric"):
        ComputedKernel(between_groups, points).multiply(np.eye(60))


@EVERY_WAY
def test_rounding_is_no_asymmetry(points, tmp_path, use):
    def single(X, Y):
        return KERNEL(X, Y).astype(np.float32) * np.float32(1 + 1e-6 * (X[0, 0] > Y[0, 0]))

    use(single, points, tmp_path)


def test_a_cross_kernel_matrix_may_be_asymmetric(points, tmp_path):
    store = GramStore.create(tmp_path / "cross", GramPlan.of(points, {}, points, tile=16, dtype="float64"))
    fill(store, lopsided, points, points)
    np.testing.assert_allclose(store.to_array(), lopsided(points, points), rtol=1e-13)


@EVERY_WAY
@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda *_: None, "the kernel gives None between .* points; let it give real numbers"),
        (lambda X, Y: KERNEL(X, Y) + 0j, "the kernel gives complex128"),
        (lambda X, Y: np.ma.masked_less(KERNEL(X, Y), 0.5), "values in the kernel's tile are masked"),
        ("rbf", r"kernel is 'rbf'; give a function k\(X, Y\), for instance hilbertsd\.gram\.NamedKernel"),
    ],
)
def test_kernels_that_give_no_real_numbers_are_refused(points, tmp_path, use, kernel, message):
    with pytest.raises(InvalidKernel, match=message):
        use(kernel, points, tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda _: None, "kernel matrix times a block has dtype object; give real numbers"),
        (lambda product: product + 0j, r"kernel matrix times a block is complex \(complex128\); give real numbers"),
        (lambda product: np.ma.masked_less(product, 0), "in the kernel matrix times a block are masked"),
    ],
)
def test_products_that_are_no_real_numbers_are_refused(points, targets, spoil, message):
    matrix = KERNEL(points, points)
    with pytest.raises(InvalidKernel, match=message):
        distill(lambda block: spoil(matrix @ block), targets, tolerance=0.1)


@EVERY_WAY
def test_masked_points_are_refused_and_points_without_masked_values_are_not(points, tmp_path, use):
    masked = np.ma.masked_array(points, np.arange(180).reshape(60, 3) < 7)
    with pytest.raises(InvalidInput, match="7 of 180 values in points are masked; drop their samples"):
        use(KERNEL, masked, tmp_path)
    use(KERNEL, np.ma.masked_array(points), tmp_path)


def test_a_tiled_kernel_is_asked_for_tiles_and_checked_on_the_diagonal(points):
    class Lopsided(TiledKernel):
        def __call__(self, X, Y):
            return lopsided(X, Y)

        def tiles(self, points, others=None):
            return lambda rows, columns: lopsided(points[rows], (points if others is None else others)[columns])

    tiles = KernelTiles(Lopsided(), points)
    np.testing.assert_array_equal(tiles.compute(slice(0, 9), slice(9, 20)), lopsided(points[:9], points[9:20]))
    with pytest.raises(InvalidKernel, match="not symmetric"):
        tiles.compute(slice(0, 9), slice(0, 9))

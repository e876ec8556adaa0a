"""Krylov paths: equal to the exact ones, and never outside what their certificates enclose."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from amounts import amounts
from oracle import Problem, oracle_path
from plain_operator import Plain
from scipy.sparse import csr_array
from sklearn.metrics.pairwise import rbf_kernel

from hilbertsd import (
    DistillationPath,
    Spectrum,
    check_bounds,
    complexity,
    distill,
    distill_spectrum,
    greens,
    kernel_of_round,
    largest_tolerance,
)
from hilbertsd.data import spline_toy
from hilbertsd.errors import (
    CollapseWarning,
    InfeasibleTolerance,
    InvalidInput,
    InvalidKernel,
    InvalidTargets,
    MethodWarning,
    NotConverged,
    NotPositiveSemidefinite,
)
from hilbertsd.gram import operators as kernel_operators
from hilbertsd.gram import tiles
from hilbertsd.gram.operators import ComputedKernel, StoredKernel
from hilbertsd.spectral.lanczos import BlockLanczos


@pytest.fixture(scope="module")
def problem():
    """Kernel matrix (400, 400), targets (400, 3), cross kernel (20, 400), points."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(420, 5))
    targets = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2], np.cos(x[:, 3])], axis=1)[:400]
    kernel = rbf_kernel(x, gamma=0.1)
    return kernel[:400, :400], targets + 0.1 * rng.normal(size=targets.shape), kernel[400:, :400], x[:400]


def random_matrix(eigenvalues, rng):
    basis = np.linalg.qr(rng.normal(size=(len(eigenvalues),) * 2))[0]
    return len(eigenvalues) * (basis * eigenvalues) @ basis.T, basis


@pytest.mark.parametrize("share", [0.6, 0.3, 0.1])
def test_it_is_the_exact_path(problem, share):
    kernel_matrix, targets, cross_kernel, _ = problem
    tolerance = share * np.sum(targets**2) / 400
    exact = distill(kernel_matrix, targets, tolerance=tolerance, method="exact")
    krylov = distill(kernel_matrix, targets, tolerance=tolerance, method="krylov", rtol=1e-8)
    assert krylov.collapse_round == exact.collapse_round
    assert krylov.collapse_certified
    np.testing.assert_allclose(krylov.multipliers, exact.multipliers, rtol=1e-8)
    low, high = krylov.multiplier_bounds.T
    assert np.all((low <= exact.multipliers * (1 + 1e-12)) & (exact.multipliers <= high * (1 + 1e-12)))
    assert np.all(high - low <= 2.1e-8 * high)
    for t in range(exact.n_rounds):
        assert krylov.certificate is not None
        promised = krylov.certificate.prediction_errors[t]
        missed = krylov.train_predictions(t) - exact.train_predictions(t)
        assert np.sqrt(np.sum(missed**2) / 400) <= promised < 1e-3
        np.testing.assert_allclose(krylov.predict(cross_kernel, t), exact.predict(cross_kernel, t), atol=1e-4)
    assert len(krylov.eigenvalues) < 400
    assert f"Krylov space of {len(krylov.eigenvalues)} dimensions" in repr(krylov)
    assert check_bounds(krylov).holds


def enclosed(matrix, targets, tolerance, steps, exact_multipliers, exact_targets, collapse_round):
    """Certificates of a space too small, about right or complete hold all the same; returns what they enclose."""
    spectrum = Spectrum.from_operator(matrix, targets, steps=steps)
    try:
        path = distill_spectrum(spectrum, tolerance=tolerance)
    except InfeasibleTolerance:
        return 0
    certificate = path.certificate
    assert certificate is not None
    low, high = certificate.multiplier_bounds.T
    shared = min(len(exact_multipliers), path.n_rounds)
    true = exact_multipliers[:shared]
    assert np.all(low[:shared] <= true * (1 + 1e-9))
    assert np.all(true <= high[:shared] * (1 + 1e-9))
    computed = [path.train_predictions(t) for t in range(path.n_rounds)]
    for t in range(shared - 1):
        missed = np.linalg.norm(computed[t].reshape(targets.shape) - exact_targets[t + 1].reshape(targets.shape))
        assert missed / np.sqrt(len(targets)) <= certificate.prediction_errors[t] * (1 + 1e-9) + 1e-9
    for t in range(shared):
        norm, (least, most) = np.linalg.norm(exact_targets[t]), certificate.target_norm_bounds[t]
        assert least <= norm * (1 + 1e-9)
        assert norm <= most * (1 + 1e-9)
    if certificate.collapse:
        assert path.collapse_round == collapse_round
    return int(np.isfinite(certificate.relative_width) and certificate.relative_width < 1e-3)


@pytest.mark.parametrize("count", amounts(60, 300, 2000))
def test_certificates_are_never_wrong_on_random_problems(count):
    settled = 0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        n, n_outputs = int(rng.integers(12, 60)), int(rng.integers(1, 4))
        kind = seed % 4
        if kind == 0:  # decay by a power
            d = np.sort(np.arange(1, n + 1.0) ** -rng.uniform(0.5, 3))
        elif kind == 1:  # clusters
            d = np.sort(rng.choice(10 ** rng.uniform(-6, 0, 4), size=n) * (1 + 1e-9 * rng.normal(size=n)))
        elif kind == 2:  # tiny eigenvalues, some zero
            d = np.sort(10 ** rng.uniform(-14, 0, n))
            d[: n // 5] = 0
        else:
            d = np.sort(rng.uniform(0.1, 1, n))
        matrix, basis = random_matrix(d, rng)
        matrix = (matrix + matrix.T) / 2
        z = rng.normal(size=(n, n_outputs))
        if seed % 3 == 0:  # orthogonal to the top space
            z[-n // 4 :] = 0
        elif seed % 3 == 1:
            z *= np.maximum(np.sqrt(d / d[-1]), 1e-4)[:, None]
        targets = basis @ z
        spectrum = Spectrum.from_kernel(matrix, targets)
        tolerance = spectrum.floor + rng.uniform(0.05, 0.6) * (spectrum.target_mean_square - spectrum.floor)
        exact = distill_spectrum(spectrum, tolerance=tolerance)
        exact_targets = [targets, *(exact.train_predictions(t) for t in range(exact.n_rounds - 1))]
        for steps in (1, 2, 4, 8, n):
            operator = Plain(matrix) if seed % 5 else matrix
            settled += enclosed(
                operator, targets, tolerance, steps, exact.multipliers, exact_targets, exact.collapse_round
            )
    assert settled > 5 * count / 6


@pytest.mark.parametrize("count", amounts(60, 300, 2000))
def test_certificates_against_the_oracle(count):
    """Diagonal kernel matrices, which are exact in double precision; multipliers at 50 digits."""
    certain = 0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        n, n_outputs, log_kappa = int(rng.integers(2, 30)), int(rng.integers(1, 4)), rng.uniform(0, 5)
        problem = Problem.random(
            n, n_outputs, log_kappa, rng.uniform(-1, 1), seed % 3, seed % 4, rng.uniform(0, 2), seed
        )
        oracle = oracle_path(problem)
        kernel_matrix = np.diag(n * problem.eigenvalues)
        operator = Plain(kernel_matrix) if seed % 2 else kernel_matrix
        spectrum = Spectrum.from_operator(operator, problem.rotated_targets, steps=int(rng.integers(1, n + 1)))
        try:
            path = distill_spectrum(spectrum, tolerance=problem.tolerance)
        except InfeasibleTolerance:  # a space too small for it
            continue
        true = np.array([float(c) for c in oracle.multipliers])
        shared = min(len(true), path.n_rounds)
        low, high = path.multiplier_bounds[:shared].T
        assert np.all((low <= true[:shared] * (1 + 1e-12)) & (true[:shared] <= high * (1 + 1e-12))), seed
        if path.collapse_certified:
            assert path.collapse_round == oracle.collapse_round, seed
            certain += 1
    assert certain > count / 4


def test_a_certificate_can_fail(problem):
    """Multipliers or a remainder that are wrong do not stay inside what was promised."""
    kernel_matrix, targets, _, _ = problem
    tolerance = 0.2 * np.sum(targets**2) / 400
    exact = distill(kernel_matrix, targets, tolerance=tolerance, method="exact")
    few = Spectrum.from_operator(kernel_matrix, targets, steps=4)
    honest = distill_spectrum(few, tolerance=tolerance)
    import dataclasses

    blind = dataclasses.replace(few, remainder=np.zeros_like(few.remainder))
    fooled = distill_spectrum(blind, tolerance=tolerance)
    low, high = fooled.multiplier_bounds.T
    assert not np.all((low <= exact.multipliers) & (exact.multipliers <= high))
    low, high = honest.multiplier_bounds.T
    assert np.all((low <= exact.multipliers) & (exact.multipliers <= high))


@pytest.mark.parametrize(("operator", "width"), [(Plain, 3), (StoredKernel, 4)])
def test_lanczos_relation(problem, operator, width):
    """G Q = Q T + Q₊ R to rounding, with orthonormal Q that holds the targets, alone or with a random direction."""
    kernel_matrix, targets, _, _ = problem
    lanczos = BlockLanczos(operator(kernel_matrix), targets)
    for _ in range(9):
        lanczos.step()
    pairs, q = lanczos.pairs(), lanczos.basis
    np.testing.assert_allclose(q.T @ q, np.eye(9 * width), atol=1e-13)
    basis = q @ pairs.vectors
    np.testing.assert_allclose(basis @ pairs.rotated_targets, targets, atol=1e-12)
    outside = kernel_matrix @ basis / 400 - basis * pairs.values
    assert np.abs(basis.T @ outside).max() < 1e-14
    np.testing.assert_allclose(outside.T @ outside, pairs.remainder.T @ pairs.remainder, atol=1e-15)


def test_dependent_targets_and_complete_spaces(rng):
    """Columns that repeat are one direction; few distinct eigenvalues make the space complete early."""
    matrix, _ = random_matrix(np.repeat([0.1, 0.5, 1.0], 10), rng)
    column = rng.normal(size=(30, 1))
    targets = np.hstack([column, 2 * column, rng.normal(size=(30, 1))])
    exact = distill(matrix, targets, tolerance=0.3, method="exact")
    for operator, dimensions in ((Plain(matrix), 6), (matrix, 12)):  # two directions alone, and with two random ones
        path = distill(operator, targets, tolerance=0.3, method="krylov", rtol=1e-9)
        assert len(path.eigenvalues) == dimensions
        np.testing.assert_allclose(path.multipliers, exact.multipliers, rtol=1e-10)
        assert path.collapse_certified


def test_operators_agree(problem, tmp_path, monkeypatch):
    kernel_matrix, targets, _, x = problem
    tolerance = 0.2 * np.sum(targets**2) / 400
    stored = distill(kernel_matrix, targets, tolerance=tolerance, method="krylov")
    np.save(tmp_path / "kernel.npy", kernel_matrix)
    mapped = np.load(tmp_path / "kernel.npy", mmap_mode="r")
    for operator in (StoredKernel(mapped), ComputedKernel(lambda a, b: rbf_kernel(a, b, gamma=0.1), x)):
        for size, cores in ((1024, 1), (37, 1), (37, 3), (400, 2)):  # ragged last tiles
            monkeypatch.setattr(kernel_operators, "CACHED_TILE", size)
            monkeypatch.setattr(kernel_operators, "COMPUTED_TILE", size)
            monkeypatch.setattr(tiles, "available_cores", lambda cores=cores: cores)
            product = operator.multiply(targets)
            np.testing.assert_allclose(product, kernel_matrix @ targets, rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(operator.multiply(targets), product)
        monkeypatch.undo()
        found = distill(operator, targets, tolerance=tolerance)
        np.testing.assert_allclose(found.multipliers, stored.multipliers, rtol=2e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kernel_matrix_is_computed_tile_by_tile(problem, monkeypatch, dtype):
    kernel_matrix, _, _, x = problem
    monkeypatch.setattr(kernel_operators, "COMPUTED_TILE", 37)
    computed = StoredKernel.of(lambda a, b: rbf_kernel(a, b, gamma=0.1), x, dtype)
    assert computed.matrix.dtype == dtype
    np.testing.assert_array_equal(computed.matrix, computed.matrix.T)
    np.testing.assert_allclose(computed.matrix, kernel_matrix, rtol=max(np.finfo(dtype).eps, 1e-12))
    with pytest.raises(InvalidKernel, match="not finite between points"):
        StoredKernel.of(lambda a, b: rbf_kernel(a, b) * np.nan, x)


def test_random_directions_save_products():
    """A rough kernel's many eigenvalues above c: a lone target finds about one a product, 32 columns many together."""
    rng = np.random.default_rng(0)
    x = rng.random((600, 1))
    targets = np.sin(6 * x[:, 0]) + 0.3 * rng.normal(size=600)
    kernel = np.exp(-np.abs(x - x.T))
    products = {}
    for width in (1, 32):
        operator, products[width] = Plain(kernel), 0

        def multiply(block, width=width):
            products[width] += 1
            return kernel @ block

        operator.multiply, operator.block_size = multiply, width
        path = distill(operator, targets, tolerance=0.01 * np.mean(targets**2), rtol=1e-4)
        assert path.certificate is not None
        assert path.certificate.relative_width <= 1e-4
    assert products[32] < products[1] / 4


@pytest.mark.parametrize("cores", [1, 3])
def test_float32_products_are_summed_in_float64(problem, monkeypatch, cores):
    kernel_matrix, targets, _, _ = problem
    monkeypatch.setattr(kernel_operators, "CACHED_TILE", 37)
    monkeypatch.setattr(tiles, "available_cores", lambda: cores)
    single = kernel_matrix.astype(np.float32)
    expected = single.astype(float) @ targets
    np.testing.assert_allclose(StoredKernel(single).multiply(targets), expected, rtol=1e-13, atol=1e-13)
    plain = single @ targets.astype(np.float32)
    assert np.abs(plain - expected).max() > 1e-8  # what float32 sums would have missed


def test_a_function_that_multiplies_is_enough(problem):
    kernel_matrix, targets, _, _ = problem
    tolerance = 0.2 * np.sum(targets**2) / 400
    found = distill(lambda block: kernel_matrix @ block, targets, tolerance=tolerance)
    expected = distill(Plain(kernel_matrix), targets, tolerance=tolerance)
    np.testing.assert_array_equal(found.multipliers, expected.multipliers)
    assert found.method == "krylov"
    with pytest.raises(InvalidInput, match="no exact decomposition"):
        distill(lambda block: kernel_matrix @ block, targets, tolerance=tolerance, method="exact")
    with pytest.raises(InvalidKernel, match=r"gave \(400, 400\) for a \(400, 4?3\) block"):
        distill(lambda _: kernel_matrix, targets, tolerance=tolerance)
    with pytest.raises(InvalidTargets, match="targets have shape"):
        distill(lambda block: kernel_matrix @ block, 3.0, tolerance=tolerance)


@pytest.mark.parametrize("convert", [pd.DataFrame, lambda k: k.tolist(), np.asfortranarray, lambda k: k[::1]])
def test_tables_and_lists_are_matrices(problem, convert):
    """A DataFrame has a `shape` and a method `multiply`, and is no operator."""
    kernel_matrix, targets, _, _ = problem
    tolerance = 0.3 * np.sum(targets**2) / 400
    expected = distill(kernel_matrix, targets, tolerance=tolerance, method="krylov").multipliers
    found = distill(convert(kernel_matrix), targets, tolerance=tolerance, method="krylov").multipliers
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    exact = distill(convert(kernel_matrix), targets, multiplier=1e-3, max_rounds=2)
    assert exact.method == "exact"


def test_whole_numbers_are_a_kernel_and_their_asymmetry_is_seen():
    x = np.arange(60)
    kernel_matrix = np.minimum(x[:, None], x) + 1
    path = distill(kernel_matrix, np.sin(x / 9), tolerance=0.1, method="krylov")
    np.testing.assert_allclose(path.multipliers, distill(kernel_matrix, np.sin(x / 9), tolerance=0.1).multipliers, 1e-6)
    with pytest.raises(InvalidKernel, match="not symmetric"):
        distill(kernel_matrix + np.triu(np.full((60, 60), 5)), np.sin(x / 9), tolerance=0.1, method="krylov")


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-30, 1e30, 1e200, 1e290])
def test_kernels_of_any_size_are_certified(problem, scale):
    kernel_matrix, targets, _, _ = problem
    tolerance = 0.3 * np.sum(targets**2) / 400
    expected = distill(kernel_matrix, targets, tolerance=tolerance, method="krylov")
    found = distill(scale * kernel_matrix, targets, tolerance=tolerance, method="krylov")
    np.testing.assert_allclose(found.multiplier_bounds / scale, expected.multiplier_bounds, rtol=1e-6)
    assert found.collapse_certified


def test_float32_kernels_are_taken_as_they_are(problem):
    """Their rounding makes them indefinite by 1e-8 or so; the path is that of the entries as given."""
    kernel_matrix, targets, _, _ = problem
    tolerance = 0.3 * np.sum(targets**2) / 400
    single = kernel_matrix.astype(np.float32)
    found = distill(single, targets, tolerance=tolerance, method="krylov")
    widened = distill(single.astype(float), targets, tolerance=tolerance, method="krylov")
    np.testing.assert_allclose(found.multipliers, widened.multipliers, rtol=1e-10)


def test_indefinite_kernels_are_refused(problem):
    kernel_matrix, targets, _, _ = problem
    with pytest.raises(NotPositiveSemidefinite, match="is indefinite"):
        distill(kernel_matrix - 0.5 * np.eye(400), targets, tolerance=0.5, method="krylov")


def test_a_floor_is_refused_as_by_the_exact_path():
    kernel_matrix = greens.simply_supported_spline(spline_toy.INPUTS)
    targets = spline_toy.PUBLISHED_TARGETS
    with pytest.raises(InfeasibleTolerance, match=r"floor 0\.0418611"):
        distill(kernel_matrix, targets, tolerance=0.04, method="krylov")
    path = distill(kernel_matrix, targets, tolerance=0.045, method="krylov", rtol=1e-3)
    assert (path.collapse_round, path.collapse_certified) == (4, True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_jax_kernels(problem, monkeypatch, dtype):
    import jax
    import jax.numpy as jnp

    monkeypatch.setattr(kernel_operators, "DEVICE_COLUMNS", 37)
    kernel_matrix, targets, _, _ = problem
    kernel_matrix = kernel_matrix.astype(dtype)
    tolerance = 0.3 * np.sum(targets**2) / 400
    with jax.enable_x64(True):
        found = distill(jnp.asarray(kernel_matrix), targets, tolerance=tolerance, method="krylov")
    expected = distill(kernel_matrix, targets, tolerance=tolerance, method="krylov")
    np.testing.assert_allclose(found.multipliers, expected.multipliers, rtol=1e-10)


def test_jax_without_64_bits_is_refused(problem):
    import jax.numpy as jnp

    with pytest.raises(InvalidKernel, match="64-bit numbers off"):
        distill(jnp.asarray(problem[0], dtype="float32"), problem[1], tolerance=1.0, method="krylov")


SHARDED = """
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
import hilbertsd

jax.config.update("jax_enable_x64", True)
matrix, targets = np.load("matrix.npy"), np.load("targets.npy")
rows = NamedSharding(jax.make_mesh((4,), ("rows",)), PartitionSpec("rows", None))
for dtype in ("float64", "float32"):
    sharded = jax.device_put(matrix.astype(dtype), rows)
    assert len(sharded.devices()) == 4
    found = hilbertsd.distill(sharded, targets, tolerance=0.2, method="krylov")
    expected = hilbertsd.distill(matrix.astype(dtype), targets, tolerance=0.2, method="krylov")
    np.testing.assert_allclose(found.multipliers, expected.multipliers, rtol=1e-10)
print("equal")
"""


def test_jax_kernels_sharded_over_devices(problem, tmp_path):
    """Four devices, which the host pretends to be."""
    np.save(tmp_path / "matrix.npy", problem[0])
    np.save(tmp_path / "targets.npy", problem[1])
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    call = [sys.executable, "-c", SHARDED]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "equal\n", done.stderr


def test_auto_is_exact_for_small_matrices_and_krylov_beyond(problem, monkeypatch):
    from hilbertsd.distillation import chain as distillation

    kernel_matrix, targets, _, _ = problem
    assert distill(kernel_matrix, targets, tolerance=1.0).certificate is None
    assert distill(kernel_matrix, targets, tolerance=1.0).method == "exact"
    with monkeypatch.context() as patch:
        patch.setattr(distillation, "physical_memory", lambda: 4 * 8 * 400**2 - 1)
        assert distill(kernel_matrix, targets, tolerance=1.0).method == "krylov"
    monkeypatch.setattr(distillation, "LARGEST_EXACT", 399)
    assert distill(kernel_matrix, targets, tolerance=1.0).method == "krylov"
    assert distill(kernel_matrix, targets, multiplier=1.0, max_rounds=2).certificate is None


@pytest.fixture
def narrow(monkeypatch):
    """Limits so low that the method "auto" takes Krylov, which cannot reach rtol; counts the decompositions."""
    from hilbertsd.distillation import chain, krylov_path

    monkeypatch.setattr(chain, "LARGEST_EXACT", 399)
    monkeypatch.setattr(krylov_path, "MOST_VECTORS", 20)
    decompositions, from_kernel = [], Spectrum.from_kernel

    def counted(*arguments):
        decompositions.append(arguments)
        return from_kernel(*arguments)

    monkeypatch.setattr(Spectrum, "from_kernel", counted)
    return decompositions


@pytest.mark.parametrize("convert", [np.asarray, lambda k: k.tolist()])
def test_auto_decomposes_where_krylov_gives_up(problem, narrow, convert):
    kernel_matrix, targets, _, _ = problem
    with pytest.warns(MethodWarning, match=r"20 Krylov vectors .* so that method='auto' decomposes .* rtol$") as record:
        found = distill(convert(kernel_matrix), targets[:, 0], tolerance=0.01)
    assert record[0].filename == __file__
    assert len(narrow) == 1
    assert found.method == "exact"
    expected = distill(kernel_matrix, targets[:, 0], tolerance=0.01, method="exact")
    np.testing.assert_array_equal(found.multipliers, expected.multipliers)


def test_krylov_gives_up_where_nothing_else_is_allowed(problem, narrow, monkeypatch):
    from hilbertsd.distillation import chain

    kernel_matrix, targets, _, _ = problem
    advice = r"use a larger tolerance \(or relative_tolerance\), a larger rtol, or method='exact', which needs"
    for kernel, method in (
        (kernel_matrix, "krylov"),
        (StoredKernel(kernel_matrix), "auto"),
        (lambda block: kernel_matrix @ block, "auto"),
    ):
        with pytest.raises(NotConverged, match=advice):
            distill(kernel, targets[:, 0], tolerance=0.01, method=method)
    monkeypatch.setattr(chain, "physical_memory", lambda: 4 * 8 * 400**2 - 1)
    with pytest.raises(NotConverged, match=advice):
        distill(kernel_matrix, targets[:, 0], tolerance=0.01)
    assert not narrow


def test_a_saved_path_keeps_its_certificate(problem, tmp_path):
    kernel_matrix, targets, _, _ = problem
    path = distill(kernel_matrix, targets, tolerance=1.0, method="krylov")
    loaded = DistillationPath.load(path.save(tmp_path / "p"))
    np.testing.assert_array_equal(loaded.multiplier_bounds, path.multiplier_bounds)
    assert loaded.collapse_certified == path.collapse_certified


def test_what_a_krylov_space_does_not_know_is_refused(problem):
    kernel_matrix, targets, _, _ = problem
    path = distill(kernel_matrix, targets, tolerance=1.0, method="krylov")
    assert "effective_dimension" not in next(path.rows())
    for call in (lambda: kernel_of_round(path, 0), lambda: complexity(path)):
        with pytest.raises(InvalidInput, match="needs the whole spectrum; distil with method='exact'"):
            call()


def test_collapse_at_once_and_exact_paths(problem):
    kernel_matrix, targets, _, _ = problem
    with pytest.warns(CollapseWarning):
        empty = distill(kernel_matrix, targets, tolerance=100.0, method="krylov")
    assert empty.collapse_certified
    assert empty.multiplier_bounds.shape == (0, 2)
    mean_square = np.sum(targets**2) / 400
    for tie in (mean_square, np.nextafter(mean_square, 0), np.nextafter(mean_square, 100)):
        with pytest.warns(CollapseWarning):
            assert distill(kernel_matrix, targets, tolerance=tie, method="krylov").collapse_round == 0
    exact = distill(kernel_matrix, targets, tolerance=1.0, method="exact")
    np.testing.assert_array_equal(exact.multiplier_bounds, np.column_stack([exact.multipliers] * 2))
    assert exact.collapse_certified


def test_what_cannot_be_reached_is_said(problem):
    kernel_matrix, targets, _, _ = problem
    with pytest.raises(NotConverged, match=r"Krylov vectors enclose the multipliers to .*, not to rtol 1e-14"):
        distill(kernel_matrix, targets, tolerance=0.1, method="krylov", rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda k, y: distill(k, y, tolerance=1.0, method="fast"), InvalidInput, "method is 'fast'"),
        (lambda k, y: distill(k, y, tolerance=1.0, rtol=0), InvalidInput, "rtol is 0"),
        (
            lambda k, y: distill(StoredKernel(k), y, tolerance=1.0, method="exact"),
            InvalidInput,
            "no exact decomposition",
        ),
        (lambda k, y: distill(StoredKernel(k), y, multiplier=1.0, max_rounds=2), InvalidInput, "give a tolerance"),
        (lambda k, y: distill(k + 0j, y, tolerance=1.0, method="krylov"), InvalidKernel, "is complex"),
        (lambda k, y: distill(csr_array(k), y, tolerance=1.0, method="krylov"), InvalidKernel, "give real numbers"),
        (lambda _, y: distill([[1, 2], [3]], y, tolerance=1.0), InvalidKernel, "rows of equal length"),
        (lambda k, y: Spectrum.from_operator(k, y, steps=0), InvalidInput, "steps is 0"),
        (lambda k, y: Spectrum.from_operator(k, y, steps=2.5), InvalidInput, "steps is 2.5"),
        (
            lambda k, y: largest_tolerance(Spectrum.from_operator(k, y, steps=3), 2),
            InvalidInput,
            "largest_tolerance needs the whole spectrum",
        ),
        (lambda k, y: distill(k[:5], y, tolerance=1.0, method="krylov"), InvalidKernel, r"shape \(5, 400\)"),
        (lambda k, y: distill(k[0], y, tolerance=1.0, method="krylov"), InvalidKernel, r"shape \(400,\)"),
        (lambda k, y: distill(np.triu(k), y, tolerance=1.0, method="krylov"), InvalidKernel, "not symmetric"),
        (
            lambda k, y: distill(k + 1e-9 * np.triu(k), y, tolerance=1.0, method="krylov"),
            InvalidKernel,
            "not symmetric",
        ),
        (lambda k, y: distill(k * np.nan, y, tolerance=1.0, method="krylov"), InvalidKernel, "not finite"),
        (
            lambda k, y: distill(ComputedKernel(lambda a, b: a @ b.T * np.nan, k), y, tolerance=1.0),
            InvalidKernel,
            "not finite between points",
        ),
    ],
)
def test_bad_input_is_refused(problem, call, error, message):
    with pytest.raises(error, match=message):
        call(problem[0], problem[1])

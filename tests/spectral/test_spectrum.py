"""The exact decomposition and what it refuses."""

import numpy as np
import pytest

from hilbertsd import Spectrum, distill, distill_spectrum, filters
from hilbertsd.errors import InvalidInput, InvalidKernel, InvalidTargets, NotConverged, NotPositiveSemidefinite
from hilbertsd.spectral import KrylovSpectrum


def test_it_reproduces_kernel_and_targets(data):
    kernel, targets, _ = data
    spectrum = Spectrum.from_kernel(kernel, targets)
    rebuilt = spectrum.basis * spectrum.eigenvalues @ spectrum.basis.T * len(kernel)
    np.testing.assert_allclose(rebuilt, kernel, atol=1e-13)
    np.testing.assert_allclose(spectrum.basis @ spectrum.rotated_targets, targets, atol=1e-13)
    assert np.all(np.diff(spectrum.eigenvalues) >= 0)
    assert spectrum.target_mean_square == pytest.approx(np.sum(targets**2) / 60, rel=1e-14)
    assert (spectrum.n_samples, spectrum.n_outputs, spectrum.single_output) == (60, 2, False)


def test_backward_error_is_within_the_stated_rounding(rng):
    for n in (2, 10, 100):
        factor = rng.normal(size=(n, n))
        kernel = factor @ factor.T
        spectrum = Spectrum.from_kernel(kernel, np.ones(n))
        rebuilt = spectrum.basis * spectrum.eigenvalues @ spectrum.basis.T * n
        assert np.linalg.norm(rebuilt - kernel, 2) <= 2 * n * spectrum.rounding


def test_singular_kernels_have_exact_zeros_and_a_floor(rng):
    factor = rng.normal(size=(40, 7))
    targets = rng.normal(size=40)
    spectrum = Spectrum.from_kernel(factor @ factor.T, targets)
    assert np.count_nonzero(spectrum.eigenvalues == 0) == 33
    assert spectrum.clipped < 1e-13
    outside = targets - factor @ np.linalg.lstsq(factor, targets)[0]
    assert spectrum.floor == pytest.approx(np.mean(outside**2), rel=1e-12)


def test_rounding_size_negatives_are_clipped_and_recorded():
    kernel = np.diag([-1e-11, 0.5, 2.0])
    spectrum = Spectrum.from_kernel(kernel, np.ones(3))
    assert spectrum.eigenvalues[0] == 0.0
    assert spectrum.clipped == pytest.approx(1e-11 / 3)
    assert spectrum.rounding == spectrum.clipped
    assert spectrum.floor == pytest.approx(1 / 3)


def test_an_indefinite_kernel_is_refused_with_its_most_negative_eigenvalue():
    with pytest.raises(
        NotPositiveSemidefinite, match=r"negative eigenvalue of kernel_matrix/n is -0\.1 .*at least 0\.3"
    ):
        Spectrum.from_kernel(np.diag([-0.3, 1.0, 2.0]), np.ones(3))


def test_float32_kernels_keep_the_eigenvalues_that_rounding_leaves(rng):
    """Independent rounding of the entries moves eigenvalues by far less than √n epsilons of the largest."""
    inputs = np.sort(rng.uniform(size=400))
    kernel = np.exp(-((inputs[:, None] - inputs) ** 2) * 50)
    targets = np.sin(12 * inputs) + 0.3 * rng.normal(size=400)
    exact, rounded = (Spectrum.from_kernel(k, targets) for k in (kernel, kernel.astype(np.float32)))
    error = np.abs(rounded.eigenvalues - exact.eigenvalues).max()
    assert error <= rounded.rounding <= 20 * error
    found, expected = (distill_spectrum(s, tolerance=0.15).multipliers for s in (rounded, exact))
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_float32_kernels_are_allowed_float32_rounding():
    kernel = np.diag([-1e-5, 1.0, 2.0])
    assert Spectrum.from_kernel(kernel.astype(np.float32), np.ones(3)).eigenvalues.dtype == np.float64
    with pytest.raises(NotPositiveSemidefinite, match="as float32"):
        Spectrum.from_kernel(kernel, np.ones(3))


K = np.eye(4) + 0.5


def changed(position, value):
    kernel = K.copy()
    kernel[position] = value
    return kernel


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (K[:, :3], r"shape \(4, 3\)"),
        (np.zeros((0, 0)), r"shape \(0, 0\).*non-empty"),
        (np.ones(4), r"shape \(4,\)"),
        (K * 1j, "complex"),
        (K.astype(object), "dtype object"),
        (K.astype(str), "dtype <U"),
        (changed((0, 1), 0.6), r"not symmetric.*differ by up to 0\.1"),
        (changed((0, 1), 1e308) - changed((1, 0), 1e308), "not symmetric"),
        ([[1.0, 2.0], [3.0]], "rows of equal length"),
        (np.array([[1, 0.9], [0, 1]], dtype=np.float16), "not symmetric"),
        (changed((0, 1), 0.5 + 1e-11), "not symmetric"),
        (changed((2, 1), np.nan), "holds nan at row 2, column 1"),
        (changed((1, 2), np.inf), "holds inf at row 1, column 2"),
        (changed(([1, 2], [2, 1]), -np.inf), "holds -inf at row 1, column 2"),
        (changed((3, 3), np.nan), "holds nan at row 3, column 3"),
    ],
)
def test_bad_kernels_are_refused(kernel, message):
    with pytest.raises(InvalidKernel, match=message):
        Spectrum.from_kernel(kernel, np.ones(4))


def test_rounding_size_asymmetry_is_allowed():
    assert Spectrum.from_kernel(changed((0, 1), 0.5 + 1e-13), np.ones(4)).n_samples == 4


def test_asymmetry_is_found_beyond_the_first_block():
    kernel = np.eye(1100)
    kernel[1090, 3] = 0.01
    with pytest.raises(InvalidKernel, match=r"differ by up to 0\.01"):
        Spectrum.from_kernel(kernel, np.ones(1100))
    kernel[1090, 3] = np.nan
    with pytest.raises(InvalidKernel, match="holds nan at row 1090, column 3"):
        Spectrum.from_kernel(kernel, np.ones(1100))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.ones(3), r"shape \(3,\) for 4 training samples"),
        (np.ones((5, 2)), r"shape \(5, 2\) for 4"),
        (np.ones((4, 0)), r"shape \(4, 0\)"),
        (np.ones((4, 1, 1)), r"shape \(4, 1, 1\)"),
        (np.float64(1.0), r"shape \(\)"),
        (np.zeros(4), "all 4 targets are 0"),
        (np.array([1.0, np.nan, 0, 0]), r"hold nan at index \(1,\)"),
        (np.array(["a", "b", "c", "d"]), "dtype <U1"),
        (np.ones(4) * 1j, "complex"),
        (np.full(4, 1e200), r"sum of squares is inf .* as large as 1e\+200"),
        (np.full(4, 1e-200), "sum of squares is 0 .* as large as 1e-200"),
    ],
)
def test_bad_targets_are_refused(targets, message):
    with pytest.raises(InvalidTargets, match=message):
        Spectrum.from_kernel(K, targets)


def test_one_sample_is_a_problem_like_any_other():
    spectrum = Spectrum.from_kernel([[4.0]], [3.0])
    assert spectrum.eigenvalues.tolist() == [4.0]
    assert spectrum.energies.tolist() == [9.0]


def test_a_krylov_spectrum_is_a_kind_of_its_own(data):
    kernel, targets, _ = data
    whole, part = Spectrum.from_kernel(kernel, targets), Spectrum.from_operator(kernel, targets, steps=3)
    assert (type(whole), type(part)) == (Spectrum, KrylovSpectrum)
    assert (whole.method, part.method) == ("exact", "krylov")
    assert (whole.is_whole, part.is_whole) == (True, False)
    assert not hasattr(whole, "remainder")
    whole.require_whole("a sum")
    with pytest.raises(InvalidInput, match="a sum needs the whole spectrum"):
        part.require_whole("a sum")
    assert not whole.eigenvalue_errors.any()
    exact = whole.eigenvalues[:, None]
    nearest = np.abs(exact - part.eigenvalues).min(axis=0)
    assert np.all(nearest <= part.eigenvalue_errors)
    with pytest.raises(TypeError, match="remainder"):
        KrylovSpectrum(whole.eigenvalues, whole.rotated_targets, whole.vectors, False, 0.0, 0.0)


SMALLEST, LARGEST = 1e-305, 1e304


@pytest.mark.parametrize("method", ["exact", "krylov"])
def test_kernels_are_taken_down_to_the_smallest_scale_that_works(data, method):
    """Above it multipliers and predictions are those of the kernel of scale 1; at 1e-306 they can be NaN."""
    kernel, targets, cross_kernel = data
    largest = Spectrum.from_kernel(kernel, targets).eigenvalues[-1]
    expected = distill(kernel, targets, tolerance=0.3, method=method)
    scale = 1.001 * SMALLEST / largest
    found = distill(scale * kernel, targets, tolerance=0.3, method=method)
    np.testing.assert_allclose(found.multipliers / scale, expected.multipliers, rtol=1e-9)
    np.testing.assert_allclose(found.predict(scale * cross_kernel), expected.predict(cross_kernel), rtol=1e-6)
    for scale in (0.999 * SMALLEST / largest, 1e-310, 1e-320):
        with pytest.raises(InvalidKernel, match=r"outside the range from 1e-305 to 1e\+304 .*multiply the kernel"):
            distill(scale * kernel, targets, tolerance=0.3, method=method)


@pytest.mark.parametrize("method", ["exact", "krylov"])
def test_kernels_are_taken_up_to_the_largest_scale_that_works(data, method):
    """Multipliers near collapse are up to 1e16 times the eigenvalues; one that overflows is refused."""
    kernel, targets, cross_kernel = data
    largest = Spectrum.from_kernel(kernel, targets).eigenvalues[-1]
    expected = distill(kernel, targets, tolerance=0.3, method=method)
    scale = 0.999 * LARGEST / largest
    found = distill(scale * kernel, targets, tolerance=0.3, method=method)
    np.testing.assert_allclose(found.multipliers / scale, expected.multipliers, rtol=1e-9)
    np.testing.assert_allclose(found.predict(scale * cross_kernel), expected.predict(cross_kernel), rtol=1e-6)

    spectrum = Spectrum.from_kernel(scale * kernel, targets)
    tie = np.nextafter(spectrum.target_mean_square, 0)
    with pytest.raises(NotConverged, match="multiplier of round 0 is beyond double precision"):
        distill_spectrum(spectrum, tolerance=tie)
    for scale in (1.001 * LARGEST / largest, 1e306):
        with pytest.raises(InvalidKernel, match=r"outside the range from 1e-305 to 1e\+304 .*multiply the kernel"):
            distill(scale * kernel, targets, tolerance=0.3, method=method)


def test_a_kernel_of_zeros_is_a_kernel():
    assert Spectrum.from_kernel(np.zeros((3, 3)), np.ones(3)).floor == 1.0


def test_coefficients_beyond_double_precision_are_refused():
    """An eigenvalue of 5e-311 beside one of 5e-305, and a multiplier as small."""
    kernel, targets = np.diag([1e-310, 1e-304]), np.ones(2)
    path = distill(kernel, targets, tolerance=1e-6, max_rounds=1)
    np.testing.assert_allclose(path.train_predictions(0), 1, atol=2e-3)
    fit = filters.FilteredFit(path.spectrum, filters.ridge(1e-311))
    for call in (lambda: path.predict(kernel, 0), lambda: fit.predict(kernel)):
        with pytest.raises(InvalidKernel, match=r"coefficients of the fit are beyond double precision.*multiply"):
            call()

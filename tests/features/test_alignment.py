"""Distance of kernels and alignment with targets."""

import numpy as np
import pytest

from hilbertsd.errors import InvalidInput
from hilbertsd.features import kernel_distance, target_alignment


def test_distance_is_that_of_directions(rng):
    A, B = (X @ X.T for X in rng.normal(size=(2, 7, 4)))
    expected = 1 - np.sum(A * B) / np.linalg.norm(A) / np.linalg.norm(B)
    assert kernel_distance(A, B) == pytest.approx(expected, rel=1e-12)
    assert kernel_distance(A, 3e-200 * A) < 1e-15
    # 1 − ⟨K, K'⟩ would be 0 by rounding.
    assert kernel_distance(A, A + 1e-9 * B) == pytest.approx(kernel_distance(A, A + 1e-6 * B) * 1e-6, rel=1e-3)
    assert kernel_distance(np.diag([1.0, 0]), np.diag([0.0, 1])) == pytest.approx(1)


def test_alignment_is_that_of_centred_matrices(rng):
    X, Y = rng.normal(size=(8, 5)), rng.normal(size=(8, 3))
    K, H = X @ X.T, np.eye(8) - 1 / 8
    one, other = H @ K @ H, H @ Y @ Y.T @ H
    expected = np.sum(one * other) / np.linalg.norm(one) / np.linalg.norm(other)
    assert target_alignment(K, Y) == pytest.approx(expected, rel=1e-12)
    assert target_alignment(1e3 + Y @ Y.T, Y + 5) == pytest.approx(1, rel=1e-9)
    assert target_alignment(K, Y[:, 0]) == pytest.approx(target_alignment(K, Y[:, :1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel_distance(np.eye(2), np.eye(3)), r"shapes \(2, 2\) and \(3, 3\)"),
        (lambda: kernel_distance(np.eye(2), np.zeros((2, 2))), "zero everywhere"),
        (lambda: target_alignment(np.eye(2), np.zeros(3)), r"shape \(2, 2\) for 3 targets"),
        (lambda: target_alignment(np.eye(2), np.ones(2)), "the same for all samples"),
        (lambda: target_alignment(np.ones((2, 2)), [0.0, 1.0]), "zero everywhere"),
    ],
)
def test_what_has_no_alignment_is_refused(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()

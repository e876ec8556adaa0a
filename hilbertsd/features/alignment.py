"""How far two kernels are apart, and how much one looks like the targets: two numbers that show feature learning.

    kernel_distance(before, after)       # 0 for the same kernel up to a factor, 1 for nothing in common
    target_alignment(after, labels)      # 1 where the kernel is that of the labels

A kernel that stays as it is during training learns no features: the network is a linear model of its gradients at the
start (Jacot, Gabriel & Hongler 2018, arXiv:1806.07572).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import as_real_array


def kernel_distance(first: Any, second: Any) -> float:
    """1 − ⟨K, K'⟩/(‖K‖ ‖K'‖), with the sum over all entries as inner product.

    Parameters
    ----------
    first, second : (n, n) or (m, n) kernel matrices of the same samples.

    Raises InvalidInput for matrices of different shapes, or one that is zero everywhere.

    Source: Fort et al. (2020), Deep learning versus kernel learning, arXiv:2010.15110, §4.
    """
    one, other = (np.asarray(as_real_array(kernel, "kernel", InvalidInput), np.float64) for kernel in (first, second))
    if one.shape != other.shape:
        raise InvalidInput(f"kernels have shapes {one.shape} and {other.shape}; give two of the same samples")
    one, other = (_scaled(kernel) for kernel in (one, other))
    # Of unit matrices half the squared distance is the same number, without the cancellation in 1 − ⟨K, K'⟩.
    return float(np.sum((one - other) ** 2) / 2)


def centred_kernel(kernel: Any) -> NDArray[np.float64]:
    """HKH of an (n, n) kernel matrix: that of features whose mean over the samples is taken away.

    Most of a wide ReLU network's kernel is one number in all entries, beside which no distance sees the rest.
    """
    K = np.asarray(as_real_array(kernel, "kernel", InvalidInput), np.float64)
    return K - K.mean(axis=0) - K.mean(axis=1)[:, None] + K.mean()


def target_alignment(kernel: Any, targets: Any) -> float:
    """⟨HKH, HYYᵀH⟩/(‖HKH‖ ‖HYYᵀH‖): alignment of the centred kernel with the centred targets.

    Parameters
    ----------
    kernel : (n, n) kernel matrix.
    targets : (n,) or (n, k) targets of the samples. H takes the mean over samples away.

    Raises InvalidInput where shapes do not fit, or kernel or targets are constant over the samples.

    Source: Cortes, Mohri & Rostamizadeh (2012), JMLR 13, 795, definition 4.
    """
    K = np.asarray(as_real_array(kernel, "kernel", InvalidInput), np.float64)
    Y = np.asarray(as_real_array(targets, "targets", InvalidInput), np.float64)
    Y = Y.reshape(len(Y), -1)
    if K.shape != (len(Y), len(Y)):
        raise InvalidInput(f"the kernel has shape {K.shape} for {len(Y):,} targets; give ({len(Y)}, {len(Y)})")
    centred = _scaled(centred_kernel(K))
    Y = Y - Y.mean(axis=0)
    norm = np.linalg.norm(Y.T @ Y)
    if norm == 0:
        raise InvalidInput("targets are the same for all samples; no kernel can be aligned with them")
    return float(np.sum(Y * (centred @ Y)) / norm)


def _scaled(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kernel of norm 1."""
    largest = np.abs(kernel).max(initial=0)
    if largest == 0:
        raise InvalidInput("a kernel is zero everywhere; take another network, or other samples")
    kernel = kernel / largest  # squares of tiny numbers are zero
    return kernel / np.linalg.norm(kernel)

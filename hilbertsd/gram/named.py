"""Kernel functions by name.

A named kernel can be sent to other processes and serves wherever a kernel function does:

    kernel = NamedKernel("rbf", gamma=0.1)
    kernel(X, Y)  # (n, m) values between (n, n_features) and (m, n_features) points
    StoredKernel.of(kernel, X)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import PAIRWISE_KERNEL_FUNCTIONS, pairwise_kernels

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_choice, check_positive

NAMES = tuple(sorted(PAIRWISE_KERNEL_FUNCTIONS))
"""Pairwise kernels of scikit-learn."""


@dataclass(frozen=True)
class NamedKernel:
    """A scikit-learn pairwise kernel as a function k(X, Y) that can be sent to other processes; always in float64.

    Attributes
    ----------
    name : rbf, laplacian, linear, ...
    gamma : positive parameter of that name; None for scikit-learn's default, 1/n_features and for chi2 1.

    Raises InvalidInput for an unknown name or a gamma that is no positive number.
    """

    name: str
    gamma: float | None = None

    def __post_init__(self) -> None:
        check_choice(self.name, "kernel", NAMES)
        self(np.ones((1, 1)), np.ones((1, 1)))  # a bad gamma shows here, not in the first tile

    def __call__(self, X: Any, Y: Any) -> NDArray[np.float64]:
        """(n, m) kernel values between (n, n_features) and (m, n_features) points; errors as :func:`kernel_values`."""
        X, Y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
        return kernel_values(self.name, X, Y, {"gamma": self.gamma})


def kernel_values(kernel: str | Callable[..., Any], X: Any, Y: Any, parameters: dict[str, Any]) -> Any:
    """(n, m) kernel values of a callable k(X, Y), or of a scikit-learn pairwise kernel by name; "precomputed" gives X.

    A named kernel takes those of the parameters that it knows and that are not None, and has scikit-learn's defaults
    for the others. Raises InvalidInput for an unknown name or for data outside the kernel's domain: chi2 and
    additive_chi2 are for non-negative features.
    """
    if callable(kernel):
        return kernel(X, Y, **parameters)
    if parameters.get("gamma") is not None:
        check_positive(parameters["gamma"], "gamma", "or None for the kernel's default", InvalidInput)
    check_choice(kernel, "kernel", ("precomputed", *NAMES))
    if kernel == "precomputed":
        return X
    given = {name: value for name, value in parameters.items() if value is not None}
    try:
        return pairwise_kernels(X, Y, metric=kernel, filter_params=True, **given)
    except ValueError as error:
        raise InvalidInput(str(error)) from error

"""Kernel functions by name, and whatever function a user gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import PAIRWISE_KERNEL_FUNCTIONS, pairwise_kernels

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_positive


@dataclass(frozen=True)
class NamedKernel:
    """A scikit-learn pairwise kernel as a function k(X, Y) that can be sent to other processes; always in float64.

    Attributes
    ----------
    name : rbf, laplacian, linear, ...
    gamma : its parameter of that name, None for its default 1/n_features.

    Raises InvalidInput for an unknown name or a gamma that is no positive number.
    """

    name: str
    gamma: float | None = None

    def __post_init__(self) -> None:
        if self.name == "precomputed":
            raise InvalidInput("kernel is 'precomputed', which computes nothing; give the name of a kernel of points")
        self(np.ones((1, 1)), np.ones((1, 1)))  # an unknown name or a bad gamma shows here, not in the first tile

    def __call__(self, X: Any, Y: Any) -> NDArray[np.float64]:
        """(n, m) kernel values between (n, n_features) and (m, n_features) points; errors as :func:`kernel_values`."""
        X, Y = np.asarray(X, dtype=np.float64), np.asarray(Y, dtype=np.float64)
        return kernel_values(self.name, X, Y, {"gamma": self.gamma})


def kernel_values(kernel: str | Callable[..., Any], X: Any, Y: Any, parameters: dict[str, Any]) -> Any:
    """(n, m) kernel values of a callable k(X, Y) or of a scikit-learn pairwise kernel by name.

    A named kernel takes those of the parameters it knows. Raises InvalidInput for an unknown name or for
    data outside the kernel's domain.
    """
    if callable(kernel):
        return kernel(X, Y, **parameters)
    if parameters.get("gamma") is not None:
        check_positive(parameters["gamma"], "gamma", "or None for 1/n_features", InvalidInput)
    known = ["precomputed", *sorted(PAIRWISE_KERNEL_FUNCTIONS)]
    if not isinstance(kernel, str) or kernel not in known:
        raise InvalidInput(f"kernel is {kernel!r}; give a function k(X, Y) or one of {', '.join(known)}")
    if kernel == "precomputed":
        return X
    try:
        return pairwise_kernels(X, Y, metric=kernel, filter_params=True, **parameters)
    except ValueError as error:
        raise InvalidInput(str(error)) from error

"""Green's functions of regularisers, as kernels k(X, Y)."""

from hilbertsd.greens.closed_forms import (
    brownian_bridge,
    brownian_motion,
    cubic_smoothing_spline,
    matern,
    periodic_spline,
    simply_supported_spline,
)

__all__ = [
    "brownian_bridge",
    "brownian_motion",
    "cubic_smoothing_spline",
    "matern",
    "periodic_spline",
    "simply_supported_spline",
]

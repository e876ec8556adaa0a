"""Green's functions of regularisers, as kernels k(X, Y)."""

from hilbertsd.greens.closed_forms import (
    brownian_bridge,
    brownian_motion,
    cubic_smoothing_spline,
    matern,
    periodic_spline,
    simply_supported_spline,
)
from hilbertsd.greens.graphs import from_graph
from hilbertsd.greens.operators import from_operator
from hilbertsd.greens.periodic import from_periodic_operator

__all__ = [
    "brownian_bridge",
    "brownian_motion",
    "cubic_smoothing_spline",
    "from_graph",
    "from_operator",
    "from_periodic_operator",
    "matern",
    "periodic_spline",
    "simply_supported_spline",
]

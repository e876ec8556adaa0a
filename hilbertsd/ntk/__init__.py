"""Neural tangent kernels: architectures, their kernel matrices, and finite networks at initialisation.

Needs neural-tangents (extra `ntk`); every name loads its module when first used, and says how to get what is missing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilbertsd.ntk.architectures import Architecture, architecture
    from hilbertsd.ntk.compat import neural_tangents
    from hilbertsd.ntk.kernel import NeuralKernel, gram

_MODULE_OF = {
    "Architecture": "hilbertsd.ntk.architectures",
    "NeuralKernel": "hilbertsd.ntk.kernel",
    "architecture": "hilbertsd.ntk.architectures",
    "gram": "hilbertsd.ntk.kernel",
    "neural_tangents": "hilbertsd.ntk.compat",
}

__all__ = ["Architecture", "NeuralKernel", "architecture", "gram", "neural_tangents"]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        from hilbertsd.ntk.compat import neural_tangents

        neural_tangents()  # the error that says what to install, before the one that says what is missing
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""hilbertsd: self-distillation as kernel regression.

    path = hilbertsd.distill(kernel_matrix, targets, tolerance=0.1)

Every public name loads its module when first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilbertsd import errors, greens
    from hilbertsd.distillation import distill, distill_spectrum, largest_tolerance
    from hilbertsd.estimators import SelfDistilledKernelClassifier, SelfDistilledKernelRegressor
    from hilbertsd.multiplier import solve_multiplier, training_error
    from hilbertsd.path import DistillationPath
    from hilbertsd.spectrum import Spectrum

__version__ = "0.1.0"

_MODULE_OF = {
    "DistillationPath": "hilbertsd.path",
    "SelfDistilledKernelClassifier": "hilbertsd.estimators",
    "SelfDistilledKernelRegressor": "hilbertsd.estimators",
    "Spectrum": "hilbertsd.spectrum",
    "distill": "hilbertsd.distillation",
    "distill_spectrum": "hilbertsd.distillation",
    "largest_tolerance": "hilbertsd.distillation",
    "solve_multiplier": "hilbertsd.multiplier",
    "training_error": "hilbertsd.multiplier",
}
_SUBMODULES = ("errors", "greens")

__all__ = [
    "DistillationPath",
    "SelfDistilledKernelClassifier",
    "SelfDistilledKernelRegressor",
    "Spectrum",
    "distill",
    "distill_spectrum",
    "errors",
    "greens",
    "largest_tolerance",
    "solve_multiplier",
    "training_error",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"hilbertsd.{name}")
    if name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value  # later look-ups skip this function
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

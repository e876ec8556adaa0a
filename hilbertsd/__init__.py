"""hilbertsd: self-distillation as kernel regression.

    path = hilbertsd.distill(kernel_matrix, targets, tolerance=0.1)

Every public name loads its module when first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilbertsd import bounds, errors, filters, greens, ntk
    from hilbertsd.bounds_report import BoundsReport, check_bounds
    from hilbertsd.cross_validation import leave_one_out
    from hilbertsd.distillation import distill, distill_spectrum, largest_tolerance
    from hilbertsd.early_stopping import EarlyStopping, stop_early
    from hilbertsd.equivalent_kernel import Complexity, EquivalentKernel, complexity, kernel_of_round
    from hilbertsd.estimators import SelfDistilledKernelClassifier, SelfDistilledKernelRegressor
    from hilbertsd.leading_weights import LeadingWeights, leading_basis_weights
    from hilbertsd.multiplier import solve_multiplier, training_error
    from hilbertsd.path import DistillationPath
    from hilbertsd.spectrum import Spectrum

__version__ = "0.1.0"

_MODULE_OF = {
    "BoundsReport": "hilbertsd.bounds_report",
    "Complexity": "hilbertsd.equivalent_kernel",
    "DistillationPath": "hilbertsd.path",
    "EarlyStopping": "hilbertsd.early_stopping",
    "LeadingWeights": "hilbertsd.leading_weights",
    "EquivalentKernel": "hilbertsd.equivalent_kernel",
    "SelfDistilledKernelClassifier": "hilbertsd.estimators",
    "SelfDistilledKernelRegressor": "hilbertsd.estimators",
    "Spectrum": "hilbertsd.spectrum",
    "check_bounds": "hilbertsd.bounds_report",
    "complexity": "hilbertsd.equivalent_kernel",
    "distill": "hilbertsd.distillation",
    "distill_spectrum": "hilbertsd.distillation",
    "kernel_of_round": "hilbertsd.equivalent_kernel",
    "largest_tolerance": "hilbertsd.distillation",
    "leading_basis_weights": "hilbertsd.leading_weights",
    "leave_one_out": "hilbertsd.cross_validation",
    "solve_multiplier": "hilbertsd.multiplier",
    "stop_early": "hilbertsd.early_stopping",
    "training_error": "hilbertsd.multiplier",
}
_SUBMODULES = ("bounds", "errors", "filters", "greens", "ntk")

__all__ = [
    "BoundsReport",
    "Complexity",
    "DistillationPath",
    "EarlyStopping",
    "EquivalentKernel",
    "LeadingWeights",
    "SelfDistilledKernelClassifier",
    "SelfDistilledKernelRegressor",
    "Spectrum",
    "bounds",
    "check_bounds",
    "complexity",
    "distill",
    "distill_spectrum",
    "errors",
    "filters",
    "greens",
    "kernel_of_round",
    "largest_tolerance",
    "leading_basis_weights",
    "leave_one_out",
    "ntk",
    "solve_multiplier",
    "stop_early",
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

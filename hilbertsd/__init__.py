"""hilbertsd: self-distillation as kernel regression.

    path = hilbertsd.distill(kernel_matrix, targets, tolerance=0.1)

Every name loads its module when first used, so that importing the package costs next to nothing. The subjects are
rooms: `hilbertsd.gram`, `hilbertsd.bounds`, `hilbertsd.ntk`, ...; every public name is one room deep.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""The study of self-distillation with neural tangent kernels.

`presets` says which data are taken, `fits` holds the results, `figures` draws them, `experiment` computes them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Neural tangent kernels: kernel matrices of infinitely wide networks, and of finite ones at initialisation.

Needs JAX and for some of it neural-tangents (extra `ntk`); every name says, when first used, what is missing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

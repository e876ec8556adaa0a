"""Neural tangent kernels: kernel matrices of infinitely wide networks, and of finite ones at initialisation.

`architecture` needs nothing beside NumPy; kernels of infinitely wide networks need JAX (extra `jax`); finite networks
need neural-tangents, too (extra `ntk`). Where a package is missing, the names that need it raise MissingPackage, which
says how to install it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

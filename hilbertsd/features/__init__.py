"""Kernels beside trained networks: six uses of networks that differ by seed, and what training does to their kernels.

What trains needs JAX, Flax and Optax (extra `networks`), and raises MissingPackage where one is missing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

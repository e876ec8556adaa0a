"""Networks: layers and architectures as data, and finite networks that are trained and distilled into themselves.

Architectures need nothing beside NumPy; what trains needs JAX, Flax and Optax (extra `networks`), and raises
MissingPackage where one is missing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

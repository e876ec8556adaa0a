"""Kernel matrices: in memory, on disk in tiles, on a cluster, or computed as they are needed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

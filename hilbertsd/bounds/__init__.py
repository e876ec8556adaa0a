"""Every statement of the theory as a function, and all of them checked on a path."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

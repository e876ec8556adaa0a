"""Spectrum of a kernel matrix and targets, and the multiplier that a tolerance asks for."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

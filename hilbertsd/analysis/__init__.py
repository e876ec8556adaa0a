"""What a path tells: scores and mixtures of rounds, early stopping, equivalent kernels, leading weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

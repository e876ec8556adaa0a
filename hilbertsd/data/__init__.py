"""Data sets: CIFAR, scikit-learn's digits, your tables, multi-view data, and how images are prepared for a kernel."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

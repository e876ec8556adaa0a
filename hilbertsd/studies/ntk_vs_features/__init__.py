"""The study of kernels beside trained networks: six uses of each on the same images, and what training changes.

`presets` says which networks and images are taken, `rows` computes and keeps one row of the table, `kernels` the
tangent kernels of networks before and after training, `results` gives verdicts, `figures` draws them, `experiment` runs
it all.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

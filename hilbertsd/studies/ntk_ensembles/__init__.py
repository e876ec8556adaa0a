"""The study of ensembles and distillation of tangent kernels, over parameters per target.

`presets` says which networks and images are taken, `parts` computes and keeps one width on one draw, `orderings`
chooses strengths and tests, `results` gives verdicts on what is `published`, `lines` formats tables, `figures` draws,
`experiment` runs it all.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Reproduced figures and tables: each module or folder with a `STUDY` is a study, all in the form of `form`.

    study = hilbertsd.studies.study("spline-toy")
    outcome = study.execute(study.config(seed=7))
    outcome.result.claims()

figures/README.md shows every study's figures and says how to write one.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

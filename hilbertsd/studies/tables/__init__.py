"""The study of self-distillation on real tables, beside ridge that is tuned as carefully.

`presets` says what is tried, `data` loads and splits the tables, `methods` tunes every method, `one_step` fits ridge
and the one-step mixture at a given multiplier, `runs` keeps the random splits of a table, `air_quality` takes one table
in time by the small problems of `linear`, `resampling` gives errors and tests, `verdicts` judges the claims, `results`
shows all, `figures` draws it, and `experiment` runs it.
"""

from hilbertsd.studies.tables.experiment import STUDY

__all__ = ["STUDY"]

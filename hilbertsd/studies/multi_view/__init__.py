"""The multi-view study: why ensembles of networks help and can be distilled, on data where the theorem lives.

`presets` says which data and networks are taken, `parts` trains the networks of one draw, `choice` tries losses,
`kernels` fits tangent kernels to the same data, `controls` trains networks on data without views, `evidence` has all
errors by draw, `verdicts` says what they show, `results` makes tables and records of them, `figures` draws them, and
`experiment` runs it all.
"""

from hilbertsd.studies.multi_view.experiment import STUDY

__all__ = ["STUDY"]

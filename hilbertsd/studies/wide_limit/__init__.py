"""The study of finite width: how far chains of trained networks are from the infinite kernel's, and where that fails.

`presets` says which networks are trained and how, `parts` trains and keeps one chain, `limits` has what it tends to,
`measures` how far it is from there, `results` gives slopes and verdicts, `figures` draws them, `experiment` runs it
all.
"""

from hilbertsd.studies.wide_limit.experiment import STUDY

__all__ = ["STUDY"]

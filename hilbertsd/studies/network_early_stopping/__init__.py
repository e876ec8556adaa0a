"""The study of early stopping beside chains of trained networks."""

from hilbertsd.studies.network_early_stopping.experiment import STUDY

__all__ = ["STUDY"]

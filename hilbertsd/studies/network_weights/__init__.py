"""The study of the basis weights of trained networks."""

from hilbertsd.studies.network_weights.experiment import STUDY

__all__ = ["STUDY"]

"""The study of chains of trained networks."""

from hilbertsd.studies.network_chains.experiment import STUDY

__all__ = ["STUDY"]

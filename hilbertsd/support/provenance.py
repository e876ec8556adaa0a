"""What every stored result says about where it came from, and how it is written."""

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from hilbertsd.support.machine import machine_description

PACKAGES = ("hilbertsd", "numpy", "scipy", "scikit-learn", "matplotlib", "jax", "jaxlib", "neural-tangents")


def provenance(command: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Command, configuration (with its seed), versions and machine, for the head of a result."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"command": command, "config": dict(config), "versions": versions, "machine": machine_description()}

"""What every stored result says about where it came from."""

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from hilbertsd.support.machine import machine_description

PACKAGES = (
    *("hilbertsd", "numpy", "scipy", "scikit-learn", "matplotlib"),
    *("jax", "jaxlib", "neural-tangents", "flax", "optax"),
)
"""Packages whose versions a result records, those of them that are installed."""


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that are installed."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def provenance(command: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """First entries of a result: the command that gives it, its configuration, package versions, and the machine."""
    made_with = {"versions": package_versions(), "machine": machine_description()}
    return {"command": command, "config": dict(config), **made_with}

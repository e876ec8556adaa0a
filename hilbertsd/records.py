"""What every stored result says about where it came from, and how it is written."""

import json
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from hilbertsd import __version__
from hilbertsd.errors import InvalidFile
from hilbertsd.files import written_whole

PACKAGES = ("numpy", "scipy", "scikit-learn", "matplotlib", "jax", "jaxlib", "neural-tangents")


def provenance(command: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Command, configuration (with its seed), versions and machine, for the head of a result."""
    versions = {"hilbertsd": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"command": command, "config": dict(config), "versions": versions, "machine": machine()}


def machine() -> dict[str, Any]:
    """Processor, cores and operating system; no host name."""
    return {
        "processor": _processor_name(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
    }


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder for results, or raise InvalidFile saying why it cannot be."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidFile(f"{folder} cannot be made a folder for results: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise InvalidFile(f"{folder} is not writable; give another folder")
    return folder


def write_json(path: Path, content: Mapping[str, Any]) -> Path:
    """Write one JSON object; an existing file is replaced whole or not at all."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return path


def physical_memory() -> int | None:
    """Bytes of memory of this machine, None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"

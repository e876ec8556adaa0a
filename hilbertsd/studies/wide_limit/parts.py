"""One part of the study: the chain of one setting, width and seed, trained or read from its file.

stored(folder, setting, width=512, seed=3, problem=problem, limit=limit)  # a TangentChain, or why there is none
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import NotConverged
from hilbertsd.features import Descent, Penalised, TangentChain, train_tangent_chain
from hilbertsd.features.tangent_rules import Rule
from hilbertsd.studies.wide_limit.limits import Limit, Problem
from hilbertsd.studies.wide_limit.presets import PENALISED, Setting
from hilbertsd.support.array_files import check_source, read_arrays, write_arrays

FORMAT = "hilbertsd.WideLimitPart/1"

SEEDS_APART = 1000
"""Seeds of chains between those of one seed of the study and those of the next."""

ARRAYS = ("train_outputs", "test_outputs", "linearised_outputs", "initial_kernels", "trained_kernels", "steps")


def stored(folder: Path, setting: Setting, width: int, seed: int, problem: Problem, limit: Limit) -> TangentChain | str:
    """Chain of a seed, read from its file in a folder, or trained and written; text where training did not converge.

    Raises
    ------
    InvalidFile
        The file is of another configuration, damaged, or cannot be written.
    InvalidInput, MissingPackage
        As :func:`hilbertsd.features.train_tangent_chain`.
    """
    about = f"{setting.tolerance:g}-{setting.rate:g}-{setting.parameterization}"
    path = folder / f"{setting.network}-{setting.rule}-{about}-width-{width}-seed-{seed}.npz"
    source = _source(setting, width, seed, problem)
    if path.exists():
        arrays, found = read_arrays(path, FORMAT, lambda arrays, metadata: (arrays, metadata))
        check_source(path, found["source"], source)
        return _chain(arrays, found)
    metadata: dict[str, Any] = {"source": source, "collapse_round": None, "unmet": None}
    arrays: dict[str, NDArray[np.float64]] = {}
    try:
        chain = train_tangent_chain(
            setting.architecture(width),
            problem.train,
            problem.targets,
            problem.test,
            rule_of(setting, limit),
            rounds=setting.rounds,
            seed=seed,
        )
        arrays, metadata["collapse_round"] = {name: getattr(chain, name) for name in ARRAYS}, chain.collapse_round
    except NotConverged as error:
        metadata["unmet"] = str(error)
    write_arrays(path, FORMAT, metadata, arrays)
    return _chain(arrays, metadata)


def rule_of(setting: Setting, limit: Limit) -> Rule:
    """How the setting fits a round; a penalty has the multipliers of the infinite kernel's path."""
    if setting.rule == PENALISED:
        return Penalised(tuple(limit.strengths[: setting.rounds].tolist()))
    return Descent(setting.tolerance, setting.rate)


def _chain(arrays: dict[str, NDArray[np.float64]], metadata: dict[str, Any]) -> TangentChain | str:
    if metadata["unmet"] is not None:
        return metadata["unmet"]
    return TangentChain(**{name: arrays[name] for name in ARRAYS}, collapse_round=metadata["collapse_round"])


def _source(setting: Setting, width: int, seed: int, problem: Problem) -> dict[str, Any]:
    """What a chain depends on, ready for JSON."""
    images = hashlib.sha256()
    for values in (problem.train, problem.targets, problem.test):
        images.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    source = {
        "network": setting.architecture(width).config,
        "setting": asdict(setting),
        "seed": seed,
        "images": images.hexdigest(),
    }
    return json.loads(json.dumps(source))

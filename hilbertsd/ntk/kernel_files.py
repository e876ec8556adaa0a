"""Empirical kernels in files, one pair of files for every seed, so that a run may be killed and resumed.

    pairs = stored_grams(Path("kernels"), architecture("wrn-10-1"), images, test_images, seeds=range(10))
    train, cross = pairs[0]  # of seed 0: (n, n) and (m, n), read from the files if they are there

Arrays are .npy files; a JSON file beside them says what they were computed from.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidFile
from hilbertsd.networks.architectures import Architecture
from hilbertsd.ntk.empirical import empirical_grams
from hilbertsd.support.files import atomic_write, output_folder, write_json

PARTS = ("train", "cross")


def stored_grams(
    folder: Path, architecture: Architecture, images: NDArray[Any], others: NDArray[Any], seeds: Sequence[int]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Single-logit kernels of all seeds, read from a folder; those it does not have are computed and written first.

    Parameters
    ----------
    folder : folder of the files; it is made if it does not exist. For seed 0 it holds seed-0-train.npy,
        seed-0-cross.npy and seed-0.json, which is written last and says what the arrays were computed from.
    architecture, images, others, seeds : see :func:`hilbertsd.ntk.empirical_grams`.

    Returns
    -------
    For every seed (n, n) and (m, n), float32.

    Raises
    ------
    InvalidFile
        The folder holds kernels of other images or networks, or files that cannot be read or written.
    InvalidInput, MissingPackage
        As :func:`hilbertsd.ntk.empirical_grams`.
    """
    folder = output_folder(folder)
    descriptions = {seed: _description(architecture, images, others, seed) for seed in seeds}
    missing = [seed for seed in seeds if not _is_stored(folder, seed, descriptions[seed])]
    computed = empirical_grams(architecture, images, others, seeds=missing)
    for seed, pair in zip(missing, computed, strict=True):
        for part, values in zip(PARTS, pair, strict=True):
            with atomic_write(_array(folder, seed, part)) as partial, partial.open("wb") as file:
                np.save(file, values, allow_pickle=False)
        write_json(_record(folder, seed), descriptions[seed])
    n, m = len(images), len(others)
    return [(_read(folder, seed, "train", (n, n)), _read(folder, seed, "cross", (m, n))) for seed in seeds]


def _description(architecture: Architecture, images: NDArray[Any], others: NDArray[Any], seed: int) -> dict[str, Any]:
    return {
        "architecture": architecture.config,
        "seed": seed,
        "form": "single-logit",
        "images": _digest(images),
        "others": _digest(others),
    }


def _digest(array: NDArray[Any]) -> str:
    """Shape and hash of images, in float32 as the network gets them."""
    values = np.ascontiguousarray(array, dtype="<f4")
    return f"{' × '.join(map(str, values.shape))}, sha256 {hashlib.sha256(values.tobytes()).hexdigest()}"


def _is_stored(folder: Path, seed: int, description: dict[str, Any]) -> bool:
    path = _record(folder, seed)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        different = [name for name in description if stored.get(name) != description[name]]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidFile(f"{path} does not say what its kernels are ({error}); delete {folder}") from error
    if different:
        raise InvalidFile(
            f"{path} describes kernels of other {', '.join(different)}; give another folder, or delete {folder}"
        )
    return True


def _read(folder: Path, seed: int, part: str, shape: tuple[int, int]) -> NDArray[np.float32]:
    path = _array(folder, seed, part)
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidFile(
            f"{path} cannot be read: {error}; delete {_record(folder, seed)} to compute it anew"
        ) from error
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype != np.float32:
        raise InvalidFile(
            f"{path} does not hold a float32 matrix of {shape[0]} × {shape[1]}; delete {_record(folder, seed)} to "
            "compute it anew"
        )
    return values


def _array(folder: Path, seed: int, part: str) -> Path:
    return folder / f"seed-{seed}-{part}.npy"


def _record(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}.json"

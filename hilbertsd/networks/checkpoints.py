"""A folder of chains of networks: every finished round of every seed, and the states of those in training.

    folder = ChainFolder(path, problem.description())
    folder.finished(round=0, seed=3)      # what that network became, or None
    folder.state(round=1, like=state)     # where training of these seeds was interrupted, or None

Files are written whole or not at all, and a finished one is never written again.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidFile
from hilbertsd.networks.jax_backend import jax, jnp
from hilbertsd.networks.training import State
from hilbertsd.support.array_files import read_arrays, write_arrays
from hilbertsd.support.files import output_folder, write_json

ROUND_FORMAT, STATE_FORMAT = "hilbertsd.NetworkRound/2", "hilbertsd.TrainingState/1"


@dataclass(frozen=True, eq=False)
class FinishedNetwork:
    """A network at the end of its training.

    Attributes
    ----------
    parameters, statistics : leaves of the states of NNX by name.
    train_outputs : (n, k) for the training images as they are, without augmentation.
    test_outputs : (m, k).
    error : against the round's own targets, on the training images.
    steps : number of steps taken.
    seconds : time that they took.
    made_with : versions, machine, device and flags with which its training ended.
    """

    parameters: dict[str, NDArray[Any]]
    statistics: dict[str, NDArray[Any]]
    train_outputs: NDArray[Any]
    test_outputs: NDArray[Any]
    error: float
    steps: int
    seconds: float
    made_with: dict[str, Any]


class ChainFolder:
    """Folder of one configuration.

    Parameters
    ----------
    folder : made if it does not exist.
    description : everything that its networks depend on but seed and round, ready for JSON.

    Raises InvalidFile where the folder holds another configuration, naming what differs, or cannot be used.
    """

    def __init__(self, folder: Path, description: Mapping[str, Any]) -> None:
        self.folder = output_folder(folder)
        _check_same(self.folder, description)

    def finished(self, round: int, seed: int) -> FinishedNetwork | None:  # noqa: A002
        """Network of a round and a seed, None where it is not finished; raises InvalidFile for a damaged file."""
        path = self._path(round, seed)
        return read_arrays(path, ROUND_FORMAT, _finished) if path.exists() else None

    def outputs(self, round: int, seed: int) -> FinishedNetwork:  # noqa: A002
        """A finished network without its parameters, which are most of its memory."""
        network = self.finished(round, seed)
        assert network is not None  # rounds are trained in their order, and none is deleted
        return replace(network, parameters={}, statistics={})

    def is_finished(self, round: int, seed: int) -> bool:  # noqa: A002
        """Whether the network of a round and a seed is there."""
        return self._path(round, seed).exists()

    def write(self, round: int, seed: int, network: FinishedNetwork) -> None:  # noqa: A002
        """Store a finished network."""
        arrays = {
            **{f"parameters/{name}": array for name, array in network.parameters.items()},
            **{f"statistics/{name}": array for name, array in network.statistics.items()},
            "train_outputs": network.train_outputs,
            "test_outputs": network.test_outputs,
        }
        metadata = {name: getattr(network, name) for name in _METADATA}
        write_arrays(self._path(round, seed), ROUND_FORMAT, metadata, arrays)

    def state(self, round: int, like: State) -> tuple[State, float] | None:  # noqa: A002
        """Stored state of the seeds of another state in a round, with the seconds spent; None where there is none.

        Raises InvalidFile for a damaged file.
        """
        path = self._state_path(like.seeds)

        def restored(arrays: dict[str, NDArray[Any]], metadata: dict[str, Any]) -> tuple[State, float] | None:
            if metadata["round"] != round:
                return None
            trees = {name: unflattened(getattr(like, name), arrays, f"{name}/") for name in _TREES}
            plain = {name: arrays[name] for name in ("error", "stopped_at")}
            return replace(like, step=metadata["step"], **trees, **plain), metadata["seconds"]

        return read_arrays(path, STATE_FORMAT, restored) if path.exists() else None

    def write_state(self, round: int, state: State, seconds: float) -> None:  # noqa: A002
        """Store a state from which a killed run goes on."""
        arrays = {"error": state.error, "stopped_at": state.stopped_at}
        for name in _TREES:
            arrays |= {f"{name}/{leaf}": array for leaf, array in flattened(getattr(state, name)).items()}
        metadata = {"round": round, "step": state.step, "seconds": seconds}
        write_arrays(self._state_path(state.seeds), STATE_FORMAT, metadata, arrays)

    def drop_state(self, state: State) -> None:
        """Delete the state of networks that are finished."""
        self._state_path(state.seeds).unlink(missing_ok=True)

    def _path(self, round: int, seed: int) -> Path:  # noqa: A002
        return self.folder / _file_name(round, seed)

    def _state_path(self, seeds: tuple[int, ...]) -> Path:
        return self.folder / f"training-{'-'.join(map(str, seeds))}.npz"


_METADATA = ("error", "steps", "seconds", "made_with")
"""Attributes of a network that are stored as JSON."""

_TREES = ("parameters", "statistics", "optimiser", "log_penalty")


def stored_network(folder: str | os.PathLike[str], *, round: int, seed: int) -> FinishedNetwork:  # noqa: A002
    """Network of a round and a seed that :func:`hilbertsd.networks.distill_network` keeps in a folder.

    Its `parameters` are what :func:`hilbertsd.ntk.empirical_grams` takes; of a centred network the `statistics` are the
    initial parameters.

    Raises InvalidFile where it is not there, or damaged.
    """
    return read_arrays(Path(folder) / _file_name(round, seed), ROUND_FORMAT, _finished)


def flattened(tree: Any) -> dict[str, NDArray[Any]]:
    """Arrays of a tree by the names of their places, such as "layers.3.weights"; a copy."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {_name(path): np.array(leaf) for path, leaf in leaves}


def unflattened(like: Any, arrays: Mapping[str, NDArray[Any]], prefix: str = "") -> Any:
    """Tree with the structure of another and the arrays of :func:`flattened`.

    Raises ValueError where an array is missing or has another shape.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    new = []
    for path, leaf in leaves:
        array = arrays.get(prefix + _name(path))
        if array is None or array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise ValueError(f"it has no {leaf.dtype} array {prefix + _name(path)} of shape {leaf.shape}")
        new.append(jnp.array(array))
    return jax.tree_util.tree_unflatten(structure, new)


def digest(array: NDArray[Any] | None) -> str | None:
    """Shape and hash of an array as float32."""
    if array is None:
        return None
    values = np.ascontiguousarray(array, dtype="<f4")
    return f"{' × '.join(map(str, values.shape))}, sha256 {hashlib.sha256(values.data).hexdigest()}"


def _file_name(round: int, seed: int) -> str:  # noqa: A002
    return f"seed-{seed}-round-{round}.npz"


def _name(path: Any) -> str:
    words = [str(getattr(entry, "key", getattr(entry, "idx", getattr(entry, "name", entry)))) for entry in path]
    return ".".join(word for word in words if word != "value") or "value"


def _finished(arrays: dict[str, NDArray[Any]], metadata: dict[str, Any]) -> FinishedNetwork:
    parts: dict[str, dict[str, NDArray[Any]]] = {"parameters": {}, "statistics": {}}
    for name, array in arrays.items():
        part, _, leaf = name.partition("/")
        if leaf:
            parts[part][leaf] = array
    return FinishedNetwork(
        **parts,
        train_outputs=arrays["train_outputs"],
        test_outputs=arrays["test_outputs"],
        **{name: metadata[name] for name in _METADATA},
    )


def _check_same(folder: Path, description: Mapping[str, Any]) -> None:
    path = folder / "chain.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        different = [
            f"{part} {name}".strip()
            for part, value in (dict.fromkeys(stored) | dict(description)).items()  # what is usual is left out
            for name, one, other in _compared(value, stored.get(part))
            if one != other
        ]
    except FileNotFoundError:
        write_json(path, description)
        return
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidFile(f"{path} does not say what its networks are ({error}); delete {folder}") from error
    if different:
        raise InvalidFile(
            f"{folder} holds networks of another configuration: {', '.join(different)}; give another folder, or delete "
            "it"
        )


def _compared(value: Any, stored: Any) -> list[tuple[str, Any, Any]]:
    """Entries of a part of a description beside the stored ones, with what differs in words."""
    if not isinstance(value, Mapping):
        return [("", value, stored)]
    stored = stored if isinstance(stored, Mapping) else {}
    names = [*value, *(name for name in stored if name not in value)]
    return [
        (f"{name} is {value.get(name)!r} and was {stored.get(name)!r}", value.get(name), stored.get(name))
        for name in names
    ]

"""NetworkPath: trained networks distilled into themselves round after round, one array entry per round and seed.

    path = distill_network(architecture("resnet-8", normalisation="batch"), images, labels, rounds=8, seeds=range(5))
    for row in path.rows():
        print(row["round"], row["train_accuracy"], row["test_accuracy"])
    path.save("path")

The sibling of :class:`hilbertsd.DistillationPath`, in the same words. MFB: Mobahi, Farajtabar, Bartlett (2020),
arXiv:2002.05715.
"""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.networks.architectures import architecture
from hilbertsd.support.array_files import read_arrays, write_arrays

FILE_FORMAT = "hilbertsd.NetworkPath/2"

MEASURES = (
    "train_accuracy",
    "test_accuracy",
    "train_loss",
    "test_loss",
    "training_error",
    "agreement",
    "test_agreement",
)

METADATA = ("config", "made_with")
"""Attributes of a path that are no arrays."""


@dataclass(frozen=True, eq=False, repr=False)
class NetworkPath:
    """Chains of T networks for S seeds, each trained on the outputs of the one before.

    Attributes
    ----------
    config : architecture, loss, training and data, ready for JSON.
    made_with : versions, machine, device and flags with which the training of networks ended, ready for JSON; one
        entry where all are the same.
    seeds : (S,) seeds.
    targets : (T, S, n, k) targets of every round.
    train_outputs : (T, S, n, k) outputs for the training images as they are.
    test_outputs : (T, S, m, k) outputs for the test images; m = 0 without any.
    labels, test_labels : (n,) and (m,) original labels.
    train_accuracy, test_accuracy : (T, S) against the original labels; NaN without test images.
    train_loss, test_loss : (T, S) the round's loss against the original labels.
    training_error : (T, S) the round's loss against its own targets; what a tolerance is for.
    agreement : (T, S) share of the training images to which a network and its teacher (in round 0 the labels) give the
        same class.
    test_agreement : (T, S) the same share of the test images.
    steps : (T, S) numbers of steps taken.
    """

    config: dict[str, Any]
    made_with: list[dict[str, Any]]
    seeds: NDArray[np.int64]
    targets: NDArray[np.float32]
    train_outputs: NDArray[np.float32]
    test_outputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    test_labels: NDArray[np.int64]
    train_accuracy: NDArray[np.float64]
    test_accuracy: NDArray[np.float64]
    train_loss: NDArray[np.float64]
    test_loss: NDArray[np.float64]
    training_error: NDArray[np.float64]
    agreement: NDArray[np.float64]
    test_agreement: NDArray[np.float64]
    steps: NDArray[np.int64]

    @property
    def n_rounds(self) -> int:
        """Number T of rounds."""
        return len(self.train_accuracy)

    @property
    def test_correct(self) -> NDArray[np.bool_]:
        """(T, S, m) whether each test image is classified as it is labelled."""
        return self.test_outputs.argmax(axis=-1) == self.test_labels

    def rows(self) -> Iterator[dict[str, float | int]]:
        """One dictionary per round: means over seeds, and standard deviations (n − 1) where there are several."""
        for t in range(self.n_rounds):
            row: dict[str, float | int] = {"round": t}
            for name in MEASURES:
                values = getattr(self, name)[t]
                row[name] = float(values.mean())
                if len(values) > 1:
                    row[f"{name}_deviation"] = float(values.std(ddof=1))
            yield row

    def to_dict(self) -> dict[str, Any]:
        """Configuration, versions, seeds and measures by round and seed, for JSON; None where there is no number."""
        measures = {
            name: [[float(v) if np.isfinite(v) else None for v in row] for row in getattr(self, name)]
            for name in MEASURES
        }
        made = {"made_with": self.made_with, "seeds": self.seeds.tolist()}
        return {**self.config, **made, **measures, "steps": self.steps.tolist()}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the path to one .npz file without pickle and return its name; raises InvalidFile where it cannot be."""
        arrays = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in METADATA}
        return write_arrays(path, FILE_FORMAT, {name: getattr(self, name) for name in METADATA}, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a path that :meth:`save` wrote; raises InvalidFile for a file that is missing or damaged."""
        return read_arrays(
            path,
            FILE_FORMAT,
            lambda arrays, metadata: cls(config=metadata["config"], made_with=metadata["made_with"], **arrays),
        )

    def __repr__(self) -> str:
        T, S, n, k = self.targets.shape
        network = architecture(**self.config["architecture"]).name
        return f"NetworkPath({network}, {T} rounds, {S} seeds, {n} training images of {k} classes)"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in ("round", *MEASURES))
        body = ""
        for row in self.rows():
            cells = [f"<td>{row['round']}</td>"]
            for name in MEASURES:
                spread = row.get(f"{name}_deviation")
                cells.append(f"<td>{row[name]:.4g}{'' if spread is None else f' ± {spread:.2g}'}</td>")
            body += f"<tr>{''.join(cells)}</tr>"
        return (
            f"<table><caption>{html.escape(repr(self))}; mean ± standard deviation over seeds</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

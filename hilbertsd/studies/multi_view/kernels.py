"""Tangent kernels on the same data: their uses with ridge, by the number of samples, and the infinite one's path.

    measured = stored(folder, setting, sizes, draw=0, seed=0)
    measured.uses[finite(12)]["single"]          # (sizes,) errors in units of μ

Every use has the strengths, of teacher and student, with the lowest error on validation samples of their own.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.multi_view import ViewSamples
from hilbertsd.ntk.ensembles import FILTERS, members_and_average, six_uses
from hilbertsd.studies.multi_view.parts import network_seeds, short_name, source_of, wrong
from hilbertsd.studies.multi_view.presets import KernelSizes, Setting
from hilbertsd.support.array_files import check_source, read_arrays, write_arrays

FORMAT = "hilbertsd.MultiViewKernels/1"

INFINITE = "infinite kernel"

TOLERANCE = 0.1
"""ε of the path, as a share of the targets' mean square."""

MULTIPLES = tuple(float(each) for each in np.logspace(-3, 3, 7))
"""Strengths of ridge, in mean eigenvalues."""


@dataclass(frozen=True, eq=False)
class KernelErrors:
    """Errors of kernels on one draw, in units of μ.

    Attributes
    ----------
    uses : by kernel and use, (sizes,) mean errors of its networks, by number of training samples.
    path : (T,) errors of the infinite kernel's path on all training samples, by round until it collapses.
    """

    uses: dict[str, dict[str, NDArray[np.float64]]]
    path: NDArray[np.float64]


def finite(neurons: int) -> str:
    """Name of the tangent kernels of networks with so many neurons a class."""
    return f"tangent kernel, {neurons} neuron{'s' if neurons > 1 else ''} a class"


def stored(folder: Path, setting: Setting, sizes: KernelSizes, draw: int, seed: int) -> KernelErrors:
    """Errors on one draw: read from their file in a folder, or found and written.

    Raises InvalidFile where the file is of another configuration, damaged, or cannot be written.
    """
    source = source_of(setting=setting, sizes=sizes, draw=draw, seed=seed)
    path = folder / f"kernels-{short_name(setting)}-draw-{draw}.npz"
    if path.exists():
        arrays, found = read_arrays(path, FORMAT, lambda arrays, metadata: (arrays, metadata))
        check_source(path, found["source"], source)
    else:
        arrays = _measured(setting, sizes, draw, seed)
        write_arrays(path, FORMAT, {"source": source}, arrays)
    uses: dict[str, dict[str, NDArray[np.float64]]] = {}
    for key in arrays:
        if key != "path":
            kernel, _, use = key.partition("/")
            uses.setdefault(kernel, {})[use] = arrays[key]
    return KernelErrors(uses, arrays["path"])


def _measured(setting: Setting, sizes: KernelSizes, draw: int, seed: int) -> dict[str, NDArray[np.float64]]:
    from hilbertsd.data.images import one_hot
    from hilbertsd.distillation.chain import distill
    from hilbertsd.views.kernels import infinite_grams, tangent_grams

    data, first = setting.data, 1_000_000 * seed + 10 * draw
    train = data.draw(max(sizes.n_train), first)
    held = Held.of(setting, sizes.test, first + 3)
    given = (setting.network, train.features, held.features, data.noise)
    infinite = infinite_grams(*given)
    kernels = {INFINITE: [infinite]}
    for neurons in sizes.neurons:
        network = replace(setting.network, neurons=neurons)
        kernels[finite(neurons)] = [
            tangent_grams(network, *given[1:], seed=each) for each in network_seeds(seed, draw, sizes.networks)
        ]
    targets = one_hot(train.labels, data.n_classes, centred=True)
    found = {}
    for name, grams in kernels.items():
        by_size = [_errors(grams, targets[:n], held) for n in sizes.n_train]
        found |= {f"{name}/{use}": np.array([each[use] for each in by_size]) for use in by_size[0]}
    path = distill(infinite[0], targets, relative_tolerance=TOLERANCE)
    outputs = np.stack([path.predict(infinite[1], t) for t in range(path.n_rounds)])
    return {**found, "path": held.errors(outputs)[1]}


@dataclass(frozen=True, eq=False)
class Held:
    """Samples that are not fitted: single- and multi-view ones to validate on, then as many to test on.

    Attributes
    ----------
    parts : the four samples, of one size.
    share : μ.
    """

    parts: list[ViewSamples]
    share: float

    @classmethod
    def of(cls, setting: Setting, size: int, seed: int) -> "Held":
        """Samples of a setting, from four seeds beginning with one."""
        data = setting.data
        return cls([data.draw(size, seed + i, single=i % 2 == 0) for i in range(4)], data.single_view_share)

    @property
    def features(self) -> NDArray[np.float64]:
        """(m, P, 2k) of all samples."""
        return np.concatenate([each.features for each in self.parts])

    def errors(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(2, …) errors in units of μ on validation and test samples, from (…, m, k) outputs."""
        parts = zip(np.split(outputs, 4, axis=-2), self.parts, strict=True)
        single, multi, *rest = (wrong(each, samples).mean(axis=-1) for each, samples in parts)
        of_multi = (1 - self.share) / self.share
        return np.stack([single + of_multi * multi, rest[0] + of_multi * rest[1]])


def _errors(grams: list[Any], targets: NDArray[np.float64], held: Held) -> dict[str, float]:
    """By use, the mean error over networks with the strengths that are best on the validation samples."""
    n = len(targets)
    members, average = members_and_average((train[:n, :n], cross[:, :n]) for train, cross in grams)
    outputs = six_uses(members, average, targets, FILTERS["ridge"], MULTIPLES)
    found = {}
    for use, each in outputs.items():
        validation, test = held.errors(each).mean(axis=-1).reshape(2, -1)
        found[use] = float(test[validation.argmin()])
    return found

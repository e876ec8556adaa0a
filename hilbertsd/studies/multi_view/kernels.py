"""Tangent kernels on the same data: their uses with ridge by the number of samples, and their paths.

    measured = stored(folder, setting, sizes, draw=0, seed=0)
    measured.uses[finite(12)]["single"]          # (sizes, 2) errors on single- and on multi-view samples

Every use has the strengths, of teacher and student, with the lowest squared error on validation samples. A kernel is
the mean over the neurons of all classes and serves all outputs.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.images import one_hot
from hilbertsd.data.multi_view import ViewSamples
from hilbertsd.ntk.ensembles import FILTERS, members_and_average, six_uses
from hilbertsd.studies.multi_view.parts import first_seed, network_seeds, short_name, source_of, wrong
from hilbertsd.studies.multi_view.presets import KernelSizes, Setting
from hilbertsd.support.array_files import check_source, read_arrays, write_arrays

FORMAT = "hilbertsd.MultiViewKernels/1"

INFINITE, PATH = "infinite kernel", "path"

TOLERANCE = 0.1
"""ε of the path, as a share of the targets' mean square."""

MULTIPLES = tuple(float(each) for each in np.logspace(-3, 3, 7))
"""Strengths of ridge, in mean eigenvalues."""


@dataclass(frozen=True, eq=False)
class KernelErrors:
    """Errors of kernels on one draw.

    Attributes
    ----------
    uses : by kernel and use, (sizes, 2) errors on single- and on multi-view test samples, the mean over its networks,
        by number of training samples.
    paths : by kernel, (T, 2) errors of the path of the infinite one, or of the first network's, on all training
        samples, by round until it collapses.
    """

    uses: dict[str, dict[str, NDArray[np.float64]]]
    paths: dict[str, NDArray[np.float64]]


def finite(neurons: int) -> str:
    """Name of the tangent kernels of networks with so many neurons a class."""
    return f"tangent kernel, {neurons} neuron{'s' if neurons > 1 else ''} a class"


def stored(folder: Path, setting: Setting, sizes: KernelSizes, draw: int, seed: int) -> KernelErrors:
    """Errors on one draw: read from their file in a folder, or found and written.

    Raises InvalidFile where the file is of another configuration, damaged, or cannot be written.
    """
    source = source_of(setting=setting, sizes=sizes, draw=draw, seed=seed, how=[TOLERANCE, *MULTIPLES])
    path = folder / f"kernels-{short_name(setting)}-draw-{draw}.npz"
    if path.exists():
        arrays, found = read_arrays(path, FORMAT, lambda arrays, metadata: (arrays, metadata))
        check_source(path, found["source"], source)
    else:
        arrays = _measured(setting, sizes, draw, seed)
        write_arrays(path, FORMAT, {"source": source}, arrays)
    by_kernel: dict[str, dict[str, NDArray[np.float64]]] = {}
    for key, values in arrays.items():
        kernel, _, use = key.partition("/")
        by_kernel.setdefault(kernel, {})[use] = values
    return KernelErrors(by_kernel, {kernel: uses.pop(PATH) for kernel, uses in by_kernel.items()})


def _measured(setting: Setting, sizes: KernelSizes, draw: int, seed: int) -> dict[str, NDArray[np.float64]]:
    from hilbertsd.distillation.chain import distill
    from hilbertsd.views.kernels import infinite_grams, tangent_grams

    data, first = setting.data, first_seed(seed, draw)
    train, largest = data.draw(setting.n_train, first), max(sizes.n_train)
    held = Held.of(setting, sizes.held, first + 3)
    given = (setting.network, train.features[:largest], held.features, data.noise)
    infinite = infinite_grams(*given)
    kernels = {INFINITE: [infinite]}
    for neurons in sizes.neurons:
        network = replace(setting.network, neurons=neurons)
        kernels[finite(neurons)] = [
            tangent_grams(network, *given[1:], seed=each) for each in network_seeds(seed, draw, sizes.networks)
        ]
    targets = one_hot(train.labels[:largest], data.n_classes, centred=True)
    found = {}
    for name, grams in kernels.items():
        by_size = [_errors(grams, targets[:n], held) for n in sizes.n_train]
        found |= {f"{name}/{use}": np.stack([each[use] for each in by_size]) for use in by_size[0]}
        gram, cross = grams[0]
        path = distill(gram, targets, relative_tolerance=TOLERANCE)
        outputs = np.stack([path.predict(cross, t) for t in range(path.n_rounds)])
        found[f"{name}/{PATH}"] = held.errors(outputs).T
    return found


class Held(NamedTuple):
    """Samples that are not fitted: single- and multi-view ones to validate on, then as many to test on."""

    parts: list[ViewSamples]

    @classmethod
    def of(cls, setting: Setting, size: int, seed: int) -> "Held":
        """So many samples of each of the four, from as many seeds beginning with one."""
        return cls([setting.data.draw(size, seed + i, single=i % 2 == 0) for i in range(4)])

    @property
    def features(self) -> NDArray[np.float64]:
        """(4 size, P, 2k) of all samples."""
        return np.concatenate([each.features for each in self.parts])

    def errors(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(2, …) errors on single- and on multi-view test samples, from (…, 4 size, k) outputs."""
        tested = np.split(outputs, 4, axis=-2)[2:]
        return np.stack([wrong(each, part).mean(axis=-1) for each, part in zip(tested, self.parts[2:], strict=True)])

    def squared_error(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """(…) mean squared error on the validation samples, from (…, 4 size, k) outputs."""
        labels = np.concatenate([each.labels for each in self.parts[:2]])
        k = outputs.shape[-1]
        targets = one_hot(labels, k, centred=True)
        return ((outputs[..., : len(labels), :] - targets) ** 2).mean(axis=(-2, -1))


def _errors(grams: list[Any], targets: NDArray[np.float64], held: Held) -> dict[str, NDArray[np.float64]]:
    """By use, (2,) errors, the mean over networks, with the strengths that are best on the validation samples."""
    n = len(targets)
    members, average = members_and_average((train[:n, :n], cross[:, :n]) for train, cross in grams)
    outputs = six_uses(members, average, targets, FILTERS["ridge"], MULTIPLES)
    found = {}
    for use, each in outputs.items():
        best = held.squared_error(each).mean(axis=-1).argmin()
        found[use] = held.errors(each).mean(axis=-1).reshape(2, -1)[:, best]
    return found

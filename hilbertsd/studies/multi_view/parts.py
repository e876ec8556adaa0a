"""One part of the study: the networks of one setting on one draw of the data, trained, or read from its file.

    measured = stored(folder, setting, counts, loss, draw=0, seed=0, test=(2000, 20000))
    measured["knowledge distillation"].error(setting.data.single_view_share)    # (K,) errors in units of μ

Networks are kept in a folder each, so that a killed run goes on; what is measured on them is kept in a file.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.multi_view import ViewSamples
from hilbertsd.studies.multi_view.presets import DESCENT, Counts, Setting
from hilbertsd.support.array_files import check_source, read_arrays, write_arrays
from hilbertsd.views.losses import ViewLoss

FORMAT = "hilbertsd.MultiViewPart/1"

SEEDS_APART, DRAWS_APART = 20_000, 100
"""Seeds of networks from one seed of the study to the next, and from one draw to the next."""

OVER_TIME = ("single", "knowledge distillation", "self-distillation")
"""Uses of whose first network the strengths are kept over time."""


class Draw(NamedTuple):
    """Samples of one draw: to train on, and single- and multi-view ones to test on."""

    train: ViewSamples
    single: ViewSamples
    multi: ViewSamples

    @classmethod
    def of(cls, setting: Setting, draw: int, seed: int, test: tuple[int, int]) -> "Draw":
        """Samples of a setting, each part from a seed of its own."""
        first, data = first_seed(seed, draw), setting.data
        return cls(
            data.draw(setting.n_train, first),
            data.draw(test[0], first + 1, single=True),
            data.draw(test[1], first + 2, single=False),
        )


@dataclass(frozen=True, eq=False)
class Measured:
    """Networks of one use on one draw.

    Attributes
    ----------
    single, multi : (J,) error on single-view test samples, and on multi-view ones.
    seen, missing : (J,) error on single-view test samples that show a view that the network knows, and on the others;
        NaN where there are none. An ensemble knows what one of its networks knows.
    strengths : (J, k, 2) largest correlation of a class's neurons with its views; of an ensemble the mean.
    learned : (J, k, 2) 1 for a view that counts as learned, else 0; of an ensemble the share of its networks.
    steps, settled, accuracies : (J,) number of steps, whether training came to its end, and accuracy on the training
        samples; None for an ensemble.
    starts : (J, k, 2) strengths after the first ten steps; None for an ensemble.
    over_time : (R, k, 2) strengths of the first network every ten steps for the uses `OVER_TIME`, else None.
    """

    single: NDArray[np.float64]
    multi: NDArray[np.float64]
    seen: NDArray[np.float64]
    missing: NDArray[np.float64]
    strengths: NDArray[np.float64]
    learned: NDArray[np.float64]
    steps: NDArray[np.float64] | None = None
    settled: NDArray[np.float64] | None = None
    accuracies: NDArray[np.float64] | None = None
    starts: NDArray[np.float64] | None = None
    over_time: NDArray[np.float64] | None = None

    def error(self, share: float) -> NDArray[np.float64]:
        """(J,) error on the whole distribution, in units of the share μ of single-view samples."""
        return error_over_share(self.single, self.multi, share)


def error_over_share(single: Any, multi: Any, share: float) -> Any:
    """Error on the whole distribution over μ, from those on single- and on multi-view samples."""
    return single + (1 - share) / share * multi


def stored(
    folder: Path, setting: Setting, counts: Counts, loss: ViewLoss, draw: int, seed: int, test: tuple[int, int]
) -> dict[str, Measured]:
    """By use, what is measured on one draw: read from its file in a folder, or trained and written.

    Raises InvalidFile where the file is of another configuration, damaged, or cannot be written.
    """
    from hilbertsd.views.descent import ViewDescent
    from hilbertsd.views.trained import LEARNED
    from hilbertsd.views.uses import PATIENCE, train_view_uses

    given = {"setting": setting, "counts": replace(counts, draws=1), "loss": loss, "draw": draw, "seed": seed}
    source = source_of(**given, test=test, patience=PATIENCE, learned=LEARNED)
    place = folder / f"{short_name(setting)}-draw-{draw}"
    path = place.with_suffix(".npz")
    if path.exists():
        arrays, found = read_arrays(path, FORMAT, lambda arrays, metadata: (arrays, metadata))
        check_source(path, found["source"], source)
        return _unpacked(arrays)
    samples = Draw.of(setting, draw, seed, test)
    uses = train_view_uses(
        setting.network,
        samples.train.features,
        samples.train.labels,
        noise=setting.data.noise,
        seeds=network_seeds(seed, draw, counts.networks),
        loss=loss,
        n_students=counts.students,
        without=counts.without,
        descent=ViewDescent(**DESCENT),
        folder=place,
    )
    measured = _measured(uses, samples, seed)
    write_arrays(path, FORMAT, {"source": source}, _packed(measured))
    return measured


def first_seed(seed: int, draw: int) -> int:
    """Seed of the training samples of a draw; those of its other samples follow."""
    return 1_000_000 * seed + 10 * draw


def network_seeds(seed: int, draw: int, n_networks: int) -> range:
    """Seeds of the single networks of a draw."""
    first = SEEDS_APART * seed + DRAWS_APART * draw
    return range(first, first + n_networks)


def short_name(setting: Setting) -> str:
    """Name of a setting's files."""
    text = json.dumps(asdict(setting), sort_keys=True)
    return f"k-{setting.data.n_classes}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def source_of(**parts: Any) -> dict[str, Any]:
    """What a part depends on, as JSON gives it back."""
    return json.loads(json.dumps({**parts, "descent": DESCENT}, default=asdict))


def wrong(outputs: NDArray[Any], samples: ViewSamples) -> NDArray[np.bool_]:
    """(J, m) which samples J networks with (J, m, k) outputs get wrong."""
    return outputs.argmax(axis=-1) != samples.labels


def _measured(uses: Any, samples: Draw, seed: int) -> dict[str, Measured]:
    """By use, what is measured on `hilbertsd.views.ViewUses`."""
    from hilbertsd.ntk.ensembles import MEANS

    outputs = [uses.outputs(part.features, seed + place) for place, part in enumerate((samples.single, samples.multi))]
    found = {}
    for use in outputs[0]:
        networks = uses.networks[MEANS.get(use, use)]
        strengths = np.stack([each.strengths[-1] for each in networks]).astype(np.float64)
        learned = np.stack([each.learned for each in networks]).astype(np.float64)
        own: dict[str, Any] = {}
        if use in MEANS:
            strengths, learned = (each.mean(axis=0, keepdims=True) for each in (strengths, learned))
        else:
            own = {
                "steps": np.array([each.steps for each in networks], float),
                "settled": np.array([each.settled for each in networks], float),
                "accuracies": np.array([each.accuracies[-1] for each in networks], float),
                "starts": np.stack([each.strengths[0] for each in networks]).astype(np.float64),
            }
        if use in OVER_TIME:
            own["over_time"] = networks[0].strengths.astype(np.float64)
        single, multi = (wrong(each[use], part) for each, part in zip(outputs, samples[1:], strict=True))
        known = learned[:, samples.single.labels, samples.single.shown] > 0
        found[use] = Measured(
            single.mean(axis=1),
            multi.mean(axis=1),
            _mean_where(single, known),
            _mean_where(single, ~known),
            strengths,
            learned,
            **own,
        )
    return found


def _mean_where(values: NDArray[np.bool_], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(J,) mean of each row of (J, m) values over some of its places; NaN where there is no place."""
    counts = where.sum(axis=1)
    return np.divide((values & where).sum(axis=1), counts, out=np.full(len(values), np.nan), where=counts > 0)


def _packed(measured: dict[str, Measured]) -> dict[str, NDArray[np.float64]]:
    """Arrays by the names of use and measure."""
    by_use = {use: vars(each).items() for use, each in measured.items()}
    return {f"{use}/{name}": each for use, some in by_use.items() for name, each in some if each is not None}


def _unpacked(arrays: dict[str, NDArray[Any]]) -> dict[str, Measured]:
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for key, values in arrays.items():
        use, _, name = key.partition("/")
        found.setdefault(use, {})[name] = values
    return {use: Measured(**each) for use, each in found.items()}

"""Which data, networks and kernels the multi-view study takes, and how networks are trained."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hilbertsd.data.multi_view import MultiView
from hilbertsd.errors import InvalidInput
from hilbertsd.studies import form
from hilbertsd.studies.multi_view.controls import CONTROLS, Control
from hilbertsd.views.losses import ViewLoss
from hilbertsd.views.network import ViewNetwork

DESCENT = {"rate": 1.6, "relative_change": 0.3, "least_change": 0.04, "noise_change": 1.2, "most_steps": 20_000}
"""Options of :class:`hilbertsd.views.ViewDescent`: longer steps than by default, and a third as many for a student. In
a trial with half of them or less networks learned the same views."""

AVERAGE, LONGER = "train the average", "longer training"
"""Names of two uses in `hilbertsd.views`, which need not be trained."""


@dataclass(frozen=True)
class Setting:
    """Data of one distribution and the networks that are trained on it.

    Attributes
    ----------
    data : distribution of the samples.
    n_train : N, number of training samples of a draw.
    network : a single network.
    """

    data: MultiView
    n_train: int
    network: ViewNetwork

    def __post_init__(self) -> None:
        if self.data.n_classes != self.network.n_classes:
            raise InvalidInput(f"data have {self.data.n_classes} classes and networks {self.network.n_classes}")

    def __str__(self) -> str:
        data, network = self.data, self.network
        return (
            f"k = {data.n_classes}, m = {network.neurons}, μ = {data.single_view_share:g}, q = {network.power}, σ_0 = "
            f"{network.initial_scale:g}, N = {self.n_train}"
        )

    def with_classes(self, k: int) -> "Setting":
        """The same for k classes: as many samples of a class, and patches for the views that appear."""
        patches = least_patches(replace(self.data, n_patches=2 * k, n_classes=k))
        data = replace(self.data, n_classes=k, n_patches=patches)
        return Setting(data, self.n_train * k // self.data.n_classes, replace(self.network, n_classes=k))

    def with_network(self, **options: Any) -> "Setting":
        """The same with other options of the network."""
        return replace(self, network=replace(self.network, **options))


def least_patches(data: MultiView) -> int:
    """Smallest number of patches that holds the views of nine samples in ten."""
    for n_patches in range(2, data.n_patches):
        try:
            replace(data, n_patches=n_patches)
        except InvalidInput:
            continue
        return n_patches
    return data.n_patches


@dataclass(frozen=True)
class Counts:
    """How much of a setting is measured.

    Attributes
    ----------
    draws : number of draws of the data, each with networks of its own.
    networks, students : L and K of :func:`hilbertsd.views.train_view_uses`.
    without : uses that are left out, `AVERAGE` or `LONGER`.
    """

    draws: int
    networks: int
    students: int
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class KernelSizes:
    """Which kernels are fitted to the data of the first setting.

    Attributes
    ----------
    n_train : numbers of training samples, the first ones of the networks' training set.
    tested : the number of them at which kernels are compared with each other.
    neurons : neurons a class of the networks whose tangent kernels are taken, beside the infinite one.
    networks, draws : numbers of networks and of draws.
    held : number of validation samples, and of test samples, single- and multi-view ones alike.
    """

    n_train: tuple[int, ...]
    tested: int
    neurons: tuple[int, ...]
    networks: int
    draws: int
    held: int


@dataclass(frozen=True)
class Preset:
    """What a run computes.

    Attributes
    ----------
    main : by setting, in how many draws and networks it is measured. The loss is chosen on the first.
    sweeps : by the name of what varies, settings by its value; one setting is in all of them.
    swept : in how many draws and networks the sweeps are measured.
    losses : among which the loss of all students is chosen.
    tried : draws, of their own, and networks on which it is chosen.
    test : numbers of single- and of multi-view test samples of a draw.
    kernels : which kernels are fitted.
    controls, control_draws : data without views, and in how many draws.
    """

    main: dict[Setting, Counts]
    sweeps: dict[str, dict[float, Setting]]
    swept: Counts
    losses: tuple[ViewLoss, ...]
    tried: Counts
    test: tuple[int, int]
    kernels: KernelSizes
    controls: tuple[Control, ...]
    control_draws: int

    @property
    def first(self) -> Setting:
        """Setting from which the study starts."""
        return next(iter(self.main))

    def plan(self) -> dict[Setting, Counts]:
        """Every setting, in how many draws and networks; those of the sweeps come last."""
        swept = {setting: self.swept for settings in self.sweeps.values() for setting in settings.values()}
        return {**self.main, **{setting: counts for setting, counts in swept.items() if setting not in self.main}}


LOSSES = (
    ViewLoss("truncated", temperature=0.3),
    ViewLoss("temperature", temperature=1.0, weight=1.0),
    ViewLoss("temperature", temperature=4.0, weight=4.0),
    ViewLoss("capped", temperature=0.3, cap=0.5, weight=3.0),
)
"""The paper's truncated form, Hinton's with two temperatures, and outputs with a cap of ours."""


SCALES = {2: 3e-4, 4: 0.01}
"""σ_0 by q: with q = 4 first views take as long to appear from 0.01 as with q = 3 from 3e-4."""


def _swept(base: Setting, **values: tuple[float, ...]) -> dict[str, dict[float, Setting]]:
    """Settings that differ from one in one thing at a time, that one among them."""
    data, network = base.data, base.network
    ways = {
        "k": (data.n_classes, lambda value: base.with_classes(int(value))),
        "m": (network.neurons, lambda value: base.with_network(neurons=int(value))),
        "mu": (data.single_view_share, lambda value: replace(base, data=replace(data, single_view_share=value))),
        "q": (network.power, lambda value: base.with_network(power=int(value), initial_scale=SCALES[int(value)])),
        "sigma_0": (network.initial_scale, lambda value: base.with_network(initial_scale=value)),
        "N": (base.n_train, lambda value: replace(base, n_train=int(value))),
    }
    found = {}
    for name, others in values.items():
        own, way = ways[name]
        found[name] = {value: base if value == own else way(value) for value in sorted({own, *others})}
    return found


SMALL = Setting(
    MultiView(n_classes=4, n_patches=8, single_view_share=0.03, n_others=1.5, other_weight=(0.55, 0.6), noise=0.8),
    160,
    ViewNetwork(n_classes=4, neurons=8, initial_scale=1e-3),
)
"""With so few classes views of others have to be strong, or a student takes what is seen beside them for them."""

BASE = Setting(
    MultiView(
        n_classes=10,
        n_patches=12,
        single_view_share=0.01,
        n_others=4.0,
        missing_weight=(0.0, 0.05),
        other_weight=(0.4, 0.4),
        single_other_weight=(0.1, 0.1),
        noise=1.0,
    ),
    600,
    ViewNetwork(n_classes=10, neurons=12, threshold=1.5, initial_scale=3e-4),
)
"""Ten classes, weights as the theorem has them. A training set has a few single-view samples for twenty views, so
that networks have hardly a reason to learn second views."""

TEN = replace(BASE, data=replace(BASE.data, single_view_share=0.006), n_train=1000).with_network(
    neurons=24, initial_scale=2e-4
)
"""The same with more neurons, of which one starts near enough to every view, and more samples, as few single-view ones
among them."""

PRESETS = {
    "smoke": Preset(
        main={SMALL: Counts(draws=2, networks=4, students=2)},
        sweeps=_swept(SMALL, mu=(0.1,)),
        swept=Counts(draws=2, networks=4, students=1, without=(AVERAGE, LONGER)),
        losses=(LOSSES[0], LOSSES[3]),
        tried=Counts(draws=1, networks=4, students=1),
        test=(500, 2000),
        kernels=KernelSizes(n_train=(40, 160), tested=40, neurons=(1,), networks=3, draws=2, held=200),
        controls=(Control("gaussian, linear teacher", 200, 500, 64, 300, 2),),
        control_draws=2,
    ),
    "cpu": Preset(
        main={
            TEN: Counts(draws=5, networks=10, students=2),
            BASE.with_classes(20): Counts(draws=5, networks=10, students=1, without=(AVERAGE, LONGER)),
        },
        sweeps=_swept(BASE, k=(5, 7, 20), m=(4, 24), mu=(0.1,), q=(2, 4), sigma_0=(2e-3,), N=(200,)),
        swept=Counts(draws=2, networks=10, students=1, without=(AVERAGE, LONGER)),
        losses=LOSSES,
        tried=Counts(draws=2, networks=10, students=1),
        test=(2000, 40_000),
        kernels=KernelSizes(
            n_train=(50, 100, 200, 400, 1000), tested=100, neurons=(1, 2, 12), networks=10, draws=3, held=300
        ),
        controls=tuple(Control(name, 1000, 5000, 128, 1000, 10) for name in CONTROLS),
        control_draws=3,
    ),
}


@dataclass(frozen=True)
class Config(form.Config):
    """Preset, seed, and the folder of what is trained already."""

    preset: str = form.option("smoke", "smoke (half a minute) or cpu (an hour of two cores).", choices=tuple(PRESETS))
    seed: int = form.option(0, "Seed of the data drawn and of the networks.", least=0)
    parts: Path | None = form.option(
        None,
        "Folder of what is trained, from which a killed run goes on. [default: parts in that of --out]",
        recorded=False,
        within_output="parts",
    )

    def parts_folder(self) -> Path:
        """Folder of what is trained; raises InvalidInput where there is none."""
        if self.parts is None:
            raise InvalidInput("parts is None; give a folder for the networks, or execute the study with a folder")
        return self.parts

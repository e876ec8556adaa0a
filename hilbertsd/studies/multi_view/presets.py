"""Which data, networks and kernels the multi-view study takes, and how networks are trained."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hilbertsd.data.multi_view import MultiView
from hilbertsd.errors import InvalidInput
from hilbertsd.studies import form
from hilbertsd.studies.multi_view.controls import CONTROLS, Control
from hilbertsd.views.losses import ViewLoss
from hilbertsd.views.network import ViewNetwork

DESCENT = {"rate": 0.8, "noise_change": 0.6, "least_change": 0.04}
"""Options of :class:`hilbertsd.views.ViewDescent`: steps about twice as long as by default."""


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

    def with_classes(self, k: int) -> "Setting":
        """The same for k classes: as many samples of a class, and patches for the views that appear."""
        patches = least_patches(replace(self.data, n_patches=2 * k, n_classes=k))
        data = replace(self.data, n_classes=k, n_patches=patches)
        return Setting(data, self.n_train * k // self.data.n_classes, replace(self.network, n_classes=k))

    def with_share(self, share: float) -> "Setting":
        """The same with another share μ of single-view samples."""
        return replace(self, data=replace(self.data, single_view_share=share))

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
    controlled : whether the average and the controls are trained, too.
    """

    draws: int
    networks: int
    students: int
    controlled: bool = True


@dataclass(frozen=True)
class KernelSizes:
    """Which kernels are fitted to the data of the first setting.

    Attributes
    ----------
    n_train : numbers of training samples; the smaller are the first of the larger ones.
    neurons : neurons a class of the networks whose tangent kernels are taken, beside the infinite one.
    networks, draws : numbers of networks and of draws.
    test : number of validation samples, and of test samples, single- and multi-view ones alike.
    """

    n_train: tuple[int, ...]
    neurons: tuple[int, ...]
    networks: int
    draws: int
    test: int


@dataclass(frozen=True)
class Preset:
    """What a run computes.

    Attributes
    ----------
    main : by setting, in how many draws and networks; the loss is chosen on the first.
    sweeps : by the name of what varies, settings by its value.
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
        """Setting on which the loss is chosen, and from which the sweeps start."""
        return next(iter(self.main))

    def plan(self) -> Iterator[tuple[Setting, Counts]]:
        """Every setting with the most that is measured of it, each once."""
        yield from self.main.items()
        swept = {setting for settings in self.sweeps.values() for setting in settings.values()}
        yield from ((setting, self.swept) for setting in sorted(swept - set(self.main), key=str))

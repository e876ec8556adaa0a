"""Which networks the study of finite width trains, and how."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from hilbertsd.errors import InvalidInput
from hilbertsd.networks.architectures import Architecture, architecture
from hilbertsd.studies import form

PENALISED, DESCENT = "penalised", "descent"
RULES = (PENALISED, DESCENT)
"""How a round is fitted: with the penalty c_t ‖θ − θ₀‖², or by gradient descent until its error is ε."""

TOLERANCE, RATE = 0.1, 0.2
"""ε, as targets have mean square 1 also a share of it, and the learning rate as a share of the largest stable one."""


@dataclass(frozen=True)
class Setting:
    """Chains of networks that differ by width and seed only.

    Attributes
    ----------
    network : name of the architecture without its width.
    rule : one of `RULES`.
    tolerance : ε, of descent and of the path whose multipliers the penalty has.
    rate : learning rate of descent.
    parameterization : of the architecture.
    rounds : number of rounds.
    """

    network: str
    rule: str
    tolerance: float = TOLERANCE
    rate: float = RATE
    parameterization: str = "ntk"
    rounds: int = field(default=1, compare=False)

    def architecture(self, width: int) -> Architecture:
        """Network of a width, with one output."""
        return architecture(self.network, width=width, n_classes=1, parameterization=self.parameterization)

    def __str__(self) -> str:
        words = [self.network, self.rule]
        words += [f"ε = {self.tolerance:g}"] if self.tolerance != TOLERANCE else []
        words += [f"rate {self.rate:g}"] if self.rate != RATE else []
        return ", ".join([*words, *(["standard"] if self.parameterization == "standard" else [])])


@dataclass(frozen=True)
class Preset:
    """What a run trains.

    Attributes
    ----------
    train, test : numbers of images.
    rounds, seeds : rounds and number of chains of every setting whose rates are measured.
    widths : by network, the widths over which rates are measured.
    sweep_widths, depth_widths : widths of the settings that look for where the limit fails, all fully connected, and
        of those that vary the depth.
    depths, tolerances, rates : what these vary, one at a time; in round 0 alone.
    """

    train: int
    test: int
    rounds: int
    seeds: int
    widths: dict[str, tuple[int, ...]]
    sweep_widths: tuple[int, ...]
    depth_widths: tuple[int, ...]
    depths: tuple[int, ...]
    tolerances: tuple[float, ...]
    rates: tuple[float, ...]

    def main(self) -> dict[Setting, tuple[int, ...]]:
        """Settings whose rates are measured, with their widths."""
        return {
            Setting(network, rule, rounds=self.rounds): widths
            for network, widths in self.widths.items()
            for rule in RULES
        }

    def sweeps(self) -> dict[str, list[Setting]]:
        """By what is varied, the settings that look for where the limit fails; those of `main` among them."""
        base = [Setting(next(iter(self.widths)), rule, rounds=self.rounds) for rule in RULES]
        return {
            "rate": [replace(base[1], rate=rate) for rate in sorted({RATE, *self.rates})],
            "depth": [replace(each, network=f"fully-connected-{depth}") for depth in self.depths for each in base],
            "parameterisation": [replace(each, parameterization=p) for p in ("ntk", "standard") for each in base],
            "tolerance": [
                replace(each, tolerance=eps) for eps in sorted({TOLERANCE, *self.tolerances}) for each in base
            ],
        }

    def swept_widths(self, what: str) -> tuple[int, ...]:
        """Widths of the settings that vary one thing."""
        return self.depth_widths if what == "depth" else self.sweep_widths

    def plan(self) -> Iterator[tuple[Setting, int]]:
        """Every setting with every width, each once; what the rates are measured on comes first."""
        main = self.main()
        yield from ((setting, width) for setting, widths in main.items() for width in widths)
        for what, settings in self.sweeps().items():
            for setting in settings:
                shorter = replace(setting, rounds=1 if setting.parameterization == "ntk" else self.rounds)
                yield from ((shorter, width) for width in self.swept_widths(what) if width not in main.get(setting, ()))


PRESETS = {
    "smoke": Preset(
        train=20,
        test=100,
        rounds=2,
        seeds=3,
        widths={"fully-connected-2": (16, 64), "convolutional-1": (4, 16)},
        sweep_widths=(16,),
        depth_widths=(16,),
        depths=(2, 4),
        tolerances=(0.02,),
        rates=(0.9,),
    ),
    "cpu": Preset(
        train=30,
        test=200,
        rounds=3,
        seeds=10,
        widths={"fully-connected-2": (32, 128, 512, 2048), "convolutional-2": (8, 16, 32, 64)},
        sweep_widths=(128, 512),
        depth_widths=(32, 128),
        depths=(2, 4, 8),
        tolerances=(0.5, 0.01, 0.001),
        rates=(0.5, 0.9, 1.2, 1.5),
    ),
}


@dataclass(frozen=True)
class Config(form.Config):
    """Preset, seed, and the folder of the chains that are trained already."""

    preset: str = form.option("smoke", "smoke (a minute) or cpu (ten minutes of two cores).", choices=tuple(PRESETS))
    seed: int = form.option(0, "Seed of the images drawn and of the networks.", least=0)
    parts: Path | None = form.option(
        None,
        "Folder of the chains trained, from which a killed run goes on. [default: parts in that of --out]",
        recorded=False,
        within_output="parts",
    )

    def parts_folder(self) -> Path:
        """Folder of the chains; raises InvalidInput where there is none."""
        if self.parts is None:
            raise InvalidInput("parts is None; give a folder for the chains, or execute the study with a folder")
        return self.parts

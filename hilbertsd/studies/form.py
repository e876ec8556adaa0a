"""The form of a study: configuration, run, result and figures, which are shown, drawn and recorded in one way.

    @dataclass(frozen=True)
    class Config(form.Config):
        draws: int = form.option(100, "Number of random draws.", least=2)

    STUDY = form.Study("coins", "How often a coin falls on heads.", Config, run, figures)

In a module `coins` of this room, that is all it takes for `hilbertsd run coins --draws 20`; figures/README.md has the
whole study. From Python, `STUDY.execute(Config(draws=20), folder)` does the same and returns the result.
"""

import importlib
import pkgutil
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_choice, check_whole
from hilbertsd.support.files import write_json
from hilbertsd.support.plotting import save_figure, style
from hilbertsd.support.progress import working
from hilbertsd.support.provenance import provenance

if TYPE_CHECKING:
    from hilbertsd.pages.page import Section

ROOM = "hilbertsd.studies"
"""Package whose modules and folders with a `STUDY` are the studies."""


def option(
    default: Any = MISSING,
    help: str = "",  # noqa: A002  # the command line's word
    *,
    choices: tuple[str, ...] = (),
    least: int | None = None,
    recorded: bool = True,
    within_output: str | None = None,
) -> Any:
    """Field of a configuration that is typed as `--name value`, or `--name` alone for a flag, which is False without.

    Parameters
    ----------
    default : value where none is given; an option without default has to be given.
    help : sentence of the command's help.
    choices : values that are allowed, all where empty.
    least : smallest whole number that is allowed.
    recorded : whether result.json tells the value; folders of this machine are none of a reader's business.
    within_output : name of the folder inside the output folder that a value of None stands for.
    """
    metadata = {"help": help, "choices": choices, "least": least, "recorded": recorded, "within_output": within_output}
    return field(default=default, metadata={"typed": "option", **metadata})


def argument(help: str) -> Any:  # noqa: A002
    """Field of a configuration that is typed without a name, before the options."""
    return field(metadata={"typed": "argument", "help": help})


@dataclass(frozen=True)
class Config:
    """Base of every study's configuration: a frozen dataclass of options, arguments and plain fields.

    Options and arguments are what the command line takes. A plain field is set from Python only, and recorded.

    Raises InvalidInput where a value is none of an option's choices, or no whole number of at least its least one.
    """

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.default is None:
                continue
            if each.metadata.get("choices"):
                check_choice(value, each.name, each.metadata["choices"])
            if each.metadata.get("least") is not None:
                check_whole(value, each.name, InvalidInput, each.metadata["least"])

    def recorded(self) -> dict[str, Any]:
        """Values by name for result.json; of a file its name without the folder."""
        names = [each.name for each in fields(self) if each.metadata.get("recorded", True)]
        values = {name: getattr(self, name) for name in names}
        return {name: value.name if isinstance(value, Path) else value for name, value in values.items()}

    def typed(self) -> list[str]:
        """Words that give this configuration on a command line: arguments, then the options that are not None."""
        recorded, words = self.recorded(), []
        typed = (each for each in fields(self) if each.name in recorded and "typed" in each.metadata)
        for each in sorted(typed, key=lambda each: each.metadata["typed"] != "argument"):
            value, name = recorded[each.name], f"--{each.name.replace('_', '-')}"
            if each.metadata["typed"] == "argument":
                words.append(str(value))
            elif isinstance(value, bool):
                words += [name] if value else []
            else:
                several = value if isinstance(value, tuple) else () if value is None else (value,)
                words += [word for one in several for word in (name, str(one))]
        return words

    def within(self, folder: Path) -> Self:
        """Configuration whose folders that are None lie within an output folder."""
        inside = {each.name: each.metadata.get("within_output") for each in fields(self)}
        missing = {name: folder / place for name, place in inside.items() if place and getattr(self, name) is None}
        return replace(self, **missing)


C = TypeVar("C", bound=Config)


class Verdict(StrEnum):
    """What a study says of a claim.

    `NOT_UNDER_PROTOCOL` is for a result against the claim where the study's protocol is another than the paper's,
    `UNDECIDED` for a test that sees nothing, `REPORTED` for a number of which nobody claimed anything.
    """

    REPRODUCED = "reproduced"
    IN_PART = "reproduced in part"
    NOT_REPRODUCED = "not reproduced"
    NOT_UNDER_PROTOCOL = "not under this protocol"
    UNDECIDED = "undecided"
    NOT_TESTABLE = "not testable here"
    REPORTED = "reported"

    @classmethod
    def of(cls, holds: bool | None) -> "Verdict":
        """Verdict on a claim that holds, does not hold, or (None) cannot be tested."""
        return {True: cls.REPRODUCED, False: cls.NOT_REPRODUCED, None: cls.NOT_TESTABLE}[holds]


@dataclass(frozen=True)
class Claim:
    """A claim, where it is published, the verdict on it, and the numbers behind the verdict.

    Attributes
    ----------
    claim : the claim in a sentence.
    verdict : what the study says of it.
    numbers : values by name, ready for JSON; none has the name of another attribute.
    note : the numbers in a few words with their standard errors, for the terminal and for `hilbertsd claims`.
    source : where the claim is published, the paper first, as "MFB §5.2, Figure 4"; empty where nobody claims it.
    setting : which of a study's networks, losses or kernels the claim is tested on, where there are several.
    """

    claim: str
    verdict: Verdict
    numbers: Mapping[str, Any]
    note: str = ""
    source: str = field(default="", kw_only=True)
    setting: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        told = f"{self.setting}: {self.claim}" if self.setting else self.claim
        details = "; ".join(filter(None, (self.source, self.note)))
        return f"{self.verdict}: {told}" + (f" ({details})" if details else "")

    def to_dict(self) -> dict[str, Any]:
        """Words, verdict and every number under its own name, ready for JSON."""
        words = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "numbers"}
        return {**words, **self.numbers}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Claim that :meth:`to_dict` gave; raises KeyError or ValueError where a word or a known verdict is missing."""
        words = {each.name: record[each.name] for each in fields(cls) if each.name != "numbers"}
        numbers = {name: value for name, value in record.items() if name not in words}
        return cls(numbers=numbers, **{**words, "verdict": Verdict(words["verdict"])})


class Estimate(NamedTuple):
    """Mean of independent values and its standard error, their standard deviation (n − 1) over √n."""

    mean: float
    standard_error: float


def mean_and_standard_error(values: NDArray[np.float64]) -> Estimate:
    """Estimate from (n,) independent values, of which there are at least two."""
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


@dataclass(frozen=True, eq=False)
class Result(ABC, Generic[C]):
    """Base of every study's result.

    A study gives `rows` and `numbers`, and where it has any to say `headline`, `closing`, `claims` and `holds`.

    Attributes
    ----------
    config : configuration of the run, with the values that it chose itself.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ()
    """Names of the values of `rows` that the terminal shows; all where empty."""

    config: C

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Lines of the study's table, a value by column."""

    @abstractmethod
    def numbers(self) -> dict[str, Any]:
        """Every number of the study but those of its claims, ready for JSON."""

    def headline(self) -> list[str]:
        """Lines above the table."""
        return []

    def closing(self) -> list[str]:
        """Lines under the table."""
        return []

    def claims(self) -> list[Claim]:
        """Published claims with verdicts."""
        return []

    @property
    def holds(self) -> bool:
        """False where the command is to end with exit code 1."""
        return True

    def shown(self) -> list[str | list[dict[str, Any]]]:
        """What the terminal shows: the headline, the table, the closing lines and the claims."""
        rows = self.rows()
        if self.COLUMNS:
            rows = [{name: row[name] for name in self.COLUMNS if name in row} for row in rows]
        rows = [{name: "" if value is None else value for name, value in row.items()} for row in rows]
        return [*self.headline(), rows, *self.closing(), *map(str, self.claims())]

    def to_dict(self) -> dict[str, Any]:
        """Numbers and claims, ready for JSON."""
        claims = [claim.to_dict() for claim in self.claims()]
        return {**self.numbers(), **({"claims": claims} if claims else {})}


def share_standard_error(share: float, n: int) -> float:
    """Binomial standard error of a share, such as an accuracy, that was counted on n samples."""
    return float(np.sqrt(share * (1 - share) / n))


def correct(predictions: Any, classes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(m,) whether the largest of each row of (m, k) predictions is at the class."""
    return np.argmax(predictions, axis=1) == classes


class Outcome(NamedTuple):
    """A study's result, the record of it (what result.json holds), and the files that were written."""

    result: Result
    record: dict[str, Any]
    files: list[Path]


@dataclass(frozen=True)
class Study:
    """One study, and with it one command.

    Attributes
    ----------
    name : name on the command line, that of its module with - for _; of two words for a command of a group.
    description : text whose first line says what the study shows; a module's `__doc__` serves.
    config : class of its configurations.
    run : function of a configuration that returns the result.
    figures : function of a result that returns matplotlib figures by file name, without a suffix.
    save : function of a result and a folder that writes further files and returns their paths.
    page : function of a result that returns further sections of report.html, as the slider over a path's rounds.
    is_own_command : `hilbertsd NAME` instead of `hilbertsd run NAME`; files are written only where a folder is given.
    """

    name: str
    description: str | None
    config: type[Config]
    run: Callable[[Any], Result]
    figures: Callable[[Any], dict[str, Any]] = lambda _: {}
    save: Callable[[Any, Path], list[Path]] = lambda _, __: []
    page: Callable[[Any], "list[Section]"] = lambda _: []
    is_own_command: bool = False

    @property
    def summary(self) -> str:
        """First line of the description."""
        return (self.description or self.name).partition("\n")[0]

    def execute(self, config: Config, folder: Path | None = None) -> Outcome:
        """Run the study, and write what it found to a folder that exists, if one is given.

        That is figures, further files, result.json, and report.html, a page that shows them.
        """
        with working("computing"):
            result = self.run(config if folder is None else config.within(folder))
        words = [*([] if self.is_own_command else ["run"]), *self.name.split()]
        command = shlex.join(["hilbertsd", *words, *config.typed()])
        record = {**provenance(command, result.config.recorded()), **result.to_dict()}
        if folder is None:
            return Outcome(result, record, [])
        with working("saving"):
            files = [*self.draw(result, folder), *self.save(result, folder)]
            files.append(write_json(folder / "result.json", record))
            files.append(self.report(result, record, files, folder))
        return Outcome(result, record, files)

    def report(self, result: Result, record: Mapping[str, Any], files: list[Path], folder: Path) -> Path:
        """Write report.html, a page of the result, its record and its files."""
        from hilbertsd.pages.page import Page, write_page
        from hilbertsd.studies.page import sections_of

        sections = sections_of(self.description or "", result, record, self.page(result), files, folder)
        return write_page(Page(self.name, self.summary, sections), folder / "report.html")

    def draw(self, result: Result, folder: Path) -> list[Path]:
        """Write every figure of a result as PNG and SVG."""
        with working("drawing"), style():
            figures = self.figures(result)
            return [path for name, figure in figures.items() for path in save_figure(figure, folder, name)]


def study(name: str) -> Study:
    """Study of a name on the command line; raises InvalidInput where there is none. Imports no other study."""
    module = name.replace("-", "_")
    found = _study_in(module) if module in _modules() else None
    if found is None or found.name != name:
        raise InvalidInput(f"study is {name!r}; give one of {', '.join(studies())}")
    return found


def studies() -> dict[str, Study]:
    """Every study by its name on the command line, in alphabetical order."""
    found = [each for each in map(_study_in, sorted(_modules())) if each is not None]
    return {each.name: each for each in found}


def _modules() -> set[str]:
    """Names of the modules and folders of this room."""
    return {module.name for module in pkgutil.iter_modules(importlib.import_module(ROOM).__path__)}


def _study_in(module: str) -> Study | None:
    """Study that a module of this room defines, None where it defines none."""
    return getattr(importlib.import_module(f"{ROOM}.{module}"), "STUDY", None)

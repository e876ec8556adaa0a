"""Check every bound of the paper on the path of a table of yours; exit code 1 where one does not hold."""

import shutil
from dataclasses import dataclass
from typing import Any

from hilbertsd.bounds import BoundsReport, check_bounds
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.distillation.path_page import path_sections
from hilbertsd.pages.page import Section
from hilbertsd.studies import form
from hilbertsd.studies.table_path import TableConfig, described, distilled, prepare

WIDEST = 120
"""Most characters of a line."""


@dataclass(frozen=True, eq=False)
class Result(form.Result[TableConfig]):
    """Report on every statement of the paper, for the path of all rows, and in one line what was distilled."""

    path: DistillationPath
    report: BoundsReport
    problem: str

    def rows(self) -> list[dict[str, Any]]:
        """None: the report has a form of its own on the terminal and on a page."""
        return []

    def headline(self) -> list[str]:
        """What was distilled, and how many checks hold."""
        return [self.problem, self.report.verdict]

    def shown(self) -> list[str | list[dict[str, Any]]]:
        """Every statement in full, in lines for the terminal."""
        return [self.problem, self.report.text(min(shutil.get_terminal_size().columns, WIDEST))]

    @property
    def holds(self) -> bool:
        """Whether every statement holds."""
        return self.report.holds

    def numbers(self) -> dict[str, Any]:
        """Numbers of the report."""
        return self.report.to_dict()


def run(config: TableConfig) -> Result:
    """Distil all rows until collapse and check every statement; raises and warns as `studies.distill.run`."""
    prepared = prepare(config)
    path = distilled(prepared, config)
    rows, n_features = f"all {path.spectrum.n_samples} rows", prepared.features.shape[1]
    problem = described(config, rows, n_features, path.spectrum.target_mean_square)
    return Result(config, path, check_bounds(path), problem)


def _page(result: Result) -> list[Section]:
    """The bounds, and the path that they are about."""
    return [result.report.section(), *path_sections(result.path)]


STUDY = form.Study("check-bounds", __doc__, TableConfig, run, page=_page, is_own_command=True)

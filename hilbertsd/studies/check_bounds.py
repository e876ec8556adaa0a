"""Check every bound of the paper on the path of a table of yours; exit code 1 where one does not hold."""

import shutil
from dataclasses import dataclass
from typing import Any

from hilbertsd.bounds import BoundsReport, check_bounds
from hilbertsd.studies import form
from hilbertsd.studies.table_path import TableConfig, described, distilled, prepare

WIDEST = 120
"""Most characters of a line."""


@dataclass(frozen=True, eq=False)
class Result(form.Result[TableConfig]):
    """Report on every statement of the paper, for the path of all rows, and in one line what was distilled."""

    report: BoundsReport
    problem: str

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per statement, of the round where its two sides are closest."""
        return self.report.summary()

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
    return Result(config, check_bounds(path), problem)


STUDY = form.Study("check-bounds", __doc__, TableConfig, run, is_own_command=True)

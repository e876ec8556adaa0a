"""Every bound of the paper, and sharper ones, on random problems: violations and tightness (MFB §3).

    path = random_problem(seed=0, index=3)       # one problem, distilled to collapse
    check_bounds(path).holds                     # True
    run(Config("quick")).violations              # [] over 500 problems

Tightness is the right side of a statement over its left side: 1 where a bound is met with equality.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import bounds
from hilbertsd.bounds import Statement, statements
from hilbertsd.bounds.checks import check_bounds
from hilbertsd.distillation.chain import distill_spectrum
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies import form
from hilbertsd.support.plotting import LINE_STYLES, new_figure, round_colours
from hilbertsd.support.progress import tracked

PRESETS = {"quick": 500, "full": 20_000}
"""Number of problems."""

LARGEST_SIZE = 14
"""Most positive eigenvalues of a problem."""

REPEATED_WITHIN = 1e-13
"""Relative distance of two eigenvalues that are meant to be equal."""

LOG_10_KAPPA = 4.0
"""Largest log₁₀ of the condition number κ."""

LOG_10_GAP = (-1.0, 3.0)
"""Smallest and largest log₁₀ of r_0 − 1."""

SMALLEST_TOLERANCE = 1e-8
"""Share of the targets' mean square at which Theorem 6's limit is looked at."""

NOT_DRAWN = {
    statements.CONSTRAINT,
    statements.FITTED_ENERGY,
    statements.RATIO_BEFORE_COLLAPSE,
    statements.RATIO_AT_COLLAPSE,
}
"""Statements that say what a round is, and bound nothing."""

COUNTS = (
    statements.ROUNDS_BY_PROPOSITION_4,
    statements.ROUNDS_BY_PROPOSITION_3,
    statements.ROUNDS_BY_RECURRENCE,
    statements.ROUNDS_BY_TRIANGLE,
    statements.ROUNDS_BY_SPECTRUM,
)
"""Lower bounds on T, from loose to sharp."""

LIMIT_WITHIN = 1e-3
"""Relative distance from Theorem 6's limit, at the smallest tolerance, below which it counts as reached."""

LEAST_DRAWN = 1e-5
"""Tightness below which the figure draws 0."""

ZERO = LEAST_DRAWN / 4
"""Where the logarithmic axis has 0."""


@dataclass(frozen=True)
class Config(form.Config):
    """How many problems, and which; problem i has its own generator, seeded with (seed, i)."""

    preset: str = form.option("quick", "quick (500 problems) or full (20,000, minutes).", choices=tuple(PRESETS))
    seed: int = form.option(0, "Seed of the random problems.", least=0)


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Counts and tightness over all problems.

    Attributes
    ----------
    n_checks : by statement, number of rows of all reports together.
    violations : rows that do not hold, each with its problem's number.
    tightness : by statement, the median over rounds of right/left for every problem it speaks of.
    theorem_6 : how closely the limit ε → 0 is reached, and whether S falls in ε; see :func:`theorem_6`.
    ratios, collapse_rounds : (n,) r_0 and T of every problem.
    counts : by lower bound on T, (n,) its value, NaN where it says nothing.
    """

    n_checks: dict[Statement, int]
    violations: list[dict[str, Any]]
    tightness: dict[Statement, NDArray[np.float64]]
    theorem_6: dict[str, Any]
    ratios: NDArray[np.float64]
    collapse_rounds: NDArray[np.intp]
    counts: dict[Statement, NDArray[np.float64]]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per statement: problems, checks and violated ones, quantiles of the tightness."""
        violated = [row["name"] for row in self.violations]
        rows = []
        for statement, values in self.tightness.items():
            low, median, high = np.quantile(values, [0.05, 0.5, 0.95]).tolist()
            rows.append(
                {
                    "statement": statement.name,
                    "problems": len(values),
                    "checks": self.n_checks[statement],
                    "violations": violated.count(statement.name),
                    "tightness_5%": low,
                    "tightness_median": median,
                    "tightness_95%": high,
                }
            )
        return rows

    def closing(self) -> list[str]:
        """Number of checks and violations, and what is left of Theorem 6's limit."""
        limit = self.theorem_6
        return [
            f"{len(self.ratios):,} problems, {sum(self.n_checks.values()):,} checks, "
            f"{len(self.violations)} violations; "
            "tightness is right side / left side, 1 where a bound is met",
            f"Theorem 6, {limit['spectra']:,} spectra with κ ≤ 100: at ε = {limit['tolerance_share']:g} ‖y‖²/n S is "
            f"within {limit['largest_relative_distance']:.1g} of its limit; not falling in ε on "
            f"{limit['not_monotone']}",
        ]

    def claims(self) -> list[form.Claim]:
        """Every statement of the paper that bounds something, and Theorem 6."""
        pairs = zip(self.tightness, self.rows(), strict=True)
        of_the_paper = ((each, row) for each, row in pairs if each.source.startswith("MFB") and each not in NOT_DRAWN)
        return [*(_claim(each, row) for each, row in of_the_paper), _theorem_6_claim(self.theorem_6)]

    def numbers(self) -> dict[str, Any]:
        """Counts, statements with their tightness, and quantiles of r_0 and T over the problems."""
        return {
            "n_problems": len(self.ratios),
            "n_checks": sum(self.n_checks.values()),
            "n_violations": len(self.violations),
            "violations": self.violations,
            "statements": [
                {**row, "formula": statement.formula, "source": statement.source}
                for row, statement in zip(self.rows(), self.tightness, strict=True)
            ],
            "theorem_6": self.theorem_6,
            "ratio_quantiles": np.quantile(self.ratios, [0, 0.05, 0.5, 0.95, 1]).tolist(),
            "collapse_round_quantiles": np.quantile(self.collapse_rounds, [0, 0.05, 0.5, 0.95, 1]).tolist(),
        }


def _claim(statement: Statement, row: dict[str, Any]) -> form.Claim:
    """Claim that a statement holds, from its row of the table."""
    violations = f"{row['violations']:,}" if row["violations"] else "no"
    return form.Claim(
        f"{statement.name}: {statement.formula}",
        form.Verdict.of(row["violations"] == 0),
        {name: row[name] for name in ("problems", "checks", "violations")},
        f"{row['checks']:,} checks on {row['problems']:,} random problems, {violations} violation"
        f"{'s' if row['violations'] > 1 else ''}",
        source=statement.source.partition(";")[0],
    )


def _theorem_6_claim(found: dict[str, Any]) -> form.Claim:
    """Claim of Theorem 6, from what :func:`theorem_6` has found."""
    reached = found["largest_relative_distance"] < LIMIT_WITHIN
    return form.Claim(
        "the guaranteed sparsity index S falls in ε and has the stated limit",
        form.Verdict.of(reached and found["not_monotone"] == 0),
        found,
        f"{found['spectra']:,} random spectra: not falling on {found['not_monotone']:,}; at ε = "
        f"{found['tolerance_share']:g} ‖y‖²/n within {found['largest_relative_distance']:.1g} of the limit",
        source="MFB Theorem 6, (155)",
    )


def random_problem(seed: int, index: int) -> DistillationPath:
    """Path to collapse of one random problem.

    There are 2 to 14 positive eigenvalues, log-uniform between 1/κ and 1 with κ from 1 to 10⁴; one problem in ten has
    κ = 1, one in five a repeated eigenvalue (exactly or to 1e-13) and one in five zero eigenvalues. The one to three
    target columns are normal, their rows scaled over up to two decades. r_0 − 1, without the part of the targets on
    zero eigenvalues, is log-uniform from 10⁻¹ to 10³.
    """
    rng = np.random.default_rng([seed, index])
    m = int(rng.integers(2, LARGEST_SIZE + 1))
    kappa = 1.0 if index % 10 == 0 else 10 ** rng.uniform(0, LOG_10_KAPPA)
    d = kappa ** -rng.uniform(0, 1, m)
    d[0], d[-1] = 1 / kappa, 1.0
    if index % 5 == 1 and m > 3:  # exactly, or within the resolution given below
        d[1] = d[2] * (1 + REPEATED_WITHIN * rng.integers(0, 2))
    z = rng.normal(size=(m, int(rng.integers(1, 4)))) * 10 ** rng.uniform(-2 * rng.uniform(), 0, size=(m, 1))
    reachable = float(np.sum(z**2)) / (1 + 10 ** rng.uniform(*LOG_10_GAP)) ** 2
    null = np.zeros((0, z.shape[1]))
    if index % 5 == 2:
        null = rng.normal(size=(int(rng.integers(1, 4)), z.shape[1]))
        null *= np.sqrt(reachable * 10 ** rng.uniform(-3, 2) / np.sum(null**2))
    eigenvalues = np.concatenate([np.zeros(len(null)), np.sort(d)])
    targets = np.vstack([null, z])
    n = len(eigenvalues)
    spectrum = Spectrum(eigenvalues, targets, np.eye(n), single_output=False, clipped=0.0, rounding=2 * REPEATED_WITHIN)
    tolerance = (reachable + float(np.sum(null**2))) / n
    most = int(spectrum.target_mean_square / tolerance) + 1  # T < r_0², so that every path collapses
    return distill_spectrum(spectrum, tolerance=tolerance, max_rounds=most)


def run(config: Config) -> Result:
    """Check all bounds on every problem."""
    n_checks = dict.fromkeys(bounds.STATEMENTS, 0)
    violations: list[dict[str, Any]] = []
    tightness: dict[Statement, list[float]] = {statement: [] for statement in bounds.STATEMENTS}
    ratios, collapse_rounds = [], []
    counts: dict[Statement, list[float]] = {statement: [] for statement in COUNTS}
    for index in tracked(range(PRESETS[config.preset]), "random problems"):
        path = random_problem(config.seed, index)
        report = check_bounds(path)
        if not report.holds:
            violations += [{"problem": index, **row} for row in report.violations()]
        checks = {check.statement: check for check in report.statements}
        for statement, check in checks.items():
            n_checks[statement] += len(check.rounds)
            tightness[statement].append(float(np.median(check.tightness)))
        for statement, values in counts.items():
            values.append(float(checks[statement].right[0]) if statement in checks else np.nan)
        ratios.append(np.sqrt(path.spectrum.target_mean_square / (path.tolerance or np.nan)))
        collapse_rounds.append(path.n_rounds)
    return Result(
        config,
        n_checks,
        violations,
        {statement: np.array(values) for statement, values in tightness.items() if values},
        theorem_6(config),
        np.array(ratios),
        np.array(collapse_rounds),
        {statement: np.array(values) for statement, values in counts.items()},
    )


def theorem_6(config: Config) -> dict[str, Any]:
    """Guaranteed sparsity index on random spectra with κ ≤ 100, at tolerances down to 1e-8 of the mean square.

    Returns the number of spectra, the largest relative distances of S and of log S from their limits at the smallest
    tolerance, and the number of spectra on which S does not fall in ε. The logarithm is the sharper test where S is
    near 1.
    """
    distances, rising = [], 0
    ratios = 1 / np.sqrt(np.geomspace(0.9, SMALLEST_TOLERANCE, 40))
    for index in tracked(range(PRESETS[config.preset]), "random problems"):
        rng = np.random.default_rng([config.seed, index, 6])
        d = 10 ** np.sort(rng.uniform(-2, 0, int(rng.integers(2, 31))))
        values = np.array([bounds.least_sparsity_index(d, ratio) for ratio in ratios])
        rising += bool(np.any(np.diff(values) < -4 * np.finfo(float).eps * values[:-1]))
        limit = bounds.sparsity_index_limit(d)
        log_limit = np.min(d[0] * np.diff(d) / (d[1:] * d[:-1])) * d[0] / d[-1]
        log_last = bounds.guaranteed_rounds(ratios[-1], d[-1] / d[0]) * bounds.log_neighbour_bounds(d, ratios[-1]).min()
        distances.append([abs(values[-1] / limit - 1), abs(log_last / log_limit - 1)])
    of_index, of_log = np.max(distances, axis=0).tolist()
    return {
        "spectra": len(distances),
        "tolerance_share": SMALLEST_TOLERANCE,
        "largest_relative_distance": of_index,
        "largest_relative_distance_of_logarithm": of_log,
        "not_monotone": rising,
    }


def figures(result: Result) -> dict[str, Any]:
    """Tightness of every statement, and of the lower bounds on T by r_0."""
    rows = zip(result.rows(), result.tightness, strict=True)
    rows = [row for row, statement in rows if statement not in NOT_DRAWN][::-1]
    figure = new_figure(10, 4.2)
    bars, curves = figure.subplots(1, 2, width_ratios=(1.15, 1))
    for y, row in enumerate(rows):
        drawn = (row[f"tightness_{q}"] for q in ("5%", "median", "95%"))
        low, median, high = (value if value >= LEAST_DRAWN else ZERO for value in drawn)
        bars.plot([low, high], [y, y], "-", color="0.6", linewidth=4, solid_capstyle="butt")
        bars.plot([median], [y], "o", color="black", markersize=5)
    bars.axvline(np.sqrt(ZERO * LEAST_DRAWN), color="0.6", linestyle=":", linewidth=0.8)
    bars.set_yticks(range(len(rows)), [row["statement"] for row in rows])
    bars.set(xscale="log", xlim=(ZERO / 2, 1.4), xlabel="tightness, right side / left side (1 is met with equality)")
    decades = range(round(np.log10(LEAST_DRAWN)), 1)
    bars.set_xticks([ZERO, *(10.0**p for p in decades)], ["0", *(f"$10^{{{p}}}$" for p in decades)])
    bars.minorticks_off()
    bars.set_title(f"median and 5–95 % over {len(result.ratios):,} random problems", loc="left")

    edges = np.geomspace(1.1, result.ratios.max() * 1.0001, 13)
    which = np.digitize(result.ratios, edges)
    markers = "v^sDo"
    colours = round_colours(len(COUNTS))
    for index, statement in enumerate(COUNTS):
        tightness = result.counts[statement] / result.collapse_rounds
        inside = [b for b in range(1, len(edges)) if np.any(~np.isnan(tightness[which == b]))]
        centres = [np.sqrt(edges[b - 1] * edges[b]) for b in inside]
        medians = [np.nanmedian(tightness[which == b]) for b in inside]
        line = LINE_STYLES[index % len(LINE_STYLES)]
        look: Any = {"linestyle": line, "color": colours[index], "marker": markers[index], "markersize": 4}
        curves.plot(centres, medians, label=statement.name, **look)
    curves.set(xscale="log", yscale="log", ylim=(1e-5, 1.5))
    curves.set(xlabel="$r_0 = \\|y\\|/\\sqrt{n\\varepsilon}$", ylabel="median of bound / T")
    curves.set_title("lower bounds on the collapse round T", loc="left")
    curves.legend(loc="lower left")
    return {"bounds": figure}


STUDY = form.Study("bounds", __doc__, Config, run, figures)

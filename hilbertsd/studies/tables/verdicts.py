"""What the papers claim of mixtures, of several steps and of noise, and what the tables say of it."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

from hilbertsd.studies.form import Claim, Verdict
from hilbertsd.studies.sizes.paired import holm
from hilbertsd.studies.tables.air_quality import TUNED_BY, Usual
from hilbertsd.studies.tables.methods import (
    BEST_ROUND,
    CRITERIA,
    CRITERION_NAMES,
    MULTI_STEP,
    ONE_STEP,
    ONE_STEP_AT_RIDGE,
)
from hilbertsd.studies.tables.presets import FACTORS, NOISE_LEVELS
from hilbertsd.studies.tables.resampling import Tested, verdicts
from hilbertsd.studies.tables.runs import TableRuns

STEPPED_METHODS = ("two-step mixture", "four-step mixture")
"""Methods of several steps on Air Quality in time."""

S = TypeVar("S")

MIXTURES = "Dang, Patil & Rinaldo 2026"
STEPPED = "Pareek, Du & Oh 2024"
NOISE = "Das & Sanghavi 2023"
IN_TIME = "Air Quality in time, linear kernel"


def claims_of(tables: list[TableRuns], usual: Usual | None) -> list[Claim]:
    """Every claim in every setting, corrected over the settings of one claim."""
    claims = [] if usual is None else _at_usual_multipliers(usual)
    claims += _at_wrong_multipliers(tables) + _signs(tables) + _several_steps(tables, usual)
    claims += _xi_with_noise(tables)
    claims += _reported(tables, ONE_STEP_AT_RIDGE, "one-step mixture at the λ tuned for ridge, beside tuned ridge")
    claims += _reported(tables, ONE_STEP, "one-step mixture with λ tuned for it, beside tuned ridge")
    claims += [] if usual is None else _one_step_in_time(usual)
    return claims + _reported(tables, BEST_ROUND, "ε and the round chosen together, beside tuned ridge")


def _at_usual_multipliers(usual: Usual) -> list[Claim]:
    rows = usual.rows()[: len(usual.targets[0].usual)]
    judged = verdicts([row["p_below"] for row in rows], [row["p_above"] for row in rows])
    return [
        Claim(
            "the one-step mixture, ξ by generalised cross-validation, has a lower test error than ridge at the same λ",
            verdict,
            row,
            f"ridge {row['ridge']:.0f}, mixture {row['mixture']:.0f}, difference {row['mixture_minus_ridge']:+.0f} ± "
            f"{row['mixture_minus_ridge_standard_error']:.0f} over {usual.n_weeks} weeks, ξ = {row['xi']:.2f}; tuned "
            f"ridge {row['tuned_ridge']:.0f}, tuning λ alone gives "
            f"{100 * row['share_of_gain_by_tuning']:.0f} % of the gain",
            source=f"{MIXTURES}, Air Quality",
            setting=f"{IN_TIME}, λ = {row['lambda']:g}",
        )
        for row, verdict in zip(rows, judged, strict=True)
    ]


def _one_step_in_time(usual: Usual) -> list[Claim]:
    claims = []
    for tuned_by in TUNED_BY:
        tested, at_random = usual.difference(tuned_by, ONE_STEP), usual.random_difference(tuned_by, ONE_STEP)
        shares = usual.by_share(tuned_by, ONE_STEP)
        listed = ", ".join(f"{_digits(value, '+')} % after {100 * share:.0f} %" for share, value in shares.items())
        claims.append(
            Claim(
                "one-step mixture with λ tuned for it, beside tuned ridge",
                Verdict.REPORTED,
                {
                    **_numbers(tested),
                    "shares": list(shares),
                    "percent_by_share": list(shares.values()),
                    "percent_on_random_splits": at_random.mean,
                    "standard_error_on_random_splits": at_random.standard_error,
                },
                f"{told(tested)} over {usual.n_weeks} weeks; by the share of hours that train {listed}; on random "
                f"splits {told(at_random)}",
                setting=f"{IN_TIME}, tuned by {tuned_by}",
            )
        )
    return claims


def _at_wrong_multipliers(tables: list[TableRuns]) -> list[Claim]:
    """The mixture near the best λ and far from it; either is a claim of its own, with its own correction."""
    claims = []
    for where, factors in (("is not", (0.1, 10.0)), ("is far from", (0.01, 100.0))):
        settings = [(table, factor) for table in tables for factor in factors]
        gained = [table.gain_at(factor) for table, factor in settings]
        claims += [
            Claim(
                f"where λ {where} the best one the mixture has a lower test error than ridge at the same λ",
                verdict,
                {**_numbers(tested), "part_taken_back": table.taken_back_at(factor)},
                f"{told(tested)} of tuned ridge's error",
                source=MIXTURES,
                setting=f"{table.name}, {factor:g} times tuned ridge's λ",
            )
            for (table, factor), tested, verdict in _judged(settings, gained)
        ]
    return claims


def _signs(tables: list[TableRuns]) -> list[Claim]:
    """ξ at a tenth and at ten times the tuned multiplier: both signs have to be seen.

    It is the ξ that is best on the test rows. By leave-one-out, or any error that is quadratic in the fits, ξ is minus
    the slope of that error in λ up to a positive factor: around the λ that minimises it the signs are forced.
    """
    small, large = (
        [table.tested(table.around("oracle_xi")[:, FACTORS.index(factor)]) for table in tables]
        for factor in (0.1, 10.0)
    )
    p_rule = [max(low.p_above, high.p_below) for low, high in zip(small, large, strict=True)]
    p_against = [max(low.p_below, high.p_above) for low, high in zip(small, large, strict=True)]
    return [
        Claim(
            "the best ξ is positive where λ is too small and negative where it is too large",
            verdict,
            {
                "oracle_xi_at_a_tenth": low.mean,
                "oracle_xi_at_a_tenth_standard_error": low.standard_error,
                "oracle_xi_at_ten_times": high.mean,
                "oracle_xi_at_ten_times_standard_error": high.standard_error,
                "p_both_signs": p,
                "p_both_signs_corrected": float(corrected),
            },
            f"ξ best on test rows (oracle) {low.mean:.2f} ± {low.standard_error:.2f} at a tenth of tuned ridge's λ, "
            f"{high.mean:.2f} ± {high.standard_error:.2f} at ten times it",
            source=f"{MIXTURES}, sign rule",
            setting=table.name,
        )
        for table, low, high, p, corrected, verdict in zip(
            tables, small, large, p_rule, holm(np.array(p_rule)), verdicts(p_rule, p_against), strict=True
        )
    ]


def _several_steps(tables: list[TableRuns], usual: Usual | None) -> list[Claim]:
    names = [f"{table.name}, four-step mixture tuned by leave-one-out" for table in tables]
    tested = [table.difference(CRITERIA[0], MULTI_STEP) for table in tables]
    if usual is not None:
        settings = [(tuned_by, method) for tuned_by in TUNED_BY for method in STEPPED_METHODS]
        names += [f"{IN_TIME}, {method} tuned by {tuned_by}" for tuned_by, method in settings]
        tested += [usual.difference(*each) for each in settings]
    return [
        Claim(
            "weighted steps of self-distillation have a lower test error than tuned ridge, by up to 47 % on UCI tables",
            verdict,
            _numbers(each),
            f"{told(each)} of the error of ridge tuned alike",
            source=f"{STEPPED}, abstract",
            setting=name,
        )
        for name, each, verdict in _judged(names, tested)
    ]


def _xi_with_noise(tables: list[TableRuns]) -> list[Claim]:
    """ξ that is best on the test rows, at the multiplier tuned without noise: it grows, and ends above 1."""
    grown, above_one = [], []
    for table in tables:
        xi = table.noise("oracle_xi", anew=False)
        grown.append(table.tested(xi[:, -1] - xi[:, 0]))
        above_one.append(table.tested(xi[:, -1] - 1))
    judged = verdicts(
        [max(a.p_above, b.p_above) for a, b in zip(grown, above_one, strict=True)],
        [min(1.0, 2 * min(a.p_below, b.p_below)) for a, b in zip(grown, above_one, strict=True)],
    )
    claims = []
    for table, growth, above, verdict in zip(tables, grown, above_one, judged, strict=True):
        means = {f"{name}{'_anew' if anew else ''}": table.noise(name, anew).mean(axis=0).tolist()
                 for name in ("xi", "oracle_xi") for anew in (False, True)}  # fmt: skip
        last = table.tested(table.noise("oracle_xi", anew=False)[:, -1])
        claims.append(
            Claim(
                "the best ξ at a fixed λ grows with the noise in the labels, and exceeds 1",
                verdict,
                {
                    "levels": list(NOISE_LEVELS),
                    "last_standard_error": last.standard_error,
                    "growth": growth.mean,
                    "growth_standard_error": growth.standard_error,
                    "p_grows": growth.p_above,
                    "p_last_above_one": above.p_above,
                    **means,
                },
                f"noise of {', '.join(f'{level:g}' for level in NOISE_LEVELS)} standard deviations: ξ best on test rows"
                f" {_listed(means['oracle_xi'])} (last ± {last.standard_error:.2g}, growth {growth.mean:+.2g} ± "
                f"{growth.standard_error:.2g}), by leave-one-out {_listed(means['xi'])}; with λ tuned anew "
                f"{_listed(means['oracle_xi_anew'])} and {_listed(means['xi_anew'])}",
                source=NOISE,
                setting=table.name,
            )
        )
    return claims


def _reported(tables: list[TableRuns], method: str, claim: str) -> list[Claim]:
    claims = []
    for table in tables:
        by = {criterion: table.difference(criterion, method) for criterion in CRITERIA}
        note = "; ".join(f"by {CRITERION_NAMES[criterion]} {told(tested)}" for criterion, tested in by.items())
        numbers = {
            f"{name}_{criterion}": value for criterion, each in by.items() for name, value in _numbers(each).items()
        }
        claims.append(Claim(claim, Verdict.REPORTED, numbers, note, setting=table.name))
    return claims


def _judged(settings: list[S], tested: list[Tested]) -> Iterable[tuple[S, Tested, Verdict]]:
    """Settings with their tests and the verdicts on a claim that the mean is below zero."""
    judged = verdicts([each.p_below for each in tested], [each.p_above for each in tested])
    return zip(settings, tested, judged, strict=True)


def _numbers(tested: Tested) -> dict[str, float]:
    return {
        "percent": tested.mean,
        "standard_error": tested.standard_error,
        "p_below": tested.p_below,
        "p_above": tested.p_above,
    }


def told(tested: Tested) -> str:
    """Mean and standard error in per cent."""
    mean, error = (round(value, 6) + 0.0 for value in tested[:2])  # what is smaller is rounding of equal fits
    return f"{_digits(mean, '+')} ± {_digits(error)} %"


def _digits(value: float, sign: str = "") -> str:
    """Two significant digits, or all before the point: never an exponent for a large value."""
    return f"{value:{sign}.0f}" if abs(value) >= 99.5 else f"{value:{sign}.2g}"


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.2g}" for value in values)

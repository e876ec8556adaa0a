"""Green's functions that the solver finds for given operators, held against every closed form."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd import greens
from hilbertsd.greens.operators import OperatorKernel
from hilbertsd.studies import form
from hilbertsd.support.plotting import new_figure, round_colours

MATERN_ORDERS = {0.5: 1, 1.5: 2, 2.5: 3}
"""Order p of the operator by the smoothness ν of its Matérn kernel, p = ν + 1/2."""

LENGTH_SCALES = (1.0, 0.1, 0.01)
SPLINE = "simply supported spline"

AGREE = 1e-12
"""Relative difference below which two kernels are one."""

SOURCES = (0.15, 0.5, 0.8)
"""Second arguments t of the drawn sections g(x, t)."""


@dataclass(frozen=True)
class Config(form.Config):
    """Where kernels are compared: at all pairs of random points of [0, 1] and its two ends."""

    points: int = form.option(200, "Random points at whose pairs kernels are compared.", least=1)
    seed: int = form.option(0, "Seed of the random points.", least=0)


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """Errors of the solver.

    Attributes
    ----------
    errors : largest difference over all pairs of points, relative to the largest kernel value, by closed form.
    """

    errors: dict[str, float]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per closed form."""
        return [{"kernel": name, "relative_error": error} for name, error in self.errors.items()]

    def claims(self) -> list[form.Claim]:
        """The closed form that the paper gives."""
        error = self.errors[SPLINE]
        return [
            form.Claim(
                "the Green's function of d⁴/dx⁴ with f = f'' = 0 at both ends has the paper's closed form",
                form.Verdict.of(error <= AGREE),
                {"largest_relative_difference": error},
                f"largest difference from the solver's {error:.1g} of the largest value",
                source="MFB §4, (59)",
            )
        ]

    def numbers(self) -> dict[str, Any]:
        """Errors by kernel, and the largest."""
        return {"kernels": self.rows(), "largest_relative_error": max(self.errors.values())}


def run(config: Config) -> Result:
    """Compare the solver with every closed form."""
    x = np.sort(np.append(np.random.default_rng(config.seed).uniform(size=config.points), [0.0, 1.0]))
    return Result(config, {name: _difference(*pair, x) for name, pair in pairs().items()})


def pairs() -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """By name, the kernel the solver finds on [0, 1] and the closed form."""
    solve = greens.from_operator
    found: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
        SPLINE: (solve([0, 0, 1], left=[0, 2], right=[0, 2]), greens.simply_supported_spline),
        "cubic smoothing spline": (solve([0, 0, 1], left=[0, 1]), greens.cubic_smoothing_spline),
        "Brownian motion": (solve([0, 1], left=[0]), greens.brownian_motion),
        "Brownian bridge": (solve([0, 1], left=[0], right=[0]), greens.brownian_bridge),
    }
    for smoothness in MATERN_ORDERS:
        for length_scale in LENGTH_SCALES:
            name = f"Matérn {smoothness:g}, length {length_scale:g}"
            found[name] = (matern_operator(smoothness, length_scale), _matern(smoothness, length_scale))
    for order in (1, 2, 3, 4):
        circle = greens.from_periodic_operator([0] * order + [1], orthogonal_to_null_space=True)
        found[f"periodic spline {order}"] = (circle, _periodic(order))
    return found


def matern_operator(smoothness: float, length_scale: float) -> OperatorKernel:
    """Matérn kernel on [0, 1] from its operator (d/dx + α)^p/√q and conditions at both ends.

    On the whole line the kernel decays to the left of a source and solves (d/dx − α)^p g = 0 there. At the left end of
    the interval that expression and its first p − 1 derivatives are therefore set to zero. At the right end the natural
    conditions of the interval are those of the whole line.
    """
    p = MATERN_ORDERS[smoothness]
    alpha = math.sqrt(2 * smoothness) / length_scale
    q = {1: 2 * alpha, 2: 4 * alpha**3, 3: 16 * alpha**5 / 3}[p]
    polynomial = np.polynomial.polynomial.polypow([alpha, 1], p) / math.sqrt(q)
    outgoing = np.polynomial.polynomial.polypow([-alpha, 1], p)
    return greens.from_operator(polynomial.tolist(), left=[[0.0] * j + outgoing.tolist() for j in range(p)])


def _matern(smoothness: float, length_scale: float) -> Callable[[NDArray[np.float64]], Any]:
    return lambda x: greens.matern(x, smoothness=smoothness, length_scale=length_scale)


def _periodic(order: int) -> Callable[[NDArray[np.float64]], Any]:
    return lambda x: greens.periodic_spline(x, order=order)


def _difference(kernel: Callable[..., Any], closed_form: Callable[..., Any], x: NDArray[np.float64]) -> float:
    expected = closed_form(x)
    return float(np.abs(kernel(x) - expected).max() / np.abs(expected).max())


def _stiffness(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square root of a beam's stiffness, three times as large at its right end as at its left."""
    return 1 + 2 * x**2


def figures(result: Result) -> dict[str, Any]:
    """Errors, and sections of a beam of varying stiffness."""
    figure = new_figure(10, 4)
    errors, sections = figure.subplots(1, 2, width_ratios=(1, 1.1))
    names = list(result.errors)[::-1]
    errors.semilogx([result.errors[name] for name in names], range(len(names)), "o", color="black", markersize=4)
    errors.axvline(np.finfo(float).eps, color="0.6", linestyle=":", label="double precision")
    errors.axvline(1e-8, color="0.6", linestyle="--", label="$10^{-8}$")
    errors.set_yticks(range(len(names)), names, fontsize=8)
    errors.set(xlabel="largest difference / largest value", title="(a) solver against closed form")
    errors.legend(loc="upper center", fontsize=8)

    x = np.linspace(0, 1, 401)
    varying = greens.from_operator([0, 0, _stiffness], left=[0], right=[0])
    for source, colour in zip(SOURCES, round_colours(len(SOURCES)), strict=True):
        sections.plot(x, 1000 * varying(x, [source])[:, 0], color=colour, label=f"t = {source:g}")
        sections.plot(x, 1000 * greens.simply_supported_spline(x, [source])[:, 0], "--", color=colour)
    sections.plot([], [], "-", color="black", label="$P = (1+2x^2)\\,d^2/dx^2$")
    sections.plot([], [], "--", color="black", label="$P = d^2/dx^2$")
    sections.set(xlabel="x", ylabel="g(x, t) × 1000", title="(b) f(0) = f(1) = 0 and natural conditions")
    sections.set_ylim(0, 27)
    sections.legend(loc="upper center", fontsize=8, ncols=2)
    return {"green-functions": figure}


STUDY = form.Study("green-functions", __doc__, Config, run, figures)

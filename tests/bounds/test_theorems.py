"""Every step of hilbertsd/bounds/THEOREMS.md on random problems and on the committed paths."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from amounts import amounts

from hilbertsd import Spectrum, bounds, check_bounds, distill, distill_spectrum, greens, stop_early

FIGURES = Path(__file__).parents[2] / "figures"
ROUNDING = 1e-8
"""Relative distance the wrong way that is rounding: of roots near collapse and of c' − Σ c."""


def random_path(seed, index):
    """2 to 40 eigenvalues with κ up to 1e12, clustered, repeated or zero; ε from the floor to the mean square."""
    rng = np.random.default_rng([seed, index])
    m = int(rng.integers(2, 41))
    log_kappa = rng.uniform(0, rng.choice([0.01, 1, 4, 12]))
    places = rng.uniform(0, 1, m)
    if index % 3 == 1:  # clusters, some of them of equal eigenvalues
        places = rng.choice(rng.uniform(0, 1, 3), m) + rng.choice([0, 1e-9, 1e-3]) * rng.uniform(0, 1, m)
    d = np.sort(10 ** (-log_kappa * places)) * 10 ** rng.uniform(-6, 6)
    z = rng.normal(size=(m, int(rng.integers(1, 4)))) * 10 ** rng.uniform(-3 * rng.uniform(), 0, size=(m, 1))
    if index % 4 == 2:  # no energy on some eigenvectors
        z[rng.permutation(m)[: m // 2]] = 0
    reachable = np.sum(z**2)
    left_over = reachable / (1 + 10 ** rng.uniform(-3, 1.5)) ** 2
    if index % 5 == 3:
        null = rng.normal(size=(int(rng.integers(1, 4)), z.shape[1]))
        null *= np.sqrt(left_over * 10 ** rng.uniform(-3, 3) / np.sum(null**2))
        d, z = np.concatenate([np.zeros(len(null)), d]), np.vstack([null, z])
        left_over += np.sum(null**2)
    n = len(d)
    spectrum = Spectrum(d, z, np.eye(n), False, 0.0, 0.0)
    return distill_spectrum(spectrum, tolerance=left_over / n, max_rounds=10**5)


def steps_of_theorem_a(path, power=1.0):
    """Names of the steps that fail; a power below 1 makes σ larger than it is, which must be noticed."""
    d = path.eigenvalues[np.sum(path.spectrum.rotated_targets**2, axis=1) > 0]
    T, r = path.collapse_round, np.sqrt(path.target_mean_squares / path.tolerance)
    s = 0.0 if d[0] == 0 else (2 * math.sqrt(d[-1] * d[0]) / (d[-1] + d[0])) ** power
    allowed = ROUNDING * np.maximum(r[:-1], 1) ** 2
    b = np.vstack([np.ones_like(path.eigenvalues), path.basis_weights])
    z = b[:, :, None] * path.spectrum.rotated_targets / math.sqrt(path.spectrum.n_samples * path.tolerance)
    fit, rho = z[1:], z[:-1] * (1 - path.shrinkage)[:, :, None]
    angle = np.sum(rho * fit, axis=(1, 2))
    steps = {
        "tight": abs(np.sum(rho**2, axis=(1, 2)) - 1) <= ROUNDING,
        "triangle": r[1:] >= r[:-1] - 1 - allowed,
        "angle": angle >= s * r[1:] * (1 - ROUNDING),
        "cosines": abs(r[:-1] ** 2 - (1 + 2 * angle + r[1:] ** 2)) <= allowed,
        "one round": r[:-1] ** 2 >= (r[1:] + s) ** 2 + 1 - s * s - allowed,
        "backwards": r[:-1][::-1] >= 1 + s * np.arange(T) - ROUNDING,
        "least": math.ceil((r[0] - 1) * (1 - 1e-9)) <= T,
        "most": math.ceil(r[0] ** 2 * (1 + 1e-9)) - 1 >= T,
        "sum": (1 + s * (T - 1)) ** 2 + (1 - s * s) * (T - 1) <= r[0] ** 2 * (1 + ROUNDING),
    }
    if s:
        kappa = d[-1] / d[0]
        count = bounds.most_rounds(r[0], kappa) if power == 1 else math.ceil((r[0] - 1) / s)
        steps["J"] = count >= T
        steps["compared"] = bounds.most_rounds(r[0], kappa) <= math.ceil(kappa * (r[0] - 1) * (1 + 2e-9))
        steps["H"] = r[1:] <= bounds.largest_next_ratio(np.maximum(r[:-1], 1), kappa) + allowed
    return {name for name, holds in steps.items() if not np.all(holds)}


def steps_of_theorem_b(path, factor=1.0):
    """Names of the steps that fail; a factor on the multipliers above 1 must be noticed."""
    energy = np.sum(path.spectrum.rotated_targets**2, axis=1)
    d = path.eigenvalues[(path.eigenvalues > 0) & (energy > 0)]
    single, c = stop_early(path).multipliers, path.multipliers * factor
    failed = set()
    for t in range(path.n_rounds):
        if not 0 < single[t] < np.inf:
            continue
        total = c[: t + 1].sum()
        log_b = -np.log1p(c[: t + 1, None] / d).sum(axis=0)
        with np.errstate(over="ignore"):
            q = d * np.expm1(-log_b)
        steps = {
            "q falls": np.diff(q[np.isfinite(q)]) <= ROUNDING * q[np.isfinite(q)][1:],
            "weights": -log_b >= np.log1p(total / d) * (1 - 1e-12),
            "sum": single[t] >= total * (1 - ROUNDING),
            "least": single[t] >= q[-1] * (1 - ROUNDING),
            "most": single[t] <= q[0] * (1 + ROUNDING),
        }
        if t and single[t] > total * (1 + ROUNDING):
            crossing = bounds.slope_crossing(c[: t + 1], single[t])
            slopes = np.sum(c[: t + 1, None] / (c[: t + 1, None] + d), axis=0), single[t] / (single[t] + d)
            far = abs(np.log(d / crossing)) > 1e-6
            steps["crossing"] = np.where(d < crossing, 1, -1)[far] * (slopes[0] / slopes[1] - 1)[far] >= -1e-12
            u = np.sum(c[: t + 1] * (single[t] - c[: t + 1])) / (single[t] - total)
            room = ROUNDING * u
            steps["ends"] = u - c[: t + 1].max() - room <= crossing <= u - c[: t + 1].min() + room
            log_w = -np.log1p(single[t] / d)
            steps["whole range"] = log_b[-1] - log_b[0] >= (log_w[-1] - log_w[0]) * (1 - ROUNDING)
            steps["weights cross once"] = (
                np.count_nonzero(np.diff(np.sign(q - single[t])[abs(q / single[t] - 1) > 1e-9])) <= 1
            )
            steps["below the slopes"] = not np.any((q > single[t] * (1 + ROUNDING)) & (d > crossing * (1 + ROUNDING)))
        failed |= {name for name, holds in steps.items() if not np.all(holds)}
    return failed


@pytest.mark.parametrize("count", amounts(300, 2_000, 20_000))
def test_theorems_a_and_b_on_random_problems(count):
    """Every step of the proofs; what they state is checked on 20,000 by `hilbertsd run bounds --preset full`, too."""
    found = []
    for index in range(count):
        path = random_path(0, index)
        if path.n_rounds and (path.relative_tolerance or 0) < 1:
            failed = steps_of_theorem_a(path) | steps_of_theorem_b(path)
            failed |= {row["name"] for row in check_bounds(path).violations()}
            found += [(index, failed)] if failed else []
    assert found == []


def test_bounds_made_too_strong_are_caught():
    paths = [random_path(0, index) for index in range(60)]
    a = set().union(*(steps_of_theorem_a(path, power=0.9) for path in paths))
    assert a >= {"angle", "one round"}
    two = Spectrum(np.array([1.0, 9.0]), np.array([[12.0], [12.0]]), np.eye(2), True, 0.0, 0.0)
    assert "sum" in steps_of_theorem_a(distill_spectrum(two, tolerance=0.1), power=0.0)
    assert set().union(*(steps_of_theorem_b(path, factor=1.01) for path in paths)) >= {"sum", "least"}
    assert set().union(*(steps_of_theorem_b(path, factor=0.5) for path in paths)) >= {"most"}


@pytest.mark.parametrize("m", [2, 4, 8])
def test_the_count_without_kappa_is_attained(m):
    spectrum = Spectrum(10.0 ** np.arange(0, 20 * m, 20), np.ones((m, 1)), np.eye(m), True, 0.0, 0.0)
    path = distill_spectrum(spectrum, tolerance=1 / m)
    assert path.collapse_round == m - 1 == math.ceil(path.spectrum.target_mean_square * m * (1 - 1e-12)) - 1


def committed(name):
    return json.loads((FIGURES / name / "result.json").read_text(encoding="utf-8"))


def test_the_committed_paths_of_ntk_cifar():
    """Without the spectrum: r_0 and T of every path, and the weights at some ranks, whose d are those of round 0."""
    chains = [chain for fit in committed("ntk-cifar")["fits"] for chain in fit["chains"]]
    assert len(chains) >= 42
    for chain in chains:
        r = 1 / math.sqrt(chain.get("relative_tolerance", chain.get("tolerance")))
        assert r - 1 <= chain["collapse_round"] <= math.ceil(r**2 * (1 + 1e-9)) - 1
        c, weights = np.array(chain["multipliers"]), np.array(chain["basis_weights"])
        d = c[0] * weights[0] / (1 - weights[0])
        assert np.all(weights <= d / (d + np.cumsum(c)[:, None]) * (1 + 1e-9))


def test_the_committed_paths_of_the_spline_and_of_diabetes():
    spline = committed("spline-toy")
    kernel = greens.simply_supported_spline(np.array(spline["inputs"]))
    path = distill(kernel, np.array(spline["targets"]), tolerance=spline["tolerance"])
    np.testing.assert_allclose(path.multipliers, spline["multipliers"], rtol=1e-8)
    draw = committed("early-stopping")["published_draw"]
    np.testing.assert_allclose(stop_early(path).multipliers, draw["early_stopping_multipliers"], rtol=1e-8)
    table = committed("spectrum")
    energies = np.array(table["energy_shares"]) * table["target_mean_square"]
    order, n = np.argsort(table["eigenvalues"]), table["n_samples"]
    z = np.sqrt(n * energies[order])[:, None]
    spectrum = Spectrum(np.array(table["eigenvalues"])[order], z, np.eye(n), True, 0.0, 0.0)
    diabetes = distill_spectrum(spectrum, tolerance=table["tolerance"])
    np.testing.assert_allclose(diabetes.multipliers, [row["multiplier"] for row in table["rounds"]], rtol=1e-8)
    for one in (path, diabetes):
        assert steps_of_theorem_a(one) | steps_of_theorem_b(one) == set()
        assert check_bounds(one).holds


@pytest.mark.parametrize("seed", range(20))
def test_every_step_of_theorem_e(seed):
    """The identity of one solve, the telescope, and the bilinear form, on a small block Krylov space."""
    rng = np.random.default_rng(seed)
    n, outputs, blocks = 30, 2, int(rng.integers(2, 6))
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
    G = basis * (10 ** rng.uniform(-4, 0, n)) @ basis.T
    Y = rng.normal(size=(n, outputs))
    krylov = [Y]
    for _ in range(blocks - 1):
        krylov.append(G @ np.linalg.qr(krylov[-1])[0])
    Q = np.linalg.qr(np.hstack(krylov))[0]
    S, over = Q.T @ G @ Q, G @ Q - Q @ (Q.T @ G @ Q)
    t = int(rng.integers(0, 4))
    shifts = 10 ** rng.uniform(-4, 0, t + 1)
    for word in ([*"F" * t, "R", "R", *"F" * t], ["F"] * (2 * t)):
        half = shifts[: len(word) // 2]
        c = [*half, *half[::-1]]
        true, x, left_over = Y, Q.T @ Y, []
        for letter, ci in zip(word, c, strict=True):
            solved, sign = np.linalg.solve(ci * np.eye(len(S)) + S, x), 1 if letter == "F" else -1
            P, resolvent = over @ solved, ci * np.linalg.inv(ci * np.eye(n) + G)
            operator = np.eye(n) - resolvent if letter == "F" else resolvent
            after = S @ solved if letter == "F" else ci * solved
            np.testing.assert_allclose(operator @ Q @ x, Q @ after + sign * resolvent @ P, atol=1e-11)  # (E1)
            left_over.append(np.linalg.norm(P))
            true, x = operator @ true, after
        assert np.linalg.norm(true - Q @ x) <= sum(left_over) + 1e-11
        error = abs(np.sum(Y * true) - np.sum((Q.T @ Y) * x))
        assert error <= np.array(left_over) @ np.cumsum(left_over)[::-1] + 1e-11


@pytest.mark.parametrize("seed", range(20))
def test_every_step_of_theorem_d(seed):
    """Multipliers below and above the path's in every round, whose chains leave over at most and at least √(nε)."""
    rng = np.random.default_rng(seed)
    path = random_path(1, 3 * seed)
    d, z = path.eigenvalues, path.spectrum.rotated_targets
    energies = np.sum(z**2, axis=1) / path.spectrum.n_samples
    for side in (-1, 1):
        weights = np.ones_like(d)
        for t, c in enumerate(path.multipliers):
            true = path.basis_weights[t - 1] if t else np.ones_like(d)
            assert np.all(side * (true - weights) >= -1e-12)
            chosen = c
            # Move outwards until the chain's own residual is on the safe side.
            while side * (np.sum(energies * (weights * chosen / (chosen + d)) ** 2) - path.tolerance) < 0:
                chosen *= 1.0 + side * 0.02 * rng.uniform(0.1, 1)
                if not 1e-30 < chosen < 1e30:
                    break
            else:
                assert side * (chosen - c) >= 0
                weights = weights * d / (chosen + d)
                continue
            break

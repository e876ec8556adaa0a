"""Oracle: the same path in mpmath at 50 digits, and what rounding of the inputs may change."""

from dataclasses import dataclass

import mpmath
import numpy as np

DIGITS = 50
MAX_ROUNDS = 40
EPSILON = np.finfo(float).eps


@dataclass(frozen=True)
class Problem:
    """Prescribed eigenvalues of G, rotated targets (n, n_outputs) and tolerance, all exact doubles."""

    eigenvalues: np.ndarray
    rotated_targets: np.ndarray
    tolerance: float

    @property
    def n(self) -> int:
        return len(self.eigenvalues)

    @classmethod
    def random(cls, n, n_outputs, log_kappa, log_r_minus_1, n_zero, n_repeated, spread, seed):
        """κ = 10^log_kappa over the positive eigenvalues, r₀ = 1 + 10^log_r_minus_1 without the null component."""
        rng = np.random.default_rng(seed)
        n_zero = min(n_zero, n - 1)
        n_positive = n - n_zero
        logs = rng.uniform(-log_kappa, 0, n_positive)
        logs[0] = 0.0
        if n_positive > 1:
            logs[1] = -log_kappa
        for _ in range(min(n_repeated, n_positive - 2)):
            logs[rng.integers(2, n_positive)] = logs[rng.integers(0, n_positive)]
        d = np.concatenate([np.zeros(n_zero), np.sort(10.0**logs)]) * 10 ** rng.uniform(-6, 6)
        z = rng.normal(size=(n, n_outputs)) * 10 ** rng.uniform(-spread, 0, size=(n, 1)) * 10 ** rng.uniform(-3, 3)
        reachable = np.sum(z[n_zero:] ** 2) / n / (1 + 10**log_r_minus_1) ** 2
        if n_zero:  # a floor below the tolerance, at times close to it
            floor = reachable * rng.uniform(0, 20)
            z[:n_zero] *= np.sqrt(floor / (np.sum(z[:n_zero] ** 2) / n))
            reachable += floor
        return cls(d, z, float(reachable))


@dataclass(frozen=True)
class OraclePath:
    multipliers: list
    mean_squares: list
    training_errors: list
    collapse_round: int | None


def oracle_path(problem: Problem, max_rounds: int = MAX_ROUNDS) -> OraclePath:
    """Rounds at 50 digits: Newton in log c, kept inside MFB's bracket (23-24) by bisection."""
    with mpmath.workdps(DIGITS):
        d = [mpmath.mpf(float(v)) for v in problem.eigenvalues]
        rows = [[mpmath.mpf(float(v)) for v in row] for row in problem.rotated_targets]
        first = [mpmath.fsum(v * v for v in row) / problem.n for row in rows]
        tolerance = mpmath.mpf(problem.tolerance)
        energies, weights = first, [mpmath.mpf(1)] * problem.n
        multipliers, mean_squares, errors = [], [mpmath.fsum(first)], []
        while mean_squares[-1] > tolerance and len(multipliers) < max_rounds:
            c = _root(d, energies, tolerance)
            weights = [b * dk / (c + dk) for b, dk in zip(weights, d, strict=True)]
            energies = [e * b * b for e, b in zip(first, weights, strict=True)]
            multipliers.append(c)
            mean_squares.append(mpmath.fsum(energies))
            errors.append(mpmath.fsum(e * (1 - b) ** 2 for e, b in zip(first, weights, strict=True)))
        collapsed = mean_squares[-1] <= tolerance
        return OraclePath(multipliers, mean_squares, errors, len(multipliers) if collapsed else None)


def _root(d, energies, tolerance):
    floor = mpmath.fsum(e for e, dk in zip(energies, d, strict=True) if dk == 0)
    pairs = [(dk, e) for e, dk in zip(energies, d, strict=True) if dk > 0 and e > 0]
    right = tolerance - floor
    r = mpmath.sqrt(mpmath.fsum(e for _, e in pairs) / right)
    low = mpmath.log(min(dk for dk, _ in pairs) / (r - 1))
    high = mpmath.log(max(dk for dk, _ in pairs) / (r - 1))
    u = (low + high) / 2
    for _ in range(400):
        c = mpmath.exp(u)
        terms = [(e * (c / (c + dk)) ** 2, dk / (c + dk)) for dk, e in pairs]
        error = mpmath.fsum(t for t, _ in terms)
        value = mpmath.log(error / right)
        low, high = (u, high) if value < 0 else (low, u)
        step = value / (2 * mpmath.fsum(t * s for t, s in terms) / error)
        following = u - step
        if not low <= following <= high:
            following = (low + high) / 2
        if abs(following - u) <= mpmath.mpf(10) ** (20 - DIGITS):  # near r = 1 digits cancel, even at 50
            return mpmath.exp(following)
        u = following
    raise AssertionError("the oracle did not converge")


def condition_numbers(problem: Problem, multipliers: np.ndarray) -> np.ndarray:
    """Σ_p |∂ log c_t/∂ log p| over all inputs p: energies, positive eigenvalues, tolerance. (T,)

    From Σ_k ω_k (δlog e_k + 2 s_k (δlog c − δlog d_k)) = δlog ε with ω_k = e_k (c/(c+d_k))²/ε, s_k = d_k/(c+d_k),
    and δlog e_k' = δlog e_k + 2 (1−s_k)(δlog d_k − δlog c).
    """
    d, n = problem.eigenvalues, problem.n
    energies = np.sum(problem.rotated_targets**2, axis=1) / n
    d_energy = np.hstack([np.eye(n), np.zeros((n, n + 1))])
    d_eigen = np.hstack([np.zeros((n, n)), np.diag((d > 0).astype(float)), np.zeros((n, 1))])
    d_tolerance = np.zeros(2 * n + 1)
    d_tolerance[-1] = 1
    result = []
    for c in multipliers:
        s = d / (c + d)
        omega = energies * (1 - s) ** 2 / problem.tolerance
        slope = 2 * omega @ s
        d_c = (d_tolerance - omega @ d_energy + 2 * (omega * s) @ d_eigen) / slope
        result.append(np.abs(d_c).sum())
        d_energy = d_energy + 2 * (1 - s)[:, None] * (d_eigen - d_c)
        energies = energies * s**2
    return np.array(result)


def kernel_sensitivities(problem: Problem, multipliers: np.ndarray) -> np.ndarray:
    """Largest first-order |δlog c_t| over ‖δG‖₂ ≤ d_max and ‖δY‖ ≤ ‖Y‖. (T,)

    With R = (cI+G)⁻¹ and the residual ρ = cRY, whose norm is fixed: δρ = (δc/c) GRρ − R δG ρ + cR δY and
    ⟨ρ, δρ⟩ = 0 give δlog c; the next targets are Y − ρ. δlog c_t is linear in δG, so its largest value over a
    spectral-norm ball is the nuclear norm of the symmetric matrix that represents it.
    """
    d, n = problem.eigenvalues, problem.n
    targets = problem.rotated_targets.astype(float)
    upper = np.triu_indices(n)
    n_kernel, n_target = len(upper[0]), targets.size
    delta_g = np.zeros((n_kernel + n_target, n, n))
    delta_g[np.arange(n_kernel), upper[0], upper[1]] = 1
    delta_g[np.arange(n_kernel), upper[1], upper[0]] = 1
    delta = np.zeros((n_kernel + n_target, *targets.shape))
    delta[n_kernel:] = np.eye(n_target).reshape(n_target, *targets.shape)
    norm = np.linalg.norm(targets)
    result = []
    for c in multipliers:
        r = (1 / (c + d))[:, None]
        rho = c * r * targets
        g_r_rho = d[:, None] * r * rho
        change = -r * (delta_g @ rho) + c * r * delta
        d_log_c = -np.sum(rho * change, axis=(1, 2)) / np.sum(rho * g_r_rho)
        gradient = np.zeros((n, n))
        gradient[upper] = d_log_c[:n_kernel] / 2
        gradient = gradient + gradient.T
        by_kernel = np.abs(np.linalg.eigvalsh(gradient)).sum() * d.max()
        result.append(by_kernel + np.linalg.norm(d_log_c[n_kernel:]) * norm)
        delta = delta - change - d_log_c[:, None, None] * g_r_rho
        targets = targets - rho
    return np.array(result)


def rounded_kernel(problem: Problem, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel matrix n·V D Vᵀ and targets V z for a random orthogonal V, computed at 50 digits and rounded once."""
    rng = np.random.default_rng(seed)
    n = problem.n
    with mpmath.workdps(DIGITS):
        basis = np.array([[mpmath.mpf(int(i == j)) for j in range(n)] for i in range(n)], dtype=object)
        for _ in range(min(n, 3)):  # Householder reflections mix every eigenvector with every other
            u = np.array([mpmath.mpf(float(v)) for v in rng.normal(size=n)], dtype=object)
            basis = basis - np.outer(u, 2 * (u @ basis) / (u @ u))
        d = np.array([mpmath.mpf(float(v)) for v in problem.eigenvalues], dtype=object)
        z = np.array([[mpmath.mpf(float(v)) for v in row] for row in problem.rotated_targets], dtype=object)
        kernel = n * (basis * d) @ basis.T
        return np.array((kernel + kernel.T) / 2, dtype=float), np.array(basis @ z, dtype=float)

"""The statements that `check_bounds` holds against a path: name, formula, one plain sentence and source of each.

Symbols: ε the tolerance, n the number of points, z_t the targets of round t, e_k their mean square on eigenvector k,
r_t = ‖z_t‖/√(nε), T the collapse round, c_t the multiplier, d_1 ≤ … ≤ d_m the eigenvalues of kernel_matrix/n, κ =
d_max/d_min, B_t the basis weights, c'_t the multiplier and W_t the weights of the ridge fit to the original targets
with the training error of round t.

MFB: Mobahi, Farajtabar, Bartlett (2020), arXiv:2002.05715. A function as the source has the proof in its docstring.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """One statement of the theory about every round of a path, or about its collapse round.

    Attributes
    ----------
    name : quantity that is bounded, and by what.
    formula : left side ≥ right side, or left side = right side.
    meaning : the formula in a plain sentence.
    source : where it is proved.
    equality : whether both sides must agree.
    """

    name: str
    formula: str
    meaning: str
    source: str
    equality: bool = False


CONSTRAINT = Statement(
    "constraint",
    "E(c_t) = ε",
    "The mean squared error E of round t on its own targets is exactly ε.",
    "MFB (20)",
    equality=True,
)
FITTED_ENERGY = Statement(
    "fitted energy",
    "Σ_k e_k (1 − (c_t/(c_t + d_k))²)/ε = r_t² − 1",
    "Of its targets' mean square a round fits exactly what exceeds ε; this side of the constraint sees a wrong "
    "multiplier even close to collapse.",
    "MFB (20)",
    equality=True,
)
RATIO_BEFORE_COLLAPSE = Statement(
    "ratio before collapse",
    "r_t ≥ 1 for t < T",
    "Until the collapse round the targets' mean square is at least ε, so that the zero function is no solution.",
    "MFB §2.1",
)
RATIO_AT_COLLAPSE = Statement(
    "ratio at collapse",
    "1 ≥ r_T",
    "At the collapse round the targets' mean square is at most ε, so that the zero function is the solution.",
    "MFB §2.1",
)
RATIO_BY_TRIANGLE = Statement(
    "ratio, triangle inequality",
    "r_{t+1} ≥ r_t − 1",
    "What a round leaves over has norm √(nε), so that it takes at most that off the norm of the targets.",
    "hilbertsd.bounds.rounds_by_triangle",
)
RATIO_AT_MOST = Statement(
    "ratio, at most",
    "r_t² − 1 ≥ r_{t+1}²",
    "What a round leaves over makes an acute angle with its fit, so that the targets lose at least nε of their "
    "squared norm.",
    "hilbertsd.bounds.most_rounds",
)
RATIO_AT_MOST_BY_KAPPA = Statement(
    "ratio, at most, with κ",
    "H(r_t) ≥ r_{t+1}, H(r) = √(r² − 1 + σ²) − σ, σ = 2√κ/(1 + κ)",
    "The angle between what a round leaves over and its fit has a cosine of at least σ, so that r falls by σ at least.",
    "hilbertsd.bounds.largest_next_ratio",
)
RATIO_BY_RECURRENCE = Statement(
    "ratio, recurrence h",
    "r_{t+1} ≥ h(r_t), h(r) = r (r − 1)/(r − 1 + κ)",
    "The upper bound on the multiplier limits how much of the targets one round can take away.",
    "MFB (133), in the proof of Proposition 3",
)
RATIO_BY_PROPOSITION_3 = Statement(
    "ratio, Proposition 3",
    "r_{t+1} ≥ a^(t+1) r_0 − b (a^(t+1) − 1)/(a − 1)",
    "h stays above a r − b, its tangent at r_0; step by step the tangent bounds the targets of every later round.",
    "MFB Proposition 3; hilbertsd.bounds.ratio_after has a and b",
)
MULTIPLIER_AT_LEAST = Statement(
    "multiplier, at least",
    "c_t ≥ d_min/(r_t − 1)",
    "The multiplier is at least what it would be if all eigenvalues were as small as the smallest.",
    "MFB (24), in every round (36)",
)
MULTIPLIER_AT_MOST = Statement(
    "multiplier, at most",
    "d_max/(r_t − 1) ≥ c_t",
    "The multiplier is at most what it would be if all eigenvalues were as large as the largest.",
    "MFB (24), in every round (36)",
)
WEIGHTS = Statement(
    "basis weights, Theorem 5",
    "log(B_t[k]/B_t[j]) ≥ (t+1) log(s_j/s_k), s_i = r_0 − 1 + d_min/d_i",
    "Every round drives the weights of two eigenvalues d_k > d_j apart by at least this factor; the row is of the "
    "neighbours that come closest to it.",
    "MFB Theorem 5",
)
SPARSITY = Statement(
    "sparsity index",
    "log S(B_t) ≥ (t+1) min_k log(s_k/s_{k+1})",
    "The smallest ratio S(B_t) of two neighbouring weights is at least MFB's sparsity index, the lowest value of "
    "Theorem 5's bound, which grows geometrically.",
    "MFB (50)",
)
SPARSITY_GUARANTEED = Statement(
    "sparsity index, guaranteed",
    "log S(B_t) ≥ u min_k log(s_k/s_{k+1}) for t + 1 = ⌈u⌉, u = (r_0 − 1)/κ",
    "The smallest ratio of neighbours reaches MFB's sparsity index at the rounds that Proposition 4 guarantees.",
    "MFB (51)",
)
SINGLE_AT_LEAST = Statement(
    "single fit, at least",
    "c'_t ≥ d_max (Π_{i≤t} (1 + c_i/d_max) − 1)",
    "The ridge fit with the training error of round t has at least this multiplier, and so at least Σ_{i≤t} c_i: it "
    "keeps no more of the largest eigenvalue than distillation.",
    "hilbertsd.bounds.single_multiplier_bounds",
)
SINGLE_AT_MOST = Statement(
    "single fit, at most",
    "d_min (Π_{i≤t} (1 + c_i/d_min) − 1) ≥ c'_t",
    "The ridge fit with the training error of round t keeps no less of the smallest eigenvalue than distillation.",
    "hilbertsd.bounds.single_multiplier_bounds",
)
SEPARATION_BELOW = Statement(
    "separation below d*",
    "log(B_t[k+1]/B_t[k]) ≥ log(W_t[k+1]/W_t[k]) for d_{k+1} ≤ d*_t",
    "Distillation separates eigenvalues below the crossing d* of the slopes more than the ridge fit with equal "
    "training error and weights W = d/(c' + d); the row is of the closest neighbours.",
    "hilbertsd.bounds.slope_crossing",
)
SEPARATION_ABOVE = Statement(
    "separation above d*",
    "log(W_t[k+1]/W_t[k]) ≥ log(B_t[k+1]/B_t[k]) for d_k ≥ d*_t",
    "The ridge fit with equal training error separates eigenvalues above the crossing d* of the slopes more than "
    "distillation.",
    "hilbertsd.bounds.slope_crossing",
)
ROUNDS_BY_PROPOSITION_4 = Statement(
    "rounds, Proposition 4",
    "T ≥ (r_0 − 1)/κ",
    "So many rounds come before collapse for certain; the triangle inequality says the same without κ.",
    "MFB Proposition 4",
)
ROUNDS_BY_PROPOSITION_3 = Statement(
    "rounds, Proposition 3",
    "T ≥ the first t with a^t r_0 − b (a^t − 1)/(a − 1) ≤ 1",
    "There is no collapse while Proposition 3 keeps the targets' mean square above ε.",
    "MFB Proposition 3; hilbertsd.bounds.rounds_by_tangent",
)
ROUNDS_BY_RECURRENCE = Statement(
    "rounds, recurrence h",
    "T ≥ the number of steps r ← h(r) from r_0 down to 1",
    "There is no collapse while the recurrence keeps the targets' mean square above ε.",
    "MFB (133); hilbertsd.bounds.rounds_by_recurrence",
)
ROUNDS_BY_TRIANGLE = Statement(
    "rounds, triangle inequality",
    "T ≥ ⌈r_0 − 1⌉",
    "r falls by at most 1 a round, so that it takes at least r_0 − 1 rounds, whatever the kernel.",
    "hilbertsd.bounds.rounds_by_triangle",
)
ROUNDS_BY_SPECTRUM = Statement(
    "rounds, spectrum and targets",
    "T ≥ q + ⌈p_q − 1⌉",
    "While q rounds use up the targets at small eigenvalues, a part of norm p_q √(nε) is sure to stay at large ones, "
    "and lasts p_q − 1 rounds more.",
    "hilbertsd.bounds.rounds_by_spectrum",
)
ROUNDS_AT_MOST = Statement(
    "rounds, at most",
    "⌈r_0²⌉ − 1 ≥ T",
    "r² falls by at least 1 a round, so that collapse comes before round r_0², whatever the kernel.",
    "hilbertsd.bounds.most_rounds",
)
ROUNDS_AT_MOST_BY_KAPPA = Statement(
    "rounds, at most, with κ",
    "the least j with (1 + σj)² + (1 − σ²)j ≥ r_0² is ≥ T, σ = 2√κ/(1 + κ)",
    "Collapse comes by this round, which is never beyond ⌈r_0²⌉ − 1 nor ⌈κ(r_0 − 1)⌉: κ limits T from above.",
    "hilbertsd.bounds.most_rounds",
)

STATEMENTS = tuple(value for value in list(vars().values()) if isinstance(value, Statement))
"""Every statement, in the order of reports and figures."""

"""Which targets change which decisions of kernel regression, exactly.

A kernel fit with a fixed multiplier, or any linear smoother, predicts F(x) = w(x)ᵀT, w(x) = (cI + G)⁻¹g_x/n, linear in
the (n, K) targets T. Its decision is the class of the largest output. Let y_i be the one-hot rows of Y, s = w(x)ᵀY the
outputs with the labels themselves, α the share of the teacher, 1 the vector of ones. All of it is for one and the same
w(x). A multiplier that follows from a tolerance depends on the targets; from a relative one it does not where targets
differ by a factor once they are centred, as with label smoothing and a constant p_t.

**Constants.** A constant added to all entries of row i adds w_i(x) times it to all outputs: no decision sees it.

**Label smoothing.** T = (1−α) Y + (α/K) 11ᵀ gives (1−α) s + constant: no decision changes for α < 1; for α = 1 all
outputs are equal.

**KD-pt is a vote.** p_t on t and (1−p_t)/(K−1) elsewhere is (K p_t − 1)/(K−1) y + constant, so that targets
(1−α) y_i + α KD-pt decide as Σ_i w_i(x) d_i y_i does, with the weights of :func:`vote_weights`. A constant p_t scales
s by d, and changes no decision where d > 0, that is α K (1−p_t) < K−1. α < 1 alone is not enough for that: with p_t
below 1/K and α above (K−1)/(K(1−p_t)) the vote is against the label. It is enough for p_t ≥ 1/K, and α < 1 − 1/K is for
every p_t.

**Targets of the class alone** are T = YM with a (K, K) matrix M, and outputs s M (s as a row). See
:func:`keeps_decisions`: every decision stays iff M = aI + u1ᵀ, a > 0: the same constant u_t in a whole row t. The
transpose, aI + 1uᵀ, gives a s + (Σs) uᵀ, which prefers the classes of large u wherever Σs is not 0. Where rows of M sum
to 1, a + K u_t = 1, all u_t are equal: label smoothing is the only one. KD-sim changes decisions but for classes that
are all equally similar.

**KD-rel** has M_tk = β₁/Z_g for k = t, β₂/Z_g for k ≠ t in the superclass g of t, β₃/Z_g elsewhere. For k in g

    F_k = (β₁−β₂)/Z_g s_k + β₂/Z_g Σ_{t∈g} s_t + Σ_{t∉g} β₃/Z_{g(t)} s_t

of which only the first term depends on k within g: for β₁ > β₂ the winner within each superclass stays
(:func:`winners_within`), whatever the sizes of superclasses, and for every α. Between superclasses it may change.

**K = 2.** KD-pt puts 1 − p_t on the one other class, as KD does.
"""

from __future__ import annotations

from typing import Any

import array_api_compat as array_api
import numpy as np

from hilbertsd.errors import InvalidInput, InvalidTargets
from hilbertsd.targets import arguments


def vote_weights(confidences: Any, n_classes: int, alpha: float = 1.0) -> Any:
    """(n,) weights d_i = 1 − α + α (K p_i − 1)/(K−1) of the vote that KD-pt is.

    With targets (1−α) y_i + α KD-pt a kernel fit decides as with targets d_i y_i: training samples vote w_i(x) d_i for
    their classes. A weight is negative iff α K (1−p_i) > K−1, for α = 1 iff p_i < 1/K: the sample then votes against
    its label. A constant confidence changes no decision iff its weight is positive.

    Parameters
    ----------
    confidences : (n,) probabilities p_t that the teacher gives to the labels; a number is one sample's.
    n_classes : K.
    alpha : α from 0, where every weight is 1, to 1.

    Raises InvalidTargets for confidences outside [0, 1], InvalidInput for α outside [0, 1] or fewer than two classes.
    Source: derived in :mod:`hilbertsd.targets.invariance`.
    """
    n_classes, alpha = arguments.checked_classes(n_classes), arguments.checked_share(alpha, "alpha")
    p = arguments.as_floating(confidences, "confidences", InvalidTargets)
    at = arguments.first_where(~((p >= 0) & (p <= 1)))
    if at is not None:
        raise InvalidTargets(f"confidences hold {float(p[at]):.6g}; give probabilities, numbers from 0 to 1")
    return 1 - alpha + alpha * (n_classes * p - 1) / (n_classes - 1)


def keeps_decisions(class_targets: Any, zero_sum: bool = False) -> bool:
    """Whether targets T = YM that depend on the class alone keep every decision of every fit: iff M = aI + u1ᵀ, a > 0.

    Sufficient: s M = a s + (s·u) 1ᵀ. Necessary: let m_k be the columns of M. Where s_k and s_j are equal and larger
    than all others, s·(m_k − m_j) changes its sign with s_k − s_j, and so is 0 there, on an open part of the hyperplane
    s_k = s_j; being linear it is 0 on all of it, so that m_k − m_j = c_kj (e_k − e_j) with c_kj > 0. Adding this up
    over three classes makes all c_kj one a, hence m_k − a e_k the same u for all k. With P = I − 11ᵀ/K this is MP = aP.

    Outputs that sum to 1, of fits with an intercept, leave no more freedom: their hyperplanes span the same. Outputs
    that sum to 0, of centred targets whose mean is not added again, also let 1vᵀ pass: PMP = aP.

    Parameters
    ----------
    class_targets : (K, K) matrix M, row t the targets of samples of class t.
    zero_sum : whether s sums to 0 at every point.

    Returns
    -------
    Whether M has this form up to the rounding of its own type.

    Raises InvalidInput where M is no square matrix of finite numbers.
    """
    given = arguments.checked_rows(class_targets, "class_targets", "classes", "classes", InvalidInput)
    epsilon = float(array_api.array_namespace(given).finfo(given.dtype).eps)
    matrix = np.asarray(given, np.float64)
    n_classes = len(matrix)
    if matrix.shape[1] != n_classes:
        raise InvalidInput(f"class_targets has shape {matrix.shape}; give (K, K), the targets of every class")
    centring = np.eye(n_classes) - 1 / n_classes
    seen = matrix @ centring
    if zero_sum:
        seen = centring @ seen
    gain = float(np.trace(seen)) / (n_classes - 1)
    rounding = 8 * n_classes * epsilon * float(np.abs(matrix).max())
    return gain > rounding and bool(np.abs(seen - gain * centring).max() <= rounding)


def winners_within(outputs: Any, superclasses: Any) -> Any:
    """(m, G) class of the largest output within each of G superclasses, which KD-rel with β₁ > β₂ never changes.

    Parameters
    ----------
    outputs : (m, K) outputs.
    superclasses : as :func:`hilbertsd.targets.class_relations`; columns are in the order in which superclasses appear.

    Raises InvalidInput where a class has no superclass or two, or there are other classes than K.
    """
    outputs = arguments.checked_logits(outputs, "outputs")
    of_class = arguments.checked_superclasses(superclasses, outputs.shape[1])
    xp = array_api.array_namespace(outputs)
    winners = []
    for number in range(int(of_class.max()) + 1):
        classes = xp.asarray(np.flatnonzero(of_class == number), device=array_api.device(outputs))
        winners.append(xp.take(classes, xp.argmax(xp.take(outputs, classes, axis=1), axis=1)))
    return xp.stack(winners, axis=1)

"""What a student is taught instead of its labels: label smoothing, distillation and its parts.

K classes, t the class of a sample, y its one-hot label, p the teacher's probabilities at temperature τ. Every function
gives (n, K) rows that sum to 1, in the array library and floating type of what it is given.

    label smoothing   (1−α) y + α/K                              Szegedy et al. (2016), arXiv:1512.00567, §7
    KD                p = softmax(z/τ)                           Hinton, Vinyals & Dean (2015), arXiv:1503.02531
    KD-pt             p_t on t, (1−p_t)/(K−1) elsewhere          Tang et al. (2020), arXiv:2002.03532, §4
    KD-sim            softmax of the similarity of classes to t  the same, §4 and §7.2
    KD-pt+sim         a linear mix of the two                    the same, §4
    KD-topk           the k largest p_i, the rest spread evenly  the same, §5.3
    KD-rel            three constants: t, its siblings, others   the same, (5)

A student of KD learns from y and p together: targets (1−α) y + α p where its outputs are linear in the targets or
τ = 1, :func:`hilbertsd.targets.distillation_loss` otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import array_api_compat as array_api
import numpy as np

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_positive, check_whole
from hilbertsd.targets import arguments
from hilbertsd.targets.logarithms import log_of, log_softmax


def label_smoothing(labels: Any, n_classes: int, alpha: float) -> Any:
    """(1−α) y + α/K.

    Parameters
    ----------
    labels : (n,) class numbers.
    n_classes : K.
    alpha : α from 0, the label alone, to 1, the same for all classes.

    Raises InvalidTargets for labels outside the classes, InvalidInput for α outside [0, 1].
    Source: Szegedy et al. (2016), arXiv:1512.00567, §7.
    """
    n_classes, alpha = arguments.checked_classes(n_classes), arguments.checked_share(alpha, "alpha")
    labels = arguments.checked_labels(labels, n_classes)
    return (1 - alpha) * arguments.one_hot(labels, n_classes) + alpha / n_classes


def kd(logits: Any, temperature: float = 1.0) -> Any:
    """softmax(z/τ), without overflow.

    Parameters
    ----------
    logits : (n, K) outputs z of the teacher before its softmax.
    temperature : τ.

    Raises InvalidTargets for logits that are not finite, InvalidInput for a temperature that is not positive.
    Source: Hinton, Vinyals & Dean (2015), arXiv:1503.02531, (1).
    """
    temperature = check_positive(temperature, "temperature", "the τ of softmax(z/τ)", InvalidInput)
    logits = arguments.checked_logits(logits)
    return array_api.array_namespace(logits).exp(log_softmax(logits, temperature))


def kd_from_probabilities(probabilities: Any, temperature: float = 1.0) -> Any:
    """softmax(log(p)/τ), p raised to 1/τ and normalised: :func:`kd` of a teacher whose logits are not known.

    The softmax does not see what log p lacks, one constant for each sample, so that both are equal.

    Parameters
    ----------
    probabilities : (n, K) probabilities of the teacher at temperature 1; 0 stays 0.
    temperature : τ.

    Raises InvalidTargets for negative probabilities or rows that do not sum to 1, InvalidInput as :func:`kd`.
    """
    temperature = check_positive(temperature, "temperature", "the τ of softmax(z/τ)", InvalidInput)
    probabilities = arguments.checked_probabilities(probabilities)
    if temperature == 1:
        return probabilities
    return array_api.array_namespace(probabilities).exp(log_softmax(log_of(probabilities), temperature))


def kd_pt(probabilities: Any, labels: Any) -> Any:
    """KD-pt, the teacher's confidence alone: p_t on t and (1−p_t)/(K−1) on every other class.

    1 − p_t is the sum of the others, which keeps its digits where p_t is close to 1. For K = 2 it is KD.

    Parameters
    ----------
    probabilities : (n, K) probabilities of the teacher.
    labels : (n,) class numbers t.

    Raises InvalidTargets for negative probabilities, rows that do not sum to 1, labels outside the classes.
    Source: Tang et al. (2020), arXiv:2002.03532, §4.
    """
    p = arguments.checked_probabilities(probabilities)
    n, n_classes = p.shape
    xp = array_api.array_namespace(p)
    labels = arguments.checked_labels(labels, n_classes, p, n)
    is_true = arguments.one_hot(labels, n_classes, xp.bool)
    others = xp.sum(xp.where(is_true, xp.zeros_like(p), p), axis=1, keepdims=True)
    return xp.where(is_true, p, others / (n_classes - 1))


def kd_sim(class_weights: Any, labels: Any, power: float = 1.0, temperature: float = 1.0) -> Any:
    """KD-sim, the teacher's relations of classes alone: row t of :func:`class_similarities`.

    Parameters
    ----------
    class_weights : (K, d) weights of the teacher's last layer, a row a class, without biases.
    labels : (n,) class numbers t.
    power, temperature : as :func:`class_similarities`.

    Raises as :func:`class_similarities`, and InvalidTargets for labels outside the classes.
    Source: Tang et al. (2020), arXiv:2002.03532, §4 and §7.2.
    """
    similarities = class_similarities(class_weights, power, temperature)
    labels = arguments.checked_labels(labels, similarities.shape[0], similarities)
    return array_api.array_namespace(similarities).take(similarities, labels, axis=0)


def class_similarities(class_weights: Any, power: float = 1.0, temperature: float = 1.0) -> Any:
    """(K, K) matrix of KD-sim, row t the softmax over i of sign(c)|c|^power/τ for c = cos(w_i, w_t).

    The source raises c to a power to tell similarities apart; a negative c is taken to keep its sign, so that no power
    makes opposite classes similar. With τ = 1 rows are nearly uniform, because c is within [−1, 1].

    Parameters
    ----------
    class_weights : (K, d) weights of the teacher's last layer, a row a class, without biases.
    power : positive exponent.
    temperature : τ.

    Raises InvalidInput for weights that are not finite or a row of zeros, and numbers that are not positive.
    Source: Tang et al. (2020), arXiv:2002.03532, §4 and §7.2.
    """
    power = check_positive(power, "power", "the exponent of similarities", InvalidInput)
    temperature = check_positive(temperature, "temperature", "the τ of the softmax of similarities", InvalidInput)
    weights = arguments.checked_class_weights(class_weights)
    xp = array_api.array_namespace(weights)
    scaled = weights / xp.max(xp.abs(weights), axis=1, keepdims=True)  # squares neither overflow nor vanish
    unit = scaled / xp.sqrt(xp.sum(scaled**2, axis=1, keepdims=True))
    cosines = unit @ xp.matrix_transpose(unit)
    return xp.exp(log_softmax(xp.sign(cosines) * xp.abs(cosines) ** power, temperature))


def kd_pt_sim(confidence: Any, similarity: Any, share: float = 0.5) -> Any:
    """KD-pt+sim, a linear mix: (1−share) KD-pt + share KD-sim.

    Parameters
    ----------
    confidence : (n, K) targets of :func:`kd_pt`.
    similarity : (n, K) targets of :func:`kd_sim`.
    share : of KD-sim, from 0 to 1.

    Raises InvalidTargets where the two are no probabilities of the same shape, InvalidInput for a share outside [0, 1].
    Source: Tang et al. (2020), arXiv:2002.03532, §4.
    """
    share = arguments.checked_share(share, "share")
    first = arguments.checked_probabilities(confidence, "confidence")
    second = arguments.checked_probabilities(similarity, "similarity")
    arguments.check_same_shape(first, "confidence", second, "similarity")
    return (1 - share) * first + share * second


def kd_topk(probabilities: Any, k: int) -> Any:
    """KD-topk: the k largest p_i of a sample kept, the rest of the probability spread evenly over the other classes.

    Whether t is among the k is left to the teacher. Of equal p_i the first class counts as larger. For k = K, and for
    k = K − 1, it is KD.

    Parameters
    ----------
    probabilities : (n, K) probabilities of the teacher.
    k : from 1 to K.

    Raises InvalidTargets for negative probabilities or rows that do not sum to 1, InvalidInput for k outside 1, …, K.
    Source: Tang et al. (2020), arXiv:2002.03532, §5.3.
    """
    check_whole(k, "k", InvalidInput)
    p = arguments.checked_probabilities(probabilities)
    n_classes = p.shape[1]
    if k > n_classes:
        raise InvalidInput(f"k is {k}, and there are {n_classes} classes; give a k from 1 to {n_classes}")
    if k == n_classes:
        return p
    xp = array_api.array_namespace(p)
    rank = xp.argsort(xp.argsort(-p, axis=1, stable=True), axis=1, stable=True)
    kept = rank < k
    rest = xp.sum(xp.where(kept, xp.zeros_like(p), p), axis=1, keepdims=True)
    return xp.where(kept, p, rest / (n_classes - k))


def kd_rel(labels: Any, superclasses: Any, constants: Sequence[float], n_classes: int | None = None) -> Any:
    """KD-rel, the relations of classes that a hierarchy states: row t of :func:`class_relations`.

    Parameters
    ----------
    labels : (n,) class numbers t.
    superclasses, constants, n_classes : as :func:`class_relations`.

    Raises as :func:`class_relations`, and InvalidTargets for labels outside the classes.
    Source: Tang et al. (2020), arXiv:2002.03532, (5).
    """
    relations = class_relations(superclasses, constants, n_classes)
    labels = arguments.checked_labels(labels, relations.shape[0])
    xp = array_api.array_namespace(labels)
    dtype = xp.asarray(0.0).dtype
    return xp.take(xp.asarray(relations, dtype=dtype, device=array_api.device(labels)), labels, axis=0)


def class_relations(superclasses: Any, constants: Sequence[float], n_classes: int | None = None) -> Any:
    """(K, K) matrix of KD-rel: β₁ on t, β₂ on its siblings, β₃ on the other classes, each row divided by its sum.

    The sum is β₁ + (m−1) β₂ + (K−m) β₃ for a superclass of m classes, so that superclasses of different sizes have
    different probabilities of t.

    Parameters
    ----------
    superclasses : the superclass of every class, its name or a number from 0, ``["pet", "pet", "car"]``; or the classes
        of every superclass, ``[[0, 1], [2]]`` or ``{"pet": [0, 1], "car": [2]}``.
    constants : β₁, β₂, β₃, none negative, β₁ positive.
    n_classes : K; None takes it from the superclasses.

    Returns
    -------
    NumPy array.

    Raises InvalidInput where a class has no superclass or two, and for other constants.
    Source: Tang et al. (2020), arXiv:2002.03532, (5), where the constants are searched.
    """
    true, sibling, other = checked_constants(constants)
    of_class = arguments.checked_superclasses(superclasses, n_classes)
    relations = np.where(of_class[:, None] == of_class, sibling, other)
    np.fill_diagonal(relations, true)
    return relations / relations.sum(axis=1, keepdims=True)


def checked_constants(constants: Sequence[float]) -> tuple[float, float, float]:
    """β₁, β₂, β₃ of KD-rel, or InvalidInput unless they are three finite numbers, β₁ > 0 and the others at least 0."""
    values = np.asarray(arguments.as_floating(constants, "constants", InvalidInput), dtype=np.float64)
    if values.shape != (3,) or not np.all(np.isfinite(values)) or values.min() < 0 or values[0] == 0:
        raise InvalidInput(
            f"constants are {constants!r}; give three numbers for the class itself, its siblings and the others, the "
            "first positive and none negative"
        )
    return float(values[0]), float(values[1]), float(values[2])

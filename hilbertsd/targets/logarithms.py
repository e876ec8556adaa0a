"""Probabilities by their logarithms: p and 1 − p to full relative accuracy, however close to 0 or 1.

Where q is 1 − 10⁻²⁰ its complement is lost in q, and with it every ratio of gradients. In what follows log p and
log(1 − p) are a pair, each computed without cancellation from the other classes.
"""

from typing import Any

import array_api_compat as array_api
import numpy as np


def log_softmax(logits: Any, temperature: float = 1.0) -> Any:
    """(n, K) log softmax(z/τ). Logits may be −∞, not all of a row.

    The largest logit is taken out of the sum, so that log p is exact where p is close to 1: −log1p(Σ of the others).
    """
    xp = array_api.array_namespace(logits)
    top = _is_top(logits)
    zero = xp.zeros_like(logits)
    # A sum over one entry, not a maximum, whose derivative is shared between equal logits.
    largest = xp.sum(xp.where(top, logits, zero), axis=-1, keepdims=True)
    with np.errstate(over="ignore"):  # −∞ is what differences beyond the largest number are
        shifted = xp.where(top, zero, (logits - largest) / temperature)
    others = xp.sum(xp.where(top, zero, xp.exp(shifted)), axis=-1, keepdims=True)
    return shifted - xp.log1p(others)


def log_of(probabilities: Any) -> Any:
    """Logarithm of p, −∞ where p is 0."""
    xp = array_api.array_namespace(probabilities)
    positive = probabilities > 0
    logs = xp.log(xp.where(positive, probabilities, xp.ones_like(probabilities)))
    return xp.where(positive, logs, xp.full_like(logs, -np.inf))


def log_complement(logs: Any) -> Any:
    """(n, K) log(1 − p) from the log p of all classes: of the largest p the log of the others' sum."""
    xp = array_api.array_namespace(logs)
    top = _is_top(logs)
    others = xp.where(top, xp.full_like(logs, -np.inf), logs)
    second = xp.max(others, axis=-1, keepdims=True)
    anchor = xp.where(xp.isfinite(second), second, xp.zeros_like(second))
    total = second + log_of(xp.sum(xp.exp(others - anchor), axis=-1, keepdims=True))
    return xp.where(top, total, xp.log1p(-xp.exp(others)))


def log_difference(first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, Any]:
    """Sign and logarithm of |p − q|, both given as the pair of log p and log(1 − p).

    p − q = ± e^{larger} (1 − e^{−gap}) with expm1, or the same of the complements where both exceed 1/2.
    """
    xp = array_api.array_namespace(first[0])
    close_to_one = xp.minimum(first[0], second[0]) > np.log(0.5)
    p, q = xp.where(close_to_one, second[1], first[0]), xp.where(close_to_one, first[1], second[0])
    larger, differs = xp.maximum(p, q), p != q
    one = xp.ones_like(larger)
    gap = xp.where(differs, larger, one) - xp.where(differs, xp.minimum(p, q), 0 * one)
    log_size = xp.where(differs, larger + xp.log(-xp.expm1(-gap)), xp.full_like(larger, -np.inf))
    return xp.where(p > q, one, -one), log_size


def _is_top(values: Any) -> Any:
    """(n, K) whether an entry is the first largest of its row."""
    xp = array_api.array_namespace(values)
    classes = xp.arange(values.shape[-1], device=array_api.device(values))
    return classes == xp.argmax(values, axis=-1, keepdims=True)

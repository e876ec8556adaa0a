"""Oracle: Green's functions of P*P with constant coefficients at 500 digits, by matrix exponentials."""

import mpmath
import numpy as np

DIGITS = 500

PARTS = 128
"""Points are whole multiples of 1/PARTS, so that one matrix exponential and its powers serve all of them."""


def green_values(coefficients, x, left=(), right=()):
    """(n, n) g(x_i, x_j) on [0, 1]; conditions are orders of derivatives that vanish, natural ones completed.

    F' = C F + e_p λ_p/a_p², λ' = −Cᵀλ, and λ_1 jumps by −1 at the source.
    """
    multiples = [int(value) for value in np.asarray(x) * PARTS]
    assert multiples == list(np.asarray(x) * PARTS)
    with mpmath.workdps(DIGITS):
        a = [mpmath.mpf(float(c)) for c in coefficients]
        p = len(a) - 1
        h = mpmath.zeros(2 * p)
        for j in range(p - 1):
            h[j, j + 1] = 1
        for j in range(p):
            h[p - 1, j] = -a[j] / a[p]
        for i in range(p):
            for j in range(p):
                h[p + i, p + j] = -h[j, i]
        h[p - 1, 2 * p - 1] = 1 / a[p] ** 2
        powers = [mpmath.eye(2 * p)]
        for _ in range(2 * p):
            powers.append(powers[-1] * h)

        def rows(conditions):
            forms = [powers[k][0, :] for k in conditions]
            if len(conditions) < p:  # λ_j = 0 where f^(j) is free
                forms += [_unit(p + j, 2 * p) for j in range(p) if j not in conditions]
            return forms

        doublings = [mpmath.expm(h / PARTS, method="taylor")]
        for _ in range(PARTS.bit_length()):
            doublings.append(doublings[-1] * doublings[-1])

        def exponential(multiple):
            product = mpmath.eye(2 * p)
            for bit, factor in enumerate(doublings):
                if multiple >> bit & 1:
                    product = product * factor
            return product

        whole = exponential(PARTS)
        at_left, at_right = rows(left), rows(right)
        system = mpmath.matrix(2 * p, 2 * p)
        for i, form in enumerate([*at_left, *[form * whole for form in at_right]]):
            for j in range(2 * p):
                system[i, j] = form[0, j]
        jump = mpmath.zeros(2 * p, 1)
        jump[p] = -1
        to = [exponential(multiple) for multiple in multiples]
        values = np.empty((len(x), len(x)))
        for j, source in enumerate(multiples):
            after = exponential(PARTS - source) * jump
            right_hand_side = mpmath.zeros(2 * p, 1)
            for i, form in enumerate(at_right):
                right_hand_side[p + i] = -(form * after)[0]
            start = mpmath.lu_solve(system, right_hand_side)
            for i in range(len(x)):
                if multiples[i] <= source:
                    values[i, j] = values[j, i] = float((to[i] * start)[0])
        return values


def _unit(index, size):
    form = mpmath.zeros(1, size)
    form[0, index] = 1
    return form

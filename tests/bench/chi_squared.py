# SPDX-License-Identifier: Apache-2.0
"""Pearson's chi-squared test: how likely it is to be as far off as that by chance alone."""

import math


def statistic(counts, expected):
    return sum((count - wanted) ** 2 / wanted for count, wanted in zip(counts, expected))


def chance(value, freedom):
    """The chance of at least that value with that many degrees of freedom: the upper regularized incomplete gamma
    function, as series or as continued fraction (Numerical Recipes, 6.2)."""
    a, x = freedom / 2, value / 2
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while term > total * 1e-15:
            n += 1
            term *= x / n
            total += term
        return 1 - total * scale
    b, c = x + 1 - a, 1e300
    d = 1 / b
    h = d
    for i in range(1, 1000):
        an = -i * (i - a)
        b += 2
        d = 1 / (an * d + b)
        c = b + an / c
        step = d * c
        h *= step
        if abs(step - 1) < 1e-15:
            break
    return h * scale

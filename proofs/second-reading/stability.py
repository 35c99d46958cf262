"""Steps of `x' = Kx` with a skew matrix `K`, by any Runge-Kutta method: `R(hK)`, a normal matrix with the eigenvalues `R(iy)`,
`|y| <= h|K|`, for the stability function `R = det(I - z(A - 1b'))/det(I - zA)` of the method.

Numbers of the coefficients are pairs (x, y), meaning x + y sqrt(d)."""

import math
from fractions import Fraction as Q


def plus(p, q):
    return [p[0] + q[0], p[1] + q[1]]


def times(p, q, d):
    return [p[0] * q[0] + d * p[1] * q[1], p[0] * q[1] + p[1] * q[0]]


def reverse_characteristic(m, d):
    """The coefficients of `det(I - zM)`, by the recursion of Faddeev and LeVerrier."""
    n, c = len(m), [[Q(1), Q(0)]]
    power = [[[Q(0), Q(0)] for _ in m] for _ in m]
    for k in range(1, n + 1):
        for i in range(n):
            power[i][i] = plus(power[i][i], c[-1])
        power = [[sum_of(times(row[k], power[k][j], d) for k in range(n)) for j in range(n)] for row in m]
        trace = sum_of(power[i][i] for i in range(n))
        c.append([-trace[0] / k, -trace[1] / k])
    return c


def sum_of(pairs):
    total = [Q(0), Q(0)]
    for pair in pairs:
        total = plus(total, pair)
    return total


def modulus(p, d):
    """`|p(iy)|^2` as a polynomial in `w = y^2`: the squares of `p_0 - p_2 w + ...` and, times `w`, of `p_1 - p_3 w + ...`."""
    total = [[Q(0), Q(0)] for _ in range(len(p))]
    for odd in (0, 1):
        part = [[(-1) ** k * x for x in pair] for k, pair in enumerate(p[odd::2])]
        for i, x in enumerate(part):
            for j, y in enumerate(part):
                total[i + j + odd] = plus(total[i + j + odd], times(x, y, d))
    return total


def value(p, w):
    total = Q(0)
    for x in reversed(p):
        total = total * w + x
    return total


def remainder(p, q):
    p = list(p)
    while len(p) >= len(q):
        factor = p[-1] / q[-1]
        for i, x in enumerate(q):
            p[len(p) - len(q) + i] -= factor * x
        p.pop()
    while p and p[-1] == 0:
        p.pop()
    return p


def is_nonnegative(p, end):
    """Whether a polynomial is nowhere negative on `[0, end]`, no root inside: by the signs of Sturm's chain at the ends."""
    while p and p[-1] == 0:
        p = p[:-1]
    if not p or end == 0:
        return not p or p[0] >= 0
    while p[0] == 0:  # w divided out
        p = p[1:]
    while value(p, end) == 0:  # (end - w) divided out, by Horner's scheme
        quotient = []
        for x in reversed(p[1:]):
            quotient.append(x + (end * quotient[-1] if quotient else 0))
        p = [-x for x in reversed(quotient)]
    if p[0] <= 0 or value(p, end) <= 0:
        return False
    chain = [p, [k * x for k, x in enumerate(p)][1:]]
    while chain[-1]:
        chain.append([-x for x in remainder(chain[-2], chain[-1])])
    def changes(w):
        signs = [x > 0 for x in (value(q, w) for q in chain[:-1]) if x]
        return sum(a != b for a, b in zip(signs, signs[1:]))
    return changes(Q(0)) == changes(end)


def skew_step(a, b, d, end):
    """The least and the largest `|R(iy)|` for `y^2 <= end`: for a claim `c`, `c^2 D - N` or `N - c^2 D` is nowhere negative."""
    minus = [[plus(x, [-y for y in weight]) for x, weight in zip(row, b)] for row in a]
    n, big = (modulus(reverse_characteristic(m, d), d) for m in (minus, a))
    root = Q(math.isqrt(d * 4 ** 600), 2 ** 600)
    gap = 0 if root * root == d else Q(1, 2 ** 600)

    def holds(c, sign):
        pairs = [[sign * (c * c * y - x) for x, y in zip(low, high)] for low, high in zip(n, big)]
        return is_nonnegative([x + y * root - gap * abs(y) for x, y in pairs], end)
    return {"bound": lambda c: c >= 0 and holds(c, 1), "inverse": lambda c: c <= 0 or holds(c, -1)}

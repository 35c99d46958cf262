"""Quadratic constraints: maps and functions one after the other, by multipliers of the functions."""

from fractions import Fraction as Q
from math import prod

from exact import Refused, Unread, is_psd

LARGEST = 400  # rows of a matrix that is proved semidefinite


def evidence(proof, key):
    if key not in proof.get("evidence", {}):
        raise Refused(f"it has no {key} as evidence")
    return proof["evidence"][key]


def semidefinite(s):
    if len(s) > LARGEST:
        raise Unread(f"a matrix of {len(s)} rows")
    return is_psd(s)


def unit_of(rows):
    """The power of two by which the largest entry comes to lie in [1, 2)."""
    most, unit = max(abs(x) for row in rows for x in row), Q(1)
    while most and not 1 <= most / unit < 2:
        unit = unit * 2 if most >= 2 * unit else unit / 2
    return unit


def form(n):
    """A quadratic form in n variables, 0 at first, and what adds `t (row . v)^2` to it."""
    s = [[Q(0)] * n for _ in range(n)]

    def add(t, row):
        for i, x in row.items():
            for j, y in row.items():
                s[i][j] += t * x * y
    return s, add


def slopes_of(add, rows, function, multipliers, before, here):
    """Adds `2 sum T (s - mz)(s - Lz)` with z the rows times what begins at `before`, and s at `here`."""
    m, l = function.slopes
    for i, (row, weight) in enumerate(zip(rows, multipliers)):
        # 2 (s - mz)(s - Lz) = 2 (s - (m+L)/2 z)^2 - (L-m)^2/2 z^2
        z = {before + j: x for j, x in enumerate(row) if x}
        add(2 * weight, {j: -(m + l) / 2 * x for j, x in z.items()} | {here + i: Q(1)})
        add(-(l - m) ** 2 / 2 * weight, z)


def are_multipliers(blocks, sizes):
    if [len(t) for t in blocks] != sizes or min(map(min, blocks)) < 0:
        raise Refused("multipliers are one for each neuron, and not negative")


def quadratic_constraint(matrices, functions, outer, proof, c):
    """`y = B f(W .. f(W x))`: with `(ds - m dz)(ds - L dz) <= 0` of each neuron and multipliers T, the form
    `c^2|x|^2 - |y|^2 + 2 sum T (s - m z)(s - L z)` is semidefinite.

    Multipliers are in units in which the largest entry of each matrix lies in [1, 2)."""
    blocks, scaled = evidence(proof, "multipliers"), []
    for matrix in matrices + ([outer] if outer else []):
        rows = matrix.dense()
        unit = unit_of(rows)
        c /= unit
        scaled.append([[x / unit for x in row] for row in rows])
    are_multipliers(blocks, [len(w.rows) for w in matrices])
    at = [0, prod(matrices[0].source)]
    for t in blocks:
        at.append(at[-1] + len(t))
    s, add = form(at[-1])
    [add(c * c, {i: Q(1)}) for i in range(at[1])]
    for k, (w, f, t) in enumerate(zip(scaled, functions, blocks)):
        slopes_of(add, w, f, map(Q, t), at[k], at[k + 1])
    last = scaled[-1] if outer else [[Q(int(i == j)) for j in range(len(blocks[-1]))] for i in range(len(blocks[-1]))]
    for row in last:
        add(Q(-1), {at[-2] + j: x for j, x in enumerate(row) if x})
    return c > 0 and semidefinite(s)


# What a multiplier of the certificate stands for, u and v being the units in which the largest entries of A and B lie in [1, 2).
STEP, VALUE, ONCE = (lambda u, v: 1 / u ** 2), (lambda u, v: v ** 2), (lambda u, v: v / u)


def field_constraint(field, multipliers, unit, cross, square, kappa):
    """`2 cross <x, f> + square |f|^2 <= kappa |x|^2` for differences of `f(x) = Cx + B s(Ax)`, or of the same without C."""
    *linear, a, b = [matrix.dense() for matrix in field.o]
    are_multipliers([multipliers], [len(a)])
    n, by = len(b), unit(unit_of(a), unit_of(b))
    s, add = form(n + len(a))
    [add(kappa, {i: Q(1)}) for i in range(n)]
    slopes_of(add, a, field.functions[0], [by * Q(t) for t in multipliers], 0, n)
    for o in range(n):
        f = {n + j: x for j, x in enumerate(b[o]) if x} | {j: x for c in linear for j, x in enumerate(c[o]) if x}
        # 2xf = (x + f)^2 - x^2 - f^2
        add(-cross, f | {o: f.get(o, Q(0)) + 1})
        add(cross, {o: Q(1)})
        add(cross - square, f)
    return semidefinite(s)


def lurie_claims(field, parts, proof):
    """The constants of a field in Lur'e form: each by multipliers of its own, the first one by those or by the norms."""
    blocks = evidence(proof, "multipliers")
    if field.kind != "lurie" or len(blocks) not in (2, 3):
        raise Refused("it has no multipliers for the constants of a field")
    norms = parts[0]["bound"] + parts[1]["bound"] * parts[2]["bound"] * field.functions[0].size
    allowed = {"bound": lambda c: c >= norms or c > 0 and field_constraint(field, blocks[0], VALUE, Q(0), Q(1), c * c),
               "one_sided_lipschitz": lambda c: field_constraint(field, blocks[1], ONCE, Q(1), Q(0), 2 * c)}
    if len(blocks) == 3:
        allowed["cocoercivity"] = lambda c: c >= 0 and field_constraint(field, blocks[2], ONCE, Q(1), 2 * c, Q(0))
    return allowed

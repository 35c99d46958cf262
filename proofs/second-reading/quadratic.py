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


def quadratic_constraint(matrices, functions, outer, h, proof, c):
    """`y = x + h B f(Ax)`, or `y = B f(W .. f(W x))` for `h` none: with `(ds - m dz)(ds - L dz) <= 0` of each neuron and
    multipliers T, the form `c^2|x|^2 - |y|^2 + 2 sum T (s - m z)(s - L z)` is semidefinite.

    Multipliers are in units in which the largest entry of each matrix lies in [1, 2)."""
    blocks, scaled, e = evidence(proof, "multipliers"), [], Q(1)
    for matrix in matrices + ([outer] if outer else []):
        rows = matrix.dense()
        unit = unit_of(rows)
        e *= unit
        scaled.append([[x / unit for x in row] for row in rows])
    if [len(t) for t in blocks] != [len(w.rows) for w in matrices] or min(map(min, blocks)) < 0:
        raise Refused("multipliers are one for each neuron, and not negative")
    at = [0, prod(matrices[0].source)]
    for t in blocks:
        at.append(at[-1] + len(t))
    c, h = (c, h * e) if h is not None else (c / e, h)
    s = [[c * c if i == j < at[1] else Q(0) for j in range(at[-1])] for i in range(at[-1])]

    def add(t, row):
        for i, x in row.items():
            for j, y in row.items():
                s[i][j] += t * x * y
    for k, (w, f, t) in enumerate(zip(scaled, functions, blocks)):
        m, l = f.slopes
        for i, (row, weight) in enumerate(zip(w, map(Q, t))):
            # 2 (s - mz)(s - Lz) = 2 (s - (m+L)/2 z)^2 - (L-m)^2/2 z^2
            z = {at[k] + j: x for j, x in enumerate(row) if x}
            add(2 * weight, {j: -(m + l) / 2 * x for j, x in z.items()} | {at[k + 1] + i: Q(1)})
            add(-(l - m) ** 2 / 2 * weight, z)
    last = scaled[-1] if outer else [[Q(int(i == j)) for j in range(len(blocks[-1]))] for i in range(len(blocks[-1]))]
    for i, row in enumerate(last):
        y = {at[-2] + j: (h if h is not None else 1) * x for j, x in enumerate(row) if x}
        add(Q(-1), y if h is None else {i: Q(1)} | y)
    return c > 0 and semidefinite(s)

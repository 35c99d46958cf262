"""Exact numbers: semidefinite matrices, tensors, slopes of smooth functions, Runge-Kutta methods. No rounding anywhere."""

import json
import math
import struct
from fractions import Fraction as Q
from functools import cache
from math import lcm


class Unread(Exception):
    """What this program cannot read or decide: it says so, and claims nothing."""


class Refused(Exception):
    """A claim that is false, or that does not follow from what it names as its reason."""


def rounded(x, single):
    """The number of the format of a network that is nearest to `x`, as a fraction."""
    return Q(struct.unpack("<f", struct.pack("<f", x))[0] if single else x)


# ---- positive semidefinite matrices

PRECISION = 320  # bits that are kept of the largest entry; where they do not decide, all of them do


def is_psd(s):
    """Whether a symmetric matrix of fractions is positive semidefinite: proved, or refuted.

    Schur complements are rounded: entries off by less than one unit are a matrix of norm below `n`. With `n` less on the
    diagonal all that follows lies below the truth, and what is semidefinite proves that the truth is; with `n` more it lies
    above, and what is not refutes it. If neither decides, it is done again without any rounding.
    """
    d = lcm(*(Q(x).denominator for row in s for x in row))
    s = [[int(x * d) for x in row] for row in s]
    shift = PRECISION - max((abs(x).bit_length() for row in s for x in row), default=0)
    near = [[x << shift if shift >= 0 else x >> -shift for x in row] for row in s]
    slack = 0 if shift >= 0 else len(s)
    if eliminate(near, -1, slack):
        return True
    return eliminate(near, 1, slack) and eliminate(s, 0, 0)


def eliminate(s, side, slack):
    """Whether no pivot is negative, and a pivot of 0 has a row of zeros: rounded to one side, or exactly for side 0.

    Exactly, it is the elimination of Bareiss, whose divisions leave no remainder.
    """
    s, n, previous = [list(row) for row in s], len(s), 1
    for k in range(n):
        s[k][k] += side * slack
    for k in range(n):
        pivot, row = s[k][k], s[k]
        rest = [i for i in range(k + 1, n) if row[i] or not side]
        if pivot < 0 or pivot == 0 and any(row[k + 1:]):
            return False
        for a, i in enumerate(rest if pivot else []):
            for j in rest[a:]:
                change = row[i] * row[j]
                s[i][j] = s[i][j] - change // pivot if side else (pivot * s[i][j] - change) // previous
            s[i][i] += side * len(rest)
        previous = pivot or previous
        for a, i in enumerate(rest if pivot else []):
            for j in rest[a:]:
                s[j][i] = s[i][j]
    return True


def above_root(c, x, y):
    """Whether `c >= x + sqrt(y)`, for `y >= 0`."""
    return c >= x and (c - x) ** 2 >= y


def above_roots(c, x, y):
    """Whether `c >= sqrt(x) + sqrt(y)`, for `x`, `y >= 0`."""
    rest = c * c - x - y
    return c >= 0 and rest >= 0 and rest ** 2 >= 4 * x * y


# ---- files

def unique(pairs):
    """An object of JSON, none of whose keys may come twice."""
    if len(dict(pairs)) != len(pairs):
        raise Refused("a key comes twice")
    return dict(pairs)


def parse(text):
    return json.loads(text, object_pairs_hook=unique)


DTYPES = {"F64": ("d", 8), "F32": ("f", 4), "F16": ("e", 2), "BF16": ("H", 2), "U8": ("B", 1),
          "I64": ("q", 8), "I32": ("i", 4), "U64": ("Q", 8), "U32": ("I", 4)}


class Tensors:
    """A safetensors file: the length of the header, the header, and the numbers."""

    def __init__(self, data):
        size = int.from_bytes(data[:8], "little")
        self.header, self.data = parse(data[8:8 + size].decode()), data[8 + size:]
        self.metadata = self.header.pop("__metadata__", {})

    def type(self, name):
        if name not in self.header:
            raise Refused(f"the file has no tensor {name!r}")
        return self.header[name]["dtype"]

    def raw(self, name):
        """The bytes of a tensor, its numbers, and its shape."""
        kind, (start, end), shape = self.type(name), self.header[name]["data_offsets"], self.header[name]["shape"]
        if kind not in DTYPES:
            raise Unread(f"tensors of type {kind}")
        code, size = DTYPES[kind]
        data, count = self.data[start:end], math.prod(shape)
        if len(data) != size * count:
            raise Refused(f"the tensor {name!r} has another length than its shape")
        numbers = struct.unpack(f"<{count}{code}", data)
        if kind == "BF16":  # the upper half of a binary32
            numbers = [struct.unpack("<f", struct.pack("<I", x << 16))[0] for x in numbers]
        if not all(math.isfinite(x) for x in numbers):
            raise Refused(f"the tensor {name!r} has a number that is not finite")
        return data, numbers, shape


# ---- slopes of smooth functions, from above

@cache
def silu_slope():
    """1/2 + t/4 at the root of `t tanh(t/2) = 2`, that is of `e^t (t - 2) = t + 2`, rounded up to 110 bits by bisection."""
    low, high = Q(2), Q(3)
    for _ in range(110):
        t = (low + high) / 2
        # A partial sum of positive terms lies below the exponential.
        term = total = Q(1)
        for k in range(1, 80):
            term = term * t / k
            total += term
        low, high = (low, t) if total * (t - 2) >= t + 2 else (t, high)
    return Q(1, 2) + high / 4


@cache
def gelu_slope():
    """`Phi(t) + t Phi'(t)` at `t = sqrt 2`, that is `1/2 + (S + 1/e)/sqrt(pi)` with `erf 1 = 2 S/sqrt(pi)`, rounded up."""
    s = sum(Q((-1) ** k, math.factorial(k) * (2 * k + 1)) for k in range(41))  # alternating, ends above
    e = sum(Q((-1) ** k, math.factorial(k)) for k in range(41))  # 1/e from above
    atan = lambda n, terms: sum(Q((-1) ** k, (2 * k + 1) * n ** (2 * k + 1)) for k in range(terms))
    pi = 16 * atan(5, 80) - 4 * atan(239, 41)  # Machin, from below
    return Q(1, 2) + (s + e) / Q(math.isqrt(math.floor(pi * 4 ** 110)), 2 ** 110)


# ---- the numbers of an exponential step

def exponential(x, bits):
    """Two numbers about `e^x`: the series of `|x|/2^j` in fixed point, squared `j` times."""
    y, j = abs(x), 0
    while y * 2 ** 8 > 1:
        y, j = y / 2, j + 1
    places = bits + 2 * j + 32
    y, low, term, k = math.floor(y * 2 ** places), 2 ** places, 2 ** places, 0
    while term:
        k += 1
        term = term * y // 2 ** places // k
        low += term
    high = low + 4 * k + 8  # each term is short by less than 4
    for _ in range(j):
        low, high = low * low // 2 ** places, high * high // 2 ** places + 1
    low, high = Q(low, 2 ** places), Q(high, 2 ** places)
    return (low, high) if x > 0 else (1 / high, 1 / low)


def nearest(between):
    """The binary64 number nearest to one that lies between two, ever closer ones."""
    bits = 256
    while True:
        try:
            low, high = map(float, between(bits))
        except OverflowError:
            raise Refused("a number of an exponential step overflows") from None
        if low == high:
            return Q(low)
        bits *= 2


def exponentials(gamma, h):
    """The binary64 numbers nearest to `e^(-gamma h)` and `(1 - e^(-gamma h))/gamma`."""
    x = -gamma * h
    if x == 0:
        return Q(1), h
    if x > 800:
        raise Refused("a number of an exponential step overflows")
    # Enough bits for 1 - e^x, too, where x is small; far below 0, e^x is next to nothing.
    more = max(0, 2 * -math.floor(math.log2(abs(float(x)) or 2.0 ** -1074))) if abs(x) < 1 else 0
    about = lambda bits: (Q(0), Q(1, 2 ** 1150)) if x < -800 else exponential(x, bits + more)
    return nearest(about), nearest(lambda bits: [(1 - e) / gamma for e in about(bits)])


# ---- Runge-Kutta methods: rows of A, and b; a pair (x, y) stands for x + y sqrt(d)

METHODS = {
    "euler": ([[]], "1"), "midpoint": ([[], "1/2"], "0 1"), "heun": ([[], "1"], "1/2 1/2"),
    "ralston2": ([[], "2/3"], "1/4 3/4"), "ralston3": ([[], "1/2", "0 3/4"], "2/9 1/3 4/9"),
    "kutta3": ([[], "1/2", "-1 2"], "1/6 2/3 1/6"), "heun3": ([[], "1/3", "0 2/3"], "1/4 0 3/4"),
    "ssprk33": ([[], "1", "1/4 1/4"], "1/6 1/6 2/3"),
    "ssprk43": ([[], "1/2", "1/2 1/2", "1/6 1/6 1/6"], "1/6 1/6 1/6 1/2"),
    "rk4": ([[], "1/2", "0 1/2", "0 0 1"], "1/6 1/3 1/3 1/6"),
    "three_eighths": ([[], "1/3", "-1/3 1", "1 -1 1"], "1/8 3/8 3/8 1/8"),
    "dopri5": ([[], "1/5", "3/40 9/40", "44/45 -56/15 32/9", "19372/6561 -25360/2187 64448/6561 -212/729",
                "9017/3168 -355/33 46732/5247 49/176 -5103/18656", "35/384 0 500/1113 125/192 -2187/6784 11/84"],
               "35/384 0 500/1113 125/192 -2187/6784 11/84 0"),
    "implicit_euler": (["1"], "1"), "implicit_midpoint": (["1/2"], "1"), "trapezoid": ([[], "1/2 1/2"], "1/2 1/2"),
    "radau_iia2": (["5/12 -1/12", "3/4 1/4"], "3/4 1/4"), "lobatto_iiic2": (["1/2 -1/2", "1/2 1/2"], "1/2 1/2"),
    "gauss2": (["1/4 1/4;-1/6", "1/4;1/6 1/4"], "1/2 1/2", 3),
    "sdirk2": (["1;-1/2 0", "0;1/2 1;-1/2"], "0;1/2 1;-1/2", 2),
}


def method(name):
    """A, b and d of a method: by its name, or its own fractions."""
    if isinstance(name, dict):
        a, b = [" ".join(row) for row in name["a"]], " ".join(name["b"])
        a, d = [[]] * (len(name["b"]) - len(a)) + a, 1
    elif name[:5] == "ssprk" and name[-1] == "2" and name[5:-1].isdigit() and 2 <= int(name[5:-1]) <= 32:
        s, d = int(name[5:-1]), 1
        a, b = [" ".join([f"1/{s - 1}"] * i) for i in range(s)], " ".join([f"1/{s}"] * s)
    elif name in METHODS:
        a, b, d = (*METHODS[name], 1)[:3]
    else:
        raise Unread(f"the method {name!r}")
    number = lambda text: ([Q(part) for part in text.split(";")] + [Q(0)])[:2]
    row = lambda text: [number(word) for word in (text.split() if text else [])]
    b = row(b)
    return [(row(r) + [[Q(0)] * 2] * len(b))[:len(b)] for r in a], b, d


def is_psd_with_root(s, d):
    """Whether a matrix of pairs is positive semidefinite, `sqrt d` being enclosed between two fractions."""
    root = Q(math.isqrt(d * 4 ** 600), 2 ** 600)
    gap = 0 if root * root == d else Q(1, 2 ** 600)
    low = [[x + y * root for x, y in row] for row in s]
    for i, row in enumerate(s):
        low[i][i] -= gap * sum(abs(y) for _, y in row)
    return is_psd(low)

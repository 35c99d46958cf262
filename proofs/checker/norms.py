"""Proofs of norms, and of what is below them, as the words of a witness: by a Gram matrix, or on a torus.  For the tests of the checker."""
import cmath, math
from fractions import Fraction


def cholesky(g):
    """In floating point, upper triangular."""
    n = len(g)
    r = [[0.0] * n for _ in range(n)]
    for i in range(n):
        s = g[i][i] - sum(r[k][i] ** 2 for k in range(i))
        r[i][i] = math.sqrt(max(s, 0.0))
        for j in range(i + 1, n):
            r[i][j] = (g[i][j] - sum(r[k][i] * r[k][j] for k in range(i))) / r[i][i] if r[i][i] else 0.0
    return r


def gram(matrix, scale, total):
    """The words of the proof of the norm of rows of integers / 2^scale, and the bound of its square."""
    m, n = len(matrix), len(matrix[0])
    lists = matrix if m <= n else [list(c) for c in zip(*matrix)]
    fine = max(0, total - scale)
    lists = [[v << fine for v in row] for row in lists]
    k, unit = len(lists), 4 ** (scale + fine)
    g = [[sum(x * y for x, y in zip(a, b)) for b in lists] for a in lists]
    v = [1.0 + i / k for i in range(k)]
    size = 1.0
    for _ in range(200):
        v = [sum(float(x) * y for x, y in zip(row, v)) for row in g]
        size = math.sqrt(sum(x * x for x in v)) or 1.0
        v = [x / size for x in v]
    alpha = int(size * 1.001) + 1
    r = cholesky([[(alpha if i == j else 0) - float(g[i][j]) for j in range(k)] for i in range(k)])
    r = [[round(x) for x in row] for row in r]
    e = lambda i, j: (alpha if i == j else 0) - g[i][j] - sum(r[l][i] * r[l][j] for l in range(min(i, j) + 1))
    beta = max(sum(abs(e(i, j)) for j in range(k)) for i in range(k))
    words = f"gram {'rows' if m <= n else 'columns'} fine {fine} alpha {alpha} beta {beta} factor {k} "
    words += " ".join(str(r[i][j]) for i in range(k) for j in range(i, k))
    return words, Fraction(alpha + beta, unit)


def below(matrix, scale, total):
    """The words of the proof that |W x|^2 >= c |x|^2 for rows of integers / 2^scale, and c."""
    k, fine = len(matrix[0]), max(0, total - scale)
    lists = [[v << fine for v in column] for column in zip(*matrix)]
    g = [[sum(x * y for x, y in zip(a, b)) for b in lists] for a in lists]
    size = float(sum(g[i][i] for i in range(k)))
    v = [1.0 + i / k for i in range(k)]
    for _ in range(3000):
        v = [size * y - sum(float(x) * z for x, z in zip(row, v)) for row, y in zip(g, v)]
        length = math.sqrt(sum(x * x for x in v)) or 1.0
        v = [x / length for x in v]
    least = sum(float(x) * y * z for row, y in zip(g, v) for x, z in zip(row, v))
    alpha = int(max(least, 0.0) * 0.9999)
    r = cholesky([[float(g[i][j]) - (alpha if i == j else 0) for j in range(k)] for i in range(k)])
    r = [[round(x) for x in row] for row in r]
    e = lambda i, j: g[i][j] - (alpha if i == j else 0) - sum(r[l][i] * r[l][j] for l in range(min(i, j) + 1))
    beta = max(sum(abs(e(i, j)) for j in range(k)) for i in range(k))
    words = f"below fine {fine} alpha {alpha} beta {beta} factor {k} " + " ".join(str(r[i][j]) for i in range(k) for j in range(i, k))
    return words, Fraction(alpha - beta, 4 ** (scale + fine))


def euler(step, steps, slope, norm, least):
    """The square of the constant that the checker proves of steps of Euler's method."""
    once, whole = max(abs(1 - step * slope * least), abs(1 - step * norm)) ** 2, 4**64
    for _ in range(steps):
        whole = math.ceil(whole * once)
    return Fraction(whole, 4**64)


def spread(net, spec):
    """A convolution as the checker reads it: one kernel for each pair of channels, with zeros between its taps, and around them where
    the other axis has more padding; its size, and the padding of both axes."""
    weight, (outputs, channels, ky, kx) = net.tensor(spec["weight"])
    d, groups, paddings = spec.get("dilation", [1, 1]), spec.get("groups", 1), net.padding(spec)
    p = max(paddings)
    a, b = [e * (k - 1) + 1 + 2 * (p - q) for e, k, q in zip(d, (ky, kx), paddings)]
    full = [net.number(0)] * (outputs * channels * groups * a * b)
    for k, w in enumerate(weight):
        pair, u, v = k // (ky * kx), k // kx % ky, k % kx
        o, c = pair // channels, pair % channels + pair // channels // (outputs // groups) * channels
        full[((o * channels * groups + c) * a + u * d[0] + p - paddings[0]) * b + v * d[1] + p - paddings[1]] = w
    return full, (outputs, channels * groups, a, b), p


def torus(weight, size, shape, strides, padding, scale, total, twisted, extra, around=False):
    """The same for a convolution on a torus, by the Cholesky factors at its frequencies; weight is over 2^scale.

    Extra are the points of the torus beyond those that it needs; one that goes around its image has no other torus, and twisted
    and extra do not count.
    """
    twisted = (0, 0) if around else twisted
    (outputs, channels, ky, kx), (_, h, w) = size, shape
    fine = max(0, total - scale)
    def points(n, k, stride, extra):
        if around:
            return n // stride
        lead, m = padding // stride, (n + 2 * padding - k) // stride + 1
        width, taps = (n + padding - 1) // stride - lead + 1, -(-k // stride)
        return max(lead + width, m + taps - 1 - lead, m, taps) + extra
    (t1, t2), (n1, n2) = strides, [points(n, k, t, more) for n, k, t, more in zip((h, w), (ky, kx), strides, extra)]
    places = [(i, j) for i in range(n1) for j in range(n2)]
    k = channels * t1 * t2
    # v[column][output][place]
    def entry(q, o, i, j):
        u, v = i * t1 + q // t2 % t1, j * t2 + q % t2
        c = q // (t1 * t2)
        return weight[((o * channels + c) * ky + u) * kx + v] << fine if u < ky and v < kx else 0
    v = [[[entry(q, o, i, j) for i, j in places] for o in range(outputs)] for q in range(k)]
    wave = lambda a, b, i, j: cmath.exp(1j * math.pi * ((2 * a + twisted[0]) * i / n1 + (2 * b + twisted[1]) * j / n2))
    at = lambda kernel, f: sum(x * wave(*f, *g) for x, g in zip(kernel, places) if x)
    grams = []
    for f in places:
        d = [[at(kernel, f) for kernel in column] for column in v]
        grams.append([[sum(x.conjugate() * y for x, y in zip(a, b)) for b in d] for a in d])
    # Gershgorin bounds the largest eigenvalue.
    alpha = int(max(sum(map(abs, row)) for g in grams for row in g) * 1.001) + 1
    factors = []
    for g in grams:
        l = [[0j] * k for _ in range(k)]
        for i in range(k):
            for j in range(i + 1):
                s = (alpha if i == j else 0) - g[i][j] - sum(l[i][m] * l[j][m].conjugate() for m in range(j))
                l[i][j] = math.sqrt(max(s.real, 0.0)) if i == j else s / l[j][j] if l[j][j] else 0j
        factors.append(l)
    r = [[[round(sum((l[q][o].conjugate() * wave(*f, i, j).conjugate()).real for l, f in zip(factors, places)) / (n1 * n2))
           for i, j in places] for o in range(q + 1)] for q in range(k)]
    def correlation(a, b):
        total = [0] * len(places)
        for x, (i, j) in zip(a, places):
            for y, (s, t) in zip(b, places):
                if x and y:
                    odd = (twisted[0] and s < i) != (twisted[1] and t < j)
                    total[(s - i) % n1 * n2 + (t - j) % n2] += -x * y if odd else x * y
        return total
    def weight_of(a, b):
        e = [alpha if a == b else 0] + [0] * (len(places) - 1)
        for x, y in list(zip(v[a], v[b])) + list(zip(r[a], r[b])):
            e = [p - q for p, q in zip(e, correlation(x, y))]
        return sum(map(abs, e))
    beta = max(sum(weight_of(a, b) for b in range(k)) for a in range(k))
    signs = ["twisted" if t else "periodic" for t in twisted]
    words = f"torus {n1} {n2} {signs[0]} {signs[1]} fine {fine} alpha {alpha} beta {beta} factor {k} "
    words += " ".join(str(x) for column in r for kernel in column for x in kernel)
    return words, Fraction(alpha + beta, 4 ** (scale + fine))


def integers(columns, extra):
    """Rows over the least power of two, that of the bias included."""
    scale = max((f.denominator.bit_length() - 1 for c in columns + [extra] for f in c), default=0)
    return [[int(c[i] * 2**scale) for c in columns] for i in range(len(columns[0]))], scale

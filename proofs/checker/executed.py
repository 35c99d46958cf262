"""Claims about networks as they run: a program in their own format that adds in random orders, and the largest radii that the checker
proves of it.  Nothing is shared with the checker."""
import math, re, struct
from fractions import Fraction

from network import Network

PLACES = 40


def single(x):
    """The nearest number of binary32.  A sum, a product or a quotient of two of them may be rounded to binary64 before."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


class Program(Network):
    """The network in binary32 or binary64, with sums in an order of its own choice at each run."""

    def __init__(self, data, rng):
        super().__init__(data, float)
        self.rng = rng
        self.round = single if any(t[0] == "F32" for t in self.tensors.values()) else float

    def total(self, terms):
        """A sum in a random order: a random tree, one by one, or from the largest to the smallest."""
        terms, way = list(terms), self.rng.randrange(4)
        if way == 0:
            terms.sort(key=abs, reverse=True)
        else:
            self.rng.shuffle(terms)
        while len(terms) > 1:
            at = self.rng.randrange(len(terms) - 1) if way == 1 else 0
            terms[at : at + 2] = [self.round(terms[at] + terms[at + 1])]
            if way == 2:  # in pairs, like a queue
                terms.append(terms.pop(0))
        return terms[0] if terms else 0.0

    def dot(self, w, x):
        return [self.round(p * q) for p, q in zip(w, x)]

    def linear(self, spec, shape, x, bias=True):
        b = self.tensor(spec["bias"])[0] if bias and spec.get("bias") else None
        n = math.prod(self.after(spec, shape))
        columns = self.matrix(spec, shape)
        rows = [[(c[i], v) for c, v in zip(columns, x) if c[i]] for i in range(n)]
        each = n // len(b) if b else 1
        return [self.total([self.round(w * v) for w, v in row] + ([b[i // each]] if b else [])) for i, row in enumerate(rows)]

    def matrix(self, spec, shape):
        key = (spec["weight"], tuple(shape))
        if key not in self.converted:
            plain = Network(self.pack(), float)
            self.converted[key] = plain.columns(spec, shape)
        return self.converted[key]

    def adjoint(self, spec, shape, y):
        return [self.total(self.round(w * v) for w, v in zip(column, y) if w) for column in self.matrix(spec, shape)]

    def act(self, activation, x):
        a = self.round(float(self.slope(activation)))
        return [v if v >= 0 else self.round(a * v) for v in x]

    def layer(self, layer, shape, x):
        kind = layer["type"]
        if kind == "normalize":
            p = math.prod(shape[1:])
            mean, std = [[self.round(v) for v in layer[name]] for name in ("mean", "std")]
            return [self.round(self.round(v - mean[i // p]) / std[i // p]) for i, v in enumerate(x)]
        if kind in ("avg_pool", "global_avg_pool"):
            c, h, w = shape
            a, b = (h, w) if kind == "global_avg_pool" else (layer["size"],) * 2
            mean = lambda d, i, j: self.total(self.round(x[(d * h + i * a + u) * w + j * b + v] / (a * b)) for u in range(a) for v in range(b))
            return [mean(d, i, j) for d in range(c) for i in range(h // a) for j in range(w // b)]
        if kind == "channel_affine":
            p, scale = math.prod(shape[1:]), self.tensor(layer["scale"])[0]
            y = [self.round(scale[i // p] * v) for i, v in enumerate(x)]
            return [self.round(v + self.tensor(layer["shift"])[0][i // p]) for i, v in enumerate(y)] if layer.get("shift") else y
        if kind in ("mean", "sum"):
            values = []
            for branch in layer["branches"]:
                z, s = x, shape
                for inner in branch:
                    z, s = self.layer(inner, s, z), self.after(inner, s)
                values.append(z)
            return [self.round(self.total(v) / (len(values) if kind == "mean" else 1)) for v in zip(*values)]
        if kind == "flow":
            h = self.round(layer["step"])
            for _ in range(layer["steps"]):
                x = [self.round(v + self.round(h * k)) for v, k in zip(x, self.field(layer["field"], shape, x))]
            return x
        return super().layer(layer, shape, x)


def claims(radii, depth):
    """The words that claim radii, k -> (class, radius over 2^PLACES)."""
    return f"summation {depth} " + " ".join(f"executed {k} {i} radius {r} {PLACES}" for k, (i, r) in sorted(radii.items()))


def proved(case, head, radii, depth):
    """The samples whose claims the checker proves."""
    status, out, err = case.run(f"{head} {claims(radii, depth)} end" if radii else f"{head} lipschitz 1000000 0 end", case.model, case.samples)
    assert status in (0, 1), (status, out, err)
    return {int(k) for k in re.findall(r"^sample (\d+): .*, as executed, within .*: proved$", out, re.M)}


def largest(case, head, classes, limits, depth):
    """The largest radii that are proved, by bisection: all samples at a time."""
    low, high = {k: -1 for k in classes}, dict(limits)
    for _ in range(PLACES + 8):
        middle = {k: (low[k] + high[k] + 1) // 2 for k in classes}
        good = proved(case, head, {k: (classes[k], r) for k, r in middle.items()}, depth)
        for k in classes:
            if k in good:
                low[k] = middle[k]
            else:
                high[k] = middle[k] - 1
        if all(high[k] - low[k] <= max(0, low[k] >> 12) for k in classes):
            break
    return low


def near(program, x, radius, toward, rng):
    """A point of the program's format within the radius of x, exactly: in the direction that is given, or in one at random."""
    direction = toward or [rng.gauss(0, 1) for _ in x]
    size = math.sqrt(sum(d * d for d in direction)) or 1.0
    part = rng.choice([1.0, 1.0, rng.random()])
    while True:
        y = [program.round(float(v) + part * float(radius) * d / size) for v, d in zip(x, direction)]
        if sum((Fraction(a) - b) ** 2 for a, b in zip(y, x)) <= radius * radius:
            return y
        part *= 1 - 2.0**-20
        if part < 0.9:  # where the format is too coarse for a direction
            return None

#!/usr/bin/env python3
"""corrupt.py CHECKER WITNESS COUNT [SEED]: the checker accepts the witness and refuses COUNT corruptions of one entry each.

Every corruption makes a claim false, not only its proof incomplete. In words of the grammar in ../README.md:

  alpha, beta   alpha + beta falls below |W|^2, of which |W v|^2 / |v|^2 is an exact lower bound
  weight        one entry of W becomes larger than the bound of |W|
  step          an Euler step h of a flow exceeds 2 / |w_i|^2 for a row w_i: where that unit is active, it expands
  p, q          the circle radius of a method becomes at least twice the true one
  lipschitz     the bound falls below |f(x) - f(x')| / |x - x'| for two points x, x'
  radius        a ball holds two samples whose margins claim different classes (distances of pixels are at most sqrt n)
  gap, class    the class is not said to be ahead of another one even at the sample
"""
import math, os, random, subprocess, sys, tempfile, time
from fractions import Fraction


class Operator:
    """Where an operator's entries are among the words of a witness, and a lower bound of its squared norm."""

    def __init__(self, words, at, rng):
        self.m, self.n, at = int(words[at]), int(words[at + 1]), at + 2
        self.points = 1
        if words[at] == "points":
            self.points, at = int(words[at + 1]), at + 2
        self.scale, self.weight = int(words[at + 1]), at + 3
        bias = self.weight + self.m * self.n + 1
        self.alpha, self.beta = bias + self.m + 3, bias + self.m + 5
        k = min(self.m, self.n)
        self.end = self.beta + 2 + k * (k + 1) // 2
        self.squared = int(words[self.alpha]) + int(words[self.beta])
        integers = [int(w) for w in words[self.weight : bias - 1]]
        self.rows = [integers[i * self.n : (i + 1) * self.n] for i in range(self.m)]
        unit = 2.0**-self.scale
        self.floats = [[w * unit for w in row] for row in self.rows]
        self.bias = [int(w) * unit for w in words[bias : bias + self.m]]
        # The power iteration only chooses v; |W v|^2 >= lower |v|^2 holds exactly.
        v = [rng.gauss(0, 1) for _ in range(self.n)]
        for _ in range(12):
            v = transposed(self.floats, times(self.floats, v))
            size = math.sqrt(sum(x * x for x in v)) or 1.0
            v = [x / size for x in v]
        v = [round(x * 2**30) for x in v]
        image = sum(sum(w * x for w, x in zip(row, v)) ** 2 for row in self.rows)
        self.lower = image // (sum(x * x for x in v) or 1)
        self.longest_row = max(sum(w * w for w in row) for row in self.rows)

    def apply(self, x):
        """W x + b; with points, at each of them."""
        p = self.points
        ys = [[a + b for a, b in zip(times(self.floats, x[q::p]), self.bias)] for q in range(p)]
        return [ys[q][i] for i in range(self.m) for q in range(p)]

    def adjoint(self, y):
        p = self.points
        xs = [transposed(self.floats, y[q::p]) for q in range(p)]
        return [xs[q][i] for i in range(self.n) for q in range(p)]


def times(rows, x):
    return [sum(map(float.__mul__, row, x)) for row in rows]


def transposed(rows, y):
    x = [0.0] * len(rows[0])
    for row, c in zip(rows, y):
        if c:
            x = [a + c * w for a, w in zip(x, row)]
    return x


class Witness:
    def __init__(self, path, rng):
        lines = open(path).read().splitlines()
        self.words = words = " ".join(line.split("#")[0] for line in lines).split()
        self.input = int(words[3])
        self.operators, self.flows, self.margins, self.layers = [], [], [], []
        at = 4
        while words[at] != "end":
            word = words[at]
            if word == "layer" and words[at + 1] == "pad":
                zeros = int(words[at + 2])
                self.layers.append(lambda x, zeros=zeros: x + [0.0] * zeros)
                at += 3
            elif word == "layer" and words[at + 1] == "activation":
                slope = int(words[at + 3]) / 2 ** int(words[at + 4])
                self.layers.append(lambda x, a=slope: leaky(x, a))
                at += 5
            elif word == "layer" and words[at + 1] == "affine":
                self.operators.append(Operator(words, at + 2, rng))
                self.layers.append(self.operators[-1].apply)
                at = self.operators[-1].end
            elif word == "layer":
                flow = Flow(words, at, rng)
                self.flows.append(flow)
                self.operators.append(flow.operator)
                self.layers.append(flow.apply)
                at = flow.operator.end
            elif word == "head":
                self.classes = int(words[at + 1])
                at += 6 + self.classes * int(words[at + 2])
            elif word == "lipschitz":
                self.lipschitz, at = at + 1, at + 3
            elif word == "margin":
                self.margins.append(at)
                at += 7 + self.classes
            else:
                raise ValueError(word)

    def apply(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def ratio(self, rng, pairs):
        """A lower bound of the Lipschitz constant; rounding in the 53 bits below is far less than the tenth given away."""
        best = 0.0
        for _ in range(pairs):
            x = [rng.random() for _ in range(self.input)]
            d = [rng.gauss(0, 0.01) for _ in range(self.input)]
            y, z = self.apply(x), self.apply([a + b for a, b in zip(x, d)])
            change = math.sqrt(sum((a - b) ** 2 for a, b in zip(y, z)))
            best = max(best, change / math.sqrt(sum(b * b for b in d)))
        return 0.9 * best


class Flow:
    def __init__(self, words, at, rng):
        s = int(words[at + 3])
        self.d = int(words[at + 5])
        a, b = at + 7, at + 8 + s * s
        self.a = [[int(words[a + i * s + j]) / self.d for j in range(s)] for i in range(s)]
        self.b = [int(words[b + i]) / self.d for i in range(s)]
        self.p, self.q, self.step = b + s + 1, b + s + 2, b + s + 4
        self.h = int(words[self.step]) / 2 ** int(words[self.step + 1])
        self.steps = int(words[self.step + 3])
        self.slope = int(words[self.step + 5]) / 2 ** int(words[self.step + 6])
        self.operator = Operator(words, self.step + 8, rng)

    def field(self, x):
        return [-y for y in self.operator.adjoint(leaky(self.operator.apply(x), self.slope))]

    def apply(self, x):
        def moved(weights, slopes):
            y = x
            for w, k in zip(weights, slopes):
                y = [a + self.h * w * c for a, c in zip(y, k)] if w else y
            return y

        for _ in range(self.steps):
            slopes = []
            for row in self.a:
                slopes.append(self.field(moved(row, slopes)))
            x = moved(self.b, slopes)
        return x


def leaky(x, a):
    return [v if v >= 0 else a * v for v in x]


def corruption(witness, ratio, rng):
    """A kind, the place of a word and what it becomes; None where this witness has nothing of the kind drawn."""
    words = witness.words
    kind = rng.choice(["alpha", "beta", "weight", "step", "p", "q", "lipschitz", "radius", "gap", "class"])
    number = lambda at: int(words[at])
    # Half of the false numbers are as close to the truth as is known, half are anywhere.
    near = lambda: 1.0 if rng.random() < 0.5 else rng.random()
    if kind in ("alpha", "beta", "weight"):
        o = rng.choice(witness.operators)
        if kind == "weight":
            size = math.isqrt(o.squared) + 1 + int(rng.random() * 2**o.scale)
            return kind, o.weight + rng.randrange(o.m * o.n), rng.choice([1, -1]) * size
        at, other = (o.alpha, o.beta) if kind == "alpha" else (o.beta, o.alpha)
        sum_ = int(Fraction(near()) * o.lower) - 1
        return kind, at, sum_ - number(other)
    if kind in ("step", "p", "q"):
        if not witness.flows:
            return None
        f = rng.choice(witness.flows)
        if kind != "step" and number(f.q) == 0:
            return None  # an infinite radius cannot be enlarged
        if kind == "step":
            if f.a != [[0.0]] or f.operator.longest_row == 0:
                return None
            # h / 2^t > 2 * 4^s / |w_i|^2
            limit = (2 << (2 * f.operator.scale + number(f.step + 1))) // f.operator.longest_row + 1
            return kind, f.step, int(Fraction(1 / near()) * limit) + 1
        if kind == "q":
            return kind, f.q, number(f.q) // rng.randrange(2, 10)
        return kind, f.p, number(f.p) * rng.randrange(2, 1000)
    if kind == "lipschitz":
        scale = number(witness.lipschitz + 1)
        return kind, witness.lipschitz, int(Fraction(near() * ratio) * 2**scale)
    classes = {number(at + 1) for at in witness.margins}
    if len(classes) < 2:
        return None
    at = rng.choice(witness.margins)
    winner = number(at + 1)
    other = rng.choice([j for j in range(witness.classes) if j != winner])
    if kind == "class":
        return kind, at + 1, other
    if kind == "gap":
        return kind, at + 7 + other, -int(rng.random() * 2**40) if rng.random() < 0.5 else 0
    diameter = math.isqrt(witness.input) + 1
    return kind, at + 3, int(diameter / near()) << number(at + 4)


def main():
    checker, path, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    rng = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    start = time.time()
    accepted = subprocess.run([checker, path], capture_output=True, text=True)
    if accepted.returncode != 0:
        sys.exit(f"{path}: not accepted:\n{accepted.stdout[-2000:]}{accepted.stderr}")
    print(f"{path}: accepted in {time.time() - start:.1f} s", flush=True)
    witness = Witness(path, rng)
    ratio = witness.ratio(rng, 20 if len(witness.words) < 10**6 else 3)
    kinds = {}
    with tempfile.TemporaryDirectory() as folder:
        corrupted = os.path.join(folder, "witness.txt")
        while sum(kinds.values()) < count:
            drawn = corruption(witness, ratio, rng)
            if drawn is None:
                continue
            kind, at, value = drawn
            before, witness.words[at] = witness.words[at], str(value)
            with open(corrupted, "w") as file:
                file.write(" ".join(witness.words))
            witness.words[at] = before
            status = subprocess.run([checker, corrupted], capture_output=True).returncode
            if status != 1:
                sys.exit(f"{path}: word {at}, {kind}, {before} made {value}: status {status}, not 1")
            kinds[kind] = kinds.get(kind, 0) + 1
            if sum(kinds.values()) % 100 == 0:
                print(f"{path}: {sum(kinds.values())} corruptions refused", flush=True)
    print(f"{path}: {count} corruptions refused: " + ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())))


main()

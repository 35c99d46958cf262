"""Small random networks with samples and a witness: for the tests of the checker."""
import cmath, json, math, random
from fractions import Fraction

from network import METHODS, Network, Samples, Witness, pack, unpack


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


class Builder:
    def __init__(self, seed):
        self.seed, self.rng, self.tensors, self.layers = seed, random.Random(seed), {}, []
        self.branches = self.plain = False
        self.extra = None
        self.dtypes = self.rng.choice([["F32"], ["F64"], ["F16"], ["F32", "F16", "BF16"]])

    def tensor(self, shape, size, places=11):
        name = f"t{len(self.tensors)}"
        draw = lambda: round(self.rng.gauss(0, size) * 2**places) / 2**places
        dtype = self.rng.choice(self.dtypes)
        # The numbers are those that the format has.
        _, tensors = unpack(pack(None, {name: (dtype, shape, [draw() for _ in range(math.prod(shape))])}))
        self.tensors[name] = tensors[name]
        return name

    def dense(self, m, n, size=1.2):
        bias = self.tensor([m], 0.5) if self.rng.random() < 0.8 else None
        return {"type": "dense", "weight": self.tensor([m, n], size / math.sqrt(n)), "bias": bias}

    def conv(self, outputs, inputs, kernel, stride, padding, mode="zeros"):
        bias = self.tensor([outputs], 0.5)
        size = 1.2 / math.sqrt(inputs * kernel * kernel)
        return {"type": "conv2d", "weight": self.tensor([outputs, inputs, kernel, kernel], size), "bias": bias,
                "stride": stride, "padding": self.spelled(kernel, stride, padding),
                "padding_mode": mode}

    def spelled(self, kernel, stride, padding):
        """The same padding as a number, a pair or a word."""
        return self.rng.choice([padding, [padding, padding]] + ["same"] * (kernel % 2 == 1 and padding == kernel // 2))

    def activation(self):
        return self.rng.choice([{"function": "relu"}, {"function": "leaky_relu", "slope": 0.125}, {"function": "identity"}])

    def flow(self, operator):
        method = "euler" if self.plain else self.rng.choice(sorted(METHODS))
        return {"type": "flow", "method": method, "step": 1.0, "steps": self.rng.randrange(1, 4),
                "field": {"type": "gradient", "activation": self.activation(), "operator": operator}}

    def nonlinear(self, units):
        """A layer of functions, each of one coordinate or of a few; all of them in turn."""
        group = max(k for k in (1, 2, 3) if units % k == 0)
        if self.seed // 2 % 8 == 7 or (self.plain and self.extra is None and self.seed // 2 % 4 == 1):
            return {"type": "householder", "vector": self.tensor(self.rng.choice([[group], [units // group, group]]), 0.8)}
        if self.plain and self.extra != "functions":
            return dict(self.activation(), type="activation")
        of_some = {"type": "activation", "function": "abs", "channels": [1, units]}
        return [{"type": "activation", "function": "leaky_relu", "slope": 0.125}, {"type": "sort", "group": group},
                {"type": "activation", "function": "hardtanh", "min": -0.75, "max": 1.5}, {"type": "activation", "function": "abs"},
                of_some, {"type": "activation", "function": "leaky_relu", "slope": 1.75},
                {"type": "sort", "group": units}][self.seed // 2 % 8]

    def residual(self, branch):
        """What comes in and a branch of it, added or averaged."""
        return {"type": self.rng.choice(["sum", "mean"]), "branches": self.rng.choice([[[], branch], [branch, [], []]])}


def layers(b, image):
    rng = b.rng
    if image:
        first = b.seed // 2 % (3 if b.plain else 8) + (3 if b.extra == "circular" else 0)
        shape = [2 if first > 5 else rng.randrange(1, 3), 4, 4]
        b.layers.append({"type": "normalize", "mean": [0.5] * shape[0], "std": [rng.choice([0.25, 0.75, 2.0]) for _ in range(shape[0])]})
        if first == 0:
            b.layers.append(b.conv(2, shape[0], 3, 1, 1))
            c, n = 2, 4
        elif first == 1:
            b.layers.append({"type": "space_to_depth", "block": 2})
            b.layers.append(b.conv(3, 4 * shape[0], 1, 1, 0))
            c, n = 3, 2
        elif first == 2:
            pad = rng.randrange(2)
            b.layers.append(b.conv(2, shape[0], 2, 2, pad))
            c, n = 2, 2 + pad
        elif first > 5:  # groups, taps apart, and an axis with less padding than the other
            b.layers.append(b.conv(2, 1, 3, 1, 1))
            b.layers[-1].update([{"dilation": [1, 2], "padding": "same", "groups": shape[0]},
                                 {"padding": [1, 0], "groups": shape[0]}][first - 6])
            b.layers[-1]["weight"] = b.tensor([2, 1, 3, 8 - first], 0.5)
            c, n = 2, 4
        else:  # around the image: one its own torus, one of a stride, and one that has more outputs than strides around it
            kernel, stride = [(3, 1), (3, 2), (2, 2)][first - 3]
            b.layers.append(b.conv(2, shape[0], kernel, stride, 1, "circular"))
            c, n = 2, 4 if stride == 1 else 5 - kernel
        if b.extra == "channel_affine" or (not b.plain and rng.random() < 0.5):
            b.layers.append({"type": "channel_affine", "scale": b.tensor([c], 1.0), "shift": rng.choice([None, b.tensor([c], 0.5)])})
        b.layers.append(b.nonlinear(c))
        if b.branches and rng.random() < 0.6:
            b.layers.append(b.residual([b.conv(c, c, 1, 1, 0), dict(b.activation(), type="activation")]))
        b.layers.append({"type": "pad_channels", "channels": c + 1})
        if b.extra == "shift" or (not b.plain and rng.random() < 0.7):
            groups = [[1, rng.randrange(-1, 2), rng.randrange(-1, 2)], [rng.randrange(1, c + 1), 0, rng.randrange(-1, 2)]]
            b.layers.append({"type": "shift", "groups": groups, "mode": ["zeros", "circular"][b.seed // 2 % 2]})
        b.layers.append(b.flow(b.conv(2, c + 1, 3, 1, 1, "circular") if n >= 3 and not b.plain and rng.random() < 0.4 else
                               b.conv(2, c + 1, rng.choice([1, 3]), 1, 0) if n >= 3 else b.conv(2, c + 1, 1, 1, 0)))
        if rng.random() < 0.5:
            b.layers.append({"type": "avg_pool", "size": 2})
            n //= 2
        if rng.random() < 0.5:
            b.layers.append({"type": "global_avg_pool"})
            n = 1
        else:
            b.layers.append({"type": "flatten"})
        width = (c + 1) * n * n
    else:
        shape = [rng.randrange(3, 8)]
        width = rng.randrange(3, 8)
        b.layers.append(b.dense(width, shape[0]))
        b.layers.append(b.nonlinear(width))
        if b.branches and rng.random() < 0.6:
            b.layers.append(b.residual([b.dense(width, width), {"type": "sort", "group": 1}]))
        for _ in range(rng.randrange(3)):
            b.layers.append(b.flow(b.dense(rng.randrange(2, 7), width, 0.7)))
        if rng.random() < 0.5:
            b.layers.append(b.dense(width, width))
    b.layers.append(b.dense(rng.randrange(2, 5), width, 3.0))
    return shape


def prove(b, net, layer, shape, name):
    """The words of the proofs of a layer, and the square of its Lipschitz constant, which they prove; a flow gets its step."""
    kind = layer["type"]
    if kind in ("sum", "mean"):
        words, total = [], 0
        for k, branch in enumerate(layer["branches"]):
            squared, inner = Fraction(1), shape
            for j, part in enumerate(branch):
                proofs, factor = prove(b, net, part, inner, f"{name}.{k}.{j}")
                words, squared, inner = words + proofs, squared * factor, net.after(part, inner)
            q = math.ceil(squared * 4**64)
            total += math.isqrt(q) + (math.isqrt(q) ** 2 < q)
        return words, Fraction(total, 2**64 * (len(layer["branches"]) if kind == "mean" else 1)) ** 2
    if kind in ("dense", "conv2d", "flow"):
        operator = layer["field"]["operator"] if kind == "flow" else layer
        channels = operator["type"] == "conv2d" and net.tensors[operator["weight"]][1][2:] == [1, 1] and operator["stride"] == 1
        at = [shape[0], 1, 1] if channels and net.padding(operator) == [0, 0] else shape
        matrix, scale = integers(net.columns(operator, at), net.tensor(operator["bias"])[0] if operator["bias"] else [])
        around = operator.get("padding_mode") == "circular" and net.padding(operator) != [0, 0]
        fits = operator["type"] == "conv2d" and (not around or [n * s for n, s in zip(net.windows(operator, shape), net.strides(operator))] == shape[1:])
        if fits and b.rng.random() < 0.6:
            twisted = b.rng.choice([(0, 0), (0, 1), (1, 0), (1, 1)])
            extra = (b.rng.randrange(2),) * 2
            w, size, padding = spread(net, operator)
            w = [int(x * 2**scale) for x in w]
            proof, bound = torus(w, size, shape, net.strides(operator), padding, scale, 24, twisted, extra, around)
        else:
            proof, bound = gram(matrix, scale, 24)
        if kind != "flow":
            return [f"norm {name} {proof}"], bound
        p, q = METHODS[layer["method"]][2]
        layer["step"] = float(math.floor(2 * p / (q * bound) * 2**12)) / 2**12
        return [f"flow {name} radius {p} {q} {proof}"], Fraction(1)
    if kind == "normalize":
        return [], 1 / Fraction(min(layer["std"])) ** 2
    if kind == "channel_affine":
        return [], Fraction(max(abs(v) for v in net.tensor(layer["scale"])[0]) ** 2)
    if kind == "avg_pool":
        return [], Fraction(1, layer["size"] ** 2)
    if kind == "global_avg_pool":
        return [], Fraction(1, shape[1] * shape[2])
    if kind == "householder":
        v, axes = net.tensor(layer["vector"])
        squared = max(sum(x * x for x in v[i : i + axes[-1]]) for i in range(0, len(v), axes[-1]))
        return [], max(Fraction(1), 2 * squared - 1) ** 2
    if kind == "activation" and layer["function"] == "leaky_relu":
        return [], Fraction(max(1, layer["slope"])) ** 2
    return [], Fraction(1)


def files(seed, branches=True, plain=False, extra=None):
    """The bytes of a model and of samples, and the text of a witness whose claims are the best that the checker can prove.

    A plain network has one format and what the checker knows as executed alone: no flow by another method than Euler's.  It has functions
    of all kinds and branches, or of images another kind of layer, where these are the extra."""
    b = Builder(seed)
    b.branches, b.plain, b.extra = branches and (not plain or extra == "functions"), plain, extra
    if plain:
        b.dtypes = [["F32"], ["F64"]][seed % 2 ^ seed // 2 % 2]
    shape = layers(b, seed % 2 == 1)
    spec = {"format": "dahlquist-model", "version": 1 + seed % 3 // 2, "input": shape, "layers": b.layers}
    net = Network(pack({"dahlquist": json.dumps(spec)}, b.tensors))
    shapes, squared, words = net.shapes(), Fraction(1), []
    spec = net.spec
    for i, layer in enumerate(spec["layers"][:-1]):
        proofs, factor = prove(b, net, layer, shapes[i], str(i))
        words, squared = words + proofs, squared * factor
    model = net.pack()

    length, count = math.prod(shape), 6
    dtype = b.dtypes[0] if plain else ["F32", "F64", "U8"][seed // 2 % 3]
    draw = {"F32": lambda: b.rng.randrange(-2**20, 2**20) / 2**18, "F64": lambda: b.rng.gauss(0, 2), "U8": lambda: b.rng.randrange(256)}[dtype]
    x = [draw() for _ in range(count * length)]
    samples = pack(None, {"y": ("I64", [count], [b.rng.randrange(2) for _ in range(count)]), "x": (dtype, [count] + shape, x)})

    words += claims(Network(model), Samples(samples), squared)
    witness = Witness(f"dahlquist-witness 2 model - samples - layers 0 {len(spec['layers']) - 1} " + " ".join(words) + " end")
    witness.sign(model, samples)
    return model, samples, witness.text()


def claims(net, data, squared, places=30):
    """The least Lipschitz constant and the largest radii that the squared Lipschitz constant of the layers before the head proves."""
    head, size = net.tensor(net.spec["layers"][-1]["weight"])
    rows = [head[i * size[1] : (i + 1) * size[1]] for i in range(size[0])]
    words = [f"lipschitz {math.isqrt(squared.numerator * 4**places // squared.denominator) + 1} {places}"]
    for k in range(data.count):
        z = net.run(data.sample(k, Fraction))
        i = max(range(len(z)), key=lambda j: z[j])
        gaps = [(z[i] - z[j], sum((a - c) ** 2 for a, c in zip(rows[i], rows[j]))) for j in range(len(z)) if j != i]
        if any(g == 0 for g, _ in gaps):
            continue
        r = min((g * g / (squared * d) for g, d in gaps if d), default=Fraction(1)) * 4**places
        words.append(f"margin {k} {i} radius {math.isqrt((r.numerator - 1) // r.denominator)} {places}")  # strictly below
    return words


def mirrored(model, samples, text):
    """The mean of the features of a network of images and of those of the mirrored image, as files()."""
    net, w = Network(model), Witness(text)
    *features, head = net.spec["layers"]
    branches = [features, [{"type": "mirror"}] + features]
    net.spec.update(version=2, layers=[{"type": "mean", "branches": branches}, head])
    proofs = [words for k, p in sorted(w.proofs.items()) for words in [w.words[p["at"] : p["end"]]]]
    words = [" ".join([p[0], f"0.{k}.{int(p[1]) + k}"] + p[2:]) for k in (0, 1) for p in proofs]
    at = w.lipschitz[0]
    bound = Fraction(w.number(at + 1), 2 ** w.number(at + 2))
    words += claims(Network(net.pack()), Samples(samples), bound * bound)
    witness = Witness("dahlquist-witness 2 model - samples - layers 0 1 " + " ".join(words) + " end")
    witness.sign(net.pack(), samples)
    return net.pack(), samples, witness.text()


def extremes(dtype):
    """A head alone, at the smallest and the largest numbers of a format."""
    least, normal, largest = {"F32": (2.0**-149, 2.0**-126, 2.0**127 * (2 - 2.0**-23)),
                              "F64": (5e-324, 2.0**-1022, 2.0**1023 * (2 - 2.0**-52)),
                              "F16": (2.0**-24, 2.0**-14, 2.0**15 * (2 - 2.0**-10)),
                              "BF16": (2.0**-133, 2.0**-126, 2.0**127 * (2 - 2.0**-7))}[dtype]
    spec = {"format": "dahlquist-model", "version": 1, "input": [3],
            "layers": [{"type": "dense", "weight": "w", "bias": "b"}]}
    tensors = {"w": (dtype, [3, 3], [7 * least, normal + least, 0.0, -5 * least, -normal, largest, normal, 0.0, -largest]),
               "b": (dtype, [3], [3 * least, -least, 0.0])}
    model = pack({"dahlquist": json.dumps(spec)}, tensors)
    x = [1.0, 1.0, 0.0, 1.0, 0.0, least, -1.0, 0.5, -least, largest, -largest, 0.0]
    samples = pack(None, {"x": (dtype if dtype == "F64" else "F32", [4, 3], x)})
    words = " ".join(claims(Network(model), Samples(samples), Fraction(1), 1100 if dtype == "F64" else 160))
    witness = Witness(f"dahlquist-witness 2 model - samples - layers 0 0 {words} end")
    witness.sign(model, samples)
    return model, samples, witness.text()

"""Small random networks with samples and a witness: for the tests of the checker."""
import json, math, random
from fractions import Fraction

from network import METHODS, Network, Samples, Witness, pack, unpack
from norms import below, euler, gram, integers, spread, torus


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
        if layer["method"] == "euler" and b.seed // 2 % 2:  # its steps contract, or are too long
            longest, tall = [0.75, 1.75, 2.25][int(name[-1]) % 3], len(matrix) >= len(matrix[0])
            layer["step"] = float(math.floor(longest / bound * 2**12)) / 2**12
            whole, scale = integers(net.columns(operator, shape), net.tensor(operator["bias"])[0] if operator["bias"] else [])
            words, least = below(whole, scale, 24) if tall and math.prod(shape) < 40 else ("", Fraction(0))
            factor = euler(Fraction(layer["step"]), layer["steps"], Fraction(net.slope(layer["field"]["activation"])), bound, least)
            return [f"euler {name} {words} {proof}"], factor
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


def contracting(seed, rows=10, features=8, slope=0.5, longest=0.9, steps=3):
    """Two flows of a few steps with operators near an isometry, and a head: the model, its samples, and its witness.

    Where the slope is 0, or there are fewer rows than features, it has no proofs from below; a longest step above 2 is too long to be
    non-expansive."""
    b = Builder(seed)
    b.dtypes, layers, words, squared = ["F32"], [], [], Fraction(1)
    for i in range(2):
        operator = {"type": "dense", "weight": b.tensor([rows, features], 0.1), "bias": b.tensor([rows], 0.5)}
        dtype, shape, numbers = b.tensors[operator["weight"]]
        b.tensors[operator["weight"]] = (dtype, shape, [v + (k // features == k % features) for k, v in enumerate(numbers)])
        activation = {"function": "leaky_relu", "slope": slope} if slope else {"function": "relu"}
        layers.append({"type": "flow", "method": "euler", "step": 0.0, "steps": steps,
                       "field": {"type": "gradient", "activation": activation, "operator": operator}})
    layers.append({"type": "dense", "weight": b.tensor([3, features], 0.5), "bias": None})
    net = Network(pack({"dahlquist": json.dumps({"format": "dahlquist-model", "version": 2, "input": [features], "layers": layers})}, b.tensors))
    for i, layer in enumerate(net.spec["layers"][:-1]):
        operator = layer["field"]["operator"]
        matrix, scale = integers(net.columns(operator, [features]), net.tensor(operator["bias"])[0])
        proof, norm = gram(matrix, scale, 40)
        down, least = below(matrix, scale, 40) if slope and rows >= features else ("", Fraction(0))
        layer["step"] = math.floor(longest / norm * 2**12) / 2**12
        factor = euler(Fraction(layer["step"]), steps, Fraction(slope), norm, least)
        assert (factor < Fraction(4, 5)) == bool(down) and (factor > 1) == (longest > 2), float(factor)
        words.append(f"euler {i} {down} {proof}")
        squared *= factor
    model = net.pack()
    x = [b.rng.randrange(-2**12, 2**12) / 2**10 for _ in range(8 * features)]
    samples = pack(None, {"y": ("I64", [8], [0] * 8), "x": ("F32", [8, features], x)})
    words += claims(Network(model), Samples(samples), squared, 40)
    witness = Witness(f"dahlquist-witness 2 model - samples - layers 0 2 {' '.join(words)} end")
    witness.sign(model, samples)
    return model, samples, witness.text(), squared


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

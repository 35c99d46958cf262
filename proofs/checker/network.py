"""Networks as tests of the checker need them: their files, their values, and which claims about them are false.

Values are exact in fractions, or floats for networks that are too large for that; nothing is shared with the checker.
"""
import hashlib, json, math, random, struct
from fractions import Fraction

METHODS = {  # rows of A without the zeros at their end, b, and the circle radius
    "euler": ([[]], ["1"], (1, 1)),
    "heun": ([[], ["1"]], ["1/2", "1/2"], (1, 1)),
    "kutta3": ([[], ["1/2"], ["-1", "2"]], ["1/6", "2/3", "1/6"], (1, 2)),
    "ssprk33": ([[], ["1"], ["1/4", "1/4"]], ["1/6", "1/6", "2/3"], (1, 1)),
    "rk4": ([[], ["1/2"], ["0", "1/2"], ["0", "0", "1"]], ["1/6", "1/3", "1/3", "1/6"], (1, 1)),
    "ssprk52": ([["1/4"] * i for i in range(5)], ["1/5"] * 5, (4, 1)),
}


CODES = {"F32": "f", "F64": "d", "F16": "e", "BF16": "f", "U8": "B", "I64": "q", "I32": "i"}


def pack(metadata, tensors):
    """The bytes of a safetensors file; tensors are name -> (dtype, shape, numbers)."""
    header, body = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, shape, numbers) in tensors.items():
        if dtype == "BF16":  # the upper half of an F32
            data = b"".join(struct.pack("<f", x)[2:] for x in numbers)
        else:
            data = struct.pack("<%d%s" % (len(numbers), CODES[dtype]), *numbers)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def unpack(data):
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n])
    metadata, tensors = header.pop("__metadata__", None), {}
    for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        a, b = t["data_offsets"]
        code, piece = CODES[t["dtype"]], data[8 + n + a : 8 + n + b]
        if t["dtype"] == "BF16":
            piece = b"".join(b"\0\0" + piece[i : i + 2] for i in range(0, len(piece), 2))
        numbers = list(struct.unpack("<%d%s" % (len(piece) // struct.calcsize("<" + code), code), piece))
        tensors[name] = (t["dtype"], t["shape"], numbers)
    return metadata, tensors


class Network:
    def __init__(self, data, number=Fraction):
        metadata, self.tensors = unpack(data)
        self.spec, self.number = json.loads(metadata["dahlquist"]), number
        self.converted = {}

    def pack(self):
        return pack({"dahlquist": json.dumps(self.spec)}, self.tensors)

    def tensor(self, name):
        if name not in self.converted:
            self.converted[name] = [self.number(x) for x in self.tensors[name][2]]
        return self.converted[name], self.tensors[name][1]

    def padding(self, spec):
        """The points on either side of each axis."""
        p, d = spec.get("padding", 0), spec.get("dilation", [1, 1])
        if p == "same":
            return [e * (k - 1) // 2 for e, k in zip(d, self.tensors[spec["weight"]][1][2:])]
        return p if isinstance(p, list) else [p, p]

    # what a program rounds, and how it adds
    def round(self, x):
        return x

    def total(self, terms):
        return sum(terms)

    def strides(self, spec):
        s = spec.get("stride", 1)
        return s if isinstance(s, list) else [s, s]

    def windows(self, spec, shape):
        """The numbers of outputs along each axis."""
        axes = zip(shape[1:], self.tensors[spec["weight"]][1][2:], self.padding(spec), spec.get("dilation", [1, 1]), self.strides(spec))
        return [(n + 2 * p - e * (k - 1) - 1) // s + 1 for n, k, p, e, s in axes]

    def shapes(self):
        """The shape that goes into each layer, and the one that comes out of the last."""
        shape, all_shapes = list(self.spec["input"]), []
        for layer in self.spec["layers"]:
            all_shapes.append(shape)
            shape = self.after(layer, shape)
        return all_shapes + [shape]

    def at(self, name):
        """The layer that a witness calls by a name, and the shape that goes into it."""
        i, *path = map(int, str(name).split("."))
        layer, shape = self.spec["layers"][i], self.shapes()[i]
        if path:
            branch = layer["branches"][path[0]]
            for part in branch[: path[1]]:
                shape = self.after(part, shape)
            layer = branch[path[1]]
        return layer, shape

    def after(self, layer, shape):
        """The shape that comes out of a layer."""
        kind = layer["type"]
        if kind == "dense":
            return [self.tensors[layer["weight"]][1][0]]
        if kind == "conv2d":
            return [self.tensors[layer["weight"]][1][0]] + self.windows(layer, shape)
        if kind == "avg_pool":
            return [shape[0], shape[1] // layer["size"], shape[2] // layer["size"]]
        if kind == "global_avg_pool":
            return [shape[0]]
        if kind == "flatten":
            return [math.prod(shape)]
        if kind == "pad_channels":
            return [layer["channels"]] + shape[1:]
        if kind == "space_to_depth":
            k = layer["block"]
            return [shape[0] * k * k, shape[1] // k, shape[2] // k]
        if kind in ("mean", "sum"):
            for inner in layer["branches"][0]:
                shape = self.after(inner, shape)
        return shape

    def linear(self, spec, shape, x, bias=True):
        w, size = self.tensor(spec["weight"])
        b = self.tensor(spec["bias"])[0] if bias and spec.get("bias") else [self.number(0)] * size[0]
        if spec["type"] == "dense":
            return [sum(map(lambda p, q: p * q, w[i * size[1] : (i + 1) * size[1]], x), b[i]) for i in range(size[0])]
        return self.convolution(spec, shape, lambda at, value: value * x[at], w, size, b)

    def convolution(self, spec, shape, read, w, size, b):
        (_, h, width), (s, s2), (p, p2), d = shape, self.strides(spec), self.padding(spec), spec.get("dilation", [1, 1])
        (rows, columns), y = self.windows(spec, shape), []
        for o in range(size[0]):
            first = o // (size[0] // spec.get("groups", 1)) * size[1]
            for i in range(rows):
                for j in range(columns):
                    total = b[o]
                    for c in range(size[1]):
                        for u in range(size[2]):
                            for v in range(size[3]):
                                r, q = s * i + d[0] * u - p, s2 * j + d[1] * v - p2
                                if spec.get("padding_mode") == "circular":
                                    r, q = r % h, q % width
                                if 0 <= r < h and 0 <= q < width:
                                    at = ((first + c) * h + r) * width + q
                                    total += read(at, w[((o * size[1] + c) * size[2] + u) * size[3] + v])
                    y.append(total)
        return y

    def columns(self, spec, shape):
        """The matrix of an operator, column by column."""
        n = math.prod(shape)
        unit = lambda j: [self.number(int(i == j)) for i in range(n)]
        return [self.linear(spec, shape, unit(j), bias=False) for j in range(n)]

    def adjoint(self, spec, shape, y):
        key = (spec["weight"], tuple(shape))
        if key not in self.converted:
            self.converted[key] = self.columns(spec, shape)
        return [sum(map(lambda p, q: p * q, column, y)) for column in self.converted[key]]

    def slope(self, activation):
        function = activation["function"]
        return {"identity": 1, "relu": 0, "abs": -1}[function] if function != "leaky_relu" else self.number(activation["slope"])

    def act(self, activation, x):
        a = self.slope(activation)
        return [v if v >= 0 else a * v for v in x]

    def field(self, field, shape, x):
        if field["type"] == "gradient":
            y = self.act(field["activation"], self.linear(field["operator"], shape, x))
            return [-v for v in self.adjoint(field["operator"], shape, y)]
        raise ValueError(field["type"])

    def layer(self, layer, shape, x):
        kind, number = layer["type"], self.number
        if kind in ("dense", "conv2d"):
            return self.linear(layer, shape, x)
        if kind == "activation" and layer["function"] == "hardtanh":
            return [min(max(v, number(layer.get("min", -1))), number(layer.get("max", 1))) for v in x]
        if kind == "activation":
            p, (first, last) = math.prod(shape[1:]), layer.get("channels", [0, shape[0]])
            return x[: first * p] + self.act(layer, x[first * p : last * p]) + x[last * p :]
        if kind == "sort":
            p, k = math.prod(shape[1:]), layer["group"]
            groups = [[sorted(x[(g * k + j) * p + q] for j in range(k)) for q in range(p)] for g in range(shape[0] // k)]
            return [groups[u // k][q][u % k] for u in range(shape[0]) for q in range(p)]
        if kind == "householder":
            return self.reflected(layer, shape, x)
        if kind == "normalize":
            p = math.prod(shape[1:])
            return [(v - number(layer["mean"][i // p])) / number(layer["std"][i // p]) for i, v in enumerate(x)]
        if kind in ("avg_pool", "global_avg_pool"):
            c, h, w = shape
            a, b = (h, w) if kind == "global_avg_pool" else (layer["size"],) * 2
            mean = lambda d, i, j: sum(x[(d * h + i * a + u) * w + j * b + v] for u in range(a) for v in range(b)) / number(a * b)
            return [mean(d, i, j) for d in range(c) for i in range(h // a) for j in range(w // b)]
        if kind == "flatten":
            return x
        if kind == "pad_channels":
            return x + [number(0)] * ((layer["channels"] - shape[0]) * shape[1] * shape[2])
        if kind == "space_to_depth":
            (c, h, w), k = shape, layer["block"]
            at = lambda d, u, v, i, j: x[(d * h + i * k + u) * w + j * k + v]
            return [at(d, u, v, i, j) for d in range(c) for u in range(k) for v in range(k)
                    for i in range(h // k) for j in range(w // k)]
        if kind == "channel_affine":
            p, scale = math.prod(shape[1:]), self.tensor(layer["scale"])[0]
            shift = self.tensor(layer["shift"])[0] if layer.get("shift") else [number(0)] * shape[0]
            return [scale[i // p] * v + shift[i // p] for i, v in enumerate(x)]
        if kind == "shift":
            c, h, w = shape
            moves = [(r, q) for count, r, q in layer["groups"] for _ in range(count)]
            moves += [(0, 0)] * (c - len(moves))
            def read(d, i, j):
                i, j = i - moves[d][0], j - moves[d][1]
                if layer.get("mode") == "circular":
                    i, j = i % h, j % w
                return x[(d * h + i) * w + j] if 0 <= i < h and 0 <= j < w else number(0)
            return [read(d, i, j) for d in range(c) for i in range(h) for j in range(w)]
        if kind == "mirror":
            w = shape[2]
            return [x[i - i % w + w - 1 - i % w] for i in range(len(x))]
        if kind in ("mean", "sum"):
            values = []
            for branch in layer["branches"]:
                z, s = x, shape
                for inner in branch:
                    z, s = self.layer(inner, s, z), self.after(inner, s)
                values.append(z)
            return [sum(v) / number(len(values) if kind == "mean" else 1) for v in zip(*values)]
        if kind == "flow":
            rows, weights, _ = METHODS[layer["method"]]
            h = number(layer["step"])
            moved = lambda x, a, ks: [v + h * sum(number(Fraction(c)) * k[i] for c, k in zip(a, ks)) for i, v in enumerate(x)]
            for _ in range(layer["steps"]):
                ks = []
                for row in rows:
                    ks.append(self.field(layer["field"], shape, moved(x, row, ks)))
                x = moved(x, weights, ks)
            return x
        raise ValueError(kind)

    def reflected(self, layer, shape, x):
        """z - 2 v min(v^T z, 0) of groups of channels."""
        v, axes = self.tensor(layer["vector"])
        p, size, y = math.prod(shape[1:]), axes[-1], list(x)
        for g in range(shape[0] // size):
            for q in range(p):
                places = [(g * size + i) * p + q for i in range(size)]
                part = v[g * size % len(v) :][:size]
                behind = self.total(self.round(a * x[i]) for a, i in zip(part, places))
                if behind < 0:
                    for a, i in zip(part, places):
                        y[i] = self.round(x[i] - self.round(a * (behind + behind)))
        return y

    def run(self, x, first=0, last=None):
        shapes = self.shapes()
        for i in range(first, len(self.spec["layers"]) if last is None else last):
            x = self.layer(self.spec["layers"][i], shapes[i], x)
        return x


class Samples:
    def __init__(self, data):
        _, self.tensors = unpack(data)
        dtype, shape, numbers = self.tensors["x"]
        n = math.prod(shape[1:])
        self.scale = 255 if dtype == "U8" else 1
        self.count, self.length = shape[0], n

    def pack(self):
        return pack(None, self.tensors)

    def sample(self, i, number):
        return [number(v) / self.scale for v in self.tensors["x"][2][i * self.length : (i + 1) * self.length]]


class Witness:
    """The words of a witness, and where its claims and proofs are among them."""

    def __init__(self, text):
        self.words = words = " ".join(line.split("#")[0] for line in text.splitlines()).split()
        self.model = 3
        self.samples = 5 if words[4] == "samples" else None
        self.proofs, self.margins, self.lipschitz = {}, [], []
        at = 5 if self.samples is None else 7
        self.layers = at
        at += 2
        while words[at] != "end":
            if words[at] in ("norm", "flow", "euler"):
                start, below = at, None
                at += 5 if words[at] == "flow" else 2
                if words[at] == "below":
                    k = int(words[at + 8])
                    below = {"fine": at + 2, "alpha": at + 4, "beta": at + 6, "factor": at + 9, "end": at + 9 + k * (k + 1) // 2}
                    at = below["end"]
                places = int(words[at + 1]) * int(words[at + 2]) if words[at] == "torus" else 1
                at += 3 if words[at] == "torus" else 0
                k = int(words[at + 9])
                self.proofs[words[start + 1]] = {"kind": words[start], "at": start, "gram": at, "fine": at + 3, "below": below,
                                              "alpha": at + 5, "beta": at + 7, "factor": at + 10}
                at += 10 + places * k * (k + 1) // 2
                self.proofs[words[start + 1]]["end"] = at
                if words[start + 1].isdigit():
                    self.proofs[int(words[start + 1])] = self.proofs.pop(words[start + 1])
            elif words[at] == "lipschitz":
                self.lipschitz.append(at)
                at += 3
            else:
                self.margins.append(at)
                at += 6

    def number(self, at):
        return int(self.words[at])

    def text(self):
        return " ".join(self.words)

    def sign(self, model, samples):
        """The witness says that it is about these files."""
        self.words[self.model] = hashlib.sha256(model).hexdigest()
        if self.samples:
            self.words[self.samples] = hashlib.sha256(samples).hexdigest()


def distance2(x, y):
    return sum((a - b) * (a - b) for a, b in zip(x, y))


def behind(logits, i, exact):
    """Class i is not the only largest: beyond doubt, also in floats."""
    slack = 0 if exact else 1e-6 * max(abs(v) for v in logits)
    return i >= len(logits) or any(v >= logits[i] + slack for j, v in enumerate(logits) if j != i)


def false_claims(network, samples, witness, limit=None, ways=True):
    """Words of claims that are false beyond doubt: ("sample", k) and ("lipschitz", at).

    A margin is false if its class is behind at the sample, at another one within the radius or, with ways, on the way there; a
    Lipschitz constant if two samples, or a sample and a point near it, move apart by more.
    """
    exact, found, w = network.number is Fraction, [], witness
    margins = w.margins if limit is None else w.margins[:limit]
    x = {k: samples.sample(k, network.number) for k in {w.number(at + 1) for at in margins} if k < samples.count}
    logits = {k: network.run(v) for k, v in x.items()}
    for at in margins:
        k, i, radius = w.number(at + 1), w.number(at + 2), Fraction(w.number(at + 4), 2 ** w.number(at + 5))
        if k not in x or radius < 0 or behind(logits[k], i, exact):
            found.append(("sample", k))
            continue
        for m in x:
            if behind(logits[m], i, exact):
                d = math.sqrt(distance2(x[k], x[m]))
                if d < 0.999999 * radius:
                    found.append(("sample", k))
                    break
                if ways and d > 0:
                    t = network.number(0.999999 * float(radius) / d)
                    near = [a + t * (b - a) for a, b in zip(x[k], x[m])]
                    if behind(network.run(near), i, exact):
                        found.append(("sample", k))
                        break
    first, last = w.number(w.layers), w.number(w.layers + 1)
    if first == 0 and len(x) > 1:
        keys = sorted(x)[:6]
        pairs = [(x[a], x[b]) for a in keys for b in keys if a < b]
        rng = random.Random(5)
        for a in keys[:3]:
            pairs.append((x[a], [v + network.number(rng.randrange(-9, 10)) / 2**9 for v in x[a]]))
        values = {}
        value = lambda v: values.setdefault(tuple(v), network.run(v, 0, last))
        ratio = max(distance2(value(a), value(b)) / d for a, b in pairs for d in [distance2(a, b)] if d)
        for at in w.lipschitz:
            bound = Fraction(w.number(at + 1), 2 ** w.number(at + 2))
            if bound < 0 or ratio * (1 if exact else 1 - 1e-6) > bound * bound:
                found.append(("lipschitz", at))
    return found

"""Networks: shapes, affine maps as matrices of integers, functions, fields, and the exact value at a point."""

import hashlib
from fractions import Fraction as Q
from math import lcm, prod

from exact import Refused, Tensors, Unread, gelu_slope, method, parse, rounded, silu_slope

LARGEST = 1 << 20  # entries of a matrix that is written out


class Matrix:
    """`x -> Wx + b`: rows of W as `{column: integer}` over one denominator, and b; both shapes."""

    def __init__(self, rows, bias, source, target):
        self.d = lcm(*(x.denominator for row in rows for x in row.values()))
        self.rows = [{j: int(x * self.d) for j, x in row.items() if x} for row in rows]
        self.bias, self.source, self.target = bias or [Q(0)] * len(rows), source, target
        self.decided = {}  # what was claimed of it, and whether it is so

    def apply(self, x):
        return [sum((w * x[j] for j, w in row.items()), Q(0)) / self.d for row in self.rows]

    def adjoint(self, y):
        x = [Q(0)] * prod(self.source)
        for row, value in zip(self.rows, y):
            for j, w in row.items():
                x[j] += w * value / self.d
        return x

    def value(self, x):
        return [y + b for y, b in zip(self.apply(x), self.bias)]

    def dense(self):
        return [[Q(row.get(j, 0), self.d) for j in range(prod(self.source))] for row in self.rows]

    def after(self, first):
        """This matrix times another one that comes before it."""
        rows = []
        for row in self.rows:
            total = {}
            for k, w in row.items():
                for j, v in first.rows[k].items():
                    total[j] = total.get(j, 0) + Q(w * v, self.d * first.d)
            rows.append(total)
        return Matrix(rows, None, first.source, self.target)

    def skew(self):
        """`W - W'`."""
        rows = self.dense()
        return Matrix([{j: rows[i][j] - rows[j][i] for j in range(len(rows))} for i in range(len(rows))], None,
                      self.source, self.target)

    def gram(self, inputs, weights=None):
        """`W'DW` or, if not `inputs`, the smaller one of it and `WW'`, in integers; and its denominator."""
        weights = weights or [Q(1)] * len(self.rows)
        e, n = lcm(*(w.denominator for w in weights)), prod(self.source)
        if not inputs and len(self.rows) < n and all(w == 1 for w in weights):
            small = [(a, b) if len(a) <= len(b) else (b, a) for a in self.rows for b in self.rows]
            dots, n = [sum(w * b[j] for j, w in a.items() if j in b) for a, b in small], len(self.rows)
            return [dots[i * n:(i + 1) * n] for i in range(n)], self.d ** 2
        g = [[0] * n for _ in range(n)]
        for row, weight in zip(self.rows, weights):
            for i, a in row.items():
                for j, b in row.items():
                    g[i][j] += a * b * int(weight * e)
        return g, self.d ** 2 * e


class Function:
    """A function of one number, its slopes, and whether its values are rational."""

    def __init__(self, spec, single):
        spec = dict(spec)
        name = self.name = spec.pop("function")
        number = lambda key, default=None: rounded(spec.pop(key, default), single)
        one = Q(1)
        if name == "leaky_relu":
            a = self.a = number("slope")
            self.slopes = min(a, one), max(a, one)
        elif name == "elu":
            alpha = number("alpha", 1.0)
            if alpha < 0:
                raise Refused("a scale of elu that is negative")
            self.slopes = Q(0), max(alpha, one)
        elif name == "hardtanh":
            self.low, self.high, self.slopes = number("min", -1.0), number("max", 1.0), (Q(0), one)
        elif name in ("silu", "gelu"):
            most = silu_slope() if name == "silu" else gelu_slope()
            self.slopes = 1 - most, most
        else:
            known = {"identity": (one, one), "abs": (-one, one), "sigmoid": (Q(0), Q(1, 4)),
                     "relu": (Q(0), one), "tanh": (Q(0), one), "softplus": (Q(0), one)}
            if name not in known:
                raise Unread(f"the function {name!r}")
            self.slopes = known[name]
        self.size = max(map(abs, self.slopes))
        nothing_left(spec, name)

    def value(self, x):
        values = {"identity": lambda: x, "relu": lambda: max(x, Q(0)), "abs": lambda: abs(x),
                  "leaky_relu": lambda: x if x >= 0 else self.a * x,
                  "hardtanh": lambda: min(max(x, self.low), self.high)}
        if self.name not in values:
            raise Unread(f"values of {self.name}, which are not rational")
        return values[self.name]()


def nothing_left(spec, what):
    if spec:
        raise Unread(f"the key {sorted(spec)[0]!r} of {what}")


def pair(x):
    return tuple(x) if isinstance(x, list) else (x, x)


def points(shape):
    return prod(shape[1:])


# The keys that name tensors.
TENSORS = ("weight", "bias", "scale", "shift", "vector", "weights", "operator", "inner", "outer", "matrix", "factor", "linear",
           "quadratic", "skew")


class Model:
    """A model file."""

    def __init__(self, data):
        self.tensors, self.sha256, self.known = Tensors(data), hashlib.sha256(data).hexdigest(), {}
        tree = parse(self.tensors.metadata["dahlquist"])
        if tree.pop("format") != "dahlquist-model" or tree.pop("version") not in (1, 2):
            raise Unread("another format than dahlquist-model, versions 1 and 2")
        self.input, self.layers = tuple(tree.pop("input")), tree.pop("layers")
        nothing_left(tree, "the architecture")
        named, words = ({self.tensors.type(name) for name in self.names(self.layers, keys)} for keys in (TENSORS, None))
        self.single = "F64" not in named
        if not self.single and named != {"F64"}:
            raise Refused("tensors of F64 are mixed with others")
        if self.single and "F64" in words:
            raise Unread("a word of the architecture that is the name of a tensor of F64")

    def names(self, tree, keys):
        """Every word of the tree, or of these keys, that is the name of a tensor."""
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            if isinstance(value, (dict, list)):
                yield from self.names(value, keys)
            elif isinstance(value, str) and value in self.tensors.header and (keys is None or key in keys):
                yield value

    def numbers(self, name, axes):
        _, numbers, shape = self.tensors.raw(name)
        if len(shape) != axes:
            raise Refused(f"the tensor {name!r} has the shape {shape}")
        return [Q(x) for x in numbers], shape

    def vector(self, name, shape):
        """One number for each unit, a channel or a feature, repeated over its points; none without a name."""
        if name is None:
            return None
        values = self.numbers(name, 1)[0]
        if len(values) != shape[0]:
            raise Refused(f"the tensor {name!r} is not one number for each of {shape[0]}")
        return [x for x in values for _ in range(points(shape))]

    def vectors(self, name):
        """The numbers of a tensor, row by row, and how many a row has."""
        _, numbers, shape = self.tensors.raw(name)
        return [Q(x) for x in numbers], shape[-1]

    def function(self, spec):
        return Function(spec, self.single)

    def number(self, x):
        return rounded(x, self.single)

    def windows(self, spec, shape):
        """For each window of one channel the points of it in the image; how many points a window has; the image of windows."""
        size, padding = pair(spec.pop("size")), pair(spec.pop("padding", 0))
        stride = pair(spec.pop("stride", None) or list(size))
        sides = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(shape[1:], padding, size, stride)]
        reach = lambda i, axis: [y for y in range(i * stride[axis] - padding[axis], i * stride[axis] - padding[axis] + size[axis])
                                 if 0 <= y < shape[1 + axis]]
        inside = [[y * shape[2] + x for y in reach(i, 0) for x in reach(j, 1)]
                  for i in range(sides[0]) for j in range(sides[1])]
        return inside, prod(size), (shape[0], *sides)

    def matrix(self, spec, shape):
        """An affine map, written out; the name of a tensor stands for a matrix."""
        spec = {"type": "dense", "weight": spec} if isinstance(spec, str) else dict(spec)
        kind, n = spec.pop("type"), prod(shape)
        one, moved = Q(1), lambda at, target: Matrix([{j: Q(1)} if j is not None else {} for j in at], None, shape, target)
        if kind == "dense":
            weight, (rows, columns) = self.numbers(spec.pop("weight"), 2)
            if shape != (columns,):
                raise Refused(f"a matrix of {columns} columns for {shape}")
            bias = self.vector(spec.pop("bias", None), (rows,))
            result = Matrix([dict(enumerate(weight[i * columns:][:columns])) for i in range(rows)], bias, shape, (rows,))
        elif kind == "conv2d":
            result = self.convolution(spec, shape)
        elif kind == "normalize":
            mean, std = ([self.number(x) for x in spec.pop(key) for _ in range(points(shape))] for key in ("mean", "std"))
            result = Matrix([{j: 1 / s} for j, s in enumerate(std)], [-m / s for m, s in zip(mean, std)], shape, shape)
        elif kind == "channel_affine":
            scale, shift = self.vector(spec.pop("scale"), shape), self.vector(spec.pop("shift", None), shape)
            result = Matrix([{j: s} for j, s in enumerate(scale)], shift, shape, shape)
        elif kind in ("avg_pool", "global_avg_pool"):
            whole = kind == "global_avg_pool"
            inside, area, target = self.windows({"size": list(shape[1:])} if whole else spec, shape)
            rows = [{c * points(shape) + j: one / area for j in window} for c in range(shape[0]) for window in inside]
            result = Matrix(rows, None, shape, (shape[0],) if whole else target)
        elif kind == "flatten":
            result = moved(range(n), (n,))
        elif kind == "pad_channels":
            target = self.channels(spec, shape, shape[0], LARGEST // points(shape))
            result = moved([j if j < n else None for j in range(prod(target))], target)
        elif kind == "first_channels":
            target = self.channels(spec, shape, 1, shape[0])
            result = moved(range(prod(target)), target)
        elif kind == "space_to_depth":
            b, (c, h, w) = spec.pop("block"), shape
            at = [(k * h + y * b + i) * w + x * b + j for k in range(c) for i in range(b) for j in range(b)
                  for y in range(h // b) for x in range(w // b)]
            result = moved(at, (c * b * b, h // b, w // b))
        elif kind == "mirror":
            result = moved([j - j % shape[2] + shape[2] - 1 - j % shape[2] for j in range(n)], shape)
        elif kind == "graph_gradient":  # K times differences along edges
            edges, (weight, (rows, columns)) = spec.pop("edges"), self.numbers(spec.pop("weight"), 2)
            size, target = points(shape), (rows, 1, len(edges))
            if len(shape) != 3 or columns != shape[0] or not edges or any(u == v or min(u, v) < 0 or max(u, v) >= size for u, v in edges):
                raise Refused("a graph of other nodes or channels")
            entry = lambda o, u, v: {c * size + at: sign * weight[o * columns + c] for c in range(columns) for at, sign in ((v, 1), (u, -1))}
            result = Matrix([entry(o, u, v) for o in range(rows) for u, v in edges], self.vector(spec.pop("bias", None), target), shape, target)
        elif kind == "shift":
            groups, around = spec.pop("groups"), spec.pop("mode", "zeros") == "circular"
            moves = [(r, s) for count, r, s in groups for _ in range(count)]
            moves, at = moves + [(0, 0)] * (shape[0] - len(moves)), []
            for c, (r, s) in enumerate(moves):
                for y in range(shape[1]):
                    for x in range(shape[2]):
                        u, v = ((y - r) % shape[1], (x - s) % shape[2]) if around else (y - r, x - s)
                        at.append((c * shape[1] + u) * shape[2] + v if 0 <= u < shape[1] and 0 <= v < shape[2] else None)
            result = moved(at, shape)
        else:
            raise Unread(f"a layer of type {kind!r}")
        nothing_left(spec, kind)
        return result

    def channels(self, spec, shape, least, most):
        """The shape with another number of channels."""
        count = spec.pop("channels")
        if type(count) is not int or not least <= count <= most:
            raise Refused(f"{count!r} channels, which are not from {least} to {most}")
        return count, *shape[1:]

    def convolution(self, spec, shape):
        weight, (outputs, inputs, *kernel) = self.numbers(spec.pop("weight"), 4)
        groups, dilation = spec.pop("groups", 1), pair(spec.pop("dilation", 1))
        padding, stride = spec.pop("padding", 0), pair(spec.pop("stride", 1))
        if padding == "same" and any(d * (k - 1) % 2 for d, k in zip(dilation, kernel)):
            raise Refused("a padding that is not the same on both sides")
        padding = [d * (k - 1) // 2 for d, k in zip(dilation, kernel)] if padding == "same" else pair(padding)
        around = spec.pop("padding_mode", "zeros") == "circular"
        sides = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(shape[1:], padding, dilation, kernel, stride)]
        if inputs * groups != shape[0] or outputs % groups or min(sides) < 1 or prod(sides) * outputs * inputs * prod(kernel) > LARGEST:
            raise Unread("a convolution of these channels, or as large as this")
        taps = [[(i, i * dilation[axis] - padding[axis]) for i in range(kernel[axis])] for axis in (0, 1)]
        read = lambda at, axis: at % shape[1 + axis] if around else at if 0 <= at < shape[1 + axis] else None
        rows = []
        for o in range(outputs):
            for y in range(sides[0]):
                for x in range(sides[1]):
                    row = {}
                    for i, u in taps[0]:
                        for j, v in taps[1]:
                            u_, v_ = read(y * stride[0] + u, 0), read(x * stride[1] + v, 1)
                            for c in range(inputs) if u_ is not None and v_ is not None else ():
                                at = ((o // (outputs // groups) * inputs + c) * shape[1] + u_) * shape[2] + v_
                                w = weight[((o * inputs + c) * kernel[0] + i) * kernel[1] + j]
                                row[at] = row.get(at, Q(0)) + w
                    rows.append(row)
        target = (outputs, *sides)
        return Matrix(rows, self.vector(spec.pop("bias", None), target), shape, target)

    def field(self, spec, shape):
        """A field: its kind, functions, numbers, and its operators with their names and what counts of them."""
        return Field(self, dict(spec), shape)

    def steps(self, spec, shape, count):
        """The length of a step of a flow, how many there are, its method and its fields."""
        spec = dict(spec)
        listed = "fields" in spec
        fields = spec.pop("fields") if listed else [spec.pop("field")]
        steps = spec.pop("steps", len(fields) if listed else count)
        if steps is None or listed and steps != len(fields):
            raise Refused("a flow whose number of steps is left open, or not that of its fields")
        if type(steps) is not int or steps < 1:
            raise Refused(f"{steps!r} steps")
        if steps > LARGEST:
            raise Unread(f"a flow of {steps} steps")
        if "horizon" in spec:
            # T, T/n and its rounding, in the format of the network.
            step = self.number(float(self.number(spec.pop("horizon"))) / steps)
        else:
            step = self.number(spec.pop("step"))
        spec.pop("type")
        kind = spec.pop("method")
        kind = "implicit_midpoint" if kind == "cayley" else kind
        spec.pop("tolerance", None)  # how nearly the program solves an implicit step; the claims are about the solution
        nothing_left(spec, "a flow")
        return step, steps, kind, [self.field(field, shape) for field in fields]


class Field:
    """A right-hand side: what `kind` says of its operators `o`, functions and numbers."""

    OPERATORS = {"gradient": ["operator"], "residual": ["inner", "outer"], "dissipative": ["operator", "skew"],
                 "hamiltonian": ["kinetic.operator", "potential.operator"], "antisymmetric": ["matrix"],
                 "dissipative_hamiltonian": ["operator", "quadratic", "skew"], "skew_linear": ["skew"], "nais": ["factor"],
                 "lurie": ["linear", "inner", "outer"]}

    def __init__(self, model, spec, shape):
        self.kind, self.shape = spec.pop("type"), shape
        if self.kind not in self.OPERATORS:
            raise Unread(f"a field of type {self.kind!r}")
        self.names = self.OPERATORS[self.kind]
        damped = {"dissipative": "damping", "dissipative_hamiltonian": "damping", "antisymmetric": "damping", "nais": "epsilon"}
        self.damping = model.number(spec.pop(damped[self.kind], 0.0) if self.kind in damped else 0.0)
        if self.kind == "hamiltonian":
            halves, space = [dict(spec.pop(name)) for name in ("kinetic", "potential")], (shape[0] // 2, *shape[1:])
            self.functions = [model.function(half.pop("activation")) for half in halves]
            self.o = [model.matrix(half.pop("operator"), space) for half in halves]
            [nothing_left(half, "a potential") for half in halves]
        else:
            self.functions = [model.function(spec.pop("activation"))] if "activation" in spec else []
            self.o = []
            for name in self.names:
                self.o.append(model.matrix(spec.pop(name), self.o[-1].target if name == "outer" else shape))
        self.bias = model.vector(spec.pop("bias", None), shape) if self.kind in ("antisymmetric", "nais") else None
        self.weights = model.vector(spec.pop("weights", None), self.o[0].target) if self.kind == "gradient" else None
        into = [o for name, o in zip(self.names, self.o) if name in ("outer", "skew", "matrix", "linear")]
        if any(o.target != shape for o in into) or self.kind == "hamiltonian" and shape[0] % 2:
            raise Refused(f"the operators of a field of type {self.kind} do not fit")
        if self.weights and min(self.weights) < 0:
            raise Refused("a negative weight of a gradient field")
        nothing_left(spec, f"a field of type {self.kind}")
        # What a premise is about: `S - S'` of a matrix that is skewed.
        self.about = [o.skew() if name in ("skew", "matrix") else o for name, o in zip(self.names, self.o)]

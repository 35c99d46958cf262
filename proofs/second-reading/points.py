"""Claims about samples: the exact value of the network at each, and how far its margins reach."""

import hashlib
from fractions import Fraction as Q
from math import prod

from claims import PROVED, REFUSED, UNREAD, join, numbers
from exact import Refused, Tensors, Unread, exponentials, method
from network import points
from quadratic import evidence, quadratic_constraint, unit_of


def plus(*terms):
    return [sum(values) for values in zip(*terms)]


def times(c, x):
    return [c * v for v in x]


def value(reading, spec, shape, x, counts, path=""):
    """The exact value of a layer, or of a list of them, and its shape; `counts` has the steps of flows that leave them open."""
    model, place = reading.model, lambda i: join(path, i)
    if isinstance(spec, list):
        for i, layer in enumerate(spec):
            x, shape = value(reading, layer, shape, x, counts, place(i))
        return x, shape
    kind, bare = spec["type"], {key: v for key, v in spec.items() if key != "type"}
    if kind == "activation":
        first, last = bare.pop("channels", [0, shape[0]])
        f, size = model.function(bare), points(shape)
        return [f.value(v) if first * size <= i < last * size else v for i, v in enumerate(x)], shape
    if kind in ("sum", "mean"):
        branches = [b if isinstance(b, list) else [b] for b in spec["branches"]]
        values = [value(reading, b, shape, x, counts, place(i)) for i, b in enumerate(branches)]
        total = plus(*(v for v, _ in values))
        return times(Q(1, len(values)) if kind == "mean" else 1, total), values[0][1]
    if kind == "sort":
        size, result = points(shape), list(x)
        for start in range(0, shape[0], spec["group"]):
            for at in range(size):
                group = [(start + c) * size + at for c in range(spec["group"])]
                for j, v in zip(group, sorted(x[j] for j in group)):
                    result[j] = v
        return result, shape
    if kind == "householder":
        size, result, (rows, width) = points(shape), list(x), model.vectors(bare["vector"])
        for start in range(0, shape[0], width):
            v = rows[start % len(rows):][:width]
            for at in range(size):
                group = [(start + c) * size + at for c in range(width)]
                behind = min(sum(a * x[j] for a, j in zip(v, group)), Q(0))
                for a, j in zip(v, group):
                    result[j] = x[j] - 2 * a * behind
        return result, shape
    if kind == "max_pool":
        inside, _, target = model.windows(bare, shape)
        return [max(x[c * points(shape) + j] for j in w) for c in range(shape[0]) for w in inside], target
    if kind == "l2_pool":
        raise Unread("values of l2_pool, which are not rational")
    if kind == "equilibrium":
        raise Unread("values of an equilibrium, which are not rational")
    if kind == "flow":
        h, steps, name, fields = reading.once(lambda s, at: model.steps(s, *at), spec, (shape, counts.get(path)))
        for k in range(steps):
            x = step(fields[k % len(fields)], name, h, x)
        return x, shape
    matrix = reading.once(model.matrix, spec, shape)
    return matrix.value(x), matrix.target


def gradient(field, i, x):
    """`W' D f(Wx + b)` of the operator `i`."""
    f = field.functions[min(i, len(field.functions) - 1)]
    z = [f.value(v) for v in field.o[i].value(x)]
    return field.o[i].adjoint([v * w for v, w in zip(z, field.weights)] if field.weights else z)


def slope_at(field, x):
    """The value of the field."""
    kind, o, half, r = field.kind, field.o, len(x) // 2, field.damping
    image = lambda z: [field.functions[0].value(v) for v in z]
    if kind == "gradient":
        return times(-1, gradient(field, 0, x))
    if kind == "residual":
        return o[1].value(image(o[0].value(x)))
    if kind == "lurie":
        return plus(o[0].value(x), o[2].value(image(o[1].value(x))))
    if kind == "dissipative":
        return plus(times(-1, gradient(field, 0, x)), field.about[1].apply(x), times(-r, x))
    if kind == "hamiltonian":
        return gradient(field, 0, x[half:]) + times(-1, gradient(field, 1, x[:half]))
    if kind == "skew_linear":
        return field.about[0].apply(x)
    if kind == "dissipative_hamiltonian":
        g = plus(gradient(field, 0, x), o[1].adjoint(o[1].apply(x)))
        return plus(field.about[2].apply(g), times(-r, g))
    linear = field.about[0].apply(x) if kind == "antisymmetric" else times(-1, o[0].adjoint(o[0].apply(x)))
    return image(plus(linear, times(-r, x), field.bias or [Q(0)] * len(x)))


def step(field, name, h, x):
    """One step of a method."""
    half = len(x) // 2
    if name in ("symplectic_euler", "stormer_verlet"):
        q, p, part = x[:half], x[half:], h if name == "symplectic_euler" else h / 2
        p = plus(p, times(-part, gradient(field, 1, q)))
        q = plus(q, times(h, gradient(field, 0, p)))
        return q + (p if part == h else plus(p, times(-part, gradient(field, 1, q))))
    if name == "exponential_euler":
        e, phi = exponentials(field.damping, h)
        undamped = plus(slope_at(field, x), times(field.damping, x))
        return plus(times(e, x), times(phi, undamped))
    a, b, _ = method(name)
    if any(entry != [0, 0] for i, row in enumerate(a) for entry in row[i:]):
        raise Unread(f"values of an implicit method, {name!r}")
    slopes = []
    for row in a + [b]:
        moved = [v + h * sum((c[0] * k[i] for c, k in zip(row, slopes)), Q(0)) for i, v in enumerate(x)]
        if len(slopes) < len(b):
            slopes.append(slope_at(field, moved))
    return moved


def steps_of(proof, counts):
    """The number of steps of each flow that says so, by its place."""
    if isinstance(proof.get("evidence"), dict) and "steps" in proof["evidence"]:
        counts[proof["path"]] = proof["evidence"]["steps"]
    for premise in proof.get("premises", []):
        steps_of(premise, counts)
    return counts


SAMPLES = {"sha256", "semantics", "local", "within", "predictions", "radii", "by", "labels", "clean_accuracy", "certified_accuracy"}


def check_samples(reading, certificate, data):
    """Adds a verdict for each sample: in exact semantics its class, and its radius by the constant of the features."""
    claimed, model = certificate["samples"], reading.model
    tensors = Tensors(data)
    raw, coordinates, (count, *_) = tensors.raw("x")
    labels = list(tensors.raw("y")[1]) if "y" in tensors.header else []
    coordinates = [Q(x, 255) if tensors.type("x") == "U8" else Q(x) for x in coordinates]
    digest = hashlib.sha256(raw + b"".join(label.to_bytes(8, "little") for label in labels)).hexdigest()
    classes, radii = claimed["predictions"], claimed["radii"]
    if set(claimed) - SAMPLES:
        return reading.say(UNREAD, "samples", f"the key {min(set(claimed) - SAMPLES)!r}")
    if not claimed.get("local") and claimed.get("within", {"norm": "l2"}) != {"norm": "l2"}:
        return reading.say(REFUSED, "samples", "radii in another norm, or within a range, that are not local")
    if digest != claimed["sha256"] or len(classes) != count or len(radii) != count:
        return reading.say(REFUSED, "samples", "they are others")
    if claimed.get("labels", labels) != labels or not accurate(claimed):
        reading.say(REFUSED, "samples", "labels and accuracies do not follow")
    if claimed.get("local"):
        return reading.say(UNREAD, "samples", "local radii rest on more than the constant of the features")
    head = model.layers[-1]
    mixes = isinstance(head, dict) and head["type"] in ("dense", "conv2d", "avg_pool", "global_avg_pool")
    counts, size, pair = steps_of(certificate["network"], {}), len(coordinates) // count, pairs(reading, certificate)
    for s in range(count):
        try:
            layers, x = model.layers[:-1] if mixes else model.layers, tuple(coordinates[s * size:][:size])
            x, shape = reading.once(lambda x, _: value(reading, layers, model.input, x, counts), x, repr(counts))
            rows = None
            if mixes:
                last = reading.once(model.matrix, head, shape)
                x, rows = last.value(x), last.dense()
            verdict, why = margin(x, rows, classes[s], Q(radii[s]), Q(certificate["features"]), pair)
            if verdict == PROVED and claimed["semantics"] != "exact":
                verdict, why = UNREAD, f"{why}; what the program rounds is not"
            reading.say(verdict, f"sample {s}", why)
        except (Refused, Unread) as error:
            reading.say(UNREAD, f"sample {s}", str(error))


class Row:
    """A matrix of one row."""

    def __init__(self, row):
        self.row = row

    def dense(self):
        return [self.row]


def pairs(reading, certificate):
    """Whether `z_i - z_j` is proved to be `c`-Lipschitz, where the head is in a run: the form with `w_i - w_j` in the place of the
    head, and the multipliers of the run for `c` in the place of its constant, is semidefinite."""
    *before, run = certificate["network"]["premises"]
    model, span = reading.model, run.get("span", 1)
    if span < 2 or run["rule"] != "quadratic_constraint":
        return None
    specs, maps = model.layers[-span:], []
    at = reading.output(model.layers[:-span], model.input)
    for spec in specs[::2]:
        maps.append(reading.once(model.matrix, spec, at))
        at = maps[-1].target
    functions = [model.function({k: v for k, v in s.items() if k != "type"}) for s in specs[1::2]]
    if len(maps) == len(functions):
        return None
    rows, bound = maps[-1].dense(), numbers(run)["bound"]
    ahead = prod(numbers(part)["bound"] for part in before)

    def holds(i, j, c):
        u, c = [a - b for a, b in zip(rows[i], rows[j])], c / ahead
        if not any(u):
            return True
        scale = (c / bound * unit_of(rows) / unit_of([u])) ** 2
        multipliers = [[scale * Q(t) for t in block] for block in evidence(run, "multipliers")]
        return quadratic_constraint(maps[:-1], functions, Row(u), {"evidence": {"multipliers": multipliers}}, c)
    return holds


def margin(logits, rows, i, radius, lipschitz, pair):
    """Within `radius`, `z_i - z_j` falls by less than `L |w_i - w_j| radius`, or by the constant of the pair."""
    if i is None and radius == 0:
        return PROVED, "no class"
    if radius < 0 or i != max(range(len(logits)), key=lambda j: (logits[j], -j)):
        return REFUSED, f"the class is not {i}"
    for j, z in enumerate(logits):
        gap, apart = logits[i] - z, sum((a - b) ** 2 for a, b in zip(rows[i], rows[j])) if rows else 2
        if j != i and radius > 0 and (gap <= 0 or gap * gap < (radius * lipschitz) ** 2 * apart):
            if pair is None or gap <= 0 or not pair(i, j, gap / radius):
                return REFUSED, f"class {i} within {float(radius)!r}: class {j} may overtake it"
    return PROVED, f"class {i} within {float(radius)!r}"


def accurate(claimed):
    """Whether the accuracies are those that follow from predictions, radii and labels."""
    labels, classes, radii = claimed.get("labels"), claimed["predictions"], claimed["radii"]
    certified = claimed.get("certified_accuracy", [])
    if labels is None:
        return "clean_accuracy" not in claimed and not certified
    share = lambda eps: sum(c == l and (eps is None or r > eps) for c, l, r in zip(classes, labels, radii)) / len(labels)
    return claimed.get("clean_accuracy", share(None)) == share(None) and all(c["accuracy"] == share(c["eps"]) for c in certified)

"""The claims of a certificate, node by node: what each rule allows, from what is claimed of the nodes below, in exact numbers."""

from fractions import Fraction as Q
from math import prod

from exact import Refused, Unread, above_root
from network import points
from quadratic import lurie_claims, quadratic_constraint, semidefinite
from steps import SPLIT, curvature, numbers, skew_gradient, whole_step

PROVED, REFUSED, UNREAD = "proved", "REFUSED", "not checked"
WINDOWS = ("sort", "max_pool", "l2_pool")


def join(path, name):
    return f"{path}.{name}" if path else str(name)


def shifted(g, d, c):
    """`c I - G/d`, times `d`: of the same definiteness."""
    return [[(c * d if i == j else 0) - x for j, x in enumerate(row)] for i, row in enumerate(g)]


def norm(matrix, weights=None):
    """`b >= ||W||` is that `b^2 I - W'W` is semidefinite, `s <= min ||Wx||/||x||` that `W'W - s^2 I` is."""
    def once(key, decide):
        if key not in matrix.decided:
            matrix.decided[key] = decide()
        return matrix.decided[key]
    above = lambda b: b >= 0 and once(b, lambda: semidefinite(shifted(*matrix.gram(False, weights), b * b)))
    below = lambda s: s <= 0 or once(-s, lambda: semidefinite(
        [[-x for x in row] for row in shifted(*matrix.gram(True, weights), s * s)]))
    return {"bound": above, "inverse": below}


def slope(slopes):
    m, l = slopes
    allowed = {"bound": lambda c: c >= max(abs(m), abs(l))} | ({"inverse": lambda c: c <= m} if m > 0 else {})
    return allowed | ({"averaged": lambda a: (1 - m) / 2 <= a < 1} if -1 < m and l <= 1 else {})


def composition(parts):
    """Constants multiply; averaged maps compose by `phi = sum a/(1 - a)`."""
    allowed = {"bound": lambda c: c >= prod(p["bound"] for p in parts)}
    if all("inverse" in p for p in parts):
        allowed["inverse"] = lambda c: c <= prod(max(p["inverse"], Q(0)) for p in parts)
    if parts and all(0 <= p.get("averaged", 1) < 1 for p in parts):
        phi = sum(p["averaged"] / (1 - p["averaged"]) for p in parts)
        allowed["averaged"] = lambda c: phi / (1 + phi) <= c < 1
    return allowed


def repeated(part, count):
    """The same map many times: it has one norm of its own, and the way in and out of that is paid once."""
    allowed = composition([part] * count)
    if "own_norm.bound" in part:
        plain, condition, power = allowed["bound"], part["own_norm.condition"], part["own_norm.bound"] ** count
        allowed |= {"bound": lambda c: plain(c) or c >= condition * power,
                    "own_norm.bound": lambda c: c >= power, "own_norm.condition": lambda c: c >= condition}
    return allowed


def total(parts, count):
    """A sum, or a mean of so many: one branch shrinks by no more than the others stretch."""
    allowed = {"bound": lambda c: c * count >= sum(p["bound"] for p in parts)}
    whole = sum(p["bound"] for p in parts)
    least = max((p["inverse"] - whole + p["bound"] for p in parts if "inverse" in p), default=Q(0))
    return allowed | ({"inverse": lambda c: c * count <= least} if least > 0 else {})


def equilibrium(field):
    mu = -field.get("one_sided_lipschitz", Q(0))
    if mu <= 0:
        raise Refused("the field is not known to contract")
    allowed = {"bound": lambda c: c * mu >= 1, "inverse": lambda c: c * max(field["bound"], mu) <= 1}
    return allowed | ({"averaged": lambda a: Q(1, 2) <= a < 1} if mu >= 1 else {})


def field_claims(field, parts):
    """A difference of two values of the field is a matrix, known up to what its functions do, times that of the points."""
    kind, r = field.kind, field.damping
    slopes, size = [f.slopes for f in field.functions], max([f.size for f in field.functions], default=Q(1))
    if kind in ("residual", "lurie"):
        l = parts[-2]["bound"] * parts[-1]["bound"] * size + (parts[0]["bound"] if kind == "lurie" else 0)
        return "residual_field", {"bound": lambda c: c >= l, "one_sided_lipschitz": lambda c: c >= l}
    if kind == "gradient":
        low, high = curvature(slopes[0], parts[0])
        if slopes[0][0] < 0:
            raise Refused("a gradient field needs slopes that are not negative")
        return "gradient_field", {
            "bound": lambda c: c >= high, "one_sided_lipschitz": lambda c: c >= -low,
            "strong_convexity": lambda c: c <= low, "cocoercivity": lambda c: c * high <= 1}
    if kind in ("dissipative", "skew_linear"):  # K - G, with a <= G <= b
        a, b = curvature(slopes[0], parts[0]) if kind == "dissipative" else (Q(0), Q(0))
        a, b, k = a + r, b + r, parts[-1]["bound"]
        allowed = {"bound": lambda c: above_root(c, (b - a) / 2, k * k + (a + b) ** 2 / 4),
                   "one_sided_lipschitz": lambda c: c >= -a}
        if a > 0 or a == 0 == k:
            allowed["cocoercivity"] = lambda c: c * (a * b + k * k) <= a if a else c * b <= 1
        return "dissipative_field", allowed
    if kind == "nais":  # -DP
        p, (m, l) = [r + x for x in curvature((Q(1), Q(1)), parts[0])], slopes[0]
        most = max(map(abs, p))
        mu = min((l - m) / 2 * most - min((m + l) / 2 * x for x in p), size * most)
        allowed = {"bound": lambda c: c >= size * most, "one_sided_lipschitz": lambda c: c >= mu}
        if m >= 0 and p[0] > 0:  # a gradient field in the norm of P
            allowed |= {"own_norm.condition": lambda c: c >= 0 and c * c * p[0] >= p[1], "own_norm.bound": lambda c: c >= l * p[1],
                        "own_norm.strong_convexity": lambda c: c <= m * p[0]}
        return "nais_field", allowed
    low, high, k, r = skew_gradient(field, parts)
    most, square = max(abs(low), abs(high)), k * k + r * r
    lipschitz = lambda c: above_root(c, Q(0), most * most * square)
    one_sided = lambda c: above_root(c, -r * (low + high) / 2, (high - low) ** 2 / 4 * square) or lipschitz(c)
    return "hamiltonian_field", {"bound": lipschitz, "one_sided_lipschitz": one_sided}


class Reading:
    """One walk over the tree: a verdict for each node."""

    def __init__(self, model):
        self.model, self.verdicts, self.known = model, [], model.known

    def say(self, verdict, place, what):
        self.verdicts.append((verdict, place or "the whole", what))

    def once(self, make, spec, shape):
        """What `make` says of a part of the tree, computed once."""
        key = (spec if isinstance(spec, tuple) else id(spec), shape)
        if key not in self.known:
            self.known[key] = make(spec, shape)
        return self.known[key]

    def node(self, proof, path, rules, below, allowed):
        """One node: its place, its rule, its premises, and each number that it claims."""
        what = f"{proof['rule']} {proof['claims']['bound']}"
        try:
            if set(proof) - {"path", "span", "rule", "claims", "evidence", "premises"}:
                raise Unread("a key of a node that is not known")
            if proof["rule"] == "asserted":
                raise Unread("it is asserted, and not proved")
            if proof["path"] != path or proof["rule"] not in rules:
                raise Refused(f"the place {proof['path']!r} or the rule {proof['rule']} is not one here")
            premises = proof.get("premises", [])
            if len(below) != len(premises):
                raise Refused(f"it has {len(premises)} premises, not {len(below)}")
            allowed = allowed([numbers(p) for p in premises])
            for key, value in numbers(proof).items():
                if key not in allowed or not allowed[key](value):
                    raise Refused(f"{key} {float(value)!r} does not follow")
            self.say(PROVED, path, what)
        except (Refused, Unread) as error:
            self.say(REFUSED if isinstance(error, Refused) else UNREAD, path, f"{what}: {error}")
        for visit, premise in zip(below, proof.get("premises", [])):
            self.guard(premise, visit)

    def guard(self, proof, visit):
        """Visits a node; what cannot be read below it is its verdict."""
        try:
            visit(proof)
        except (Refused, Unread) as error:
            self.say(REFUSED if isinstance(error, Refused) else UNREAD, proof["path"], f"{proof['rule']}: {error}")

    def output(self, spec, shape):
        """The shape behind a layer, or a list of them."""
        if isinstance(spec, list):
            for layer in spec:
                shape = self.output(layer, shape)
            return shape
        kind = spec["type"]
        if kind in ("activation", "sort", "flow", "equilibrium", "householder"):
            return shape
        if kind in ("sum", "mean"):
            shapes = {self.output(branch, shape) for branch in spec["branches"]}
            if len(shapes) != 1:
                raise Refused(f"the branches of a {kind} have several shapes")
            return shapes.pop()
        if kind in WINDOWS:
            return self.model.windows({k: v for k, v in spec.items() if k != "type"}, shape)[2]
        return self.once(self.model.matrix, spec, shape).target

    def covered(self, proof, specs, place, first, shape):
        """The visits of premises that are about maps one after the other, the first having the number `first`."""
        visits, at = [], 0
        for premise in proof.get("premises", []):
            span = premise.get("span", 1)
            run, path = specs[at:at + span], join(place, first + at)
            if span < 1 or len(run) != span:
                raise Refused(f"the premises of {proof['path']!r} do not cover its maps")
            if span == 1:
                visits.append(lambda p, spec=run[0], path=path, shape=shape: self.map(p, spec, path, shape))
            else:
                visits.append(lambda p, run=run, n=first + at, shape=shape: self.run(p, run, place, n, shape))
            at, shape = at + span, self.output(run, shape)
        if at != len(specs):
            raise Refused(f"the premises of {proof['path']!r} do not cover all of its maps")
        return visits

    def run(self, proof, specs, place, first, shape):
        """Maps in a row, proved as one: affine ones as their product, stacks by a quadratic constraint."""
        def allowed(parts):
            rule = proof["rule"]
            if rule == "composition":
                return composition(parts)
            if rule == "operator_norm":
                whole, at = None, shape
                for spec in specs:
                    if spec["type"] in WINDOWS + ("activation", "sum", "mean", "flow"):
                        raise Refused("they are not all affine")
                    matrix = self.once(self.model.matrix, spec, at)
                    whole, at = matrix.after(whole) if whole else matrix, matrix.target
                whole = self.once(lambda *_: whole, specs[0], (shape, len(specs)))
                return composition(parts) | {"bound": norm(whole)["bound"]}
            if [spec["type"] for spec in specs] != (["dense", "activation"] * len(specs))[:len(specs)]:
                raise Refused("they are no stack of matrices and activations in turn")
            maps, at = [], shape
            for spec in specs[::2]:
                maps.append(self.once(self.model.matrix, spec, at))
                at = maps[-1].target
            functions = [self.model.function({k: v for k, v in s.items() if k != "type"}) for s in specs[1::2]]
            inner = maps[:len(functions)]
            outer = maps[-1] if len(maps) > len(functions) else None
            return {"bound": lambda c: quadratic_constraint(inner, functions, outer, proof, c)}
        below = self.covered(proof, specs, place, first, shape)
        self.node(proof, join(place, first), ("composition", "operator_norm", "quadratic_constraint"), below, allowed)

    def map(self, proof, spec, path, shape):
        kind = "chain" if isinstance(spec, list) else spec["type"]
        bare = {} if kind == "chain" else {k: v for k, v in spec.items() if k != "type"}
        if kind == "chain":
            self.node(proof, path, ("composition",), self.covered(proof, spec, path, 0, shape), composition)
        elif kind in ("sum", "mean"):
            branches = [b if isinstance(b, list) else [b] for b in spec["branches"]]
            below = [lambda p, b=b, i=i: self.map(p, b, join(path, i), shape) for i, b in enumerate(branches)]
            count = len(branches) if kind == "mean" else 1
            self.node(proof, path, ("sum",), below, lambda parts: total(parts, count))
        elif kind == "activation":
            rest = [(Q(1), Q(1))] if "channels" in bare else []
            bare.pop("channels", None)
            slopes = [self.model.function(bare).slopes] + rest
            both = min(m for m, _ in slopes), max(l for _, l in slopes)
            self.node(proof, path, ("slope",), [], lambda _: slope(both))
        elif kind == "householder":  # z - grad V(z) with a curvature in [0, 2|v|^2]
            rows, width = self.model.vectors(bare["vector"])
            square = max(sum(x * x for x in rows[i:i + width]) for i in range(0, len(rows), width))
            allowed = {"bound": lambda c: c >= max(Q(1), 2 * square - 1)}
            allowed |= {"inverse": lambda c: c <= 1 - 2 * square} if 2 * square < 1 else {}
            self.node(proof, path, ("householder",), [], lambda _: allowed | (
                {"averaged": lambda a: square <= a < 1} if square < 1 else {}))
        elif kind in WINDOWS:
            # As many windows as one point lies in: of the image at hand, counted.
            windows = [] if kind == "sort" else self.model.windows(bare, shape)[0]
            most = max((sum(j in w for w in windows) for j in range(points(shape))), default=1) if windows else 1
            self.node(proof, path, ("windows",), [], lambda _: {"bound": lambda c: above_root(c, Q(0), Q(most))})
        elif kind == "equilibrium":  # of -f = u: <u, x> >= mu |x|^2 and |u| <= l |x|, for differences
            field = self.once(self.model.field, spec["field"], shape)
            operators = self.operators(join(path, "field"), field)
            below = [lambda p: self.field(p, join(path, "field"), field, operators)]
            self.node(proof, path, ("equilibrium",), below, lambda parts: equilibrium(parts[0]))
        elif kind == "flow":
            count = proof.get("evidence", {}).get("steps")
            if "fields" not in spec and "steps" not in spec:
                # It follows from how a norm was proved; another number of steps is another network.
                self.say(UNREAD, path, "the number of steps, which the model leaves open")
                if type(count) is not int or count < 1:
                    raise Refused(f"{count!r} steps")
            h, steps, name, fields = self.once(lambda s, at: self.model.steps(s, *at), spec, (shape, count))
            one = len(fields) == 1
            below = [lambda p, f=f, k=k: self.step(p, join(path, "step" if one else f"steps.{k}"), name, h, f)
                     for k, f in enumerate(fields)]
            self.node(proof, path, ("composition",), below, lambda parts: repeated(parts[0], steps) if one else composition(parts))
        else:
            self.node(proof, path, ("operator_norm", "isometry"), [],
                      lambda _: norm(self.once(self.model.matrix, spec, shape)))

    def step(self, proof, path, name, h, field):
        operators = self.operators(join(path, "field"), field)
        below = operators if name in SPLIT else [lambda p: self.field(p, join(path, "field"), field, operators)]
        rules = ("gradient_step", "one_sided_lipschitz", "lipschitz_step", "circle_contractivity", "stage_multipliers",
                 "own_norm", "quadratic_constraint", "algebraic_stability", "skew_flow", "implicit_step", "exponential_step",
                 "skew_gradient_step") if name not in SPLIT else ("shears", "exponential_step")
        self.node(proof, path, rules, below, lambda parts: whole_step(proof["rule"], name, h, field, parts, proof))

    def operators(self, path, field):
        weights = [field.weights if i == 0 else None for i in range(len(field.o))]
        return [lambda p, n=n, m=m, w=w: self.node(p, join(path, n), ("operator_norm", "isometry"), [], lambda _: norm(m, w))
                for n, m, w in zip(field.names, field.about, weights)]

    def field(self, proof, path, field, operators):
        def allowed(parts):
            if proof["rule"] == "quadratic_constraint":
                return lurie_claims(field, parts, proof)
            rule, claims = field_claims(field, parts)
            if rule != proof["rule"]:
                raise Refused(f"the rule of this field is {rule}")
            return claims
        self.node(proof, path, (proof["rule"],), operators, allowed)

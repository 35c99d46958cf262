"""The claims of a step of a flow: what each rule allows, from what is claimed of the field, in exact numbers."""

from fractions import Fraction as Q
from math import prod

from exact import Refused, Unread, above_root, above_roots, exponentials, is_psd_with_root, method
from quadratic import STEP, evidence, field_constraint
from stability import plus, skew_step, times

SPLIT = ("symplectic_euler", "stormer_verlet", "exponential_euler")


def numbers(proof):
    """The claims of a node; those in a norm of its own are `own_norm.condition` and so on."""
    claims = dict(proof["claims"])
    own = claims.pop("own_norm", {})
    return {key: Q(x) for key, x in claims.items()} | {f"own_norm.{key}": Q(x) for key, x in own.items()}


def curvature(slopes, operator):
    """Between what `W'DW` lies, for slopes `D` in `[m, L]`."""
    m, l = slopes
    w, s = operator["bound"], max(operator.get("inverse", Q(0)), Q(0))
    return m * (s * s if m >= 0 else w * w), l * w * w


def skew_gradient(field, parts):
    """`(K - r) G` or `G (K - r)`: between what `G` lies, a bound of `K`, and `r`."""
    slopes, r = [f.slopes for f in field.functions], field.damping
    if field.kind == "hamiltonian" and len(parts) == 2:
        both = [curvature(s, p) for s, p in zip(slopes, parts)]
        return min(x for x, _ in both), max(x for _, x in both), Q(1), Q(0)
    if field.kind == "antisymmetric" and len(parts) == 1:
        return *slopes[0], parts[0]["bound"], r
    if field.kind == "dissipative_hamiltonian" and len(parts) == 3:
        low, high = (x + y for x, y in zip(curvature(slopes[0], parts[0]), curvature((Q(1), Q(1)), parts[1])))
        return low, high, parts[2]["bound"], r
    raise Refused("the field is no skew matrix times a gradient, or has other operators")


# Numbers of the coefficients are pairs (x, y), meaning x + y sqrt(d).

def least_of_step(name, h, known):
    """How much a step may shrink a distance, at most; 0 if nothing is known."""
    (a, b, _), l, best = method(name), known["bound"], Q(0)
    if all(x == [0, 0] for i, row in enumerate(a) for x in row[i:]):
        stages = []
        for row in a + [b]:
            stages.append(1 + abs(h) * l * sum(abs(x[0]) * y for x, y in zip(row, stages)))
        best = max(best, 2 - stages[-1])
    if (a, b) == ([[[1, 0]]], [[1, 0]]):
        best = max(best, 1 / (1 + abs(h) * l))
    if (a, b) == ([[[0, 0]]], [[1, 0]]) and "strong_convexity" in known:
        ends = sorted((h * max(known["strong_convexity"], Q(0)), h * l))
        best = max(best, 1 - ends[1], ends[0] - 1)
    return best


def whole_step(rule, name, h, field, parts, proof):
    """What a rule allows, and how much a step shrinks, whatever rule it is proved by."""
    allowed = step_claims(rule, name, h, field, parts, proof)
    least = least_of_step(name, h, parts[0]) if name not in SPLIT else 0
    return allowed | ({"inverse": lambda c: c <= least} if least > 0 and "inverse" not in allowed else {})


def own_norm(name, h, field, known, proof):
    """A step of a gradient field in a norm of its own."""
    if "own_norm.strong_convexity" not in known or known["own_norm.strong_convexity"] < 0:
        raise Refused("nothing is known of the field in a norm of its own")
    size, mu, condition = known["own_norm.bound"], known["own_norm.strong_convexity"], known["own_norm.condition"]
    inside = {"bound": size, "one_sided_lipschitz": -mu, "strong_convexity": mu} | ({"cocoercivity": 1 / size} if size > 0 else {})
    def any_of(rules, claims):
        found = []
        for rule in rules:
            try:
                found.append(step_claims(rule, name, h, field, [claims], proof)["bound"])
            except Refused:
                pass
        return lambda c: any(bound(c) for bound in found)
    factor = any_of(("gradient_step", "circle_contractivity", "lipschitz_step"), inside)
    plain = any_of(("one_sided_lipschitz", "lipschitz_step"), known)
    return {"bound": lambda c: plain(c) or factor(c / condition), "own_norm.bound": factor,
            "own_norm.condition": lambda c: c >= condition}


def step_claims(rule, name, h, field, parts, proof):
    known, size = parts[0], abs(h)
    l, nu, low = known["bound"], known.get("cocoercivity"), known.get("strong_convexity")
    mu = min(known.get("one_sided_lipschitz", l), l) if h >= 0 else l
    if rule == "shears":
        c = lambda i, part: shear(size * part * field.functions[i].size * parts[i]["bound"] ** 2)
        if field.kind != "hamiltonian" or name == "exponential_euler":
            raise Refused("shears are steps of Hamiltonian fields")
        kicks = [c(1, Q(1)), c(0, Q(1))] if name == "symplectic_euler" else [c(1, Q(1, 2)), c(0, Q(1)), c(1, Q(1, 2))]
        high = prod(kicks)
        return {"bound": lambda c: c >= high, "inverse": lambda c: c * high <= 1}
    if rule == "exponential_step" and name == "exponential_euler" and field.kind == "dissipative":  # P K - (P G - E), low <= G <= high
        if len(parts) != 2:
            raise Refused("the field has two operators")
        operator, skew = parts
        (low, high), (e, p) = curvature(field.functions[0].slopes, operator), exponentials(field.damping, h)
        square = (p * skew["bound"]) ** 2 + (p * (low + high) / 2 - e) ** 2
        return {"bound": lambda c: above_root(c, abs(p) * (high - low) / 2, square)}
    a, b, d = method(name)
    s, euler = len(b), (a, b) == ([[[0, 0]]], [[1, 0]])
    if rule == "exponential_step" and euler and field.kind == "dissipative":  # h K - (h G - 1), with low <= G <= high
        operators = [numbers(premise) for premise in proof["premises"][0].get("premises", [])]
        if len(operators) != 2:
            raise Refused("the field has two operators")
        operator, skew = operators
        low, high = (x + field.damping for x in curvature(field.functions[0].slopes, operator))
        square = (h * skew["bound"]) ** 2 + (h * (low + high) / 2 - 1) ** 2
        return {"bound": lambda c: above_root(c, size * (high - low) / 2, square)}
    if rule == "skew_gradient_step" and euler:  # (1 - h r c) x + h c K x, and h (K - r)(G - c) x
        low, high, k, r = skew_gradient(field, [numbers(premise) for premise in proof["premises"][0].get("premises", [])])
        c, d, turn = (low + high) / 2, (high - low) / 2, k * k + r * r
        root = (1 - h * r * c) ** 2 + (h * c * k) ** 2
        return {"bound": lambda x: above_roots(x, root, h * h * d * d * turn)}
    if rule == "quadratic_constraint" and euler and field.kind in ("residual", "lurie"):
        blocks = evidence(proof, "multipliers")
        if len(blocks) != 1:
            raise Refused("a step has one row of multipliers")
        return {"bound": lambda c: c > 0 and field_constraint(field, blocks[0], STEP, h, h * h, c * c - 1)}
    if rule == "own_norm":
        return own_norm(name, h, field, known, proof)
    if rule == "gradient_step" and euler and low is not None:
        low = max(low, Q(0))
        allowed = {"bound": lambda c: c >= max(abs(1 - h * low), abs(1 - h * l))}
        return allowed | ({"averaged": lambda c: h * l / 2 <= c < 1} if h >= 0 else {})
    if rule == "one_sided_lipschitz" and euler:
        return {"bound": lambda c: above_root(c, Q(0), max(1 + 2 * size * mu + h * h * l * l, Q(0)))}
    if rule == "lipschitz_step" and all(x == [0, 0] for i, row in enumerate(a) for x in row[i:]):
        stages = []
        for row in a + [b]:
            stages.append(1 + size * l * sum(abs(x[0]) * y for x, y in zip(row, stages)))
        return {"bound": lambda c: c >= stages[-1]}
    if rule == "circle_contractivity" and (nu is not None or low is not None and l == 0):
        # |x1|^2 = |x|^2 + 2h sum b_i <f_i, X_i> - h^2 sum m_ij <f_i, f_j>, so it does if M + (2 nu/h) B is semidefinite.
        def contracts(c):
            if h < 0 or nu is not None and nu <= 0 < h or not all(is_psd_with_root([[x]], d) and x != [0, 0] for x in b):
                return False
            minus = lambda p: [-p[0], -p[1]]
            m = [[plus(plus(times(b[i], a[i][j], d), times(b[j], a[j][i], d)), minus(times(b[i], b[j], d)))
                  for j in range(s)] for i in range(s)]
            for i in range(s if h and nu is not None else 0):
                m[i][i] = plus(m[i][i], times([2 * nu / h, Q(0)], b[i], d))
            return c >= 1 and (h == 0 or nu is None or is_psd_with_root(m, d))
        return {"bound": contracts}
    if rule == "algebraic_stability":  # the same identity, with <f_i, X_i> <= 0
        minus = lambda p: [-p[0], -p[1]]
        m = [[plus(plus(times(b[i], a[i][j], d), times(b[j], a[j][i], d)), minus(times(b[i], b[j], d)))
              for j in range(s)] for i in range(s)]
        monotone = h >= 0 and (l == 0 or known.get("one_sided_lipschitz", l) <= 0)
        stable = all(is_psd_with_root([[x]], d) for x in b) and is_psd_with_root(m, d)
        return {"bound": lambda c: c >= 1 and monotone and stable}
    if rule == "skew_flow" and field.kind == "skew_linear":
        return skew_step(a, b, d, (h * l) ** 2)
    if rule == "implicit_step":
        if (a, b) != ([[[1, 0]]], [[1, 0]]):
            raise Unread("the rule implicit_step for another method than implicit_euler")
        resolvent = h >= 0 and mu <= 0
        return {"bound": lambda c: size * mu < 1 <= c * (1 - size * mu)} | (
            {"averaged": lambda c: Q(1, 2) <= c < 1} if resolvent else {})
    if rule == "stage_multipliers":
        def form(rho):
            """The form of `(x, psi)` in `psi_i = h f_i`: rho^2 x^2 - x1^2 + sum t (p psi^2 + 2 q psi xi + r xi^2)."""
            vector = lambda row: [[Q(1), Q(0)]] + row
            unit = lambda i: [[Q(int(k == i + 1)), Q(0)] for k in range(s + 1)]
            total = [[[rho * rho if i == j == 0 else Q(0), Q(0)] for j in range(s + 1)] for i in range(s + 1)]
            def add(t, u, v):
                """t (uv' + vu')/2"""
                for i in range(s + 1):
                    for j in range(s + 1):
                        both = plus(times(u[i], v[j], d), times(u[j], v[i], d))
                        total[i][j] = plus(total[i][j], [t * both[0] / 2, t * both[1] / 2])
            add(Q(-1), vector(b), vector(b))
            for entry in evidence(proof, "stages"):
                p, q, r = inequality(entry["inequality"], h, known)
                if len(entry["multipliers"]) != s or min(entry["multipliers"]) < 0:
                    raise Refused("multipliers are one for each stage, and not negative")
                for i, t in enumerate(map(Q, entry["multipliers"])):
                    add(t * p, unit(i), unit(i))
                    add(t * 2 * q, unit(i), vector(a[i]))
                    add(t * r, vector(a[i]), vector(a[i]))
            return rho >= 0 and is_psd_with_root(total, d)
        return {"bound": form}
    raise Refused(f"the rule {rule} is none for this step, or lacks what it needs of the field")


def shear(s):
    """`(s + sqrt(s^2 + 4))/2`, from above within 2^-300."""
    from math import floor, isqrt
    return (s + Q(isqrt(floor((s * s + 4) * 4 ** 300)) + 1, 2 ** 300)) / 2


def inequality(spec, h, known):
    """`p`, `q`, `r` of `p|psi|^2 + 2q <psi, X> + r|X|^2 <= 0`, if it follows from what is claimed of the field."""
    (kind, x), l, size = *spec.items(), known["bound"], abs(h)
    mu = min(known.get("one_sided_lipschitz", l), l) if h >= 0 else l
    if kind == "curvature" and "strong_convexity" in known:
        (low, high), ends = map(Q, x), sorted((h * known["strong_convexity"], h * l))
        if low <= ends[0] and ends[1] <= high:
            return Q(1), (low + high) / 2, low * high
    elif kind == "one_sided" and Q(x) >= size * mu:
        return Q(0), Q(1, 2), -Q(x)
    elif kind == "lipschitz" and Q(x) >= size * l:
        return Q(1), Q(0), -Q(x) ** 2
    elif kind == "cocoercive" and h > 0 and "cocoercivity" in known and Q(x) * h <= known["cocoercivity"]:
        return Q(x), Q(1, 2), Q(0)
    raise Refused(f"the inequality {kind} does not follow from the constants of the field")

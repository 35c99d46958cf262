"""Tests the second reading on what the program issues: `python3 test.py PROGRAM [SEED]`.

Small random models of every kind are written, certified by the program and read; nothing of it may be refused, and what is
not checked must be known. Then claims are made false, one at a time, and each must be refused.
"""

import hashlib
import json
import random
import struct
import subprocess
import sys
import tempfile
from math import prod
from pathlib import Path

from claims import PROVED, REFUSED, UNREAD
from exact import Unread
from network import Model
from read import read, status

FILES = ("exact", "quadratic", "stability", "network", "steps", "claims", "points", "read")
RELU, TANH, LEAKY = {"function": "relu"}, {"function": "tanh"}, {"function": "leaky_relu", "slope": 0.1}


def safetensors(tensors, metadata=None):
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (kind, shape, numbers) in tensors.items():
        code = {"F32": "f", "F64": "d", "F16": "e", "BF16": "f", "U8": "B", "I64": "q"}[kind]
        raw = struct.pack(f"<{len(numbers)}{code}", *numbers)
        if kind == "BF16":
            raw = b"".join(raw[4 * i + 2:4 * i + 4] for i in range(len(numbers)))
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def linear(weight, bias=None, **more):
    return {"type": "dense", "weight": weight, "bias": bias, **more}


def conv(weight, **more):
    return {"type": "conv2d", "weight": weight, **more}


def flow(method, step, field, steps=2):
    return {"type": "flow", "method": method, "step": step, "steps": steps, "field": field}


def gradient(activation, operator, **more):
    return {"type": "gradient", "activation": activation, "operator": operator, **more}


def act(function, **more):
    return {"type": "activation", **(function if isinstance(function, dict) else {"function": function}), **more}


def models():
    """Name, shape of the input, layers, shapes of the tensors, type of the tensors, options, and whether values are rational."""
    yield ("images", [2, 6, 6], [
        {"type": "normalize", "mean": [0.5, 0.4], "std": [0.25, 0.3]},
        conv("c", bias="b", stride=[2, 1], padding=[1, 2], dilation=[1, 2], groups=2),
        {"type": "channel_affine", "scale": "s", "shift": "t"}, act("abs", channels=[0, 2]), {"type": "sort", "group": 2},
        {"type": "householder", "vector": "v"},
        {"type": "shift", "groups": [[1, 1, 0], [1, -1, 0], [1, 0, 1]], "mode": "circular"},
        {"type": "shift", "groups": [[2, 0, 2]]}, {"type": "mean", "branches": [[], [{"type": "mirror"}]]},
        {"type": "sum", "branches": [[], [conv("e", padding="same"), act(RELU)]]},
        {"type": "max_pool", "size": 3, "stride": 2, "padding": 1}, act("hardtanh", min=-2, max=2.5),
        {"type": "avg_pool", "size": [2, 1], "stride": 1}, {"type": "flatten"}, linear("w", "d")],
        {"c": [4, 1, 3, 3], "b": [4], "s": [4], "t": [4], "e": [4, 4, 3, 3], "w": [3, 12], "d": [3], "v": [2]}, "F32", [], True)
    yield ("smooth images", [2, 6, 6], [
        {"type": "space_to_depth", "block": 2}, {"type": "pad_channels", "channels": 9},
        {"type": "first_channels", "channels": 8}, conv("c", padding=[2, 0], dilation=[2, 1], groups=2),
        act("gelu"), {"type": "l2_pool", "size": [1, 2], "stride": 1}, act("elu", alpha=1.5), act("silu"), act("softplus"),
        act("sigmoid"), {"type": "global_avg_pool"}, linear("w")], {"c": [8, 4, 3, 1], "w": [3, 8]}, "F64", [], False)
    for mode in ("zeros", "circular"):
        yield (f"{mode}", [4, 4, 4], [
            flow("euler", 0.1, gradient(LEAKY, conv("c", bias="b", padding=1, padding_mode=mode))),
            flow("rk4", 0.1, gradient(RELU, conv("c", padding=1, padding_mode=mode))),
            flow("euler", 0.1, {"type": "dissipative", "activation": RELU, "operator": conv("c", padding=1, padding_mode=mode),
                                "skew": conv("e", padding=1, padding_mode=mode), "damping": 0.5}, 1),
            conv("f", stride=2, padding=1, padding_mode=mode), {"type": "flatten"}, linear("w")],
            {"c": [4, 4, 3, 3], "e": [4, 4, 3, 3], "f": [3, 4, 3, 3], "b": [4], "w": [3, 12]}, "F32", [], True)
    grid = {"type": "graph_gradient", "edges": [[0, 1], [1, 2], [0, 2], [2, 3], [3, 5], [5, 3]]}
    yield ("graphs", [2, 2, 3], [
        flow("euler", 0.05, gradient(RELU, dict(grid, weight="k", bias="b"))), dict(grid, weight="k"), {"type": "flatten"}, linear("w")],
        {"k": [3, 2], "b": [3], "w": [3, 18]}, "F32", [], True)
    yield ("tight", [2, 4, 4], [conv("c", padding=1), act(RELU), {"type": "flatten"}, linear("w")],
           {"c": [2, 2, 3, 3], "w": [3, 32]}, "F64", ["--norm-proof", "tight"], True)
    operator, half = linear("w", "b"), {"activation": RELU, "operator": linear("k", "b")}
    dissipative = {"type": "dissipative", "activation": RELU, "operator": operator, "skew": "s", "damping": 0.5}
    hamiltonian = {"type": "hamiltonian", "kinetic": half, "potential": half}
    lurie = {"type": "lurie", "activation": RELU, "linear": "s", "inner": operator, "outer": linear("v")}
    fields = [
        flow("euler", 0.1, gradient(RELU, operator, weights="d")), flow("rk4", 0.1, dissipative),
        flow("euler", 0.1, {"type": "skew_linear", "skew": "s"}), flow("symplectic_euler", 0.1, hamiltonian),
        flow("stormer_verlet", 0.1, hamiltonian), flow("euler", 0.1, hamiltonian),
        flow("euler", 0.1, {"type": "dissipative_hamiltonian", "activation": RELU, "operator": operator, "quadratic": "m",
                            "skew": "s", "damping": 0.25}),
        flow("euler", 0.1, {"type": "antisymmetric", "matrix": "s", "bias": "c", "activation": LEAKY, "damping": 0.1}),
        flow("heun", 0.1, {"type": "nais", "factor": "w", "bias": "c", "activation": RELU, "epsilon": 0.01}),
        flow("euler", 0.1, lurie), flow("rk4", 0.1, dict(lurie, linear="n")),
        {"type": "flow", "method": "euler", "step": -0.1, "fields": [gradient(LEAKY, operator), gradient(RELU, operator)]},
        {"type": "flow", "method": "heun", "horizon": 2.0, "field": gradient(RELU, operator)}, linear("h")]
    shapes = {"w": [5, 4], "b": [5], "k": [5, 2], "s": [4, 4], "d": [5], "m": [3, 4], "c": [4], "v": [4, 5], "n": [4, 4], "h": [3, 4]}
    yield ("fields", [4], fields, shapes, "F32", [], True)
    yield ("fields in f64", [4], [dict(f, steps=1) if "steps" in f else f for f in fields[:-2]] + fields[-1:], shapes, "F64", [], True)
    still = [{"type": "equilibrium", "field": dict(dissipative, damping=d)} for d in (0.5, 1.5)]
    yield ("equilibria", [4], still + [linear("h")], shapes, "F32", [], False)
    nais = {"type": "nais", "factor": "w", "bias": "c", "activation": LEAKY, "epsilon": 0.25}
    yield ("norms of their own", [4], [flow(m, h, nais, n) for m, h, n in (("euler", 0.2, 9), ("heun", 0.1, 30), ("euler", 0.2, 1))]
           + [linear("h")], shapes, "F32", [], True)
    yield ("exponential", [4], [flow("exponential_euler", 0.1, dissipative), linear("h")], shapes, "F32", [], True)
    explicit = ["euler", "midpoint", "heun", "ralston2", "ralston3", "kutta3", "heun3", "ssprk33", "ssprk43", "rk4", "three_eighths",
                "dopri5", "ssprk32", {"a": [["1/3"], ["0", "2/3"]], "b": ["1/4", "0", "3/4"]}]
    implicit = ["implicit_euler", "implicit_midpoint", "trapezoid", "gauss2", "radau_iia2", "lobatto_iiic2", "sdirk2"]
    for name, methods in (("explicit", explicit), ("implicit", implicit)):
        for step in (0.25, 4.0):
            layers = [flow(m, step, gradient(TANH if name == "implicit" else LEAKY, operator), 1) for m in methods]
            yield (f"{name} methods, steps of {step}", [4], layers, {"w": [5, 4], "b": [5]}, "F32", [], False)
            layers = [flow(m, step, {"type": "skew_linear", "skew": "s"}, 1) for m in methods]
            yield (f"{name} methods, skew, steps of {step}", [4], layers, {"s": [4, 4]}, "F32", [], name == "explicit")
    stack = [linear("a", "b"), act(RELU), linear("c", "d"), act(LEAKY), linear("e"), act(RELU), linear("f")]
    shapes = {"a": [8, 4], "b": [8], "c": [6, 8], "d": [6], "e": [6, 6], "f": [3, 6]}
    for kind in ("F16", "BF16", "F64"):
        yield (f"stack of {kind}", [4], stack, shapes, kind, [], True)
    yield ("stack, tightened", [4], stack, shapes, "F32", ["--tighten", "64"], True)
    residual = {"type": "residual", "activation": RELU, "inner": linear("a", "b"), "outer": linear("o")}
    yield ("residual, affine run", [4], [flow("euler", 0.1, residual), flow("rk4", 0.1, residual), linear("g"), linear("p"), linear("q")],
           {"a": [6, 4], "b": [6], "o": [4, 6], "g": [5, 4], "p": [5, 5], "q": [3, 5]}, "F32", [], True)


RULES = ("operator_norm", "isometry", "slope", "windows", "gradient_field", "residual_field", "dissipative_field",
         "hamiltonian_field", "nais_field", "gradient_step", "shears", "exponential_step", "skew_gradient_step", "circle_contractivity",
         "stage_multipliers", "lipschitz_step", "one_sided_lipschitz", "quadratic_constraint", "composition", "sum", "skew_flow",
         "implicit_step")
MOST = 40  # false claims for each model
UNKNOWN = ("which are not rational", "an implicit method",
           "the number of steps, which the model leaves open")


def issue(program, folder, rng, name, shape, layers, shapes, kind, options, rational):
    """The files of a model and its samples, and the certificate that the program makes of them."""
    count = lambda s: prod(s)
    value = {"d": lambda i: abs(rng.gauss(0, 0.4)), "n": lambda i: rng.gauss(0, 0.1) - (2 if i % 5 == 0 else 0)}  # 4 x 4, contracting
    tensors = {t: (kind, s, [value.get(t, lambda _: rng.gauss(0, 0.4))(i) for i in range(count(s))]) for t, s in shapes.items()}
    used = json.dumps(layers)
    tensors = {t: v for t, v in tensors.items() if f'"{t}"' in used}
    tree = {"format": "dahlquist-model", "version": 2, "input": shape, "layers": layers}
    x = [rng.random() for _ in range(3 * count(shape))]
    files = {"model": safetensors(tensors, {"dahlquist": json.dumps(tree)}),
             "samples": safetensors({"x": ("F32", [3, *shape], x), "y": ("I64", [3], [0, 1, 2])})}
    for file, data in files.items():
        (folder / file).write_bytes(data)
    out = folder / "certificate"
    data = ["--data", folder / "samples", "--semantics", "exact"] if rational else []
    run = subprocess.run([program, "certify", folder / "model", *data, *options, "--certificate", out], capture_output=True, text=True)
    if "needs an explicit method" in run.stderr:
        return None
    if not out.exists():
        raise SystemExit(f"{name}: no certificate: {run.stdout}{run.stderr}")
    certificate = json.loads(out.read_text())
    out.unlink()
    return certificate, Model(files["model"]), files["samples"] if rational else None


def nodes(proof):
    yield proof
    for premise in proof.get("premises", []):
        yield from nodes(premise)


def corrupted(certificate, rng):
    """The same certificate with one claim false: what was changed, and how it was changed."""
    copy = lambda: json.loads(json.dumps(certificate))
    for i, node in enumerate(nodes(certificate["network"])):
        def changed(what, change, i=i, node=node):
            other = copy()
            change(list(nodes(other["network"]))[i])
            return f"{node['path']} {node['rule']}: {what}", other
        if "steps" in node.get("evidence", {}):
            yield changed("no steps at all", lambda n: n["evidence"].update(steps=-1))
        method = node.get("evidence", {}).get("norm")
        if node["rule"] in ("operator_norm", "isometry"):
            # On a torus, or of overlapping windows, a bound may be up to a third above the norm, the others are sharp.
            by = 0.9 if method in (None, "residual", "banded") else 0.6
            yield changed(f"norm times {by}", lambda n, by=by: n["claims"].update(bound=n["claims"]["bound"] * by))
        elif node["claims"]["bound"] > 0:
            less = 1e-6 if node["rule"] == "skew_gradient_step" else 0.01
            yield changed(f"bound times {1 - less}", lambda n, less=less: n["claims"].update(bound=n["claims"]["bound"] * (1 - less)))
        for key, by in (("inverse", 1.01), ("cocoercivity", 1.01), ("strong_convexity", 1.01), ("averaged", 0.99)):
            if key == "inverse" and node["rule"] == "skew_flow":  # proved by a polynomial of a given degree: not sharp
                by = 1.25
            if node["claims"].get(key, 0) > 0:
                yield changed(f"{key} times {by}", lambda n, key=key, by=by: n["claims"].update({key: n["claims"][key] * by}))
        for key in node["claims"].get("own_norm", {}):
            by = 1.01 if key == "strong_convexity" else 0.99
            if node["claims"]["own_norm"][key] > 0:
                yield changed(f"own_norm.{key} times {by}", lambda n, key=key, by=by: n["claims"]["own_norm"].update(
                    {key: n["claims"]["own_norm"][key] * by}))
        if "one_sided_lipschitz" in node["claims"]:
            yield changed("one-sided constant lowered", lambda n: n["claims"].update(
                one_sided_lipschitz=n["claims"]["one_sided_lipschitz"] - 0.05 * n["claims"]["bound"]))
        for key in ("multipliers", "stages"):
            if key in node.get("evidence", {}):
                zero = lambda x: [zero(y) for y in x] if isinstance(x, list) else 0.0
                yield changed("multipliers of 0", lambda n, key=key: n["evidence"].update(
                    multipliers=zero(n["evidence"][key])) if key == "multipliers" else [
                    s.update(multipliers=zero(s["multipliers"])) for s in n["evidence"][key]])
                yield changed("multipliers times 1000", lambda n, key=key: n["evidence"].update(
                    multipliers=[[1000 * t for t in b] for b in n["evidence"][key]]) if key == "multipliers" else [
                    s.update(multipliers=[1000 * t for t in s["multipliers"]]) for s in n["evidence"][key]])
        for rule in rng.sample(RULES, 1) if node.get("premises") else ():
            yield changed(f"by {rule}, halved", lambda n, rule=rule: (n.update(rule=rule), n["claims"].update(
                bound=n["claims"]["bound"] * 0.5)))
        yield changed("another place", lambda n: n.update(path=n["path"] + "0"))
    for key in ("lipschitz", "features"):
        yield f"{key} less 1 %", {**copy(), key: certificate[key] * 0.99}
    if "samples" in certificate:
        for within in ({"norm": "linf"}, {"norm": "l2", "range": [5.0, 6.0]}):
            other = copy()
            other["samples"]["within"] = within
            yield f"samples: within {within}", other
    for s, radius in enumerate(certificate.get("samples", {}).get("radii", [])):
        other = copy()
        other["samples"]["radii"][s] = radius * 2.47 if radius else 0.1
        yield f"sample {s}: radius times 2.47", other
        if certificate["samples"]["predictions"][s] is not None:
            other = copy()
            other["samples"]["predictions"][s] += 1
            yield f"sample {s}: another class", other


def misleading_name():
    """A model whose only tensor has the name of a fraction of its method: no layer names it."""
    flow = {"type": "flow", "method": {"a": [[]], "b": ["1"]}, "step": 1.0, "steps": 1,
            "field": {"type": "gradient", "activation": RELU, "operator": {"type": "avg_pool", "size": 1}}}
    tree = {"format": "dahlquist-model", "version": 2, "input": [1, 1, 1], "layers": [flow]}
    return safetensors({"1": ("F64", [1], [0.0])}, {"dahlquist": json.dumps(tree)})


def counts():
    """The rows of the table of the README: the files with their lines."""
    files = {name: (Path(__file__).parent / f"{name}.py").read_text().splitlines() for name in FILES}
    code = sum(bool(line.strip()) and not line.strip().startswith("#") for lines in files.values() for line in lines)
    rows = [f"| `{name}.py` | {len(lines)} |" for name, lines in files.items()]
    return [*rows, f"| together | {sum(map(len, files.values()))} | {code} without blank lines"]


def strange():
    """Layers of no network, each with the rule of a certificate that takes it for one with the constant 1/4."""
    step = {"type": "flow", "method": "euler", "step": 0.5, "steps": 1, "field": {"type": "gradient", "activation": RELU, "operator": "w"}}
    yield "slope", {"type": "activation", "function": "sigmoid", "channels": []}
    yield "slope", {"type": "activation", "function": "elu", "alpha": [1.0]}
    yield "isometry", {"type": "first_channels", "channels": 2 ** 63}
    yield "isometry", {"type": "pad_channels", "channels": 2 ** 63}
    for change in ({"step": [0.5]}, {"step": None}, {"steps": 10 ** 12}, {"steps": -1}, {"steps": 1.5}):
        yield "composition", step | change


def strange_faults(folder):
    """A file that makes no sense is refused or not read, with an exit status and at once."""
    for rule, layer in strange():
        shape = [2, 1, 1] if layer["type"] == "pad_channels" else [2]
        tree = {"format": "dahlquist-model", "version": 2, "input": shape, "layers": [layer]}
        data = safetensors({"w": ("F32", [1, 2], [0.5, 0.25])}, {"dahlquist": json.dumps(tree)})
        node = {"path": "0", "rule": rule, "claims": {"bound": 0.25}}
        whole = {"path": "", "rule": "composition", "claims": {"bound": 0.25}, "premises": [node]}
        certificate = {"format": "dahlquist-certificate", "version": 2, "model": hashlib.sha256(data).hexdigest(), "scalar": "f32",
                       "input": shape, "lipschitz": 0.25, "features": 0.25, "network": whole}
        for name, content in (("m", data), ("c", json.dumps(certificate).encode())):
            (folder / name).write_bytes(content)
        done = subprocess.run([sys.executable, Path(__file__).with_name("read.py"), folder / "c", folder / "m"],
                              capture_output=True, text=True, timeout=60)
        if done.returncode not in (1, 2, 3) or "Traceback" in done.stderr:
            yield f"strange: {layer}: status {done.returncode}: {done.stdout}{done.stderr}"


def main(program, seed=1):
    readme = (Path(__file__).parent / "README.md").read_text()
    faults = [f"README.md lacks: {row}" for row in counts() if row not in readme]
    try:
        faults += [f"the format of a network is that of a tensor that it does not name: {Model(misleading_name())}"]
    except Unread:
        pass
    rng, claims, refused, unread = random.Random(int(seed)), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        faults += strange_faults(Path(folder))
        for model in models():
            issued = issue(program, Path(folder), rng, *model)
            if issued is None:
                print(f"{model[0]}: the program has none of these yet")
                continue
            certificate, data, samples = issued
            name, verdicts = model[0], read(json.dumps(certificate), data, samples)
            claims += sum(v == PROVED for v, *_ in verdicts)
            unread += sum(v == UNREAD for v, *_ in verdicts)
            faults += [f"{name}: {v}: {place}: {what}" for v, place, what in verdicts
                       if v == REFUSED or v == UNREAD and not any(known in what for known in UNKNOWN)]
            before = [(v, place) for v, place, _ in verdicts]
            false = list(corrupted(certificate, rng))
            for what, other in rng.sample(false, min(len(false), MOST)):
                after = read(json.dumps(other), data, samples)
                if status(after) != 1 and [(v, p) for v, p, _ in after] == before:
                    faults.append(f"{name}: accepted although false: {what}")
                refused += status(after) == 1
    print(*faults, sep="\n")
    print(f"{claims} claims proved, {unread} not checked, {refused} false ones refused, {len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

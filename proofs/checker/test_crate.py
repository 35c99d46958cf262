#!/usr/bin/env python3
"""test_crate.py CHECK-WITNESS DAHLQUIST: the checker accepts what the program of the crate writes of layers that its own tests prove by
other means, with the constant of the certificate; and the program refuses, with a sentence, what the checker does not know."""
import json, os, random, re, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from network import Network, pack
from random_network import Builder

checker, program = sys.argv[1:3]
rng = random.Random(5)
folder = tempfile.mkdtemp()
path = lambda name: os.path.join(folder, name)


def conv(b, size, **keys):
    return dict({"type": "conv2d", "weight": b.tensor(size, 0.3), "bias": b.tensor(size[:1], 0.3)}, **keys)


def run(shape, layers, b, *options):
    """The witness of a network with a head behind these layers, and what the checker says of it."""
    spec = {"format": "dahlquist-model", "version": 2, "input": shape, "layers": layers + [{"type": "flatten"}]}
    width = Network(pack({"dahlquist": json.dumps(spec)}, b.tensors)).shapes()[-1][0]
    spec["layers"].append({"type": "dense", "weight": b.tensor([3, width], 0.5), "bias": None})
    count, length = 8, 1
    for n in shape:
        length *= n
    files = {"m": pack({"dahlquist": json.dumps(spec)}, b.tensors),
             "s": pack(None, {"y": ("I64", [count], [0] * count), "x": ("F32", [count] + shape, [rng.randrange(-2**12, 2**12) / 2**10 for _ in range(count * length)])})}
    for name, data in files.items():
        with open(path(name + ".safetensors"), "wb") as file:
            file.write(data)
    m, s, w, r = path("m.safetensors"), path("s.safetensors"), path("w.txt"), path("r.json")
    written = subprocess.run([program, "certify", m, "--data", s, "--witness", w, "--json", r, *options], capture_output=True, text=True)
    if written.returncode != 0:
        return written.stderr, None, None
    checked = subprocess.run([checker, w, m, s], capture_output=True, text=True)
    with open(r) as file:
        result = json.load(file)
    return checked.stdout + checked.stderr, checked.returncode, result


def builder(seed):
    b = Builder(seed)
    b.dtypes = ["F32"]
    return b


accepted = 0


def agrees(shape, layers, b, what, options=("--semantics", "exact")):
    """The checker proves what the crate claims: the constant of the first layer, and the radii."""
    global accepted
    out, status, result = run(shape, layers, b, *options)
    assert status == 0, f"{what}\n{out}"
    proved, bound = float(re.search(r"Lipschitz constant at most (\S+): proved", out).group(1)), 1.0
    for layer in result["layers"][: len(layers)]:
        bound *= layer["bound"]
    # A matrix that is small enough is proved as it is, and not on a torus, which may be less.
    assert 0.9 < proved / bound < 1 + 1e-6, (what, proved, bound)
    radii = [float(x) for x in re.findall(r"within a radius of (\S+): proved", out)]
    claimed = [s["radius"] for s in result["samples"] if s["radius"] > 0]
    assert len(radii) == len(claimed) > 4, (what, radii, claimed)
    least = 1 - 1e-5 if "exact" in options else 0.9
    assert all(r > least * c for r, c in zip(radii, claimed)), (what, radii, claimed)
    accepted += 1
    return result


# The image, and the convolution: on a torus where the matrix has more than 400 rows and columns, else by its Gram matrix.
for seed, (shape, size, keys) in enumerate([
    ([2, 6, 7], [3, 2, 3, 3], {"stride": [2, 1], "padding": 1}),
    ([3, 16, 12], [4, 3, 3, 3], {"stride": [1, 2], "padding": [1, 0]}),
    ([3, 12, 18], [4, 3, 3, 3], {"stride": [2, 3], "padding": "same", "padding_mode": "circular"}),
    ([4, 12, 12], [4, 2, 3, 3], {"groups": 2, "dilation": [2, 1], "padding": "same"}),
]):
    b = builder(seed)
    agrees(shape, [conv(b, size, **keys)], b, keys)
# Reflections by vectors of norm 1 as they are stored, longer and shorter ones, of features and of channels.
for seed, (shape, axes, size) in enumerate([([6], [2], 0.6), ([6], [2, 3], 0.9), ([4, 3, 3], [4], 0.2), ([4, 2, 2], [2, 2], 0.7)]):
    b = builder(seed)
    layers = [{"type": "householder", "vector": b.tensor(axes, size)}]
    for options in (("--semantics", "exact"), ("--semantics", "executed", "--summation", "declared"), ("--semantics", "executed", "--summation", "any")):
        agrees(shape, layers, b, (shape, axes), options)
# As executed: what is exact, what is one product, scales, moves, circular convolutions and sums of branches.
for seed, (shape, layers) in enumerate([
    ([6], lambda b: [{"type": "activation", "function": "abs"}, {"type": "sort", "group": 3}]),
    ([6], lambda b: [{"type": "activation", "function": "hardtanh", "min": -3.0, "max": 2.5},
                     {"type": "activation", "function": "leaky_relu", "slope": 1.75, "channels": [1, 5]}]),
    ([3, 4, 4], lambda b: [{"type": "channel_affine", "scale": b.tensor([3], 1.0), "shift": b.tensor([3], 1.0)},
                           {"type": "shift", "groups": [[1, 1, 0], [1, 0, -1]], "mode": "circular"}]),
    ([2, 4, 5], lambda b: [conv(b, [3, 2, 3, 3], padding=1, padding_mode="circular")]),
    ([2, 4, 4], lambda b: [{"type": "sum", "branches": [[], [conv(b, [2, 2, 3, 3], padding=1), {"type": "activation", "function": "relu"}]]}]),
    ([2, 4, 4], lambda b: [{"type": "flow", "method": "euler", "step": 0.125, "steps": 3, "field": {"type": "gradient",
        "activation": {"function": "relu"}, "operator": conv(b, [2, 2, 3, 3], padding=1, padding_mode="circular")}}]),
]):
    for order in ("declared", "any"):
        b = builder(seed)
        agrees(shape, layers(b), b, (seed, order), ("--semantics", "executed", "--summation", order))


def contracting(b, operator, rows, columns, steps):
    """Steps of a flow that contract, of an operator near an isometry."""
    operator["weight"] = b.tensor([rows, columns] + [1, 1] * (operator["type"] == "conv2d"), 0.03)
    dtype, shape, numbers = b.tensors[operator["weight"]]
    b.tensors[operator["weight"]] = (dtype, shape, [v + (i // columns == i % columns) for i, v in enumerate(numbers)])
    return {"type": "flow", "method": "euler", "step": 0.75, "steps": steps,
            "field": {"type": "gradient", "activation": {"function": "leaky_relu", "slope": 0.75}, "operator": operator}}


# Flows that contract: the checker proves as much.
for options in (("--semantics", "exact"), ("--semantics", "executed", "--summation", "declared"), ("--semantics", "executed", "--summation", "any")):
    b = builder(11)
    flows = [contracting(b, b.dense(10, 8), 10, 8, 3), contracting(b, b.dense(8, 8), 8, 8, 3)]
    result = agrees([8], flows, b, ("contracting", options), options)
    assert all(layer["bound"] < 0.2 for layer in result["layers"][:2]), "they do not contract much"
# Of a convolution of points the checker takes no proof from below: the crate leaves more of its gaps to it.
for order in ("declared", "any"):
    b = builder(11)
    flow = contracting(b, conv(b, [4, 3, 1, 1]), 4, 3, 5)
    out, status, result = run([3, 2, 2], [flow], b, "--semantics", "executed", "--summation", order)
    assert status == 0 and out.count(": proved") > 4, out
    assert result["layers"][0]["bound"] < 0.1, "it does not contract much"
# What the checker does not know is named.
deep = {"type": "sum", "branches": [[], [{"type": "mean", "branches": [[], [{"type": "activation", "function": "relu"}]]}]]}
flow = lambda b: {"type": "flow", "method": "heun", "step": 0.25, "steps": 1, "field": {"type": "gradient", "activation": {"function": "relu"},
                                                                                       "operator": b.dense(4, 6)}}
for shape, layers, options, sentence in (
    ([6], lambda b: [deep], (), "the verified checker knows no branches within branches"),
    ([3, 23, 23], lambda b: [conv(b, [4, 3, 3, 3], stride=2, padding=1, padding_mode="circular")], (),
     "the verified checker knows no circular convolution of this size that is none of a torus of its strides"),
    ([6], lambda b: [flow(b)], ("--semantics", "executed"), "the verified checker knows no executed flow by another method than Euler's"),
    ([6], lambda b: [{"type": "activation", "function": "tanh"}], (), "the verified checker knows no activation tanh"),
):
    b = builder(9)
    said, status, _ = run(shape, layers(b), b, *options)
    assert status is None and sentence in said and "layer 0" in said, said
print(f"checker: {accepted} networks accepted, of which the crate writes witnesses")

#!/usr/bin/env python3
"""Tests of convolutions on a torus: those with taps apart, in groups, with a padding or a stride of its own along each axis, and around
the image.  Their proofs are accepted on every torus that is large enough, and refused on a smaller one, of less, of another convolution."""
import json, math, random, sys, os
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from corrupt import Case
from network import Network, Samples, Witness, pack
from norms import integers, spread, torus
from random_network import Builder, claims

exe = sys.argv[1]
rng = random.Random(3)
refused = {}

# The image, the tensor of the weights, and the convolution.
CONVOLUTIONS = [
    ([1, 4, 5], [2, 1, 3, 2], {"dilation": [1, 2], "padding": "same"}),
    ([1, 5, 5], [2, 1, 2, 2], {"dilation": [3, 2], "padding": 1}),
    ([1, 6, 5], [2, 1, 2, 3], {"dilation": [3, 1], "padding": [1, 2], "stride": 2}),
    ([2, 4, 4], [2, 1, 3, 3], {"groups": 2, "padding": 1}),
    ([4, 3, 4], [4, 2, 2, 3], {"groups": 2, "padding": [0, 1]}),
    ([4, 5, 3], [2, 2, 2, 2], {"groups": 2, "dilation": [2, 1], "padding": [1, 0]}),
    ([1, 4, 4], [2, 1, 3, 1], {"padding": [1, 0]}),
    ([2, 3, 5], [1, 2, 2, 3], {"padding": [0, 2]}),
    ([1, 4, 6], [2, 1, 2, 3], {"padding": [2, 1], "stride": 2}),
    ([1, 5, 5], [2, 1, 2, 2], {"stride": 2}),  # the last row and column are read by none
    ([1, 3, 3], [2, 1, 3, 3], {"padding": 1, "stride": 2}),  # what leaves the torus would be read
    ([1, 5, 4], [2, 1, 3, 2], {"padding": 1, "stride": [2, 1]}),
    ([1, 4, 7], [1, 1, 2, 3], {"stride": [1, 3]}),
    ([2, 5, 4], [2, 1, 2, 2], {"groups": 2, "dilation": [1, 2], "padding": [0, 1], "stride": [3, 2]}),
    ([1, 4, 4], [2, 1, 3, 3], {"padding": 1, "stride": [2, 1], "padding_mode": "circular"}),
    ([1, 4, 5], [2, 1, 3, 2], {"dilation": [1, 2], "padding": "same", "padding_mode": "circular"}),
    ([2, 4, 4], [2, 1, 2, 2], {"groups": 2, "padding": [1, 0], "dilation": [2, 1], "padding_mode": "circular", "stride": 2}),
]


def proof(net, spec, shape, twisted, extra=(0, 0), forgotten=()):
    """The words of the proof of a convolution, and the square of the constant that they prove; a forgotten key makes it another one."""
    known = {"dilation": [1, 1]} if "dilation" in forgotten else {"stride": net.strides(spec)[::-1]} if "stride" in forgotten else {}
    read = {**spec, **known}
    weight, size, padding = spread(net, read)
    if "groups" in forgotten:
        # all outputs read the first channels
        n, groups = math.prod(size[1:]), spec["groups"]
        part = lambda o: o * n + o * groups // size[0] * (n // groups)
        weight = [w for o in range(size[0]) for w in weight[part(o) : part(o) + n // groups] + [0] * (n - n // groups)]
    (weight,), scale = integers([[w] for w in weight], net.tensor(spec["bias"])[0])
    return torus(weight, size, shape, net.strides(read), padding, scale, 24, twisted, extra, spec.get("padding_mode") == "circular")


def network(shape, size, keys, seed):
    """A convolution and a head behind it: the network, its samples, and the words before its proof."""
    b = Builder(seed)
    b.dtypes = ["F32"]
    conv = dict(keys, type="conv2d", weight=b.tensor(size, 0.7), bias=b.tensor(size[:1], 0.5))
    spec = {"format": "dahlquist-model", "version": 2, "input": shape, "layers": [conv, {"type": "flatten"}]}
    net = Network(pack({"dahlquist": json.dumps(spec)}, b.tensors))
    spec["layers"].append({"type": "dense", "weight": b.tensor([3, math.prod(net.shapes()[1])], 1.0), "bias": None})
    net = Network(pack({"dahlquist": json.dumps(spec)}, b.tensors))
    count = 3
    x = [rng.randrange(-2**12, 2**12) / 2**10 for _ in range(count * math.prod(shape))]
    return net, pack(None, {"x": ("F32", [count] + shape, x)})


def says(case, words, bound, good, what):
    """What the checker says of a witness with these words of a proof."""
    net, data = Network(case.model), Samples(case.samples)
    text = f"dahlquist-witness 2 model - samples - layers 0 2 {words} " + " ".join(claims(net, data, bound)) + " end"
    w = Witness(text)
    w.sign(case.model, case.samples)
    status, out, err = case.run(w.text(), case.model, case.samples)
    if good:
        assert status == 0, f"{what}: an honest witness was refused\n{out}{err}"
        for k in range(data.count):
            z = net.run(data.sample(k, Fraction))
            assert f"sample {k}: class {max(range(len(z)), key=lambda j: z[j])} within" in out, f"{what}\n{out}"
    else:
        assert status == 1 and "layer 0: its proof fails or is missing" in out and ": proved" not in out, f"{what}: accepted\n{out}{err}"
        refused[what.split(":")[0]] = refused.get(what.split(":")[0], 0) + 1
    return w


accepted = 0
for seed, (shape, size, keys) in enumerate(CONVOLUTIONS):
    around = keys.get("padding_mode") == "circular"
    for twisted in [(0, 0), (0, 1), (1, 0), (1, 1)][: 1 if around else 4]:
        net, samples = network(shape, size, keys, seed)
        case, spec = Case(exe, net.pack(), samples, ""), net.spec["layers"][0]
        name = f"{keys} {size} of {shape} {twisted}"
        for extra in [(2, 0), (0, 1), (0, 0)][2 if around else 0 :]:
            words, bound = proof(net, spec, shape, twisted, extra)
            w = says(case, f"norm 0 {words}", bound, True, name)
            accepted += 1
        p = w.proofs[0]
        start, end = p["at"], p["end"]
        changed = lambda changes: " ".join(changes.get(i, w.words[i]) for i in range(start, end))
        says(case, changed({p["beta"]: str(w.number(p["beta"]) - 1)}), bound, False, f"less: {name}")
        entry = rng.randrange(p["factor"], end)
        says(case, changed({entry: str(w.number(entry) + 2**20)}), bound, False, f"entry: {name}")
        n1, n2 = w.number(start + 3), w.number(start + 4)
        for i, axis in ((0, 5), (1, 6)):
            if size[2 + i] > net.strides(spec)[i] and (n1, n2)[i] > 1:
                other = "periodic" if w.words[start + axis] == "twisted" else "twisted"
                says(case, changed({start + axis: other}), bound, False, f"twist: {name}")
        # A torus that is too small by a point along an axis, with a proof that is true of it.
        for less in ((-1, 0), (0, -1)):
            if not around and min(n1 + less[0], n2 + less[1]) > 0:
                smaller, square = proof(net, spec, shape, twisted, less)
                says(case, f"norm 0 {smaller}", max(bound, square), False, f"smaller: {name}")
        # A proof that is true of another convolution with the same weights.
        for key in [key for key in keys if key in ("dilation", "groups") or key == "stride" and isinstance(keys[key], list)]:
            words, square = proof(net, spec, shape, twisted, forgotten=[key])
            says(case, f"norm 0 {words}", max(bound, square), False, f"another: {name} without its {key}")
# Every kind was tried.
assert set(refused) == {"less", "entry", "twist", "smaller", "another"} and min(refused.values()) > 5, refused
print(f"checker: {accepted} proofs on a torus accepted, refused: " + ", ".join(f"{n} {kind}" for kind, n in sorted(refused.items())))

#!/usr/bin/env python3
"""Tests of claims about networks as they run: they are accepted up to a radius near that of the exact network, refused where they are
false, and no program that adds in random orders breaks one."""
import json, os, random, sys
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from corrupt import Case
from executed import PLACES, Program, claims, largest, near, proved
from network import Network, Samples, Witness, pack
from random_network import contracting, files, mirrored

exe = sys.argv[1]
rng = random.Random(11)
unit = Fraction(1, 2**PLACES)


def behind(logits, i):
    return any(v >= logits[i] for j, v in enumerate(logits) if j != i)


class Words(Witness):
    """Only the digests are filled in."""

    def __init__(self, text):
        self.words, self.model, self.samples = text.split(), 3, 5


chosen = [files(seed, plain=True) for seed in range(8)]
# Every layer but flows by other methods; of images a few in each.
chosen += [files(seed, plain=True, extra=extra) for extra in ("circular", "shift", "channel_affine") for seed in (1, 3)]
chosen += [files(seed, plain=True, extra="functions") for seed in range(0, 16, 2)]
# Flows that contract, whose rounding errors shrink as the points do.
chosen += [contracting(seed)[:3] for seed in (0, 1)]
chosen += [mirrored(*f) for f in chosen if Network(f[0]).spec["layers"][0]["type"] == "normalize"][:2]
seen = {(layer["type"], layer.get("function"), "channels" in layer) for f in chosen for layer in Network(f[0]).spec["layers"]}
assert seen >= {("channel_affine", None, False), ("shift", None, False), ("sum", None, False), ("mean", None, False), ("sort", None, False),
                ("householder", None, False), ("activation", "abs", False), ("activation", "abs", True), ("activation", "hardtanh", False)}, seen
assert {Network(f[0]).tensors["t0"][0] for f in chosen} == {"F32", "F64"}
runs, refused = 0, 0
for seed, (model, samples, text) in enumerate(chosen):
    case, w, data = Case(exe, model, samples, text), Witness(text), Samples(samples)
    head = " ".join(w.words[: w.lipschitz[0]])
    exact = {w.number(a + 1): (w.number(a + 2), w.number(a + 4), Fraction(w.number(a + 4), 2 ** w.number(a + 5))) for a in w.margins}
    classes = {k: c for k, (c, _, _) in exact.items()}
    # these are rounded down, and so is the constant that they were computed from up
    limits = {k: int((r * (1 + Fraction(1, 2**20)) + Fraction(1, 2**30)) / unit) for k, (_, _, r) in exact.items()}
    # A radius that the exact network does not have is refused, at any depth, and so is a class that is not the first one.
    for depth in ("any", "0", "1"):
        beyond = {k: (classes[k], limits[k] + 2 + rng.choice([0, limits[k]])) for k in classes}
        assert not proved(case, head, beyond, depth), (seed, depth)
        wrong = {k: ((classes[k] + 1) % len(Network(model).run(data.sample(k, Fraction))), 0) for k in classes}
        assert not proved(case, head, wrong, depth), (seed, depth)
        refused += 2 * len(classes)
    radii = largest(case, head, classes, limits, "any")
    few = largest(case, head, classes, limits, "6")
    for k in classes:
        assert radii[k] >= 0.99 * limits[k], f"network {seed}, sample {k}: {radii[k]} of {limits[k]}"
        # bisection stops at a part of 2^-12
        assert few[k] * (1 + 2.0**-11) + 1 >= radii[k], f"network {seed}, sample {k}: fewer roundings, and a smaller radius"
    # Beside the claims about the exact network, in one witness.
    status, out, err = case.run(" ".join(w.words[:-1]) + f" {claims({k: (classes[k], radii[k]) for k in classes}, 'any')} end", model, samples)
    assert status == 0 and out.count(": proved") == 2 * len(classes) + 1, out + err
    # No point of the format within the radius, and no order of summation, has another class.
    program = Program(model, rng)
    plain = Network(model, float)
    for k, c in classes.items():
        x, radius = data.sample(k, Fraction), radii[k] * unit
        rest = lambda y: (lambda z: z[c] - max(v for j, v in enumerate(z) if j != c))(plain.run(y))
        start = [float(v) for v in x]
        step = max(float(radius), 1e-6) * 1e-3
        slope = [rest(start) - rest(start[:i] + [start[i] + step] + start[i + 1 :]) for i in range(len(start))]
        for toward in (slope, slope, None, None):
            y = near(program, x, radius, toward, rng)
            if y is not None:
                z = program.run(y)
                runs += 1
                assert not behind(z, c), f"network {seed}, sample {k}: the class of the program is another one at {y}"
    # With other weights of the head: every class changes, and nothing is left of the claims.
    net = Network(model)
    last = net.spec["layers"][-1]
    for name in (last["weight"], last["bias"]):
        if name:
            dtype, shape, numbers = net.tensors[name]
            net.tensors[name] = (dtype, shape, [-v for v in numbers])
    changed = Case(exe, net.pack(), samples, text)
    other = Words(f"{head} {claims({k: (classes[k], 0) for k in classes}, 'any')} end")
    other.sign(changed.model, samples)
    status, out, _ = changed.run(other.text(), changed.model, samples)
    assert status == 1 and out.count("REFUSED") == len(classes), out
    refused += len(classes)
assert runs > 100, runs


# The exact network has a class, and the program has a tie: 3.9 is lost in 1e8.  In binary64 it is not.
# An overflow: logits are infinite.  The sum of an entry is what may overflow, not the result.
# And where a logit is proved: the same with smaller numbers.
for weight, bias, x, dtype, good in (
    ([1.0, -1.0], [1e8, 1e8], [3.9], "F32", False), ([1.0, -1.0], [1e8, 1e8], [3.9], "F64", True),
    ([1.0, -1.0], [16.0, 16.0], [4.1], "F32", True),
    ([3e38, -3e38], [0.0, 0.0], [4.0], "F32", False), ([3e38, -3e38], [0.0, 0.0], [0.25], "F32", True),
    ([2e38, 2e38, -3e38, 0.0, 0.0, 0.0], [0.0, -1.0], [1.0, 1.0, 1.0], "F32", False),
    ([1e-45, 0.0], [0.0, 0.0], [0.25], "F32", False), ([1e-20, 0.0], [0.0, 0.0], [0.25], "F32", True),
):
    text = "dahlquist-witness 2 model - samples - layers 0 0 margin 0 0 radius 0 0 summation any executed 0 0 radius 0 0 end"
    spec = {"format": "dahlquist-model", "version": 1, "input": [len(x)], "layers": [{"type": "dense", "weight": "w", "bias": "b"}]}
    model = pack({"dahlquist": json.dumps(spec)}, {"w": (dtype, [2, len(x)], weight), "b": (dtype, [2], bias)})
    samples = pack(None, {"x": (dtype, [1, len(x)], x)})
    w = Words(text)
    w.sign(model, samples)
    status, out, err = Case(exe, model, samples, text).run(w.text(), model, samples)
    assert "sample 0: class 0 within a radius of 0: proved" in out, out + err
    assert f"sample 0: class 0, as executed, within a radius of 0: {'proved' if good else 'REFUSED'}" in out, (weight, x, out)
    if dtype == "F32" and not good and max(map(abs, weight)) == 1.0:
        assert behind(Program(model, rng).run([program.round(v) for v in x]), 0)

# What is not known of a program is refused, and said.
def is_known(layer):
    kind = layer["type"]
    return kind != "flow" or layer["method"] == "euler"


unknown = [f for f in map(files, range(18)) if Witness(f[2]).margins and not all(map(is_known, Network(f[0]).spec["layers"]))]
assert len(unknown) > 6, len(unknown)
for model, samples, text in unknown:
    w = Witness(text)
    case, head = Case(exe, model, samples, text), " ".join(w.words[: w.lipschitz[0]])
    k, c = w.number(w.margins[0] + 1), w.number(w.margins[0] + 2)
    status, out, err = case.run(f"{head} {claims({k: (c, 0)}, 'any')} end", model, samples)
    assert status == 1 and "not known as executed" in out and out.count("REFUSED") == 1, out + err
# So is a witness whose order of summation is missing, said twice, or no depth.
for words in (f"executed {k} {c} radius 0 0", f"summation any summation 3 executed {k} {c} radius 0 0", f"summation -1 executed {k} {c} radius 0 0",
              f"summation many executed {k} {c} radius 0 0", f"summation any executed {k} {c} radius 0 0 executed {k} {c} radius 0 0"):
    status, out, err = case.run(f"{head} {words} end", model, samples)
    assert status == 2 and err and "exception" not in err, (words, status, out, err)
print(f"checker: {len(chosen)} networks accepted as executed, {runs} programs in random orders of summation break none of the claims, "
      f"{refused} false claims refused")

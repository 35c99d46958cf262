#!/usr/bin/env python3
"""Tests of the checker on small random networks: it accepts honest files, says what a second program says of every sample, proves
no more than it can, refuses what is made false, and reads strictly."""
import json, os, random, re, struct, subprocess, sys
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from corrupt import KINDS, Case
from network import Network, Samples, Witness, pack, unpack
from random_network import contracting, extremes, files, mirrored

exe, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 300
cases = [Case(exe, *files(seed)) for seed in range(18)] + [Case(exe, *contracting(seed, features=4)[:3]) for seed in (0, 1)]
honest = cases + [Case(exe, *extremes(dtype)) for dtype in ("F32", "F64", "F16", "BF16")]
rng = random.Random(7)

# Every layer that the checker knows is in one of them.
seen = set()
for case in honest:
    net = Network(case.model)
    for layer in [part for layer in net.spec["layers"] for part in [layer] + sum(layer.get("branches", []), [])]:
        operator = layer.get("field", {}).get("operator", layer)
        if layer["type"] == "activation":
            seen.add((layer["function"], "channels" in layer))
        seen.add((operator["type"], operator.get("padding_mode") == "circular" and net.padding(operator) != [0, 0] or operator.get("mode") == "circular"))
expected = {(kind, False) for kind in ("dense", "conv2d", "activation", "normalize", "channel_affine", "shift", "pad_channels",
                                       "space_to_depth", "avg_pool", "global_avg_pool", "flatten", "sort", "householder", "sum", "mean", "relu", "leaky_relu",
                                       "identity", "abs", "hardtanh")} | {("conv2d", True), ("shift", True), ("abs", True)}
assert seen == expected, seen ^ expected

# A mean of two branches: the values are those of a second program, and each branch needs its proofs.
for seed in (1, 3, 5, 7):
    case = Case(exe, *mirrored(*files(seed, branches=False)))
    status, out, err = case.run(case.witness, case.model, case.samples)
    net, data, w = Network(case.model), Samples(case.samples), Witness(case.witness)
    for k in range(data.count):
        z = net.run(data.sample(k, Fraction))
        assert f"sample {k}: class {max(range(len(z)), key=lambda j: z[j])}" in out, (k, out)
    assert status == 0, f"a mirrored network {seed}\n{out}{err}"
    for key, p in w.proofs.items():
        words = w.words[: p["at"]] + w.words[p["end"] :]
        status, out, _ = case.run(" ".join(words), case.model, case.samples)
        assert status == 1 and out.count("REFUSED") >= 1, f"without the proof of {key}\n{out}"

for seed, case in enumerate(honest):
    status, out, err = case.run(case.witness, case.model, case.samples)
    assert status == 0, f"network {seed}: an honest witness was refused\n{out}{err}"
    net, data, w = Network(case.model), Samples(case.samples), Witness(case.witness)
    # Every sample has its line, with the class of the exact logits.
    lines = [line for line in out.splitlines() if line.startswith("sample ")]
    assert len(lines) == data.count, out
    for k, line in enumerate(lines):
        z = net.run(data.sample(k, Fraction))
        i = max(range(len(z)), key=lambda j: z[j])
        label = f" (label {data.tensors['y'][2][k]})" if "y" in data.tensors else ""
        assert re.match(re.escape(f"sample {k}: class {i}{label}") + "( within|, no claim)", line), (line, i)
    # What is printed is rounded outward.
    for at in w.lipschitz:
        printed = Fraction(re.search(r"Lipschitz constant at most (\S+):", out).group(1))
        truth = Fraction(w.number(at + 1), 2 ** w.number(at + 2))
        assert truth <= printed <= truth * (1 + Fraction(1, 10**11)), (printed, truth)
    for at in w.margins:
        printed = Fraction(re.search(rf"sample {w.number(at + 1)}: .* radius of (\S+): proved", out).group(1))
        truth = Fraction(w.number(at + 4), 2 ** w.number(at + 5))
        assert printed <= truth <= printed * (1 + Fraction(1, 10**11)), (printed, truth)
    # The claims are the best that can be proved: one unit more, or less, is refused.
    for at, more in [(a + 4, 1) for a in w.margins] + [(a + 1, -2) for a in w.lipschitz]:
        words = list(w.words)
        words[at] = str(w.number(at) + more)
        status, out, _ = case.run(" ".join(words), case.model, case.samples)
        assert status == 1 and out.count("REFUSED") == 1, f"network {seed}: one unit more was accepted\n{out}"
    # Margins are not checked without samples.
    case.run(case.witness, case.model, case.samples)
    done = subprocess.run([exe] + case.paths[:2], capture_output=True, text=True)
    assert done.returncode == 3 and "NOT CHECKED" in done.stdout, done

# More samples than are computed together, two in three with a claim, half of these with the largest radius: the lines are about
# the samples that they name, and a claim is checked at its own.
for case in honest[:4]:
    net, data, w = Network(case.model), Samples(case.samples), Witness(case.witness)
    dtype, shape, x = data.tensors["x"]
    n, order = data.length, [rng.randrange(data.count) for _ in range(101)]
    longer = pack(None, {"x": (dtype, [len(order)] + list(shape[1:]), [v for k in order for v in x[k * n : (k + 1) * n]])})
    claims = {w.number(at + 1): w.words[at + 2 : at + 6] for at in w.margins}
    claimed = {k: list(claims[sample]) for k, sample in enumerate(order) if sample in claims and k % 3}
    for k, words in claimed.items():
        words[2] = str(int(words[2]) * (2**20 - k % 3 + 1) >> 20)
    words = [word for k, claim in claimed.items() for word in ["margin", str(k)] + claim]
    w = Witness(" ".join(w.words[: w.margins[0] if w.margins else -1] + words + ["end"]))
    w.sign(case.model, longer)
    status, out, err = case.run(w.text(), case.model, longer)
    assert status == 0, f"many samples\n{out}{err}"
    for k, line in enumerate(line for line in out.splitlines() if line.startswith("sample ")):
        z = net.run(data.sample(order[k], Fraction))
        assert re.match(rf"sample {k}: class {max(range(len(z)), key=lambda j: z[j])}( within|, no claim)", line), line
        assert (k in claimed) == ("within" in line), line

# A proof on a torus is one about that torus, and no better than its residual.
tori = 0
for case in cases:
    w, net = Witness(case.witness), Network(case.model)
    for k, p in w.proofs.items():
        at = p["gram"] - 3
        if w.words[at] != "torus":
            continue
        tori += 1
        changes = [{p["beta"]: str(w.number(p["beta"]) - 1)}]
        entry = p["factor"] + rng.randrange(p["end"] - p["factor"])
        changes.append({entry: str(w.number(entry) + 2**20)})
        layer, _ = net.at(k)
        spec = layer["field"]["operator"] if layer["type"] == "flow" else layer
        for i in (3, 4):
            if net.tensors[spec["weight"]][1][i - 1] > spec["stride"] and w.number(at + i - 2) > 1:  # else all frequencies are alike
                changes.append({at + i: "periodic" if w.words[at + i] == "twisted" else "twisted"})
        for change in changes:
            words = list(w.words)
            for i, word in change.items():
                words[i] = word
            status, out, _ = case.run(" ".join(words), case.model, case.samples)
            assert status == 1, f"a proof on another torus, or of less, was accepted: {change}\n{out}"
assert tori > 5, tori

refused, tries = {}, 0
while sum(refused.values()) < count:
    tries += 1
    assert tries < 30 * count, refused
    kind = KINDS[tries % len(KINDS)]
    if rng.choice(cases).refuse(kind, rng):
        refused[kind] = refused.get(kind, 0) + 1
assert count < 200 or len(refused) == len(KINDS), refused

# Unreadable input is status 2, never a verdict.
case = cases[0]
w, m, s = case.witness, case.model, case.samples
spec = json.loads(unpack(m)[0]["dahlquist"])


def with_spec(change):
    other = json.loads(json.dumps(spec))
    change(other)
    return pack({"dahlquist": json.dumps(other)}, unpack(m)[1])


def with_header(change, data=m):
    (n,) = struct.unpack("<Q", data[:8])
    text = change(data[8 : 8 + n].decode()).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + n :]


bad_witnesses = ["", "dahlquist-witness 1\n", w.replace("end", ""), w + " 1", w.replace("alpha", "alpha x", 1),
                 w.replace("fine ", "fine 0x", 1), w.replace("fine ", "fine -", 1), w.replace("lipschitz", "lipschits", 1),
                 w.replace("model ", "model 0", 1), w.replace("layers 0 ", "layers 5 ", 1), w.replace("layers 0 ", "layers 1 ", 1),
                 re.sub(r"norm 0 ", "norm 99 ", w), w.replace("factor ", "factor 999999 ", 1)]
for text in bad_witnesses:
    status, out, err = case.run(text, m, s)
    assert status == 2 and "exception" not in err, f"status {status}: an unreadable witness: {text[:60]} ...\n{out}"
last = list(unpack(m)[1].values())[-1][0]
nan = pack(None, {"nan": (last, [1], [float("nan")])})[-{"F64": 8, "F32": 4}.get(last, 2) :]
bad_models = [b"", m[:20], m[:-1], m + b"\0", m[: -len(nan)] + nan,
              with_spec(lambda a: a.update(version=3)), with_spec(lambda a: a.update(extra=1)), with_spec(lambda a: a.pop("input")),
              with_spec(lambda a: a["layers"][0].update(extra=1)), with_spec(lambda a: a["layers"][0].update(type="conv3d")),
              with_spec(lambda a: a["layers"].insert(0, {"type": "activation", "function": "cosine"})),
              with_spec(lambda a: a["layers"][0].update(weight="none")), with_spec(lambda a: a.update(input=[77])),
              with_header(lambda h: h.replace('"__metadata__"', '"t0": 0, "__metadata__"')), with_header(lambda h: h + "{}"),
              with_header(lambda h: h.replace('{"dahlquist": ', '{"dahlquist": "", "dahlquist": ')),
              with_header(lambda h: re.sub(r'({"dahlquist": ("([^"\\]|\\.)*"))', r'\1, "dahlquist": \2', h)),
              with_header(lambda h: h.replace("dahlquist-model", "dahlquist-modem")),
              with_header(lambda h: re.sub(r'"data_offsets": \[0,', '"data_offsets": [4,', h)), with_header(lambda h: "[]")]
for data in bad_models:
    signed = Witness(w)
    signed.sign(data, s)
    status, out, err = case.run(signed.text(), data, s)
    assert status == 2 and err and "exception" not in err, f"status {status}: an unreadable model\n{data[:300]}\n{out}"
x = unpack(s)[1]
# A number that is not finite, in the last sample: nothing is said of those before it.
endless = [pack(None, dict(x, x=(*x["x"][:2], [*x["x"][2][:-1], float(value)]))) for value in ("nan", "inf", "-inf")] if x["x"][0] != "U8" else []
bad_samples = [*endless, s[:-1], s + b"\0", pack(None, {"y": x["y"]}), pack(None, dict(x, x=(x["x"][0], [1, len(x["x"][2])], x["x"][2]))),
               pack(None, dict(x, y=("I64", [1], [0]))), pack(None, dict(x, y=("F32", x["y"][1], [0.0] * len(x["y"][2]))))]
for data in bad_samples:
    signed = Witness(w)
    signed.sign(m, data)
    status, out, err = case.run(signed.text(), m, data)
    assert status == 2 and err and "exception" not in err and "sample " not in out, f"status {status}: unreadable samples\n{out}{err}"
# A tensor that no layer names does not make the numbers of the architecture doubles, and sizes do not wrap around.
weightless = json.dumps({"format": "dahlquist-model", "version": 2, "input": [1], "layers": [{"type": "normalize", "mean": [0.0], "std": [0.7]}]})
wrapped = {"x": ("F32", [2**40, 1, 4096, 2048], []), "y": ("I64", [1], [0])}
for data, points, reason in ((pack({"dahlquist": weightless}, {"z": ("F64", [1], [0.0])}), s, "no layer that this checker knows names one"),
                             (m, pack(None, wrapped), "a tensor is too large")):
    signed = Witness(w)
    signed.sign(data, points)
    status, out, err = case.run(signed.text(), data, points)
    assert status == 2 and reason in err, f"status {status}: {reason}\n{out}{err}"
# The SHA-256 is that of everyone else, at every length around the size of its blocks.
for n in range(70):
    metadata, tensors = unpack(s)
    longer = pack(metadata, dict(tensors, z=("U8", [n], [7] * n)))
    signed = Witness(w)
    signed.sign(m, longer)
    status, out, err = case.run(signed.text(), m, longer)
    assert status == 0, f"a file of another length\n{out}{err}"
print(f"checker: {len(honest)} networks accepted, {count} corruptions refused: "
      + ", ".join(f"{n} {kind}" for kind, n in sorted(refused.items()))
      + f"; {len(bad_witnesses) + len(bad_models) + len(bad_samples)} unreadable files refused")

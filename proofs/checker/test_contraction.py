#!/usr/bin/env python3
"""Tests of flows that contract: steps of Euler's method with an operator that is proved from below too.  The constant and the radii are
the best that their proofs give, and forged proofs, steps, slopes, weights and methods are refused."""
import math, os, random, re, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from corrupt import Case
from network import Network, Witness
from random_network import contracting

exe = sys.argv[1]
rng = random.Random(13)
refused = {}


def case_of(made):
    return Case(exe, *made[:3]), made[3]


def refuse(what, case, witness, model=None):
    """The constant is refused."""
    model = model or case.model
    witness.sign(model, case.samples)
    status, out, err = case.run(witness.text(), model, case.samples)
    assert status == 1 and re.search(r"Lipschitz constant at most \S+: REFUSED", out), f"{what}: status {status}\n{out}{err}"
    refused[what] = refused.get(what, 0) + 1


def change(case, f):
    net = Network(case.model)
    f(net, rng.choice(net.spec["layers"][:-1]))
    return net.pack()


for seed in range(6):
    case, squared = case_of(contracting(seed, rows=8 + seed % 3, steps=2 + seed % 3))
    status, out, err = case.run(case.witness, case.model, case.samples)
    assert status == 0 and out.count(": proved") > 5, f"network {seed}\n{out}{err}"
    # They contract; and one unit less, or a radius one unit larger, is refused.
    w = Witness(case.witness)
    proved = float(re.search(r"Lipschitz constant at most (\S+): proved", out).group(1))
    assert proved <= math.sqrt(squared) * (1 + 1e-9) and proved < 0.8, proved
    for at, more in [(a + 4, 1) for a in w.margins] + [(w.lipschitz[0] + 1, -2)]:
        words = list(w.words)
        words[at] = str(w.number(at) + more)
        status, out, _ = case.run(" ".join(words), case.model, case.samples)
        assert status == 1 and out.count("REFUSED") == 1, f"network {seed}: one unit more was accepted\n{out}"
    # The radii are those of no contraction where the proofs from below are left out, and then the claims are too large.
    words, first = list(w.words), w.proofs
    for p in sorted((first[k] for k in first), key=lambda p: -p["at"]):
        del words[p["at"] + 2 : p["below"]["end"]]
    status, out, _ = case.run(" ".join(words), case.model, case.samples)
    assert status == 1 and ": proved" not in out, out
    for k, p in first.items():
        q = p["below"]
        for what, at, value in (("alpha", q["alpha"], lambda v: v + 2 * w.number(q["beta"]) + 2**20), ("beta", q["beta"], lambda v: v - 1),
                                ("factor", rng.randrange(q["factor"], q["end"]), lambda v: v + 2**30), ("fine", q["fine"], lambda v: v - 1)):
            forged = Witness(case.witness)
            forged.words[at] = str(value(w.number(at)))
            refuse(f"a {what}", case, forged)
        # The proof of the other flow.
        forged, other = Witness(case.witness), first[1 - k]["below"]
        forged.words[q["fine"] - 1 : q["end"]] = w.words[other["fine"] - 1 : other["end"]]
        refuse("another proof", case, Witness(forged.text()))
    w = Witness(case.witness)
    # Long steps go too far, fewer and shorter ones not far enough; a smaller slope, other weights and methods prove less, or nothing.
    for what, f in (("a short step", lambda net, flow: flow.update(step=flow["step"] / 2)),
                    ("a long step", lambda net, flow: flow.update(step=flow["step"] * 2.2)),
                    ("a step less", lambda net, flow: flow.update(steps=flow["steps"] - 1)),
                    ("a slope", lambda net, flow: flow["field"]["activation"].update(slope=0.25)),
                    ("no slope", lambda net, flow: flow["field"].update(activation={"function": "relu"})),
                    ("another slope", lambda net, flow: flow["field"]["activation"].update(slope=-0.5)),
                    ("another method", lambda net, flow: flow.update(method="heun")),
                    ("the weights", lambda net, flow: net.tensors[flow["field"]["operator"]["weight"]][2].__setitem__(rng.randrange(64), 0.75))):
        refuse(what, case, w, change(case, f))
    # More steps contract more.
    model = change(case, lambda net, flow: flow.update(steps=flow["steps"] + 1))
    w.sign(model, case.samples)
    _, out, _ = case.run(w.text(), model, case.samples)
    assert re.search(r"Lipschitz constant at most \S+: proved", out), out

# An operator with fewer rows than columns has nothing to be proved from below, steps may be too long, and a ReLU contracts nothing.
for seed, keys in enumerate(({"slope": 0.0}, {"slope": 0.0, "longest": 2.5}, {"rows": 6}, {"rows": 6, "longest": 2.25, "steps": 2})):
    case, squared = case_of(contracting(20 + seed, **keys))
    status, out, err = case.run(case.witness, case.model, case.samples)
    assert status == 0 and squared >= 1, f"{keys}\n{out}{err}"
    w = Witness(case.witness)
    w.words[w.lipschitz[0] + 1] = str(w.number(w.lipschitz[0] + 1) - 2)
    status, out, _ = case.run(w.text(), case.model, case.samples)
    assert status == 1 and out.count("REFUSED") == 1, out
    if "rows" in keys:
        for alpha in (0, 1, 2**60):
            forged = Witness(case.witness)
            p = forged.proofs[0]
            forged.words[p["at"] + 2 : p["at"] + 2] = f"below fine 0 alpha {alpha} beta {alpha} factor 8 {'0 ' * 36}".split()
            forged = Witness(forged.text())
            forged.words[forged.lipschitz[0] + 1] = str(2**38)
            refuse("no rows for it", case, forged)
# What is no proof is unreadable.
case, _ = case_of(contracting(0))
for old, new in (("below fine", "below"), ("below fine", "below below fine"), ("below fine", "above fine")):
    status, out, err = case.run(case.witness.replace(old, new, 1), case.model, case.samples)
    assert status == 2 and err and "exception" not in err, (old, new, out, err)
print("checker: flows that contract: " + ", ".join(f"{n} with {what}" for what, n in sorted(refused.items())) + " refused")

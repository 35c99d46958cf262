#!/usr/bin/env python3
"""Tests of the extracted checker: it accepts honest witnesses, refuses every claim made false, and reads strictly."""
import os, random, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from random_network import network

exe = sys.argv[1]
work = tempfile.mkdtemp()

def run(text):
    path = os.path.join(work, "w.txt")
    with open(path, "w") as f:
        f.write(text)
    return subprocess.run([exe, path], capture_output=True).returncode

honest = [network(seed, 4 + seed % 5, 3 + seed % 7, seed % 4, 2 + seed % 3) for seed in range(20)]
for text in honest:
    assert run(text) == 0, "an honest witness was refused"

# Claims made false: the bound below what is provable, the radius above it, the step beyond its limit, and so on.
refused = 0
rng = random.Random(7)
k = 0
while refused < 1000:
    k += 1
    words = honest[k % len(honest)].split()
    def places(key, shift=1):
        return [i + shift for i, w in enumerate(words) if w == key]
    # In this generator alpha is within 0.1 % of the norm, h L |W|^2 within 2^-19 of its limit, and both claims within
    # 2^-29 of the best provable; each corruption exceeds that slack.
    kind = rng.choice(["lipschitz", "margin", "alpha", "beta", "step", "entry", "gap"])
    if kind == "lipschitz":
        i = places("lipschitz")[0]; words[i] = str(int(int(words[i]) * rng.uniform(0.0, 0.999)))
    elif kind == "margin":
        i = places("radius")[-1]; words[i] = str(int(int(words[i]) * rng.uniform(1.001, 10)) + 2)
    elif kind == "alpha":
        i = rng.choice(places("alpha")); words[i] = str(int(int(words[i]) * rng.uniform(0.0, 0.99)))
    elif kind == "beta":
        i = rng.choice(places("beta")); words[i] = str(int(words[i]) - rng.randrange(1, 100))
    elif kind == "step":
        p = places("step")
        if not p:
            continue
        i = rng.choice(p); words[i] = str(int(int(words[i]) * rng.uniform(1.001, 5)) + 2)
    elif kind == "entry":
        # an entry of a weight becomes so large that the claimed norm cannot hold
        p = [i for i in places("weight") if words[i - 3] == "scale" and words[i - 6] != "head"]
        i = rng.choice(p); words[i] = str(2 ** 40)
    else:
        i = places("gaps")[0]
        gaps = list(range(i + 2, len(words) - 1))
        # the tightest gap decides the radius: shrink every one of them in turn until one is below it
        for g in gaps:
            words[g] = str(int(words[g]) // 2)
    refused += 1
    got = run(" ".join(words))
    assert got == 1, f"corruption {k} ({kind}) gives status {got}"

# Unreadable input is status 2, never a verdict.
for text in ["", "dahlquist-witness 2\n", honest[0].replace("end", ""), honest[0] + " 1\n", honest[0].replace("alpha", "alpha x"),
             honest[0].replace("bias ", "bias 0x10 ", 1), "dahlquist-witness 1 input 2 end\n"]:
    assert run(text) == 2, "unreadable input was not refused as such: " + text[:40]
print(f"checker: {len(honest)} witnesses accepted, {refused} corruptions refused")

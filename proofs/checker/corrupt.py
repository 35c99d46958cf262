#!/usr/bin/env python3
"""corrupt.py CHECK-WITNESS WITNESS MODEL SAMPLES COUNT [SEED]: the checker accepts the three files and refuses COUNT corruptions.

A corruption changes the model, the samples or the witness so that some claim is false beyond doubt (network.py decides that
without the checker); the witness then names the SHA-256 of the changed files, so that nothing but the arithmetic can refuse.
The checker must refuse, and every claim that is known to be false by name.  Besides, each corruption of a file is tried
with the old SHA-256, which must be refused in any case.

  zeroed, scaled, entry, bias   the weights of a layer become 0, are multiplied; an entry or a bias becomes large
  dropped, swapped layers       a layer that keeps its shape is missing, two tensors of one shape change places
  other                         every tensor is drawn anew
  slope, step, steps, std       numbers of the architecture change
  mode, moved                   what lies beyond a border changes, a channel is moved elsewhere
  joined, sorted                a sum becomes a mean or a mean a sum, other groups are sorted
  sample, swapped samples       a sample becomes another one, two samples change places
  alpha                         alpha + beta falls below |W|^2, of which |W v|^2 / |v|^2 is an exact lower bound
  below                         alpha - beta of a proof from below exceeds |W v|^2 / |v|^2 for some v
  lipschitz, radius, class, number   claims of the witness change
"""
import json, math, os, random, subprocess, sys, tempfile, time
from fractions import Fraction

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from network import Network, Samples, Witness, false_claims


class Case:
    """Three files, and what the checker says of them."""

    def __init__(self, exe, model, samples, witness, number=float, limit=None):
        self.exe, self.model, self.samples, self.witness = exe, model, samples, witness
        self.number, self.limit = number, limit  # with a limit, only the first claims are looked at
        self.folder = tempfile.mkdtemp()
        self.paths = [os.path.join(self.folder, name) for name in ("w.txt", "m.safetensors", "s.safetensors")]

    def run(self, witness, model, samples):
        for path, data in zip(self.paths, (witness.encode(), model, samples)):
            with open(path, "wb") as file:
                file.write(data)
        done = subprocess.run([self.exe] + self.paths, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def corruption(self, kind, rng):
        """Changed files, and whether the proofs alone are false; None if there is nothing of the kind."""
        net, data, w = Network(self.model, self.number), Samples(self.samples), Witness(self.witness)
        specs = net.spec["layers"]
        weights = [n for n, t in net.tensors.items() if len(t[1]) > 1]
        biases = [n for n, t in net.tensors.items() if len(t[1]) == 1]
        proofs_false = False
        def change(name, f):
            dtype, shape, numbers = net.tensors[name]
            net.tensors[name] = (dtype, shape, f(list(numbers)))
        def at_random(value):
            def f(numbers):
                numbers[rng.randrange(len(numbers))] = value
                return numbers
            return f
        if kind == "zeroed":
            change(rng.choice(weights), lambda numbers: [0.0] * len(numbers))
        elif kind == "scaled":
            factor = rng.choice([-1.0, 2.0, 4.0, 64.0])
            change(rng.choice(weights), lambda numbers: [factor * v for v in numbers])
        elif kind == "entry":
            change(rng.choice(weights), at_random(rng.choice([-1, 1]) * 2.0 ** rng.randrange(1, 8)))
        elif kind == "bias":
            if not biases:
                return None
            change(rng.choice(biases), at_random(rng.choice([-1, 1]) * 2.0 ** rng.randrange(1, 8)))
        elif kind == "dropped":
            shapes = net.shapes()
            same = [i for i in range(len(specs) - 1) if shapes[i] == shapes[i + 1]]
            if not same:
                return None
            i = rng.choice(same)
            del specs[i]
            # the proofs of the layers behind it move with them
            words = w.words
            gone = []
            for k, p in w.proofs.items():
                first, *rest = str(k).split(".")
                if int(first) > i:
                    words[p["at"] + 1] = ".".join([str(int(first) - 1)] + rest)
                elif int(first) == i:
                    gone.append((p["at"], p["end"]))
            words[w.layers + 1] = str(w.number(w.layers + 1) - 1)
            for start, end in sorted(gone, reverse=True):
                del words[start:end]
            w = Witness(" ".join(words))
        elif kind == "swapped layers":
            pairs = [(a, b) for a in net.tensors for b in net.tensors if a < b and net.tensors[a][1] == net.tensors[b][1]]
            if not pairs:
                return None
            a, b = rng.choice(pairs)
            net.tensors[a], net.tensors[b] = net.tensors[b], net.tensors[a]
        elif kind == "other":
            for name in list(net.tensors):
                change(name, lambda numbers: [round(rng.gauss(0, 0.5) * 2**10) / 2**10 for _ in numbers])
        elif kind == "slope":
            found = [s for layer in specs for s in (layer, layer.get("field", {}).get("activation", {})) if "function" in s]
            if not found:
                return None
            s = rng.choice(found)
            for key in ("slope", "min", "max", "channels"):
                s.pop(key, None)
            s["function"] = rng.choice(["relu", "identity"])
        elif kind in ("step", "steps"):
            found = [layer for layer in specs if layer["type"] == "flow"]
            if not found:
                return None
            layer = rng.choice(found)
            if kind == "step":
                layer["step"] = float(int(layer["step"] * rng.choice([2, 4, 16, 100]) * 2**12) + 1) / 2**12
            else:
                layer["steps"] += rng.randrange(1, 4)
        elif kind == "std":
            found = [layer for layer in specs if layer["type"] == "normalize"]
            if not found:
                return None
            layer = rng.choice(found)
            layer["std"] = [s / rng.choice([2, 8, 64]) for s in layer["std"]]
        elif kind == "mode":
            # what lies beyond a border
            found = [(s, key) for layer in specs for s in (layer, layer.get("field", {}).get("operator", {}))
                     for key in ("padding_mode", "mode") if key in s]
            if not found:
                return None
            s, key = rng.choice(found)
            s[key] = "circular" if s[key] == "zeros" else "zeros"
        elif kind == "joined":
            # a sum becomes a mean, or the other way round
            found = [layer for layer in specs if "branches" in layer]
            if not found:
                return None
            layer = rng.choice(found)
            layer["type"] = "mean" if layer["type"] == "sum" else "sum"
        elif kind == "sorted":
            found = [(i, layer) for i, layer in enumerate(specs) if layer["type"] == "sort"]
            if not found:
                return None
            i, layer = rng.choice(found)
            units = net.shapes()[i][0]
            layer["group"] = rng.choice([k for k in range(1, units + 1) if units % k == 0])
        elif kind == "moved":
            found = [layer for layer in specs if layer["type"] == "shift"]
            if not found:
                return None
            rng.choice(rng.choice(found)["groups"])[rng.randrange(1, 3)] += rng.choice([-1, 1])
        elif kind in ("sample", "swapped samples"):
            dtype, shape, x = data.tensors["x"]
            k, m, n = rng.randrange(data.count), rng.randrange(data.count), data.length
            a, b = x[k * n : (k + 1) * n], x[m * n : (m + 1) * n]
            x = list(x)
            x[k * n : (k + 1) * n] = b
            if kind == "swapped samples":
                x[m * n : (m + 1) * n] = a
            data.tensors["x"] = (dtype, shape, x)
        elif kind in ("alpha", "below"):
            found = [k for k in sorted(w.proofs, key=str) if kind == "alpha" or w.proofs[k]["below"]]
            if not found:
                return None
            k = rng.choice(found)
            p = w.proofs[k] if kind == "alpha" else w.proofs[k]["below"]
            spec, shape = net.at(k)
            spec = spec["field"]["operator"] if spec["type"] == "flow" else spec
            if spec["type"] == "dense":
                rows, columns = net.tensors[spec["weight"]][1]
                entries = [Fraction(v) for v in net.tensors[spec["weight"]][2]]
            else:
                if math.prod(shape) > 200:
                    return None
                matrix = net.columns(spec, shape)
                rows, columns = len(matrix[0]), len(matrix)
                entries = [Fraction(c[i]) for i in range(rows) for c in matrix]
            bias = [Fraction(v) for v in net.tensors[spec["bias"]][2]] if spec.get("bias") else []
            scale = max(f.denominator.bit_length() - 1 for f in entries + bias) + w.number(p["fine"])
            # The power iteration only chooses v; |W v|^2 = quotient |v|^2 holds exactly.
            table = [[float(v) for v in entries[i * columns : (i + 1) * columns]] for i in range(rows)]
            v = [rng.gauss(0, 1) for _ in range(columns)]
            most = sum(c * c for row in table for c in row)
            for _ in range(12 if kind == "alpha" else 300):
                y = [sum(map(float.__mul__, row, v)) for row in table]
                z = [sum(c * row[j] for c, row in zip(y, table)) for j in range(columns)]
                v = z if kind == "alpha" else [most * a - b for a, b in zip(v, z)]
                size = math.sqrt(sum(c * c for c in v)) or 1.0
                v = [c / size for c in v]
            v = [round(c * 2**30) for c in v]
            image = sum(sum(a * b for a, b in zip(entries[i * columns : (i + 1) * columns], v) if a and b) ** 2 for i in range(rows))
            quotient = image * 4**scale / (sum(c * c for c in v) or 1)
            near = 1 if rng.random() < 0.5 else Fraction(rng.random())
            w.words[p["alpha"]] = str(math.floor(quotient * near) - 1 - w.number(p["beta"]) if kind == "alpha" else
                                      math.ceil(quotient / (near or 1)) + 1 + w.number(p["beta"]))
            proofs_false = True
        elif kind == "lipschitz":
            at = rng.choice(w.lipschitz)
            w.words[at + 1] = str(int(w.number(at + 1) * Fraction(rng.random() ** 3)))
        elif not w.margins:
            return None
        else:
            at = rng.choice(w.margins)
            if kind == "radius":
                w.words[at + 4] = str(int(w.number(at + 4) * Fraction(2 ** rng.randrange(1, 30))) + 1)
            elif kind == "class":
                w.words[at + 2] = str(w.number(at + 2) + rng.choice([1, -1]) if w.number(at + 2) else 1)
            elif kind == "number":
                # another sample under the claim of this one; the order of the samples is kept
                order = [w.number(a + 1) for a in w.margins]
                free = [k for k in range(data.count + 3) if k not in order]
                if not free:
                    return None
                k = rng.choice(free)
                words = w.words[at : at + 6]
                words[1] = str(k)
                claims = sorted([w.words[a : a + 6] if a != at else words for a in w.margins], key=lambda c: int(c[1]))
                w = Witness(" ".join(w.words[: w.margins[0]] + [word for c in claims for word in c] + ["end"]))
        return Network(net.pack(), self.number), Samples(data.pack()), w, proofs_false

    def refuse(self, kind, rng):
        """Makes a corruption of a kind and sees it refused; False if the one drawn makes nothing false for certain."""
        drawn = self.corruption(kind, rng)
        if drawn is None:
            return False
        net, data, w, proofs_false = drawn
        found = false_claims(net, data, w, self.limit, self.limit is None)
        if not found and not proofs_false:
            return False
        model, samples = net.pack(), data.pack()
        # A file that is rewritten without a change counts as it was.
        changed = (Network(self.model).tensors, Network(self.model).spec, Samples(self.samples).tensors) != (net.tensors, net.spec, data.tensors)
        if changed:
            old = w.text()
            status, out, _ = self.run(old, model, samples)
            assert status == 1 and "the witness is about another" in out, f"{kind}: with the old SHA-256: status {status}\n{out}"
        w.sign(model, samples)
        status, out, err = self.run(w.text(), model, samples)
        assert status == 1, f"{kind}: status {status}, not 1\n{out}{err}"
        for what, where in found:
            name = f"sample {where}: " if what == "sample" else "Lipschitz constant at most "
            lines = [line for line in out.splitlines() if name in line and (what != "sample" or line.startswith(name))]
            assert lines and all(line.endswith(": REFUSED") for line in lines), f"{kind}: {what} {where} is false and not refused\n{out}"
        return True


KINDS = ["zeroed", "scaled", "entry", "bias", "dropped", "swapped layers", "other", "slope", "step", "steps", "std", "mode", "moved", "joined", "sorted", "sample",
         "swapped samples", "alpha", "below", "lipschitz", "radius", "class", "number"]


def main():
    exe, witness, model, samples, count = sys.argv[1:5] + [int(sys.argv[5])]
    rng = random.Random(int(sys.argv[6]) if len(sys.argv) > 6 else 1)
    read = lambda path: open(path, "rb").read()
    case = Case(exe, read(model), read(samples), read(witness).decode(), float, 30)
    start = time.time()
    done = subprocess.run([exe, witness, model, samples], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{witness}: not accepted:\n{done.stdout[-2000:]}{done.stderr}")
    print(f"{witness}: accepted in {time.time() - start:.1f} s", flush=True)
    refused, tries = {}, 0
    while sum(refused.values()) < count:
        tries += 1
        if tries > 20 * count + 100:
            sys.exit(f"{witness}: only {sum(refused.values())} corruptions make a claim false for certain")
        kind = rng.choice(KINDS)
        if case.refuse(kind, rng):
            refused[kind] = refused.get(kind, 0) + 1
            if sum(refused.values()) % 100 == 0:
                print(f"{sum(refused.values())} corruptions refused", flush=True)
    print(f"{witness}: {count} corruptions refused: " + ", ".join(f"{n} {kind}" for kind, n in sorted(refused.items())))


if __name__ == "__main__":
    main()

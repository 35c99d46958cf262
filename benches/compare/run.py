"""Times this crate and PyTorch on the same network with the same weights, alternating, in one run.

The reference network (benches/reference/mod.rs) is written by the crate as a model file; PyTorch reads it in two forms:
`reference`, with transposed convolutions as the papers' code has them, and `tuned`, with flipped ordinary convolutions
and channels-last memory. The logits must agree before anything is timed. A ratio is PyTorch's time over the crate's.

    python3 benches/compare/run.py --json OUT
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors import safe_open
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[2]
# Multiplications and additions of all convolutions for one image.
FLOP = 15 * 4 * 9 * 16**2 * 32**2 + 2 * (27 * 16 * 32**2 + 16 * 32 * 16**2 + 32 * 64 * 8**2)


class Crate:
    """A process of testkit/examples/measure.rs with a number of threads."""

    def __init__(self, program, model, threads):
        environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([program, model], stdin=pipe, stdout=pipe, text=True, env=environment)
        self.parameters = int(self.process.stdout.readline())

    def ask(self, command, count):
        self.process.stdin.write(f"{command} {count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"the crate's program ended at {command} {count}")
        return [float(number) for number in answer.split()]

    def time(self, command, count):
        return self.ask(command, count)[0]


class Classifier(torch.nn.Module):
    """The network of a model file, with one of two ways to apply the adjoint of a convolution."""

    def __init__(self, path, tuned):
        super().__init__()
        with safe_open(path, "pt") as file:
            self.layers = json.loads(file.metadata()["dahlquist"])["layers"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        self.weights = torch.nn.ParameterDict({name.replace(".", "_"): torch.nn.Parameter(t) for name, t in tensors.items()})
        self.tuned = tuned
        if tuned:
            self.to(memory_format=torch.channels_last)

    def tensors(self, spec):
        return [self.weights[spec[key].replace(".", "_")] for key in ("weight", "bias")]

    def adjoint(self, z, w):
        if self.tuned:
            return functional.conv2d(z, w.flip(2, 3).transpose(0, 1), padding=1)
        return functional.conv_transpose2d(z, w, padding=1)

    def forward(self, x):
        if self.tuned:
            x = x.contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            match layer["type"]:
                case "conv2d":
                    w, b = self.tensors(layer)
                    x = functional.conv2d(x, w, b, padding=layer["padding"])
                case "flow":
                    w, b = self.tensors(layer["field"]["operator"])
                    x = x - layer["step"] * self.adjoint(functional.relu(functional.conv2d(x, w, b, padding=1)), w)
                case "avg_pool":
                    x = functional.avg_pool2d(x, layer["size"])
                case "global_avg_pool":
                    x = x.mean((2, 3))
                case "dense":
                    x = functional.linear(x, *self.tensors(layer))
                case other:
                    raise ValueError(f"unknown layer {other}")
        return x


def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def training_step(network, x, y):
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-6)

    def step():
        optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(network(x), y).backward()
        optimiser.step()

    return step


def forward_backward(network, x):
    """A forward pass and the gradient by the input."""

    def run():
        z = x.detach().requires_grad_()
        network(z).sum().backward(inputs=[z])

    return run


def margins(logits, labels):
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return own - others.amax(1)


def pgd(network, x, labels, eps=1e-3, steps=10, length=0.25):
    """PGD in the l2 ball within [0, 1], down the margin, and a last look at the logits."""
    z = x.clone()
    for _ in range(steps):
        z.requires_grad_()
        (g,) = torch.autograd.grad(margins(network(z), labels).sum(), z)
        with torch.no_grad():
            g /= g.flatten(1).norm(dim=1)[:, None, None, None].clamp_min(1e-30)
            v = z - length * eps * g - x
            v *= (eps / v.flatten(1).norm(dim=1).clamp_min(1e-30)).clamp_max(1)[:, None, None, None]
            z = (x + v).clamp(0, 1)
    with torch.no_grad():
        return margins(network(z), labels)


@torch.no_grad()
def power_iterations(network, count=100):
    """The norm of every convolution, estimated."""
    shape = (3, 32, 32)
    for layer in network.layers:
        if layer["type"] in ("conv2d", "flow"):
            spec = layer if layer["type"] == "conv2d" else layer["field"]["operator"]
            w, padding = network.tensors(spec)[0], spec["padding"]
            v = torch.randn(1, *shape)
            for _ in range(count):
                v = functional.conv_transpose2d(functional.conv2d(v, w, padding=padding), w, padding=padding)
                v /= v.norm()
            shape = (w.shape[0], *shape[1:])
        elif layer["type"] == "avg_pool":
            shape = (shape[0], shape[1] // layer["size"], shape[2] // layer["size"])


def agree(crate, networks, count=16):
    """Refuses to time programs that compute different things."""
    x = torch.tensor(crate.ask("pixels", count)).reshape(count, 3, 32, 32)
    expected = torch.tensor(crate.ask("logits", count)).reshape(count, -1)
    for name, network in networks.items():
        with torch.no_grad():
            difference = float((network(x) - expected).abs().max() / expected.abs().max())
        print(f"logits of {name}: largest relative difference {difference:.1e}")
        if not difference < 1e-4:
            sys.exit("the two programs do not compute the same network")


class Times:
    """The seconds of programs that took turns."""

    def __init__(self, repetitions, runs, scale=None):
        for run in runs.values():
            run()
        self.seconds = {name: [] for name in runs}
        for _ in range(repetitions):
            for name, run in runs.items():
                time.sleep(0.02)
                self.seconds[name].append(run() / (scale or {}).get(name, 1))

    def median(self, name):
        return statistics.median(self.seconds[name])

    def ratio(self, title, name, to="crate"):
        """The ratio of the medians, and that of every turn."""
        each = sorted(a / b for a, b in zip(self.seconds[name], self.seconds[to]))
        ratio = self.median(name) / self.median(to)
        print(f"{title}, {name}: {ratio:.2f}  ({each[0]:.2f} to {each[-1]:.2f}; {to} {self.median(to) * 1e3:.1f} ms)", flush=True)
        return ratio


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the ratios to this file")
    parser.add_argument("--program", help="the program of measure.rs, if it is built already")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--images", type=int, default=256, help="images of a forward pass")
    arguments = parser.parse_args()
    program = arguments.program
    if program is None:
        command = ["cargo", "build", "--release", "--package", "dahlquist-testkit", "--example", "measure"]
        subprocess.run(command, cwd=ROOT, check=True)
        program = ROOT / "target/release/examples/measure"
    torch.manual_seed(0)
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder) / "model.safetensors")
        crate, alone = Crate(program, model, 2), Crate(program, model, 1)
        networks = {name: Classifier(model, name == "tuned") for name in ("reference", "tuned")}
        print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {crate.parameters} parameters")
        agree(crate, networks)
        results = measure(crate, alone, networks, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def measure(crate, alone, networks, arguments):
    n, turns = arguments.images, arguments.repetitions
    x = torch.tensor(crate.ask("pixels", n)).reshape(n, 3, 32, 32)
    forward = torch.inference_mode()
    results = {"images": n, "repetitions": turns, "pytorch": torch.__version__, "seconds": {}}

    def inference(network):
        with forward:
            return seconds(lambda: network(x))

    runs = {name: (lambda network=network: inference(network)) for name, network in networks.items()}
    times = Times(turns, {"crate": lambda: crate.time("forward", n), **runs})
    results["forward"] = {name: times.ratio("forward", name) for name in networks}
    results["seconds"]["forward"] = times.seconds

    runs = {name: (lambda run=forward_backward(network, x): seconds(run)) for name, network in networks.items()}
    times = Times(turns, {"crate": lambda: crate.time("forward_backward", n), **runs})
    results["forward_backward"] = {name: times.ratio("forward and gradient by the input", name) for name in networks}
    results["seconds"]["forward_backward"] = times.seconds

    batch = x[:128]
    labels = networks["reference"](batch).argmax(1).detach()
    runs = {name: (lambda run=training_step(network, batch, labels): seconds(run)) for name, network in networks.items()}
    times = Times(turns, {"crate": lambda: crate.time("training_step", 128), **runs})
    results["training_step"] = {name: times.ratio("training step of 128", name) for name in networks}
    results["seconds"]["training_step"] = times.seconds

    runs = {name: (lambda network=network: seconds(lambda: pgd(network, batch, labels))) for name, network in networks.items()}
    times = Times(max(3, turns // 2), {"crate": lambda: crate.time("pgd", 128), **runs})
    results["pgd"] = {name: times.ratio("PGD-10 of 128", name) for name in networks}
    results["seconds"]["pgd"] = times.seconds

    runs = {"reference": lambda: seconds(lambda: power_iterations(networks["reference"]))}
    times = Times(max(3, turns // 2), {"crate": lambda: crate.time("norms", 0), **runs})
    results["norms"] = {"reference": times.ratio("proved norms against 100 power iterations a layer", "reference")}
    results["seconds"]["norms"] = times.seconds

    few = n // 4
    sizes = (512, 1024, 2048)
    runs = {f"gemm {size}": (lambda size=size: alone.time("gemm", size)) for size in sizes}
    scale = {"forward": FLOP * few, **{f"gemm {size}": 2 * size**3 for size in sizes}}
    times = Times(turns, {"forward": lambda: alone.time("forward", few), **runs}, scale)
    rates = {name: 1e-9 / min(each) for name, each in times.seconds.items()}
    best = max(rate for name, rate in rates.items() if name != "forward")
    results["gemm_fraction"] = rates["forward"] / best
    results["gigaflops"] = rates
    print(f"forward on one thread: {rates['forward']:.0f} GFLOP/s, {results['gemm_fraction']:.2f} of the best GEMM, {rates}")

    times = Times(turns, {"one thread": lambda: alone.time("forward", n), "crate": lambda: crate.time("forward", n)})
    results["thread_speedup"] = times.ratio("one thread over two", "one thread")
    return results


if __name__ == "__main__":
    main()

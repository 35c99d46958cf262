"""Train small networks in PyTorch, save them as dahlquist models, and compare the logits of the two programs.

Three networks: a plain MLP (dense and ReLU), a convolutional one, and a gradient flow, x + h f(x) with
f(x) = -W^T relu(Wx + b), whose Lipschitz constant dahlquist proves to be 1.

    pip install torch numpy safetensors
    cargo build --release --features cli
    python examples/pytorch/train_and_compare.py --program target/release/dahlquist
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

CLASSES = 3


class GradientFlow(nn.Module):
    """Euler steps of x' = -W^T relu(Wx + b), no longer than 2/|W|^2: then no step moves two points apart."""

    def __init__(self, features, hidden, steps):
        super().__init__()
        self.linear = nn.Linear(features, hidden)
        self.steps = steps

    def step(self):
        # A little less than the limit: dahlquist proves an upper bound of the norm, not the norm itself.
        return float(0.99 * 2 / torch.linalg.matrix_norm(self.linear.weight.detach(), 2) ** 2)

    def forward(self, x, h=None):
        h = self.step() if h is None else h
        for _ in range(self.steps):
            z = functional.relu(self.linear(x))
            x = x - h * (z @ self.linear.weight)
        return x


def mlp():
    network = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32, bias=False), nn.ReLU(), nn.Linear(32, CLASSES))
    layers = [
        {"type": "dense", "weight": "0.weight", "bias": "0.bias"},
        {"type": "activation", "function": "relu"},
        {"type": "dense", "weight": "2.weight", "bias": None},
        {"type": "activation", "function": "relu"},
        {"type": "dense", "weight": "4.weight", "bias": "4.bias"},
    ]
    return network, [2], lambda: layers


def cnn():
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.LeakyReLU(0.125),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )
    layers = [
        {"type": "conv2d", "weight": "0.weight", "bias": "0.bias", "stride": 1, "padding": 1, "padding_mode": "zeros"},
        {"type": "activation", "function": "leaky_relu", "slope": 0.125},
        {"type": "avg_pool", "size": 2},
        {"type": "conv2d", "weight": "3.weight", "bias": None, "stride": 2, "padding": 1},
        {"type": "activation", "function": "relu"},
        {"type": "flatten"},
        {"type": "dense", "weight": "6.weight", "bias": "6.bias"},
    ]
    return network, [1, 8, 8], lambda: layers


def flow():
    block = GradientFlow(2, 16, steps=3)
    network = nn.Sequential(block, nn.Linear(2, CLASSES))

    def layers():
        operator = {"type": "dense", "weight": "0.linear.weight", "bias": "0.linear.bias"}
        field = {"type": "gradient", "activation": {"function": "relu"}, "operator": operator}
        return [
            {"type": "flow", "method": "euler", "step": block.step(), "steps": block.steps, "field": field},
            {"type": "dense", "weight": "1.weight", "bias": "1.bias"},
        ]

    return network, [2], layers


def synthetic(shape, count, generator):
    """Noisy copies of one pattern for each class, in [0, 1]."""
    patterns = torch.rand(CLASSES, *shape, generator=torch.Generator().manual_seed(0))
    y = torch.randint(CLASSES, (count,), generator=generator)
    x = patterns[y] + 0.1 * torch.randn(count, *shape, generator=generator)
    return x.clamp(0, 1), y


def train(network, x, y, epochs=60):
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(epochs):
        optimiser.zero_grad()
        functional.cross_entropy(network(x), y).backward()
        optimiser.step()
    return network.eval()


def save_model(network, shape, layers, path):
    """One safetensors file: the state dict as it is, and the architecture in the metadata."""
    spec = {"format": "dahlquist-model", "version": 1, "input": shape, "layers": layers}
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, path, metadata={"dahlquist": json.dumps(spec)})


def compare(name, program, folder, double):
    """The largest difference of logits, relatively to the largest logit."""
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    network, shape, layers = {"mlp": mlp, "cnn": cnn, "flow": flow}[name]()
    train(network, *synthetic(shape, 300, generator))
    x, y = synthetic(shape, 100, generator)
    if double:
        network, x = network.double(), x.double()
    model, samples, out = (folder / f"{name}.{end}" for end in ("safetensors", "samples.safetensors", "json"))
    save_model(network, shape, layers(), model)
    save_file({"x": x.contiguous(), "y": y}, samples)
    subprocess.run([program, "predict", model, "--data", samples, "--json", out], check=True, stdout=subprocess.DEVNULL)
    logits = torch.tensor(json.loads(out.read_text())["logits"], dtype=torch.float64)
    with torch.no_grad():
        expected = network(x).double()
    certificate = folder / f"{name}.certificate.json"
    command = [program, "certify", model, "--data", samples, "--eps", "0.01,0.1", "--certificate", certificate]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([program, "check", certificate, model, "--data", samples], check=True, stdout=subprocess.DEVNULL)
    return float((logits - expected).abs().max() / expected.abs().max())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="target/release/dahlquist", help="the dahlquist program")
    parser.add_argument("--keep", type=Path, help="keep the files in this folder")
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("mlp", "cnn", "flow"):
            for double, allowed in ((False, 1e-5), (True, 1e-13)):
                difference = compare(name, arguments.program, folder, double)
                failed |= not difference <= allowed
                verdict = "ok" if difference <= allowed else f"MORE THAN {allowed}"
                print(f"{name:5} {'f64' if double else 'f32'}  largest relative difference {difference:.1e}  {verdict}")
    sys.exit(failed)


if __name__ == "__main__":
    main()

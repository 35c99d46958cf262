"""Train a stable network on CIFAR-10 on a GPU, prove it with dahlquist, and count the images that are certified.

    pip install './python[torch]'
    python examples/pytorch/train_cifar10.py --data DIR --out cifar10 --network wide --minutes 7

The network is a chain of gradient flows, x - h W^T relu(W x + b) with the longest step that does not expand, and a head whose rows
have norm 1. Its matrices move along orthogonalized momentum, its weights are averaged, and at the end the features of an image
and of its mirror image are averaged. It trains for a time, not for a number of passes: on a large GPU a pass takes a second or
two. DIR holds CIFAR-10 in its binary layout. With --seconds of a few and --device cpu the script shows that it works.

Files: OUT.safetensors, the model; OUT.json, the figures and the curve. Nothing in OUT.json is an estimate, except in "curve".
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import dahlquist as dq
from dahlquist.torch import GradientFlow, MarginCrossEntropy, Muon, UnitRows, prove_steps

EPS = [36 / 255, 72 / 255, 108 / 255]


def small():
    """The network of `cargo run --example cifar10_toy`: 1.7 million parameters."""
    return nn.Sequential(
        nn.PixelUnshuffle(4), *(GradientFlow(48, 48, 3) for _ in range(3)),
        nn.Flatten(), *(GradientFlow(3072, 256) for _ in range(2)), UnitRows(3072, 10),
    )


def wide():
    """Twice as many channels, and three times as deep: 3.9 million parameters."""
    return nn.Sequential(
        nn.PixelUnshuffle(4), nn.ZeroPad3d((0, 0, 0, 0, 0, 48)), *(GradientFlow(96, 96, 3) for _ in range(9)),
        nn.Flatten(), *(GradientFlow(6144, 248) for _ in range(2)), UnitRows(6144, 10),
    )


def fine():
    """Steps on 16 x 16 points before those on 8 x 8: 3.7 million parameters."""
    return nn.Sequential(
        nn.PixelUnshuffle(2), nn.ZeroPad3d((0, 0, 0, 0, 0, 20)), *(GradientFlow(32, 64, 3) for _ in range(5)),
        nn.PixelUnshuffle(2), *(GradientFlow(128, 64, 3) for _ in range(7)),
        nn.Flatten(), *(GradientFlow(8192, 184) for _ in range(2)), UnitRows(8192, 10),
    )


NETWORKS = {"small": small, "wide": wide, "fine": fine}


def read(directory, names):
    """Returns images (bytes) and labels of files in the binary layout of CIFAR-10."""
    rows = np.concatenate([np.fromfile(Path(directory) / name, np.uint8).reshape(-1, 3073) for name in names])
    return torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy()), torch.from_numpy(rows[:, 0].astype(np.int64))


def augment(images, crop):
    """Mirrors half of the images and moves each by up to `crop` pixels; what comes in repeats the edge."""
    n, device = len(images), images.device
    x = F.pad(images, (crop,) * 4, mode="replicate")
    down, right = (torch.randint(0, 2 * crop + 1, (n, 1), device=device) for _ in range(2))
    line = torch.arange(32, device=device)
    columns = torch.where(torch.rand(n, 1, device=device) < 0.5, line.flip(0), line) + right
    sample = torch.arange(n, device=device)[:, None, None, None]
    channel = torch.arange(3, device=device)[None, :, None, None]
    return x[sample, channel, (line + down)[:, None, :, None], columns[:, None, None, :]]


def logits(network, images):
    """Returns the logits with averaged features of both mirror images, as an estimate of what is proved later."""
    with torch.no_grad():
        parts = []
        for x in images.float().div(255).sub(0.5).split(500):
            body = lambda x: network[:-1](x)  # noqa: E731
            parts.append(network[-1]((body(x) + body(x.flip(3))) / 2))
        return torch.cat(parts)


def estimate(network, images, labels):
    """Returns the fractions that are correct, and further than each of EPS from a boundary if steps do not expand."""
    out, rows = logits(network, images), network[-1].rows().detach()
    top = out.argmax(1)
    gaps = out.gather(1, top[:, None]) - out
    radii = gaps / (rows[top][:, None] - rows[None]).norm(dim=2).clamp_min(1e-9)
    radius = radii.scatter(1, top[:, None], math.inf).amin(1)
    right = top == labels
    return [right.float().mean().item()] + [(right & (radius >= eps)).float().mean().item() for eps in EPS]


class Averaged:
    """The exponential average of the parameters; the first steps count less."""

    def __init__(self, network, beta=0.998):
        self.network, self.beta, self.steps = copy.deepcopy(network), beta, 0

    @torch.no_grad()
    def add(self, network):
        self.steps += 1
        share = 1 - min(self.beta, (self.steps - 1) / (self.steps + 8))
        for a, w in zip(self.network.parameters(), network.parameters()):
            a.lerp_(w, share)


def train(options, network, images, labels, test):
    device = options.device
    network.to(device)
    if device == "cuda":
        network.to(memory_format=torch.channels_last)
        torch.backends.cudnn.benchmark = True
    loss_of = MarginCrossEntropy(temperature=0.25, offset=options.offset)
    rate = torch.tensor(options.rate, device=device)
    optimizer = Muon(network.parameters(), lr=rate, adam=network[-1].parameters())
    x = torch.zeros(options.batch, 3, 32, 32, device=device)
    y = torch.zeros(options.batch, dtype=torch.int64, device=device)

    def step():
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda", cache_enabled=False):
            out = network(x)
        loss = loss_of(out.float(), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        # Without its history, which would hold on to the stream that it was computed on.
        return loss.detach()

    network.train()
    network(x)  # every flow learns the size of its images
    run, loss = step, torch.zeros(())
    averaged = Averaged(network)
    curve, start, steps, passes, position = [], time.time(), 0, 0.0, len(images)
    mark = start
    while (done := (time.time() - start) / options.seconds) < 1:
        if position + options.batch > len(images):
            order, position = torch.randperm(len(images), device=device), 0
        pick = order[position : position + options.batch]
        position += options.batch
        x.copy_(augment(images[pick].float().div(255).sub(0.5), options.crop))
        y.copy_(labels[pick])
        # Up for a twentieth of the time, and down along a cosine.
        rate.fill_(options.rate * min(1.0, done / 0.05 + 1e-3) * 0.5 * (1 + math.cos(math.pi * done)))
        if device == "cuda" and steps == 5 and not options.eager:
            # The same kernels again and again: recorded once, so that the processor has nothing to do.
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    step()
            torch.cuda.current_stream().wait_stream(stream)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                loss = step()
            run = graph.replay
        result = run()
        loss = loss if result is None else result
        averaged.add(network)
        steps += 1
        passes += options.batch / len(images)
        if time.time() - mark > options.seconds / options.points:
            mark = time.time()
            state = estimate(settled(averaged.network, x), *test)
            curve.append({"seconds": mark - start, "passes": passes, "loss": loss.item(), "estimate": state})
            print(f"{mark - start:5.0f} s, {passes:6.1f} passes, loss {loss.item():.4f}, " + figures(state), flush=True)
    return settled(averaged.network, x), curve, passes


def settled(network, x):
    """Returns the network with steps that follow the norms of its weights, ready for use."""
    network.train()
    with torch.no_grad():
        for _ in range(30):
            network(x[:1])
    return network.eval()


def figures(state):
    names = ["clean"] + [f"{round(255 * eps)}/255" for eps in EPS]
    return ", ".join(f"{name} {100 * value:.2f} %" for name, value in zip(names, state))


def halve(network):
    """Rounds the weights to half precision: the file has half the size, and the steps that are proved are those for these."""
    with torch.no_grad():
        for module in network:
            for weight in module.parameters():
                weight.copy_(weight.half().float())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the directory of CIFAR-10 in its binary layout")
    parser.add_argument("--out", default="cifar10", help="the files that are written, without their endings")
    parser.add_argument("--network", choices=NETWORKS, default="wide")
    parser.add_argument("--minutes", dest="seconds", type=lambda text: 60 * float(text), default=420.0, help="of training")
    parser.add_argument("--seconds", type=float, help="of training")
    parser.add_argument("--offset", type=float, default=0.3, help="the radius that the loss asks for")
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--crop", type=int, default=3)
    parser.add_argument("--points", type=int, default=12, help="of the curve")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=10_000, help="test images that are certified; 0 leaves that to others")
    parser.add_argument("--eager", action="store_true", help="do not record the step as a CUDA graph")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")

    load = lambda names: [t.to(options.device) for t in read(options.data, names)]  # noqa: E731
    images, labels = load([f"data_batch_{i}.bin" for i in range(1, 6)])
    test = load(["test_batch.bin"])
    network = NETWORKS[options.network]()
    count = sum(p.numel() for p in network.parameters())
    print(f"{options.network}: {count} parameters, {options.seconds:.0f} s of training", flush=True)
    network, curve, passes = train(options, network, images, labels, test)

    # From here on on the processor, in single precision. PyTorch's part ends with the weights.
    network = network.float().cpu()
    halve(network)
    settled(network, torch.zeros(1, 3, 32, 32))
    prove_steps(network)
    model = dq.from_torch(network, (3, 32, 32), normalize=(0.5, 1.0)).mirror_mean().half()
    model.save(options.out + ".safetensors")
    report = {"options": vars(options), "parameters": count, "passes": passes, "curve": curve, "sha256": model.sha256}
    if options.images:
        sealed = model.seal(summation="declared")
        some = slice(0, options.images)
        x, y = test[0][some].cpu().numpy(), test[1][some].cpu().numpy()
        for semantics in ("exact", "executed"):
            result = sealed.certify(x, y, semantics=semantics)
            state = [result.clean_accuracy] + [float(result.accuracy(eps)) for eps in EPS]
            report[semantics] = state
            print(f"{semantics}: " + figures(state), flush=True)
        report["features"] = float(sealed.features)
    Path(options.out + ".json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

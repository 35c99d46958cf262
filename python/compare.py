"""What is proved of a plain network of PyTorch, and how long it takes. `python compare.py`, with torch and scikit-learn.

With auto_LiRPA in the path (`git clone https://github.com/Verified-Intelligence/auto_LiRPA`, its newest release: PyPI has an old
one), its bounds stand beside it. A network with two hidden layers of 64 neurons, trained on scikit-learn's digits; how many of 500 test samples keep their prediction
at every Euclidean distance up to `EPS`, and the processor time of the proofs after one that warms up. Then, at several distances in
two norms, what linear and quadratic bounds certify of them, and what an attack leaves.
"""

from __future__ import annotations

import importlib.util
import time
import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import dahlquist as dq

EPS = 0.25


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns training samples and labels, and those of the test."""
    data = load_digits()
    x, y = (data.data / 16).astype(np.float32), data.target
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:-500], order[-500:]
    return x[train], y[train], x[test], y[test]


def train(network: nn.Module, x: np.ndarray, y: np.ndarray, loss, decay: float) -> nn.Module:
    """Returns the network after 60 passes over the samples."""
    optimizer = torch.optim.Adam(network.parameters(), 3e-3, weight_decay=decay)
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(60):
        for part in torch.randperm(len(inputs)).split(128):
            optimizer.zero_grad()
            loss(network(inputs[part]), labels[part]).backward()
            optimizer.step()
    return network.eval()


def report(name: str, certified, x: np.ndarray) -> None:
    """Prints how much is certified, and how long that takes."""
    certified(x[:8])
    start = time.process_time()
    held = certified(x)
    seconds = time.process_time() - start
    print(f"{name:45} certified {100 * held.mean():5.1f} %   {seconds:6.2f} s of processor time")


def ladder(model: dq.Model, x: np.ndarray, y: np.ndarray, norm: str, eps: list[float], pixels: tuple[float, float] | None) -> None:
    """Prints, for some distances, how much linear and quadratic bounds certify as executed, and what an attack leaves."""
    sealed = model.seal()
    print(f"\n{norm}, {'inputs in ' + str(pixels) if pixels else 'any input'}: eps {eps}")
    percent = lambda fractions: ", ".join(f"{100 * f:5.1f}" for f in fractions)  # noqa: E731
    for name, options in (("linear", {}), ("quadratic", {"quadratic": True})):
        start = time.process_time()
        r = sealed.certify(x, y, norm=norm, range=pixels, decide=eps, **options)
        print(f"  {name:10} {percent(((r.prediction == y) & (r.radius > e)).mean() for e in eps)} %   {time.process_time() - start:6.2f} s")
    attacked = sealed.attack(x, y, eps=eps, norm=norm, steps=100, starts=5, range=pixels)
    print(f"  {'attack':10} {percent(attacked.accuracy())} %")


def lirpa(network: nn.Module, method: str):
    """Returns which samples auto_LiRPA certifies at EPS: the margins of all other classes are positive in floating point."""
    from auto_LiRPA import BoundedModule, BoundedTensor
    from auto_LiRPA.perturbations import PerturbationLpNorm

    bounded = BoundedModule(network, torch.zeros(1, 64))

    def certified(x: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(x)
        with torch.no_grad():
            top = network(x).argmax(1)
        unit = torch.eye(10)
        others = torch.stack([unit[torch.arange(10) != t] for t in top])
        margins = unit[top][:, None] - others
        ball = BoundedTensor(x, PerturbationLpNorm(norm=2, eps=EPS))
        low, _ = bounded.compute_bounds(x=(ball,), C=margins, method=method, bound_upper=False)
        return (low.detach() > 0).all(1).numpy()

    return certified


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y, test, labels = digits()
    plain = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    train(plain, x, y, nn.functional.cross_entropy, 1e-4)
    model = dq.from_torch(plain, 64)
    print(f"plain network: accuracy {100 * (model.predict(test).argmax(1) == labels).mean():.1f} % of {len(test)} samples, eps {EPS}")
    ways = {"": {}, ", decide": {"decide": EPS}, ", local": {"local": True}, ", decide, quadratic": {"decide": EPS, "quadratic": True}}
    for semantics, (name, options) in ((s, way) for s in ("exact", "executed") for way in ways.items()):
        # A model that is sealed anew: the time holds the proof of the network.
        prove = lambda x: dq.from_torch(plain, 64).seal().certify(x, semantics=semantics, **options).radius > EPS  # noqa: B023, E731
        report(f"  dahlquist, {semantics}{name}", prove, test)
    for pixels in (None, (0.0, 1.0)):
        ladder(model, test, labels, "l2", [36 / 255, 0.25, 108 / 255], pixels)
        ladder(model, test, labels, "linf", [0.02, 0.04, 0.06], pixels)
    if importlib.util.find_spec("auto_LiRPA"):
        warnings.simplefilter("ignore")
        for method in ("CROWN", "CROWN-Optimized"):
            report(f"  auto_LiRPA, {method}", lirpa(plain, method), test)


if __name__ == "__main__":
    main()

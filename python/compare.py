"""What this package and auto_LiRPA prove of one network, and how long it takes. `python compare.py`, with torch, scikit-learn and,
if it is there, auto_LiRPA.

A network with two hidden layers of 64 neurons, trained on scikit-learn's digits; the samples of the test set that keep their
prediction at every Euclidean distance up to `EPS`, and the processor time of the proofs after one that warms up.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import dahlquist as dq

EPS = 0.25


def trained() -> tuple[nn.Module, np.ndarray, np.ndarray]:
    """Returns a network, and samples with their labels."""
    torch.manual_seed(0)
    data = load_digits()
    x, y = (data.data / 16).astype(np.float32), data.target
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:-500], order[-500:]
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3, weight_decay=1e-4)
    inputs, labels = torch.from_numpy(x[train]), torch.from_numpy(y[train])
    for _ in range(60):
        for part in torch.randperm(len(inputs)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs[part]), labels[part]).backward()
            optimizer.step()
    return network.eval(), x[test], y[test]


def dahlquist(network, x, local: bool, semantics: str):
    """Returns which samples are certified, by this package."""
    r = dq.from_torch(network, 64).seal().certify(x, semantics=semantics, local=local)
    return r.radius > EPS


def lirpa(network, x, method: str):
    """Returns which samples auto_LiRPA certifies, in single precision, without a bound of its own rounding errors."""
    from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm

    x = torch.from_numpy(x)
    bounded = BoundedModule(network, x)
    label = network(x).argmax(1)
    classes = torch.eye(10)
    c = classes[label][:, None] - classes[None]
    c = c[~torch.nn.functional.one_hot(label, 10).bool()].view(len(x), 9, 10)
    lower, _ = bounded.compute_bounds(
        x=(BoundedTensor(x, PerturbationLpNorm(norm=2, eps=EPS)),), C=c, method=method, bound_upper=False
    )
    return (lower > 0).all(1).detach().numpy()


def main() -> None:
    torch.set_num_threads(1)
    network, x, y = trained()
    with torch.no_grad():
        correct = (network(torch.from_numpy(x)).argmax(1).numpy() == y).mean()
    print(f"{len(x)} samples, accuracy {100 * correct:.1f} %, eps {EPS}")
    rows = [("dahlquist, exact", lambda x: dahlquist(network, x, False, "exact")),
            ("dahlquist, exact, local", lambda x: dahlquist(network, x, True, "exact")),
            ("dahlquist, executed, local", lambda x: dahlquist(network, x, True, "executed"))]
    try:
        import auto_LiRPA

        rows += [(f"auto_LiRPA {auto_LiRPA.__version__}, {m}", lambda x, m=m: lirpa(network, x, m)) for m in ("IBP", "CROWN")]
    except ImportError as error:
        print(f"auto_LiRPA: {error}")
    found = {}
    for name, prove in rows:
        prove(x[:8])
        start = time.process_time()
        found[name] = prove(x)
        seconds = time.process_time() - start
        print(f"{name:30} certified {100 * found[name].mean():5.1f} %   {seconds:7.2f} s of processor time")


if __name__ == "__main__":
    main()

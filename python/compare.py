"""What is proved of networks of PyTorch and of deel-torchlip, and how long it takes. `python compare.py`, with torch, scikit-learn
and deel-torchlip.

Networks with two hidden layers of 64 neurons, trained on scikit-learn's digits; how many of 500 test samples keep their prediction
at every Euclidean distance up to `EPS`, and the processor time of the proofs after one that warms up.
"""

from __future__ import annotations

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


def report(name: str, prove, x: np.ndarray) -> None:
    """Prints how much is certified, and how long that takes."""
    prove(x[:8])
    start = time.process_time()
    radii = prove(x)
    seconds = time.process_time() - start
    print(f"{name:45} certified {100 * (radii > EPS).mean():5.1f} %   {seconds:6.2f} s of processor time")


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y, test, labels = digits()
    plain = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    train(plain, x, y, nn.functional.cross_entropy, 1e-4)
    model = dq.from_torch(plain, 64)
    print(f"plain network: accuracy {100 * (model.predict(test).argmax(1) == labels).mean():.1f} % of {len(test)} samples, eps {EPS}")
    for semantics, local in (("exact", False), ("exact", True), ("executed", True)):
        # A model that is sealed anew: the time holds the proof of the network.
        prove = lambda x: dq.from_torch(plain, 64).seal().certify(x, semantics=semantics, local=local).radius  # noqa: B023, E731
        report(f"  dahlquist, {semantics}{', local' * local}", prove, test)

    from deel import torchlip

    lipschitz = torchlip.Sequential(
        torchlip.SpectralLinear(64, 64), torchlip.GroupSort2(), torchlip.SpectralLinear(64, 64), torchlip.GroupSort2(),
        torchlip.FrobeniusLinear(64, 10, disjoint_neurons=True),
    )
    train(lipschitz, x, y, dq.torch.MarginCrossEntropy(0.1, 0.3), 0.0)
    vanilla = lipschitz.vanilla_export()
    sealed = dq.from_torch(vanilla, 64).seal()
    accuracy = (sealed.predict(test).argmax(1) == labels).mean()
    print(f"deel-torchlip's network: accuracy {100 * accuracy:.1f} %, features proved to be {sealed.features!r}-Lipschitz")

    def claimed(x: np.ndarray) -> np.ndarray:
        # Of a network that is 1-Lipschitz up to a head with rows of norm 1, by the rule that its layers aim at.
        with torch.no_grad():
            first, second = vanilla(torch.from_numpy(x)).topk(2).values.T
        return ((first - second) / 2**0.5).numpy()

    report("  by the constant 1 that it is trained for", claimed, test)
    report("  dahlquist, exact", lambda x: dq.from_torch(vanilla, 64).seal().certify(x, semantics="exact").radius, test)
    report("  dahlquist, executed", lambda x: dq.from_torch(vanilla, 64).seal().certify(x).radius, test)


if __name__ == "__main__":
    main()

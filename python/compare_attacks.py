"""How much the attack finds, beside AutoAttack. `python compare_attacks.py`, with torch, scikit-learn and torchattacks (PyPI).

AutoAttack (Croce, Hein, ICML 2020) is four attacks one after the other: two of gradients, one of boundaries, one without gradients.
Two networks are trained on scikit-learn's digits, and attacked where they are right. The smaller number of survivors is the better
attack. The best of both together is what is known of the true robust accuracy from above, the certificate from below.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import torch
from compare import digits, train
from torch import nn
from torchattacks import AutoAttack

import dahlquist as dq

BALLS = {"l2": [0.25, 0.5, 0.75], "linf": [0.03, 0.06, 0.1]}
NAMES = {"l2": "L2", "linf": "Linf"}
EFFORTS = {"2 starts of 20 steps, the default": {}, "9 starts of 100 steps": {"starts": 9, "steps": 100}}


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Returns a dense and a convolutional network, not trained yet, and the shapes of their inputs."""
    dense = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    convolutions = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()]
    return {"dense": (dense, (64,)), "convolutional": (nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(256, 10)), (1, 8, 8))}


def timed(attack) -> tuple[np.ndarray, float]:
    """Returns what an attack returns, and its processor time."""
    start = time.process_time()
    found = attack()
    return found, time.process_time() - start


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, (network, shape) in networks().items():
        x, y, test, labels = digits()
        x, test = x.reshape(-1, *shape), test.reshape(-1, *shape)
        train(network, x, y, nn.functional.cross_entropy, 1e-4)
        model = dq.from_torch(network, shape if len(shape) > 1 else shape[0])
        certified = model.seal().certify(test, labels, local=True)
        # AutoAttack wants images.
        images = nn.Sequential(nn.Flatten(), network) if len(shape) == 1 else network
        points, targets = torch.from_numpy(test.reshape(-1, 1, 8, 8)), torch.from_numpy(labels)
        for norm, radii in BALLS.items():
            for eps in radii:
                rows = {}
                other = AutoAttack(images, norm=NAMES[norm], eps=eps, version="standard", n_classes=10, seed=0)
                near, seconds = timed(lambda other=other: other(points, targets))
                with torch.no_grad():
                    alone = (images(near).argmax(1) == targets).numpy()
                rows["AutoAttack"] = alone, seconds
                for effort, options in EFFORTS.items():
                    found, seconds = timed(lambda options=options: dq.attack(model, test, labels, eps=eps, norm=norm, **options))
                    rows[effort] = found.distance > eps, seconds
                print(f"{name}, {norm} {eps}:")
                for attack, (survive, seconds) in rows.items():
                    print(f"  {attack:35} {100 * survive.mean():5.1f} % survive   {seconds:7.2f} s of processor time")
                together = np.logical_and.reduce([survive for survive, _ in rows.values()])
                print(f"  {'all of them together':35} {100 * together.mean():5.1f} %")
                if norm == "l2":
                    print(f"  {'certified':35} {100 * certified.accuracy(eps):5.1f} %", flush=True)


if __name__ == "__main__":
    main()

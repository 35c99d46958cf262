"""Trainable PyTorch modules that are layers of the crate: train where PyTorch runs, prove here.

>>> from torch import nn
>>> import torch, dahlquist as dq
>>> from dahlquist.torch import GradientFlow, UnitRows, prove_steps
>>> torch.manual_seed(0).__class__.__name__
'Generator'
>>> network = nn.Sequential(GradientFlow(8, 16), GradientFlow(8, 16, method="rk4"), UnitRows(8, 3))
>>> _ = network(torch.rand(4, 8))       # training: the steps follow the norms of the weights
>>> prove_steps(network)                # and now they are as long as is proved not to expand
>>> dq.from_torch(network, 8).seal().features
1.0
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ._flow import GradientField
from ._muon import Muon
from ._stiefel import Stiefel
from ._tableau import Tableau
from .importers._graph import Node, Unsupported

__all__ = ["EMMA", "GradientFlow", "MarginCrossEntropy", "MaxMin", "Muon", "Shift", "Stiefel", "UnitRows", "prove_steps"]

#: Functions with slopes in [0, L], and L.
_ACTIVATIONS = {
    "relu": (torch.relu, 1.0), "tanh": (torch.tanh, 1.0), "sigmoid": (torch.sigmoid, 0.25), "softplus": (F.softplus, 1.0),
}


class GradientFlow(nn.Module):
    """Steps of a Runge-Kutta method for ``x' = -W' sigma(Wx + b)``, as long as numerical analysis allows.

    Parameters
    ----------
    features : int
        The features, or channels, of a point.
    neurons : int
        The rows of ``W``, or its output channels.
    kernel_size : int, optional
        Odd. With it ``W`` is a convolution that keeps the size of the image.
    activation : {"relu", "tanh", "sigmoid", "softplus"}
        The function ``sigma``.
    method : str
        An explicit method with a positive radius of circle contractivity.
    steps : int
        The number of steps.
    fraction : float
        In (0, 1]: the length of a step, in parts of the longest one that does not expand.
    padding_mode : {"zeros", "circular"}
        Of a convolution.

    Notes
    -----
    In training mode each pass improves an estimate of ``|W|`` by one step of power iteration, and the step follows it, with
    its gradient. In evaluation mode nothing changes. :func:`prove_steps` replaces estimates by proofs.
    """

    def __init__(
        self, features: int, neurons: int, kernel_size: int | None = None, *, activation: str = "relu", method: str = "euler",
        steps: int = 1, fraction: float = 1.0, padding_mode: str = "zeros",
    ):
        super().__init__()
        tableau = Tableau(method)
        if not tableau.is_explicit:
            raise ValueError(f"the method {method} is implicit")
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation = {activation!r}: it is one of {', '.join(map(repr, _ACTIVATIONS))}")
        if kernel_size is not None and kernel_size % 2 == 0:
            raise ValueError("kernel_size must be odd")
        if not 0 < fraction <= 1 or steps < 1 or padding_mode not in ("zeros", "circular"):
            raise ValueError("fraction is in (0, 1], steps at least 1, and padding_mode zeros or circular")
        self.activation, self.method, self.steps, self.fraction = activation, method, steps, fraction
        self.padding_mode, self.kernel_size = padding_mode, kernel_size
        self._sigma, self._slope = _ACTIVATIONS[activation]
        self._radius = tableau.circle_radius
        self._a, self._b = tableau.a.tolist(), tableau.b.tolist()
        shape = (neurons, features) if kernel_size is None else (neurons, features, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.randn(shape) / math.sqrt(math.prod(shape[1:])))
        self.bias = nn.Parameter(torch.zeros(neurons))
        self.register_buffer("step", torch.tensor(0.0))
        self.register_buffer("direction", torch.zeros(0), persistent=False)
        self.space: tuple[int, ...] | None = (features,) if kernel_size is None else None
        self._improve(torch.zeros(1, features, *([16, 16] if kernel_size else [])), rounds=10)

    def _linear(self, x: torch.Tensor) -> torch.Tensor:
        if self.kernel_size is None:
            return F.linear(x, self.weight)
        return F.conv2d(self._pad(x), self.weight)

    def _adjoint(self, z: torch.Tensor) -> torch.Tensor:
        if self.kernel_size is None:
            return F.linear(z, self.weight.t())
        # The taps the other way round: for an odd kernel and this padding it is the exact transpose.
        return F.conv2d(self._pad(z), self.weight.flip(2, 3).transpose(0, 1))

    def _pad(self, x: torch.Tensor) -> torch.Tensor:
        p = self.kernel_size // 2
        return F.pad(x, (p, p, p, p), mode="circular") if self.padding_mode == "circular" else F.pad(x, (p, p, p, p))

    def _field(self, x: torch.Tensor) -> torch.Tensor:
        bias = self.bias if self.kernel_size is None else self.bias[:, None, None]
        return -self._adjoint(self._sigma(self._linear(x) + bias))

    def _improve(self, x: torch.Tensor, rounds: int = 1) -> torch.Tensor:
        """Improves the estimate of the norm, and returns the step that follows from it, with its gradient."""
        weight = self.weight
        with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
            v = self.direction
            if v.shape[1:] != x.shape[1:] or v.numel() == 0:
                generator = torch.Generator().manual_seed(0)
                v = torch.randn(1, *x.shape[1:], generator=generator).to(weight)
            for _ in range(rounds):
                v = self._adjoint(self._linear(v))
                v = v / v.norm().clamp_min(torch.finfo(v.dtype).tiny)
            if self.direction.shape == v.shape:
                # In place: a CUDA graph replays with the same memory.
                self.direction.copy_(v)
            else:
                self.direction = v
        # Never in half precision: three digits of a norm are too few.
        with torch.autocast(weight.device.type, enabled=False):
            curvature = self._slope * self._linear(v).square().sum()
        step = self.fraction * 2 * self._radius / curvature.clamp_min(1e-12)
        with torch.no_grad():
            self.step.copy_(step)
        return step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the state after all steps, of the shape of `x`."""
        self.space = tuple(x.shape[1:])
        h = self._improve(x) if self.training else self.step
        h = h.to(x.dtype)
        for _ in range(self.steps):
            slopes: list[torch.Tensor] = []
            for row in self._a:
                stage = x
                for a, slope in zip(row, slopes):
                    if a:
                        stage = stage + (h * a) * slope
                slopes.append(self._field(stage))
            for b, slope in zip(self._b, slopes):
                x = x + (h * b) * slope
        return x

    def _operator(self) -> dict:
        from . import _arrays

        weight, bias = _arrays.weights(self.weight), _arrays.weights(self.bias)
        if self.kernel_size is None:
            return {"type": "dense", "weight": weight, "bias": bias}
        return {"type": "conv2d", "weight": weight, "bias": bias, "padding": "same", "padding_mode": self.padding_mode}

    @staticmethod
    def _dahlquist_rule(module: GradientFlow, x: Node, name: str, only_user: bool) -> Node:
        if len(x.shape) != (1 if module.kernel_size is None else 3) or x.flat:
            raise Unsupported(f"a GradientFlow on a value of shape {x.shape}")
        layer = {
            "type": "flow", "_name": name, "method": module.method, "step": float(module.step), "steps": module.steps,
            "field": {
                "type": "gradient", "activation": {"function": module.activation},
                "operator": {"_name": name, **module._operator()},
            },
        }
        return Node([x], [layer], x.shape)

    def to_dahlquist(self, input_shape):
        """Returns the layer as a model."""
        from ._imports import from_torch

        return from_torch(self, input_shape)


def prove_steps(network: nn.Module) -> None:
    """Makes the steps of every :class:`GradientFlow` as long as is proved not to expand, in parts of its ``fraction``.

    For convolutions the size of the images is that of the last pass.
    """
    for module in network.modules():
        if not isinstance(module, GradientFlow):
            continue
        if module.space is None:
            raise ValueError("the size of the images is not known: call the network on samples first")
        operator = module._operator()
        field = GradientField(
            operator["weight"], activation=module.activation, space=module.space, padding_mode=module.padding_mode
        )
        # |W| is proved as that of a network of one layer.
        from ._model import Model

        bound = Model(module.space, [field._operator]).seal().lipschitz
        longest = np.float64(2 * module._radius * module.fraction) / (module._slope * bound * bound)
        # Rounded down, with a little for the roundings of this line itself.
        step = np.nextafter(np.float32(longest * (1 - 1e-12)), np.float32(0))
        with torch.no_grad():
            module.step.fill_(float(step))
            # In half precision it was rounded once more.
            while float(module.step) > step:
                module.step.copy_(torch.nextafter(module.step, torch.zeros_like(module.step)))


class UnitRows(nn.Module):
    """A linear head whose rows have norm 1: a difference of two logits is sqrt(2)-Lipschitz at most.

    Parameters
    ----------
    features, classes : int
        The sizes.
    """

    def __init__(self, features: int, classes: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, features) / math.sqrt(features))
        self.bias = nn.Parameter(torch.zeros(classes))

    def rows(self) -> torch.Tensor:
        """Returns the rows that are used."""
        return self.weight / self.weight.norm(dim=1, keepdim=True).clamp_min(1e-12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the logits, of shape ``(samples, classes)``."""
        return F.linear(x, self.rows(), self.bias)

    @staticmethod
    def _dahlquist_rule(module: UnitRows, x: Node, name: str, only_user: bool) -> Node:
        from . import _arrays
        from .importers._build import linear

        return linear(x, _arrays.weights(module.rows()), _arrays.weights(module.bias), name)

    def to_dahlquist(self, input_shape=None):
        """Returns the layer as a model."""
        from ._imports import from_torch

        return from_torch(self, input_shape or self.weight.shape[1])


class MaxMin(nn.Module):
    """Sorts channels in pairs of neighbours: 1-Lipschitz, and no gradient is lost."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the channels, in ascending order in each pair."""
        pairs = x.unflatten(1, (-1, 2))
        return torch.stack([pairs.amin(2), pairs.amax(2)], 2).flatten(1, 2)

    @staticmethod
    def _dahlquist_rule(module: MaxMin, x: Node, name: str, only_user: bool) -> Node:
        from .importers._build import sort

        return sort(x, 2)

    def to_dahlquist(self, input_shape):
        """Returns the layer as a model."""
        from ._imports import from_torch

        return from_torch(self, input_shape)


class Shift(nn.Module):
    """Moves groups of channels by whole pixels around a torus: an isometry that lets neighbours meet.

    Parameters
    ----------
    groups : sequence of (int, int, int)
        Each group is ``(channels, down, right)``: that many channels move by that many rows and columns. The channels
        behind the last group stay.
    """

    def __init__(self, groups):
        super().__init__()
        self.groups = [tuple(int(n) for n in group) for group in groups]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns images of the shape of `x`."""
        pieces, start = [], 0
        for channels, rows, columns in self.groups:
            pieces.append(torch.roll(x[:, start : start + channels], (rows, columns), (2, 3)))
            start += channels
        return torch.cat([*pieces, x[:, start:]], 1)

    @staticmethod
    def _dahlquist_rule(module: Shift, x: Node, name: str, only_user: bool) -> Node:
        if len(x.shape) != 3 or x.flat or sum(group[0] for group in module.groups) > x.shape[0]:
            raise Unsupported(f"a Shift of the groups {module.groups} on a value of shape {x.shape}")
        return Node([x], [{"type": "shift", "groups": [list(g) for g in module.groups], "mode": "circular"}], x.shape)

    def to_dahlquist(self, input_shape):
        """Returns the layer as a model."""
        from ._imports import from_torch

        return from_torch(self, input_shape)


class MarginCrossEntropy(nn.Module):
    """Cross-entropy with a temperature and a margin: ``-t log softmax((f - sqrt(2) k 1_y)/t)_y``, the mean over samples.

    Parameters
    ----------
    temperature : float
        ``t``: the lower, the more weight for samples near a boundary.
    offset : float
        ``k``: the radius that the loss asks for, in units of the input, for a 1-Lipschitz network with unit rows.

    Notes
    -----
    Source: Prach, Lampert, *Almost-orthogonal layers for efficient general-purpose Lipschitz networks*, ECCV 2022.
    """

    def __init__(self, temperature: float = 0.25, offset: float = 0.2):
        super().__init__()
        self.temperature, self.offset = temperature, offset

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Returns the loss."""
        margin = math.sqrt(2) * self.offset * F.one_hot(labels, logits.shape[1])
        return self.temperature * F.cross_entropy((logits - margin) / self.temperature, labels)


class EMMA(nn.Module):
    """Efficient margin maximization: each other class is raised by what a perturbation could add to it.

    The logit of class ``j`` becomes ``f_j + min(r_j, eps) L |w_y - w_j|`` with the radius ``r_j`` at which it would reach the
    label, not differentiated, so that no class is raised above it.

    Parameters
    ----------
    eps : float
        The radius that is trained for.

    Notes
    -----
    Source: Hu, Leino, Wang, Fredrikson, *A recipe for improved certifiable robustness*, ICLR 2024.
    """

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps

    def forward(self, logits: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor, lipschitz=1.0) -> torch.Tensor:
        """Returns the loss; `rows` are those of the head, `lipschitz` a bound of the layers before it."""
        slopes = lipschitz * (rows[labels][:, None] - rows[None]).norm(dim=2)
        with torch.no_grad():
            lead = logits.gather(1, labels[:, None]) - logits
            radius = (lead / slopes.clamp_min(1e-12)).clamp(0, self.eps)
        return F.cross_entropy(logits + radius * slopes, labels)

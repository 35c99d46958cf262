"""The optimizer with orthogonalized momentum. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Iterable

import torch

__all__ = ["Muon"]

#: ``p(s) = a s + b s^3 + c s^5``: five times in a row, it takes every singular value in about [0.002, 1] into [0.68, 1.21].
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def orthogonalize(g: torch.Tensor) -> torch.Tensor:
    """Returns about ``U V'`` for each matrix ``G = U S V'`` of a stack: its singular values are near 1, and zeros stay zeros."""
    a, b, c = _COEFFICIENTS
    wide = g.shape[-2] <= g.shape[-1]
    x = g if wide else g.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.mT


class Muon(torch.optim.Optimizer):
    """Orthogonalized momentum for matrices, Adam for everything else.

    ``M <- mu M + G`` and ``W <- W - lr O(G + mu M)``, where ``O(USV')`` is about ``UV'``: every direction moves by about the
    same length, so that weak ones are learned too. A step of a :class:`~dahlquist.torch.GradientFlow` depends on the direction
    of its ``W`` alone, and ``lr`` is an angle, over ``|W|``.

    Parameters
    ----------
    params : iterable of Parameter
        Those with two axes or more move by orthogonalized momentum; a convolution is the matrix of its output channels.
    adam : iterable of Parameter
        Matrices that move by Adam all the same: those of the last layer.
    lr : float or Tensor
        The learning rate of matrices. A tensor may change inside a CUDA graph.
    momentum : float
        ``mu`` in [0, 1).
    vector_rate : float
        The learning rate of Adam, over `lr`.
    betas : (float, float)
        Those of Adam.

    Notes
    -----
    It is the optimizer ``MUON`` of the crate. Source: Jordan et al., *Muon: an optimizer for hidden layers in neural networks*,
    2024; Kingma, Ba, *Adam: a method for stochastic optimization*, ICLR 2015.

    Examples
    --------
    >>> import torch
    >>> from dahlquist.torch import Muon
    >>> w = torch.nn.Parameter(torch.zeros(2, 3))
    >>> optimizer = Muon([w], lr=0.1)
    >>> (w[0, 0] + 0.01 * w[1, 1]).backward()
    >>> optimizer.step()
    >>> bool((0.06 < -w[0, 0]) & (-w[0, 0] < 0.13) & (0.06 < -w[1, 1]) & (-w[1, 1] < 0.13))
    True
    """

    def __init__(
        self, params: Iterable, lr: float | torch.Tensor = 0.1, momentum: float = 0.9, *, adam: Iterable = (),
        vector_rate: float = 0.02, betas: tuple[float, float] = (0.9, 0.99),
    ):
        if not (lr > 0 and 0 <= momentum < 1 and vector_rate > 0 and all(0 <= beta < 1 for beta in betas)):
            raise ValueError("lr and vector_rate are positive, momentum and betas in [0, 1)")
        params, slow = list(params), list(adam)
        known = {id(p) for p in slow}
        rest = [p for p in params if id(p) not in known]
        groups = [
            {"params": [p for p in rest if p.ndim >= 2], "matrices": True},
            {"params": slow + [p for p in rest if p.ndim < 2], "matrices": False},
        ]
        defaults = {"lr": lr, "momentum": momentum, "vector_rate": vector_rate, "betas": tuple(betas)}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure=None):
        """Makes one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if not moved:
                continue
            device = moved[0].device.type
            with torch.autocast(device, enabled=False):
                (self._matrices if group.get("matrices") else self._vectors)(moved, group)
        return loss

    def _matrices(self, weights: list, group: dict) -> None:
        shapes: dict[tuple, list] = {}
        for weight in weights:
            state = self.state[weight]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(weight)
            state["momentum"].mul_(group["momentum"]).add_(weight.grad)
            shapes.setdefault((len(weight), weight.numel() // len(weight), weight.dtype), []).append(weight)
        for (rows, columns, _), alike in shapes.items():
            ahead = [w.grad + group["momentum"] * self.state[w]["momentum"] for w in alike]
            moves = orthogonalize(torch.stack([a.reshape(rows, columns) for a in ahead]))
            for weight, move in zip(alike, moves):
                weight.sub_(group["lr"] * move.reshape(weight.shape))

    def _vectors(self, weights: list, group: dict) -> None:
        first, second = group["betas"]
        for weight in weights:
            state = self.state[weight]
            if "mean" not in state:
                state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
                state["products"] = torch.ones(2, dtype=torch.float64, device=weight.device)
                state["betas"] = torch.tensor([first, second], dtype=torch.float64, device=weight.device)
            state["mean"].lerp_(weight.grad, 1 - first)
            state["square"].mul_(second).addcmul_(weight.grad, weight.grad, value=1 - second)
            state["products"].mul_(state["betas"])
            c1, c2 = (1 - state["products"]).to(weight.dtype)
            weight.sub_(group["lr"] * group["vector_rate"] * (state["mean"] / c1) / ((state["square"] / c2).sqrt() + 1e-8))

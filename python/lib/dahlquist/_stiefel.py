"""The optimizer for matrices with orthonormal rows. Needs PyTorch."""

from __future__ import annotations

import torch

__all__ = ["Stiefel"]

#: The iterations that take singular values in [1, sqrt(2)], which a step has, to 1 in double precision.
_ITERATIONS = 9


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    return weight.reshape(len(weight), -1)


def _nearest(w: torch.Tensor) -> torch.Tensor:
    """Returns the matrix with orthonormal rows that is nearest, by the iteration of Newton and Schulz."""
    for _ in range(_ITERATIONS):
        w = 1.5 * w - 0.5 * (w @ w.mT) @ w
    return w


class Stiefel(torch.optim.Optimizer):
    """Gradient descent with momentum among matrices with orthonormal rows, ``W W' = I``.

    A step of a :class:`~dahlquist.torch.GradientFlow` with such a ``W``, as long as it may be, is an isometry almost everywhere
    for ``relu``: gradients and margins do not fade. Nothing that is proved rests on the rows being orthonormal.

    Parameters
    ----------
    params : iterable of Parameter
        Matrices with at most as many rows as columns; a convolution is the matrix of its output channels. Their rows are made
        orthonormal at once. Give everything else to another optimizer.
    lr : float
        The learning rate.
    momentum : float
        In [0, 1).

    Notes
    -----
    The gradient ``G`` becomes tangent, ``G - sym(G W') W``, and so does the momentum ``M``. The step ``h M`` is made shorter where
    its norm is more than 1. Then ``(W - h M)(W - h M)' = I + h^2 M M'`` has eigenvalues in [1, 2], and the iteration
    ``W <- (3 W - W W' W)/2`` converges to the nearest matrix with orthonormal rows. It is computed in single precision or
    better, whatever autocast says.

    Source: Absil, Mahony, Sepulchre, *Optimization Algorithms on Matrix Manifolds*, Princeton 2008, sections 3.6 and 4.1;
    Bjorck, Bowie, *An iterative algorithm for computing the best estimate of an orthogonal matrix*, SIAM J. Numer. Anal. 8, 1971.

    Examples
    --------
    >>> import torch
    >>> from dahlquist.torch import Stiefel
    >>> w = torch.nn.Parameter(torch.ones(1, 4))
    >>> optimizer = Stiefel([w], lr=0.1)
    >>> bool((w @ w.T - 1).abs() < 1e-6)
    True
    """

    def __init__(self, params, lr: float = 0.05, momentum: float = 0.9):
        if not (lr > 0 and 0 <= momentum < 1):
            raise ValueError("lr is positive, and momentum in [0, 1)")
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def add_param_group(self, group: dict) -> None:
        """Adds parameters, whose rows become orthonormal."""
        super().add_param_group(group)
        with torch.no_grad():
            for weight in self.param_groups[-1]["params"]:
                w = _matrix(weight)
                if weight.ndim < 2 or w.shape[0] > w.shape[1]:
                    raise ValueError(f"{tuple(weight.shape)}: a matrix with more rows than columns cannot have orthonormal rows")
                if weight.dtype not in (torch.float32, torch.float64):
                    raise ValueError(f"{weight.dtype}: rows are orthonormal in float32 or float64")
                u, s, v = torch.linalg.svd(w, full_matrices=False)
                if not s[-1] > s[0] * torch.finfo(s.dtype).eps:
                    raise ValueError("the rows are not linearly independent, and no matrix is the nearest")
                weight.copy_(_nearest(u @ v).reshape(weight.shape))

    @torch.no_grad()
    def step(self, closure=None):
        """Makes one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    with torch.autocast(weight.device.type, enabled=False):
                        self._step(weight, group["lr"], group["momentum"])
        return loss

    def _step(self, weight: torch.Tensor, lr: float, momentum: float) -> None:
        state, w = self.state[weight], _matrix(weight)
        gradient = _matrix(weight.grad).to(w.dtype)
        moved = momentum * state["momentum"] + gradient if "momentum" in state else gradient
        product = moved @ w.mT
        moved = moved - 0.5 * (product + product.mT) @ w
        state["momentum"] = moved
        length = lr * moved.norm()
        weight.copy_(_nearest(w - lr / length.clamp_min(1.0) * moved).reshape(weight.shape))

"""Functions of every coordinate, by those that a model has: scaled, shifted and added where a network has others."""

from __future__ import annotations

import math

import numpy as np

from . import _build as build
from ._axes import moved, unmoved
from ._graph import Node, Unsupported


def activation(x: Node, function: str, **constants) -> Node:
    """Returns a function of every coordinate that a model has."""
    if (before := unmoved(x)) is not None:
        return moved(activation(before[0], function, **constants), before[1])
    return Node([x], [{"type": "activation", "function": function, **constants}], x.shape, x.flat)


def affine(x: Node, scale, shift=0.0) -> Node:
    """Returns ``scale * x + shift``, with one number for all or for each channel."""
    return build.channel_affine(x, build.by_channel(x, np.asarray(scale)), build.by_channel(x, np.asarray(shift)), "affine")


def relu(x: Node) -> Node:
    """Returns ``max(x, 0)``."""
    return activation(x, "relu")


def leaky_relu(x: Node, slope: float) -> Node:
    """Returns a leaky ReLU."""
    slope = float(slope)
    if slope < 0:
        return prelu(x, np.asarray([slope], x.kind))
    return relu(x) if slope == 0 else activation(x, "leaky_relu", slope=slope)


def prelu(x: Node, slopes: np.ndarray) -> Node:
    """Returns a leaky ReLU with a slope for each channel: ``(1 + s)/2 x + (1 - s)/2 |x|``, which is no looser where the slopes
    are equal."""
    slopes = slopes.reshape(-1)
    if np.all(slopes == slopes[0]) and slopes[0] >= 0:
        return leaky_relu(x, slopes[0])
    if slopes.size not in (1, x.shape[0]):
        raise Unsupported(f"a PReLU of {slopes.size} channels on a value of shape {x.shape}")
    slopes = np.broadcast_to(slopes, x.shape[:1]).reshape(-1, *[1] * (len(x.shape) - 1))
    return build.add([affine(x, (1 + slopes) / 2), affine(activation(x, "abs"), (1 - slopes) / 2)])


def hardtanh(x: Node, low: float, high: float) -> Node:
    """Returns a function that cuts at two values, of which one may be infinite."""
    low, high = float(low), float(high)
    if not low <= high:
        raise Unsupported(f"a clamp to [{low}, {high}], which is empty")
    if math.isinf(low) and math.isinf(high):
        return Node([x], [], x.shape, x.flat)
    if math.isinf(high):
        return affine(relu(affine(x, 1.0, -low)), 1.0, low)
    if math.isinf(low):
        return affine(relu(affine(x, -1.0, high)), -1.0, high)
    return activation(x, "hardtanh", **({} if (low, high) == (-1.0, 1.0) else {"min": low, "max": high}))


def threshold(x: Node, at: float, value: float) -> Node:
    """Returns x where it is above a number, and a value elsewhere."""
    if at != value:
        raise Unsupported(f"Threshold({at}, {value}), which jumps from one to the other")
    return hardtanh(x, at, math.inf)


def softplus(x: Node, beta: float, threshold: float) -> Node:
    """Returns ``ln(1 + exp(beta x))/beta``."""
    if beta <= 0 or threshold < 20:
        raise Unsupported(f"Softplus(beta={beta}, threshold={threshold}); thresholds of at least 20 are known")
    return affine(activation(affine(x, beta), "softplus"), 1 / beta)


def log_sigmoid(x: Node) -> Node:
    """Returns ``ln sigmoid(x) = -softplus(-x)``."""
    return affine(activation(affine(x, -1.0), "softplus"), -1.0)


def hardsigmoid(x: Node, slope: float = 1 / 6, shift: float = 0.5) -> Node:
    """Returns a line that is cut at 0 and 1."""
    return hardtanh(affine(x, slope, shift), 0.0, 1.0)


def gelu(x: Node, approximate: str) -> Node:
    """Returns ``x Phi(x)``, or the other form, by tanh."""
    if approximate not in ("none", "tanh"):
        raise Unsupported(f"GELU(approximate={approximate!r}); 'none' and 'tanh' are known")
    return activation(x, "gelu" if approximate == "none" else "gelu_tanh")


def elu(x: Node, alpha: float) -> Node:
    """Returns an ELU."""
    if alpha < 0:
        raise Unsupported(f"ELU(alpha={alpha}), which is negative")
    return activation(x, "elu", **({} if alpha == 1 else {"alpha": float(alpha)}))


def celu(x: Node, alpha: float) -> Node:
    """Returns ``a elu(x/a)``."""
    if alpha <= 0:
        raise Unsupported(f"CELU(alpha={alpha}), which is not positive")
    return affine(elu(affine(x, 1 / alpha), 1.0), alpha)


def selu(x: Node, alpha: float = 1.6732632423543772848170429916717, scale: float = 1.0507009873554804934193349852946) -> Node:
    """Returns a multiple of an ELU."""
    return affine(elu(x, alpha), scale)

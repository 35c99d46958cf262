"""Products of two values that are functions of one, and the parts of them that exporters write out."""

from __future__ import annotations

import math

import numpy as np

from ._activations import activation
from ._graph import Node, Unsupported

#: Layers that are no layers of a model: parts of functions that are known as a whole.
PARTS = {
    "_above": "a comparison that is no part of a softplus", "_erf": "the function erf, which is known as a part of GELU alone",
    "_twice_gelu": "a product of two values that depend on the input",
    "_points": "a reshape of an image to a sequence of points, which is known before a mean over them",
    "_each": "numbers for each point of an image, which are known before a flatten: give them for each channel",
    "_row_means": "a mean over one axis of an image, which is known before a mean over the other",
}


def erf(x: Node) -> Node:
    """Returns ``erf(x)``, which is known as a part of ``GELU(y) = y (1 + erf(y/sqrt(2)))/2``."""
    layer = x.layers[0] if len(x.layers) == 1 and len(x.inputs) == 1 else {}
    known = layer.get("type") == "channel_affine" and not np.any(layer["shift"])
    if not known or np.any(np.abs(layer["scale"] - math.sqrt(0.5)) > 1e-6):
        raise Unsupported("the function erf, which is known as a part of GELU alone")
    return Node(x.inputs, [{"type": "_erf"}], x.shape, x.flat)


def _twice_gelu(x: Node, other: Node) -> bool:
    """Whether a value is ``1 + erf(x/sqrt(2))``."""
    layer = other.layers[0] if len(other.layers) == 1 and len(other.inputs) == 1 else {}
    if layer.get("type") != "channel_affine" or np.any(layer["scale"] != 1) or np.any(layer["shift"] != 1):
        return False
    return other.inputs[0].layers == ({"type": "_erf"},) and other.inputs[0].inputs == (x,)


def product(a: Node, b: Node) -> Node:
    """Returns a product of two values, which is known in two cases: ``x sigmoid(x)`` and ``x (1 + erf(x/sqrt(2)))``."""
    for x, gate in ((a, b), (b, a)):
        if gate.layers == ({"type": "activation", "function": "sigmoid"},) and gate.inputs == (x,):
            return activation(x, "silu")
        if _twice_gelu(x, gate):
            return Node([x], [{"type": "_twice_gelu"}], x.shape, x.flat)
        half = x.layers[0] if len(x.layers) == 1 and len(x.inputs) == 1 else {}
        if half.get("type") == "channel_affine" and not np.any(half["shift"]) and np.all(half["scale"] == 0.5):
            if _twice_gelu(x.inputs[0], gate):
                return activation(x.inputs[0], "gelu")
    raise Unsupported(
        "a product of two values that depend on the input, such as a gate or squeeze-and-excitation: it has no Lipschitz constant on "
        "all inputs, leave it out"
    )

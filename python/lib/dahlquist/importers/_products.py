"""Products of two values that are functions of one, and the parts of them that exporters write out."""

from __future__ import annotations

import math

import numpy as np

from . import _build as build
from ._activations import activation
from ._graph import Node, Unsupported, bare

#: Layers that are no layers of a model: parts of functions that are known as a whole.
PARTS = {
    "_above": "a comparison that is no part of a softplus", "_erf": "the function erf, which is known as a part of GELU alone",
    "_twice_gelu": "a product of two values that depend on the input",
    "_power": "a power of a value, which has no Lipschitz constant on all inputs: a cube is known as a part of GELU by tanh alone",
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
    other = bare(other)
    layer = other.layers[0] if len(other.layers) == 1 and len(other.inputs) == 1 else {}
    if layer.get("type") != "channel_affine" or np.any(layer["scale"] != 1) or np.any(layer["shift"] != 1):
        return False
    return other.inputs[0].layers == ({"type": "_erf"},) and other.inputs[0].inputs == (x,)


def power(x: Node, exponent: float) -> Node:
    """Returns a square or a cube, which is known as a part of ``GELU(y) = y (1 + tanh(sqrt(2/pi) (y + 0.044715 y^3)))/2``."""
    if exponent not in (2, 3):
        raise Unsupported(PARTS["_power"])
    x, exponent = bare(x), int(exponent)
    return Node([x], [{"type": "_power", "exponent": exponent}], x.shape, x.flat)


def _line(x: Node) -> tuple[Node, float, float] | None:
    """Returns the value, the factor and the shift, if a value is a multiple of another one and a number, the same everywhere."""
    x = bare(x)
    layer = x.layers[0] if len(x.layers) == 1 and len(x.inputs) == 1 else {}
    if layer.get("type") != "channel_affine" or np.ptp(layer["scale"]) or np.ptp(layer["shift"]):
        return None
    return bare(x.inputs[0]), float(layer["scale"].reshape(-1)[0]), float(layer["shift"].reshape(-1)[0])


def _is_line(x: Node, inner: Node, scale: float, shift: float) -> bool:
    """Whether a value is ``scale inner + shift``, but for single precision."""
    found = _line(x)
    return found is not None and found[0] is inner and abs(found[1] - scale) <= 1e-6 * scale and abs(found[2] - shift) <= 1e-6


def _only(x: Node, layer: dict) -> Node | None:
    """Returns the value of which another one is a function and nothing else."""
    x = bare(x)
    return bare(x.inputs[0]) if x.layers == (layer,) and len(x.inputs) == 1 else None


def _of_function(x: Node, function: str) -> Node | None:
    return _only(x, {"type": "activation", "function": function})


def _is_gate_by_tanh(x: Node, gate: Node) -> bool:
    """Whether a value is ``1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))``."""
    found = _line(gate)
    if found is None or found[1:] != (1.0, 1.0) or (inner := _of_function(found[0], "tanh")) is None:
        return False
    found = _line(inner)
    if found is None or abs(found[1] - math.sqrt(2 / math.pi)) > 1e-6 or found[2] != 0 or len(found[0].inputs) != 2 or found[0].layers:
        return False
    for part, rest in (found[0].inputs, found[0].inputs[::-1]):
        cube = _line(rest)
        if bare(part) is x and cube is not None and _is_line(rest, cube[0], 0.044715, 0.0):
            return _only(cube[0], {"type": "_power", "exponent": 3}) is x
    return False


def _hard_gate(gate: Node, x: Node) -> float | None:
    """Returns the factor, if a value is one times ``min(max(x + 3, 0), 6)``."""
    cut = {"type": "activation", "function": "hardtanh"}
    found, factor = _line(gate), 1.0
    if found is not None and found[2] == 0:
        gate, factor = found[:2]
    for high, scale, shift in ((6.0, 1.0, 3.0), (1.0, 1 / 6, 0.5)):
        inner = _only(gate, {**cut, "min": 0.0, "max": high})
        if inner is not None and _is_line(inner, x, scale, shift):
            return factor * high / 6
    return None


def _multiple(x: Node) -> tuple[Node, float]:
    """Returns a value and a factor of which another one is the product."""
    found = _line(x)
    return (bare(x), 1.0) if found is None or found[2] else found[:2]


def _gated(x: Node, gate: Node) -> Node | None:
    """Returns the product of a value and a function of it, where that is known as one function."""
    x = bare(x)
    if _of_function(gate, "sigmoid") is x:
        return activation(x, "silu")
    if (inner := _of_function(gate, "tanh")) is not None and _of_function(inner, "softplus") is x:
        return activation(x, "mish")
    if (factor := _hard_gate(gate, x)) is not None:
        function = activation(x, "hardswish")
        return function if abs(factor - 1 / 6) <= 1e-7 else build.multiple(function, 6 * factor)
    whole, factor = _multiple(gate)
    for value, part in ((x, 1.0), _multiple(x)):
        for function, is_gate in (("gelu", _twice_gelu), ("gelu_tanh", _is_gate_by_tanh)):
            if factor * part in (0.5, 1.0) and is_gate(value, whole):
                twice = {"type": "_twice_gelu", "function": function}
                return activation(value, function) if factor * part == 0.5 else Node([value], [twice], x.shape, x.flat)
    return None


def _power_of(a: Node, b: Node) -> Node | None:
    """Returns the product of multiples of a value or its square and of the value, as a multiple of a power."""
    (a, factor), (b, other) = _multiple(a), _multiple(b)
    exponent = 2 if a is b else 3 if _only(a, {"type": "_power", "exponent": 2}) is b else None
    if exponent is None:
        return None
    found = power(b, exponent)
    return found if factor * other == 1 else build.multiple(found, factor * other)


def product(a: Node, b: Node) -> Node:
    """Returns a product of two values, where it is one function of a value: SiLU, Mish, Hardswish, both forms of GELU, or a part of
    one."""
    for x, gate in ((a, b), (b, a)):
        if (found := _gated(x, gate)) is not None or (found := _power_of(gate, x)) is not None:
            return found
    raise Unsupported(
        "a product of two values that depend on the input, such as a gate or squeeze-and-excitation: it has no Lipschitz constant on "
        "all inputs, leave it out"
    )

"""Numbers that are put in other places: parts of values, values side by side, and axes in another order."""

from __future__ import annotations

import numpy as np

from . import _build as build
from ._graph import Node, Unsupported


def concatenate(values: list, axis: int) -> Node:
    """Returns values side by side along the channels: the sum of what each of them is among zeros."""
    if not all(isinstance(value, Node) for value in values):
        raise Unsupported("a concatenation with a constant")
    if len({(len(value.shape), value.shape[1:], value.flat) for value in values}) > 1:
        raise Unsupported(f"a concatenation of values of shapes {', '.join(str(value.shape) for value in values)}")
    if axis % (len(values[0].shape) + 1) != 1:
        raise Unsupported(f"a concatenation along the axis {axis}; along the channels is known, the axis 1")
    channels, before, parts = sum(value.shape[0] for value in values), 0, []
    for value in values:
        parts.append(build.place(value, before, channels))
        before += value.shape[0]
    return build.add(parts) if len(parts) > 1 else parts[0]


def part(x: Node, index) -> Node:
    """Returns ``x[index]``, where it keeps all samples and takes ranges of channels, rows and columns."""
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in index:
        at = index.index(Ellipsis)
        index = (*index[:at], *[slice(None)] * (len(x.shape) + 2 - len(index)), *index[at + 1 :])
    full = all(isinstance(i, slice) for i in index) and len(index) <= len(x.shape) + 1
    if not full or index[0] != slice(None):
        raise Unsupported(f"a part of a value, [{', '.join(map(str, index))}]: ranges of channels, rows and columns are known")
    ranges = [range(n)[i] for n, i in zip(x.shape, index[1:])]
    if not all(ranges) or any(r.step < 0 for r in ranges):
        raise Unsupported(f"a part of a value that is empty, [{', '.join(map(str, index))}]")
    chosen, points = ranges[:1], ranges[1:]
    if chosen and len(chosen[0]) < x.shape[0]:
        x = build.of_channels(x, np.eye(x.shape[0])[chosen[0]])
    if all(len(r) == n for r, n in zip(points, x.shape[1:])):
        return build.layer_of(x, None, x.shape, flat=x.flat)
    points += [range(n) for n in x.shape[1 + len(points) :]]
    # A convolution with a single tap of 1: at the first point, with a kernel that ends where the range does.
    kernel = [n - r[-1] + r[0] for r, n in zip(points, x.shape[1:])]
    weight = np.zeros((x.shape[0], 1, *kernel), np.float32)
    weight[(slice(None), 0, *(r[0] for r in points))] = 1
    return build.conv(x, weight, None, tuple(r.step for r in points), 0, 1, x.shape[0], "zeros", "part")


def transpose(x: Node, order) -> Node:
    """Returns the axes of each sample in another order, which is known before a flatten and a linear layer."""
    axes = len(x.shape) + 1
    order = [int(i) % axes for i in order]
    if sorted(order) != list(range(axes)) or order[0] != 0:
        raise Unsupported(f"a transposition of the axes to {order}, which moves the samples")
    if order == sorted(order):
        return build.layer_of(x, None, x.shape, flat=x.flat)
    before, order = x.shape, [i - 1 for i in order[1:]]
    shape = tuple(before[i] for i in order)
    last = x.layers[0] if len(x.layers) == 1 and len(x.inputs) == 1 else {}
    if last.get("type") == "_columns" and "order" in last and [last["order"][i] for i in order] == sorted(order):
        return x.inputs[0]

    def columns(weight):
        inverse = [0, *(1 + order.index(i) for i in range(len(order)))]
        return weight.reshape(len(weight), *shape).transpose(inverse).reshape(len(weight), -1)

    what = (
        "a transposition of the axes, which is known before a flatten and a linear layer; a model takes channels first, so leave "
        "out a transposition of the input (tf2onnx: --inputs-as-nchw)"
    )
    return build.layer_of(x, {"type": "_columns", "columns": columns, "what": what, "order": order}, shape)

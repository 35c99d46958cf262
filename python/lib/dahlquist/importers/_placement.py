"""Numbers that are put in other places: parts of values, values side by side, and axes in another order."""

from __future__ import annotations

import numpy as np

from . import _build as build
from ._axes import all_unmoved, moved, unmoved
from ._graph import Node, Unsupported


def concatenate(values: list, axis: int) -> Node:
    """Returns values side by side along the channels: the sum of what each of them is among zeros."""
    if not all(isinstance(value, Node) for value in values):
        raise Unsupported("a concatenation with a constant")
    if len({value.flat for value in values}) > 1:
        values = [build.one_point(value) for value in values]
    if (last := all_unmoved(values)) is not None and len({len(v.shape) for v in values}) == 1:
        if last[1][axis % (len(values[0].shape) + 1) - 1] == 0:
            return moved(concatenate(last[0], 1), last[1])
    if len({(len(value.shape), value.shape[1:], value.flat) for value in values}) > 1:
        raise Unsupported(f"a concatenation of values of shapes {', '.join(str(value.shape) for value in values)}")
    if axis % (len(values[0].shape) + 1) != 1:
        raise Unsupported(f"a concatenation along the axis {axis}; along the channels is known, the axis 1")
    channels, before, placed = sum(value.shape[0] for value in values), 0, []
    first, count = _begun(values)
    for value in [first, *values[count:]]:
        placed.append(build.place(value, before, channels))
        before += value.shape[0]
    found = build.add(placed) if len(placed) > 1 else build.layer_of(first, None, first.shape, flat=first.flat)
    found.parts = tuple(values)
    return found


def _begun(values: list[Node]) -> tuple[Node, int]:
    """Returns a value that holds the first ones side by side, and how many: the longest one that the last of all follows from.

    In a DenseNet each value follows from all before it. As sums of a longer and longer concatenation they are a chain; as sums of
    parts they would be a tree in which every layer occurs as often as there are ways to it.
    """
    node = values[-1]
    while node.dominator is not None:
        node = node.dominator
        if 1 < len(node.parts) < len(values) and all(a is b for a, b in zip(node.parts, values)):
            return node, len(node.parts)
    return values[0], 1


def chosen(x: Node, channels) -> Node:
    """Returns the channels of a list, in its order."""
    numbers = np.asarray(channels)
    whole = numbers.ndim == 1 and numbers.size and numbers.dtype.kind in "iu"
    if not whole or np.any(numbers < -x.shape[0]) or np.any(numbers >= x.shape[0]):
        raise Unsupported(f"a part of a value, [:, {channels}]: ranges of channels, rows and columns, and lists of channels are known")
    numbers = numbers % x.shape[0]
    if sorted(numbers) == list(range(x.shape[0])):
        return build.permute(x, numbers)
    return build.of_channels(x, np.eye(x.shape[0])[numbers])


def part(x: Node, index) -> Node:
    """Returns ``x[index]``, where it keeps all samples and takes ranges of channels, rows and columns."""
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in index:
        at = index.index(Ellipsis)
        index = (*index[:at], *[slice(None)] * (len(x.shape) + 2 - len(index)), *index[at + 1 :])
    if len(index) > 1 and index[0] == slice(None) and not isinstance(index[1], slice) and all(i == slice(None) for i in index[2:]):
        return chosen(x, index[1])
    full = all(isinstance(i, slice) for i in index) and len(index) <= len(x.shape) + 1
    if not full or index[0] != slice(None):
        raise Unsupported(f"a part of a value, [{', '.join(map(str, index))}]: ranges of channels, rows and columns are known")
    ranges = [range(n)[i] for n, i in zip(x.shape, index[1:])]
    if not all(ranges) or any(r.step < 0 for r in ranges):
        raise Unsupported(f"a part of a value that is empty, [{', '.join(map(str, index))}]")
    channels, points = ranges[:1], ranges[1:]
    if channels and len(channels[0]) < x.shape[0]:
        x = build.of_channels(x, np.eye(x.shape[0])[channels[0]])
    if all(len(r) == n for r, n in zip(points, x.shape[1:])):
        return build.layer_of(x, None, x.shape, flat=x.flat)
    points += [range(n) for n in x.shape[1 + len(points) :]]
    # A convolution with a single tap of 1: at the first point, with a kernel that ends where the range does.
    kernel = [n - r[-1] + r[0] for r, n in zip(points, x.shape[1:])]
    weight = np.zeros((x.shape[0], 1, *kernel), np.float32)
    weight[(slice(None), 0, *(r[0] for r in points))] = 1
    return build.conv(x, weight, None, tuple(r.step for r in points), 0, 1, x.shape[0], "zeros", "part")


def transpose(x: Node, order) -> Node:
    """Returns the axes of each sample in another order, which is known before a flatten and a linear layer, and around what is
    computed of each point."""
    axes = len(x.shape) + 1
    order = [int(i) % axes for i in order]
    if sorted(order) != list(range(axes)) or order[0] != 0:
        raise Unsupported(f"a transposition of the axes to {order}, which moves the samples")
    if order == sorted(order):
        return build.layer_of(x, None, x.shape, flat=x.flat)
    order = [i - 1 for i in order[1:]]
    if (whole := build.grouped(x)) is not None and order[:2] == [1, 0] and order[2:] == sorted(order[2:]):
        numbers = np.arange(x.shape[0] * x.shape[1]).reshape(x.shape[:2])
        return build.reshape(build.permute(whole, numbers.T.reshape(-1)), tuple(x.shape[i] for i in order))
    before, first = unmoved(x) or (x, list(range(len(order))))
    return moved(before, [first[i] for i in order])

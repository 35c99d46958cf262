"""Poolings: means and maxima of windows, of everything, and of windows of different sizes."""

from __future__ import annotations

import math

import numpy as np

from . import _build as build
from ._axes import unmoved
from ._graph import Node, Unsupported


def max_pool(x: Node, kernel, stride, padding, dilation, ceil: bool, axes: int) -> Node:
    """Returns the largest number of each window."""
    build.image(x, axes, "max pooling", flat=True)
    kernel = build.pair(kernel, axes, "kernel_size")
    stride = kernel if stride is None or stride == [] else build.pair(stride, axes, "stride")
    padding, dilation = build.pair(padding, axes, "padding"), build.pair(dilation, axes, "dilation")
    if dilation != (1,) * axes:
        raise Unsupported(f"max pooling with dilation {dilation}: leave the dilation out")
    x = _filled_up(x, kernel, stride, padding) if ceil and not x.flat else x
    sizes = build.windows(x.shape[1:], kernel, stride, padding, dilation, ceil and x.flat, "max pooling")
    if x.flat and sizes == [1] * axes and all(p < k for p, k in zip(padding, kernel)):
        return build.layer_of(x, None, x.shape, flat=True)
    build.image(x, axes, "max pooling")
    return _pooled(x, "max_pool", (kernel, stride, padding), sizes)


def _filled_up(x: Node, kernel, stride, padding) -> Node:
    """Returns an image with zeros behind its points, so that windows that ceil_mode cuts are whole, if no number of it is below 0: then
    no zero is the largest number of a window that holds a point."""
    pads = []
    for n, k, s, p in zip(x.shape[1:], kernel, stride, padding):
        rest = (n + 2 * p - k) % s
        # A window more, if it begins at a point or before.
        pads.append(s - rest if rest and n + 2 * p >= k and ((n + 2 * p - k) // s + 1) * s < n + p else 0)
    if not any(pads):
        return x
    if not build.nonnegative(x):
        raise Unsupported(
            "max pooling with ceil_mode, where it adds a window that is cut: behind a ReLU it is known; elsewhere take "
            "ceil_mode=False, or an image of which no window is cut"
        )
    return build.zero_pad(x, [(0, pad) for pad in pads])


def avg_pool(x: Node, kernel, stride, padding, ceil: bool, count_pad: bool, divisor, axes: int) -> Node:
    """Returns the mean of each window."""
    build.image(x, axes, "mean pooling", flat=True)
    kernel = build.pair(kernel, axes, "kernel_size")
    stride = kernel if stride is None or stride == [] else build.pair(stride, axes, "stride")
    padding = build.pair(padding, axes, "padding")
    if divisor is not None:
        raise Unsupported(f"mean pooling with divisor_override={divisor}: leave it out, and multiply the means by a constant")
    if any(padding) and not count_pad:
        raise Unsupported(
            "mean pooling with padding that is not counted: it divides by other numbers at the border; take count_include_pad=True"
        )
    sizes = build.windows(x.shape[1:], kernel, stride, padding, (1,) * axes, ceil, "mean pooling")
    if kernel == x.shape[1:] and not any(padding):
        return global_avg_pool(x, keep=True)
    build.image(x, axes, "mean pooling")
    return _pooled(x, "avg_pool", (kernel, stride, padding), sizes)


def _pooled(x: Node, kind: str, windows: tuple, sizes) -> Node:
    """Returns a layer whose windows have a size, a stride and a padding, where these are not those of windows side by side."""
    size, stride, padding = windows
    layer = {"type": kind, "size": build.two(size, 1)}
    if stride != size:
        layer["stride"] = build.two(stride, 1)
    if any(padding):
        layer["padding"] = build.two(padding, 0)
    return build.layer_of(x, layer, (x.shape[0], *sizes))


def _sizes(x: Node, output, axes: int) -> tuple[int, ...]:
    """Returns the rows and columns that an adaptive pooling makes."""
    output = (output,) * axes if isinstance(output, (int, np.integer)) or output is None else tuple(output)
    return tuple(n if o is None else int(o) for o, n in zip(output, x.shape[1:]))


def adaptive_avg_pool(x: Node, output, axes: int) -> Node:
    """Returns the means of windows that cover the image, in ``output`` rows and columns."""
    build.image(x, axes, "adaptive mean pooling", flat=True)
    output = _sizes(x, output, axes)
    if output == (1,) * axes:
        return global_avg_pool(x, keep=True)
    if output == x.shape[1:]:
        return build.layer_of(x, None, x.shape)
    if not any(n % o for n, o in zip(x.shape[1:], output)):
        kernel = tuple(n // o for n, o in zip(x.shape[1:], output))
        return avg_pool(x, kernel, None, 0, False, True, None, axes)
    windows = [_windows(n, o) for n, o in zip(x.shape[1:], output)]
    channels = x.shape[0]

    def columns(weight):
        weight = weight.reshape(len(weight), channels, *output)
        for axis, matrix in enumerate(windows, 2):
            weight = np.moveaxis(np.tensordot(weight, matrix, (axis, 0)), -1, axis)
        return weight.reshape(len(weight), -1)

    what = (
        f"adaptive mean pooling from {x.shape[1:]} to {output}, whose windows overlap or repeat points, and which is known before a "
        "flatten and a linear layer alone: take AdaptiveAvgPool with the output size 1"
    )
    return build.layer_of(x, {"type": "_columns", "columns": columns, "what": what}, (channels, *output))


def _of_points(rule, x: Node, axes: set[int], keep: bool) -> Node | None:
    """Returns what a rule makes of the points of each channel, where these are axes of a value in another order."""
    before = unmoved(x)
    if before is None or keep or not axes or not axes <= set(range(1, len(x.shape) + 1)):
        return None
    value, order = before
    axes = {order[i - 1] + 1 for i in axes}
    return rule(value, axes, False) if axes == set(range(2, len(x.shape) + 1)) else None


def _windows(n: int, o: int) -> np.ndarray:
    """Returns the matrix of the adaptive means of n points in o windows."""
    matrix = np.zeros((o, n))
    for i in range(o):
        start, end = i * n // o, -(-(i + 1) * n // o)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


def adaptive_max_pool(x: Node, output, axes: int) -> Node:
    """Returns the largest numbers of equal windows that split the image into ``output`` rows and columns."""
    build.image(x, axes, "adaptive max pooling", flat=True)
    output = _sizes(x, output, axes)
    if any(n % o for n, o in zip(x.shape[1:], output)):
        raise Unsupported(f"adaptive max pooling from {x.shape[1:]} to {output}, whose windows overlap: take MaxPool")
    return max_pool(x, tuple(n // o for n, o in zip(x.shape[1:], output)), None, 0, 1, False, axes)


def maximum(x: Node, axes: set[int], keep: bool) -> Node:
    """Returns the largest number of each channel."""
    if (found := _of_points(maximum, x, axes, keep)) is not None:
        return found
    if axes != set(range(2, len(x.shape) + 1)) or not axes:
        raise Unsupported(f"a maximum over the axes {sorted(axes)}; over all points of each channel is known")
    pooled = adaptive_max_pool(x, 1, len(x.shape) - 1)
    return pooled if keep else build.flatten(pooled)


def total(x: Node, axes: set[int], keep: bool) -> Node:
    """Returns the sum of each channel."""
    if (found := _of_points(total, x, axes, keep)) is not None:
        return found
    if axes in ({1}, {2}) and not keep and build.grouped(x) is not None:
        return build.of_groups(x, *axes)
    points = math.prod(n for i, n in enumerate(x.shape, 1) if i in axes)
    if axes != set(range(2, len(x.shape) + 1)) or not axes:
        raise Unsupported(f"a sum over the axes {sorted(axes)}; over all points of each channel is known")
    return build.multiple(mean(x, axes, keep), points)


def mean(x: Node, axes: set[int], keep: bool) -> Node:
    """Returns a mean over some axes, the batch being 0."""
    if (found := _of_points(mean, x, axes, keep)) is not None:
        return found
    if axes in ({1}, {2}) and not keep and build.grouped(x) is not None:
        return build.multiple(build.of_groups(x, *axes), 1 / x.shape[min(axes) - 1])
    points = set(range(2, len(x.shape) + 1))
    if axes and axes < points and not keep:
        return build.layer_of(x, {"type": "_row_means"}, x.shape[:1] + tuple(n for i, n in enumerate(x.shape, 1) if i in points - axes))
    if axes != points or not axes:
        raise Unsupported(f"a mean over the axes {sorted(axes)}; over all points of each channel is known")
    return global_avg_pool(x, keep)


def global_avg_pool(x: Node, keep: bool) -> Node:
    """Returns the mean of each channel."""
    if x.layers in (({"type": "_points"},), ({"type": "_row_means"},)):
        x = x.inputs[0]
        if keep:
            raise Unsupported("a mean over a sequence of points that keeps their axis")
    shape = (x.shape[0], *[1] * (len(x.shape) - 1)) if keep else x.shape[:1]
    if x.flat or len(x.shape) == 1:
        return build.layer_of(x, None, shape, flat=keep)
    return build.layer_of(x, {"type": "global_avg_pool"}, shape, flat=keep)



"""The layers that importers know, with their shapes and what is refused of each.

A builder makes a new value of others. It raises :class:`Unsupported` for what a model cannot hold, and sees no library but
NumPy. Shapes are those of PyTorch, without the batch: ``(features,)``, ``(channels, length)``, ``(channels, height, width)``.
"""

from __future__ import annotations

import numpy as np

from . import _axes as axes_of
from ._graph import Node, Unsupported, bare, numel


def pair(value, axes: int, what: str) -> tuple[int, ...]:
    """Returns one integer for each axis."""
    values = (value,) * axes if isinstance(value, (int, np.integer)) else tuple(value)
    if len(values) == 1:
        values *= axes
    if len(values) != axes or not all(isinstance(v, (int, np.integer)) for v in values):
        raise Unsupported(f"{what} {value!r}")
    return tuple(int(v) for v in values)


def two(values: tuple[int, ...], alone: int) -> list[int]:
    """Returns numbers of both axes: a sequence is an image of one row, for which the first number is `alone`."""
    return [alone, *values] if len(values) == 1 else list(values)


def layer_of(x: Node, layer, shape, *, flat=False) -> Node:
    """Returns what a layer makes of a value; None is no layer."""
    return Node([x], [layer] if layer is not None else [], tuple(shape), flat)


def image(x: Node, axes: int, what: str, *, flat: bool = False) -> None:
    """Refuses what is no image: where `flat` is false, channels of one point too, which are a vector to the model."""
    if len(x.shape) != axes + 1:
        raise Unsupported(f"{what} on a value of shape {x.shape}, which needs {axes + 1} axes besides the batch")
    if x.flat and not flat:
        raise Unsupported(f"{what} after a global mean, of which one point is left: leave it out")


def windows(sizes, kernel, stride, padding, dilation, ceil: bool, what: str) -> list[int]:
    """Returns how many windows lie along each axis."""
    out = []
    for n, k, s, p, d in zip(sizes, kernel, stride, padding, dilation):
        room = n + 2 * p - d * (k - 1) - 1
        if room < 0:
            raise Unsupported(f"{what} with a window larger than the image {tuple(sizes)}")
        count = room // s + 1
        if ceil and room % s:
            raise Unsupported(f"{what} with ceil_mode, where it adds a window that is cut: take ceil_mode=False")
        out.append(count)
    return out


#: Layers of whose numbers none is below 0 if none of their input is.
_KEEP_SIGNS = ("max_pool", "avg_pool", "global_avg_pool", "flatten", "sort", "pad_channels", "space_to_depth", "_permute")


def nonnegative(x: Node, known: dict | None = None) -> bool:
    """Whether no number of a value is below 0, as far as the layers before it say; `known` holds what was found of others."""
    known = {} if known is None else known
    if id(x) not in known:
        kept = [_keeps_sign(layer) for layer in x.layers]
        # The last layer that decides alone.
        decided = next((keeps for keeps in reversed(kept) if keeps is not None), None)
        inputs = bool(x.inputs) and all(nonnegative(value, known) for value in x.inputs) if decided is None else decided
        known[id(x)] = inputs
    return known[id(x)]


def _keeps_sign(layer: dict) -> bool | None:
    """Whether a layer has no value below 0: always, not for all inputs, or (None) if no number of its input is below 0."""
    if layer["type"] == "activation":
        function = layer["function"]
        positive = function in ("relu", "abs", "sigmoid", "softplus") or function == "hardtanh" and layer.get("min", -1.0) >= 0
        return True if positive else None if function in ("identity", "leaky_relu", "tanh") else False
    numbers = [layer.get(key) for key in ("weight", "bias", "scale", "shift") if layer.get(key) is not None]
    positive = layer["type"] in _KEEP_SIGNS or bool(numbers) and all(np.all(n >= 0) for n in numbers)
    return None if positive else False


def linear(x: Node, weight, bias, name: str) -> Node:
    """Returns ``Wx + b``."""
    if (before := axes_of.unmoved(x)) is not None and before[1][-1] == 0:
        # Along the channels of each point.
        value, order = before
        kernel = np.ascontiguousarray(weight).reshape(*weight.shape, *[1] * (len(value.shape) - 1))
        return axes_of.moved(conv(value, kernel, bias, 1, 0, 1, 1, "zeros", name), order)
    if len(x.shape) != 1:
        raise Unsupported(f"a linear layer along the last axis of a value of shape {x.shape}; flatten it first")
    if x.shape != (weight.shape[1],):
        raise Unsupported(f"a linear layer that reads {weight.shape[1]} features of {x.shape[0]}")
    return layer_of(x, {"type": "dense", "_name": name, "weight": weight, "bias": bias}, (weight.shape[0],))


def conv(x: Node, weight, bias, stride, padding, dilation, groups: int, mode: str, name: str) -> Node:
    """Returns a convolution of one or two axes."""
    axes = weight.ndim - 2
    if axes not in (1, 2):
        raise Unsupported(f"a convolution of {axes} axes")
    image(x, axes, f"a convolution of {axes} axes", flat=True)
    if mode not in ("zeros", "circular"):
        raise Unsupported(f"a convolution with padding_mode={mode!r}; zeros and circular are known")
    stride, dilation = pair(stride, axes, "stride"), pair(dilation, axes, "dilation")
    if x.shape[0] != weight.shape[1] * groups:
        raise Unsupported(f"a convolution that reads {weight.shape[1] * groups} channels of {x.shape[0]}")
    if padding == "valid":
        padding = 0
    if padding == "same":
        weight, padding = _same(weight, dilation)
    padding = pair(padding, axes, "padding")
    if not any(padding):
        mode = "zeros"  # The same function, and its norm has a proof for every stride.
    around = _padding_of(x, axes) if mode == "zeros" else None
    if around is not None:
        x = x.inputs[0]
        padding = tuple(p + q for p, q in zip(padding, around))
    sizes = windows(x.shape[1:], weight.shape[2:], stride, padding, dilation, False, "a convolution")
    most = [n if mode == "circular" else max(*x.shape[1:], d * (k - 1) + 1) for n, k, d in zip(x.shape[1:], weight.shape[2:], dilation)]
    if not x.flat and any(p > m for p, m in zip(padding, most)):
        raise Unsupported(f"a convolution with padding {padding}, which is more than the image {tuple(x.shape[1:])} has points")
    shape = (weight.shape[0], *sizes)
    if x.flat:
        # Channels of one point: only the tap on that point counts.
        at = tuple(p // d if p % d == 0 and p // d < k else None for p, d, k in zip(padding, dilation, weight.shape[2:]))
        if groups != 1 or None in at or sizes != [1] * axes or mode != "zeros":
            raise Unsupported("a convolution of this kind after a global mean")
        dense = np.ascontiguousarray(weight[(slice(None), slice(None), *at)])
        return layer_of(x, {"type": "dense", "_name": name, "weight": dense, "bias": bias}, shape, flat=True)
    layer = {
        "type": "conv2d", "_name": name, "weight": weight if axes == 2 else weight[:, :, None, :], "bias": bias,
        "stride": two(stride, 1), "padding": two(padding, 0), "dilation": two(dilation, 1), "groups": int(groups),
        "padding_mode": mode,
    }
    return layer_of(x, layer, shape)


def _same(weight, dilation) -> tuple:
    """Returns the weight and the padding that keep the size. PyTorch pads one point more at the end where the number is
    odd; a tap of 0 at the beginning does the same with equal sides."""
    sides = []
    for axis, d in enumerate(dilation):
        total = d * (weight.shape[2 + axis] - 1)
        if total % 2:
            if d != 1:
                raise Unsupported(f"padding='same' for an even kernel with dilation {d}")
            width = [(0, 0)] * weight.ndim
            width[2 + axis] = (1, 0)
            weight, total = np.pad(weight, width), total + 1
        sides.append(total // 2)
    return weight, tuple(sides)


def batch_norm(x: Node, mean, var, gamma, beta, eps: float, name: str, *, only_user: bool) -> Node:
    """Returns the normalization with running statistics, folded into the layer before if nobody else reads that."""
    if mean is None or var is None:
        raise Unsupported("a normalization without running statistics, which depends on the whole batch")
    if x.shape[0] != len(mean):
        raise Unsupported(f"a normalization of {len(mean)} channels on a value of shape {x.shape}")
    scale, shift, kind = running(mean, var, gamma, beta, eps)
    before = x.layers[0] if len(x.layers) == 1 and len(x.inputs) == 1 else {}
    if only_user and before.get("type") in ("dense", "conv2d"):
        return Node(x.inputs, [folded(before, scale, shift, kind)], x.shape, x.flat)
    return channel_affine(x, scale.astype(kind), shift.astype(kind), name)


def running(mean, var, gamma, beta, eps: float) -> tuple:
    """Returns the scale and the shift of a normalization in double precision, and the format that it is stored in."""
    kind = np.result_type(mean, *(v for v in (gamma, beta) if v is not None), np.float32)
    scale = (1.0 if gamma is None else gamma.astype(np.float64)) / np.sqrt(var.astype(np.float64) + eps)
    return scale, (0.0 if beta is None else beta.astype(np.float64)) - mean.astype(np.float64) * scale, kind


def folded(layer: dict, scale, shift, kind) -> dict:
    """Returns a dense layer or a convolution with an affine map of its channels behind it, as one."""
    weight, bias = layer["weight"], layer.get("bias")
    kind = np.result_type(kind, weight)
    scaled = weight.astype(np.float64) * scale.reshape(-1, *[1] * (weight.ndim - 1))
    offset = shift if bias is None else bias.astype(np.float64) * scale + shift
    return {**layer, "weight": scaled.astype(kind), "bias": offset.astype(kind)}


def channel_affine(x: Node, scale, shift, name: str) -> Node:
    """Returns ``scale * x + shift``, one of each for each channel or feature, or for each point too."""
    if np.all(scale == 1) and np.all(shift == 0):
        return layer_of(x, None, x.shape, flat=x.flat)
    if (before := axes_of.unmoved(x)) is not None:
        value, order = before
        numbers = (axes_of.numbers_before(v, x.shape, order) for v in (scale, shift))
        return axes_of.moved(channel_affine(value, *numbers, name), order)
    if scale.ndim > 1 or shift.ndim > 1:
        full = lambda v: np.broadcast_to(v if v.ndim > 1 else v.reshape(-1, *[1] * (len(x.shape) - 1)), x.shape)  # noqa: E731
        return layer_of(x, {"type": "_each", "_name": name, "scale": full(scale), "shift": full(shift)}, x.shape)
    return layer_of(x, {"type": "channel_affine", "_name": name, "scale": scale, "shift": shift}, x.shape, flat=x.flat)


def multiple(x: Node, factor: float) -> Node:
    """Returns ``factor * x``."""
    factors = by_channel(x, np.asarray(factor))
    return channel_affine(x, factors, np.zeros_like(factors), "multiple")


def by_channel(x: Node, constant) -> np.ndarray:
    """Returns a constant that is broadcast to a value, as one number for each channel, or for each point of an image."""
    constant = np.asarray(constant)
    if constant.ndim == len(x.shape) + 1 and constant.shape[0] == 1 and np.all(constant == constant.reshape(-1)[:1]):
        # The same number everywhere.
        if all(n in (1, m) for n, m in zip(constant.shape[1:], x.shape)):
            constant = constant[(slice(0, 1), slice(0, 1), *[slice(0, 1)] * (constant.ndim - 2))]
    # PyTorch, too, rounds a number of Python to the format of the tensor.
    kind = constant.dtype if constant.dtype in (np.float32, np.float64) and constant.ndim else x.kind
    axes = len(x.shape)
    shape = (1,) * (axes + 1 - constant.ndim) + constant.shape
    if len(shape) == axes + 1 and shape[0] == 1 and any(n != 1 for n in shape[2:]) and not x.flat:
        if all(n in (1, m) for n, m in zip(shape[1:], x.shape)):
            first = constant.reshape(shape[1], -1)[:, :1]
            if np.array_equal(constant.reshape(shape[1], -1), np.broadcast_to(first, (shape[1], constant.size // shape[1]))):
                return by_channel(x, first.reshape(-1, *[1] * (axes - 1)))
            return np.ascontiguousarray(np.broadcast_to(constant.reshape(shape[1:]), x.shape)).astype(kind)
    if len(shape) != axes + 1 or shape[0] != 1 or shape[1] not in (1, x.shape[0]) or any(n != 1 for n in shape[2:]):
        raise Unsupported(f"a constant of shape {constant.shape} with a value of shape {x.shape}: one for each channel is known")
    return np.ascontiguousarray(np.broadcast_to(constant.reshape(shape[1]), (x.shape[0],)).astype(kind))


def sort(x: Node, group: int, channels: int | None = None) -> Node:
    """Returns the channels sorted in groups of neighbours."""
    if group < 1 or x.shape[0] % group:
        raise Unsupported(f"sorting {x.shape[0]} channels in groups of {group}")
    return layer_of(x, {"type": "sort", "group": int(group)}, x.shape, flat=x.flat)


def permute(x: Node, order) -> Node:
    """Returns the channels in another order: output channel ``i`` is input channel ``order[i]``."""
    image = len(x.shape) > 1 and not x.flat
    return layer_of(x, {"type": "_permute", "order": np.asarray(order), "image": image}, x.shape, flat=x.flat)


def max_min(x: Node) -> Node:
    """Returns the larger, then the smaller numbers of channel ``i`` and channel ``i + n/2``, for ``n`` channels."""
    n = x.shape[0]
    if n % 2:
        raise Unsupported(f"MaxMin of {n} channels")
    halves = np.arange(n).reshape(2, n // 2)
    pairs = sort(permute(x, halves.T.reshape(-1)), 2)
    # Each pair is in ascending order: the larger ones are the odd channels.
    return permute(pairs, np.concatenate([np.arange(1, n, 2), np.arange(0, n, 2)]))


def flatten(x: Node) -> Node:
    """Returns a vector."""
    layer = None if x.flat or len(x.shape) == 1 else {"type": "flatten"}
    return layer_of(x, layer, (numel(x.shape),))


def reshape(x: Node, shape: tuple[int, ...]) -> Node:
    """Returns the same numbers in another shape."""
    if shape.count(-1) == 1:
        rest = numel(n for n in shape if n != -1)
        shape = tuple(numel(x.shape) // max(rest, 1) if n == -1 else n for n in shape)
    if numel(shape) != numel(x.shape):
        raise Unsupported(f"a reshape from {x.shape} to {shape}, which moves numbers between samples")
    if shape == x.shape:
        return layer_of(x, None, shape, flat=x.flat)
    before = x.inputs[0] if len(x.inputs) == 1 and x.layers in ((), ({"type": "flatten"},)) else None
    if before is not None and before.shape == shape and not before.flat:
        return layer_of(before, None, shape)
    if (whole := grouped(x)) is not None:
        return reshape(whole, shape)
    start = x
    while len(start.inputs) == 1 and all(layer["type"] == "_shape" for layer in start.layers):
        start = start.inputs[0]
    if start is not x and not start.inputs and shape == start.shape:
        return layer_of(start, None, shape)
    if len(shape) == 1:
        return flatten(x)
    if x.flat and shape[0] == x.shape[0]:
        return layer_of(x, None, shape, flat=True)
    if len(x.shape) == 3 and len(shape) == 2 and shape[0] == x.shape[0]:
        return layer_of(x, {"type": "_points"}, shape)
    if start.inputs and not x.flat and len(shape) == len(x.shape) + 1 and shape[2:] == x.shape[1:]:
        what = f"the channels in {shape[0]} groups of {shape[1]}, whose order or sum is known"
        return layer_of(x, {"type": "_groups", "what": what}, shape)
    if not start.inputs and len(shape) in (2, 3):
        what = f"the samples in the shape {shape} beside their own, {start.shape}: give all of the network one of them"
        return layer_of(start, {"type": "_shape", "shape": shape, "what": what}, shape)
    raise Unsupported(f"a reshape from {x.shape} to {shape}, which is known of the samples themselves")


def grouped(x: Node) -> Node | None:
    """Returns the value whose channels have two axes in this one, if it is so."""
    x = bare(x)
    return x.inputs[0] if len(x.layers) == 1 and x.layers[0]["type"] == "_groups" else None


def of_groups(x: Node, axis: int) -> Node:
    """Returns the sum over one of the two axes of channels in groups."""
    groups, size = x.shape[:2]
    sums = np.kron(np.eye(groups), np.ones((1, size))) if axis == 2 else np.kron(np.ones((1, groups)), np.eye(size))
    return of_channels(grouped(x), sums)


def space_to_depth(x: Node, block: int) -> Node:
    """Returns blocks of points as channels."""
    image(x, 2, "PixelUnshuffle")
    c, h, w = x.shape
    if h % block or w % block:
        raise Unsupported(f"PixelUnshuffle({block}) of an image {h} x {w}")
    return layer_of(x, {"type": "space_to_depth", "block": int(block)}, (c * block * block, h // block, w // block))


def zero_pad(x: Node, pads: list[tuple[int, int]], value: float = 0.0) -> Node:
    """Returns the image with zeros around it: `pads` are those before and behind, for each axis."""
    image(x, len(pads), "padding", flat=True)
    if value != 0 or any(n < 0 for pair in pads for n in pair) or x.flat:
        raise Unsupported(f"a padding by {pads} with {value}; zeros around an image are known")
    if not any(n for pair in pads for n in pair):
        return layer_of(x, None, x.shape)
    # A convolution of each channel with a single tap of 1, which moves the image where one side has more.
    weight = np.zeros((x.shape[0], 1, *(1 + abs(before - behind) for before, behind in pads)), np.float32)
    weight[(slice(None), 0, *(max(pair) - pair[0] for pair in pads))] = 1
    sides = tuple(max(pair) for pair in pads)
    return conv(x, weight, None, 1, sides, 1, x.shape[0], "zeros", "padding")


def _padding_of(x: Node, axes: int) -> tuple[int, ...] | None:
    """Returns the zeros around an image, if all that its layer does is to add as many on both sides, as :func:`zero_pad` does."""
    layer = x.layers[0] if len(x.layers) == 1 and len(x.inputs) == 1 else {}
    if layer.get("type") != "conv2d" or layer["weight"].shape != (x.shape[0], 1, 1, 1) or np.any(layer["weight"] != 1):
        return None
    if layer["bias"] is not None or layer["groups"] != x.shape[0] or layer["stride"] != [1, 1]:
        return None
    if layer["padding_mode"] != "zeros":
        return None
    return tuple(layer["padding"][2 - axes :])


def pad_channels(x: Node, pads, value: float = 0.0) -> Node:
    """Returns the image with channels of zeros behind its own; `pads` are PyTorch's, the last axis first."""
    pads = [int(n) for n in pads]
    axes = len(x.shape) - 1
    if len(pads) != 2 * axes + 2 or any(pads[:-2]) or min(pads[-2:]) < 0 or value != 0:
        known = "zeros around an image, or before and behind its channels, are known"
        raise Unsupported(f"a padding by {pads} with {value}; {known}")
    return place(x, pads[-2], x.shape[0] + sum(pads[-2:]))


def of_channels(x: Node, matrix: np.ndarray) -> Node:
    """Returns the channels that a matrix of zeros and ones makes of those of a value."""
    matrix = matrix.astype(np.float32)
    shape = (len(matrix), *x.shape[1:])
    if len(x.shape) == 1 or x.flat:
        return layer_of(x, {"type": "dense", "weight": matrix, "bias": None}, shape, flat=x.flat)
    kernel = (1,) * (len(x.shape) - 1)
    return conv(x, matrix.reshape(*matrix.shape, *kernel), None, 1, 0, 1, 1, "zeros", "placement")


def place(x: Node, before: int, channels: int) -> Node:
    """Returns a value as some of the channels of a larger one, whose other channels are 0."""
    if before == 0 and channels == x.shape[0]:
        return x
    if before == 0 and len(x.shape) == 3 and not x.flat:
        return layer_of(x, {"type": "pad_channels", "channels": channels}, (channels, *x.shape[1:]))
    return of_channels(x, np.eye(channels, x.shape[0], -before))


def one_point(x: Node) -> Node:
    """Returns channels of one point as the vector that they are to a model after a global mean."""
    if x.flat or len(x.shape) == 1 or any(n != 1 for n in x.shape[1:]):
        return x
    return layer_of(x, {"type": "flatten"}, x.shape, flat=True)


def add(values: list[Node]) -> Node:
    """Returns the sum of values."""
    if (before := axes_of.all_unmoved(values)) is not None:
        return axes_of.moved(add(before[0]), before[1])
    shapes = {(value.shape, value.flat) for value in values}
    if len({shape for shape, _ in shapes}) > 1:
        raise Unsupported(f"a sum of values of shapes {', '.join(str(v.shape) for v in values)}, which is broadcast")
    if len(shapes) > 1:
        values = [one_point(value) for value in values]
    return Node(values, (), values[0].shape, values[0].flat)

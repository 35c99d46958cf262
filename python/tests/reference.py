"""The documented format of model files, computed by PyTorch: what importers are compared with.

It knows every kind of the format, also those that the crate it is linked with may not run yet.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

FUNCTIONS = {
    "identity": lambda x: x, "relu": torch.relu, "abs": torch.abs, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "softplus": lambda x: F.softplus(x, threshold=1e9), "elu": F.elu, "silu": F.silu, "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "mish": F.mish, "hardswish": F.hardswish,
}


def evaluate(layers, tensors, x):
    """Returns what a list of layers makes of samples, in double precision."""
    tensors = {name: torch.from_numpy(t.copy()).double() for name, t in tensors.items()}
    get = lambda name: None if name is None else tensors[name]  # noqa: E731
    for layer in layers:
        x = step(layer, get, tensors, x)
    return x


def step(layer, get, tensors, x):
    kind = layer["type"]
    column = lambda v: v.reshape(-1, *[1] * (x.ndim - 2))  # noqa: E731
    if kind == "dense":
        return F.linear(x, get(layer["weight"]), get(layer.get("bias")))
    if kind == "conv2d":
        padding, size = layer["padding"] if "padding" in layer else [0, 0], layer.get("dilation", [1, 1])
        weight = get(layer["weight"])
        options = {"stride": layer.get("stride", 1), "dilation": size, "groups": layer.get("groups", 1)}
        if layer.get("padding_mode", "zeros") == "circular":
            x, padding = F.pad(x, [padding[1]] * 2 + [padding[0]] * 2, mode="circular"), 0
        return F.conv2d(x, weight, get(layer.get("bias")), padding=padding, **options)
    if kind == "normalize":
        v = lambda key: column(torch.tensor(layer[key], dtype=torch.float64))  # noqa: E731
        return (x - v("mean")) / v("std")
    if kind == "channel_affine":
        return x * column(get(layer["scale"])) + column(get(layer["shift"]))
    if kind == "activation":
        if layer["function"] == "leaky_relu":
            return F.leaky_relu(x, layer["slope"])
        if layer["function"] == "hardtanh":
            return torch.clamp(x, layer.get("min", -1.0), layer.get("max", 1.0))
        return FUNCTIONS[layer["function"]](x)
    if kind == "sum":
        return sum(evaluate_with(branch, get, tensors, x) for branch in layer["branches"])
    if kind == "sort":
        shape = x.shape
        return x.reshape(shape[0], -1, layer["group"], *shape[2:]).sort(dim=2).values.reshape(shape)
    if kind in ("max_pool", "avg_pool"):
        pool = F.max_pool2d if kind == "max_pool" else F.avg_pool2d
        return pool(x, layer["size"], layer.get("stride", layer["size"]), layer.get("padding", 0))
    if kind == "global_avg_pool":
        return x.mean((2, 3))
    if kind == "flatten":
        return x.flatten(1)
    if kind == "space_to_depth":
        return F.pixel_unshuffle(x, layer["block"])
    if kind == "pad_channels":
        return F.pad(x, (0, 0, 0, 0, 0, layer["channels"] - x.shape[1]))
    raise AssertionError(f"the reference does not know {kind}")


def evaluate_with(layers, get, tensors, x):
    for layer in layers:
        x = step(layer, get, tensors, x)
    return x

"""What each module, function and method of PyTorch becomes."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .. import _arrays
from . import _build as build
from ._graph import Node, Unsupported
from ._torch_weights import array, stored


def _weight(module: nn.Module, name: str) -> np.ndarray | None:
    return array(stored(module, name))


def _input_only(args, kwargs) -> None:
    if args or kwargs:
        raise Unsupported("a call with more arguments than the input")


def _of(rule):
    """A rule for modules that read one value and nothing else."""

    def apply(module, x, *args, name, only_user, **kwargs):
        _input_only(args, kwargs)
        return rule(module, x, name, only_user)

    return apply


def _conv(m, x, name, _):
    weight, bias = _weight(m, "weight"), _weight(m, "bias")
    return build.conv(x, weight, bias, m.stride, m.padding, m.dilation, m.groups, m.padding_mode, name)


def _norm(m, x, name, only_user):
    return build.batch_norm(
        x, array(m.running_mean), array(m.running_var), _weight(m, "weight"), _weight(m, "bias"), m.eps, name,
        only_user=only_user,
    )


def _prelu(m, x, name, _):
    slopes = _weight(m, "weight")
    if slopes.size > 1 and not np.all(slopes == slopes[0]):
        raise Unsupported("PReLU with different slopes")
    return build.leaky_relu(x, slopes.reshape(-1)[0])


def _celu(x, alpha):
    if alpha != 1:
        raise Unsupported(f"CELU(alpha={alpha}); only alpha=1 is known, which is an ELU")
    return build.elu(x, 1.0)


def _flatten(x, start=0, end=-1):
    start, end = (d + 1 + len(x.shape) if d < 0 else d for d in (start, end))
    if start == 0:
        raise Unsupported("a flatten that mixes samples (start_dim=0)")
    if start >= end:
        return build.reshape(x, x.shape)
    return build.reshape(x, (*x.shape[: start - 1], math.prod(x.shape[start - 1 : end]), *x.shape[end:]))


def _max_pool(axes):
    def rule(m, x, name, _):
        if m.return_indices:
            raise Unsupported("max pooling with return_indices")
        return build.max_pool(x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, axes)

    return _of(rule)


def _avg_pool(axes):
    return _of(lambda m, x, *_: build.avg_pool(
        x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, getattr(m, "divisor_override", None), axes
    ))


def _drop(m, x, *_):
    return Node([x], [], x.shape, x.flat)


def _group_sort(m, x, name, _):
    """deel-torchlip sorts neighbours along the channels; its coefficient is 1 unless asked otherwise."""
    group = m.group_size if m.group_size is not None else x.shape[0]
    return _scaled(build.sort(x, min(group, x.shape[0])), m)


def _scaled(x: Node, m) -> Node:
    coefficient = float(getattr(m, "_coefficient_lip", 1.0))
    return x if coefficient == 1 else scale(x, coefficient)


def _scaled_avg_pool(m, x, name, _):
    pooled = build.avg_pool(x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override, 2)
    factor = math.sqrt(math.prod(build.pair(m.kernel_size, 2, "kernel_size"))) * float(getattr(m, "_coefficient_lip", 1.0))
    return scale(pooled, factor)


def scale(x: Node, factor: float) -> Node:
    """Returns a multiple."""
    factors = build.by_channel(x, np.asarray(factor))
    return build.channel_affine(x, factors, np.zeros_like(factors), "scale")


_MODULES = {
    nn.Linear: _of(lambda m, x, name, _: build.linear(x, _weight(m, "weight"), _weight(m, "bias"), name)),
    nn.Conv1d: _of(_conv),
    nn.Conv2d: _of(_conv),
    nn.BatchNorm1d: _of(_norm),
    nn.BatchNorm2d: _of(_norm),
    nn.SyncBatchNorm: _of(_norm),
    nn.ReLU: _of(lambda m, x, *_: build.activation(x, "relu")),
    nn.LeakyReLU: _of(lambda m, x, *_: build.leaky_relu(x, m.negative_slope)),
    nn.PReLU: _of(_prelu),
    nn.Tanh: _of(lambda m, x, *_: build.activation(x, "tanh")),
    nn.Sigmoid: _of(lambda m, x, *_: build.activation(x, "sigmoid")),
    nn.Softplus: _of(lambda m, x, *_: build.softplus(x, m.beta, m.threshold)),
    nn.ELU: _of(lambda m, x, *_: build.elu(x, m.alpha)),
    nn.CELU: _of(lambda m, x, *_: _celu(x, m.alpha)),
    nn.SiLU: _of(lambda m, x, *_: build.activation(x, "silu")),
    nn.GELU: _of(lambda m, x, *_: build.gelu(x, m.approximate)),
    nn.Hardtanh: _of(lambda m, x, *_: build.hardtanh(x, m.min_val, m.max_val)),
    nn.ReLU6: _of(lambda m, x, *_: build.hardtanh(x, 0.0, 6.0)),
    nn.MaxPool1d: _max_pool(1),
    nn.MaxPool2d: _max_pool(2),
    nn.AvgPool1d: _avg_pool(1),
    nn.AvgPool2d: _avg_pool(2),
    nn.AdaptiveAvgPool1d: _of(lambda m, x, *_: build.adaptive_avg_pool(x, m.output_size, 1)),
    nn.AdaptiveAvgPool2d: _of(lambda m, x, *_: build.adaptive_avg_pool(x, m.output_size, 2)),
    nn.Flatten: _of(lambda m, x, *_: _flatten(x, m.start_dim, m.end_dim)),
    nn.PixelUnshuffle: _of(lambda m, x, *_: build.space_to_depth(x, m.downscale_factor)),
    nn.ConstantPad3d: _of(lambda m, x, *_: build.pad_channels(x, m.padding, m.value)),
    nn.ZeroPad3d: _of(lambda m, x, *_: build.pad_channels(x, m.padding)),
    nn.Identity: _of(_drop),
    nn.Dropout: _of(_drop),
    nn.Dropout1d: _of(_drop),
    nn.Dropout2d: _of(_drop),
    nn.AlphaDropout: _of(_drop),
    nn.FeatureAlphaDropout: _of(_drop),
}

#: Modules of other libraries, which are not imported for this: the beginning of their module, and their name.
_NAMED = {
    ("deel.torchlip", "GroupSort"): _of(_group_sort),
    ("deel.torchlip", "GroupSort2"): _of(_group_sort),
    ("deel.torchlip", "FullSort"): _of(_group_sort),
    ("deel.torchlip", "ScaledAvgPool2d"): _of(_scaled_avg_pool),
    ("orthogonium", "MaxMin"): _of(lambda m, x, *_: build.max_min(x)),
}


def module_rule(module: nn.Module):
    """Returns the rule for a module: by its class, or a class that it inherits the way it computes from."""
    kind: Any = type(module)
    base: Any
    for base in kind.__mro__:
        if base in _MODULES:
            return _MODULES[base] if kind.forward is base.forward else None
        for (origin, name), rule in _NAMED.items():
            if base.__name__ == name and base.__module__.split(".")[0] == origin.split(".")[0] and kind.forward is base.forward:
                return rule
        if "_dahlquist_rule" in vars(base) and kind.forward is base.forward:
            return _of(base._dahlquist_rule)
    return None


def _add(a, b, *, alpha=1, name, only_user):
    if not isinstance(a, Node):
        a, b = b, a
        if alpha != 1:
            raise Unsupported(f"an addition of a constant with alpha={alpha}")
    if isinstance(b, Node):
        return build.add([a, b if alpha == 1 else scale(b, alpha)])
    shift = build.by_channel(a, _constant(b)) * np.float32(alpha)
    return build.channel_affine(a, np.ones_like(shift), shift, name)


def _sub(a, b, *, alpha=1, name, only_user):
    if isinstance(b, Node):
        b = scale(b, -alpha)
        return _add(a, b, name=name, only_user=only_user)
    shift = -build.by_channel(a, _constant(b)) * np.float32(alpha)
    return build.channel_affine(a, np.ones_like(shift), shift, name)


def _mul(a, b, *, name, only_user):
    if isinstance(a, Node) and isinstance(b, Node):
        return build.product(a, b)
    a, b = (a, b) if isinstance(a, Node) else (b, a)
    factor = build.by_channel(a, _constant(b))
    return build.channel_affine(a, factor, np.zeros_like(factor), name)


def _div(a, b, *, rounding_mode=None, name, only_user):
    if isinstance(b, Node) or rounding_mode is not None:
        raise Unsupported("a division by a value that depends on the input, or one that rounds")
    factor = build.by_channel(a, _constant(b))
    return build.channel_affine(a, (1 / factor.astype(np.float64)).astype(factor.dtype), np.zeros_like(factor), name)


def _constant(value) -> np.ndarray:
    if isinstance(value, (int, float)):
        return np.asarray(float(value))
    if isinstance(value, torch.Tensor):
        return _arrays.weights(value)
    raise Unsupported(f"{value!r} in place of a number or a tensor")


def _neg(x, *, name, only_user):
    return scale(x, -1.0)


def _f_pad(x, pad, mode="constant", value=None, *, name=None, only_user=False):
    if mode != "constant":
        raise Unsupported(f"F.pad with mode={mode!r}")
    return build.pad_channels(x, pad, value or 0.0)


def _simple(rule):
    """A function of a value and options, without a name of its own."""

    def apply(x, *args, name=None, only_user=False, **kwargs):
        kwargs.pop("inplace", None)
        return rule(x, *args, **kwargs)

    return apply


def _f_conv(axes):
    def rule(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, name, only_user):
        if isinstance(weight, Node) or isinstance(bias, Node):
            raise Unsupported("a convolution whose weights depend on the input")
        return build.conv(x, array(weight), array(bias), stride, padding, dilation, groups, "zeros", name)

    return rule


def _f_linear(x, weight, bias=None, *, name, only_user):
    if isinstance(weight, Node) or isinstance(bias, Node):
        raise Unsupported("a linear layer whose weights depend on the input")
    return build.linear(x, array(weight), array(bias), name)


def _matmul(x, weight, *, name, only_user):
    if not isinstance(x, Node) or not isinstance(weight, torch.Tensor) or weight.ndim != 2:
        raise Unsupported("a matrix product that is not a value times a constant matrix")
    return build.linear(x, array(weight.t()), None, name)


def _f_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5, *, name, only_user):
    if training:
        raise Unsupported("a normalization by the statistics of the batch")
    return build.batch_norm(x, array(mean), array(var), array(weight), array(bias), eps, name, only_user=only_user)


def _f_dropout(x, p=0.5, training=True, inplace=False, *, name=None, only_user=False):
    if training and p > 0:
        raise Unsupported("dropout that is always on: pass training=self.training")
    return Node([x], [], x.shape, x.flat)


def _f_max_pool(axes):
    def rule(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, **_):
        if return_indices:
            raise Unsupported("max pooling with return_indices")
        return build.max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, axes)

    return rule


def _f_avg_pool(axes):
    def rule(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None, **_):
        return build.avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, axes)

    return rule


def _mean(x, dim=None, keepdim=False, *, dtype=None, name=None, only_user=False):
    dims = (dim,) if isinstance(dim, int) else tuple(dim or ())
    dims = {d + 1 + len(x.shape) if d < 0 else d for d in dims}
    if dims != set(range(2, len(x.shape) + 1)) or not dims:
        raise Unsupported(f"a mean over the axes {dim}; over all points of each channel is known")
    return build.global_avg_pool(x, keep=keepdim)


def _squeeze(x, dim=None, *, name=None, only_user=False):
    dims = range(1, len(x.shape) + 1) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = {d + 1 + len(x.shape) if d < 0 else d for d in dims}
    if 0 in dims or (dim is None and x.shape[0] == 1):
        raise Unsupported("a squeeze that may remove the batch or the channels: name the axes")
    return build.reshape(x, tuple(n for i, n in enumerate(x.shape, 1) if not (i in dims and n == 1)))


def _reshape(x, *shape, name=None, only_user=False):
    shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    first, *rest = shape
    if isinstance(first, int) and first != -1:
        raise Unsupported(f"a reshape to {shape}, whose first size is not the number of samples")
    if not all(isinstance(n, int) for n in rest):
        raise Unsupported(f"a reshape to {shape}")
    if first == -1 and -1 in rest:
        raise Unsupported(f"a reshape to {shape}")
    if first == -1 and math.prod(rest) != math.prod(x.shape):
        raise Unsupported(f"a reshape to {shape}, which moves numbers between samples of shape {x.shape}")
    return build.reshape(x, tuple(rest))


def _get_item(x, index, *, name, only_user):
    raise Unsupported(f"a part of a value, [{index}]")


class Refusal:
    """A function that is refused whatever it is called with, and why."""

    def __init__(self, reason: str):
        self.reason = reason

    def __call__(self, *_, **__):
        raise Unsupported(self.reason)


_softmax = Refusal("softmax: leave it out, margins are measured on the logits")


_ACTIVATIONS = {
    "relu": _simple(lambda x: build.activation(x, "relu")),
    "leaky_relu": _simple(lambda x, negative_slope=0.01: build.leaky_relu(x, negative_slope)),
    "tanh": _simple(lambda x: build.activation(x, "tanh")),
    "sigmoid": _simple(lambda x: build.activation(x, "sigmoid")),
    "softplus": _simple(lambda x, beta=1, threshold=20: build.softplus(x, beta, threshold)),
    "elu": _simple(lambda x, alpha=1.0: build.elu(x, alpha)),
    "celu": _simple(lambda x, alpha=1.0: _celu(x, alpha)),
    "silu": _simple(lambda x: build.activation(x, "silu")),
    "gelu": _simple(lambda x, approximate="none": build.gelu(x, approximate)),
    "hardtanh": _simple(lambda x, min_val=-1.0, max_val=1.0: build.hardtanh(x, float(min_val), float(max_val))),
    "relu6": _simple(lambda x: build.hardtanh(x, 0.0, 6.0)),
    "abs": _simple(lambda x: build.activation(x, "abs")),
    "softmax": _softmax,
    "log_softmax": _softmax,
}


def _clamp(x, min=None, max=None, *, name=None, only_user=False):
    low = -math.inf if min is None else float(min)
    high = math.inf if max is None else float(max)
    if low != 0 and math.inf in (-low, high):
        raise Unsupported(f"a clamp to [{low}, {high}]")
    return build.hardtanh(x, low, high)


FUNCTIONS = {
    operator.add: _add, operator.iadd: _add, torch.add: _add,
    operator.sub: _sub, operator.isub: _sub, torch.sub: _sub,
    operator.mul: _mul, operator.imul: _mul, torch.mul: _mul,
    operator.truediv: _div, operator.itruediv: _div, torch.div: _div,
    operator.neg: _neg, torch.neg: _neg,
    operator.matmul: _matmul, torch.matmul: _matmul, torch.mm: _matmul,
    operator.getitem: _get_item,
    F.linear: _f_linear, F.conv1d: _f_conv(1), F.conv2d: _f_conv(2), torch.conv1d: _f_conv(1), torch.conv2d: _f_conv(2),
    F.batch_norm: _f_norm, F.pad: _f_pad,
    F.dropout: _f_dropout, F.dropout1d: _f_dropout, F.dropout2d: _f_dropout, F.alpha_dropout: _f_dropout,
    F.max_pool1d: _f_max_pool(1), F.max_pool2d: _f_max_pool(2), torch.max_pool1d: _f_max_pool(1),
    torch.max_pool2d: _f_max_pool(2),
    F.avg_pool1d: _f_avg_pool(1), F.avg_pool2d: _f_avg_pool(2),
    F.adaptive_avg_pool1d: _simple(lambda x, output_size: build.adaptive_avg_pool(x, output_size, 1)),
    F.adaptive_avg_pool2d: _simple(lambda x, output_size: build.adaptive_avg_pool(x, output_size, 2)),
    torch.flatten: _simple(lambda x, start_dim=0, end_dim=-1: _flatten(x, start_dim, end_dim)),
    torch.reshape: _reshape, torch.mean: _mean, torch.squeeze: _squeeze, torch.clamp: _clamp,
    F.pixel_unshuffle: _simple(lambda x, downscale_factor: build.space_to_depth(x, downscale_factor)),
    torch.relu: _ACTIVATIONS["relu"], torch.relu_: _ACTIVATIONS["relu"], torch.tanh: _ACTIVATIONS["tanh"],
    torch.sigmoid: _ACTIVATIONS["sigmoid"], torch.abs: _ACTIVATIONS["abs"], torch.softmax: _softmax,
    operator.abs: _ACTIVATIONS["abs"], abs: _ACTIVATIONS["abs"],
    **{getattr(F, name): rule for name, rule in _ACTIVATIONS.items() if hasattr(F, name)},
}
# The same functions under the names that fx finds them by.
for _name in ("avg_pool2d", "avg_pool1d", "max_pool2d", "max_pool1d"):
    _inner = getattr(torch._C._nn, _name, None)
    if _inner is not None:
        FUNCTIONS.setdefault(_inner, FUNCTIONS[getattr(F, _name)])

METHODS = {
    "flatten": lambda x, start_dim=0, end_dim=-1: _flatten(x, start_dim, end_dim),
    "view": _reshape, "reshape": _reshape, "mean": _mean, "squeeze": _squeeze,
    "clamp": _clamp, "clamp_": _clamp,
    "contiguous": lambda x: Node([x], [], x.shape, x.flat),
    "float": lambda x: Node([x], [], x.shape, x.flat),
    "clone": lambda x: Node([x], [], x.shape, x.flat),
    "add": lambda x, y, alpha=1: _add(x, y, alpha=alpha, name="add", only_user=False),
    "add_": lambda x, y, alpha=1: _add(x, y, alpha=alpha, name="add", only_user=False),
    "sub": lambda x, y, alpha=1: _sub(x, y, alpha=alpha, name="sub", only_user=False),
    "mul": lambda x, y: _mul(x, y, name="mul", only_user=False),
    "div": lambda x, y: _div(x, y, name="div", only_user=False),
    "softmax": _softmax, "log_softmax": _softmax,
    **{name: _ACTIVATIONS[name] for name in ("relu", "tanh", "sigmoid", "abs")},
    "relu_": _ACTIVATIONS["relu"],
}

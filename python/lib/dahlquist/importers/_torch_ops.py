"""What each module, function and method of PyTorch becomes."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import _build as build, _torch_arithmetic as arithmetic
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
    padding = m.padding
    if m.padding_mode != "zeros" and padding != "same":
        # Its forward pads by what was computed of the padding that it was made with, the last axis first.
        before, behind = m._reversed_padding_repeated_twice[::2], m._reversed_padding_repeated_twice[1::2]
        if before != behind:
            raise Unsupported(f"a convolution that pads by {before} and {behind}")
        padding = tuple(before[::-1])
    return build.conv(x, weight, bias, m.stride, padding, m.dilation, m.groups, m.padding_mode, name)


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


def _zero_pad(x, pads, value):
    """PyTorch pads the last axis first."""
    pads = [int(n) for n in pads]
    pads += [0] * (2 * len(x.shape) - 2 - len(pads))
    if len(pads) != 2 * len(x.shape) - 2:
        raise Unsupported(f"a padding by {pads} of a value of shape {x.shape}")
    return build.zero_pad(x, list(zip(pads[::2], pads[1::2]))[::-1], float(value))


def _drop(m, x, *_):
    return Node([x], [], x.shape, x.flat)


def _group_sort(m, x, name, _):
    """deel-torchlip sorts neighbours along the channels; its coefficient is 1 unless asked otherwise."""
    group = m.group_size if m.group_size is not None else x.shape[0]
    return _scaled(build.sort(x, min(group, x.shape[0])), m)


def _scaled(x: Node, m) -> Node:
    coefficient = float(getattr(m, "_coefficient_lip", 1.0))
    return x if coefficient == 1 else build.multiple(x, coefficient)


def _scaled_avg_pool(m, x, name, _):
    pooled = build.avg_pool(x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override, 2)
    factor = math.sqrt(math.prod(build.pair(m.kernel_size, 2, "kernel_size"))) * float(getattr(m, "_coefficient_lip", 1.0))
    return build.multiple(pooled, factor)


def _max_min(m, x):
    axis = getattr(m, "axis", 1)
    if axis % (len(x.shape) + 1) != 1:
        raise Unsupported(f"MaxMin along the axis {axis}; along the channels is known")
    return build.max_min(x)


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
    nn.Flatten: _of(lambda m, x, *_: arithmetic.flatten(x, m.start_dim, m.end_dim)),
    nn.PixelUnshuffle: _of(lambda m, x, *_: build.space_to_depth(x, m.downscale_factor)),
    nn.ConstantPad1d: _of(lambda m, x, *_: _zero_pad(x, m.padding, m.value)),
    nn.ConstantPad2d: _of(lambda m, x, *_: _zero_pad(x, m.padding, m.value)),
    nn.ZeroPad2d: _of(lambda m, x, *_: _zero_pad(x, m.padding, 0.0)),
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
    ("orthogonium", "MaxMin"): _of(lambda m, x, *_: _max_min(m, x)),
}


def module_rule(module: nn.Module):
    """Returns the rule for a module: by its class, or a class that it inherits the way it computes from."""
    kind: Any = type(module)
    base: Any
    if is_replaced(module):
        return None
    for base in kind.__mro__:
        if base in _MODULES:
            return _MODULES[base] if _computes_as(kind, base) else None
        for (origin, name), rule in _NAMED.items():
            if base.__name__ == name and base.__module__.split(".")[0] == origin.split(".")[0] and _computes_as(kind, base):
                return rule
        if "_dahlquist_rule" in vars(base) and _computes_as(kind, base):
            return _of(base._dahlquist_rule)
    return None


#: What computes the result of a call: a convolution has two methods for that.
_CALLS = ("__call__", "_wrapped_call_impl", "_call_impl")
_METHODS = ("forward", "_conv_forward", *_CALLS)


def _computes_as(kind, base) -> bool:
    """Whether a class inherits all that computes its result."""
    return all(getattr(kind, name, None) is getattr(base, name, None) for name in _METHODS)


def is_replaced(module: nn.Module) -> bool:
    """Whether something else computes the result of a call than the methods of its class, or of PyTorch's class if it is one."""
    if any(name in vars(module) for name in _METHODS):
        return True
    for name in _METHODS:
        owner = next((base for base in type(module).__mro__ if name in vars(base)), None)
        if owner is nn.Module:
            continue
        if name in _CALLS and owner is not None:
            return True
        if owner is not None and owner.__module__.startswith("torch.nn.modules."):
            # A function that was put into PyTorch's class is written in another file.
            code = getattr(vars(owner)[name], "__code__", None)
            if code is None or not code.co_filename.replace("\\", "/").endswith(owner.__module__.replace(".", "/") + ".py"):
                return True
    return False


def _f_pad(x, pad, mode="constant", value=None, *, name=None, only_user=False):
    if mode != "constant":
        raise Unsupported(f"F.pad with mode={mode!r}")
    if len(pad) < 2 * len(x.shape):
        return _zero_pad(x, pad, value or 0.0)
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


def _f_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5, *, name, only_user):
    if training:
        raise Unsupported("a normalization by the statistics of the batch")
    arrays = (array(v) for v in (running_mean, running_var, weight, bias))
    return build.batch_norm(x, *arrays, eps, name, only_user=only_user)


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


def _bound(value, default: float) -> float:
    """Returns a bound that is the same for every coordinate."""
    if value is None:
        return default
    if isinstance(value, Node):
        raise Unsupported("a clamp between values that depend on the input")
    numbers = np.asarray(array(value) if isinstance(value, torch.Tensor) else value, np.float64).reshape(-1)
    if not numbers.size or np.any(numbers != numbers[0]):
        raise Unsupported(f"a clamp by a tensor of shape {tuple(value.shape)} whose numbers differ: one for all is known")
    return float(numbers[0])


def _clamp(x, min=None, max=None, *, name=None, only_user=False):
    low, high = _bound(min, -math.inf), _bound(max, math.inf)
    if low != 0 and math.inf in (-low, high):
        raise Unsupported(f"a clamp to [{low}, {high}]")
    return build.hardtanh(x, low, high)


def _same(x: Node) -> Node:
    return Node([x], [], x.shape, x.flat)


def _to(x, *args, **kwargs):
    """Returns the same numbers in another place or format."""
    for kind in (*args, *kwargs.values()):
        if isinstance(kind, torch.dtype) and kind not in (torch.float32, torch.float64):
            raise Unsupported(f"a conversion to {kind}, which rounds")
    return _same(x)


_ARITHMETIC = {"add": arithmetic.add, "sub": arithmetic.sub, "mul": arithmetic.mul, "div": arithmetic.div}


def _method(rule, name: str):
    return lambda x, other, **options: rule(x, other, name=name, only_user=False, **options)


FUNCTIONS = {
    operator.add: arithmetic.add, operator.iadd: arithmetic.add, torch.add: arithmetic.add,
    operator.sub: arithmetic.sub, operator.isub: arithmetic.sub, torch.sub: arithmetic.sub,
    operator.mul: arithmetic.mul, operator.imul: arithmetic.mul, torch.mul: arithmetic.mul,
    operator.truediv: arithmetic.div, operator.itruediv: arithmetic.div, torch.div: arithmetic.div,
    operator.neg: arithmetic.neg, torch.neg: arithmetic.neg,
    operator.matmul: arithmetic.matmul, torch.matmul: arithmetic.matmul, torch.mm: arithmetic.matmul,
    operator.getitem: _get_item,
    F.linear: _f_linear, F.conv1d: _f_conv(1), F.conv2d: _f_conv(2), torch.conv1d: _f_conv(1), torch.conv2d: _f_conv(2),
    F.batch_norm: _f_norm, F.pad: _f_pad,
    F.dropout: _f_dropout, F.dropout1d: _f_dropout, F.dropout2d: _f_dropout, F.alpha_dropout: _f_dropout,
    F.max_pool1d: _f_max_pool(1), F.max_pool2d: _f_max_pool(2), torch.max_pool1d: _f_max_pool(1),
    torch.max_pool2d: _f_max_pool(2),
    F.avg_pool1d: _f_avg_pool(1), F.avg_pool2d: _f_avg_pool(2),
    F.adaptive_avg_pool1d: _simple(lambda x, output_size: build.adaptive_avg_pool(x, output_size, 1)),
    F.adaptive_avg_pool2d: _simple(lambda x, output_size: build.adaptive_avg_pool(x, output_size, 2)),
    torch.flatten: _simple(lambda x, start_dim=0, end_dim=-1: arithmetic.flatten(x, start_dim, end_dim)),
    torch.reshape: arithmetic.reshape, torch.mean: arithmetic.mean, torch.squeeze: arithmetic.squeeze, torch.clamp: _clamp,
    torch.clamp_min: _clamp, torch.clone: _simple(lambda x, memory_format=None: _same(x)),
    F.pixel_unshuffle: _simple(lambda x, downscale_factor: build.space_to_depth(x, downscale_factor)),
    torch.relu: _ACTIVATIONS["relu"], torch.relu_: _ACTIVATIONS["relu"], F.relu_: _ACTIVATIONS["relu"],
    F.leaky_relu_: _ACTIVATIONS["leaky_relu"], F.elu_: _ACTIVATIONS["elu"], F.hardtanh_: _ACTIVATIONS["hardtanh"],
    torch.tanh: _ACTIVATIONS["tanh"],
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
    "flatten": lambda x, start_dim=0, end_dim=-1: arithmetic.flatten(x, start_dim, end_dim),
    "view": arithmetic.reshape, "reshape": arithmetic.reshape, "mean": arithmetic.mean, "squeeze": arithmetic.squeeze,
    "clamp": _clamp, "clamp_": _clamp, "clamp_min": _clamp, "clamp_min_": _clamp,
    "contiguous": lambda x, memory_format=None: _same(x), "clone": lambda x, memory_format=None: _same(x),
    "detach": lambda x: _same(x), "float": lambda x: _same(x), "double": lambda x: _same(x),
    "to": lambda x, *args, **kwargs: _to(x, *args, **kwargs),
    **{name + end: _method(rule, name) for name, rule in _ARITHMETIC.items() for end in ("", "_")},
    "neg": lambda x: build.multiple(x, -1.0),
    "matmul": _method(arithmetic.matmul, "matmul"),
    "softmax": _softmax, "log_softmax": _softmax,
    **{name + end: _ACTIVATIONS[name] for name in ("relu", "tanh", "sigmoid", "abs") for end in ("", "_")},
}

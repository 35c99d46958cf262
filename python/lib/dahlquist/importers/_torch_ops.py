"""What each module of PyTorch becomes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import nn

from . import _activations as act, _build as build, _pools as pools, _torch_arithmetic as arithmetic
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


def _max_pool(axes):
    def rule(m, x, name, _):
        if m.return_indices:
            raise Unsupported("max pooling with return_indices")
        return pools.max_pool(x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, axes)

    return _of(rule)


def _adaptive_max_pool(axes):
    def rule(m, x, name, _):
        if m.return_indices:
            raise Unsupported("max pooling with return_indices")
        return pools.adaptive_max_pool(x, m.output_size, axes)

    return _of(rule)


def _avg_pool(axes):
    return _of(lambda m, x, *_: pools.avg_pool(
        x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, getattr(m, "divisor_override", None), axes
    ))


def zero_pad(x, pads, value) -> Node:
    """Returns an image with zeros around it. PyTorch pads the last axis first."""
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
    pooled = pools.avg_pool(x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override, 2)
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
    nn.ReLU: _of(lambda m, x, *_: act.activation(x, "relu")),
    nn.LeakyReLU: _of(lambda m, x, *_: act.leaky_relu(x, m.negative_slope)),
    nn.PReLU: _of(lambda m, x, *_: act.prelu(x, _weight(m, "weight"))),
    nn.Tanh: _of(lambda m, x, *_: act.activation(x, "tanh")),
    nn.Sigmoid: _of(lambda m, x, *_: act.activation(x, "sigmoid")),
    nn.Softplus: _of(lambda m, x, *_: act.softplus(x, m.beta, m.threshold)),
    nn.ELU: _of(lambda m, x, *_: act.elu(x, m.alpha)),
    nn.CELU: _of(lambda m, x, *_: act.celu(x, m.alpha)),
    nn.SELU: _of(lambda m, x, *_: act.selu(x)),
    nn.Hardsigmoid: _of(lambda m, x, *_: act.hardsigmoid(x)),
    nn.LogSigmoid: _of(lambda m, x, *_: act.log_sigmoid(x)),
    nn.RReLU: _of(lambda m, x, *_: act.leaky_relu(x, (m.lower + m.upper) / 2)),
    nn.Threshold: _of(lambda m, x, *_: act.threshold(x, m.threshold, m.value)),
    nn.SiLU: _of(lambda m, x, *_: act.activation(x, "silu")),
    nn.Mish: _of(lambda m, x, *_: act.activation(x, "mish")),
    nn.Hardswish: _of(lambda m, x, *_: act.activation(x, "hardswish")),
    nn.GELU: _of(lambda m, x, *_: act.gelu(x, m.approximate)),
    nn.Hardtanh: _of(lambda m, x, *_: act.hardtanh(x, m.min_val, m.max_val)),
    nn.ReLU6: _of(lambda m, x, *_: act.hardtanh(x, 0.0, 6.0)),
    nn.MaxPool1d: _max_pool(1),
    nn.MaxPool2d: _max_pool(2),
    nn.AvgPool1d: _avg_pool(1),
    nn.AvgPool2d: _avg_pool(2),
    nn.AdaptiveAvgPool1d: _of(lambda m, x, *_: pools.adaptive_avg_pool(x, m.output_size, 1)),
    nn.AdaptiveAvgPool2d: _of(lambda m, x, *_: pools.adaptive_avg_pool(x, m.output_size, 2)),
    nn.AdaptiveMaxPool1d: _adaptive_max_pool(1),
    nn.AdaptiveMaxPool2d: _adaptive_max_pool(2),
    nn.ChannelShuffle: _of(lambda m, x, *_: build.permute(x, np.arange(x.shape[0]).reshape(m.groups, -1).T.reshape(-1))),
    nn.Unflatten: _of(lambda m, x, *_: arithmetic.unflatten(x, m.dim, m.unflattened_size)),
    nn.Flatten: _of(lambda m, x, *_: arithmetic.flatten(x, m.start_dim, m.end_dim)),
    nn.PixelUnshuffle: _of(lambda m, x, *_: build.space_to_depth(x, m.downscale_factor)),
    nn.ConstantPad1d: _of(lambda m, x, *_: zero_pad(x, m.padding, m.value)),
    nn.ConstantPad2d: _of(lambda m, x, *_: zero_pad(x, m.padding, m.value)),
    nn.ZeroPad2d: _of(lambda m, x, *_: zero_pad(x, m.padding, 0.0)),
    nn.ConstantPad3d: _of(lambda m, x, *_: build.pad_channels(x, m.padding, m.value)),
    nn.ZeroPad3d: _of(lambda m, x, *_: build.pad_channels(x, m.padding)),
    nn.Identity: _of(_drop),
    nn.Dropout: _of(_drop),
    nn.Dropout1d: _of(_drop),
    nn.Dropout2d: _of(_drop),
    nn.AlphaDropout: _of(_drop),
    nn.FeatureAlphaDropout: _of(_drop),
    nn.Dropout3d: _of(_drop),
}

#: Modules of other libraries, which are not imported for this: the beginning of their module, and their name.
_NAMED = {
    ("deel.torchlip", "GroupSort"): _of(_group_sort),
    ("deel.torchlip", "GroupSort2"): _of(_group_sort),
    ("deel.torchlip", "FullSort"): _of(_group_sort),
    ("deel.torchlip", "ScaledAvgPool2d"): _of(_scaled_avg_pool),
    ("orthogonium", "MaxMin"): _of(lambda m, x, *_: _max_min(m, x)),
    # In evaluation mode, in which every network is read.
    ("torchvision", "StochasticDepth"): _of(_drop),
    ("torchvision", "DropBlock2d"): _of(_drop),
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

"""What each function and method of PyTorch becomes."""

from __future__ import annotations

import math
import operator

import numpy as np
import torch
from torch.nn import functional as F

from . import _activations as act, _build as build, _placement as placement, _pools as pools, _torch_arithmetic as arithmetic
from ._graph import Node, Unsupported
from ._torch_ops import zero_pad
from ._torch_weights import array


def _f_pad(x, pad, mode="constant", value=None, *, name=None, only_user=False):
    if mode != "constant":
        raise Unsupported(f"F.pad with mode={mode!r}")
    pad = [int(n) for n in pad]
    points, channels, samples = pad[: 2 * len(x.shape) - 2], pad[2 * len(x.shape) - 2 : 2 * len(x.shape)], pad[2 * len(x.shape) :]
    if any(samples):
        raise Unsupported("F.pad of the samples")
    if not any(channels):
        return zero_pad(x, points, value or 0.0)
    return build.pad_channels(x, points + channels, value or 0.0)


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
        return pools.max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, axes)

    return rule


def _f_adaptive_max_pool(axes):
    def rule(x, output_size, return_indices=False, **_):
        if return_indices:
            raise Unsupported("max pooling with return_indices")
        return pools.adaptive_max_pool(x, output_size, axes)

    return rule


def _f_avg_pool(axes):
    def rule(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None, **_):
        return pools.avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, axes)

    return rule


def _get_item(x, index, *, name, only_user):
    return arithmetic.part(x, index)


def _cat(tensors, dim=0, *, name=None, only_user=False):
    return placement.concatenate(list(tensors), dim)


class Refusal:
    """A function that is refused whatever it is called with, and why."""

    def __init__(self, reason: str):
        self.reason = reason

    def __call__(self, *_, **__):
        raise Unsupported(self.reason)


_softmax = Refusal("softmax: leave it out, margins are measured on the logits")


_ACTIVATIONS = {
    "relu": _simple(lambda x: act.activation(x, "relu")),
    "leaky_relu": _simple(lambda x, negative_slope=0.01: act.leaky_relu(x, negative_slope)),
    "tanh": _simple(lambda x: act.activation(x, "tanh")),
    "sigmoid": _simple(lambda x: act.activation(x, "sigmoid")),
    "softplus": _simple(lambda x, beta=1, threshold=20: act.softplus(x, beta, threshold)),
    "elu": _simple(lambda x, alpha=1.0: act.elu(x, alpha)),
    "celu": _simple(lambda x, alpha=1.0: act.celu(x, alpha)),
    "selu": _simple(lambda x: act.selu(x)),
    "hardsigmoid": _simple(lambda x: act.hardsigmoid(x)),
    "logsigmoid": _simple(lambda x: act.log_sigmoid(x)),
    "threshold": _simple(lambda x, threshold, value: act.threshold(x, threshold, value)),
    "prelu": _simple(lambda x, weight: act.prelu(x, array(weight))),
    "silu": _simple(lambda x: act.activation(x, "silu")),
    "mish": _simple(lambda x: act.activation(x, "mish")),
    "hardswish": _simple(lambda x: act.activation(x, "hardswish")),
    "gelu": _simple(lambda x, approximate="none": act.gelu(x, approximate)),
    "hardtanh": _simple(lambda x, min_val=-1.0, max_val=1.0: act.hardtanh(x, float(min_val), float(max_val))),
    "relu6": _simple(lambda x: act.hardtanh(x, 0.0, 6.0)),
    "abs": _simple(lambda x: act.activation(x, "abs")),
    "softmax": _softmax,
    "log_softmax": _softmax,
}


def _clamp(x, min=None, max=None, *, name=None, only_user=False):
    return act.hardtanh(x, arithmetic.bound(min, -math.inf), arithmetic.bound(max, math.inf))


def _clamp_max(x, max, *, name=None, only_user=False):
    return _clamp(x, None, max)


def _rrelu(x, lower=1 / 8, upper=1 / 3, training=False):
    if training:
        raise Unsupported("rrelu with training=True, which draws its slopes: pass training=self.training")
    return act.leaky_relu(x, (lower + upper) / 2)


def _same(x: Node) -> Node:
    return Node([x], [], x.shape, x.flat)


def _to(x, *args, **kwargs):
    """Returns the same numbers in another place or format."""
    for kind in (*args, *kwargs.values()):
        kind = kind.dtype if isinstance(kind, torch.Tensor) else kind
        if isinstance(kind, torch.dtype) and kind not in (torch.float32, torch.float64):
            raise Unsupported(f"a conversion to {kind}, which rounds")
        if isinstance(kind, str) and kind.startswith("torch.") and kind not in ("torch.FloatTensor", "torch.DoubleTensor"):
            raise Unsupported(f"a conversion to {kind}, which may round")
    return _same(x)


_ARITHMETIC = {
    "add": arithmetic.add, "sub": arithmetic.sub, "mul": arithmetic.mul, "div": arithmetic.div, "subtract": arithmetic.sub,
    "multiply": arithmetic.mul, "divide": arithmetic.div, "true_divide": arithmetic.div,
}


def of_constant(name: str, constant, x, **options):
    """Returns what a method of a constant makes of a value, as in ``constant * x``."""
    name = name.strip("_")
    if name in ("to", "type_as") and isinstance(constant, torch.Tensor):
        return constant.to(torch.float64 if x.kind is np.float64 else torch.float32)
    if name == "rsub":
        return arithmetic.sub(x, constant, name=name, only_user=False, **options)
    if name not in _ARITHMETIC:
        raise Unsupported(f"the method {name} of a constant and a value")
    return _ARITHMETIC[name](constant, x, name=name, only_user=False, **options)


def _method(rule, name: str):
    return lambda x, other, **options: rule(x, other, name=name, only_user=False, **options)


FUNCTIONS = {
    operator.add: arithmetic.add, operator.iadd: arithmetic.add, torch.add: arithmetic.add,
    operator.sub: arithmetic.sub, operator.isub: arithmetic.sub, torch.sub: arithmetic.sub,
    operator.mul: arithmetic.mul, operator.imul: arithmetic.mul, torch.mul: arithmetic.mul,
    operator.truediv: arithmetic.div, operator.itruediv: arithmetic.div, torch.div: arithmetic.div,
    torch.multiply: arithmetic.mul, torch.subtract: arithmetic.sub, torch.true_divide: arithmetic.div,
    torch.divide: arithmetic.div, torch.rsub: arithmetic.rsub, torch.addmm: arithmetic.addmm,
    torch.maximum: arithmetic.maximum, torch.max: arithmetic.maximum, torch.minimum: arithmetic.minimum,
    torch.min: arithmetic.minimum, torch.special.expit: _ACTIVATIONS["sigmoid"],
    operator.pow: arithmetic.power, torch.pow: arithmetic.power, operator.neg: arithmetic.neg, torch.neg: arithmetic.neg,
    operator.matmul: arithmetic.matmul, torch.matmul: arithmetic.matmul, torch.mm: arithmetic.matmul,
    operator.getitem: _get_item,
    F.linear: _f_linear, F.conv1d: _f_conv(1), F.conv2d: _f_conv(2), torch.conv1d: _f_conv(1), torch.conv2d: _f_conv(2),
    F.batch_norm: _f_norm, F.pad: _f_pad,
    F.dropout: _f_dropout, F.dropout1d: _f_dropout, F.dropout2d: _f_dropout,
    F.dropout3d: _f_dropout, F.alpha_dropout: _f_dropout,
    F.max_pool1d: _f_max_pool(1), F.max_pool2d: _f_max_pool(2), torch.max_pool1d: _f_max_pool(1),
    torch.max_pool2d: _f_max_pool(2),
    F.avg_pool1d: _f_avg_pool(1), F.avg_pool2d: _f_avg_pool(2),
    F.adaptive_avg_pool1d: _simple(lambda x, output_size: pools.adaptive_avg_pool(x, output_size, 1)),
    F.adaptive_avg_pool2d: _simple(lambda x, output_size: pools.adaptive_avg_pool(x, output_size, 2)),
    F.adaptive_max_pool1d: _f_adaptive_max_pool(1), F.adaptive_max_pool2d: _f_adaptive_max_pool(2),
    torch.amax: arithmetic.amax, torch.sum: arithmetic.total, torch.stack: arithmetic.stack,
    torch.cat: _cat, torch.concat: _cat, torch.concatenate: _cat,
    torch.permute: arithmetic.permute, torch.transpose: arithmetic.transpose, torch.chunk: arithmetic.chunk,
    torch.split: arithmetic.split, torch.unsqueeze: arithmetic.unsqueeze, torch.unflatten: arithmetic.unflatten,
    torch.index_select: arithmetic.index_select, torch.flip: arithmetic.flip,
    torch.flatten: _simple(lambda x, start_dim=0, end_dim=-1: arithmetic.flatten(x, start_dim, end_dim)),
    torch.reshape: arithmetic.reshape, torch.mean: arithmetic.mean, torch.squeeze: arithmetic.squeeze, torch.clamp: _clamp,
    torch.clamp_min: _clamp, torch.clamp_max: _clamp_max, F.rrelu: _simple(_rrelu), torch.is_floating_point: _simple(lambda x: True),
     torch.clone: _simple(lambda x, memory_format=None: _same(x)),
    F.pixel_unshuffle: _simple(lambda x, downscale_factor: build.space_to_depth(x, downscale_factor)),
    torch.relu: _ACTIVATIONS["relu"], torch.relu_: _ACTIVATIONS["relu"], F.relu_: _ACTIVATIONS["relu"],
    F.leaky_relu_: _ACTIVATIONS["leaky_relu"], F.elu_: _ACTIVATIONS["elu"], F.hardtanh_: _ACTIVATIONS["hardtanh"],
    torch.tanh: _ACTIVATIONS["tanh"], torch.selu: _ACTIVATIONS["selu"], torch.celu: _ACTIVATIONS["celu"],
    torch.prelu: _ACTIVATIONS["prelu"], torch.threshold: _ACTIVATIONS["threshold"], torch.clip: _clamp,
    torch.sigmoid: _ACTIVATIONS["sigmoid"], torch.abs: _ACTIVATIONS["abs"], torch.softmax: _softmax,
    operator.abs: _ACTIVATIONS["abs"], abs: _ACTIVATIONS["abs"],
    **{getattr(F, name): rule for name, rule in _ACTIVATIONS.items() if hasattr(F, name)},
}
# The same functions under the names that fx finds them by.
for _name in ("avg_pool2d", "avg_pool1d", "max_pool2d", "max_pool1d"):
    _inner = getattr(torch._C._nn, _name, None)
    if _inner is not None:
        FUNCTIONS.setdefault(_inner, FUNCTIONS[getattr(F, _name)])

def _stochastic_depth(input, p, mode, training=True):  # noqa: A002
    if training and p > 0:
        raise Unsupported("stochastic_depth that is always on: pass training=self.training")
    return _same(input)


#: Functions of other libraries, which are not imported for this: the beginning of their module, and their name.
_NAMED = {("torchvision", "stochastic_depth"): _simple(_stochastic_depth)}


def function_rule(function):
    """Returns the rule for a function; None if there is none."""
    if function in FUNCTIONS:
        return FUNCTIONS[function]
    origin = (getattr(function, "__module__", None) or "").split(".")[0]
    return _NAMED.get((origin, getattr(function, "__name__", "")))


METHODS = {
    "flatten": lambda x, start_dim=0, end_dim=-1: arithmetic.flatten(x, start_dim, end_dim),
    "amax": arithmetic.amax, "sum": arithmetic.total, "permute": arithmetic.permute,
    "transpose": arithmetic.transpose, "chunk": arithmetic.chunk, "split": arithmetic.split,
     "unsqueeze": arithmetic.unsqueeze,
    "unflatten": arithmetic.unflatten, "index_select": arithmetic.index_select, "flip": arithmetic.flip,
    "view": arithmetic.reshape, "reshape": arithmetic.reshape, "mean": arithmetic.mean, "squeeze": arithmetic.squeeze,
    "clip": _clamp, "clip_": _clamp, "clamp": _clamp, "clamp_": _clamp, "clamp_min": _clamp, "clamp_min_": _clamp,
    "clamp_max": _clamp_max, "clamp_max_": _clamp_max, "is_floating_point": lambda x: True,
    "contiguous": lambda x, memory_format=None: _same(x), "clone": lambda x, memory_format=None: _same(x),
    "detach": lambda x: _same(x), "float": lambda x: _same(x), "double": lambda x: _same(x),
    **{name: lambda x, *args, **kwargs: _to(x, *args, **kwargs) for name in ("to", "type", "type_as", "cpu", "cuda")},
    "requires_grad_": lambda x, requires_grad=True: _same(x),
    **{name + end: _method(rule, name) for name, rule in _ARITHMETIC.items() for end in ("", "_")},
    "pow": arithmetic.power, "neg": lambda x: build.multiple(x, -1.0),
    "matmul": _method(arithmetic.matmul, "matmul"),
    "softmax": _softmax, "log_softmax": _softmax,
    **{name + end: _ACTIVATIONS[name] for name in ("relu", "tanh", "sigmoid", "abs") for end in ("", "_")},
}

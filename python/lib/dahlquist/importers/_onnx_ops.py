"""What each operator of ONNX becomes. A rule takes the inputs, the attributes, and a name for its weights."""

from __future__ import annotations

import math

import numpy as np

from . import _activations as act, _build as build, _placement as placement, _pools as pools, _products as products
from ._graph import BATCH, Node, Unsupported
from ._onnx_fold import sizes


def _array(value) -> np.ndarray | None:
    if value is None:
        return None
    if isinstance(value, Node):
        raise Unsupported("weights that depend on the input")
    value = np.asarray(value)
    return np.ascontiguousarray(value.astype(np.float32) if value.dtype.itemsize < 4 else value)


def _pads(attributes, kernel, stride, dilation, sizes, what: str):
    """Returns the padding, which must be the same on both sides."""
    before, after = _sides(attributes, kernel, stride, dilation, sizes)
    if before != after:
        raise Unsupported(f"{what} that pads one side more than the other: {list(before)} and {list(after)}")
    return before


def _sides(attributes, kernel, stride, dilation, sizes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the padding before and behind, for each axis."""
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    axes = len(kernel)
    if auto == "VALID":
        return (0,) * axes, (0,) * axes
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        total = [max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0)
                 for n, s, k, d in zip(sizes, stride, kernel, dilation)]
        less, more = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        return (less, more) if auto == "SAME_UPPER" else (more, less)
    pads = tuple(attributes.get("pads", (0,) * (2 * axes)))
    return pads[:axes], pads[axes:]


def _conv(inputs, a, *, name, only_user):
    x, weight, bias = (*inputs, None)[:3]
    weight = _array(weight)
    axes = weight.ndim - 2
    stride, dilation = tuple(a.get("strides", (1,) * axes)), tuple(a.get("dilations", (1,) * axes))
    before, after = _sides(a, weight.shape[2:], stride, dilation, x.shape[1:])
    if before != after:
        x = build.zero_pad(x, list(zip(before, after)))
        before = (0,) * axes
    return build.conv(x, weight, _array(bias), stride, before, dilation, a.get("group", 1), "zeros", name)


def _gemm(inputs, a, *, name, only_user):
    x, weight, bias = (*inputs, None)[:3]
    if not isinstance(x, Node) or a.get("transA"):
        raise Unsupported("a Gemm whose first factor is no value of samples")
    weight = _array(weight)
    weight = weight if a.get("transB") else np.ascontiguousarray(weight.T)
    kind = weight.dtype
    if bias is not None:
        bias = np.atleast_1d(_array(bias))
        if bias.ndim > 2 or bias.shape[-1] not in (1, len(weight)) or bias.ndim == 2 and len(bias) != 1:
            raise Unsupported(f"a Gemm that adds numbers of shape {bias.shape}, which differ from sample to sample")
        bias = np.broadcast_to(bias.reshape(-1), (len(weight),))
    if a.get("alpha", 1.0) != 1:
        weight = (weight * a["alpha"]).astype(kind)
    if bias is not None and a.get("beta", 1.0) != 1:
        bias = bias * a["beta"]
    return build.linear(x, weight, None if bias is None else np.ascontiguousarray(bias).astype(kind), name)


def _matmul(inputs, a, *, name, only_user):
    x, weight = inputs
    if not isinstance(x, Node) or isinstance(weight, Node) or np.ndim(weight) != 2:
        raise Unsupported("a matrix product that is not a value times a constant matrix")
    return build.linear(x, np.ascontiguousarray(_array(weight).T), None, name)


def _norm(inputs, a, *, name, only_user):
    x, gamma, beta, mean, var = inputs[:5]
    if a.get("training_mode"):
        raise Unsupported("a normalization by the statistics of the batch")
    arrays = [_array(v) for v in (mean, var, gamma, beta)]
    return build.batch_norm(x, *arrays, a.get("epsilon", 1e-5), name, only_user=only_user)


def _max_pool(inputs, a, *, name, only_user):
    (x,) = inputs
    kernel = tuple(a["kernel_shape"])
    ones = (1,) * len(kernel)
    stride, dilation = tuple(a.get("strides", ones)), tuple(a.get("dilations", ones))
    padding = _pads(a, kernel, stride, dilation, x.shape[1:], "max pooling")
    return pools.max_pool(x, kernel, stride, padding, dilation, bool(a.get("ceil_mode")), len(kernel))


def _avg_pool(inputs, a, *, name, only_user):
    (x,) = inputs
    kernel = tuple(a["kernel_shape"])
    stride = tuple(a.get("strides", (1,) * len(kernel)))
    if any(d != 1 for d in a.get("dilations", ())):
        raise Unsupported("mean pooling with dilations")
    padding = _pads(a, kernel, stride, (1,) * len(kernel), x.shape[1:], "mean pooling")
    counted = bool(a.get("count_include_pad"))
    return pools.avg_pool(x, kernel, stride, padding, bool(a.get("ceil_mode")), counted, None, len(kernel))


def _reshape(inputs, a, *, name, only_user):
    x, shape = inputs
    if isinstance(shape, Node) or not isinstance(x, Node):
        raise Unsupported("a reshape to a shape that is computed")
    first, *rest = [n if n is BATCH else int(n) for n in np.asarray(shape).reshape(-1)]
    said, copies = [first, *rest], not a.get("allowzero")
    if any(n is BATCH for n in rest) or not copies and 0 in [n for n in said if n is not BATCH]:
        raise Unsupported(f"a reshape to {said}")
    rest = [x.shape[i] if n == 0 and i < len(x.shape) else n for i, n in enumerate(rest)]
    # The first size is that of the samples if it says so, if it is their number, or if the others leave no choice.
    known = first is BATCH or first == 0 or first == a["samples"] > 0 or first == 1 and not a["samples"]
    if not known and (-1 in rest or math.prod(rest) != math.prod(x.shape)):
        raise Unsupported(f"a reshape to {said}, which moves numbers between samples of shape {x.shape}")
    return build.reshape(x, tuple(rest))


def _flatten(inputs, a, *, name, only_user):
    axis = a.get("axis", 1)
    if axis not in (1, -len(inputs[0].shape)):
        raise Unsupported(f"a flatten from axis {axis}")
    return build.flatten(inputs[0])


def _squeeze(inputs, a, *, name, only_user):
    x = inputs[0]
    dims = a.get("axes") if len(inputs) < 2 or inputs[1] is None else np.asarray(inputs[1]).reshape(-1)
    if dims is None:
        raise Unsupported("a squeeze without axes, which may remove the batch")
    dims = {int(d) + (1 + len(x.shape)) * (d < 0) for d in dims}
    if 0 in dims:
        raise Unsupported("a squeeze of the batch")
    return build.reshape(x, tuple(n for i, n in enumerate(x.shape, 1) if i not in dims))


def _binary(combine, constant):
    def rule(inputs, a, *, name, only_user):
        x, y = inputs
        if isinstance(x, Node) and isinstance(y, Node):
            return combine(x, y)
        swapped = not isinstance(x, Node)
        x, y = (y, x) if swapped else (x, y)
        y = np.asarray(y)
        before = x.layers[0] if len(x.layers) == 1 and len(x.inputs) == 1 else {}
        if constant is np.add and only_user and before.get("type") == "dense" and before["bias"] is None:
            bias = build.by_channel(x, y.astype(before["weight"].dtype))
            return Node(x.inputs, [{**before, "bias": bias}], x.shape, x.flat)
        y = build.by_channel(x, y)
        scale, shift = _affine(constant, y, swapped)
        return build.channel_affine(x, scale.astype(y.dtype), shift.astype(y.dtype), name)

    return rule


def _affine(operation, y, swapped: bool):
    one, zero = np.ones_like(y), np.zeros_like(y)
    if operation is np.add:
        return one, y
    if operation is np.subtract:
        return (-one, y) if swapped else (one, -y)
    if operation is np.multiply:
        return y, zero
    if swapped:
        raise Unsupported("a division by a value that depends on the input")
    return 1 / y.astype(np.float64), zero


def _minus(x, y):
    ones = np.ones(y.shape[0], np.float32)
    return build.add([x, build.channel_affine(y, -ones, 0 * ones, "minus")])


def _refuse(what: str):
    def rule(*_, **__):
        raise Unsupported(what)

    return rule


def _same(inputs, a, *, name, only_user):
    x = inputs[0]
    return Node([x], [], x.shape, x.flat)


def _cast(inputs, a, *, name, only_user):
    from onnx import TensorProto

    if a["to"] not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise Unsupported(f"a conversion to {TensorProto.DataType.Name(a['to'])}, which rounds")
    return _same(inputs, a, name=name, only_user=only_user)


def _dropout(inputs, a, *, name, only_user):
    if len(inputs) > 2 and inputs[2] is not None and (isinstance(inputs[2], Node) or bool(inputs[2])):
        raise Unsupported("dropout in training mode: export the network in evaluation mode")
    return _same(inputs[:1], a, name=name, only_user=only_user)


def _sum(inputs, a, *, name, only_user):
    add = _binary(lambda x, y: build.add([x, y]), np.add)
    total = inputs[0]
    for value in inputs[1:]:
        total = add([total, value], {}, name=name, only_user=False)
    return total if len(inputs) > 1 else _same(inputs, a, name=name, only_user=only_user)


def _prelu(inputs, a, *, name, only_user):
    x, slopes = inputs
    slopes = build.by_channel(x, _array(slopes))
    if slopes.ndim > 1:
        raise Unsupported("PRelu with a slope for each point")
    return act.prelu(x, slopes)


def _greater(inputs, a, *, name, only_user):
    """Where a value is above a number: known as a part of PyTorch's softplus, which is the identity there."""
    x, threshold = inputs
    if not isinstance(x, Node) or isinstance(threshold, Node) or np.size(threshold) != 1:
        raise Unsupported("the operator Greater")
    return Node([x], [{"type": "_above", "threshold": float(np.reshape(threshold, ()))}], x.shape, x.flat)


def _where(inputs, a, *, name, only_user):
    condition, x, y = inputs
    softplus = ({"type": "activation", "function": "softplus"},)
    known = all(isinstance(v, Node) for v in inputs) and condition.layers[:1] and condition.layers[0]["type"] == "_above"
    if not known or condition.inputs != (x,) or y.layers != softplus or y.inputs != (x,):
        raise Unsupported("the operator Where")
    return act.softplus(x, 1, condition.layers[0]["threshold"])


def _erf(inputs, a, *, name, only_user):
    return products.erf(inputs[0])


def _clip(inputs, a, *, name, only_user):
    x, low, high = (*inputs, None, None)[:3]
    bound = lambda v, key, default: float(a.get(key, default)) if v is None else _number(v)  # noqa: E731
    return act.hardtanh(x, bound(low, "min", -math.inf), bound(high, "max", math.inf))


def _number(value) -> float:
    """Returns a constant that is one number."""
    if isinstance(value, Node):
        raise Unsupported("a bound that depends on the input")
    numbers = np.asarray(value).reshape(-1)
    if not numbers.size or np.any(numbers != numbers[0]):
        raise Unsupported(f"a bound by numbers of shape {np.shape(value)} that differ: one for all is known")
    return float(numbers[0])


def _extreme(sign: float):
    """A maximum, or a minimum, of a value and numbers."""

    def rule(inputs, a, *, name, only_user):
        values = [v for v in inputs if isinstance(v, Node)]
        if len(values) != 1:
            raise Unsupported("the maximum of two values that depend on the input")
        numbers = [_number(v) for v in inputs if not isinstance(v, Node)]
        low = max(numbers, default=-math.inf) if sign > 0 else -math.inf
        return act.hardtanh(values[0], low, math.inf if sign > 0 else min(numbers, default=math.inf))

    return rule


def _dims(inputs, a, x) -> set[int]:
    """Returns the axes that a node names, in an attribute or in its second input."""
    dims = a.get("axes") if len(inputs) < 2 or inputs[1] is None else np.asarray(inputs[1]).reshape(-1)
    return {int(d) + (1 + len(x.shape)) * int(d < 0) for d in (() if dims is None else dims)}


def _selu(inputs, a, *, name, only_user):
    # The constants of the standard, which are single precision.
    return act.selu(inputs[0], a.get("alpha", 1.67326319217681884765625), a.get("gamma", 1.05070102214813232421875))


def _reduce(rule):
    """A mean, a sum or a maximum over axes."""
    return lambda inputs, a, *, name, only_user: rule(inputs[0], _dims(inputs, a, inputs[0]), bool(a.get("keepdims", 1)))


def _unsqueeze(inputs, a, *, name, only_user):
    x = inputs[0]
    dims = a.get("axes") if len(inputs) < 2 else np.asarray(inputs[1]).reshape(-1)
    full = [0, *x.shape]
    rank = len(full) + len(dims)
    for at in sorted(int(d) + rank * (d < 0) for d in dims):
        full.insert(at, 1)
    if full[0] != 0:
        raise Unsupported("an axis before that of the samples")
    return build.reshape(x, tuple(full[1:]))


def _slice(inputs, a, *, name, only_user):
    x = inputs[0]
    given = [None if v is None else [int(n) for n in np.asarray(v).reshape(-1)] for v in inputs[1:]]
    if len(inputs) == 1:
        given = [list(a["starts"]), list(a["ends"]), list(a["axes"]) if "axes" in a else None]
    starts, ends, axes, steps = (*given, None, None)[:4]
    index = [slice(None)] * (len(x.shape) + 1)
    for i, (start, end) in enumerate(zip(starts, ends)):
        index[i if axes is None else axes[i]] = slice(start, end, None if steps is None else steps[i])
    return placement.part(x, tuple(index))


def _gather(inputs, a, *, name, only_user):
    x, indices = inputs
    if isinstance(indices, Node) or np.ndim(indices) != 1 or a.get("axis", 0) % (len(x.shape) + 1) != 1:
        raise Unsupported("a Gather that does not take a list of channels")
    return build.of_channels(x, np.eye(x.shape[0])[np.asarray(indices)])


def _split(inputs, a, *, name, only_user):
    x, sizes = (*inputs, None)[:2]
    sizes = a.get("split") if sizes is None else [int(n) for n in np.asarray(sizes).reshape(-1)]
    count = a.get("num_outputs", 2)
    if sizes is None:
        each = -(-x.shape[0] // count)
        sizes = [min(each, x.shape[0] - each * i) for i in range(count)]
    if a.get("axis", 0) % (len(x.shape) + 1) != 1:
        raise Unsupported("a split along another axis than the channels")
    ends = np.cumsum(sizes)
    return tuple(placement.part(x, (slice(None), slice(int(end - n), int(end)))) for n, end in zip(sizes, ends))


def _pad(inputs, a, *, name, only_user):
    pads = a.get("pads") if len(inputs) < 2 else np.asarray(inputs[1]).reshape(-1)
    value = a.get("value", 0.0) if len(inputs) < 3 or inputs[2] is None else float(np.reshape(inputs[2], ()))
    x, mode = inputs[0], a.get("mode", b"constant").decode()
    if pads is None or len(inputs) > 3 and inputs[3] is not None or len(pads) != 2 * len(x.shape) + 2:
        raise Unsupported("padding along axes that are listed")
    before, after = ([int(p) for p in half] for half in np.split(np.asarray(pads), 2))
    if any(before[:2]) or any(after[:2]) or mode != "constant":
        raise Unsupported(f"padding by {before} and {after} with mode={mode!r}: zeros around the points of an image are known")
    return build.zero_pad(x, list(zip(before[2:], after[2:])), value)


def _space_to_depth(inputs, a, *, name, only_user):
    """ONNX counts the channels of a block first, where models count the channels of the image first."""
    x, block = inputs[0], int(a["blocksize"])
    channels = x.shape[0]
    order = np.arange(channels * block * block).reshape(channels, block * block).T.reshape(-1)
    return build.permute(build.space_to_depth(x, block), order)


def _pow(inputs, a, *, name, only_user):
    x, exponent = inputs
    if isinstance(exponent, Node) or not isinstance(x, Node):
        raise Unsupported("a power whose exponent depends on the input")
    return products.power(x, _number(exponent))


def _unary(function: str):
    return lambda inputs, a, *, name, only_user: act.activation(inputs[0], function)


OPERATORS = {
    "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul, "BatchNormalization": _norm,
    "MaxPool": _max_pool, "AveragePool": _avg_pool,
    "GlobalAveragePool": lambda inputs, a, **_: pools.global_avg_pool(inputs[0], keep=True),
    "GlobalMaxPool": lambda inputs, a, **_: pools.adaptive_max_pool(inputs[0], 1, len(inputs[0].shape) - 1),
    "ReduceMean": _reduce(pools.mean), "ReduceSum": _reduce(pools.total), "ReduceMax": _reduce(pools.maximum),
    "Concat": lambda inputs, a, **_: placement.concatenate(inputs, a["axis"]),
    "Transpose": lambda inputs, a, **_: placement.transpose(inputs[0], a.get("perm", range(len(inputs[0].shape), -1, -1))),
    "Unsqueeze": _unsqueeze, "Slice": _slice, "Split": _split, "Gather": _gather, "Max": _extreme(1.0), "Min": _extreme(-1.0),
    "Selu": _selu,
    "Celu": lambda inputs, a, **_: act.celu(inputs[0], a.get("alpha", 1.0)),
    "HardSigmoid": lambda inputs, a, **_: act.hardsigmoid(inputs[0], a.get("alpha", 0.2), a.get("beta", 0.5)),
    "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze,
    "Relu": _unary("relu"), "Tanh": _unary("tanh"), "Sigmoid": _unary("sigmoid"), "Abs": _unary("abs"),
    "LeakyRelu": lambda inputs, a, **_: act.leaky_relu(inputs[0], a.get("alpha", 0.01)),
    "Elu": lambda inputs, a, **_: act.elu(inputs[0], a.get("alpha", 1.0)),
    "Softplus": _unary("softplus"), "Mish": _unary("mish"), "HardSwish": _unary("hardswish"), "Pow": _pow,
    "Gelu": lambda inputs, a, **_: act.gelu(inputs[0], a.get("approximate", b"none").decode()),
    "Erf": _erf, "PRelu": _prelu, "Greater": _greater, "Where": _where,
    "Neg": lambda inputs, a, **_: build.multiple(inputs[0], -1.0),
    "Shape": lambda inputs, a, **_: sizes(inputs[0].shape, a),
    "Clip": _clip, "Pad": _pad, "SpaceToDepth": _space_to_depth,
    "Add": _binary(lambda x, y: build.add([x, y]), np.add),
    "Sub": _binary(_minus, np.subtract),
    "Mul": _binary(products.product, np.multiply),
    "Div": _binary(_refuse("a quotient of two values that depend on the input"), np.divide),
    "Sum": _sum, "Identity": _same, "Dropout": _dropout, "Cast": _cast,
    "Softmax": _refuse("Softmax: leave it out, margins are measured on the logits"),
    "LogSoftmax": _refuse("LogSoftmax: leave it out, margins are measured on the logits"),
}

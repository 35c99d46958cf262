"""Sums, products and reshapes of PyTorch: what its operators, functions and methods have in common."""

from __future__ import annotations

import math

import numpy as np
import torch

from .. import _arrays
from . import _activations as act, _build as build, _placement as placement, _pools as pools, _products as products
from ._graph import BATCH, Node, Stack, Unsupported
from ._torch_weights import array


def add(a, other, *, alpha=1, name, only_user) -> Node:
    """Returns a sum, with `alpha` times the second part."""
    if not isinstance(a, Node):
        a, other, alpha = other if alpha == 1 else build.multiple(other, alpha), a, 1
    if isinstance(other, Node):
        return build.add([a, other if alpha == 1 else build.multiple(other, alpha)])
    shift = build.by_channel(a, _constant(other)) * a.kind(alpha)
    return build.channel_affine(a, np.ones_like(shift), shift, name)


def sub(a, other, *, alpha=1, name, only_user) -> Node:
    """Returns a difference, with `alpha` times the second part."""
    if isinstance(other, Node):
        other = build.multiple(other, -alpha)
        return add(a, other, name=name, only_user=only_user)
    shift = -build.by_channel(a, _constant(other)) * a.kind(alpha)
    return build.channel_affine(a, np.ones_like(shift), shift, name)


def mul(a, other, *, name, only_user) -> Node:
    """Returns a multiple, by one number for each channel, or a product that is known."""
    if isinstance(a, Node) and isinstance(other, Node):
        return products.product(a, other)
    a, other = (a, other) if isinstance(a, Node) else (other, a)
    factor = build.by_channel(a, _constant(other))
    return build.channel_affine(a, factor, np.zeros_like(factor), name)


def power(x, exponent, *, name=None, only_user=False) -> Node:
    """Returns a square or a cube, as a part of a function that is known."""
    if not isinstance(x, Node) or not isinstance(exponent, (int, float)):
        raise Unsupported("a power whose exponent depends on the input")
    return products.power(x, exponent)


def div(a, other, *, rounding_mode=None, name, only_user) -> Node:
    """Returns a quotient by one number for each channel."""
    if isinstance(other, Node) or rounding_mode is not None:
        raise Unsupported("a division by a value that depends on the input, or one that rounds")
    factor = build.by_channel(a, _constant(other))
    return build.channel_affine(a, (1 / factor.astype(np.float64)).astype(factor.dtype), np.zeros_like(factor), name)


def _constant(value) -> np.ndarray:
    if isinstance(value, (int, float)):
        return np.asarray(float(value))
    if isinstance(value, torch.Tensor):
        return _arrays.weights(value)
    raise Unsupported(f"{value!r} in place of a number or a tensor")


def rsub(a, other, *, alpha=1, name, only_user) -> Node:
    """Returns a difference, from the second part."""
    return sub(other, a, alpha=alpha, name=name, only_user=only_user)


def addmm(bias, x, weight, *, beta=1, alpha=1, name, only_user) -> Node:
    """Returns a product with a constant matrix, and a bias."""
    if not isinstance(bias, torch.Tensor) or (alpha, beta) != (1, 1):
        raise Unsupported(f"an addmm with a bias that is no constant, or with alpha={alpha} and beta={beta}")
    return add(matmul(x, weight, name=name, only_user=only_user), bias, name=name, only_user=only_user)


def maximum(x, other, *, name, only_user) -> Node:
    """Returns the larger of a value and a number."""
    x, other = (x, other) if isinstance(x, Node) else (other, x)
    return act.hardtanh(x, _number(other), math.inf)


def minimum(x, other, *, name, only_user) -> Node:
    """Returns the smaller of a value and a number."""
    x, other = (x, other) if isinstance(x, Node) else (other, x)
    return act.hardtanh(x, -math.inf, _number(other))


def _number(value) -> float:
    """Returns a constant that is one number."""
    if isinstance(value, Node):
        raise Unsupported("the maximum of two values that depend on the input: a ReLU of their difference, and a sum, is known")
    numbers = _constant(value).reshape(-1)
    if not numbers.size or np.any(numbers != numbers[0]):
        raise Unsupported(f"a bound by a tensor of shape {tuple(np.shape(value))} whose numbers differ: one for all is known")
    return float(numbers[0])


def bound(value, default: float) -> float:
    """Returns a bound of a clamp, which may be left out."""
    if isinstance(value, Node):
        raise Unsupported("a clamp between values that depend on the input")
    return default if value is None else _number(value)


def neg(x, *, name, only_user) -> Node:
    """Returns the negative."""
    return build.multiple(x, -1.0)


def matmul(x, other, *, name, only_user) -> Node:
    """Returns a product with a constant matrix."""
    if not isinstance(x, Node) or not isinstance(other, torch.Tensor) or other.ndim != 2:
        raise Unsupported("a matrix product that is not a value times a constant matrix")
    return build.linear(x, array(other.t()), None, name)


def flatten(x, start=0, end=-1) -> Node:
    """Returns the numbers with some axes made one."""
    start, end = (d + 1 + len(x.shape) if d < 0 else d for d in (start, end))
    if start == 0:
        raise Unsupported("a flatten that mixes samples (start_dim=0)")
    if start >= end:
        return build.reshape(x, x.shape)
    return build.reshape(x, (*x.shape[: start - 1], math.prod(x.shape[start - 1 : end]), *x.shape[end:]))


def _axes(x, dim) -> set[int]:
    dims = (dim,) if isinstance(dim, int) else tuple(dim or ())
    return {d + 1 + len(x.shape) if d < 0 else d for d in dims}


def stack(tensors, dim=0, *, name=None, only_user=False) -> Stack:
    """Returns values along an axis of their own."""
    values = list(tensors)
    if not all(isinstance(value, Node) for value in values) or len({(value.shape, value.flat) for value in values}) > 1:
        raise Unsupported("a stack of values and constants, or of values of different shapes")
    axes = len(values[0].shape) + 2
    if not -axes <= dim < axes:
        raise Unsupported(f"a stack along the axis {dim}")
    return Stack(values, dim % axes)


def _over_stack(x: Stack, axes: set[int], keep: bool) -> Node:
    if axes != {x.axis} or keep:
        raise Unsupported(f"a mean or a sum over the axes {sorted(axes)} of values along the axis {x.axis}: over that one is known")
    # As a value of its own where it is one: others may read it, too.
    return build.add(list(x.inputs)) if len(x.inputs) > 1 else Node(x.inputs, [], x.inputs[0].shape, x.inputs[0].flat)


def mean(x, dim=None, keepdim=False, *, dtype=None, name=None, only_user=False) -> Node:
    """Returns the mean of each channel, or of values along an axis of their own."""
    if isinstance(x, Stack):
        return build.multiple(_over_stack(x, _axes(x, dim), keepdim), 1 / len(x.inputs))
    return pools.mean(x, _axes(x, dim), keepdim)


def amax(x, dim=(), keepdim=False, *, name=None, only_user=False) -> Node:
    """Returns the largest number of each channel."""
    return pools.maximum(x, _axes(x, dim), keepdim)


def total(x, dim=None, keepdim=False, *, dtype=None, name=None, only_user=False) -> Node:
    """Returns the sum of each channel, or of values along an axis of their own."""
    if isinstance(x, Stack):
        return _over_stack(x, _axes(x, dim), keepdim)
    return pools.total(x, _axes(x, dim), keepdim)


def permute(x, *dims, name=None, only_user=False) -> Node:
    """Returns the axes in another order."""
    return placement.transpose(x, dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims)


def transpose(x, dim0, dim1, *, name=None, only_user=False) -> Node:
    """Returns two axes in the place of each other."""
    order = list(range(len(x.shape) + 1))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return placement.transpose(x, order)


def split(x, sizes, dim=0, *, name=None, only_user=False) -> tuple:
    """Returns the parts of a value along the channels."""
    if dim % (len(x.shape) + 1) != 1:
        raise Unsupported(f"a split along the axis {dim}; along the channels is known, the axis 1")
    if isinstance(sizes, int):
        sizes = [min(sizes, x.shape[0] - at) for at in range(0, x.shape[0], sizes)]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(placement.part(x, (slice(None), slice(end - n, end))) for n, end in zip(sizes, ends))


def chunk(x, chunks, dim=0, *, name=None, only_user=False) -> tuple:
    """Returns about equal parts of a value along the channels."""
    return split(x, -(-x.shape[0] // chunks), dim)


def unflatten(x, dim, sizes, *, name=None, only_user=False) -> Node:
    """Returns one axis as several."""
    at = dim - 1 if dim > 0 else dim + len(x.shape)
    if at < 0 or not isinstance(dim, int):
        raise Unsupported(f"an unflatten of the axis {dim}")
    return build.reshape(x, (*x.shape[:at], *(int(n) for n in sizes), *x.shape[at + 1 :]))


def unsqueeze(x, dim, *, name=None, only_user=False) -> Node:
    """Returns the numbers with one more axis of size 1."""
    at = dim - 1 if dim >= 0 else dim + len(x.shape) + 1
    if at < 0:
        raise Unsupported("an axis before that of the samples")
    return build.reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


def part(x, index) -> Node:
    """Returns a part of a value, or one with axes of size 1 where the index is None."""
    if isinstance(index, tuple) and None in index and all(i is None or i == slice(None) for i in index):
        for at, i in enumerate(index):
            x = unsqueeze(x, at) if i is None else x
        return x
    return placement.part(x, index)


def index_select(x, dim, index, *, name=None, only_user=False) -> Node:
    """Returns the channels of a list."""
    if dim % (len(x.shape) + 1) != 1:
        raise Unsupported(f"an index_select along the axis {dim}; along the channels is known, the axis 1")
    return placement.chosen(x, index)


def flip(x, *dims, name=None, only_user=False) -> Node:
    """Returns the channels in the opposite order."""
    axes = _axes(x, tuple(dims[0]) if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims)
    if axes != {1}:
        raise Unsupported(f"a flip of the axes {sorted(axes)}; of the channels is known, the axis 1")
    return placement.chosen(x, np.arange(x.shape[0])[::-1])


def squeeze(x, dim=None, *, name=None, only_user=False) -> Node:
    """Returns the numbers without axes of size 1."""
    dims = range(1, len(x.shape) + 1) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = {d + 1 + len(x.shape) if d < 0 else d for d in dims}
    if 0 in dims or (dim is None and x.shape[0] == 1):
        raise Unsupported("a squeeze that may remove the batch or the channels: name the axes")
    return build.reshape(x, tuple(n for i, n in enumerate(x.shape, 1) if not (i in dims and n == 1)))


def reshape(x, *shape, name=None, only_user=False) -> Node:
    """Returns the numbers of each sample in another shape."""
    shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    first, *rest = shape
    if first is not BATCH and first != -1:
        raise Unsupported(f"a reshape to {shape}, whose first size is not the number of samples")
    if not all(isinstance(n, int) for n in rest):
        raise Unsupported(f"a reshape to {shape}")
    if first is not BATCH and -1 in rest:
        raise Unsupported(f"a reshape to {shape}")
    if first is not BATCH and math.prod(rest) != math.prod(x.shape):
        raise Unsupported(f"a reshape to {shape}, which moves numbers between samples of shape {x.shape}")
    return build.reshape(x, tuple(rest))

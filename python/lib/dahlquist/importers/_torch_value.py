"""A value of a PyTorch network that is traced, and what ``isinstance`` and ``len`` say about it where the network asks."""

from __future__ import annotations

import builtins
import contextlib
import math
import operator
import sys
import types
from collections.abc import Iterator

import torch
from torch import fx, nn


class Untraceable(Exception):
    """What a forward does that its graph would not say, in words."""


class Shape(tuple):
    """The shape of a value: the number of samples, which is not known, and numbers."""

    def __getitem__(self, index):
        part = super().__getitem__(index)
        return Shape(part) if isinstance(index, slice) else part

    def numel(self):
        """Returns the product of the sizes."""
        return math.prod(self)


class Count(fx.Proxy):
    """The number of samples, or what is computed of it alone."""


class Value(fx.Proxy):
    """A value of a network that is traced. fx records ``x += y`` as ``x + y``, and forgets that others see ``x`` change.

    Shapes are numbers where they follow from the layers that are known.
    """

    def __getattr__(self, name):
        if not hasattr(torch.Tensor, name):
            raise AttributeError(f"a tensor has no attribute {name!r}")
        return super().__getattr__(name)

    @property
    def shape(self):
        shape = self.tracer.shape_of(self)
        return super().__getattr__("shape") if shape is None else shape

    @property
    def ndim(self):
        return len(self.shape)

    def dim(self):
        return self.ndim

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim]

    def __len__(self):
        count = self.tracer.length_of(self)
        if count is None:
            # Python asks before it takes values one by one, and takes this error for an answer.
            raise TypeError("the number of samples is not known")
        return count

    @property
    def device(self):
        return self.tracer.device

    @property
    def dtype(self):
        return self.tracer.dtype_of(self)

    @property
    def is_cuda(self):
        return self.device.type == "cuda"

    @property
    def requires_grad(self):
        return self.tracer.is_weight(self.node)

    def __setitem__(self, index, value):
        raise Untraceable("x[...] = y changes a part of a value in place")

    def __setattr__(self, name, value):
        if name not in ("node", "tracer"):
            reason = f"x.{name} = y changes a value or a weight behind its back: compute another one, or change weights before"
            raise Untraceable(reason)
        super().__setattr__(name, value)

    def __iadd__(self, other):
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __isub__(self, other):
        return self.tracer.create_proxy("call_function", operator.isub, (self, other), {})

    def __imul__(self, other):
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})

    def __itruediv__(self, other):
        return self.tracer.create_proxy("call_function", operator.itruediv, (self, other), {})


def _isinstance(value, kinds) -> bool:
    """Says of a value that it is a tensor. It cannot say so itself: PyTorch's own code would read its memory."""
    stands_for = value
    if builtins.isinstance(value, Value):
        stands_for = nn.Parameter(torch.empty(0)) if value.tracer.is_weight(value.node) else torch.empty(0)
    elif builtins.isinstance(value, (Shape, Count)):
        stands_for = torch.Size([1]) if builtins.isinstance(value, Shape) else 1
    return builtins.isinstance(value, kinds) or builtins.isinstance(stands_for, kinds)


def _len(value):
    """Returns the length of a value: Python wants a number, and the number of samples is none."""
    return value.shape[0] if builtins.isinstance(value, Value) else builtins.len(value)


def _is_tensor(value) -> bool:
    return _isinstance(value, torch.Tensor)


def _spaces(network: nn.Module) -> list[dict]:
    """Returns the names of the modules of Python that the network is written in, with those of the same packages."""
    package = lambda name: str(name).split(".")[0]  # noqa: E731
    packages = {package(base.__module__) for module in network.modules() for base in type(module).__mro__}
    packages -= {"torch", package(__name__), *sys.stdlib_module_names}
    written = [module for name, module in list(sys.modules.items()) if package(name) in packages]
    found = [vars(module) for module in written if builtins.isinstance(module, types.ModuleType)]
    for module in network.modules():
        found.append(getattr(vars(module).get("forward"), "__globals__", {}))
    own = {id(space): space for space in found if package(space.get("__name__", "torch")) not in ("torch", *sys.stdlib_module_names)}
    return list(own.values())


@contextlib.contextmanager
def names_of_tensors(network: nn.Module) -> Iterator[None]:
    """Gives ``isinstance``, ``len`` and ``torch.is_tensor`` their meaning for values, in the modules that the network is written in."""
    names = {"isinstance": _isinstance, "len": _len}
    changed = [(space, name) for space in _spaces(network) for name in names if name not in space]
    is_tensor = torch.is_tensor
    for space, name in changed:
        space[name] = names[name]
    torch.is_tensor = _is_tensor
    try:
        yield
    finally:
        torch.is_tensor = is_tensor
        for space, name in changed:
            del space[name]

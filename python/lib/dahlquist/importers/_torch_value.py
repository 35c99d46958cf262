"""A value of a PyTorch network that is traced, and what ``isinstance`` and ``len`` say about it where the network asks."""

from __future__ import annotations

import builtins
import contextlib
import operator
import sys
from collections.abc import Iterator

import torch
from torch import fx, nn


class Untraceable(Exception):
    """What a forward does that its graph would not say, in words."""


class Value(fx.Proxy):
    """A value of a network that is traced. fx records ``x += y`` as ``x + y``, and forgets that others see ``x`` change."""

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
    if builtins.isinstance(value, Value):
        weight = value.node.op == "get_attr" and not value.node.target.rpartition(".")[2].startswith("_tensor_constant")
        stands_for = nn.Parameter(torch.empty(0)) if weight else torch.empty(0)
        return builtins.isinstance(value, kinds) or builtins.isinstance(stands_for, kinds)
    return builtins.isinstance(value, kinds)


def _is_tensor(value) -> bool:
    return _isinstance(value, torch.Tensor)


def _spaces(network: nn.Module) -> list[dict]:
    """Returns the names of the modules of Python that the network is written in, with those of the same packages."""
    package = lambda name: str(name).split(".")[0]  # noqa: E731
    packages = {package(base.__module__) for module in network.modules() for base in type(module).__mro__}
    packages -= {"torch", "builtins", package(__name__)}
    found = [vars(module) for name, module in list(sys.modules.items()) if module is not None and package(name) in packages]
    for module in network.modules():
        found.append(getattr(vars(module).get("forward"), "__globals__", {}))
    own = {id(space): space for space in found if package(space.get("__name__", "torch")) not in ("torch", "builtins")}
    return list(own.values())


@contextlib.contextmanager
def names_of_tensors(network: nn.Module) -> Iterator[None]:
    """Gives ``isinstance`` and ``torch.is_tensor`` their meaning for values, in the modules that the network is written in."""
    changed = [space for space in _spaces(network) if "isinstance" not in space]
    is_tensor = torch.is_tensor
    for space in changed:
        space["isinstance"] = _isinstance
    torch.is_tensor = _is_tensor
    try:
        yield
    finally:
        torch.is_tensor = is_tensor
        for space in changed:
            del space["isinstance"]

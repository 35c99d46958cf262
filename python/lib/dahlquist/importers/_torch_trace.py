"""The graph of a PyTorch network, by torch.fx."""

from __future__ import annotations

import contextlib
import inspect
import operator
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from ..errors import UnsupportedError
from ._torch_ops import module_rule


class Value(fx.Proxy):
    """A value of a network that is traced. fx records ``x += y`` as ``x + y``, and forgets that others see ``x`` change."""

    def __setitem__(self, index, value):
        raise TypeError("x[...] = y changes a part of a value in place")

    def __iadd__(self, other):
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __isub__(self, other):
        return self.tracer.create_proxy("call_function", operator.isub, (self, other), {})

    def __imul__(self, other):
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})

    def __itruediv__(self, other):
        return self.tracer.create_proxy("call_function", operator.itruediv, (self, other), {})


#: While torch.fx traces, every call of every module of the process goes through the tracer: one network is read at a time.
_READING = threading.RLock()


class Tracer(fx.Tracer):
    """Traces into modules of users, and not into those that have a rule or are PyTorch's own.

    Only the first argument of the network is traced: others keep their defaults. Control flow that depends on shapes is followed.
    """

    def __init__(self, reader: Callable[[fx.Graph], Any]):
        super().__init__()
        #: Makes what reads a graph, and what it made, once it is needed.
        self._reader, self._shapes = reader, None
        self._reading, self._thread = False, threading.get_ident()

    def _is_elsewhere(self) -> bool:
        """Whether a module is called for its numbers: by this reader, or by another thread."""
        return self._reading or threading.get_ident() != self._thread

    def proxy(self, node: fx.Node) -> Value:
        return Value(node, self)

    def is_leaf_module(self, module: nn.Module, path: str) -> bool:
        # What was put in the place of its forward is traced, whatever it is.
        return module_rule(module) is not None or "forward" not in vars(module) and super().is_leaf_module(module, path)

    def getattr(self, attr: str, attr_val, parameter_proxy_cache):
        return attr_val if self._is_elsewhere() else super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(self, module: nn.Module, forward, args, kwargs):
        if self._is_elsewhere():
            return forward(*args, **kwargs)
        if type(module).__name__ == "OptimizedModule":
            return module._orig_mod(*args, **kwargs)
        return super().call_module(module, forward, args, kwargs)

    def create_args_for_root(self, root_fn, is_module: bool, concrete_args=None):
        kinds = inspect.Parameter
        positional = (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
        _, *parameters = inspect.signature(root_fn).parameters.values()
        needed = [p.name for p in parameters if p.kind in positional and p.default is kinds.empty]
        names = needed or [p.name for p in parameters if p.kind in (*positional, kinds.VAR_POSITIONAL)][:1]
        return root_fn, [self.root, *(self.create_proxy("placeholder", name, (), {}) for name in names)]

    def to_bool(self, obj: fx.Proxy) -> bool:
        value = self._value(obj)
        return bool(value) if isinstance(value, (bool, int)) else super().to_bool(obj)

    def iter(self, obj: fx.Proxy):
        value = self._value(obj)
        return iter([obj[i] for i in range(len(value))]) if isinstance(value, tuple) else super().iter(obj)

    def _value(self, obj: fx.Proxy):
        """Returns what a value is, if it follows from shapes."""
        if self._shapes is None:
            self._shapes = self._reader(self.graph)
        # Its weights are numbers: nothing of what it does becomes a part of the graph.
        self._reading = True
        try:
            self._shapes.read_nodes()
        finally:
            self._reading = False
        return self._shapes.values[obj.node]


@contextlib.contextmanager
def evaluation_mode(network: nn.Module):
    """Puts every module into evaluation mode, and afterwards leaves it as it was: torch.fx keeps constants in it."""
    with _READING:
        modes = [(module, module.training, set(vars(module))) for module in network.modules()]
        try:
            for module, _, _ in modes:
                # Not by eval(): some libraries change weights there.
                object.__setattr__(module, "training", False)
            with torch.no_grad():
                yield
        finally:
            for module, mode, names in modes:
                object.__setattr__(module, "training", mode)
                for name in set(vars(module)) - names:
                    if name.startswith("_tensor_constant"):
                        delattr(module, name)


def graph_of(network: nn.Module, reader: Callable[[fx.Graph], Any]) -> fx.Graph:
    """Returns the graph of a network, which must be in evaluation mode. `reader` makes what knows the shapes of its values."""
    try:
        return Tracer(reader).trace(network)
    except Exception as error:
        reason = f"torch.fx cannot trace its forward: {type(error).__name__}: {error}".splitlines()[0]
        hint = " (a network whose control flow depends on values has no fixed layers)" * isinstance(error, fx.proxy.TraceError)
        raise UnsupportedError(type(network).__name__, [("", reason + hint)]) from error

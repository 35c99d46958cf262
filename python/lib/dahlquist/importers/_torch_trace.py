"""The graph of a PyTorch network, by torch.fx."""

from __future__ import annotations

import inspect
import operator
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from ..errors import UnsupportedError
from ._graph import Node, Stack
from ._torch_ops import is_replaced, module_rule
from ._torch_state import same_numbers
from ._torch_value import Count, Shape, Untraceable, Value, names_of_tensors
from ._torch_weights import written_class


class Tracer(fx.Tracer):
    """Traces into modules of users, and not into those that have a rule or are PyTorch's own.

    Only the first argument of the network is traced: others keep their defaults. Control flow that depends on shapes is followed.
    """

    def __init__(self, network: nn.Module, reader: Callable[[fx.Graph], Any]):
        super().__init__()
        #: Makes what reads a graph, and what it made, once it is needed.
        self._reader, self._shapes = reader, None
        self._reading, self._thread = False, threading.get_ident()
        # What really runs: fx would take the forward of the class.
        self.traced_func_name = "__call__" if is_replaced(network) else "forward"
        self._parameters = {id(p) for p in network.parameters()}
        self._weights = {name for name, _ in network.named_parameters()}
        self.device = next((t.device for t in [*network.parameters(), *network.buffers()]), torch.device("cpu"))
        #: The nodes that are the number of samples, or follow from it.
        self._counts: set[fx.Node] = set()
        self._count: Count | None = None
        #: The tensors that are constants of the graph, each with the numbers that it had when it was used.
        self._constants: dict[int, tuple[torch.Tensor, list[torch.Tensor]]] = {}
        self._failure: tuple[BaseException | None, str] = (None, "")

    def _is_elsewhere(self) -> bool:
        """Whether a module is called for its numbers: by this reader, or by another thread."""
        return self._reading or threading.get_ident() != self._thread

    def proxy(self, node: fx.Node) -> fx.Proxy:
        if node.all_input_nodes and self._counts.issuperset(node.all_input_nodes):
            self._counts.add(node)
            return Count(node, self)
        return Value(node, self)

    def is_weight(self, node: fx.Node) -> bool:
        """Whether a node is a parameter of the network."""
        return node.op == "get_attr" and node.target in self._weights

    def shape_of(self, value: Value):
        """Returns the shape of a value, or None if it is not known."""
        found = self._value(value)
        if isinstance(found, torch.Tensor):
            return found.shape
        if not isinstance(found, Node) or not found.known:
            return None
        if self._count is None:
            first = next(node for node in self.graph.nodes if node.op == "placeholder")
            shape = self.create_node("call_function", getattr, (first, "shape"), {})
            count = self.create_node("call_function", operator.getitem, (shape, 0), {})
            self._counts.add(count)
            self._count = Count(count, self)
        if isinstance(found, Stack) and found.axis == 0:
            return Shape((found.shape[0], self._count, *found.shape[1:]))
        return Shape((self._count, *found.shape))

    def dtype_of(self, value: Value) -> torch.dtype:
        """Returns the number format of a value, in single precision for a network in half."""
        found = self._value(value)
        if isinstance(found, torch.Tensor):
            return found.dtype
        return torch.float64 if isinstance(found, Node) and found.kind is np.float64 else torch.float32

    def is_leaf_module(self, module: nn.Module, path: str) -> bool:
        # What was put in the place of its forward is traced, whatever it is.
        if module_rule(module) is not None or is_replaced(module):
            return module_rule(module) is not None
        kind = written_class(module)
        return kind.__module__.startswith(("torch.nn", "torch.ao.nn")) and not issubclass(kind, nn.Sequential)

    def getattr(self, attr: str, attr_val, parameter_proxy_cache):
        return attr_val if self._is_elsewhere() else super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(self, module: nn.Module, forward, args, kwargs):
        if self._is_elsewhere():
            return forward(*args, **kwargs)
        try:
            path = self.path_of_module(module)
        except NameError as error:
            kind = type(module).__name__
            raise Untraceable(f"a {kind} that is not registered: hold it in an attribute, or in a ModuleList") from error
        try:
            if (inner := inside(module)) is not None:
                return inner(*args, **kwargs)
            return super().call_module(module, forward, args, kwargs)
        except Exception as error:
            if self._failure[0] is not error:
                self._failure = error, path
            raise

    def create_arg(self, a: Any):
        """Keeps the numbers that a tensor has now: a network may change it before it uses it again."""
        if isinstance(a, torch.Tensor) and id(a) not in self._parameters and a.layout is torch.strided:
            a = a.detach() if isinstance(a, nn.Parameter) else a
            copies = self._constants.setdefault(id(a), (a, []))[1]
            if not copies or not same_numbers(copies[-1], a):
                copies.append(a.detach().clone())
            a = copies[-1]
        elif isinstance(a, np.generic):
            a = a.item()
        elif isinstance(a, np.ndarray):
            return self.create_arg(torch.from_numpy(a.copy()))
        return super().create_arg(a)

    def create_args_for_root(self, root_fn, is_module: bool, concrete_args=None):
        kinds = inspect.Parameter
        positional = (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
        # A call takes what the forward takes.
        signature = inspect.signature(root_fn if self.traced_func_name == "forward" else self.root.forward)
        parameters = list(signature.parameters.values())[self.traced_func_name == "forward" :]
        needed = [p.name for p in parameters if p.kind in positional and p.default is kinds.empty]
        names = needed or [p.name for p in parameters if p.kind in (*positional, kinds.VAR_POSITIONAL)][:1]
        return root_fn, [self.root, *(self.create_proxy("placeholder", name, (), {}) for name in names)]

    def to_bool(self, obj: fx.Proxy) -> bool:
        value = self._value(obj)
        return bool(value) if isinstance(value, (bool, int)) else super().to_bool(obj)

    def iter(self, obj: fx.Proxy):
        value = self._value(obj)
        return iter([obj[i] for i in range(len(value))]) if isinstance(value, tuple) else super().iter(obj)

    def length_of(self, obj: fx.Proxy) -> int | None:
        """Returns how many values there are, if it is not one alone."""
        value = self._value(obj)
        if isinstance(value, Stack) and value.axis == 0:
            return value.shape[0]
        return len(value) if isinstance(value, tuple) else None

    def _value(self, obj: fx.Proxy):
        """Returns what a value is, if it follows from shapes."""
        node = obj.node  # An attribute becomes a node here.
        if self._shapes is None:
            self._shapes = self._reader(self.graph)
        # Its weights are numbers: nothing of what it does becomes a part of the graph.
        self._reading = True
        try:
            self._shapes.read_nodes()
        finally:
            self._reading = False
        return self._shapes.values[node]

    def problems(self) -> list[tuple[str, str]]:
        """Returns what could not be read so far, where shapes were asked for."""
        return [] if self._shapes is None else self._shapes.problems

    def failed_at(self, error: BaseException) -> str:
        """Returns the path of the innermost module in which an error was raised."""
        return self._failure[1] if self._failure[0] is error else ""


def inside(module: nn.Module) -> nn.Module | None:
    """Returns the module that another one compiles or distributes, if it does that and nothing else."""
    if not type(module).__module__.startswith("torch."):
        return None
    if type(module).__name__ == "OptimizedModule":
        return module._orig_mod
    distributes = isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)) and not is_replaced(module)
    return module.module if distributes else None


def graph_of(network: nn.Module, reader: Callable[[fx.Graph], Any]) -> fx.Graph:
    """Returns the graph of a network, which must be in evaluation mode. `reader` makes what knows the shapes of its values."""
    tracer = Tracer(network, reader)
    try:
        with names_of_tensors(network):
            return tracer.trace(network)
    except Exception as error:
        if isinstance(error, Untraceable):
            reason = str(error)
        else:
            reason = f"torch.fx cannot trace its forward: {type(error).__name__}: {error}".splitlines()[0]
        hint = " (a network whose control flow depends on values has no fixed layers)" * isinstance(error, fx.proxy.TraceError)
        # What could not be read before may be the reason.
        problems = [*tracer.problems(), (tracer.failed_at(error), reason + hint)]
        raise UnsupportedError(type(network).__name__, problems) from error

"""PyTorch networks: traced by torch.fx, and read node by node."""

from __future__ import annotations

import inspect
import operator

import numpy as np
import torch
from torch import fx, nn

from .. import _arrays
from ..errors import UnsupportedError
from ._advice import advised
from ._graph import BATCH, STACKED, Node, Stack, Tree, Unsupported, first_shape, reason_of
from ._permute import lower
from ._torch_calls import METHODS, Refusal, function_rule, of_constant
from ._torch_memory import Memory, changes_in_place
from ._torch_ops import is_replaced, module_rule
from ._torch_state import State, borrowed
from ._torch_trace import graph_of, inside
from ._torch_weights import is_known_hook, stored, written_class


#: What is known of values along an axis of their own.
_OVER_STACKS = (torch.mean, torch.sum, "mean", "sum")
#: What a permutation of channels becomes.
_MATRICES = ("dense", "conv2d")


def trace(network: nn.Module, shape: tuple[int, ...]) -> fx.Graph:
    """Returns the graph of a network for samples of a shape. It must be in evaluation mode."""
    return graph_of(network, lambda graph: Reader(network, graph, shape))


def whole(network: nn.Module) -> nn.Module:
    """Returns the network without what compiles or distributes it, and in a module of its own if it is a single layer of PyTorch
    or one that has a rule, which would be traced into."""
    network = _layers_of(network)[-1]
    single = type(network).__module__.startswith("torch.nn.modules") and not list(network.children())
    return nn.Sequential(network) if single or module_rule(network) is not None else network


def _layers_of(network: nn.Module) -> list[nn.Module]:
    """Returns what compiles or distributes a network, from the outside, and the network behind it."""
    found = [network]
    while not is_replaced(found[-1]) and (inner := inside(found[-1])) is not None:
        found.append(inner)
    return found


def read_network(network, input_shape, ignore_hooks: bool = False) -> tuple:
    """Returns the shape of a sample of the model, its layers in the format of model files, and the nodes of the graph behind them."""
    if not isinstance(network, nn.Module):
        raise TypeError(f"a torch.nn.Module is expected, not {type(network).__name__}; a state_dict is for from_state_dict")
    shape = (input_shape,) if isinstance(input_shape, (int, np.integer)) else tuple(input_shape)
    _arrays.sample_shape(shape)
    shape = tuple(int(n) for n in shape)
    given, network = network, whole(network)
    _look_at_weights(network)
    hooks = [] if ignore_hooks else _look_at_hooks(given, network)
    with borrowed(given) as state:
        try:
            reader = Reader(network, trace(network, shape), shape)
        except UnsupportedError as error:
            raise UnsupportedError(type(network).__name__, hooks + error.problems) from error
        output = reader.read()
        reader.problems += hooks + _changes(state)
    try:
        if output is not None and not reader.problems:
            tree = Tree(output, reader.start)
            shape, layers = first_shape(tree.layers, shape)
            origins = tree.origins[len(tree.layers) - len(layers) :]
            kinds = [layer["type"] for layer in layers]
            layers = lower(layers)
    except Unsupported as reason:
        reader.problems.append((reader.place_of(reason.layer), str(reason)))
    if reader.problems:
        raise UnsupportedError(type(network).__name__, reader.problems)
    same = len(layers) == len(kinds) and all(a["type"] in (b, *_MATRICES) for a, b in zip(layers, kinds))
    return shape, layers or [{"type": "activation", "function": "identity"}], origins if same else None


def _changes(state: State) -> list[tuple[str, str]]:
    """Returns what a forward did besides computing: what it changes and draws is no function of its input."""
    changed = [(name, "its forward changes this weight: change it before") for name in state.changed_parameters()]
    return changed + [("", f"its forward draws random numbers ({name}): draw them when it is made") for name in state.drawn()]


def _look_at_hooks(given: nn.Module, network: nn.Module) -> list[tuple[str, str]]:
    """Returns forward hooks whose effect on the values cannot be known."""
    modules = [*network.named_modules(), *(("", outer) for outer in _layers_of(given)[:-1])]
    every = nn.modules.module
    hooks = [("", hook) for hook in (*every._global_forward_hooks.values(), *every._global_forward_pre_hooks.values())]
    for path, module in modules:
        hooks += [(path, hook) for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())]
    problems = []
    for path, hook in hooks:
        if not is_known_hook(hook):
            name = getattr(hook, "__name__", type(hook).__name__)
            problems.append((path, f"a forward hook ({name}), which may change the values; ignore_hooks=True takes it as none"))
    return problems


def _look_at_weights(network: nn.Module) -> None:
    """Refuses a network whose weights have no numbers yet, or that is compiled to another form."""
    if isinstance(network, torch.jit.ScriptModule):
        reason = "it is a TorchScript module, which has no Python to trace: give the module that it was made of"
        raise UnsupportedError(type(network).__name__, [("", reason)])
    scripted = "it is a TorchScript module: give the module that it was made of"
    paths = [path for path, module in network.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    problems = [(path, scripted) for path in paths if path.rpartition(".")[0] not in paths]
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if isinstance(tensor, nn.parameter.UninitializedTensorMixin):
            problems.append((name, "it has no numbers yet: call the network on samples first"))
        elif tensor.is_meta:
            problems.append((name, "it is on the device meta, and has no numbers: load them first"))
    if problems:
        raise UnsupportedError(type(network).__name__, problems)


class Reader:
    """Reads a graph, and notes everything that it cannot take."""

    def __init__(self, network: nn.Module, graph: fx.Graph, shape: tuple[int, ...]):
        self.network, self.graph = network, graph
        self.modules = dict(network.named_modules())
        kinds = {p.dtype for p in [*network.parameters(), *network.buffers()] if p.is_floating_point()}
        self.start = Node(shape=shape, kind=np.float64 if kinds == {torch.float64} else np.float32)
        self.values: dict[fx.Node, object] = {}
        self.memory = Memory()
        self.problems: list[tuple[str, str]] = []

    def read(self) -> Node | None:
        """Returns the output, if the network has one that a model can have."""
        self.read_nodes()
        output = self.values[next(n for n in self.graph.nodes if n.op == "output")]
        if isinstance(output, Node) or self.problems:
            return output if isinstance(output, Node) and output.known else None
        self.problems.append(("", f"its output is {_describe(output)}"))
        return None

    def read_nodes(self) -> None:
        """Reads the nodes that were not read before."""
        for node in self.graph.nodes:
            if node in self.values:
                continue
            try:
                self.values[node] = self.value(node)
            except Exception as error:
                self.problems.append((self.place(node), reason_of(error)))
                self.values[node] = Node(shape=None)

    def value(self, node: fx.Node):
        """Returns the value of a node: a :class:`Node` that depends on the input, or a constant."""
        if node.op == "placeholder":
            if self.start.origin is None:
                self.start.origin = node
                return self.start
            if node.args:
                return node.args[0]
            raise Unsupported(f"a second input, {node.target}")
        if node.op == "get_attr":
            return _attribute(self.network, node.target)
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: self.values[n])
        if node.op == "output":
            return args[0]
        flat = [*_leaves(args), *_leaves(kwargs)]
        if any(isinstance(v, Node) and not v.known for v in flat):
            self.note_kind(node)
            return Node(shape=None)
        if not any(isinstance(v, Node) for v in flat):
            return self.constant(node, args, kwargs)
        if any(isinstance(v, Stack) for v in flat) and node.target not in _OVER_STACKS:
            raise Unsupported(STACKED)
        module = self.modules[node.target] if node.op == "call_module" else None
        found = self.apply(node, args, kwargs)
        if isinstance(found, Node):
            found.origin = node
            if changes_in_place(node, module):
                for changed in self.memory.change(node):
                    self.values[changed] = found
            else:
                self.memory.note(node, module)
        elif isinstance(found, tuple):
            self.memory.note(node, module)
        return found

    def apply(self, node: fx.Node, args, kwargs):
        """Returns what a node makes of values that depend on the input."""
        only_user = isinstance(node.args[0], fx.Node) and len(node.args[0].users) == 1 if node.args else False
        if node.op == "call_module":
            module = self.modules[node.target]
            rule = module_rule(module)
            if rule is None:
                raise Unsupported(_kind_name(module))
            if not args and len(kwargs) == 1:
                args, kwargs = tuple(kwargs.values()), {}
            return rule(module, *args, name=node.target, only_user=only_user, **kwargs)
        if node.op == "call_method":
            return self.method(node.target, args, kwargs)
        function = node.target
        if function is getattr:
            return self.attribute(*args)
        if function is operator.getitem and not isinstance(args[0], Node):
            return operator.getitem(*args)
        if (rule := function_rule(function)) is None:
            raise Unsupported(_unknown_function(function))
        if "input" in kwargs and not args:
            args, kwargs = (kwargs["input"],), {key: value for key, value in kwargs.items() if key != "input"}
        return _call(rule, args, {**kwargs, "name": node.name, "only_user": only_user})

    def method(self, name: str, args, kwargs):
        x = args[0]
        if not isinstance(x, Node) and len(args) == 2 and isinstance(args[1], Node):
            return of_constant(name, *args, **kwargs)
        if name not in METHODS or not isinstance(x, Node):
            raise Unsupported(advised(name, f"the method {name}"))
        return _call(METHODS[name], args, kwargs)

    @staticmethod
    def attribute(x, name: str):
        if isinstance(x, Node) and name == "shape":
            return (BATCH, *x.shape)
        if isinstance(x, Node) and name == "data":
            return Node([x], [], x.shape, x.flat)
        if isinstance(x, Node):
            raise Unsupported(f"the attribute {name} of a value")
        return getattr(x, name)

    def constant(self, node: fx.Node, args, kwargs):
        """Returns what a node makes of constants: weights that are computed, sizes."""
        module = self.modules[node.target] if node.op == "call_module" else None
        if changes_in_place(node, module) and any(isinstance(v, torch.Tensor) for v in args[:1]):
            raise Unsupported("a weight that is changed in place")
        if node.op == "call_method" and node.target in ("repeat", "expand"):
            # For each sample: one is enough, and is broadcast.
            args = _for_one_sample(args)
        try:
            if node.op == "call_module":
                return self.modules[node.target](*args, **kwargs)
            if node.op == "call_method":
                return getattr(args[0], node.target)(*args[1:], **kwargs)
            return node.target(*args, **kwargs)
        except Exception as error:
            name = node.target if isinstance(node.target, str) else _function_name(node.target)
            raise Unsupported(f"{name} of constants: {error}") from error

    def note_kind(self, node: fx.Node) -> None:
        """Notes a node that comes after something unknown, if nothing of its kind is known either."""
        if node.op == "call_module" and module_rule(self.modules[node.target]) is None:
            self.problems.append((self.place(node), _kind_name(self.modules[node.target])))
            return
        rule = function_rule(node.target) if node.op == "call_function" else METHODS.get(node.target)
        if node.op == "call_function" and rule is None and node.target not in (getattr, operator.getitem):
            self.problems.append((self.place(node), _unknown_function(node.target)))
        elif isinstance(rule, Refusal):
            self.problems.append((self.place(node), rule.reason))
        elif node.op == "call_method" and node.target not in METHODS:
            self.problems.append((self.place(node), advised(node.target, f"the method {node.target}")))

    def place_of(self, layer: dict | None) -> str:
        """Returns the path of the module that a layer comes from."""
        made = (node for node, value in self.values.items() if isinstance(value, Node) and any(own is layer for own in value.layers))
        node = next(made, None)
        return "" if node is None else self.place(node)

    def place(self, node: fx.Node) -> str:
        """Returns the path of the module that a node belongs to."""
        if node.op == "call_module":
            return node.target
        stack = node.meta.get("nn_module_stack") or {}
        paths = [key for key in stack if key]
        return paths[-1] if paths else ""


def _call(rule, args, kwargs):
    """Returns what a rule makes of the arguments of a call."""
    try:
        inspect.signature(rule).bind(*args, **kwargs)
    except TypeError as error:
        raise Unsupported(f"a call whose arguments are not known: {error}") from error
    return rule(*args, **kwargs)


def _kind_name(module: nn.Module) -> str:
    """Returns the class of a module that has no rule, with its origin where that tells it from one that has, and advice."""
    kind = written_class(module)
    known = kind.__module__.startswith("torch.nn.modules") or not hasattr(nn, kind.__name__)
    name = kind.__name__ if known else f"{kind.__module__}.{kind.__name__}"
    return advised(kind.__name__, name)


def _for_one_sample(args: tuple) -> tuple:
    """Returns the arguments of a method of a constant with 1 in the place of the number of samples, if that is the first size."""
    first, *sizes = args
    sizes = list(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    return (first, 1, *sizes[1:]) if sizes and sizes[0] is BATCH else args


def _attribute(module: nn.Module, path: str):
    *parents, name = path.split(".")
    for parent in parents:
        module = getattr(module, parent)
    return stored(module, name)


def _leaves(part):
    if isinstance(part, (list, tuple)):
        for value in part:
            yield from _leaves(value)
    elif isinstance(part, dict):
        yield from _leaves(list(part.values()))
    elif isinstance(part, slice):
        yield from (part.start, part.stop, part.step)
    else:
        yield part


def _function_name(function) -> str:
    module = getattr(function, "__module__", None) or ""
    name = getattr(function, "__name__", str(function))
    return f"{module}.{name}" if module and not module.startswith(("_", "torch")) else f"{name}"


def _unknown_function(function) -> str:
    name = _function_name(function)
    return advised(name, f"the function {name}")


def _describe(value) -> str:
    if isinstance(value, (tuple, list, dict)):
        kind = next(kind for kind in (tuple, list, dict) if isinstance(value, kind))
        return f"a {kind.__name__}: return the logits alone"
    kind = "constant" if isinstance(value, torch.Tensor) else type(value).__name__
    return f"a {kind}, and no tensor that depends on the input"

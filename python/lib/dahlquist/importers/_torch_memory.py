"""What a network changes in place: tensors that share memory see it, and the graph of torch.fx does not say so."""

from __future__ import annotations

import operator

from torch import fx, nn

from ._graph import Unsupported

_OPERATORS = (operator.iadd, operator.isub, operator.imul, operator.itruediv)
#: What returns its input itself, in evaluation mode.
_SAME = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_SAME_NAMES = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "detach", "getattr"}
#: What returns the same numbers, or some of them, in another shape or format, in the same memory or in another one.
_VIEWS = {"view", "reshape", "flatten", "squeeze", "contiguous", "float", "double", "to", "type", "type_as", "cpu", "cuda",
          "getitem", "permute", "transpose", "unsqueeze", "unflatten", "chunk", "split"}


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def changes_in_place(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a node changes its first argument and returns it."""
    if node.op == "call_module":
        return bool(getattr(module, "inplace", False))
    if node.op == "call_function" and node.target in _OPERATORS or node.kwargs.get("inplace"):
        return True
    return node.op in ("call_function", "call_method") and _name(node).endswith("_") and not _name(node).endswith("__")


class Memory:
    """Which values share memory."""

    def __init__(self):
        #: The first node of those that are one tensor, and of those that share memory.
        self._tensor: dict[fx.Node, fx.Node] = {}
        self._storage: dict[fx.Node, fx.Node] = {}

    def note(self, node: fx.Node, module: nn.Module | None) -> None:
        """Notes a node that changes nothing."""
        source = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
        name = "" if node.op == "call_module" else _name(node)
        if source is not None and (isinstance(module, _SAME) or name in _SAME_NAMES):
            self._tensor[node] = self._tensor.get(source, source)
            self._storage[node] = self._storage.get(source, source)
        elif source is not None and (isinstance(module, (nn.Flatten, nn.Unflatten)) or name in _VIEWS):
            self._storage[node] = self._storage.get(source, source)

    def change(self, node: fx.Node) -> list[fx.Node]:
        """Notes a node that changes its first argument, and returns the nodes whose value is from now on that of `node`."""
        target = node.args[0] if node.args else None
        if not isinstance(target, fx.Node):
            raise Unsupported("a change in place of what is no value of the network")
        tensor, storage = self._tensor.get(target, target), self._storage.get(target, target)
        for other in node.all_input_nodes:
            if self._storage.get(other, other) is storage and self._tensor.get(other, other) is not tensor:
                raise Unsupported(f"a change in place by another part of the same memory, {other.name}: copy it")
        order = {other: i for i, other in enumerate(node.graph.nodes)}
        changed = []
        for other in order:
            if other is node or order[other] > order[node] or self._storage.get(other, other) is not storage:
                continue
            if self._tensor.get(other, other) is tensor:
                changed.append(other)
            elif any(order[user] > order[node] for user in other.users):
                raise Unsupported(f"a change in place of a value that is used again in another shape, {other.name}: copy it")
        self._tensor[node], self._storage[node] = tensor, storage
        return changed

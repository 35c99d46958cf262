"""Axes in another order, as in networks that have channels last: what is computed of each point is computed before, in the order that
a model has.
"""

from __future__ import annotations

import numpy as np

from ._graph import Node, bare

_WHAT = (
    "a transposition of the axes, which is known before a flatten and a linear layer, and around what is computed of each point; a "
    "model takes channels first, so leave out a transposition of the input (tf2onnx: --inputs-as-nchw)"
)


def moved(x: Node, order: list[int]) -> Node:
    """Returns the axes of each sample in another order: axis ``i`` is axis ``order[i]`` of the value."""
    if order == sorted(order):
        return x
    shape = tuple(x.shape[i] for i in order)
    inverse = [0, *(1 + order.index(i) for i in range(len(order)))]

    def columns(weight):
        return weight.reshape(len(weight), *shape).transpose(inverse).reshape(len(weight), -1)

    return Node([x], [{"type": "_columns", "columns": columns, "what": _WHAT, "order": order}], shape)


def unmoved(x: Node) -> tuple[Node, list[int]] | None:
    """Returns the value whose axes are in another order in this one, and the order, if it is so."""
    x = bare(x)
    if len(x.layers) != 1 or "order" not in x.layers[0] or x.layers[0]["type"] != "_columns":
        return None
    return x.inputs[0], x.layers[0]["order"]


def all_unmoved(values: list[Node]) -> tuple[list[Node], list[int]] | None:
    """Returns values whose axes are in the same other order, and the order, if it is so."""
    found = [unmoved(value) for value in values]
    if not found or found[0] is None or any(other is None or other[1] != found[0][1] for other in found):
        return None
    return [value for value, _ in found], found[0][1]


def numbers_before(numbers: np.ndarray, shape: tuple[int, ...], order: list[int]) -> np.ndarray:
    """Returns numbers of each channel or each point of a moved value as those of the value before, by channel where that is enough."""
    full = np.broadcast_to(numbers if numbers.ndim > 1 else numbers.reshape(-1, *[1] * (len(shape) - 1)), shape)
    full = full.transpose([order.index(i) for i in range(len(order))])
    first = full.reshape(len(full), -1)[:, 0]
    by_channel = np.array_equal(full, np.broadcast_to(first.reshape(-1, *[1] * (full.ndim - 1)), full.shape))
    return np.ascontiguousarray(first if by_channel else full)

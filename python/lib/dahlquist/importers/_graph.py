"""A network as a graph, and the graph as a tree of chains and sums, which is what model files hold."""

from __future__ import annotations

import math

import numpy as np

from ..errors import DahlquistError

#: A graph whose branches meet again and again has a tree that grows without bound.
MOST_LAYERS = 10_000


class Unsupported(Exception):
    """What an importer cannot take, in words, and the layer that is meant, where it is one."""

    def __init__(self, reason: str, layer: dict | None = None):
        super().__init__(reason)
        self.layer = layer


def reason_of(error: Exception) -> str:
    """Returns why something cannot be taken: in the words of a rule, or in those of what it ran into."""
    if isinstance(error, (Unsupported, DahlquistError)):
        return str(error)
    return f"a call whose arguments are not known: {type(error).__name__}: {error}".splitlines()[0]


class Batch:
    """Stands for the number of samples where a network asks for it."""

    def __repr__(self) -> str:
        return "the number of samples"

    def __eq__(self, other) -> bool:
        raise TypeError("the number of samples is not known")

    __hash__ = object.__hash__


BATCH = Batch()


class Node:
    """A value in the network: the input, what some layers make of another value, or a sum.

    Attributes
    ----------
    shape : tuple of int or None
        The shape of one sample, as the other library sees it. None if it follows from something that is not supported.
    flat : bool
        Whether the model sees a vector where the other library sees channels of one point.
    origin
        What the value is in the other library.
    kind : type
        The number format that numbers of Python are rounded to when they meet the value.
    parts : tuple of Node
        The values that lie side by side in it, along the channels, if it is a concatenation.
    """

    __slots__ = ("depth", "dominator", "flat", "inputs", "kind", "layers", "origin", "parts", "shape")

    def __init__(self, inputs=(), layers=(), shape=None, flat=False, origin=None, kind=np.float32):
        self.inputs, self.layers = tuple(inputs), tuple(layers)
        self.kind = self.inputs[0].kind if self.inputs else kind
        self.shape, self.flat, self.origin, self.parts = shape, flat, origin, ()
        # The nearest value that every way from the input to this one passes.
        self.dominator, self.depth = None, 0
        if self.inputs:
            first, *rest = self.inputs
            for other in rest:
                first = _common(first, other)
            self.dominator, self.depth = first, first.depth + 1

    @property
    def known(self) -> bool:
        """Whether the value is one that the model can compute."""
        return self.shape is not None


def bare(x: Node) -> Node:
    """Returns the value that others only pass on."""
    while len(x.inputs) == 1 and not x.layers and (x.inputs[0].shape, x.inputs[0].flat) == (x.shape, x.flat):
        x = x.inputs[0]
    return x


STACKED = "values along an axis of their own (stack): a mean or a sum over that axis is known"


class Stack(Node):
    """Values along an axis of their own, which no model has: a mean or a sum over it has none any more.

    Attributes
    ----------
    axis : int
        That axis. If it is 0, it lies before that of the samples, and `shape` has it first.
    """

    __slots__ = ("axis",)

    def __init__(self, values, axis: int):
        at = max(axis - 1, 0)
        shape = values[0].shape
        super().__init__(values, (), (*shape[:at], len(values), *shape[at:]))
        self.axis = axis


def _common(a: Node, b: Node) -> Node:
    while a is not b:
        if a.depth < b.depth:
            a, b = b, a
        a = a.dominator
    return a


class Tree:
    """The layers that lead from the input to a value.

    Attributes
    ----------
    layers : list
        In the format of model files.
    origins : list
        For each of them the node after it, where it is one.
    """

    def __init__(self, output: Node, start: Node):
        self._count = 0
        self.layers, self.origins = self._chain(output, start)

    def _chain(self, node: Node, start: Node) -> tuple[list, list]:
        pieces: list[tuple[list, Node]] = []
        while node is not start:
            if isinstance(node, Stack):
                raise Unsupported(STACKED)
            if len(node.inputs) == 1:
                pieces.append((list(node.layers), node))
            else:
                pieces.append(([{"type": "sum", "branches": self._branches(node, node.dominator)}], node))
            self._add(len(node.layers) + 1)
            node = node.dominator
        layers, origins = [], []
        for own, after in reversed(pieces):
            layers += own
            origins += [None] * (len(own) - 1) + [after] if own else []
        return layers, origins

    def _branches(self, node: Node, start: Node) -> list[list]:
        branches = []
        for value in node.inputs:
            # A sum of a sum is one sum, if both start at the same value.
            if len(value.inputs) > 1 and value.dominator is start and not isinstance(value, Stack):
                branches += self._branches(value, start)
            else:
                branches.append(self._chain(value, start)[0])
        return branches

    def _add(self, count: int) -> None:
        self._count += count
        if self._count > MOST_LAYERS:
            raise Unsupported(
                f"its branches meet so often that it would have more than {MOST_LAYERS} layers as a tree of sums"
            )


def first_shape(layers: list, shape: tuple[int, ...]) -> tuple[tuple[int, ...], list]:
    """Returns the shape of the samples that a model takes, and its layers: if all that a network does with its samples at first is
    to give them another shape, it is that shape."""
    if layers and layers[0]["type"] == "_shape":
        return layers[0]["shape"], layers[1:]
    return shape, layers


def numel(shape) -> int:
    """Returns the number of scalars of a shape."""
    return math.prod(shape)

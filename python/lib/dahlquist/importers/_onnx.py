"""ONNX files, read operator by operator."""

from __future__ import annotations

import math
import os

import numpy as np

from .._arrays import sample_shape
from ..errors import FormatError, UnsupportedError
from ._advice import advised
from ._graph import Node, Tree, Unsupported, first_shape, reason_of
from ._onnx_fold import fold
from ._onnx_ops import OPERATORS
from ._onnx_verify import work_of
from ._permute import lower


#: Operators whose first input may be a constant.
_ANY_ORDER = ("Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Concat")


def read_onnx(source, input_shape) -> tuple:
    """Returns the shape of a sample and the layers, and what :func:`look_at_graph` compares them with: see
    :func:`dahlquist.from_onnx`."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError("from_onnx needs the package onnx: pip install onnx") from error
    name = "the ONNX model"
    if isinstance(source, onnx.ModelProto):
        model = source
    else:
        try:
            model = onnx.load_model_from_string(source) if isinstance(source, bytes) else onnx.load(os.fspath(source))
        except OSError:
            raise
        except Exception as error:
            place = "the bytes" if isinstance(source, bytes) else os.fspath(source)
            raise FormatError(f"{place}: no ONNX model: {error}") from error
        if not isinstance(source, bytes):
            name = os.fspath(source)
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    reader = Reader(model.graph, input_shape, opset)
    output = reader.read()
    shape, layers = reader.start.shape, None
    try:
        if output is not None and not reader.problems:
            shape, layers = first_shape(Tree(output, reader.start).layers, reader.start.shape)
            layers = lower(layers)
    except Unsupported as reason:
        reader.problems.append(("", str(reason)))
    if reader.problems or layers is None:
        raise UnsupportedError(name, reader.problems)
    layers = layers or [{"type": "activation", "function": "identity"}]
    return shape, layers, {"proto": model, "name": name, "given": reader.start.shape, "work": work_of(output)}


class Reader:
    """Reads a graph, and notes everything that it cannot take."""

    def __init__(self, graph, input_shape, opset: int):
        from onnx import TensorProto, numpy_helper

        self.graph, self.opset = graph, opset
        self.problems: list[tuple[str, str]] = []
        try:
            self.values: dict[str, object] = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        except Exception as error:
            hint = "give the path of the file if they are in another one"
            raise FormatError(f"its weights cannot be read: {error}; {hint}") from error
        self.uses: dict[str, int] = {}
        for node in graph.node:
            for name in node.input:
                self.uses[name] = self.uses.get(name, 0) + 1
        for value in graph.output:
            self.uses[value.name] = self.uses.get(value.name, 0) + 1
        inputs = [value for value in graph.input if value.name not in self.values]
        if len(inputs) != 1:
            raise UnsupportedError("the ONNX model", [("", f"it has {len(inputs)} inputs, and a model has one")])
        double = inputs[0].type.tensor_type.elem_type == TensorProto.DOUBLE
        self.start = Node(shape=_input_shape(inputs[0], input_shape), kind=np.float64 if double else np.float32)
        self.values[inputs[0].name] = self.start
        #: The number of samples that the graph was written for, 0 if it is any.
        self.samples = next((d.dim_value for d in inputs[0].type.tensor_type.shape.dim), 0)

    def read(self) -> Node | None:
        """Returns the output, if the graph has one that a model can have."""
        for index, node in enumerate(self.graph.node):
            place = node.name or f"node {index} ({node.op_type})"
            try:
                found = self.node(node, place)
            except Exception as error:
                self.problems.append((place, reason_of(error)))
                found = Node(shape=None)
            for name, value in zip(node.output, found if isinstance(found, tuple) else (found,)):
                self.values[name] = value
            for name in node.output:
                self.values.setdefault(name, Node(shape=None))
        if len(self.graph.output) != 1:
            self.problems.append(("", f"it has {len(self.graph.output)} outputs, and a model has one"))
            return None
        output = self.values[self.graph.output[0].name]
        if isinstance(output, Node):
            return output if output.known else None
        self.problems.append(("", "its output does not depend on its input"))
        return None

    def node(self, node, place: str):
        """Returns what a node computes."""
        from onnx import helper, numpy_helper

        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            value = attributes.get("value")
            if value is not None:
                return numpy_helper.to_array(value)
            kind, value = next(iter(attributes.items()))
            return np.asarray(value, np.float32 if kind.startswith("value_float") else None)
        rule = OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        for name in node.input:
            if name and name not in self.values:
                raise Unsupported(f"the value {name}, which nothing before it makes")
        inputs = [self.values[name] if name else None for name in node.input]
        if inputs and not any(isinstance(v, Node) for v in inputs):
            return fold(node, inputs, attributes, self.opset)
        if rule is None:
            domain = f"{node.domain}." if node.domain else ""
            raise Unsupported(advised(node.op_type, f"the operator {domain}{node.op_type}"))
        if any(isinstance(v, Node) and not v.known for v in inputs):
            return Node(shape=None)
        if node.op_type != "Reshape" and any(isinstance(v, np.ndarray) and v.dtype == object for v in inputs):
            raise Unsupported(f"the operator {node.op_type} of the number of samples")
        if not isinstance(inputs[0], Node) and node.op_type not in _ANY_ORDER:
            raise Unsupported(f"the operator {node.op_type} whose first input is a constant")
        if node.op_type == "Reshape":
            attributes["samples"] = self.samples
        first = node.input[0] if node.input else ""
        return rule(inputs, attributes, name=_weight_name(node, place), only_user=self.uses.get(first) == 1)


def _weight_name(node, place: str) -> str:
    # The name of the weight in the library that wrote the file, which is more telling than that of the node.
    if len(node.input) > 1 and node.input[1].endswith(".weight"):
        return node.input[1].removesuffix(".weight")
    return place.strip("/").replace("/", ".")


def _input_shape(value, given) -> tuple[int, ...]:
    if given is not None:
        shape = (given,) if isinstance(given, (int, np.integer)) else tuple(given)
        sample_shape(shape)
        return shape
    sizes = [d.dim_value if d.HasField("dim_value") else 0 for d in value.type.tensor_type.shape.dim]
    if len(sizes) == 1:
        batch = f"export the network for a batch, [1, {sizes[0]}]"
        reason = f"it has one axis, of {sizes[0]}, and the first one is that of the samples: {batch}"
        raise UnsupportedError("the ONNX model", [(value.name, reason)])
    if len(sizes) < 2 or not all(sizes[1:]) or math.prod(sizes[1:]) == 0:
        raise UnsupportedError("the ONNX model", [(value.name, "its shape is not said: give input_shape, without the batch")])
    return tuple(sizes[1:])

"""The comparison of a model with the ONNX graph that it was imported from, by the reference implementation of ONNX."""

from __future__ import annotations

import math
import warnings

import numpy as np

from ..errors import UnsupportedError
from ._graph import Node
from ._verify import TOLERANCE, distance_of, given_samples, widened

#: The multiplications of all samples that are waited for: a few seconds.
MOST_WORK = 2_000_000_000


def work_of(output: Node) -> int:
    """Returns about how many multiplications a sample needs that leads to a value."""
    total, seen, left = 0, set(), [output]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        left += node.inputs
        for layer in node.layers:
            if layer["type"] == "conv2d":
                total += layer["weight"].size * math.prod(node.shape[1:])
            elif layer["type"] == "dense":
                total += layer["weight"].size
            elif layer["type"] in ("max_pool", "avg_pool"):
                total += math.prod(layer["size"]) * math.prod(node.shape)
    return total


def look_at_graph(model, proto, name: str, given: tuple[int, ...], work: int) -> None:
    """Refuses an import that computes other logits than its graph on random samples; says so where the graph cannot be run.

    `given` is the shape of a sample as the graph takes it, and `work` what :func:`work_of` says of one.
    """
    sizes = _input(proto).type.tensor_type.shape.dim
    size = sizes[0].dim_value if len(sizes) else 0
    count = max(2, size)
    if work * count > MOST_WORK:
        _unseen(name, f"it needs about {work * count:.1e} multiplications, and {MOST_WORK:.0e} at most are waited for")
        return
    rng = np.random.default_rng(0)
    shape = model.input_shape
    x = np.stack([rng.random(shape) if i % 2 == 0 else rng.normal(size=shape) for i in range(count)]).astype(model.dtype)
    try:
        expected = _run(proto, given_samples(model, x).reshape(count, *given), size)
    except Exception as error:
        _unseen(name, f"the reference implementation of ONNX does not run it: {type(error).__name__}: {error}".splitlines()[0])
        return
    distance = distance_of(model.predict(x), expected)
    # Where rounding may be the reason, both are compared in double precision.
    if distance <= TOLERANCE or _distance_in_double(model, proto, x, given, size) <= TOLERANCE:
        return
    reason = (
        f"what was read of it computes other logits than the reference implementation of ONNX, which differ by {distance:.3g} times the "
        "largest one of random samples; verify=False imports what was read"
    )
    raise UnsupportedError(name, [("", reason)])


def _unseen(name: str, reason: str) -> None:
    warnings.warn(f"{name} is imported without a comparison of logits: {reason}; verify=False leaves it out", stacklevel=4)


def _input(proto):
    """Returns the input of a graph: old files list the weights there too."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    return next(value for value in proto.graph.input if value.name not in weights)


def _run(proto, x: np.ndarray, size: int) -> np.ndarray:
    """Returns the logits of samples, all of them at once if the graph was not written for one alone."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    from ._onnx_reference import OPERATORS

    value = _input(proto)
    x = x.astype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    evaluator = ReferenceEvaluator(proto, new_ops=OPERATORS)
    run = lambda part: np.asarray(evaluator.run(None, {value.name: part})[0]).astype(np.float64)  # noqa: E731
    if size != 1:
        try:
            together = run(x)
            if together.ndim and len(together) == len(x):
                return together
        except Exception:  # A shape of one sample may be written into it.
            if size:
                raise
    return np.concatenate([run(x[i : i + 1]).reshape(1, -1) for i in range(len(x))])


def _distance_in_double(model, proto, x: np.ndarray, given: tuple[int, ...], size: int) -> float:
    """Returns the distance of model and graph, both in double precision, or infinity if the graph does not run in it."""
    exact = widened(model)
    try:
        expected = _run(_double(proto), given_samples(exact, x.astype(np.float64)).reshape(len(x), *given), size)
    except Exception:
        return math.inf
    return distance_of(exact.predict(x.astype(np.float64)), expected)


def _double(proto):
    """Returns a graph with all numbers in double precision."""
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    narrow = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    copied = ModelProto()
    copied.CopyFrom(proto)

    def widen(tensor) -> None:
        if tensor.data_type in narrow:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))

    for tensor in copied.graph.initializer:
        widen(tensor)
    for value in copied.graph.input:
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in copied.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                widen(attribute.t)
            elif node.op_type == "Constant" and attribute.name.startswith("value_float"):
                numbers = np.asarray(helper.get_attribute_value(attribute), np.float32).astype(np.float64)
                attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(numbers)))
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i in narrow:
                attribute.i = TensorProto.DOUBLE
    return copied

"""What ONNX nodes make of constants, and of sizes, among which is the number of samples."""

from __future__ import annotations

import numpy as np

from ._graph import BATCH, Unsupported

_RANDOM = ("RandomNormal", "RandomUniform", "Bernoulli", "Multinomial", "RandomNormalLike", "RandomUniformLike")


def fold(node, inputs: list, attributes: dict, opset: int) -> tuple:
    """Returns what a node makes of constants, as the reference implementation of ONNX does."""
    if any(isinstance(value, np.ndarray) and value.dtype == object for value in inputs):
        found = _of_sizes(node.op_type, inputs, attributes)
        return (found if any(n is BATCH for n in found.flat) else found.astype(np.int64),)
    if node.op_type in _RANDOM or node.domain not in ("", "ai.onnx") or any(a.HasField("g") for a in node.attribute):
        raise Unsupported(f"the operator {node.op_type} of constants")
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    given = {name: value for name, value in zip(node.input, inputs) if name}
    values = [[helper.make_empty_tensor_value_info(name) for name in names] for names in (given, filter(None, node.output))]
    model = helper.make_model(helper.make_graph([node], "constants", *values), opset_imports=[helper.make_opsetid("", opset)])
    try:
        found = iter(ReferenceEvaluator(model).run(None, given))
    except Exception as error:
        raise Unsupported(f"the operator {node.op_type} of constants: {error}") from error
    return tuple(next(found) if name else None for name in node.output)


def sizes(shape: tuple[int, ...], attributes: dict) -> np.ndarray:
    """Returns the shape of a value, with the number of samples first."""
    return np.array([BATCH, *shape], dtype=object)[attributes.get("start", 0) : attributes.get("end")]


def _of_sizes(kind: str, inputs: list, attributes: dict) -> np.ndarray:
    first, *rest = inputs
    numbers = [np.asarray(v).reshape(-1).tolist() for v in rest if v is not None]
    axes = attributes.get("axes") or (numbers[0] if numbers else [])
    if kind in ("Identity", "Cast"):
        return first
    if kind == "Gather" and attributes.get("axis", 0) == 0:
        return np.asarray(np.take(first, np.asarray(rest[0]), axis=0), dtype=object)
    if kind == "Concat":
        return np.concatenate([np.asarray(v, dtype=object) for v in inputs])
    if kind == "Unsqueeze" and list(axes) == [0] and first.ndim == 0:
        return first.reshape(1)
    if kind == "Squeeze" and list(axes) in ([], [0]) and first.shape == (1,):
        return first.reshape(())
    if kind == "Slice" and len(numbers) >= 2 and numbers[2:] in ([], [[0]], [[0], [1]]):
        return first[numbers[0][0] : numbers[1][0]]
    raise Unsupported(f"the operator {kind} of the number of samples")

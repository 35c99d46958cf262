"""The comparison of a model with the PyTorch network that it was imported from."""

from __future__ import annotations

import numpy as np

from .. import _arrays
from ..errors import ExportError


def verify(model, network, x, rtol: float | None) -> float:
    """See :meth:`dahlquist.Model.verify_export`."""
    import torch

    from ._torch import evaluation_mode, torch_input, trace, whole

    kinds = {p.dtype for p in network.parameters()}
    if rtol is None:
        rtol = 2e-2 if kinds & {torch.float16, torch.bfloat16} else 1e-9 if kinds == {torch.float64} else 1e-4
    with evaluation_mode(network):
        given = torch_input(model, network, x)
        expected = network(given)
        if not isinstance(expected, torch.Tensor):
            raise ExportError(f"the network returns a {type(expected).__name__}, not one tensor")
        distance = _distance(model.predict(x), expected)
        if distance <= rtol:
            return distance
        network = whole(network)
        place = _first_difference(model, network, trace(network), given, x, rtol)
    raise ExportError(
        f"the logits differ by {distance:.3g} times the largest one, which is more than rtol = {rtol:g}; {place}"
    )


def _distance(found: np.ndarray, expected) -> float:
    """Returns the largest difference, relative to the largest number."""
    expected = _arrays.to_numpy(expected).astype(np.float64)
    found = found.astype(np.float64).reshape(len(found), -1)
    expected = expected.reshape(len(expected), -1)
    if found.shape != expected.shape:
        return float("inf")
    difference = np.abs(found - expected).max(initial=0.0)
    if not np.isfinite(difference):
        return float("inf")
    return float(difference / max(np.abs(expected).max(initial=0.0), np.finfo(np.float32).tiny))


def _first_difference(model, network, graph, given, x, rtol: float) -> str:
    """Says from which layer on the two part."""
    import torch
    from torch import fx

    from .._model import Model

    origins = model._origins
    if origins is None:
        return "at which layer is not known"
    values: dict[str, torch.Tensor] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, node):
            value = super().run_node(node)
            if isinstance(value, torch.Tensor):
                values[node.name] = value
            return value

    Recorder(fx.GraphModule(network, graph)).run(given)
    architecture = model.architecture
    tensors, layers = model.tensors, architecture["layers"]
    first = len(layers) - len(origins)
    before = "the input"
    for i, origin in enumerate(origins):
        if origin is None or origin.origin is None or origin.origin.name not in values:
            continue
        part = Model(architecture["input"], layers[: first + i + 1], tensors)
        place = f"layer {first + i} ({layers[first + i]['type']}), which is {origin.origin.target!s} of the network"
        distance = _distance(part.predict(x), values[origin.origin.name])
        if distance > rtol:
            return f"they part after {before}, at {place}, by {distance:.3g}"
        before = place
    return f"every layer that can be compared agrees, the last one being {before}"

"""What model files do not have: permutations of channels, applied to the weights beside them, and parts of functions."""

from __future__ import annotations

import numpy as np

from ._graph import Unsupported
from ._products import PARTS


def lower(layers: list) -> list:
    """Returns the same layers without permutations and parts of functions.

    A permutation is applied to the rows of the matrix or the convolution before it, or to the columns of the one behind it;
    where there is none it becomes a matrix of zeros and ones itself.
    """
    out: list = []
    for layer in layers:
        if layer["type"] == "sum":
            layer = {**layer, "branches": [lower(branch) for branch in layer["branches"]]}
        out.append(layer)
        while _merge(out):
            pass
    for layer in out:
        if layer["type"] in PARTS or "what" in layer:
            raise Unsupported(layer["what"] if "what" in layer else PARTS[layer["type"]], layer)
    return [_matrix(layer) if layer["type"] == "_permute" else layer for layer in out if not _is_identity(layer)]


def _merge(out: list) -> bool:
    """Merges the last layer with those before it, if one of them is none of a model file."""
    *_, before, last = [{"type": None}, *out]
    kinds = (before["type"], last["type"])
    if kinds == ("_twice_gelu", "channel_affine") and np.all(last["scale"] == 0.5) and not np.any(last["shift"]):
        out[-2:] = [{"type": "activation", "function": before["function"]}]
    elif kinds == ("_permute", "_permute"):
        out[-2:] = [{**last, "order": before["order"][last["order"]]}]
    elif last["type"] == "_permute" and _mixes(before):
        order, bias = last["order"], before["bias"]
        out[-2:] = [{**before, "weight": before["weight"][order], "bias": None if bias is None else bias[order]}]
    elif before["type"] == "_permute" and _mixes(last) and last["weight"].shape[1] == len(before["order"]):
        inverse = np.argsort(before["order"])
        out[-2:] = [{**last, "weight": np.ascontiguousarray(last["weight"][:, inverse])}]
    elif kinds == ("flatten", "dense") and len(out) > 2 and out[-3]["type"] == "_columns":
        # A linear map of the image, as a matrix that the weight is multiplied with.
        weight = last["weight"]
        columns = out[-3]["columns"](weight.astype(np.float64)).astype(weight.dtype)
        out[-3:] = [before, {**last, "weight": np.ascontiguousarray(columns)}]
    elif kinds == ("_each", "flatten"):
        flat = {key: np.ascontiguousarray(before[key].reshape(-1)) for key in ("scale", "shift")}
        out[-2:] = [last, {**before, "type": "channel_affine", **flat}]
    elif before["type"] == "_each" and last["type"] in ("_each", "channel_affine"):
        scale, shift = (_by_point(last[key], before["scale"].ndim) for key in ("scale", "shift"))
        kind = before["scale"].dtype
        scale, shift = before["scale"] * scale, before["shift"] * scale + shift
        out[-2:] = [{**before, "scale": scale.astype(kind), "shift": shift.astype(kind)}]
    elif kinds == ("flatten", "dense") and len(out) > 2 and out[-3]["type"] == "_permute":
        inverse, weight = np.argsort(out[-3]["order"]), last["weight"]
        moved = weight.reshape(len(weight), len(inverse), -1)[:, inverse].reshape(weight.shape)
        out[-3:] = [before, {**last, "weight": np.ascontiguousarray(moved)}]
    else:
        return False
    return True


def _by_point(numbers: np.ndarray, axes: int) -> np.ndarray:
    """Returns numbers of each channel, or of each point, in double precision and so that they are broadcast to an image."""
    return numbers.astype(np.float64).reshape(numbers.shape + (1,) * (axes - numbers.ndim))


def _mixes(layer: dict) -> bool:
    return layer["type"] in ("dense", "conv2d") and layer.get("groups", 1) == 1


def _is_identity(layer: dict) -> bool:
    return layer["type"] == "_permute" and np.array_equal(layer["order"], np.arange(len(layer["order"])))


def _matrix(layer: dict) -> dict:
    matrix = np.eye(len(layer["order"]), dtype=np.float32)[layer["order"]]
    if layer["image"]:
        return {"type": "conv2d", "weight": matrix[:, :, None, None], "bias": None}
    return {"type": "dense", "weight": matrix, "bias": None}

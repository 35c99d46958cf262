"""Layers in the format of model files, with weights from a ``state_dict``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .. import _arrays, _safetensors
from ..errors import FormatError, UnsupportedError
from . import _build as build


def read_state(layers, state) -> tuple:
    """Returns the layers and their tensors: see :func:`dahlquist.from_state_dict`."""
    if isinstance(state, (str, os.PathLike)):
        state = _read(state)
    for inner in ("state_dict", "model_state_dict", "model"):
        if inner in state and isinstance(state[inner], Mapping):
            state = state[inner]
    problems: list[tuple[str, str]] = []
    folded = _fold(list(layers), state, "", problems)
    if problems:
        raise UnsupportedError("the state_dict", problems)
    return folded, state


def _read(path) -> Mapping:
    if Path(path).suffix == ".safetensors":
        return _safetensors.load(Path(path).read_bytes())
    try:
        import torch
    except ImportError as error:
        raise FormatError(f"{os.fspath(path)}: PyTorch is needed to read this file") from error
    # weights_only: a pickle of anything else would run code.
    import pickle

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = "it holds more than weights, perhaps a whole network"
        raise FormatError(
            f"{os.fspath(path)}: {reason}: if you trust it, load it with torch.load(path, weights_only=False), and take from_torch"
        ) from error


def _fold(layers: list, state: Mapping, path: str, problems: list) -> list:
    """Returns the layers with arrays for weights, and normalizations folded into the layer before them."""
    out: list = []
    for i, layer in enumerate(layers):
        place = f"{path}{i}"
        if isinstance(layer, list):
            out.append(_fold(layer, state, f"{place}.", problems))
            continue
        layer = dict(layer)
        if "branches" in layer:
            layer["branches"] = [
                _fold(b if isinstance(b, list) else [b], state, f"{place}.{j}.", problems)
                for j, b in enumerate(layer["branches"])
            ]
        if layer.get("type") == "batch_norm":
            if "name" not in layer:
                problems.append((f"layer {place}", "a batch_norm needs the name of its statistics: name"))
                continue
            try:
                _batch_norm(layer, state, out)
            except KeyError as error:
                problems.append((f"layer {place}", f"the state has no {error.args[0]!r}"))
            continue
        for key in ("weight", "bias"):
            name = layer.get(key)
            if isinstance(name, str) and name not in state:
                problems.append((f"layer {place}", f"the state has no {name!r}{_nearest(name, state)}"))
            elif isinstance(name, str):
                layer[key] = _arrays.weights(state[name])
                layer["_name"] = name.removesuffix(f".{key}")
        out.append(layer)
    return out


def _batch_norm(layer: dict, state: Mapping, out: list) -> None:
    name = layer["name"]
    get = lambda part: _arrays.weights(state[f"{name}.{part}"])  # noqa: E731
    gamma, beta = (get("weight"), get("bias")) if f"{name}.weight" in state else (None, None)
    scale, shift, kind = build.running(get("running_mean"), get("running_var"), gamma, beta, layer.get("eps", 1e-5))
    before = out[-1] if out and isinstance(out[-1], dict) else {}
    if before.get("type") in ("dense", "conv2d") and not isinstance(before.get("weight"), str):
        out[-1] = build.folded(before, scale, shift, kind)
    else:
        out.append({"type": "channel_affine", "_name": name, "scale": scale.astype(kind), "shift": shift.astype(kind)})


def _nearest(name: str, state: Mapping) -> str:
    import difflib

    module, _, weight = name.rpartition(".")
    parts = (f"{name}_g", f"{name}_orig", f"{f'{module}.' if module else ''}parametrizations.{weight}.")
    if any(key.startswith(parts) for key in state):
        return ", but what it is computed from: load the state into its network, and take from_torch"
    found = difflib.get_close_matches(name, list(state), 1)
    return f"; the nearest name that it has is {found[0]!r}" if found else ""

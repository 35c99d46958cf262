"""Weights as a network uses them."""

from __future__ import annotations

import numpy as np
from torch import nn

from .. import _arrays


def stored(module: nn.Module, name: str):
    """Returns a weight as the network uses it: parametrizations and old-style hooks evaluated, nothing changed."""
    for hook in module._forward_pre_hooks.values():
        origin = type(hook).__module__
        if origin == "torch.nn.utils.weight_norm" and hook.name == name:
            return hook.compute_weight(module)
        if origin == "torch.nn.utils.spectral_norm" and hook.name == name:
            return hook.compute_weight(module, do_power_iteration=False)
        if origin == "torch.nn.utils.prune" and getattr(hook, "_tensor_name", None) == name:
            return hook.apply_mask(module)
    return getattr(module, name)


def written_class(module: nn.Module) -> type:
    """Returns the class of a module as it was written: a parametrization makes another one of it."""
    return nn.utils.parametrize.type_before_parametrizations(module)


def array(value) -> np.ndarray | None:
    """Returns a weight as an array."""
    return None if value is None else _arrays.weights(value)


def is_known_hook(hook) -> bool:
    """Whether a hook normalizes or prunes a weight before each pass, which :func:`stored` does in the same way."""
    return type(hook).__module__ in ("torch.nn.utils.weight_norm", "torch.nn.utils.spectral_norm", "torch.nn.utils.prune")

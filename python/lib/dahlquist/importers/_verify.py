"""The comparison of a model with the PyTorch network that it was imported from."""

from __future__ import annotations

import numpy as np

from .. import _arrays
from ..errors import DahlquistError, ExportError, UnsupportedError

#: How far logits of an import may be off, relative to the largest one: what rounding explains in single precision, and what it
#: may explain in half precision where the network does not run in another one.
TOLERANCE, _HALF = 1e-3, 1e-1


class Agreement(float):
    """How far two networks are apart: made by :meth:`dahlquist.Model.verify_export`.

    As a number, the largest difference of two logits, relative to the largest logit.

    Attributes
    ----------
    bound : float or None
        The largest proved bound of a logit's rounding error in any program that executes the model, with any order of sums,
        relative to the largest logit. None where nothing is proved.
    proved : bool
        Whether every difference is within its own proved bound: rounding alone explains it.
    basis : str
        What was compared with what, in words.
    """

    bound: float | None
    proved: bool
    basis: str

    def __new__(cls, distance: float, bound: float | None, proved: bool, basis: str):
        self = super().__new__(cls, distance)
        self.bound, self.proved, self.basis = bound, proved, basis
        return self

    def __repr__(self) -> str:
        return f"<{float(self):.3g}: {self.basis}>"


def given_samples(model, x) -> np.ndarray:
    """Returns samples of a model as its network takes them: as numbers, normalized if the model does that itself."""
    x = _arrays.samples(x, model.input_shape)
    if x.dtype == np.uint8:
        x = x / np.float32(255) if model.dtype == np.float32 else x / 255.0
    first = model.architecture["layers"][:1]
    if first and isinstance(first[0], dict) and first[0]["type"] == "normalize":
        mean, std = (np.asarray(first[0][key], x.dtype) for key in ("mean", "std"))
        axes = (-1, *[1] * (x.ndim - 2))
        x = (x - mean.reshape(axes)) / std.reshape(axes)
    return x


def widened(model):
    """Returns the model in double precision, with the same weights."""
    return type(model)._of(model._native.widened())


def torch_input(model, network, x):
    """Returns samples of a model as the network takes them: normalized, in its format, on its device."""
    import torch
    from torch import nn

    x = given_samples(model, x)
    weight = next((p for p in [*network.parameters(), *network.buffers()] if p.is_floating_point()), None)
    default = torch.float64 if model.dtype == np.float64 else torch.float32
    kind, device = (weight.dtype, weight.device) if weight is not None else (default, "cpu")
    # A signal is an image of one row to the model, and none to the network.
    given = model._given if model._given is not None else x.shape[1:]
    if model._given is None and len(given) == 3 and given[1] == 1 and any(isinstance(m, nn.Conv1d) for m in network.modules()):
        given = (given[0], given[2])
    # A copy: a network that changes its input must not change the samples.
    return torch.from_numpy(np.array(x.reshape(len(x), *given))).to(device=device, dtype=kind)


def verify(model, network, x, rtol: float | None) -> Agreement:
    """See :meth:`dahlquist.Model.verify_export`."""
    import torch

    from ._torch import trace, whole
    from ._torch_state import borrowed

    if not isinstance(network, torch.nn.Module):
        raise TypeError(f"a torch.nn.Module is expected, not {type(network).__name__}")
    kinds = {p.dtype for p in network.parameters()}
    if rtol is None:
        rtol = 2e-2 if kinds & {torch.float16, torch.bfloat16} else 1e-9 if kinds == {torch.float64} else 1e-4
    with borrowed(network):
        given = torch_input(model, network, x)
        expected = network(given.clone())  # some change their input
        if not isinstance(expected, torch.Tensor):
            raise ExportError(f"the network returns a {type(expected).__name__}, not one tensor")
        distance = distance_of(model.predict(x), expected)
        bound, proved, basis = _within(model, x, expected, rtol)
        if distance <= rtol:
            return Agreement(distance, bound, proved, basis)
        network = whole(network)
        place = _first_difference(model, network, trace(network, given.shape[1:]), given, x, rtol)
    raise ExportError(
        f"the logits differ by {distance:.3g} times the largest one, which is more than rtol = {rtol:g}; {place}; {basis}"
    )


def look_at_import(model, network) -> None:
    """Refuses an import that computes other logits than its network on two random samples.

    torch.fx sees what a forward does with its values, and not everything that a forward can do. The network runs twice, to see
    that it is a function. Where rounding may be the reason of a difference, both are compared in double precision.
    """
    import torch

    from ._torch import trace, whole
    from ._torch_state import borrowed

    rng = np.random.default_rng(0)
    x = np.stack([rng.random(model.input_shape), rng.normal(size=model.input_shape)]).astype(model.dtype)
    half = bool({p.dtype for p in network.parameters()} & {torch.float16, torch.bfloat16})
    with borrowed(network) as state:
        given = torch_input(model, network, x)
        try:
            first, second = (network(given.clone()) for _ in range(2))
        except Exception as error:
            reason = f"it does not run on two samples of the shape {tuple(given.shape[1:])}: {type(error).__name__}: {error}"
            raise _refusal(network, f"{reason}; verify=False imports it unseen") from error
        if not isinstance(first, torch.Tensor):
            raise _refusal(network, f"it returns a {type(first).__name__}, not one tensor: return the logits")
        apart = distance_of(_arrays.to_numpy(second), first)
        if apart > (_HALF if half else TOLERANCE):
            what = f"the same samples twice give logits that differ by {apart:.3g} times the largest one"
            raise _refusal(network, f"{what}: its forward is no function, it draws random numbers or remembers what it saw")
        distance = distance_of(model.predict(x), first)
        if distance <= TOLERANCE:
            return
        state.again()
        exact = _distance_in_double(model, network, state, x)
        if exact is not None and exact <= TOLERANCE or exact is None and half and distance <= _HALF:
            return
        state.again()
        inner = whole(network)
        try:
            place = _first_difference(model, inner, trace(inner, given.shape[1:]), given, x, _HALF if half else TOLERANCE)
        except Exception:  # The graph is none that runs: this is only about what a refusal says.
            place = "at which layer is not known"
    raise _refusal(
        network,
        f"what was read of it computes other logits, which differ by {distance:.3g} times the largest one of two random samples; "
        f"{place}. Its forward does something that torch.fx does not see; verify=False imports what was read",
    )


def _refusal(network, reason: str) -> UnsupportedError:
    return UnsupportedError(type(network).__name__, [("", reason)])


def _distance_in_double(model, network, state, x) -> float | None:
    """Returns the distance of model and network, both in double precision, or None if the network does not run in it."""
    exact = widened(model)
    exact._given = model._given
    try:
        state.to_double(network)
        expected = network(torch_input(exact, network, x.astype(np.float64)))
    except Exception:
        return None
    return distance_of(exact.predict(x.astype(np.float64)), expected)


def _within(model, x, expected, rtol: float) -> tuple[float | None, bool, str]:
    """Returns the proved bound of rounding errors, whether every logit is within its own, and both in words."""
    tolerance = f"rtol = {rtol:g} is a tolerance, and no proof"
    try:
        logits, bounds = model.seal()._native.enclose(_arrays.samples(x, model.input_shape))
    except DahlquistError as error:
        return None, False, f"no bound of rounding errors is proved ({error}); {tolerance}"
    logits, bounds = (a.reshape(len(a), -1) for a in (logits, bounds))
    expected = _arrays.to_numpy(expected).astype(np.float64).reshape(len(expected), -1)
    if expected.shape != logits.shape or not np.isfinite(bounds).all():
        return None, False, f"no bound of rounding errors is proved of these logits; {tolerance}"
    # The difference is rounded once, and its rounding is on the side of a refusal.
    proved = bool((np.nextafter(np.abs(expected - logits), np.inf) <= bounds).all())
    bound = float(bounds.max(initial=0.0) / max(np.abs(expected).max(initial=0.0), np.finfo(np.float32).tiny))
    if proved:
        return bound, True, f"every logit is within its proved bound of rounding errors, of at most {bound:.3g}"
    return bound, False, (
        f"rounding of the model alone, of which {bound:.3g} is proved, does not explain it: the network has other weights "
        f"(folded normalizations are rounded), another precision or other functions; {tolerance}"
    )


def distance_of(found: np.ndarray, expected) -> float:
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

    origins = model._origins
    if origins is None:
        return "at which layer is not known"
    values: dict[str, torch.Tensor] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, node):
            value = super().run_node(node)
            if isinstance(value, torch.Tensor):
                values[node.name] = value.clone()  # before another node changes it
            return value

    Recorder(fx.GraphModule(network, graph)).run(given)
    architecture = model.architecture
    tensors, layers = model.tensors, architecture["layers"]
    first = len(layers) - len(origins)
    before = "the input"
    for i, origin in enumerate(origins):
        if origin is None or origin.origin is None or origin.origin.name not in values:
            continue
        part = type(model)(architecture["input"], layers[: first + i + 1], tensors)
        place = f"layer {first + i} ({layers[first + i]['type']}), which is {origin.origin.target!s} of the network"
        distance = distance_of(part.predict(x), values[origin.origin.name])
        if distance > rtol:
            return f"they part after {before}, at {place}, by {distance:.3g}"
        before = place
    return f"every layer that can be compared agrees, the last one being {before}"

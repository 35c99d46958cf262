"""A PyTorch network that is borrowed: what its forward changes is put back."""

from __future__ import annotations

import collections
import contextlib
import random
import sys
import threading

import numpy as np
import torch
from torch import nn

#: While torch.fx traces, every call of every module of the process goes through the tracer: one network is read at a time.
_READING = threading.RLock()
_CONTAINERS = (dict, collections.OrderedDict, list, set)


class State:
    """What every module of a network holds, so that it can be put back: attributes, what is in them, numbers, random numbers.

    Objects of other kinds that a forward changes are not seen.
    """

    def __init__(self, network: nn.Module):
        self._modules = list(network.modules())
        self._parameters = dict(network.named_parameters())
        self._attributes = [(vars(module), dict(vars(module))) for module in self._modules]
        values = [value for _, saved in self._attributes for value in saved.values()]
        self._contents = [(value, value.copy()) for value in values if type(value) in _CONTAINERS]
        for _, content in self._contents:
            values += content.values() if isinstance(content, dict) else content
        tensors = {id(value): value for value in values if isinstance(value, torch.Tensor) and _has_numbers(value)}
        self._tensors = [_Tensor(tensor) for tensor in tensors.values()]
        self._random = random_state()

    def evaluate(self) -> None:
        """Puts every module into evaluation mode, and takes off what is compiled."""
        for module in self._modules:
            # Not by eval(): some libraries change weights there.
            object.__setattr__(module, "training", False)
            if getattr(module, "_compiled_call_impl", None) is not None:
                object.__setattr__(module, "_compiled_call_impl", None)

    def again(self) -> None:
        """Puts everything back, in evaluation mode."""
        self.restore()
        self.evaluate()

    def changed_parameters(self) -> list[str]:
        """Returns the names of parameters whose numbers are no longer those at the beginning."""
        saved = {id(tensor.tensor): tensor for tensor in self._tensors}
        return [name for name, p in self._parameters.items() if id(p) in saved and saved[id(p)].changed()]

    def drawn(self) -> list[str]:
        """Returns whose random numbers were drawn since the beginning."""
        return [name for name, now in random_state().items() if not _equal(now, self._random.get(name, now))]

    def restore(self) -> None:
        """Puts everything back."""
        for now, saved in self._attributes:
            for name in now.keys() - saved.keys():
                del now[name]
            for name, value in saved.items():
                if now.get(name, now) is not value:
                    now[name] = value
        for value, content in self._contents:
            _refill(value, content)
        with torch.no_grad():
            for tensor in self._tensors:
                tensor.restore()
        for name in self.drawn():
            _RANDOM[name][1](self._random[name])

    def to_double(self, network: nn.Module) -> None:
        """Converts the numbers of a network to double precision, until they are put back."""
        for tensor in self._tensors:
            if tensor.tensor.is_leaf:
                tensor.tensor.grad = None
        network.double()


class _Tensor:
    """A tensor, the memory that it had, its numbers and its gradient."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor, self._memory, self._numbers = tensor, tensor.detach(), tensor.detach().clone()
        self._gradient = tensor.grad if tensor.is_leaf else None
        self._requires_grad = tensor.requires_grad

    def _moved(self) -> bool:
        now, then = self.tensor.detach(), self._memory
        return now.dtype != then.dtype or now.shape != then.shape or now.data_ptr() != then.data_ptr()

    def changed(self) -> bool:
        """Whether it has other numbers now."""
        return self._moved() or not same_numbers(self.tensor.detach(), self._numbers)

    def restore(self) -> None:
        if self._moved():
            self.tensor.data = self._memory
        if not same_numbers(self.tensor.detach(), self._numbers):
            self.tensor.copy_(self._numbers)
        if self.tensor.is_leaf:
            if self.tensor.requires_grad != self._requires_grad:
                self.tensor.requires_grad_(self._requires_grad)
            if self.tensor.grad is not self._gradient:
                self.tensor.grad = self._gradient


def same_numbers(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors hold the same numbers, where a NaN is the same as a NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return bool(torch.equal(a, b)) or bool(((a == b) | ((a != a) & (b != b))).all())


def _has_numbers(tensor: torch.Tensor) -> bool:
    lazy = isinstance(tensor, nn.parameter.UninitializedTensorMixin)
    return not (lazy or tensor.is_meta or tensor.is_quantized or tensor.layout is not torch.strided)


def _refill(value, content) -> None:
    """Gives a container what was in it."""
    now, then = ([*part, *part.values()] if isinstance(part, dict) else [*part] for part in (value, content))
    if len(now) == len(then) and all(a is b for a, b in zip(now, then)):
        return
    value.clear()
    value.extend(content) if isinstance(value, list) else value.update(content)


#: Sources of random numbers: how their state is read, and how it is put back.
_RANDOM = {
    "torch": (torch.get_rng_state, torch.set_rng_state),
    "numpy.random": (np.random.get_state, np.random.set_state),
    "random": (random.getstate, random.setstate),
    "torch.cuda": (lambda: torch.cuda.get_rng_state_all(), lambda state: torch.cuda.set_rng_state_all(state)),
}


def random_state() -> dict:
    """Returns the states of all sources of random numbers."""
    return {name: read() for name, (read, _) in _RANDOM.items() if name != "torch.cuda" or torch.cuda.is_initialized()}


def _equal(a, b) -> bool:
    if a is None or isinstance(a, (int, float, str)):
        return a == b
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return bool(np.array_equal(a, b))


def _uncompiled():
    """Returns a context in which nothing is compiled, without the import of the compiler for those who do not have it."""
    stance = getattr(getattr(torch, "compiler", None), "set_stance", None) if "torch._dynamo.eval_frame" in sys.modules else None
    return contextlib.nullcontext() if stance is None else stance("force_eager")


@contextlib.contextmanager
def borrowed(network: nn.Module):
    """Puts every module into evaluation mode, yields the :class:`State`, and afterwards leaves the network as it was."""
    with _READING:
        state = State(network)
        try:
            state.evaluate()
            with torch.no_grad(), _uncompiled():
                yield state
        finally:
            state.restore()

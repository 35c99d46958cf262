"""Operators that the reference implementation of ONNX does not compute as its standard says, computed by NumPy.

Up to opset 13 it normalizes by statistics that are mixed with those of the samples (``momentum``), or does not run. Its poolings take
the padding of one side for that of the other, and read windows one by one. It forgets an axis of the largest numbers of sequences, and
does not pad before opset 11.
"""

from __future__ import annotations

import numpy as np
from onnx.reference.op_run import OpRun


class BatchNormalization(OpRun):
    """A normalization with running statistics."""

    op_domain = ""

    def _run(self, x, scale, bias, mean, var, epsilon=None, **options):
        if options.get("training_mode"):
            raise NotImplementedError("a normalization by the statistics of the batch")
        scale, bias, mean, var = (v.reshape(-1, *[1] * (x.ndim - 2)) for v in (scale, bias, mean, var))
        return ((scale * (x - mean) / np.sqrt(var + epsilon) + bias).astype(x.dtype),)


def _windows(x: np.ndarray, options: dict, fill: float) -> np.ndarray:
    """Returns the windows of a pooling, along as many axes behind those of the image."""
    kernel, axes = options["kernel_shape"], x.ndim - 2
    strides = options.get("strides") or [1] * axes
    if any(d != 1 for d in options.get("dilations") or []):
        raise NotImplementedError("a pooling with dilations")
    pads, auto = options.get("pads") or [0] * (2 * axes), options.get("auto_pad") or "NOTSET"
    before, after = pads[:axes], pads[axes:]
    if auto.startswith("SAME"):
        total = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(x.shape[2:], strides, kernel)]
        before, after = [t // 2 for t in total], [-(-t // 2) for t in total]
        if auto == "SAME_LOWER":
            before, after = after, before
    sides = list(zip(before, after))
    rests = [(n + p + q - k) % s for n, (p, q), k, s in zip(x.shape[2:], sides, kernel, strides)]
    if options.get("ceil_mode") and any(rests):
        raise NotImplementedError("a pooling with windows that are cut")
    x = np.pad(x, [(0, 0), (0, 0), *sides], constant_values=fill)
    found = np.lib.stride_tricks.sliding_window_view(x, tuple(kernel), axis=tuple(range(2, x.ndim)))
    return found[(slice(None), slice(None), *(slice(None, None, s) for s in strides))]


class MaxPool(OpRun):
    """The largest number of each window."""

    op_domain = ""

    def _run(self, x, **options):
        found = _windows(x, options, -np.inf)
        return (found.max(axis=tuple(range(x.ndim, found.ndim))),)


class AveragePool(OpRun):
    """The mean of each window, of which zeros around the image are a part where ``count_include_pad`` says so."""

    op_domain = ""

    def _run(self, x, **options):
        found = _windows(x, options, 0.0)
        axes = tuple(range(x.ndim, found.ndim))
        if options.get("count_include_pad"):
            return (found.mean(axis=axes, dtype=x.dtype),)
        counts = _windows(np.ones_like(x[:1, :1]), options, 0.0).sum(axis=axes)
        return ((found.sum(axis=axes) / counts).astype(x.dtype),)


class GlobalMaxPool(OpRun):
    """The largest number of each channel."""

    op_domain = ""

    def _run(self, x, **_):
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class Pad(OpRun):
    """Constants around an image."""

    op_domain = ""

    def _run(self, x, pads=None, value=None, axes=None, mode="constant", **_):
        if mode != "constant" or axes is not None:
            raise NotImplementedError("a padding by others than constants")
        before, after = np.split(np.asarray(pads), 2)
        return (np.pad(x, list(zip(before, after)), constant_values=0 if value is None else np.reshape(value, ())),)


OPERATORS = [BatchNormalization, MaxPool, AveragePool, GlobalMaxPool, Pad]

"""Arrays and tensors of any library as the arrays that the crate reads."""

from __future__ import annotations

import sys
import warnings

import numpy as np

from . import _native
from .errors import ParameterError, ShapeError


def to_numpy(x) -> np.ndarray:
    """Returns an array with the same numbers: of NumPy, PyTorch, or whatever NumPy understands.

    Half precision becomes single precision, which holds the same numbers.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        x = x.detach()
        if x.is_sparse or x.is_quantized:
            raise ParameterError("a tensor is sparse or quantized, and only dense ones are read")
        x = (x.float() if x.dtype in (torch.float16, torch.bfloat16) else x).cpu().resolve_neg().numpy()
    x = np.asarray(x)
    if x.dtype == np.float16 or x.dtype.name == "bfloat16":
        x = x.astype(np.float32)
    if not x.dtype.isnative:
        x = x.astype(x.dtype.newbyteorder("="))
    return x


def weights(x) -> np.ndarray:
    """Returns numbers of a network in single or double precision; integers become single precision if that holds them."""
    x = to_numpy(x)
    if x.dtype in (np.float32, np.float64):
        return x
    if x.dtype.kind in "iub":
        narrow = x.astype(np.float32)
        return narrow if np.array_equal(narrow.astype(np.float64), x.astype(np.float64)) else x.astype(np.float64)
    raise ParameterError(f"weights hold {x.dtype}, not float32 or float64")


def sample_shape(shape) -> tuple[int, ...]:
    """Returns the shape of one sample: a sequence of a one-dimensional convolution is an image of one row."""
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if not 1 <= len(shape) <= 3 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in shape):
        raise ParameterError(
            f"input_shape = {shape}: a sample is (features,), (channels, length) or (channels, height, width), "
            "without the batch"
        )
    shape = tuple(int(n) for n in shape)
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def samples(x, shape: tuple[int, ...]) -> np.ndarray:
    """Returns samples of a shape, samples first, as bytes, single or double precision, which are the numbers given."""
    x = to_numpy(x)
    if x.dtype.kind in "iub" and x.dtype != np.uint8:
        raise ParameterError(
            f"samples hold {x.dtype}: uint8 is read as x/255, and other integers have no meaning; convert them"
        )
    if x.dtype not in (np.uint8, np.float32, np.float64):
        raise ParameterError(f"samples hold {x.dtype}, not uint8, float32 or float64")
    # A sequence of a one-dimensional convolution is an image of one row.
    if len(shape) == 3 and shape[1] == 1 and x.ndim == 3 and x.shape[1:] == (shape[0], shape[2]):
        x = x[:, :, None, :]
    if x.shape[1:] != tuple(shape):
        hint = ""
        if x.shape == tuple(shape):
            hint = "; a single sample is x[None]"
        elif x.ndim > 1 and np.prod(x.shape[1:], dtype=np.int64) == np.prod(shape, dtype=np.int64):
            swapped = len(shape) == 3 and x.shape[1:] == (*shape[1:], shape[0])
            hint = "; channels are the first axis of a sample: x.transpose(0, 3, 1, 2)" if swapped else f"; x.reshape(-1, {', '.join(map(str, shape))}) has as many numbers"
        raise ShapeError(f"x has the shape {x.shape}: samples come first, and each has the shape {tuple(shape)}{hint}")
    # A transposed view would be read in the order of the memory, which is another one.
    return np.ascontiguousarray(x)


def labels(y, count: int) -> list[int] | None:
    """Returns one label for each sample, from any type of integers."""
    if y is None:
        return None
    y = to_numpy(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (count,):
        raise ShapeError(f"y has the shape {y.shape}, and there are {count} samples")
    if y.size and y.dtype.kind not in "iub":
        raise ParameterError(f"labels hold {y.dtype}, and are no integers")
    return y.astype(np.int64).tolist()


def radii(eps) -> np.ndarray:
    """Returns distances in ascending order, each once."""
    eps = np.atleast_1d(np.asarray(eps, dtype=np.float64))
    if eps.ndim != 1 or not (np.isfinite(eps).all() and (eps >= 0).all()):
        raise ParameterError("eps: distances are finite numbers that are not negative")
    return np.unique(eps)


def pixel_range(x: np.ndarray) -> tuple[float, float] | None:
    """Returns (0, 1) if the samples are pixels in it, or outside by less than half a level of 8 bits; None otherwise."""
    if x.dtype == np.uint8:
        return (0.0, 1.0)
    found = _native.pixel_range(float(x.min()), float(x.max())) if x.size else None
    return None if found is None else (found[0], found[1])


def note_range(x: np.ndarray) -> None:
    """Warns about samples that are no pixels in [0, 1]."""
    if x.dtype != np.uint8 and x.size and not (x.min() >= 0 and x.max() <= 1):
        warnings.warn(
            "x is not in [0, 1]: radii and eps are distances in the units of these numbers, not of pixels. If x is "
            "normalized, give dahlquist the pixels, and the normalization to the model: normalize=(mean, std).",
            stacklevel=3,
        )


def note_one_class(shape: tuple[int, ...]) -> None:
    """Warns about a network with a single output."""
    if np.prod(shape, dtype=np.int64) == 1:
        warnings.warn(
            "the network has one output, and so one class, which no input changes. If its sign is the class, append a layer that "
            'makes two logits of it: {"type": "dense", "weight": [[0], [1]]}.',
            stacklevel=3,
        )


def choice(name: str, value: str, known: tuple[str, ...]) -> str:
    """Returns a value that is one of those known."""
    if value not in known:
        raise ParameterError(f"{name} = {value!r}: it is one of {', '.join(map(repr, known))}")
    return value

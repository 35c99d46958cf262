"""Test sets in the files that people have, as arrays of bytes: a byte ``p`` stands for the pixel ``p/255``.

>>> from dahlquist import data
>>> x, y = data.cifar10("cifar-10-batches-py")      # doctest: +SKIP
>>> sealed.certify(x, y)                            # doctest: +SKIP
"""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np

from .errors import FormatError

__all__ = ["cifar10", "mnist"]


class _Arrays(pickle.Unpickler):
    """Reads arrays and nothing else: a pickle may name any function, to be called."""

    _ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"),
        ("numpy", "dtype"), ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str):
        if (module, name) not in self._ALLOWED:
            raise FormatError(f"a pickle that asks for {module}.{name}, and not only for arrays, is not read")
        return super().find_class(module, name)


def cifar10(path: str | os.PathLike, *, train: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and labels of CIFAR-10.

    Parameters
    ----------
    path : path
        A folder with the files of the binary or the Python version.
    train : bool
        The training set, in the order of its files, in place of the test set.

    Returns
    -------
    x : ndarray of uint8, shape ``(images, 3, 32, 32)``
    y : ndarray of int64, shape ``(images,)``
    """
    folder = Path(path)
    names = [f"data_batch_{i}" for i in range(1, 6)] if train else ["test_batch"]
    parts = [_binary(folder / f"{n}.bin") if (folder / f"{n}.bin").exists() else _pickled(folder / n) for n in names]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _binary(path: Path) -> tuple[np.ndarray, np.ndarray]:
    data = np.fromfile(path, np.uint8)
    if data.size % 3073 or not data.size:
        raise FormatError(f"{path}: {data.size} bytes are no whole number of records of 3073")
    records = data.reshape(-1, 3073)
    return records[:, 1:].reshape(-1, 3, 32, 32), _labels(path, records[:, 0])


def _pickled(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open(path, "rb") as file:
        try:
            content = _Arrays(file, encoding="bytes").load()
            x, y = np.asarray(content[b"data"]), np.asarray(content[b"labels"])
        except (pickle.UnpicklingError, KeyError, TypeError, EOFError) as error:
            raise FormatError(f"{path}: not a batch of CIFAR-10: {error}") from error
    if x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != 3072 or y.shape != x.shape[:1]:
        raise FormatError(f"{path}: its data have the shape {x.shape} of {x.dtype}, and there are {y.shape} labels")
    return x.reshape(-1, 3, 32, 32), _labels(path, y)


def _labels(path: Path, y: np.ndarray) -> np.ndarray:
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() > 9:
        raise FormatError(f"{path}: a label is not one of 0 to 9")
    return y.astype(np.int64)


def mnist(path: str | os.PathLike, *, train: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and labels of MNIST or Fashion-MNIST.

    Parameters
    ----------
    path : path
        A folder with the IDX files, compressed by gzip or not.
    train : bool
        The training set in place of the test set.

    Returns
    -------
    x : ndarray of uint8, shape ``(images, 1, 28, 28)``
    y : ndarray of int64, shape ``(images,)``
    """
    part = "train" if train else "t10k"
    x, y = _idx(Path(path), f"{part}-images", 3), _idx(Path(path), f"{part}-labels", 1)
    if len(x) != len(y):
        raise FormatError(f"{os.fspath(path)}: {len(x)} images and {len(y)} labels")
    return x[:, None], y.astype(np.int64)


def _idx(folder: Path, name: str, axes: int) -> np.ndarray:
    names = [f"{name}{dot}idx{axes}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
    path = next((folder / n for n in names if (folder / n).exists()), None)
    if path is None:
        raise FileNotFoundError(f"{folder}: none of {', '.join(names)}")
    data = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
    if data[:4] != bytes([0, 0, 8, axes]) or len(data) < 4 + 4 * axes:
        raise FormatError(f"{path}: not a file of bytes with {axes} axes in the IDX format")
    sizes = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    numbers = np.frombuffer(data, np.uint8, offset=4 + 4 * axes)
    if numbers.size != np.prod(sizes, dtype=object):
        raise FormatError(f"{path}: {numbers.size} numbers are not those of the sizes {sizes}")
    return numbers.reshape(sizes)

"""The safetensors format, without a dependency: a header in JSON, then the numbers."""

from __future__ import annotations

import json
import struct

import numpy as np

_NAMES = {"float16": "F16", "float32": "F32", "float64": "F64"}
_TYPES = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "U8": "u1", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}


def dump(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """Returns the bytes of a file of arrays in half, single or double precision."""
    header: dict = {"__metadata__": metadata}
    at = 0
    pieces = []
    for name, tensor in tensors.items():
        # tobytes follows the indices, so a transposed view is written as what it shows.
        data = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes()
        header[name] = {
            "dtype": _NAMES[tensor.dtype.name], "shape": list(tensor.shape), "data_offsets": [at, at + len(data)]
        }
        at += len(data)
        pieces.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *pieces])


def header(data: bytes) -> dict:
    """Returns the header of a file that the crate has accepted."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length])


def load(data: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays of a file that the crate has accepted."""
    (length,) = struct.unpack("<Q", data[:8])
    body = memoryview(data)[8 + length :]
    tensors = {}
    for name, entry in header(data).items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        if entry["dtype"] == "BF16":
            wide = np.frombuffer(body[start:end], "<u2").astype(np.uint32) << 16
            tensors[name] = wide.view(np.float32).reshape(entry["shape"])
        elif entry["dtype"] in _TYPES:
            tensors[name] = np.frombuffer(body[start:end], _TYPES[entry["dtype"]]).reshape(entry["shape"]).copy()
    return tensors

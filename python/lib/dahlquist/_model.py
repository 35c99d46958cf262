"""A model: layers in the documented JSON format, and their weights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from . import _arrays, _attack, _native, _safetensors, _text
from ._sealed import Sealed
from .errors import ParameterError

#: Keys whose numbers stand in the architecture itself, not in tensors.
_CONSTANTS = ("mean", "std", "size", "stride", "padding", "dilation", "channels", "groups")


class Model:
    """A network as data.

    Parameters
    ----------
    input_shape : int or sequence of int
        The shape of one sample: ``(features,)``, ``(channels, length)`` for one-dimensional convolutions, or
        ``(channels, height, width)``.
    layers : sequence of dict
        The layers in the format of model files, version 2. A weight is an array (NumPy or PyTorch) or the name of one
        in `tensors`. A list in place of a layer is a chain.
    tensors : mapping of str to array, optional
        Arrays by name, for instance a ``state_dict``. Those that no layer names are left out.
    normalize : (mean, std), optional
        One mean and one standard deviation for each channel or feature, or one number for all: the model then takes the
        samples as they are, pixels in [0, 1] say, and computes ``(x - mean)/std`` first. Radii are in the units of the
        samples.

    Notes
    -----
    All weights are kept in single precision, or all in double precision if one of them is. Half precision is exact in
    both. What is proved is proved about these numbers.

    Examples
    --------
    >>> import numpy as np
    >>> model = Model(2, [
    ...     {"type": "dense", "weight": np.float32([[3, 0], [0, 4]]), "bias": np.float32([1, 2])},
    ...     {"type": "activation", "function": "relu"},
    ...     {"type": "dense", "weight": np.float32([[1, 0], [0, 1]])}])
    >>> model.predict(np.float32([[1, 1], [-1, 0]]))
    array([[4., 6.],
           [0., 2.]], dtype=float32)
    >>> model.seal().lipschitz < 4.0001
    True
    """

    #: What an importer remembers for :meth:`verify_export`.
    _origins: list | None = None
    _given: tuple | None = None
    #: What :meth:`seal` proves without options, once it is proved.
    _proved = None

    def __init__(
        self,
        input_shape: int | Sequence[int],
        layers: Sequence[dict | list],
        tensors: Mapping[str, object] | None = None,
        *,
        normalize: tuple | None = None,
    ):
        shape = _arrays.sample_shape(input_shape)
        layers = list(layers)
        if normalize is not None:
            layers.insert(0, _normalization(normalize, shape))
        found: dict[str, np.ndarray] = {}
        plain = _extract(layers, "layers", found, tensors or {})
        if any(tensor.dtype == np.float64 for tensor in found.values()):
            found = {name: tensor.astype(np.float64) for name, tensor in found.items()}
        architecture = {"format": "dahlquist-model", "version": 2, "input": list(shape), "layers": plain}
        self._native = _native.Model(_safetensors.dump(found, {"dahlquist": json.dumps(architecture)}))

    @classmethod
    def _of(cls, native) -> Model:
        model = cls.__new__(cls)
        model._native = native
        return model

    def __reduce__(self):
        return _rebuilt, (self._native.bytes, self._given)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Model:
        """Reads a model file: a safetensors file with the architecture in its metadata."""
        data = Path(path).read_bytes()
        try:
            return cls._of(_native.Model(data))
        except Exception as error:
            error.args = (f"{os.fspath(path)}: {error.args[0]}", *error.args[1:])
            raise

    def save(self, path: str | os.PathLike) -> None:
        """Writes the model file, whole or not at all. Its SHA-256 is :attr:`sha256`, the one in certificates."""
        _text.write(path, self._native.bytes)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample that goes in."""
        return tuple(self._native.input)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one sample that comes out."""
        return tuple(self._native.output)

    @property
    def dtype(self) -> np.dtype:
        """The number format in which the network runs."""
        return np.dtype("float32" if self._native.scalar == "f32" else "float64")

    @property
    def sha256(self) -> str:
        """The SHA-256 of the model file."""
        return self._native.sha256

    @property
    def architecture(self) -> dict:
        """The architecture as it is written in the file."""
        return json.loads(_safetensors.header(self._native.bytes)["__metadata__"]["dahlquist"])

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        """The weights by name, as a copy."""
        return _safetensors.load(self._native.bytes)

    def predict(self, x, *, summation: str = "any") -> np.ndarray:
        """Returns the logits as the crate executes the network.

        Parameters
        ----------
        x : array
            Samples, first axis; uint8 is read as ``x/255``.
        summation : {"any", "declared"}
            The order of sums: the fastest, or the one that the kernels declare.

        Returns
        -------
        ndarray of shape ``(samples, *output_shape)``
            In the number format of the model.

        Notes
        -----
        One sample alone and the same sample in a batch may differ in the last bits, as in PyTorch. Radii in executed
        semantics cover both.
        """
        _arrays.choice("summation", summation, ("any", "declared"))
        return self._native.predict(_arrays.samples(x, self.input_shape), summation == "declared")

    __call__ = predict

    def seal(self, *, norm_proof: str = "torus", tighten: int = 0, summation: str = "any"):
        """Proves the Lipschitz constant of every layer.

        Parameters
        ----------
        norm_proof : {"torus", "tight"}
            How norms of convolutions are proved: fast and up to a few percent loose, or slower and tight.
        tighten : int
            The most neurons of dense layers in a row that one quadratic constraint proves together; 0 for none.
        summation : {"any", "declared"}
            The order of sums that executed radii hold for: any, so that another program may run the network, or that of
            this crate's kernels.

        Returns
        -------
        Sealed

        Raises
        ------
        NotProvedError
            If a layer has no proof.
        """
        _arrays.choice("norm_proof", norm_proof, ("torus", "tight"))
        _arrays.choice("summation", summation, ("any", "declared"))
        options = {"norm_proof": norm_proof, "tighten": int(tighten), "summation": summation}
        plain = options == {"norm_proof": "torus", "tighten": 0, "summation": "any"}
        if plain and self._proved is not None:
            return self._proved
        sealed = Sealed(self, self._native.seal(norm_proof == "tight", summation == "declared", int(tighten)), options)
        if plain:
            self._proved = sealed
        return sealed

    def mirror_mean(self) -> Model:
        """Returns the network that sees an image and its mirror image: the features of both are averaged before the last layer.

        Mirroring is an isometry, so the mean has the Lipschitz constant of the features, and a class is the same for both images.
        It costs two passes.

        Raises
        ------
        ValueError
            If the model has no layer before its last.
        """
        layers = self.architecture["layers"]
        if len(layers) < 2:
            raise ValueError("the mean is one of features, before the last layer: the model has no layer before that")
        *features, head = layers
        mean = {"type": "mean", "branches": [features, [{"type": "mirror"}, *features]]}
        return Model(self.input_shape, [mean, head], self.tensors)

    def half(self) -> Model:
        """Returns the network whose weights are those of this one, rounded to half precision, in a file of half the size.

        It is another network, and what is proved about it is proved anew. It still computes in single precision.

        Raises
        ------
        ValueError
            If a weight is beyond the range of half precision.
        """
        rounded = {}
        for name, tensor in self.tensors.items():
            with np.errstate(over="ignore"):
                rounded[name] = tensor.astype(np.float16)
            if not np.isfinite(rounded[name]).all():
                raise ValueError(f"{name}: a weight is beyond 65504, the largest number of half precision")
        metadata = {"dahlquist": json.dumps(self.architecture)}
        return Model._of(_native.Model(_safetensors.dump(rounded, metadata)))

    def attack(self, x, y=None, *, eps, **options):
        """Searches for adversarial examples: see :func:`dahlquist.attack`."""
        return _attack.attack(self, x, y, eps=eps, **options)

    def verify_export(self, network, x, *, rtol: float | None = None) -> float:
        """Compares the logits of this model with those of the PyTorch network that it was imported from.

        The importer is no part of what is proved: a certificate is about the numbers of this model. This is how to see
        that they are those of the network.

        Parameters
        ----------
        network : torch.nn.Module
            The network, which is left as it was.
        x : array or tensor
            Samples as this model takes them. If the model begins with a normalization, the network gets them normalized.
        rtol : float, optional
            The largest difference that is accepted, relative to the largest logit of all samples. By default 1e-4 for a
            network in single precision, 1e-9 in double, 2e-2 in half.

        Returns
        -------
        Agreement
            A float: the largest difference of two logits, relative to the largest logit. Its ``proved`` says whether every
            logit of the network is within the *proved* bound of rounding errors of this model's, as executed with any order of
            sums; ``bound`` is the largest of them. Otherwise the difference is within `rtol`, a tolerance, and ``basis`` says
            what may be the reason.

        Notes
        -----
        The bound needs the proofs of :meth:`seal`, which are kept for it. It is about the samples `x`: other samples can differ
        by more, and a network that agrees on them is not proved to be the model.

        Raises
        ------
        ExportError
            If it is more than `rtol`, with the first layer from which on the two part.
        """
        from .importers._verify import verify

        return verify(self, network, x, rtol)

    def __repr__(self) -> str:
        rows = [[str(i), kind] for i, kind in enumerate(self._native.layers())]
        sizes = lambda shape: " x ".join(map(str, shape))  # noqa: E731
        head = f"Model: {sizes(self.input_shape)} -> {sizes(self.output_shape)}, {self.dtype}, {len(rows)} layers"
        return head + ("\n" + _text.columns(rows) if rows else "")


def load(path: str | os.PathLike) -> Model:
    """Reads a model file."""
    return Model.load(path)


def _rebuilt(data: bytes, given: tuple | None) -> Model:
    model = Model._of(_native.Model(data))
    model._given = given
    return model


def kinds() -> tuple[list[str], list[str]]:
    """Returns the types of layers that this version reads, and the names of its activation functions."""
    layers, functions = _native.kinds()
    return layers, list(dict.fromkeys(functions))


def _normalization(normalize, shape: tuple[int, ...]) -> dict:
    if not hasattr(normalize, "__len__") or len(normalize) != 2:
        raise ParameterError(f"normalize = {normalize!r}: it is a pair, (mean, std)")
    mean, std = (_arrays.to_numpy(v).astype(np.float64).reshape(-1) for v in normalize)
    fill = lambda v: np.repeat(v, shape[0]).tolist() if v.size == 1 else v.tolist()  # noqa: E731
    return {"type": "normalize", "mean": fill(mean), "std": fill(std)}


def _extract(part, path: str, found: dict, tensors: Mapping):
    """Returns a layer as plain JSON. Arrays go into `found`, under the name that they have or the place where they are."""
    if isinstance(part, (list, tuple)):
        return [_extract(layer, f"{path}.{i}", found, tensors) for i, layer in enumerate(part)]
    if not isinstance(part, Mapping):
        return part
    name = part.get("_name", path)
    plain = {}
    for key, value in part.items():
        if key == "_name":
            continue
        if isinstance(value, (str, bytes, int, float, bool, type(None))):
            plain[key] = value
            if isinstance(value, str) and value in tensors and key not in ("type", "function", "method", "padding_mode"):
                found[value] = _arrays.weights(tensors[value])
        elif isinstance(value, (np.integer, np.floating, np.bool_)):
            plain[key] = value.item()
        elif hasattr(value, "__array__") or hasattr(value, "detach"):
            array = _arrays.to_numpy(value) if key in _CONSTANTS else _arrays.weights(value)
            plain[key] = array.tolist() if key in _CONSTANTS else _store(f"{name}.{key}", array, found, tensors)
        else:
            plain[key] = _extract(value, f"{path}.{key}" if path else key, found, tensors)
    return plain


def _store(name: str, array: np.ndarray, found: dict, tensors: Mapping) -> str:
    # Two layers may share a module, and then a name; other numbers need another one. So do those of a tensor that is given.
    unique, i = name, 1
    while not all(_equal(known, array) for known in _known(unique, found, tensors)):
        i += 1
        unique = f"{name}#{i}"
    found[unique] = array
    return unique


def _known(name: str, found: dict, tensors: Mapping):
    """Yields the arrays that have a name."""
    if name in found:
        yield found[name]
    if name in tensors:
        yield _arrays.weights(tensors[name])


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and np.array_equal(a, b)

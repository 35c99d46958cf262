"""Certification, attacks and searches spread over a Dask cluster. Needs ``distributed``.

>>> from dask.distributed import Client                                    # doctest: +SKIP
>>> client = Client("tcp://scheduler:8786")                                # doctest: +SKIP
>>> r = dq.dask.certify(client, "net.safetensors", "test.safetensors", folder="certify.parts")   # doctest: +SKIP

The results are, bit for bit, those of one machine whose processors compute alike: samples are handed out in the pieces in
which one machine certifies them, and random starts depend on the numbers of samples. What a lost worker had begun another one
does again. With a `folder` every piece is kept as it comes in, and a later call goes on from there.

Workers prove the network again for themselves, once each, and say which certificate they rest on; if it is not that of the
client, the call fails.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from . import _arrays, _safetensors, _text
from ._attack import Attacked, Falsification, attack as _attack
from ._model import Model
from ._native import __version__
from ._sealed import Certified, Collected, Meaning, Sealed
from .errors import DahlquistError

__all__ = ["attack", "certify", "falsify"]

#: The samples that one machine attacks together.
_GROUP = 1024
#: The network that this worker has proved.
_PROVED: dict[str, Sealed] = {}


def _sealed(data: bytes, options: dict) -> Sealed:
    """Returns the proofs of a model, which are made once in a process."""
    key = hashlib.sha256(data + json.dumps(options, sort_keys=True).encode()).hexdigest()
    if key not in _PROVED:
        from . import _native

        _PROVED.clear()
        _PROVED[key] = Model._of(_native.Model(data)).seal(**options)
    return _PROVED[key]


def _digest(sealed: Sealed) -> str:
    return hashlib.sha256(sealed._native.certificate_json().encode()).hexdigest()


def _aligned(x: np.ndarray) -> np.ndarray:
    """Returns the array where its numbers begin at multiples of their size: what came over a network may not."""
    return np.require(x, requirements=["C_CONTIGUOUS", "ALIGNED"])


def _certify_piece(data: bytes, options: dict, x: np.ndarray, meaning: tuple):
    """Runs on a worker: predictions, radii, refusals and proofs of radii of a piece, and the certificate that they rest on."""
    sealed = _sealed(data, options)
    native = sealed._native.certify(_aligned(x), None, meaning)
    return (native.predictions(), native.radii(), (native.refusals(), native.proofs())), _digest(sealed)


def _attack_group(data: bytes, x: np.ndarray, y: list[int], first: int, options: dict):
    """Runs on a worker: what the attack found of a group."""
    from . import _native

    found = _attack(Model._of(_native.Model(data)), _aligned(x), y, first_sample=first, **options)
    return found._pieces(), __version__


def _falsify_seed(data: bytes, options: dict, x, rounds: int, seed: int):
    """Runs on a worker: one search."""
    sealed = _sealed(data, options)
    x = None if x is None else _aligned(x)
    return sealed.falsify(float(2**31), x=x, rounds=rounds, seed=seed).to_dict(), _digest(sealed)


def _read_sealed(sealed) -> Sealed:
    if isinstance(sealed, Sealed):
        return sealed
    return (sealed if isinstance(sealed, Model) else Model.load(sealed)).seal()


def _read_samples(x, y):
    """Returns samples and labels, from a file if it is one."""
    if not isinstance(x, (str, os.PathLike)):
        return x, y
    path = Path(x)
    content = dict(np.load(path)) if path.suffix == ".npz" else _safetensors.load(path.read_bytes())
    return content["x"], content.get("y") if y is None else y


class _Folder:
    """Results that are kept: one file for each piece, named by everything that it depends on."""

    def __init__(self, folder, about: dict):
        self.path = None if folder is None else Path(folder)
        self.about = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        if self.path is not None:
            self.path.mkdir(parents=True, exist_ok=True)

    def file(self, name: str) -> Path:
        return self.path / f"{self.about}-{name}.npz"

    def load(self, name: str):
        """Returns a result, if it is there whole."""
        if self.path is None or not self.file(name).exists():
            return None
        try:
            with np.load(self.file(name), allow_pickle=False) as content:
                return json.loads(str(content["text"])), {k: content[k] for k in content.files if k != "text"}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, name: str, text, arrays: dict) -> None:
        if self.path is not None:
            buffer = io.BytesIO()
            np.savez(buffer, text=np.array(json.dumps(text)), **arrays)
            _text.write(self.file(name), buffer.getvalue())


def _spread(client, folder: _Folder, tasks: dict, pack, unpack, expected: str) -> list:
    """Returns the results of tasks in their order: those that are kept, and the others from the cluster."""
    from distributed import as_completed

    results = {}
    for name in tasks:
        kept = folder.load(name)
        if kept is not None:
            results[name] = unpack(*kept)
    futures = {client.submit(*task, pure=False, retries=2): name for name, task in tasks.items() if name not in results}
    try:
        for future in as_completed(list(futures)):
            value, origin = future.result()
            if origin != expected:
                raise DahlquistError(f"a worker rests on {origin}, and the client on {expected}: their versions differ")
            name = futures[future]
            folder.save(name, *pack(value))
            results[name] = value
            future.release()
    finally:
        client.cancel(list(futures))
    return [results[name] for name in tasks]


def certify(
    client, sealed, x, y=None, *, semantics: str = "executed", local: bool = False, norm: str = "l2",
    range: tuple[float, float] | None = None, decide=None, quadratic: bool = False, folder=None, at_once: int = 1024,
) -> Certified:
    """Certifies samples as :meth:`Sealed.certify` does, on all workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    sealed : Sealed, Model or path of a model file
        The network. What is not sealed is sealed without options.
    x, y : array; or for `x` the path of a safetensors or npz file with ``x`` and perhaps ``y``
        Samples and labels.
    semantics, local, norm, range, decide, quadratic
        As for :meth:`Sealed.certify`.
    folder : path, optional
        Where results are kept as they come in. A call with the same network, samples and options goes on from there.
    at_once : int
        The most samples of one task, at most 1024; at least as many as one thread takes through the network together.
    """
    meaning = Meaning(semantics, local, norm, range, decide, quadratic)
    sealed = _read_sealed(sealed)
    x, y = _read_samples(x, y)
    x = _arrays.samples(x, sealed.model.input_shape)
    labels = _arrays.labels(y, len(x))
    _arrays.note_range(x)
    data = sealed.model._native.bytes
    expected = _digest(sealed)
    about = {"certificate": expected, "samples": sealed._native.samples_sha256(x, labels), "meaning": meaning.native, "v": __version__}
    # A task and not data that are scattered: a worker that is lost takes those with it, and a task is done again.
    shared = client.submit(bytes, data, pure=False)
    ranges: list[list[int]] = []
    for start, end in sealed._native.pieces(len(x)):
        # A piece is never cut, and a task never crosses the border of a group of one machine.
        if ranges and end - ranges[-1][0] <= at_once and start % _GROUP:
            ranges[-1][1] = end
        else:
            ranges.append([start, end])
    tasks = {f"{a}-{b}": (_certify_piece, shared, sealed._options, x[a:b], meaning.native) for a, b in ranges}
    pack = lambda value: (value[2], {"predictions": value[0], "radii": value[1]})  # noqa: E731
    unpack = lambda text, arrays: (arrays["predictions"], arrays["radii"], text)  # noqa: E731
    pieces = _spread(client, _Folder(folder, about), tasks, pack, unpack, expected)
    collected = Collected(sealed, x, labels, meaning, pieces)
    return Certified(collected, None if labels is None else np.asarray(labels), meaning)


def attack(client, model, x, y=None, *, eps, folder=None, **options) -> Attacked:
    """Attacks samples as :func:`dahlquist.attack` does, on all workers of a cluster, 1024 samples a task.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    model : Model, Sealed or path of a model file
        The network.
    x, y : array; or for `x` the path of a safetensors or npz file with ``x`` and perhaps ``y``
        Samples and labels.
    eps : float or array
        Radii of the balls.
    folder : path, optional
        Where results are kept as they come in.
    **options
        As for :func:`dahlquist.attack`.
    """
    model = getattr(model, "model", model)
    model = model if isinstance(model, Model) else Model.load(model)
    x, y = _read_samples(x, y)
    x, eps = _arrays.samples(x, model.input_shape), _arrays.radii(eps)
    labels = _arrays.labels(y, len(x))
    if labels is None:
        labels = model.predict(x).reshape(len(x), -1).argmax(axis=1).tolist()
    # The range is that of all samples.
    if isinstance(options.get("range", "auto"), str):
        _arrays.choice("range", options.get("range", "auto"), ("auto",))
        options["range"] = _arrays.pixel_range(x)
    about = {
        "model": model.sha256, "samples": hashlib.sha256(x.tobytes() + np.asarray(labels).tobytes()).hexdigest(),
        "kind": [str(x.dtype), *x.shape], "eps": eps.tolist(), "options": {k: str(v) for k, v in options.items()},
        "v": __version__,
    }
    shared = client.submit(bytes, model._native.bytes, pure=False)
    tasks = {}
    for a in range(0, len(x), _GROUP):
        b = min(a + _GROUP, len(x))
        tasks[f"{a}-{b}"] = (_attack_group, shared, x[a:b], labels[a:b], a, {"eps": eps, **options})
    pack = lambda value: (None, value)  # noqa: E731
    unpack = lambda text, arrays: arrays  # noqa: E731
    pieces = _spread(client, _Folder(folder, about), tasks, pack, unpack, __version__)
    return Attacked._of(pieces, eps, options.get("norm", "l2"), options["range"])


def falsify(client, sealed, *, rounds: int, seeds=range(8), x=None, folder=None) -> list[Falsification]:
    """Runs searches as :meth:`Sealed.falsify` does, one for each seed, on all workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    sealed : Sealed, Model or path of a model file
        The network with its proofs.
    rounds : int
        Each search ends after this many rounds, and depends on nothing but them and its seed.
    seeds : iterable of int
        Of the searches.
    x : array, optional
        Samples whose radii are attacked, too.
    folder : path, optional
        Where results are kept as they come in.

    Returns
    -------
    list of Falsification
        One for each seed, in their order. A claim is refuted if one of them refutes it.
    """
    sealed = _read_sealed(sealed)
    x = None if x is None else _arrays.samples(_read_samples(x, None)[0], sealed.model.input_shape)
    expected = _digest(sealed)
    samples = None if x is None else sealed._native.samples_sha256(x, None)
    about = {"certificate": expected, "samples": samples, "rounds": rounds, "v": __version__}
    shared = client.submit(bytes, sealed.model._native.bytes, pure=False)
    tasks = {f"seed-{seed}": (_falsify_seed, shared, sealed._options, x, rounds, seed) for seed in seeds}
    pack = lambda value: (value, {})  # noqa: E731
    unpack = lambda text, arrays: text  # noqa: E731
    found = _spread(client, _Folder(folder, about), tasks, pack, unpack, expected)
    return [Falsification(json.dumps(content)) for content in found]

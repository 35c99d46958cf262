"""Searches that prove nothing: for adversarial examples, and for what refutes a certificate."""

from __future__ import annotations

import json

import numpy as np

from . import _arrays, _native, _text
from .errors import ParameterError


class Attacked:
    """What an attack found: made by :func:`attack`.

    Attributes
    ----------
    eps : ndarray of float64
        The distances, in ascending order.
    clean_accuracy : float
        The fraction of samples that are classified as their labels.
    distance : ndarray of float64, shape ``(samples,)``
        An upper bound of the distance of the input that broke each sample; 0 if it was wrong itself, ``inf`` if none was found.
    prediction : ndarray of int64, shape ``(samples,)``
        The class of that input; -1 if none was found.
    inputs : ndarray of float64 or None
        The adversarial inputs, and the samples where none was found, if they were kept.
    norm : {"l2", "linf"}
        The norm of the balls.
    range : (low, high) or None
        The range in which coordinates stayed.
    """

    def __init__(self, native, eps: np.ndarray, norm: str, range: tuple[float, float] | None):
        self.eps, self.norm, self.range = eps, norm, range
        self.clean_accuracy: float = native.clean
        self._accuracy: np.ndarray = native.accuracy()
        self.distance: np.ndarray = native.distances()
        self.prediction: np.ndarray = native.predictions()
        self.inputs: np.ndarray | None = native.inputs()

    def _pieces(self) -> dict[str, np.ndarray]:
        """Returns what was found of each sample."""
        found = {"distance": self.distance, "prediction": self.prediction}
        return found if self.inputs is None else {**found, "inputs": self.inputs}

    @classmethod
    def _of(cls, pieces: list[dict[str, np.ndarray]], eps: np.ndarray, norm: str, range: tuple[float, float] | None) -> Attacked:
        """Returns what was found of all samples, from what was found of some after the others."""
        self = cls.__new__(cls)
        self.eps, self.norm, self.range = eps, norm, range
        whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        self.distance, self.prediction, self.inputs = whole["distance"], whole["prediction"], whole.get("inputs")
        count = len(self.distance)
        self.clean_accuracy = np.count_nonzero(self.distance > 0) / count
        self._accuracy = np.array([np.count_nonzero(self.distance > e) / count for e in eps])
        return self

    def accuracy(self, eps=None):
        """Returns the fraction of samples for which nothing was found within each distance.

        It is an upper bound of the robust accuracy, and nothing more. Without `eps`, at each of :attr:`eps`.
        """
        if eps is None:
            return self._accuracy
        eps = np.asarray(eps, dtype=np.float64)
        if eps.size and eps.max() > self.eps[-1]:
            raise ValueError(f"the attack went up to {self.eps[-1]}, and says nothing about {eps.max()}")
        broken = np.sort(self.distance)
        held = (len(broken) - np.searchsorted(broken, eps, side="right")) / len(broken)
        return held if eps.ndim else float(held)

    def __repr__(self) -> str:
        rows = [["clean", _text.percent(self.clean_accuracy)]]
        rows += [[f"under attack at {e:.4f}", _text.percent(a)] for e, a in zip(self.eps, self._accuracy)]
        within = "coordinates have no range" if self.range is None else f"coordinates stay in {list(self.range)}"
        return f"<Attacked: {len(self.distance)} samples, {self.norm}, {within}\n{_text.columns(rows)}>"


def attack(
    model,
    x,
    y=None,
    *,
    eps,
    norm: str = "l2",
    loss: str = "targeted",
    steps: int = 20,
    starts: int = 2,
    seed: int = 0,
    range: tuple[float, float] | None | str = "auto",
    keep_inputs: bool = False,
    first_sample: int = 0,
) -> Attacked:
    """Searches for adversarial examples by projected gradient descent.

    Parameters
    ----------
    model : Model
        The network.
    x : array of shape ``(samples, *input_shape)``
        uint8 is read as ``x/255``.
    y : array of integers, optional
        Labels. Without them the predictions are attacked, which is what radii are about.
    eps : float or array
        Radii of the balls.
    norm : {"l2", "linf"}
        The norm of the balls.
    loss : {"targeted", "margin", "cross_entropy"}
        What a descent decreases: the lead over one class, each descent another one, the nearest first; the lead over
        whichever class is second; minus the cross-entropy.
    steps, starts : int
        Gradient steps of a descent, and descents for each of `eps`. With ``loss="targeted"``, one less than there are
        classes tries all of them.
    seed : int
        Of the random starts.
    range : (low, high), None or "auto"
        Every coordinate of an input stays in it. ``"auto"``: [0, 1] if the samples are, or are outside by less than half a
        level of 8 bits; such coordinates stay between their value and the range. :attr:`Attacked.range` says what it was.
    keep_inputs : bool
        Whether the inputs that were found are kept.
    first_sample : int
        The number of the first sample. Random starts depend on the numbers of samples: 1024 samples of a set, from a multiple of
        1024 on, are attacked as in the whole set if they keep their numbers.
    """
    model = getattr(model, "model", model)
    _arrays.choice("norm", norm, ("l2", "linf"))
    _arrays.choice("loss", loss, ("targeted", "margin", "cross_entropy"))
    for name, value in (("steps", steps), ("starts", starts), ("seed", seed), ("first_sample", first_sample)):
        if not isinstance(value, (int, np.integer)) or value < 0:
            raise ParameterError(f"{name} = {value!r}: an integer that is not negative")
    x = _arrays.samples(x, model.input_shape)
    eps = _arrays.radii(eps)
    if isinstance(range, str):
        _arrays.choice("range", range, ("auto",))
        range = _arrays.pixel_range(x)
    range = None if range is None else (float(range[0]), float(range[1]))
    options = {
        "linf": norm == "linf", "loss": loss, "steps": steps, "starts": starts, "seed": seed, "first_sample": first_sample,
        "range": range, "keep_inputs": keep_inputs,
    }
    labels = _arrays.labels(y, len(x))
    if labels is None:
        labels = model.predict(x).reshape(len(x), -1).argmax(axis=1).tolist()
    report, close = _text.progress("attack", len(x) * len(eps) * starts)
    try:
        found = _native.attack(model._native, x, labels, eps.tolist(), options, report)
    finally:
        close()
    return Attacked(found, eps, norm, range)


class Falsification:
    """What a search found out about a certificate: made by :func:`falsify`.

    Attributes
    ----------
    refuted : bool
        Whether a bound, a rounding error or a radius is false.
    looseness : float
        The proved Lipschitz constant over the largest ratio found: how much tighter it could be at most.
    layers : list of dict
        The same for each layer.
    """

    def __init__(self, text: str):
        self._content = json.loads(text)
        self.refuted: bool = self._content["refuted"]
        self.layers: list[dict] = self._content["layers"]

    @property
    def looseness(self) -> float:
        """The proved Lipschitz constant over the largest ratio found."""
        return _or_infinite(self._content["network"]["looseness"])

    def to_dict(self) -> dict:
        """Returns everything that was found."""
        return self._content

    def __repr__(self) -> str:
        rows = [["", "kind", "bound", "bound/found", ""]]
        parts = [*self.layers, *filter(None, [self._content.get("features")]), self._content["network"]]
        for part in parts:
            loose = _text.number(_or_infinite(part["looseness"]))
            rows.append([part["path"], part["kind"], _text.number(part["bound"]), loose, "REFUTED" * part["refuted"]])
        end = "REFUTED" if self.refuted else "nothing refuted"
        return f"{_text.columns(rows)}\n{self._content['rounds']} rounds: {end}"


def _or_infinite(x: float | None) -> float:
    return float("inf") if x is None else x


def falsify(sealed, seconds: float = 10.0, *, x=None, rounds: int | None = None, seed: int = 0) -> Falsification:
    """Searches for inputs that refute what is proved.

    Parameters
    ----------
    sealed : Sealed
        The network with its proofs.
    seconds : float
        No round of the search begins later. After Ctrl-C it goes on in the background until then.
    x : array, optional
        Samples whose radii are attacked, too.
    rounds : int, optional
        The search ends after this many rounds. The result then depends only on them and on the seed.
    seed : int
        Of the search.
    """
    if not (np.isfinite(seconds) and seconds >= 0):
        raise ValueError("seconds: a finite number that is not negative")
    x = None if x is None else _arrays.samples(x, sealed.model.input_shape)
    return Falsification(_native.falsify(sealed._native, x, float(seconds), rounds, seed))

"""What is proved about a network, and about samples."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from . import _arrays, _attack, _text
from .errors import ParameterError

#: The distances of the literature on CIFAR-10.
EPS = (36 / 255, 72 / 255, 108 / 255)


class Sealed:
    """A network whose claims are proved: made by :meth:`Model.seal`.

    Attributes
    ----------
    model : Model
        The network.
    """

    def __init__(self, model, native, options: dict | None = None):
        self.model = model
        self._native = native
        #: What it was sealed with.
        self._options = options or {}

    def __reduce__(self):
        # A copy trusts nothing: it is proved again.
        return _sealed_again, (self.model, self._options)

    @property
    def lipschitz(self) -> float:
        """A proved bound ``L``: ``|f(x) - f(x')| <= L |x - x'|`` in the Euclidean norm, over the real numbers."""
        return self._native.lipschitz

    @property
    def features(self) -> float:
        """The same bound for the layers before the head that margins are measured on."""
        return self._native.features

    @property
    def is_proved(self) -> bool:
        """Whether nothing rests on a bound that is merely asserted."""
        return self._native.is_proved

    @property
    def layers(self) -> list[dict]:
        """For each layer its ``path``, its ``kind``, the ``rule`` that proves it, and its proved ``bound``."""
        return [dict(zip(("path", "kind", "rule", "bound"), row)) for row in self._native.layers()]

    @property
    def certificate(self) -> Certificate:
        """The proof, to be saved and checked by someone else."""
        return Certificate(self._native.certificate_json())

    def predict(self, x) -> np.ndarray:
        """Returns the logits as executed in the order of sums that the network is sealed for: see :meth:`Model.predict`."""
        return self._native.predict(_arrays.samples(x, self.model.input_shape))

    __call__ = predict

    def certify(
        self, x, y=None, *, semantics: str = "executed", local: bool = False, norm: str = "l2",
        range: tuple[float, float] | None = None, decide=None, quadratic: bool = False,
    ) -> Certified:
        """Proves for each sample how far it may move before its prediction changes.

        Parameters
        ----------
        x : array of shape ``(samples, *input_shape)``
            float32 or float64, whose numbers are meant exactly, or uint8, read as ``x/255``.
        y : array of integers of shape ``(samples,)``, optional
            Labels, for accuracies.
        semantics : {"executed", "exact"}
            About the program with its rounding errors, or about the network over the real numbers.
        local : bool
            Larger radii, more slowly: neurons of dense layers that cannot switch within the ball are fixed, and margins are
            bounded by linear functions.
        norm : {"l2", "linf"}
            The norm of the radii. In the maximum norm they are local ones.
        range : (low, high), optional
            Radii are about inputs in this range alone, such as pixels in (0, 1). They are local ones.
        decide : float or sequence of float, optional
            Whether radii are larger than these distances is decided, and no larger ones are sought: many times faster than
            `local` where the accuracy at a few distances is all that is asked for. Radii are local ones.
        quadratic : bool
            Margins that linear functions do not bound well enough are bounded by quadratic ones: for ReLU networks of which at most
            256 neurons can switch within the ball. Larger radii, in seconds a sample. Radii are local ones.

        Returns
        -------
        Certified

        Notes
        -----
        The work runs on all cores without the GIL (``RAYON_NUM_THREADS`` limits them). After Ctrl-C what is begun runs
        to its end in the background: at most 1024 samples, or those of local radii that a thread takes at a time.
        """
        meaning = Meaning(semantics, local, norm, range, decide, quadratic)
        x = _arrays.samples(x, self.model.input_shape)
        labels = _arrays.labels(y, len(x))
        _arrays.note_range(x)
        _arrays.note_one_class(self.model.output_shape)
        report, close = _text.progress("certify", len(x))
        try:
            native = self._native.certify(x, labels, meaning.native, report)
        finally:
            close()
        return Certified(native, None if labels is None else np.asarray(labels), meaning)

    def attack(self, x, y=None, *, eps, **options):
        """Searches for adversarial examples: see :func:`dahlquist.attack`."""
        return _attack.attack(self.model, x, y, eps=eps, **options)

    def falsify(self, seconds: float = 10.0, *, x=None, rounds: int | None = None, seed: int = 0):
        """Searches for inputs that refute the certificate: see :func:`dahlquist.falsify`."""
        return _attack.falsify(self, seconds, x=x, rounds=rounds, seed=seed)

    def _rows(self) -> list[list[str]]:
        rows = [["layer", "kind", "rule", "bound"]]
        rows += [[r["path"], r["kind"], r["rule"], _text.number(r["bound"])] for r in self.layers]
        for path, span, rule, bound in self._native.runs():
            rows.append([f"{path} and {span - 1} more", "together", rule, _text.number(bound)])
        return rows

    def _caption(self) -> str:
        proved = "proved" if self.is_proved else "NOT PROVED (a layer is only asserted)"
        return f"Lipschitz constant {_text.number(self.lipschitz)}, of the features {_text.number(self.features)}: {proved}"

    def __repr__(self) -> str:
        return _text.columns(self._rows()) + "\n" + self._caption()

    def _repr_html_(self) -> str:
        return _text.html_table(self._rows(), self._caption())


def _sealed_again(model, options: dict) -> Sealed:
    return model.seal(**options)


def common_norm(parts) -> str:
    """Returns the norm that results have in common.

    Raises
    ------
    ParameterError
        If there are two: their distances cannot be compared.
    """
    norms = {part.norm for part in parts if hasattr(part, "norm")}
    if len(norms) > 1:
        raise ParameterError("some results are in the Euclidean norm and some in the maximum norm: show them one by one")
    return "ℓ∞" if norms == {"linf"} else "ℓ2"


class Meaning:
    """What radii are about: the program or the real numbers, all inputs of a ball in a norm, or those in a range."""

    def __init__(
        self, semantics: str, local: bool, norm: str = "l2", range: tuple[float, float] | None = None, decide=None,
        quadratic: bool = False,
    ):
        self.semantics = _arrays.choice("semantics", semantics, ("executed", "exact"))
        self.norm = _arrays.choice("norm", norm, ("l2", "linf"))
        self.range = None if range is None else (float(range[0]), float(range[1]))
        if self.range is not None and not (np.isfinite(self.range).all() and self.range[0] <= self.range[1]):
            raise ParameterError(f"range = {self.range}: it goes from a finite number to a larger one")
        self.decide = None if decide is None else [float(eps) for eps in np.atleast_1d(decide)]
        self.local = local or quadratic or norm != "l2" or range is not None or decide is not None
        #: The same for the crate.
        self.native = (semantics == "executed", self.local, norm == "linf", self.range, self.decide, quadratic)

    def __str__(self) -> str:
        words = [f"{self.semantics} semantics", *["local"] * self.local, *["maximum norm"] * (self.norm == "linf")]
        words += [f"inputs in {list(self.range)}"] if self.range is not None else []
        return ", ".join(words)


class Certified:
    """Predictions and their proved radii: made by :meth:`Sealed.certify`.

    Attributes
    ----------
    prediction : ndarray of int64, shape ``(samples,)``
        The class of each sample. Where nothing is proved: -1 in exact semantics, in executed semantics what the program predicts,
        and -1 if a logit is NaN.
    radius : ndarray of float64, shape ``(samples,)``
        The prediction is the same for every input at a distance *below* this, in the units of ``x``; the distance is Euclidean
        if :attr:`norm` does not say otherwise, and the input in :attr:`range` if there is one. 0 where nothing is proved. Rounded down to single precision, as in certificates.
    label : ndarray of int64 or None
        The labels, if they were given.
    refusal : list of str or None
        Why a radius is 0: ``"tie"``, ``"overflow"`` or ``"unreadable"``.
    semantics : str
        ``"exact"`` or ``"executed"``.
    local : bool
        Whether the radii are local.
    norm : {"l2", "linf"}
        Their norm.
    range : (low, high) or None
        The range of the inputs that they are about.
    """

    def __init__(self, native, label, meaning: Meaning):
        self._native = native
        self.prediction: np.ndarray = native.predictions()
        self.radius: np.ndarray = native.radii()
        self.label: np.ndarray | None = label
        self.semantics, self.local, self.norm, self.range = meaning.semantics, meaning.local, meaning.norm, meaning.range
        self._meaning = meaning

    def __reduce__(self):
        raise TypeError("claims about samples are not pickled: save certificate(), or the arrays radius and prediction")

    @cached_property
    def refusal(self) -> list[str | None]:
        """Why a radius is 0."""
        return self._native.refusals()

    @property
    def correct(self) -> np.ndarray:
        """For each sample, whether its prediction is its label."""
        if self.label is None:
            raise ValueError("no labels were given, so it is not known what is correct: certify(x, y)")
        return self.prediction == self.label

    def accuracy(self, eps=0.0):
        """Returns the certified accuracy: the fraction of samples that keep their label at every distance up to `eps`.

        Parameters
        ----------
        eps : float or array
            Distances in the norm of the radii and the units of ``x``.

        Returns
        -------
        float or ndarray
            In [0, 1], of the shape of `eps`. At 0 it is below :attr:`clean_accuracy` by the samples that have no radius.
        """
        eps = np.asarray(eps, dtype=np.float64)
        radii = np.sort(self.radius[self.correct])
        held = (len(radii) - np.searchsorted(radii, eps, side="right")) / len(self.radius)
        return held if eps.ndim else float(held)

    @property
    def clean_accuracy(self) -> float:
        """The fraction of samples whose prediction is their label."""
        return float(self.correct.mean())

    def certificate(self, eps: Sequence[float] = EPS) -> Certificate:
        """Returns the certificate of the network with these predictions and radii.

        Parameters
        ----------
        eps : sequence of float
            Distances at which it claims accuracies, if there are labels.
        """
        return Certificate(self._native.certificate_json(_arrays.radii(eps).tolist()))

    def to_pandas(self):
        """Returns a pandas.DataFrame with one row for each sample."""
        import pandas

        columns = {"prediction": self.prediction, "radius": self.radius, "refusal": self.refusal}
        if self.label is not None:
            columns = {"label": self.label, **columns, "correct": self.correct}
        return pandas.DataFrame(columns)

    def __len__(self) -> int:
        return len(self.radius)

    def __repr__(self) -> str:
        refused = int(np.count_nonzero(self.radius == 0))
        text = f"{len(self)} samples, {self._meaning}, {refused} without a radius"
        if len(self):
            text += f", median radius {_text.number(float(np.median(self.radius)), lower=True)}"
        if self.label is None:
            return f"<Certified: {text}>"
        rows = [["clean", _text.percent(self.clean_accuracy)]]
        rows += [[f"certified at {eps:.4f}", _text.percent(self.accuracy(eps))] for eps in EPS]
        return f"<Certified: {text}\n{_text.columns(rows)}>"


class Certificate:
    """A certificate: claims about a network, and perhaps about samples, with their proofs.

    What a certificate says is a claim until :func:`dahlquist.check` has checked it.
    """

    def __init__(self, text: str):
        self._text = text

    @classmethod
    def load(cls, path: str | os.PathLike) -> Certificate:
        """Reads a certificate file. Nothing is checked."""
        return cls(Path(path).read_text(encoding="utf-8"))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the certificate file, whole or not at all."""
        _text.write(path, self._text.encode())

    def to_dict(self) -> dict:
        """Returns the whole certificate as it is written in the file."""
        return json.loads(self._text)

    def to_json(self) -> str:
        """Returns the text of the file."""
        return self._text

    @property
    def lipschitz(self) -> float:
        """The Lipschitz constant that is claimed."""
        return self.to_dict()["lipschitz"]

    def rows(self) -> list[dict]:
        """Returns every node of the proof: its ``path``, ``rule``, ``bound``, and what it rests on as ``evidence``."""
        found: list[dict] = []

        def visit(node: dict) -> None:
            found.append({
                "path": node["path"] or "network", "span": node.get("span", 1), "rule": node["rule"],
                **node["claims"], "evidence": _evidence(node.get("evidence")),
            })
            for premise in node.get("premises", []):
                visit(premise)

        visit(self.to_dict()["network"])
        return found

    def to_pandas(self):
        """Returns a pandas.DataFrame with one row for each node of the proof."""
        import pandas

        return pandas.DataFrame(self.rows())

    def _table(self) -> list[list[str]]:
        rows = [["path", "rule", "bound", "rests on"]]
        for row in self.rows():
            path = row["path"] + (f" and {row['span'] - 1} more" if row["span"] > 1 else "")
            rows.append([path, row["rule"], _text.number(row["bound"]), row["evidence"]])
        return rows

    def _caption(self) -> str:
        content = self.to_dict()
        text = f"claims by {content['program']} about the model {content['model'][:12]}…"
        samples = content.get("samples")
        return text + (f", and about {len(samples['radii'])} samples" if samples else "")

    def __repr__(self) -> str:
        return _text.columns(self._table()) + "\n" + self._caption()

    def _repr_html_(self) -> str:
        return _text.html_table(self._table(), self._caption())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


class Collected:
    """Claims about samples that were certified elsewhere, in pieces: what :class:`Certified` holds."""

    def __init__(self, sealed: Sealed, x: np.ndarray, labels, meaning: Meaning, pieces: list[tuple]):
        self._about, self._labels, self._meaning = sealed._native, labels, meaning.native
        self._predictions = np.concatenate([piece[0] for piece in pieces])
        self._radii = np.concatenate([piece[1] for piece in pieces])
        self._refusals = [reason for piece in pieces for reason in piece[2][0]]
        self._proofs = [proof for piece in pieces for proof in piece[2][1]]
        self._sha256 = sealed._native.samples_sha256(x, labels)

    def predictions(self) -> np.ndarray:
        """Returns the classes."""
        return self._predictions

    def radii(self) -> np.ndarray:
        """Returns the radii."""
        return self._radii

    def refusals(self) -> list[str | None]:
        """Returns why radii are 0."""
        return self._refusals

    def proofs(self) -> list[str]:
        """Returns what proves each local radius."""
        return self._proofs

    def certificate_json(self, eps: list[float]) -> str:
        """Returns the certificate file about the network and the samples."""
        claims = (self._predictions.tolist(), self._radii.tolist(), self._proofs, self._labels)
        return self._about.certificate_of(self._sha256, self._meaning, claims, eps)


def _evidence(evidence) -> str:
    if not evidence or evidence == "nothing":
        return ""
    (kind, value), = evidence.items() if isinstance(evidence, dict) else [("", evidence)]
    if kind == "norm":
        return value if isinstance(value, str) else next(iter(value))
    return kind

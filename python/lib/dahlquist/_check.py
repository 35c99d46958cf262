"""The checker of certificates."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from . import _arrays, _native, _text
from ._model import Model
from ._sealed import Certificate


class Finding(NamedTuple):
    """A claim, and what became of it.

    Attributes
    ----------
    part : str
        The part of the certificate.
    claim : str
        The claim in words.
    verdict : str
        ``"proved"`` from the weights, trusting nothing in the certificate; ``"recomputed"`` by the code that issues
        certificates, which is less; ``"asserted"``; ``"unchecked"``; ``"failed"``.
    reason : str or None
        Why, where it is not proved.
    """

    part: str
    claim: str
    verdict: str
    reason: str | None


class CheckReport:
    """Every claim of a certificate, and what became of it: made by :func:`check`."""

    def __init__(self, findings: list[Finding], lipschitz_only: bool):
        self.findings = findings
        self._counted = [f for f in findings if not (lipschitz_only and f.part == "samples" and f.verdict != "failed")]

    @property
    def verified(self) -> bool:
        """Whether every claim that was to be checked is proved or recomputed."""
        return all(f.verdict in ("proved", "recomputed") for f in self._counted)

    @property
    def failed(self) -> list[Finding]:
        """The claims that are false."""
        return [f for f in self.findings if f.verdict == "failed"]

    def __bool__(self) -> bool:
        return self.verified

    def _rows(self) -> list[list[str]]:
        rows = [["verdict", "part", "claim", ""]]
        return rows + [[f.verdict, f.part, f.claim, f.reason or ""] for f in self.findings]

    def _caption(self) -> str:
        if self.verified:
            return "VERIFIED"
        return "NOT VERIFIED: " + ("a claim is false" if self.failed else "not everything was checked")

    def __repr__(self) -> str:
        clean = lambda text: "".join(c if c.isprintable() else " " for c in text)  # noqa: E731
        return _text.columns([[clean(cell) for cell in row] for row in self._rows()]) + "\n" + self._caption()

    def _repr_html_(self) -> str:
        return _text.html_table(self._rows(), self._caption())


def check(certificate, model, x=None, y=None, *, lipschitz_only: bool = False) -> CheckReport:
    """Checks every claim of a certificate again.

    Claims about the network are proved from its weights. Predictions and radii are recomputed from the samples.

    Parameters
    ----------
    certificate : path, Certificate or dict
        What is claimed. It may be false, and is trusted in nothing.
    model : path or Model
        The model that it is about.
    x, y : array, optional
        The samples that it is about, and their labels if it claims accuracies: the same numbers in the same format.
    lipschitz_only : bool
        Leave out what is claimed about samples.

    Returns
    -------
    CheckReport
        True if everything that was to be checked holds.

    Raises
    ------
    FormatError
        For what is no certificate or no model.
    """
    model = model if isinstance(model, Model) else Model.load(model)
    if isinstance(certificate, Certificate):
        data = certificate.to_json().encode()
    elif isinstance(certificate, (str, os.PathLike)):
        data = Path(certificate).read_bytes()
    else:
        data = json.dumps(certificate).encode()
    labels, report, close = None, None, lambda: None
    if x is not None:
        if lipschitz_only:
            raise ValueError("lipschitz_only leaves samples out, and x gives some")
        x = _arrays.samples(x, model.input_shape)
        labels = _arrays.labels(y, len(x))
        report, close = _text.progress("check", len(x))
    try:
        rows = _native.check(data, model._native, x, labels, report)
    finally:
        close()
    return CheckReport([Finding(*row) for row in rows], lipschitz_only)

"""Neural networks with proved Lipschitz constants and certified radii.

>>> import numpy as np, dahlquist as dq
>>> model = dq.Model(2, [{"type": "dense", "weight": np.float32([[3, 0], [0, 1]])}])
>>> sealed = model.seal()
>>> r = sealed.certify(np.float32([[1, 1]]), [0], semantics="exact")
>>> float(r.radius[0])                # (3 - 1)/|(3, -1)|, rounded down
0.6324555277824402

All distances are in the Euclidean norm, in the units of the samples. What is proved is proved in Rust; what this package
adds is convenience, and none of it is trusted: :func:`check` proves the claims of a certificate again.
"""

from __future__ import annotations

from . import errors
from ._attack import Attacked, Falsification, attack, falsify
from ._check import CheckReport, Finding, check
from ._flow import Field, GradientField, ResidualField, costates, flow
from ._model import Model, kinds, load
from ._native import __version__
from ._sealed import Certificate, Certified, Sealed
from ._tableau import Tableau
from .errors import DahlquistError, ExportError, NotProvedError, UnsupportedError
from .importers import from_onnx, from_state_dict, from_torch

__all__ = [
    "Attacked",
    "Certificate",
    "Certified",
    "CheckReport",
    "DahlquistError",
    "ExportError",
    "Falsification",
    "Field",
    "Finding",
    "GradientField",
    "Model",
    "NotProvedError",
    "ResidualField",
    "Sealed",
    "Tableau",
    "UnsupportedError",
    "__version__",
    "attack",
    "check",
    "costates",
    "data",
    "errors",
    "falsify",
    "flow",
    "from_onnx",
    "from_state_dict",
    "from_torch",
    "kinds",
    "load",
    "plot",
    "table",
]


def __getattr__(name: str):
    # Drawing and tables are loaded when they are asked for: matplotlib takes longer than all the rest.
    import importlib

    if name in ("data", "plot", "torch"):
        return importlib.import_module(f"{__name__}.{name}")
    if name == "table":
        return importlib.import_module(f"{__name__}._table").table
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

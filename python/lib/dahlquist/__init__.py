"""Neural networks with proved Lipschitz constants and certified radii.

>>> import numpy as np, dahlquist as dq
>>> model = dq.Model(2, [{"type": "dense", "weight": np.float32([[3, 0], [0, 1]])}])
>>> sealed = model.seal()
>>> r = sealed.certify(np.float32([[1, 1]]), [0], semantics="exact")
>>> float(r.radius[0])                # (3 - 1)/|(3, -1)|, rounded down
0.6324555277824402

Distances are in the units of the samples, in the Euclidean norm unless ``norm`` says otherwise. What is proved is proved in
Rust; what this package adds is convenience, and none of it is trusted: :func:`check` proves the claims of a certificate again.
"""

from __future__ import annotations

from . import errors
from ._attack import Attacked, Falsification, attack, falsify
from ._check import CheckReport, Finding, check
from ._flow import Field, GradientField, ProjectedField, ResidualField, costates, flow
from ._imports import from_onnx, from_state_dict, from_torch
from ._model import Model, kinds, load
from ._native import __version__
from ._sealed import Certificate, Certified, Sealed
from ._tableau import Tableau
from .errors import DahlquistError, ExportError, NotProvedError, UnsupportedError

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
    "ProjectedField",
    "ResidualField",
    "Sealed",
    "Tableau",
    "UnsupportedError",
    "__version__",
    "attack",
    "certify_distributed",
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
    "vnnlib",
]


#: What is loaded when it is asked for, and where it is.
_LAZY = {
    "certify_distributed": ("dask", "certify"),
    "table": ("_table", "table"),
    "vnnlib": ("_vnnlib", "vnnlib"),
}


def __getattr__(name: str):
    # Drawing and tables are loaded when they are asked for: matplotlib takes longer than all the rest.
    import importlib

    if name in ("dask", "data", "plot", "torch"):
        return importlib.import_module(f"{__name__}.{name}")
    if name in _LAZY:
        module, attribute = _LAZY[name]
        return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, "dask", "data", "plot", "torch"})

"""What the crate refuses, as exceptions, each with its sentence.

A refusal is an answer: what cannot be proved, read or computed is named, with its reason.
"""

from __future__ import annotations

__all__ = [
    "ArithmeticEnvironmentError",
    "DahlquistError",
    "ExportError",
    "FieldError",
    "FormatError",
    "NotCircleContractiveError",
    "NotFiniteError",
    "NotProvedError",
    "ParameterError",
    "ShapeError",
    "StepTooLongError",
    "TableauError",
    "UnsupportedError",
]


class DahlquistError(Exception):
    """Something was refused.

    Attributes
    ----------
    layer : str or None
        The path of the layer that is meant, such as ``"3.1.0"``.
    """

    layer: str | None = None


class ShapeError(DahlquistError, ValueError):
    """Shapes or lengths that must agree do not."""


class NotFiniteError(DahlquistError, ValueError):
    """A NaN or an infinity where only finite numbers make sense."""


class ParameterError(DahlquistError, ValueError):
    """A parameter outside the range in which it has a meaning."""


class NotProvedError(DahlquistError):
    """A bound that could not be proved."""


class StepTooLongError(DahlquistError, ValueError):
    """A time step longer than its rule allows."""


class NotCircleContractiveError(DahlquistError, ValueError):
    """A Runge-Kutta method without a positive radius of circle contractivity."""


class TableauError(DahlquistError, ValueError):
    """Coefficients that are not those of a Runge-Kutta method of the order claimed."""


class FieldError(DahlquistError, ValueError):
    """A vector field without the structure that a rule needs."""


class ArithmeticEnvironmentError(DahlquistError, RuntimeError):
    """A thread of this machine does not round as proofs assume."""


class FormatError(DahlquistError, ValueError):
    """A file, or the bytes of one, that is not what it should be."""


class UnsupportedError(DahlquistError, ValueError):
    """A network that holds what an importer cannot take.

    Attributes
    ----------
    problems : list of (str, str)
        Everything that it cannot take: the path in the network, and what is there.
    """

    def __init__(self, what: str, problems: list[tuple[str, str]]):
        self.problems = problems
        lines = "".join(f"\n  {path or 'the network'}: {reason}" for path, reason in problems)
        super().__init__(f"{what} cannot be imported:{lines}")


class ExportError(DahlquistError):
    """An imported model and the network that it came from compute different logits."""

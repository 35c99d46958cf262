"""Runge-Kutta methods in exact arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import _native


class Tableau:
    """A Runge-Kutta method with exact coefficients, and what they prove.

    Parameters
    ----------
    name : str
        The name of a method, one of :meth:`names`, or ``"ssprk<s>2"`` with ``s`` stages.

    Examples
    --------
    >>> rk4 = Tableau("rk4")            # or Tableau.rk4()
    >>> rk4.stages, rk4.order, rk4.circle_radius
    (4, 4, 1.0)
    >>> Tableau.midpoint().circle_radius
    Traceback (most recent call last):
        ...
    dahlquist.errors.NotCircleContractiveError: the method midpoint is not circle contractive: its weight b_1 = 0 is not positive

    Notes
    -----
    ``"rk4"`` is the classical method of Runge and Kutta. The ``rk4`` of torchdiffeq is the 3/8 rule, here
    ``"three_eighths"``, whose radius is ``2 sqrt(3) - 3 = 0.464...``: half as long a step is proved to be stable.
    """

    def __init__(self, name: str, *, _native_tableau=None):
        self._native = _native_tableau or _native.Tableau.named(name)

    @classmethod
    def from_coefficients(cls, a: Sequence[Sequence], b: Sequence) -> Tableau:
        """Returns the method with these coefficients.

        Parameters
        ----------
        a : sequence of sequences of int, str or fractions.Fraction
            The rows of the matrix; what a row is short of is zero. Strings are fractions such as ``"1/2"``.
        b : sequence of int, str or fractions.Fraction
            The weights, whose sum is 1.

        Examples
        --------
        >>> Tableau.from_coefficients([[], ["1/2"]], [0, 1]).order
        1
        """
        row = lambda values: [_fraction(x) for x in values]  # noqa: E731
        return cls("", _native_tableau=_native.Tableau.of([row(r) for r in a], row(b)))

    @staticmethod
    def names() -> list[str]:
        """Returns the names of all methods but those of the family ``ssprk<s>2``."""
        return _native.Tableau.names()

    @property
    def name(self) -> str:
        """The name, as in files."""
        return self._native.name

    @property
    def stages(self) -> int:
        """The number of stages."""
        return self._native.stages

    @property
    def order(self) -> int:
        """The order that is declared and proved."""
        return self._native.order

    @property
    def is_explicit(self) -> bool:
        """Whether each stage needs only the stages before it."""
        return self._native.is_explicit

    @property
    def a(self) -> np.ndarray:
        """The matrix, rounded to nearest; shape ``(stages, stages)``."""
        return self._native.a

    @property
    def b(self) -> np.ndarray:
        """The weights, rounded to nearest; shape ``(stages,)``."""
        return self._native.b

    @property
    def c(self) -> np.ndarray:
        """The nodes, rounded to nearest; shape ``(stages,)``."""
        return self._native.c

    @property
    def exact(self) -> tuple[list[list[str]], list[str], list[str]]:
        """The matrix, the weights and the nodes as exact numbers, in writing."""
        return self._native.exact()

    @property
    def circle_radius(self) -> float:
        """The radius ``r`` of circle contractivity, rounded down; ``inf`` for some implicit methods.

        A field with ``<df, dx> <= -nu |df|^2`` is integrated without expansion by every step ``0 <= h <= 2 r nu``.

        Raises
        ------
        NotCircleContractiveError
            If a weight is not positive.
        """
        return self._native.circle_radius

    @property
    def ssp_coefficient(self) -> float | None:
        """The largest known ``r`` for which the method is a combination of Euler steps of length ``h/r``, if there is one."""
        return self._native.ssp_coefficient

    def __repr__(self) -> str:
        return f"Tableau({self.name!r}, stages={self.stages}, order={self.order})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tableau) and (self.name, self.exact) == (other.name, other.exact)

    def __hash__(self) -> int:
        return hash(self.name)


def _fraction(x) -> str:
    return str(x) if isinstance(x, (int, str)) or hasattr(x, "numerator") else _refuse(x)


def _refuse(x):
    raise TypeError(f"{x!r} is no exact number: give an int, a fractions.Fraction or a text such as '1/2'")


def _named(name: str):
    def method(cls):
        return cls(name)

    method.__doc__ = f"Returns the method ``{name}``."
    method.__name__ = name
    return classmethod(method)


for _name in _native.Tableau.names():
    setattr(Tableau, _name, _named(_name))

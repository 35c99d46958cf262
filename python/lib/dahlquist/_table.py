"""Tables of accuracies, for papers."""

from __future__ import annotations

import numpy as np

from . import _text
from ._attack import Attacked
from ._sealed import EPS, Certified, common_norm


def table(*, eps=EPS, **results) -> Table:
    """Returns a table of accuracies: one row for each network, one column for each distance.

    Parameters
    ----------
    eps : float or sequence of float
        Distances, in the norm of the results.
    **results
        For each network, what :meth:`Sealed.certify` returned, what :func:`attack` returned, or both as a pair.

    Examples
    --------
    >>> import numpy as np, dahlquist as dq
    >>> sealed = dq.Model(2, [{"type": "dense", "weight": np.eye(2, dtype=np.float32)}]).seal()
    >>> r = sealed.certify(np.float32([[1, 0.5], [0, 1]]), [0, 1], semantics="exact")
    >>> print(dq.table(eps=[0.25, 0.5], identity=r).to_markdown())
    |  | clean | certified 0.25 | certified 0.5 |
    |---|---:|---:|---:|
    | identity | 100.00 | 100.00 | 50.00 |
    """
    return Table(np.atleast_1d(np.asarray(eps, dtype=np.float64)), results)


class Table:
    """A table of accuracies, in percent: made by :func:`dahlquist.table`."""

    def __init__(self, eps: np.ndarray, results: dict):
        self.eps = eps
        self.results = {name: value if isinstance(value, tuple) else (value,) for name, value in results.items()}
        kinds = [type(part) for parts in self.results.values() for part in parts]
        self._kinds = [kind for kind in (Certified, Attacked) if kind in kinds]
        if not self._kinds or not set(kinds) <= {Certified, Attacked}:
            raise TypeError("a table is made of what certify and attack return")
        common_norm(part for parts in self.results.values() for part in parts)

    def rows(self) -> list[list[float | str | None]]:
        """Returns for each network its name, the clean accuracy, and the accuracies, as fractions; None where unknown."""
        rows: list[list[float | str | None]] = []
        for name, parts in self.results.items():
            row: list[float | str | None] = [name, parts[0].clean_accuracy]
            for kind in self._kinds:
                part = next((part for part in parts if isinstance(part, kind)), None)
                for e in self.eps:
                    known = part is not None and not (isinstance(part, Attacked) and e > part.eps[-1])
                    row.append(part.accuracy(float(e)) if known else None)
            rows.append(row)
        return rows

    def _cells(self) -> list[list[str]]:
        words = {Certified: "certified", Attacked: "PGD"}
        head = ["", "clean", *(f"{words[kind]} {_eps(e)}" for kind in self._kinds for e in self.eps)]
        cell = lambda x: x if isinstance(x, str) else "" if x is None else f"{100 * x:.2f}"  # noqa: E731
        return [head, *([cell(x) for x in row] for row in self.rows())]

    def to_markdown(self) -> str:
        """Returns the table in Markdown."""
        head, *rows = self._cells()
        rule = "|".join(["---", *["---:"] * (len(head) - 1)])
        return "\n".join([_line(head), f"|{rule}|", *map(_line, rows)])

    def to_latex(self) -> str:
        """Returns the table in LaTeX, with the rules of the package booktabs."""
        head, *rows = self._cells()
        escape = lambda text: text.replace("\\", r"\textbackslash ").translate(_LATEX)  # noqa: E731
        line = lambda cells: " & ".join(map(escape, cells)) + r" \\"  # noqa: E731
        body = "\n".join(line(row) for row in rows)
        columns = "l" + "r" * (len(head) - 1)
        return (
            f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{line(head)}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
        )

    def to_pandas(self):
        """Returns a pandas.DataFrame of fractions, one row for each network."""
        import pandas

        head, *_ = self._cells()
        rows = self.rows()
        return pandas.DataFrame([row[1:] for row in rows], index=[row[0] for row in rows], columns=head[1:])

    def __repr__(self) -> str:
        return _text.columns(self._cells())

    def _repr_html_(self) -> str:
        return _text.html_table(self._cells(), "accuracies in percent")


_LATEX = str.maketrans({c: f"\\{c}" for c in "&%$#_{}"})


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _eps(e: float) -> str:
    """Returns a distance, as a number of steps of a pixel where it is one."""
    steps = e * 255
    whole = abs(steps - round(steps)) < 1e-9 and round(steps) > 0 and e not in (1.0,)
    return f"{round(steps)}/255" if whole else f"{e:g}"

"""Figures of what is certified.

:func:`slider` and :func:`steps` return drawings that answer, for notebooks and pages. All others need matplotlib: they draw into
axes, make them if there are none, and return the figure.
"""

from __future__ import annotations

import numpy as np

from ._interactive._slider import slider
from ._interactive._steps import steps
from ._parts import farthest, pieces
from ._sealed import Certified, Sealed, common_norm
from ._tableau import Tableau

__all__ = ["circles", "curves", "layers", "radii", "slider", "steps", "trajectories"]

#: Colours that are told apart in print and by the colour-blind (Okabe, Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLE = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
    "legend.frameon": False, "svg.fonttype": "none", "pdf.fonttype": 42,
}


def _axes(ax, size):
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("dahlquist.plot needs matplotlib: pip install dahlquist[plot]") from error
    if ax is not None:
        return ax.figure, ax
    with plt.rc_context(_STYLE):
        return plt.subplots(figsize=size, layout="constrained")


def curves(*, eps_max: float | None = None, ax=None, **results):
    """Draws accuracies against the distance: certified ones as lines, those under attack dashed.

    Parameters
    ----------
    eps_max : float, optional
        The end of the axis; by default what the data need.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    **results
        For each network, what ``certify`` returned, what ``attack`` returned, or both as a pair. Labels are needed.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, ax = _axes(ax, (5, 3.2))
    parts = pieces(results)
    norm = common_norm(part for _, part in parts)
    eps_max = farthest(part for _, part in parts) if eps_max is None else eps_max
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(results)}
    for name, part in parts:
        colour = colours[name]
        if isinstance(part, Certified):
            steps = np.unique(np.concatenate([[0.0], part.radius[part.correct & (part.radius < eps_max)], [eps_max]]))
            ax.step(steps, 100 * part.accuracy(steps), where="post", color=colour, label=f"{name}: certified")
        else:
            eps = np.concatenate([[0.0], part.eps])
            accuracy = np.concatenate([[part.clean_accuracy], part.accuracy()])
            ax.plot(eps, 100 * accuracy, "--o", ms=3, color=colour, label=f"{name}: under attack")
    if eps_max >= 36 / 255:
        ax.axvline(36 / 255, color="0.5", lw=0.8, ls=":", zorder=0)
        ax.annotate("36/255", (36 / 255, 1), xycoords=("data", "axes fraction"), xytext=(3, -9),
                    textcoords="offset points", color="0.4", fontsize=8)
    ax.set(xlim=(0, eps_max), ylim=(0, 100), xlabel=f"distance ε ({norm})", ylabel="accuracy (%)")
    ax.legend()
    return figure


def radii(*, bins: int = 40, ax=None, **results):
    """Draws how many samples have which certified radius.

    Parameters
    ----------
    bins : int
        The number of bars.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    **results
        For each network, what ``certify`` returned, or a pair that begins with it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, ax = _axes(ax, (5, 3.2))
    results = {name: value[0] if isinstance(value, tuple) else value for name, value in results.items()}
    norm = common_norm(results.values())
    largest = max((float(r.radius.max(initial=0.0)) for r in results.values()), default=1.0) or 1.0
    for i, (name, r) in enumerate(results.items()):
        edges = np.linspace(0, largest, bins + 1)
        ax.hist(r.radius, bins=edges, histtype="step", lw=1.5, color=COLOURS[i % len(COLOURS)], label=name)
    ax.set(xlabel=f"certified radius ({norm})", ylabel="samples", xlim=(0, largest))
    ax.legend()
    return figure


def layers(sealed: Sealed, found=None, *, ax=None):
    """Draws the proved Lipschitz constant of each layer.

    Parameters
    ----------
    sealed : Sealed
        The network.
    found : Falsification, optional
        What a search found, to see how tight the bounds are at least.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = sealed.layers
    figure, ax = _axes(ax, (5, 0.6 + 0.22 * len(rows)))
    names = [f"{row['path']} {row['kind']}" for row in rows]
    ax.barh(names, [row["bound"] for row in rows], color=COLOURS[0], height=0.7, label="proved")
    if found is not None:
        lower = [part["bound"] / part["looseness"] if part["looseness"] else np.nan for part in found.layers]
        ax.plot(lower, names, "|", color=COLOURS[1], ms=9, mew=2, label="found")
        ax.legend()
    ax.axvline(1, color="0.5", lw=0.8, ls=":")
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="Lipschitz constant (ℓ2)")
    return figure


def trajectories(x, *, ax=None):
    """Draws trajectories in the plane.

    Parameters
    ----------
    x : ndarray of shape ``(steps + 1, points, 2)``
        The states that :func:`dahlquist.flow` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.figure.Figure
    """
    x = np.asarray(x)
    x = x[:, None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[2] != 2:
        raise ValueError(f"states in the plane have the shape (steps + 1, points, 2), not {x.shape}")
    figure, ax = _axes(ax, (4, 4))
    for i in range(x.shape[1]):
        (line,) = ax.plot(x[:, i, 0], x[:, i, 1], "-", lw=1, color=COLOURS[i % len(COLOURS)])
        ax.plot(*x[0, i], "o", ms=4, color=line.get_color())
    ax.set(xlabel="x₁", ylabel="x₂", aspect="equal")
    return figure


def circles(*methods, ax=None):
    """Draws for each method the circle of its contractivity, and dashed where its stability function has the absolute value 1.

    A field with ``<df, dx> <= -nu |df|^2`` is integrated without expansion while the circle of radius ``h/(2 nu)`` through 0 lies in the
    method's own.

    Parameters
    ----------
    *methods : str or Tableau
        The methods. One without a radius has no circle, one with an infinite radius the whole half-plane.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from .errors import NotCircleContractiveError

    figure, ax = _axes(ax, (6, 4))
    tableaux = [method if isinstance(method, Tableau) else Tableau(method) for method in methods]
    x, y = np.meshgrid(np.linspace(-6, 1, 281), np.linspace(-4, 4, 321))
    turn = np.linspace(0, 2 * np.pi, 200)
    for i, tableau in enumerate(tableaux):
        colour = COLOURS[i % len(COLOURS)]
        try:
            radius = tableau.circle_radius
            label = f"{tableau.name}: r = {radius:.4g}"
        except NotCircleContractiveError:
            radius, label = 0.0, f"{tableau.name}: none"
        if np.isinf(radius):
            ax.plot([0, 0], [-4, 4], color=colour, label=label)
        else:
            ax.plot(radius * (np.cos(turn) - 1), radius * np.sin(turn), color=colour, label=label)
        ax.contour(x, y, np.abs(_stability(tableau, x + 1j * y)), levels=[1], colors=[colour], linestyles="--", linewidths=0.8)
    ax.axvline(0, color="0.5", lw=0.8, zorder=0)
    ax.set(xlim=(-6, 1), ylim=(-4, 4), xlabel="real part", ylabel="imaginary part", aspect="equal")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def _stability(tableau: Tableau, z: np.ndarray) -> np.ndarray:
    """Returns ``R(z) = 1 + z b'(I - zA)^-1 1``."""
    with np.errstate(all="ignore"):
        matrix = np.eye(tableau.stages) - z[..., None, None] * tableau.a
        inner = np.linalg.solve(matrix, np.ones((*z.shape, tableau.stages, 1)))[..., 0]
        return 1 + z * (inner @ tableau.b)

"""Trajectories in the plane, as the step length moves."""

from __future__ import annotations

import html

import numpy as np

from .. import _arrays
from .._flow import Field, flow
from ..errors import DahlquistError
from . import ID, Interactive, control
from ._svg import Frame


def steps(field: Field, x0, h, *, method="euler", time: float | None = None, extent: float | None = None) -> Interactive:
    """Draws trajectories of a field in the plane, the distance of the first two, and a slider for the step length.

    For each step length it says what is proved of one step: by how much it may expand the distance of two points.

    Parameters
    ----------
    field : Field
        The right-hand side, in the plane.
    x0 : array of shape ``(points, 2)``
        Where trajectories start: two at least. The first two are drawn thicker.
    h : array
        The step lengths, in ascending order.
    method : str, Tableau or dict
        The method: see :func:`dahlquist.flow`.
    time : float, optional
        Trajectories go on until then; by default, 20 of the longest steps.
    extent : float, optional
        The plane is drawn from minus to plus this; by default what the starts need.

    Returns
    -------
    Interactive
        Notebooks show it; ``save`` writes it as a page.
    """
    x0 = _arrays.to_numpy(x0).astype(np.float64)
    lengths = np.asarray(h, dtype=np.float64)
    if x0.ndim != 2 or x0.shape[1] != 2 or len(x0) < 2:
        raise ValueError(f"two or more starts in the plane have the shape (points, 2), not {x0.shape}")
    if lengths.ndim != 1 or not len(lengths) or not (np.diff(lengths) > 0).all() or lengths[0] <= 0:
        raise ValueError("h: positive step lengths in ascending order")
    time = 20 * lengths[-1] if time is None else float(time)
    extent = 1.25 * float(np.abs(x0).max()) if extent is None else float(extent)
    # As wide as high between its axes.
    plane = Frame((360, 352), (-extent, extent), (-extent, extent), "x₁", "x₂")
    apart = float(np.linalg.norm(x0[0] - x0[1]))
    right = Frame((360, 352), (0, time), (0, 1.6 * apart), "time", "distance of the thick trajectories")
    states = [_state(field, x0, length, method, time, plane, right) for length in lengths]
    proved = [i for i, state in enumerate(states) if state["stable"]]
    # It begins with the longest step that is proved.
    start = proved[-1] if proved else 0
    texts = [f"h = {length:.4g}" for length in lengths]
    drawn = _arrows(field, plane, extent)
    for i, line in enumerate(states[start]["paths"]):
        drawn += f'<polyline class="dq-path{" dq-pair" if i < 2 else ""}" points="{line}"/>'
    drawn += "".join(f'<circle class="dq-k5" cx="{plane.x(p[0]):.1f}" cy="{plane.y(p[1]):.1f}" r="3"/>' for p in x0)
    distance = f'<polyline class="dq-distance" points="{states[start]["distance"]}"/>'
    name = method if isinstance(method, str) else getattr(method, "name", "own")
    title = f"Trajectories by the method {name}, and their distance"
    body = control("step length h", len(lengths), start, texts[start]) + '<div class="dq-drawings">'
    body += plane.svg(html.escape(title), drawn, f"{ID}-plane") + right.svg("Distance of two trajectories", distance, f"{ID}-time")
    words = {"bound": "a step multiplies distances by", "growth": "distances of these trajectories were multiplied by"}
    rows = "".join(f'<tr><td>{words[k]}</td><td class="dq-{k}">{states[start][k]}</td></tr>' for k in words)
    body += f'</div><table><tbody>{rows}</tbody></table><p class="dq-verdict" role="status">{states[start]["verdict"]}</p>'
    return Interactive(title, body, {"texts": texts, "states": states}, "steps.js")


def _state(field: Field, x0, length: float, method, time: float, plane: Frame, right: Frame) -> dict:
    """Returns what is drawn and said for one step length."""
    count = max(1, int(time / length + 1e-9))
    t, x = flow(field, x0, method=method, h=length, steps=count)
    with np.errstate(all="ignore"):
        distances = np.linalg.norm(x[:, :, None] - x[:, None], axis=-1)
        # A quotient of distances near 0 is about rounding.
        before = np.where(distances[:-1] > 1e-6 * distances[0].max(), distances[:-1], np.nan)
        growth = float(np.nanmax(distances[1:] / before))
    try:
        bound, reason = field.model(method=method, h=length).seal().lipschitz, None
    except DahlquistError as refusal:
        bound, reason = None, str(refusal)
    stable = bound is not None and bound <= 1
    return {
        "paths": [plane.points(x[:, i, 0], x[:, i, 1]) for i in range(len(x0))],
        "distance": right.points(t, distances[:, 0, 1]),
        "stable": stable, "growth": f"{growth:.6f} at most (seen)",
        "bound": "–" if bound is None else f"{bound:.6f} at most (proved)",
        "verdict": "Proved: no two points move apart." if stable else reason or "Not proved: points may move apart.",
    }


def _arrows(field: Field, plane: Frame, extent: float, count: int = 13) -> str:
    """Returns the field as arrows, the longest as long as their spacing."""
    axis = np.linspace(-extent, extent, count + 2)[1:-1]
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    # A step of Euler's method of length 1 is the field.
    _, x = flow(field, points, method="euler", h=1.0, steps=1)
    arrows = x[1] - x[0]
    arrows = arrows / max(np.linalg.norm(arrows, axis=1).max(), 1e-300) * (axis[1] - axis[0])
    lines = []
    for (px, py), (ax, ay) in zip(points, arrows):
        x1, y1, x2, y2 = plane.x(px), plane.y(py), plane.x(px + ax), plane.y(py + ay)
        back, side = 0.7, 0.2
        tips = [(x1 + back * (x2 - x1) - s * side * (y2 - y1), y1 + back * (y2 - y1) + s * side * (x2 - x1)) for s in (1, -1)]
        lines.append(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" + "".join(f"M{x2:.1f} {y2:.1f}L{u:.1f} {v:.1f}" for u, v in tips))
    return f'<path class="dq-arrow" d="{"".join(lines)}"/>'

"""A little SVG: axes with ticks, and lines in the units of the data."""

from __future__ import annotations

import numpy as np


class Frame:
    """A rectangle with axes: `x` and `y` map numbers to its pixels.

    Parameters
    ----------
    size : (width, height)
        Of the whole drawing.
    x_range, y_range : (low, high)
        What the axes show.
    x_label, y_label : str
        Their names.
    """

    #: Space for ticks and names: left, right, top, bottom.
    MARGIN = (46, 14, 12, 40)

    def __init__(self, size, x_range, y_range, x_label: str, y_label: str):
        self.size, self.x_range, self.y_range, self.labels = size, x_range, y_range, (x_label, y_label)

    def x(self, value):
        """Returns where a number is on the horizontal axis."""
        left, right, _, _ = self.MARGIN
        low, high = self.x_range
        return left + (np.asarray(value) - low) / (high - low) * (self.size[0] - left - right)

    def y(self, value):
        """Returns where a number is on the vertical axis."""
        _, _, top, bottom = self.MARGIN
        low, high = self.y_range
        return self.size[1] - bottom - (np.asarray(value) - low) / (high - low) * (self.size[1] - top - bottom)

    def points(self, x, y) -> str:
        """Returns a line for the attribute `points`: up to the first number that is none, and not far outside."""
        x, y = self.x(x), self.y(y)
        far = 20 * max(self.size)
        inside = np.isfinite(x) & np.isfinite(y) & (np.abs(x) < far) & (np.abs(y) < far)
        end = len(x) if inside.all() else int(np.argmin(inside))
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x[:end], y[:end]))

    def _axes(self) -> str:
        (left, right, top, bottom), (width, height) = self.MARGIN, self.size
        parts = []
        for tick in ticks(*self.x_range):
            at = f"{self.x(tick):.1f}"
            parts.append(f'<path class="dq-grid" d="M{at} {top}V{height - bottom}"/>')
            parts.append(f'<text x="{at}" y="{height - bottom + 16}" text-anchor="middle">{tick:g}</text>')
        for tick in ticks(*self.y_range):
            at = f"{self.y(tick):.1f}"
            parts.append(f'<path class="dq-grid" d="M{left} {at}H{width - right}"/>')
            parts.append(f'<text x="{left - 6}" y="{at}" dy="0.35em" text-anchor="end">{tick:g}</text>')
        parts.append(f'<path class="dq-axis" d="M{left} {top}V{height - bottom}H{width - right}"/>')
        middle = (top + height - bottom) / 2
        parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 6}" text-anchor="middle">{self.labels[0]}</text>')
        parts.append(f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{self.labels[1]}</text>')
        return "".join(parts)

    def svg(self, title: str, content: str, clip: str) -> str:
        """Returns the drawing: axes, and what is drawn between them, cut off at their ends."""
        (left, right, top, bottom), (width, height) = self.MARGIN, self.size
        box = f'x="{left}" y="{top}" width="{width - left - right}" height="{height - top - bottom}"'
        return (
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
            f'<clipPath id="{clip}"><rect {box}/></clipPath>{self._axes()}<g clip-path="url(#{clip})">{content}</g></svg>'
        )


def ticks(low: float, high: float) -> list[float]:
    """Returns about five round numbers between two others."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    first = np.ceil(low / step - 1e-9)
    # No minus before 0.
    return [float(np.round(step * k, 12)) + 0.0 for k in np.arange(first, np.floor(high / step + 1e-9) + 1)]

"""Accuracies and images, as the distance moves."""

from __future__ import annotations

import base64
import html
import struct
import zlib

import numpy as np

from .. import _arrays
from .._attack import Attacked
from .._parts import farthest, pieces
from .._sealed import Certified, common_norm
from . import ID, Interactive, control
from ._svg import Frame

#: What the states of an image mean.
WORDS = {
    "certified": "proved to keep its class up to this distance",
    "unknown": "nothing is proved at this distance, and no attack succeeded",
    "broken": "misclassified at this distance, or by itself",
}


def slider(x, *, eps_max: float | None = None, images: int = 10, steps: int = 100, shape=None, **results) -> Interactive:
    """Draws certified accuracies and images, and a slider for the distance ε.

    Each image is marked: proved to keep its class, not proved, or misclassified. With an attack that kept its inputs
    (``keep_inputs=True``), an image that it broke changes into the one that it found.

    Parameters
    ----------
    x : array of shape ``(samples, channels, height, width)`` or ``(samples, features)``
        The samples that were certified, in [0, 1] or bytes; flat ones are squares of one channel, if `shape` says nothing else.
    eps_max : float, optional
        The end of the slider; by default what the data need.
    images : int
        How many samples are drawn, from the first one on.
    steps : int
        How many steps the slider has; it has one position more.
    shape : (channels, height, width), optional
        The shape of an image.
    **results
        For each network what ``certify`` returned, or a pair of that and what ``attack`` returned. Labels are needed.

    Returns
    -------
    Interactive
        Notebooks show it; ``save`` writes it as a page.
    """
    parts = [part for _, part in pieces(results)]
    norm = common_norm(parts)
    networks = []
    for name, value in results.items():
        own = value if isinstance(value, tuple) else (value,)
        proved = next((part for part in own if isinstance(part, Certified)), None)
        if proved is None:
            raise TypeError(f"{name}: what certify returned is needed")
        networks.append((name, proved, next((part for part in own if isinstance(part, Attacked)), None)))
    pictures = _pictures(x, shape)
    if any(len(proved) != len(pictures) for _, proved, _ in networks):
        raise ValueError("the samples are not those that were certified: their numbers differ")
    eps = np.linspace(0, farthest(parts) if eps_max is None else float(eps_max), int(steps) + 1)
    frame = Frame((720, 260), (0, eps[-1]), (0, 100), f"distance ε ({norm})", "accuracy (%)")
    start = int(steps) // 4
    count = min(int(images), len(pictures))
    data = {
        "eps": eps.tolist(), "x": _rounded(frame.x(eps)), "texts": [f"ε = {e:.3f}" for e in eps], "words": WORDS,
        "pngs": [_png(picture) for picture in pictures[:count]], "labels": networks[0][1].label[:count].tolist(),
        "networks": [_network(proved, attacked, eps, frame, count, pictures.shape[1:]) for _, proved, attacked in networks],
    }
    # Rendered as the script renders it, for places that run no script.
    drawn = "".join(_curves(i, proved, attacked, eps, frame) for i, (_, proved, attacked) in enumerate(networks))
    top, bottom = frame.y(100), frame.y(0)
    drawn += f'<g class="dq-cursor" transform="translate({frame.x(eps[start]):.1f} 0)"><line y1="{top:.1f}" y2="{bottom:.1f}"/></g>'
    for i, network in enumerate(data["networks"]):
        at = f'cx="{frame.x(eps[start]):.1f}" cy="{network["y"][start]}"'
        drawn += f'<circle class="dq-k{i % 6}" data-network="{i}" {at} r="5"/>'
    names = [name for name, _, _ in networks]
    title = f"Certified accuracy against the distance: {', '.join(names)}"
    body = control(f"distance ε ({norm})", len(eps), start, data["texts"][start])
    body += f'<div class="dq-drawings">{frame.svg(html.escape(title), drawn, f"{ID}-clip")}</div>'
    body += _table(names, data, start) + "".join(_row(i, name, data, start) for i, name in enumerate(names))
    body += '<p class="dq-note">✓ proved to keep its class · ? not proved, and no attack succeeded · ✗ misclassified; solid lines are '
    body += "certified, dashed ones under attack</p>"
    return Interactive(title, body, data, "slider.js")


def _network(proved: Certified, attacked: Attacked | None, eps, frame: Frame, count: int, shape) -> dict:
    certified = proved.accuracy(eps)
    known = np.zeros(len(eps), bool) if attacked is None else eps <= attacked.eps[-1]
    under = [float(attacked.accuracy(float(e))) if k else None for e, k in zip(eps, known)]
    found = None if attacked is None or attacked.inputs is None else _pictures(attacked.inputs[:count], shape)
    images = []
    for k in range(count):
        distance = float("inf") if attacked is None else float(attacked.distance[k])
        if not proved.correct[k]:
            distance = 0.0
        image = {
            "radius": float(proved.radius[k]) if proved.correct[k] else 0.0, "prediction": int(proved.prediction[k]),
            "distance": distance if np.isfinite(distance) else None, "found": int(proved.prediction[k]), "found_png": None,
        }
        if attacked is not None and 0 < distance < np.inf:
            image["found"] = int(attacked.prediction[k])
            image["found_png"] = None if found is None else _png(found[k])
        images.append(image)
    return {"certified": certified.tolist(), "attacked": under, "y": _rounded(frame.y(100 * certified)), "images": images}


def _curves(i: int, proved: Certified, attacked: Attacked | None, eps, frame: Frame) -> str:
    drawn = _steps(frame, proved.radius[proved.correct], proved.accuracy, eps[-1], f"dq-curve dq-k{i % 6}")
    if attacked is not None:
        broken = attacked.distance[attacked.distance > 0]
        drawn += _steps(frame, broken, attacked.accuracy, min(eps[-1], attacked.eps[-1]), f"dq-curve dq-dashed dq-k{i % 6}")
    return drawn


def _steps(frame: Frame, jumps, accuracy, end: float, style: str) -> str:
    """Returns an accuracy as a line, with a step at each of its jumps up to an end."""
    at = np.unique(np.concatenate([[0.0], jumps[jumps < end], [end]]))
    height = 100 * accuracy(at)
    return f'<polyline class="{style}" points="{frame.points(np.repeat(at, 2)[1:], np.repeat(height, 2)[:-1])}"/>'


def _state(image: dict, eps: float) -> str:
    if image["radius"] > eps:
        return "certified"
    return "broken" if image["distance"] is not None and image["distance"] <= eps else "unknown"


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f} %"


def _table(names: list[str], data: dict, start: int) -> str:
    rows = "".join(
        f'<tr data-network="{i}"><td><span class="dq-key" style="border-color:var(--c{i % 6})"></span>{html.escape(name)}</td>'
        f'<td class="dq-certified">{_percent(data["networks"][i]["certified"][start])}</td>'
        f'<td class="dq-attacked">{_percent(data["networks"][i]["attacked"][start])}</td></tr>'
        for i, name in enumerate(names)
    )
    head = "<tr><th>network</th><th>certified</th><th>under attack</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _row(i: int, name: str, data: dict, start: int) -> str:
    eps, cells = data["eps"][start], []
    for k, image in enumerate(data["networks"][i]["images"]):
        state = _state(image, eps)
        broken = state == "broken"
        png = image["found_png"] if broken and image["found_png"] else data["pngs"][k]
        mark = {"certified": "✓", "unknown": "?", "broken": "✗"}[state]
        cells.append(
            f'<span class="dq-image" data-state="{state}" title="{WORDS[state]}"><img src="{png}" '
            f'alt="sample {k}, of class {data["labels"][k]}: {WORDS[state]}">'
            f'<span>{mark} {image["found"] if broken else image["prediction"]}</span></span>'
        )
    return f'<div class="dq-images" data-network="{i}"><b>{html.escape(name)}</b>{"".join(cells)}</div>'


def _rounded(values) -> list[float]:
    return [round(float(v), 1) for v in values]


def _pictures(x, shape) -> np.ndarray:
    """Returns samples as images of bytes, of the shape ``(samples, channels, height, width)``."""
    x = _arrays.to_numpy(x)
    if x.dtype != np.uint8:
        x = np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)
    if shape is not None:
        x = x.reshape(len(x), *shape)
    elif x.ndim == 2:
        side = round(x.shape[1] ** 0.5)
        if side * side != x.shape[1]:
            raise ValueError(f"{x.shape[1]} features are no square: give shape=(channels, height, width)")
        x = x.reshape(len(x), 1, side, side)
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise ValueError(f"images have the shape (samples, 1 or 3, height, width), not {x.shape}")
    return x


def _png(image: np.ndarray) -> str:
    """Returns an image as a PNG in an address."""
    channels, height, width = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(image.transpose(1, 2, 0)))
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))  # noqa: E731
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()

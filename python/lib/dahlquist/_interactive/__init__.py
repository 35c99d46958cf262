"""Drawings that answer: HTML, SVG and a few lines of JavaScript in one piece, for notebooks and for pages without a server.

Python computes every number and draws the first state, which is all that is seen where no script runs. The script shows other
states that were computed here; it computes nothing but which of them.
"""

from __future__ import annotations

import hashlib
import html
import json
from pathlib import Path

from .. import _text

_HERE = Path(__file__).parent
#: Stands for the name of a drawing in its body: no name of a network has it.
ID = "\0"


class Interactive:
    """A drawing with a slider: shown by notebooks, and saved as a page that needs no server and no network.

    Attributes
    ----------
    title : str
        What it shows.
    """

    def __init__(self, title: str, body: str, data: dict, script: str):
        self.title = title
        # No "<" in a script: the page would end it there.
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        #: The name of this drawing: the same drawing has the same one in every run.
        self._name = "dq-" + hashlib.sha256((body + text).encode()).hexdigest()[:12]
        self._body, self._data, self._script = body.replace(ID, self._name), text, script

    def _repr_html_(self) -> str:
        script = (_HERE / "common.js").read_text(encoding="utf-8") + (_HERE / self._script).read_text(encoding="utf-8")
        return (
            f'<div class="dq-plot" data-dq="{self._name}" role="group" aria-label="{html.escape(self.title)}">\n'
            f"<style>\n{(_HERE / 'style.css').read_text(encoding='utf-8')}</style>\n{self._body}\n"
            f'<script type="application/json">{self._data}</script>\n'
            f'<script>\n(function () {{\nconst NAME = "{self._name}";\n{script}}})();\n</script>\n</div>'
        )

    def to_html(self) -> str:
        """Returns a whole page."""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{html.escape(self.title)}</title>\n</head>\n<body>\n{self._repr_html_()}\n</body>\n</html>\n"
        )

    def save(self, path) -> None:
        """Writes the page, whole or not at all."""
        _text.write(path, self.to_html().encode())

    def __repr__(self) -> str:
        return f"<Interactive: {self.title}>"


def control(label: str, count: int, start: int, text: str) -> str:
    """Returns a labelled slider over `count` states, at one of them, and the place of its value in words."""
    return (
        f'<div class="dq-control"><label for="{ID}-slider">{html.escape(label)}</label>'
        f'<input id="{ID}-slider" type="range" min="0" max="{count - 1}" step="1" value="{start}" '
        f'aria-valuetext="{html.escape(text)}"><output for="{ID}-slider">{html.escape(text)}</output></div>'
    )

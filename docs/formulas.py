"""Formulas between dollar signs as MathML, which browsers show without a script and without a network.

An extension of Markdown, and a hook of mkdocs that adds it. `$…$` is a formula in a line, `$$…$$` one of its own.
"""

from __future__ import annotations

import re

import latex2mathml.converter
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor

#: A formula in a line neither begins nor ends with a space, and has no dollar sign in it.
INLINE, DISPLAY = r"\$(?! )([^$\n]+?(?:\n[^$\n]+?)*)(?<! )\$", r"\$\$([^$]+)\$\$"

#: What is set better than the converter does it: a prime is raised already, bars are no operators, and what a minimum is over is below.
_BETTER = [
    (r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>", r'<mrow>\1<mo lspace="0" rspace="0">&#x02032;</mo></mrow>'),
    (r'<mo stretchy="false">&#x0007C;</mo>', '<mo stretchy="false" lspace="0" rspace="0">&#x0007C;</mo>'),
    (r"<msub>(<mo>(?:min|max)</mo><mrow>(?:(?!<msub>).)*?</mrow>)</msub>", r"<munder>\1</munder>"),
]


def mathml(formula: str, display: str) -> str:
    """Returns a formula of LaTeX as MathML.

    Raises
    ------
    ValueError
        If a command is not known: it would be shown as it is written.
    """
    text = latex2mathml.converter.convert(" ".join(formula.split()), display=display)
    if unknown := re.search(r">(\\[A-Za-z]+)<", text):
        raise ValueError(f"the formula {formula!r} has {unknown[1]}, which cannot be shown")
    for pattern, better in _BETTER:
        text = re.sub(pattern, better, text)
    return text


class _Formula(InlineProcessor):
    def __init__(self, pattern: str, md, display: str):
        super().__init__(pattern, md)
        self.display = display

    def handleMatch(self, match, data):  # noqa: N802
        return self.md.htmlStash.store(mathml(match[1], self.display)), match.start(0), match.end(0)


class Formulas(Extension):
    """The extension."""

    def extendMarkdown(self, md):  # noqa: N802
        # Before backslashes are read as escapes, and after code.
        md.inlinePatterns.register(_Formula(DISPLAY, md, "block"), "formula-block", 187)
        md.inlinePatterns.register(_Formula(INLINE, md, "inline"), "formula", 186)


def on_config(config):
    """Adds the extension to mkdocs."""
    config.markdown_extensions.append(Formulas())
    return config


__all__ = ["Formulas", "mathml", "on_config"]

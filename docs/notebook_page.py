"""Turns a notebook with its outputs into Markdown and HTML: a page of the site, or a page of its own.

Text and code become Markdown; each output keeps its place by an empty element, and is put there when the Markdown has become HTML.
"""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
import formulas  # noqa: E402

EXTENSIONS = ["tables", "fenced_code", "toc", "codehilite"]
_PLACE = '<div data-output="{}"></div>'


def read(path: Path) -> tuple[str, list[str]]:
    """Returns a notebook as Markdown, and the HTML of its outputs in order."""
    parts, outputs, heading = [], [], ""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = (re.findall(r"^#+ +(.*)$", source, re.M) or [heading])[-1]
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        shown = "".join(_output(output, heading) for output in cell.get("outputs", []))
        if shown:
            parts.append(_PLACE.format(len(outputs)))
            outputs.append(f'<div class="output">{shown}</div>')
    return "\n\n".join(parts) + "\n", outputs


def _output(output: dict, heading: str) -> str:
    data = output.get("data", {})
    text = lambda kind: "".join(data[kind])  # noqa: E731
    if output["output_type"] == "stream":
        return f'<pre>{html.escape("".join(output["text"]))}</pre>'
    if "text/html" in data:
        # What it draws is shown as it is; only the program made it.
        return text("text/html")
    if "image/png" in data:
        source = text("image/png").replace("\n", "")
        return f'<img src="data:image/png;base64,{source}" alt="Figure: {html.escape(heading)}">'
    # The name of an object that was drawn, or the value of the last line.
    value = text("text/plain")
    return "" if re.fullmatch(r"<.*>|\[.*\]|Text\(.*\)", value, re.S) and "matplotlib" in value else f"<pre>{html.escape(value)}</pre>"


def fill(page: str, outputs: list[str]) -> str:
    """Puts outputs into their places in the HTML of a notebook."""
    for i, output in enumerate(outputs):
        place = _PLACE.format(i)
        if place not in page:
            raise ValueError(f"output {i} has lost its place")
        page = page.replace(place, output)
    return page


def style() -> str:
    """Returns the style of code and outputs, in light and in dark."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".codehilite")
    dark = HtmlFormatter(style="monokai").get_style_defs(".codehilite")
    by_theme = HtmlFormatter(style="monokai").get_style_defs('[data-bs-theme="dark"] .codehilite')
    by_system = f"@media (prefers-color-scheme: dark) {{\n:root:not([data-bs-theme]) {{\n{dark}\n}}\n}}"
    return "\n".join([light, by_system, by_theme, (Path(__file__).parent / "pages.css").read_text(encoding="utf-8")])


def page(path: Path) -> str:
    """Returns a notebook as a page of its own, which needs neither a server nor a network."""
    import markdown

    text, outputs = read(path)
    title = re.search(r"^# +(.*)$", text, re.M)[1]
    body = fill(markdown.markdown(text, extensions=[*EXTENSIONS, formulas.Formulas()]), outputs)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style()}</style>\n</head>\n<body class=\"notebook\">\n{body}\n</body>\n</html>\n"
    )


def on_page_content(content: str, page, config, files) -> str:
    """Fills a page of mkdocs that was made of a notebook."""
    notebook = Path(__file__).resolve().parents[1] / Path(page.file.src_uri).with_suffix(".ipynb")
    return fill(content, read(notebook)[1]) if notebook.exists() else content

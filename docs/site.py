"""Builds the documentation site from the pages of the repository: `python docs/site.py OUT`, with mkdocs and latex2mathml installed.

Pages keep the places that they have in the repository, so links between them are the same on the site, and OUT needs neither a
server nor a network. Files that a page links to are copied. The reference of the Rust library is built by `cargo doc --no-deps --open`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]

#: The pages, in the order of the menu. Those that end with `.ipynb` are notebooks with their outputs.
SECTIONS = {
    "Quick start": "README.md",
    "Manual": {
        "Python": "docs/python.md",
        "From PyTorch by hand": "examples/pytorch/README.md",
        "The files": "docs/format.md",
        "Trained networks": "zoo/README.md",
        "Layers, and what is proved": "layers.md",
        "Compared with other tools": "docs/comparison.md",
        "How to cite": "cite.md",
    },
    "Tutorials": {
        "A walk-through": "notebooks/walk_through.ipynb",
        "Your own network in ten lines": "notebooks/your_own_network.ipynb",
    },
    "Mathematics": {
        "The chapter, with the code beside it": "docs/chapter.md",
        "Theorems and their proofs": "proofs/README.md",
        "Functions that make bounds": "proofs/functions.md",
        "A second reading": "proofs/second-reading/README.md",
    },
    "Results": {
        "Measured": "docs/results.md",
        "Speed": "benches/RESULTS.md",
    },
    "Development": {
        "How a weight becomes a certificate": "docs/architecture.md",
        "Adding a layer": "docs/adding-a-layer.md",
        "Adding a rule": "docs/adding-a-rule.md",
        "Decisions": "docs/decisions/README.md",
        "Fuzzing": "fuzz/README.md",
        "Contributing": "CONTRIBUTING.md",
        "Security": "SECURITY.md",
        "Changes": "CHANGELOG.md",
    },
}

CONFIG = """
site_name: dahlquist
site_description: Neural networks with proved Lipschitz constants and certified radii
site_dir: {target}
docs_dir: pages
use_directory_urls: false
theme: {{name: mkdocs, custom_dir: theme, color_mode: auto, user_color_mode_toggle: true, highlightjs: false}}
markdown_extensions: [tables, fenced_code, toc, codehilite]
extra_css: [style.css]
hooks: [{docs}/formulas.py, {docs}/notebook_page.py]
validation: {{links: {{not_found: warn, unrecognized_links: warn, anchors: warn}}}}
nav:
{nav}
"""

#: What mkdocs turns on and off between light and dark, and loads from another machine with `highlightjs`. Code has its colours by
#: style.css.
THEME = """{% extends "base.html" %}
{% block extrahead %}<style id="hljs-light"></style><style id="hljs-dark"></style>{% endblock %}
"""

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")


def sources() -> set[str]:
    """Returns the files of the repository that pages are made of, those that are written here left out."""
    values = [v for group in SECTIONS.values() for v in (group.values() if isinstance(group, dict) else [group])]
    return {value for value in values if value not in ("layers.md", "cite.md")}


def section(page: str, heading: str) -> str:
    """Returns the part of a page under a heading, as a page of its own."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", (HOME / page).read_text(encoding="utf-8"), re.M | re.S)
    if found is None:
        raise ValueError(f"{page} has no part called {heading}")
    return f"# {heading}\n{found[1]}"


def cite() -> str:
    """Returns the page that says how to cite, made of CITATION.cff."""
    text = (HOME / "CITATION.cff").read_text(encoding="utf-8")
    own, _, papers = text.partition("preferred-citation:")
    field = lambda part, name: re.search(rf'^ *-? *{name}: "?(.*?)"?$', part, re.M)[1]  # noqa: E731
    lines = [f"# How to cite\n\n{field(own, 'message')}\n", "```bibtex"]
    lines += [f"@software{{dahlquist,\n  title = {{{field(own, 'title')}}},\n  version = {{{field(own, 'version')}}},"]
    lines += [f"  author = {{{{{field(own, 'name')}}}}},\n  year = {{{field(own, 'date-released')[:4]}}},\n}}"]
    for paper in papers.partition("references:")[2].split("- type: article")[1:]:
        names = zip(re.findall(r"family-names: (.*)", paper), re.findall(r"given-names: (.*)", paper))
        authors, number = " and ".join(f"{family}, {given}" for family, given in names), re.search(r"arXiv:([\d.]+)", paper)[1]
        key = re.search(r"family-names: (\w+)", paper)[1].lower() + field(paper, "year")
        lines += [f"@article{{{key},\n  title = {{{field(paper, 'title')}}},\n  author = {{{authors}}},\n  year = {{{field(paper, 'year')}}},"]
        lines += [f"  eprint = {{{number}}},\n  archivePrefix = {{arXiv}},\n}}"]
    return "\n".join([*lines, "```", ""])


def _page(name: str) -> str:
    """Returns the Markdown of a page."""
    if name == "layers.md":
        return section("README.md", "What is proved of each layer")
    if name == "cite.md":
        return cite()
    if name.endswith(".ipynb"):
        return _notebook_page().read(HOME / name)[0]
    return (HOME / name).read_text(encoding="utf-8")


def _notebook_page():
    spec = importlib.util.spec_from_file_location("notebook_page", HOME / "docs" / "notebook_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _linked(text: str, name: str, pages: Path, made: set[str]) -> str:
    """Copies the files that a page links to, and makes of links to folders links to their pages, or text."""

    def replace(match: re.Match) -> str:
        mark, label, link = match.groups()
        path, hash_mark, anchor = link.partition("#")
        if not path or re.match(r"[a-z]+:", link):
            return match[0]
        target = os.path.normpath(Path(name).parent / path)
        if (HOME / target).is_dir():
            if f"{target}/README.md" not in made:
                return label
            path = f"{path.rstrip('/')}/README.md"
        elif target.endswith(".ipynb") and target in made:
            path = path.removesuffix(".ipynb") + ".md"
        elif target not in made:
            if target.endswith(".md"):
                return label
            (pages / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HOME / target, pages / target)
        return f"{mark}[{label}]({path}{hash_mark}{anchor})"

    # Not in code, whose brackets are no links.
    parts = re.split(r"(^```.*?^```|`[^`\n]+`)", text, flags=re.M | re.S)
    # In a table GitHub wants a backslash before a bar in code, and mkdocs shows it.
    code = lambda part: part if part.startswith("```") else part.replace("\\|", "|")  # noqa: E731
    return "".join(code(part) if i % 2 else _LINK.sub(replace, part) for i, part in enumerate(parts))


def build(target: Path) -> None:
    """Writes the site into a folder. Fails for a page that is missing, and for a link that leads nowhere."""
    made = sources() | {"layers.md", "cite.md"} | {str(p.relative_to(HOME)) for p in HOME.glob("docs/decisions/*.md")}
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch) / "pages"
        for name in sorted(made):
            page = pages / name.replace(".ipynb", ".md")
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(_linked(_page(name), name, pages, made), encoding="utf-8")
        (pages / "style.css").write_text(_notebook_page().style(), encoding="utf-8")
        (Path(scratch) / "theme").mkdir()
        (Path(scratch) / "theme" / "main.html").write_text(THEME)
        nav = []
        for title, group in SECTIONS.items():
            entry = lambda name, page: f"- {name}: {page.replace('.ipynb', '.md')}"  # noqa: E731
            nav += ["  " + entry(title, group)] if isinstance(group, str) else [f"  - {title}:"]
            nav += ["    " + entry(*item) for item in group.items()] if isinstance(group, dict) else []
        config = Path(scratch) / "mkdocs.yml"
        config.write_text(CONFIG.format(target=target.resolve(), docs=HOME / "docs", nav="\n".join(nav)))
        subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--config-file", config], check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]))

"""Builds the documentation site from the pages of the repository: `python docs/site.py OUT`, with mkdocs installed.

Pages keep the places that they have in the repository, so links between them are the same on the site. The reference of the Rust
library is built by `cargo doc --no-deps --open`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]

#: The pages, in the order of the menu.
PAGES = {
    "Start": "README.md",
    "Python": "docs/python.md",
    "Compared with other tools": "docs/comparison.md",
    "Results": "docs/results.md",
    "Speed": "benches/RESULTS.md",
    "From PyTorch by hand": "examples/pytorch/README.md",
    "How a weight becomes a certificate": "docs/architecture.md",
    "Adding a layer": "docs/adding-a-layer.md",
    "Adding a rule": "docs/adding-a-rule.md",
    "Proofs": "proofs/README.md",
    "Fuzzing": "fuzz/README.md",
    "Decisions": "docs/decisions/README.md",
    "Contributing": "CONTRIBUTING.md",
    "Security": "SECURITY.md",
    "Changes": "CHANGELOG.md",
}

CONFIG = """
site_name: dahlquist
site_description: Neural networks with proved Lipschitz constants and certified radii
docs_dir: pages
theme: readthedocs
markdown_extensions: [tables, fenced_code, toc]
validation: {{links: {{not_found: info, unrecognized_links: info, anchors: warn}}}}
nav:
{nav}
"""


def build(target: Path) -> None:
    """Writes the site into a folder. Fails for a page that is missing, or a link to a part of a page that has none."""
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch) / "pages"
        others = [p.relative_to(HOME) for p in HOME.glob("docs/decisions/*.md")]
        pictures = [p.relative_to(HOME) for pattern in ("docs/*.svg", "benches/*.svg") for p in HOME.glob(pattern)]
        for page in [*map(Path, PAGES.values()), *others, *pictures]:
            (pages / page).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HOME / page, pages / page)
        nav = "\n".join(f"  - {title}: {page}" for title, page in PAGES.items())
        config = Path(scratch) / "mkdocs.yml"
        config.write_text(CONFIG.format(nav=nav))
        subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--config-file", config, "--site-dir", target.resolve()],
            check=True,
        )


if __name__ == "__main__":
    build(Path(sys.argv[1]))

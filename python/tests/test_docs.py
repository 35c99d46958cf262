"""The pages of the repository: every link between them leads somewhere, and the site can be built of them."""

import importlib.util
import re
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
PAGES = [p for p in sorted(HOME.rglob("*.md")) if not {"target", "node_modules", ".git"} & set(p.relative_to(HOME).parts)]
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?) *$", re.M)


def text(page: Path) -> str:
    """The text of a page without its code."""
    return re.sub(r"`[^`\n]*`", "code", re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S))


def anchors(page: Path) -> set[str]:
    """The names that headings have where Markdown is shown."""
    headings = HEADING.findall(re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOME)))
def test_links_lead_somewhere(page):
    for link in LINK.findall(text(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def site():
    spec = importlib.util.spec_from_file_location("build_site", HOME / "docs" / "site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_has_every_page_of_the_manual():
    pages = set(site().PAGES.values())
    assert all((HOME / page).exists() for page in pages)
    assert {str(p.relative_to(HOME)) for p in HOME.glob("docs/*.md")} <= pages


def test_the_site_can_be_built(tmp_path):
    pytest.importorskip("mkdocs")
    site().build(tmp_path)
    assert "certified" in (tmp_path / "docs" / "python" / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "docs" / "cifar10.svg").exists() and (tmp_path / "index.html").exists()

"""The pages of the repository: links between them lead somewhere, their code runs, and the site can be built of them."""

import html.parser
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

import dahlquist

from conftest import program

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


def test_the_site_has_every_page_of_the_manual():
    pages = program("docs/site.py").sources()
    assert all((HOME / page).exists() for page in pages)
    assert {str(p.relative_to(HOME)) for p in HOME.glob("docs/*.md")} <= pages
    assert {str(p.relative_to(HOME)) for p in HOME.glob("notebooks/*.ipynb")} <= pages


class Links(html.parser.HTMLParser):
    """What a page of the site loads, where it leads to, its anchors and its text."""

    def __init__(self, page: Path):
        super().__init__()
        self.loaded, self.links, self.anchors, self.text = [], [], set(), []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.loaded += [attributes[key] for key in ("src", "poster") if key in attributes]
        if tag == "link":
            self.loaded.append(attributes["href"])
        elif tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        self.anchors |= {attributes[key] for key in ("id", "name") if attributes.get(key)}

    def handle_data(self, data):
        self.text.append(data)


def test_the_site_can_be_built_and_its_links_lead_somewhere(built_site):
    pages = {page: Links(page) for page in built_site.rglob("*.html") if page.name != "404.html"}
    assert len(pages) > 20
    for page, found in pages.items():
        # Nothing comes from another machine.
        assert not [link for link in found.loaded if re.match(r"[a-z]*:?//", link)], page
        for link in found.links + found.loaded:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = (page.parent / unquote(path)).resolve() if path else page
            assert target.exists(), f"{page.name}: {link}"
            if anchor and target in pages and not anchor.startswith("__"):
                assert unquote(anchor) in pages[target].anchors, f"{page.name}: {link}"
    chapter = (built_site / "docs" / "chapter.html").read_text(encoding="utf-8")
    assert chapter.count("<math") > 60 and "certified" in "".join(pages[built_site / "docs" / "python.html"].text)
    # No formula is left as it was written.
    for name in ("docs/chapter", "notebooks/walk_through"):
        words = re.sub(r"<(pre|code|script).*?</\1>", "", (built_site / f"{name}.html").read_text(encoding="utf-8"), flags=re.S)
        assert not re.findall(r"\$\S[^$<]*\S\$", words)
    assert "GradientFlow" in (built_site / "notebooks" / "walk_through.html").read_text(encoding="utf-8")
    assert "gradient step" in "".join(pages[built_site / "layers.html"].text)
    assert "2306.17332" in "".join(pages[built_site / "cite.html"].text)


def test_what_the_chapter_names_exists():
    page = (HOME / "docs" / "chapter.md").read_text(encoding="utf-8")
    theorems = {line.replace(" ", ".") for line in (HOME / "proofs" / "theorems.txt").read_text().splitlines()}
    source = "\n".join(p.read_text(encoding="utf-8") for p in HOME.glob("src/**/*.rs"))
    parts = page.split("\n## ")[1:]
    for part in parts[:-1]:
        proved, tested = re.search(r"\*Proved by\*(.*?)\*Tested by\*(.*?)(?:\.\s|\.$|\Z)", part, re.S).groups()
        assert re.findall(r"`(\w+\.\w+)`", proved) and set(re.findall(r"`(\w+\.\w+)`", proved)) <= theorems, part
        names = re.findall(r"`([\w/]+\.rs)::(\w+)`", tested)
        assert names, part
        for path, name in names:
            assert re.search(rf"\b{name}\b", (HOME / path).read_text(encoding="utf-8")), name
        for rust in re.findall(r"In Rust: (.*?)\*Proved", part, re.S):
            for name in re.findall(r"`(?:\w+::)*(\w+)`", rust):
                assert re.search(rf"\b(fn|struct|enum)\s+{name}\b|^\s+{name}\b[({{,]", source, re.M), name


def blocks(page: Path) -> list[str]:
    """The Python code of a page."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def save_linear(path: Path) -> None:
    """Writes a network of one layer."""
    import onnx

    tensor = lambda name, size: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, size])  # noqa: E731
    node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"])
    weight = onnx.numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")
    graph = onnx.helper.make_graph([node], "net", [tensor("x", 2)], [tensor("y", 2)], [weight])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """What a reader of the pages has: a network, samples, files, and numbers for a field."""
    torch = pytest.importorskip("torch")
    for name in ("safetensors", "onnx", "matplotlib"):
        pytest.importorskip(name)
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(256, 10))
    torch.save(net, "net.pt")
    (tmp_path / "property.vnnlib").write_text(PROPERTY)
    save_linear(tmp_path / "net.onnx")
    (tmp_path / "zoo").symlink_to(HOME / "zoo")
    rng = np.random.default_rng(0)
    sealed = dahlquist.Model((3, 32, 32), [
        {"type": "global_avg_pool"}, {"type": "flatten"}, {"type": "dense", "weight": np.eye(10, 3, dtype=np.float32)},
    ]).seal()
    return {
        "np": np, "dq": dahlquist, "sealed": sealed, "field": dahlquist.GradientField(rng.normal(size=(6, 2))), "net": net, "mean": (0.5,) * 3, "std": (0.25,) * 3, "x": torch.rand(4, 3, 32, 32),
        "y": torch.randint(0, 10, (4,)), "network": torch.nn.Sequential(torch.nn.Linear(784, 8)), "w": rng.normal(size=(6, 2)),
        "b": rng.normal(size=6), "x0": rng.normal(size=(4, 2)), "a": rng.normal(size=(5, 2)), "b_out": rng.normal(size=(2, 5)),
        "k": np.eye(2), "gradient_at_the_end": np.ones((4, 2)),
    }


#: Inputs in a small box, and an output that is far above.
PROPERTY = """(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(assert (and (>= X_0 0) (<= X_0 0.1) (>= X_1 0) (<= X_1 0.1)))
(assert (>= Y_0 100))
"""

WITH_CODE = [page for page in PAGES if blocks(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(HOME)))
def test_code_on_pages_runs(page, reader):
    # The chapter brings all that it needs, and its blocks go on from one to the next.
    chapter: dict | None = {} if page.name == "chapter.md" else None
    for i, code in enumerate(blocks(page)):
        compiled = compile(code, f"{page.name}, block {i + 1}", "exec")
        # What needs a scheduler on another machine is only compiled.
        if "tcp://" not in code:
            exec(compiled, {**reader} if chapter is None else chapter)

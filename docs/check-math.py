#!/usr/bin/env python3
"""Looks at the pages that rustdoc built: every formula on them is what its doc comment says, backslashes included.

Formulas are blocks of the language `math`, and code spans that begin and end with a dollar sign; docs/katex.html renders
them. Anything between two dollar signs elsewhere would be read as Markdown, which eats backslashes.

    cargo doc --no-deps --all-features && python3 docs/check-math.py [target/doc/dahlquist]
"""

import html.parser
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def formulas_of_source():
    """Returns the blocks and the spans of all doc comments, and the places of dollar signs that are neither."""
    blocks, spans, strays = set(), set(), []
    for path in sorted((ROOT / "src").rglob("*.rs")):
        block, fence = None, False
        for number, line in enumerate(path.read_text().splitlines(), 1):
            comment = re.match(r"\s*//[/!] ?(.*)$", line)
            text = comment.group(1) if comment else None
            if text is None:
                block, fence = None, False
            elif block is not None and text.strip() == "```":
                blocks.add("\n".join(block))
                block = None
            elif block is not None:
                block.append(text)
            elif text.strip() == "```math":
                block = []
            elif text.lstrip().startswith("```"):
                fence = not fence
            elif not fence:
                spans.update(re.findall(r"`\$([^`$]+)\$`", text))
                if "$" in re.sub(r"`[^`]*`", "", text):
                    strays.append(f"{path.relative_to(ROOT)}:{number}: a dollar sign outside code: {text.strip()}")
    return blocks, spans, strays


class Page(html.parser.HTMLParser):
    """The math blocks, the code spans in dollar signs and all other text of a page."""

    def __init__(self):
        super().__init__()
        self.blocks, self.spans, self.text, self.inside, self.katex = [], [], [], [], False

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "script" and "katex" in (attributes.get("src") or ""):
            self.katex = True
        if tag in ("script", "style", "pre", "code"):
            classes = (attributes.get("class") or "").split()
            self.inside.append((tag, "language-math" in classes))
            if self.inside[-1] == ("pre", True):
                self.blocks.append("")
            elif tag == "code":
                self.spans.append("")

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1][0] == tag:
            self.inside.pop()

    def handle_data(self, data):
        if ("pre", True) in self.inside:
            self.blocks[-1] += data
        elif not self.inside:
            self.text.append(data)
        elif self.inside[-1][0] == "code":
            self.spans[-1] += data


def main():
    pages = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "target" / "doc" / "dahlquist"
    blocks, spans, faults = formulas_of_source()
    found, count = set(), 0
    for path in sorted(pages.rglob("*.html")):
        page = Page()
        page.feed(path.read_text())
        count += 1
        if "$$" in "".join(page.text):
            faults.append(f"{path}: dollar signs in its text")
        formulas = [("block", block.strip("\n"), blocks) for block in page.blocks]
        formulas += [("span", span[1:-1], spans) for span in page.spans if re.fullmatch(r"\$[^$]+\$", span)]
        for kind, formula, known in formulas:
            found.add((kind, formula))
            if formula not in known:
                faults.append(f"{path}: this {kind} is in no doc comment: {formula}")
        if formulas and not page.katex:
            faults.append(f"{path}: it has formulas, and docs/katex.html is not in its header")
    if not count:
        faults.append(f"{pages}: no pages")
    elif not any(kind == "block" and "\\" in formula for kind, formula in found):
        faults.append(f"{pages}: no block with a backslash on {count} pages")
    print(*faults, sep="\n", end="\n" if faults else "")
    if faults:
        print("pages of an earlier build stay in the folder: `cargo clean --doc` removes them")
    print(f"{len(found)} formulas on {count} pages, of {len(blocks)} blocks and {len(spans)} spans in doc comments"
          " (those of private items have no page)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

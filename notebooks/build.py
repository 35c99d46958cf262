"""Makes the notebooks from their sources, `*.py` beside this file: text in comments, cells apart by `# %%`.

    python notebooks/build.py            # writes and executes them; needs nbclient, ipykernel, torch, matplotlib, scikit-learn
    python notebooks/build.py --check    # executes them and compares nothing: CI sees that they run
    python notebooks/build.py --html OUT # writes those that are here as pages, with their outputs; needs markdown, latex2mathml
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def cells(source: str):
    """Yields the cells of a source."""
    import nbformat

    for part in source.split("# %%")[1:]:
        head, _, body = part.partition("\n")
        body = body.strip("\n")
        if "[markdown]" in head:
            lines = [line.removeprefix("#").removeprefix(" ") for line in body.splitlines()]
            yield nbformat.v4.new_markdown_cell("\n".join(lines))
        else:
            yield nbformat.v4.new_code_cell(body)


def build(source: Path, target: Path) -> None:
    """Executes a source and writes it with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=list(cells(source.read_text())))
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i}"
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=1200, startup_timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            # Progress bars and warnings are of this run, not of the notebook.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, target)


def pages(target: Path) -> None:
    """Writes each notebook as a page into a folder."""
    spec = importlib.util.spec_from_file_location("notebook_page", HERE.parent / "docs" / "notebook_page.py")
    notebook_page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebook_page)
    target.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(HERE.glob("*.ipynb")):
        (target / f"{notebook.stem}.html").write_text(notebook_page.page(notebook), encoding="utf-8")


def main() -> None:
    """Does what the arguments ask for."""
    if "--html" in sys.argv:
        return pages(Path(sys.argv[sys.argv.index("--html") + 1]))
    check = "--check" in sys.argv
    with tempfile.TemporaryDirectory() as scratch:
        for source in sorted(HERE.glob("*.py")):
            if source.name != "build.py":
                folder = Path(scratch) if check else HERE
                build(source, folder / f"{source.stem}.ipynb")
                print(source.stem)


if __name__ == "__main__":
    main()

"""The notebooks run, and what is committed is what their sources say, with outputs."""

import json
from pathlib import Path

import pytest

import dahlquist

from conftest import program

HERE = Path(__file__).parents[2] / "notebooks"
SOURCES = [path for path in sorted(HERE.glob("*.py")) if path.name != "build.py"]


@pytest.fixture(scope="module")
def build():
    for name in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(name)
    return program("notebooks/build.py")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_it_is_built_from_its_source(build, source):
    written = json.loads(source.with_suffix(".ipynb").read_text())["cells"]
    expected = [(cell.cell_type, cell.source) for cell in build.cells(source.read_text())]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in written] == expected
    outputs = [output for cell in written for output in cell.get("outputs", [])]
    assert len(outputs) > 3 and all(output["output_type"] != "error" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    # The drawings are those of the package as it is: its style and its scripts are in them.
    drawings = ["".join(output["data"]["text/html"]) for output in outputs if "dq-plot" in str(output.get("data", {}).get("text/html"))]
    folder = Path(dahlquist.__file__).parent / "_interactive"
    assert drawings and all((folder / name).read_text() in drawing for drawing in drawings for name in ("style.css", "common.js"))
    assert all(any((folder / name).read_text() in drawing for name in ("slider.js", "steps.js")) for drawing in drawings)


def test_the_walk_through_has_every_part():
    text = (HERE / "walk_through.py").read_text(encoding="utf-8")
    headings = " / ".join(line for line in text.splitlines() if line.startswith("# ## "))
    for part in ("instability", "Euler's method", "phase plane", "Two trajectories", "too long", "circles", "Train", "Attack, and certify",
                 "rounding costs", "forge one", "cannot explode or vanish", "Exercises"):
        assert part in headings, part
    assert "dq.plot.steps(" in text and "dq.plot.slider(" in text


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_it_runs(build, source, tmp_path):
    for name in ("torch", "matplotlib", "sklearn"):
        if name in source.read_text():
            pytest.importorskip(name)
    build.build(source, tmp_path / "run.ipynb")
    assert (tmp_path / "run.ipynb").stat().st_size > 10_000

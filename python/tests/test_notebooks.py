"""The notebooks run, and what is committed is what their sources say, with outputs."""

import importlib.util
import json
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "notebooks"
SOURCES = [path for path in sorted(HERE.glob("*.py")) if path.name != "build.py"]


@pytest.fixture(scope="module")
def build():
    for name in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(name)
    spec = importlib.util.spec_from_file_location("build_notebooks", HERE / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_it_is_built_from_its_source(build, source):
    written = json.loads(source.with_suffix(".ipynb").read_text())["cells"]
    expected = [(cell.cell_type, cell.source) for cell in build.cells(source.read_text())]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in written] == expected
    outputs = [output for cell in written for output in cell.get("outputs", [])]
    assert len(outputs) > 3 and all(output["output_type"] != "error" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_it_runs(build, source, tmp_path):
    for name in ("torch", "matplotlib", "sklearn"):
        if name in source.read_text():
            pytest.importorskip(name)
    build.build(source, tmp_path / "run.ipynb")
    assert (tmp_path / "run.ipynb").stat().st_size > 10_000

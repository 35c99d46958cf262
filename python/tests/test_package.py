"""The package: light to import, with the program in it, and documentation whose examples run."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import dahlquist as dq


def test_nothing_heavy_is_imported():
    code = "import sys, dahlquist; print([m for m in ('torch', 'onnx', 'matplotlib', 'pandas', 'tqdm') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def modules():
    names = [m.name for m in pkgutil.walk_packages(dq.__path__, "dahlquist.")]
    return ["dahlquist", *(n for n in names if not n.endswith(("_native", "__main__")))]


@pytest.mark.parametrize("name", modules())
def test_examples_run(name):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(str(error))
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL)
    assert found.failed == 0


def test_everything_public_is_documented():
    for name in dq.__all__:
        thing = getattr(dq, name)
        assert name == "__version__" or thing.__doc__, name
    for name in dq.errors.__all__:
        assert issubclass(getattr(dq.errors, name), Exception) and getattr(dq.errors, name).__doc__


def test_the_program(tmp_path, model):
    run = lambda *words: subprocess.run(  # noqa: E731
        [sys.executable, "-m", "dahlquist", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert dq.__version__ in run("--version").stdout
    model.save(tmp_path / "net.safetensors")
    assert "operator_norm" in run("show", "net.safetensors").stdout
    refused = run("show", "none.safetensors")
    assert refused.returncode == 2 and "none.safetensors" in refused.stderr
    assert run("nonsense").returncode == 2


def test_layers_and_functions_are_listed():
    kinds, functions = dq.kinds()
    assert {"dense", "conv2d", "flow", "sum"} <= set(kinds) and {"relu", "tanh"} <= set(functions)

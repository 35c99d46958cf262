"""What tests share."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import dahlquist as dq

HOME = Path(__file__).parents[2]


def _runs(layer: dict, shape: tuple[int, ...]) -> bool:
    """Whether the crate that this package is linked with reads and runs a layer."""
    try:
        dq.Model(shape, [layer]).predict(np.zeros((1, *shape), np.float32))
    except dq.DahlquistError:
        return False
    return True


_ones = lambda *shape: np.ones(shape, np.float32)  # noqa: E731

#: Layers of the format that came after this package: what needs them runs as soon as the crate does.
PROBES = {
    "sort": ({"type": "sort", "group": 2}, (4,)),
    "max_pool": ({"type": "max_pool", "size": 2}, (1, 4, 4)),
    "overlapping_pool": ({"type": "max_pool", "size": 3, "stride": 2, "padding": 1}, (1, 4, 4)),
    "oblong_pool": ({"type": "max_pool", "size": [1, 2]}, (1, 1, 4)),
    "padded_mean": ({"type": "avg_pool", "size": 3, "stride": 2, "padding": 1}, (1, 4, 4)),
    "channel_affine": ({"type": "channel_affine", "scale": _ones(1), "shift": _ones(1)}, (1, 2, 2)),
    "shift": ({"type": "shift", "groups": [[1, 1, 0]], "mode": "circular"}, (1, 2, 2)),
    "groups": ({"type": "conv2d", "weight": _ones(2, 1, 1, 1), "groups": 2}, (2, 2, 2)),
    "dilation": ({"type": "conv2d", "weight": _ones(1, 1, 3, 3), "dilation": 2, "padding": 2}, (1, 5, 5)),
    "oblong": ({"type": "conv2d", "weight": _ones(1, 1, 1, 3), "padding": [0, 1]}, (1, 1, 5)),
    **{f: ({"type": "activation", "function": f}, (2,)) for f in ("elu", "silu", "gelu", "gelu_tanh", "mish", "hardswish", "hardtanh")},
    "hardtanh_bounds": ({"type": "activation", "function": "hardtanh", "min": 0.0, "max": 6.0}, (2,)),
}
RUNS = {name: _runs(*probe) for name, probe in PROBES.items()}


def needs(*names: str):
    """Marks a test that needs layers: until the crate has them it must fail with the crate's own refusal."""
    missing = [name for name in names if not RUNS[name]]
    reason = f"the crate does not run {', '.join(missing)} yet"
    return pytest.mark.xfail(bool(missing), reason=reason, raises=dq.DahlquistError, strict=True)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def mlp(rng, sizes=(6, 8, 4), dtype=np.float32):
    """A network of dense layers, and its weights."""
    layers, weights = [], []
    for n, m in zip(sizes, sizes[1:]):
        w, b = (rng.normal(size=s).astype(dtype) / 2 for s in ((m, n), (m,)))
        weights.append((w, b))
        layers += [{"type": "dense", "weight": w, "bias": b}, {"type": "activation", "function": "relu"}]
    return dq.Model(sizes[0], layers[:-1]), weights


@pytest.fixture
def model(rng):
    return mlp(rng)[0]


def program(path: str):
    """Returns a program of the repository as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_of_the_repository", HOME / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def built_site(tmp_path_factory):
    """The folder of the documentation site, built once."""
    for name in ("mkdocs", "latex2mathml", "pygments"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("site")
    program("docs/site.py").build(folder)
    return folder

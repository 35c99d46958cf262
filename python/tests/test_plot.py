"""Figures show the numbers that they are given."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

import dahlquist as dq  # noqa: E402

from conftest import mlp  # noqa: E402


@pytest.fixture
def results(rng):
    model, _ = mlp(rng)
    x, y = rng.uniform(size=(60, 6)).astype(np.float32), rng.integers(0, 4, 60)
    sealed = model.seal()
    return sealed, sealed.certify(x, y), sealed.attack(x, y, eps=[0.05, 0.2])


def test_curves_are_the_accuracies(results, tmp_path):
    _, r, a = results
    figure = dq.plot.curves(eps_max=0.2, net=(r, a))
    certified, attacked = figure.axes[0].lines[:2]
    eps = certified.get_xdata()
    np.testing.assert_allclose(certified.get_ydata(), 100 * r.accuracy(eps))
    np.testing.assert_allclose(attacked.get_ydata(), 100 * np.r_[a.clean_accuracy, a.accuracy()])
    for name in ("fig.pdf", "fig.svg", "fig.png"):
        figure.savefig(tmp_path / name)
    assert "36/255" in (tmp_path / "fig.svg").read_text()
    with pytest.raises(TypeError, match="certify or attack"):
        dq.plot.curves(net=3)


def test_radii_layers_and_trajectories(results):
    sealed, r, _ = results
    counts = dq.plot.radii(net=r).axes[0].patches[0].get_xy()
    assert counts[:, 1].max() > 0
    bars = dq.plot.layers(sealed, sealed.falsify(0, rounds=1)).axes[0].patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], [row["bound"] for row in sealed.layers])
    _, x = dq.flow(dq.GradientField(np.eye(2)), np.ones((3, 2)), h=0.1, steps=4)
    assert len(dq.plot.trajectories(x).axes[0].lines) == 6
    with pytest.raises(ValueError, match="plane"):
        dq.plot.trajectories(np.zeros((3, 2, 3)))


def test_the_norm_is_on_the_axis(results, rng):
    sealed, r, a = results
    x = rng.uniform(size=(20, 6)).astype(np.float32)
    inf = sealed.certify(x, [0] * 20, norm="linf")
    assert "ℓ∞" in dq.plot.curves(net=inf).axes[0].get_xlabel() and "ℓ2" in dq.plot.curves(net=r).axes[0].get_xlabel()
    assert "ℓ∞" in dq.plot.radii(net=inf).axes[0].get_xlabel()
    # A pair, as curves takes it.
    assert "ℓ2" in dq.plot.radii(net=(r, a)).axes[0].get_xlabel()
    for show in (dq.plot.curves, dq.plot.radii, dq.table):
        with pytest.raises(dq.errors.ParameterError, match="some in the maximum norm"):
            show(one=r, other=inf)

"""Figures show the numbers that they are given."""

import base64
import io
import json
import re

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


def data(drawing):
    """The numbers of a drawing, and its whole HTML."""
    page = drawing.to_html()
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1]), page


def test_the_slider_has_the_accuracies(rng, tmp_path):
    x = rng.uniform(size=(30, 9)).astype(np.float32)
    sealed = mlp(rng, (9, 8, 4))[0].seal()
    y = sealed.predict(x).argmax(axis=1)
    y[:3] = (y[:3] + 1) % 4
    r, a = sealed.certify(x, y), sealed.attack(x, y, eps=[0.1, 0.5], keep_inputs=True)
    drawing = dq.plot.slider(x, eps_max=0.8, images=5, steps=40, **{"a <b>": (r, a), "bare": r})
    found, page = data(drawing)
    eps = np.linspace(0, 0.8, 41)
    first, second = found["networks"]
    np.testing.assert_array_equal(first["certified"], r.accuracy(eps))
    np.testing.assert_array_equal(first["attacked"][:25], a.accuracy(eps[:25]))
    # The attack says nothing beyond its last distance.
    assert first["attacked"][26:] == [None] * 15 and second["attacked"] == [None] * 41
    assert [image["radius"] for image in first["images"]] == [0, 0, 0, *r.radius[3:5]]
    assert [image["distance"] for image in first["images"][:3]] == [0, 0, 0]
    assert len(found["pngs"]) == 5 and all(png.startswith("data:image/png;base64,") for png in found["pngs"])
    # Names are text, nothing is loaded, and a page is a page.
    assert "<b>" not in page.replace('<b>a &lt;b&gt;</b>', "").replace("<b>bare</b>", "") and not re.search(r"(src|href)=.https?:", page)
    drawing.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert drawing._repr_html_() == dq.plot.slider(x, eps_max=0.8, images=5, steps=40, **{"a <b>": (r, a), "bare": r})._repr_html_()
    with pytest.raises(ValueError, match="no square"):
        dq.plot.slider(x[:, :8], net=r)
    with pytest.raises(ValueError, match="numbers differ"):
        dq.plot.slider(x[:4], net=r)
    with pytest.raises(TypeError, match="certify"):
        dq.plot.slider(x, net=a)


def test_a_png_holds_the_pixels(rng):
    image = pytest.importorskip("PIL.Image")
    from dahlquist._interactive._slider import _pictures, _png

    for channels in (1, 3):
        x = rng.uniform(size=(1, channels, 5, 7)).astype(np.float32)
        read = np.asarray(image.open(io.BytesIO(base64.b64decode(_png(_pictures(x, None)[0]).partition(",")[2]))))
        np.testing.assert_array_equal(read.reshape(5, 7, channels).transpose(2, 0, 1), np.rint(x[0] * 255).astype(np.uint8))


def test_the_steps_are_those_of_the_flow(rng):
    field = dq.GradientField(np.array([[2.0, 0.0], [0.0, 1.0]]), activation="tanh")
    h, x0 = np.array([0.25, 0.5, 0.75]), np.array([[0.1, 0.0], [-0.1, 0.2], [1.0, 1.0]])
    found, _ = data(dq.plot.steps(field, x0, h, time=3.0, extent=2.0))
    assert [state["stable"] for state in found["states"]] == [True, True, False]
    for length, state in zip(h, found["states"]):
        assert float(state["bound"].split()[0]) == pytest.approx(field.model(h=length).seal().lipschitz, abs=1e-6)
        _, x = dq.flow(field, x0, method="euler", h=length, steps=int(3 / length))
        points = np.array([point.split(",") for point in state["paths"][2].split()], float)
        # 75 pixels for a unit along both axes, and y downward.
        np.testing.assert_allclose((points - points[0]) / 75, (x[:, 2] - x[0, 2]) * [1, -1], atol=0.002)
    # A method that is refused says why, and a trajectory that leaves the plane ends there.
    assert dq.plot.steps(field, x0, [0.1], method="midpoint") is not None
    wild = data(dq.plot.steps(dq.ResidualField(np.eye(2), 1e3 * np.eye(2), activation="identity"), x0, [1.0]))[0]["states"][0]
    assert not wild["stable"] and len(wild["paths"][2].split()) < 4
    for mistake in ({"x0": x0[:1], "h": h}, {"x0": x0, "h": h[::-1]}, {"x0": x0, "h": [0.0, 1.0]}):
        with pytest.raises(ValueError, match="two or more|ascending"):
            dq.plot.steps(field, **mistake)


def test_circles_are_the_radii():
    lines = dq.plot.circles("euler", "ssprk43", "midpoint", "implicit_midpoint").axes[0].lines
    widths = [np.min(line.get_xdata()) for line in lines]
    assert widths[0] == pytest.approx(-2, abs=1e-3) and widths[1] == pytest.approx(-4, abs=1e-3) and widths[2] == 0 and widths[3] == 0
    labels = [text.get_text() for text in lines[0].axes.get_legend().get_texts()]
    assert labels[0] == "euler: r = 1" and labels[2] == "midpoint: none" and labels[3] == "implicit_midpoint: r = inf"

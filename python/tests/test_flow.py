"""Methods and flows: coefficients are exact, states and costates those of the formulas."""

from fractions import Fraction

import numpy as np
import pytest

import dahlquist as dq


def test_methods():
    rk4 = dq.Tableau.rk4()
    assert (rk4.name, rk4.order, rk4.stages, rk4.is_explicit, rk4.circle_radius) == ("rk4", 4, 4, True, 1.0)
    assert rk4 == dq.Tableau("rk4") and rk4 != dq.Tableau.euler()
    np.testing.assert_allclose(rk4.a.sum(axis=1), rk4.c)
    assert rk4.exact[1] == ["1/6", "1/3", "1/3", "1/6"]
    assert dq.Tableau.implicit_euler().circle_radius == np.inf
    assert dq.Tableau.ssprk33().ssp_coefficient == 1.0
    assert set(dq.Tableau.names()) >= {"rk4", "three_eighths", "dopri5"}
    own = dq.Tableau.from_coefficients([[], [Fraction(1, 2)]], [0, 1])
    np.testing.assert_array_equal(own.b, [0, 1])
    with pytest.raises(TypeError, match="exact"):
        dq.Tableau.from_coefficients([[], [0.5]], [0, 1])
    with pytest.raises(dq.errors.TableauError, match="known are"):
        dq.Tableau("rk5")
    with pytest.raises(dq.errors.NotCircleContractiveError):
        _ = dq.Tableau.dopri5().circle_radius


def test_rk4_is_the_classical_method_and_not_the_one_of_torchdiffeq():
    assert dq.Tableau.three_eighths().circle_radius == pytest.approx(2 * 3**0.5 - 3)


def step(tableau, f, x, h):
    slopes = []
    for row in tableau.a:
        slopes.append(f(x + h * sum((a * k for a, k in zip(row, slopes)), np.zeros_like(x))))
    return x + h * sum(b * k for b, k in zip(tableau.b, slopes))


@pytest.mark.parametrize("method", ["euler", "heun", "rk4", "ssprk43"])
def test_every_state_of_a_flow(rng, method):
    w, b = rng.normal(size=(5, 3)), rng.normal(size=5)
    field = dq.GradientField(w, b, "tanh")
    x0 = rng.normal(size=(4, 3))
    t, x = dq.flow(field, x0, method=method, h=0.1, steps=7)
    assert t.shape == (8,) and x.shape == (8, 4, 3) and t[-1] == pytest.approx(0.7)
    expected = x0
    for k in range(7):
        np.testing.assert_allclose(x[k], expected, rtol=1e-12, atol=1e-12)
        expected = step(dq.Tableau(method), lambda x: -np.tanh(x @ w.T + b) @ w, expected, 0.1)
    # The potential never increases, and a single point is a batch of one.
    v = field.potential(x)
    assert v.shape == (8, 4) and (np.diff(v, axis=0) <= 1e-12).all()
    # Not to the last bit: sums of one sample and of several are added in another order.
    np.testing.assert_allclose(dq.flow(field, x0[0], method=method, h=0.1, steps=7)[1], x[:, 0], rtol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "identity", "tanh", "sigmoid", {"function": "leaky_relu", "slope": 0.2}])
def test_the_field_is_minus_the_gradient_of_the_potential(rng, activation):
    w, b, x = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    field = dq.GradientField(w, b, activation)
    f = (dq.flow(field, x, method="euler", h=1.0, steps=1)[1][1] - x)
    e = 1e-6
    gradient = [(field.potential(x + e * d) - field.potential(x - e * d)) / (2 * e) for d in np.eye(3)]
    np.testing.assert_allclose(f, -np.array(gradient), rtol=1e-6, atol=1e-8)


def test_costates_are_gradients(rng):
    field = dq.GradientField(rng.normal(size=(5, 3)), rng.normal(size=5), "tanh")
    x0, last = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    _, x = dq.flow(field, x0, h=0.1, steps=5)
    found = dq.costates(field, x, last, h=0.1)
    assert found.shape == x.shape
    np.testing.assert_array_equal(found[-1], last)
    e = 1e-6
    for d in np.eye(3):
        ends = [dq.flow(field, x0 + s * e * d, h=0.1, steps=5)[1][-1] for s in (1, -1)]
        np.testing.assert_allclose(found[0] @ d, ((ends[0] - ends[1]) * last).sum(axis=1) / (2 * e), rtol=1e-5, atol=1e-8)


def test_a_flow_of_images_and_a_residual_field(rng):
    space = (2, 4, 4)
    field = dq.GradientField(rng.normal(size=(3, 2, 3, 3)) / 4, activation="relu", space=space)
    x0 = rng.normal(size=(3, *space))
    _, x = dq.flow(field, x0, method="euler", h=0.1, steps=3)
    assert x.shape == (4, 3, *space) and (np.diff(field.potential(x), axis=0) <= 0).all()
    with pytest.raises(ValueError, match="space"):
        dq.GradientField(np.ones((3, 2, 3, 3)))
    w, v = rng.normal(size=(5, 3)), rng.normal(size=(3, 5))
    _, x = dq.flow(dq.ResidualField(w, v, activation="abs"), np.ones(3), method="euler", h=0.5, steps=1)
    np.testing.assert_allclose(x[1], 1 + 0.5 * v @ np.abs(w @ np.ones(3)))


@pytest.mark.parametrize("slope", ["relu", "tanh", {"function": "leaky_relu", "slope": 0.2}])
def test_a_lyapunov_function_falls_along_a_projected_field(rng, slope):
    a, b, k = rng.normal(size=(5, 3)), rng.normal(size=(3, 5)), rng.normal(size=(4, 3))
    field = dq.ProjectedField(a, b, k, rng.normal(size=5), "tanh", slope=slope, epsilon=0.5, rate=0.75)
    x0 = rng.normal(size=(6, 3))
    h = 1e-4
    _, x = dq.flow(field, x0, method="euler", h=h, steps=50)
    v = field.lyapunov(x)
    # V' <= -rate V, and the gradient of V is Lipschitz with |K|^2 + 2 epsilon at most: the descent lemma bounds what a step adds.
    room = 0.5 * (np.linalg.norm(k, 2) ** 2 + 2 * 0.5) * (np.diff(x, axis=0) ** 2).sum(2)
    assert v.shape == (51, 6) and (np.diff(v, axis=0) <= -0.75 * h * v[:-1] + room + 1e-12).all()
    # The value at a point is that of the formula.
    x, relu = x0[0], lambda z: max(z, 0.0)
    sigma = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}.get(slope if isinstance(slope, str) else "", None)
    sigma = sigma or (lambda z: np.where(z > 0, z, 0.2 * z))
    bias = field.to_dict()["inner"]["bias"]
    nominal = b @ (np.tanh(a @ x + bias) - np.tanh(bias))
    slope_of_v = k.T @ sigma(k @ x) + 0.5 * x
    excess = relu(slope_of_v @ nominal + 0.75 * field.lyapunov(x[None])[0])
    expected = x + h * (nominal - slope_of_v * excess / (slope_of_v @ slope_of_v))
    np.testing.assert_allclose(dq.flow(field, x, method="euler", h=h, steps=1)[1][1], expected, rtol=1e-12)
    # It is not Lipschitz, so there is no certificate.
    with pytest.raises(dq.errors.DahlquistError):
        field.model(h=h).seal()

"""Attacks and searches: what they find is true, and nothing that is certified is broken."""

import numpy as np
import pytest

import dahlquist as dq

from conftest import mlp


def test_an_attack_finds_the_boundary():
    model = dq.Model(1, [{"type": "dense", "weight": np.float64([[1], [-1]]), "bias": np.float64([0, 1])}])
    a = dq.attack(model, [[0.75]], [0], eps=[0.2, 0.3], keep_inputs=True)
    np.testing.assert_array_equal(a.accuracy(), [1, 0])
    assert a.clean_accuracy == 1 and 0.25 <= a.distance[0] <= 0.3 and a.prediction[0] == 1
    assert abs(a.inputs[0, 0] - 0.75) <= a.distance[0]
    assert (a.accuracy(0.2), a.accuracy(0.3)) == (1.0, 0.0)
    with pytest.raises(ValueError, match="went up to"):
        a.accuracy(0.5)


def test_nothing_that_is_certified_is_broken(rng):
    model, _ = mlp(rng)
    x = rng.uniform(size=(80, 6)).astype(np.float32)
    sealed = model.seal()
    r = sealed.certify(x)
    a = sealed.attack(x, eps=np.linspace(0, 1, 12)[1:], starts=1)
    assert (a.distance >= r.radius).all()
    assert np.isfinite(a.distance).any()


def test_a_search_refutes_nothing_and_says_how_tight_the_bounds_are(model):
    found = model.seal().falsify(0.0, rounds=1)
    assert not found.refuted and found.looseness >= 1
    assert len(found.layers) == 3 and "nothing refuted" in repr(found)
    assert found.to_dict()["rounds"] == 1
    with pytest.raises(ValueError):
        model.seal().falsify(-1)


def test_options_of_an_attack(model, rng):
    x = rng.uniform(size=(4, 6)).astype(np.float32)
    assert dq.attack(model, x, eps=0.1, norm="linf", steps=2, starts=1, seed=3).norm == "linf"
    with pytest.raises(dq.errors.ParameterError):
        dq.attack(model, x, eps=0.1, norm="l1")
    with pytest.raises(dq.errors.ParameterError):
        dq.attack(model, x, eps=0.1, steps=0)
    with pytest.raises(ValueError, match="eps"):
        dq.attack(model, x, eps=[-0.1])


def test_a_class_that_is_nearer_than_the_runner_up_is_found():
    """The boundary to class 2 is at a distance of 0.1, the one to class 1, whose logit is larger, at 50."""
    n = 200
    weight = np.zeros((3, n))
    weight[1, 1], weight[2, 2] = 0.01, 10
    bias = np.float64([0, -0.5, -1]) - weight.sum(axis=1) / 2
    model = dq.Model(n, [{"type": "dense", "weight": weight, "bias": bias}])
    x = np.full((1, n), 0.5)
    np.testing.assert_array_equal(dq.attack(model, x, [0], eps=[0.099, 0.15]).accuracy(), [1, 0])
    assert dq.attack(model, x, [0], eps=0.15, loss="margin", starts=10).accuracy() == [1]
    with pytest.raises(dq.errors.ParameterError):
        dq.attack(model, x, [0], eps=0.15, loss="hinge")


def test_a_pixel_outside_by_a_rounding_error_keeps_the_range(model, rng):
    x = rng.uniform(size=(4, 6)).astype(np.float32)
    x[0, 0] = -3e-8
    a = dq.attack(model, x, eps=0.5, keep_inputs=True)
    assert a.range == (0, 1) and "stay in [0.0, 1.0]" in repr(a)
    assert a.inputs.min() >= np.float64(x[0, 0]) and a.inputs.max() <= 1
    assert dq.attack(model, 2 * x, eps=0.5).range is None
    assert dq.attack(model, x, eps=0.5, range=(-1, 2)).range == (-1, 2)

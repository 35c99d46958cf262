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

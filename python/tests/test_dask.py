"""A cluster gives what one machine gives, bit for bit, whatever happens to its workers."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest

import dahlquist as dq

from conftest import mlp

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            client.wait_for_workers(2, timeout=120)
            yield client


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    model, _ = mlp(rng, sizes=(20, 64, 64, 5))
    # Two groups, and one that is not full.
    return model, rng.uniform(size=(2100, 20)).astype(np.float32), rng.integers(0, 5, 2100)


def same(a, b):
    for name in ("prediction", "radius"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert a.refusal == b.refusal and a.certificate([0.1]).to_json() == b.certificate([0.1]).to_json()


@pytest.mark.parametrize("semantics", ["exact", "executed"])
def test_certificates_are_those_of_one_machine(cluster, problem, semantics):
    model, x, y = problem
    sealed = model.seal(tighten=128)
    whole = sealed.certify(x, y, semantics=semantics)
    for at_once in (1024, 200, 1):
        same(dq.dask.certify(cluster, sealed, x, y, semantics=semantics, at_once=at_once), whole)


def test_local_radii_and_files(cluster, problem, tmp_path):
    model, x, y = problem
    x, y = x[:300], y[:300]
    same(dq.dask.certify(cluster, model.seal(), x, local=True), model.seal().certify(x, local=True))
    model.save(tmp_path / "net.safetensors")
    np.savez(tmp_path / "test.npz", x=x, y=y)
    found = dq.certify_distributed(cluster, tmp_path / "net.safetensors", tmp_path / "test.npz")
    same(found, model.seal().certify(x, y))
    assert dq.check(found.certificate(), model, x, y).verified


def test_attacks_and_searches_are_those_of_one_machine(cluster, problem):
    model, x, y = problem
    for labels in (y, None):
        options = {"eps": [0.05, 0.2], "steps": 5, "starts": 2, "seed": 4, "keep_inputs": True}
        one, many = model.attack(x, labels, **options), dq.dask.attack(cluster, model, x, labels, **options)
        for name in ("distance", "prediction", "inputs"):
            assert getattr(one, name).tobytes() == getattr(many, name).tobytes()
        assert one.clean_accuracy == many.clean_accuracy and (one.accuracy() == many.accuracy()).all()
    found = dq.dask.falsify(cluster, model, rounds=2, seeds=[1, 2])
    for seed, one in zip([1, 2], found):
        alone = model.seal().falsify(1e9, rounds=2, seed=seed)
        plain = lambda f: {**f.to_dict(), "seconds": 0}  # noqa: E731
        assert plain(one) == plain(alone)


def test_a_worker_that_is_killed_changes_nothing(cluster, problem, tmp_path):
    model, x, y = problem
    sealed = model.seal()
    whole = sealed.certify(x, y, local=True)
    before = set(cluster.scheduler_info()["workers"])
    folder = tmp_path / "parts"

    def kill():
        # In the middle: some pieces are in, and not all.
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list(folder.glob("*.npz")):
            time.sleep(0.01)
        os.kill(next(iter(cluster.cluster.workers.values())).pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    found = dq.dask.certify(cluster, sealed, x, y, local=True, folder=folder, at_once=64)
    thread.join()
    same(found, whole)
    deadline = time.monotonic() + 60
    while set(cluster.scheduler_info()["workers"]) == before:
        assert time.monotonic() < deadline, "no worker is gone"
        time.sleep(0.05)


def test_what_is_kept_is_not_done_again(cluster, problem, tmp_path, monkeypatch):
    model, x, y = problem
    sealed, folder = model.seal(), tmp_path / "parts"
    whole = dq.dask.certify(cluster, sealed, x, y, folder=folder, at_once=256)
    files = sorted(folder.iterdir())
    assert len(files) > 4
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:100])
    asked = []
    submit = cluster.submit
    monkeypatch.setattr(cluster, "submit", lambda *a, **k: (a[0] is bytes or asked.append(a), submit(*a, **k))[1])
    same(dq.dask.certify(cluster, sealed, x, y, folder=folder, at_once=256), whole)
    assert len(asked) == 2
    # Other samples are other work.
    dq.dask.certify(cluster, sealed, x + np.float32(0.25), y, folder=folder, at_once=1024)
    assert len(asked) == 5


def test_a_worker_that_rests_on_another_certificate_is_refused(cluster, problem):
    model, x, _ = problem
    sealed = model.seal()
    other = dq.Model._of(model._native).seal(norm_proof="tight")
    other._options = sealed._options
    assert json.loads(other._native.certificate_json()) != json.loads(sealed._native.certificate_json())
    with pytest.raises(dq.DahlquistError, match="versions differ"):
        dq.dask.certify(cluster, other, x)

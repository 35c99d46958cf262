"""Certificates: radii are those of the program and of the formula, files are checked, and what is forged is caught."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import dahlquist as dq

from conftest import mlp


@pytest.fixture
def linear():
    return dq.Model(2, [{"type": "dense", "weight": np.float64([[3, 4], [0, 0]])}])


def test_the_radius_of_a_linear_network_is_the_distance_of_the_boundary(linear):
    r = linear.seal().certify(np.array([[0.5, 0.5], [0, 0]]), [0, 1], semantics="exact")
    truth = 3.5 / 5
    assert truth * (1 - 1e-6) < r.radius[0] <= truth
    # A tie has no radius, and no class is proved.
    assert (r.radius[1], r.refusal[1]) == (0, "tie")
    np.testing.assert_array_equal(r.prediction, [0, -1])
    np.testing.assert_array_equal(r.correct, [True, False])
    assert (r.clean_accuracy, r.accuracy(0.5), r.accuracy(0.7)) == (0.5, 0.5, 0.0)
    np.testing.assert_array_equal(r.accuracy([0, 0.5, truth, 1]), [0.5, 0.5, 0, 0])


def test_a_radius_is_strict(linear):
    r = linear.seal().certify(np.array([[0.5, 0.5]]), [0], semantics="exact")
    assert r.accuracy(r.radius[0]) == 0.0
    assert r.accuracy(np.nextafter(r.radius[0], 0)) == 1.0


@pytest.mark.parametrize("semantics", ["exact", "executed"])
def test_quadratic_bounds_give_larger_radii(rng, semantics):
    model, _ = mlp(rng)
    x, y, sealed = rng.uniform(size=(6, 6)).astype(np.float32), rng.integers(0, 4, 6), model.seal()
    local = sealed.certify(x, y, semantics=semantics, local=True)
    r = sealed.certify(x, y, semantics=semantics, quadratic=True)
    assert r.local and (r.radius >= local.radius).all() and (r.radius > 1.02 * local.radius).any()
    assert dq.check(r.certificate(), model, x, y).verified
    middle = float(np.median(r.radius)) * 0.99
    decided = sealed.certify(x, y, semantics=semantics, decide=middle, quadratic=True)
    np.testing.assert_array_equal(decided.radius > middle, r.radius > middle)


@pytest.mark.parametrize("semantics", ["exact", "executed"])
def test_distances_are_decided_without_a_search(rng, semantics):
    model, _ = mlp(rng)
    x, y, sealed = rng.uniform(size=(60, 6)).astype(np.float32), rng.integers(0, 4, 60), model.seal()
    largest, plain = (sealed.certify(x, y, semantics=semantics, local=local) for local in (True, False))
    distances = np.quantile(largest.radius, [0.3, 0.7])
    r = sealed.certify(x, y, semantics=semantics, decide=distances)
    assert r.local and "local" in repr(r)
    for eps in distances:
        # The search for the largest radius ends within half a per cent of it.
        clear = np.abs(largest.radius - eps) > 0.006 * eps
        np.testing.assert_array_equal((r.radius > eps)[clear], (largest.radius > eps)[clear])
    assert (r.radius <= np.maximum(distances[1] * (1 + 2e-6), plain.radius)).all()
    assert dq.check(r.certificate(), model, x, y).verified
    with pytest.raises(dq.errors.ParameterError):
        sealed.certify(x, decide=-1.0)


@pytest.mark.parametrize("semantics", ["exact", "executed"])
@pytest.mark.parametrize("local", [False, True])
def test_python_and_the_program_say_the_same(tmp_path, rng, semantics, local):
    model, _ = mlp(rng)
    x, y = rng.uniform(size=(50, 6)).astype(np.float32), rng.integers(0, 4, 50).astype(np.int32)
    model.save(tmp_path / "net.safetensors")
    np.savez(tmp_path / "samples.npz", x=x, y=y)
    words = ["certify", "net.safetensors", "--data", "samples.npz", "--semantics", semantics, "--json", "r.json",
             "--certificate", "c.json", "--eps", "0.01", "0.1"] + ["--local"] * local
    done = subprocess.run([sys.executable, "-m", "dahlquist", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    program = json.loads((tmp_path / "r.json").read_text())
    sealed = model.seal()
    r = sealed.certify(x, y, semantics=semantics, local=local)
    assert r.radius.tolist() == [s["radius"] for s in program["samples"]]
    assert r.prediction.tolist() == [s["prediction"] for s in program["samples"]]
    assert r.clean_accuracy == program["clean_accuracy"]
    for row in program["certified_accuracy"]:
        assert r.accuracy(row["eps"]) == row["accuracy"]
    # The certificate is the same to the last character, but for what executes it.
    assert r.certificate([0.01, 0.1]) == dq.Certificate.load(tmp_path / "c.json")
    assert dq.check(tmp_path / "c.json", tmp_path / "net.safetensors", x, y).verified


def test_a_certificate_is_checked_and_a_forged_one_caught(tmp_path, model, rng):
    x, y = rng.uniform(size=(20, 6)).astype(np.float32), rng.integers(0, 4, 20)
    r = model.seal().certify(x, y)
    r.certificate().save(tmp_path / "cert.json")
    model.save(tmp_path / "net.safetensors")
    report = dq.check(tmp_path / "cert.json", tmp_path / "net.safetensors", x, y)
    assert report.verified and report and not report.failed and "VERIFIED" in repr(report)
    assert {f.verdict for f in report.findings} == {"proved", "recomputed"}

    honest = r.certificate().to_dict()
    forged = json.loads(json.dumps(honest))
    forged["samples"]["radii"][3] += 1.0
    assert not dq.check(forged, model, x, y) and dq.check(forged, model, x, y).failed
    forged = json.loads(json.dumps(honest))
    forged["network"]["claims"]["bound"] *= 1 - 1e-15
    assert dq.check(forged, model, lipschitz_only=True).failed
    # Samples that were not looked at are not verified.
    assert not dq.check(honest, model).verified
    assert dq.check(honest, model, lipschitz_only=True).verified
    # Other samples, other labels, another format.
    assert dq.check(honest, model, x + np.float32(0.01), y).failed
    assert dq.check(honest, model, x.astype(np.float64), y).failed
    assert dq.check(honest, model, x, (y + 1) % 4).failed
    with pytest.raises(dq.errors.FormatError):
        dq.check({"format": "dahlquist-certificate"}, model)
    assert dq.check(honest, mlp(np.random.default_rng(8))[0]).failed


def test_logits_of_any_order_are_within_their_bounds(rng):
    model, weights = mlp(rng, sizes=(30, 40, 5))
    x = rng.uniform(size=(20, 30)).astype(np.float32)
    logits, bounds = model.seal()._native.enclose(x)
    exact = x.astype(np.float64)
    for i, (w, b) in enumerate(weights):
        exact = exact @ w.T.astype(np.float64) + b
        exact = np.maximum(exact, 0) if i == 0 else exact
    # Double precision is a thousand times finer than these bounds.
    assert (np.abs(exact - logits) <= bounds).all() and (bounds > 0).all()
    largest = 0.0
    for _ in range(20):
        h = x
        for i, (w, b) in enumerate(weights):
            order = rng.permutation(w.shape[1])
            total = np.zeros((len(h), len(w)), np.float32)
            for j in order:
                total = total + h[:, j : j + 1] * w[:, j]
            h = np.maximum(total + b, 0) if i == 0 else total + b
        assert h.dtype == np.float32
        assert (np.abs(h.astype(np.float64) - logits) <= bounds).all()
        largest = max(largest, float((np.abs(h - exact) / bounds).max()))
    # They are not far too large either.
    assert largest > 1e-3


def test_labels_are_optional(model, rng):
    x = rng.uniform(size=(5, 6)).astype(np.float32)
    r = model.seal().certify(x)
    assert r.label is None and len(r) == 5 and "Certified" in repr(r)
    with pytest.raises(ValueError, match="no labels"):
        r.accuracy(0.1)
    assert dq.check(r.certificate(), model, x).verified
    claimed = r.certificate().to_dict()["samples"]
    assert "labels" not in claimed and "clean_accuracy" not in claimed


def test_bytes_are_pixels_and_are_charged_for_what_no_number_holds(rng):
    model = dq.Model(3, [{"type": "dense", "weight": np.eye(3)}])
    pixels = rng.integers(0, 256, size=(40, 3), dtype=np.uint8)
    sealed = model.seal()
    r, wide = sealed.certify(pixels), sealed.certify(pixels / 255.0)
    np.testing.assert_array_equal(r.prediction, wide.prediction)
    assert (r.radius <= wide.radius).all() and np.allclose(r.radius, wide.radius, atol=1e-7)
    np.testing.assert_array_equal(model.predict(pixels), pixels / 255.0)


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "uint32", "int64", "bool"])
def test_labels_of_any_integers(linear, kind):
    y = np.array([0, 1]).astype(kind)
    r = linear.seal().certify(np.array([[0.5, 0.5], [0.25, 0.5]]), y)
    assert r.correct.tolist() == [True, False]


@pytest.mark.parametrize(("y", "said"), [([0.0, 1.0], "float64"), ([0], "2 samples"), ([0, 2], "label"), ([0, -1], "label")])
def test_labels_that_make_no_sense(linear, y, said):
    with pytest.raises(ValueError, match=said):
        linear.seal().certify(np.array([[0.5, 0.5], [0, 1]]), y)


def test_samples_outside_of_the_range_of_pixels_are_named(linear):
    with pytest.warns(UserWarning, match=r"not in \[0, 1\]"):
        linear.seal().certify(np.array([[2.0, 0.5]]))


def test_radii_in_the_maximum_norm_and_in_a_range(rng):
    """f(x) = (x₁ + x₂, 0): the boundary is at (x₁ + x₂)/√2 in ℓ2, and at half of the sum in the maximum norm."""
    model = dq.Model(2, [{"type": "dense", "weight": np.float64([[1, 1], [0, 0]])}])
    sealed, x = model.seal(), np.float64([[0.5, 0.25]])
    r = sealed.certify(x, [0], norm="linf", semantics="exact")
    assert r.norm == "linf" and r.local and "maximum norm" in repr(r)
    assert 0.999 * 0.375 < r.radius[0] <= 0.375
    claimed = r.certificate([0.3])
    assert claimed.to_dict()["samples"]["within"] == {"norm": "linf"}
    assert dq.check(claimed, model, x, [0]).verified
    # Nothing in the range is on the other side.
    inside = sealed.certify(x, [0], norm="linf", range=(0.125, 1), semantics="exact")
    assert inside.range == (0.125, 1.0) and inside.radius[0] > 0.375 and "inputs in [0.125, 1.0]" in repr(inside)
    claimed = inside.certificate()
    assert claimed.to_dict()["samples"]["within"] == {"norm": "linf", "range": [0.125, 1.0]}
    assert dq.check(claimed, model, x, [0]).verified
    forged = dq.Certificate(claimed.to_json().replace("0.125", "0.0"))
    assert not dq.check(forged, model, x, [0]).verified
    for options in ({"norm": "l1"}, {"range": (1, 0)}, {"range": (0, np.inf)}):
        with pytest.raises(dq.errors.ParameterError):
            sealed.certify(x, **options)


def test_options_that_do_not_exist(model):
    for call in (lambda: model.seal(norm_proof="loose"), lambda: model.seal(summation="all"),
                 lambda: model.seal().certify(np.zeros((1, 6), np.float32), semantics="float")):
        with pytest.raises(dq.errors.ParameterError, match="one of"):
            call()


def test_tables_say_what_is_proved(model):
    sealed = model.seal()
    assert [row["rule"] for row in sealed.layers] == ["operator_norm", "slope", "operator_norm"]
    assert sealed.lipschitz <= np.prod([row["bound"] for row in sealed.layers]) * (1 + 1e-12)
    assert "Lipschitz constant" in repr(sealed) and "<table>" in sealed._repr_html_()
    certificate = sealed.certificate
    assert certificate.lipschitz == sealed.lipschitz
    assert certificate.rows()[0]["path"] == "network" and "operator_norm" in repr(certificate)
    deep, _ = mlp(np.random.default_rng(1), sizes=(6, 16, 16, 4))
    assert deep.seal(tighten=64).lipschitz < deep.seal().lipschitz
    assert "together" in repr(deep.seal(tighten=64))


def test_a_step_beyond_the_limit_of_its_method_has_a_constant(rng):
    w = rng.normal(size=(4, 4))
    field = dq.GradientField(w / np.linalg.norm(w, 2), activation="relu")
    assert field.model(method="rk4", h=1.9).seal().lipschitz == 1.0
    assert 1.0 <= field.model(method="three_eighths", h=1.9).seal().lipschitz < 2.0


def slow(rng):
    model, _ = mlp(rng, sizes=(64, 128, 128, 10))
    return model, rng.uniform(size=(6000, 64)).astype(np.float32)


def test_the_work_is_done_without_the_lock_of_python(rng):
    model, x = slow(rng)
    sealed, ticks, stop = model.seal(), [], threading.Event()

    def tick():
        while not stop.wait(0.001):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    sealed.certify(x)
    end = time.perf_counter()
    stop.set()
    thread.join()
    # The other thread ran in between; how often is the scheduler's business.
    assert sum(start < t < end for t in ticks) > 3


def test_control_c_is_answered(rng):
    model, x = slow(rng)
    sealed = model.seal()
    # The signal comes while the work goes on, whenever it begins.
    timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
    # A job in the background is started with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            for _ in range(1000):
                sealed.certify(x)
    finally:
        signal.signal(signal.SIGINT, before)
    # And the next call works.
    assert len(sealed.certify(x[:3])) == 3


def test_an_exception_of_a_progress_bar_ends_the_work(rng):
    model, x = slow(rng)

    def report(done):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        model.seal()._native.certify(x, None, (True, False, False, None, None, False), report)


def test_data_frames_and_tables(model, rng):
    x, y = rng.uniform(size=(30, 6)).astype(np.float32), rng.integers(0, 4, 30)
    r, a = model.seal().certify(x, y), model.attack(x, y, eps=[0.01, 0.1])
    table = dq.table(eps=[0.01, 36 / 255], plain_net=(r, a))
    latex = table.to_latex()
    assert r"plain\_net" in latex and "36/255" in latex and latex.count("&") == 10
    assert table.rows()[0][1] == r.clean_accuracy and table.rows()[0][-1] is None
    with pytest.raises(TypeError):
        dq.table(plain=3)
    pandas = pytest.importorskip("pandas")
    frame = r.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame.shape == (30, 5)
    assert table.to_pandas().loc["plain_net", "clean"] == r.clean_accuracy


def test_one_output_is_one_class():
    first = {"type": "dense", "weight": np.float32([[3, 4]]), "bias": np.float32([-5])}
    x = np.float32([[0.1, 0.2], [1, 1]])
    with pytest.warns(UserWarning, match="one output"):
        dq.Model(2, [first]).seal().certify(x)
    r = dq.Model(2, [first, {"type": "dense", "weight": np.float32([[0], [1]])}]).seal().certify(x, semantics="exact")
    assert r.prediction.tolist() == [0, 1] and (np.abs(r.radius - [3.9 / 5, 2 / 5]) < 1e-6).all()


def test_what_is_printed_is_a_bound():
    # To the nearest six digits it would be 0.333333, and the radius 0.500001.
    sealed = dq.Model(1, [{"type": "dense", "weight": np.float64([[1 / 3]])}, {"type": "dense", "weight": np.eye(1)}]).seal()
    assert sealed.lipschitz >= 1 / 3
    assert str(sealed).count("0.333334") == 3 and "0.333333" not in str(sealed)
    classes = dq.Model(1, [{"type": "dense", "weight": np.float64([[2], [0]])}]).seal()
    r = classes.certify(np.array([[0.5000006]]), semantics="exact")
    assert r.radius[0] < 0.5000006 and "median radius 0.5" in str(r) and "0.500001" not in str(r)

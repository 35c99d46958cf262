"""VNN-LIB: what is answered is true, and what is not understood is refused."""

import gzip

import numpy as np
import pytest

import dahlquist as dq
from dahlquist._vnnlib import Region, _norm_up, refuter
from dahlquist._vnnlib_file import Comparison, read

from conftest import mlp

DECLARED = "; a comment\n" + "".join(f"(declare-const X_{i} Real)\n" for i in range(2)) + (
    "".join(f"(declare-const Y_{j} Real)\n" for j in range(3))
)


def box(lower, upper):
    return "".join(f"(assert (>= X_{i} {a}))\n(assert (<= X_{i} {b}))\n" for i, (a, b) in enumerate(zip(lower, upper)))


@pytest.fixture
def ask(tmp_path):
    def run(model, text, **options):
        path = tmp_path / "prop.vnnlib"
        path.write_text(DECLARED + text)
        return dq.vnnlib(model, path, **options)

    return run


@pytest.fixture
def identity():
    """The logits x_0, x_1 and 1/2, with a layer that cannot switch for positive inputs."""
    return dq.Model(2, [
        {"type": "dense", "weight": np.eye(2, dtype=np.float32)}, {"type": "activation", "function": "relu"},
        {"type": "dense", "weight": np.float32([[1, 0], [0, 1], [0, 0]]), "bias": np.float32([0, 0, 0.5])},
    ])


def test_a_robust_box_and_one_that_is_not(ask, identity):
    robust = "(assert (or (and (>= Y_1 Y_0)) (and (>= Y_2 Y_0))))"
    found = ask(identity, box((0.8, 0.1), (1.0, 0.3)) + robust)
    assert found.result == "unsat" and found.point is None and found.to_text() == "unsat\n"
    found = ask(identity, box((0.4, 0.1), (1.0, 0.3)) + robust)
    assert found.result == "sat"
    assert 0.4 <= found.point[0] <= 0.5 and np.float32(0.1) <= found.point[1] <= 0.3
    assert found.output[2] >= found.output[0]
    assert found.to_text().startswith("sat\n((X_0 ") and "(Y_2 0.5)" in found.to_text()


def test_comparisons_with_numbers_and_conjunctions(ask, identity):
    inside = box((0.25, 0.25), (0.75, 0.75))
    assert ask(identity, inside + "(assert (>= Y_0 0.8))").result == "unsat"
    assert ask(identity, inside + "(assert (<= 0.75 Y_0))").result == "sat"
    # One comparison alone may hold: only both together cannot.
    both = "(assert (<= Y_0 0.4))(assert (>= Y_0 0.6))"
    assert ask(identity, inside + both).result == "unsat"
    assert ask(identity, inside + "(assert (<= Y_0 0.4))(assert (>= Y_1 0.6))").result == "sat"
    # Cases of inputs.
    cases = "(assert (or (and (<= X_0 0.3) (>= Y_0 0.31)) (and (>= X_0 0.7) (<= Y_0 0.69))))"
    assert ask(identity, inside + cases).result == "unsat"
    # A box without a point, and a property that asks nothing of outputs.
    assert ask(identity, box((0.5, 0.5), (0.4, 0.6)) + "(assert (<= Y_0 1e3))").result == "unsat"


def test_the_ends_of_intervals_count(ask):
    model = dq.Model(2, [{"type": "dense", "weight": np.float32([[1, 0], [0, 1], [0, 0]])}])
    assert ask(model, box((0.5, 0), (1, 0)) + "(assert (<= Y_0 0.5))").result == "sat"
    below = float(np.nextafter(0.5, 0))
    assert ask(model, box((0.5, 0), (1, 0)) + f"(assert (<= Y_0 {below!r}))").result != "sat"
    assert ask(model, box((0.5, 0), (1, 0)) + "(assert (<= Y_0 0.49))").result == "unsat"


def test_boxes_of_few_inputs_are_halved(ask, rng):
    model, _ = mlp(rng, sizes=(2, 16, 3))
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 201)] * 2), -1).reshape(-1, 2).astype(np.float32)
    largest = float(model.predict(grid)[:, 0].max())
    beyond = box((-1, -1), (1, 1)) + f"(assert (>= Y_0 {largest + 0.1}))"
    assert ask(model, beyond, regions=1).result == "unknown"
    found = ask(model, beyond)
    assert found.result == "unsat" and found.regions > 1
    reached = ask(model, box((-1, -1), (1, 1)) + f"(assert (>= Y_0 {largest - 0.01}))")
    assert reached.result == "sat" and reached.output[0] >= largest - 0.01


def test_balls(ask, identity):
    ball = lambda r: f"(assert (<= (norm2 (- X_0 0.9) (- X_1 0.2)) {r}))(assert (or (>= Y_1 Y_0) (>= Y_2 Y_0)))"  # noqa: E731
    assert ask(identity, ball(0.39)).result == "unsat"
    found = ask(identity, ball(0.45))
    assert found.result == "sat" and np.hypot(*(found.point.astype(float) - [0.9, 0.2])) <= 0.45


@pytest.mark.parametrize(("text", "line", "said"), [
    ("(assert (< Y_0 Y_1))", 7, "<"),
    ("(assert (<= (+ Y_0 Y_1) 1))", 7, r"\+"),
    ("(assert (<= X_0 X_1))", 7, "comparisons are of"),
    ("(assert (<= X_0 Y_1))", 7, "comparisons are of"),
    ("\n(assert (<= X_7 1))", 8, "X_7"),
    ("(assert (not (<= X_0 1)))", 7, "neither and"),
    ("(declare-const X_0 Real)", 7, "twice"),
    ("(declare-const X_9 Int)", 7, "X_9"),
    ("(assert-soft (<= X_0 1))", 7, "assert-soft"),
    ("(assert (<= X_0 1)", 7, "never closed"),
    ("(assert (<= X_0 1)))", 7, "never opened"),
    ("(assert (<= X_0 1/2))", 7, "1/2"),
    ("(assert (<= X_0 nan))", 7, "nan"),
    ("(assert (<= (norm2 (- X_0 1) (- X_0 2)) 1))", 7, "each input once"),
    ("(assert (and))", 7, "and"),
])
def test_what_is_not_understood_is_named_with_its_line(ask, identity, text, line, said):
    with pytest.raises(dq.errors.FormatError, match=f"prop.vnnlib, line {line}: .*{said}"):
        ask(identity, text)


def test_files_that_are_about_another_network(ask, identity, rng):
    with pytest.raises(dq.errors.FormatError, match="X_1 has no"):
        ask(identity, "(assert (<= X_0 1))(assert (>= X_0 0))(assert (<= Y_0 1))")
    with pytest.raises(dq.errors.FormatError, match="without other bounds"):
        ask(identity, "(assert (<= X_0 1))(assert (<= (norm2 (- X_0 1) (- X_1 2)) 1))")
    with pytest.raises(dq.errors.ShapeError, match="2 inputs and 3 outputs"):
        ask(mlp(rng)[0], box((0, 0), (1, 1)) + "(assert (<= Y_0 1))")
    many = " ".join(f"(or (<= Y_0 {i}) (<= Y_1 {i}))" for i in range(20))
    with pytest.raises(dq.errors.FormatError, match="cases"):
        ask(identity, f"(assert (and {many}))")


def test_the_largest_of_several_comparisons_is_a_network(rng):
    model, _ = mlp(rng, sizes=(4, 6, 5))
    x = rng.normal(size=(50, 4))
    y = model.predict(x).astype(np.float64)
    for count in (1, 2, 3, 5):
        rows = rng.integers(-1, 2, size=(count, 5))
        constants = rng.normal(size=count)
        comparisons = [Comparison({j: int(c) for j, c in enumerate(row)}, read_number(d)) for row, d in zip(rows, constants)]
        found = refuter(model, comparisons).predict(x)
        np.testing.assert_array_equal(found[:, 0], 0)
        np.testing.assert_allclose(found[:, 1], (y @ rows.T - constants).max(1), rtol=1e-5, atol=1e-5)


def read_number(x):
    from fractions import Fraction

    return Fraction(float(x))


def test_a_ball_holds_its_box(rng):
    from fractions import Fraction

    for _ in range(50):
        n = int(rng.integers(1, 20))
        a, b = np.sort(rng.normal(size=(2, n)) * 10.0 ** rng.integers(-200, 100), axis=0)
        centre, radius = Region(a, b).cover()
        corner = sum(max(Fraction(u) - Fraction(c), Fraction(c) - Fraction(l)) ** 2 for l, u, c in zip(a, b, centre))
        assert corner <= Fraction(radius) ** 2
        # And not by much.
        assert radius <= np.linalg.norm((b - a) / 2) * (1 + 1e-9) or radius < 1e-150
        left, right = Region(a, b).halves()
        assert (left.lower == a).all() and (right.upper == b).all() and ((left.upper == right.lower).sum() >= 1)
    v = rng.uniform(size=1000)
    assert Fraction(_norm_up(v)) ** 2 >= sum(Fraction(x) ** 2 for x in v)


def test_cases_are_those_of_the_formula():
    text = DECLARED + box((0, 0), (1, 1)) + "(assert (or (and (<= X_0 0.5) (<= Y_0 Y_1)) (>= Y_2 (- 1.5))))"
    found = read(text, "p")
    assert (found.inputs, found.outputs, len(found.cases)) == (2, 3, 2)
    first, second = found.cases
    assert first.upper[0] == read_number(0.5) and second.upper[0] == 1
    assert first.comparisons == [Comparison({0: 1, 1: -1}, 0)]
    assert second.comparisons == [Comparison({2: -1}, read_number(1.5))]


def test_a_network_in_single_precision_is_answered_for_as_it_is(tmp_path):
    """Its slope is not 0.1, but that rounded; the steps of a horizon are as many and as long as single precision has them."""
    one = np.float32([[1]])
    leaky = dq.Model(1, [{"type": "activation", "function": "leaky_relu", "slope": 0.1}, {"type": "dense", "weight": one}])
    weight = np.float32([[1.05]])
    gradient = {"type": "gradient", "activation": {"function": "identity"}, "operator": {"type": "dense", "weight": weight}}
    # In double precision one step of this length is within the limit, and in single precision it is rounded beyond it.
    horizon = 2 / float(weight[0, 0]) ** 2 * (1 - 1e-14)
    assert float(np.float32(horizon)) > 2 / float(weight[0, 0]) ** 2
    flow = dq.Model(1, [{"type": "flow", "method": "euler", "horizon": horizon, "field": gradient},
                        {"type": "dense", "weight": one}])
    for model, at, bound in ((leaky, "-1.0", "(<= Y_0 -0.100000001)"), (flow, "1.0", "(>= Y_0 -0.5)")):
        path = tmp_path / "one.vnnlib"
        path.write_text("(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
                        f"(assert (>= X_0 {at}))\n(assert (<= X_0 {at}))\n(assert {bound})\n")
        assert dq.vnnlib(model, path).result == "sat"


def test_a_widened_network_computes_the_same():
    weight = np.float32([[0.7, -0.3], [0.2, 1.1]])
    layers = [
        {"type": "normalize", "mean": [0.1, 0.2], "std": [0.3, 0.7]},
        {"type": "activation", "function": "elu", "alpha": 0.3},
        {"type": "flow", "method": "heun", "step": 0.1, "steps": 2, "field":
            {"type": "gradient", "activation": {"function": "leaky_relu", "slope": 0.1},
             "operator": {"type": "dense", "weight": weight}}},
        {"type": "activation", "function": "hardtanh", "min": -0.9, "max": 0.7},
    ]
    model = dq.Model(2, layers)
    wide = dq.Model._of(model._native.widened())
    assert wide.dtype == np.float64 and model.dtype == np.float32
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    # Constants that are rounded otherwise are off by 1e-8 and more; values in single precision are compared with both.
    other = dq.Model(2, model.architecture["layers"], {k: t.astype(np.float64) for k, t in model.tensors.items()})
    assert np.abs(wide.predict(x) - other.predict(x)).max() > 1e-9
    assert [layer["step"] for layer in wide.architecture["layers"] if "step" in layer] == [float(np.float32(0.1))]
    assert wide.architecture["layers"][0]["mean"] == [float(np.float32(0.1)), float(np.float32(0.2))]
    assert wide.seal().lipschitz == pytest.approx(model.seal().lipschitz, rel=1e-12)


def test_files_as_people_have_them(tmp_path, rng):
    model, _ = mlp(rng, (2, 4, 3))
    text = "\ufeff" + DECLARED + box((0, 0), (1, 1)) + "(assert (<= Y_0 -1e6))(check-sat)(get-model)"
    (tmp_path / "p.vnnlib").write_text(text, encoding="utf-8")
    (tmp_path / "p.vnnlib.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("p.vnnlib", "p.vnnlib.gz"):
        assert dq.vnnlib(model, tmp_path / name).result == "unsat"
    (tmp_path / "binary").write_bytes(b"\x1f\x8b\x08 and no more")
    with pytest.raises(dq.errors.FormatError, match="no text"):
        dq.vnnlib(model, tmp_path / "binary")
    with pytest.raises(dq.errors.FormatError, match="line 7: -1e400: this number is beyond"):
        read(DECLARED + "(assert (>= X_0 -1e400))", "p")
    with pytest.raises(FileNotFoundError, match="nothing.onnx"):
        dq.vnnlib(str(tmp_path / "nothing.onnx"), tmp_path / "p.vnnlib")


def test_points_of_sat_are_in_the_box_exactly(tmp_path):
    """Bounds that differ in double precision from a number of single precision, or are next to none."""
    model = dq.Model(1, [{"type": "dense", "weight": np.float32([[1]])}])

    def answer(low, high, output):
        path = tmp_path / "p.vnnlib"
        path.write_text("(declare-const X_0 Real)\n(declare-const Y_0 Real)\n"
                        f"(assert (>= X_0 {low}))(assert (<= X_0 {high}))(assert {output})\n")
        return dq.vnnlib(model, path).result

    assert answer("0.5", "1", "(<= Y_0 0.5)") == "sat"
    assert answer("0.5", "0.5", "(<= Y_0 0.5)") == "sat"
    for low, high, output in [
        ("0.5000000000000000001", "1", "(<= Y_0 0.5)"), ("0.5000000000000000001", "0.5000000000000000002", "(<= Y_0 0.5)"),
        ("0.1", "0.1", "(<= Y_0 0.099999995)"), ("0.1", "0.1", "(>= Y_0 0.100000001)"), ("3.45e38", "3.45e38", "(<= Y_0 3.5e38)"),
        ("1e-46", "1e-46", "(<= Y_0 0)"),
    ]:
        assert answer(low, high, output) != "sat", (low, high, output)


def test_files_that_are_too_deep_or_too_long_are_refused():
    for text in ("(assert " + "(and " * 3000 + "(<= Y_0 -2.0)" + ")" * 3001, "(" * 100_000 + ")" * 100_000,
                 "(assert (<= Y_0 " + "(- " * 2001 + "2.0" + ")" * 2003):
        with pytest.raises(dq.errors.FormatError, match="inside each other"):
            read(DECLARED + text, "p")
    for word in ("-2." + "0" * 5000 + "1", "Y_" + "0" * 5000):
        with pytest.raises(dq.errors.FormatError, match="characters"):
            read(DECLARED + f"(assert (<= Y_0 {word}))", "p")
    with pytest.raises(dq.errors.FormatError, match="neither a number"):
        read(DECLARED + "(assert (<= Y_0 -\u0662.0))", "p")


@pytest.mark.parametrize("shape", [(8,), (2, 2, 2)])
def test_a_box_of_many_inputs_is_refuted_as_one(tmp_path, rng, shape):
    first = [{"type": "flatten"}] if len(shape) > 1 else []
    model = dq.Model(shape, [
        *first,
        {"type": "dense", "weight": rng.normal(size=(12, 8)).astype(np.float32), "bias": rng.normal(size=12).astype(np.float32)},
        {"type": "activation", "function": "relu"},
        {"type": "dense", "weight": rng.normal(size=(2, 12)).astype(np.float32)},
    ])
    x, sealed = rng.uniform(size=(1, 8)).astype(np.float32), model.seal()
    shaped = x.reshape(1, *shape)
    linear = sealed.certify(shaped, norm="linf", semantics="exact", local=True)
    r = sealed.certify(shaped, norm="linf", semantics="exact", quadratic=True)
    eps = 0.98 * float(r.radius[0])
    # Neither lines nor the ball around the box prove it.
    assert eps > linear.radius[0]
    assert not sealed.certify(shaped, semantics="exact", quadratic=True).radius[0] > eps * np.sqrt(8)
    declared = "".join(f"(declare-const X_{i} Real)\n" for i in range(8)) + "(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n"
    label = int(r.prediction[0])
    path = tmp_path / "prop.vnnlib"

    def ask(sides):
        path.write_text(declared + box(x[0] - sides, x[0] + sides) + f"(assert (>= Y_{1 - label} Y_{label}))")
        return dq.vnnlib(model, path, regions=1)

    found = ask(np.full(8, eps))
    assert found.result == "unsat" and found.regions == 1
    # One input moves far and the others hardly: sides have lengths of their own.
    sides = np.full(8, 0.01 * eps)
    sides[int(np.argmin(np.abs(model.tensors[list(model.tensors)[0]]).sum(0)))] = 1.5 * eps
    assert ask(sides).result == "unsat"
    assert ask(np.full(8, 40 * eps)).result == "sat"

"""What from_onnx reads is compared with the reference implementation of ONNX."""

import numpy as np
import pytest

import dahlquist as dq

onnx = pytest.importorskip("onnx")
from onnx import TensorProto  # noqa: E402

from dahlquist.importers import _activations, _onnx_ops, _onnx_reference, _onnx_verify  # noqa: E402

from test_onnx import Graph, normal  # noqa: E402


def small(rng, **options):
    g = Graph(4, **options)
    kind = {TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64}.get(g.kind, np.float32)
    g("Gemm", normal(rng, 4, 6).astype(kind), normal(rng, 6).astype(kind))
    g("Relu")
    g("Gemm", normal(rng, 6, 3).astype(kind))
    return g


def test_another_function_is_refused(rng, monkeypatch):
    g = small(rng)
    dq.from_onnx(g.model())
    monkeypatch.setitem(_onnx_ops.OPERATORS, "Relu", lambda inputs, a, **_: _activations.activation(inputs[0], "abs"))
    with pytest.raises(dq.UnsupportedError, match="the network: what was read of it computes other logits .* verify=False"):
        dq.from_onnx(g.model())
    assert dq.from_onnx(g.model(), verify=False).output_shape == (3,)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE])
def test_rounding_is_no_reason_to_refuse(rng, kind, monkeypatch):
    g = small(rng, kind=kind)
    narrow = {TensorProto.FLOAT16: np.float16, TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64}[kind]
    # The graph rounds to multiples of the last place of a large number, which the folded normalization takes off.
    large, ones = np.full(3, 3e4 if kind == TensorProto.FLOAT16 else 3e5, narrow), np.ones(3, narrow)
    g("Gemm", np.eye(3, dtype=narrow), large)
    g("BatchNormalization", ones, 0 * ones, large, ones)
    looked = []
    distance = _onnx_verify.distance_of
    monkeypatch.setattr(_onnx_verify, "distance_of", lambda *pair: looked.append(distance(*pair)) or looked[-1])
    dq.from_onnx(g.model())
    # Half and single precision differ by more than is accepted, and are looked at again.
    assert len(looked) == (1 if kind == TensorProto.DOUBLE else 2) and looked[-1] <= _onnx_verify.TOLERANCE


def test_what_is_not_compared_is_said(rng, monkeypatch):
    g = small(rng)
    monkeypatch.setattr(_onnx_verify, "MOST_WORK", 83)
    with pytest.warns(UserWarning, match=r"without a comparison of logits: it needs about 8.4e\+01 multiplications"):
        dq.from_onnx(g.model())
    monkeypatch.setattr(_onnx_verify, "MOST_WORK", 84)

    class Lacks:
        def __init__(self, model, **options):
            raise NotImplementedError("no Relu")

    monkeypatch.setattr("onnx.reference.ReferenceEvaluator", Lacks)
    with pytest.warns(UserWarning, match="does not run it: NotImplementedError: no Relu; verify=False leaves it out"):
        model = dq.from_onnx(g.model())
    assert model.sha256 == dq.from_onnx(g.model(), verify=False).sha256


def test_work_is_counted_once(rng):
    g = Graph(2, 8, 8)
    first = g("Conv", normal(rng, 3, 2, 3, 3))
    g("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    g("Flatten")
    second = g("Gemm", normal(rng, 27, 5))
    g("Add", second)
    from dahlquist.importers._onnx import read_onnx

    assert first != second
    assert read_onnx(g.model(), None)[2]["work"] == 54 * 36 + 27 * 4 + 27 * 5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_graphs_for_a_number_of_samples(rng, batch):
    g = Graph(2, 3, 3)
    g("Conv", normal(rng, 3, 2, 3, 3))
    # Written for one sample, or for as many as there are.
    g("Reshape", np.int64([batch or 1, 3]))
    g("Gemm", normal(rng, 3, 2))
    model = g.model()
    if batch:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    assert dq.from_onnx(model).output_shape == (2,)


@pytest.mark.filterwarnings("error")
def test_samples_are_given_as_the_graph_takes_them(rng):
    g = Graph(3, 5)
    g("Conv", normal(rng, 4, 3, 2))
    g("Flatten")
    assert dq.from_onnx(g.model(), normalize=((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))).output_shape == (16,)
    g = Graph(32)
    g("Reshape", np.int64([-1, 2, 4, 4]))
    g("Conv", normal(rng, 3, 2, 3, 3))
    g("Flatten")
    assert dq.from_onnx(g.model()).input_shape == (2, 4, 4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("opset", [7, 9, 13, 15])
def test_what_the_reference_implementation_computes_otherwise(rng, opset):
    # A normalization with a momentum, zeros before opset 11, the largest of a sequence, padding of two axes that differs.
    g = Graph(2, 6, opset=opset)
    g("BatchNormalization", normal(rng, 2), normal(rng, 2), normal(rng, 2), np.abs(normal(rng, 2)) + 0.5, momentum=0.9)
    pads = [0, 0, 1, 0, 0, 2]
    g("Pad", np.int64(pads)) if opset >= 11 else g("Pad", pads=pads)
    g("MaxPool", kernel_shape=[2], strides=[1])
    g("GlobalMaxPool")
    assert [layer["type"] for layer in dq.from_onnx(g.model()).architecture["layers"]][0] == "channel_affine"
    g = Graph(2, 6, 5, opset=opset)
    g("MaxPool", kernel_shape=[3, 3], strides=[2, 1], pads=[1, 0, 1, 0])
    g("AveragePool", kernel_shape=[2, 3], pads=[0, 1, 0, 1], count_include_pad=1)
    dq.from_onnx(g.model())


def test_operators_of_its_own_are_those_of_the_standard():
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    run = lambda kind, **options: kind._run(None, x, **options)[0][0, 0].tolist()  # noqa: E731
    _, largest, mean, most, pad = _onnx_reference.OPERATORS
    assert run(largest, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 0, 0, 0]) == [[1, 3], [9, 11]]
    assert run(largest, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_LOWER") == [[1, 3], [9, 11]]
    assert run(largest, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER") == [[5, 7], [9, 11]]
    assert run(mean, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 0], ceil_mode=1) == [[2.5, 4.5], [8.5, 10.5]]
    assert run(mean, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 0], count_include_pad=1) == [[2.5, 4.5], [4.25, 5.25]]
    assert run(most) == [[11]] and run(pad, pads=[0, 0, 0, 1, 0, 0, 0, 0], value=np.float32([7]))[0] == [7, 0, 1, 2, 3]
    for options in ({"ceil_mode": 1}, {"dilations": [1, 2]}):
        with pytest.raises(NotImplementedError):
            run(largest, kernel_shape=[2, 2], strides=[2, 1], **options)

"""ONNX files, compared with the reference implementation of the package onnx."""

import numpy as np
import pytest

import dahlquist as dq

from conftest import needs

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402


class Graph:
    """An ONNX graph, node by node."""

    def __init__(self, *shape, opset=18):
        self.shape, self.opset, self.nodes, self.constants, self.last = shape, opset, [], [], "x"

    def __call__(self, op, *inputs, x=None, outputs=1, **attributes):
        names: list[str] = []
        for value in [self.last if x is None else x, *inputs]:
            if isinstance(value, str):
                names.append(value)
            elif value is None:
                names.append("")
            else:
                names.append(f"c{len(self.constants)}")
                self.constants.append(numpy_helper.from_array(np.asarray(value), names[-1]))
        self.last = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [self.last], name=f"/{op}_{len(self.nodes)}", **attributes))
        return self.last

    def model(self):
        graph = helper.make_graph(
            self.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *self.shape])],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)], self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])

    def agrees(self, rng):
        x = rng.normal(size=(3, *self.shape)).astype(np.float32)
        (expected,) = ReferenceEvaluator(self.model()).run(None, {"x": x})
        model = dq.from_onnx(self.model())
        found = model.predict(x if len(self.shape) != 2 else x[:, :, None]).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        return model


def normal(rng, *shape):
    return (rng.normal(size=shape) / 2).astype(np.float32)


def test_dense_layers_in_all_their_forms(rng, tmp_path):
    g = Graph(2, 3)
    g("Flatten")
    g("Gemm", normal(rng, 5, 6), normal(rng, 5), transB=1)
    g("Relu")
    g("MatMul", normal(rng, 5, 4))
    g("Add", normal(rng, 4))
    g("Dropout")
    g("LeakyRelu", alpha=0.25)
    g("Gemm", normal(rng, 4, 3), normal(rng, 1, 3), alpha=0.5, beta=2.0)
    model = g.agrees(rng)
    assert [layer["type"] for layer in model.architecture["layers"]] == [
        "flatten", "dense", "activation", "dense", "activation", "dense"
    ]
    onnx.save(g.model(), tmp_path / "net.onnx")
    assert dq.from_onnx(tmp_path / "net.onnx").sha256 == model.sha256
    assert dq.from_onnx(g.model().SerializeToString()).sha256 == model.sha256


def test_convolutions_skips_and_pools(rng):
    g = Graph(2, 8, 8)
    start = g("Conv", normal(rng, 4, 2, 3, 3), normal(rng, 4), pads=[1, 1, 1, 1])
    mean, var = normal(rng, 4), np.abs(normal(rng, 4)) + 0.5
    g("BatchNormalization", normal(rng, 4), normal(rng, 4), mean, var)
    skip = g("Relu")
    g("Conv", normal(rng, 4, 4, 3, 3), auto_pad="SAME_UPPER")
    g("Tanh")
    g("Add", skip)
    g("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    g("GlobalAveragePool")
    g("Reshape", np.int64([0, -1]))
    g("Gemm", normal(rng, 4, 3))
    model = g.agrees(rng)
    # The normalization is part of the convolution.
    assert [layer["type"] for layer in model.architecture["layers"]] == [
        "conv2d", "activation", "sum", "avg_pool", "global_avg_pool", "dense"
    ]
    assert start == "v0"


@needs("max_pool", "overlapping_pool", "channel_affine")
def test_normalization_of_its_own_and_max_pools(rng):
    g = Graph(2, 8, 8)
    first = g("Conv", normal(rng, 2, 2, 1, 1))
    g("BatchNormalization", normal(rng, 2), normal(rng, 2), normal(rng, 2), np.abs(normal(rng, 2)) + 0.5)
    g("Sub", first)
    g("Mul", np.float32(0.5))
    g("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    g("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    g("ReduceMean", np.int64([2, 3]), keepdims=0)
    g.agrees(rng)


@needs("channel_affine")
def test_constants_on_either_side(rng):
    g = Graph(3)
    g("Sub", "x", x=normal(rng, 3))
    g("Mul", g.last, x=normal(rng, 3))
    g("Sub", normal(rng, 3))
    g("Div", np.float32([1, 2, 4]))
    g("Gemm", normal(rng, 3, 2))
    g.agrees(rng)


@needs("groups", "dilation", "oblong")
def test_convolutions_of_every_kind(rng):
    g = Graph(4, 9, 9)
    g("Conv", normal(rng, 4, 1, 3, 3), group=4, pads=[1, 1, 1, 1])
    g("Conv", normal(rng, 4, 4, 3, 3), dilations=[2, 2], pads=[2, 2, 2, 2])
    g("Conv", normal(rng, 2, 4, 1, 3), strides=[1, 2])
    g.agrees(rng)


@needs("silu", "elu", "hardtanh", "hardtanh_bounds")
def test_smooth_activations(rng):
    g = Graph(5)
    gate = g("Sigmoid")
    g("Mul", gate, x="x")
    g("Elu")
    g("Clip", np.float32(-1), np.float32(1))
    g("Clip", np.float32(0), np.float32(6))
    model = g.agrees(rng)
    assert [layer["function"] for layer in model.architecture["layers"]] == ["silu", "elu", "hardtanh", "hardtanh"]


@needs("oblong")
def test_one_axis(rng):
    g = Graph(3, 10)
    g("Conv", normal(rng, 4, 3, 3), pads=[1, 1])
    g("Relu")
    g("Flatten")
    g("Gemm", normal(rng, 40, 2))
    g.agrees(rng)


def test_everything_that_it_cannot_take_is_listed(rng):
    g = Graph(4, 8)
    g("Softmax")
    g("Erf")
    g("LayerNormalization", normal(rng, 8))
    with pytest.raises(dq.UnsupportedError) as refusal:
        dq.from_onnx(g.model())
    assert [place for place, _ in refusal.value.problems] == ["/Softmax_0", "/Erf_1", "/LayerNormalization_2"]
    assert "margins are measured on the logits" in str(refusal.value)
    with pytest.raises(dq.errors.FormatError, match="no ONNX model"):
        dq.from_onnx(b"PK\x03\x04 this is none")


def test_padding_that_differs_from_side_to_side_is_refused(rng):
    g = Graph(1, 4, 4)
    g("Conv", normal(rng, 1, 1, 2, 2), pads=[0, 0, 1, 1])
    with pytest.raises(dq.UnsupportedError, match="differ from side to side"):
        dq.from_onnx(g.model())

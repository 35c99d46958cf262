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

    def __init__(self, *shape, opset=18, kind=TensorProto.FLOAT):
        self.kind, self.shape, self.opset, self.nodes, self.constants, self.last = kind, shape, opset, [], [], "x"

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
            self.nodes, "g", [helper.make_tensor_value_info("x", self.kind, ["batch", *self.shape])],
            [helper.make_tensor_value_info(self.last, self.kind, None)], self.constants,
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
    g("Softsign")
    g("LayerNormalization", normal(rng, 8))
    with pytest.raises(dq.UnsupportedError) as refusal:
        dq.from_onnx(g.model())
    assert [place for place, _ in refusal.value.problems] == ["/Softmax_0", "/Softsign_1", "/LayerNormalization_2"]
    assert all(said in str(refusal.value) for said in ("margins are measured on the logits", "Softsign: no slope", "train with BatchNorm"))
    with pytest.raises(dq.errors.FormatError, match="no ONNX model"):
        dq.from_onnx(b"PK\x03\x04 this is none")


def test_padding_of_every_kind(rng):
    g = Graph(2, 8, 8)
    g("Conv", normal(rng, 3, 2, 2, 2), pads=[0, 0, 1, 2])
    g("Conv", normal(rng, 3, 3, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2])
    g("Conv", normal(rng, 2, 3, 4, 4), auto_pad="SAME_LOWER")
    g("Pad", np.int64([0, 0, 1, 1, 0, 0, 1, 1]), np.float32(0))
    g("Conv", normal(rng, 2, 2, 3, 3), pads=[1, 1, 1, 1])
    g("Pad", np.int64([0, 0, 0, 2, 0, 0, 1, 0]))
    g("Flatten")
    model = g.agrees(rng)
    # Zeros on both sides are those of the convolution behind them.
    assert model.architecture["layers"][6]["padding"] == [2, 2]
    for options in ({"value": 1.0}, {"mode": "reflect"}):
        g = Graph(1, 4, 4, opset=10)
        g("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1], **options)
        refused(g, "zeros around")
    g = Graph(1, 4, 4)
    g("MaxPool", kernel_shape=[2, 2], pads=[0, 0, 1, 1])
    refused(g, "one side more than the other")


def refused(g, said):
    with pytest.raises(dq.UnsupportedError, match=said):
        dq.from_onnx(g.model())


def test_what_would_be_another_function_is_refused(rng):
    g = Graph(3)
    g("Cast", to=TensorProto.INT32)
    g("Cast", to=TensorProto.FLOAT)
    refused(g, "/Cast_0: a conversion to INT32, which rounds")
    g = Graph(2, 8, 8, opset=19)
    g("AveragePool", kernel_shape=[2, 2], dilations=[2, 2])
    refused(g, "dilations")
    g = Graph(3)
    g("Dropout", np.float32(0.5), np.bool_(True))
    refused(g, "training mode")
    for shape in ((3, 1), (3, 4)):
        g = Graph(3)
        g("Gemm", normal(rng, 3, 4), normal(rng, *shape))
        refused(g, "differ from sample to sample")
    g = Graph(3)
    g("Mul", np.float32(0.7))
    refused_part = g("Erf")
    g("Add", refused_part, x="x")
    refused(g, "part of GELU alone")


def test_reshapes_that_mix_samples_are_refused(rng):
    for batch, shape in ((2, [24, -1]), (2, [1, -1]), (0, [2, -1]), (4, [-1, 12]), (0, [0, 12])):
        g = Graph(3, 8)
        g("Reshape", np.int64(shape), **({"allowzero": 1} if 0 in shape else {}))
        model = g.model()
        if batch:
            model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
        with pytest.raises(dq.UnsupportedError, match="a reshape to"):
            dq.from_onnx(model, verify=False)
    for batch, shape in ((2, [2, -1]), (0, [2, 24]), (2, [0, -1]), (2, [-1, 24]), (1, [1, -1])):
        g = Graph(3, 8)
        g("Reshape", np.int64(shape))
        model = g.model()
        if batch:
            model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
        assert dq.from_onnx(model).output_shape == (24,)


def test_a_function_that_is_a_part_of_another_is_refused_alone(rng):
    g = Graph(3)
    g("Div", np.float32(2**0.5))
    g("Erf")
    refused(g, "known as a part of GELU alone")


@needs("gelu")
def test_functions_that_exporters_write_out(rng):
    for halved in (False, True):
        g = Graph(4)
        x = g("Gemm", normal(rng, 4, 4), normal(rng, 4))
        first = g("Mul", np.float32(0.5)) if halved else x
        g("Div", np.float32(2**0.5), x=x)
        g("Erf")
        g("Add", np.float32(1))
        g("Mul", g.last, x=first)
        if not halved:
            g("Mul", np.float32(0.5))
        x = g.last
        y = g("Softplus")
        g("Greater", np.float32(20), x=x)
        g("Where", x, y)
        g("PRelu", np.float32([0.25]))
        g("Neg")
        model = g.agrees(rng)
        assert [layer.get("function") for layer in model.architecture["layers"]] == [None, "gelu", "softplus", "leaky_relu", None]


def test_constants_and_sizes_that_are_computed(rng):
    g = Graph(2, 4, 4)
    g("Sub", np.full((1, 1, 1, 4), 0.5, np.float32))
    value = g("Relu")
    whole = g("Shape")
    batch = g("Unsqueeze", np.int64([0]), x=g("Gather", np.int64(0), x=whole))
    rest = [g("Gather", np.int64(i), x=whole) for i in (1, 2, 3)]
    count = g("Mul", g("Mul", rest[1], x=rest[0]), x=rest[2])
    g("Reshape", g("Concat", g("Unsqueeze", np.int64([0]), x=count), x=batch, axis=0), x=value)
    value = g.last
    weight = g("Transpose", x=normal(rng, 3, 32), perm=[1, 0])
    g("MatMul", weight, x=value)
    value = g.last
    scale = g("Sqrt", x=np.float32([1, 4, 9]))
    g("Div", scale, x=value)
    assert [layer["type"] for layer in g.agrees(rng).architecture["layers"]][-1] == "channel_affine"
    g = Graph(2, 4, 4)
    g("Shape")
    g("Mul", "x", x=g("Cast", x=g("Gather", np.int64(0)), to=TensorProto.FLOAT))
    refused(g, "number of samples")


def test_numbers_have_the_precision_of_the_network(rng):
    g = Graph(3, kind=TensorProto.DOUBLE)
    g("Mul", np.float64(0.1))
    g("Add", np.float64(0.3))
    g("Gemm", normal(rng, 3, 2).astype(np.float64))
    x = rng.normal(size=(5, 3))
    (expected,) = ReferenceEvaluator(g.model()).run(None, {"x": x})
    np.testing.assert_allclose(dq.from_onnx(g.model()).predict(x), expected, rtol=1e-13)


def test_files_that_are_odd(rng, tmp_path):
    g = Graph(4)
    g("Gemm", normal(rng, 4, 3), normal(rng, 3))
    onnx.save(g.model(), tmp_path / "net.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    assert dq.from_onnx(tmp_path / "net.onnx").sha256 == dq.from_onnx(g.model()).sha256
    with pytest.raises(dq.errors.FormatError, match="the path of the file"):
        dq.from_onnx((tmp_path / "net.onnx").read_bytes())
    g = Graph(4)
    g("Gemm", "nobody")
    refused(g, "the value nobody, which nothing before it makes")
    # Numbers of a constant are in single precision.
    g = Graph(3)
    g.nodes.append(helper.make_node("Constant", [], ["k"], value_floats=[0.1, 0.2, 0.3]))
    g("Mul", "k")
    assert g.agrees(rng).dtype == np.float32
    # Functions of a file are read as what they consist of.
    g = Graph(3)
    g("Mine", domain="my")
    g("Gemm", normal(rng, 3, 2))
    model = g.model()
    body = [helper.make_node("Relu", ["a"], ["b"])]
    model.functions.append(helper.make_function("my", "Mine", ["a"], ["b"], body, [helper.make_opsetid("", 18)]))
    model.opset_import.append(helper.make_opsetid("my", 1))
    assert [layer["type"] for layer in dq.from_onnx(model).architecture["layers"]] == ["activation", "dense"]


@needs("max_pool", "channel_affine")
def test_what_exporters_write_besides(rng):
    g = Graph(2, 4, 4)  # a mean image, as in networks of verification
    g("Sub", normal(rng, 1, 2, 4, 4))
    g("Div", np.abs(normal(rng, 1, 2, 4, 4)) + 0.5)
    g("Mul", normal(rng, 2, 1, 1))
    g("Flatten")
    g("Gemm", normal(rng, 32, 3))
    model = g.agrees(rng)
    assert [layer["type"] for layer in model.architecture["layers"]] == ["flatten", "channel_affine", "dense"]
    g = Graph(2, 6, 5)  # what was written for channels last
    g("Conv", normal(rng, 4, 2, 3, 3))
    g("Transpose", perm=[0, 2, 3, 1])
    g("Relu")
    g("Reshape", np.int64([-1, 48]))
    g("MatMul", normal(rng, 48, 3))
    model = g.agrees(rng)
    assert [layer["type"] for layer in model.architecture["layers"]] == ["conv2d", "activation", "flatten", "dense"]
    g = Graph(6)
    for op, options in (("Selu", {}), ("Celu", {"alpha": 2.0}), ("HardSigmoid", {}), ("Selu", {"alpha": 1.5, "gamma": 0.5})):
        g("Gemm", normal(rng, 6, 6))
        g(op, **options)
    g("Max", np.float32(0.1), np.zeros(6, np.float32))
    g("Min", np.full(1, 0.5, np.float32))
    g("PRelu", normal(rng, 6))
    g("Clip", None, np.float32(0.4))
    g.agrees(rng)
    g = Graph(6)
    g("Split", axis=1, num_outputs=2)
    g.agrees(rng)
    for last in ("GlobalMaxPool", "ReduceMax", "ReduceSum", "ReduceMean"):
        g = Graph(2, 4, 4)
        first = g("Conv", normal(rng, 3, 2, 3, 3), pads=[1, 1, 1, 1])
        second = g("PRelu", normal(rng, 3, 1, 1))
        g("Concat", first, second, x="x", axis=1)
        g("Gather", np.int64([7, 0, 3, 3, 5, 1, 2, -1]), axis=1)
        g("Slice", np.int64([1, 1]), np.int64([8, 4]), np.int64([1, -1]), np.int64([2, 1]))
        g(last) if last == "GlobalMaxPool" else g(last, np.int64([2, 3]), keepdims=1)
        g("Flatten")
        g.agrees(rng)


def test_samples_in_another_shape(rng):
    for shape, op, other in (((8,), ("Unsqueeze", np.int64([1])), (1, 1, 8)), ((32,), ("Reshape", np.int64([-1, 2, 4, 4])), (2, 4, 4))):
        g = Graph(*shape)
        g(*op)
        g("Conv", normal(rng, 3, *((1, 3) if len(shape) and other[1] == 1 else (2, 3, 3))))
        g("Flatten")
        x = rng.normal(size=(3, *shape)).astype(np.float32)
        (expected,) = ReferenceEvaluator(g.model()).run(None, {"x": x})
        model = dq.from_onnx(g.model())
        assert model.input_shape == other
        np.testing.assert_allclose(model.predict(x.reshape(3, *other)), expected, rtol=1e-4, atol=1e-5)


def test_axes_that_are_not_those_of_a_model(rng):
    for shape, nodes, said in (
        ((6, 6, 2), [("Transpose", {"perm": [0, 3, 1, 2]}), ("Flatten", {})], "--inputs-as-nchw"),
        ((4,), [("Transpose", {})], "moves the samples"),
    ):
        g = Graph(*shape)
        for op, options in nodes:
            g(op, **options)
        with pytest.raises(dq.UnsupportedError, match=said):
            dq.from_onnx(g.model())
    g = Graph(2, 4, 4)
    g("Sub", normal(rng, 2, 4, 4))
    g("Conv", normal(rng, 3, 2, 3, 3))
    with pytest.raises(dq.UnsupportedError, match="known before a flatten"):
        dq.from_onnx(g.model())
    model = Graph(5).model()
    del model.graph.input[0].type.tensor_type.shape.dim[0]
    with pytest.raises(dq.UnsupportedError, match="export the network for a batch"):
        dq.from_onnx(model)

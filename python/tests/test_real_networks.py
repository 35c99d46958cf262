"""Networks as people have them: modules of PyTorch, and the ONNX files that PyTorch writes of them, compute what the import does."""

import io
import logging
import sys
import types
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
torch.set_num_threads(1)
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import dahlquist as dq  # noqa: E402

from test_torch import agrees, shake  # noqa: E402


def block(inputs, outputs, kernel=3, stride=1, groups=1, function=nn.ReLU):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([] if function is None else [function()]))


class Inverted(nn.Module):
    """MobileNet's block, and EfficientNet's, without squeeze-and-excitation."""

    def __init__(self, inputs, outputs, function, stride=1, drop=None):
        super().__init__()
        self.block = nn.Sequential(
            block(inputs, 2 * inputs, 1, function=function),
            block(2 * inputs, 2 * inputs, 3, stride, 2 * inputs, function),
            block(2 * inputs, outputs, 1, function=None),
        )
        self.drop, self.skip = drop or nn.Identity(), stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.drop(self.block(x)) if self.skip else self.block(x)


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.first, self.second = block(inputs, outputs, 3, stride), block(outputs, outputs, function=None)
        self.down = block(inputs, outputs, 1, stride, function=None) if stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.second(self.first(x)) + self.down(x))


def head(channels, function=None):
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels, 8), function() if function else nn.ReLU(),
        nn.AlphaDropout(0.1), nn.Linear(8, 3),
    )


def tanh_gelu():
    return nn.GELU(approximate="tanh")


def mobilenet(function=nn.Hardswish):
    return nn.Sequential(
        block(3, 4, 3, 2, function=function), Inverted(4, 4, nn.ReLU), Inverted(4, 6, function, 2), Inverted(6, 6, function),
        block(6, 8, 1, function=function), head(8, function),
    )


def efficientnet(drop):
    return nn.Sequential(
        block(3, 4, 3, 2, function=nn.SiLU), Inverted(4, 4, nn.SiLU, drop=drop()), Inverted(4, 6, nn.SiLU, 2), head(6, nn.SiLU)
    )


def resnet():
    stem = [block(3, 4, 7, 2), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, Residual(4, 4), Residual(4, 6, 2), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(6, 3))


def vgg():
    return nn.Sequential(
        block(3, 4), block(4, 4), nn.MaxPool2d(2, 2), block(4, 6), nn.MaxPool2d(2, 2), nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(1),
        nn.Linear(24, 8), nn.ReLU(True), nn.Dropout(), nn.Linear(8, 3),
    )


def squeezenet():
    class Fire(nn.Module):
        def __init__(self):
            super().__init__()
            self.squeeze, self.one, self.three = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x):
            x = F.relu(self.squeeze(x))
            return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)

    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Flatten(), nn.LazyLinear(3),
    )


NETWORKS = {
    "mobilenet with hardswish": (mobilenet, (3, 16, 16)),
    "mobilenet with mish": (lambda: mobilenet(nn.Mish), (3, 16, 16)),
    "mobilenet with gelu by tanh": (lambda: mobilenet(tanh_gelu), (3, 16, 16)),
    "efficientnet": (lambda: efficientnet(nn.Dropout2d), (3, 16, 16)),
    "resnet": (resnet, (3, 32, 32)),
    "vgg with batch norm": (vgg, (3, 16, 16)),
    "squeezenet": (squeezenet, (3, 24, 24)),
}


def made(name):
    torch.manual_seed(3)
    build, shape = NETWORKS[name]
    network = build()
    network.eval()(torch.zeros(1, *shape))
    return shake(network), shape


@pytest.mark.parametrize("name", NETWORKS)
def test_modules(name):
    network, shape = made(name)
    imported, x = agrees(network, shape)
    model = dq.from_torch(network, shape)
    network.eval()
    with torch.no_grad():
        expected = network(x).numpy()
    np.testing.assert_allclose(model.predict(x.numpy()), expected, rtol=1e-3, atol=1e-4)


def exported(network, shape, opset, dynamo):
    """The file that PyTorch writes."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            torch.onnx.export(network, (torch.rand(1, *shape),), file, opset_version=opset, dynamo=dynamo, verbose=False)
        except (ImportError, TypeError) as error:
            pytest.skip(f"this exporter is not there: {error}")
        finally:
            logging.disable(logging.NOTSET)
    return file.getvalue()


@pytest.mark.parametrize("opset, dynamo", [(13, False), (17, False), (20, False), (18, True)])
@pytest.mark.parametrize("name", NETWORKS)
def test_exported_files(name, opset, dynamo):
    if dynamo:
        pytest.importorskip("onnxscript")
    network, shape = made(name)
    file = exported(network.eval(), shape, opset, dynamo)
    model = dq.from_onnx(file)
    x = torch.rand(4, *shape)
    with torch.no_grad():
        expected = network(x).numpy()
    np.testing.assert_allclose(model.predict(x.numpy()), expected, rtol=1e-3, atol=1e-4)


def functions(model):
    return [layer["function"] for layer in model.architecture["layers"] if layer["type"] == "activation"]


class Net(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.fc, self.apart = nn.Linear(4, 4), forward

    def forward(self, x):
        return self.apart(self.fc(x))


def test_the_ways_in_which_people_write_the_functions():
    cube = 0.044715
    root = float(np.sqrt(2 / np.pi))
    for function, ways in {
        "hardswish": [
            F.hardswish, lambda x: x * F.relu6(x + 3.0) / 6.0, lambda x: x * (F.relu6(x + 3.0) / 6.0), lambda x: F.hardsigmoid(x) * x,
            lambda x: x * torch.clamp(x + 3, 0, 6) * (1 / 6), lambda x: x * (torch.clamp(x + 3, 0, 6) * (1 / 6)),
        ],
        "mish": [F.mish, lambda x: x * torch.tanh(F.softplus(x)), lambda x: F.softplus(x).tanh() * x],
        "gelu_tanh": [
            lambda x: F.gelu(x, approximate="tanh"), lambda x: 0.5 * x * (1 + torch.tanh(root * (x + cube * x * x * x))),
            lambda x: 0.5 * (x * (1 + torch.tanh(root * (x + cube * (x * x * x))))),
            lambda x: 0.5 * x * (1 + torch.tanh(root * (x + cube * torch.pow(x, 3)))),
            lambda x: x * 0.5 * (1.0 + (root * (cube * x**3 + x)).tanh()), lambda x: x * (1 + torch.tanh(root * (x + cube * x.pow(3)))) / 2,
        ],
        "silu": [F.silu, lambda x: x * torch.sigmoid(x)],
    }.items():
        for way in ways:
            network = Net(way)
            imported, _ = agrees(network, (4,))
            assert [layer["function"] for layer in imported[1] if layer["type"] == "activation"] == [function]
    # What is almost one of them is none.
    for wrong in (
        lambda x: x * F.relu6(x + 2.0), lambda x: x * torch.tanh(F.softplus(2 * x)), lambda x: x * x, lambda x: x * x * x,
        lambda x: 0.5 * x * (1 + torch.tanh(root * (x + 0.05 * x * x * x))), lambda x: x * F.hardtanh(x + 3.0, -1.0, 6.0),
        lambda x: 0.5 * x * (1 + torch.tanh(root * (x + cube * x * x))), lambda x: x * torch.tanh(x),
    ):
        with pytest.raises(dq.UnsupportedError, match="no Lipschitz constant on all inputs"):
            dq.from_torch(Net(wrong), (4,), verify=False)


@pytest.fixture
def vision(monkeypatch):
    """A library of the name of torchvision with its modules that drop whole samples."""
    module = types.ModuleType("torchvision.ops.stochastic_depth")

    def stochastic_depth(input, p, mode, training=True):  # noqa: A002
        if not training or p == 0.0:
            return input
        return input * torch.bernoulli(torch.full((len(input),), 1 - p)).reshape(-1, *[1] * (input.ndim - 1))

    class StochasticDepth(nn.Module):
        def __init__(self, p, mode):
            super().__init__()
            self.p, self.mode = p, mode

        def forward(self, x):
            return stochastic_depth(x, self.p, self.mode, self.training)

    for thing in (stochastic_depth, StochasticDepth):
        thing.__module__ = module.__name__
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_what_drops_samples_in_training_alone_is_the_identity(vision):
    try:
        from torchvision.ops import StochasticDepth
    except ImportError:
        StochasticDepth = vision.StochasticDepth
    network = shake(efficientnet(lambda: StochasticDepth(0.5, "row")))
    imported, _ = agrees(network, (3, 16, 16))
    assert dq.from_torch(network, (3, 16, 16)).output_shape == (3,)
    for dropped in (nn.Dropout(), nn.Dropout1d(), nn.Dropout2d(), nn.Dropout3d(), nn.AlphaDropout(), nn.FeatureAlphaDropout()):
        plain = nn.Sequential(nn.Conv1d(2, 2, 1), dropped, nn.Flatten(), nn.Linear(8, 2))
        _, layers, _ = dq.importers._torch.read_network(plain, (2, 4))
        assert [layer["type"] for layer in layers] == ["conv2d", "flatten", "dense"]


def test_windows_that_are_cut():
    for shape, pool in (
        ((2, 7, 7), nn.MaxPool2d(3, 2, ceil_mode=True)), ((2, 8, 6), nn.MaxPool2d(3, 2, ceil_mode=True)),
        ((2, 9, 8), nn.MaxPool2d(2, 3, ceil_mode=True)), ((2, 7, 8), nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
        ((2, 10, 11), nn.MaxPool2d((3, 2), (4, 5), ceil_mode=True)), ((2, 5, 5), nn.MaxPool2d(2, 4, ceil_mode=True)),
    ):
        for before in (nn.ReLU(), nn.Sigmoid(), nn.Sequential(nn.ReLU6(), nn.AvgPool2d(1))):
            agrees(nn.Sequential(nn.Conv2d(2, 2, 1), before, pool, nn.Flatten()), shape)
    agrees(nn.Sequential(nn.Conv1d(2, 2, 1), nn.ReLU(), nn.MaxPool1d(3, 2, ceil_mode=True), nn.Flatten()), (2, 8))
    # Of numbers of either sign a zero may be the largest one.
    negative = nn.Conv2d(2, 2, 1)
    nn.init.constant_(negative.weight, -0.5)
    for before in (nn.Identity(), nn.Tanh(), nn.Hardswish(), nn.Sequential(nn.ReLU(), negative), nn.LeakyReLU()):
        network = nn.Sequential(nn.Conv2d(2, 2, 1), before, nn.MaxPool2d(2, ceil_mode=True))
        with pytest.raises(dq.UnsupportedError, match="2: max pooling with ceil_mode.*behind a ReLU it is known"):
            dq.from_torch(network, (2, 5, 5))


def test_what_has_no_constant_is_refused_by_name():
    """Every refusal names the layer and the reason, and says what to do."""

    class ConvNeXt(nn.Module):
        def __init__(self):
            super().__init__()
            self.depthwise, self.norm = nn.Conv2d(4, 4, 7, padding=3, groups=4), nn.LayerNorm(4)
            self.first, self.act, self.second = nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)

        def forward(self, x):
            y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
            return x + self.second(self.act(self.first(y))).permute(0, 3, 1, 2)

    class Excited(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool, self.fc, self.gate = nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1), nn.Hardsigmoid()

        def forward(self, x):
            return x * self.gate(self.fc(self.pool(x)))

    for layer, place, reason, advice in (
        (ConvNeXt(), "1.norm", "LayerNorm: it divides by numbers of each sample", "train with BatchNorm"),
        (Excited(), "", "squeeze-and-excitation: it has no Lipschitz constant on all inputs", "leave it out"),
        (nn.GroupNorm(2, 4), "1", "GroupNorm: it divides by numbers of each sample", "train with BatchNorm"),
        (nn.Softsign(), "1", "Softsign: no slope of it is proved", "take SiLU"),
        (nn.MaxPool2d(3, dilation=2), "1", "max pooling with dilation", "leave the dilation out"),
        (nn.AvgPool2d(3, 2, ceil_mode=True), "1", "mean pooling with ceil_mode", "ceil_mode=False"),
        (nn.AvgPool2d(3, 2, divisor_override=2), "1", "divisor_override=2", "multiply"),
        (nn.AvgPool2d(3, padding=1, count_include_pad=False), "1", "not counted", "count_include_pad=True"),
        (nn.MultiheadAttention(4, 1), "1", "MultiheadAttention", "no Lipschitz constant on all inputs"),
    ):
        network = nn.Sequential(nn.Conv2d(3, 4, 1), layer, nn.Flatten())
        with pytest.raises(dq.UnsupportedError) as refusal:
            dq.from_torch(network, (3, 8, 8))
        (where, why), *_ = refusal.value.problems
        assert where.startswith(place) and reason in why and advice in why, (where, why)

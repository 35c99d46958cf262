"""PyTorch networks: what is imported computes the same, and the network is left as it was.

Two comparisons: with the documented format computed by PyTorch (``reference``), for every kind of layer, and with the crate,
for every kind that it runs.
"""

import copy
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # The networks are small, and threads that wait for each other are slow.
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm  # noqa: E402

import dahlquist as dq  # noqa: E402

from dahlquist._model import _extract  # noqa: E402
from dahlquist.importers._torch import read_network  # noqa: E402

from conftest import RUNS  # noqa: E402
from reference import evaluate  # noqa: E402


def shake(network):
    """Gives normalizations statistics that matter."""
    torch.manual_seed(5)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return network


def agrees(network, shape, rtol=1e-5):
    """Imports a network in training mode and compares logits with those of the documented format.

    Returns the shape and the layers, and samples.
    """
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in network.modules()]
    shape, layers, _ = read_network(network, shape)
    assert modes == [module.training for module in network.modules()]
    assert hooks == [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in network.modules()]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())

    network.eval()
    x = torch.rand(5, *shape)
    with torch.no_grad():
        expected = network(x).double()
    rows = x[:, :, None, :] if x.ndim == 3 else x
    tensors = {}
    plain = _extract(layers, "layers", tensors, {})
    found = evaluate(plain, tensors, rows.double()).reshape(expected.shape)
    assert (found - expected).abs().max() <= rtol * expected.abs().max()
    return (shape, plain, tensors), x


def runs(imported, network, x, *probes):
    """Compares the crate with the network, if the crate has what it needs; else it must refuse."""
    shape, layers, tensors = imported
    if all(RUNS[probe] for probe in probes):
        model = dq.from_torch(network, shape)
        assert model.verify_export(network, x) <= 1e-4
        return model.seal()
    with pytest.raises(dq.DahlquistError):
        dq.Model(shape, layers, tensors).predict(x)
    return None


class Block(nn.Module):
    def __init__(self, n, m, stride=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n, m, 3, stride, 1, bias=False), nn.BatchNorm2d(m)
        self.conv2, self.bn2 = nn.Conv2d(m, m, 3, 1, 1, bias=False), nn.BatchNorm2d(m)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or n != m:
            self.downsample = nn.Sequential(nn.Conv2d(n, m, 1, stride, bias=False), nn.BatchNorm2d(m))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, pool=True):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if pool else nn.Identity()
        self.layer1 = nn.Sequential(Block(8, 8), Block(8, 8))
        self.layer2 = nn.Sequential(Block(8, 16, 2), Block(16, 16))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(16, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


def test_a_resnet():
    network = shake(ResNet())
    model, x = agrees(network, (3, 32, 32))
    runs(model, network, x, "overlapping_pool")
    kinds = [layer["type"] for layer in model[1]]
    assert kinds == ["conv2d", "activation", "max_pool", *["sum", "activation"] * 4, "global_avg_pool", "dense"]
    assert "layer1.0.conv1.weight" in model[2]


def test_a_resnet_without_max_pool_is_certified():
    network = shake(ResNet(pool=False))
    model, x = agrees(network, (3, 16, 16))
    sealed = runs(model, network, x)
    assert np.isfinite(sealed.lipschitz)
    r = sealed.certify(x, semantics="exact")
    assert r.prediction.tolist() == network(x).argmax(1).tolist()


class PreActivation(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn1, self.bn2 = nn.Conv2d(3, 8, 3, padding="same"), nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.conv1 = nn.Conv2d(8, 8, 4, padding="same", bias=False)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4, padding_mode="circular")
        self.fc = nn.Linear(8, 5)
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1))

    def forward(self, x):
        x = self.conv((x - self.mean) / 0.25)
        h = self.bn2(self.conv1(F.relu(self.bn1(x))))
        x = F.relu(x + self.conv2(F.dropout(F.relu(h), 0.5, self.training)))
        return self.fc(x.mean([2, 3]))


@pytest.mark.filterwarnings("ignore:Using padding")
def test_normalization_before_the_convolution():
    network = shake(PreActivation())
    model, x = agrees(network, (3, 8, 8))
    runs(model, network, x, "channel_affine", "groups", "dilation")


def test_one_axis():
    network = shake(nn.Sequential(
        nn.Conv1d(4, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(8, 8, 3, stride=2, padding="valid"), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(8, 3),
    ))
    model, x = agrees(network, (4, 20))
    runs(model, network, x, "oblong", "oblong_pool")


def test_depthwise_and_smooth():
    network = nn.Sequential(
        nn.PixelUnshuffle(2), nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.GELU(), nn.Conv2d(12, 24, 1), nn.SiLU(), nn.ELU(),
        nn.Hardtanh(), nn.ReLU6(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(96, 4),
    )
    model, x = agrees(network, (3, 8, 8))
    runs(model, network, x, "groups", "gelu", "silu", "elu", "hardtanh", "hardtanh_bounds")


@pytest.mark.filterwarnings("ignore")
def test_channels_of_zeros():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ZeroPad3d((0, 0, 0, 0, 0, 2)), nn.ConstantPad3d((0, 0, 0, 0, 0, 1), 0.0))
    agrees(network, (3, 4, 4))

    class Padded(nn.Module):
        def forward(self, x):
            return F.pad(x, (0, 0, 0, 0, 0, 2))

    agrees(Padded(), (3, 4, 4))
    agrees(nn.ZeroPad3d((0, 0, 0, 0, 1, 2)), (3, 4, 4))
    for pad in (nn.ZeroPad3d((0, 0, 1, 0, 0, 2)), nn.ConstantPad3d((0, 0, 0, 0, 0, 1), 0.5), nn.ZeroPad3d((0, 0, 0, 0, -1, 0))):
        with pytest.raises(dq.UnsupportedError, match="behind its channels"):
            dq.from_torch(pad, (3, 4, 4))


def test_parametrizations_and_hooks_are_evaluated():
    network = nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(6, 8)), nn.Tanh(), parametrizations.orthogonal(nn.Linear(8, 8)),
        nn.Softplus(), parametrizations.weight_norm(nn.Linear(8, 8)), weight_norm(nn.Linear(8, 8)), nn.Sigmoid(),
        spectral_norm(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 3),
    )
    prune.l1_unstructured(network[-1], "weight", 0.5)
    network(torch.rand(3, 6))
    model, x = agrees(network, (6,))
    sealed = runs(model, network, x)
    # A matrix that is orthogonal but for rounding, and one whose spectral norm power iteration has estimated.
    assert abs(sealed.layers[2]["bound"] - 1) < 1e-5
    assert (model[2]["9.weight"] == 0).sum() == 12


class Odds(nn.Module):
    """What people write in forward."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(16, 3)])
        self.bn = nn.BatchNorm1d(16)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        b = x.shape[0]
        x = torch.relu(self.bn(self.layers[0](x.view(x.size(0), -1))))
        y = self.layers[1](x) * self.scale
        x = torch.add(x, y, alpha=2) - 0.5 * y
        x = -(x + torch.tanh(x) + x.clamp(min=0)) + 1
        return self.layers[2](x.reshape(b, 16)) / 2


def test_arithmetic():
    network = shake(Odds())
    model, x = agrees(network, (3, 2, 2))
    runs(model, network, x, "channel_affine")


class Shared(nn.Module):
    """A branch that is used twice, and modules that are used twice."""

    def __init__(self):
        super().__init__()
        self.f, self.g, self.relu = nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU()

    def forward(self, x):
        u, v = self.relu(self.f(x)), self.g(x)
        p = u + v
        return p + torch.tanh(self.f(p)) + u


def test_branches_that_meet_and_modules_that_are_shared():
    network = Shared()
    model, x = agrees(network, (4,))
    runs(model, network, x)
    assert sorted(model[2]) == ["f.bias", "f.weight", "g.bias", "g.weight"]


def test_functions():
    class Functions(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.v = nn.Parameter(torch.randn(4, 2, 3, 3)), nn.Parameter(torch.randn(16, 3))
            self.register_buffer("m", torch.randn(4))
            self.register_buffer("s", torch.rand(4) + 0.5)

        def forward(self, x):
            x = F.conv2d(x, self.w, stride=2, padding=1)
            x = F.leaky_relu(F.batch_norm(x, self.m, self.s, training=self.training), 0.2, inplace=True)
            x = F.avg_pool2d(x, 2)
            return F.dropout(x.flatten(1), training=self.training) @ self.v

    network = Functions()
    model, x = agrees(network, (2, 8, 8))
    runs(model, network, x)


def test_everything_that_it_cannot_take_is_listed_with_its_path():
    class Inner(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.attn = nn.LayerNorm(4), nn.MultiheadAttention(4, 1)

        def forward(self, x):
            x = torch.dstack([self.norm(x), x])
            return self.attn(x, x, x)[0]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer3 = nn.Sequential(nn.Linear(4, 4), Inner())
            self.act = nn.Softsign()

        def forward(self, x):
            return F.softmax(self.act(x) + self.layer3(x), 1)

    with pytest.raises(dq.UnsupportedError) as refusal:
        dq.from_torch(Net(), 4)
    problems = dict(refusal.value.problems)
    assert {"act", "layer3.1.norm", "layer3.1.attn", "layer3.1"} <= set(problems)
    assert problems["layer3.1.attn"].startswith("MultiheadAttention: ") and "dstack" in problems["layer3.1"]
    assert all(line in str(refusal.value) for line in ("layer3.1.norm: LayerNorm", "act: Softsign"))
    assert any("softmax" in reason for _, reason in refusal.value.problems)


def refused(network, shape, said):
    with pytest.raises(dq.UnsupportedError, match=said):
        dq.from_torch(network, shape)


def test_what_would_be_another_function_is_refused():
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    class Always(nn.Module):
        def forward(self, x):
            return F.dropout(x)

    class Mine(nn.Linear):
        def forward(self, x):
            return torch.sort(super().forward(x))[0]

    class Two(nn.Module):
        def forward(self, x):
            return x, x

    refused(Branches(), 3, "control flow")
    refused(Always(), 3, "always on")
    # A class that inherits from a known one and computes something else.
    refused(Mine(2, 2), 2, "sort")
    refused(Two(), 2, "tuple")
    refused(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), (1, 4, 4), "reflect")
    refused(nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), (1, 5, 5), "ceil_mode")
    refused(nn.Sequential(nn.AvgPool2d(3, padding=1, count_include_pad=False)), (1, 6, 6), "not counted")
    refused(nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)), 3, "running statistics")
    refused(nn.Sequential(nn.Linear(4, 4)), (3, 4), "last axis")
    refused(nn.Softplus(threshold=5), 3, "threshold=5")
    with pytest.raises(TypeError, match="from_state_dict"):
        dq.from_torch(nn.Linear(2, 2).state_dict(), 2)
    with pytest.raises(dq.errors.ParameterError, match="without the batch"):
        dq.from_torch(nn.Linear(2, 2), (1, 3, 8, 8))


def test_what_distributes_a_network_is_passed_over():
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    model = dq.from_torch(nn.DataParallel(network), 3)
    assert model.sha256 == dq.from_torch(network, 3).sha256


def test_a_hook_whose_effect_is_not_known_is_refused():
    network = nn.Sequential(nn.Linear(2, 2))
    seen = []
    network[0].register_forward_hook(lambda m, x, y: seen.append(y))
    refused(network, 2, "hook")
    assert dq.from_torch(network, 2, ignore_hooks=True, verify=False).output_shape == (2,) and not seen
    # That it changes nothing is seen by calling it.
    assert dq.from_torch(network, 2, ignore_hooks=True).output_shape == (2,) and len(seen) == 2


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_formats(kind):
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).to(kind)
    model = dq.from_torch(network, 4)
    assert model.dtype == (np.float64 if kind == torch.float64 else np.float32)
    np.testing.assert_array_equal(model.tensors["0.weight"], network[0].weight.detach().double().numpy())
    assert model.verify_export(network, torch.rand(5, 4, dtype=torch.float64)) < 2e-2


def test_tensors_of_every_kind_are_samples():
    network = nn.Sequential(nn.Linear(4, 3))
    model = dq.from_torch(network, 4)
    x = torch.rand(2, 4, requires_grad=True)
    np.testing.assert_array_equal(model.predict(x), model.predict(x.detach().numpy()))
    np.testing.assert_array_equal(model.predict(x.T.contiguous().T), model.predict(x))
    sealed = model.seal()
    r = sealed.certify(x, torch.tensor([0, 1], dtype=torch.int32), semantics="exact")
    assert r.label.tolist() == [0, 1]
    pixels = torch.randint(0, 256, (2, 4), dtype=torch.uint8)
    np.testing.assert_array_equal(model.predict(pixels), model.predict(pixels.numpy()))
    assert model.predict(x.half()).shape == (2, 3)


def test_radii_are_in_the_units_of_the_samples():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    model = dq.from_torch(network, (3, 1, 1), normalize=((0.5, 0.4, 0.3), (0.2, 0.25, 0.5)))
    x = torch.rand(6, 3, 1, 1)
    assert model.verify_export(network, x) < 1e-6
    w = network[1].weight.detach().double()
    std = torch.tensor([0.2, 0.25, 0.5]).double()
    mean = torch.tensor([0.5, 0.4, 0.3]).double()
    z = (x.double().flatten(1) - mean) / std
    margin = (z @ w.T + network[1].bias.detach().double()).diff(dim=1).abs().flatten()
    truth = margin / ((w[0] - w[1]) / std).norm()
    r = model.seal().certify(x, semantics="exact")
    assert (r.radius <= truth.numpy() * (1 + 1e-6)).all()


def test_verify_export_knows_what_rounding_explains():
    torch.manual_seed(6)
    network = nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 10))
    model, x = dq.from_torch(network, 30), torch.rand(50, 30)
    found = model.verify_export(network, x)
    assert found.proved and found <= found.bound < 1e-4 and "proved bound" in found.basis
    # Other weights, by less than the tolerance and more than rounding.
    other = copy.deepcopy(network)
    with torch.no_grad():
        other[0].weight *= 1 + 5e-5
    found = model.verify_export(other, x)
    assert 0 < found < 1e-4 and not found.proved and "tolerance" in found.basis
    # What is imported is rounded once to single precision, and half precision rounds often.
    found = dq.from_torch(copy.deepcopy(network).half(), 30).verify_export(copy.deepcopy(network).half(), x)
    assert found < 2e-2 and not found.proved
    # Of the same weights the two may agree in every bit, as some processors add.
    with pytest.raises(dq.ExportError, match="more than rtol"):
        model.verify_export(other, x, rtol=1e-7)


def test_verify_export_says_where_they_part():
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
    model = dq.from_torch(network, 4)
    x = torch.rand(16, 4)
    assert model.verify_export(network, x) < 1e-5
    other = copy.deepcopy(network)
    with torch.no_grad():
        other[2].bias += 1
    with pytest.raises(dq.ExportError, match=r"part after layer 1 .*layer 2 \(dense\), which is 2 of the network"):
        model.verify_export(other, x)
    assert not any(m.training is False for m in network.modules())


def test_layers_of_torchlip():
    torchlip = pytest.importorskip("deel.torchlip")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torchlip.Sequential(
            torchlip.SpectralConv2d(1, 16, (3, 3), padding="same"), torchlip.GroupSort2(), torchlip.ScaledAvgPool2d((2, 2)),
            torchlip.SpectralConv2d(16, 16, (3, 3), padding="same"), torchlip.GroupSort2(), nn.Flatten(),
            torchlip.SpectralLinear(256, 32), torchlip.GroupSort(4), torchlip.FrobeniusLinear(32, 10, disjoint_neurons=True),
        )
        network(torch.rand(2, 1, 8, 8))
        vanilla = network.vanilla_export()
    model, x = agrees(vanilla, (1, 8, 8))
    sealed = runs(model, vanilla, x, "sort", "channel_affine")
    if sealed is not None:
        assert sealed.features < 1.1


def test_max_min_of_halves():
    class MaxMin(nn.Module):
        """As in orthogonium and BRO: the larger of two halves, then the smaller."""

        __module__ = "orthogonium.layers"

        def forward(self, x):
            a, b = x.split(x.shape[1] // 2, 1)
            return torch.cat([torch.max(a, b), torch.min(a, b)], 1)

    network = nn.Sequential(nn.Conv2d(1, 6, 3), MaxMin(), nn.Conv2d(6, 4, 1), MaxMin(), nn.Flatten(), nn.Linear(16, 3))
    model, x = agrees(network, (1, 4, 4))
    # The permutations are part of the weights.
    assert [layer["type"] for layer in model[1]] == ["conv2d", "sort", "conv2d", "sort", "flatten", "dense"]
    runs(model, network, x, "sort")


def test_state_dict_of_a_file(tmp_path):
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).eval()
    torch.save(network.state_dict(), tmp_path / "net.pt")
    layers = [
        {"type": "dense", "weight": "0.weight", "bias": "0.bias"}, {"type": "batch_norm", "name": "1"},
        {"type": "activation", "function": "relu"}, {"type": "dense", "weight": "3.weight", "bias": "3.bias"},
    ]
    model = dq.from_state_dict(layers, tmp_path / "net.pt", 3)
    assert model.verify_export(network, torch.rand(8, 3)) < 1e-6

"""What people really write: the same network in the words of many, its logits compared with PyTorch's."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

import dahlquist as dq  # noqa: E402

from test_torch_forward import refused  # noqa: E402


def computes(network, shape, kinds=None):
    """Imports a network, and compares its logits with PyTorch's own, and the types of its layers with those expected."""
    model = dq.from_torch(network.eval(), shape)
    x = torch.rand(5, *shape) * 4 - 2
    with torch.no_grad():
        expected = network(x.clone()).double().numpy()
    found = model.predict(x.numpy()).astype(np.float64)
    assert np.abs(found.reshape(expected.shape) - expected).max() <= 3e-6 * max(1, np.abs(expected).max())
    if kinds is not None:
        assert [layer["type"] for layer in model.architecture["layers"]] == kinds
    return model


class Net(nn.Module):
    """A network whose forward is a function of its parts and the input."""

    def __init__(self, forward, image=False):
        super().__init__()
        torch.manual_seed(2)
        self.fc, self.conv, self.norm = nn.Linear(6, 6), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_mean.uniform_(-1, 1)
        self.register_buffer("scale", torch.rand(6) + 0.5)
        self.weight, self.number, self._forward = nn.Parameter(torch.rand(6)), torch.tensor(1.5), forward

    def forward(self, x):
        return self._forward(self, x)


SHAPES = {
    "len of a shape": lambda m, x: m.fc(x) if len(x.shape) == 2 else x,
    "len of a value": lambda m, x: m.fc(x.view(len(x), -1)),
    "a range": lambda m, x: sum(m.fc(x) * i for i in range(x.shape[1])),
    "a product of NumPy": lambda m, x: m.fc(x.reshape(-1, int(np.prod(x.shape[1:])))),
    "numel": lambda m, x: m.fc(x.reshape(-1, x.shape[1:].numel())),
    "a product of Python": lambda m, x: m.fc(x.view(x.size()[0], math.prod(x.size()[1:]))),
    "a dimension by name": lambda m, x: m.fc(x.view(x.size(dim=0), x.size(dim=-1))),
    "a quotient": lambda m, x: m.fc(x) / math.sqrt(x.shape[-1]) if x.ndim == 2 and x.dim() == 2 else x,
    "two shapes": lambda m, x: x + m.fc(x) if m.fc(x).shape == x.shape and x.shape[1:] == (6,) else x,
    "a dtype": lambda m, x: m.fc(x) if x.dtype == torch.float32 and x.is_floating_point() else x,
    "a weight's": lambda m, x: F.linear(x, m.fc.weight.view(m.fc.weight.shape[0], -1)) if m.weight.dim() == 1 else x,
    "a check": lambda m, x: (torch._assert(x.shape[1] == 6, "no"), m.fc(x))[1],
    "an attribute that is not": lambda m, x: m.fc(x.logits) if hasattr(x, "logits") else m.fc(x),
    "a class": lambda m, x: m.fc(x) if isinstance(x.shape, torch.Size) and isinstance(x.shape[0], int) else x,
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_numbers(name):
    # A lambda of this module is written where the class is: len and isinstance have their meaning.
    computes(Net(SHAPES[name]), (6,))


def test_a_shape_does_not_keep_a_normalization_from_being_folded():
    def forward(m, x):
        y = m.conv(x)
        size = y.shape[2:]
        return F.avg_pool2d(m.norm(y), size).reshape(y.shape[0], -1)

    computes(Net(forward), (3, 5, 6), ["conv2d", "global_avg_pool"])
    refused(Net(lambda m, x: m.fc(x) * x.shape[0]), (6,), "the number of samples in place of a number")


CONSTANTS = {
    "a buffer times": lambda m, x: m.fc(m.scale * x), "a buffer plus": lambda m, x: m.fc(m.scale + x),
    "a buffer minus": lambda m, x: m.fc(m.scale - x), "a tensor times": lambda m, x: m.number * m.fc(x),
    "a parameter minus": lambda m, x: m.weight - m.fc(x), "one minus": lambda m, x: 1 - m.fc(x),
    "rsub": lambda m, x: torch.rsub(m.fc(x), 1), "rsub of a tensor": lambda m, x: torch.rsub(m.fc(x), m.scale, alpha=2),
    "multiply": lambda m, x: torch.multiply(m.fc(x), 2), "subtract": lambda m, x: torch.subtract(m.fc(x), m.scale),
    "true_divide": lambda m, x: torch.true_divide(m.fc(x), m.scale), "methods": lambda m, x: m.fc(x).subtract(1).multiply(2),
    "addmm": lambda m, x: torch.addmm(m.fc.bias, x, m.fc.weight.t()), "add of a buffer": lambda m, x: torch.add(m.scale, m.fc(x)),
    "alpha": lambda m, x: torch.add(m.scale, m.fc(x), alpha=3), "NumPy's number": lambda m, x: m.fc(x) * np.float32(2),
    "NumPy's array": lambda m, x: m.fc(x) + torch.as_tensor(np.arange(6, dtype=np.float32)),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_on_the_left_and_under_other_names(name):
    computes(Net(CONSTANTS[name]), (6,))


PLACES = {
    "device": lambda m, x: m.fc(x - m.scale.to(x.device)), "type_as": lambda m, x: m.fc(x.type_as(m.scale) - m.scale.type_as(x)),
    "type": lambda m, x: m.fc(x.type(torch.float32).type("torch.FloatTensor")), "cpu": lambda m, x: m.fc(x.cpu()),
    "requires_grad_": lambda m, x: m.fc(x.requires_grad_()), "requires_grad": lambda m, x: x if x.requires_grad else m.fc(x),
    "is_cuda": lambda m, x: x if x.is_cuda else m.fc(x.to(m.weight)),
}


@pytest.mark.parametrize("name", PLACES)
def test_places_and_formats(name):
    computes(Net(PLACES[name]), (6,))
    refused(Net(lambda m, x: m.fc(x.type(torch.int32).float())), (6,), "rounds")
    refused(Net(lambda m, x: m.fc(x.to(m.scale.int()).float())), (6,), "rounds")


def test_what_shares_memory_under_other_names():
    def forward(m, x, share):
        h = m.fc(x)
        seen = share(h)
        h += m.scale
        return m.fc(seen)

    for share in (nn.Dropout3d(), nn.Identity()):
        network = Net(lambda m, x: forward(m, x, m.share))
        network.share = share
        computes(network, (6,))
    refused(Net(lambda m, x, hidden=nn.Linear(6, 6): hidden(x)), (6,), "a Linear that is not registered")
    for share in (lambda h: F.dropout3d(h, training=False), lambda h: h.requires_grad_(), lambda h: h.data):
        computes(Net(lambda m, x, share=share: forward(m, x, share)), (6,))
    for share in (lambda h: h.type(torch.float32), lambda h: h.cpu(), lambda h: h.type_as(h)):
        refused(Net(lambda m, x, share=share: forward(m, x, share)), (6,), "in place of a value that is used again")


@pytest.mark.parametrize("normalize", [
    parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal,
])
def test_parametrizations_of_layers_of_their_own(normalize):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 6))

        def forward(self, x):
            return F.relu(F.linear(x, self.weight))

    class Mine(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    for layer in (Own(), Mine(6, 4)):
        network = nn.Sequential(nn.Linear(6, 6), normalize(layer))
        state = {name: value.clone() for name, value in network.state_dict().items()}
        computes(network, (6,))
        assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    refused(nn.Sequential(normalize(nn.LayerNorm(6), "bias") if normalize is not parametrizations.orthogonal else nn.Softsign()), (6,), "0: (Layer|Softsign)")


FUNCTIONS = [
    nn.SELU(), nn.CELU(2.0), nn.CELU(0.075), nn.Softplus(2.0), nn.Softplus(0.5, 30), nn.Hardsigmoid(), nn.RReLU(), nn.LogSigmoid(),
    nn.Threshold(0, 0), nn.Threshold(0.5, 0.5), nn.PReLU(6), nn.LeakyReLU(-0.5), nn.Dropout3d(), nn.Hardtanh(-0.3, 0.2),
    lambda x: F.selu(x), lambda x: F.celu(x, 2.0), lambda x: F.softplus(x, 3), lambda x: F.hardsigmoid(x), lambda x: F.rrelu(x),
    lambda x: x.clamp(max=0.25), lambda x: torch.clamp(x, min=-0.5), lambda x: x.clip(-1, 2), lambda x: torch.clamp_max(x, 0.5),
    lambda x: torch.maximum(x, torch.zeros(1)), lambda x: torch.max(torch.tensor(0.5), x), lambda x: torch.minimum(x, torch.ones(6)),
    lambda x: x.clamp_max(0.5), lambda x: F.logsigmoid(x), lambda x: F.threshold(x, 0, 0), lambda x: torch.special.expit(x),
    lambda x: F.prelu(x, torch.tensor([0.1])), lambda x: F.prelu(x, torch.tensor([0.1, 0, -1, 2, 0.5, 0.25])),
]


@pytest.mark.parametrize("index", range(len(FUNCTIONS)))
def test_functions_by_those_that_are_known(index):
    function = FUNCTIONS[index]
    if isinstance(function, nn.PReLU):
        nn.init.uniform_(function.weight, -1, 1)
    part = function if isinstance(function, nn.Module) else Net(lambda m, x: function(x))
    model = computes(nn.Sequential(nn.Linear(6, 6), part, nn.Linear(6, 3)), (6,))
    assert np.isfinite(model.seal().lipschitz)
    computes(nn.Sequential(nn.Conv2d(1, 6, 3), part, nn.Flatten()) if index < 14 else part, (1, 4, 4) if index < 14 else (6,))


def test_bounds_of_scaled_functions_are_tight():
    for layer in (nn.LeakyReLU(-0.5), nn.CELU(2.0), nn.Softplus(2.0), nn.Threshold(1, 1), nn.PReLU(6, 0.25)):
        assert dq.from_torch(nn.Sequential(layer), 6).seal().lipschitz <= 1 + 1e-6
    refused(nn.Threshold(0, 1), 6, "jumps")
    refused(Net(lambda m, x: x.clamp(1, 0)), (6,), "empty")
    refused(Net(lambda m, x: torch.maximum(m.fc(x), x)), (6,), "two values")
    refused(nn.GELU("sigmoid"), 6, "'none' and 'tanh' are known")


class Image(nn.Module):
    """A network of images whose middle is a function."""

    def __init__(self, forward, features, channels=3, size=8, points=()):
        super().__init__()
        torch.manual_seed(4)
        self.conv, self.fc, self._forward = nn.Conv2d(channels, 4, 3, padding=1), nn.Linear(features, 3), forward
        self.other = nn.Conv2d(channels, 6, 3, padding=1)
        self.points, self.shuffle = nn.Parameter(torch.rand(points)), nn.ChannelShuffle(3)

    def forward(self, x):
        return self.fc(self._forward(self, x).flatten(1))


POOLS = {
    "AdaptiveMaxPool": (lambda m, x: nn.AdaptiveMaxPool2d(1)(m.conv(x)), 4), "F.adaptive_max_pool2d": (lambda m, x: F.adaptive_max_pool2d(m.conv(x), 2), 16),
    "amax": (lambda m, x: m.conv(x).amax((2, 3)), 4), "torch.amax": (lambda m, x: torch.amax(m.conv(x), dim=(-2, -1), keepdim=True), 4),
    "a sum": (lambda m, x: m.conv(x).sum((2, 3)) / 64, 4), "overlapping": (lambda m, x: F.adaptive_avg_pool2d(m.conv(x), 3), 36),
    "repeated": (lambda m, x: F.adaptive_avg_pool2d(m.conv(x).mean((2, 3), keepdim=True), 7), 196),
    "uneven": (lambda m, x: F.adaptive_avg_pool2d(m.conv(x), (5, 12)), 240),
    "permuted": (lambda m, x: m.conv(x).permute(0, 2, 3, 1), 256), "permuted and back": (lambda m, x: m.conv(x).permute(0, 2, 3, 1).permute(0, 3, 1, 2), 256),
    "permuted before a function": (lambda m, x: torch.tanh(F.relu(m.conv(x).permute(0, 3, 2, 1))), 256),
    "a mean image": (lambda m, x: (x - m.points) / (m.points + 1), 192), "a bias of points": (lambda m, x: m.conv(x) + m.points[0], 256),
    "by channel, expanded": (lambda m, x: x - m.fc.bias.view(3, 1, 1).expand(3, *x.shape[2:]), 192),
    "for each sample": (lambda m, x: x / (2 + m.fc.bias.repeat((x.shape[0], *x.shape[2:], 1)).permute(0, 3, 1, 2)), 192),
    "expanded for each sample": (lambda m, x: x + m.points.expand(x.size(0), 3, 8, 8), 192),
    "of its format": (lambda m, x: x - torch.as_tensor([0.1, 0.2, 0.3], dtype=x.dtype, device=x.device).view(-1, 1, 1), 192),
    "a concatenation": (lambda m, x: torch.cat([m.conv(x), m.other(x), x], 1), 832), "of vectors": (lambda m, x: torch.cat((m.conv(x).mean((2, 3)), m.other(x).flatten(1)), dim=-1), 388),
    "of means": (lambda m, x: torch.cat([F.adaptive_avg_pool2d(m.conv(x), 1), F.adaptive_avg_pool2d(m.other(x), 1)], 1), 10),
    "of one": (lambda m, x: torch.cat([m.conv(x)], 1), 256), "option A": (lambda m, x: F.pad(m.conv(x)[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2), "constant", 0), 128),
    "a crop": (lambda m, x: m.conv(x)[:, 1:3, 1:-1, 2:7:3], 24), "channels": (lambda m, x: m.conv(x)[:, ::2], 128),
    "an ellipsis": (lambda m, x: m.conv(x)[..., 1:], 224), "features": (lambda m, x: m.conv(x).flatten(1)[:, 3:100:2], 49),
    "shuffled": (lambda m, x: m.shuffle(m.other(x)), 384), "chunks": (lambda m, x: torch.cat(m.conv(x).chunk(3, dim=1)[::-1], 1), 256),
    "a split": (lambda m, x: sum(torch.split(m.other(x), [2, 2, 2], dim=1)), 128),
    "transposed": (lambda m, x: m.conv(x).transpose(2, 3).transpose(1, -1), 256),
    "there and back": (lambda m, x: m.conv(x).flatten(1).view(-1, 4, 8, 8), 256), "Unflatten": (lambda m, x: m.conv(x).flatten(1).unflatten(1, (4, 8, 8)), 256),
    "the last channels": (lambda m, x: F.pad(m.conv(x), (0, 0, 0, 0)), 256),
}


@pytest.mark.parametrize("name", POOLS)
def test_poolings_parts_and_values_side_by_side(name):
    forward, features = POOLS[name]
    points = {"a mean image": (3, 8, 8), "expanded for each sample": (3, 8, 8), "a bias of points": (1, 8, 8)}.get(name, ())
    if name == "AdaptiveMaxPool":
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveMaxPool2d((2, 3)), nn.Flatten())
        computes(network, (3, 8, 8), ["conv2d", "max_pool", "flatten"])
    else:
        model = computes(Image(forward, features, points=points), (3, 8, 8))
        assert np.isfinite(model.seal().lipschitz)
    computes(nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten()), (3, 8))


def test_samples_in_another_shape():
    heads = (nn.Unflatten(1, (3, 4, 4)), Net(lambda m, x: x.view(-1, 48).view(-1, 3, 4, 4)), Net(lambda m, x: x.unflatten(-1, (3, 4, 4))))
    for head in heads:
        network = nn.Sequential(head, nn.Conv2d(3, 2, 3), nn.Flatten()).eval()
        model, x = dq.from_torch(network, 48), torch.rand(5, 48)
        assert model.input_shape == (3, 4, 4) and model.verify_export(network, x.view(5, 3, 4, 4)).proved
    network = nn.Sequential(Net(lambda m, x: x.unsqueeze(1)), nn.Conv2d(1, 2, 3), nn.Flatten()).eval()
    assert dq.from_torch(network, (5, 6)).verify_export(network, torch.rand(3, 1, 5, 6)).proved
    assert dq.from_torch(Net(lambda m, x: m.fc(x.unsqueeze(1).squeeze(1) + x[:, None].flatten(1))), 6).input_shape == (6,)
    network = nn.Sequential(Net(lambda m, x: F.avg_pool2d(x.view(-1, 1, 2, 3), 2).flatten(1) + m.fc(x)[:, :1]))
    refused(network, (6,), r"the samples in the shape \(1, 2, 3\) beside their own, \(6,\)")


@pytest.mark.parametrize("pad", [(1, 2), (1, 2, 0, 0), (0, 0, 0, 0)])
def test_padding_of_vectors(pad):
    computes(Net(lambda m, x: F.pad(m.fc(x), pad)), (6,))


def test_padding_of_every_axis():
    computes(Image(lambda m, x: F.pad(m.conv(x), (0, 0, 0, 0, 1, 2, 0, 0)), 448), (3, 8, 8))
    computes(Image(lambda m, x: F.pad(m.conv(x), (1, 0, 0, 2, 0, 0, 0, 0)), 360), (3, 8, 8))
    refused(Image(lambda m, x: F.pad(m.conv(x), (0, 0, 0, 0, 0, 0, 1, 0))[1:], 256), (3, 8, 8), "F.pad of the samples")


VIEWS = {
    "a part": lambda h: h[:, 1:3], "points": lambda h: h[..., ::2], "a chunk": lambda h: h.chunk(2, 1)[0], "a split": lambda h: torch.split(h, 2, 1)[1],
    "an order": lambda h: h.permute(0, 2, 3, 1), "a transposition": lambda h: h.transpose(1, 2), "an axis more": lambda h: h.unsqueeze(1),
    "an axis as two": lambda h: h.unflatten(1, (4, 1)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_parts_share_memory(name):
    def part_changes(m, x):
        h = m.conv(x)
        part = VIEWS[name](h)
        part.mul_(2)
        return h

    def whole_changes(m, x):
        h = m.conv(x)
        part = VIEWS[name](h)
        h.mul_(2)
        return part

    for forward in (part_changes, whole_changes):
        with torch.no_grad():
            features = forward(Image(forward, 1), torch.rand(1, 3, 8, 8)).numel()
        with pytest.raises(dq.UnsupportedError):
            dq.from_torch(Image(forward, features), (3, 8, 8), verify=False)


def test_a_value_that_is_changed_by_a_part_of_itself():
    def forward(m, x):
        h = m.other(x)
        return h[:, 3:].add_(h[:, ::2])

    refused(Image(forward, 192), (3, 8, 8), "by another part of the same memory")


def test_what_to_do_instead():
    fc = nn.Linear(6, 6)
    for forward, said in (
        (lambda m, x: torch.hstack([m.fc(x), x]), "hstack: add the values"), (lambda m, x: m.fc(x) * torch.sigmoid(x), "a gate or squeeze"),
        (lambda m, x: F.layer_norm(x, (6,)), "layer_norm: it divides by numbers of each sample"), (lambda m, x: (m.fc(x), x), "a tuple: return the logits"),
        (lambda m, x: {"logits": m.fc(x)}, "a dict: return the logits"), (lambda m, x: m.fc(x).exp(), "the method exp: it has no Lipschitz"),
        (lambda m, x: torch.where(x > 0, x, 0.0), "a choice by values"), (lambda m, x: F.interpolate(x, 3), "larger"),
        (lambda m, x: m.fc(x).half(), "it rounds"), (lambda m, x: F.softsign(m.fc(x)), "take SiLU"),
    ):
        refused(Net(forward), (6,), said)
    refused(nn.Sequential(fc, nn.Unflatten(1, (2, 3))), (6,), "1: the channels in 2 groups of 3")
    # What follows from a shape that is not known is not the reason.
    refused(Net(lambda m, x: m.fc(x) if F.softsign(x).shape[1] == 6 else x), (6,), "network: the function softsign")
    refused(nn.Sequential(nn.Conv3d(1, 1, 1)), (1, 4, 4), "images have two axes")

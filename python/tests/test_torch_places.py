"""Values along an axis of their own, channels in groups and in lists, channels last, concatenations that grow, modules in others."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import dahlquist as dq  # noqa: E402

from dahlquist.importers._graph import Node, Stack, Tree, Unsupported  # noqa: E402

from test_torch_dialects import Image, Net, computes  # noqa: E402
from test_torch_forward import refused  # noqa: E402

STACKS = {
    "a mean": lambda a, b, c: torch.stack([a, b, c]).mean(0), "a sum": lambda a, b, c: torch.stack((a, b, c), dim=1).sum(1),
    "behind": lambda a, b, c: torch.stack([a, b], dim=-1).mean(-1) + c, "a function": lambda a, b, c: torch.mean(torch.stack([a, b, c], 0), dim=0),
    "of one": lambda a, b, c: torch.stack([a]).sum(0) + b, "a count": lambda a, b, c: torch.stack([a, b, c]).sum(0) / len(torch.stack([a, b, c])),
    "a shape": lambda a, b, c: torch.stack([a, b, c]).sum(0) / torch.stack([b, c]).shape[0],
    "a size": lambda a, b, c: torch.stack([a, c], 1).sum(1) / torch.stack([a, b, c], dim=1).size(1),
}


@pytest.mark.parametrize("name", STACKS)
def test_stacks(name):
    computes(Net(lambda m, x: STACKS[name](m.fc(x), torch.tanh(x), x)), (6,))


def test_stacks_of_images():
    computes(Image(lambda m, x: torch.stack([m.conv(x), F.relu(m.conv(x))]).mean(dim=0), 256), (3, 8, 8))


@pytest.mark.parametrize("forward", [
    lambda m, x: torch.stack([m.fc(x), x]), lambda m, x: torch.stack([m.fc(x), x], 1).amax(1), lambda m, x: F.relu(torch.stack([x, m.fc(x)])).mean(0),
    lambda m, x: torch.stack([m.fc(x), x], 1).flatten(1), lambda m, x: torch.stack([m.fc(x), x], 1).mean(2), lambda m, x: torch.stack([m.fc(x), x])[0],
    lambda m, x: (torch.stack([x, x], 1) + torch.stack([m.fc(x), x], 1)).mean(1), lambda m, x: torch.stack([x, m.fc(x)], 1).mean(1, keepdim=True),
    lambda m, x: m.fc(x) * torch.stack([x, x]).shape[1],
])
def test_what_is_not_known_of_stacks_is_refused(forward):
    with pytest.raises(dq.UnsupportedError, match="stack|along the axis|the number of samples in place"):
        dq.from_torch(Net(forward), (6,), verify=False)


def test_a_stack_is_never_taken_for_a_sum():
    start = Node(shape=(4,))
    parts = [Node([start], [{"type": "activation", "function": f}], (4,)) for f in ("relu", "tanh")]
    # A sum of sums of the same value is read as one sum.
    assert len(Tree(Node([Node(parts, (), (4,)), *parts], (), (4,)), start).layers[0]["branches"]) == 4
    for output in (Stack(parts, 1), Node([Stack(parts, 1), *parts], (), (4,)), Stack(parts[:1], 1)):
        with pytest.raises(Unsupported, match="an axis of their own"):
            Tree(output, start)


def shuffled(x, groups):
    n, c, h, w = x.size()
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)


GROUPS = {
    "a shuffle": (lambda m, x: shuffled(m.other(x), 3), 384), "by a flatten": (lambda m, x: m.other(x).unflatten(1, (2, 3)).transpose(1, 2).flatten(1, 2), 384),
    "a permutation": (lambda m, x: m.other(x).reshape(-1, 2, 3, 8, 8).permute(0, 2, 1, 3, 4).reshape(-1, 6, 8, 8), 384),
    "a sum of groups": (lambda m, x: m.other(x).view(-1, 2, 3, 8, 8).sum(1), 192), "a mean of groups": (lambda m, x: m.other(x).view(-1, 2, 3, 8, 8).mean(2), 128),
    "of vectors": (lambda m, x: m.other(x).mean((2, 3)).view(-1, 3, 2).transpose(1, 2).flatten(1), 6), "there and back": (lambda m, x: m.other(x).view(-1, 2, 3, 8, 8).flatten(1, 2), 384),
    "a list": (lambda m, x: m.conv(x[:, [2, 1, 0]]), 256), "numbers": (lambda m, x: m.conv(x)[:, torch.tensor([3, 0, 0])], 192), "a flip": (lambda m, x: m.conv(x.flip(1)), 256),
    "index_select": (lambda m, x: m.conv(x.index_select(1, torch.tensor([1, 2, 0]))), 256), "from the end": (lambda m, x: m.conv(x)[:, [-1, 0], :, :], 128),
    "a list of values": (lambda m, x: torch.add(*m.conv(x).chunk(2, 1)), 128), "a shuffle unit": (
        lambda m, x: (lambda a, b: shuffled(torch.cat((a, F.relu(b)), 1), 2))(*m.conv(x).chunk(2, dim=1)), 256),
    "a mean and a maximum": (lambda m, x: torch.cat([F.adaptive_avg_pool2d(m.conv(x), 1), F.adaptive_max_pool2d(m.conv(x), 1)], 1), 8),
}


@pytest.mark.parametrize("name", GROUPS)
def test_channels_in_groups_and_lists(name):
    forward, features = GROUPS[name]
    computes(Image(forward, features), (3, 8, 8))


def test_a_shuffle_becomes_a_part_of_the_convolution():
    kinds = ["conv2d", "flatten", "dense"]
    computes(Image(lambda m, x: shuffled(m.other(x), 2), 384), (3, 8, 8), kinds)
    refused(Image(lambda m, x: F.relu(m.other(x).view(-1, 2, 3, 8, 8)), 384), (3, 8, 8), "the channels in 2 groups of 3")
    refused(Image(lambda m, x: m.other(x)[:, torch.tensor([True] * 6)], 384), (3, 8, 8), "lists of channels are known")
    refused(Image(lambda m, x: m.other(x).flip(0), 384), (3, 8, 8), "a flip of the axes")


def last(x):
    return x.permute(0, 2, 3, 1)


def first(x):
    return x.permute(0, 3, 1, 2)


LAST = {
    "a linear layer": (lambda m, x: first(m.points_(last(m.conv(x)))), 256), "functions": (lambda m, x: first(torch.tanh(m.points_(F.relu(m.points_(last(m.conv(x))))))), 256),
    "a mean": (lambda m, x: last(m.conv(x)).mean((1, 2)), 4), "a maximum": (lambda m, x: last(m.conv(x)).amax(dim=(1, 2)), 4), "a sum": (lambda m, x: last(m.conv(x)).sum([1, 2]), 4),
    "numbers": (lambda m, x: first(last(m.conv(x)) * m.points_.bias + 0.5), 256), "skips": (lambda m, x: first(last(m.conv(x)) + m.points_(last(m.conv(x)))), 256),
    "side by side": (lambda m, x: first(torch.cat([last(m.conv(x)), last(m.other(x))], -1)), 640), "two orders": (lambda m, x: last(m.conv(x)).transpose(1, 3), 256),
    "a matrix": (lambda m, x: first(last(m.conv(x)) @ m.points_.weight), 256), "numbers of points": (lambda m, x: last(m.conv(x) * 2) - 1, 256),
}


@pytest.mark.parametrize("name", LAST)
def test_channels_last(name):
    forward, features = LAST[name]
    network = Image(forward, features)
    network.points_ = nn.Linear(4, 4)
    computes(network, (3, 8, 8))


def test_what_is_computed_along_another_axis_is_refused():
    for forward in (
        lambda m, x: last(m.conv(x)).mean(3), lambda m, x: m.rows(m.conv(x)), lambda m, x: F.max_pool2d(last(m.conv(x)), 2),
        lambda m, x: last(m.conv(x)).mean((1, 2), keepdim=True), lambda m, x: torch.cat([last(m.conv(x)), last(m.conv(x))], 1), lambda m, x: m.conv(x).transpose(2, 3) + m.conv(x),
        lambda m, x: last(m.cube(x)) + first(m.cube(x)), lambda m, x: m.rows(m.cube(x).transpose(2, 3)), lambda m, x: last(m.cube(x)).mean((2, 3)),
    ):
        with torch.no_grad():
            network = Image(forward, 1)
            # As many channels as rows and columns: no shape tells one axis from another.
            network.rows, network.cube = nn.Linear(8, 8), nn.Conv2d(3, 8, 3, padding=1)
            features = forward(network, torch.rand(1, 3, 8, 8)).numel()
        network.fc = nn.Linear(features, 3)
        with pytest.raises(dq.UnsupportedError):
            dq.from_torch(network, (3, 8, 8), verify=False)


class Dense(nn.Module):
    """As in torchvision: every layer reads all values before it."""

    def __init__(self, count):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(2 + 2 * i) for i in range(count))
        self.convs = nn.ModuleList(nn.Conv2d(2 + 2 * i, 2, 3, padding=1) for i in range(count))
        self.fc = nn.Linear(2 + 2 * count, 3)

    def forward(self, x):
        values = [x]
        for norm, conv in zip(self.norms, self.convs):
            values.append(conv(F.relu(norm(torch.cat(values, 1)))))
        return self.fc(torch.cat(values, 1).mean((2, 3)))


def test_concatenations_that_grow_are_a_chain():
    torch.manual_seed(1)
    network = Dense(12)
    for norm in network.norms:
        norm.running_mean.uniform_(-1, 1)
        nn.init.uniform_(norm.weight, 0.5, 1)
    # As a tree of parts it would have 2^12 convolutions.
    model = computes(network, (2, 4, 4))
    assert [layer["type"] for layer in model.architecture["layers"]] == [*["sum"] * 12, "global_avg_pool", "dense"]


def test_a_value_that_changed_is_no_part_of_what_is_known():
    def forward(m, x):
        h = m.conv(x)
        early = torch.cat([h, x], 1)
        k = m.narrow(early)
        h.mul_(2)
        return torch.cat([h, x, k], 1)

    network = Image(forward, 11 * 64)
    network.narrow = nn.Conv2d(7, 4, 1)
    computes(network, (3, 8, 8))


def test_modules_in_others():
    network = nn.Sequential(nn.DataParallel(nn.Sequential(nn.Linear(4, 5), nn.ReLU())), nn.Linear(5, 3))
    assert sorted(computes(network, (4,)).tensors) == ["0.module.0.bias", "0.module.0.weight", "1.bias", "1.weight"]
    hooked = nn.Sequential(nn.DataParallel(nn.Linear(4, 3)))
    hooked[0].register_forward_hook(lambda m, x, y: 2 * y)
    refused(hooked, 4, "0: a forward hook")
    refused(nn.Sequential(nn.ReLU(), torch.jit.script(nn.Sequential(nn.Linear(4, 3)))), 4, "1: it is a TorchScript module")
    refused(nn.Sequential(nn.Linear(4, 3, dtype=torch.complex64)), 4, "0: weights hold complex64")
    refused(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.ReLU(), nn.MaxPool2d(1), nn.Conv2d(3, 3, 1, padding=2)), (3, 4, 4), "3: a convolution")
    refused(nn.Sequential(nn.MaxPool2d(4), nn.Conv2d(3, 3, 1, padding=2)), (3, 4, 4), "1: a convolution with padding")

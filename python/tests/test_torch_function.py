"""A model is the function that its network computes, or there is none: what torch.fx does not see of a forward."""

import copy
import pickle
import random
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.utils import parametrizations, spectral_norm, weight_norm  # noqa: E402

import dahlquist as dq  # noqa: E402

from test_torch_forward import Function, computes, refused  # noqa: E402


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))


class Called(nn.Module):
    """A network whose call is more than its forward."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def __call__(self, x):
        return super().__call__(3 * x)

    def forward(self, x):
        return self.linear(x)


class Implementation(nn.Linear):
    def _call_impl(self, *args, **kwargs):
        return 3 * super()._call_impl(*args, **kwargs)


def test_what_runs_is_what_is_read():
    network = net()
    old = network.forward
    network.forward = lambda x: 5 * old(x / 0.5)
    computes(network, (6,))
    network = Called()
    network.forward = types.MethodType(lambda self, x: self.linear(2 * x), network)
    computes(network, (6,))
    for network in (Called(), nn.Sequential(Called()), Implementation(6, 3), nn.Sequential(Implementation(6, 3))):
        computes(network, (6,))
    computes(torch.fx.symbolic_trace(net()), (6,))


def test_parts_of_known_layers_that_are_replaced(monkeypatch):
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten())
    tripled = lambda self, x, w, b: F.conv2d(F.pad(3 * x, (1, 1, 1, 1)), w, b)  # noqa: E731
    network[0]._conv_forward = types.MethodType(tripled, network[0])
    computes(network, (2, 4, 4))
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network[0].padding = (2, 2)
    computes(network, (2, 5, 4))
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=(1, 0), padding_mode="circular"), nn.Flatten())
    computes(network, (2, 5, 4))
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: F.linear(x, 3 * self.weight, self.bias))
    computes(net(), (6,))


class Branches(nn.Module):
    """A network that asks what its input is."""

    def __init__(self, ask):
        super().__init__()
        self.linear, self.w, self.ask = nn.Linear(6, 3), nn.Parameter(torch.rand(6)), ask

    def forward(self, x):
        return self.linear(4 * x) if self.ask(self, x) else self.linear(x * self.w)


def test_a_value_is_a_tensor():
    for ask in (
        lambda m, x: isinstance(x, torch.Tensor), lambda m, x: torch.is_tensor(x), lambda m, x: isinstance(x, nn.Parameter),
        lambda m, x: isinstance(m.w, nn.Parameter), lambda m, x: isinstance(x, (list, tuple)),
        lambda m, x: isinstance(m.linear, nn.Linear),
    ):
        computes(Branches(ask), (6,))
    # The name is PyTorch's and Python's own again.
    assert "isinstance" not in globals() and not torch.is_tensor(3) and torch.is_tensor(torch.ones(1))
    # Python itself answers this one, and only a comparison of logits sees it.
    refused(Branches(lambda m, x: type(x) is torch.Tensor), (6,), "computes other logits")


class Euler(nn.Module):
    """A flow whose field depends on time, written as people do: the constants change in place."""

    def __init__(self, buffer=False):
        super().__init__()
        self.fields = nn.ModuleList([nn.Linear(4, 4) for _ in range(4)])
        self.start = nn.Parameter(torch.rand(4))
        if buffer:
            self.register_buffer("decay", torch.ones(4))
        else:
            self.decay = torch.ones(4)

    def forward(self, x):
        t, dt = torch.tensor(0.0), 0.25
        self.decay.fill_(1)
        for field in self.fields:
            x = x + dt * torch.relu(field(x) * self.decay + self.start * t)
            t += dt
            self.decay *= 0.3
        return x


@pytest.mark.parametrize("buffer", [False, True])
def test_constants_have_the_numbers_that_they_had(buffer):
    network = Euler(buffer)
    computes(network, (4,))
    before = network.decay.clone()
    dq.from_torch(network, 4)
    assert torch.equal(network.decay, before)


def test_changes_behind_the_back_are_refused():
    class Constraint(nn.Conv2d):
        def forward(self, x):
            self.weight.data = torch.renorm(self.weight.data, p=2, dim=0, maxnorm=0.3)
            return super().forward(x)

    refused(nn.Sequential(nn.Identity(), Constraint(2, 3, 3)), (2, 4, 4), r"1: x\.data = y changes")

    def data(m, x):
        y = m.c(x)
        y.data = 3 * y
        return y

    refused(Function(data), (6,), r"x\.data = y changes")

    def clamped(m, x):
        with torch.no_grad():
            for p in list(m.parameters()):
                p.data.clamp_(-0.1, 0.1)
        return m.c(x)

    network = Function(clamped)
    before = {name: p.clone() for name, p in network.named_parameters()}
    refused(network, (6,), "c.weight: its forward changes this weight")
    assert all(torch.equal(before[name], p) for name, p in network.named_parameters())


@pytest.mark.parametrize("draw", [
    lambda m, x: x + 1e-6 * torch.randn(6), lambda m, x: x * float(np.random.rand()), lambda m, x: x * random.random(),
    lambda m, x: F.linear(x, torch.randn_like(m.a.weight)),
])
def test_random_numbers_are_refused(draw):
    network = Function(lambda m, x: m.c(draw(m, x)))
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    refused(network, (6,), "draws random numbers")
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])


def test_hooks_of_what_is_around_the_network_and_of_all_modules():
    network = nn.DataParallel(net())
    network.register_forward_hook(lambda m, x, y: 3 * y)
    refused(network, (6,), "hook")
    hook = nn.modules.module.register_module_forward_hook(lambda m, x, y: 3 * y if isinstance(m, nn.Linear) else None)
    try:
        refused(net(), (6,), "hook")
    finally:
        hook.remove()
    # That they change nothing is looked at.
    refused_with = nn.DataParallel(net())
    refused_with.register_forward_hook(lambda m, x, y: 3 * y)
    with pytest.raises(dq.UnsupportedError, match="other logits"):
        dq.from_torch(refused_with, 6, ignore_hooks=True)

    class DataParallel(nn.Module):
        """A name is not what distributes a network."""

        def __init__(self):
            super().__init__()
            self.module = net()

        def forward(self, x):
            return self.module(3 * x)

    computes(DataParallel(), (6,))

    class Mine(nn.DataParallel):
        def forward(self, x):
            return super().forward(3 * x)

    computes(Mine(net()), (6,))


def test_what_is_read_is_compared_with_the_network():
    seen = []

    def forward(m, x):
        seen.append(x.shape)
        return m.c(x) if type(x) is torch.Tensor else 2 * m.c(x)

    refused(Function(forward), (6,), "which differ by .* every layer that can be compared agrees")
    assert dq.from_torch(Function(forward), 6, verify=False).output_shape == (3,)

    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 3)
            self.register_buffer("n", torch.zeros(1))

        def forward(self, x):
            self.n += 1
            return self.linear(x) * self.n

    refused(Counts(), (6,), "the same samples twice .* is no function")


def test_rounding_is_no_reason_to_refuse():
    torch.manual_seed(3)
    blocks = [m for _ in range(20) for m in (nn.Linear(32, 32), nn.Tanh())]
    for kind in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        network = nn.Sequential(*blocks, nn.Linear(32, 3)).to(kind)
        weights = [p for p in network.parameters()]
        before = [(p.dtype, p.clone()) for p in weights]
        dq.from_torch(network, 32)
        assert all(p.dtype == d and torch.equal(p, q) for p, (d, q) in zip(weights, before))
    # The network rounds to multiples of 1/32 on the way, and the folded normalization does not.
    network = nn.Sequential(nn.Linear(32, 3), nn.BatchNorm1d(3))
    with torch.no_grad():
        network[0].bias.fill_(3e5)
        network[1].running_mean.fill_(3e5)
    model = dq.from_torch(network, 32)
    with pytest.raises(dq.ExportError, match="which is more than"):
        model.verify_export(network, torch.rand(8, 32))


class Remembers(nn.Module):
    """Keeps what it computes, as people do who look at features."""

    def __init__(self):
        super().__init__()
        self.linear, self.seen = nn.Linear(6, 3), {}
        self.register_buffer("n", torch.zeros(1))

    def forward(self, x):
        self.n += 1
        self.features = self.linear(x)
        self.seen["features"] = self.features
        return F.relu(self.features)


class Own(nn.Module):
    """A layer of a user, with a weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 6))

    def forward(self, x):
        return F.linear(x, self.weight)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("make", [
    Remembers, lambda: nn.Sequential(weight_norm(Own())), lambda: nn.Sequential(spectral_norm(Own())),
    lambda: nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 3))), lambda: torch.compile(net(), backend="eager"),
])
def test_a_network_is_left_as_it_was(make):
    network = make().train()
    network.requires_grad_(False)
    copied = pickle.dumps(network.state_dict())
    kinds = [{name: type(value) for name, value in vars(m).items()} for m in network.modules()]
    for refuse in (False, True):
        model = dq.from_torch(network, 6)
        assert model.verify_export(network, torch.rand(3, 6)) < 1e-5
        assert pickle.dumps(network.state_dict()) == copied and getattr(network, "seen", {}) == {}
        assert [{name: type(value) for name, value in vars(m).items()} for m in network.modules()] == kinds
        assert all(not p.requires_grad and m.training for m in network.modules() for p in m.parameters())
        copy.deepcopy(network.state_dict())
        if refuse:
            with pytest.raises(dq.UnsupportedError):
                dq.from_torch(nn.Sequential(network, nn.Softmax(1)), 6)


def test_gradients_are_left_as_they_were():
    network = net().bfloat16()
    network(torch.rand(2, 6).bfloat16()).sum().backward()
    gradients = [(p.grad, p.grad.clone()) for p in network.parameters()]
    dq.from_torch(network, 6)
    assert all(p.grad is g and torch.equal(g, h) for p, (g, h) in zip(network.parameters(), gradients))


def test_every_refusal_is_typed_and_has_its_place():
    class Net(nn.Module):
        def __init__(self, forward):
            super().__init__()
            self.inner = Function(forward)

        def forward(self, x):
            return self.inner(x)

    for forward, said in (
        (lambda m, x: m.c(x).clamp(min=m.w[:3]), "inner: a bound by a tensor of shape"),
        (lambda m, x: m.c(x).clamp(min=m.c(x)), "inner: a clamp between values that depend on the input"),
        (lambda m, x: m.c(x) if x.sum() > 0 else x, "inner: torch.fx cannot trace"),
        (lambda m, x: m.c(x).squeeze("a"), "inner: a call whose arguments are not known: TypeError"),
        (lambda m, x: m.c(x).mul(object), "inner: "), (lambda m, x: m.c(x).view(-1, 10**400), "inner: "),
        (lambda m, x: m.c(x).clamp("a"), "inner: 'a' in place of a number"),
        (lambda m, x: F.leaky_relu(m.c(x), m.w), "inner: a call whose arguments are not known: "),
    ):
        refused(Net(forward), (6,), said)
    pooled = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1))
    computes(nn.Sequential(*pooled, nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(1), nn.Flatten()), (1, 6, 6))
    for behind in (nn.AvgPool2d(3, 1, 1), nn.AdaptiveAvgPool2d(2), nn.PixelUnshuffle(1)):
        refused(nn.Sequential(*pooled, behind), (1, 6, 6), "2: ")

"""What people write in forward: changes in place, control flow that depends on shapes, methods of their own."""

import sys
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

import dahlquist as dq  # noqa: E402


def computes(network, shape):
    """Imports a network and compares its logits with PyTorch's own."""
    network.eval()
    model = dq.from_torch(network, shape)
    x = torch.rand(5, *shape) - 0.5
    with torch.no_grad():
        expected = network(x.clone()).double().numpy()
    found = model.predict(x.numpy()).astype(np.float64)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    before = x.clone()
    assert model.verify_export(network, x).proved and torch.equal(x, before)
    return model


def refused(network, shape, said):
    with pytest.raises(dq.UnsupportedError, match=said):
        dq.from_torch(network, shape)


class Function(nn.Module):
    """A network whose forward is a function of two matrices and the input."""

    def __init__(self, forward, features=6):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(features, features), nn.Linear(features, features), nn.Linear(features, 3)
        self.drop, self.same, self._forward = nn.Dropout(), nn.Identity(), forward
        self.w = nn.Parameter(torch.rand(features))

    def forward(self, x):
        return self._forward(self, x)


class PreActivation(nn.Module):
    """A block whose ReLU works in place: the skip connection sees what it changed."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.relu = nn.BatchNorm2d(4), nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.conv1(self.relu(x))
        return self.conv2(self.relu(self.norm(out))) + x


def test_a_skip_connection_sees_what_is_changed_in_place():
    computes(nn.Sequential(nn.Conv2d(1, 4, 3), PreActivation(), PreActivation(), nn.Flatten(), nn.Linear(64, 3)), (1, 6, 6))


def statement(m, x):
    x = m.a(x)
    x.relu_()
    F.leaky_relu(x, 0.5, inplace=True)
    return m.c(x)


def operators(m, x):
    h = m.a(x)
    short = m.drop(m.same(h))
    copied = h.clone()
    h += m.b(h)
    h *= 2
    h -= 0.5
    h /= 3
    short.add_(copied, alpha=3)
    return m.c(h + torch.tanh(short) + copied)


def of_the_input(m, x):
    x -= 0.5
    return m.c(F.relu(m.a(x)) + x)


@pytest.mark.parametrize("forward", [statement, operators, of_the_input])
def test_changes_in_place(forward):
    computes(Function(forward), (6,))


def test_a_view_of_what_is_changed_in_place_is_refused():
    def forward(m, x):
        h = m.a(x)
        seen = h.view(-1, 6)
        h.relu_()
        return m.c(seen)

    refused(Function(forward), (6,), "changed? in place of a value that is used again in another shape")
    refused(Function(lambda m, x: m.c(x * m.w.clamp_(min=0))), (6,), "a weight that is changed in place")


def test_control_flow_that_depends_on_shapes_is_followed():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = parametrizations.weight_norm(nn.Conv2d(1, 6, 3))
            self.fc = nn.Linear(96, 3)

        def features(self, x):
            count = 1
            for n in x.size()[1:]:
                count *= n
            return count

        def forward(self, x):
            batch, channels, height, _ = x.shape
            assert channels == 1 and x.dim() == 4
            x = F.relu(self.conv(x))
            return self.fc(x.view(-1, self.features(x))) if height == 6 else x

    computes(Net(), (1, 6, 6))
    refused(Function(lambda m, x: m.c(x) if x.shape[0] == 1 else -m.c(x)), (6,), "control flow")


def test_arguments_with_defaults_keep_them():
    class Optional(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, 3)

        def forward(self, x, mask=None, features=False, *more, **options):
            h = self.fc(x if mask is None else x * mask)
            return (h, x) if features else h

    class Required(Optional):
        def forward(self, x, mask):
            return self.fc(x * mask)

    computes(Optional(), (5,))
    computes(torch.optim.swa_utils.AveragedModel(Optional()), (5,))
    refused(Required(), (5,), "a second input, mask")


def test_arguments_by_name():
    def forward(m, x):
        x = torch.add(input=F.relu(input=m.a(input=x)), other=x)
        return m.c(torch.mul(x, other=0.5).to(x.dtype).detach().neg().div(2))

    computes(Function(forward), (6,))
    refused(Function(lambda m, x: m.c(torch.mul(x, other=x, out=None))), (6,), "arguments are not known")
    refused(Function(lambda m, x: m.c(x.to(torch.float16).float())), (6,), "rounds")


def test_methods_of_their_own_are_traced():
    class Standardized(nn.Conv2d):
        def _conv_forward(self, x, weight, bias):
            return super()._conv_forward(x, weight - weight.mean((1, 2, 3), keepdim=True), bias)

    computes(nn.Sequential(Standardized(2, 3, 3), nn.Flatten(), nn.Linear(12, 3)), (2, 4, 4))
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    network[1].forward = torch.tanh
    assert [layer["type"] for layer in computes(network, (4,)).architecture["layers"]] == ["dense", "activation", "dense"]
    network = nn.Sequential(torch.compile(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), backend="eager"), nn.Linear(4, 3))
    computes(network, (4,))


def test_numbers_of_python_have_the_precision_of_the_network():
    network = Function(lambda m, x: m.c(torch.tanh(m.a(x) * 0.1 + 0.3) / 0.7 - torch.add(x, 0.1, alpha=0.3))).double()
    model = dq.from_torch(network, 6)
    assert model.dtype == np.float64 and model.verify_export(network, torch.rand(5, 6, dtype=torch.float64)).proved


def test_zeros_around_images():
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3, stride=2)

        def forward(self, x):
            return F.relu(self.conv(F.pad(x, (0, 2, 1, 0))))

    model = computes(nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(2, 2, 3, padding=1), Padded(), nn.Flatten()), (2, 6, 6))
    assert model.architecture["layers"][0]["padding"] == [2, 2]
    computes(nn.Sequential(nn.ConstantPad1d((2, 1), 0.0), nn.Conv1d(2, 3, 3), nn.Flatten()), (2, 6))
    refused(nn.Sequential(nn.ConstantPad2d(1, 0.5)), (2, 6, 6), "zeros around an image are known")
    refused(nn.Sequential(nn.ZeroPad2d((0, 0, -1, 0))), (2, 6, 6), "zeros around an image are known")
    # A circular convolution without padding is one without.
    network = nn.Sequential(nn.Conv2d(2, 3, 2, stride=3, padding_mode="circular"), nn.Flatten())
    assert np.isfinite(computes(network, (2, 7, 7)).seal().lipschitz)
    # A convolution of the user is no padding.
    network = nn.Sequential(nn.Conv2d(2, 2, 1, padding=1, groups=2, bias=False), nn.Conv2d(2, 3, 3, padding=1), nn.Flatten())
    computes(network, (2, 4, 4))


def test_what_to_do_about_modules_that_people_have():
    refused(nn.Sequential(nn.Linear(4, 4), nn.Softmax(1)), 4, "1: Softmax: leave it out")
    refused(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), 4, "1: LayerNorm: .*BatchNorm")
    refused(nn.LSTM(4, 3), 4, "0: LSTM$")
    refused(Function(lambda m, x: x.__setitem__(0, 1)), 6, "changes a part of a value in place")


def test_networks_without_numbers_are_refused():
    refused(nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2)), 4, "0.weight: it has no numbers yet")
    refused(nn.Sequential(nn.Linear(4, 3, device="meta")), 4, "0.bias: it is on the device meta")
    refused(torch.jit.trace(nn.Linear(4, 3), torch.rand(1, 4)), 4, "the module that it was made of")


def test_a_network_is_compared_with_normalized_samples(tmp_path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval()
    x, normalize = torch.rand(5, 3, 2, 2), ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    layers = [{"type": "flatten"}, {"type": "dense", "weight": "1.weight", "bias": "1.bias"}]
    model = dq.from_torch(network, (3, 2, 2), normalize=normalize)
    model.save(tmp_path / "net.safetensors")
    others = (dq.load(tmp_path / "net.safetensors"), dq.from_state_dict(layers, network.state_dict(), (3, 2, 2), normalize=normalize))
    assert all(m.verify_export(network, x).proved for m in (model, *others))
    assert model.half().verify_export(network, x, rtol=1e-2) < 1e-2
    network = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Flatten()).eval()
    dq.from_torch(network, (2, 5)).save(tmp_path / "signals.safetensors")
    assert dq.load(tmp_path / "signals.safetensors").verify_export(network, torch.rand(4, 2, 5)).proved
    with pytest.raises(TypeError, match="Module is expected"):
        model.verify_export(torch.relu, x)


def test_a_file_of_a_whole_network_is_named(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "net.pt")
    with pytest.raises(dq.errors.FormatError, match="more than weights.*from_torch"):
        dq.from_state_dict([], tmp_path / "net.pt", 2)
    assert dq.from_torch(nn.Linear(2, 2), np.int64(2)).input_shape == (2,)


def test_max_min_along_another_axis_is_refused():
    class MaxMin(nn.Module):
        __module__ = "orthogonium.layers"

        def __init__(self, axis):
            super().__init__()
            self.axis = axis

        def forward(self, x):
            a, b = x.split(x.shape[self.axis] // 2, self.axis)
            return torch.cat([torch.max(a, b), torch.min(a, b)], self.axis)

    computes(MaxMin(-3), (4, 2, 2))
    refused(MaxMin(2), (4, 2, 2), "MaxMin along the axis 2")


def test_means_of_channels_as_people_write_them():
    class Head(nn.Module):
        def __init__(self, mean):
            super().__init__()
            self.conv, self.fc, self.mean = nn.Conv2d(2, 4, 3), nn.Linear(4, 3), mean

        def forward(self, x):
            return self.fc(self.mean(F.relu(self.conv(x))))

    for mean in (
        lambda x: x.view(x.size(0), x.size(1), -1).mean(2), lambda x: x.flatten(2).mean(-1), lambda x: x.mean(3).mean(2),
        lambda x: x.mean(2).mean(dim=-1), lambda x: x.mean((-2, -1)).clamp_min(0),
    ):
        model = computes(Head(mean), (2, 6, 7))
        assert model.architecture["layers"][2]["type"] == "global_avg_pool"
    refused(nn.Sequential(nn.Flatten(2), nn.Conv1d(2, 3, 1)), (2, 6, 7), "before a mean over them")
    refused(Function(lambda m, x: x.mean(2).flatten(1)), (2, 3, 4), "before a mean over the other")


def test_constants_of_forward_do_not_stay_in_the_network():
    network = Function(lambda m, x: m.c(x) * torch.tensor([1.0, 2, 3]))
    before = set(vars(network))
    computes(network, (6,))
    assert set(vars(network)) == before


def test_threads_import_networks_side_by_side():
    def work(network, x, expected, problems):
        try:
            for _ in range(8):
                model = dq.from_torch(network, 4)
                np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5, atol=1e-6)
                assert model.verify_export(network, x).proved
        except Exception as error:
            problems.append(error)

    problems, threads, interval = [], [], sys.getswitchinterval()
    for _ in range(4):
        network = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 4)), nn.Linear(4, 3)).eval()
        x = torch.rand(3, 4)
        threads.append(threading.Thread(target=work, args=(network, x, network(x).detach().numpy(), problems)))
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not problems


class Program(nn.Module):
    """Random steps, each of which reads some values that there are, and may change them."""

    def __init__(self, rng):
        super().__init__()
        self.linear, self.last = nn.Linear(4, 4), nn.Linear(4, 3)
        self.steps = [(int(rng.integers(12)), *(int(n) for n in rng.integers(0, i + 1, 2))) for i in range(12)]

    def forward(self, x):
        values = [x]
        for kind, i, j in self.steps:
            h, other = values[i], values[j]
            if kind == 0:
                h += other
            elif kind == 1:
                h -= 0.5 * other
            elif kind == 2:
                h *= 0.7
            elif kind == 3:
                F.relu(h, inplace=True)
            else:
                h = (
                    self.linear, torch.tanh, torch.clone, lambda v: F.dropout(v, training=self.training), lambda v: v.clamp_(-1, 1),
                    lambda v: v.add_(other, alpha=-0.5), lambda v: v + other, lambda v: F.elu(v, inplace=True),
                )[kind - 4](h)
            values.append(h)
        return self.last(values[-1] + values[len(values) // 2])


def test_random_programs_of_changes_in_place():
    rng = np.random.default_rng(1)
    for _ in range(40):
        computes(Program(rng), (4,))

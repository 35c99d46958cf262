"""Trainable modules: logits of module and model agree, proved steps do not expand, losses are those of the formulas."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # The networks are small, and threads that wait for each other are slow.
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import dahlquist as dq  # noqa: E402
from dahlquist.torch import EMMA, GradientFlow, MarginCrossEntropy, MaxMin, Muon, Shift, UnitRows, prove_steps  # noqa: E402

from conftest import needs  # noqa: E402


@pytest.mark.parametrize("method", ["euler", "heun", "rk4"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "softplus"])
def test_a_flow_of_vectors(method, activation):
    torch.manual_seed(1)
    network = GradientFlow(6, 9, activation=activation, method=method, steps=3)
    x = torch.rand(8, 6)
    network(x)
    model = network.to_dahlquist(6)
    assert model.verify_export(network, x) < 1e-5


@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_a_flow_of_images_and_its_step(mode):
    torch.manual_seed(2)
    flows = GradientFlow(3, 8, 3, padding_mode=mode), GradientFlow(3, 4, 5, padding_mode=mode)
    network = nn.Sequential(*flows, nn.Flatten(), UnitRows(192, 5))
    x = torch.rand(4, 3, 8, 8)
    for _ in range(20):
        network(x)
    model = dq.from_torch(network, (3, 8, 8))
    assert model.verify_export(network, x) < 1e-5
    prove_steps(network)
    sealed = dq.from_torch(network, (3, 8, 8)).seal()
    assert sealed.features == 1.0
    assert dq.from_torch(network, (3, 8, 8)).verify_export(network, x) < 1e-5


def test_the_adjoint_is_the_transpose():
    for mode in ("zeros", "circular"):
        flow = GradientFlow(2, 3, 3, padding_mode=mode).double()
        x, z = torch.rand(1, 2, 5, 5).double(), torch.rand(1, 3, 5, 5).double()
        assert torch.isclose((flow._linear(x) * z).sum(), (x * flow._adjoint(z)).sum())


def test_training_moves_the_step_and_evaluation_nothing():
    torch.manual_seed(3)
    network = nn.Sequential(GradientFlow(4, 8), UnitRows(4, 3))
    optimizer = torch.optim.Adam(network.parameters(), 0.05)
    x, y = torch.rand(60, 4), torch.randint(0, 3, (60,))
    y = (x[:, :3] * 3).argmax(1)
    loss = MarginCrossEntropy(0.25, 0.05)
    first = None
    for _ in range(25):
        optimizer.zero_grad()
        value = loss(network(x), y)
        value.backward()
        optimizer.step()
        first = first or value.item()
    assert value.item() < first
    network.eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    a, b = network(x), network(x)
    assert torch.equal(a, b) and all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_half_precision_does_not_touch_the_step():
    torch.manual_seed(6)
    flow, x = GradientFlow(6, 8), torch.rand(4, 6)
    for _ in range(30):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = flow(x)
    assert y.isfinite().all() and flow.step.dtype == torch.float32
    norm = torch.linalg.matrix_norm(flow.weight.detach().double(), 2)
    assert abs(float(flow.step) * norm**2 / 2 - 1) < 1e-4


def test_losses():
    torch.manual_seed(4)
    logits, labels = torch.randn(7, 5, dtype=torch.float64), torch.randint(0, 5, (7,))
    t, k = 0.3, 0.1
    shifted = logits.clone()
    shifted[torch.arange(7), labels] -= math.sqrt(2) * k
    expected = -(t * torch.log_softmax(shifted / t, 1)[torch.arange(7), labels]).mean()
    assert torch.isclose(MarginCrossEntropy(t, k)(logits, labels), expected)
    rows = torch.eye(5, dtype=torch.float64)
    plain, raised = EMMA(0.0)(logits, labels, rows), EMMA(0.5)(logits, labels, rows)
    assert torch.isclose(plain, F.cross_entropy(logits, labels)) and raised > plain


def test_orthogonalized_momentum():
    # A first step along a gradient G = USV' moves W by about lr UV', whatever the singular values, and the head by Adam.
    torch.manual_seed(5)
    u, v = torch.linalg.qr(torch.randn(4, 4))[0], torch.linalg.qr(torch.randn(27, 4))[0]
    wide, tall, bias, head = (nn.Parameter(torch.zeros(shape)) for shape in [(4, 3, 3, 3), (27, 4), (5,), (2, 4)])
    optimizer = Muon([wide, tall, bias], lr=0.1, adam=[head], vector_rate=0.02)
    g = u @ torch.diag(torch.tensor([3.0, 1.0, 0.3, 0.1])) @ v.T
    wide.grad, tall.grad, bias.grad, head.grad = g.reshape(4, 3, 3, 3), g.T.clone(), torch.full((5,), -7.0), torch.ones(2, 4)
    optimizer.step()
    for move, scale in ((wide.detach().reshape(4, 27), 1), (tall.detach().T, 1)):
        inner = -(u.T @ move @ v) / (0.1 * scale)
        assert (inner - torch.diag(inner.diagonal())).abs().max() < 1e-4
        assert ((inner.diagonal() > 0.65) & (inner.diagonal() < 1.25)).all()
    torch.testing.assert_close(bias.detach(), torch.full((5,), 0.002))
    torch.testing.assert_close(head.detach(), torch.full((2, 4), -0.002))
    with pytest.raises(ValueError, match="momentum"):
        Muon([wide], momentum=1.0)


def test_orthogonalized_momentum_trains():
    torch.manual_seed(7)
    network = nn.Sequential(GradientFlow(4, 8), GradientFlow(4, 8), UnitRows(4, 3))
    optimizer = Muon(network.parameters(), lr=torch.tensor(0.1), adam=network[-1].parameters(), vector_rate=0.2)
    x = torch.rand(60, 4)
    y, loss, values = (x[:, :3] * 3).argmax(1), MarginCrossEntropy(0.25, 0.05), []
    for _ in range(25):
        optimizer.zero_grad()
        values.append(loss(network(x), y))
        values[-1].backward()
        optimizer.step()
    assert values[-1] < values[0]


@needs("sort")
def test_sorting_in_pairs():
    x = torch.randn(3, 6, 2, 2)
    model = MaxMin().to_dahlquist((6, 2, 2))
    np.testing.assert_array_equal(model.predict(x), MaxMin()(x).numpy())
    assert model.seal().lipschitz == 1.0


@needs("shift")
def test_a_shift_is_an_isometry():
    x = torch.randn(3, 6, 4, 5)
    shift = Shift([(2, 1, 0), (1, -1, 2)])
    model = shift.to_dahlquist((6, 4, 5))
    np.testing.assert_array_equal(model.predict(x), shift(x).numpy())
    assert model.seal().lipschitz == 1.0


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="implicit"):
        GradientFlow(2, 2, method="implicit_euler")
    with pytest.raises(dq.errors.NotCircleContractiveError):
        GradientFlow(2, 2, method="midpoint")
    with pytest.raises(ValueError, match="odd"):
        GradientFlow(2, 2, 4)
    with pytest.raises(ValueError, match="not known"):
        prove_steps(GradientFlow(2, 2, 3))


def test_a_proved_step_is_rounded_down_in_half_precision():
    torch.manual_seed(4)
    for kind in (torch.bfloat16, torch.float16):
        network = nn.Sequential(*(GradientFlow(6, 8) for _ in range(4))).to(kind)
        prove_steps(network)
        assert dq.from_torch(network, 6).seal().lipschitz == 1
    with pytest.raises(ValueError, match="one of 'relu'"):
        GradientFlow(6, 8, activation="gelu")

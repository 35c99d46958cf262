"""The optimizer for orthonormal rows: they stay orthonormal, and what is minimized is."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
from torch import nn  # noqa: E402

import dahlquist as dq  # noqa: E402
from dahlquist.torch import GradientFlow, Stiefel, UnitRows  # noqa: E402


def off(weight):
    """How far the rows are from orthonormal."""
    w = weight.detach().double().reshape(len(weight), -1)
    return float((w @ w.T - torch.eye(len(w))).abs().max())


@pytest.mark.parametrize("lr", [0.01, 1.0, 1e6])
@pytest.mark.parametrize(("kind", "within"), [(torch.float32, 3e-6), (torch.float64, 1e-14)])
def test_rows_stay_orthonormal(kind, within, lr):
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(*shape, dtype=kind)) for shape in ((3, 7), (5, 5), (4, 3, 3, 3))]
    optimizer = Stiefel(weights, lr=lr)
    assert max(map(off, weights)) < within
    for _ in range(30):
        before = [w.detach().clone() for w in weights]
        for w in weights:
            w.grad = torch.randn_like(w)
        optimizer.step()
        assert max(map(off, weights)) < within
        assert all((a != b).any() for a, b in zip(before, weights))


def test_the_minimum_of_procrustes_is_found():
    # |W A - B| is least among matrices with orthonormal rows at the polar factor of B A'; in the plane of a square matrix, the
    # component that can be reached is that of the start.
    torch.manual_seed(1)
    a, goal = torch.randn(6, 40, dtype=torch.float64), torch.linalg.qr(torch.randn(6, 3, dtype=torch.float64))[0].T
    w = nn.Parameter(torch.randn(3, 6, dtype=torch.float64))
    optimizer = Stiefel([w], lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        ((w @ a - goal @ a) ** 2).mean().backward()
        optimizer.step()
    assert torch.allclose(w, goal, atol=1e-6)


def test_a_flow_with_orthonormal_rows_is_certified_with_its_longest_step():
    torch.manual_seed(2)
    network = nn.Sequential(GradientFlow(8, 8), UnitRows(8, 3))
    flow = network[0]
    optimizer = Stiefel([flow.weight], lr=0.1)
    other = torch.optim.Adam([p for p in network.parameters() if p is not flow.weight])
    x, y = torch.rand(40, 8), torch.randint(0, 3, (40,))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        other.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(network(x).float(), y)
        loss.backward()
        optimizer.step(), other.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and off(flow.weight) < 3e-6
    dq.torch.prove_steps(network)
    # 2/|W|^2, and |W| = 1 is proved but for the last digits.
    assert abs(float(flow.step) - 2) < 1e-4
    assert dq.from_torch(network, 8).seal().features == 1.0


def test_its_state_is_saved():
    torch.manual_seed(3)
    w = nn.Parameter(torch.randn(2, 4))
    gradients = torch.randn(6, 2, 4)

    def run(optimizer, weight, part):
        for gradient in part:
            weight.grad = gradient.clone()
            optimizer.step()

    optimizer = Stiefel([w])
    run(optimizer, w, gradients[:3])
    copy = nn.Parameter(w.detach().clone())
    again = Stiefel([copy])
    copy.data.copy_(w.data)
    again.load_state_dict(optimizer.state_dict())
    run(optimizer, w, gradients[3:])
    run(again, copy, gradients[3:])
    np.testing.assert_array_equal(w.detach().numpy(), copy.detach().numpy())


@pytest.mark.parametrize(("weight", "said"), [
    (torch.randn(3, 2), "more rows"), (torch.ones(3), "more rows"), (torch.zeros(2, 2), "independent"),
    (torch.randn(2, 3).half(), "float32"),
])
def test_what_cannot_be_orthonormal_is_refused(weight, said):
    with pytest.raises(ValueError, match=said):
        Stiefel([nn.Parameter(weight)])
    with pytest.raises(ValueError):
        Stiefel([nn.Parameter(torch.eye(2))], momentum=1.0)

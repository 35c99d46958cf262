# %% [markdown]
# # Your own PyTorch network in ten lines
#
# A network that was trained without a thought of robustness, its proved Lipschitz constant, and how far each of its
# predictions is proved to stand.

# %%
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import dahlquist as dq

torch.manual_seed(0)
torch.set_num_threads(1)  # the networks are small
digits = load_digits()
x = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
y = torch.tensor(digits.target)
train, test = slice(0, 1400), slice(1400, None)


def fit(net, steps=300, loss=nn.CrossEntropyLoss()):
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for step in range(steps):
        batch = torch.randint(0, 1400, (128,))
        optimizer.zero_grad()
        loss(net(x[batch]), y[batch]).backward()
        optimizer.step()
    return net


net = fit(nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
    nn.Flatten(), nn.Linear(256, 10),
))

# %% [markdown]
# The ten lines. `from_torch` reads the network in evaluation mode and leaves it in training mode, as it is.

# %%
model = dq.from_torch(net, (1, 8, 8))
model.verify_export(net, x[test])
sealed = model.seal()
sealed

# %%
r = sealed.certify(x[test], y[test], semantics="exact")
a = sealed.attack(x[test], y[test], eps=np.linspace(0, 1.5, 7)[1:])
print(r)
print(a)

# %% [markdown]
# The bound of a plainly trained network is too large to certify much: most of its predictions stand under attack, and hardly
# any of that is proved. A network whose layers cannot move two points apart does better. Its layers are steps of Euler's method
# for $x' = -W^\top \sigma(Wx + b)$.

# %%
from dahlquist.torch import GradientFlow, MarginCrossEntropy, UnitRows, prove_steps

stable = nn.Sequential(
    nn.PixelUnshuffle(2), GradientFlow(4, 32, 3), GradientFlow(4, 32, 3), nn.Flatten(), GradientFlow(64, 128),
    GradientFlow(64, 128), UnitRows(64, 10),
)
fit(stable, loss=MarginCrossEntropy(temperature=0.1, offset=0.3))
prove_steps(stable)
stable_model = dq.from_torch(stable, (1, 8, 8))
stable_model.verify_export(stable, x[test])
stable_sealed = stable_model.seal()
stable_sealed

# %%
stable_r = stable_sealed.certify(x[test], y[test], semantics="exact")
stable_a = stable_sealed.attack(x[test], y[test], eps=np.linspace(0, 1.5, 7)[1:])
dq.plot.curves(plain=(r, a), stable=(stable_r, stable_a));

# %% [markdown]
# The same with a slider: which images are proved at a distance?

# %%
dq.plot.slider(x[test], plain=(r, a), stable=(stable_r, stable_a))

# %%
dq.table(eps=[0.1, 0.25, 0.5], plain=r, stable=stable_r)

# %% [markdown]
# The proof is a file. Someone else checks it, trusting nothing that it says; a forged one is caught.

# %%
stable_model.save("net.safetensors")
stable_r.certificate([0.1, 0.25, 0.5]).save("cert.json")
print(dq.check("cert.json", "net.safetensors", x[test], y[test]).verified)

forged = dq.Certificate.load("cert.json").to_dict()
forged["samples"]["radii"][0] *= 1.01
dq.check(forged, "net.safetensors", x[test], y[test]).failed

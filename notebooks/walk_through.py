# %% [markdown]
# # Stable neural networks and dynamical systems: a walk-through
#
# It follows Ehrhardt, Murari, Sherry, *Stable neural networks and connections to continuous dynamical systems*
# ([arXiv:2510.22299](https://arxiv.org/abs/2510.22299)). The data are the 8 × 8 digits of scikit-learn. Every number that is
# called *proved* is; every other one is measured, and says so. It takes about a minute on two cores.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import dahlquist as dq
from dahlquist.torch import GradientFlow, MarginCrossEntropy, UnitRows, prove_steps

rng = np.random.default_rng(0)
torch.manual_seed(0)
torch.set_num_threads(1)  # the networks are small
digits = load_digits()
x, y = np.float32(digits.images / 16).reshape(-1, 64), digits.target
train, test = slice(0, 1400), slice(1400, None)

# %% [markdown]
# ## An instability
#
# We train a small network as usual. It classifies most test images correctly.


# %%
def fit(network, loss, steps=600, rate=5e-3):
    """Trains a network with Adam and one cycle of the learning rate."""
    images, labels = torch.tensor(x[train]), torch.tensor(y[train])
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps):
        batch = torch.randint(0, len(images), (128,))
        optimizer.zero_grad()
        loss(network(images[batch]), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


layers = [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)]
plain = fit(nn.Sequential(*layers), nn.CrossEntropyLoss())
plain_model = dq.from_torch(plain, 64)
right = plain_model.predict(x[test]).argmax(axis=1) == y[test]
print(f"{100 * right.mean():.1f} % of the test images are classified correctly")

# %% [markdown]
# Now we change images a little, in the direction that confuses the network most. Projected gradient descent (PGD) searches for an
# image near the given one, at a distance of at most $\varepsilon$, that the network misclassifies. Distances are Euclidean, and
# pixels lie in $[0, 1]$.

# %%
eps = np.linspace(0, 1.5, 16)[1:]
plain_attack = plain_model.attack(x[test], y[test], eps=eps, keep_inputs=True)
# The first image that was correct and is broken at a short distance.
broken = int(np.argmax((plain_attack.distance > 0) & (plain_attack.distance <= eps[2])))
before, after = x[test][broken], plain_attack.inputs[broken]
figure, axes = plt.subplots(1, 3, figsize=(7, 2.6), layout="constrained")
axes[0].imshow(before.reshape(8, 8), cmap="gray", vmin=0, vmax=1)
axes[0].set_title(f"classified as {y[test][broken]}")
axes[1].imshow((after - before).reshape(8, 8), cmap="RdBu_r", vmin=-0.2, vmax=0.2)
axes[1].set_title(f"plus this, of length {np.linalg.norm(after - before):.2f}")
axes[2].imshow(after.reshape(8, 8), cmap="gray", vmin=0, vmax=1)
axes[2].set_title(f"classified as {plain_attack.prediction[broken]}")
for ax in axes:
    ax.set(xticks=[], yticks=[])
print(f"At distance {eps[2]:.1f}, {100 * plain_attack.accuracy(eps[2]):.1f} % are left that PGD did not break.")

# %% [markdown]
# ## A residual layer is a step of Euler's method
#
# A residual layer computes $x_{k+1} = x_k + h f(x_k)$. That is a step of Euler's method for $x' = f(x)$. Here
# $f(x) = V\sigma(Wx + b)$. A network of $n$ such layers with $h = 1/n$ comes closer to the flow of the equation at time 1 the deeper
# it is. The error is proportional to $h$: Euler's method has order 1.

# %%
v, w, b = rng.normal(size=(2, 6)) / 2, rng.normal(size=(6, 2)), rng.normal(size=6)
start = np.array([[-1.0, 0.5]])


def residual_layer(points, h):
    return points + h * np.maximum(points @ w.T + b, 0) @ v.T


residual = dq.ResidualField(w, v, inner_bias=b)
_, states = dq.flow(residual, start, method="euler", h=0.25, steps=1)
assert np.allclose(states[1], residual_layer(start, 0.25), rtol=1e-14)

depths = 2 ** np.arange(1, 10)
_, exact = dq.flow(residual, start, method="rk4", h=1 / 4096, steps=4096)
errors = [np.linalg.norm(dq.flow(residual, start, method="euler", h=1 / n, steps=n)[1][-1] - exact[-1]) for n in depths]
assert errors[-1] < errors[0] / 100
figure, ax = plt.subplots(figsize=(4.5, 3), layout="constrained")
ax.loglog(depths, errors, "o-", label="residual network")
ax.loglog(depths, errors[0] * depths[0] / depths, ":", color="0.5", label="proportional to h")
ax.set(xlabel="layers", ylabel="distance to the flow at time 1")
ax.legend();

# %% [markdown]
# ## The phase plane
#
# Not every field is stable. The *gradient field* $f(x) = -W^T \sigma(Wx + b)$ is, if $\sigma$ has slopes in $[0, 1]$. It is
# $-\nabla V$ for $V(x) = \sum_i \psi(w_i^T x + b_i)$ with $\psi' = \sigma$, and $V$ is convex. So
#
# $$\langle f(x) - f(y), x - y \rangle \le -\nu \|f(x) - f(y)\|^2, \qquad \nu = 1/\|W\|^2.$$
#
# All trajectories go downhill.

# %%
w, b = rng.normal(size=(6, 2)), rng.normal(size=6) / 2
field = dq.GradientField(w, b, "tanh")
angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
x0 = 2 * np.c_[np.cos(angles), np.sin(angles)]
t, states = dq.flow(field, x0, method="rk4", h=0.02, steps=200)
figure = dq.plot.trajectories(states)
grid = np.linspace(-2.2, 2.2, 80)
plane = np.stack(np.meshgrid(grid, grid), -1)
figure.axes[0].contour(grid, grid, field.potential(plane), levels=12, colors="0.7", linewidths=0.6)
figure.axes[0].set_title("trajectories, and level lines of V");

# %% [markdown]
# ## Two trajectories never move apart, and the potential never increases

# %%
distance = np.linalg.norm(states[:, 0] - states[:, 7], axis=1)
potential = field.potential(states)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(t, distance)
left.set(xlabel="t", ylabel="distance of two trajectories", ylim=(0, None))
right.plot(t, potential[:, ::6])
right.set(xlabel="t", ylabel="V(x(t))")
assert (np.diff(distance) <= 1e-12).all() and (np.diff(potential, axis=0) <= 1e-12).all()

# %% [markdown]
# ## A step that is too long
#
# Euler's method keeps that property for $h \le 2\nu = 2/\|W\|^2$, and not beyond. Move the slider: the longest step that is proved
# not to expand comes first. Beyond it, trajectories jump across the valley.
#
# The package proves $\nu$. The field's certificate says it.

# %%
proof = field.model(method="euler", h=0.01).seal().certificate
nu = next(row["cocoercivity"] for row in proof.rows() if row["rule"] == "gradient_field")
longest = 2 * nu
pair = np.array([[1.0, -1.7], [1.4, -1.2]])
dq.plot.steps(field, np.r_[pair, x0[::4]], longest * np.linspace(0.05, 1.6, 32))

# %% [markdown]
# A search for the worst pair of points comes close to what is proved of a long step. At 0 all slopes of tanh are 1.

# %%
steep = dq.GradientField(w, activation="tanh")
for part in (0.5, 1.0, 1.5):
    sealed = steep.model(method="euler", h=part * longest).seal()
    found = sealed.lipschitz / sealed.falsify(0, rounds=20).looseness
    print(f"h = {part} of the limit: one step expands by {sealed.lipschitz:.6f} at most (proved), {found:.6f} found")

# %% [markdown]
# ## Methods and their circles
#
# A Runge–Kutta method whose radius of circle contractivity is $r$ does not expand for $h \le 2r\nu$. The radii are derived from the
# coefficients in exact arithmetic. A method with a weight that is not positive has none.

# %%
for name in dq.Tableau.names():
    method = dq.Tableau(name)
    try:
        print(f"{name:18} order {method.order}   r = {method.circle_radius:.6g}")
    except dq.errors.NotCircleContractiveError as refusal:
        print(f"{name:18} order {method.order}   {refusal}")

# %%
dq.plot.circles("ssprk43", "euler", "ralston2", "three_eighths");

# %% [markdown]
# The classical method has the radius 1, the 3/8 rule has less than half of it. The same step is proved not to expand for one, and
# for the other what is proved is more than 1.

# %%
for name in ("rk4", "three_eighths"):
    print(name, field.model(method=name, h=0.9 * longest).seal().lipschitz)

# %% [markdown]
# ## Train a stable network
#
# `GradientFlow` is such a step as a PyTorch module. Its length follows the norm of its weights while they are trained. `UnitRows` is a
# linear layer whose rows have norm 1. The loss asks for a margin. `prove_steps` replaces estimates of norms by proofs, and then the
# features of the network are 1-Lipschitz: proved, in Rust, from the stored weights.

# %%
stable = fit(
    nn.Sequential(GradientFlow(64, 128), GradientFlow(64, 128), GradientFlow(64, 128), UnitRows(64, 10)),
    MarginCrossEntropy(temperature=0.1, offset=0.5), rate=2e-2,
)
prove_steps(stable)
stable_model = dq.from_torch(stable, 64)
print(stable_model.verify_export(stable, torch.tensor(x[test])))
stable_sealed = stable_model.seal()
stable_sealed

# %% [markdown]
# The plain network has a Lipschitz constant, too. It is proved in the same way, and it is large.

# %%
plain_sealed = plain_model.seal()
plain_sealed

# %% [markdown]
# ## Attack, and certify
#
# An attack gives an upper bound of the accuracy at a distance: what it broke is broken. A certificate gives a lower bound: within its
# radius no image has another class. The truth lies between the two lines.

# %%
plain_proof = plain_sealed.certify(x[test], y[test], semantics="exact")
stable_proof = stable_sealed.certify(x[test], y[test], semantics="exact")
stable_attack = stable_model.attack(x[test], y[test], eps=eps, keep_inputs=True)
networks = {"plain": (plain_proof, plain_attack), "stable": (stable_proof, stable_attack)}
dq.plot.curves(**networks);

# %%
dq.table(eps=[0.1, 0.3, 0.5], **networks)

# %% [markdown]
# Move the slider: which images are still proved at the distance ε, which are broken, and by what?

# %%
dq.plot.slider(x[test], eps_max=1.2, **networks)

# %% [markdown]
# ## What rounding costs
#
# *Exact* radii are about the network over the real numbers. *Executed* radii are about the program with its rounding errors: they
# are smaller by what the program may be off. In single precision that can be seen. In double precision it is less than the last
# digit of a radius, which is rounded down to single precision.

# %%
wide_model = dq.from_torch(stable.double(), 64)
cases = {"single": (stable_model, x[test]), "double": (wide_model, np.float64(x[test]))}
for name, (model, samples) in cases.items():
    sealed = model.seal()
    exact, executed = (sealed.certify(samples, semantics=s).radius for s in ("exact", "executed"))
    print(f"{name} precision: executed radii are smaller by {np.max(exact - executed):.1e} at most, "
          f"{100 * np.median(1 - executed / exact):.4f} % in the median")

# %% [markdown]
# ## Check a certificate, forge one, and be caught
#
# The proof is a file. Someone else checks it against the weights and the images, and trusts nothing that it says.

# %%
stable_model.save("stable.safetensors")
stable_proof.certificate([0.1, 0.3, 0.5]).save("stable.json")
dq.check("stable.json", "stable.safetensors", x[test], y[test])

# %% [markdown]
# Three forgeries: a smaller Lipschitz constant, a larger radius, and another network under the same name.

# %%
# to_dict reads the file anew each time.
certificate = dq.Certificate.load("stable.json")
smaller, larger = certificate.to_dict(), certificate.to_dict()
smaller["lipschitz"] *= 0.99
larger["samples"]["radii"][0] *= 1.001
stable[0].weight.data *= 1.5
other = dq.from_torch(stable.float(), 64)
forgeries = {
    "a smaller constant": (smaller, stable_model), "a larger radius": (larger, stable_model),
    "another network": (certificate, other),
}
for what, (claimed, model) in forgeries.items():
    report = dq.check(claimed, model, x[test], y[test])
    print(f"{what}: verified is {report.verified}")
    for finding in report.failed[:2]:
        print(f"    {finding.claim}: {finding.reason}")

# %% [markdown]
# ## Gradients that cannot explode or vanish
#
# Training needs the gradient of the loss by the state of every layer. That is the *costate* $\lambda_n$ of optimal control, with
# $\lambda_n = J_n^T \lambda_{n+1}$, where $J_n$ is the Jacobian matrix of step $n$. So it grows by at most the Lipschitz constant of the
# steps, and it falls to no less than their inverse constant $\ell$, where $\|\Delta x_{n+1}\| \ge \ell \|\Delta x_n\|$. The package proves both.
#
# Three networks of 40 layers and the costate $\lambda_{40} = e_1$:

# %%
q, _ = np.linalg.qr(rng.normal(size=(16, 16)))
w, v = rng.normal(size=(2, 16, 16)) / 4
limit = 2 / np.linalg.norm(w, 2) ** 2
cases = {
    "residual network": (dq.ResidualField(w, v), 0.5),
    "gradient field, short steps": (dq.GradientField(w, rng.normal(size=16)), 0.02 * limit),
    "orthonormal rows, longest step": (dq.GradientField(q, rng.normal(size=16)), 2 * (1 - 1e-12)),
}
begin, last = rng.normal(size=(20, 16)), np.tile(np.eye(16)[0], (20, 1))
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for colour, (name, (system, h)) in zip(dq.plot.COLOURS, cases.items()):
    _, states = dq.flow(system, begin, method="euler", h=h, steps=40)
    size = np.linalg.norm(dq.costates(system, states, last, method="euler", h=h), axis=2)
    ax.semilogy(size.max(axis=1), color=colour, label=name)
    ax.semilogy(size.min(axis=1), color=colour)
    claim = system.model(method="euler", h=h, steps=40).seal().certificate.rows()[0]
    low = f"{claim['inverse']:.3g}" if "inverse" in claim else "no bound"
    print(f"{name}: proved {low} ≤ |λ₀|/|λ₄₀| ≤ {claim['bound']:.3g}; seen {size[0].min():.3g} to {size[0].max():.3g}")
ax.set(xlabel="layer n, from the input to the output", ylabel="|λₙ|, least and largest of 20")
ax.legend();

# %% [markdown]
# In the residual network gradients explode, and some grow hundreds of times as fast as others. The gradient field keeps them
# between two proved bounds. With orthonormal rows and the longest step, each step is an isometry almost everywhere, so gradients
# keep their length. (No lower bound is proved there: where a neuron switches, two points may be mapped to one.)
#
# ## Exercises
#
# 1. Which step is the longest that `ssprk43` is proved to take for the field in the plane? Compare it with `rk4`, by evaluation of the
#    field. `dq.plot.steps(..., method="ssprk43")` draws it.
# 2. Replace `"tanh"` by `"relu"`. Is the proved constant of a short step below 1? Why, or why not? What does
#    `{"function": "leaky_relu", "slope": 0.1}` change?
# 3. Train the stable network with `offset=0.2` and `offset=1.0`. How do clean and certified accuracy trade places?
# 4. `certify(..., local=True)` looks at each image more closely. How much larger do the radii of the plain network become, and why do
#    those of the stable one hardly move?
# 5. Train with the optimizer `dahlquist.torch.Stiefel`, which keeps rows orthonormal. Draw the costates of the trained network.
# 6. Forge a certificate so that `dq.check` accepts a claim that is false. (Tell us.)

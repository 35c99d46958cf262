# %% [markdown]
# # Stable neural networks and dynamical systems: a walk-through
#
# It follows Ehrhardt, Murari, Sherry, *Stable neural networks and connections to continuous dynamical systems*
# ([arXiv:2510.22299](https://arxiv.org/abs/2510.22299)). Every number that is called *proved* is.

# %%
import matplotlib.pyplot as plt
import numpy as np

import dahlquist as dq

rng = np.random.default_rng(0)

# %% [markdown]
# ## A residual layer is a step of Euler's method
#
# $x_{k+1} = x_k + h f(x_k)$ with $f(x) = -W^\top \sigma(Wx + b)$, the gradient field of $-V$, $V(x) = \sum_i \psi(w_i^\top x + b_i)$
# with $\psi' = \sigma$.

# %%
w, b = rng.normal(size=(6, 2)), rng.normal(size=6)
field = dq.GradientField(w, b, "relu")
angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
x0 = 3 * np.c_[np.cos(angles), np.sin(angles)]
t, x = dq.flow(field, x0, method="rk4", h=0.02, steps=200)
dq.plot.trajectories(x)

# %% [markdown]
# ## Two trajectories never move apart, and the potential never increases

# %%
distance = np.linalg.norm(x[:, 0] - x[:, 7], axis=1)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
left.plot(t, distance)
left.set(xlabel="t", ylabel="distance of two trajectories", ylim=(0, None))
right.plot(t, field.potential(x)[:, ::6])
right.set(xlabel="t", ylabel="V(x(t))")
assert (np.diff(distance) <= 1e-12).all() and (np.diff(field.potential(x), axis=0) <= 1e-12).all()

# %% [markdown]
# ## A step that is too long
#
# Euler's method keeps that property for $h \le 2/\|W\|^2$, and not beyond. The crate proves the factor by which one step may
# expand, and a search finds a pair that comes close to it: at 0, all slopes of tanh are 1.

# %%
longest = 2 / np.linalg.norm(w, 2) ** 2
steep = dq.GradientField(w, activation="tanh")
for part in (0.5, 1.0, 1.5):
    sealed = steep.model(method="euler", h=part * longest * 0.999999).seal()
    print(f"h = {part} of the limit: one step expands by at most {sealed.lipschitz:.6f}; "
          f"found {sealed.lipschitz / sealed.falsify(0.5).looseness:.6f}")

# %% [markdown]
# ## Methods and their circles
#
# A Runge–Kutta method whose radius of circle contractivity is $r$ does not expand for $h \le 2r\nu$, with the cocoercivity
# $\nu = 1/\|W\|^2$. The radii are derived from the coefficients in exact arithmetic.

# %%
for name in dq.Tableau.names():
    method = dq.Tableau(name)
    try:
        print(f"{name:18} order {method.order}   r = {method.circle_radius:.6g}")
    except dq.errors.NotCircleContractiveError as refusal:
        print(f"{name:18} order {method.order}   {refusal}")

# %% [markdown]
# The classical method has the radius 1, the 3/8 rule has less than half of it. A step between the two limits is proved not to
# expand for one; for the other multipliers prove a constant.

# %%
for name in ["rk4", "three_eighths"]:
    print(name, field.model(method=name, h=0.9 * longest).seal().lipschitz)

# %% [markdown]
# ## Gradients neither explode nor vanish by accident
#
# What backpropagation passes down is the costate. On a flow that does not expand it cannot grow.

# %%
last = np.tile([1.0, 0.0], (len(x0), 1))
costate = dq.costates(field, x, last, method="rk4", h=0.02)
size = np.linalg.norm(costate, axis=2)
plt.figure(figsize=(5, 3), layout="constrained")
plt.plot(t, size)
plt.xlabel("t")
plt.ylabel("|λ(t)|, from right to left")
assert (np.diff(size, axis=0) >= -1e-12).all()

# %% [markdown]
# ## A network of such layers, and what is proved of a prediction

# %%
head = rng.normal(size=(3, 2)) / 2
network = dq.Model(2, [
    {"type": "flow", "method": "euler", "step": 0.999 * longest, "steps": 3, "field": field.to_dict()},
    {"type": "dense", "weight": head},
])
sealed = network.seal()
sealed

# %%
grid = np.stack(np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 60)), -1).reshape(-1, 2)
r = sealed.certify(grid, semantics="exact")
plt.figure(figsize=(4.5, 3.6), layout="constrained")
plt.scatter(*grid.T, c=r.radius, s=6, marker="s")
plt.colorbar(label="proved radius")
plt.title("how far each point may move")

# %% [markdown]
# ## What rounding costs
#
# Exact radii are about the network over the real numbers, executed ones about the program. In double precision the difference
# is next to nothing; in single precision it can be seen.

# %%
single = dq.Model(2, [
    {"type": "flow", "method": "euler", "step": 0.999 * longest, "steps": 3,
     "field": dq.GradientField(w.astype(np.float32), b.astype(np.float32)).to_dict()},
    {"type": "dense", "weight": head.astype(np.float32)},
]).seal()
points = grid.astype(np.float32)
exact, executed = (single.certify(points, semantics=s).radius for s in ("exact", "executed"))
print(f"a radius is smaller by {np.max(exact - executed):.2e} at most")

# %% [markdown]
# ## Exercises
#
# 1. Which step is the longest that `ssprk43` is proved to take for this field? Compare it with `rk4`, by evaluation of the field.
# 2. Replace `"relu"` by `"tanh"`. Is the proved constant of a short step below 1? Why, or why not? What does
#    `{"function": "leaky_relu", "slope": 0.1}` change?
# 3. Give `w` orthonormal rows. How much does the fall of $V$ slow down from step to step?
# 4. Forge a certificate so that `dq.check` accepts a claim that is false. (Tell us.)

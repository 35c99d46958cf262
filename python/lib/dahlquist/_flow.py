"""Flows of ordinary differential equations: trajectories, potentials and costates."""

from __future__ import annotations

import numpy as np

from . import _arrays, _native
from ._model import Model
from ._tableau import Tableau

#: Primitives psi of activations, psi' = sigma, with psi(0) = 0 where it has a closed form.
_PRIMITIVES = {
    "identity": lambda z: z * z / 2,
    "relu": lambda z: np.maximum(z, 0) ** 2 / 2,
    "tanh": lambda z: np.logaddexp(z, -z) - np.log(2),
    "sigmoid": lambda z: np.logaddexp(0, z) - np.log(2),
}


class Field:
    """The right-hand side of ``x' = f(x)``."""

    _space: tuple[int, ...]

    def to_dict(self) -> dict:
        """Returns the field in the format of model files, with arrays for weights."""
        raise NotImplementedError

    def model(self, *, method="euler", h: float = 1.0, steps: int = 1) -> Model:
        """Returns the flow of the field as a model of one layer, to be sealed or to be looked at."""
        name = method if isinstance(method, (str, dict)) else _method(method)
        flow = {"type": "flow", "method": name, "step": float(h), "steps": int(steps), "field": self.to_dict()}
        return Model(self._space, [flow])


class GradientField(Field):
    """The gradient field ``f(x) = -W' sigma(Wx + b)``, whose flow never moves two points apart.

    Parameters
    ----------
    weight : array of shape ``(neurons, features)`` or ``(channels out, channels, height, width)``
        A matrix, or the weights of a convolution.
    bias : array, optional
        One number for each row or output channel.
    activation : str or dict
        The name of a function with slopes that are not negative, such as ``"relu"`` or ``"tanh"``, or
        ``{"function": "leaky_relu", "slope": 0.1}``.
    space : tuple of int, optional
        The shape of a point: needed for a convolution.
    padding, padding_mode
        Of a convolution: by default ``"same"`` and ``"zeros"``.

    Examples
    --------
    >>> import numpy as np
    >>> field = GradientField(np.eye(2), activation="relu")
    >>> t, x = flow(field, np.array([[1.0, -2.0]]), method="euler", h=0.5, steps=2)
    >>> x[:, 0]
    array([[ 1.  , -2.  ],
           [ 0.5 , -2.  ],
           [ 0.25, -2.  ]])
    >>> field.potential(x)[:, 0]
    array([0.5    , 0.125  , 0.03125])
    """

    def __init__(self, weight, bias=None, activation="relu", *, space=None, padding="same", padding_mode="zeros"):
        self.weight = _arrays.weights(weight)
        self.bias = None if bias is None else _arrays.weights(bias)
        self.activation = activation if isinstance(activation, dict) else {"function": activation}
        self._operator, self._space = _operator(self.weight, self.bias, space, padding, padding_mode)

    def to_dict(self) -> dict:
        """Returns the field in the format of model files, with arrays for weights."""
        return {"type": "gradient", "activation": self.activation, "operator": self._operator}

    def potential(self, x) -> np.ndarray:
        """Returns ``V(x) = sum psi(Wx + b)`` with ``psi' = sigma``, so that ``f = -grad V``.

        Parameters
        ----------
        x : array of shape ``(..., *space)``
            Points, for instance all states of a flow.

        Returns
        -------
        ndarray of shape ``(...)``
            It never increases along the flow.
        """
        return _energy(self.activation, self._operator, self._space, x)


class ResidualField(Field):
    """The field ``f(x) = V sigma(Wx + b) + c`` of a residual network.

    Parameters
    ----------
    inner, outer : array
        ``W`` and ``V``: matrices, or weights of convolutions.
    inner_bias, outer_bias : array, optional
        ``b`` and ``c``.
    activation : str or dict
        As for :class:`GradientField`, with any slopes.
    space, padding, padding_mode
        As for :class:`GradientField`.
    """

    def __init__(
        self, inner, outer, inner_bias=None, outer_bias=None, activation="relu", *, space=None, padding="same",
        padding_mode="zeros",
    ):
        bias = lambda b: None if b is None else _arrays.weights(b)  # noqa: E731
        options = (space, padding, padding_mode)
        self.activation = activation if isinstance(activation, dict) else {"function": activation}
        self._inner, self._space = _operator(_arrays.weights(inner), bias(inner_bias), *options)
        self._outer, _ = _operator(_arrays.weights(outer), bias(outer_bias), *options)

    def to_dict(self) -> dict:
        """Returns the field in the format of model files, with arrays for weights."""
        return {"type": "residual", "activation": self.activation, "inner": self._inner, "outer": self._outer}


class ProjectedField(Field):
    """Manek and Kolter's field: a nominal one, projected so that a Lyapunov function falls along it.

    ``f = g - grad V relu(<grad V, g> + rate V) / |grad V|^2`` with ``g(x) = B (sigma(Ax + b) - sigma(b))`` and
    ``V(x) = sum psi(Kx) + epsilon/2 |x|^2``, ``psi' = slope``. So ``<grad V, f> <= -rate V``, and 0 is where it comes to rest. It is not
    Lipschitz: a model with it has no certificate.

    Parameters
    ----------
    inner, outer, potential : array
        ``A``, ``B`` and ``K``: matrices, or weights of convolutions.
    inner_bias : array, optional
        ``b``.
    activation : str or dict
        ``sigma``, as for :class:`GradientField`, with any slopes.
    slope : str or dict
        ``psi'``: monotone and 0 at 0, such as ``"relu"`` or ``"tanh"``.
    epsilon, rate : float
        A positive number, and one that is not negative.
    space, padding, padding_mode
        As for :class:`GradientField`.

    Examples
    --------
    >>> import numpy as np
    >>> field = ProjectedField(np.eye(2), np.eye(2), np.eye(2), activation="identity", slope="relu", rate=0.5)
    >>> t, x = flow(field, np.array([[1.0, -2.0]]), method="rk4", h=0.1, steps=20)
    >>> bool((np.diff(field.lyapunov(x)[:, 0]) < 0).all())
    True
    """

    def __init__(
        self, inner, outer, potential, inner_bias=None, activation="relu", *, slope="relu", epsilon=1.0, rate=0.0, space=None,
        padding="same", padding_mode="zeros",
    ):
        function = lambda f: f if isinstance(f, dict) else {"function": f}  # noqa: E731
        bias = None if inner_bias is None else _arrays.weights(inner_bias)
        options = (space, padding, padding_mode)
        self.activation, self.slope = function(activation), function(slope)
        self.epsilon, self.rate = float(epsilon), float(rate)
        self._inner, self._space = _operator(_arrays.weights(inner), bias, *options)
        self._outer, _ = _operator(_arrays.weights(outer), None, *options)
        self._potential, _ = _operator(_arrays.weights(potential), None, *options)

    def to_dict(self) -> dict:
        """Returns the field in the format of model files, with arrays for weights."""
        potential = {"activation": self.slope, "operator": self._potential}
        return {
            "type": "lyapunov_projected", "activation": self.activation, "inner": self._inner, "outer": self._outer,
            "potential": potential, "epsilon": self.epsilon, "rate": self.rate,
        }

    def lyapunov(self, x) -> np.ndarray:
        """Returns ``V(x)``.

        Parameters
        ----------
        x : array of shape ``(..., *space)``
            Points, for instance all states of a flow.

        Returns
        -------
        ndarray of shape ``(...)``
            It falls along the field; along a flow, if its steps are short enough.
        """
        x = _arrays.to_numpy(x).astype(np.float64)
        square = (x * x).reshape(*x.shape[: x.ndim - len(self._space)], -1).sum(axis=-1)
        return _energy(self.slope, self._potential, self._space, x) + self.epsilon / 2 * square


def _energy(activation, operator, space, x):
    """Returns ``sum psi(Wx + b)`` with ``psi' = sigma`` for each point."""
    psi = _PRIMITIVES.get(activation["function"])
    if activation["function"] == "leaky_relu":
        slope = activation["slope"]
        psi = lambda z: np.where(z > 0, 1.0, slope) * z * z / 2  # noqa: E731
    if psi is None:
        raise ValueError(f"no primitive of {activation['function']} in closed form is known here")
    x = _arrays.to_numpy(x).astype(np.float64)
    batch = x.shape[: x.ndim - len(space)]
    operator = {k: v.astype(np.float64) if isinstance(v, np.ndarray) else v for k, v in operator.items()}
    z = Model(space, [operator]).predict(x.reshape(-1, *space))
    return psi(z).reshape(len(z), -1).sum(axis=1).reshape(batch)


def _operator(weight, bias, space, padding, padding_mode):
    if weight.ndim == 2:
        return {"type": "dense", "weight": weight, "bias": bias}, (weight.shape[1],)
    if weight.ndim != 4 or space is None:
        raise ValueError("a weight has two axes, or four for a convolution, which needs space=(channels, height, width)")
    kind = {"type": "conv2d", "weight": weight, "bias": bias, "padding": padding, "padding_mode": padding_mode}
    return kind, tuple(space)


def _method(tableau: Tableau):
    if tableau.name != "own":
        return tableau.name
    a, b, _ = tableau.exact
    return {"a": a, "b": b}


def flow(field: Field, x0, *, method="rk4", h: float = 0.1, steps: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Integrates ``x' = f(x)`` and returns every state.

    Parameters
    ----------
    field : Field
        The right-hand side.
    x0 : array of shape ``(*space)`` or ``(points, *space)``
        Where it starts.
    method : str, Tableau or dict
        The method; ``"rk4"`` is the classical one.
    h : float
        The length of a step.
    steps : int
        The number of steps.

    Returns
    -------
    t : ndarray of shape ``(steps + 1,)``
        The times.
    x : ndarray of shape ``(steps + 1, *x0.shape)``
        The states, computed in double precision if the field or `x0` is.
    """
    x0 = _arrays.to_numpy(x0)
    wide = x0.astype(np.float64) if x0.dtype != np.float32 else x0
    single = wide.ndim == len(field._space)
    points = _arrays.samples(wide[None] if single else wide, field._space)
    x = _native.states(field.model(method=method, h=h)._native, points, int(steps))
    return h * np.arange(steps + 1), x[:, 0] if single else x


def costates(field: Field, x, last, *, method="rk4", h: float = 0.1) -> np.ndarray:
    """Returns the costate at every state of a flow: the gradient, by that state, of a function of the last one.

    Parameters
    ----------
    field, method, h
        As for :func:`flow`.
    x : array of shape ``(steps + 1, *x0.shape)``
        The states that :func:`flow` has returned.
    last : array of the shape of ``x0``
        The gradient by the last state.

    Returns
    -------
    ndarray of the shape of `x`
        ``lambda_n = J_n' lambda_{n+1}``. On a flow that is L-Lipschitz it cannot grow by more than L.
    """
    x, last = _arrays.to_numpy(x), _arrays.to_numpy(last)
    single = last.ndim == len(field._space)
    points = lambda v: _arrays.samples(v[None] if single else v, field._space)  # noqa: E731
    found = _native.costates(field.model(method=method, h=h)._native, [points(v) for v in x[:-1]], points(last))
    return found[:, 0] if single else found

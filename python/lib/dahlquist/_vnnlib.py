"""Answers VNN-LIB properties: unsat if no counterexample is proved to exist, sat with one, or unknown.

A case of a property has comparisons ``a_k Y <= d_k``. It is refuted in a region if ``max_k (a_k Y - d_k) > 0`` is proved there.
The maximum is a network: that of the file, a linear layer, and ``max(a, b) = relu(a - b) + relu(b) - relu(-b)``, all of it with
weights -1, 0 and 1. With the logits 0 and the maximum, a radius beyond the region is the proof.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from . import _text, _vnnlib_file
from ._attack import attack
from ._imports import from_onnx
from ._model import Model
from ._sealed import Certified, Meaning
from .errors import NotProvedError, ShapeError

#: Boxes with at most this many inputs that move are halved where nothing is proved of the whole.
MOST_INPUTS_TO_HALVE = 16
#: The regions that are looked at together.
_AT_ONCE = 256


@dataclass
class Vnnlib:
    """The answer to a VNN-LIB property: made by :func:`vnnlib`.

    Attributes
    ----------
    result : {"unsat", "sat", "unknown"}
        ``"unsat"``: it is proved that no input satisfies the property, over the real numbers. ``"sat"``: :attr:`point` does.
    point : ndarray of float32 or None
        For ``"sat"``, an input that satisfies the property, in the shape of a sample.
    output : ndarray of float64 or None
        What the network computes there.
    regions : int
        The regions that were looked at.
    reasons : list of str
        For ``"unknown"``, why.
    """

    result: str
    point: np.ndarray | None = None
    output: np.ndarray | None = None
    regions: int = 0
    reasons: list[str] = field(default_factory=list)

    def to_text(self) -> str:
        """Returns the answer as VNN-COMP writes it: the result and, for sat, inputs and outputs."""
        if self.point is None:
            return self.result + "\n"
        pairs = [f"(X_{i} {float(v)!r})" for i, v in enumerate(self.point.reshape(-1))]
        pairs += [f"(Y_{j} {float(v)!r})" for j, v in enumerate(self.output.reshape(-1))]
        return f"{self.result}\n(" + "\n ".join(pairs) + ")\n"

    def save(self, path: str | os.PathLike) -> None:
        """Writes :meth:`to_text` into a file."""
        _text.write(path, self.to_text().encode())

    def __repr__(self) -> str:
        return f"<{self.result}: {self.regions} regions{'; ' * bool(self.reasons)}{'; '.join(self.reasons)}>"


@dataclass
class Region:
    """A box, or a ball, of inputs, with bounds rounded outward."""

    lower: np.ndarray
    upper: np.ndarray
    #: For a ball its centre and its radius; then the box is one around it.
    ball: tuple[np.ndarray, float] | None = None

    def cover(self) -> tuple[np.ndarray, float]:
        """Returns a centre and a radius of a Euclidean ball that holds the region: where a box goes."""
        if self.ball is not None:
            return self.ball
        centre, sides = self.sides()
        return centre, _norm_up(sides)

    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the middle of the box, and how far it reaches from there in each coordinate."""
        centre = self.lower + (self.upper - self.lower) / 2
        reach = np.maximum(self.upper - centre, centre - self.lower)
        # A side that is a point stays one: its differences are exact.
        return centre, np.where(reach > 0, np.nextafter(reach, np.inf), 0.0)

    def halves(self) -> list[Region]:
        """Returns two boxes whose union is this one, cut across its longest side; none if it is too small, or a ball."""
        k = int(np.argmax(self.upper - self.lower))
        middle = self.lower[k] + (self.upper[k] - self.lower[k]) / 2
        if self.ball is not None or not self.lower[k] < middle < self.upper[k]:
            return []
        left, right = self.upper.copy(), self.lower.copy()
        left[k] = right[k] = middle
        return [Region(self.lower, left), Region(right, self.upper)]


def _norm_up(v: np.ndarray) -> float:
    """Returns an upper bound of the Euclidean norm of numbers that are not negative."""
    # Each square is off by at most half a unit in the last place, or a subnormal number; math.fsum rounds once.
    total = math.nextafter(math.fsum(np.nextafter(v * v, np.inf).tolist()), math.inf)
    return math.nextafter(math.sqrt(total), math.inf)


def _outward(value: Fraction, up: bool) -> float:
    """Returns a number that is not below, or not above, an exact one."""
    x = float(value)
    if (Fraction(x) < value) if up else (Fraction(x) > value):
        x = math.nextafter(x, math.inf if up else -math.inf)
    return x


def region(case: _vnnlib_file.Case, inputs: int) -> Region | None:
    """Returns the inputs of a case, if there are any."""
    for ball in case.balls:
        centre = np.array([float(ball.centre[i]) for i in range(inputs)])
        # The centre is moved by its rounding, and the radius grows by that.
        moved = [_outward(abs(Fraction(c) - ball.centre[i]), True) for i, c in enumerate(centre.tolist())]
        radius = math.nextafter(_outward(ball.radius, True) + _norm_up(np.array(moved)), math.inf)
        return Region(centre - radius, centre + radius, (centre, radius))
    if any(case.lower[i] > case.upper[i] for i in range(inputs)):
        return None
    bounds = ((case.lower, False), (case.upper, True))
    return Region(*(np.array([_outward(side[i], up) for i in range(inputs)]) for side, up in bounds))


def refuter(model: Model, comparisons: list[_vnnlib_file.Comparison]) -> Model:
    """Returns the network with the logits 0 and ``max_k (a_k Y - d_k)``; its layers are those of `model`, which is in double
    precision, and exact ones."""
    count = math.prod(model.output_shape)
    rows = np.zeros((len(comparisons), count))
    for row, comparison in zip(rows, comparisons):
        for j, c in comparison.terms.items():
            row[j] = c
    # Subtracting more is on the safe side.
    bias = np.array([-_outward(comparison.constant, True) for comparison in comparisons])
    layers: list[dict] = [{"type": "flatten"}] if len(model.output_shape) > 1 else []
    layers.append({"type": "dense", "weight": rows, "bias": bias})
    while len(rows) > 1:
        pairs, n = len(rows) // 2, len(rows)
        split, join = np.zeros((3 * pairs + 2 * (n % 2), n)), np.zeros((pairs + n % 2, 3 * pairs + 2 * (n % 2)))
        for p in range(pairs):
            split[3 * p, [2 * p, 2 * p + 1]], split[3 * p + 1, 2 * p + 1], split[3 * p + 2, 2 * p + 1] = [1, -1], 1, -1
            join[p, 3 * p : 3 * p + 3] = [1, 1, -1]
        if n % 2:
            split[-2:, n - 1] = join[-1, -2:] = [1, -1]
        layers += [{"type": "dense", "weight": split}, {"type": "activation", "function": "relu"}]
        layers.append({"type": "dense", "weight": join})
        rows = join
    layers.append({"type": "dense", "weight": np.array([[0.0], [1.0]])})
    architecture = model.architecture
    return Model(architecture["input"], [*architecture["layers"], *layers], model.tensors)


class _Search:
    """The search for an answer about one network."""

    def __init__(self, model: Model, regions: int | None):
        self.model, self.most, self.seen = model, regions, 0
        # The same network: its constants stay those that its own format has rounded.
        self.wide = Model._of(model._native.widened())

    def samples(self, points: np.ndarray, dtype=np.float64) -> np.ndarray:
        """Returns points as samples."""
        return np.ascontiguousarray(points.reshape(-1, *self.model.input_shape), dtype)

    def counterexample(self, case, points: np.ndarray) -> Vnnlib | None:
        """Returns the first of some points that satisfies a case, evaluated in the network's own format and in double."""
        near = points
        if case.lower:
            # Inward: a number of double precision, as one of single precision is, is between these if it is in the box.
            low, high = (np.array([_outward(side[i], up) for i in range(points.shape[1])])
                         for side, up in ((case.lower, True), (case.upper, False)))
            with np.errstate(over="ignore"):
                near = np.clip(points, low, np.maximum(low, high)).astype(np.float32)
            # Rounded to single precision it may lie outside.
            near = np.where(near < low, np.nextafter(near, np.float32(np.inf)), near)
            near = np.where(near > high, np.nextafter(near, np.float32(-np.inf)), near)
            near = near[((near >= low) & (near <= high)).all(axis=1)]
        near = near.astype(np.float32)
        for ball in case.balls:
            exact = [sum((Fraction(float(v)) - ball.centre[i]) ** 2 for i, v in enumerate(p)) for p in near]
            near = near[[e <= ball.radius**2 for e in exact]]
        if not len(near):
            return None
        outputs = [m.predict(self.samples(near, np.float32)).reshape(len(near), -1) for m in (self.model, self.wide)]
        for k, point in enumerate(near):
            if all(_holds(c, y[k]) for c in case.comparisons for y in outputs):
                shaped = point.reshape(self.model.input_shape)
                return Vnnlib("sat", shaped, outputs[1][k].astype(np.float64), self.seen)
        return None

    def case(self, case) -> Vnnlib:
        """Answers one case."""
        inputs = math.prod(self.model.input_shape)
        whole = region(case, inputs)
        if whole is None:
            return Vnnlib("unsat")
        centre, radius = whole.cover()
        found = self.counterexample(case, np.stack([centre, whole.lower, whole.upper]))
        if found is not None or not case.comparisons:
            return found or Vnnlib("unknown", reasons=["no point of its inputs is a number of single precision"])
        network = refuter(self.wide, case.comparisons)
        moving = int(np.count_nonzero(whole.lower < whole.upper))
        most = self.most if self.most is not None else 4096 if moving <= MOST_INPUTS_TO_HALVE else 1
        try:
            sealed = network.seal()
        except NotProvedError as error:
            return self.attacked(case, whole, network) or Vnnlib("unknown", reasons=[str(error)])
        if whole.ball is None and self.boxed(whole, network):
            self.seen += 1
            return Vnnlib("unsat")
        open_regions, looked = [whole], 0
        while open_regions and looked < most:
            batch, open_regions = open_regions[:_AT_ONCE], open_regions[_AT_ONCE:]
            looked, self.seen = looked + len(batch), self.seen + len(batch)
            covers = [r.cover() for r in batch]
            centres = np.stack([c for c, _ in covers])
            # Inputs of a property are no pixels, and nobody needs to be told.
            radii = np.array([radius for _, radius in covers])
            meaning = Meaning("exact", local=True, decide=np.unique(radii[np.isfinite(radii)]))
            r = Certified(sealed._native.certify(self.samples(centres), None, meaning.native), None, meaning)
            proved = (r.prediction == 1) & (r.radius > radii)
            rest = [k for k in range(len(batch)) if not proved[k]]
            found = self.counterexample(case, centres[rest]) if rest else None
            if found is None and looked == 1 and rest:
                found = self.attacked(case, whole, network)
            if found is not None:
                return found
            for k in rest:
                parts = batch[k].halves()
                if not parts:
                    return Vnnlib("unknown", reasons=["a region that cannot be halved is neither proved nor refuted"])
                open_regions += parts
        if open_regions:
            return Vnnlib("unknown", reasons=[f"{looked} regions were looked at, and {len(open_regions)} are open"])
        return Vnnlib("unsat")

    def boxed(self, whole: Region, network: Model) -> bool:
        """Returns whether a box as a whole is refuted, by linear and quadratic bounds over a cube."""
        centre, sides = whole.sides()
        distance = float(sides.max())
        if not 0 < distance < math.inf:
            return False
        if len(self.model.input_shape) == 1:
            # x = c + w t, |t| <= 1: every side has its own length.
            architecture, scaled = network.architecture, {"type": "channel_affine", "scale": sides, "shift": centre}
            network = Model(architecture["input"], [scaled, *architecture["layers"]], network.tensors)
            centre, distance = np.zeros_like(centre), 1.0
        try:
            sealed = network.seal()
        except NotProvedError:
            return False
        meaning = Meaning("exact", local=True, norm="linf", decide=distance, quadratic=True)
        r = Certified(sealed._native.certify(self.samples(centre[None]), None, meaning.native), None, meaning)
        return bool(r.prediction[0] == 1 and r.radius[0] > distance)

    def attacked(self, case, whole: Region, network: Model) -> Vnnlib | None:
        """Returns a counterexample that an attack found."""
        centre, radius = whole.cover()
        kind, low, high = "l2", None, None
        if whole.ball is None:
            kind, low, high = "linf", float(whole.lower.min()), float(whole.upper.max())
            radius = float(np.max(whole.upper - whole.lower)) / 2
        if not 0 < radius < math.inf:
            return None
        found = attack(network, self.samples(centre[None]), [1], eps=radius, norm=kind, steps=50, starts=5,
                       range=None if low is None else (low, high), keep_inputs=True)
        return self.counterexample(case, found.inputs.reshape(1, -1))


def _holds(comparison: _vnnlib_file.Comparison, y: np.ndarray) -> bool:
    return sum(c * Fraction(float(y[j])) for j, c in comparison.terms.items()) <= comparison.constant


def vnnlib(onnx, prop, *, input_shape=None, regions: int | None = None) -> Vnnlib:
    """Answers a VNN-LIB property of a network.

    Parameters
    ----------
    onnx : Model, path, bytes or onnx.ModelProto
        The network; what is no :class:`Model` is read by :func:`from_onnx`.
    prop : path
        A VNN-LIB file, version 1, compressed by gzip or not: bounds of every input, comparisons of outputs with numbers and with
        each other, ``and`` and ``or``.
    input_shape : tuple of int, optional
        As for :func:`from_onnx`.
    regions : int, optional
        The most regions of one case that are looked at. By default 4096 for boxes in which at most 16 inputs move, which are
        halved, and 1 for others.

    Returns
    -------
    Vnnlib

    Raises
    ------
    FormatError
        For whatever in the file is not understood, with its line.

    Notes
    -----
    A box is tried as a whole, by linear bounds and, where at most 256 inputs and neurons of a ReLU network move, quadratic ones;
    its parts are covered by Euclidean balls around their middles. ``(<= (norm2 (- X_0 0.5) (- X_1 0.25)) 0.1)``, with every input once, is an extension of this package: the ball around
    (0.5, 0.25).

    ``unsat`` is proved in Rust, over the real numbers, about the model that was imported; bounds are rounded outward. A point
    of ``sat`` was evaluated in the format of the network and in double precision, and satisfies the property in both; it lies
    within the bounds of the file, exactly. Where no number of single precision does, as for an input that is fixed at 0.1, the
    answer is ``unsat`` or ``unknown``.
    """
    model = onnx if isinstance(onnx, Model) else from_onnx(onnx, input_shape=input_shape)
    name = os.fspath(prop)
    asked = _vnnlib_file.read(_vnnlib_file.text_of(Path(prop).read_bytes(), name), name)
    sizes = math.prod(model.input_shape), math.prod(model.output_shape)
    if (asked.inputs, asked.outputs) != sizes:
        raise ShapeError(
            f"{name} declares {asked.inputs} inputs and {asked.outputs} outputs, and the network has {sizes[0]} and {sizes[1]}"
        )
    search, reasons = _Search(model, regions), []
    for number, case in enumerate(asked.cases):
        answer = search.case(case)
        if answer.result == "sat":
            return answer
        reasons += [f"case {number}: {reason}" for reason in answer.reasons]
    return Vnnlib("unknown" if reasons else "unsat", regions=search.seen, reasons=reasons)

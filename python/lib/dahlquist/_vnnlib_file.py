"""Reads VNN-LIB files, version 1: what a counterexample would have to satisfy.

A file declares inputs ``X_i`` and outputs ``Y_j`` and asserts formulas of ``and`` and ``or`` over comparisons. It is read as a
disjunction of cases, each with bounds of inputs and comparisons of outputs. What is not understood is refused, with its name
and its line: a property that is read as another one would be answered wrongly.
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from .errors import FormatError

#: The most cases that one file may have.
MOST_CASES = 10_000
#: The largest number that is read. The sum of two of them is a number in double precision.
LARGEST = Fraction(2) ** 1022
_TOKEN = re.compile(r"\s+|;[^\n]*|(?P<token>[()]|[^\s();]+)")
#: The most parentheses inside each other, and the most characters of a word.
MOST_NESTED, LONGEST = 100, 1000
_VARIABLE = re.compile(r"([XY])_([0-9]+)\Z")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?\Z")


class Comparison(NamedTuple):
    """``sum(c * Y_j for j, c in terms.items()) <= constant``."""

    terms: dict[int, int]
    constant: Fraction


@dataclass
class Case:
    """One way to satisfy a property: every bound and every comparison."""

    lower: dict[int, Fraction] = field(default_factory=dict)
    upper: dict[int, Fraction] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)
    balls: list[Ball] = field(default_factory=list)

    def add(self, atom: Atom) -> None:
        """Adds a bound or a comparison."""
        if isinstance(atom, Comparison):
            self.comparisons.append(atom)
        elif isinstance(atom, Ball):
            self.balls.append(atom)
        elif atom.is_upper:
            self.upper[atom.index] = min(atom.value, self.upper.get(atom.index, atom.value))
        else:
            self.lower[atom.index] = max(atom.value, self.lower.get(atom.index, atom.value))


class Bound(NamedTuple):
    """``X_index <= value``, or ``X_index >= value``."""

    index: int
    is_upper: bool
    value: Fraction


class Ball(NamedTuple):
    """``norm2(X - centre) <= radius``."""

    centre: dict[int, Fraction]
    radius: Fraction


Atom = Bound | Comparison | Ball


class Property(NamedTuple):
    """What a counterexample must satisfy: one of the cases. There are none if it can satisfy nothing."""

    inputs: int
    outputs: int
    cases: list[Case]


class _Word(str):
    """A word and its line."""

    line: int


class _List(list):
    """What stands between parentheses, and the line on which it begins."""

    line: int


def read(text: str, name: str) -> Property:
    """Returns the property of a VNN-LIB file.

    Raises
    ------
    FormatError
        With the line, for whatever is not understood.
    """
    reader = _Reader(name)
    asserted: list[list[list[Atom]]] = []
    for expression in _expressions(text, name):
        found = reader.command(expression)
        if found is not None:
            asserted.append(found)
    return reader.property(asserted)


def text_of(data: bytes, name: str) -> str:
    """Returns the text of a file, which may be compressed by gzip.

    Raises
    ------
    FormatError
        If it is none.
    """
    try:
        return (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise FormatError(f"{name}: no text: {error}") from error


def _expressions(text: str, name: str) -> list[_List]:
    """Returns the expressions of a text."""
    stack, top, line, position = [], _List(), 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        position = match.end()
        token = match["token"]
        if token == "(":
            stack.append(top)
            if len(stack) > MOST_NESTED:
                raise FormatError(f"{name}, line {line}: more than {MOST_NESTED} parentheses are inside each other")
            top = _List()
            top.line = line
        elif token == ")":
            if not stack:
                raise FormatError(f"{name}, line {line}: a parenthesis is closed that was never opened")
            outer = stack.pop()
            outer.append(top)
            top = outer
        elif token:
            if len(token) > LONGEST:
                raise FormatError(f"{name}, line {line}: a word has {len(token)} characters, more than {LONGEST}")
            word = _Word(token)
            word.line = line
            top.append(word)
        line += match[0].count("\n")
    if stack:
        raise FormatError(f"{name}, line {top.line}: a parenthesis is opened that is never closed")
    return top


def _text(expression) -> str:
    if isinstance(expression, str):
        return str(expression)
    text = "(" + " ".join(map(_text, expression)) + ")"
    return text if len(text) <= 60 else text[:57] + "..."


class _Reader:
    """Reads expressions, and knows what was declared."""

    def __init__(self, name: str):
        self.name = name
        self.declared: dict[str, set[int]] = {"X": set(), "Y": set()}

    def refuse(self, expression, reason: str) -> FormatError:
        """Returns the error about an expression."""
        return FormatError(f"{self.name}, line {getattr(expression, 'line', 1)}: {_text(expression)}: {reason}")

    def command(self, expression) -> list[list[Atom]] | None:
        """Returns the disjunction that a command asserts, if it does."""
        head = expression[0] if isinstance(expression, _List) and expression else None
        if head in ("set-logic", "set-info", "check-sat", "get-model", "exit"):
            return None
        if head == "declare-const" and len(expression) == 3 or head == "declare-fun" and expression[2:3] == [[]]:
            match = isinstance(expression[1], str) and _VARIABLE.match(expression[1])
            if not match or expression[-1] != "Real":
                raise self.refuse(expression, "only X_0, X_1, ... and Y_0, Y_1, ... of type Real are declared")
            numbers = self.declared[match[1]]
            if int(match[2]) in numbers:
                raise self.refuse(expression, "it is declared twice")
            numbers.add(int(match[2]))
            return None
        if head == "assert" and len(expression) == 2:
            return self.formula(expression[1])
        raise self.refuse(expression, "this command is not understood")

    def formula(self, expression) -> list[list[Atom]]:
        """Returns a formula as a disjunction of conjunctions."""
        head = expression[0] if isinstance(expression, _List) and expression else None
        if head == "or" and len(expression) > 1:
            cases = [case for part in expression[1:] for case in self.formula(part)]
            return self.bounded(cases, len(cases), expression)
        if head == "and" and len(expression) > 1:
            return self.conjunction([self.formula(part) for part in expression[1:]], expression)
        if head in ("<=", ">=") and len(expression) == 3:
            left, right = (self.term(side) for side in expression[1:])
            return [[self.atom(left, right, expression) if head == "<=" else self.atom(right, left, expression)]]
        raise self.refuse(expression, "this is neither and, or, <= nor >=")

    def conjunction(self, parts: list[list[list[Atom]]], expression) -> list[list[Atom]]:
        """Returns the conjunction of disjunctions as a disjunction."""
        count = 1
        for part in parts:
            count *= len(part)
        self.bounded(None, count, expression)
        return [[atom for case in choice for atom in case] for choice in product(*parts)]

    def bounded(self, value, count: int, expression):
        """Returns a value if there are not too many cases."""
        if count > MOST_CASES:
            raise self.refuse(expression, f"it has {count} cases, more than {MOST_CASES}")
        return value

    def term(self, expression):
        """Returns a number, ``("X", i)``, ``("Y", j)`` or the centre of a norm."""
        if isinstance(expression, str):
            if _NUMBER.match(expression):
                number = Fraction(str(expression))
                if abs(number) > LARGEST:
                    raise self.refuse(expression, "this number is beyond double precision")
                return number
            match = _VARIABLE.match(expression)
            if match and int(match[2]) in self.declared[match[1]]:
                return match[1], int(match[2])
            raise self.refuse(expression, "this is neither a number nor a variable that was declared")
        if expression[:1] == ["-"] and len(expression) == 2:
            number = self.term(expression[1])
            if isinstance(number, Fraction):
                return -number
        if expression[:1] == ["norm2"] and len(expression) > 1:
            centre: dict[int, Fraction] = {}
            for part in expression[1:]:
                sides = [self.term(s) for s in part[1:]] if isinstance(part, _List) and part[:1] == ["-"] else []
                match sides:
                    case [("X", index), Fraction() as value] if index not in centre:
                        centre[index] = value
                    case _:
                        raise self.refuse(part, "a norm is of differences (- X_i number), each input once")
            return centre
        raise self.refuse(expression, "terms are numbers, variables and norm2, and no other arithmetic")

    def atom(self, left, right, expression) -> Atom:
        """Returns ``left <= right``."""
        match left, right:
            case ("X", index), Fraction():
                return Bound(index, True, right)
            case Fraction(), ("X", index):
                return Bound(index, False, left)
            case ("Y", index), Fraction():
                return Comparison({index: 1}, right)
            case Fraction(), ("Y", index):
                return Comparison({index: -1}, -left)
            case ("Y", i), ("Y", j) if i != j:
                return Comparison({i: 1, j: -1}, Fraction(0))
            case dict(), Fraction() if right >= 0:
                return Ball(left, right)
        raise self.refuse(expression, "comparisons are of an input with a number, or of an output with a number or an output")

    def property(self, asserted: list[list[list[Atom]]]) -> Property:
        """Returns what all assertions together say."""
        for letter, numbers in self.declared.items():
            if not numbers or numbers != set(range(len(numbers))):
                raise FormatError(f"{self.name}: the variables {letter}_0, {letter}_1, ... are not declared one by one")
        whole = _List()
        whole.append(_Word("assert"))
        cases = []
        for atoms in self.conjunction(asserted, whole):
            case = Case()
            for atom in atoms:
                case.add(atom)
            cases.append(case)
        inputs, outputs = len(self.declared["X"]), len(self.declared["Y"])
        for case in cases:
            for ball in case.balls:
                if len(case.balls) > 1 or len(ball.centre) != inputs or case.lower or case.upper:
                    raise FormatError(f"{self.name}: norm2 is of all inputs, alone, and without other bounds of inputs")
            if not case.balls:
                missing = [i for i in range(inputs) if i not in case.lower or i not in case.upper]
                if missing:
                    raise FormatError(f"{self.name}: X_{missing[0]} has no lower or no upper bound")
        return Property(inputs, outputs, cases)

"""What the operators of nodes compute, and their derivatives.

A vjp takes the gradient at the output, the output, and the inputs' values; it returns for each
input what it receives of the gradient (of an input that was broadcast, summed), None where nothing.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operator does.

    Attributes:
        name: Base name of its outputs.
        text: "[name] what it does", for prompts.
        vjp: (g, output, *values) -> for each input what it receives of the gradient g at the
            output, None where it receives none; None where the operator has no derivative.
    """

    name: str
    text: str
    vjp: Callable[..., tuple[Any, ...]] | None = None


def _to(value: Any, g: Any) -> Any:
    """Sum a gradient over the axes along which its input was broadcast."""
    shape = np.shape(value)
    if np.shape(g) == shape:
        return g
    g = np.asarray(g)
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=axes, keepdims=True) if axes else g


def _power(g: Any, out: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """d a^b; the exponent's part is 0 where a is not above 0 (its derivative is not real)."""
    base = g * b * np.power(np.asarray(a, dtype=float), np.asarray(b, dtype=float) - 1)
    positive = np.asarray(a) > 0
    log = np.log(np.where(positive, a, 1.0))
    return _to(a, _same(base)), _to(b, _same(g * out * log))


def _same(value: Any) -> Any:
    """A NumPy scalar, or an array of no axes, as a plain number."""
    return value.item() if np.ndim(value) == 0 and hasattr(value, "item") else value


def _picked(g: Any, out: Any, values: Any, key: Any) -> tuple[Any, None]:
    """An item's gradient, at its place in the container's."""
    found = np.zeros(np.shape(values))
    found[key] = g
    return found, None


def _sign(x: Any) -> Any:
    return _same(np.sign(x))


BINARY: Mapping[str, tuple[Operation, Callable[[Any, Any], Any]]] = {
    name: (Operation(name, f"[{name}] {text}", vjp), function)
    for name, text, function, vjp in (
        ("add", "x + y", operator.add, lambda g, o, a, b: (_to(a, g), _to(b, g))),
        ("subtract", "x - y", operator.sub, lambda g, o, a, b: (_to(a, g), _to(b, -g))),
        ("multiply", "x * y", operator.mul, lambda g, o, a, b: (_to(a, g * b), _to(b, g * a))),
        (
            "divide",
            "x / y",
            operator.truediv,
            lambda g, o, a, b: (_to(a, g / b), _to(b, -g * o / b)),
        ),
        ("power", "x ** y", operator.pow, _power),
        ("getitem", "x[y]", operator.getitem, _picked),
        ("floor_divide", "x // y", operator.floordiv, None),
        ("mod", "x % y", operator.mod, None),
        ("lt", "x < y", operator.lt, None),
        ("le", "x <= y", operator.le, None),
        ("gt", "x > y", operator.gt, None),
        ("ge", "x >= y", operator.ge, None),
        ("eq", "x == y", operator.eq, None),
        ("ne", "x != y", operator.ne, None),
    )
}
"""Operators of two inputs."""
# fmt: off
UNARY: Mapping[str, tuple[Operation, Callable[[Any], Any]]] = {
    name: (Operation(name, f"[{name}] {text}", vjp), function)
    for name, text, function, vjp in (
        ("negative", "-x", operator.neg, lambda g, o, a: (-g,)),
        ("absolute", "|x|", operator.abs, lambda g, o, a: (g * _sign(a),)),
        ("length", "len(x)", len, None),
        ("sin", "sin(x)", lambda x: _call(math.sin, np.sin, x),
         lambda g, o, a: (g * _call(math.cos, np.cos, a),)),
        ("cos", "cos(x)", lambda x: _call(math.cos, np.cos, x),
         lambda g, o, a: (-g * _call(math.sin, np.sin, a),)),
        ("tanh", "tanh(x)", lambda x: _call(math.tanh, np.tanh, x),
         lambda g, o, a: (g * (1 - o * o),)),
        ("exp", "exp(x)", lambda x: _call(math.exp, np.exp, x), lambda g, o, a: (g * o,)),
        ("log", "log(x)", lambda x: _call(math.log, np.log, x), lambda g, o, a: (g / a,)),
        ("sqrt", "sqrt(x)", lambda x: _call(math.sqrt, np.sqrt, x),
         lambda g, o, a: (g / (2 * o),)),
    )
}
# fmt: on
"""Operators of one input."""


def _call(plain: Callable[[float], float], arrays: Callable[[Any], Any], x: Any) -> Any:
    """A function of a number by `math`, of an array by NumPy."""
    return arrays(x) if isinstance(x, np.ndarray) else plain(x)

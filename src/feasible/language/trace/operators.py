"""Functions of numbers and arrays as traced operators."""

from __future__ import annotations

from typing import Any

from .nodes import Node, unary


def sin(x: Any) -> Node:
    """The sine, traced."""
    return unary("sin", x)


def cos(x: Any) -> Node:
    """The cosine, traced."""
    return unary("cos", x)


def tanh(x: Any) -> Node:
    """The hyperbolic tangent, traced."""
    return unary("tanh", x)


def exp(x: Any) -> Node:
    """The exponential, traced."""
    return unary("exp", x)


def log(x: Any) -> Node:
    """The natural logarithm, traced."""
    return unary("log", x)


def sqrt(x: Any) -> Node:
    """The square root, traced."""
    return unary("sqrt", x)

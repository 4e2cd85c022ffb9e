"""Ready-made problems: two goals for a heated square, and pairs of functions with kinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...core.annotations import checked
from .problem import PDEControl, Tracking

if TYPE_CHECKING:
    from jaxtyping import Float

    Point = Float[np.ndarray, " d"]
    Pair = tuple[list[Callable[[Point], float]], list[Callable[[Point], Point]]]

HEIGHT = 0.3
SIGMA = 1e-3


def hill(x: Point, y: Point) -> Point:
    """0.3 sin(pi x) sin(pi y)."""
    return HEIGHT * np.sin(np.pi * x) * np.sin(np.pi * y)


def wave(x: Point, y: Point) -> Point:
    """-0.3 sin(2 pi x) sin(pi y): down on the left, up on the right."""
    return -HEIGHT * np.sin(2 * np.pi * x) * np.sin(np.pi * y)


def left(x: Point, y: Point) -> Point:
    """10 on the left half."""
    return 10.0 * (x < 0.5)


def right(x: Point, y: Point) -> Point:
    """10 on the right half."""
    return 10.0 * (x >= 0.5)


GOALS = (Tracking(hill, SIGMA), Tracking(wave, SIGMA))
"""What pulls apart."""


@checked
def two_halves(mesh: int = 31, kappa: float = 10.0, name: str | None = None) -> PDEControl:
    """Two controls, one for each half of the square, and two goals that pull apart.

    Along the front the share of the square where y > 0 falls from all of it to half, so that the
    nonsmooth term is at work.

    Args:
        mesh: Interior nodes along a side.
        kappa: Of the equation.
        name: What it is called; None: after its mesh.
    """
    return PDEControl(mesh, kappa, (left, right), GOALS, name=name or f"two-halves-{mesh}")


@checked
def distributed(mesh: int = 31, kappa: float = 10.0, name: str | None = None) -> PDEControl:
    """The same goals, with a control at every interior node.

    Args:
        mesh: Interior nodes along a side.
        kappa: Of the equation.
        name: What it is called; None: after its mesh.
    """
    return PDEControl(mesh, kappa, "distributed", GOALS, name=name or f"distributed-{mesh}")


def crossed_kinks() -> Pair:
    """f_1 = max(|x1|, |x2|) + 0.1 |x|^2, f_2 = |x1 - 1| + |x2 - 1|; the Pareto set contains the
    diagonal from 0 to (1, 1).
    """

    def slope(x: Point) -> Point:
        found = np.zeros(2)
        j = int(np.argmax(np.abs(x)))
        found[j] = np.sign(x[j])
        return found + 0.2 * x

    return (
        [lambda x: float(np.abs(x).max() + 0.1 * x @ x), lambda x: float(np.abs(x - 1).sum())],
        [slope, lambda x: np.sign(x - 1)],
    )


def curved_valleys() -> Pair:
    """f_i = 10 |x1^2 - x2| + (a_i - x1)^2, a = (1, 2): a curved kink in which gradients of single
    points jam; the Pareto set is x2 = x1^2, 1 <= x1 <= 2.
    """

    def value(a: float) -> Callable[[Point], float]:
        return lambda x: float(10 * abs(x[0] ** 2 - x[1]) + (a - x[0]) ** 2)

    def slope(a: float) -> Callable[[Point], Point]:
        def found(x: Point) -> Point:
            s = 10 * np.sign(x[0] ** 2 - x[1])
            return np.array([2 * s * x[0] - 2 * (a - x[0]), -s])

        return found

    return [value(1.0), value(2.0)], [slope(1.0), slope(2.0)]

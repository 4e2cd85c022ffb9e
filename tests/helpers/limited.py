"""Black boxes with a limit, and with a check before each evaluation."""

from __future__ import annotations

import numpy as np

from feasible.blackbox import BlackBox

BOX = [(0, 1), (0, 1)]


class Counted:
    """A function that keeps every point it was called with."""

    def __init__(self, fun=lambda x: (x[0] - 0.3) ** 2 + x[1]):
        self.fun, self.points = fun, []

    def __call__(self, x):
        self.points.append(np.array(x))
        return self.fun(x)


def limited(fun=None, **more):
    """Half of the box is infeasible."""
    return BlackBox(
        fun or (lambda x: ((x[0] - 0.3) ** 2 + x[1], [x[0] + x[1]])),
        BOX,
        limits={"sum": ">= 1"},
        **more,
    )


def staged(
    check=lambda x: {"fits": x[0] + x[1]}, fun=lambda x: {"cost": x[0], "heat": x[1]}, **more
):
    return BlackBox(
        fun, BOX, check=check, objective="cost", limits={"fits": ">= 1", "heat": "<= 0.9"}, **more
    )

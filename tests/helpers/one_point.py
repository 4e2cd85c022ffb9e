"""One point of a black box, and functions that its tests share."""

from __future__ import annotations

from scipy.optimize import Bounds

BOX = Bounds([0, 0], [1, 1])
AT = [[0.25, 0.5]]


def one(problem, x=AT):
    return problem.evaluate(x).observation(0)


def status(problem, x=AT):
    seen = one(problem, x)
    return seen.status, seen.reason


def raising(x):
    raise ValueError("mesh failed")


def square(x):
    return [x[0] ** 2, x[1]]

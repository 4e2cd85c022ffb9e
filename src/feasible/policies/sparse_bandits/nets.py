"""Finite nets of the unit ball and the unit sphere of R^s."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def ball_net(s: int, nu: float) -> Float[np.ndarray, "n s"]:
    """Points such that each vector of length at most 1 has one within nu.

    A grid of spacing 2 nu / sqrt(s), of which the points of length at most 1 + nu are kept.
    """
    h = 2 * nu / math.sqrt(s)
    most = math.floor((1 + nu) / h)
    axis = h * np.arange(-most, most + 1)
    grid = np.stack(np.meshgrid(*[axis] * s, indexing="ij"), -1).reshape(-1, s)
    return grid[np.linalg.norm(grid, axis=1) <= 1 + nu + 1e-12]


def sphere_net(s: int, nu: float) -> Float[np.ndarray, "n s"]:
    """Unit vectors such that each unit vector has one within nu.

    Both signs for s = 1, equal angles for s = 2; else centres of a grid on the faces of the cube,
    projected: the projection brings points outside of the ball no further apart.
    """
    if s == 1:
        return np.array([[1.0], [-1.0]])
    if s == 2:
        n = math.ceil(math.pi / nu)
        angle = 2 * math.pi * np.arange(n) / n
        return np.stack([np.cos(angle), np.sin(angle)], -1)
    cells = math.ceil(2 / (2 * nu / math.sqrt(s - 1)))
    centres = (np.arange(cells) + 0.5) * 2 / cells - 1
    found = []
    for axis, sign in itertools.product(range(s), (1.0, -1.0)):
        for rest in itertools.product(centres, repeat=s - 1):
            point = np.insert(np.array(rest), axis, sign)
            found.append(point / np.linalg.norm(point))
    return np.array(found)


def net_size(s: int, nu: float, net: str) -> float:
    """About how many points a net has, without making it."""
    if net == "sphere":
        if s <= 2:
            return 2.0 if s == 1 else math.ceil(math.pi / nu)
        return 2 * s * math.ceil(math.sqrt(s - 1) / nu) ** (s - 1)
    volume = math.pi ** (s / 2) / math.gamma(s / 2 + 1) * (1 + nu) ** s
    return volume / (2 * nu / math.sqrt(s)) ** s

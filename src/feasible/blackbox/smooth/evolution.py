"""A CMA-ES of a few lines, for generations that are asked for and told.

References:
    N. Hansen, The CMA evolution strategy: a tutorial (arXiv 1604.00772): the update, its equations
    and default parameters (table 1, without active weights).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from .rows import Ground

SIGMA, SMALL = 0.1, 1e-3
"""First step, and the longest axis below which the search has converged, in units of the box."""
REDRAWS = 20
"""Draws of one point, until it lies inside the bounds and is allowed."""


@dataclass(slots=True)
class EvolutionState:
    """A distribution and the generation that was drawn from it.

    Attributes:
        active: Whether there is one.
        since: First row of it.
        mean: (k,) its mean.
        sigma: Its step.
        C: (k, k) its covariance.
        ps: (k,) path of the step.
        pc: (k,) path of the covariance.
        drawn: (size, k) the generation that is out; empty where there is none.
        generation: Generations so far.
    """

    active: bool = False
    since: int = 0
    mean: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    sigma: float = SIGMA
    C: Float[np.ndarray, "k k"] = field(default_factory=lambda: np.empty((0, 0)))
    ps: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    pc: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    drawn: Float[np.ndarray, "size k"] = field(default_factory=lambda: np.empty((0, 0)))
    generation: int = 0

    @classmethod
    def about(cls, u: Float[np.ndarray, " k"], since: int) -> EvolutionState:
        """A new distribution about a point."""
        k = len(u)
        return cls(True, since, u.copy(), C=np.eye(k), ps=np.zeros(k), pc=np.zeros(k))


def evolve(ground: Ground, s: EvolutionState, rng: np.random.Generator) -> bool:
    """One generation: draw it, and move the distribution once its rows are there.

    Returns:
        False where the search has converged. Raises Wanted.
    """
    k = len(s.mean)
    size = 4 + int(3 * math.log(k))
    D, V = np.linalg.eigh(s.C)
    D = np.sqrt(np.maximum(D, 1e-20))
    if not len(s.drawn):
        s.drawn = draw(ground, s, rng, V * D, size)
    rows, order = ground.all(s.drawn), []
    for i, (f, c) in enumerate(rows):
        over = float((ground.excess(c) / ground.size).max(initial=0.0))
        tolerance = ground.cube.problem.tolerance
        over = 0.0 if over <= tolerance else over if over == over else math.inf
        order.append((over if f == f else math.inf, f if f == f else math.inf, i))
    order.sort()
    w = math.log((size + 1) / 2) - np.log(np.arange(1, size // 2 + 1))
    w = w / w.sum()
    e = 1 / float((w**2).sum())
    Y = (s.drawn[[i for *_, i in order[: len(w)]]] - s.mean) / s.sigma
    y, s.generation = w @ Y, s.generation + 1
    cs, cc, c1 = (e + 2) / (k + e + 5), (4 + e / k) / (k + 4 + 2 * e / k), 2 / ((k + 1.3) ** 2 + e)
    cmu = min(1 - c1, 2 * (e - 2 + 1 / e) / ((k + 2) ** 2 + e))
    chi = math.sqrt(k) * (1 - 1 / (4 * k) + 1 / (21 * k * k))
    s.mean = s.mean + s.sigma * y
    s.ps = (1 - cs) * s.ps + math.sqrt(cs * (2 - cs) * e) * (V @ ((V.T @ y) / D))
    length = float(np.linalg.norm(s.ps))
    short = length / math.sqrt(1 - (1 - cs) ** (2 * s.generation)) < (1.4 + 2 / (k + 1)) * chi
    s.pc = (1 - cc) * s.pc + short * math.sqrt(cc * (2 - cc) * e) * y
    kept = np.outer(s.pc, s.pc) + (1 - short) * cc * (2 - cc) * s.C
    s.C = (1 - c1 - cmu) * s.C + c1 * kept + cmu * (Y.T * w) @ Y
    damping = 1 + cs + 2 * max(0.0, math.sqrt((e - 1) / (k + 1)) - 1)
    s.sigma *= math.exp(min(1.0, cs / damping * (length / chi - 1)))
    s.drawn = np.empty((0, k))
    return bool(SMALL < s.sigma * D.max() < math.inf)


def draw(
    ground: Ground,
    s: EvolutionState,
    rng: np.random.Generator,
    root: Float[np.ndarray, "k k"],
    size: int,
) -> Float[np.ndarray, "size k"]:
    """Points of the distribution; those outside are drawn again, at last cut to the bounds."""
    out = []
    for _ in range(size):
        for _ in range(REDRAWS):
            u = s.mean + s.sigma * (root @ rng.standard_normal(len(s.mean)))
            if ground.cube.allowed(u[None])[0]:
                break
        out.append(ground.cube.clip(u))
    return np.array(out)


__all__ = ["EvolutionState", "draw", "evolve"]

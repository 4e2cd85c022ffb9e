"""The particles of consensus-based optimisation and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .penalty import Penalty

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(slots=True)
class Cloud:
    """The moving part of CBO. Arrays are in the method's own coordinates (the unit cube where it
    scales).

    Attributes:
        rng: Of everything random.
        x: (N, d) particles.
        f: (N,) their last told objectives, NaN before.
        g: (N, m) their last told constraints, g <= 0 where satisfied.
        y: (N, d) historical bests (memory only; else the first particles).
        y_f: (N,) their objectives.
        y_g: (N, m) their constraints.
        points: (n, d) what is evaluated next.
        turn: (b,) the particles whose turn it is.
        queue: (q,) the particles whose turn comes later in this epoch.
        m: (d,) the consensus point.
        noise: (N, d) scratch.
        work: (N, d) scratch.
        alpha: The inverse temperature now, in units of 1 / E.
        sigma: The noise strength now.
        penalty: Weights of the constraints.
        phase: What `points` are: "positions", "memories" (soft memory) or "gradients".
        k: Steps.
        epoch: Passes over all particles, from 1.
        variance: Of the particles at the end of the last epoch.
        stalled: Steps in a row in which the consensus did not move.
    """

    rng: np.random.Generator
    x: Float[np.ndarray, "N d"]
    f: Float[np.ndarray, " N"]
    g: Float[np.ndarray, "N m"]
    y: Float[np.ndarray, "N d"]
    y_f: Float[np.ndarray, " N"]
    y_g: Float[np.ndarray, "N m"]
    points: Float[np.ndarray, "n d"]
    turn: Int[np.ndarray, " b"]
    queue: Int[np.ndarray, " q"]
    m: Float[np.ndarray, " d"]
    noise: Float[np.ndarray, "N d"]
    work: Float[np.ndarray, "N d"]
    alpha: float
    sigma: float
    penalty: Penalty
    phase: str = "positions"
    k: int = 0
    epoch: int = 1
    variance: float = 0.0
    stalled: int = 0

    @property
    def spread(self) -> float:
        """Mean distance of the particles from the consensus point."""
        return float(np.linalg.norm(self.x - self.m, axis=1).mean())

    def take(self, rows: slice | Int[np.ndarray, " b"], f: np.ndarray, g: np.ndarray) -> None:
        """Note the objectives (b,) and constraints (b, m) of some particles."""
        if g.shape[1] != self.g.shape[1]:
            self.g, self.y_g = (np.full((len(self.x), g.shape[1]), np.nan) for _ in range(2))
        self.f[rows], self.g[rows] = f, g


__all__ = ["Cloud"]

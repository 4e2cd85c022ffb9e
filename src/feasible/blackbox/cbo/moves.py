"""The moves of consensus-based optimisation: each an object with its own settings and formula.

References:
    K. Riedl, T. Klock, C. Geldhauser, M. Fornasier: Gradient is All You Need? (2023, arXiv
    2306.09778), algorithms A and B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from .cloud import Cloud
from .consensus import Walls, differences, drift_and_diffuse, gradient, jump

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Rows = slice | Int[np.ndarray, " b"]


@dataclass(frozen=True)
class Drift:
    """Algorithm A, step 2: x <- x - lambda dt (x - m) + sigma sqrt(dt) S(x - m) xi.

    Attributes:
        dt: Time step.
        lam: lambda.
        noise: S(D) = |D| by components ("anisotropic"), or ||D|| ("isotropic").
        noise_after_drift: D is what is left after the drift.
    """

    dt: float
    lam: float
    noise: Literal["anisotropic", "isotropic"]
    noise_after_drift: bool

    def push(self, sigma: float) -> float:
        """sigma sqrt(dt)."""
        return sigma * math.sqrt(self.dt)

    def __call__(
        self,
        x: Float[np.ndarray, "n d"],
        m: Float[np.ndarray, " d"],
        xi: Float[np.ndarray, "n d"],
        work: Float[np.ndarray, "n d"],
        sigma: float,
    ) -> None:
        """Move x in place; xi, standard normal, and work are overwritten."""
        drift_and_diffuse(
            x,
            m,
            xi,
            work,
            pull=self.lam * self.dt,
            push=self.push(sigma),
            isotropic=self.noise == "isotropic",
            noise_after_drift=self.noise_after_drift,
        )

    def about(
        self,
        x: Float[np.ndarray, "n d"],
        m: Float[np.ndarray, " d"],
        rng: np.random.Generator,
        sigma: float,
    ) -> Float[np.ndarray, "n d"]:
        """Where particles at x might land."""
        xi = rng.standard_normal(x.shape)
        pull, isotropic = self.lam * self.dt, self.noise == "isotropic"
        return x + jump(x - m, xi, pull, self.push(sigma), isotropic)


@dataclass(frozen=True)
class MemoryDrift:
    """Algorithm B: x <- x - lambda2 dt (x - y) + sigma2 sqrt(dt) S(x - y) xi, after `Drift`.

    Attributes:
        dt: Time step.
        lam2: lambda2.
        sigma2: Its noise; None: lambda2 sigma.
        noise: As in `Drift`.
    """

    dt: float
    lam2: float
    sigma2: float | None
    noise: Literal["anisotropic", "isotropic"]

    def __call__(
        self,
        x: Float[np.ndarray, "n d"],
        away: Float[np.ndarray, "n d"],
        xi: Float[np.ndarray, "n d"],
        sigma: float,
    ) -> None:
        """Move x in place; `away` (x - y before the drift) and xi are overwritten."""
        sigma2 = self.lam2 * sigma if self.sigma2 is None else self.sigma2
        pull, push = self.lam2 * self.dt, sigma2 * math.sqrt(self.dt)
        x += jump(away, xi, pull, push, self.noise == "isotropic")


@dataclass(frozen=True)
class GradientDrift:
    """Algorithm A, step 3: x <- x - gamma lr dt grad E(x), the gradient by central differences.

    Attributes:
        dt: Time step.
        gamma: Weight.
        lr: Step.
        h: Half width of the differences.
    """

    dt: float
    gamma: float
    lr: float
    h: float

    def points(self, x: Float[np.ndarray, "n d"], walls: Walls) -> Float[np.ndarray, "m d"]:
        """The 2 n d points of the differences."""
        return differences(walls.inside(x), self.h, walls)

    def __call__(
        self, cloud: Cloud, movers: Rows, energy: Float[np.ndarray, " m"], walls: Walls
    ) -> None:
        """Move particles, from the energies of the difference points."""
        x = cloud.x[movers]
        step = self.gamma * self.lr * self.dt
        moved = x - step * gradient(cloud.points, energy, x.shape[1])
        walls.confine(moved, x)
        cloud.x[movers] = moved


@dataclass(frozen=True)
class HardMemory:
    """Algorithm B with beta infinite and kappa = 1 / dt: y <- x where x is better."""

    def __call__(self, cloud: Cloud, rows: Rows, walls: Walls) -> bool:
        """Update the historical bests of some particles. False: nothing is left to evaluate."""
        penalty = cloud.penalty
        new = penalty.energy(cloud.f[rows], cloud.g[rows])
        old = penalty.energy(cloud.y_f[rows], cloud.y_g[rows])  # +inf where nothing is remembered
        better = np.arange(len(cloud.x))[rows][new < old]
        for mine, theirs in ((cloud.y, cloud.x), (cloud.y_f, cloud.f), (cloud.y_g, cloud.g)):
            mine[better] = theirs[better]
        return False


@dataclass(frozen=True)
class SoftMemory(HardMemory):
    """Algorithm B: y <- y + kappa dt (x - y) H, H = (1 + tanh(beta (E(y) - E(x)))) / 2.

    Attributes:
        dt: Time step.
        beta: Sharpness, in units of 1 / E.
        kappa: Rate; None: 1 / dt.
    """

    dt: float
    beta: float
    kappa: float | None

    def __call__(self, cloud: Cloud, rows: Rows, walls: Walls) -> bool:
        """Lay out the new y, to be evaluated first: True. The first time as `HardMemory`."""
        old = cloud.penalty.energy(cloud.y_f[rows], cloud.y_g[rows])
        if not np.isfinite(old).any():
            return super().__call__(cloud, rows, walls)
        new = cloud.penalty.energy(cloud.f[rows], cloud.g[rows])
        gap = np.where(np.isinf(new), -np.inf, old - np.where(np.isinf(new), 0.0, new))
        follow = 0.5 * (1 + np.tanh(np.clip(self.beta * gap, -50, 50)))
        rate = 1.0 if self.kappa is None else self.kappa * self.dt
        cloud.points = cloud.y[rows] + rate * follow[:, None] * (cloud.x[rows] - cloud.y[rows])
        walls.confine(cloud.points, cloud.y[rows])
        cloud.phase = "memories"
        return True


__all__ = ["Drift", "GradientDrift", "HardMemory", "MemoryDrift", "SoftMemory"]

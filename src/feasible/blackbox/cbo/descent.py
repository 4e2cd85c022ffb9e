"""The baselines of the consensus paper: gradient descent and annealed Langevin dynamics, with
gradients by central differences.

    x <- x - lr dt grad E(x)                                        gradient descent
    x <- x - lr dt grad E(x) + sigma / log(k + 1) sqrt(dt) xi_k     annealed Langevin

Each step evaluates the 2 d points x +- h e_j in one batch. Constraints enter as E + rho sum_j
max(0, g_j)^2, with rho growing while the iterate violates one.

References:
    K. Riedl, T. Klock, C. Geldhauser, M. Fornasier: Gradient is All You Need? (2023, arXiv
    2306.09778), baselines G.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import real
from ...core.ledger import Observations
from ..asktell import AskTell, Proposals
from ..problem import BlackBox
from .consensus import differences, gradient
from .generation import Generation, Running, coordinates_of, points_of, start_of, walls_of
from .penalty import Penalty

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class Walker:
    """The moving part.

    Attributes:
        rng: Of the noise.
        x: (d,) the iterate.
        points: (2 d, d) about it.
        penalty: Weights of the constraints.
        k: Steps taken.
        moved: Length of the last step, largest component.
        lost: True where no gradient could be measured.
    """

    rng: np.random.Generator
    x: Float[np.ndarray, " d"]
    points: Float[np.ndarray, "m d"]
    penalty: Penalty
    k: int = 0
    moved: float = math.inf
    lost: bool = False


@dataclass(frozen=True)
class GradientDescent(AskTell):
    """Gradient descent with the step lr dt, from problem.x0 (else the middle of the box). The
    paper's code takes 1e4 steps with these defaults.

    Attributes:
        lr: Step.
        dt: Time step.
        h: Half width of the differences.
        scale: Lengths are those of the unit cube, where the box is bounded; False: the problem's
            own.
        rho: Weight of the constraints.
        rho_growth: Its growth.
        tol: Done when no coordinate moves by more.

    Raises:
        ArgumentError: A setting makes no sense.
    """

    name: ClassVar[str] = "gradient-descent"

    lr: float = 1.0
    dt: float = 1e-3
    h: float = 1e-3
    scale: bool = False
    rho: float = 1.0
    rho_growth: float = 1.02
    tol: float = 1e-12

    def __post_init__(self) -> None:
        for name in ("lr", "dt", "h", "rho", "rho_growth"):
            real(name, getattr(self, name), above=0)
        real("tol", self.tol, least=0)

    def shake(self, walker: Walker) -> Float[np.ndarray, " d"] | float:
        """What is added to the gradient step: nothing."""
        return 0.0

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Running:
        """The first difference points; nothing is spent."""
        scaled = self.scale and problem.space.bounded
        spare = np.random.default_rng(rng.integers(2**63))
        x = coordinates_of(problem, start_of(problem, rng)[None], scaled)
        walker = Walker(
            rng, x[0], differences(x, self.h, walls_of(problem, scaled)), Penalty(float(self.rho))
        )
        running = Running(walker, Generation(np.empty((0, problem.space.d))), spare)
        running.generation.renew(points_of(problem, walker.points, scaled))
        return running

    def ask(self, problem: BlackBox, state: Running, n: int | None = None) -> Proposals:
        """The next n difference points (all of them where n is None), then points scattered about
        the iterate, which do not count.
        """

        def scattered(k: int) -> np.ndarray:
            scaled = self.scale and problem.space.bounded
            x = state.cloud.x + 10 * self.h * state.spare.standard_normal((k, problem.space.d))
            walls_of(problem, scaled).confine(x, state.cloud.x)
            return points_of(problem, x, scaled)

        return state.generation.hand_out(n, scattered)

    def tell(self, problem: BlackBox, state: Running, seen: Observations) -> None:
        """Take outcomes; when all difference points have come back, step."""
        generation, walker = state.generation, state.cloud
        if not generation.take_in(seen):
            return
        scaled = self.scale and problem.space.bounded
        walls = walls_of(problem, scaled)
        generation.forget_guests()
        g = generation.constraints
        if g.shape[1] and not (np.maximum(g, 0.0).max(axis=1) <= 0).any():
            walker.penalty.rho = min(walker.penalty.rho * self.rho_growth, 1e12)
        energy = walker.penalty.energy(generation.objective, g)
        walker.lost = not np.isfinite(energy).any()
        walker.k += 1
        x = (
            walker.x
            - self.lr * self.dt * gradient(walker.points, energy, len(walker.x))[0]
            + self.shake(walker)
        )
        x = x[None]
        walls.confine(x, walker.x)
        walker.moved = float(np.abs(x[0] - walker.x).max())
        walker.x = x[0]
        walker.points = differences(x, self.h, walls)
        generation.renew(points_of(problem, walker.points, scaled))

    def done(self, problem: BlackBox, state: Running) -> str | None:
        """Done where the steps have become negligible, or no gradient can be measured."""
        if state.cloud.lost and state.cloud.moved <= self.tol:
            return "no gradient can be measured: every point about the iterate failed"
        if state.cloud.moved <= self.tol:
            return f"stationary: the last step moved by {state.cloud.moved:.2g}"
        return None


@dataclass(frozen=True)
class Langevin(GradientDescent):
    """Annealed Langevin dynamics: gradient descent with noise sigma / log(k + 1) sqrt(dt) at step k
    = 1, 2, ...; further settings as in GradientDescent.

    Attributes:
        sigma: Noise strength, as in the paper's code.
    """

    name: ClassVar[str] = "langevin"

    sigma: float = 10.0

    def __post_init__(self) -> None:
        GradientDescent.__post_init__(self)
        real("sigma", self.sigma, least=0)

    def shake(self, walker: Walker) -> Float[np.ndarray, " d"]:
        """sigma / log(k + 1) sqrt(dt) xi."""
        return (
            self.sigma
            / math.log(walker.k + 1)
            * math.sqrt(self.dt)
            * walker.rng.standard_normal(len(walker.x))
        )

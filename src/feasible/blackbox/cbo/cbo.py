"""Consensus-based optimisation (CBO): particles that contract about a weighted mean and shake in
proportion to their distance from it.

    x_i <- x_i - lambda dt (x_i - m) + sigma sqrt(dt) S(x_i - m) xi_i,
    m = sum_i exp(-alpha E(x_i)) x_i / sum_i exp(-alpha E(x_i))

Use it for landscapes with many local minima, without gradients, and hundreds to many thousands of
cheap evaluations. It does not converge as fast as CMA-ES on smooth, badly conditioned functions.

Three forms of the same functions (the formulas are in `consensus.py`, the moves in `moves.py`):
`cbo_minimize(f, bounds=...)`, a loop in SciPy's manner; `swarm = CBO().start(bounds=...)`, asked
and told by hand; and `CBO()`, the Method, for runs and races, with constraints.

References:
    K. Riedl, T. Klock, C. Geldhauser, M. Fornasier: Gradient is All You Need? How Consensus-Based
    Optimization can be Interpreted as a Stochastic Relaxation of Gradient Descent (2023, arXiv
    2306.09778), algorithms A, B and E.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.ledger import Observations
from ..asktell import AskTell, Proposals
from ..problem import BlackBox
from .cloud import Cloud
from .consensus import Walls, consensus, scheduled
from .generation import Generation, Running, coordinates_of, first_cloud, points_of, walls_of
from .penalty import Penalty
from .settings import CBOSettings
from .swarm import Swarm

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class CBO(CBOSettings, AskTell):
    """Consensus-based optimisation, asked and told, and as a Method.

    It minimises E(x) over a box, with constraints g(x) <= 0 by a penalty that grows, from values
    alone. Settings: `CBOSettings`; `CBO.paper()` has the paper's, `CBO.learning()` those of its
    companion code's learning mode.

    Examples:
        >>> import numpy as np
        >>> swarm = CBO().start(bounds=[(-3, 3)] * 2, seed=1)
        >>> for _ in range(60):
        ...     X = swarm.ask()
        ...     swarm.tell(X, ((X - 0.5) ** 2).sum(axis=1))
        >>> np.round(swarm.x, 2)
        array([0.5, 0.5])

    References:
        arXiv 2306.09778, algorithms A, B and E and their code; schedules as in the `cbx` package.
    """

    @property
    def name(self) -> str:  # type: ignore[override]
        """ "cbo", or "cbo-memory"."""
        return "cbo-memory" if self.memory else "cbo"

    @property
    def starts(self) -> int:
        """Number of starting points: one for each particle."""
        return self.n_particles

    # -- native ------------------------------------------------------------------------------------

    def start(
        self, bounds: Any = None, x0: Any = None, seed: int | np.random.Generator = 0
    ) -> Swarm:
        """An ask-and-tell object for (N, d) batches: X = swarm.ask(); swarm.tell(X, f(X)).

        Args:
            bounds: None, [(low, high), ...] or scipy Bounds.
            x0: (N, d) particles, or (d,) a point about which they start.
            seed: Of everything random.
        """
        return Swarm(self, bounds, x0, seed)

    def begin(
        self, x: Float[np.ndarray, "N d"], rng: np.random.Generator, walls: Walls | None = None
    ) -> Cloud:
        """The state with these particles."""
        n, d = x.shape
        cloud = Cloud(
            rng=rng,
            x=np.array(x, dtype=float),
            f=np.full(n, np.nan),
            g=np.empty((n, 0)),
            y=np.array(x, dtype=float),
            y_f=np.full(n, np.nan),
            y_g=np.empty((n, 0)),
            points=x,
            turn=np.arange(n),
            queue=np.empty(0, dtype=int),
            m=x.mean(axis=0),
            noise=np.empty((n, d)),
            work=np.empty((n, d)),
            alpha=float(self.alpha),
            sigma=float(self.sigma),
            penalty=Penalty(float(self.rho)),
        )
        cloud.variance = float(cloud.x.var(axis=0).sum())
        self.epochs.deal(cloud)
        return cloud

    def advance(
        self, cloud: Cloud, f: Float[np.ndarray, " n"], g: Float[np.ndarray, "n m"], walls: Walls
    ) -> None:
        """Take the values of `cloud.points`, move, and lay out the next points.

        Args:
            cloud: The state, changed in place.
            f: (n,) objectives.
            g: (n, m) constraints, satisfied where g <= 0.
            walls: Where points may lie.
        """
        epochs, gradient_drift = self.epochs, self.gradient_drift
        if cloud.phase == "gradients" and gradient_drift is not None:
            gradient_drift(cloud, epochs.movers(cloud), cloud.penalty.energy(f, g), walls)
            epochs.next_turn(cloud)
            return
        rows = epochs.rows(cloud)
        if cloud.phase == "memories":
            cloud.y[rows], cloud.y_f[rows], cloud.y_g[rows] = cloud.points, f, g
        else:
            cloud.take(rows, f, g)
            cloud.penalty.learn(f, g, self.rho_growth)
            if self.remember is not None and self.remember(cloud, rows, walls):
                return
        self._move(cloud, rows, walls)
        if gradient_drift is not None:
            cloud.points = gradient_drift.points(cloud.x[epochs.movers(cloud)], walls)
            cloud.phase = "gradients"
            return
        epochs.next_turn(cloud)

    def _move(self, cloud: Cloud, rows: slice | Int[np.ndarray, " b"], walls: Walls) -> None:
        """Algorithm A, steps 1 and 2 (B with memory): the consensus of the particles whose turn it
        is, then everybody's jump.
        """
        sites, f, g = (
            (cloud.y, cloud.y_f, cloud.y_g) if self.memory else (cloud.x, cloud.f, cloud.g)
        )
        sites, energy = sites[rows], cloud.penalty.energy(f[rows], g[rows])
        movers = self.epochs.movers(cloud)
        x = cloud.x[movers]  # a view, except in partial mode
        noise, work = cloud.noise[: len(x)], cloud.work[: len(x)]
        old = x.copy() if self.memory or walls.allowed is not None else x
        cloud.rng.standard_normal(out=noise)
        cloud.k += 1
        if not math.isfinite(energy.min()):  # nothing is known: look elsewhere
            x += noise * cloud.x.std(axis=0)
        else:
            alpha, cloud.alpha = scheduled(self.schedule, cloud.alpha, energy)
            before, cloud.m = cloud.m, consensus(sites, energy, alpha)
            self.drift(x, cloud.m, noise, work, cloud.sigma)
            if self.memory_drift is not None:
                cloud.rng.standard_normal(out=noise)
                np.subtract(old, cloud.y[movers], out=work)
                self.memory_drift(x, work, noise, cloud.sigma)
            if self.restarts is not None and self.restarts.due(cloud, before, energy):
                self.restarts.shake(cloud, self.drift.push(cloud.sigma), walls)
                return
        walls.confine(x, old)
        if movers is cloud.turn:
            cloud.x[movers] = x

    # -- in a run ----------------------------------------------------------------------------------

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Running:
        """Particles in the box; nothing is spent."""
        scaled = self.scale and problem.space.bounded
        spare = np.random.default_rng(rng.integers(2**63))
        cloud = self.begin(
            coordinates_of(
                problem, first_cloud(problem, self.n_particles, rng, self.spread), scaled
            ),
            rng,
        )
        running = Running(cloud, Generation(np.empty((0, problem.space.d))), spare)
        running.generation.renew(points_of(problem, cloud.points, scaled))
        return running

    def ask(self, problem: BlackBox, state: Running, n: int | None = None) -> Proposals:
        """The next n positions of the generation (all of them where n is None), then spare draws
        about the consensus.
        """
        return state.generation.hand_out(n, lambda k: self._spares(problem, state, k))

    def tell(self, problem: BlackBox, state: Running, seen: Observations) -> None:
        """Take outcomes; when all particles of the generation have come back, the swarm moves.
        Foreign points may replace the worst.
        """
        generation, cloud = state.generation, state.cloud
        if generation.take_in(seen):
            scaled = self.scale and problem.space.bounded
            if len(generation.guests) and cloud.phase == "positions":
                _welcome(problem, cloud, generation, scaled)
            self.advance(
                cloud,
                generation.objective,
                generation.constraints,
                walls_of(problem, scaled, self.walls),
            )
            generation.renew(points_of(problem, cloud.points, scaled))

    def least(self, problem: BlackBox) -> int:
        """Evaluations below which a run warns: with fewer no particle has moved."""
        return self.n_particles + 1

    def done(self, problem: BlackBox, state: Running) -> str | None:
        """Done when the particles have contracted to a point and there are no restarts."""
        cloud = state.cloud
        if self.restart is None and cloud.k % 16 == 1 and (spread := cloud.spread) < self.tol:
            return f"the particles have contracted to one point (mean distance {spread:.2g})"
        return None

    def _spares(self, problem: BlackBox, state: Running, n: int) -> Float[np.ndarray, "n d"]:
        """Return draws about the consensus, which do not move the swarm."""
        cloud, rng, scaled = state.cloud, state.spare, self.scale and problem.space.bounded
        old = cloud.x[rng.integers(len(cloud.x), size=n)]
        x = self.drift.about(old, cloud.m, rng, cloud.sigma)
        walls_of(problem, scaled, self.walls).confine(x, old)
        return points_of(problem, x, scaled)


def _welcome(problem: BlackBox, cloud: Cloud, generation: Generation, scaled: bool) -> None:
    """Put guests in the place of the worst particles, where they are better."""
    f, g = generation.objective.copy(), generation.constraints.copy()
    cloud.penalty.learn(f, g, 1.0)
    mine, theirs = (
        cloud.penalty.energy(f, g),
        cloud.penalty.energy(generation.guest_objective, generation.guest_constraints),
    )
    k = min(len(mine), len(theirs))
    worst, best = np.argsort(-mine, kind="stable")[:k], np.argsort(theirs, kind="stable")[:k]
    swap = theirs[best] < mine[worst]
    worst, best = worst[swap], best[swap]
    cloud.x[cloud.turn[worst]] = coordinates_of(problem, generation.guests[best], scaled)
    f[worst], g[worst] = generation.guest_objective[best], generation.guest_constraints[best]
    generation.objective, generation.constraints = f, g
    generation.forget_guests()


__all__ = ["CBO"]

"""Consensus-based optimisation (CBO): particles that contract about a weighted mean and shake in
proportion to their distance from it.

    x_i <- x_i - lambda dt (x_i - m) + sigma sqrt(dt) S(x_i - m) xi_i,    m = sum_i exp(-alpha
    E(x_i)) x_i / sum_i exp(-alpha E(x_i))

K. Riedl, T. Klock, C. Geldhauser, M. Fornasier: Gradient is All You Need? How Consensus-Based
Optimization can be Interpreted as a
Stochastic Relaxation of Gradient Descent (2023, arXiv 2306.09778).

Use it for landscapes with many local minima, without gradients, and hundreds to many thousands of
cheap evaluations. It does not
converge as fast as CMA-ES on smooth, badly conditioned functions.

Three forms of the same functions (the formulas are in `consensus.py`):
  cbo_minimize(f, bounds=...)        a loop in SciPy's manner;
  swarm = CBO().start(bounds=...)    X = swarm.ask(); swarm.tell(X, f(X));
  CBO()                              the Method, for runs and races, with constraints.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.errors import ArgumentError, NotFinite
from ...core.ledger import Observations
from ..asktell import AskTell, Proposals
from ..problem import BlackBox
from .consensus import (
    HIGHEST,
    Walls,
    consensus,
    differences,
    drift_and_diffuse,
    fold,
    gradient,
    jump,
    read_schedule,
    scheduled,
)
from .generation import Generation, Running, coordinates_of, first_cloud, points_of, walls_of
from .hopping import Hopping, smoothed_gradient
from .penalty import Penalty
from .swarm import Swarm, minimize_with

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from scipy.optimize import OptimizeResult


MOST = 1000
"""Particles up to which restarts may grow a swarm."""


@dataclass(slots=True)
class Cloud:
    """The moving part of CBO. Arrays are in the method's own coordinates (the unit cube where it
    scales).

    x: (N, d) particles.  f, g: (N,) and (N, m) the last told objectives and signed constraints of
      the particles.
    y, y_f, y_g: historical bests and theirs (memory only; else empty).  points: (n, d) what is
      evaluated next.
    phase: what `points` are: "positions", "memories" (soft memory) or "gradients".  turn: (b,) the
      particles whose turn it is.
    queue: (q,) the particles whose turn comes later in this epoch.  m: (d,) consensus point.  k:
      steps; epoch: passes over all particles.
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
    """Steps in a row in which the consensus did not move."""


@dataclass(frozen=True)
class CBO(AskTell):
    """Consensus-based optimisation. The defaults suit 500 to 20000 evaluations with constraints;
    `CBO.paper()` has the paper's.

    The defaults are not the paper's: few particles, a step so long that one lands near the
    consensus, alpha by effective sample size,
    and restarts with twice the particles, so that small budgets are used to refine and large ones
    to look elsewhere.

    n_particles: N >= 2.  dt: time step.  lam: drift lambda, lam dt <= 2.  sigma: noise strength.
    noise: "anisotropic" (each coordinate shakes by its own distance; robust in high dimension;
      contracts if sigma^2 < 2 lam) or
      "isotropic" (by the norm; contracts if sigma^2 d < 2 lam).  noise_after_drift: as in the
      authors' code.
    alpha: inverse temperature, in units of 1 / E.  alpha_schedule: None, "x1.05" (up to 1e5) or
      "ess:0.5" (effective sample size).
    memory: keep each particle's historical best y; then the consensus is of the y, with further
      drift lam2 and noise sigma2 (None:
      lam2 sigma) toward y (the paper: lam2 0.4, and 0 in its example).  beta: None replaces y where
      x is better; a number moves y by
      kappa dt H_beta (kappa None: 1 / dt), which costs a second evaluation of every particle.
    gamma, lr: gradient drift by central differences of step h, 2 d more evaluations for every
      particle and step.
    batch: particles in a mini-batch (None: all).  partial: move only the batch.  cooling: after
      each epoch e, sigma falls by
      log2(e + 1) / log2(e + 2) and alpha doubles.  reduce: drop particles as the variance falls.
    restart: shake all particles by sigma sqrt(dt) N(0, I), reflected at the walls, when the
      consensus moves less than this (largest
      component), or all energies are equal, for `patience` steps in a row; None: never.
    grow: particles are multiplied by this at each restart, up to 1000; then memories, alpha and rho
      start anew.
    walls: "clip" or "reflect" at the box.  scale: work in the unit cube where the box is bounded.
    spread: None starts uniformly in the box; a number starts from N(x0, spread^2).
    rho, rho_growth: weight of the constraints and its growth, see `Penalty`.  tol: done when the
      mean distance from the consensus
      is below this and there are no restarts.

    Raises ArgumentError, NotFinite.  Source: algorithm A, B and E of the paper and its code;
    schedules as in the `cbx` package.
    """

    @property
    def name(self) -> str:  # type: ignore[override]
        """ "cbo", or "cbo-memory"."""
        return "cbo-memory" if self.memory else "cbo"

    n_particles: int = 15
    dt: float = 0.75
    lam: float = 1.0
    sigma: float = 1.6
    noise: Literal["anisotropic", "isotropic"] = "anisotropic"
    noise_after_drift: bool = False
    alpha: float = 1.0
    alpha_schedule: str | None = "ess:0.2"
    memory: bool = False
    lam2: float = 0.0
    sigma2: float | None = None
    beta: float | None = None
    kappa: float | None = None
    gamma: float = 0.0
    lr: float = 0.01
    h: float = 1e-3
    batch: int | None = None
    partial: bool = False
    cooling: bool = False
    reduce: bool = False
    restart: float | None = 1e-4
    patience: int = 3
    grow: float = 2.0
    walls: Literal["clip", "reflect"] = "clip"
    scale: bool = True
    spread: float | None = None
    rho: float = 1.0
    rho_growth: float = 1.2
    tol: float = 1e-12

    def __post_init__(self) -> None:
        if (
            isinstance(self.n_particles, bool)
            or not isinstance(self.n_particles, (int, np.integer))
            or self.n_particles < 2
        ):
            raise ArgumentError(
                f"n_particles={self.n_particles!r}: expected a whole number >= 2, one particle "
                "never moves"
            )
        for name in (
            "dt",
            "lam",
            "sigma",
            "alpha",
            "lam2",
            "gamma",
            "lr",
            "h",
            "rho",
            "rho_growth",
            "grow",
            "tol",
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
                raise NotFinite(f"{name}={value!r}: expected a finite number")
            if value < 0 or (value == 0 and name in ("dt", "h", "rho_growth")):
                raise ArgumentError(
                    f"{name}={value:g}: expected a number "
                    f"{'> 0' if name in ('dt', 'h', 'rho_growth') else '>= 0'}"
                )
        if self.dt * self.lam > 2:
            raise ArgumentError(
                f"dt * lam = {self.dt * self.lam:g}: expected at most 2, above it the particles "
                "move away from the consensus"
            )
        if self.grow < 1 or self.patience < 1:
            raise ArgumentError(
                f"grow={self.grow!r}, patience={self.patience!r}: expected numbers >= 1"
            )
        if self.noise not in ("anisotropic", "isotropic"):
            raise ArgumentError(f"noise={self.noise!r}: expected 'anisotropic' or 'isotropic'")
        if self.walls not in ("clip", "reflect"):
            raise ArgumentError(f"walls={self.walls!r}: expected 'clip' or 'reflect'")
        if self.batch is not None and not 2 <= self.batch <= self.n_particles:
            raise ArgumentError(
                f"batch={self.batch!r}: expected None or a whole number from 2 to "
                f"n_particles={self.n_particles}"
            )
        if self.spread is not None and not (self.spread > 0 and math.isfinite(self.spread)):
            raise ArgumentError(f"spread={self.spread!r}: expected None or a positive number")
        read_schedule(self.alpha_schedule)

    @classmethod
    def paper(cls, **settings: Any) -> CBO:
        """The published settings: N 100, dt 0.01, lambda 1, sigma sqrt(1.6), alpha 1000 constant,
        in the problem's own coordinates.
        """
        published: dict[str, Any] = {
            "n_particles": 100,
            "dt": 0.01,
            "sigma": math.sqrt(1.6),
            "alpha": 1e3,
            "alpha_schedule": None,
            "lam2": 0.4,
            "grow": 1.0,
            "restart": None,
            "scale": False,
        }
        return cls(**published | settings)

    @property
    def starts(self) -> int:
        """Number of starting points: one for each particle."""
        return self.n_particles

    # -- native ------------------------------------------------------------------------------------

    def start(
        self, bounds: Any = None, x0: Any = None, seed: int | np.random.Generator = 0
    ) -> Swarm:
        """An ask-and-tell object for (N, d) batches: X = swarm.ask(); swarm.tell(X, f(X)). See
        `Swarm`.
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
        _deal(self, cloud)
        return cloud

    def advance(
        self, cloud: Cloud, f: Float[np.ndarray, " n"], g: Float[np.ndarray, "n m"], walls: Walls
    ) -> None:
        """Take the objectives (n,) and signed constraints (n, m) of `cloud.points`, move, and lay
        out the next points.
        """
        rows = slice(None) if self.batch is None else cloud.turn
        if cloud.phase == "gradients":
            _descend(self, cloud, cloud.penalty.energy(f, g), walls)
            _next_turn(self, cloud)
            return
        if cloud.phase == "memories":
            cloud.y[rows], cloud.y_f[rows], cloud.y_g[rows] = cloud.points, f, g
        else:
            _take(cloud, rows, f, g)
            cloud.penalty.learn(f, g, self.rho_growth)
            if self.memory and _remember(self, cloud, rows, walls):
                return
        _move(self, cloud, rows, walls)
        if self.gamma and self.lr:
            cloud.points, cloud.phase = (
                differences(cloud.x[_movers(self, cloud)], self.h, walls),
                "gradients",
            )
            return
        _next_turn(self, cloud)

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
                walls_of(problem, scaled, self.walls == "reflect"),
            )
            generation.renew(points_of(problem, cloud.points, scaled))

    def least(self, problem: BlackBox) -> int:
        """Evaluations below which a run warns: with fewer no particle has moved."""
        return self.n_particles + 1

    def done(self, problem: BlackBox, state: Running) -> str | None:
        """Done when the particles have contracted to a point and there are no restarts."""
        cloud = state.cloud
        if self.restart is None and cloud.k % 16 == 1 and (spread := spread_of(cloud)) < self.tol:
            return f"the particles have contracted to one point (mean distance {spread:.2g})"
        return None

    def _spares(self, problem: BlackBox, state: Running, n: int) -> Float[np.ndarray, "n d"]:
        cloud, rng, scaled = state.cloud, state.spare, self.scale and problem.space.bounded
        old = cloud.x[rng.integers(len(cloud.x), size=n)]
        x = old + jump(
            old - cloud.m,
            rng.standard_normal(old.shape),
            self.lam * self.dt,
            cloud.sigma * math.sqrt(self.dt),
            self.noise == "isotropic",
        )
        walls_of(problem, scaled, self.walls == "reflect").confine(x, old)
        return points_of(problem, x, scaled)


def spread_of(cloud: Cloud) -> float:
    """Mean distance of the particles from the consensus point."""
    return float(np.linalg.norm(cloud.x - cloud.m, axis=1).mean())


# -- one step --------------------------------------------------------------------------------------


def _movers(settings: CBO, cloud: Cloud) -> Any:
    """The particles that move, as an index: all of them, or in partial mode the batch."""
    return cloud.turn if settings.partial and settings.batch is not None else slice(None)


def _take(cloud: Cloud, rows: Any, f: np.ndarray, g: np.ndarray) -> None:
    if g.shape[1] != cloud.g.shape[1]:
        cloud.g, cloud.y_g = (np.full((len(cloud.x), g.shape[1]), np.nan) for _ in range(2))
    cloud.f[rows], cloud.g[rows] = f, g


def _remember(settings: CBO, cloud: Cloud, rows: Any, walls: Walls) -> bool:
    """Algorithm B, the historical bests. True when the new y must be evaluated first (soft
    memory)."""
    x, f, g = cloud.x[rows], cloud.f[rows], cloud.g[rows]
    new = cloud.penalty.energy(f, g)
    old = cloud.penalty.energy(
        cloud.y_f[rows], cloud.y_g[rows]
    )  # +inf where nothing is remembered yet
    if settings.beta is None or not np.isfinite(old).any():
        better = np.arange(len(cloud.x))[rows][new < old]
        cloud.y[better], cloud.y_f[better], cloud.y_g[better] = (
            cloud.x[better],
            cloud.f[better],
            cloud.g[better],
        )
        return False
    gap = np.where(np.isinf(new), -np.inf, old - np.where(np.isinf(new), 0.0, new))
    follow = 0.5 * (1 + np.tanh(np.clip(settings.beta * gap, -50, 50)))
    rate = 1.0 if settings.kappa is None else settings.kappa * settings.dt
    cloud.points = cloud.y[rows] + rate * follow[:, None] * (x - cloud.y[rows])
    walls.confine(cloud.points, cloud.y[rows])
    cloud.phase = "memories"
    return True


def _move(settings: CBO, cloud: Cloud, rows: Any, walls: Walls) -> None:
    """Algorithm A, steps 1 and 2 (B with memory): the consensus of the particles whose turn it is,
    then everybody's jump.
    """
    sites, energy = (
        (cloud.y[rows], cloud.penalty.energy(cloud.y_f[rows], cloud.y_g[rows]))
        if settings.memory
        else (cloud.x[rows], cloud.penalty.energy(cloud.f[rows], cloud.g[rows]))
    )
    movers = _movers(settings, cloud)
    x = cloud.x[movers]  # a view, except in partial mode
    n = len(x)
    noise, work = cloud.noise[:n], cloud.work[:n]
    old = x.copy() if settings.memory or walls.allowed is not None else x
    cloud.rng.standard_normal(out=noise)
    cloud.k += 1
    pull, push, isotropic = (
        settings.lam * settings.dt,
        cloud.sigma * math.sqrt(settings.dt),
        settings.noise == "isotropic",
    )
    least = energy.min()
    if not math.isfinite(least):  # nothing is known: look elsewhere
        x += noise * cloud.x.std(axis=0)
    else:
        alpha, cloud.alpha = scheduled(read_schedule(settings.alpha_schedule), cloud.alpha, energy)
        m = consensus(sites, energy, alpha)
        before, cloud.m = cloud.m, m
        drift_and_diffuse(
            x,
            m,
            noise,
            work,
            pull=pull,
            push=push,
            isotropic=isotropic,
            noise_after_drift=settings.noise_after_drift,
        )
        if settings.memory and settings.lam2:
            cloud.rng.standard_normal(out=noise)
            sigma2 = settings.lam2 * cloud.sigma if settings.sigma2 is None else settings.sigma2
            np.subtract(old, cloud.y[movers], out=work)
            x += jump(
                work, noise, settings.lam2 * settings.dt, sigma2 * math.sqrt(settings.dt), isotropic
            )
        if settings.restart is not None:
            still = (
                np.abs(m - before).max() < settings.restart or energy.max() == least
            )  # equal: a plateau, or one rounded point
            cloud.stalled = cloud.stalled + 1 if still else 0
            if cloud.stalled >= settings.patience:
                _restart(settings, cloud, push, walls)
                return
    walls.confine(x, old)
    if movers is cloud.turn:
        cloud.x[movers] = x


def _restart(settings: CBO, cloud: Cloud, push: float, walls: Walls) -> None:
    """Algorithm E's shaking of a stalled swarm; with grow > 1 also more particles, without
    memories.
    """
    cloud.stalled = 0
    n = len(cloud.x)
    more = min(math.ceil(settings.grow * n), max(n, MOST)) - n
    old = cloud.x
    if more > 0:
        old = np.concatenate([cloud.x, cloud.x[np.arange(more) % n]])
        blank = np.full(more, np.nan), np.full((more, cloud.g.shape[1]), np.nan)
        cloud.f, cloud.g = np.concatenate([cloud.f, blank[0]]), np.concatenate([cloud.g, blank[1]])
        cloud.y, cloud.y_f, cloud.y_g = (
            old.copy(),
            np.full(n + more, np.nan),
            np.full_like(cloud.g, np.nan),
        )
        cloud.noise, cloud.work = np.empty_like(old), np.empty_like(old)
        cloud.turn = np.arange(n + more) if settings.batch is None else cloud.turn
        cloud.penalty.rho = float(settings.rho)
        cloud.alpha = float(settings.alpha)
    x = old + push * cloud.rng.standard_normal(old.shape)
    if (
        walls.low is not None and walls.high is not None
    ):  # clipping such long jumps would pile the particles up at the walls
        fold(x, walls.low, walls.high)
    walls.confine(x, old)
    cloud.x = x


def _descend(settings: CBO, cloud: Cloud, energy: np.ndarray, walls: Walls) -> None:
    """Algorithm A, step 3: the gradient drift, from the energies of the difference points."""
    movers = _movers(settings, cloud)
    x = cloud.x[movers]
    moved = x - settings.gamma * settings.lr * settings.dt * gradient(
        cloud.points, energy, x.shape[1]
    )
    walls.confine(moved, x)
    cloud.x[movers] = moved


def _next_turn(settings: CBO, cloud: Cloud) -> None:
    """Lay out the positions to evaluate; at the end of an epoch, algorithm E's cooling and
    reduction.
    """
    cloud.phase = "positions"
    if settings.batch is not None and len(cloud.queue):
        cloud.turn, cloud.queue = cloud.queue[: settings.batch], cloud.queue[settings.batch :]
        cloud.points = cloud.x[cloud.turn]
        return
    if settings.cooling:
        e = cloud.epoch
        cloud.sigma *= math.log2(e + 1) / math.log2(e + 2)
        cloud.alpha = min(2 * cloud.alpha, max(HIGHEST, cloud.alpha))
    cloud.epoch += 1
    if settings.reduce:
        _reduce(settings, cloud)
    _deal(settings, cloud)


def _deal(settings: CBO, cloud: Cloud) -> None:
    """Shuffle the particles into batches for one epoch."""
    if settings.batch is None:
        cloud.points = cloud.x
        return
    order = cloud.rng.permutation(len(cloud.x))
    cloud.turn, cloud.queue = order[: settings.batch], order[settings.batch :]
    if len(cloud.queue) == 1:  # a batch of one has no consensus but itself
        cloud.turn, cloud.queue = order, order[:0]
    cloud.points = cloud.x[cloud.turn]


def _reduce(settings: CBO, cloud: Cloud) -> None:
    """N <- ceil(N / b r) b with r = clip((0.2 V_after + 0.8 V_before) / V_before, 0.8, 1), V the
    variance at the epoch's ends.
    """
    unit, n = settings.batch or 1, len(cloud.x)
    after, before = float(cloud.x.var(axis=0).sum()), cloud.variance
    r = min(max((0.2 * after + 0.8 * before) / before, 0.8), 1.0) if before > 0 else 1.0
    keep = min(n, max(math.ceil(n / unit * r - 1e-9) * unit, settings.batch or min(10, n)))
    if keep < n:
        kept = cloud.rng.permutation(n)[:keep]
        for name in ("x", "f", "g", "y", "y_f", "y_g"):
            setattr(cloud, name, getattr(cloud, name)[kept])
        cloud.noise, cloud.work, cloud.turn = (
            cloud.noise[:keep].copy(),
            cloud.work[:keep].copy(),
            np.arange(keep),
        )
    cloud.variance = float(cloud.x.var(axis=0).sum())


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


# -- native ----------------------------------------------------------------------------------------


def cbo_minimize(
    f: Callable[[Any], Any],
    x0: Any = None,
    bounds: Any = None,
    method: str | CBO | Hopping = "cbo",
    n_particles: int | None = None,
    sigma: float | None = None,
    noise: Literal["anisotropic", "isotropic"] = "anisotropic",
    alpha: float | None = None,
    alpha_schedule: str | None = None,
    max_evals: int = 20000,
    vectorized: bool = True,
    seed: int | np.random.Generator = 0,
    callback: Callable[[OptimizeResult], Any] | None = None,
) -> OptimizeResult:
    """Minimise f over a box by consensus, with the published settings unless told otherwise.

    f: (N, d) -> (N,), or with vectorized=False (d,) -> float. NaN counts as +inf.
    x0: (N, d) particles, or (d,) a point about which they start, N(x0, 1). Absent: uniform in the
      bounds.
    bounds: [(low, high), ...] or scipy.optimize.Bounds; every evaluated point lies inside.
    method: "cbo", "cbo-memory", "hopping", or a CBO or Hopping object with settings of its own
      (then those given here must be absent).
    n_particles: 100 (hopping 200).  sigma: sqrt(1.6); for hopping the sampling radius, 0.7.  alpha:
      1000 (hopping 100).
    callback(result) after every step, with the result so far; it ends the run by returning True or
    raising StopIteration.

    Returns scipy's OptimizeResult: x and fun (the best point evaluated), consensus (d,),
    consensus_path (steps + 1, d), nfev, nit,
    status (0 contracted to a point, 1 max_evals used up, 2 stopped by the callback), message,
    success (True for 0).

    Raises ArgumentError, BoundsError, NotFinite, ShapeError; EvaluationFailed where every energy of
    a step is NaN or infinite.

    >>> import numpy as np
    >>> result = cbo_minimize(lambda X: ((X - 0.5) ** 2).sum(axis=1), bounds=[(-3, 3)] * 2, seed=1)
    >>> np.round(result.x, 2)
    array([0.5, 0.5])
    """
    if isinstance(method, (CBO, Hopping)):
        given = {
            "n_particles": n_particles,
            "sigma": sigma,
            "alpha": alpha,
            "alpha_schedule": alpha_schedule,
        }
        twice = [name for name, value in given.items() if value is not None]
        if twice:
            raise ArgumentError(
                f"{twice[0]}={given[twice[0]]!r}: method is a {type(method).__name__} object, set "
                "it there"
            )
        settings: CBO | Hopping = method
    elif method in ("cbo", "cbo-memory"):
        base = CBO.paper(memory=method == "cbo-memory", noise=noise, alpha_schedule=alpha_schedule)
        settings = replace(
            base,
            n_particles=_or(n_particles, base.n_particles),
            sigma=_or(sigma, base.sigma),
            alpha=_or(alpha, base.alpha),
        )
    elif method == "hopping":
        hops = Hopping()
        settings = replace(
            hops,
            n_particles=_or(n_particles, hops.n_particles),
            s=_or(sigma, hops.s),
            alpha=_or(alpha, hops.alpha),
            scale=False,
        )
    else:
        raise ArgumentError(
            f"method={method!r}: expected 'cbo', 'cbo-memory', 'hopping', or a CBO or Hopping "
            "object"
        )
    return minimize_with(settings, f, x0, bounds, max_evals, vectorized, seed, callback)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


__all__ = ["CBO", "Hopping", "Swarm", "cbo_minimize", "smoothed_gradient"]

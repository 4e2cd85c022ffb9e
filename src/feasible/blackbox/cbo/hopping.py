"""Consensus hopping (CH): sample about one centre, hop to the consensus of the samples. The bridge
from consensus to gradient descent.

    X_j = x_{k-1} + s xi_j,  j = 1..N;     x_k = m_alpha({X_j})

With tau = alpha s^2, m - x = -tau grad F(x) exactly (infinitely many samples), where F(x) =
-(1/alpha) log E_z exp(-alpha E(x + s z)) is E smoothed at the scale s. So hopping is gradient
descent on F, without gradients; as s -> 0 the implicit gradient step.

References:
    K. Riedl, T. Klock, C. Geldhauser, M. Fornasier: Gradient is All You Need? (2023, arXiv
    2306.09778), algorithms C and D.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from ...core.annotations import checked
from ...core.checks import fraction, generator, one_of, real, whole
from ...core.errors import ArgumentError, EvaluationFailed, NotFinite, ShapeError
from ...core.ledger import Observations
from ..asktell import AskTell, Proposals
from ..problem import BlackBox
from .consensus import Kind, Walls, consensus, finite_energy, read_schedule, scheduled
from .generation import Generation, Running, coordinates_of, points_of, start_of, walls_of
from .penalty import Penalty

if TYPE_CHECKING:
    from jaxtyping import Float

    from .swarm import Swarm


@checked
def hop(
    energy: Callable[[Any], Any],
    x: Float[np.ndarray, " d"],
    s: float,
    alpha: float,
    n: int = 1000,
    *,
    rule: Literal["monte-carlo", "gauss-hermite"] = "monte-carlo",
    seed: int | np.random.Generator = 0,
) -> Float[np.ndarray, " d"]:
    """One hop from x: the consensus point of x + s z, z ~ N(0, I) (algorithm C).

    Args:
        energy: (k, d) -> (k,).
        x: (d,) the centre.
        s: Sampling radius.
        alpha: Inverse temperature, in units of 1 / E.
        n: Samples, or points of a rule.
        rule: n random samples, or a product of n-point Gauss-Hermite rules (n^d evaluations, exact
            for smooth E).
        seed: Of the samples.

    Returns:
        (d,) the next centre.

    Raises:
        ArgumentError: s, n or the rule makes no sense.
        NotFinite: alpha is NaN or infinite.
        ShapeError: The energies have a wrong shape.
        EvaluationFailed: No energy is finite.
    """
    x = np.atleast_1d(np.asarray(x, dtype=float))
    if x.ndim != 1:
        raise ShapeError(f"x has shape {x.shape}, expected (d,)")
    if not (math.isfinite(s) and s > 0):
        raise ArgumentError(f"s={s!r}: expected a positive number")
    if not (math.isfinite(alpha) and alpha >= 0):
        raise NotFinite(f"alpha={alpha!r}: expected a finite number >= 0")
    if n < 2:
        raise ArgumentError(f"n={n!r}: expected at least 2 samples")
    if rule == "gauss-hermite":
        if n ** len(x) > 10_000_000:
            raise ArgumentError(
                f"n={n}: {n}^{len(x)} evaluations, expected at most 1e7; use rule='monte-carlo'"
            )
        nodes, weights = np.polynomial.hermite_e.hermegauss(n)
        z = np.stack(np.meshgrid(*[nodes] * len(x), indexing="ij"), axis=-1).reshape(-1, len(x))
        log_weight = np.log(
            np.stack(np.meshgrid(*[weights] * len(x), indexing="ij"), axis=-1).reshape(-1, len(x))
        ).sum(axis=1)
    elif rule == "monte-carlo":
        z, log_weight = generator("seed", seed).standard_normal((n, len(x))), np.zeros(n)
    else:
        raise ArgumentError(f"rule={rule!r}: expected 'monte-carlo' or 'gauss-hermite'")
    points = x + s * z
    values = np.asarray(energy(points), dtype=float)
    if values.shape != (len(points),):
        raise ShapeError(
            f"energy returned shape {values.shape}, expected ({len(points)},): one value for each "
            "point"
        )
    values = finite_energy(values)
    if math.isinf(values.min()):
        raise EvaluationFailed(
            f"energy returned no finite value for any of {len(points)} points, expected at least "
            "one"
        )
    with np.errstate(invalid="ignore"):
        shifted = np.where(np.isinf(values), np.inf, alpha * (values - values.min())) - log_weight
    return x + s * consensus(z, shifted, 1.0)


@checked
def smoothed_gradient(
    energy: Callable[[Any], Any],
    x: Float[np.ndarray, " d"],
    s: float,
    alpha: float,
    n: int = 1000,
    *,
    rule: Literal["monte-carlo", "gauss-hermite"] = "monte-carlo",
    seed: int | np.random.Generator = 0,
) -> Float[np.ndarray, " d"]:
    """A gradient from values alone: (x - m) / (alpha s^2), the gradient of -(1/alpha) log E_z
    exp(-alpha E(x + s z)), by Tweedie's formula (D).

    Arguments and errors as of `hop`; alpha > 0.

    Examples:
        >>> bowl = lambda X: (X**2).sum(axis=1)
        >>> exact = {"n": 8, "rule": "gauss-hermite"}
        >>> smoothed_gradient(bowl, [1.0, -2.0], s=0.001, alpha=1.0, **exact).round(3)
        array([ 2., -4.])
    """
    if alpha == 0:
        raise ArgumentError(
            "alpha=0: expected a positive number, without it the samples have equal weights"
        )
    x = np.atleast_1d(np.asarray(x, dtype=float))
    return (x - hop(energy, x, s, alpha, n, rule=rule, seed=seed)) / (alpha * s * s)


@dataclass(slots=True)
class Hopper:
    """The moving part.

    Attributes:
        rng: Of the samples.
        m: (d,) the centre.
        points: (N, d) the samples about it.
        s: The sampling radius now.
        alpha: The inverse temperature now.
        penalty: Weights of the constraints.
        k: Hops made.
        phase: What `points` are; always "positions".
    """

    rng: np.random.Generator
    m: Float[np.ndarray, " d"]
    points: Float[np.ndarray, "N d"]
    s: float
    alpha: float
    penalty: Penalty
    k: int = 0
    phase: str = "positions"


@dataclass(frozen=True)
class Hopping(AskTell):
    """Consensus hopping, from problem.x0, else the middle of the box. The defaults are those of the
    paper's numerical example, which cools by 0.98 every 100 hops.

    Attributes:
        n_particles: Samples for each hop.
        s: Sampling radius, in the problem's units (of the unit cube where scale=True).
        alpha: Inverse temperature, in units of 1 / E.
        alpha_schedule: As in `CBOSettings`.
        cooling: s is multiplied by this every `cool_every` hops; 1: never.
        cool_every: Hops.
        walls: As in `CBOSettings`.
        scale: Work in the unit cube where the box is bounded; False as in the paper.
        rho: Weight of the constraints, see `Penalty`.
        rho_growth: Its growth.
        tol: Done when s falls below it.

    Raises:
        ArgumentError: A setting makes no sense.
        NotFinite: A number is NaN or infinite.

    References:
        arXiv 2306.09778, algorithm C.
    """

    name: ClassVar[str] = "cbo-hopping"
    starts: ClassVar[int] = 1
    spread: ClassVar[float | None] = None

    n_particles: int = 200
    s: float = 0.7
    alpha: float = 100.0
    alpha_schedule: str | None = None
    cooling: float = 1.0
    cool_every: int = 100
    walls: Kind = "clip"
    scale: bool = False
    rho: float = 1.0
    rho_growth: float = 1.2
    tol: float = 1e-12

    def __post_init__(self) -> None:
        whole("n_particles", self.n_particles, least=2)
        real("s", self.s, above=0)
        real("alpha", self.alpha, least=0)
        fraction("cooling", self.cooling, zero=False)
        whole("cool_every", self.cool_every, least=1)
        real("rho_growth", self.rho_growth, above=0)
        for name in ("rho", "tol"):
            real(name, getattr(self, name), least=0)
        one_of("walls", self.walls, get_args(Kind))
        read_schedule(self.alpha_schedule)

    def start(
        self, bounds: Any = None, x0: Any = None, seed: int | np.random.Generator = 0
    ) -> Swarm:
        """An ask-and-tell object for (N, d) batches; see `Swarm`."""
        from .swarm import Swarm

        return Swarm(self, bounds, x0, seed)

    def begin(self, x: Float[np.ndarray, "1 d"], rng: np.random.Generator, walls: Walls) -> Hopper:
        """The state that samples about x[0]."""
        hopper = Hopper(
            rng,
            np.array(x[0], dtype=float),
            np.empty((self.n_particles, x.shape[1])),
            float(self.s),
            float(self.alpha),
            Penalty(float(self.rho)),
        )
        _sample(hopper, walls)
        return hopper

    def advance(
        self, cloud: Hopper, f: Float[np.ndarray, " N"], g: Float[np.ndarray, "N m"], walls: Walls
    ) -> None:
        """Take the values of the samples, hop, cool, sample again (algorithm C)."""
        cloud.penalty.learn(f, g, self.rho_growth)
        energy = cloud.penalty.energy(f, g)
        if math.isfinite(energy.min()):
            alpha, cloud.alpha = scheduled(read_schedule(self.alpha_schedule), cloud.alpha, energy)
            m = consensus(cloud.points, energy, alpha)[None]
            walls.confine(m, cloud.m)
            cloud.m = m[0]
        cloud.k += 1
        if cloud.k % self.cool_every == 0:
            cloud.s *= self.cooling
        _sample(cloud, walls)

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Running:
        """The first samples; nothing is spent."""
        scaled = self.scale and problem.space.bounded
        walls, spare = (
            walls_of(problem, scaled, self.walls),
            np.random.default_rng(rng.integers(2**63)),
        )
        center = coordinates_of(problem, start_of(problem, rng)[None], scaled)
        running = Running(
            self.begin(center, rng, walls), Generation(np.empty((0, problem.space.d))), spare
        )
        running.generation.renew(points_of(problem, running.cloud.points, scaled))
        return running

    def ask(self, problem: BlackBox, state: Running, n: int | None = None) -> Proposals:
        """The next n samples (all of them where n is None), then further samples about the same
        centre.
        """

        def further(k: int) -> np.ndarray:
            scaled = self.scale and problem.space.bounded
            x = state.cloud.m + state.cloud.s * state.spare.standard_normal((k, problem.space.d))
            walls_of(problem, scaled, self.walls).confine(x, state.cloud.m)
            return points_of(problem, x, scaled)

        return state.generation.hand_out(n, further)

    def tell(self, problem: BlackBox, state: Running, seen: Observations) -> None:
        """Take outcomes; when all samples of the generation have come back, hop. Points of others
        are not used.
        """
        generation = state.generation
        if generation.take_in(seen):
            scaled = self.scale and problem.space.bounded
            generation.forget_guests()
            self.advance(
                state.cloud,
                generation.objective,
                generation.constraints,
                walls_of(problem, scaled, self.walls),
            )
            generation.renew(points_of(problem, state.cloud.points, scaled))

    def least(self, problem: BlackBox) -> int:
        """Evaluations below which a run warns: with fewer no hop was made."""
        return self.n_particles + 1

    def done(self, problem: BlackBox, state: Running) -> str | None:
        """Done when cooling has shrunk the sampling radius below tol."""
        return (
            f"the sampling radius fell to {state.cloud.s:.2g}" if state.cloud.s < self.tol else None
        )


def _sample(cloud: Hopper, walls: Walls) -> None:
    """Draw the samples about the centre."""
    cloud.rng.standard_normal(out=cloud.points)
    cloud.points *= cloud.s
    cloud.points += cloud.m
    walls.confine(cloud.points, cloud.m)

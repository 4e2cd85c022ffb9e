"""SciPy's solvers as methods: differential evolution, COBYQA, SLSQP and trust-constr, with SciPy's
own constraint handling.

Each step is one whole solver run. A run that converges before the budget is used up is followed by
one from another random start, since the rest of the budget must still be used. The objective and
the constraints come from one evaluation; limits are handed over as they are meant (one- or
two-sided, or equalities). Local solvers work in the unit cube of the box, without which COBYQA's
first trust region and the absolute step of SLSQP's differences would mean nothing. Forbidden and
failed points are given the worst values seen.

References:
    scipy.optimize; R. Storn, K. Price (1997); T. M. Ragonneau, Z. Zhang, COBYQA (2024); D. Kraft,
    SLSQP (1988); R. H. Byrd, M. E. Hribar, J. Nocedal (1999) for trust-constr.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import optimize

from ...core.errors import StopRun
from ...core.ledger import FAILED
from ...core.problem import Method
from ...core.run import active_run
from ..problem import BlackBox
from ..sampling import draw, first_start
from .frame import Frame

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class Restarting:
    """What one solver run leaves to the next. restarts: runs finished. broken: runs that the solver
    gave up with an error.
    """

    rng: np.random.Generator
    restarts: int = 0
    broken: int = 0


@dataclass(slots=True)
class Oracle:
    """f and the limited metrics of a point from one evaluation; the last few points are remembered.

    infinite: a failed point has an infinite objective. scale_limits: choose units at the first
    point that was measured.
    """

    problem: BlackBox
    frame: Frame
    keep: int
    infinite: bool
    scale_limits: bool
    memory: dict[bytes, tuple[float, np.ndarray]] = field(default_factory=dict)
    worst: float = -math.inf
    excess: np.ndarray = field(default_factory=lambda: np.ones(0))
    measured: bool = False
    units: np.ndarray = field(default_factory=lambda: np.ones(0))
    stopped: StopRun | None = None

    def __call__(self, z: Float[np.ndarray, " k"]) -> tuple[float, Float[np.ndarray, " limits"]]:
        """Objective and scaled metrics at z."""
        z = np.ascontiguousarray(z, dtype=float)
        key = z.tobytes()
        found = self.memory.get(key)
        if found is None:
            while len(self.memory) >= self.keep:
                del self.memory[next(iter(self.memory))]
            try:
                found = self.memory[key] = self._values(self.frame.x(self.problem, z[None]))
            except StopRun as stop:
                self.stopped = stop
                raise
        return found

    def _values(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        seen = self.problem.evaluate(x)
        limits = self.problem.limits.limits
        f, c = float(seen.objective[0]), seen.values[0, 1 : 1 + len(limits)]
        known = seen.status[0] != FAILED and not np.isnan(c).any()
        if len(self.units) != len(limits) or not self.measured:
            self.units = np.array([q.scale for q in limits])
            if known and self.scale_limits:
                distance = np.array(
                    [
                        min(abs(v - q.low), abs(v - q.high))
                        for v, q in zip(c.tolist(), limits, strict=True)
                    ]
                )
                self.units *= np.fmax(distance / self.units, 1.0)
        low, high = self.sides()
        c = c / self.units
        over = np.fmax(np.fmax(c - high, low - c), 0.0)
        if len(self.excess) != len(low):
            self.excess = np.ones(len(low))
        if not known:
            # nothing is known: the worst objective and, for every limit, the worst violation seen
            beyond = np.where(np.isfinite(high), high + self.excess, low - self.excess)
            return (math.inf if self.infinite else self._bad()), np.where(
                np.isnan(c) | (seen.status[0] == FAILED), beyond, c
            )
        self.measured = True
        self.excess = np.fmax(self.excess, over)
        if math.isnan(f):
            return self._bad(), c
        self.worst = max(self.worst, f)
        return f, c

    def _bad(self) -> float:
        return self.worst if math.isfinite(self.worst) else 0.0

    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper sides of the limits, in the units handed to the solver."""
        limits = self.problem.limits.limits
        return np.array([q.low for q in limits]) / self.units, np.array(
            [q.high for q in limits]
        ) / self.units

    def objective(self, z: np.ndarray) -> float:
        """The objective alone."""
        return self(z)[0]

    def constraints(self) -> tuple[optimize.NonlinearConstraint, ...]:
        """The limits as SciPy takes them."""
        low, high = self.sides()
        return (optimize.NonlinearConstraint(lambda z: self(z)[1], low, high),) if len(low) else ()


@dataclass(frozen=True)
class Foreign(Method):
    """A solver that owns its loop, restarted until the budget is used up."""

    solves: ClassVar[type[BlackBox]] = BlackBox
    global_search: ClassVar[bool] = False
    scale_limits: ClassVar[bool] = False

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Restarting:
        """Keep the random stream of the starts."""
        return Restarting(rng)

    def step(self, problem: BlackBox, state: Restarting) -> Restarting:
        """One run of the solver, until it converges or the budget ends."""
        frame = Frame.of(problem, codes=self.global_search)
        oracle = Oracle(problem, frame, 256 + 64 * frame.k, self.global_search, self.scale_limits)
        z0 = self._start(problem, state, oracle)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"scipy|feasible\.blackbox\.peers")
            try:
                self.solver(problem, state, oracle, z0)
            except (ValueError, ArithmeticError):
                if oracle.stopped is None:
                    state.broken += 1
        if oracle.stopped is not None:
            raise oracle.stopped
        state.restarts += 1
        return state

    def _start(self, problem: BlackBox, state: Restarting, oracle: Oracle) -> np.ndarray:
        """A point where something could be measured: x0, then random ones. It shows how many
        components the constraints have.
        """
        x = first_start(problem) if state.restarts == 0 else None
        while True:
            z = oracle.frame.z(problem, draw(problem, state.rng) if x is None else x[None])[0]
            oracle(z)
            if oracle.measured:
                return z
            x = None

    def solver(self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray) -> None:
        """Run the foreign solver from z0."""
        raise TypeError(f"{type(self).__name__} does not define solver")

    def answer(self, problem: BlackBox, state: Any) -> Any:
        """The best observation of the active run."""
        run = active_run.get()
        return None if run is None else run.incumbent()


@dataclass(frozen=True)
class DifferentialEvolution(Foreign):
    """SciPy's differential evolution: a population of popsize times the number of variables,
    feasible points first.

    strategy, popsize, tol, mutation, recombination, init, updating, polish: as in
    scipy.optimize.differential_evolution. Whole numbers are passed as such (integrality). Needs
    finite bounds.
    """

    name: ClassVar[str] = "differential-evolution"
    global_search: ClassVar[bool] = True
    strategy: str = "best1bin"
    popsize: int = 15
    tol: float = 0.01
    mutation: tuple[float, float] = (0.5, 1.0)
    recombination: float = 0.7
    init_population: str = "latinhypercube"
    polish: bool = True

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Restarting:
        """Needs finite bounds."""
        problem.space.needs_bounds(self.name)
        return Restarting(rng)

    def solver(self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray) -> None:
        """One run of differential evolution."""
        frame = oracle.frame
        whole = np.zeros(frame.k, dtype=bool)
        whole[frame.whole(problem)] = True
        low, high = (
            np.where(whole, frame.low + 0.5, frame.low),
            np.where(whole, frame.high - 0.5, frame.high),
        )
        oracle.keep = 2 * self.popsize * frame.k + 64
        optimize.differential_evolution(
            oracle.objective,
            optimize.Bounds(low, high),
            strategy=self.strategy,
            popsize=self.popsize,
            tol=self.tol,
            mutation=self.mutation,
            recombination=self.recombination,
            rng=state.rng,
            polish=self.polish,
            init=self.init_population,
            constraints=oracle.constraints(),
            x0=z0,
            integrality=whole,
        )


@dataclass(frozen=True)
class COBYQA(Foreign):
    """SciPy's COBYQA: a trust region with quadratic models, without derivatives. Bounds are always
    respected.

    initial_tr_radius is in units of the box (where bounded); final_tr_radius, feasibility_tol: as
    in SciPy.
    """

    name: ClassVar[str] = "cobyqa"
    scale_limits: ClassVar[bool] = True
    initial_tr_radius: float = 1.0
    final_tr_radius: float = 1e-6
    feasibility_tol: float = 1e-8

    def solver(self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray) -> None:
        """One run of COBYQA."""
        frame = oracle.frame
        optimize.minimize(
            oracle.objective,
            z0,
            method="cobyqa",
            bounds=optimize.Bounds(frame.low, frame.high),
            constraints=oracle.constraints(),
            options={
                "initial_tr_radius": self.initial_tr_radius,
                "final_tr_radius": self.final_tr_radius,
                "feasibility_tol": self.feasibility_tol,
            },
        )


@dataclass(frozen=True)
class SLSQP(Foreign):
    """SciPy's SLSQP: sequential quadratic programming with forward differences. ftol, eps: as in
    SciPy.
    """

    name: ClassVar[str] = "slsqp"
    ftol: float = 1e-6
    eps: float = 1.4901161193847656e-08
    maxiter: int = 100

    def solver(self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray) -> None:
        """One run of SLSQP."""
        frame = oracle.frame
        optimize.minimize(
            oracle.objective,
            z0,
            method="SLSQP",
            bounds=optimize.Bounds(frame.low, frame.high, keep_feasible=True),
            constraints=oracle.constraints(),
            options={"ftol": self.ftol, "eps": self.eps, "maxiter": self.maxiter},
        )


@dataclass(frozen=True)
class TrustConstr(Foreign):
    """SciPy's trust-constr: a trust-region interior point with forward differences and BFGS. gtol,
    xtol: as in SciPy.
    """

    name: ClassVar[str] = "trust-constr"
    scale_limits: ClassVar[bool] = True
    gtol: float = 1e-8
    xtol: float = 1e-8
    maxiter: int = 1000

    def solver(self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray) -> None:
        """One run of trust-constr, from a point strictly inside the box."""
        frame = oracle.frame
        room = np.where(np.isfinite(frame.high - frame.low), 1e-6 * (frame.high - frame.low), 0.0)
        inside = np.clip(z0, frame.low + room, frame.high - room)
        optimize.minimize(
            oracle.objective,
            inside,
            method="trust-constr",
            bounds=optimize.Bounds(frame.low, frame.high, keep_feasible=True),
            constraints=oracle.constraints(),
            options={"gtol": self.gtol, "xtol": self.xtol, "maxiter": self.maxiter},
        )


__all__ = [
    "COBYQA",
    "SLSQP",
    "DifferentialEvolution",
    "Foreign",
    "Oracle",
    "Restarting",
    "TrustConstr",
]

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
    """What one solver run leaves to the next.

    Attributes:
        rng: Stream of the random starts.
        restarts: Runs finished.
        broken: Runs that the solver gave up with an error.
    """

    rng: np.random.Generator
    restarts: int = 0
    broken: int = 0


@dataclass(slots=True)
class Oracle:
    """The objective f and the limited metrics of a point, both from one evaluation.

    Attributes:
        problem: What is evaluated.
        frame: The coordinates z (k,) in which the solver works.
        keep: How many of the last points are remembered.
        infinite: Give a failed point an infinite objective, instead of the worst one seen.
        scale_limits: Choose the limits' units at the first point that was measured.
        memory: Objective and scaled metrics of the last points, by the bytes of z.
        worst: Largest objective seen.
        excess: (limits,) largest violation seen of each limit, at least 1, in `units`.
        measured: True once all limited metrics of a point are known.
        units: (limits,) what the metrics are divided by before the solver sees them.
        stopped: Why the run must stop; None while it goes on.
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
        """Evaluate a point, unless it is remembered.

        Args:
            z: (k,) coordinates in the frame.

        Returns:
            The objective, and the metrics (limits,) in `units`. What is unknown is replaced by the
            worst values seen.

        Raises:
            StopRun: The budget ends, or the run is stopped; kept in `stopped` too, since solvers
                may swallow it.
        """
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
        """Evaluate the point x (1, d)."""
        seen = self.problem.evaluate(x)
        limits = self.problem.limits.limits
        f, c = float(seen.objective[0]), seen.values[0, 1 : 1 + len(limits)]
        known = seen.status[0] != FAILED and not np.isnan(c).any()
        if len(self.units) != len(limits) or not self.measured:
            self.units = np.array([q.size for q in limits])
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
        """Return the worst objective seen, or 0 where there is none."""
        return self.worst if math.isfinite(self.worst) else 0.0

    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper sides of the limits, (limits,) each, in `units`."""
        limits = self.problem.limits.limits
        return np.array([q.low for q in limits]) / self.units, np.array(
            [q.high for q in limits]
        ) / self.units

    def objective(self, z: np.ndarray) -> float:
        """Return the objective alone at z (k,)."""
        return self(z)[0]

    def constraints(self) -> tuple[optimize.NonlinearConstraint, ...]:
        """Return the limits as SciPy takes them: one constraint on all metrics, or none."""
        low, high = self.sides()
        return (optimize.NonlinearConstraint(lambda z: self(z)[1], low, high),) if len(low) else ()


@dataclass(frozen=True)
class Foreign(Method):
    """Minimise f(x) under limits by a solver that owns its loop.

    It is restarted until the budget is used up.

    Attributes:
        solves: The kind of problem.
        global_search: True if the solver takes whole numbers in their own unit, and gives failed
            points an infinite objective.
        scale_limits: True if the limits are divided by their distance at the first point measured.
    """

    solves: ClassVar[type[BlackBox]] = BlackBox
    global_search: ClassVar[bool] = False
    scale_limits: ClassVar[bool] = False

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Restarting:
        """Return a state that keeps the random stream of the starts; nothing is evaluated."""
        return Restarting(rng)

    def step(self, problem: BlackBox, state: Restarting) -> Restarting:
        """Run the solver once, until it converges or the budget ends.

        Args:
            problem: The problem.
            state: Changed in place.

        Returns:
            The same state, with one more restart.

        Raises:
            StopRun: The budget ended, or the run was stopped, within the solver.
        """
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
        """Return a start (k,) where all limits could be measured: x0, else a random point."""
        x = first_start(problem) if state.restarts == 0 else None
        while True:
            z = oracle.frame.z(problem, draw(problem, state.rng) if x is None else x[None])[0]
            oracle(z)
            if oracle.measured:
                return z
            x = None

    def solver(self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray) -> None:
        """Run the foreign solver once.

        Args:
            problem: The problem.
            state: Its `rng` is the solver's source of randomness.
            oracle: What the solver evaluates.
            z0: (k,) the start, in the oracle's frame.

        Raises:
            TypeError: The class does not say which solver it is.
        """
        raise TypeError(f"{type(self).__name__} does not define solver")

    def answer(self, problem: BlackBox, state: Any) -> Any:
        """Return the best observation of the active run, or None outside a run."""
        run = active_run.get()
        return None if run is None else run.incumbent()


@dataclass(frozen=True)
class DifferentialEvolution(Foreign):
    """SciPy's differential evolution, in which feasible points come first.

    Whole numbers are passed as such (SciPy's `integrality`). Bounds must be finite. The settings
    are those of `scipy.optimize.differential_evolution`, with its defaults.

    Attributes:
        strategy: How a trial is made of the population.
        popsize: Individuals for each variable.
        tol: Relative spread of the population's energies at which a run has converged.
        mutation: Range from which the differential weight is drawn for each generation.
        recombination: Probability of crossover.
        init_population: SciPy's `init`, how the first population is drawn.
        polish: Improve the best point by a local solver at the end.

    References:
        R. Storn, K. Price, Differential evolution, J. Global Optimization 11 (1997).
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
        """Return a state that keeps the random stream; nothing is evaluated.

        Raises:
            BoundsError: A bound is infinite.
        """
        problem.space.needs_bounds(self.name)
        return Restarting(rng)

    def solver(self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray) -> None:
        """Run differential evolution once; see `Foreign.solver`."""
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
    """SciPy's COBYQA: a trust region with quadratic models, without derivatives.

    Bounds are always respected.

    Attributes:
        initial_tr_radius: First radius of the trust region, in units of the box (where bounded).
        final_tr_radius: Radius at which a run has converged, in the same unit.
        feasibility_tol: Largest violation that SciPy takes as feasible, in units of the limits.

    References:
        T. M. Ragonneau, Z. Zhang, COBYQA (2024).
    """

    name: ClassVar[str] = "cobyqa"
    scale_limits: ClassVar[bool] = True
    initial_tr_radius: float = 1.0
    final_tr_radius: float = 1e-6
    feasibility_tol: float = 1e-8

    def solver(self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray) -> None:
        """Run COBYQA once; see `Foreign.solver`."""
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
    """SciPy's SLSQP: sequential quadratic programming with forward differences.

    Attributes:
        ftol: SciPy's tolerance on the objective, at which a run has converged.
        eps: Absolute step of the forward differences, in units of the box (where bounded).
        maxiter: Most iterations of a run.

    References:
        D. Kraft, SLSQP (1988).
    """

    name: ClassVar[str] = "slsqp"
    ftol: float = 1e-6
    eps: float = 1.4901161193847656e-08
    maxiter: int = 100

    def solver(self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray) -> None:
        """Run SLSQP once; see `Foreign.solver`."""
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
    """SciPy's trust-constr: a trust-region interior point with forward differences and BFGS.

    Attributes:
        gtol: Norm of the Lagrangian's gradient at which a run has converged.
        xtol: Radius of the trust region at which a run has converged, in units of the box (where
            bounded).
        maxiter: Most iterations of a run.

    References:
        R. H. Byrd, M. E. Hribar, J. Nocedal (1999).
    """

    name: ClassVar[str] = "trust-constr"
    scale_limits: ClassVar[bool] = True
    gtol: float = 1e-8
    xtol: float = 1e-8
    maxiter: int = 1000

    def solver(self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray) -> None:
        """Run trust-constr once, from a point strictly inside the box; see `Foreign.solver`."""
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

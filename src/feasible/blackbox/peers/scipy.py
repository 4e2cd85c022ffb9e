"""What SciPy's solvers as methods share (the local ones are in `scipy_local`), and differential
evolution, with SciPy's own defaults, scaling and constraint handling.

They evaluate the points that a direct call of SciPy would: variables and limits keep their own
units and bounds (log variables go by their natural logarithm, whole numbers are rounded), and local
solvers begin at x0, else in the middle of the box. Each step is one whole solver run. A run that
converges before the budget is used up is followed by one from a random start, since the rest of the
budget must still be used. The objective and the constraints come from one evaluation; limits are
handed over as they are meant (one- or two-sided, or equalities). Forbidden and failed points are
given the worst values seen.

References:
    scipy.optimize; R. Storn, K. Price (1997).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import optimize

from ...core.checks import fraction, real, whole
from ...core.errors import StopRun, WrongProblem
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


class StartLost(Exception):
    """Nothing is known of the point that a local solver was to begin at."""


@dataclass(slots=True)
class Oracle:
    """The objective f and the limited metrics of a point, both from one evaluation.

    Attributes:
        problem: What is evaluated.
        frame: The coordinates z (k,) in which the solver works.
        keep: How many of the last points are remembered.
        infinite: Give a failed point an infinite objective, instead of the worst one seen.
        start: (k,) where a local solver begins; None for a population.
        memory: Objective and limited metrics of the last points, by the bytes of z.
        worst: Largest objective seen.
        excess: (limits,) largest violation seen of each limit, at least the limit's size.
        measured: True once all limited metrics of a point are known.
        stopped: Why the run must stop; None while it goes on.
    """

    problem: BlackBox
    frame: Frame
    keep: int
    infinite: bool
    start: np.ndarray | None = None
    memory: dict[bytes, tuple[float, np.ndarray]] = field(default_factory=dict)
    worst: float = -math.inf
    excess: np.ndarray = field(default_factory=lambda: np.ones(0))
    measured: bool = False
    stopped: StopRun | None = None

    def __call__(self, z: Float[np.ndarray, " k"]) -> tuple[float, Float[np.ndarray, " limits"]]:
        """Evaluate a point, unless it is remembered.

        Args:
            z: (k,) coordinates in the frame.

        Returns:
            The objective, and the limited metrics (limits,). What is unknown is replaced by the
            worst values seen.

        Raises:
            StopRun: The budget ends, or the run is stopped; kept in `stopped` too, since solvers
                may swallow it.
            StartLost: Some limit could not be measured at the start: another one is needed.
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
            if not self.measured and self.start is not None and np.array_equal(z, self.start):
                raise StartLost
        return found

    def _values(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Evaluate the point x (1, d)."""
        seen = self.problem.evaluate(x)
        limits = self.problem.limits.limits
        f, c = float(seen.objective[0]), seen.values[0, 1 : 1 + len(limits)]
        known = seen.status[0] != FAILED and not np.isnan(c).any()
        low, high = self.sides()
        over = np.fmax(np.fmax(c - high, low - c), 0.0)
        if len(self.excess) != len(low):
            self.excess = np.array([q.size for q in limits])
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
        """Return the lower and upper sides of the limits, (limits,) each."""
        limits = self.problem.limits.limits
        return np.array([q.low for q in limits]), np.array([q.high for q in limits])

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
        global_search: True if the solver begins with a population, and gives failed points an
            infinite objective.
        takes_limits: False if SciPy's solver knows bounds only.
    """

    solves: ClassVar[type[BlackBox]] = BlackBox
    global_search: ClassVar[bool] = False
    takes_limits: ClassVar[bool] = True

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Restarting:
        """Return a state that keeps the random stream of the starts; nothing is evaluated.

        Raises:
            WrongProblem: The problem has limits, and the solver knows bounds only.
        """
        if problem.limits.limits and not self.takes_limits:
            raise WrongProblem(
                f"{self.name}: SciPy's solver knows bounds only, but '{problem.name}' has the "
                f"limits {', '.join(problem.limits.names)}; slsqp, cobyqa, cobyla and trust-constr "
                "take them"
            )
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
        frame = Frame.of(problem, whole_as="stated", own=True)
        z0 = self._start(problem, state, frame)
        oracle = Oracle(problem, frame, 256 + 64 * frame.k, self.global_search)
        if not self.global_search:
            oracle.start = z0
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"scipy|feasible\.blackbox\.peers")
            try:
                self.solver(problem, state, oracle, z0)
            except StartLost:
                pass
            except (ValueError, ArithmeticError):
                if oracle.stopped is None:
                    state.broken += 1
        if oracle.stopped is not None:
            raise oracle.stopped
        state.restarts += 1
        return state

    def _start(self, problem: BlackBox, state: Restarting, frame: Frame) -> np.ndarray | None:
        """Return where to begin, (k,): at x0, else in the middle of the box if it is allowed, and
        from the second run on at a random point; for a population x0 or None.
        """
        x = first_start(problem) if state.restarts == 0 else None
        if x is None and self.global_search:
            return None
        if x is None and state.restarts == 0:
            middle = frame.x(problem, frame.middle[None])
            if problem.allowed(middle)[0]:
                return frame.middle
        return frame.z(problem, draw(problem, state.rng) if x is None else x[None])[0]

    def solver(
        self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray | None
    ) -> None:
        """Run the foreign solver once.

        Args:
            problem: The problem.
            state: Its `rng` is the solver's source of randomness.
            oracle: What the solver evaluates.
            z0: (k,) the start, in the oracle's frame; None for a solver's own.

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

    def __post_init__(self) -> None:
        whole("popsize", self.popsize, least=1)
        real("tol", self.tol, least=0)
        for i, factor in enumerate(self.mutation):
            real(f"mutation[{i}]", factor, least=0, below=2)
        fraction("recombination", self.recombination)

    def init(self, problem: BlackBox, rng: np.random.Generator) -> Restarting:
        """Return a state that keeps the random stream; nothing is evaluated.

        Raises:
            BoundsError: A bound is infinite.
        """
        problem.space.needs_bounds(self.name)
        return Restarting(rng)

    def solver(
        self, problem: BlackBox, state: Restarting, oracle: Oracle, z0: np.ndarray | None
    ) -> None:
        """Run differential evolution once; see `Foreign.solver`."""
        frame = oracle.frame
        whole = np.zeros(frame.k, dtype=bool)
        whole[frame.whole(problem)] = True
        oracle.keep = 2 * self.popsize * frame.k + 64
        optimize.differential_evolution(
            oracle.objective,
            optimize.Bounds(frame.low, frame.high),
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


__all__ = ["DifferentialEvolution", "Foreign", "Oracle", "Restarting"]

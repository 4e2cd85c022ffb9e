"""NLP: solvers of nonlinear programs one after the other, until one's answer is checked.

No solver solves all programs, and one that has failed often says that it has not. So a step is one
solver from beginning to end, by the order of `order`; its last point is checked by the Karush-Kuhn-
Tucker conditions with multipliers of our own (`kkt.certificate`), and the next solver is asked only
where the check fails. Where no point is feasible, the least violation is looked for before
the last solver is asked. Use it where a program is to be solved and no solver is known to suit it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.budget import CLOCK, Meter, active_meter
from ...core.checks import fraction, real
from ...core.errors import MissingExtra, StopRun
from ...core.problem import Method, Problem
from ...core.registry import load_method
from ...core.verdict import Verdict
from ..kkt import certificate
from ..peers.frame import Solver, SolverState
from ..point import Point
from ..problem import Program
from .least import least_violation
from .order import order

if TYPE_CHECKING:
    from jaxtyping import Float

NEAR = 1e-2
"""KKT residual of a feasible point up to which the next solver begins there, not at x0."""


class Enough(StopRun):
    """A solver has used its share of the budget."""


@dataclass(slots=True)
class Attempt(SolverState):
    """A solver's state that ends it when its share is used up.

    Attributes:
        until: Resource -> what may be spent of it, all in all.
    """

    until: dict[str, float] = field(default_factory=dict)

    def show(
        self, x: Float[np.ndarray, " n"], multipliers: Float[np.ndarray, " m"] | None = None
    ) -> None:
        """Take an iterate. Raises Enough where the share is used up."""
        SolverState.show(self, x, multipliers)
        meter = active_meter.get()
        if meter is not None:
            for resource, limit in self.until.items():
                if _spent(meter, resource) > limit:
                    raise Enough(f"its share of the {resource} was used up")


class Relaxed(Attempt):
    """A solver's state on `least_violation`: what it offers has no t."""

    __slots__ = ()

    def point(self) -> Point:
        """The variables of the program itself."""
        return Point(self.x[:-1].copy())


@dataclass(slots=True)
class NLPState:
    """Where the method stands.

    Attributes:
        x: (n,) the best point so far.
        multipliers: (m,) its multipliers, where there are any.
        rank: (not checked, violation above the tolerance, objective, residual) of it; less is
            better.
        tried: Solvers that have ended.
        log: What each of them said, and what the check said.
        certified: Whether the best point passed the check.
        relaxed: Whether the least violation was looked for.
    """

    x: Float[np.ndarray, " n"]
    multipliers: Float[np.ndarray, " m"] | None
    rank: tuple[float, float, float, float] = (np.inf, np.inf, np.inf, np.inf)
    tried: int = 0
    log: list[str] = field(default_factory=list)
    certified: bool = False
    relaxed: bool = False


@dataclass(frozen=True)
class NLP(Method):
    """Solvers one after the other, until the answer is a KKT point.

    Solvers that are not installed are left out.

    Attributes:
        residual: KKT residual at which an answer is taken.
        share: Share of what is left of the budget that a solver may use while others are to come.
    """

    solves: ClassVar[type[Problem]] = Program
    name: ClassVar[str] = "nlp"
    residual: float = 1e-6
    share: float = 0.5

    def __post_init__(self) -> None:
        real("residual", self.residual, above=0)
        fraction("share", self.share, zero=False)

    def init(self, problem: Program, rng: np.random.Generator) -> NLPState:
        """Stand at the problem's start. Nothing is drawn."""
        return NLPState(problem.x0.copy(), problem.multipliers)

    def solvers(self, problem: Program) -> list[Solver]:
        """Those of the order that are installed."""
        found = []
        for name in order(problem).solvers:
            solver = load_method(name)
            try:
                solver.check_installed()
            except MissingExtra:
                continue
            assert isinstance(solver, Solver)
            found.append(solver)
        return found

    def step(self, problem: Program, state: NLPState) -> NLPState:
        """Run the next solver, and check where it ended. Before the third and last, or after the
        last, the first looks for the least violation where no point was feasible.
        """
        solvers = self.solvers(problem)
        rest = len(solvers) - state.tried - 1
        if self._missed(state) and (rest < 0 or (rest == 0 and state.tried >= 2)):
            elastic = least_violation(problem, state.x, state.rank[1])
            relaxed = Relaxed(elastic.x0, until=self._until())
            said = f"least violation: {self._run(solvers[0], elastic, relaxed)}"
            state.relaxed = True
            self._take(problem, state, relaxed.point(), said)
            return state
        solver = solvers[state.tried]
        near = state.rank[1] == 0 and state.rank[3] <= NEAR
        begin = state.x if near or not state.tried else problem.x0
        attempt = Attempt(
            begin.copy(),
            None if state.tried else state.multipliers,
            until=self._until() if rest else {},
        )
        said = self._run(solver, problem, attempt)
        state.tried += 1
        self._take(problem, state, attempt.point(), said)
        return state

    @staticmethod
    def _missed(state: NLPState) -> bool:
        """Whether no point was feasible, and the least violation was not looked for."""
        return 0 < state.rank[1] < np.inf and not state.relaxed

    @staticmethod
    def _run(solver: Solver, problem: Program, attempt: Attempt) -> str:
        """Run a solver to its end or that of its share, and return what it says of it."""
        try:
            solver.step(problem, attempt)
        except Enough as enough:
            return f"{solver.name}: {enough}"
        return attempt.why

    def _take(self, problem: Program, state: NLPState, found: Point, said: str) -> None:
        """Check a point, and keep it where it is better."""
        verdict = self._checked(problem, found.x)
        residual = np.inf if verdict.residual is None else verdict.residual
        certified = verdict.feasible and residual <= self.residual
        over = 0.0 if verdict.feasible else verdict.violation
        worth = (float(not certified), over, verdict.objective, residual)
        if not np.isnan(worth).any() and worth < state.rank:
            state.rank, state.certified = worth, certified
            state.x, state.multipliers = found.x, found.multipliers
        state.log.append(f"{said}; violation {verdict.violation:.2g}, KKT residual {residual:.2g}")

    def _until(self) -> dict[str, float]:
        """Return what the next solver may bring the spending to, by resource."""
        meter = active_meter.get()
        if meter is None:
            return {}
        return {
            resource: _spent(meter, resource) + self.share * meter.left(resource)
            for resource in meter.limits
            if resource != "steps"
        }

    def _checked(self, problem: Program, x: Float[np.ndarray, " n"]) -> Verdict:
        """Measure a point with what the oracles say of it, which is charged like everything."""
        with np.errstate(all="ignore"):
            f, c = problem.objective(x), problem.constraint(x)
            rows, outside = problem.missed(x, c)
            violation = max(rows.max(initial=0.0), outside.max(initial=0.0))
            if not (np.isfinite(f) and np.isfinite(c).all()):
                return Verdict(f, violation, problem.tolerance)
            g, jacobian = problem.gradient(x), problem.jacobian(x)
            if not (np.isfinite(g).all() and np.isfinite(jacobian.data).all()):
                return Verdict(f, violation, problem.tolerance)
            limits = (problem.row_low, problem.row_high)
            bounds = (problem.low, problem.high)
            found = certificate(g, jacobian, c, limits, x, bounds, problem.dependent)
        return Verdict(f, violation, problem.tolerance, found.residual)

    def answer(self, problem: Program, state: NLPState) -> Point:
        """The best point so far."""
        multipliers = None if state.multipliers is None else state.multipliers.copy()
        return Point(state.x.copy(), multipliers)

    def done(self, problem: Program, state: NLPState) -> str | None:
        """When a point has passed the check, or no solver is left."""
        if state.certified:
            return state.log[-1]
        if state.tried >= len(self.solvers(problem)) and not self._missed(state):
            return "no solver ended at a KKT point: " + " | ".join(state.log)
        return None

    def remarks(self, problem: Program, state: NLPState) -> list[str]:
        """Which solvers ended elsewhere before."""
        return [f"tried before: {said}" for said in state.log[:-1]] if state.certified else []


def _spent(meter: Meter, resource: str) -> float:
    """Return what was spent of a resource."""
    spent: Mapping[str, float] = meter.spent
    return meter.seconds if resource == CLOCK else spent.get(resource, 0.0)

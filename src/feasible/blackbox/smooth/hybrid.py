"""The room's method for smooth functions: SQP, then a model, then explorers, for ever.

It minimises f(x) under limits g(x) <= 0, h(x) = 0 in a box or without one, all known by evaluations
only. Values should repeat, to the last digits where the optimum is to be exact.

    local    SQP (`sqp.py`) from x0, without limits from the middle where there is none, until it
             converges or has taken 8 evaluations for each input
    sum?     where the objective is a sum over the inputs, a search along each axis (`lines.py`);
             else local goes on to its end
    model    gp-sqp, one proposal a time, until its trust region has shrunk: at least 5 (with limits
             10), at most 20 (with limits 50) evaluations for each input; then local from its best
             row
    rounds   of 5 evaluations for each input, of gp-sqp restarted (a share 4 / k^2 of them) or of
             CMA-ES about the best row (`evolution.py`), each followed by local from its best row,
             which is given up when it falls behind

No phase looks at the budget: with more evaluations the same search goes on.

A step of the search is a function of the state and the rows. It raises `Wanted` where it needs rows
that are not there, and begins anew once they are, so that the state is plain data at any time and
others may make the evaluations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.errors import ArgumentError
from ...core.ledger import Observations
from ..asktell import AskTell, Proposals
from ..gp_sqp import GPSQP, SQPState
from ..sampling import draw, sizes_of
from .cube import Cube
from .evolution import EvolutionState, evolve
from .lines import LinesState, additive, along
from .local import FIRST, LocalState
from .rows import Ground, Rows, Wanted
from .sqp import iterate

if TYPE_CHECKING:
    from ..problem import BlackBox

MODEL, LOCAL, SUM, LINES, ROUNDS, RESTART, EVOLUTION, START = range(8)
"""What a search is doing."""
UNKNOWN, NO, YES = range(3)
"""Whether the objective is a sum over the inputs."""
SOON, SOONEST = 8, 40
"""Evaluations for each input after which the first local search is interrupted by the test for a
sum, and the least number: with two inputs it has often converged by then.
"""
TOLD = -1
"""Tag of the model's for rows that it did not propose."""
APART, GOLDEN = 0.02, 0.381966
"""Least difference in every input of the two points of the test for sums; what one is moved by to
get the other where there is none.
"""
NEAR, SPREAD = (0.01, 0.25), 0.05
"""First step of a local search, in units of the box: the model's radius, between these; from a row
of the evolution.
"""
LONG, FINE = 2.5, 20.0
"""How many times more evaluations the model may take where there are limits, none of them an
equality, and how many times smaller its trust region is when it ends there.
"""
EMPTY_STEPS = 1000
"""Steps in a row that need no new row, or tells that bring none, after which nothing is left."""


@dataclass(slots=True)
class HybridState:
    """State of a search.

    Attributes:
        rng: Of everything random but the model's.
        rows: Every evaluation.
        model: State of gp-sqp in the cube.
        local: The local search.
        lines: The search along the axes.
        evolution: The CMA-ES.
        phase: What the search is doing.
        after: What it does when the local search has ended.
        since: First row of the model's or of the present round.
        spent: (2,) rows that went into rounds of the model and of the evolution.
        arm: Which of them the present round is.
        unit: Least size of f by which gains are measured.
        pending: Points that are out: coordinates and the model's own tag, by tag.
        asked: Proposals so far.
        last: Largest number of a row in the ledger.
        idle: Tells in a row that brought no new row.
        pair: The two rows of the test for a sum; empty before.
        is_sum: What the test has told.
    """

    rng: np.random.Generator
    rows: Rows
    model: SQPState
    local: LocalState = field(default_factory=LocalState)
    lines: LinesState = field(default_factory=LinesState)
    evolution: EvolutionState = field(default_factory=EvolutionState)
    phase: int = START
    after: int = SUM
    since: int = 0
    spent: np.ndarray = field(default_factory=lambda: np.zeros(2))
    arm: int = 0
    unit: float = 1.0
    pending: dict[int, tuple[np.ndarray, int]] = field(default_factory=dict)
    asked: int = 0
    last: int = -1
    idle: int = 0
    pair: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=int))
    is_sum: int = UNKNOWN


class Propose(Exception):
    """The model's next proposal is wanted."""


@dataclass(frozen=True)
class Hybrid(AskTell):
    """SQP, then a model, then explorers, for smooth functions with or without limits.

    minimise f(x)  subject to  g(x) <= 0,  h(x) = 0,  low <= x <= high (any of them open)

    Attributes:
        few: Evaluations for each input that the model gets at least; twice as many with limits.
        many: Evaluations for each input that it gets at most; 2.5 times as many with limits, none
            of them an equality: it follows curved limits where their slopes alone creep.
        shrunk: Half-width of its trust region that ends it, in units of the box; a twentieth with
            limits, none of them an equality.
        round: Evaluations for each input in a round of an explorer.
        behind: A later local search is given up when so many of its last gains would not make it
            the best.

    Raises:
        ArgumentError: A setting makes no sense.

    Example:
        >>> import feasible, numpy as np
        >>> from feasible.blackbox import BlackBox, Hybrid
        >>> rosenbrock = lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        >>> problem = BlackBox(rosenbrock, bounds=[(-5, 5)] * 2)
        >>> result = feasible.solve(problem, Hybrid(), budget=100)
        >>> bool(result.verdict.objective < 1e-8)
        True

    References:
        The parts are published, see the modules of this folder; their combination is this
        library's.
    """

    name: ClassVar[str] = "hybrid-sqp"
    few: float = 5.0
    many: float = 20.0
    shrunk: float = 0.02
    round: float = 5.0
    behind: float = 10.0

    def __post_init__(self) -> None:
        for what in ("few", "many", "shrunk", "round", "behind"):
            value = getattr(self, what)
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ArgumentError(f"{what}={value!r}: expected a number > 0")
        if self.few > self.many:
            raise ArgumentError(f"few={self.few!r}: expected at most many={self.many!r}")

    def init(self, problem: BlackBox, rng: np.random.Generator) -> HybridState:
        """No rows, and the model's initial design."""
        cube = Cube.of(problem)
        seeds = rng.spawn(1)[0]
        return HybridState(rng, Rows.none(cube.k), GPSQP().init(cube.inner(), seeds))

    # -- asking ------------------------------------------------------------------------------------

    def ask(self, problem: BlackBox, state: HybridState, n: int | None = None) -> Proposals:
        """The rows that the search needs next, or n points: these, and further proposals of the
        model.
        """
        cube = Cube.of(problem)
        out: list[tuple[np.ndarray, int]] = []
        with np.errstate(all="ignore"):
            wanted = self._wanted(cube, state)
            if wanted is None:
                left = int(self.few * cube.k) - (
                    state.rows.n - state.since
                )  # of the design, what must come anyway
                design = max(min(len(state.model.design), left), 1)
                out = self._propose(cube, state, design if n is None else n)
            else:
                waiting = [u for u, _ in state.pending.values()]
                new: list[np.ndarray] = []
                for u in wanted:
                    if not any((u == w).all() for w in (*waiting, *new)):
                        new.append(u)
                out = [(u, TOLD) for u in (new if n is None else new[:n])]
                more = (0 if new else 1) if n is None else n - len(out)
                if more > 0:
                    out += self._propose(cube, state, more)
        tags = np.arange(state.asked, state.asked + len(out))
        state.pending.update(zip(tags.tolist(), out, strict=True))
        state.asked += len(out)
        return Proposals(cube.x(np.array([u for u, _ in out]).reshape(-1, cube.k)), tags)

    def _wanted(self, cube: Cube, state: HybridState) -> np.ndarray | None:
        """Go on until rows are missing; return where, or None where the model is to propose."""
        ground = Ground.of(state.rows, cube)
        for _ in range(EMPTY_STEPS):
            try:
                self._go(ground, state)
            except Wanted as wanted:
                return wanted.points
            except Propose:
                return None
        return cube.u(draw(cube.problem, state.rng))

    @staticmethod
    def _propose(cube: Cube, state: HybridState, n: int) -> list[tuple[np.ndarray, int]]:
        """Return proposals of the model, with its tags."""
        inner = cube.inner()
        asked = GPSQP().ask(inner, state.model, n)
        return list(zip(asked.x, asked.tag.tolist(), strict=True))

    # -- the search --------------------------------------------------------------------------------

    def _go(self, ground: Ground, state: HybridState) -> None:
        """Take one step of the present phase. Raises Wanted, Propose."""
        rows, k = state.rows, ground.cube.k
        n = rows.n
        match state.phase:
            case 0:
                few, many, end = self._share(ground)
                shrunk, own = state.model.radius <= end, n - state.since
                if own < few * k or rows.leader < 0 or (own < many * k and not shrunk):
                    raise Propose
                state.unit = scale(rows)
                near = float(np.clip(state.model.radius, *NEAR))
                self._start(ground, state, rows.best(state.since), near, first=True, after=ROUNDS)
            case 1:
                self._local(ground, state)
            case 2:
                self._sum(ground, state)
            case 3:
                along(ground, state.lines, state.local.nothing)
                if state.lines.over:
                    state.phase, state.since = MODEL, n
            case 4:
                self._begin_round(ground, state)
            case 5:
                _, _, end = self._share(ground)
                shrunk = n > state.since + 2 * k and state.model.radius < end
                if n < state.since + self.round * k and not shrunk:
                    raise Propose
                self._end_round(ground, state, state.since)
            case 7:
                self._first(ground, state)
            case _:
                if n >= state.since + self.round * k:
                    self._end_round(ground, state, None)
                elif not evolve(ground, state.evolution, state.rng):
                    state.evolution.active = False
                    self._end_round(ground, state, state.evolution.since)

    def _share(self, ground: Ground) -> tuple[float, float, float]:
        """Return the least and the most evaluations of the model, for each input, and the
        half-width of its trust region that ends it.
        """
        if not ground.m:
            return self.few, self.many, self.shrunk
        few = min(2 * self.few, self.many)
        if ground.equal.any():
            return few, self.many, self.shrunk
        return few, LONG * self.many, self.shrunk / FINE

    def _first(self, ground: Ground, state: HybridState) -> None:
        """Begin with a local search from x0 or the middle; with limits, only from x0."""
        state.phase = MODEL
        at = ground.cube.first()
        if at is None:
            return
        state.phase = START  # it begins anew where the row is missing
        ground.at(at)
        state.phase, i = MODEL, state.rows.find(at)
        if math.isfinite(state.rows.f[i]) and np.isfinite(ground.row(i)[1]).all():
            state.unit = min(1.0, abs(float(state.rows.f[i])) or 1.0)
            self._start(ground, state, i, FIRST, first=True, after=SUM)

    @staticmethod
    def _start(
        ground: Ground, state: HybridState, i: int, reach: float, first: bool, after: int
    ) -> None:
        """Begin a local search from a row, with a first step of a length; without limits it takes
        the least curvature of the one before for its first.
        """
        B = state.local.B
        flat = float(np.linalg.eigvalsh(B)[0]) if len(B) and not ground.m else 0.0
        state.local = LocalState.at(ground, i, state.unit, first, reach, flat)
        state.phase, state.after = LOCAL, after

    def _local(self, ground: Ground, state: HybridState) -> None:
        """Go on with the local search, unless it has ended or fallen behind."""
        s, rows = state.local, state.rows
        first = state.after == SUM and state.is_sum == UNKNOWN and not ground.m
        if first and rows.n >= max(SOON * ground.cube.k, SOONEST):
            self._test(ground, state)
            if state.is_sum == YES:
                state.phase, s.active = SUM, False
                return
        if not s.done:
            iterate(ground, s)
            leader = rows.leader
            behind = (
                not s.first
                and s.steps > 2
                and rows.over[leader] == 0
                and s.f - rows.f[leader] > self.behind * max(s.gain, 0.0)
            )
            if not (s.done or behind):
                return
        i = rows.find(s.u)
        if i >= 0 and state.after == ROUNDS:
            self._tell_model(ground.cube, state, i, TOLD)
        state.phase, s.active = state.after, False
        if state.phase == MODEL:
            state.since = rows.n
        if state.phase == ROUNDS and not s.first:
            state.spent[state.arm] += rows.n - state.since
            state.since = rows.n

    def _sum(self, ground: Ground, state: HybridState) -> None:
        """Go on along the axes where the objective is a sum over the inputs, else with the model,
        which need not ask for what is known.
        """
        rows, model = state.rows, state.model
        if not ground.m and state.is_sum == UNKNOWN:
            self._test(ground, state)
        state.phase, state.since = (LINES if state.is_sum == YES else MODEL), rows.n
        state.lines = LinesState(rows.u[rows.leader].copy())
        i = rows.find(model.design[0]) if len(model.design) else -1
        if i >= 0:
            model.design = model.design[1:]
            self._tell_model(ground.cube, state, i, TOLD)

    @staticmethod
    def _test(ground: Ground, state: HybridState) -> None:
        """See whether the objective is a sum over the inputs. The other point of the test differs
        from the best one in every input. Raises Wanted.
        """
        rows = state.rows
        if not len(state.pair):
            here = rows.u[rows.leader]
            apart = np.abs(rows.u[: rows.n] - here).min(axis=1)
            apart[~np.isfinite(rows.f[: rows.n])] = -1.0
            there = rows.u[int(np.argmax(apart))]
            if apart.max() < APART:
                there = (here + GOLDEN) % 1.0
            ground.at(there)
            state.pair = np.array([rows.leader, rows.find(there)])
        i, j = state.pair.tolist()
        state.is_sum = YES if additive(ground, i, j) else NO

    def _begin_round(self, ground: Ground, state: HybridState) -> None:
        """Choose the explorer of the next round, so that the model keeps to its share."""
        k = ground.cube.k
        share = min(1.0, 4 / k**2)
        state.since = state.rows.n
        state.arm = 0 if state.spent[0] <= share * state.spent.sum() else 1
        if state.arm == 0:
            state.model.radius, state.model.local_last = 0.5 * GPSQP.resolution, False
            state.phase = RESTART
            return
        if not state.evolution.active:
            state.evolution = EvolutionState.about(state.rows.u[state.rows.leader], state.rows.n)
        state.phase = EVOLUTION

    def _end_round(self, ground: Ground, state: HybridState, since: int | None) -> None:
        """End a round, with a local search from the best row since a number where there is one."""
        if since is not None and state.rows.n > since:
            best = state.rows.best(since)
            if math.isfinite(state.rows.over[best]):
                near = float(np.clip(state.model.radius, *NEAR)) if state.arm == 0 else SPREAD
                self._start(ground, state, best, near, first=False, after=ROUNDS)
                return
        state.spent[state.arm] += max(state.rows.n - state.since, 1)
        state.phase = ROUNDS

    # -- telling -----------------------------------------------------------------------------------

    def tell(self, problem: BlackBox, state: HybridState, seen: Observations) -> None:
        """Add the rows; the model is told what it asked for and what nobody here asked for."""
        cube = Cube.of(problem)
        units = cube.u(seen.x)
        fresh, state.rows.size = False, sizes_of(seen)
        for i, (tag, number) in enumerate(zip(seen.tag.tolist(), seen.id.tolist(), strict=True)):
            u, own = state.pending.pop(tag, (units[i], TOLD))
            mine = own != TOLD or tag < 0 or tag >= state.asked
            row = state.rows.add(
                u, float(seen.objective[i]), seen.constraints[i], problem.tolerance
            )
            fresh, state.last = fresh or number > state.last, max(state.last, number)
            if mine:
                self._tell_model(cube, state, row, own)
        state.idle = 0 if fresh else state.idle + 1

    @staticmethod
    def _tell_model(cube: Cube, state: HybridState, i: int, tag: int) -> None:
        """Tell the model a row, where it lies in the cube."""
        u, f, g = state.rows.u[i], state.rows.f[i], state.rows.g[i]
        if tag == TOLD and not ((u >= 0).all() and (u <= 1).all()):
            return
        inner = cube.inner()
        status = 0 if math.isfinite(f) else 2
        row = Observations(
            u[None].copy(),
            np.array([f]),
            g[None].copy(),
            np.zeros((1, 1)),
            ("f",),
            np.array([status]),
            np.array([i]),
            np.array([tag]),
        )
        GPSQP().tell(inner, state.model, row)

    def done(self, problem: BlackBox, state: HybridState) -> str | None:
        """A reason where only points are proposed that are known."""
        space = problem.space
        if state.idle > EMPTY_STEPS or (state.rows.n and not (space.high > space.low).any()):
            return "every point that it proposes is known: no other lies in the box"
        return None


def scale(rows: Rows) -> float:
    """The least size of f by which gains are measured: the spread of the values, at most 1."""
    f = rows.f[: rows.n]
    f = f[np.isfinite(f)]
    spread = float(np.median(np.abs(f - np.median(f)))) if len(f) else 1.0
    return min(1.0, spread or 1.0)


__all__ = ["Hybrid", "HybridState"]

"""Stochastic dual dynamic programming (SDDP) for multistage linear programs.

    minimise cost_1' x_1 + E[ cost_2' x_2 + E[ ... ] ]

The expected cost of the stages to come is a convex function of the state; SDDP approximates it from
below by the largest of affine functions ("cuts"). A forward pass visits states; a backward pass
adds a cut at each, from the duals of the balances under every noise of the pool. The minimum of the
first stage is a lower bound of what any policy costs in the mean.

Use it where the problem is linear and the noise of stages independent and finite; it has no rival
there. Where coefficients depend on the state its cuts are no bounds (they are made with the
coefficients at the middle of the state's range), and it is a heuristic.

References:
    M. V. F. Pereira, L. M. V. G. Pinto, Mathematical Programming 52 (1991), 359-375.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.annotations import Checked, checked
from ...core.budget import spend
from ...core.checks import real, seed as as_seed, whole
from ...core.problem import Method
from ..cuts import CutPolicy, CutWindow
from ..lp import NoSolution
from ..multistage import MultistageLP
from ..rollout import StageInfeasible
from ..stage import Stage
from ..window import Window

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class SDDPSettings(Checked):
    """How SDDP is run.

    Attributes:
        iterations: Most iterations; 0: no limit.
        paths: Forward paths of an iteration.
        stall: The run is done when the bound has risen by less than this share within `patience`
            iterations; 0: never.
        patience: See `stall`.
    """

    iterations: int = 0
    paths: int = 1
    stall: float = 1e-3
    patience: int = 10

    def __post_init__(self) -> None:
        whole("iterations", self.iterations, least=0)
        whole("paths", self.paths, least=1)
        real("stall", self.stall, least=0)
        whole("patience", self.patience, least=1)


@dataclass
class SDDPState:
    """What changes from iteration to iteration.

    Attributes:
        rng: The random stream of the forward paths.
        slopes: Of each stage but the last (c, k).
        intercepts: Of each stage but the last (c,).
        bounds: The lower bound after each iteration.
        models: The stages with their cuts, made again where a run is resumed.
    """

    rng: np.random.Generator
    slopes: list[Float[np.ndarray, "c k"]]
    intercepts: list[Float[np.ndarray, " c"]]
    bounds: list[float] = field(default_factory=list)

    models: ClassVar[Any] = None


@dataclass(frozen=True)
class SDDPFit:
    """What `SDDP.fit` returns.

    Attributes:
        policy: The cuts, as a policy.
        lower_bound_: Below the mean cost of any policy on paths of the pools, where the problem is
            convex.
        bounds: The bound after each iteration.
        stopped: Why it ended.
    """

    policy: CutPolicy
    lower_bound_: float
    bounds: Float[np.ndarray, " iterations"]
    stopped: str


@dataclass(frozen=True)
class SDDP(SDDPSettings, Method):
    """Stochastic dual dynamic programming as a method of a run; see SDDPSettings.

    Example:
        >>> from feasible.operations import hydrothermal_ht3
        >>> problem = hydrothermal_ht3(T=12, N=1)
        >>> found = SDDP(stall=0.0).fit(problem, n_iter=30)
        >>> bool(abs(found.lower_bound_ - problem.perfect_foresight()[0]) < 1.0)
        True
    """

    solves: ClassVar[type[MultistageLP]] = MultistageLP
    name: ClassVar[str] = "sddp"
    requires: ClassVar[tuple[str, ...]] = ("highspy",)

    @checked
    def fit(self, problem: MultistageLP, n_iter: int = 40, seed: int = 0) -> SDDPFit:
        """Train on a problem, outside a run.

        Args:
            problem: The problem.
            n_iter: Most iterations.
            seed: Of the forward paths.
        """
        whole("n_iter", n_iter, least=1)
        state = self.init(problem, np.random.default_rng(as_seed("seed", seed)))
        stopped = f"{n_iter} iterations"
        for _ in range(n_iter):
            state = self.step(problem, state)
            reason = self.done(problem, state)
            if reason is not None:
                stopped = reason
                break
        policy = self.answer(problem, state)
        return SDDPFit(policy, state.bounds[-1], np.array(state.bounds), stopped)

    def init(self, problem: MultistageLP, rng: np.random.Generator) -> SDDPState:
        """Begin without cuts."""
        n = problem.T - 1
        return SDDPState(rng, [np.zeros((0, problem.k))] * n, [np.zeros(0)] * n)

    def step(self, problem: MultistageLP, state: SDDPState) -> SDDPState:
        """Play paths forward, and add a cut for each state that they visit."""
        stages = problem.stages
        pool = sum(len(s.noise) for s in stages[1:])
        spend(stage_problems=self.paths * (problem.T + pool) + len(stages[0].noise))
        models = self._models(problem, state)
        for window in {*models.cuts, *models.forward}:
            window.model.forget()
        for path in problem.draw_pools(self.paths, state.rng):
            visited, now = [], problem.initial_state
            for t, w in enumerate(path[:-1]):
                now = _solved(models.forward[t], t, stages, now, w).x[0][stages[t].states]
                visited.append(now)
            for t in range(problem.T - 1, 0, -1):
                self._add_cut(models, state, t, stages, visited[t - 1])
        first = [
            _solved(models.cuts[0], 0, stages, problem.initial_state, w).value
            for w in stages[0].noise
        ]
        state.bounds.append(float(stages[0].probability @ first))
        return state

    def _add_cut(
        self,
        models: CutModels,
        state: SDDPState,
        t: int,
        stages: Sequence[Stage],
        at: Float[np.ndarray, " k"],
    ) -> None:
        """Add to stage t - 1 what stage t costs in the mean from a state:

        theta >= F + g' (s - at),   F the mean minimum, g the mean dual of what the state adds
        """
        found = [_solved(models.cuts[t], t, stages, at, w) for w in stages[t].noise]
        law = stages[t].probability
        g = law @ np.array([f.by_start for f in found])
        intercept = float(law @ [f.value for f in found] - g @ at)
        state.slopes[t - 1] = np.vstack([state.slopes[t - 1], g])
        state.intercepts[t - 1] = np.append(state.intercepts[t - 1], intercept)
        models.add(t - 1, g, intercept)

    def _models(self, problem: MultistageLP, state: SDDPState) -> CutModels:
        """Return the stages with the state's cuts."""
        if state.models is None or state.models.counts != [len(h) for h in state.intercepts]:
            state.models = CutModels(problem, state)  # type: ignore[misc]
        return state.models

    def answer(self, problem: MultistageLP, state: SDDPState) -> CutPolicy:
        """The cuts so far."""
        floors = np.array([problem.cost_floor(t) for t in range(problem.T - 1)])
        return CutPolicy([G.copy() for G in state.slopes], list(state.intercepts), floors)

    def done(self, problem: MultistageLP, state: SDDPState) -> str | None:
        """Say why there is nothing more to gain, or None."""
        n = len(state.bounds)
        if problem.T == 1 and n:
            return "one stage has nothing to come"
        if self.iterations and n >= self.iterations:
            return f"{n} iterations"
        if n > self.patience and self.stall > 0:
            now, before = state.bounds[-1], state.bounds[-1 - self.patience]
            if now - before < self.stall * abs(now):
                share = 100 * self.stall
                return f"the bound rose by less than {share:g} % in {self.patience} iterations"
        return None

    def remarks(self, problem: MultistageLP, state: SDDPState) -> list[str]:
        """The lower bound, and where it is none."""
        if not state.bounds:
            return []
        if not problem.convex:
            return ["coefficients depend on the state, so the cuts give no lower bound"]
        return [f"no policy costs less than {state.bounds[-1]:.8g} in the mean over the pools"]


class CutModels:
    """The stages with their cuts: for the backward passes, and for the forward passes, which are
    the same where no coefficient depends on the state.
    """

    def __init__(self, problem: MultistageLP, state: SDDPState):
        floors = [problem.cost_floor(t) for t in range(problem.T - 1)]

        def windows(stages: Sequence[Stage]) -> list[Window]:
            cut = map(CutWindow, stages, floors, state.slopes, state.intercepts)
            return [*cut, Window(stages[-1:])]

        self.cuts = windows([*map(_at_middle, problem.stages, problem.scale)])
        self.forward = self.cuts if problem.convex else windows(problem.stages)

    @property
    def counts(self) -> list[int]:
        """The cuts of each stage but the last."""
        return [w.cuts for w in self.cuts if isinstance(w, CutWindow)]

    def add(self, t: int, slope: Float[np.ndarray, " k"], intercept: float) -> None:
        """Add a cut to a stage."""
        for window in {self.cuts[t], self.forward[t]}:
            assert isinstance(window, CutWindow)
            window.add_cut(slope, intercept)


def _at_middle(stage: Stage, scale: Float[np.ndarray, " k"]) -> Stage:
    """Return a stage whose coefficients are those of states in the middle of their ranges."""
    if not stage.heads:
        return stage
    A = stage.A.copy().tolil()
    for row, column, state, factor in stage.head_numbers:
        A[row, column] += factor * scale[state] / 2
    return replace(stage, A=A.tocsc(), heads=())


def _solved(
    window: Window,
    t: int,
    stages: Sequence[Stage],
    state: Float[np.ndarray, " k"],
    w: Float[np.ndarray, " d"],
) -> Any:
    """Solve a stage. Raises StageInfeasible."""
    try:
        return window.solve(state, w[None])
    except NoSolution:
        raise StageInfeasible(t, -1, state, w, stages[t].state) from None

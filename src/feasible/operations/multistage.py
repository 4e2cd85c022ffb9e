"""MultistageLP: linear programs of consecutive stages under noise, answered by a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from scipy import sparse

from ..core.annotations import Checked, checked
from ..core.checks import floats, real, seed as as_seed, shown, whole
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from ..core.problem import Problem
from ..core.units import same_unit
from ..core.verdict import Verdict
from .cuts import CutPolicy
from .diagnose import Diagnosis, Stuck, diagnose, why
from .dispatch_picture import state_fans
from .horizon import Horizon, largest_cost
from .networks import NetworkTargets
from .policies import Actor, AffineTargets, FixedTargets, LookAhead, Myopic, Policy
from .rollout import Rollout, StageInfeasible, roll
from .stage import Stage, Unmet

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from jaxtyping import Float

ANSWERS: tuple[type, ...] = (
    NetworkTargets,
    CutPolicy,
    AffineTargets,
    FixedTargets,
    LookAhead,
    Myopic,
)
"""Policies, for reading stored answers back."""
Terminal = Literal["free", "cyclic"] | Mapping[str, Any]
TERMINALS = "expected 'free', 'cyclic', {'at_least': volumes} or {'value': value of a unit}"
SHORTFALL = 10.0
"""Cost of a unit that the end misses, as a multiple of the largest cost."""


@dataclass(eq=False)
class MultistageLP(Checked, Horizon, Problem):
    """Minimise the expected cost of consecutive linear programs under noise.

        minimise over policies  E sum_t cost_t' x_t,   x_t in X_t(s_{t-1}, w_t)

    In each stage the noise w_t is seen, then x_t is chosen; s_t, some of x_t, is handed on. An
    answer is a policy with `act(t, w, state)`. The judge plays it on held-out paths that no method
    sees, recomputes cost, rows and bounds from what it did, and names what was not met: the
    violation "unmet demand" is a share of the demand, "target" the share of the cost that missing
    its own targets had by its own penalty, "terminal" the share that the end misses; a broken row
    or bound is named too. The residual is the share by which the mean cost is above that of perfect
    foresight on the same paths. A method is charged for every stage problem.

    Attributes:
        stages: T stages with the same states.
        initial_state: (k,) the state before the first stage.
        terminal: What holds at the end: "free", "cyclic" (as at the start), {"at_least": (k,)}, or
            {"value": (k,)} of a unit that is left. What "cyclic" and "at_least" miss is paid for at
            ten times the largest cost, and a violation.
        sampler: (n, rng) -> (n, T, d) paths to train on; None: from the pools, independently.
        test_paths: (n, T, d) held-out or historical paths; None: n_test from the pools.
        n_test: Paths that are drawn where none are given.
        test_seed: Of that draw.
        lower_bound: Below every cost of the stages after the first; None: from costs and bounds.
        tolerance: Largest share that counts as feasible.

    Raises:
        ArgumentError: No stage, an unknown terminal, or stages of different states or units.
        ShapeError: The initial state, a sampler's or the test paths do not fit.
        NotFinite: A NaN in them.
    """

    stages: Sequence[Stage]
    initial_state: Any
    terminal: Any
    sampler: Callable[[int, np.random.Generator], Any] | None = None
    test_paths: Any = None
    n_test: int = 100
    test_seed: int = 99
    lower_bound: float | None = None
    tolerance: float = 0.01
    name: str = "multistage-lp"

    last: ClassVar[bool] = True
    answers: ClassVar[tuple[type, ...]] = ANSWERS
    example_budget: ClassVar[str] = "stage_problems=20000"
    trail_growth: float = 2.0
    objective_title: ClassVar[str] = "mean cost on held-out paths"

    def __post_init__(self) -> None:
        given = list(self.stages)
        if not given or not all(isinstance(s, Stage) for s in given):
            raise ArgumentTypeError(f"stages={shown(self.stages)}: expected at least one Stage")
        self.k, self.d = len(given[0].state), given[0].C.shape[1]
        for t, stage in enumerate(given):
            if tuple(stage.state) != tuple(given[0].state) or stage.C.shape[1] != self.d:
                raise ArgumentError(
                    f"stages[{t}] has the states {list(stage.state)} and {stage.C.shape[1]} noises:"
                    f" expected {list(given[0].state)} and {self.d} as in the first"
                )
            for name in stage.state:
                mine, first = stage.units.get(name, ""), given[0].units.get(name, "")
                if not same_unit(mine, first):
                    raise ArgumentError(
                        f"stages[{t}] has '{name}' in '{mine}': expected '{first}' as in the first"
                    )
        start = floats("initial_state", self.initial_state)
        if start.shape != (self.k,):
            raise ShapeError(f"initial_state has shape {start.shape}: expected ({self.k},)")
        if not np.isfinite(start).all():
            raise NotFinite("initial_state has a NaN or an infinity: expected finite numbers")
        self.initial_state = start.astype(float)
        self.T = len(given)
        self.tolerance = real("tolerance", self.tolerance, least=0)
        self.own_stages = given
        self.stages = [*given[:-1], self._ended(given[-1])]
        whole("n_test", self.n_test, least=1)
        as_seed("test_seed", self.test_seed)
        if self.test_paths is not None:
            self.test_paths = self.paths_of("test_paths", self.test_paths)
        if self.lower_bound is not None:
            self.lower_bound = real("lower_bound", self.lower_bound)

    # -- the end -----------------------------------------------------------------------------------

    def _ended(self, stage: Stage) -> Stage:
        """Return the last stage with what holds at the end."""
        if isinstance(self.terminal, str) and self.terminal == "free":
            return stage
        if isinstance(self.terminal, str) and self.terminal == "cyclic":
            return self._with_level(stage, self.initial_state, "==")
        if isinstance(self.terminal, Mapping) and len(self.terminal) == 1:
            ((kind, given),) = self.terminal.items()
            if kind in ("at_least", "value"):
                value = floats(f"terminal[{kind!r}]", given)
                if value.shape not in ((), (self.k,)):
                    raise ShapeError(f"terminal[{kind!r}] has shape {value.shape}: ({self.k},)")
                if not np.isfinite(value).all():
                    raise NotFinite(f"terminal[{kind!r}] has a NaN or an infinity")
                value = np.broadcast_to(value, (self.k,)).astype(float)
                if kind == "at_least":
                    return self._with_level(stage, value, ">=")
                cost = stage.cost.copy()
                cost[stage.states] -= value
                return replace(stage, cost=cost)
        raise ArgumentError(f"terminal={shown(self.terminal)}: {TERMINALS}")

    def _with_level(self, stage: Stage, level: Float[np.ndarray, " k"], sense: str) -> Stage:
        """Return a stage whose state ends at a level, up to a shortfall that is paid for."""
        k, n = self.k, stage.A.shape[1]
        price = SHORTFALL * largest_cost(self.own_stages)
        signs = (1.0,) if sense == ">=" else (1.0, -1.0)
        pick = sparse.csc_array((np.ones(k), (np.arange(k), stage.states)), shape=(k, n))
        slack = sparse.hstack([sign * sparse.eye_array(k) for sign in signs])
        words = ("below the end of", "above the end of")[: len(signs)]
        names = [f"{word} {s}" for word in words for s in stage.state]
        rows = [f"end of {s}" for s in stage.state]
        return replace(
            stage,
            A=sparse.block_array([[stage.A, None], [pick, slack]]),
            cost=[*stage.cost, *np.full(len(names), price)],
            rhs=[*stage.rhs, *level],
            sense=[*stage.sense, *[sense] * k],
            B=sparse.vstack([stage.B, sparse.csc_array((k, k))]),
            C=sparse.vstack([stage.C, sparse.csc_array((k, self.d))]),
            lower=[*stage.lower, *np.zeros(len(names))],
            upper=[*stage.upper, *[None] * len(names)],
            columns=[*stage.columns, *names],
            rows=[*stage.rows, *rows],
            units={
                **stage.units,
                **{
                    n: stage.units.get(s, "")
                    for n, s in zip(names, [*stage.state] * 2, strict=False)
                },
            },
            unmet={
                **stage.unmet,
                **{n: Unmet("terminal", r) for n, r in zip(names, rows * len(signs), strict=True)},
            },
        )

    @cached_property
    def held_out(self) -> Float[np.ndarray, "n T d"]:
        """The paths that the judge plays."""
        if self.test_paths is not None:
            return self.test_paths
        return self.draw_pools(self.n_test, np.random.default_rng(self.test_seed))

    # -- judging -----------------------------------------------------------------------------------

    def simulate(self, policy: Policy | Actor, paths: Any = None) -> Rollout:
        """Play a policy on paths, and keep everything that it did.

        Args:
            policy: An answer of a method, or any object with `act(t, w, state)`, which returns the
                stage's columns in their order, or by name.
            paths: (n, T, d); None: the held-out ones.

        Raises:
            StageInfeasible: The policy had no solution in a stage; names stage, path and state.
        """
        given = self.held_out if paths is None else self.paths_of("paths", paths)
        return roll(self, policy, given)

    def perfect_foresight(self, paths: Any = None) -> Float[np.ndarray, " n"]:
        """Return the least cost of each path for somebody who knows all of it beforehand: a lower
        bound of any policy's, path by path.

        Args:
            paths: (n, T, d); None: the held-out ones.

        Raises:
            ArgumentError: Coefficients depend on the state, so that it is no linear program.
        """
        if not self.convex:
            raise ArgumentError(
                f"problem '{self.name}' is not convex: perfect foresight is no bound"
            )
        given = self.held_out if paths is None else self.paths_of("paths", paths)
        window = self.window(0, self.T)
        window.model.forget()
        return np.array([window.solve(self.initial_state, path).value for path in given])

    @checked
    def diagnose(self, folder: str | Path | None = None) -> Diagnosis:
        """Solve each stage at the ends of the states' ranges and of the noise, before any training.

        Args:
            folder: Where a stage without a solution is written, as .lp and .mps; None: nowhere.

        Returns:
            Which stage has no solution, from which state, under which noise, and what its rows
            would have to give, in their units; and the sizes of the numbers.

        Raises:
            ArgumentError: There is no such folder.
        """
        return diagnose(self, folder)

    def explain(self, error: StageInfeasible, folder: str | Path | None = None) -> Stuck:
        """Return which rows would have to give where a policy or a method met a stage without a
        solution.

        Args:
            error: What was raised.
            folder: Where the stage is written; None: nowhere.
        """
        return why(self, error.t, error.state, error.w, folder)

    def judge(self, answer: Any) -> Verdict:
        """Play a policy on the held-out paths and recompute what it cost and what it missed."""
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        try:
            found = self.simulate(answer)
        except StageInfeasible as error:
            violations = {f"stage {error.t} has no solution": float("inf")}
            return Verdict(float("nan"), float("inf"), self.tolerance, None, violations)
        shares = found.shares(self.tolerance)
        cost = float(found.cost.mean())
        metrics = {
            **found.amounts(),
            "standard error": float(found.cost.std(ddof=1) / np.sqrt(len(found.cost)))
            if len(found.cost) > 1
            else 0.0,
        }
        residual = None
        if self.convex:
            known = self.cached("foresight", self.perfect_foresight)
            metrics["perfect foresight"] = float(known.mean())
            residual = float((cost - known.mean()) / max(abs(known.mean()), 1e-12))
        return Verdict(
            cost, max(shares.values(), default=0.0), self.tolerance, residual, shares, metrics
        )

    def picture(self, answer: Any) -> go.Figure | None:
        """The states by stage under a policy, over the held-out paths."""
        try:
            return None if answer is None else state_fans(self.simulate(answer))
        except StageInfeasible:
            return None

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """A policy and what it missed, as rows of text."""
        rows: list[tuple[str, ...]] = [
            ("policy", answer.summary() if isinstance(answer, Policy) else str(answer))
        ]
        rows += [(name, f"{100 * v:.3g} %") for name, v in verdict.violations.items()]
        return rows

    def outline(self) -> list[str]:
        """Its sizes and its end, as lines."""
        first = self.stages[0]
        return [
            f"stages      {self.T}, up to {max(len(s.cost) for s in self.stages)} columns and "
            f"{max(len(s.rhs) for s in self.stages)} rows",
            "states      " + ", ".join(f"{n}{_in(first.unit(n))}" for n in first.state),
            f"noise       {self.d} components, up to {max(len(s.noise) for s in self.stages)} rows",
            f"terminal    {shown(self.terminal)}",
            f"held out    {len(self.held_out)} paths",
        ]


def _in(unit: str) -> str:
    """Return a unit in brackets."""
    return f" [{unit.strip()}]" if unit else ""

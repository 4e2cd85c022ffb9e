"""Playing a policy path by path, and recomputing from what it did what it cost and missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import shown
from ..core.errors import ArgumentTypeError, Infeasible, NotFinite, ShapeError, UnknownName, nearest
from .lp import NoSolution
from .policies import Action, Policy

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float

    from .horizon import Horizon

EXACT = 1e-6
"""A row or bound that is broken by less, relative to its size, is not broken."""


class StageInfeasible(Infeasible):
    """A stage without a solution.

    Attributes:
        t: Its number.
        path: Number of the path; -1 where there is none.
        state: (k,) the state before it.
        w: (d,) its noise.
    """

    def __init__(self, t: int, path: int, state: np.ndarray, w: np.ndarray, names: Sequence[str]):
        self.t, self.path, self.state, self.w, self._names = t, path, state, w, names
        known = ", ".join(f"{n} {v:.6g}" for n, v in zip(names, state, strict=True))
        where = f" of path {path}" if path >= 0 else ""
        super().__init__(
            f"stage {t}{where} has no solution from the state {known} under the noise "
            f"{np.array2string(np.asarray(w), precision=5)}; problem.explain(error) says which "
            "rows, and by how much"
        )

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.t, self.path, self.state, self.w, self._names)


@dataclass
class Rollout:
    """What a policy did on paths.

    Attributes:
        problem: What it was played on.
        paths: (n, T, d) the noise.
        x: Of each stage (n, columns) what was done.
        states: (n, T + 1, k) the states, the initial one first.
        duals: Of each stage (n, rows) what a unit more on the right-hand side costs there; NaN
            where the policy does not say.
        cost: (n,) of each path, recomputed.
        target_cost: (n,) what missing its own targets cost it, by its own penalty.
        unmet: Name of a violation -> (n,) amounts.
        whole: Name of a violation -> (n,) of what they are shares.
        broken: Name of a row or column -> largest violation, relative to its size.
    """

    problem: Horizon
    paths: Float[np.ndarray, "n T d"]
    x: list[Float[np.ndarray, "n c"]]
    states: Float[np.ndarray, "n T1 k"]
    duals: list[Float[np.ndarray, "n m"]]
    cost: Float[np.ndarray, " n"]
    target_cost: Float[np.ndarray, " n"]
    unmet: dict[str, Float[np.ndarray, " n"]] = field(default_factory=dict)
    whole: dict[str, Float[np.ndarray, " n"]] = field(default_factory=dict)
    broken: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, column: str) -> Float[np.ndarray, "n T"]:
        """Return what was done by a column's name, NaN in a stage that has no such column."""
        return self._by_stage("column", column, self.x, [s.columns for s in self.problem.stages])

    def price(self, row: str) -> Float[np.ndarray, "n T"]:
        """Return what a unit more of a row's right-hand side costs, such as of demand; NaN in a
        stage that has no such row, and under a policy that does not say. Where a row is in units a
        stage it is a price of the unit, whatever the stage's length.
        """
        return self._by_stage("row", row, self.duals, [s.rows for s in self.problem.stages])

    def _by_stage(
        self, what: str, name: str, values: list[np.ndarray], names: list[Sequence[str]]
    ) -> Float[np.ndarray, "n T"]:
        """Return each stage's values of a name; NaN where it has none. Raises UnknownName."""
        known = dict.fromkeys(n for mine in names for n in mine)
        if name not in known:
            raise UnknownName(f"{what} '{name}': {nearest(name, known)}")
        found = np.full(self.paths.shape[:2], np.nan)
        for t, mine in enumerate(names):
            if name in mine:
                found[:, t] = values[t][:, list(mine).index(name)]
        return found

    def shares(self, tolerance: float) -> dict[str, float]:
        """Return each violation as a share; a broken row or bound is above the tolerance."""
        found = {
            name: float(v.sum() / max(self.whole[name].sum(), 1e-12))
            for name, v in self.unmet.items()
        }
        if self.target_cost.any():
            total = np.abs(self.cost).sum() + self.target_cost.sum()
            found["target"] = float(self.target_cost.sum() / total)
        return found | {name: tolerance + v for name, v in self.broken.items()}

    def amounts(self) -> dict[str, float]:
        """Return the mean amount of each violation a path, in its own unit."""
        return {f"{name}, mean of a path": float(v.mean()) for name, v in self.unmet.items()}

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each path and stage, a column for each name."""
        import pandas as pd

        n, T = self.paths.shape[:2]
        names = list(dict.fromkeys(c for s in self.problem.stages for c in s.columns))
        data = {"path": np.repeat(np.arange(n), T), "stage": np.tile(np.arange(T), n)}
        return pd.DataFrame(data | {c: self[c].ravel() for c in names})


def roll(problem: Horizon, policy: Any, paths: Float[np.ndarray, "n T d"]) -> Rollout:
    """Play a policy on paths. Raises StageInfeasible, ArgumentTypeError, ShapeError, NotFinite."""
    actor = policy.on(problem) if isinstance(policy, Policy) else policy
    if not hasattr(actor, "act"):
        raise ArgumentTypeError(f"answer={shown(policy)}: expected a policy with act(t, w, state)")
    n, T = paths.shape[:2]
    x = [np.empty((n, len(s.cost))) for s in problem.stages]
    duals = [np.full((n, len(s.rhs)), np.nan) for s in problem.stages]
    states = np.empty((n, T + 1, problem.k))
    states[:, 0] = problem.initial_state
    missed = np.zeros(n)
    start = getattr(actor, "start", None)
    for i in range(n):
        if start is not None:
            start()
        for t, stage in enumerate(problem.stages):
            try:
                said = actor.act(t, paths[i, t], states[i, t])
            except NoSolution:
                names = stage.state
                raise StageInfeasible(t, i, states[i, t], paths[i, t], names) from None
            action = said if isinstance(said, Action) else Action(_columns(stage, said))
            x[t][i] = action.x
            if action.dual is not None:
                duals[t][i] = action.dual
            states[i, t + 1] = action.x[stage.states]
            if action.target is not None:
                gap = np.abs(states[i, t + 1] - action.target)
                missed[i] += action.linear * gap.sum() + action.square * (gap**2).sum()
    return measured(problem, paths, x, states, duals, missed)


def _columns(stage: Any, said: Any) -> Float[np.ndarray, " c"]:
    """Return what a policy of a user's own did, in the order of the columns."""
    if isinstance(said, Mapping):
        found = np.zeros(len(stage.cost))
        for name, value in said.items():
            found[stage.column(name, "act(t, w, state)")] = value
        return found
    found = np.asarray(said, dtype=float)
    if found.shape != stage.cost.shape:
        raise ShapeError(
            f"act(t, w, state) returned shape {found.shape}: expected {stage.cost.shape}"
        )
    if not np.isfinite(found).all():
        raise NotFinite("act(t, w, state) returned a NaN or an infinity")
    return found


def measured(
    problem: Horizon,
    paths: Float[np.ndarray, "n T d"],
    x: list[Float[np.ndarray, "n c"]],
    states: Float[np.ndarray, "n T1 k"],
    duals: list[Float[np.ndarray, "n m"]],
    missed: Float[np.ndarray, " n"],
) -> Rollout:
    """Recompute costs, rows and bounds from what was done."""
    n = len(paths)
    cost = np.zeros(n)
    unmet: dict[str, np.ndarray] = {}
    whole: dict[str, np.ndarray] = {}
    broken: dict[str, float] = {}

    def note(names: Any, gaps: np.ndarray, size: np.ndarray) -> None:
        worst = (gaps / (1.0 + np.abs(size))).max(axis=0, initial=0.0)
        for j in np.flatnonzero(worst > EXACT):
            broken[names[j]] = max(float(worst[j]), broken.get(names[j], 0.0))

    for t, stage in enumerate(problem.stages):
        done, before, w = x[t], states[:, t], paths[:, t]
        cost += done @ stage.cost
        B, C = stage.dense
        right = np.nan_to_num(stage.rhs) + before @ B.T + w @ C.T
        activity = (stage.A @ done.T).T
        for row, column, state, factor in stage.head_numbers:
            activity[:, row] += factor * before[:, state] * done[:, column]
        size = np.maximum(np.abs(right), (abs(stage.A) @ np.abs(done.T)).T)
        low, high = stage.row_limits(right)
        note(stage.rows, np.maximum(low - activity, activity - high), size)
        outside = np.maximum(stage.lower - done, done - stage.upper)
        note(stage.columns, outside, done)
        for name, what in stage.unmet.items():
            share = np.abs(right[:, stage.row(what.row)])
            unmet[what.name] = unmet.get(what.name, np.zeros(n)) + np.maximum(
                done[:, stage.column(name)], 0.0
            )
            whole[what.name] = whole.get(what.name, np.zeros(n)) + share
    return Rollout(problem, paths, x, states, duals, cost, missed, unmet, whole, broken)

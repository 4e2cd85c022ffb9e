"""Windows: consecutive stages of one path as one linear program, with or without targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ..core.errors import ArgumentError
from .lp import LinearModel, Solved

if TYPE_CHECKING:
    from jaxtyping import Float

    from .stage import Stage


DENSE = 100_000
"""Entries up to which what the noise adds is kept as a dense array, which is faster."""


@dataclass(frozen=True)
class Penalty:
    """What missing a target costs: linear |s - target| + square |s - target|^2 in each state.

    Attributes:
        linear: Of a unit missed.
        square: Of a unit missed, squared.
        strict: True where targets must be met exactly; both costs are unused then.
    """

    linear: float = 0.0
    square: float = 0.0
    strict: bool = False


@dataclass(slots=True)
class Projected:
    """The solution of a window.

    Attributes:
        value: The minimum, the cost of missed targets included.
        x: Of each stage (n,) the columns.
        by_target: (W, k) derivative of the minimum in the targets (lambda).
        by_start: (k,) in the state before the window.
        by_noise: (W, d) in the noise.
        missed: (W, k) state minus target.
        rows: Of each stage (m,) the derivative in each row's right-hand side.
    """

    value: float
    x: list[Float[np.ndarray, " n"]]
    by_target: Float[np.ndarray, "W k"]
    by_start: Float[np.ndarray, " k"]
    by_noise: Float[np.ndarray, "W d"]
    missed: Float[np.ndarray, "W k"]
    rows: list[Float[np.ndarray, " m"]]


class Window:
    """The linear program of consecutive stages, kept by HiGHS between solves.

        minimise sum_t cost_t' x_t + C |delta_t|
        where    A_t x_t - B_t s_{t-1} (==, <=, >=) rhs_t + C_t w_t,   s_t + delta_t = target_t

    Args:
        stages: The stages.
        targets: Whether it has the target rows.
        penalty: What missing one costs.

    Attributes:
        model: What HiGHS keeps.
        below: (m,) whether a row has a least activity.
        above: (m,) whether it has a largest one.
        shift: (m,) what is added to the right-hand sides.
    """

    def __init__(
        self, stages: Sequence[Stage], targets: bool = False, penalty: Penalty | None = None
    ):
        self.stages, self.targets = list(stages), targets
        self.penalty = penalty or Penalty()
        self.k = k = len(stages[0].state)
        loose = 2 * k if targets and not self.penalty.strict else 0
        begin = np.cumsum([0, *(len(s.cost) + loose for s in stages)])
        rows = np.cumsum([0, *(len(s.rhs) for s in stages)])
        self.columns = [slice(a, a + len(s.cost)) for a, s in zip(begin, stages, strict=False)]
        self.rows = [slice(a, b) for a, b in pairwise(rows)]
        self.m, n = int(rows[-1]), int(begin[-1])
        self.states = np.array([a + s.states for a, s in zip(begin, stages, strict=False)])
        self.slack = np.empty((len(stages), 2, 0), dtype=int)
        if loose:
            ends = np.array([c.stop for c in self.columns])
            self.slack = ends[:, None, None] + np.arange(loose).reshape(2, k)
        pick = sparse.csr_array(
            (np.ones(self.states.size), (np.arange(self.states.size), self.states.ravel())),
            shape=(self.states.size, n),
        )
        A = self._balances(loose, pick)
        if targets:
            pick = pick + self._slack_signs(pick.shape)
            A = sparse.vstack([A, pick])
        cost, lower, upper = np.zeros(n), np.zeros(n), np.full(n, np.inf)
        for here, stage in zip(self.columns, stages, strict=True):
            cost[here], lower[here], upper[here] = stage.cost, stage.lower, stage.upper
        cost[self.slack.ravel()] = self.penalty.linear
        self.cost = cost
        zeros = np.zeros(A.shape[0])
        self.model = LinearModel(
            cost,
            lower,
            upper,
            sparse.csc_array(A),
            zeros,
            zeros,
            *self._names(n),
            self.squares() if self.penalty.square else None,
        )
        self._C = sparse.csr_array(sparse.block_diag([s.C for s in stages]))
        if np.prod(self._C.shape) <= DENSE:
            self._C = self._C.toarray()
        self._C_turned = self._C.T.copy()
        self._rhs = np.concatenate([np.nan_to_num(s.rhs) for s in stages])
        self.below = np.concatenate([s.below for s in stages])
        self.above = np.concatenate([s.above for s in stages])
        self.shift = np.zeros(self.m)

    def _balances(self, loose: int, pick: sparse.csr_array) -> sparse.csc_array:
        """Return the rows of the stages: each its own columns, less what the state before adds."""
        own = [sparse.hstack([s.A, sparse.csc_array((len(s.rhs), loose))]) for s in self.stages]
        k, A = self.k, sparse.block_diag(own).tocsr()
        before = [sparse.csr_array((self.rows[0].stop, pick.shape[1]))]
        before += [s.B @ pick[(t - 1) * k : t * k] for t, s in enumerate(self.stages) if t]
        return A - sparse.vstack(before).tocsr()

    def _slack_signs(self, shape: tuple[int, int]) -> sparse.csr_array:
        """Return what the columns of missed targets add to the target rows."""
        rows = np.arange(shape[0]).reshape(-1, self.k)
        if not self.slack.size:
            return sparse.csr_array(shape)
        at = np.concatenate([rows.ravel(), rows.ravel()])
        columns = np.concatenate([self.slack[:, 0].ravel(), self.slack[:, 1].ravel()])
        signs = np.repeat([1.0, -1.0], rows.size)
        return sparse.csr_array((signs, (at, columns)), shape=shape)

    def _names(self, n: int) -> tuple[list[str], list[str]]:
        """Return the names of columns and rows, for files."""
        names, rows = [""] * n, []
        for t, stage in enumerate(self.stages):
            end = f".{t + 1}" if len(self.stages) > 1 else ""
            names[self.columns[t]] = [c + end for c in stage.columns]
            for side, columns in zip(("short", "over"), self.slack[t], strict=True):
                for state, column in zip(stage.state, columns, strict=False):
                    names[column] = f"{side}.{state}{end}"
            rows += [r + end for r in stage.rows]
        for t, stage in enumerate(self.stages if self.targets else ()):
            end = f".{t + 1}" if len(self.stages) > 1 else ""
            rows += [f"target.{name}{end}" for name in stage.state]
        return [v.replace(" ", "_") for v in names], [v.replace(" ", "_") for v in rows]

    def squares(self) -> Float[np.ndarray, " n"]:
        """Return the costs of the columns' squares."""
        squares = np.zeros(len(self.cost))
        squares[self.slack.ravel()] = self.penalty.square
        return squares

    def set_penalty(self, penalty: Penalty) -> None:
        """Give missed targets another cost."""
        if penalty == self.penalty:
            return
        if penalty.strict != self.penalty.strict:
            raise ArgumentError(f"strict={penalty.strict}: a window keeps what it was made with")
        self.penalty = penalty
        at = self.slack.ravel()
        self.cost[at] = penalty.linear
        self.model.set_costs(at, self.cost[at])
        if penalty.square or self.model.square is not None:
            self.model.set_square(self.squares())

    def place(
        self,
        start: Float[np.ndarray, " k"],
        noise: Float[np.ndarray, "W d"],
        targets: Float[np.ndarray, "W k"] | None = None,
    ) -> None:
        """Write the right-hand sides of a path into the model.

        Args:
            start: The state before the window.
            noise: A row for each stage.
            targets: A row for each stage; None: without.
        """
        first, rows = self.stages[0], self.rows[0]
        right = self._C @ noise.ravel()
        right += self._rhs
        right += self.shift
        right[rows] += first.dense[0] @ start
        low = np.where(self.below, right, -np.inf)
        high = np.where(self.above, right, np.inf)
        if targets is not None:
            goal = targets.ravel()
            low, high = np.concatenate([low, goal]), np.concatenate([high, goal])
        for row, column, state, factor in first.head_numbers:
            value = float(first.A[row, column]) + factor * start[state]
            self.model.set_coefficient(row, self.columns[0].start + column, value)
        self.model.set_rows(low, high)

    def solve(
        self,
        start: Float[np.ndarray, " k"],
        noise: Float[np.ndarray, "W d"],
        targets: Float[np.ndarray, "W k"] | None = None,
    ) -> Projected:
        """Solve it for a path; see `place`. Raises NoSolution, Unbounded, SolverFailed."""
        self.place(start, noise, targets)
        return self.read(self.model.solve(), targets)

    def read(self, found: Solved, targets: Float[np.ndarray, "W k"] | None) -> Projected:
        """Return a solution by stages."""
        x = [found.x[columns] for columns in self.columns]
        first, rows = self.stages[0], found.dual[self.rows[0]]
        by_start = first.dense[0].T @ rows
        for row, column, state, factor in first.head_numbers:
            by_start[state] -= rows[row] * factor * x[0][column]
        return Projected(
            found.value,
            x,
            found.dual[self.m :].reshape(-1, self.k) if self.targets else np.zeros((0, self.k)),
            by_start,
            (self._C_turned @ found.dual[: self.m]).reshape(len(self.stages), -1),
            np.zeros((0, self.k)) if targets is None else found.x[self.states] - targets,
            [found.dual[r] for r in self.rows],
        )

    def jacobians(self, found: Projected) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of the last state: (k, W k) in the targets, (k, k) in the start.

        They come from the basis of the last solve; at a degenerate one they are those of one side.

        Args:
            found: What that solve returned.
        """
        columns, rows, basis = self.model.basis()
        at = {int(c): i for i, c in enumerate(columns)}
        pick = np.zeros((self.k, len(columns)))
        for i, c in enumerate(self.states[-1]):
            if int(c) in at:  # a state at a bound stays there
                pick[i, at[int(c)]] = 1.0
        full = np.zeros((self.k, self.model.A.shape[0]))
        full[:, rows] = np.linalg.solve(basis.T, pick.T).T
        first = full[:, self.rows[0]]
        by_start = first @ self.stages[0].dense[0]
        for row, column, state, factor in self.stages[0].head_numbers:
            by_start[:, state] -= first[:, row] * factor * found.x[0][column]
        return full[:, self.m :], by_start

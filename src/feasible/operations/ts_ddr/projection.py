"""Windows of stages as functions that torch can differentiate.

    Q(w; x_hat) = min sum_t c_t(x_t) + C |delta_t|,   x_t + delta_t = x_hat_t  : lambda_t

By the envelope theorem dQ / d x_hat_t = lambda_t, the dual of the target row as the derivative of
the minimum with respect to its right-hand side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..heads import successive
from ..lp import NoSolution, SolverFailed
from ..reach import Reach
from ..window import Penalty, Projected, Window

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..multistage import MultistageLP


@dataclass
class Programs:
    """The windows of a horizon, one after the other.

    Attributes:
        problem: Whose stages they are.
        lengths: Stages of each.
        penalty: What a missed target costs.
        solver: "highs" or "clarabel".
        failed: Solves that gave nothing; their paths are left out of a step.
    """

    problem: MultistageLP
    lengths: list[int]
    penalty: Penalty
    solver: str = "highs"
    failed: int = 0
    windows: list[Any] = field(default_factory=list)

    def begin(self, penalty: Penalty) -> None:
        """Set the penalty of a step, and forget what was solved before it."""
        self.penalty = penalty
        self.windows = []
        first = 0
        for length in self.lengths:
            if self.solver == "clarabel":
                from .cone import ConeWindow

                part = self.problem.stages[first : first + length]
                key = "cone", first, length
                window: Any = self.problem.cached(
                    key, partial(ConeWindow, Window(part, True, penalty))
                )
                window.set_penalty(penalty)
            else:
                window = self.problem.window(first, length, penalty, user="ts-ddr")
                window.model.forget()
            self.windows.append(window)
            first += length

    def solve(
        self,
        i: int,
        start: Float[np.ndarray, " k"],
        noise: Float[np.ndarray, "W d"],
        targets: Float[np.ndarray, "W k"],
    ) -> Projected | None:
        """Solve a window; None where it has no solution, which is counted."""
        try:
            if self.problem.convex:
                return self.windows[i].solve(start, noise, targets)
            return successive(self.windows[i], start, noise, targets)
        except (NoSolution, SolverFailed):
            self.failed += 1
            return None


class Project(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """(targets (S, W, k), start (S, k)) -> Q (S,), last state (S, k); NaN where a path failed."""

    @staticmethod
    def forward(ctx: Any, targets: Tensor, start: Tensor, noise: Any, programs: Any, i: int) -> Any:
        """Solve the window of each path."""
        S, W, k = targets.shape
        goal, begun = targets.detach().numpy(), start.detach().numpy()
        value, end = np.full(S, np.nan), begun.copy()
        by_target, by_start = np.zeros((S, W, k)), np.zeros((S, k))
        jacobians: list[Any] = [None] * S
        last = i + 1 == len(programs.windows)
        for s in range(S):
            found = programs.solve(i, begun[s], noise[s], goal[s])
            if found is None:
                continue
            value[s], by_target[s], by_start[s] = found.value, found.by_target, found.by_start
            end[s] = goal[s, -1] + found.missed[-1]
            if not last:
                jacobians[s] = programs.windows[i].jacobians(found)
        ctx.save_for_backward(torch.from_numpy(by_target), torch.from_numpy(by_start))
        ctx.jacobians = jacobians
        return torch.from_numpy(value), torch.from_numpy(end)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Chain lambda, the start's duals, and the last state's derivatives."""
        g_value, g_end = grads
        by_target, by_start = ctx.saved_tensors
        to_target = g_value[:, None, None] * by_target
        to_start = g_value[:, None] * by_start
        for s, pair in enumerate(ctx.jacobians):
            if pair is not None:
                in_targets, in_start = pair
                to_target[s] += (g_end[s] @ torch.from_numpy(in_targets)).view_as(to_target[s])
                to_start[s] += g_end[s] @ torch.from_numpy(in_start)
        return to_target, to_start, None, None, None


class Within(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """(shares (S, k), states before (S, k)) -> targets that a stage can reach (S, k)."""

    @staticmethod
    def forward(ctx: Any, shares: Tensor, before: Tensor, noise: Any, reach: Reach, t: int) -> Any:
        """Solve for the ends of what each path's stage can reach."""
        given, state = shares.detach().numpy(), before.detach().numpy()
        found = [
            reach.differentiated(t, w, s, g) for w, s, g in zip(noise, state, given, strict=True)
        ]
        ctx.save_for_backward(
            torch.from_numpy(np.array([f.by_share for f in found])),
            torch.from_numpy(np.array([f.by_state for f in found])),
        )
        return torch.from_numpy(np.array([f.target for f in found]))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Chain the derivatives of the ends."""
        by_share, by_state = ctx.saved_tensors
        g = grads[0][:, None, :]
        return (g @ by_share)[:, 0], (g @ by_state)[:, 0], None, None, None

"""Derivatives of a solved entropic transport, also second ones, by the implicit function theorem.

With K = (f + g - C) / reg and P = exp(K), the marginals P 1 = a and P' 1 = b say for any change

    [[diag(a), P], [P', diag(b)]] (df, dg) = reg (da, db) + (Q 1, Q' 1),   Q = P (dC + K dreg)

Of the value, the slopes are f + reg/2, g + reg/2, P and sum P K (envelope theorem).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from ..arrays import is_torch

if TYPE_CHECKING:
    from torch import Tensor

    from .problem import EntropicTransport, Potentials


class Solved(Protocol):
    """What is known of a solved problem: a `Coupling`.

    Attributes:
        problem: What was solved; its costs are without `offset`.
        exact: The potentials in double precision.
        offset: What all costs have in common.
    """

    problem: EntropicTransport
    exact: Potentials
    offset: float


class _Potentials(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """(f, g) of a, b, cost and reg; -inf where there is no mass."""

    @staticmethod
    def forward(ctx: Any, found: Solved, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Hand over what is solved."""
        ctx.found = found
        return torch.tensor(found.exact.f), torch.tensor(found.exact.g)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, of_f: Tensor, of_g: Tensor) -> tuple[Any, ...]:
        """Solve the transposed system, its second block first."""
        problem, exact = ctx.found.problem, ctx.found.exact
        at = np.ix_(np.isfinite(exact.f), np.isfinite(exact.g))
        exponents = ((exact.f[:, None] + exact.g - problem.cost) / problem.reg)[
            np.isfinite(exact.f)
        ][:, np.isfinite(exact.g)]
        plan = np.exp(exponents)
        r, s = of_f.numpy()[np.isfinite(exact.f)], of_g.numpy()[np.isfinite(exact.g)]
        r = r + (s.sum() - r.sum()) / len(r)  # f keeps its mean
        rows, columns = plan.sum(1), plan.sum(0)
        schur = np.diag(columns) - plan.T @ (plan / rows[:, None]) + columns.mean() / len(columns)
        y = np.linalg.solve(schur, s - plan.T @ (r / rows))
        x = (r - plan @ y) / rows
        of_a, of_b = np.zeros(len(exact.f)), np.zeros(len(exact.g))
        of_a[np.isfinite(exact.f)], of_b[np.isfinite(exact.g)] = problem.reg * x, problem.reg * y
        inner = plan * (x[:, None] + y)
        of_cost = np.zeros(problem.shape)
        of_cost[at] = inner
        of_reg = float((inner * np.where(plan > 0, exponents, 0.0)).sum())
        return (
            None,
            *(torch.tensor(v, dtype=torch.float64) for v in (of_a, of_b, of_cost, of_reg)),
        )


def _logs(found: Solved, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(f, g, log P), as functions of what was given."""
    _, _, cost, reg = given
    f, g = _Potentials.apply(found, *given)
    return f, g, (f[:, None] + g - (cost - found.offset)) / reg


class _Value(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """The value of a, b, cost and reg."""

    @staticmethod
    def forward(ctx: Any, found: Solved, value: float, *given: Tensor) -> Tensor:
        """The value is known."""
        ctx.found = found
        ctx.save_for_backward(*given)
        return torch.tensor(value, dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """The slopes, which are differentiable again."""
        found, (a, b, cost, reg) = ctx.found, ctx.saved_tensors
        f, g, logs = _logs(found, a, b, cost, reg)
        plan = logs.exp()
        free = cost - found.offset
        # without mass: the price of a first unit
        if not (a > 0).all():
            f = torch.where(a > 0, f, -reg * torch.logsumexp((g - free) / reg, 1))
        if not (b > 0).all():
            g = torch.where(b > 0, g, -reg * torch.logsumexp((f[:, None] - free) / reg, 0))
        slopes: list[Any] = [f + found.offset + reg / 2, g + reg / 2, plan, None]
        if ctx.needs_input_grad[5]:
            slopes[3] = (plan * torch.where(plan > 0, logs, 0.0)).sum()
        return None, None, *(None if slope is None else grad * slope for slope in slopes)


class _Linear(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """sum P C of a, b, cost and reg."""

    @staticmethod
    def forward(ctx: Any, found: Solved, linear: float, *given: Tensor) -> Tensor:
        """The sum is known."""
        ctx.found = found
        ctx.save_for_backward(*given)
        return torch.tensor(linear, dtype=torch.float64)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Differentiate the sum as a function of the plan; a second time raises."""
        given, again = ctx.saved_tensors, torch.is_grad_enabled()
        needed = ctx.needs_input_grad[2:]
        with torch.enable_grad():  # type: ignore[no-untyped-call, unused-ignore]
            if not again:
                given = [x.detach().requires_grad_(n) for x, n in zip(given, needed, strict=True)]
            cost = torch.where(torch.isfinite(given[2]), given[2], 0.0)
            total = (plan_of(ctx.found, tuple(given)) * cost).sum()
            wanted = [x for x, n in zip(given, needed, strict=True) if n]
            found = iter(torch.autograd.grad(total, wanted, grad, create_graph=again))
        return None, None, *(next(found) if n else None for n in needed)


def given_to(found: Solved, a: Any, b: Any, cost: Any, share: float | None) -> tuple[Any, ...]:
    """a, b, cost and reg as tensors in double precision on the CPU, through which gradients flow.

    Args:
        found: What was solved.
        a: As given by the user.
        b: As given by the user.
        cost: As given by the user.
        share: reg over the largest cost, where it is relative.
    """
    problem = found.problem
    masses, other, costs = (
        x.cpu().double() if is_torch(x) else torch.tensor(own)
        for x, own in ((a, problem.a), (b, problem.b), (cost, problem.cost))
    )
    if not is_torch(cost):
        costs += found.offset
    reg = torch.tensor(problem.reg, dtype=torch.float64)
    if share is not None:
        reg = share * costs[torch.isfinite(costs)].abs().max()
    return masses, other, costs, reg


def differentiable(found: Solved, value: float, given: tuple[Any, ...]) -> Tensor:
    """The value as a tensor with first and second derivatives."""
    return _Value.apply(found, value, *given)


def linear(found: Solved, total: float, given: tuple[Any, ...]) -> Tensor:
    """sum P C as a tensor with a derivative."""
    return _Linear.apply(found, total, *given)


def plan_of(found: Solved, given: tuple[Any, ...]) -> Tensor:
    """The plan as a tensor with a derivative."""
    return _logs(found, *given)[2].exp()

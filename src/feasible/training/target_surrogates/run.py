"""Methods for a `TargetProblem`: target surrogates, and what spends one gradient of the loss for
each step of the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ...core.checks import real
from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from ...core.run import active_run
from ..optimizer import number
from ..problem import Batches
from ..trained import Trained
from .inner_solvers import GD, ArmijoGD
from .problem import TargetProblem
from .sso import SCHEDULES, TargetSurrogate, schedule_factor

PARAMETRIC = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad}


@dataclass(slots=True)
class State:
    """Where training stands.  s: of the line search in the weights.  lr: before the schedule."""

    model: nn.Module
    optimizer: Any
    batches: Batches
    loss: float = math.nan
    s: float = 0.0
    lr: float = 0.0
    steps: int = 0


def horizon() -> int:
    """Steps that the exponential schedule plans for: the gradients or steps of the active run's
    budget, or 1,000.
    """
    run = active_run.get()
    limits = {} if run is None else run.budget
    return int(min((limits[r] for r in ("gradients", "steps") if r in limits), default=1000))


@dataclass(frozen=True)
class SSO(Method):
    """Stochastic surrogate optimisation (Lavington et al., ICML 2023); the settings are those of
    `TargetSurrogate`.

    eta: step in the target space, as a multiple of 1/L; "linesearch" finds it.  inner_lr: plain
      gradient steps of this length instead of `inner`.
    """

    solves: ClassVar[type[Problem]] = TargetProblem
    name: ClassVar[str] = "sso"

    eta: float | str = 1.0
    m: int = 10
    inner: str = "armijo"
    inner_lr: float | None = None
    schedule: str = "constant"
    metric: str = "euclidean"
    proximity: str = "batch"

    def __post_init__(self) -> None:
        self._optimizer([nn.Parameter(torch.zeros(1))], 1, 1, 1.0)

    def _optimizer(
        self, parameters: Any, points: int, steps: int, smooth: float
    ) -> TargetSurrogate:
        eta = self.eta if isinstance(self.eta, str) else real("eta", self.eta, above=0) / smooth
        inner = self.inner if self.inner_lr is None else GD(self.inner_lr)
        return TargetSurrogate(
            parameters,
            eta,
            self.m,
            inner,
            schedule=self.schedule,
            total_steps=steps,
            metric=self.metric,
            points=points,
            proximity=self.proximity,
        )

    def init(self, problem: TargetProblem, rng: np.random.Generator) -> State:
        """A new model."""
        model, batches = problem.begin(rng)
        return State(
            model,
            self._optimizer(model.named_parameters(), len(problem.data), horizon(), problem.smooth),
            batches,
        )

    def step(self, problem: TargetProblem, state: State) -> State:
        """One gradient of the loss, and the inner steps that it buys."""
        rows = problem.rows(state.batches)
        seen = None if self.proximity == "full" else rows
        info = state.optimizer.step(
            lambda: problem.outputs(state.model, seen),
            loss=lambda z: problem.target_loss(z, rows),
            rows=rows,
        )
        state.loss, state.steps = float(info.loss) / len(rows), state.steps + 1
        return state

    def answer(self, problem: TargetProblem, state: State) -> Trained:
        """The weights."""
        return Trained.of(state.model)


@dataclass(frozen=True)
class Parametric(Method):
    """One gradient of the loss for one step in the weights: torch's optimisers, gradient descent
    with 1/(L lambda), or with Armijo's rule (SLS).

    optimizer: "sgd", "adam", "adagrad", "armijo", or "gd" with lr as a multiple of one over the
      smoothness of h, for models linear in their weights.
    schedule: of lr, as in `SSO`.
    """

    solves: ClassVar[type[Problem]] = TargetProblem
    name: ClassVar[str] = "parametric"

    optimizer: str = "sgd"
    lr: float = 0.1
    schedule: str = "constant"

    def __post_init__(self) -> None:
        if self.optimizer not in (*PARAMETRIC, "gd", "armijo"):
            raise ArgumentError(
                f"optimizer={self.optimizer!r}: expected "
                f"{', '.join(repr(n) for n in (*PARAMETRIC, 'gd', 'armijo'))}"
            )
        if self.schedule not in SCHEDULES:
            raise ArgumentError(
                f"schedule={self.schedule!r}: expected {', '.join(repr(n) for n in SCHEDULES)}"
            )
        number("lr", self.lr, above=0)

    def init(self, problem: TargetProblem, rng: np.random.Generator) -> State:
        """A new model."""
        model, batches = problem.begin(rng)
        lr = self.lr
        if self.optimizer == "gd":
            if not isinstance(model, nn.Linear):
                raise ArgumentError(
                    f"optimizer='gd': the model is a {type(model).__name__}, expected a "
                    "torch.nn.Linear; take 'sgd' with a rate"
                )
            x = problem.data.inputs.double()
            x = x if model.bias is None else torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
            lr = self.lr / (problem.smooth * float(torch.linalg.eigvalsh(x.T @ x / len(x))[-1]))
        made = PARAMETRIC.get(self.optimizer, torch.optim.SGD)(model.parameters(), lr=lr)
        return State(model, made, batches, s=ArmijoGD.first, lr=lr)

    def step(self, problem: TargetProblem, state: State) -> State:
        """One gradient, one step."""
        rows = problem.rows(state.batches)
        state.optimizer.zero_grad()
        loss = problem.target_loss(problem.outputs(state.model, rows), rows) / len(rows)
        loss.backward()
        state.loss, state.steps = float(loss.detach()), state.steps + 1
        if self.optimizer != "armijo":
            state.optimizer.param_groups[0]["lr"] = state.lr * schedule_factor(
                self.schedule, state.steps, horizon()
            )
            state.optimizer.step()
            return state
        params = list(state.model.parameters())
        before, slope = [p.detach().clone() for p in params], [p.grad for p in params]
        squared, rule = sum(float(g.square().sum()) for g in slope), ArmijoGD()
        state.s *= rule.expand if state.steps > 1 else 1.0
        with torch.no_grad():
            for _ in range(rule.tries):
                torch._foreach_copy_(params, before)
                torch._foreach_add_(params, slope, alpha=-state.s)
                if (
                    float(problem.target_loss(problem.outputs(state.model, rows), rows)) / len(rows)
                    <= state.loss - rule.c * state.s * squared
                ):
                    break
                state.s *= rule.beta
            else:
                torch._foreach_copy_(params, before)
        return state

    def answer(self, problem: TargetProblem, state: State) -> Trained:
        """The weights."""
        return Trained.of(state.model)

    def done(self, problem: TargetProblem, state: State) -> str | None:
        """Where the loss is no longer finite."""
        return (
            None
            if not state.steps or math.isfinite(state.loss)
            else f"the loss is {state.loss:g} after {state.steps} steps: try a smaller lr"
        )

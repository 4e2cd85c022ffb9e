"""Methods for a `TargetProblem`: target surrogates, and what spends one gradient of the loss for
each step of the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ...core.checks import one_of, real
from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from ...core.run import active_run
from ..optimizer import number
from ..problem import Batches
from ..trained import Trained
from .inner_solvers import GD, ArmijoGD
from .problem import TargetProblem
from .sso import SCHEDULES, SurrogateSettings, TargetSurrogate, schedule_factor

PARAMETRIC = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adagrad": torch.optim.Adagrad}


@dataclass(slots=True)
class TargetState:
    """Where training stands.

    Attributes:
        model: The network.
        optimizer: A `TargetSurrogate`, or a torch optimiser.
        batches: Where in the data the next batch is.
        loss: Training loss of the last step, NaN before the first.
        s: Step of the line search in the weights.
        lr: Rate before the schedule.
        steps: Steps made.
    """

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
class SSO(SurrogateSettings, Method):
    """Stochastic surrogate optimisation, with the settings of `SurrogateSettings.expensive`.

    Minimises h(w) = (1/N) sum_i l_i(f_i(w)); each gradient of the loss in the outputs f pays for m
    steps of the weights w.

    Attributes:
        eta: Step in the target space, as a multiple of 1/L; "linesearch" finds it.
        inner_lr: Plain gradient steps of this length, > 0, instead of `inner`.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.

    References:
        Lavington et al., arXiv 2302.02607.
    """

    solves: ClassVar[type[Problem]] = TargetProblem
    name: ClassVar[str] = "sso"

    m: int = SurrogateSettings.expensive().m
    inner_lr: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner_lr is not None:
            real("inner_lr", self.inner_lr, above=0, note=", or None")

    def _optimizer(
        self, parameters: Any, points: int, steps: int, smooth: float
    ) -> TargetSurrogate:
        """The native form, for a loss of this smoothness."""
        mine = {f.name: getattr(self, f.name) for f in fields(SurrogateSettings)}
        if not isinstance(self.eta, str):
            mine["eta"] = self.eta / smooth
        if self.inner_lr is not None:
            mine["inner"] = GD(self.inner_lr)
        return TargetSurrogate(parameters, **mine, total_steps=steps, points=points)

    def init(self, problem: TargetProblem, rng: np.random.Generator) -> TargetState:
        """A new model."""
        model, batches = problem.begin(rng)
        return TargetState(
            model,
            self._optimizer(model.named_parameters(), len(problem.data), horizon(), problem.smooth),
            batches,
        )

    def step(self, problem: TargetProblem, state: TargetState) -> TargetState:
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

    def answer(self, problem: TargetProblem, state: TargetState) -> Trained:
        """The weights."""
        return Trained.of(state.model)


@dataclass(frozen=True)
class Parametric(Method):
    """One gradient of the loss for one step in the weights: torch's optimisers, gradient descent
    with 1/(L lambda), or with Armijo's rule (SLS).

    Attributes:
        optimizer: "sgd", "adam", "adagrad", "armijo", or "gd" with lr as a multiple of one over the
            smoothness of h, for models linear in their weights.
        lr: Rate, > 0.
        schedule: Of lr, as in `SSO`.
    """

    solves: ClassVar[type[Problem]] = TargetProblem
    name: ClassVar[str] = "parametric"

    optimizer: str = "sgd"
    lr: float = 0.1
    schedule: str = "constant"

    def __post_init__(self) -> None:
        one_of("optimizer", self.optimizer, (*PARAMETRIC, "gd", "armijo"))
        one_of("schedule", self.schedule, SCHEDULES)
        number("lr", self.lr, above=0)

    def init(self, problem: TargetProblem, rng: np.random.Generator) -> TargetState:
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
        return TargetState(model, made, batches, s=ArmijoGD.first, lr=lr)

    def step(self, problem: TargetProblem, state: TargetState) -> TargetState:
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

    def answer(self, problem: TargetProblem, state: TargetState) -> Trained:
        """The weights."""
        return Trained.of(state.model)

    def done(self, problem: TargetProblem, state: TargetState) -> str | None:
        """Where the loss is no longer finite."""
        return (
            None
            if not state.steps or math.isfinite(state.loss)
            else f"the loss is {state.loss:g} after {state.steps} steps: try a smaller lr"
        )

"""A recipe: an optimiser and a schedule, by name. The run wraps the native classes; any
optimiser and schedule of this room may be combined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ..core.checks import real
from ..core.extras import check_module
from ..core.problem import Method, Problem
from ..core.registry import split_settings
from .parts import OPTIMIZERS, SCHEDULES, chosen, configured
from .problem import Batches, TrainingProblem
from .trained import Trained

CHECKS = 20
"""How often a run measures the held-out loss for a schedule that steers by it."""


@dataclass(slots=True)
class RecipeState:
    """Where training stands.

    Attributes:
        model: The network, with the weights that are trained.
        optimizer: A torch optimiser of its parameters.
        scheduler: The schedule of its rate.
        batches: Where in the data the next batch is.
        loss: Training loss of the last step, NaN before the first.
        steps: Steps made.
        checked: Held-out loss that a steered schedule was told last.
    """

    model: nn.Module
    optimizer: Any
    scheduler: Any
    batches: Batches
    loss: float = math.nan
    steps: int = 0
    checked: float = math.inf


@dataclass(frozen=True)
class Recipe(Method):
    """Train with an optimiser and a schedule, both by name, for the steps of the budget.

    Minimises the mean loss over the training data, from a new model, by steps on batches; the
    schedule plans for the steps of the budget (see `TrainingProblem.horizon`), and when these are
    made the run is done.

    Attributes:
        optimizer: Name in `parts.OPTIMIZERS`, with settings as in ``"sgd[momentum=0.95]"``.
        schedule: Name in `parts.SCHEDULES`, with settings as in ``"uba[phi=5]"``.
        lr: Peak rate, > 0; None for the optimiser's usual.
        warmup: Share of the steps in which the rate rises, in [0, 1), for schedules that take
            ``warmup_steps``.
        weight_decay: >= 0; None for the optimiser's own.

    Raises:
        UnknownName: No optimiser or schedule has this name.
        ArgumentError: A number out of its range.

    Examples:
        >>> import feasible
        >>> recipe = Recipe("sgd[momentum=0.95,nesterov=true]", "uba[phi=5]", lr=0.1)
        >>> feasible.solve("moons-mlp", recipe, budget="steps=50").steps
        50
    """

    solves: ClassVar[type[Problem]] = TrainingProblem
    name: ClassVar[str] = "recipe"

    optimizer: str = "adamw"
    schedule: str = "cosine"
    lr: float | None = None
    warmup: float = 0.0
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        chosen(self.optimizer, OPTIMIZERS, "optimizer")
        chosen(self.schedule, SCHEDULES, "schedule")
        if self.lr is not None:
            real("lr", self.lr, above=0)
        real("warmup", self.warmup, least=0, below=1)
        if self.weight_decay is not None:
            real("weight_decay", self.weight_decay, least=0)

    def check_installed(self) -> None:
        """Raise MissingExtra where the optimiser or the schedule needs a package that is not
        installed.
        """
        super().check_installed()
        for text, known, what in (
            (self.optimizer, OPTIMIZERS, "optimizer"),
            (self.schedule, SCHEDULES, "schedule"),
        ):
            part, _ = chosen(text, known, what)
            if part.package:
                check_module(part.package, f"{what} '{part.name}'")

    @property
    def rate(self) -> float:
        """The peak rate."""
        optimizer, _ = chosen(self.optimizer, OPTIMIZERS, "optimizer")
        return float(optimizer.settings["lr"] if self.lr is None else self.lr)

    def optimiser(self, parameters: Any) -> Any:
        """The optimiser for these parameters.

        Args:
            parameters: What a torch optimiser takes: tensors, or groups of them.

        Raises:
            ArgumentError: A setting in brackets that the optimiser does not have.
        """
        optimizer, settings = chosen(self.optimizer, OPTIMIZERS, "optimizer")
        if self.weight_decay is not None:
            settings = {"weight_decay": self.weight_decay, **settings}
        return configured(
            optimizer, f"optimizer={self.optimizer!r}", parameters, **{"lr": self.rate, **settings}
        )

    def tools(self, parameters: Any, steps: int) -> tuple[Any, Any]:
        """The optimiser and the scheduler for these parameters.

        Args:
            parameters: What a torch optimiser takes: tensors, or groups of them.
            steps: Steps that the schedule plans for.

        Returns:
            The optimiser, and the scheduler that sets its rate.

        Raises:
            ArgumentError: A setting in brackets that the optimiser or schedule does not have.
        """
        made = self.optimiser(parameters)
        schedule, settings = chosen(self.schedule, SCHEDULES, "schedule")
        if self.warmup:
            settings = {"warmup_steps": round(self.warmup * steps), **settings}
        return made, configured(
            schedule, f"schedule={self.schedule!r}", made, total_steps=steps, **settings
        )

    def init(self, problem: TrainingProblem, rng: np.random.Generator) -> RecipeState:
        """A new model, optimiser and schedule."""
        model, batches = problem.begin(rng)
        optimizer, scheduler = self.tools(model.parameters(), problem.horizon())
        return RecipeState(model, optimizer, scheduler, batches)

    def step(self, problem: TrainingProblem, state: RecipeState) -> RecipeState:
        """One step of the optimiser, then of the schedule."""
        loss = problem.gradient(state.model, problem.batch(state.batches))
        if OPTIMIZERS[split_settings(self.optimizer)[0]].needs_loss:
            state.optimizer.step(loss=loss)
        else:
            state.optimizer.step()
        state.steps += 1
        if not SCHEDULES[split_settings(self.schedule)[0]].steered:
            state.scheduler.step()
        elif state.steps % max(1, problem.horizon() // CHECKS) == 0:
            state.checked = problem.held_out(state.model)
            state.scheduler.step(state.checked)
        state.loss = float(loss)
        return state

    def answer(self, problem: TrainingProblem, state: RecipeState) -> Trained:
        """The weights; where the optimiser keeps a point for evaluation beside the one it trains,
        those.
        """
        return evaluation_point(state.model, state.optimizer)

    def done(self, problem: TrainingProblem, state: RecipeState) -> str | None:
        """After the steps that the schedule planned for, or where the loss is no longer finite."""
        if state.steps and not math.isfinite(state.loss):
            return f"the loss is {state.loss:g} after {state.steps} steps: a smaller lr may help"
        return (
            f"the {state.steps} steps of the schedule are over"
            if state.steps >= problem.horizon()
            else None
        )


@contextmanager
def at_evaluation_point(model: nn.Module, optimizer: Any) -> Iterator[None]:
    """Inside, the model has the weights to evaluate: schedule-free optimisers and averages switch
    to them by `eval()`. After, bit for bit its own.

    Args:
        model: The network.
        optimizer: Its optimiser, with or without `eval` and `train`.
    """
    to, back = (getattr(optimizer, name, None) for name in ("eval", "train"))
    if not (callable(to) and callable(back)):
        yield
        return
    held = [p.detach().clone() for p in model.parameters()]
    to()
    try:
        yield
    finally:
        back()  # schedulefree computes its way back, and is off by rounding
        with torch.no_grad():
            for p, value in zip(model.parameters(), held, strict=True):
                p.copy_(value)


def evaluation_point(model: nn.Module, optimizer: Any) -> Trained:
    """The weights to evaluate."""
    with at_evaluation_point(model, optimizer):
        return Trained.of(model)


def curves(recipe: Recipe, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Rates and momenta at each step, found by stepping the schedule without a model.

    A schedule that steers by the held-out loss stays where it starts.

    Args:
        recipe: The recipe.
        steps: T, steps of the run.

    Returns:
        (T,) rates and (T,) momenta (Adam's first beta).
    """
    steered = SCHEDULES[split_settings(recipe.schedule)[0]].steered
    optimizer, scheduler = recipe.tools([nn.Parameter(torch.zeros(1))], steps)
    found = np.zeros((2, steps))
    for t in range(steps):
        group = optimizer.param_groups[0]
        found[:, t] = (
            group["lr"],
            group["betas"][0] if "betas" in group else group.get("momentum", 0.0),
        )
        optimizer.step()
        if not steered:
            scheduler.step()
    return found[0], found[1]

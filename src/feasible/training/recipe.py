"""A recipe: an optimiser and a schedule, by name. The run wraps the native classes; any optimiser
and schedule of this room may be combined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ..core.errors import ArgumentError, ArgumentTypeError, UnknownName, is_number, nearest
from ..core.problem import Method, Problem
from ..core.registry import resolve_target, split_settings
from .problem import Batches, TrainingProblem
from .trained import Trained

CHECKS = 20
"""How often a run measures the held-out loss for a schedule that steers by it."""


@dataclass(frozen=True)
class Choice:
    """A named optimiser or schedule.

    target: "module:attribute", called as (parameters, lr=..., **settings) or (optimizer,
      total_steps=..., **settings).
    lr: the rate where none is given.  loss: `step(loss=...)` is called.  metric: a schedule's
      `step(metric)`, with the held-out loss.
    """

    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    lr: float = 1e-3
    loss: bool = False
    metric: bool = False

    def build(self, *args: Any, **kwargs: Any) -> Any:
        """Call the target with the default settings, and those given."""
        return resolve_target(
            self.target if not self.target.startswith(".") else f"feasible.training{self.target}"
        )(*args, **{**self.settings, **kwargs})


OPTIMIZERS: dict[str, Choice] = {
    "sgd": Choice("torch.optim:SGD", {"momentum": 0.9}, 0.1),
    "adam": Choice("torch.optim:Adam", {}, 1e-2),
    "adamw": Choice("torch.optim:AdamW", {}, 1e-2),
    "nadamw": Choice(".nadamw:NAdamW", {}, 3e-3),
    "lion": Choice(".lion_k:LionK", {"weight_decay": 1.0}, 1e-3),
    "lion-pytorch": Choice("lion_pytorch:Lion", {"weight_decay": 1.0}, 1e-3),
    "pytorch-optimizer-lion": Choice("pytorch_optimizer:Lion", {"weight_decay": 1.0}, 1e-3),
    **{
        name: Choice(f".learning_rate_free:{target}", {}, 1.0)
        for name, target in (
            ("prodigy", "Prodigy"),
            ("dadapt-adam", "DAdaptAdam"),
            ("dadapt-sgd", "DAdaptSGD"),
            ("cocob", "COCOB"),
            ("dog", "averaged_dog"),
            ("ldog", "averaged_ldog"),
            ("dowg", "averaged_dowg"),
            ("mechanic-adamw", "mechanic_adamw"),
            ("mechanic-sgd", "mechanic_sgd"),
        )
    },
    "mfac": Choice(".mfac:MFAC", {}, 1e-3),
    "momo": Choice(".momo:MoMo", {}, 1.0, loss=True),
    "momo-adam": Choice(".momo:MoMoAdam", {}, 1e-2, loss=True),
    "schedulefree-adamw": Choice(".peers:schedule_free_adamw", {}, 2.5e-3),
}
SCHEDULES: dict[str, Choice] = {
    "constant": Choice(".torch_schedules:constant"),
    "torch-cosine": Choice(".torch_schedules:cosine"),
    "torch-linear": Choice(".torch_schedules:linear"),
    "torch-step": Choice(".torch_schedules:step"),
    "torch-halved": Choice(".torch_schedules:halved"),
    "torch-exponential": Choice(".torch_schedules:exponential"),
    "torch-onecycle": Choice(".torch_schedules:onecycle"),
    "torch-plateau": Choice(".torch_schedules:plateau", metric=True),
    "linear": Choice(".refined:LinearDecay"),
    "rex": Choice(".rex:REX"),
    "uba": Choice(".uba:UBA"),
    **{
        name: Choice(".schedule:ProfileLR", {"profile": name})
        for name in ("cosine", "step", "exponential")
    },
    "onecycle": Choice(".baselines:OneCycle"),
    "inverse-sqrt": Choice(".baselines:InverseSqrt"),
    "plateau": Choice(".baselines:Plateau", metric=True),
    "pytorch-optimizer-rex": Choice(".peers:rex"),
    "warmup-cosine": Choice(".calibration:warmup_cosine"),
}


def chosen(name: str, known: Mapping[str, Choice], what: str) -> tuple[Choice, dict[str, Any]]:
    """The entry and settings of "sgd[momentum=0.5]". Raises UnknownName."""
    base, settings = split_settings(name)
    if base not in known:
        raise UnknownName(f"{what}='{base}': {nearest(base, known)}")
    if "beta1" in settings or "beta2" in settings:
        settings["betas"] = (settings.pop("beta1", 0.9), settings.pop("beta2", 0.999))
    return known[base], settings


def configured(choice: Choice, what: str, *args: Any, **settings: Any) -> Any:
    """The optimiser or schedule; a setting that it does not have is an ArgumentError."""
    try:
        return choice.build(*args, **settings)
    except TypeError as error:
        raise ArgumentError(f"{what}: {error}") from error


@dataclass(slots=True)
class State:
    """Where training stands.  checked: held-out loss that the schedule was told last."""

    model: nn.Module
    optimizer: Any
    scheduler: Any
    batches: Batches
    loss: float = math.nan
    steps: int = 0
    checked: float = math.inf


@dataclass(frozen=True)
class Recipe(Method):
    """Train with an optimiser and a schedule, both by name, with settings as "sgd[momentum=0.95]"
    and "uba[phi=5]".

    lr: peak rate; None: the optimiser's usual.  warmup: share of the steps in which the rate rises,
      for schedules that take `warmup_steps`.
    weight_decay: None: the optimiser's own. The schedule plans for the steps of the budget (see
      `TrainingProblem.horizon`); then the run is done.
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
        for name, value, low, high in (
            ("lr", self.lr, 0.0, math.inf),
            ("warmup", self.warmup, -1e-300, 1.0),
            ("weight_decay", self.weight_decay, -1e-300, math.inf),
        ):
            if value is None:
                continue
            if not is_number(value):
                raise ArgumentTypeError(f"{name}: got {type(value).__name__}, expected a number")
            if not low < value < high:
                raise ArgumentError(
                    f"{name}={value:g}: expected a number {'> 0' if low == 0 else '>= 0'}"
                    f"{' and < 1' if high == 1 else ', finite'}"
                )

    @property
    def rate(self) -> float:
        """The peak rate."""
        return (
            chosen(self.optimizer, OPTIMIZERS, "optimizer")[0].lr
            if self.lr is None
            else float(self.lr)
        )

    def tools(self, parameters: Any, steps: int) -> tuple[Any, Any]:
        """The optimiser and the scheduler for these parameters."""
        optimizer, settings = chosen(self.optimizer, OPTIMIZERS, "optimizer")
        if self.weight_decay is not None:
            settings = {"weight_decay": self.weight_decay, **settings}
        made = configured(
            optimizer, f"optimizer={self.optimizer!r}", parameters, **{"lr": self.rate, **settings}
        )
        schedule, settings = chosen(self.schedule, SCHEDULES, "schedule")
        if self.warmup:
            settings = {"warmup_steps": round(self.warmup * steps), **settings}
        return made, configured(
            schedule, f"schedule={self.schedule!r}", made, total_steps=steps, **settings
        )

    def init(self, problem: TrainingProblem, rng: np.random.Generator) -> State:
        """A new model, optimiser and schedule."""
        model, batches = problem.begin(rng)
        optimizer, scheduler = self.tools(model.parameters(), problem.horizon())
        return State(model, optimizer, scheduler, batches)

    def step(self, problem: TrainingProblem, state: State) -> State:
        """One step of the optimiser, then of the schedule."""
        loss = problem.gradient(state.model, problem.batch(state.batches))
        if OPTIMIZERS[split_settings(self.optimizer)[0]].loss:
            state.optimizer.step(loss=loss)
        else:
            state.optimizer.step()
        state.steps += 1
        if not SCHEDULES[split_settings(self.schedule)[0]].metric:
            state.scheduler.step()
        elif state.steps % max(1, problem.horizon() // CHECKS) == 0:
            state.checked = problem.held_out(state.model)
            state.scheduler.step(state.checked)
        state.loss = float(loss)
        return state

    def answer(self, problem: TrainingProblem, state: State) -> Trained:
        """The weights; where the optimiser keeps a point for evaluation beside the one it trains,
        those.
        """
        return evaluation_point(state.model, state.optimizer)

    def done(self, problem: TrainingProblem, state: State) -> str | None:
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
    """(steps,) rates and (steps,) momenta (Adam's first beta) at each step, found by stepping the
    schedule without a model.

    A schedule that steers by the held-out loss stays where it starts.
    """
    steered = SCHEDULES[split_settings(recipe.schedule)[0]].metric
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

"""HESSO and HESSO-CRIC as methods of a run: channels shrink to zero, then are cut out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ...core.checks import real, whole
from ...core.errors import ArgumentError, LimitError
from ...core.problem import Problem
from ..optimizer import number
from ..parts import SCHEDULES, chosen
from ..problem import TrainingProblem
from ..pruning import Pruned, TrainedWithPruning, scheduled
from ..trained import PLAN, Trained
from .cric import HESSOCRIC
from .find import find_zero_invariant_groups
from .groups import Groups
from .hesso import HESSO, SIGNS, VARIANTS, HESSOSettings
from .saliency import CRITERIA
from .subnet import construct_subnet

SHORT = HESSOSettings.short()


def most_allowed(problem: TrainingProblem, method: str) -> dict[str, float]:
    """Upper limits on parameters and macs.

    Args:
        problem: The problem with its limits.
        method: Its name, for the error.

    Raises:
        LimitError: A limit that cutting channels does not serve.
    """
    for q in problem.limits.limits:
        if q.name == "sparsity":
            raise LimitError(
                f"limit on 'sparsity': {method} cuts channels and leaves no zeros; take "
                "obs-pruning, or limit 'parameters' or 'macs'"
            )
    return {q.name: q.high for q in problem.limits.limits if math.isfinite(q.high)}


@dataclass(frozen=True)
class GroupPruning(TrainedWithPruning):
    """Train a network and cut channels in one run.

    Attributes:
        variant: "adam", "adamw" or "sgd".
        lr: Peak rate.
        schedule: Any of `parts.SCHEDULES` that takes no metric.
        group_sparsity: Share of the groups to cut; None: what the problem's limits on parameters
            and macs need, and half where it has none.
        warmup: Share of the steps before pruning.
        pruning: Share of the steps in pruning.
        periods: P, >= 1.
        corrective: HESSO-CRIC.
        sampling: Most of the steps that its cycles take, as a share.
        one_shot: Cut at once after `warmup`, without shrinking.
        criterion: "all" or one of `saliency.CRITERIA`.
        cosine_sign: "descent" or "official", see `HESSO`.
        divisible: Layers keep a multiple of it.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.

    References:
        T. Chen et al., arXiv 2409.09085.
    """

    solves: ClassVar[type[Problem]] = TrainingProblem
    name: ClassVar[str] = "hesso"

    variant: str = SHORT.variant
    lr: float = SHORT.lr
    schedule: str = "linear"
    group_sparsity: float | None = None
    warmup: float = 0.1
    pruning: float = 0.5
    periods: int = SHORT.pruning_periods
    corrective: bool = False
    sampling: float = 0.2
    one_shot: bool = False
    criterion: str = "all"
    cosine_sign: str = SHORT.cosine_sign
    divisible: int = SHORT.group_divisible

    def __post_init__(self) -> None:
        number("lr", self.lr, least=0)
        for name in ("warmup", "pruning", "sampling"):
            real(name, getattr(self, name), least=0, most=1)
        if self.group_sparsity is not None:
            real("group_sparsity", self.group_sparsity, least=0, below=1, note=", or None")
        whole("periods", self.periods, least=1)
        whole("divisible", self.divisible, least=1)
        chosen(self.schedule, SCHEDULES, "schedule")
        for name, value, known in (
            ("variant", self.variant, VARIANTS),
            ("criterion", self.criterion, ("all", *CRITERIA)),
            ("cosine_sign", self.cosine_sign, SIGNS),
        ):
            if value not in known:
                raise ArgumentError(f"{name}={value!r}: expected {', '.join(map(repr, known))}")
        if self.one_shot and self.corrective:
            raise ArgumentError("one_shot and corrective: expected one of them at most")

    def init(self, problem: TrainingProblem, rng: np.random.Generator) -> Pruned:
        """A new model, its groups, optimiser and schedule.

        Raises:
            ArgumentError: Nothing to cut, or too few steps.
        """
        model, batches = problem.begin(rng)
        steps, example = problem.horizon(), problem.train.take(torch.arange(2))[0]
        groups = find_zero_invariant_groups(model, example)
        start, during = math.floor(self.warmup * steps), max(1, math.floor(self.pruning * steps))
        most = {} if self.group_sparsity is not None else most_allowed(problem, self.name)
        settings: dict[str, Any] = {
            "start_pruning_step": start,
            "cosine_sign": self.cosine_sign,
            "group_divisible": self.divisible,
            "criteria": None if self.criterion == "all" else {self.criterion: 1.0},
        }
        settings |= (
            {"limits": most, "example_input": example[:1]}
            if most
            else {
                "target_group_sparsity": 0.5 if self.group_sparsity is None else self.group_sparsity
            }
        )
        if self.corrective:
            cycles, trials = 10, 6 * len(groups.layers)
            settings |= {
                "sampling_steps": max(1, math.floor(self.sampling * steps) // cycles),
                "max_cycles": cycles,
                "hybrid_training_steps": during,
            }
            need = start + trials + settings["sampling_steps"] * cycles + during
        else:
            periods = 1 if self.one_shot else min(self.periods, during)
            settings |= {
                "pruning_steps": 1 if self.one_shot else during,
                "pruning_periods": periods,
            }
            need = start + settings["pruning_steps"]
        if need > steps:
            raise ArgumentError(
                f"steps: {self.name} needs up to {need} of them before everything is cut, and has "
                f"{steps}: give it more, or smaller "
                "shares"
            )
        optimizer = self.optimizer(model, groups, example, **settings)
        return Pruned(model, optimizer, scheduled(self.schedule, optimizer, steps), batches)

    def optimizer(self, model: nn.Module, groups: Groups, example: Any, **settings: Any) -> HESSO:
        """The native form."""
        return (HESSOCRIC if self.corrective else HESSO)(
            model, groups, self.variant, self.lr, **settings
        )

    def step(self, problem: TrainingProblem, state: Pruned) -> Pruned:
        """One step of HESSO, then of the schedule."""
        loss = problem.gradient(state.model, problem.batch(state.batches))
        state.optimizer.step(loss) if self.corrective else state.optimizer.step()
        state.scheduler.step()
        state.steps, state.loss = state.steps + 1, float(loss)
        return state

    def answer(self, problem: TrainingProblem, state: Pruned) -> Trained:
        """The cut network, once all groups that are to go are zero; until then the whole one."""
        target, gone = state.optimizer.target, int((state.optimizer.status == 2).sum())
        if not gone or (
            target is not None and gone < target and bool((state.optimizer.status == 1).any())
        ):
            return Trained.of(state.model)
        small = construct_subnet(state.model, state.optimizer.groups)
        return Trained.of(small, getattr(small, PLAN))

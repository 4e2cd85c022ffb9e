"""Pruning as methods of a run: train, remove, go on training, within the steps of the budget and
the limits of the problem.

`GroupPruning` (HESSO, HESSO-CRIC, and a hard one-shot cut as baseline) answers with a smaller
network, for limits on parameters and macs.
`WeightPruning` (the optimal brain surgeon with M-FAC, and magnitudes as baseline) answers with
zeros, for limits on sparsity.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from ..core.budget import spend
from ..core.errors import ArgumentError, Infeasible, LimitError
from ..core.problem import Method, Problem
from .hesso.cric import HESSOCRIC
from .hesso.groups import Groups, find_zero_invariant_groups
from .hesso.hesso import CRITERIA, HESSO, SIGNS, VARIANTS
from .hesso.subnet import PLAN, construct_subnet
from .mfac.obs_pruner import Masks, OBSPruner, gradual
from .optimizer import number, whole_number
from .problem import Batches, TrainingProblem
from .recipe import SCHEDULES, Recipe, chosen, configured
from .trained import Trained

if TYPE_CHECKING:
    from torch import Tensor


def most_allowed(problem: TrainingProblem, method: str) -> dict[str, float]:
    """Upper limits on parameters and macs. Raises LimitError for a limit that cutting channels does
    not serve.
    """
    for q in problem.limits.limits:
        if q.name == "sparsity":
            raise LimitError(
                f"limit on 'sparsity': {method} cuts channels and leaves no zeros; take "
                "obs-pruning, or limit 'parameters' or 'macs'"
            )
    return {q.name: q.high for q in problem.limits.limits if math.isfinite(q.high)}


def scheduled(name: str, optimizer: Any, steps: int) -> Any:
    """The schedule of this name. Raises ArgumentError for one that steers by the held-out loss."""
    schedule, settings = chosen(name, SCHEDULES, "schedule")
    if schedule.metric:
        raise ArgumentError(
            f"schedule={name!r} steers by the held-out loss, which pruning upsets: expected "
            "another one"
        )
    return configured(schedule, f"schedule={name!r}", optimizer, total_steps=steps, **settings)


@dataclass(slots=True)
class Pruned:
    """Where training and pruning stand.  masks: what stays of single weights, by name, once
    something was pruned.
    """

    model: nn.Module
    optimizer: Any
    scheduler: Any
    batches: Batches
    loss: float = math.nan
    steps: int = 0
    masks: dict[str, Tensor] = field(default_factory=dict)


class _Trains(Method):
    """What both have in common: the end."""

    def done(self, problem: TrainingProblem, state: Pruned) -> str | None:
        """After the steps planned for, or where the loss is no longer finite."""
        if state.steps and not math.isfinite(state.loss):
            return f"the loss is {state.loss:g} after {state.steps} steps: a smaller lr may help"
        return (
            f"the {state.steps} planned steps are over"
            if state.steps >= problem.horizon()
            else None
        )


# -- channels --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GroupPruning(_Trains):
    """Train a network and cut channels in one run.

    variant: "adam", "adamw" or "sgd".  lr: peak rate.  schedule: any of the room's that takes no
      metric.
    group_sparsity: share of the groups to cut; None: what the problem's limits on parameters and
      macs need, and half where it has none.
    warmup, pruning: shares of the steps before and in pruning.  periods: P.
    corrective: HESSO-CRIC, whose cycles take `sampling` of the steps at most.
    one_shot: cut at once after `warmup`, without shrinking.  criterion: "all" or one of the five.
      cosine_sign, divisible: see `HESSO`.
    """

    solves: ClassVar[type[Problem]] = TrainingProblem
    name: ClassVar[str] = "hesso"

    variant: str = "adam"
    lr: float = 3e-3
    schedule: str = "linear"
    group_sparsity: float | None = None
    warmup: float = 0.1
    pruning: float = 0.5
    periods: int = 10
    corrective: bool = False
    sampling: float = 0.2
    one_shot: bool = False
    criterion: str = "all"
    cosine_sign: str = "descent"
    divisible: int = 1

    def __post_init__(self) -> None:
        number(self.lr, "lr", 0)
        for name in ("warmup", "pruning", "sampling"):
            number(getattr(self, name), name, 0, 1)
        whole_number(self.periods, "periods")
        whole_number(self.divisible, "divisible")
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
        """A new model, its groups, optimiser and schedule. Raises ArgumentError (nothing to cut;
        too few steps), LimitError.
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


# -- single weights --------------------------------------------------------------------------------


@dataclass(frozen=True)
class WeightPruning(_Trains):
    """Train a network, and set its least needed weights to zero in `events`; in between, and after,
    train on with the masks held.

    criterion: "obs", the optimal brain surgeon with M-FAC's inverse Fisher, or "magnitude".
    sparsity: to reach; None: the problem's limit, and 0.9 where it has none.  optimizer, schedule,
      lr: of the room.
    dense: share of the steps before the first event; 1 with one event: one shot at the end, without
      training after.  last: share before the last.
    ngrads, blocksize (0: the full matrix), damp, recomputations: see `OBSPruner`.
    batch: examples of each of its gradients; a pass is charged for each.
    """

    solves: ClassVar[type[Problem]] = TrainingProblem
    name: ClassVar[str] = "obs-pruning"

    criterion: str = "obs"
    sparsity: float | None = None
    optimizer: str = "adam"
    schedule: str = "linear"
    lr: float | None = None
    dense: float = 0.4
    last: float = 0.8
    events: int = 5
    ngrads: int = 256
    blocksize: int = 128
    damp: float = 1e-5
    recomputations: int = 4
    batch: int = 16

    def __post_init__(self) -> None:
        if self.criterion not in ("obs", "magnitude"):
            raise ArgumentError(f"criterion={self.criterion!r}: expected 'obs' or 'magnitude'")
        if self.sparsity is not None:
            number(self.sparsity, "sparsity", 0, 1, above=True, below=True)
        number(self.dense, "dense", 0, 1)
        number(self.last, "last", 0, 1)
        number(self.damp, "damp", 0, above=True)
        for name in ("events", "ngrads", "recomputations", "batch"):
            whole_number(getattr(self, name), name)
        whole_number(self.blocksize, "blocksize", 0)
        self._recipe()

    def _recipe(self) -> Recipe:
        return Recipe(self.optimizer, self.schedule, self.lr)

    def when(self, steps: int) -> list[int]:
        """After how many steps each event comes."""
        end = max(self.dense, self.last if self.events > 1 else self.dense)
        return [max(1, round(s)) for s in np.linspace(self.dense, end, self.events) * steps]

    def target(self, problem: TrainingProblem, model: nn.Module) -> float:
        """Share of the prunable weights that must go. Raises LimitError, Infeasible."""
        for q in problem.limits.limits:
            if q.name != "sparsity":
                raise LimitError(
                    f"limit on '{q.name}': {self.name} leaves zeros and cuts nothing; take hesso, "
                    "or limit 'sparsity'"
                )
        low = max((q.low for q in problem.limits.limits), default=-math.inf)
        if self.sparsity is not None or not math.isfinite(low):
            return 0.9 if self.sparsity is None else self.sparsity
        counted, may = sum(p.numel() for p in model.parameters() if p.ndim >= 2), Masks(model).total
        share = math.ceil(low * counted - 1e-9) / may
        if share >= 1:
            raise Infeasible(
                f"limit on 'sparsity': {low:g} of {counted:,} weights asks for more than the "
                f"{may:,} of linear and convolutional layers"
            )
        return share

    def init(self, problem: TrainingProblem, rng: np.random.Generator) -> Pruned:
        """A new model, optimiser and schedule."""
        model, batches = problem.begin(rng)
        self.target(problem, model)
        recipe = self._recipe()
        optimizer = recipe.tools(model.parameters(), problem.horizon())[0]
        return Pruned(
            model, optimizer, scheduled(self.schedule, optimizer, problem.horizon()), batches
        )

    def step(self, problem: TrainingProblem, state: Pruned) -> Pruned:
        """One step of the optimiser and the schedule; then an event, where it is time."""
        loss = problem.gradient(state.model, problem.batch(state.batches))
        state.optimizer.step()
        state.scheduler.step()
        state.steps, state.loss = state.steps + 1, float(loss)
        masks = self._masks(problem, state)
        masks.apply_masks()
        times = self.when(problem.horizon())
        shares = gradual(0.0, self.target(problem, state.model), self.events)
        due = [share for time, share in zip(times, shares, strict=True) if time == state.steps]
        if due and math.isfinite(state.loss):
            masks.prune(due[-1]) if isinstance(masks, OBSPruner) else masks.prune_magnitude(due[-1])
            state.masks = masks.masks
        return state

    def _masks(self, problem: TrainingProblem, state: Pruned) -> Masks:
        if self.criterion == "magnitude":
            masks = Masks(state.model)
        else:
            masks = OBSPruner(
                state.model,
                problem.loss,
                self._small_batches(problem, state),
                self.ngrads,
                self.blocksize or None,
                self.damp,
                self.recomputations,
            )
        masks.masks = state.masks or {
            name: torch.ones_like(p, dtype=torch.bool) for name, p in masks.weights.items()
        }
        return masks

    def _small_batches(self, problem: TrainingProblem, state: Pruned) -> Iterator[tuple[Any, Any]]:
        while True:
            spend(gradients=1)
            yield problem.train.take(state.batches.next(min(self.batch, len(problem.train))))

    def answer(self, problem: TrainingProblem, state: Pruned) -> Trained:
        """The weights."""
        return Trained.of(state.model)

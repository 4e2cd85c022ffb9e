"""M-FAC's optimal brain surgeon as a method of a run: single weights are set to zero."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ...core.budget import spend
from ...core.checks import real, whole
from ...core.errors import ArgumentError, Infeasible, LimitError
from ...core.problem import Problem
from ..problem import TrainingProblem
from ..pruning import Pruned, TrainedWithPruning, scheduled
from ..recipe import Recipe
from ..trained import Trained
from .obs_pruner import Masks, OBSPruner, OBSSettings, gradual

GRADUAL = OBSSettings.gradual()


@dataclass(frozen=True)
class WeightPruning(TrainedWithPruning):
    """Train a network, and set its least needed weights to zero in `events`; in between, and after,
    train on with the masks held.

    Attributes:
        criterion: "obs", the optimal brain surgeon with M-FAC's inverse Fisher, or "magnitude".
        sparsity: To reach, in (0, 1); None: the problem's limit, and 0.9 where it has none.
        optimizer: As in `Recipe`.
        schedule: As in `Recipe`, none that takes a metric.
        lr: As in `Recipe`.
        dense: Share of the steps before the first event; 1 with one event: one shot at the end,
            without training after.
        last: Share of the steps before the last event.
        events: How often weights are removed, >= 1.
        ngrads: As in `OBSPruner`.
        blocksize: As in `OBSPruner`; 0: the full matrix.
        damp: As in `OBSPruner`.
        recomputations: As in `OBSPruner`.
        batch: Examples of each of its gradients; a pass is charged for each.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.

    References:
        Frantar, Kurtic, Alistarh, arXiv 2107.03356.
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
    ngrads: int = GRADUAL.ngrads
    blocksize: int = GRADUAL.blocksize or 0
    damp: float = GRADUAL.damp
    recomputations: int = GRADUAL.recomputations
    batch: int = 16

    def __post_init__(self) -> None:
        if self.criterion not in ("obs", "magnitude"):
            raise ArgumentError(f"criterion={self.criterion!r}: expected 'obs' or 'magnitude'")
        if self.sparsity is not None:
            real("sparsity", self.sparsity, above=0, below=1)
        real("dense", self.dense, least=0, most=1)
        real("last", self.last, least=0, most=1)
        OBSSettings(self.ngrads, self.blocksize or None, self.damp, self.recomputations)
        for name in ("events", "batch"):
            whole(name, getattr(self, name), least=1)
        self._recipe()

    def _recipe(self) -> Recipe:
        """The recipe of the training in between."""
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
        """What prunes the state's model, with the masks so far."""
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
        """Batches for gradients, each charged."""
        while True:
            spend(gradients=1)
            yield problem.train.take(state.batches.next(min(self.batch, len(problem.train))))

    def answer(self, problem: TrainingProblem, state: Pruned) -> Trained:
        """The weights."""
        return Trained.of(state.model)

"""AutoLRS in a run: its steps of searching are charged as steps, like those of training; the answer
is what training has reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from ...core.registry import split_settings
from ..parts import OPTIMIZERS, chosen, configured
from ..problem import Batches, TrainingProblem
from ..recipe import evaluation_point
from ..trained import Trained
from .autolrs import AutoLRS


class Place:
    """The place in the data, as `AutoLRS` remembers it."""

    def __init__(self, batches: Batches):
        self.batches = batches

    def state_dict(self) -> dict[str, Any]:
        """The order of this epoch, the next row, and the generator of later orders."""
        return {
            "order": self.batches.order.clone(),
            "at": self.batches.at,
            "generator": self.batches.generator.get_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go back there."""
        self.batches.order, self.batches.at = state_dict["order"], state_dict["at"]
        self.batches.generator.set_state(state_dict["generator"])


@dataclass(slots=True)
class Driven:
    """Where training stands. tuner: an `AutoLRS`, which holds the weights at the start of its stage
    too.
    """

    model: nn.Module
    optimizer: Any
    batches: Batches
    tuner: Any
    loss: float = math.nan
    steps: int = 0


@dataclass(frozen=True)
class AutoLRSRecipe(Method):
    """Train with an optimiser, its rates found by AutoLRS on the way.

    optimizer: as in `Recipe`.  lr_min, lr_max: the interval.  tau, tau_ratio, k, tau_max, val_from,
      val_points, kappa, proposals, forecast, replay:
    see `AutoLRS`; val_from=0: training losses only. Held-out losses are charged as evaluations.
    train_steps: steps of training after which it is done; None: it goes on until the budget is
      used.

    Defaults are for runs of a thousand steps: held-out losses from the first stage, and a kappa
      that heeds what was told. The paper's are
    autolrs[tau=1000,tau_ratio=0.1,k=10,tau_max=8000,kappa=1000,val_from=none,replay=false,
    forecast=spline].
    """

    solves: ClassVar[type[Problem]] = TrainingProblem
    name: ClassVar[str] = "autolrs"

    optimizer: str = "sgd"
    lr_min: float = 1e-4
    lr_max: float = 1.0
    tau: int = 100
    tau_ratio: float = 0.2
    k: int = 8
    tau_max: int = 400
    val_from: int | None = 1
    val_points: int = 16
    kappa: float = 2.0
    proposals: str = "gp"
    forecast: str = "grid"
    replay: bool = True
    train_steps: int | None = None

    def __post_init__(self) -> None:
        chosen(self.optimizer, OPTIMIZERS, "optimizer")
        if self.train_steps is not None and self.train_steps < 1:
            raise ArgumentError(
                f"train_steps={self.train_steps}: expected a whole number >= 1, or None"
            )
        self._driver(nn.Linear(1, 1), lambda: 0.0)

    def _driver(
        self, model: nn.Module, held_out: Any, stateful: tuple[Any, ...] = (), seed: int = 0
    ) -> tuple[Any, AutoLRS]:
        choice, settings = chosen(self.optimizer, OPTIMIZERS, "optimizer")
        optimizer = configured(
            choice,
            f"optimizer={self.optimizer!r}",
            model.parameters(),
            **{"lr": self.lr_max, **settings},
        )
        measured = self.val_from != 0
        return optimizer, AutoLRS(
            model,
            optimizer,
            self.lr_min,
            self.lr_max,
            tau=self.tau,
            tau_ratio=self.tau_ratio,
            k=self.k,
            tau_max=self.tau_max,
            val_fn=held_out if measured else None,
            val_from=self.val_from if measured else None,
            val_points=self.val_points,
            kappa=self.kappa,
            proposals=self.proposals,
            forecast=self.forecast,
            replay=self.replay,
            stateful=stateful,
            seed=seed,
        )

    def init(self, problem: TrainingProblem, rng: np.random.Generator) -> Driven:
        """A new model, optimiser and driver."""
        model, batches = problem.begin(rng)
        optimizer, tuner = self._driver(
            model, lambda: problem.held_out(model), (Place(batches),), int(rng.integers(2**31))
        )
        return Driven(model, optimizer, batches, tuner)

    def step(self, problem: TrainingProblem, state: Driven) -> Driven:
        """One step of the optimiser, of a candidate or of training."""
        loss = problem.gradient(state.model, problem.batch(state.batches))
        state.optimizer.step(
            **({"loss": loss} if OPTIMIZERS[split_settings(self.optimizer)[0]].needs_loss else {})
        )
        state.steps += 1
        state.loss = float(loss)
        state.tuner.step(state.loss)
        return state

    def answer(self, problem: TrainingProblem, state: Driven) -> Trained:
        """The weights that training has reached: during a search, those it started from."""
        if state.tuner.phase != "search":
            return evaluation_point(state.model, state.optimizer)
        return Trained(
            {
                name: value.detach().clone()
                for name, value in state.tuner.start_weights.items()
                if isinstance(value, torch.Tensor)
            }
        )

    def done(self, problem: TrainingProblem, state: Driven) -> str | None:
        """After the steps of training that were asked for."""
        if self.train_steps is not None and state.tuner.done(self.train_steps):
            return (
                f"{state.tuner.train_steps} steps of training are made, and "
                f"{state.tuner.search_steps} of searching"
            )
        return None

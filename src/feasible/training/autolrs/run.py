"""AutoLRS in a run: its steps of searching are charged as steps, like those of training; the
answer is what training has reached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ...core.checks import whole
from ...core.problem import Method, Problem
from ...core.registry import split_settings
from ..parts import OPTIMIZERS, chosen, configured
from ..problem import Batches, TrainingProblem
from ..recipe import evaluation_point
from ..trained import Trained
from .autolrs import AutoLRS
from .settings import AutoLRSSettings


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
        """Restore the place that `state_dict` returned."""
        self.batches.order, self.batches.at = state_dict["order"], state_dict["at"]
        self.batches.generator.set_state(state_dict["generator"])


@dataclass(slots=True)
class Driven:
    """Where training stands.

    Attributes:
        model: The network, with the weights of the candidate or of training.
        optimizer: A torch optimiser of its parameters.
        batches: Where in the data the next batch is.
        tuner: An `AutoLRS`, which holds the weights at the start of its stage too.
        loss: Training loss of the last step, NaN before the first.
        steps: Steps made, of both kinds.
    """

    model: nn.Module
    optimizer: Any
    batches: Batches
    tuner: Any
    loss: float = math.nan
    steps: int = 0


SHORT = AutoLRSSettings.short(1e-4, 1.0)


@dataclass(frozen=True)
class AutoLRSRecipe(AutoLRSSettings, Method):
    """Train with an optimiser, its rates found by AutoLRS on the way. Held-out losses are charged
    as evaluations.

    The defaults are `AutoLRSSettings.short`, for runs of a thousand steps. The paper's are
    autolrs[tau=1000,tau_ratio=0.1,k=10,tau_max=8000,kappa=1000,val_from=none,replay=false,
    forecast=spline], which is `AutoLRSSettings.paper`.

    Attributes:
        optimizer: As in `Recipe`.
        train_steps: Steps of training after which it is done; None: it goes on until the budget is
            used.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        UnknownName: No optimiser has this name.

    References:
        Jin et al., arXiv 2105.10762.
    """

    solves: ClassVar[type[Problem]] = TrainingProblem
    name: ClassVar[str] = "autolrs"

    lr_min: float = SHORT.lr_min
    lr_max: float = SHORT.lr_max
    k: int = SHORT.k
    kappa: float = SHORT.kappa
    tau: int = SHORT.tau
    tau_ratio: float = SHORT.tau_ratio
    tau_max: int | None = SHORT.tau_max
    val_from: int | None = SHORT.val_from
    replay: bool = SHORT.replay
    optimizer: str = "sgd"
    train_steps: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.train_steps is not None:
            whole("train_steps", self.train_steps, least=1, note=", or None")
        self._driver(nn.Linear(1, 1), lambda: 0.0)

    def _driver(
        self, model: nn.Module, held_out: Any, stateful: tuple[Any, ...] = (), seed: int = 0
    ) -> tuple[Any, AutoLRS]:
        """The optimiser of a model, and what drives its rates."""
        part, settings = chosen(self.optimizer, OPTIMIZERS, "optimizer")
        optimizer = configured(
            part,
            f"optimizer={self.optimizer!r}",
            model.parameters(),
            **{"lr": self.lr_max, **settings},
        )
        mine = {f.name: getattr(self, f.name) for f in fields(AutoLRSSettings)}
        return optimizer, AutoLRS(
            model, optimizer, **mine, val_fn=held_out, stateful=stateful, seed=seed
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

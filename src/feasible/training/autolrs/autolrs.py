"""AutoLRS (Jin, Zhou, Zhao, Zhu, Guo, Canini, Krishnamurthy, "AutoLRS: Automatic Learning-Rate
Schedule by Bayesian Optimization on the Fly", ICLR 2021, arXiv 2105.10762): no schedule is given,
only an interval of rates; training finds its rates on the way.

    eta* = argmin over eta in [lr_min, lr_max] of the loss after tau more steps at rate eta
    then train tau steps at eta*, and again, tau doubled

Each of k candidates is run for tau' = tau_ratio tau steps from the same point, and its loss after
tau steps is forecast. So k tau_ratio times as many steps are spent on searching as on training:
with the paper's settings, in all twice the steps of the schedule that comes out. Take it where no
rate is known and there is no time for tuning.

Unlike the authors' code, candidates all get exactly tau' steps, one that diverges is infinite
(their code fails), and when the search of a stage ends the random numbers are where the stage found
them, so training is what it would have been had the rates been known.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LRScheduler

from ...core.annotations import checked
from ...core.errors import ArgumentError, ArgumentTypeError, StopRun
from .forecast import exp_forecast
from .search import LRSearch
from .settings import AutoLRSSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class AllDiverged(StopRun):
    """Every candidate of a stage gave losses that are not finite.

    Args:
        stage: Its number, from 1.
        rates: The rates that were tried.
    """

    def __init__(self, stage: int, rates: Iterable[float]):
        self.stage, self.rates = stage, tuple(rates)
        super().__init__(
            f"stage {stage}: the loss was not finite at any of the {len(self.rates)} rates tried, "
            f"{', '.join(f'{r:.3g}' for r in sorted(self.rates))}: a smaller lr_max may help"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.stage, self.rates)


class AutoLRS(LRScheduler):
    """Drives a training loop, in the same process: call `step(loss)` (or `after_step`) after each
    optimiser step, until `done`.

    Groups keep the ratios of their rates; the largest gets the rate of the search. A rate that
    diverges in training is undone, and the next best is taken. It is an LRScheduler as
    ReduceLROnPlateau is: its `state_dict` is plain data and tensors, the model at the start of the
    stage included.

    Args:
        model: The network; its weights and buffers are restored between candidates.
        optimizer: Of its parameters; its state is restored too.
        lr_min: As in `AutoLRSSettings`, and so all that is not listed here.
        lr_max: Largest rate.
        tau: Steps of the first stage.
        tau_ratio: tau'/tau.
        k: Candidates in a stage.
        tau_max: Steps up to which tau is doubled.
        val_fn: () -> held-out loss, used from stage `val_from` on, at about `val_points` places of
            a candidate; before that, and without it, the losses given to `step` are.
        val_from: First stage that uses held-out losses.
        val_points: Held-out losses of a candidate.
        kappa: Of `LRSearch`.
        proposals: Of `LRSearch`.
        forecast: Of `exp_forecast`.
        warmup_steps: Steps before the first search.
        warmup_lr: Rate at their end.
        replay: The same random numbers for every candidate.
        stateful: What else draws random numbers or moves on with the data: `torch.Generator`s, and
            objects with `state_dict` and `load_state_dict`.
        seed: From which the search's random numbers derive.

    Attributes:
        settings: The `AutoLRSSettings`.
        history: The stages: tau, rates, series, forecasts, the rate chosen.
        train_steps: Steps of training that were made.
        search_steps: Steps of searching that were made.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        AllDiverged: At a step, where no rate of a stage gave a finite loss.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> x = torch.nn.Linear(1, 1, bias=False).double()
        >>> optimizer = torch.optim.SGD(x.parameters(), lr=1.0)
        >>> tuner = AutoLRS(x, optimizer, 1e-4, 1.0, tau=40, tau_ratio=0.2, k=3)
        >>> while not tuner.done(max_train_steps=40):
        ...     optimizer.zero_grad()
        ...     loss = x.weight.square().sum()
        ...     loss.backward()
        ...     _ = optimizer.step()
        ...     tuner.after_step(loss)
        >>> tuner.train_steps, tuner.search_steps, len(tuner.history[0]["rates"])
        (40, 24, 3)

    References:
        Jin et al., arXiv 2105.10762.
    """

    @checked
    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        lr_min: float,
        lr_max: float,
        *,
        tau: int = AutoLRSSettings.tau,
        tau_ratio: float = AutoLRSSettings.tau_ratio,
        k: int = AutoLRSSettings.k,
        tau_max: int | None = AutoLRSSettings.tau_max,
        val_fn: Callable[[], Any] | None = None,
        val_from: int | None = AutoLRSSettings.val_from,
        val_points: int = AutoLRSSettings.val_points,
        kappa: float = AutoLRSSettings.kappa,
        proposals: str = AutoLRSSettings.proposals,
        forecast: str = AutoLRSSettings.forecast,
        warmup_steps: int = AutoLRSSettings.warmup_steps,
        warmup_lr: float = AutoLRSSettings.warmup_lr,
        replay: bool = AutoLRSSettings.replay,
        stateful: Iterable[Any] = (),
        seed: int = 0,
    ):
        self.settings = AutoLRSSettings(
            lr_min=lr_min,
            lr_max=lr_max,
            k=k,
            kappa=kappa,
            proposals=proposals,
            tau=tau,
            tau_ratio=tau_ratio,
            tau_max=tau_max,
            val_from=val_from,
            val_points=val_points,
            forecast=forecast,
            replay=replay,
            warmup_steps=warmup_steps,
            warmup_lr=warmup_lr,
        )
        if val_from and val_fn is None:
            raise ArgumentError(
                f"val_from={val_from}: it needs val_fn, a function that returns the held-out loss"
            )
        self.model, self.optimizer, self.seed = model, optimizer, seed
        self.val_fn = None if val_from == 0 else val_fn
        self.stateful = tuple(stateful)
        self.tau_max = 8 * tau if tau_max is None else tau_max
        for thing in self.stateful:
            if not isinstance(thing, torch.Generator) and not (
                hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")
            ):
                raise ArgumentTypeError(
                    f"stateful: got {type(thing).__name__}, expected torch.Generator or an object "
                    "with state_dict and "
                    "load_state_dict"
                )
        top = max(float(g["lr"]) for g in optimizer.param_groups)
        self.ratios = [float(g["lr"]) / top if top > 0 else 1.0 for g in optimizer.param_groups]
        self.phase, self.tau, self.at = "warmup", int(tau), 0
        self.train_steps, self.search_steps = 0, 0
        self.validation, self.initial_loss = False, math.nan
        self.history: list[dict[str, Any]] = []
        self._runs: list[list[float]] = []
        self._series: list[float] = []
        self._start: dict[str, Any] = {}
        self._search = self._new_search(0)
        if warmup_steps:
            self._set(warmup_lr / warmup_steps)
        else:
            self._begin_stage()

    # -- what a training loop uses -----------------------------------------------------------------

    def step(self, loss: Any = None, epoch: int | None = None) -> None:  # type: ignore[override]
        """Go on after an optimiser step: set the next rate; at the end of a candidate, restore the
        model.

        Args:
            loss: Training loss of the step, one number.
            epoch: Not used; schedulers have it.

        Raises:
            ArgumentError: The loss is not one number.
            AllDiverged: No rate of the stage gave a finite loss.
        """
        value = _scalar(loss)
        if self.phase == "search":
            self.search_steps += 1
            self._observe(value)
        else:
            self._trained(value)

    after_step = step

    def done(self, max_train_steps: int) -> bool:
        """Whether that many steps of training (not of searching) are made."""
        return self.train_steps >= max_train_steps

    @property
    def lr_trace(self) -> Float[np.ndarray, " steps"]:
        """(train_steps,) the rate of each step of training."""
        return (
            np.repeat([r for r, _ in self._runs], [int(n) for _, n in self._runs])
            if self._runs
            else np.empty(0)
        )

    @property
    def last_epoch(self) -> int:
        """Steps so far, of both kinds."""
        return self.train_steps + self.search_steps

    @property
    def start_weights(self) -> Mapping[str, Any]:
        """The model's state at the start of the stage: what training has reached while a search
        goes on.
        """
        return self._start["model"]

    def get_last_lr(self) -> list[float]:
        """The rate of each group."""
        return [float(g["lr"]) for g in self.optimizer.param_groups]

    # -- stages ------------------------------------------------------------------------------------

    @property
    def candidate_steps(self) -> int:
        """tau', the steps of a candidate."""
        return round(self.tau * self.settings.tau_ratio)

    @property
    def every(self) -> int:
        """v: steps between two values of a candidate's series."""
        return max(1, self.candidate_steps // self.settings.val_points) if self.validation else 1

    def _set(self, rate: float) -> None:
        """Set the rate of every group."""
        self.rate = rate
        for group, ratio in zip(self.optimizer.param_groups, self.ratios, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate * ratio)
            else:
                group["lr"] = rate * ratio

    def _new_search(self, stage: int) -> LRSearch:
        """An empty search for a stage, with random numbers of its own."""
        its = self.settings
        return LRSearch(its.lr_min, its.lr_max, its.k, its.kappa, its.proposals, (self.seed, stage))

    def _begin_stage(self) -> None:
        """Remember everything, and start with an empty search."""
        number = len(self.history) + 1
        if self.val_fn is not None and self.settings.val_from is not None:
            self.validation = number >= self.settings.val_from
        self._start = {
            "model": copy.deepcopy(self.model.state_dict()),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "random": self._random(),
        }
        if self.val_fn is not None and math.isnan(self.initial_loss):
            self.initial_loss = _scalar(self.val_fn())
            self._restore_random()
        self._search = self._new_search(number)
        self.history.append(
            {
                "tau": self.tau,
                "validation": self.validation,
                "rates": [],
                "series": [],
                "forecasts": [],
                "chosen": None,
            }
        )
        self.phase, self.at, self._series = "search", 0, []
        self._set(self._search.ask())

    def _observe(self, loss: float) -> None:
        """One step of a candidate. One that diverges ends there."""
        self.at += 1
        if self.validation and self.at % self.every == 0 and math.isfinite(loss):
            self._series.append(_scalar(self.val_fn()))  # type: ignore[misc]
        elif not self.validation or not math.isfinite(loss):
            self._series.append(loss)
        if self.at == self.candidate_steps or not math.isfinite(
            self._series[-1] if self._series else loss
        ):
            self._tell()

    def _tell(self) -> None:
        """Forecast the candidate's loss, tell the search, restore; after the last one, choose."""
        value, stage = self._expected(), self.history[-1]
        stage["rates"].append(self.rate)
        stage["series"].append(self._series)
        stage["forecasts"].append(value)
        self._search.tell(self.rate, value)
        self.at, self._series = 0, []
        self._restore(random=self.settings.replay or self._search.done)
        if self._search.done:
            self._choose()
        else:
            self._set(self._search.ask())

    def _expected(self) -> float:
        """The candidate's loss after tau steps: a forecast, or its last value where a series of
        held-out losses is above where training began.
        """
        y = self._series
        if not np.isfinite(y).all():
            return math.inf
        if self.validation and max(y) >= self.initial_loss:
            return y[-1]
        return exp_forecast(
            y,
            self.tau // self.every,
            self.settings.forecast,
            iterations=1 if self.validation else 10,
        )[0]

    def _choose(self) -> None:
        """Train on with the rate that promised least."""
        rate, value = self._search.best
        if not math.isfinite(value):
            raise AllDiverged(len(self.history), self._search.rates)
        self.history[-1]["chosen"] = rate
        self.phase, self.at = "train", 0
        self._runs.append([rate, 0])
        self._set(rate)

    def _trained(self, loss: float) -> None:
        """One step of training or warm-up; at the end of a stage, tau doubled, the next one."""
        self.train_steps += 1
        if self.phase == "warmup":
            self._runs.append([self.rate, 1])
            if self.train_steps == self.settings.warmup_steps:
                self._begin_stage()
            else:
                self._set(
                    self.settings.warmup_lr * (self.train_steps + 1) / self.settings.warmup_steps
                )
            return
        self.at += 1
        self._runs[-1][1] += 1
        if not math.isfinite(loss):
            self.train_steps -= self.at
            self.search_steps += self.at
            self._runs.pop()
            self._restore(random=True)
            self._search.values[self._search.rates.index(self.rate)] = math.inf
            self._choose()
        elif self.at == self.tau:
            if self.tau < self.tau_max:
                self.tau = min(2 * self.tau, self.tau_max)
            elif self.val_fn is not None and self.settings.val_from is None:
                self.validation = True
            self._begin_stage()

    # -- what is remembered ------------------------------------------------------------------------

    def _random(self) -> dict[str, Any]:
        """The random numbers' states, as `_restore_random` takes them."""
        return {
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "stateful": [
                t.get_state() if isinstance(t, torch.Generator) else copy.deepcopy(t.state_dict())
                for t in self.stateful
            ],
        }

    def _restore_random(self) -> None:
        """Restore the random numbers' states of the stage's start."""
        random = self._start["random"]
        torch.set_rng_state(random["cpu"])
        if random["cuda"]:
            torch.cuda.set_rng_state_all(random["cuda"])
        for thing, state in zip(self.stateful, random["stateful"], strict=True):
            if isinstance(thing, torch.Generator):
                thing.set_state(state)
            else:
                thing.load_state_dict(copy.deepcopy(state))

    def _restore(self, random: bool) -> None:
        """Restore parameters, buffers and the optimiser of the stage's start, and, if asked, the
        random numbers.
        """
        self.model.load_state_dict(self._start["model"])
        self.optimizer.load_state_dict(
            copy.deepcopy(self._start["optimizer"])
        )  # it keeps the tensors that it is given
        if random:
            self._restore_random()

    _KEPT = (
        "phase",
        "tau",
        "at",
        "train_steps",
        "search_steps",
        "validation",
        "initial_loss",
        "rate",
        "history",
        "ratios",
        "_runs",
        "_series",
        "_start",
    )

    def state_dict(self) -> dict[str, Any]:
        """Everything that `step` goes by, as plain data and tensors; save the model and the
        optimiser beside it.
        """
        return {
            **{name: copy.deepcopy(getattr(self, name)) for name in self._KEPT},
            "search": self._search.state_dict(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ArgumentError: The state of something else.
        """
        missing = [name for name in (*self._KEPT, "search") if name not in state_dict]
        if missing:
            raise ArgumentError(
                f"state_dict: it has no entry '{missing[0]}', expected what AutoLRS.state_dict() "
                "returns"
            )
        for name in self._KEPT:
            setattr(self, name, copy.deepcopy(state_dict[name]))
        self._search = self._new_search(len(self.history))
        self._search.load_state_dict(state_dict["search"])
        self._set(self.rate)


def _scalar(loss: Any) -> float:
    """The loss as one number; an ArgumentError where it is not."""
    if isinstance(loss, torch.Tensor):
        loss = loss.detach()
    try:
        return float(loss)
    except (TypeError, ValueError, RuntimeError):
        shape = f" of shape {tuple(loss.shape)}" if hasattr(loss, "shape") else ""
        raise ArgumentError(
            f"loss: got {type(loss).__name__}{shape}, expected one number, the loss of the step"
        ) from None

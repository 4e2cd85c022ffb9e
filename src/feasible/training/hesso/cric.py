"""HESSO-CRIC: HESSO that looks several times before it decides, so that a structure that only seems
redundant is not cut.

Corrective redundant identification cycles: the groups of lowest score are shrunk to zero on trial
while the others train; whatever turns out low meanwhile is tried in the next cycle, from the same
weights. A group's score is the mean over all of these samples. Then one phase of HESSO cuts.

T. Chen et al., arXiv 2409.09085 (see `hesso`). It takes 6 steps a layer, then sampling_steps a
cycle, that do not train the network; take it where a few small weights may carry everything, such
as bottlenecks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...core.annotations import checked
from ...core.checks import real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite
from ..optimizer import (
    asks_for_state,
    by_name,
    evaluated,
    in_order,
    merged,
    uncompiled,
    with_gradients,
)
from .groups import Groups
from .hesso import HESSO, HESSO_KEY, IMPORTANT, HESSOSettings

if TYPE_CHECKING:
    from torch import Tensor

WAITING, TRYING, SAMPLING, CUTTING = 0, 1, 2, 3
REFERENCE = "reference"
"""Of a parameter in a saved state: its value at the start of the cycles."""


class HESSOCRIC(HESSO):
    """As `HESSO`, with other phases after `start_pruning_step`.

    `step(loss)` needs the loss whose gradients are stored, or a closure.

    Args:
        model: The network.
        groups: As in `HESSO`, and so variant, lr, start_pruning_step and **settings.
        variant: "sgd", "adam" or "adamw".
        lr: Rate.
        sampling_steps: S, steps of a cycle, >= 1.
        hybrid_training_steps: Steps in which the chosen groups are shrunk.
        max_cycles: Most cycles, >= 1.
        tolerance: Cycles end too when no more than so many new groups turned out low, >= 0.
        trials: Shares of each layer that are set to zero to see what the loss does, as in the
            official code; () leaves that out.
        trial_weight: Weight of the mean loss ratio, divided by the layer's number of groups, in the
            final score.
        start_pruning_step: Plain steps before.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.

    References:
        T. Chen et al., arXiv 2409.09085.
    """

    @checked
    def __init__(
        self,
        model: nn.Module,
        groups: Groups | Mapping[str, Any],
        variant: str = HESSOSettings.variant,
        lr: float = HESSOSettings.lr,
        *,
        sampling_steps: int = 10,
        hybrid_training_steps: int = 100,
        max_cycles: int = 10,
        tolerance: int = 0,
        trials: tuple[float, ...] = (0.25, 0.5, 0.75),
        trial_weight: float = 1.0,
        start_pruning_step: int = HESSOSettings.start_pruning_step,
        **settings: Any,
    ):
        for name in ("pruning_steps", "pruning_periods"):
            if name in settings:
                raise ArgumentError(
                    f"{name}: HESSOCRIC has sampling_steps and hybrid_training_steps in its place"
                )
        if settings.get("maximize"):
            raise ArgumentError(
                "maximize: HESSOCRIC compares losses by their ratio, so it only minimises; "
                "expected a positive loss that falls"
            )
        self.sampling_steps, self.cycles_most = (
            whole("sampling_steps", sampling_steps, least=1),
            whole("max_cycles", max_cycles, least=1),
        )
        self.tolerance, self.trial_weight = (
            whole("tolerance", tolerance, least=0),
            real("trial_weight", trial_weight, least=0),
        )
        self.trials = tuple(real("trials", s, above=0, below=1) for s in trials)
        super().__init__(
            model,
            groups,
            variant,
            lr,
            start_pruning_step=start_pruning_step,
            pruning_periods=1,
            pruning_steps=whole("hybrid_training_steps", hybrid_training_steps, least=1),
            **settings,
        )
        n = len(self.groups)
        self.phase, self.t, self.cycle = WAITING, 0, 0
        self._reference: list[Tensor] = []
        """Weights at the start, to which every cycle returns."""
        self._loss = 0.0
        self._ratios = torch.zeros(len(self.groups.layers), dtype=torch.float64)
        self._ranking = torch.zeros(n, dtype=torch.float64)
        self._sum, self._samples = torch.zeros(n, dtype=torch.float64), 0
        self._violating, self._seen, self._next = (
            torch.zeros(n, dtype=torch.bool) for _ in range(3)
        )

    @uncompiled
    @torch.no_grad()
    def step(self, loss: Any = None, closure: Callable[[], Any] | None = None) -> Any:
        """One step.

        Args:
            loss: The loss of the step: a number, a tensor of one, or a closure. At rate 0 with zero
                gradients none is needed: the base optimiser's state is made, as
                torch.distributed.checkpoint asks.
            closure: Evaluates the loss and its gradients, instead.

        Raises:
            ArgumentError: No loss.
            ArgumentTypeError: A loss and a closure.
            NotFinite: A loss or a gradient with a NaN or an infinity.
        """
        if closure is not None and loss is not None:
            raise ArgumentTypeError("step takes a loss or a closure, one of both")
        if closure is not None or callable(loss):
            loss = evaluated(closure or loss)
        if loss is None and asks_for_state(self.param_groups):
            with_gradients(self.param_groups, "HESSOCRIC", maximize=False)
            self.base.step()
            return None
        if loss is None:
            raise ArgumentError(
                "HESSOCRIC compares losses, so it needs the present one: call step(loss) after "
                "loss.backward(), or step(closure)"
            )
        value = float(loss.detach() if isinstance(loss, torch.Tensor) else loss)
        with_gradients(self.param_groups, "HESSOCRIC", maximize=False)
        if self.phase == WAITING and self.steps >= self.start:
            self.phase = TRYING if self.trials else SAMPLING
        if self.phase != WAITING:  # all at first; later those of groups that joined
            self._reference += [
                p.detach().clone() for p in self._parameters()[len(self._reference) :]
            ]
        if self.phase == TRYING:
            self._try(value)
        else:
            if self.phase == SAMPLING:
                self._look()
            self.base.step()
            if self.phase == SAMPLING:
                self._sample()
            elif self.phase == CUTTING and self.t < self.pruning_steps:
                self._shrink(self.t, self.pruning_steps)
                self.t += 1
        self._project()
        self.steps += 1
        return loss

    def _parameters(self) -> list[Tensor]:
        """The parameters that belong to groups, and their values of the start."""
        return [p for group in self.param_groups for p in group["params"]]

    def _restore(self) -> None:
        """Put the parameters of the cycle's start back."""
        torch._foreach_copy_(self._parameters(), self._reference)

    def _try(self, loss: float) -> None:
        """Trial projections, two steps each: note the loss and zero a layer's lowest share; then
        compare the loss, and undo it.
        """
        if not loss > 0:
            raise NotFinite(
                f"loss={loss:g}: expected a positive finite loss, for trials compare losses by "
                "their ratio"
            )
        trial, second = divmod(self.t, 2)
        layer, share = divmod(trial, len(self.trials))
        if self.t == 0:
            self._ranking = self.scores()
        if not second:
            self._loss = loss
            own = (self.groups.layer == layer).nonzero()[:, 0]
            which = torch.zeros(len(self.groups), dtype=torch.bool)
            which[own[self._ranking[own].argsort()[: int(self.trials[share] * len(own))]]] = True
            self._scale(which, 0.0)
        else:
            self._ratios[layer] += loss / self._loss / len(self.trials)
            self._restore()
        self.t += 1
        if self.t == 2 * len(self.groups.layers) * len(self.trials):
            self.phase, self.t = SAMPLING, 0

    def _look(self) -> None:
        """Scores of all groups, before the step: add them to the samples, and collect those that
        are low and were not tried yet.
        """
        scores = self.scores()
        if self.limits and self.target is None:
            self.target = self._needed(scores.numpy())
        assert self.target is not None
        low = self._lowest(scores.numpy(), self.target, torch.full_like(self.status, IMPORTANT))
        if self.cycle == 0 and self.t == 0:
            self._violating, self._seen = low.clone(), low.clone()
        self._sum += scores
        self._samples += 1
        self._next |= low & ~self._seen

    def _sample(self) -> None:
        """After the step: the violating groups travel to zero; at the end of a cycle everything
        returns, and the newly low ones are next.
        """
        self._scale(
            self._violating, (self.sampling_steps - self.t - 1) / (self.sampling_steps - self.t)
        )
        self.t += 1
        if self.t < self.sampling_steps:
            return
        self._restore()
        self.t, self.cycle = 0, self.cycle + 1
        self._violating, self._next = self._next, torch.zeros_like(self._next)
        self._seen |= self._violating
        if int(self._violating.sum()) <= self.tolerance or self.cycle >= self.cycles_most:
            self.phase = CUTTING
            self._decide()

    def _decide(self) -> None:
        """Choose the groups to cut by the mean of their sampled scores."""
        scores = self._sum / self._samples
        size = torch.bincount(self.groups.layer).double()
        scores = (scores + self.trial_weight * (self._ratios / size)[self.groups.layer]).numpy()
        if self.limits:
            self.target = self._needed(scores)
        assert self.target is not None
        self._take(self._lowest(scores, self.target, self.status), last=True)

    # -- saving ------------------------------------------------------------------------------------

    _KEPT = (
        "phase",
        "t",
        "cycle",
        "_loss",
        "_ratios",
        "_ranking",
        "_sum",
        "_samples",
        "_violating",
        "_seen",
        "_next",
    )

    def _progress(self) -> dict[str, Any]:
        """What `state_dict` holds of the cycles; the same entries whatever the phase."""
        more = {
            key: value.clone() if isinstance(value, torch.Tensor) else value
            for key, value in ((k, getattr(self, k)) for k in self._KEPT)
        }
        return {**super()._progress(), **more}

    def _resume(self, progress: Mapping[str, Any]) -> None:
        """Restore what `_progress` returned."""
        super()._resume(progress)
        for key in self._KEPT:
            value = progress[key]
            setattr(self, key, value.clone() if isinstance(value, torch.Tensor) else value)

    def state_dict(self) -> dict[str, Any]:
        """HESSO's. The weights at the start of the cycles ("reference") are in each parameter's
        state, in every phase alike: zeros where there are none yet.
        """
        saved = super().state_dict()
        keys = [key for group in saved["param_groups"] for key in group["params"]]
        kept = self._reference
        state = {
            key: {
                **saved["state"].get(key, {}),
                REFERENCE: kept[i] if i < len(kept) else torch.zeros_like(p.detach()),
            }
            for i, (key, p) in enumerate(zip(keys, self._parameters(), strict=True))
        }
        return {**saved, "state": state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, also of the versions before, which had the reference
        by names in "hesso".

        Raises:
            ShapeError: The state is another model's or has other groups.
        """
        state, groups = merged(state_dict["state"]), state_dict["param_groups"]
        former = state_dict.get(HESSO_KEY, {}).get(REFERENCE, {})
        values = {
            key: former[name]
            for group in groups
            for key, name in zip(group["params"], group.get("param_names", ()), strict=False)
            if name in former
        }
        values.update({k: entry.pop(REFERENCE) for k, entry in state.items() if REFERENCE in entry})
        rest = {key: entry for key, entry in state.items() if entry}
        super().load_state_dict({**state_dict, "state": rest})
        if all("param_names" in group for group in groups):
            groups = in_order([by_name(group) for group in groups], self.param_groups)
        keys = [] if self.phase == WAITING else [key for group in groups for key in group["params"]]
        self._reference = [values[key].clone() for key in keys]

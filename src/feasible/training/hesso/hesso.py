"""HESSO: train and cut a network in one run, by shrinking redundant groups of variables to zero
while the others learn to do without them.

    minimise f(x)   s.t.   K groups of variables are zero

T. Chen, X. Qu, D. Aponte, C. Banbury, J. Ko, T. Ding, Y. Ma, V. Lyapunov, I. Zharkov, L. Liang:
HESSO: Towards Automatic Efficient and User Friendly Any Neural Network Training and Pruning. 2024,
arXiv 2409.09085. Take it when a smaller network is wanted from one training run; `cric` costs
more steps and looks longer before it decides.

Two things differ from the official code, which are mistakes there: a group in whose direction
training shrinks it anyway counts as redundant (cosine_sign="descent"; "official" has the opposite
sign), and groups already chosen are out of the ranking instead of being ranked with others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ...core.annotations import Checked, checked
from ...core.checks import naming, one_of, real, whole
from ...core.errors import ArgumentError, Infeasible, ShapeError
from ...core.warning import warn
from ..optimizer import NamedState, asks_for_state, evaluated, number, uncompiled, with_gradients
from ..trained import shrink
from .cutting import copied, cutting_plan
from .groups import Groups, by_hand, entries
from .saliency import CRITERIA, direction, lowest, saliency
from .subnet import measured

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

SIGNS = ("descent", "official")
VARIANTS = ("sgd", "adam", "adamw")
IMPORTANT, SHRINKING, GONE = 0, 1, 2
HESSO_KEY = "hesso"
"""Of the first group of a saved state: where pruning stands."""


@dataclass(frozen=True)
class HESSOSettings(Checked):
    """Settings of HESSO.

    Attributes:
        variant: Base optimiser, "sgd", "adam" or "adamw".
        lr: Its rate, >= 0.
        start_pruning_step: T_w, plain steps before, >= 0.
        pruning_steps: Steps of all periods together, >= pruning_periods.
        pruning_periods: P, >= 1.
        cosine_sign: "descent" or "official", see the module's docstring.
        group_divisible: Layers keep a multiple of it, >= 1.
    """

    variant: str = "adamw"
    lr: float = 1e-3
    start_pruning_step: int = 0
    pruning_steps: int = 1000
    pruning_periods: int = 10
    cosine_sign: str = "descent"
    group_divisible: int = 1

    def __post_init__(self) -> None:
        number("lr", self.lr, least=0)
        whole("start_pruning_step", self.start_pruning_step, least=0)
        whole("pruning_periods", self.pruning_periods, least=1)
        whole("pruning_steps", self.pruning_steps, least=1)
        whole("group_divisible", self.group_divisible, least=1)
        if self.pruning_steps < self.pruning_periods:
            raise ArgumentError(
                f"pruning_steps={self.pruning_steps} is less than "
                f"pruning_periods={self.pruning_periods}: expected at least one step a period"
            )
        one_of("variant", self.variant, VARIANTS)
        one_of("cosine_sign", self.cosine_sign, SIGNS)

    @classmethod
    def short(cls) -> HESSOSettings:
        """For runs of some hundred steps of small networks: Adam at 3e-3."""
        return cls(variant="adam", lr=3e-3)


class HESSO(NamedState, Optimizer):
    """torch's SGD, Adam or AdamW on all weights, with groups that are shrunk to zero on the way.

    Minimises f(x) subject to K groups of variables being zero. After the last period
    `construct_subnet(model, groups)` cuts.

    Args:
        model: Its parameters are trained.
        groups: Of `find_zero_invariant_groups`, or by hand as {name: [(parameter name, axis,
            index)]}.
        variant: "sgd", "adam" or "adamw".
        lr: torch's, >= 0.
        target_group_sparsity: Share of the groups to cut, K = floor(share n).
        limits: In its place the most "parameters" and "macs" that the cut network may have; macs
            are counted on `example_input`. Then K is what these need, found on the network as it
            would be cut.
        example_input: What macs are counted on, where they are limited.
        start_pruning_step: T_w, plain steps before, >= 0; the authors advise a tenth of training.
        pruning_steps: Steps of all periods together; the authors advise half of training.
        pruning_periods: P, >= 1; K/P groups are chosen at the start of each period and shrunk in
            its pruning_steps/P steps. The authors advise 10.
        momentum: torch's, of sgd, in [0, 1).
        betas: torch's, of adam and adamw.
        weight_decay: torch's, >= 0; None: 0, for adamw 1e-2.
        criteria: Weight by name of `CRITERIA`.
        cosine_sign: "descent" or "official".
        group_divisible: Layers keep a multiple of it.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        Infeasible: Limits that no cut can keep.

    References:
        T. Chen et al., arXiv 2409.09085.
    """

    no_average: ClassVar[str] = "what it sets to zero would not be zero in an average"

    @checked
    def __init__(
        self,
        model: nn.Module,
        groups: Groups | Mapping[str, Any],
        variant: str = HESSOSettings.variant,
        lr: float = HESSOSettings.lr,
        *,
        target_group_sparsity: float | None = None,
        limits: Mapping[str, float] | None = None,
        example_input: Any = None,
        start_pruning_step: int = HESSOSettings.start_pruning_step,
        pruning_steps: int = HESSOSettings.pruning_steps,
        pruning_periods: int = HESSOSettings.pruning_periods,
        momentum: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float | None = None,
        criteria: Mapping[str, float] | None = None,
        cosine_sign: str = HESSOSettings.cosine_sign,
        group_divisible: int = HESSOSettings.group_divisible,
        maximize: bool = False,
    ):
        HESSOSettings(  # refuses settings without sense
            variant,
            lr,
            start_pruning_step,
            pruning_steps,
            pruning_periods,
            cosine_sign,
            group_divisible,
        )
        with naming("groups"):
            self.groups = groups if isinstance(groups, Groups) else by_hand(model, groups)
        self.model, self.limits, self.example_input = model, dict(limits or {}), example_input
        self.start, self.periods = start_pruning_step, pruning_periods
        self.pruning_steps, self.divisible = pruning_steps, group_divisible
        self.variant, self.cosine_sign = variant, cosine_sign
        self.criteria = (
            dict.fromkeys(CRITERIA, 0.2)
            if criteria is None
            else {k: real(f"criteria['{k}']", v, least=0) for k, v in criteria.items()}
        )
        unknown = self.criteria.keys() - set(CRITERIA)
        if unknown or not any(self.criteria.values()):
            raise ArgumentError(
                f"criteria: got {sorted(self.criteria)}, expected weights, not all 0, of "
                f"{', '.join(CRITERIA)}"
            )
        self.target: int | None = self._target(target_group_sparsity)
        """K; None until the first choice where limits say it."""
        decay = (
            (1e-2 if variant == "adamw" else 0.0)
            if weight_decay is None
            else real("weight_decay", weight_decay, least=0)
        )
        more: dict[str, Any] = (
            {"momentum": real("momentum", momentum, least=0, below=1)}
            if variant == "sgd"
            else {"betas": tuple(betas)}
        )
        kinds: dict[str, Any] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
        self.base: Any = kinds[variant](
            model.named_parameters(), lr=lr, weight_decay=decay, maximize=bool(maximize), **more
        )
        super().__init__(self.base.param_groups, dict(self.base.defaults))
        self._join()
        self.tensors = self.groups.tensors(model)
        self.status: Int[Tensor, " n"] = torch.zeros(len(self.groups), dtype=torch.long)
        """Of each group: important, shrinking, or gone (zero for good)."""
        self.steps = 0

    def _target(self, share: float | None) -> int | None:
        """K, from the share of the groups or from the limits; checked."""
        if (share is None) == (not self.limits):
            raise ArgumentError("expected either target_group_sparsity or limits")
        if share is None:
            for name, most in self.limits.items():
                real(f"limits['{name}']", most, above=0)
            whole = measured(self.model, self.example_input, self.limits)
            if all(whole[name] <= most for name, most in self.limits.items()):
                raise ArgumentError(
                    "limits: the model keeps them as it is, so nothing is to be cut ("
                    + ", ".join(f"{v:,.0f} {k}" for k, v in whole.items())
                    + ")"
                )
            return None
        target = math.floor(
            real("target_group_sparsity", share, least=0, below=1) * len(self.groups) + 1e-9
        )
        most = int(
            self._lowest(
                np.zeros(len(self.groups)),
                len(self.groups),
                torch.zeros(len(self.groups), dtype=torch.long),
            ).sum()
        )
        if target == 0 and share > 0:
            raise ArgumentError(
                f"target_group_sparsity={share:g} of {len(self.groups)} groups is less than one "
                "group"
            )
        if target > most:
            raise Infeasible(
                f"target_group_sparsity={share:g} asks for {target} of {len(self.groups)} groups, "
                "but each layer keeps at least "
                f"{self.divisible}: at most {most} can be cut"
            )
        return target

    def _join(self) -> None:
        """One list of groups and one state for both optimisers, so that schedulers and checkpoints
        see those that are used.
        """
        self.param_groups, self.state = self.base.param_groups, self.base.state

    # -- a step ------------------------------------------------------------------------------------

    @uncompiled
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of the base optimiser; in a pruning period the chosen groups are shrunk after
        it, and what is gone is set to zero again.
        """
        loss = evaluated(closure)
        with_gradients(self.param_groups, "HESSO")
        if asks_for_state(self.param_groups):
            self.base.step()
            return loss
        length = self.pruning_steps // self.periods
        period, t = divmod(self.steps - self.start, length)
        pruning = 0 <= period < self.periods
        if pruning and t == 0:
            self._choose(period)
        self.base.step()
        if pruning:
            self._shrink(t, length)
        self._project()
        self.steps += 1
        return loss

    @torch.no_grad()
    def scores(self) -> Float[Tensor, " n"]:
        """Saliency of every group, with the gradients as they are now."""
        n = len(self.groups)
        sums = torch.zeros(4, n + 1, dtype=torch.float64)
        where = {id(p): group for group in self.param_groups for p in group["params"]}
        for p, axis, ids in self.tensors:
            x, d = (
                entries(p, axis),
                entries(direction(p, self.state.get(p, {}), where[id(p)], self.variant), axis),
            )
            parts = torch.stack(
                [
                    (x * x).sum(1),
                    (x * d).sum(1),
                    (d * d).sum(1),
                    torch.full_like(x[:, 0], x.shape[1]),
                ]
            )
            sums.index_add_(1, ids.cpu(), parts.double().cpu())
        return saliency(sums[:, :-1], self.criteria, self.cosine_sign)

    def _lowest(self, scores: Any, count: int, status: Tensor) -> Tensor:
        """The groups of lowest score, as a mask."""
        layer, gone = self.groups.layer.numpy(), (status != IMPORTANT).numpy()
        return torch.from_numpy(lowest(np.asarray(scores), count, gone, layer, self.divisible))

    def _choose(self, period: int) -> None:
        """The groups to shrink in this period: the lowest scores among those that are still
        important.
        """
        scores, gone = self.scores().numpy(), int((self.status != IMPORTANT).sum())
        last = period == self.periods - 1
        if self.limits and (self.target is None or last):
            self.target = gone + self._needed(scores)
        assert self.target is not None
        due = self.target if last else self.target // self.periods * (period + 1)
        self._take(self._lowest(scores, max(due - gone, 0), self.status), last)

    def _take(self, picked: Bool[Tensor, " n"], last: bool) -> None:
        """Start to shrink these. Where layers must keep a multiple the last choice may fall short
        of K, which is said.
        """
        self.status[picked] = SHRINKING
        found = int((self.status != IMPORTANT).sum())
        if last and self.target is not None and found < self.target:
            warn(
                f"{found} of {self.target} groups are cut, for every layer keeps a multiple of "
                f"{self.divisible}"
            )

    def _needed(self, scores: Any) -> int:
        """How many more of the lowest scores must go until the cut network keeps the limits, by
        bisection on the network as cut.
        """

        def sizes(count: int) -> dict[str, float]:
            cut = (self.status != IMPORTANT) | self._lowest(scores, count, self.status)
            return measured(
                shrink(copied(self.model), cutting_plan(self.model, self.groups, cut)),
                self.example_input,
                self.limits,
            )

        def kept(found: Mapping[str, float]) -> bool:
            return all(found[name] <= most for name, most in self.limits.items())

        low, high = 0, int((self.status == IMPORTANT).sum())
        least = sizes(high)
        if not kept(least):
            left = ", ".join(
                f"at least {v:,.0f} {k} are left, expected at most {self.limits[k]:,.0f}"
                for k, v in least.items()
            )
            raise Infeasible(
                f"limits: {left} when every layer keeps {self.divisible} of its groups"
            )
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if kept(sizes(middle)) else (middle + 1, high)
        return low

    def _shrink(self, t: int, length: int) -> None:
        """x_g <- (T - t - 1)/(T - t) x_g in step t of T: the factors telescope to zero."""
        self._scale(self.status == SHRINKING, (length - t - 1) / (length - t))
        if t == length - 1:
            self.status[self.status == SHRINKING] = GONE

    def _scale(self, which: Bool[Tensor, " n"], factor: float) -> None:
        """What the chosen groups are multiplied by in this step."""
        if not bool(which.any()):
            return
        factors = torch.ones(len(which) + 1)
        factors[:-1][which] = factor
        for p, axis, ids in self.tensors:
            shape = [1] * p.ndim
            shape[axis] = -1
            p.mul_(factors.to(p)[ids].view(shape))

    def _project(self) -> None:
        """What is gone stays zero, whatever momentum does."""
        self._scale(self.status == GONE, 0.0)

    @property
    def group_sparsity(self) -> float:
        """Share of the groups that are gone."""
        return float((self.status == GONE).double().mean())

    # -- saving ------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """For pickles and copies."""
        return {k: v for k, v in self.__dict__.items() if "hook" not in k and k != "step"}

    def _progress(self) -> dict[str, Any]:
        """What `state_dict` holds of the periods."""
        return {
            "steps": self.steps,
            "status": self.status.clone(),
            "target": -1 if self.target is None else self.target,
        }

    def _resume(self, progress: Mapping[str, Any]) -> None:
        """Restore what `_progress` returned."""
        self.steps, self.status = int(progress["steps"]), progress["status"].clone()
        self.target = None if progress["target"] < 0 else int(progress["target"])

    def state_dict(self) -> dict[str, Any]:
        """Torch's of the base optimiser, with "hesso" in the first group: where pruning stands."""
        saved = super().state_dict()
        first, *rest = saved["param_groups"]
        return {**saved, "param_groups": [{**first, HESSO_KEY: self._progress()}, *rest]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, also of the versions before, which had "hesso" by
        itself; the base optimiser's state included.

        Raises:
            ShapeError: The state is another model's or has other groups.
        """
        groups = [dict(group) for group in state_dict["param_groups"]]
        found = [group.pop(HESSO_KEY) for group in groups if HESSO_KEY in group]
        progress = found[0] if found else state_dict.get(HESSO_KEY)
        if progress is None or len(progress["status"]) != len(self.groups):
            raise ShapeError(
                f"state_dict has {'no' if progress is None else len(progress['status'])} groups, "
                f"expected {len(self.groups)}"
            )
        super().load_state_dict({"state": state_dict["state"], "param_groups": groups})
        self.base.param_groups, self.base.state = self.param_groups, self.state
        self._resume(progress)

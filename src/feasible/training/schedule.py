"""ProfileLR: one learning-rate scheduler for every profile and sampling rule.

    rate of step k = 0, 1, ...:  min_lr + (lr - min_lr) s(z)

with z the sampled share of the run that is over and lr the group's own peak.

The rate is a closed form of (k, the group's peak), never of the rate before, so a resumed run goes
on bit for bit, whichever of optimiser and scheduler was built or loaded first. Profile x sampling:
arXiv 2107.04197 (REX), section 3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..core.annotations import checked
from ..core.checks import naming, whole
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite
from ..core.warning import warn
from .optimizer import number
from .profiles import Profile, of
from .sampling import Sampling

SLACK, SKIPPED = 10, 40
"""Steps that the optimiser may be ahead of the schedule or behind it, and 2 % more: a gradient
scaler that starts at 2^16 skips up to 40 until float16 holds the scaled gradients.
"""


class HorizonWarning(UserWarning):
    """The steps of the optimiser are not those that the schedule plans for."""


# -- the scheduler ---------------------------------------------------------------------------------


class Steps:
    """Counts the steps of an optimiser as a hook that refers to nothing."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, *_: Any) -> None:
        """One more."""
        self.n += 1


class ProfileLR(LRScheduler):
    """A learning rate that follows a profile over `total_steps` steps of the optimiser.

    The rate of step k is min_lr + (lr - min_lr) s(z), z the share of the run that is over. Call
    `step()` after each `optimizer.step()`.

    Each group keeps its own `lr` as its peak, a float or a tensor. Past the horizon the last rate
    stays and one HorizonWarning is given; another tells of an optimiser that makes more or fewer
    steps than the schedule. `extend` sets a new horizon. One schedule has the rate: after another
    one by `SequentialLR`, never two at once, as with torch's LambdaLR.

    Args:
        optimizer: A torch optimiser.
        profile: A function of z in [0, 1] (see `profiles`) or the name of one.
        total_steps: Steps of the optimiser that the schedule plans for, >= 1.
        sampling: How often the rate follows it, a `Sampling` or a share of the run.
        min_lr: The rate where the profile is 0.
        warmup_steps: Steps in which the rate rises to its peak first, lr (k + 1)/warmup_steps; the
            profile takes the rest.
        last_epoch: Steps that are over, less one, as in torch.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        NotFinite: A NaN or an infinity.

    Examples:
        >>> x = torch.nn.Parameter(torch.zeros(1))
        >>> schedule = ProfileLR(torch.optim.SGD([x], lr=0.4), "cosine", total_steps=4)
        >>> [round(rate, 3) for rate in schedule.profile().tolist()]
        [0.4, 0.341, 0.2, 0.059]
    """

    base_lrs: list[float]
    last_epoch: int
    _keep: tuple[str, ...] = ()
    """Settings of a subclass that `state_dict` holds and `_rebuild` makes the profile from."""

    @checked
    def __init__(
        self,
        optimizer: Optimizer,
        profile: str | Profile,
        total_steps: int,
        *,
        sampling: Any = None,
        min_lr: float = 0.0,
        warmup_steps: int = 0,
        last_epoch: int = -1,
    ):
        if not isinstance(optimizer, Optimizer):
            raise ArgumentTypeError(
                f"optimizer: got {type(optimizer).__name__}, expected a torch.optim.Optimizer"
            )
        self.total_steps = whole("total_steps", total_steps, least=1, floats=True)
        self.warmup_steps = whole("warmup_steps", warmup_steps, least=0, floats=True)
        if self.warmup_steps >= self.total_steps:
            raise ArgumentError(
                f"warmup_steps={warmup_steps}: expected fewer than the total_steps={total_steps}"
            )
        self.sampling, self._s, self.min_lr = (
            Sampling.of(sampling),
            of(profile),
            rate("min_lr", min_lr),
        )
        for i, group in enumerate(optimizer.param_groups):
            peak = rate(f"lr of group {i}", group.get("initial_lr", group["lr"]))
            if peak < self.min_lr:
                raise ArgumentError(
                    f"min_lr={self.min_lr:g}: expected at most the rate of group {i}, {peak:g}"
                )
        for k in {round(i * self.total_steps / 64) for i in range(65)}:
            self.share(k)
        self._made, self._asked, self._warned = Steps(), 0, {"past": False, "steps": False}
        optimizer.register_step_post_hook(self._made)
        with naming("last_epoch"):
            super().__init__(optimizer, last_epoch)

    # -- the closed form ---------------------------------------------------------------------------

    def _z(self, k: int, steps: int) -> float:
        """Share of the profile at step k of `steps`."""
        a, b = self.sampling.point(k, steps)
        return a / b

    def share(self, k: int) -> float:
        """Rate over peak rate at step k, above min_lr; k past the horizon counts as its end.

        Raises:
            NotFinite: The profile has no value there.
        """
        if k < self.warmup_steps:
            return (k + 1) / self.warmup_steps
        k = min(k, self.total_steps)
        s = float(self._s(self._z(k - self.warmup_steps, self.total_steps - self.warmup_steps)))
        if not 0.0 <= s < math.inf:
            raise NotFinite(
                f"profile is {s:g} at step {k} of {self.total_steps}, expected a finite number >= 0"
            )
        return s

    def lr_at(self, k: int, peak: float) -> float:
        """The rate at step k of a group with this peak.

        Args:
            k: Step, from 0.
            peak: Rate of the group at its peak.
        """
        return self._scaled(k, self.share(k), peak)

    def _scaled(self, k: int, s: float, peak: float) -> float:
        """The rate of a group with this peak, s being the profile's value."""
        if not self.min_lr or k < self.warmup_steps:
            return peak * s
        return self.min_lr + (peak - self.min_lr) * s

    def get_lr(self) -> list[float]:
        """The rate of each group at the present step."""
        k, s = self.last_epoch, self.share(self.last_epoch)
        return [self._scaled(k, s, peak) for peak in self.base_lrs]

    _get_closed_form_lr = get_lr

    def profile(self, group: int = 0) -> np.ndarray:
        """(total_steps,) the rates of a group over the whole run, bit for bit those that it
        gets.
        """
        return np.array([self.lr_at(k, self.base_lrs[group]) for k in range(self.total_steps)])

    # -- stepping ----------------------------------------------------------------------------------

    def _initial_step(self) -> None:
        """Begin with peaks as floats."""
        self.base_lrs = [float(peak) for peak in self.base_lrs]
        super()._initial_step()

    def _update_lr(self, epoch: int | None = None) -> None:
        """Count a step, and set the rates."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if epoch is None and not self._is_initial:
            self._asked += 1
            self._compare()
        else:
            self._asked, self._made.n = 0, 0
        if self.last_epoch > self.total_steps and not self._warned["past"]:
            self._warn(
                "past",
                f"step {self.last_epoch} of a schedule over {self.total_steps}: the last rate "
                "stays; `extend(total_steps)` plans anew",
            )
        self._write()

    def _compare(self) -> None:
        """Warn where the optimiser's steps are not those of the schedule."""
        made, asked = self._made.n, self._asked
        slack = (SLACK if made > asked else SKIPPED) + 0.02 * max(made, asked)
        if made and abs(made - asked) > slack and not self._warned["steps"]:
            self._warn(
                "steps",
                f"the optimiser made {made} steps and the schedule {asked}: its "
                f"total_steps={self.total_steps} are steps of the "
                "optimiser, so step() belongs after each of them (rates by epoch: "
                "sampling=Sampling.epoch(n))",
            )

    def _warn(self, what: str, text: str) -> None:
        """Warn, once of each thing."""
        self._warned[what] = True
        warn(f"{type(self).__name__}: {text}", HorizonWarning)

    def _write(self) -> None:
        """Set the rates of all groups, those added since included."""
        self._adopt()
        self._last_lr = self.get_lr()
        self._put()

    def _adopt(self) -> None:
        """Take in the groups that were added since, each with the rate that it came with."""
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            group.setdefault("initial_lr", float(group["lr"]))
            self.base_lrs.append(rate("lr of an added group", group["initial_lr"]))
            self._last_lr.append(float(group["lr"]))

    def _put(self) -> None:
        """Give the groups the rates of `_last_lr`."""
        for group, value in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value

    def _in_force(self) -> bool:
        """Whether the groups have the rates that this schedule gave last; where another one of a
        SequentialLR is at work they do not.
        """
        return self.last_epoch >= 0 and all(
            float(group["lr"])
            == (float(lr.new_tensor(v)) if isinstance(lr := group["lr"], torch.Tensor) else v)
            for group, v in zip(self.optimizer.param_groups, self._last_lr, strict=True)
        )

    def extend(self, total_steps: int) -> None:
        """Stretch the profile over a new horizon, from the present rate on; where another schedule
        has the rate at present, from its own next one.

        Args:
            total_steps: The new horizon.

        Raises:
            ArgumentError: The new horizon is over already.
        """
        steps = whole("total_steps", total_steps, least=1, floats=True)
        if steps < max(self.last_epoch, self.warmup_steps + 1):
            raise ArgumentError(
                f"total_steps={steps}: expected at least the "
                f"{max(self.last_epoch, self.warmup_steps + 1)} steps that are made or "
                "needed for the warm-up"
            )
        self.total_steps, self._warned["past"] = steps, False
        self._adopt()
        if self._in_force():
            self._write()

    def finish(self) -> float:
        """Share of the horizon that was used, to be called after the last step; a HorizonWarning
        where it is below 90 %.
        """
        used = self.last_epoch / self.total_steps
        if used < 0.9:
            warn(
                f"{type(self).__name__}: the run ended after {self.last_epoch} of "
                f"{self.total_steps} planned steps, so the rate never came "
                "down",
                HorizonWarning,
            )
        return used

    # -- state -------------------------------------------------------------------------------------

    def _print(self) -> list[float]:
        """The profile at 17 points, by which it is known again."""
        return [float(self._s(i / 16)) for i in range(17)]

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers: the step, the peaks, the horizon and its settings; of the profile its
        values at 17 points; and whether the optimiser had its rates.
        """
        at = self.sampling
        self._adopt()
        return {
            "last_epoch": self.last_epoch,
            "_step_count": self._step_count,
            "base_lrs": list(self.base_lrs),
            "_last_lr": list(self._last_lr),
            "in_force": self._in_force(),
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "min_lr": self.min_lr,
            "warned": dict(self._warned),
            "sampling": {
                "steps": at.steps,
                "shares": [list(m) for m in at.shares],
                "share": None if at.share is None else list(at.share),
            },
            "settings": {name: getattr(self, name) for name in self._keep},
            "profile": self._print(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, its horizon included, and set the rates of the optimiser, unless it
        had those of another schedule.

        Raises:
            ArgumentError: A state of another scheduler, profile or number of groups.
        """
        missing = {
            "last_epoch",
            "_step_count",
            "base_lrs",
            "_last_lr",
            "total_steps",
            "warmup_steps",
            "min_lr",
            "warned",
            "sampling",
            "settings",
            "profile",
        } - state_dict.keys()
        if missing:
            raise ArgumentError(
                f"state of another scheduler: it lacks {', '.join(sorted(missing))}"
            )
        if len(state_dict["base_lrs"]) != len(self.optimizer.param_groups):
            raise ArgumentError(
                f"state of {len(state_dict['base_lrs'])} groups of parameters, the optimiser has "
                f"{len(self.optimizer.param_groups)}"
            )
        before = {name: getattr(self, name) for name in ("_s", *self._keep)}
        for name, value in state_dict["settings"].items():
            setattr(self, name, value)
        self._rebuild()
        if not np.allclose(self._print(), state_dict["profile"], rtol=1e-9, atol=1e-12):
            self.__dict__.update(before)
            raise ArgumentError(
                "state of another profile: its values at 0, 1/16, ..., 1 differ from those of this "
                "one"
            )
        at = state_dict["sampling"]
        self.sampling = Sampling(
            at["steps"],
            tuple((a, b) for a, b in at["shares"]),
            at["share"] and (at["share"][0], at["share"][1]),
        )
        if state_dict["total_steps"] != self.total_steps:
            warn(
                f"{type(self).__name__}: the state plans for {state_dict['total_steps']} steps, "
                f"not for {self.total_steps}; it goes on "
                "with its own, and `extend(total_steps)` changes that",
                HorizonWarning,
            )
        for name in ("last_epoch", "_step_count", "total_steps", "warmup_steps", "min_lr"):
            setattr(self, name, state_dict[name])
        self.base_lrs, self._warned = list(state_dict["base_lrs"]), dict(state_dict["warned"])
        self._last_lr = list(state_dict["_last_lr"])
        self._asked, self._made.n = 0, 0
        if state_dict.get("in_force", self.last_epoch >= 0):
            self._put()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy counts the steps of its own optimiser."""
        self.__dict__.update(state)
        self._made, self._asked = Steps(), 0
        self.optimizer.register_step_post_hook(self._made)

    def _rebuild(self) -> None:
        """Make the profile from the settings of `_keep`, into `_s`."""


def rate(name: str, value: Any) -> float:
    """A learning rate, a number or a tensor of one: finite, >= 0.

    Raises:
        ArgumentTypeError: No number.
        ArgumentError: Below 0, NaN or infinite.
    """
    return number(name, value, least=0)

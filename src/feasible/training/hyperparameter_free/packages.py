"""Optimisers that find their own rate, as their packages ship them, and what one wants to know of
them: the rate, and whether the estimate works.

Prodigy (Mishchenko, Defazio, 2023, arXiv 2306.06101) from prodigyopt, D-Adaptation (Defazio,
Mishchenko, ICML 2023, arXiv 2301.07733) from
dadaptation, COCOB (Orabona, Tommasi, NeurIPS 2017, arXiv 1705.07795) from parameterfree. The
subclasses here add typed errors before anything is
changed, state matched by name, and silence; the updates are the packages'. DoG, MoMo and Mechanic
are written anew: see there why.

They still want a schedule (a factor that starts above 0), except DoG, which wants
`PolynomialAverager`, and COCOB, which wants nothing.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from ...core.errors import ArgumentError, MissingExtra
from ..optimizer import NamedState, evaluated, number, with_gradients
from .averaging import PolynomialAverager
from .dog import DoG, DoWG, LDoG
from .mechanic import mechanize, unhooked

try:
    import dadaptation
    import parameterfree
    import prodigyopt
except ImportError as error:
    raise MissingExtra(
        "learning-rate-free optimisers need the packages of an extra, which cannot be imported "
        f"({error}): "
        "pip install 'feasible[training]'"
    ) from error

STALLED, GROWN, WITHIN, EVERY = 500, 10.0, 100, 50
"""Steps without a move of the estimate, its growth, within how many steps, and how often it is
looked at.
"""


class EstimateWarning(UserWarning):
    """The estimate of a learning-rate-free optimiser has not moved, or runs away."""


class _Checked(NamedState):
    """Looks at rates and gradients before the package's step is made."""

    _one_rate: ClassVar[bool] = True
    _base: ClassVar[Any]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the closure's loss, where there is a closure. Raises ArgumentError (groups of
        different rates, sparse gradient), NotFinite.
        """
        name, groups = type(self).__name__, self.param_groups  # type: ignore[attr-defined]
        loss = evaluated(closure)
        rates = sorted({float(g["lr"]) for g in groups} - {0.0})
        if self._one_rate and len(rates) > 1:
            raise ArgumentError(
                f"lr: groups have the rates {', '.join(f'{r:g}' for r in rates)}; {name} has one "
                "estimate for all, so expected one "
                "rate, or 0 for groups that rest"
            )
        if any(float(g.any()) for _, grads in with_gradients(groups, name) for g in grads) and (
            rates or not self._one_rate
        ):
            unhooked(self._base)(self)
        return loss

    def effective_lr(self) -> list[float]:
        """The rate that a step has in each group: estimate times factor."""
        groups = self.param_groups  # type: ignore[attr-defined]
        return [float(g["d"]) * float(g["lr"]) for g in groups]

    def estimate(self) -> float:
        """d, the estimated distance to the solution."""
        return float(self.param_groups[0]["d"])  # type: ignore[attr-defined]


def _numbers(betas: tuple[float, ...] = (), **above: float) -> None:
    for i, beta in enumerate(betas):
        number(beta, f"betas[{i}]", 0.0, 1.0, below=True)
    for name, value in above.items():
        if not (name == "growth_rate" and value == math.inf):
            number(value, name, 0.0, above=name != "weight_decay")


class Prodigy(_Checked, prodigyopt.Prodigy):
    """Adam with Prodigy's estimate of the rate.

    lr: > 0, a factor; 1, times a schedule.  betas, beta3 (None: sqrt(beta2)), eps: Adam's.
      weight_decay: >= 0; decoupled, or with decouple=False L2.
    d0: > 0, the first estimate, raised to 1e-5 or 1e-4 where it does not move.  d_coef: > 0, a
      factor of the estimate, the setting to change first.
    growth_rate: > 1, its most growth in a step.  use_bias_correction: Adam's.  safeguard_warmup:
      for a schedule that rises.
    slice_p: estimate from every p-th entry. "d" is in each group. All groups have one rate, or 0.
      Raises ArgumentError, ArgumentTypeError, NotFinite.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    _base = prodigyopt.Prodigy

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        beta3: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decouple: bool = True,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        growth_rate: float = math.inf,
        slice_p: int = 1,
    ):
        _numbers(
            betas,
            lr=lr,
            eps=eps,
            weight_decay=weight_decay,
            d0=d0,
            d_coef=d_coef,
            growth_rate=growth_rate,
            slice_p=slice_p,
        )
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(
                params,
                lr,
                tuple(betas),
                beta3,
                eps,
                weight_decay,
                decouple,
                use_bias_correction,
                safeguard_warmup,
                d0,
                d_coef,
                growth_rate,
                False,
                int(slice_p),
            )
        _watch(self)


class DAdaptAdam(_Checked, dadaptation.DAdaptAdam):
    """Adam with the estimate of D-Adaptation.

    lr: > 0, a factor; 1, times a schedule.  betas, eps: Adam's.  weight_decay: >= 0; decoupled (the
      package's default is not), or L2.
    d0, growth_rate, use_bias_correction: as in `Prodigy`. "d" is in each group. All groups have one
      rate, or 0.
    Raises ArgumentError, ArgumentTypeError, NotFinite.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq", "s")
    _base = dadaptation.DAdaptAdam

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decouple: bool = True,
        use_bias_correction: bool = False,
        d0: float = 1e-6,
        growth_rate: float = math.inf,
    ):
        _numbers(betas, lr=lr, eps=eps, weight_decay=weight_decay, d0=d0, growth_rate=growth_rate)
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(
                params,
                lr,
                tuple(betas),
                eps,
                weight_decay,
                0,
                decouple,
                use_bias_correction,
                d0,
                growth_rate,
                False,
            )
        _watch(self)


class DAdaptSGD(_Checked, dadaptation.DAdaptSGD):
    """Gradient descent with the estimate of D-Adaptation: steps d lr / |g_1|, momentum as an
    average with the dual point.

    lr, d0, growth_rate, weight_decay (L2): as in `DAdaptAdam`.  momentum: in [0, 1). A step at rate
    0 or with zero gradients moves nothing; the
    package's divides by zero there, so that a warm-up from 0 fails. Raises ArgumentError,
    ArgumentTypeError, NotFinite.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("z", "s", "x0")
    _base = dadaptation.DAdaptSGD

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        d0: float = 1e-6,
        growth_rate: float = math.inf,
    ):
        number(momentum, "momentum", 0.0, 1.0, below=True)
        _numbers(lr=lr, weight_decay=weight_decay, d0=d0, growth_rate=growth_rate)
        super().__init__(params, lr, momentum, weight_decay, 0, d0, growth_rate, False)
        _watch(self)

    def effective_lr(self) -> list[float]:
        """d lr / |g_1|; 0 before the first step."""
        first = float(self.param_groups[0].get("g0_norm", math.inf))
        return [rate / first for rate in super().effective_lr()]


class COCOB(_Checked, parameterfree.COCOB):
    """Coin betting on each coordinate. alpha: >= 0, about the steps of warm-up.  eps: > 0, the
    first scale.  weight_decay: >= 0, L2.

    lr: there for schedulers and loggers that want one in each group; the method has none, and a
      schedule changes nothing.
    Raises ArgumentError, ArgumentTypeError, NotFinite.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("x0", "L", "reward")
    _base = parameterfree.COCOB
    _one_rate: ClassVar[bool] = False

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        alpha: float = 100.0,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        number(alpha, "alpha", 0.0)
        number(lr, "lr", 0.0)
        _numbers(eps=eps, weight_decay=weight_decay)
        super().__init__(params, alpha, eps, weight_decay)
        for group in self.param_groups:
            group["lr"] = lr

    def effective_lr(self) -> list[float]:
        """Mean over coordinates of what the sum of negative gradients is multiplied with; 0 before
        the first step.
        """
        found = []
        for group in self.param_groups:
            states = [self.state[p] for p in group["params"] if p in self.state]
            rates = [
                (
                    (s["L"] + s["reward"])
                    / (s["L"] * torch.maximum(s["grad_norm_sum"] + s["L"], self._alpha * s["L"]))
                ).flatten()
                for s in states
            ]
            found.append(float(torch.cat(rates).mean()) if rates else 0.0)
        return found

    def estimate(self) -> float:
        """There is none: NaN."""
        return math.nan


def effective_lr(optimizer: torch.optim.Optimizer) -> list[float]:
    """The rate of each group as steps have it: estimate times factor for learning-rate-free
    methods, the scheduled rate otherwise.
    """
    if hasattr(optimizer, "effective_lr"):
        return [float(rate) for rate in optimizer.effective_lr()]
    return [
        float(g["scheduled_lr"]) if "scheduled_lr" in g else float(g["lr"]) * float(g.get("d", 1.0))
        for g in optimizer.param_groups
    ]


class EstimateWatch:
    """Warns, once each, where an estimate is still where it began after 500 steps, or later grows
    tenfold within 100. Call it after each step.

    An estimate that has found its level stays there, and in the first 500 steps it grows by many
      powers of ten: neither is warned of.
    """

    def __init__(self, name: str):
        self.name, self.said = name, set[str]()

    def __call__(self, record: dict[str, Any], estimate: Callable[[], float]) -> None:
        """record: what is remembered, plain data, empty at first.  estimate: called every 50 steps
        only, as it may wait for a device.
        """
        steps = record["steps"] = record.get("steps", 0) + 1
        if steps > 1 and steps % EVERY:
            return
        value = estimate()
        first, earlier = (
            record.setdefault("first", value),
            record.setdefault("seen", [0.0] * (WITHIN // EVERY)),
        )
        if steps == STALLED and value <= 1.01 * first:
            self._say(
                "stalled",
                f"{self.name}: the estimate is still {value:.3g} after {STALLED} steps; raise its "
                "first value (d0, reps_rel, "
                "s_init), and see that gradients are not clipped and the schedule starts above 0",
            )
        if steps > STALLED and value >= GROWN * earlier[0] > 0:
            self._say(
                "grown",
                f"{self.name}: the estimate grew from {earlier[0]:.3g} to {value:.3g} within "
                f"{WITHIN} steps; clipped gradients, or "
                "a loss without a minimum, let it run away; growth_rate, or d_coef below 1, hold "
                "it",
            )
        record["seen"] = [*earlier[1:], value]

    def _say(self, what: str, text: str) -> None:
        if what not in self.said:
            self.said.add(what)
            warnings.warn(text, EstimateWarning, stacklevel=5)


def _watch(optimizer: Any) -> None:
    """Watch the optimiser's estimate after each of its steps. The record is in the first group, so
    that a resumed run goes on with it.
    """
    watch = EstimateWatch(type(optimizer).__name__)
    optimizer.register_step_post_hook(
        lambda *_: watch(optimizer.param_groups[0].setdefault("estimates", {}), optimizer.estimate)
    )


# -- as recipes name them --------------------------------------------------------------------------


def _averaged(optimizer: DoG, gamma: float) -> DoG:
    PolynomialAverager(optimizer, gamma)
    _watch(optimizer)
    return optimizer


def averaged_dog(params: Any, lr: float = 1.0, gamma: float = 8.0, **settings: Any) -> DoG:
    """DoG with its average: `eval()` puts it in."""
    return _averaged(DoG(params, lr=lr, **settings), gamma)


def averaged_ldog(params: Any, lr: float = 1.0, gamma: float = 8.0, **settings: Any) -> DoG:
    """LDoG with its average."""
    return _averaged(LDoG(params, lr=lr, **settings), gamma)


def averaged_dowg(params: Any, lr: float = 1.0, gamma: float = 8.0, **settings: Any) -> DoG:
    """DoWG with an average."""
    return _averaged(DoWG(params, lr=lr, **settings), gamma)


def _mechanized(
    base: type[torch.optim.Optimizer],
    params: Any,
    lr: float,
    s_init: float,
    s_decay: float,
    settings: dict[str, Any],
) -> Any:
    optimizer = mechanize(base, s_init=s_init, s_decay=s_decay)(params, lr=lr, **settings)
    _watch(optimizer)
    return optimizer


def mechanic_adamw(
    params: Any, lr: float = 1.0, s_init: float = 1e-6, s_decay: float = 0.01, **settings: Any
) -> Any:
    """AdamW whose scale Mechanic learns."""
    return _mechanized(torch.optim.AdamW, params, lr, s_init, s_decay, settings)


def mechanic_sgd(
    params: Any, lr: float = 1.0, s_init: float = 1e-6, s_decay: float = 0.01, **settings: Any
) -> Any:
    """SGD whose scale Mechanic learns."""
    return _mechanized(torch.optim.SGD, params, lr, s_init, s_decay, settings)

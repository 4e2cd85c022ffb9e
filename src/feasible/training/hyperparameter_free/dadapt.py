"""D-Adaptation (Defazio, Mishchenko, "Learning-Rate-Free Learning by D-Adaptation", ICML 2023,
arXiv 2301.07733): the rate of Adam and of gradient descent from a lower bound d of the distance
from the start to a solution, which grows while training shows that it may.

    Adam    lambda = d lr [sqrt(1 - b2^t) / (1 - b1^t)];   q = sqrt(b2)
            num <- q num + (1 - q) lambda <g, s / (sqrt(v) + eps)>          v, s of the step before
            m <- b1 m + (1 - b1) lambda g;   v <- b2 v + (1 - b2) g^2;   s <- q s + (1 - q) lambda g
            d <- max(d, min(num / ((1 - q) |s|_1), growth_rate d))
            x <- x - wd lambda x - m / (sqrt(v) + eps)
    SGD     lambda = d lr / |g_1|
            num <- num + lambda <g, s>;   s <- s + lambda g
            d <- max(d, min(2 num / |s|_2, growth_rate d))
            x <- mu x + (1 - mu) (x0 - s)

Sums, norms and products are over all parameters. Both want lr = 1 times a schedule that starts
above 0. The bound assumes a convex loss; on others, and with clipped gradients, d may run away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from ...core.annotations import checked
from ...core.checks import real
from ..optimizer import Gradients, total_dot
from .estimate import Estimating, check_settings, watch


class _DAdapt(Estimating, Optimizer):
    """What both forms share: d, its numerator and the count of steps, the same in every group."""

    def _decayed(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> Any:
        """The gradients, with the weight decay where it is part of them."""
        if group["weight_decay"] and not group.get("decouple", False):
            return torch._foreach_add(grads, params, alpha=group["weight_decay"])
        return grads

    def _state_of(self, params: list[Tensor], **start: Any) -> list[list[Tensor]]:
        """The state tensors of the parameters by name; new ones are made by `start`'s functions."""
        for p in params:
            if not self.state[p]:
                self.state[p].update({name: make(p) for name, make in start.items()})
        return [[self.state[p][name] for p in params] for name in start]

    def _raise(self, numerator: float, bound: float) -> None:
        """Keep the numerator, raise the estimate to the bound, and count the step."""
        d = self.param_groups[0]["d"]
        d = max(d, min(bound, d * self.param_groups[0]["growth_rate"]))
        for group in self.param_groups:
            group.update(d=d, numerator_weighted=numerator, k=group["k"] + 1)


class DAdaptAdam(_DAdapt):
    """Adam with the estimate of D-Adaptation.

    Minimises a loss of the parameters, given gradients at batches; no rate has to be known. "d",
    the estimate, is in each group and never falls. All groups have one rate, or 0, and then rest.

    Args:
        params: Parameters, named parameters, or groups of them.
        lr: Factor of the estimate, > 0; 1, times a schedule that starts above 0.
        betas: Adam's, each in [0, 1).
        eps: Adam's, > 0.
        weight_decay: >= 0.
        decouple: Decoupled decay, as AdamW's; False for decay of the gradient.
        use_bias_correction: Adam's.
        d0: First estimate, > 0; 1e-5 or 1e-4 where it does not move.
        growth_rate: Its most growth in a step, > 1.
        maximize: Ascend instead of descending, as torch's optimisers do.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting that is no number.

    Examples:
        >>> x = torch.nn.Parameter(torch.ones(10, dtype=torch.float64))
        >>> optimizer = DAdaptAdam([x])
        >>> for _ in range(500):
        ...     x.grad = x.detach().sign()
        ...     _ = optimizer.step()
        >>> round(optimizer.estimate(), 6)  # the distance is 1 in each coordinate
        4.900403

    References:
        Defazio, Mishchenko, arXiv 2301.07733, with the memory sqrt(b2) of the authors' code.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq", "s")

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decouple: bool = True,
        use_bias_correction: bool = False,
        d0: float = 1e-6,
        growth_rate: float = math.inf,
        *,
        maximize: bool = False,
    ):
        check_settings(lr, weight_decay, betas, growth_rate, eps=eps, d0=d0)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": tuple(betas),
                "eps": eps,
                "weight_decay": weight_decay,
                "decouple": decouple,
                "use_bias_correction": use_bias_correction,
                "growth_rate": growth_rate,
                "maximize": bool(maximize),
                "d": d0,
                "numerator_weighted": 0.0,
                "k": 0,
            },
        )
        watch(self)

    def _begin(self, found: list[Gradients]) -> None:
        """Averages that begin at 0."""
        for params, _ in found:
            self._averages(params)

    def _averages(self, params: list[Tensor]) -> list[list[Tensor]]:
        """m, v and s of the parameters."""
        zeros = torch.zeros_like
        return self._state_of(params, exp_avg=zeros, exp_avg_sq=zeros, s=zeros)

    def _move(self, found: list[Gradients]) -> None:
        """Raise the estimate, then move by the new averages."""
        first = self.param_groups[0]
        (b1, b2), t = first["betas"], first["k"] + 1
        q, step = math.sqrt(b2), first["d"] * max(float(g["lr"]) for g in self.param_groups)
        if first["use_bias_correction"]:
            step *= math.sqrt(1 - b2**t) / (1 - b1**t)
        inner, length, moves = 0.0, 0.0, []
        for group, (params, grads) in zip(self.param_groups, found, strict=True):
            if not params or float(group["lr"]) == 0:
                continue
            grads = self._decayed(group, params, grads)
            m, v, s = self._averages(params)
            root = torch._foreach_add(torch._foreach_sqrt(v), group["eps"])
            inner += step * total_dot(grads, torch._foreach_div(s, root))
            (beta1, beta2) = group["betas"]
            torch._foreach_mul_(m, beta1)
            torch._foreach_add_(m, grads, alpha=step * (1 - beta1))
            torch._foreach_mul_(v, beta2)
            torch._foreach_addcmul_(v, grads, grads, 1 - beta2)
            torch._foreach_mul_(s, q)
            torch._foreach_add_(s, grads, alpha=step * (1 - q))
            length += float(torch.stack(torch._foreach_norm(s, 1)).double().sum())
            moves.append((group, params, m, v))
        numerator = q * first["numerator_weighted"] + (1 - q) * inner
        self._raise(numerator, numerator / ((1 - q) * length) if length else 0.0)
        for group, params, m, v in moves:
            if group["decouple"] and group["weight_decay"]:
                torch._foreach_mul_(params, 1 - group["weight_decay"] * step)
            root = torch._foreach_add(torch._foreach_sqrt(v), group["eps"])
            torch._foreach_addcdiv_(params, m, root, -1.0)


class DAdaptSGD(_DAdapt):
    """Gradient descent with the estimate of D-Adaptation.

    Minimises a loss of the parameters, given gradients at batches; no rate has to be known. "d",
    the estimate, is in each group and never falls. All groups have one rate, or 0, and then rest.
    A step at rate 0 or with zero gradients moves nothing.

    Args:
        params: Parameters, named parameters, or groups of them.
        lr: Factor of the estimate, > 0; 1, times a schedule.
        momentum: mu, the share of the former point in an average with the dual one, in [0, 1).
        weight_decay: Decay of the gradient, >= 0.
        d0: First estimate, > 0.
        growth_rate: Its most growth in a step, > 1.
        maximize: Ascend instead of descending, as torch's optimisers do.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting that is no number.

    References:
        Defazio, Mishchenko, arXiv 2301.07733.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("z", "s", "x0")

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        d0: float = 1e-6,
        growth_rate: float = math.inf,
        *,
        maximize: bool = False,
    ):
        real("momentum", momentum, least=0, below=1)
        check_settings(lr, weight_decay, growth_rate=growth_rate, d0=d0)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "weight_decay": weight_decay,
                "growth_rate": growth_rate,
                "maximize": bool(maximize),
                "d": d0,
                "numerator_weighted": 0.0,
                "k": 0,
            },
        )
        watch(self)

    def _begin(self, found: list[Gradients]) -> None:
        """The start, a sum of 0, and a first length that is not known yet."""
        for group in self.param_groups:
            group.setdefault("g0_norm", 0.0)
        for params, _ in found:
            self._points(params)

    def _points(self, params: list[Tensor]) -> list[list[Tensor]]:
        """x0 and s of the parameters."""
        return self._state_of(params, x0=lambda p: p.detach().clone(), s=torch.zeros_like)

    def _move(self, found: list[Gradients]) -> None:
        """Move from the start by the weighted sum of gradients, and raise the estimate."""
        first = self.param_groups[0]
        active = [
            (group, params, grads)
            for group, (params, grads) in zip(self.param_groups, found, strict=True)
            if params and float(group["lr"])
        ]
        if not first.get("g0_norm"):  # of the loss alone, without weight decay
            length = math.sqrt(sum(total_dot(grads, grads) for *_, grads in active))
            for group in self.param_groups:
                group["g0_norm"] = length
        step = first["d"] * max(float(g["lr"]) for g in self.param_groups) / first["g0_norm"]
        numerator, squares = first["numerator_weighted"], 0.0
        for group, params, grads in active:
            grads = self._decayed(group, params, grads)
            x0, s = self._points(params)
            numerator += step * total_dot(grads, s)
            torch._foreach_add_(s, grads, alpha=step)
            squares += total_dot(s, s)
            torch._foreach_lerp_(params, torch._foreach_sub(x0, s), 1 - group["momentum"])
        self._raise(numerator, 2 * numerator / math.sqrt(squares) if squares else 0.0)

    def effective_lr(self) -> list[float]:
        """d lr / |g_1|; 0 before the first step."""
        first = float(self.param_groups[0].get("g0_norm") or math.inf)
        return [rate / first for rate in super().effective_lr()]

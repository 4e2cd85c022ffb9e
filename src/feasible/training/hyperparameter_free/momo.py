"""MoMo and MoMo-Adam (Schaipp, Ohana, Eickenberg, Defazio, Gower, "MoMo: Momentum Models for
Adaptive Learning Rates", ICML 2024, arXiv 2305.07583): the rate of a step from the loss, lr being
its upper bound.

    m, fbar, gam: averages of g, f, <g, x>
    tau = min(lr / rho, ((1 + lr wd)(fbar - rho lb - gam) + <m, x>)_+ / <m, m / D>)
    x <- (x - tau m / D) / (1 + lr wd)

D = 1 in MoMo and sqrt(v / (1 - b2^t)) + eps in MoMo-Adam; rho = 1 - b1^t where averages begin at 0.
lb is a lower bound of the loss. Written here because momo-opt 0.1.0 keeps fbar, t and lb outside
its state_dict, so that a resumed run is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch.optim import Optimizer

from ...core.annotations import checked
from ...core.checks import real
from ...core.errors import ArgumentTypeError
from ..optimizer import (
    NamedState,
    asks_for_state,
    evaluated,
    number,
    total_dot,
    uncompiled,
    wide,
    with_gradients,
)


class _Model(NamedState, Optimizer):
    """What both share. The averages of the loss, the steps, lb and tau are in each group."""

    like_parameter: ClassVar[tuple[str, ...]] = ("grad_avg", "grad_avg_sq")

    def _begin(self, params: list[Any], grads: list[Any]) -> None:
        """Averages of 0 for parameters that have none; the first step counts from there."""
        raise TypeError(f"{type(self).__name__} is not meant to be used itself")

    def _lengths(
        self, group: dict[str, Any], params: list[Any], grads: list[Any]
    ) -> tuple[Any, ...]:
        """<m, x>, the average of <g, x>, <m, m / D>, and m / D."""
        raise TypeError(f"{type(self).__name__} is not meant to be used itself")

    @uncompiled
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None, loss: Any = None) -> Any:
        """Make one step.

        Args:
            closure: Evaluates the loss and its gradients.
            loss: The loss that the gradients are of, a number or a tensor of one; this or a
                closure. At rate 0 with zero gradients none is needed: nothing moves, and the state
                is made, as torch.distributed.checkpoint asks.

        Returns:
            The loss.

        Raises:
            ArgumentTypeError: Neither a loss nor a closure, or both.
            ArgumentError: A sparse gradient.
            NotFinite: A loss or a gradient with a NaN or an infinity.
        """
        name = type(self).__name__
        if closure is None and loss is None and asks_for_state(self.param_groups):
            for params, grads in with_gradients(self.param_groups, name, maximize=False):
                self._begin(params, grads)
            return None
        if (closure is None) == (loss is None):
            raise ArgumentTypeError(
                f"loss: {name}.step takes the loss of the step, as step(loss=loss) after "
                "backward(), or a closure, one of both"
            )
        if closure is not None:
            loss = evaluated(closure)
        value = real("loss", float(loss.detach() if isinstance(loss, torch.Tensor) else loss))
        found = list(
            zip(
                self.param_groups,
                with_gradients(self.param_groups, name, maximize=False),
                strict=True,
            )
        )
        first = self.param_groups[0]
        steps, beta = first["steps"] + 1, self._beta(first)
        fbar = (
            value
            if steps == 1 and not self._from_zero(first)
            else beta * first["loss_avg"] + (1 - beta) * value
        )
        rho, lb = 1 - beta**steps if self._from_zero(first) else 1.0, first["lb"]
        sums = [
            self._lengths(g, params, grads) if params else (0.0, 0.0, 0.0, [])
            for g, (params, grads) in found
        ]
        dot, gamma, norm = (float(sum(part[i] for part in sums)) for i in range(3))
        for (group, (params, _)), (*_, directions) in zip(found, sums, strict=True):
            lr, shrink = float(group["lr"]), 1 + float(group["lr"]) * group["weight_decay"]
            if first["use_fstar"] and shrink * fbar + dot - shrink * gamma < shrink * rho * lb:
                lb = max((shrink * fbar + dot - shrink * gamma) / (2 * shrink * rho), first["lb0"])
            gain = max(shrink * (fbar - rho * lb - gamma) + dot, 0.0)
            group["tau"] = tau = min(lr / rho, gain / norm) if norm > 0 else 0.0
            if first["use_fstar"]:
                lb = max((fbar + dot - gamma - tau * norm / 2) / rho, first["lb0"])
            if params:
                if not group["divide"] and group["weight_decay"]:
                    torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
                torch._foreach_add_(params, directions, alpha=-tau)
                if group["divide"] and group["weight_decay"]:
                    torch._foreach_div_(params, shrink)
        for group in self.param_groups:
            group.update(steps=steps, loss_avg=fbar, lb=lb)
        return loss

    def _beta(self, group: dict[str, Any]) -> float:
        """The memory of the averages."""
        return group["betas"][0] if "betas" in group else group["beta"]

    def _from_zero(self, group: dict[str, Any]) -> bool:
        """Whether averages begin at 0."""
        return "betas" in group or group["bias_correction"]

    def effective_lr(self) -> list[float]:
        """tau of the last step in each group; 0 before the first."""
        return [float(group["tau"]) for group in self.param_groups]


def _checked(
    lr: float, weight_decay: float, lb: float, betas: dict[str, float], use_fstar: bool
) -> dict[str, Any]:
    """The settings that both share, checked, as a group holds them."""
    number("lr", lr, above=0)
    real("weight_decay", weight_decay, least=0)
    real("lb", lb)
    for name, beta in betas.items():
        real(name, beta, least=0, below=1)
    return {
        "lr": lr,
        "weight_decay": weight_decay,
        "lb": float(lb),
        "lb0": float(lb),
        "use_fstar": bool(use_fstar),
        "steps": 0,
        "loss_avg": 0.0,
        "tau": 0.0,
    }


class MoMo(_Model):
    """SGD with momentum at the rate that its model of the loss gives, at most lr.

    Args:
        params: Parameters, named parameters, or groups of them.
        lr: Longest step, > 0; large values are safe.
        weight_decay: >= 0, proximal.
        beta: Momentum, in [0, 1).
        lb: Lower bound of the loss.
        bias_correction: Averages begin at 0 and are corrected, else at the first values.
        use_fstar: Estimate lb on the way (MoMo*), from `lb` up.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.

    Examples:
        >>> x = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        >>> optimizer = MoMo([x], lr=1e9, beta=0.0)
        >>> loss = (x**2).sum()
        >>> loss.backward()
        >>> _ = optimizer.step(loss=loss)
        >>> (x**2).sum().item()  # Polyak's step halves x
        3.5

    References:
        Schaipp et al., arXiv 2305.07583.
    """

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        weight_decay: float = 0.0,
        beta: float = 0.9,
        lb: float = 0.0,
        bias_correction: bool = False,
        use_fstar: bool = False,
    ):
        super().__init__(
            params,
            {
                **_checked(lr, weight_decay, lb, {"beta": beta}, use_fstar),
                "beta": beta,
                "bias_correction": bool(bias_correction),
                "divide": True,
            },
        )

    def _begin(self, params: list[Any], grads: list[Any]) -> None:
        """Averages of 0, marked as not begun."""
        for p in params:
            if "grad_avg" not in self.state[p]:
                self.state[p].update(
                    grad_avg=torch.zeros_like(p),
                    grad_dot_w=torch.zeros((), dtype=wide(p).dtype, device=p.device),
                    begun=False,
                )

    def _lengths(
        self, group: dict[str, Any], params: list[Any], grads: list[Any]
    ) -> tuple[Any, ...]:
        """<m, x>, the average of <g, x>, <m, m> and m."""
        beta = group["beta"]
        self._begin(params, grads)
        for p, g in zip(params, grads, strict=True):
            state = self.state[p]
            if not state.get("begun", True):
                state["begun"] = True
                if not group["bias_correction"]:
                    state["grad_avg"].copy_(g)
                    state["grad_dot_w"] += torch.dot(wide(p).reshape(-1), wide(g).reshape(-1))
            state["grad_dot_w"] = beta * state["grad_dot_w"] + (1 - beta) * torch.dot(
                wide(p).reshape(-1), wide(g).reshape(-1)
            )
        m = [self.state[p]["grad_avg"] for p in params]
        torch._foreach_lerp_(m, grads, 1 - beta)
        return (
            total_dot(params, m),
            sum(self.state[p]["grad_dot_w"].double() for p in params),
            total_dot(m, m),
            m,
        )


class MoMoAdam(_Model):
    """Adam at the rate that its model of the loss gives, at most lr.

    Args:
        params: Parameters, named parameters, or groups of them.
        lr: Largest rate, > 0.
        betas: Adam's, each in [0, 1).
        eps: Adam's, >= 0.
        weight_decay: >= 0.
        lb: Lower bound of the loss.
        divide: Proximal decay; False for AdamW's.
        use_fstar: Estimate lb on the way (MoMo-Adam*), from `lb` up.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.

    References:
        Schaipp et al., arXiv 2305.07583.
    """

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        lb: float = 0.0,
        divide: bool = True,
        use_fstar: bool = False,
    ):
        real("eps", eps, least=0)
        super().__init__(
            params,
            {
                **_checked(
                    lr, weight_decay, lb, {"betas[0]": betas[0], "betas[1]": betas[1]}, use_fstar
                ),
                "betas": tuple(betas),
                "eps": eps,
                "divide": bool(divide),
            },
        )

    def _begin(self, params: list[Any], grads: list[Any]) -> None:
        """Averages of 0."""
        for p in params:
            if "grad_avg" not in self.state[p]:
                self.state[p].update(
                    step=0,
                    grad_avg=torch.zeros_like(p),
                    grad_avg_sq=torch.zeros_like(p),
                    grad_dot_w=torch.zeros((), dtype=wide(p).dtype, device=p.device),
                )

    def _lengths(
        self, group: dict[str, Any], params: list[Any], grads: list[Any]
    ) -> tuple[Any, ...]:
        """<m, x>, the average of <g, x>, <m, m / D> and m / D."""
        b1, b2 = group["betas"]
        self._begin(params, grads)
        for p, g in zip(params, grads, strict=True):
            state = self.state[p]
            state["step"] += 1
            state["grad_dot_w"] = b1 * state["grad_dot_w"] + (1 - b1) * torch.dot(
                wide(p).reshape(-1), wide(g).reshape(-1)
            )
        m, v = ([self.state[p][name] for p in params] for name in ("grad_avg", "grad_avg_sq"))
        torch._foreach_lerp_(m, grads, 1 - b1)
        torch._foreach_mul_(v, b2)
        torch._foreach_addcmul_(v, grads, grads, 1 - b2)
        d = torch._foreach_sqrt(v)
        torch._foreach_div_(d, [(1 - b2 ** self.state[p]["step"]) ** 0.5 for p in params])
        torch._foreach_add_(d, group["eps"])
        directions = torch._foreach_div(m, d)
        return (
            total_dot(params, m),
            sum(self.state[p]["grad_dot_w"].double() for p in params),
            total_dot(m, directions),
            directions,
        )

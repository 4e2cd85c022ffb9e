"""NormalizedIGT: normalised descent with implicit gradient transport, for any stochastic objective.

    gradient at  theta_t + ((1 - eta_t) / eta_t) (theta_t - theta_(t-1))
    d_t = (1 - eta_t) d_(t-1) + eta_t g_t,    theta_(t+1) = theta_t - gamma_t d_t / |d_t|

If the objective's gradient is affine, d_t is an unbiased mean of gradients at theta_t: what makes
momentum lag cancels to first order.

References:
    Fatkhullin, Barakat, Kireeva, He, ICML 2023, arXiv 2302.01734, Algorithm 1 (N-PG-IGT).
    Cutkosky, Mehta: Momentum improves normalized SGD, ICML 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ...core.checks import fraction, naming, real
from ...core.errors import ArgumentError

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT


class NormalizedIGT(torch.optim.Optimizer):
    """Minimise by steps of length gamma_t along a transported mean of gradients.

    Call `lookahead()` before the gradient is taken (and before samples are drawn, where their
    distribution depends on the parameters), then `backward()`, then `step()`, after which the
    parameters are theta_(t+1), where they are to be evaluated. The length is taken over all
    parameters of a group.

    Args:
        params: Parameters, or groups of them.
        lr: gamma_0; gamma_t = lr 2 / (t + 2).
        eta0: eta_0; eta_t = eta0 (2 / (t + 2))^(4/5).
        reach: Most steps' lengths that the look-ahead may be from theta_t; (1 - eta) / eta beyond
            it is cut, and with it the cancellation.

    Raises:
        ArgumentError: lr <= 0, eta0 outside of (0, 1], or reach <= 0; no parameters.

    Example:
        >>> x = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
        >>> optimizer = NormalizedIGT([x], lr=1.0)
        >>> for _ in range(200):
        ...     optimizer.lookahead()
        ...     optimizer.zero_grad()
        ...     loss = (x**2).sum()
        ...     loss.backward()
        ...     _ = optimizer.step()
        >>> bool((x**2).sum() < 0.01)
        True
    """

    def __init__(self, params: ParamsT, lr: float = 0.1, eta0: float = 1.0, reach: float = 1000.0):
        real("lr", lr, above=0)
        fraction("eta0", eta0, zero=False)
        real("reach", reach, above=0)
        usual = {"lr": lr, "eta0": eta0, "reach": reach, "t": 0, "ahead": False}
        with naming("params"):
            super().__init__(params, usual)

    def lookahead(self) -> None:
        """Move the parameters to where the gradient is to be taken; a second call does nothing."""
        with torch.no_grad():
            for group in self.param_groups:
                if group["ahead"]:
                    continue
                _, eta = schedule(group)
                factor = min((1 - eta) / eta, group["reach"])
                for p in group["params"]:
                    state = self.state[p]
                    if not state:
                        state["here"] = p.detach().clone()  # theta_t
                        state["before"] = p.detach().clone()  # theta_(t-1), which is theta_0 first
                        state["d"] = torch.zeros_like(p)
                    state["here"].copy_(p)
                    p.add_(p - state["before"], alpha=factor)
                group["ahead"] = True

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Make a step.

        Args:
            closure: Computes the loss and its gradient; it is called after `lookahead`.

        Raises:
            ArgumentError: Neither was `lookahead` called nor a closure given: the gradient would be
                at the wrong place.
        """
        loss = None
        if closure is not None:
            self.lookahead()
            with torch.enable_grad():
                loss = closure()
        if not all(group["ahead"] for group in self.param_groups):
            raise ArgumentError("step: call lookahead() before the gradient is taken")
        with torch.no_grad():
            for group in self.param_groups:
                gamma, eta = schedule(group)
                weight = 1.0 if group["t"] == 0 else eta  # d_0 = g_0 whatever eta_0 is
                square: Any = 0.0
                for p in group["params"]:
                    d = self.state[p]["d"]
                    if p.grad is None:
                        d.mul_(1 - weight)
                    else:
                        d.mul_(1 - weight).add_(p.grad, alpha=weight)
                    square = square + d.double().pow(2).sum()
                length = float(square) ** 0.5
                for p in group["params"]:
                    state = self.state[p]
                    p.copy_(state["here"])
                    state["before"].copy_(state["here"])
                    if length > 0:
                        p.add_(state["d"], alpha=-gamma / length)
                group["t"] += 1
                group["ahead"] = False
        return loss


def schedule(group: dict[str, Any]) -> tuple[float, float]:
    """gamma_t and eta_t of a group of parameters."""
    shrunk = 2 / (group["t"] + 2)
    return group["lr"] * shrunk, group["eta0"] * shrunk ** (4 / 5)

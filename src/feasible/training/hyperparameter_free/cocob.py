"""COCOB-Backprop (Orabona, Tommasi, "Training Deep Networks without Learning Rates Through Coin
Betting", NeurIPS 2017, arXiv 1705.07795): every coordinate bets on its next gradient, with what it
has won so far. No rate and no schedule.

    L <- max(L, |g|);   A <- A + |g|;   R <- max(0, R - g (x - x0));   theta <- theta - g
    x <- x0 + theta (L + R) / (L max(A + L, alpha L))

L is the largest gradient seen, A their sum, R the reward and theta the sum of negative gradients,
all by coordinate. So the first step is 1/alpha long in each coordinate, whatever the scale.
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
from ..optimizer import Gradients, number
from .estimate import Estimating


class COCOB(Estimating, Optimizer):
    """Coin betting on each coordinate.

    Minimises a loss of the parameters, given gradients at batches; neither a rate nor a schedule
    has to be known.

    Args:
        params: Parameters, named parameters, or groups of them.
        lr: There for schedulers and loggers that want one in each group; the method has none, and a
            schedule changes nothing.
        alpha: >= 0, about the steps of warm-up.
        eps: First scale of the gradients, > 0.
        weight_decay: Decay of the gradient, >= 0.
        maximize: Ascend instead of descending, as torch's optimisers do.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting that is no number.

    Examples:
        >>> x = torch.nn.Parameter(torch.zeros(2))
        >>> x.grad = torch.tensor([3e4, -2e-3])
        >>> COCOB([x]).step()
        >>> [round(v, 6) for v in x.tolist()]  # 1/alpha against the sign, whatever the scale
        [-0.01, 0.01]

    References:
        Orabona, Tommasi, arXiv 1705.07795.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("x0", "L", "reward")
    _one_rate: ClassVar[bool] = False

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        alpha: float = 100.0,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        real("alpha", alpha, least=0)
        number("lr", lr, least=0)
        real("eps", eps, above=0)
        real("weight_decay", weight_decay, least=0)
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": bool(maximize),
            },
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a state; settings that it does not hold, as the package's, stay this optimiser's."""
        super().__setstate__(state)
        for group in self.param_groups:
            group.update({**self.defaults, **group})

    def _move(self, found: list[Gradients]) -> None:
        """Make the step: bring the bets up to date, coordinate by coordinate."""
        for group, (params, grads) in zip(self.param_groups, found, strict=True):
            for p, g in zip(params, grads, strict=True):
                if group["weight_decay"]:
                    g = g.add(p, alpha=group["weight_decay"])
                state = self.state[p]
                if not state:
                    state.update(
                        sum_negative_gradients=torch.zeros_like(p),
                        grad_norm_sum=torch.zeros_like(p),
                        L=torch.full_like(p, group["eps"]),
                        reward=torch.zeros_like(p),
                        x0=p.detach().clone(),
                    )
                state["L"] = torch.maximum(state["L"], g.abs())
                state["grad_norm_sum"].add_(g.abs())
                state["reward"].addcmul_(g, p - state["x0"], value=-1).clamp_(min=0)
                state["sum_negative_gradients"].sub_(g)
                p.copy_(state["x0"] + state["sum_negative_gradients"] * _bet(state, group["alpha"]))

    def effective_lr(self) -> list[float]:
        """Mean over coordinates of what the sum of negative gradients is multiplied with; 0 before
        the first step.
        """
        found = []
        for group in self.param_groups:
            rates = [
                _bet(self.state[p], group["alpha"]).flatten()
                for p in group["params"]
                if p in self.state
            ]
            found.append(float(torch.cat(rates).mean()) if rates else 0.0)
        return found

    def estimate(self) -> float:
        """There is none: NaN."""
        return math.nan


def _bet(state: dict[str, Any], alpha: float) -> Tensor:
    """(L + R) / (L max(A + L, alpha L)), by coordinate."""
    largest = state["L"]
    return (largest + state["reward"]) / (
        largest * torch.maximum(state["grad_norm_sum"] + largest, alpha * largest)
    )

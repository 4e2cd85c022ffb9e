"""NadamW: AdamW with Nesterov's momentum, as AlgoPerf's baselines have it (Kasimbeg et al., "How
far away are truly hyperparameter-free learning algorithms?", 2025, arXiv 2505.24005; Dahl et al.,
"Benchmarking Neural Network Training Algorithms", 2023, arXiv 2306.07179).

    m <- b1 m + (1 - b1) g;   v <- b2 v + (1 - b2) g^2
    x <- x - lr wd x
    x <- x - lr (b1 m + (1 - b1) g) / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

`torch.optim.NAdam` is another method: its momentum follows a schedule of its own. The first step is
(1 + b1) lr long, not lr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch.optim import Optimizer

from ...core.annotations import checked
from ...core.checks import real
from ..optimizer import NamedState, asks_for_state, evaluated, number, uncompiled, with_gradients


class NAdamW(NamedState, Optimizer):
    """AdamW with Nesterov's momentum.

    Minimises a loss of the parameters, given gradients at batches.

    Args:
        params: Parameters, named parameters, or groups of them.
        lr: Rate, >= 0, also a tensor.
        betas: Each in [0, 1).
        eps: >= 0, outside the root.
        weight_decay: >= 0, decoupled, times lr.
        maximize: Ascend instead of descending, as torch's optimisers do.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        NotFinite: At a step, for a gradient with a NaN or an infinity, by the parameter's name;
            nothing has changed then.

    References:
        Kasimbeg et al., arXiv 2505.24005; Dahl et al., arXiv 2306.07179.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")

    @checked
    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        maximize: bool = False,
    ):
        number("lr", lr, least=0)
        for i, beta in enumerate(betas):
            real(f"betas[{i}]", beta, least=0, below=1)
        real("eps", eps, least=0)
        real("weight_decay", weight_decay, least=0)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": tuple(betas),
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": bool(maximize),
            },
        )

    @uncompiled
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the closure's loss, where there is a closure."""
        loss, begins = evaluated(closure), asks_for_state(self.param_groups)
        for group, (params, grads) in zip(
            self.param_groups, with_gradients(self.param_groups, "NAdamW"), strict=True
        ):
            (b1, b2), lr = group["betas"], group["lr"]
            for p in params:
                if not self.state[p]:
                    self.state[p].update(
                        step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p)
                    )
            if not params or begins:
                continue
            states = [self.state[p] for p in params]
            m, v = [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states]
            for s in states:
                s["step"] += 1
            torch._foreach_lerp_(m, grads, 1 - b1)
            torch._foreach_mul_(v, b2)
            torch._foreach_addcmul_(v, grads, grads, 1 - b2)
            if group["weight_decay"]:
                torch._foreach_mul_(params, 1 - float(lr) * group["weight_decay"])
            denominator = torch._foreach_sqrt(v)
            torch._foreach_div_(denominator, [(1 - b2 ** s["step"]) ** 0.5 for s in states])
            torch._foreach_add_(denominator, group["eps"])
            steps = [-float(lr) / (1 - b1 ** s["step"]) for s in states]
            torch._foreach_addcdiv_(params, m, denominator, [b1 * s for s in steps])
            torch._foreach_addcdiv_(params, grads, denominator, [(1 - b1) * s for s in steps])
        return loss

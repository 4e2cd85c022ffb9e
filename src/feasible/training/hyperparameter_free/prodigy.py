"""Prodigy (Mishchenko, Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner", 2023,
arXiv 2306.06101), as prodigyopt has it: Adam with an estimate of the distance to the solution as
its rate.

    lambda = d lr sqrt(1 - b2^t) / (1 - b1^t)                    the correction only where asked for
    num <- b3 num + (d / d0) lambda <g, x0 - x>
    m <- b1 m + (1 - b1) d g;   v <- b2 v + (1 - b2) d^2 g^2;   s <- b3 s + (d / d0) lambda g
    d <- max(d, min(d_coef num / |s|_1, growth_rate d))
    x <- x - lambda wd x - lambda m / (sqrt(v) + d eps)          lambda of the former d

The update is the package's. The class here adds typed errors before anything is changed, state
matched by name, and silence.
"""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any, ClassVar

from ...core.annotations import checked
from ...core.errors import MissingExtra
from ..optimizer import Gradients, unhooked
from .estimate import Estimating, check_settings, watch

try:
    import prodigyopt
except ImportError as error:
    raise MissingExtra(
        "Prodigy needs the package prodigyopt of an extra, which cannot be imported "
        f"({error}): pip install 'feasible[training]'"
    ) from error


class Prodigy(Estimating, prodigyopt.Prodigy):
    """Adam with Prodigy's estimate of the rate.

    Minimises a loss of the parameters, given gradients at batches; no rate has to be known. "d",
    the estimate, is in each group. All groups have one rate, or 0.

    Args:
        params: Parameters, named parameters, or groups of them.
        lr: Factor of the estimate, > 0; 1, times a schedule that starts above 0.
        betas: Adam's, each in [0, 1).
        beta3: Memory of the estimate, in [0, 1); None for sqrt(betas[1]).
        eps: Adam's, > 0.
        weight_decay: >= 0.
        decouple: Decoupled decay, as AdamW's; False for decay of the gradient.
        use_bias_correction: Adam's.
        safeguard_warmup: For a schedule that rises.
        d0: First estimate, > 0; 1e-5 or 1e-4 where it does not move.
        d_coef: Factor of the estimate, > 0, the setting to change first.
        growth_rate: Its most growth in a step, > 1.
        slice_p: Estimate from every p-th entry, a whole number >= 1.
        maximize: Ascend instead of descending, as torch's optimisers do.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting that is no number.

    References:
        Mishchenko, Defazio, arXiv 2306.06101; prodigyopt 1.1.2.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")

    @checked
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
        *,
        maximize: bool = False,
    ):
        check_settings(
            lr, weight_decay, betas, growth_rate, eps=eps, d0=d0, d_coef=d_coef, slice_p=slice_p
        )
        with contextlib.redirect_stdout(io.StringIO()):  # the package says when it decays weights
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
        self.defaults["maximize"] = bool(maximize)
        for group in self.param_groups:
            group.setdefault("maximize", bool(maximize))
        watch(self)

    def _begin(self, found: list[Gradients]) -> None:
        """The package's state, which it makes in a step at rate 0 before it returns."""
        self._move(found)
        for group in self.param_groups:
            group.setdefault("d_denom", 0.0)
            group.setdefault("d_hat", group["d"])

    def _move(self, found: list[Gradients]) -> None:
        """Make the package's step, which knows no `maximize`."""
        turned = [
            (p, p.grad, g)
            for group, (params, grads) in zip(self.param_groups, found, strict=True)
            if group.get("maximize")
            for p, g in zip(params, grads, strict=True)
        ]
        try:
            for p, _, g in turned:
                p.grad = g
            unhooked(prodigyopt.Prodigy)(self)
        finally:
            for p, given, _ in turned:
                p.grad = given
